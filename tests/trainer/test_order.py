import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from manifests.manifest import Shard
from trainer.order import Order, Rows, blocks_of, hash_fractions, permute

GOLDEN_TEN = [3, 2, 0, 1, 9, 7, 5, 8, 4, 6]
GOLDEN_LARGE = [822377997837, 986011177790]


def order_of(sizes: list[int], window_rows: int, key: str = "0", strata: list[int] | None = None) -> Order:
    """An order over blocks that lie one after another."""
    rows = np.array(sizes, dtype=np.int64)
    kinds = np.array(strata or [0] * len(sizes), dtype=np.int64)
    return Order(key, np.cumsum(rows) - rows, rows, kinds, window_rows)


def epoch_of(order: Order, epoch: int) -> Rows:
    """The rows of an epoch, in order."""
    return order.rows(np.arange(order.num_rows, dtype=np.int64) + epoch * order.num_rows)


blocks = st.lists(st.integers(1, 40), min_size=1, max_size=9)
windows = st.integers(1, 100)


@given(size=st.integers(1, 3000), key=st.text(max_size=8))
def test_a_permutation_takes_each_value_to_another_and_misses_none(size: int, key: str) -> None:
    assert np.array_equal(np.sort(permute(np.arange(size), size, key)), np.arange(size))


def test_a_permutation_is_the_same_on_every_machine() -> None:
    assert permute(np.arange(10), 10, "golden").tolist() == GOLDEN_TEN
    assert permute(np.array([0, 10**12 - 1]), 10**12, "golden").tolist() == GOLDEN_LARGE


def test_a_value_is_permuted_alone_as_it_is_among_others() -> None:
    among = permute(np.arange(100), 100, "k")
    assert permute(np.array([37]), 100, "k").tolist() == [among[37]]


@given(size=st.integers(1, 3000), key=st.text(max_size=8))
def test_the_inverse_takes_each_value_back(size: int, key: str) -> None:
    values = np.arange(size)
    assert np.array_equal(permute(permute(values, size, key), size, key, inverse=True), values)


def test_hashed_fractions_fill_their_range_evenly() -> None:
    # 10,000 of them: a tenth of the range holds 1,000 with a standard error of 30; five of those are allowed.
    counts = np.histogram(hash_fractions(np.arange(10_000), "k"), bins=10, range=(0, 1))[0]
    assert abs(counts - 1000).max() < 5 * 30


@given(sizes=blocks, window_rows=windows, seed=st.integers(0, 1 << 40), num_kinds=st.integers(1, 3))
def test_every_epoch_has_every_row_once(sizes: list[int], window_rows: int, seed: int, num_kinds: int) -> None:
    kinds = [number % num_kinds for number in range(len(sizes))]
    order = order_of(sizes, window_rows, str(seed), kinds)
    for epoch in range(3):
        assert np.array_equal(np.sort(epoch_of(order, epoch)), np.arange(order.num_rows))


@given(sizes=blocks, window_rows=windows, seed=st.integers(0, 1 << 40))
def test_the_position_of_a_row_is_where_the_order_has_it(sizes: list[int], window_rows: int, seed: int) -> None:
    order = order_of(sizes, window_rows, str(seed))
    for epoch in range(2):
        positions = np.arange(order.num_rows) + epoch * order.num_rows
        assert np.array_equal(order.positions(order.rows(positions), epoch), positions)


def test_an_order_holds_the_rows_of_its_blocks_alone() -> None:
    order = Order("0", np.array([10, 30]), np.array([5, 2]), np.array([0, 0]), 100)
    assert order.held(np.array([31, 9, 10, 14, 15, 29, 30, 32])).tolist() == [31, 10, 14, 30]
    assert sorted(epoch_of(order, 1).tolist()) == [10, 11, 12, 13, 14, 30, 31]
    empty = np.empty(0, np.int64)
    assert Order("0", empty, empty, empty, 100).held(np.array([3])).tolist() == []


def test_epochs_and_keys_have_different_orders() -> None:
    first = order_of([500], 500, "1")
    assert not np.array_equal(epoch_of(first, 0), epoch_of(first, 1))
    assert not np.array_equal(epoch_of(first, 0), epoch_of(order_of([500], 500, "2"), 0))


def test_positions_in_the_middle_of_an_epoch_need_nothing_before_them() -> None:
    order = order_of([7, 11, 5, 2], 12, "3")
    whole = order.rows(np.arange(100))
    assert order.rows(np.arange(60, 70)).tolist() == whole[60:70].tolist()


def test_a_window_is_finished_before_the_next_begins() -> None:
    order = order_of([10] * 6, 20, "5")
    numbers = epoch_of(order, 0) // 10
    per_window = [set(numbers[start : start + 20].tolist()) for start in (0, 20, 40)]
    assert [len(window) for window in per_window] == [2, 2, 2]
    assert set.union(*per_window) == {0, 1, 2, 3, 4, 5}


def test_a_window_is_at_most_a_block_larger_than_asked_for() -> None:
    order = order_of([30, 1, 50, 7, 12, 20], 25, "5")
    sizes = np.diff(order._layout(0).windows)
    assert sizes.sum() == 120
    assert sizes.max() < 25 + 50


def test_every_window_has_its_share_of_each_kind_of_block() -> None:
    kinds = [0] * 60 + [1] * 20
    order = order_of([5] * 80, 40, "9", kinds)
    second = np.array([np.isin(window // 5, range(60, 80)).sum() // 5 for window in epoch_of(order, 0).reshape(-1, 40)])
    assert second.sum() == 20
    assert set(second.tolist()) <= {1, 2, 3}  # of 8 blocks two are of the kind


def test_rows_are_spread_evenly_over_an_epoch() -> None:
    # 4096 rows, mean position of the first 1024 rows: 2047.5 with a standard error of 32; five of them are allowed.
    positions = np.argsort(epoch_of(order_of([4096], 4096), 0))
    assert abs(positions[:1024].mean() - 2047.5) < 5 * 32


def test_blocks_are_the_row_groups_of_each_shard() -> None:
    packed = [
        Shard(path=f"{rows}", rows=rows, bytes=0, sha256="", kind="packed", split="train", tokens=0)
        for rows in (8192 + 5, 0, 100)
    ]
    found = blocks_of(packed)
    assert found.sizes.tolist() == [8192, 5, 100]
    assert found.first_rows.tolist() == [0, 8192, 8197]
    assert found.shards.tolist() == [0, 0, 2]
    assert found.numbers.tolist() == [0, 1, 0]
