import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from manifests.manifest import Shard
from trainer.order import Order, order_of, permute

GOLDEN_TEN = [3, 2, 0, 1, 9, 7, 5, 8, 4, 6]
GOLDEN_LARGE = [822377997837, 986011177790]


@given(size=st.integers(1, 3000), key=st.text(max_size=8))
def test_a_permutation_takes_each_value_to_another_and_misses_none(size: int, key: str) -> None:
    assert np.array_equal(np.sort(permute(np.arange(size), size, key)), np.arange(size))


def test_a_permutation_is_the_same_on_every_machine() -> None:
    assert permute(np.arange(10), 10, "golden").tolist() == GOLDEN_TEN
    assert permute(np.array([0, 10**12 - 1]), 10**12, "golden").tolist() == GOLDEN_LARGE


def test_a_value_is_permuted_alone_as_it_is_among_others() -> None:
    among = permute(np.arange(100), 100, "k")
    assert permute(np.array([37]), 100, "k").tolist() == [among[37]]


@given(
    blocks=st.lists(st.integers(1, 40), min_size=1, max_size=9), window=st.integers(1, 4), seed=st.integers(0, 1 << 40)
)
def test_every_epoch_has_every_row_once(blocks: list[int], window: int, seed: int) -> None:
    order = Order(seed, tuple(blocks), window)
    epochs = order.rows(np.arange(3 * order.num_rows)).reshape(3, -1)
    assert np.array_equal(np.sort(epochs, axis=1), np.tile(np.arange(order.num_rows), (3, 1)))


@given(size=st.integers(1, 3000), key=st.text(max_size=8))
def test_the_inverse_takes_each_value_back(size: int, key: str) -> None:
    values = np.arange(size)
    assert np.array_equal(permute(permute(values, size, key), size, key, inverse=True), values)


@given(
    blocks=st.lists(st.integers(1, 40), min_size=1, max_size=9), window=st.integers(1, 4), seed=st.integers(0, 1 << 40)
)
def test_the_position_of_a_row_is_where_the_order_has_it(blocks: list[int], window: int, seed: int) -> None:
    order = Order(seed, tuple(blocks), window)
    for epoch in range(2):
        positions = np.arange(order.num_rows) + epoch * order.num_rows
        assert np.array_equal(order.positions(order.rows(positions), epoch), positions)


def test_epochs_and_seeds_have_different_orders() -> None:
    first = Order(1, (500,), 1)
    both = first.rows(np.arange(1000))
    assert not np.array_equal(both[:500], both[500:])
    assert not np.array_equal(both[:500], Order(2, (500,), 1).rows(np.arange(500)))


def test_positions_in_the_middle_of_an_epoch_need_nothing_before_them() -> None:
    order = Order(3, (7, 11, 5, 2), 2)
    whole = order.rows(np.arange(100))
    assert order.rows(np.arange(60, 70)).tolist() == whole[60:70].tolist()


def test_a_window_is_finished_before_the_next_begins() -> None:
    order = Order(5, (10, 10, 10, 10, 10, 10), 2)
    blocks = order.rows(np.arange(60)) // 10
    per_window = [set(blocks[start : start + 20].tolist()) for start in (0, 20, 40)]
    assert [len(window) for window in per_window] == [2, 2, 2]
    assert set.union(*per_window) == {0, 1, 2, 3, 4, 5}


def test_rows_are_spread_evenly_over_an_epoch() -> None:
    # 4096 rows, mean position of the first 1024 rows: 2047.5 with a standard error of 32; five of them are allowed.
    positions = np.argsort(Order(0, (4096,), 1).rows(np.arange(4096)))
    assert abs(positions[:1024].mean() - 2047.5) < 5 * 32


def test_blocks_are_the_row_groups_of_each_shard() -> None:
    packed = [
        Shard(path=f"{rows}", rows=rows, bytes=0, sha256="", kind="packed", split="train", tokens=0)
        for rows in (8192 + 5, 100)
    ]
    order = order_of(packed, row_bytes=16 * 1024, seed=0)
    assert order.block_rows == (8192, 5, 100)
    assert order.blocks_per_window == 2  # 256 MiB / (8192 * 16 KiB)
