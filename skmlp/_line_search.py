"""The search along a direction for a step that meets the strong Wolfe conditions."""

import math
from typing import NamedTuple

# Shares of the first slope: the least mean slope of a step, and what may be left at its end
_DECREASE, _FLAT = 1e-3, 0.9
_MOST_TRIALS = 20
# A longer step is so many times as long; a shorter one keeps off both ends of the interval
_LONGER, _OFF_ENDS = (1.1, 4.0), 0.1
# An interval that is as short, for its steps, has nothing more to offer
_NARROW = 0.1


class Trial(NamedTuple):
    """What is known at a step: the loss, and its derivative with respect to the step."""

    step: float
    loss: float
    slope: float


def search(at, start):
    """Find a step that lowers the loss enough and leaves little of the slope.

    A step is too long where the loss is higher than it should be. Between it, or one where
    the loss rises, and the best step so far is one that meets the conditions. The next
    trial is the minimum of the cubic through the values and slopes of two trials.

    Parameters
    ----------
    at : callable
        ``at(step)`` returns a `Trial`, whose loss may be infinite, and the point there.
    start : Trial
        At step 0, with a slope below 0.

    Returns
    -------
    trial : Trial
        The last one.
    point : object or None
        The point there. None if no step was found that lowers the loss.

    References
    ----------
    J. Nocedal, S. J. Wright, "Numerical Optimization", 2nd edition, 2006, algorithms 3.5
    and 3.6; J. J. More, D. J. Thuente, "Line search algorithms with guaranteed sufficient
    decrease", ACM TOMS 20 (1994).
    """
    before, low, high, step = start, start, None, 1.0
    for _ in range(_MOST_TRIALS):
        point = None  # before the next takes memory
        trial, point = at(step)
        if not trial.loss <= min(low.loss, start.loss + _DECREASE * step * start.slope):
            high = trial
        elif abs(trial.slope) <= -_FLAT * start.slope:
            return trial, point
        else:
            before, low, high = low, trial, _other_end(low, trial, high)
        if high is not None and low is not start and _is_narrow(low, high):
            break
        step = _longer(before, low) if high is None else _between(low, high)
    if low is start:
        return trial, None
    return (trial, point) if low is trial else at(low.step)


def _other_end(low, trial, high):
    """The other end of the interval, once `trial` is the best step: where it falls to."""
    ahead = math.inf if high is None else high.step - low.step
    return low if trial.slope * ahead >= 0 else high


def _is_narrow(low, high):
    return abs(high.step - low.step) <= _NARROW * max(low.step, high.step)


def _longer(before, low):
    times = _cubic_minimum(before, low)
    least, most = _LONGER
    share = min(max(times - 1, least), most) if math.isfinite(times) and times > 1 else most
    return low.step + share * (low.step - before.step)


def _between(low, high):
    share = _cubic_minimum(low, high)
    share = min(max(share, _OFF_ENDS), 1 - _OFF_ENDS) if share > 0 else _OFF_ENDS
    return low.step + share * (high.step - low.step)


def _cubic_minimum(a, b):
    """Where the cubic through two trials is least: 0 is the first, 1 the second one.

    NaN without a minimum: (3.59) of Nocedal and Wright.
    """
    width = b.step - a.step
    from_a, to_b = a.slope * width, b.slope * width
    d1 = from_a + to_b - 3 * (b.loss - a.loss)
    square = d1 * d1 - from_a * to_b
    if not square >= 0:
        return math.nan
    d2 = math.sqrt(square)
    rest = to_b - from_a + 2 * d2
    return 1 - (to_b + d2 - d1) / rest if rest else math.nan
