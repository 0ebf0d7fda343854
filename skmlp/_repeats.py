"""Rows that are equal: which they are, and whether chance or a copyist made them so."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from skmlp._encoded import Encoded
from skmlp._memory_map import pieces

# Contradictions from which on labels are no property of a row that was copied: as a share
# of the repeated cells that would have several labels, if these did not go by features
_CONFLICTS = 0.1
# Cells seen so often in the mean, with so small a share of the observations alone in
# theirs, are all there are
_OFTEN, _SINGLES = 10, 0.05
# Share of the repeated cells that half of the columns have to tell from all others
_IDENTIFIED = 0.9
# Columns up to which it is asked whether the cells are a complete grid
_MOST_COLUMNS = 64
# Ways to part the columns in two halves
_N_HALVINGS = 3
# Observations for each row of data up to which weights are frequencies wherever they stand
_FREQUENCY = 64
# The smallest of the weights, in units of their divisor, at the most; and how large a rest
# is none, relative to the smallest weight and to each
_LARGEST_COUNT, _TOLERANCES = 1e6, (1e-8, 1e-12)
# Cells of a truth table, if they are fewer
_TRUTH_TABLE = 30
# Rows, and numbers, that are scrambled at a time: copies of them stay small
_PIECE_ROWS, _PIECE_NUMBERS = 1024, 2**20


class Repeats(NamedTuple):
    """What it means that rows are equal.

    Attributes
    ----------
    are_observations : bool
        Whether equal rows are observations of their own, which chance made equal; else
        they are copies of one.
    weight_of_one : float or None
        Weight of one observation. None if each row is one, whatever its weight.
    is_truth_table : bool
        Whether the rows are so few, and without contradictions, that they were not drawn
        to learn from others: then distinct rows count, although equal ones are not copies.
    """

    are_observations: bool
    weight_of_one: float | None = None
    is_truth_table: bool = False


class Identity(NamedTuple):
    """Which rows are equal.

    Attributes
    ----------
    cells : ndarray of shape (n,) of uint64
        Equal for rows with equal features (of one group, where there are groups).
    prints : ndarray of shape (n,) of uint64
        Equal for rows with equal targets, too.
    repeats : Repeats
    """

    cells: np.ndarray
    prints: np.ndarray
    repeats: Repeats

    def where(self, mask):
        """Of some of the rows; what their repeats mean is known from all of them."""
        return Identity(self.cells[mask], self.prints[mask], self.repeats)


class Entries(NamedTuple):
    """Each combination of features and a target that there is, once.

    Attributes
    ----------
    rows : ndarray of shape (E,) of int
        A row that is like it.
    cells : ndarray of shape (E,) of uint64
    tokens : ndarray of shape (E,) of int
    n_rows, weight : ndarray of shape (E,)
        Number and total weight of all rows like it.
    """

    rows: np.ndarray
    cells: np.ndarray
    tokens: np.ndarray
    n_rows: np.ndarray
    weight: np.ndarray


def identify(X, tokens, sample_weight, groups, repeats=None):
    """The `Identity` of rows.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
    tokens : ndarray of shape (n,) of int
        Equal for equal targets.
    sample_weight : ndarray of shape (n,) or None
    groups : ndarray of shape (n,) of uint64, or None
    repeats : Repeats, optional
        What it means that rows are equal, if that is known from more rows.

    Returns
    -------
    identity : Identity
    """
    cells, prints = cells_and_prints(X, tokens)
    if repeats is None:
        repeats = judge(X, tokens, cells, prints, sample_weight)
    if groups is not None:
        cells, prints = of_groups(cells, prints, groups)
    return Identity(cells, prints, repeats)


def cells_and_prints(X, tokens):
    """Fingerprints of the features, and of features and targets."""
    cells = fingerprints(X)
    return cells, cells + scramble(tokens + 1.0)


def of_groups(cells, prints, groups):
    """Fingerprints that tell rows of different groups apart."""
    mixed = scramble(groups.astype(np.float64) + 0.5)
    return cells + mixed, prints + mixed


def judge(X, tokens, cells, prints, sample_weight):
    """Tell from rows whether equal ones are observations or copies; see `judge_entries`.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
    tokens : ndarray of shape (n,) of int
        Equal for equal targets.
    cells, prints : ndarray of shape (n,) of uint64
        See `Identity`.
    sample_weight : ndarray of shape (n,) or None

    Returns
    -------
    repeats : Repeats
    """
    if sample_weight is None and len(values_of(cells)) == len(cells):
        return Repeats(False)
    weight = np.ones(len(cells)) if sample_weight is None else sample_weight
    first, entry, entry_weight = distinct(prints, weight)
    entries = Entries(first, cells[first], tokens[first], np.bincount(entry), entry_weight)
    return judge_entries(X, entries, weight[0] if np.ptp(weight) == 0 else None)


def judge_entries(X, entries, row_weight):
    """Tell from the data whether equal rows are observations or copies.

    A cell is what rows with equal features are in. Equal rows are observations in either
    of two cases, and else copies of one.

    First: copies carry their label. So if many of the repeated cells have several labels, a
    tenth of as many as labels that do not depend on the features would give, chance made
    the rows equal.

    Second: labels do not contradict one another, and all cells are known. An
    observation is in a new cell with a probability that is about the share of the
    observations that are alone in their cell [1]_. If this is at most a twentieth, and
    cells are seen ten times in the mean, new rows come from the same cells. But not if
    each of two halves of the columns tells the cells apart: one half then says nothing
    new, so chance can't have made whole rows equal. Nor if all cells are seen equally
    often, which chance never does, unless they are a complete grid: a design.

    An observation is the greatest common divisor of the weights of equal rows, as far as
    these are frequencies: so its unit does not matter, a table with frequencies is as good
    as its persons, and rows that are all repeated ten times count as each once. (If all
    cells of a grid are seen equally often, each row is an observation. Weights that are all
    equal tell nothing, as their unit does not matter.) Weights without such a divisor come
    from a survey: then each row is one observation, too.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
        Rows, among them one like each entry.
    entries : Entries
    row_weight : float or None
        Weight of each row, if it is the same for all.

    Returns
    -------
    repeats : Repeats

    References
    ----------
    .. [1] I. J. Good, "The population frequencies of species and the estimation of
       population parameters", Biometrika 40 (1953).
    """
    _, of_cells, cell = np.unique(entries.cells, return_index=True, return_inverse=True)
    first = entries.rows[of_cells]
    weight_of_one = _weight_of_one(entries.n_rows.sum(), entries.weight, len(first))
    is_even = row_weight is not None and np.ptp(entries.n_rows) == 0
    if is_even:
        weight_of_one = row_weight
    counts = entries.n_rows if weight_of_one is None else entries.weight / weight_of_one
    if _have_conflicts(cell, entries.tokens, counts):
        return Repeats(True, weight_of_one)
    counts = np.bincount(cell, counts)
    if not _are_all_known(counts) or _are_redundant(X, first):
        return Repeats(False)
    if is_even and not _are_a_grid(X, first):
        return Repeats(False)
    return Repeats(True, weight_of_one, len(first) < _TRUTH_TABLE)


def _have_conflicts(cell, k, counts):
    """Whether several labels of a cell are no exception.

    Parameters
    ----------
    cell, k : ndarray of shape (E,) of int
        Of each combination of a cell and a label that there is.
    counts : ndarray of shape (E,)
        How often it is observed.
    """
    _, k = np.unique(k, return_inverse=True)
    shares = np.bincount(k, counts) / counts.sum()
    sizes = np.bincount(cell, counts)
    repeated = sizes > 1.5
    sizes, n_cells = np.unique(np.rint(sizes[repeated]), return_counts=True)
    n_expected = n_cells @ [1 - (shares**size).sum() for size in sizes]
    n_conflicts = (np.bincount(cell) > 1)[repeated].sum()
    return n_conflicts > 0 and n_conflicts >= _CONFLICTS * n_expected


def _are_all_known(counts):
    """Whether new observations will be in cells that were seen, by their numbers so far."""
    n_alone = counts[counts < 1.5].sum()
    return counts.mean() >= _OFTEN and n_alone <= _SINGLES * counts.sum()


def _weight_of_one(n_rows, entry_weight, n_cells):
    """Weight of one observation, None if weights are no frequencies.

    They are in a table that has each combination of features and label once, and several
    labels of most cells; without a divisor, its smallest weight is one. Else they are as
    long as they do not make too many of a row.
    """
    divisor = common_divisor(entry_weight)
    n_entries = len(entry_weight)
    if n_entries >= 0.9 * n_rows and n_cells <= 0.75 * n_entries:
        return entry_weight.min() if divisor is None else divisor
    if divisor is None or entry_weight.sum() >= _FREQUENCY * divisor * n_rows:
        return None
    return divisor


def common_divisor(weights):
    """Greatest common divisor of numbers that are not 0, about; None if they have none.

    >>> common_divisor(np.array([0.6, 1.5, 0.9]))
    0.3
    >>> common_divisor(np.array([1.0, np.sqrt(2)]))
    """
    values = values_of(weights[weights > 0])
    smallest = divisor = values[0]
    rests = abs(values - smallest * np.rint(values / smallest))
    if (rests <= _TOLERANCES[0] * smallest + _TOLERANCES[1] * values).all():
        return float(smallest)
    for value in values[1:]:
        tolerance = np.dot(_TOLERANCES, (smallest, value))
        rest = abs(value - divisor * np.rint(value / divisor))
        while rest > tolerance:
            divisor, rest = rest, abs(divisor - rest * np.rint(divisor / rest))
        if divisor * _LARGEST_COUNT < smallest:
            return None
    return float(smallest / np.rint(smallest / divisor))


def _are_redundant(X, first):
    """Whether each of two halves of the columns tells the cells from one another."""
    n_features = X.shape[1]
    if n_features == 1:
        return False
    factors = _factors(n_features)
    random_state = np.random.default_rng(1)
    halves = np.zeros((n_features, _N_HALVINGS), np.uint64)
    for i in range(_N_HALVINGS):
        half = random_state.permutation(n_features)[: n_features // 2]
        halves[half, i] = factors[half]
    pairs = zip(*_prints_of_columns(X, halves, first), strict=True)
    return any(min(map(_share_alone, pair)) >= _IDENTIFIED for pair in pairs)


def _are_a_grid(X, first):
    """Whether the cells are all combinations of some leading columns and the others."""
    n_features = X.shape[1]
    if not 1 < n_features <= _MOST_COLUMNS:
        return False
    leading = np.triu(np.tile(_factors(n_features)[:, np.newaxis], n_features - 1))
    for pair in zip(*_prints_of_columns(X, leading, first), strict=True):
        n_left, n_right = (len(values_of(prints)) for prints in pair)
        if min(n_left, n_right) > 1 and n_left * n_right == len(first):
            return True
    return False


def _prints_of_columns(X, factors, rows):
    """Fingerprints of some columns of some rows, and of the other columns.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
    factors : ndarray of shape (d, m) of uint64
        For each way to choose columns, their factors.
    rows : ndarray of int

    Returns
    -------
    chosen, others : ndarray of shape (m, len(rows)) of uint64
    """
    factors = np.column_stack([factors, _factors(X.shape[1])])
    *chosen, whole = _products(X, factors, rows).T
    return chosen, whole - np.array(chosen)


def _share_alone(prints):
    """Share of the cells whose print no other cell has."""
    return (np.unique(prints, return_counts=True)[1] == 1).sum() / len(prints)


def values_of(array):
    """The distinct values, sorted; in less time than `np.unique` takes to hash them."""
    values = np.sort(array)
    is_new = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=is_new[1:])
    return values[is_new]


def distinct(prints, weight):
    """Index of the first copy of each distinct row, number of each row, total weights."""
    _, first, group = np.unique(prints, return_index=True, return_inverse=True)
    return first, group, np.bincount(group, weight)


def fingerprints(X):
    """A hash of each row: equal rows, dense or sparse, have equal ones."""
    return _products(X, _factors(X.shape[1]))


def _factors(n_features):
    return np.random.default_rng(0).integers(2**64, size=n_features, dtype=np.uint64)


def _products(X, factors, rows=None):
    """Scrambled rows, or some of them, times factors."""
    if isinstance(X, np.ndarray | Encoded):
        n_rows = max(min(_PIECE_ROWS, _PIECE_NUMBERS // X.shape[1]), 1)
        n_in_all = X.shape[0] if rows is None else len(rows)
        return np.concatenate(
            [
                scramble(X[piece if rows is None else rows[piece]]) @ factors
                for piece in pieces(X, n_rows, n_in_all)
            ]
        )
    scrambled = (scramble(X.data), X.indices, X.indptr)
    products = sparse.csr_array(scrambled, shape=X.shape) @ factors
    return products if rows is None else products[rows]


def scramble(values):
    """Well-mixed 64 bits of each value, and 0 for zero, whatever its sign."""
    bits = np.add(values, 0.0, dtype=np.float64).view(np.uint64)
    bits ^= bits >> np.uint64(32)
    bits *= np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio
    bits ^= bits >> np.uint64(29)
    return bits
