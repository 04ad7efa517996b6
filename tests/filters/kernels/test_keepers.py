import random

import numpy as np
import pytest

from filters.kernels import keepers
from filters.kernels.keepers import choose_keepers

NO_SIGNATURES = (np.zeros((0, 0), np.uint32), np.zeros((0, 0), np.int64))


def choose(
    classes: list[list[int]],
    signatures: list[list[int] | None] | None = None,
    bands: list[list[int]] | None = None,
    min_equal: int = 1,
    fixed: list[int] | None = None,
) -> tuple[list[int], list[int]]:
    """Lists in, lists out; each document has its own signature, or none."""
    num_documents = len(classes[0]) if classes else len(signatures or [])
    places = np.full(num_documents, -1)
    values, numbers = NO_SIGNATURES
    if signatures is not None:
        there = [place for place, each in enumerate(signatures) if each is not None]
        places[there] = np.arange(len(there))
        values = np.array([each for each in signatures if each is not None], np.uint32)
        numbers = np.array(bands, np.int64)
    is_fixed = np.zeros(num_documents, bool)
    is_fixed[fixed or []] = True
    table = np.array(classes, np.int64).reshape(len(classes), num_documents)
    found, tied_by = choose_keepers(table, (values, numbers, places), min_equal, is_fixed)
    return found.tolist(), tied_by.tolist()


def test_no_documents_give_no_keepers() -> None:
    assert choose([[]]) == ([], [])


def test_the_first_of_a_class_keeps_the_others_and_the_first_kind_is_named() -> None:
    # 1 has no key of the second kind; 2 has both keys of 0; 3 only the second one.
    assert choose([[0, 1, 0, 2], [0, -1, 0, 0]]) == ([0, 1, 0, 0], [-1, -1, 0, 1])


def test_a_duplicate_keeps_nobody() -> None:
    # 1 is tied to 0, 2 to 1 alone: it stays.
    assert choose([[0, 0, 1], [0, 1, 1]]) == ([0, 0, 2], [-1, 0, -1])


def test_a_shared_band_counts_only_with_enough_equal_values() -> None:
    signatures: list[list[int] | None] = [[1, 2, 3, 4], [1, 2, 3, 9], [1, 2, 8, 9], None]
    bands = [[0], [0], [0]]
    assert choose([[0, 1, 2, 3]], signatures, bands, min_equal=3)[0] == [0, 0, 2, 3]
    assert choose([[0, 1, 2, 3]], signatures, bands, min_equal=2)[0] == [0, 0, 0, 3]
    assert choose([[0, 1, 2, 3]], signatures, bands, min_equal=4)[0] == [0, 1, 2, 3]


def test_equal_signatures_without_a_shared_band_are_not_compared() -> None:
    assert choose([[0, 1]], [[1], [1]], [[-1], [-1]])[0] == [0, 1]


def test_of_several_keepers_that_are_alike_the_most_preferred_is_named() -> None:
    signatures: list[list[int] | None] = [[1, 1, 9, 9], [2, 2, 8, 8], [1, 2, 8, 9]]
    # The last shares its first band with 1, its second with 0, and is as like to both.
    assert choose([[0, 1, 2]], signatures, [[0, 5], [5, 1], [5, 0]], min_equal=2)[0] == [0, 1, 0]


def test_fixed_documents_stay_whatever_they_are_tied_to() -> None:
    assert choose([[0, 0, 0]], fixed=[0, 1])[0] == [0, 1, 0]
    assert choose([[0, 1, 2]], [[1], [1], [1]], [[0], [0], [0]], fixed=[0, 1])[0] == [0, 1, 0]


def test_no_more_keepers_of_a_band_are_compared_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    num = keepers.MAX_COMPARED + 2
    signatures: list[list[int] | None] = [[number] for number in range(num)]
    signatures += [[0], [num - 1]]  # one like the first, one like the last
    found, _ = choose([list(range(num + 2))], signatures, [[0]] * (num + 2))
    assert found[:num] == list(range(num))
    assert (found[num], found[num + 1]) == (0, num + 1)


@pytest.mark.parametrize("seed", range(30))
def test_random_documents_are_decided_as_by_comparing_all(seed: int) -> None:
    generator = random.Random(seed)
    num = generator.randint(1, 30)
    classes = [[generator.choice([-1, *range(num)]) for _ in range(num)] for _ in range(2)]
    signatures: list[list[int] | None] = [[generator.randrange(2) for _ in range(20)] for _ in range(num)]
    bands = [[generator.randrange(3), 3 + generator.randrange(3)] for _ in range(num)]
    fixed = [place for place in range(num) if generator.random() < 0.1]
    expected, kinds, kept = list(range(num)), [-1] * num, list[int]()
    for place in range(num):
        ties = []
        for keeper in kept:
            equal = [kind for kind in (0, 1) if classes[kind][place] == classes[kind][keeper] >= 0]
            ours, theirs = signatures[place], signatures[keeper]
            assert ours is not None
            assert theirs is not None
            shares = set(bands[place]) & set(bands[keeper])
            alike = shares and sum(a == b for a, b in zip(ours, theirs, strict=True)) >= 12
            ties += [(kind, keeper) for kind in equal] + ([(2, keeper)] if alike else [])
        if ties and place not in fixed:
            kinds[place], expected[place] = min(ties)
        else:
            kept.append(place)
    assert choose(classes, signatures, bands, 12, fixed) == (expected, kinds)
