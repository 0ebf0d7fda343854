"""Rows of data in memory, or in a large memory map, with their targets and weights."""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.special import entr

from skmlp._coordinates import feature_moments
from skmlp._holdout import (
    hold_out,
    lots_of_copies,
    lots_of_groups,
    lots_of_observations,
)
from skmlp._memory_map import memory_map, take_rows
from skmlp._objective import Objective, row_blocks
from skmlp._parallel import serial
from skmlp._repeats import (
    Identity,
    cells_and_prints,
    distinct,
    identify,
    values_of,
)
from skmlp._targets import kind_of

# Values of a column that are few, and columns of a table of all combinations, at the most
_FEW_VALUES, _MOST_COLUMNS = 4, 20


@dataclass(eq=False)
class Rows:
    """Validated rows, which can be asked for all that a training needs of data.

    Parameters
    ----------
    X : {ndarray, CSR, Encoded} of shape (n, d)
    targets : ndarray of shape (n,) of int, or of shape (n, K) of bool or float
        Class indices, the indicators of several labels, or standardised values.
    weights : ndarray of shape (n,) or None
        Sample weight times class weight: what the loss is weighted by.
    sample_weight : ndarray of shape (n,) or None
        Without the class weights: for scores other than the loss.
    groups : ndarray of shape (n,) of uint64, or None
        Numbers of the persons, sites and so on that the rows are of.
    known_identity : Identity, optional
        Of the rows as they were given, if X is something else by now, or all rows, if these
        are some of them. What is drawn depends on it, so it must not depend on the
        rounding of X; and what it means that rows are equal is not seen in a few of them.
    n_given : int, optional
        Rows that were given, if fewer are left since equal ones were added up.

    Attributes
    ----------
    n_rows, n_features : int
    dtype : {float32, float64}
    total_weight : float
        Sum of the weights.
    can_be_split : bool
        Whether rows can be held out.
    """

    X: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None
    sample_weight: np.ndarray | None = None
    groups: np.ndarray | None = None
    known_identity: Identity | None = None
    n_given: int | None = None

    can_be_split = True

    def __post_init__(self):
        (self.n_rows, self.n_features), self.dtype = self.X.shape, self.X.dtype
        self.n_given = self.n_given or self.n_rows
        with np.errstate(over="ignore"):
            total = self.n_rows if self.weights is None else self.weights.sum()
        self.total_weight = float(total)

    @property
    def strata(self):
        """Groups that each part of the rows is to have rows of, as numbers."""
        return kind_of(self.targets).strata(self.targets)

    @property
    def tokens(self):
        """A number for each row, equal for equal targets: copies of a row share it."""
        return kind_of(self.targets).tokens(self.targets)

    @property
    def target_prints(self):
        """A number for the target of each row, which does not depend on the other rows."""
        return kind_of(self.targets).prints(self.targets)

    @property
    def identity(self):
        """Which rows are equal, and what that means; see `Identity`."""
        if self.known_identity is None:
            self.known_identity = self._identified()
        return self.known_identity

    @property
    def prints(self):
        """Fingerprints of the rows, targets included."""
        return self.identity.prints

    def fingerprint(self):
        """A number that is the same for the same rows, targets included, in any order."""
        _, prints = cells_and_prints(self.X, self.target_prints)
        return int(prints @ prints)  # a sum would not tell which target is whose

    @property
    def row_bytes(self):
        """Memory that a row takes, in the mean."""
        X = self.X.data if sparse.issparse(self.X) else self.X
        return max(X.nbytes // self.n_rows, 1)

    def n_distinct(self):
        """Number of distinct rows, targets included."""
        return len(values_of(self.prints))

    def n_observations(self):
        """Number of observations: of distinct rows, if equal rows tell nothing new."""
        repeats = self.identity.repeats
        if not repeats.are_observations or repeats.is_truth_table:
            return self.n_distinct()
        if repeats.weight_of_one is None:
            return self.n_rows
        return max(round(self._given_weight().sum() / repeats.weight_of_one), 1)

    def n_independent(self):
        """Number of observations; of groups, whose rows are alike, their number."""
        return self.n_observations() if self.groups is None else len(values_of(self.groups))

    def observation_weight(self):
        """Mean weight of an observation; copies of a row are one."""
        return self.total_weight / self.n_observations()

    def squared_shares(self, total_weight=None):
        """Sum of the squares of the observations' shares in the weight.

        Parameters
        ----------
        total_weight : float, optional
            If the rows are a part of the data only: the weight of all.
        """
        repeats, given = self.identity.repeats, self._given_weight()
        weights = given if self.weights is None else self.weights
        counts = 1.0
        if not repeats.are_observations:
            weights = distinct(self.prints, weights)[2]
        elif repeats.weight_of_one is not None:
            counts = np.maximum(given / repeats.weight_of_one, 1.0)
        shares = weights / (total_weight or self.total_weight)
        return float((shares**2 / counts).sum())

    def features_tell(self, share):
        """Whether rows with equal features differ less in their targets than others.

        Parameters
        ----------
        share : float
            Of the entropy of the targets: what knowing the features has to take away.
        """
        weight = np.ones(self.n_rows) if self.weights is None else self.weights
        whole = _entropy(np.unique(self.tokens, return_inverse=True)[1], weight)
        cells, prints = self.identity[:2]
        pairs, cells = (np.unique(rows, return_inverse=True)[1] for rows in (prints, cells))
        return _entropy(pairs, weight) - _entropy(cells, weight) < (1 - share) * whole

    def is_complete(self):
        """Whether the rows are all combinations of the few values of their columns.

        No two of them may contradict one another: then they are a truth table.
        """
        if sparse.issparse(self.X) or self.n_features > _MOST_COLUMNS:
            return False
        n_values = [len(values_of(column)) for column in self.X.T]
        n_cells = len(values_of(self.identity.cells))
        is_whole = max(n_values) <= _FEW_VALUES and math.prod(n_values) == n_cells
        return is_whole and self.n_distinct() == n_cells

    def lots(self):
        """The `Lots` that rows are held out in."""
        identity, weight = self.identity, self._given_weight()
        if self.groups is not None:
            check_groups(self.groups)
            return lots_of_groups(self.groups, self.strata, weight)
        if not identity.repeats.are_observations:
            return lots_of_copies(*identity[:2], self.strata, weight)
        weight_of_one = identity.repeats.weight_of_one
        return lots_of_observations(identity.prints, self.strata, weight, weight_of_one)

    def where(self, mask):
        """The rows for which a mask is true, or of some indices."""
        arrays = (self.targets, self.weights, self.sample_weight, self.groups)
        others = (None if array is None else array[mask] for array in arrays)
        known = self.known_identity
        identity = None if known is None else known.where(mask)
        return Rows(take_rows(self.X, mask), *others, identity)

    def part(self, shares):
        """The rows with a share of their weights each; those without any are left out."""
        is_part = shares > 0
        rows, shares = self.where(is_part), shares[is_part]
        if (shares == 1).all():
            return rows
        weights, sample_weight = (
            shares if weights is None else shares * weights
            for weights in (rows.weights, rows.sample_weight)
        )
        return replace(rows, weights=weights, sample_weight=sample_weight)

    def replaced(self, X):
        """The same rows with other features, in the precision of these."""
        X = X.astype(self.dtype, copy=False)
        return replace(self, X=X, known_identity=self.identity)

    def astype(self, dtype):
        """The same rows in another precision."""
        return replace(self, X=self.X.astype(dtype, copy=False))

    def judged(self, repeats):
        """The same rows; what it means that some are equal is known from more of them."""
        return replace(self, known_identity=self._identified(repeats))

    def _identified(self, repeats=None):
        return identify(self.X, self.tokens, self.sample_weight, self.groups, repeats)

    def _given_weight(self):
        """Weight of each row, without class weights."""
        return np.ones(self.n_rows) if self.sample_weight is None else self.sample_weight

    def in_basis(self, make, *arguments):
        """The rows by coordinates in a basis, if one is made.

        Parameters
        ----------
        make : callable
            ``make(rows, *arguments)`` returns a basis, or None, and the coordinates.

        Returns
        -------
        rows : Rows
        basis : DenseBasis, SparseBasis or None
            None for rows of a large memory map, too, which are not to be copied.
        """
        if memory_map(self.X) is not None:
            return self, None
        basis, coordinates = make(self, *arguments)
        return (self, None) if basis is None else (self.replaced(coordinates), basis)

    def with_weight(self):
        """The rows whose weight is not 0."""
        return self if self.weights is None else self.where(self.weights > 0)

    def target_totals(self, loss, n_outputs):
        """Weighted sums of the statistics that a loss asks for; see `Loss.totals`."""
        return loss.totals(self.targets, self.weights, n_outputs)

    def n_blocks(self, network):
        """Blocks of rows that a network is evaluated over."""
        return len(row_blocks(self.X, network))

    def moments(self, map_rows=serial):
        """Moments of the features; see `feature_moments`."""
        return feature_moments(self.X, self.weights, map_rows)

    def sample(self, seed, n_most):
        """All rows that have a weight, or some drawn at random if there are too many.

        Copies of a row are drawn together, as one with the weight of all of them. Of equal
        rows that are observations each is drawn on its own, and those that are drawn are
        added up; if that makes few rows, all are drawn. So a weight is as good as copies.
        (Of a large memory map, which keeps its rows without weight, rows are drawn as they
        are if it has any.) A smaller sample is a part of a larger one.

        Parameters
        ----------
        seed, n_most : int

        Returns
        -------
        rows : Rows
        """
        random_state = np.random.RandomState(seed)
        if self.weights is None or self.weights.all():
            return self._sample(random_state, n_most)
        if self.n_rows <= n_most:
            return self.with_weight()
        drawn = random_state.permutation(self.n_rows)[:n_most]
        return self.where(np.sort(drawn)).with_weight()

    def _sample(self, random_state, n_most):
        """See `sample`."""
        are_observations, weight_of_one, _ = self.identity.repeats
        if self.n_rows <= n_most and not (are_observations and weight_of_one):
            return self
        weight = self._given_weight()
        if are_observations and weight_of_one is None:
            order = np.lexsort((weight, self.prints))
            return self.where(order[random_state.permutation(self.n_rows)[:n_most]])
        first, entry, _ = distinct(self.prints, weight)
        if not are_observations:
            drawn = random_state.permutation(len(first))[:n_most]
            return self._added_up(first, entry, drawn, 1.0)
        if len(first) > n_most:
            lots = lots_of_observations(self.prints, self.strata, weight, weight_of_one)
            entries = lots.entries[random_state.permutation(lots.count.sum())[:n_most]]
            drawn, counts = np.unique(entries, return_counts=True)
            return self._added_up(first, entry, drawn, counts / lots.count[drawn])
        if len(first) == self.n_rows:
            return self
        return self._added_up(first, entry, np.arange(len(first)), 1.0)

    def added_up(self):
        """Equal rows that are observations as one row each, with the sum of their weights.

        The objective is the same, and so is its rounding, for a table with frequencies and
        for its persons, in whatever order they are.
        """
        repeats = None if memory_map(self.X) is not None else self.identity.repeats
        if repeats is None or not repeats.are_observations or repeats.weight_of_one is None:
            return self
        first, entry, _ = distinct(self.prints, self._given_weight())
        rows = self._added_up(first, entry, np.arange(len(first)), 1.0)
        return replace(rows, n_given=self.n_rows)

    def _added_up(self, first, entry, drawn, shares):
        """Some entries as a row each, with a share of the weight of all rows like it."""
        weights, sample_weight = (
            np.bincount(entry, weights)[drawn] * shares
            for weights in (self.weights, self.sample_weight)
        )
        rows = self.where(first[drawn])
        return replace(rows, weights=weights, sample_weight=sample_weight)

    def split(self, fraction, seed, names):
        """Rows to train on, and rows to validate on; see `hold_out`."""
        rows = self.with_weight()  # where others could not be left out
        lots = rows.lots()
        train, others = hold_out(lots, names=names, fraction=fraction, seed=seed)
        return rows.part(lots.shares(train, are_last=True)), rows.part(lots.shares(others))

    def objective(
        self, network, coordinates, alpha, map_rows=serial, *, total_weight=None, **options
    ):
        """The `Objective` of a network of these rows; see there."""
        options |= {"coordinates": coordinates, "map_rows": map_rows}
        options |= {"total_weight": total_weight or self.total_weight}
        rows = self.X, self.targets, self.weights
        return Objective(network, *rows, alpha, **options)


def _entropy(groups, weight):
    """Entropy of the shares of groups in the weight."""
    shares = np.bincount(groups, weight) / weight.sum()
    return entr(shares).sum()


def weigh(X, targets, sample_weight, class_weights, groups=None):
    """Rows with weights; those without any are left out, but of a large memory map.

    Parameters
    ----------
    X, targets
        See `Rows`.
    sample_weight : ndarray of shape (n,) or None
    class_weights : ndarray of shape (K,) or None
        If given, targets are class indices.
    groups : ndarray of shape (n,) of uint64, or None

    Returns
    -------
    rows : Rows
    """
    weights = sample_weight
    if class_weights is not None:
        weights = class_weights[targets] * (1.0 if weights is None else weights)
    rows = Rows(X, targets, weights, sample_weight, groups)
    # to leave rows of a large map out would be to load the others; they add 0 as they are
    if weights is None or weights.all() or memory_map(X) is not None:
        return rows
    return rows.with_weight()


def check_groups(groups):
    """Raise ValueError if there are not two groups, one of which could be held out."""
    if (groups == groups[0]).all():
        raise ValueError(
            "groups has one group only: to hold out rows takes at least 2. Give alpha a "
            "number and set early_stopping=False, or pass X_val and y_val."
        )


def check_total(total):
    """Raise ValueError if a sum of weights is 0 or not finite."""
    if total == 0 or not np.isfinite(total):
        raise ValueError(
            "The sum of sample_weight, times class_weight, must be positive and finite, "
            f"got {total}."
        )
