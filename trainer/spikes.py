"""Loss spikes: steps whose loss stands out of those before, and the documents that they come from.

A step is a spike if its loss is above the median of the last WINDOW steps by more than NUM_DEVIATIONS robust standard
deviations of these, and by more than MIN_RISE nats. The robust standard deviation is 1.4826 times the median distance
from the median, which a spike in the window does not move. There is none before MIN_STEPS steps.
"""

from collections.abc import Sequence

import numpy as np

WINDOW = 50
MIN_STEPS = 20
NUM_DEVIATIONS = 5.0
MIN_RISE = 0.1
DEVIATIONS = 1.4826  # of a normal distribution: standard deviation / median distance from the median


def usual_loss(losses: Sequence[float], loss: float) -> float | None:
    """The median that `loss` stands out of, if it is a spike after these losses of the steps before; else None.

    losses: nats per target, the last one is of the step just before; those before the last WINDOW do not count.
    """
    window = np.array(losses[-WINDOW:])
    if len(window) < MIN_STEPS:
        return None
    median = float(np.median(window))
    deviation = DEVIATIONS * float(np.median(np.abs(window - median)))
    return median if loss - median > max(NUM_DEVIATIONS * deviation, MIN_RISE) else None
