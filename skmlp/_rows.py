"""Rows of data in memory, or in a memory map, with their targets and weights."""

import numpy as np
from scipy import sparse

from skmlp._coordinates import feature_moments
from skmlp._holdout import distinct, fingerprints, hold_out
from skmlp._memory_map import memory_map, take_rows
from skmlp._objective import Objective, in_single_precision, row_blocks
from skmlp._parallel import serial


class Rows:
    """Validated rows, which can be asked for all that a training needs of data.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
    targets : ndarray of shape (n,) of int, or of shape (n, K) of bool
        Class indices, or the indicators of several labels.
    weights : ndarray of shape (n,) or None
        Sample weight times class weight: what the loss is weighted by.
    sample_weight : ndarray of shape (n,) or None
        Without the class weights: for scores other than the loss.
    prints : ndarray of shape (n,), optional
        Fingerprints of the rows as they were given, if X is something else by now. What
        is drawn depends on them, so it must not depend on the rounding of X.

    Attributes
    ----------
    n_rows, n_features : int
    dtype : {float32, float64}
    total_weight : float
        Sum of the weights.
    can_be_split : bool
        Whether rows can be held out.
    """

    can_be_split = True

    def __init__(self, X, targets, weights=None, sample_weight=None, prints=None):
        self.X, self.targets, self._prints = X, targets, prints
        self.weights, self.sample_weight = weights, sample_weight
        (self.n_rows, self.n_features), self.dtype = X.shape, X.dtype
        with np.errstate(over="ignore"):
            self.total_weight = float(self.n_rows if weights is None else weights.sum())

    @property
    def strata(self):
        """Groups that each part of the rows is to have rows of, as numbers."""
        return self.targets if self.targets.ndim == 1 else np.zeros(self.n_rows, int)

    @property
    def kinds(self):
        """A number for each row, equal for equal targets: copies of a row share it."""
        if self.targets.ndim == 1:
            return self.targets
        packed = np.packbits(self.targets, axis=1)
        return np.unique(packed, axis=0, return_inverse=True)[1].reshape(-1)

    @property
    def prints(self):
        """Fingerprints of the rows, targets included."""
        if self._prints is None:
            self._prints = fingerprints(self.X, self.kinds)
        return self._prints

    @property
    def row_bytes(self):
        """Memory that a row takes, in the mean."""
        X = self.X.data if sparse.issparse(self.X) else self.X
        return max(X.nbytes // self.n_rows, 1)

    def n_distinct(self):
        """Number of distinct rows, targets included."""
        return len(np.unique(self.prints))

    def where(self, mask):
        """The rows for which a mask is true, or of some indices."""
        arrays = (self.targets, self.weights, self.sample_weight, self._prints)
        others = (None if array is None else array[mask] for array in arrays)
        return Rows(take_rows(self.X, mask), *others)

    def replaced(self, X):
        """The same rows with other features, in the precision of these."""
        X = X.astype(self.dtype, copy=False)
        return Rows(X, self.targets, self.weights, self.sample_weight, self.prints)

    def astype(self, dtype):
        """The same rows in another precision."""
        arrays = (self.targets, self.weights, self.sample_weight, self._prints)
        return Rows(self.X.astype(dtype, copy=False), *arrays)

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
            None for rows of a memory map, too, which are not to be copied.
        """
        if memory_map(self.X) is not None:
            return self, None
        basis, coordinates = make(self, *arguments)
        return (self, None) if basis is None else (self.replaced(coordinates), basis)

    def with_weight(self):
        """The rows whose weight is not 0."""
        return self if self.weights is None else self.where(self.weights > 0)

    def counts(self, n_outputs):
        """Weight of the rows that have each class or label, of shape (n_outputs,)."""
        if self.targets.ndim == 1:
            counts = np.bincount(self.targets, self.weights, n_outputs)
            return counts.astype(np.float64)
        if self.weights is None:
            return self.targets.sum(axis=0, dtype=float)
        return self.weights @ self.targets

    def n_blocks(self, network):
        """Blocks of rows that a network is evaluated over."""
        return len(row_blocks(self.X, network))

    def moments(self):
        """Moments of the features; see `feature_moments`."""
        return feature_moments(self.X, self.weights)

    def sample(self, seed, n_most):
        """All rows that have a weight, or some drawn at random if there are too many.

        Of many rows, distinct ones are drawn, each with the weight of all its copies: so a
        weight is as good as copies. (Those of a memory map are drawn as they are, lest all
        of it is read.)

        Parameters
        ----------
        seed, n_most : int

        Returns
        -------
        rows : Rows
        """
        random_state, rows = np.random.RandomState(seed), self
        if self.n_rows > n_most and memory_map(self.X) is not None:
            rows = self.where(np.sort(random_state.permutation(self.n_rows)[:n_most]))
        elif self.n_rows > n_most:
            first, group, _ = distinct(self.prints, np.ones(self.n_rows))
            drawn = random_state.permutation(len(first))[:n_most]
            of_copies = [
                np.bincount(group, weights)[drawn]
                for weights in (self.weights, self.sample_weight)
            ]
            chosen = first[drawn]
            arrays = self.X[chosen], self.targets[chosen], *of_copies, self.prints[chosen]
            rows = Rows(*arrays)
        return rows.with_weight()

    def split(self, fraction, seed, names):
        """Rows to train on, and rows to validate on; see `hold_out`."""
        rows = self.with_weight()  # where others could not be left out
        train, others = hold_out(
            rows.prints,
            rows.strata,
            rows.sample_weight,
            names=names,
            fraction=fraction,
            seed=seed,
        )
        return rows.where(train), rows.where(others)

    def objective(
        self, network, coordinates, alpha, map=serial, *, total_weight=None, **options
    ):
        """The `Objective` of a network of these rows; see there."""
        return Objective(
            network,
            self.X,
            self.targets,
            self.weights,
            alpha,
            coordinates=coordinates,
            total_weight=total_weight or self.total_weight,
            map=map,
            **options,
        )

    def rough_objective(self, network, coordinates, alpha, map=serial):
        """The same in single precision, if possible: of few rows, for the search.

        Alpha is wanted to a factor of 3, and single precision takes half of the time.
        """
        X, coordinates = in_single_precision(self.X, coordinates)
        rows = Rows(X, self.targets, self.weights)
        return rows.objective(network, coordinates, alpha, map)


def weigh(X, targets, sample_weight, class_weights):
    """Rows with weights; those without any are left out, but of a memory map.

    Parameters
    ----------
    X, targets
        See `Rows`.
    sample_weight : ndarray of shape (n,) or None
    class_weights : ndarray of shape (K,) or None
        If given, targets are class indices.

    Returns
    -------
    rows : Rows
    """
    weights = sample_weight
    if class_weights is not None:
        weights = class_weights[targets] * (1.0 if weights is None else weights)
    rows = Rows(X, targets, weights, sample_weight)
    # to leave rows of a memory map out would be to load the others; they add 0 as they are
    if weights is None or weights.all() or memory_map(X) is not None:
        return rows
    return rows.with_weight()


def check_total(total):
    """Raise ValueError if a sum of weights is 0 or not finite."""
    if total == 0 or not np.isfinite(total):
        raise ValueError(
            "The sum of sample_weight, times class_weight, must be positive and finite, "
            f"got {total}."
        )
