"""The slow, obvious twin of filters/kernels/union_find.py."""


def least_nodes(num_nodes, pairs):
    """The least node of each node's component: pairs level their ends until none does any more."""
    least = list(range(num_nodes))
    level = False
    while not level:
        level = True
        for first, other in pairs:
            if least[first] != least[other]:
                least[first] = least[other] = min(least[first], least[other])
                level = False
    return least
