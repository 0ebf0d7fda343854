"""Partitions of rows: what `Rows` is for data in memory."""

import math
from functools import partial, reduce

import dask
import numpy as np
from dask import delayed
from scipy import sparse

from skmlp._coordinates import merge_moments
from skmlp._parallel import row_threads
from skmlp._rows import Rows

# Partial sums that one task adds up: a tree, so that no machine receives them all
_SUMMANDS = 8


class Parts:
    """Partitions, which can be asked for all that a training needs of data.

    Parameters
    ----------
    rows : list of Delayed
        Of `Rows`; partitions without weight are left out.
    n_rows, n_features : int
    counts : ndarray of shape (K,)
        Weight of the rows of each class or label.
    total_weight : float
    dtype : {float32, float64}
    """

    can_be_split = False

    def __init__(self, rows, n_rows, n_features, counts, total_weight, dtype):
        self.rows, self.n_rows, self.n_features = rows, n_rows, n_features
        self._counts, self.total_weight, self.dtype = counts, total_weight, dtype

    def counts(self, n_outputs):
        """Weight of the rows that have each class or label, of shape (n_outputs,)."""
        return self._counts

    def n_blocks(self, network):
        """Blocks of rows that are evaluated in this process: none."""
        return 0

    @property
    def row_bytes(self):
        """Memory that a row takes, were it dense."""
        return self.n_features * self.dtype.itemsize

    def moments(self):
        """Moments of the features in all partitions."""
        moments = [delayed(Rows.moments)(rows) for rows in self.rows]
        return _tree(moments, partial(reduce, merge_moments)).compute()

    def sample(self, seed, n_most):
        """Rows of all partitions, or of each its share of as many; see `Rows.sample`.

        What it means that rows are equal is asked of all that are drawn, together.
        """
        share = min(1.0, n_most / self.n_rows)
        samples = dask.compute(
            *(delayed(_sample_part)(rows, seed, share) for rows in self.rows)
        )
        arrays = [
            (rows.X, rows.targets, rows.weights, rows.sample_weight, rows.groups)
            for rows in samples
        ]
        rows = Rows(*(_stack(pieces) for pieces in zip(*arrays, strict=True)))
        return rows.sample(seed, n_most)

    @property
    def n_given(self):
        """Rows that were given: all."""
        return self.n_rows

    def added_up(self):
        """As they are: equal rows may be in several partitions."""
        return self

    def in_basis(self, make, *arguments):
        """As they are: partitions are not to be copied."""
        return self, None

    def objective(self, network, coordinates, alpha, map=None, **of_batches):
        """The `SumOfParts` of a network of these rows."""
        return SumOfParts(network, self, alpha, coordinates)


class SumOfParts:
    """An objective whose rows are in partitions: the sum of an `Objective` of each.

    Parameters
    ----------
    network : Network
    data : Parts
    alpha : float
        The first partition's objective has the penalty, the others have none.
    coordinates : Coordinates
    """

    def __init__(self, network, data, alpha, coordinates):
        self.network = network
        self.coordinates = coordinates
        self.dtype, self.n_rows = data.dtype, data.n_rows
        self._rows = data.rows
        self._alphas = [alpha] + [0.0] * (len(data.rows) - 1)
        self._total_weight = data.total_weight

    def loss(self, theta):
        """F(theta), as `Objective.loss`."""
        return self._sum("loss", theta)

    def loss_gradient(self, theta):
        """F(theta) and its gradient, as `Objective.loss_gradient`."""
        return self._sum("loss_gradient", theta)

    def rough(self):
        """Nothing: the partitions are not to be copied."""

    def _sum(self, method, theta):
        theta = delayed(theta.astype(self.dtype, copy=False))
        coordinates = delayed(self.coordinates)
        values = [
            delayed(_evaluate)(
                method, theta, self.network, coordinates, rows, alpha, self._total_weight
            )
            for rows, alpha in zip(self._rows, self._alphas, strict=True)
        ]
        return _tree(values, _add).compute()


def _evaluate(method, theta, network, coordinates, rows, alpha, total):
    # Partitions run side by side: one thread for each is enough
    with row_threads(1) as map_rows:
        objective = rows.objective(
            network, coordinates, alpha, map_rows, total_weight=total
        )
        return getattr(objective, method)(theta)


def _sample_part(rows, seed, share):
    n_drawn = math.ceil(share * rows.n_rows)
    drawn = np.random.RandomState(seed).permutation(rows.n_rows)[:n_drawn]
    return rows.where(np.sort(drawn)).with_weight()


def _stack(pieces):
    if pieces[0] is None:
        return None
    if sparse.issparse(pieces[0]):
        return sparse.vstack(pieces, format="csr")
    return np.concatenate(pieces)


def _tree(values, add):
    """One delayed value, from tasks that each add up a few."""
    while len(values) > 1:
        values = [
            delayed(add)(values[start : start + _SUMMANDS])
            for start in range(0, len(values), _SUMMANDS)
        ]
    return values[0]


def _add(values):
    if isinstance(values[0], tuple):
        losses, gradients = zip(*values, strict=True)
        return sum(losses), np.sum(gradients, axis=0)
    return sum(values)
