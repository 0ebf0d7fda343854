"""How much a stream has seen, where a second pass over the same rows adds nothing."""

from typing import NamedTuple


class Passes(NamedTuple):
    """The weight of the rows of the last fit, and of a stream that goes on from it.

    Attributes
    ----------
    of_fit : float
        0 without a fit.
    first : int or None
        Fingerprint of the rows of the stream's first call: where they come again, another
        pass over the same rows begins.
    current, longest : float
        Weight of the rows of this pass so far, and of the longest pass.
    """

    of_fit: float = 0.0
    first: int | None = None
    current: float = 0.0
    longest: float = 0.0


def with_call(passes, fingerprint, weight):
    """With another call of the stream.

    Parameters
    ----------
    passes : tuple or None
        A tuple as of `Passes`; None before the first call.
    fingerprint : int
        Of the rows of the call.
    weight : float

    Returns
    -------
    passes : tuple
    """
    of_fit, first, current, longest = passes or Passes()
    if first is None or first == fingerprint:
        first, current = fingerprint, 0.0
    current += weight
    return of_fit, first, current, max(longest, current)


def weight_seen(passes):
    """The weight of the fit and of the longest pass since."""
    passes = Passes(*passes)
    return passes.of_fit + passes.longest
