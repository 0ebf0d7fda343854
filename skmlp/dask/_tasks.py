"""Tasks over partitions: what they are sent, and how what they return is added up."""

import dask
from dask import delayed
from dask.sizeof import sizeof

# A graph of 10 MB is too large for a scheduler, and may have several values in it
_LARGE = 2**20
# Partial sums that one task adds up: a tree, so that no machine receives them all
_SUMMANDS = 8


def sent(value, arrays):
    """A value as an argument of tasks; a large one as the `Future` that has it.

    It is then on every worker of the cluster, so that the loss of one does not matter, and
    not in the graph of the tasks. Without a cluster nothing is sent.

    Parameters
    ----------
    value : object
    arrays : iterable
        What there is in it that may be large.
    """
    # the way to the client in use that does not import `distributed` where there is none
    client = getattr(dask.base.get_scheduler(), "__self__", None)
    if not hasattr(client, "scatter") or sum(map(sizeof, arrays)) < _LARGE:
        return value
    return client.scatter([value], broadcast=True, hash=False)[0]


def tree(values, add):
    """One delayed value, from tasks that each add up a few."""
    while len(values) > 1:
        values = [
            delayed(add)(values[start : start + _SUMMANDS])
            for start in range(0, len(values), _SUMMANDS)
        ]
    return values[0]
