"""How much a stream has seen, where a second pass over the same rows adds nothing."""

from typing import NamedTuple

# Rows that do not come again, in the same order, by chance
_FEWEST_ROWS = 30


class Passes(NamedTuple):
    """The weight of the rows of the last fit, and of a stream that goes on from it.

    Attributes
    ----------
    of_fit : float
        0 without a fit.
    first : tuple of int
        Fingerprints of the stream's first calls, which have `_FEWEST_ROWS` rows at least:
        where they come again, another pass over the same rows has begun. Fewer rows, of
        categories for instance, come again by chance.
    n_first : int
        Rows of these calls.
    latest : tuple of (int, float)
        Fingerprints and weights of as many calls, the latest ones.
    current, longest : float
        Weight of the rows of this pass so far, and of the longest pass.
    """

    of_fit: float = 0.0
    first: tuple = ()
    n_first: int = 0
    latest: tuple = ()
    current: float = 0.0
    longest: float = 0.0


def with_call(passes, fingerprint, weight, n_rows):
    """Add a call of the stream to what was seen.

    Parameters
    ----------
    passes : tuple or None
        A tuple as of `Passes`; None before the first call.
    fingerprint : int
        Of the rows of the call.
    weight : float
    n_rows : int

    Returns
    -------
    passes : tuple
    """
    of_fit, first, n_first, latest, current, longest = passes or Passes()
    current += weight
    if n_first < _FEWEST_ROWS:
        first, n_first = (*first, fingerprint), n_first + n_rows
    else:
        latest = (*latest, (fingerprint, weight))[-len(first) :]
        if tuple(known for known, _ in latest) == first:
            current, latest = sum(weight for _, weight in latest), ()
    return of_fit, first, n_first, latest, current, max(longest, current)


def weight_seen(passes):
    """The weight of the fit and of the longest pass since."""
    passes = Passes(*passes)
    return passes.of_fit + passes.longest
