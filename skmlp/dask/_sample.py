"""Rows drawn from partitions as they are from all rows together.

All rows are fetched, if they take no more memory than a sample may. Of more, copies of a
row may be in several partitions. So each makes a table of its entries, the combinations of
features and target that it has, by fingerprints; tables are added up, and only then rows
are fetched, one for each entry. A table is as long as the sample: it keeps the entries with
the lowest places, which are at random, but the same in all partitions.
"""

from functools import partial

import dask
import numpy as np
import pandas as pd
from dask import delayed
from scipy import sparse

from skmlp._repeats import (
    Entries,
    cells_and_prints,
    judge_entries,
    of_groups,
)
from skmlp._rows import Rows
from skmlp.dask._tasks import tree

# Memory of rows that are fetched, all of them
_FETCHED_BYTES = 2**28
# Most values of y that quantiles are computed from
MOST_TARGETS = 2**16
# How the columns of entries with equal prints are added up
_TOGETHER = {
    "place": "first",
    "cell": "first",
    "token": "first",
    "part": "min",
    "n_rows": "sum",
    "weight": "sum",
    "sample_weight": "sum",
    "smallest": "min",
    "largest": "max",
}


def sample(parts, seed, n_most):
    """Some rows of partitions; see `Rows.sample`.

    Parameters
    ----------
    parts : Parts
    seed, n_most : int

    Returns
    -------
    rows : Rows
    """
    rows = parts.rows
    if parts.n_rows <= max(n_most, _FETCHED_BYTES // parts.row_bytes):
        return _stacked(dask.compute(*rows)).sample(seed, n_most)
    drawn, table = _draw_entries(rows, seed, n_most, by_group=False)
    repeats = _judge(drawn, table)
    if parts.has_groups:
        drawn, table = _draw_entries(rows, seed, n_most, by_group=True)
    are_all = table["n_rows"].sum() == parts.n_rows
    if repeats.are_observations and (repeats.weight_of_one is None or not are_all):
        drawn = _draw_rows(rows, parts.sizes, seed, n_most)
    return drawn.judged(repeats).sample(seed, n_most)


def sample_targets(parts):
    """Some values of y of all partitions, drawn at random, and their weights.

    Parameters
    ----------
    parts : list of Delayed
        Of (X, y, sample_weight, groups), or None.

    Returns
    -------
    sample : Delayed of (ndarray of shape (n,) or (n, K), ndarray of shape (n,)) or None
        Of all values that have a weight, if these are not more than `MOST_TARGETS`.
    """
    drawn = [delayed(_draw_targets)(part, number) for number, part in enumerate(parts)]
    return delayed(_without_places)(tree(drawn, _with_lowest_places))


def _draw_targets(part, number):
    """Values, weights and places of a partition: see `_with_lowest_places`."""
    if part is None:
        return None
    _, y, weights, _ = part
    weights = np.ones(len(y)) if weights is None else weights
    places = np.random.default_rng(number).random(len(y))
    has_weight = weights > 0
    return _with_lowest_places([(y[has_weight], weights[has_weight], places[has_weight])])


def _with_lowest_places(drawn):
    """Of several draws together, those whose places at random are the lowest."""
    drawn = [arrays for arrays in drawn if arrays is not None]
    if len({y.shape[1:] for y, *_ in drawn}) != 1:
        return None  # there are no rows, or the summaries say that columns differ
    arrays = [np.concatenate(pieces) for pieces in zip(*drawn, strict=True)]
    order = np.argsort(arrays[-1], kind="stable")[:MOST_TARGETS]
    return tuple(array[order] for array in arrays)


def _without_places(drawn):
    return None if drawn is None else drawn[:2]


def _judge(drawn, table):
    """What equal rows are, told from entries and a row of each."""
    smallest, largest = table["smallest"].min(), table["largest"].max()
    columns = (table[name].to_numpy() for name in ("cell", "token", "n_rows"))
    entries = Entries(np.arange(len(table)), *columns, drawn.sample_weight)
    return judge_entries(drawn.X, entries, smallest if smallest == largest else None)


def _draw_rows(rows, sizes, seed, n_most):
    """Rows drawn one by one, of each partition its share."""
    # a sample of each size has its place in all rows, so that no partition is left out
    ends = np.cumsum(sizes) * n_most // sum(sizes)
    shares = np.diff(ends, prepend=0).tolist()
    drawn = [
        delayed(_draw_from)(part, number, seed, share)
        for number, (part, share) in enumerate(zip(rows, shares, strict=True))
    ]
    return _stacked(dask.compute(*drawn))


def _draw_from(rows, number, seed, n_drawn):
    drawn = np.random.RandomState([seed, number]).permutation(rows.n_rows)[:n_drawn]
    return rows.where(np.sort(drawn))


def _draw_entries(rows, seed, n_most, by_group):
    """One row for each entry, with the weight of all rows like it, and the table of both.

    If there are more than `n_most` entries, some of them, drawn at random.
    """
    numbered = list(enumerate(rows))
    tables = [
        delayed(_entries_of)(part, number, seed, n_most, by_group)
        for number, part in numbered
    ]
    (table,) = dask.persist(tree(tables, partial(_add_up, n_most)))
    owners = table[["print", "part"]]  # which partition is to give the row of each entry
    pieces = [delayed(_fetch)(part, number, owners, by_group) for number, part in numbered]
    table, *pieces = dask.compute(table, *pieces)
    table = table.sort_values("part", kind="stable")
    drawn = _stacked(pieces)
    weights = table["weight"].to_numpy(), table["sample_weight"].to_numpy()
    return Rows(drawn.X, drawn.targets, *weights, drawn.groups), table


def _entries_of(rows, number, seed, n_most, by_group):
    """The table of the entries of a partition."""
    cells, prints = _prints(rows, by_group)
    ones = np.ones(rows.n_rows)
    weight = ones if rows.weights is None else rows.weights
    given = ones if rows.sample_weight is None else rows.sample_weight
    columns = {
        "print": prints,
        "place": _places(cells, seed),
        "cell": cells,
        "token": rows.target_prints,
        "part": number,
        "n_rows": 1,
        "weight": weight,
        "sample_weight": given,
        "smallest": given,
        "largest": given,
    }
    return _add_up(n_most, [pd.DataFrame(columns)])


def _add_up(n_most, tables):
    """One table, of the entries with the lowest places: entries of a cell are together."""
    table = pd.concat(tables).groupby("print", as_index=False).agg(_TOGETHER)
    return table.sort_values(["place", "print"]).head(n_most)


def _fetch(rows, number, owners, by_group):
    """The rows of the entries that a partition is to give."""
    wanted = owners["print"][owners["part"] == number].to_numpy()
    prints = _prints(rows, by_group)[1]
    order = np.argsort(prints, kind="stable")
    return rows.where(order[np.searchsorted(prints[order], wanted)])


def _prints(rows, by_group):
    """Fingerprints of the cells and entries of rows, which are the same in all parts."""
    prints = cells_and_prints(rows.X, rows.target_prints)
    return of_groups(*prints, rows.groups) if by_group else prints


def _places(cells, seed):
    """Where cells are in an order that is at random.

    References
    ----------
    G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators",
    OOPSLA 2014: the last steps of SplitMix64.
    """
    places = cells + np.random.RandomState(seed).randint(2**63, dtype=np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        places ^= places >> np.uint64(shift)
        places *= np.uint64(factor)
    return places ^ (places >> np.uint64(31))


def _stacked(parts):
    """Rows of several partitions as one."""
    names = ("X", "targets", "weights", "sample_weight", "groups")
    return Rows(*(_stack([getattr(rows, name) for rows in parts]) for name in names))


def _stack(pieces):
    if pieces[0] is None:
        return None
    if any(map(sparse.issparse, pieces)):
        return sparse.vstack(list(map(sparse.csr_matrix, pieces)), format="csr")
    return np.concatenate(pieces)
