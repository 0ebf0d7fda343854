"""How much a stream has seen, where a second pass over the same rows adds nothing."""

from itertools import accumulate, cycle, islice
from typing import NamedTuple

# Rows that do not come again, in the same order, by chance
_FEWEST_ROWS = 30


class Passes(NamedTuple):
    """The weight of the rows of the last fit, and of a stream that goes on from it.

    Attributes
    ----------
    of_fit : float
        0 without a fit.
    first : tuple of (int, int, float)
        Fingerprints, numbers of rows and weights of the stream's first calls, until these
        have `_FEWEST_ROWS` rows: where they come again, another pass over the same rows
        has begun.
    n_held : int
        The latest calls that are as the first ones were: perhaps another pass.
    held : float
        Their weight, which counts as soon as a call shows that this is no other pass, as
        rows of categories come again by chance.
    current, longest : float
        Weight of the rows of this pass so far, and of the longest pass.
    """

    of_fit: float = 0.0
    first: tuple = ()
    n_held: int = 0
    held: float = 0.0
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
    of_fit, first, n_held, held, current, longest = passes or Passes()
    is_complete = _n_rows(first) >= _FEWEST_ROWS
    if first and first[n_held % len(first)][0] == fingerprint:
        n_held, held = n_held + 1, held + weight
        if is_complete and n_held == len(first):
            n_held, held, current = 0, 0.0, held
    else:
        if not is_complete:
            again = islice(cycle(first), n_held)
            first = _leading([*first, *again, (fingerprint, n_rows, weight)])
        current += held
        begins_again = is_complete and first[0][0] == fingerprint
        n_held, held = (1, weight) if begins_again else (0, 0.0)
        current += weight - held
    return of_fit, first, n_held, held, current, max(longest, current)


def _leading(calls):
    """The first calls, up to the one with which they have enough rows."""
    ends = accumulate(n_rows for _, n_rows, _ in calls)
    n_calls = 1 + sum(end < _FEWEST_ROWS for end in ends)
    return tuple(calls[:n_calls])


def _n_rows(calls):
    return sum(n_rows for _, n_rows, _ in calls)


def weight_seen(passes):
    """The weight of the fit and of the longest pass since."""
    passes = Passes(*passes)
    return passes.of_fit + passes.longest
