"""Who stays and who is whose duplicate: one greedy pass over documents in the order of preference.

A document is a duplicate exactly if it is tied to a document that stays and is preferred to it. Ties are equal keys, or
a shared band and enough equal values in both MinHash signatures. So every duplicate is tied to its keeper itself, never
through others, and what is decided for the first n documents does not change when more follow.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.jit import kernel
from filters.kernels.minhash import Values

# Keepers that are compared for each band at most. A band that more of them share is no sign of likeness (a template's
# words in otherwise different texts); each comparison beyond would cost the square of such a band's documents.
MAX_COMPARED = 4096
_BLOCK = 16

Int64s = npt.NDArray[np.int64]


def choose_keepers(
    classes: Int64s, signatures: tuple[Values, Int64s, Int64s], min_equal: int, fixed: npt.NDArray[np.bool_]
) -> tuple[Int64s, Int64s]:
    """Decide documents 0 to num_documents - 1 in this order.

    classes: int64 (num_kinds, num_documents), equal for documents with the same key of that kind; -1: no key. The first
    kind of several that hold is taken. signatures: values (num_signatures, num_permutations); bands int64
    (num_signatures, num_bands), equal numbers, from 0, for equal bands, -1 for one that no other signature has;
    int64 (num_documents,), the signature of each document or -1. min_equal: values that must be equal in both
    signatures. fixed: bool (num_documents,), stays whatever it is tied to.
    Returns int64 (num_documents,), the place of each document's keeper (its own if it stays), and int64
    (num_documents,), the kind that ties it (num_kinds for signatures, -1 if it stays).
    """
    values, bands, places = signatures
    num_documents = classes.shape[1]
    keepers, tied_by = np.arange(num_documents), np.full(num_documents, -1)
    first_of_class = np.full((classes.shape[0], int(classes.max(initial=-1)) + 1), -1)
    in_bands = bands[places[places >= 0]].ravel()
    sizes = np.bincount(in_bands[in_bands >= 0], minlength=1)
    starts = np.concatenate([[0], np.cumsum(np.minimum(sizes, MAX_COMPARED))])
    held = (starts, np.zeros(len(sizes), np.int64), np.zeros(starts[-1], np.int64))
    _choose(classes, (values, bands, places, min_equal), fixed, (first_of_class, *held), (keepers, tied_by))
    return keepers, tied_by


@kernel
def _alike(first: Any, second: Any, min_equal: int) -> bool:
    """Whether two signatures have min_equal equal values; ends as soon as they cannot."""
    num_equal = 0
    for start in range(0, len(first), _BLOCK):
        stop = min(start + _BLOCK, len(first))
        for k in range(start, stop):
            num_equal += first[k] == second[k]
        if num_equal + len(first) - stop < min_equal:
            return False
    return num_equal >= min_equal


@kernel
def _first_alike(place: int, document: int, signatures: Any, held: Any, asked: Any) -> int:
    """The most preferred of the keepers that share a band and are alike; -1 if none is."""
    values, bands, places, min_equal = signatures
    starts, lengths, owners = held
    best = -1
    for band in bands[place]:
        if band < 0:
            continue
        for position in range(starts[band], starts[band] + min(lengths[band], MAX_COMPARED)):
            keeper = owners[position]
            if best >= 0 and keeper >= best:
                break  # they are held in order of preference
            if asked[keeper] != document:
                asked[keeper] = document
                if _alike(values[place], values[places[keeper]], min_equal):
                    best = keeper
    return best


@kernel
def _enter(place: int, document: int, bands: Any, held: Any) -> None:
    """Hold a keeper for later documents of its bands."""
    starts, lengths, owners = held
    for band in bands[place]:
        if band >= 0:
            if lengths[band] < MAX_COMPARED:
                owners[starts[band] + lengths[band]] = document
            lengths[band] += 1


@kernel
def _choose(classes: Any, signatures: Any, fixed: Any, kept: Any, out: Any) -> None:
    """See choose_keepers. kept: the first keeper of each class, and for each band where its keepers start, how many
    there are, and which.
    """
    bands, places = signatures[1], signatures[2]
    first_of_class, held = kept[0], (kept[1], kept[2], kept[3])
    keepers, tied_by = out
    num_kinds, num_documents = classes.shape
    asked = np.full(num_documents, -1, np.int64)  # the document that was last compared with each keeper
    for document in range(num_documents):
        place = places[document]
        for kind in range(num_kinds):
            which = classes[kind, document]
            if which >= 0 and tied_by[document] < 0 and first_of_class[kind, which] >= 0 and not fixed[document]:
                keepers[document], tied_by[document] = first_of_class[kind, which], kind
        if place >= 0 and tied_by[document] < 0 and not fixed[document]:
            keeper = _first_alike(place, document, signatures, held, asked)
            if keeper >= 0:
                keepers[document], tied_by[document] = keeper, num_kinds
        if tied_by[document] >= 0:
            continue
        for kind in range(num_kinds):
            which = classes[kind, document]
            if which >= 0 and first_of_class[kind, which] < 0:
                first_of_class[kind, which] = document
        if place >= 0:
            _enter(place, document, bands, held)
