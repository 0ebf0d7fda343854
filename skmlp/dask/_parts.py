"""Partitions of rows: what `Rows` is for data in memory."""

from dataclasses import dataclass
from functools import partial, reduce

import numpy as np
from dask import delayed

from skmlp._alpha import MOST_ROWS
from skmlp._coordinates import merge_moments
from skmlp._parallel import row_threads
from skmlp._rows import Rows
from skmlp.dask._sample import sample
from skmlp.dask._tasks import sent, tree


@dataclass(eq=False)
class Parts:
    """Partitions, which can be asked for all that a training needs of data.

    Parameters
    ----------
    rows : list of Delayed
        Of `Rows`, none of them empty.
    sizes : list of int
        Number of rows of each.
    n_features : int
    dtype : {float32, float64}
    total_weight : float
    has_groups : bool
        Whether the rows are of groups.
    known_totals : ndarray of shape (S,) or None
        Weighted sums of what the loss asks of the targets, if the partitions have told them
        when they came in; None adds them up when they are asked for.
    """

    rows: list
    sizes: list
    n_features: int
    dtype: np.dtype
    total_weight: float
    has_groups: bool
    known_totals: np.ndarray | None

    can_be_split = False

    def __post_init__(self):
        self.n_rows = self.n_given = sum(self.sizes)

    def target_totals(self, loss, n_outputs):
        """Weighted sums of what a loss asks for; see `Rows.target_totals`."""
        if self.known_totals is None:
            totals = [
                delayed(Rows.target_totals)(rows, loss, n_outputs) for rows in self.rows
            ]
            self.known_totals = tree(totals, sum).compute()
        return self.known_totals

    def n_blocks(self, network):
        """Blocks of rows that are evaluated in this process: none."""
        return 0

    @property
    def row_bytes(self):
        """Memory that a row takes, were it dense."""
        return self.n_features * self.dtype.itemsize

    def moments(self, map_rows=None):
        """Moments of the features in all partitions, which are shared by the workers."""
        moments = [delayed(Rows.moments)(rows) for rows in self.rows]
        return tree(moments, partial(reduce, merge_moments)).compute()

    def sample(self, seed, n_most):
        """Rows of all partitions, in this process; see `Rows.sample`."""
        return sample(self, seed, n_most)

    def observation_weight(self):
        """Mean weight of an observation; see `Rows.observation_weight`."""
        return self.sample(0, MOST_ROWS).observation_weight()

    def squared_shares(self):
        """Sum of the squares of the observations' shares; see `Rows.squared_shares`."""
        repeats = self.sample(0, MOST_ROWS).identity.repeats
        sums = [
            delayed(_squared_shares)(rows, repeats, self.total_weight) for rows in self.rows
        ]
        return tree(sums, sum).compute()

    def added_up(self):
        """As they are: equal rows may be in several partitions."""
        return self

    def in_basis(self, make, *arguments):
        """As they are: partitions are not to be copied."""
        return self, None

    def objective(self, network, coordinates, alpha, map_rows=None, **of_batches):
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
        arrays = *coordinates.means, *coordinates.scales
        self._sent_coordinates = delayed(sent(coordinates, arrays))
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
        """Return this one: the partitions are not to be copied."""
        return self

    def _sum(self, method, theta):
        theta = theta.astype(self.dtype, copy=False)
        theta = delayed(sent(theta, [theta]))
        shared = method, theta, self.network, self._sent_coordinates
        values = [
            delayed(_evaluate)(*shared, rows, alpha, self._total_weight)
            for rows, alpha in zip(self._rows, self._alphas, strict=True)
        ]
        return tree(values, _add).compute()


def _evaluate(method, theta, network, coordinates, rows, alpha, total):
    # Partitions run side by side: one thread for each is enough
    with row_threads(1) as map_rows:
        objective = rows.objective(
            network, coordinates, alpha, map_rows, total_weight=total
        )
        return getattr(objective, method)(theta)


def _squared_shares(rows, repeats, total):
    return rows.judged(repeats).squared_shares(total)


def _add(values):
    if isinstance(values[0], tuple):
        losses, gradients = zip(*values, strict=True)
        return sum(losses), np.sum(gradients, axis=0)
    return sum(values)
