"""How fastText turns a text's mean row into the scores of labels: softmax, sigmoids or a tree of them."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.kernels.jit import kernel

SOFTMAX, TREE, SIGMOID = 0, 1, 2

_LOG_SHIFT = 1e-5  # fastText takes log(score + 1e-5)
_LOG_OF_ZERO = np.float32(np.log(1e-5))  # it leaves out labels of a tree below this
_SIGMOID_LIMIT, _SIGMOID_STEPS = 8, 512
# In fastText's own precision: exponentials and their sum with 1 are float32.
_SIGMOID_AT = np.arange(_SIGMOID_STEPS + 1) * (2 * _SIGMOID_LIMIT) / _SIGMOID_STEPS - _SIGMOID_LIMIT
_SIGMOIDS = (1.0 / (np.float32(1) + np.exp(-_SIGMOID_AT).astype("f4")).astype("f8")).astype("f4")


class Network(NamedTuple):
    """The numbers of a model.

    rows: uint8, read-only, the bytes of float32 (num_rows, dimension), of words, then buckets.
    weights: float32 (dimension, num_labels). scales: float32 (num_labels,), factors of the dot products: the norms of
    a quantized output, else ones.
    children: int32 (num_labels - 1, 2), left and right of the tree's nodes, which are numbered from num_labels on;
    the last is the root, the labels are the leaves. Empty without a tree.
    loss: SOFTMAX, TREE or SIGMOID.
    """

    rows: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.float32]
    scales: npt.NDArray[np.float32]
    children: npt.NDArray[np.int32]
    loss: int


@kernel
def best_label(network: Any, hidden: Any, wanted: Any, scratch: Any) -> Any:
    """(label, score float64): of the wanted label, or the best one where wanted is -1; of equals the last.

    hidden: float32 (dimension,), the mean row. scratch: from new_scratch. Label -1 where all labels score 0.
    """
    output, nodes, logs = scratch
    if network.loss == TREE:
        label, log = _walk(network, hidden, wanted, nodes, logs)
    else:
        _fill_logs(network, hidden, output)
        label = _last_highest(output) if wanted < 0 else wanted
        log = output[label]
    return label, np.float64(_exp(log)) if label >= 0 else 0.0


@kernel
def new_scratch(num_labels: Any) -> Any:
    """Room for best_label, to be used again for each text."""
    # A walk holds at most one waiting node for each level of the tree, and the two newest.
    return (
        np.empty(num_labels, np.float32),
        np.empty(num_labels + 1, np.int32),
        np.empty(num_labels + 1, np.float32),
    )


@kernel
def _log(score: Any) -> Any:
    return np.float32(np.log(np.float64(score) + _LOG_SHIFT))


@kernel
def _exp(value: Any) -> Any:
    return np.float32(np.exp(np.float64(value)))


@kernel
def _fill_logs(network: Any, hidden: Any, output: Any) -> None:
    """The logarithm of each label's score, for losses without a tree."""
    output[:] = np.float32(0)
    for place in range(len(hidden)):
        # All labels at once, so that several fit into one instruction; each label's sum has fastText's order.
        weights = network.weights[place]
        for label in range(len(output)):
            output[label] += weights[label] * hidden[place]
    output *= network.scales
    if network.loss == SOFTMAX:
        _softmax(output)
    else:
        for label in range(len(output)):
            output[label] = _sigmoid(output[label])
    for label in range(len(output)):
        output[label] = _log(output[label])


@kernel
def _softmax(output: Any) -> None:
    highest = output[0]
    for label in range(len(output)):
        highest = max(highest, output[label])
    total = np.float32(0)
    for label in range(len(output)):
        output[label] = _exp(output[label] - highest)
        total += output[label]
    for label in range(len(output)):
        output[label] /= total


@kernel
def _sigmoid(value: Any) -> Any:
    if value < -_SIGMOID_LIMIT:
        return np.float32(0)
    if value > _SIGMOID_LIMIT:
        return np.float32(1)
    if np.isnan(value):
        return value
    step = (value + np.float32(_SIGMOID_LIMIT)) * np.float32(_SIGMOID_STEPS / _SIGMOID_LIMIT / 2)
    return _SIGMOIDS[np.int64(step)]


@kernel
def _last_highest(output: Any) -> Any:
    best = 0
    for label in range(len(output)):
        if output[label] >= output[best]:
            best = label
    return best


@kernel
def _walk(network: Any, hidden: Any, wanted: Any, nodes: Any, logs: Any) -> Any:
    """(label, logarithm of its score), down the tree; subtrees that cannot hold the answer are not entered."""
    num_labels = len(network.scales)
    nodes[0], logs[0] = 2 * num_labels - 2, np.float32(0)
    num_waiting = 1
    best, best_log = np.int64(-1), _LOG_OF_ZERO
    while num_waiting:
        num_waiting -= 1
        node, log = np.int64(nodes[num_waiting]), logs[num_waiting]
        if log < best_log:
            continue
        if node < num_labels:
            if wanted < 0 or node == wanted:
                best, best_log = node, log
            continue
        left, right = _split(network, hidden, node - num_labels)
        # The left subtree is looked at first, so it lies on top.
        children = network.children[node - num_labels]
        nodes[num_waiting], logs[num_waiting] = children[1], log + right
        nodes[num_waiting + 1], logs[num_waiting + 1] = children[0], log + left
        num_waiting += 2
    return best, best_log


@kernel
def _split(network: Any, hidden: Any, node: Any) -> Any:
    """Logarithms of the shares of a node's left and right child."""
    value = np.float32(0)
    for place in range(len(hidden)):
        value += network.weights[place, node] * hidden[place]
    value *= network.scales[node]
    right = np.float32(1.0 / np.float64(np.float32(1) + _exp(-value)))
    return _log(np.float32(1.0 - np.float64(right))), _log(right)
