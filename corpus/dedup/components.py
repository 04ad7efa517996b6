"""Pairs to connected components. Components are held as stars: each node but the first with the first."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from corpus.dedup.runs import UInt64s

# Pairs that wait until they outnumber this and the nodes known: each pass then at least halves what it reads.
MIN_WAITING_PAIRS = 1 << 20


def stars(keys: Sequence[UInt64s], nodes: UInt64s) -> tuple[UInt64s, UInt64s]:
    """(first node, other node) for each run of equal keys; keys are sorted, and nodes rise within equal keys."""
    if len(nodes) == 0:
        return nodes, nodes
    new = np.ones(len(nodes), np.bool_)
    new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    firsts = nodes[np.flatnonzero(new)][np.cumsum(new) - 1]
    return firsts[~new], nodes[~new]


def forest(firsts: UInt64s, others: UInt64s) -> tuple[UInt64s, UInt64s]:
    """The components of the pairs as stars: (least node of its component, node), without the least ones, by node.

    Depends on the components alone, not on which pairs connect them or their order.
    """
    nodes, index = np.unique(np.concatenate([firsts, others]), return_inverse=True)
    if len(nodes) == 0:
        return nodes, nodes
    ends = index.reshape(2, len(firsts))
    weights = np.ones(len(firsts), np.bool_)
    graph = coo_matrix((weights, (ends[0], ends[1])), shape=(len(nodes), len(nodes)))
    _, labels = connected_components(graph, directed=False)
    # nodes are sorted: where a label occurs first is the component's least node.
    _, least = np.unique(labels, return_index=True)
    roots = nodes[least][labels]
    other = roots != nodes
    return roots[other], nodes[other]


class Components:
    """Collects pairs in any order; memory grows with the number of nodes in pairs, not with the number of pairs."""

    def __init__(self) -> None:
        self._pairs = [(np.zeros(0, np.uint64), np.zeros(0, np.uint64))]
        self._num_known = 0
        self._num_waiting = 0

    def add(self, firsts: UInt64s, others: UInt64s) -> None:
        """Connect firsts[i] with others[i]."""
        self._pairs.append((firsts, others))
        self._num_waiting += len(firsts)
        if self._num_waiting > max(MIN_WAITING_PAIRS, self._num_known):
            self.stars()

    def stars(self) -> tuple[UInt64s, UInt64s]:
        """(least node of its component, node) for each node but the least ones, by node."""
        firsts, others = zip(*self._pairs, strict=True)
        found = forest(np.concatenate(firsts), np.concatenate(others))
        self._pairs, self._num_known, self._num_waiting = [found], len(found[0]), 0
        return found
