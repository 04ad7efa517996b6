"""Connected components of nodes that are numbered from 0: union by least index, path halving.

A parent is never greater than its node, so that the root of a component is its least node: what comes out depends on
the components alone, not on which pairs connect them or their order.
"""

from typing import Any

from filters.kernels.jit import kernel


@kernel
def join_pairs(parent: Any, firsts: Any, others: Any) -> None:
    """Join the components of firsts[i] and others[i] for each i, in place.

    parent: uint32 (num_nodes,), at first each node's own number; firsts, others: integers (num_pairs,), each in
    [0, num_nodes). Amortized O(log(num_nodes)) a pair (Tarjan and van Leeuwen 1984, "Worst-case analysis of set union
    algorithms": halving with any union).
    """
    for pair in range(len(firsts)):
        first = _root(parent, firsts[pair])
        other = _root(parent, others[pair])
        if first < other:
            parent[other] = first
        elif other < first:
            parent[first] = other


@kernel
def flatten(parent: Any) -> None:
    """Let each node's parent be the least node of its component, in place. parent: as `join_pairs` leaves it."""
    # Parents come before their nodes: each is flat by the time that a node asks it.
    for node in range(len(parent)):
        parent[node] = parent[parent[node]]


@kernel
def _root(parent: Any, node: int) -> Any:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node
