"""A problem: data, and a network in coordinates that is to learn them."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from skmlp._coordinates import raw_parameters
from skmlp._parallel import serial
from skmlp._relevance import telling_share
from skmlp._row_space import row_basis

# A smaller share of what there was to learn is little to gain: `tol` is no longer a share
# of it. In the last digits of a fit, rounding would decide between minima
_LEFT = 0.1


class Problem:
    """Data, and a network in coordinates that is to learn them.

    Attributes
    ----------
    network : Network
    coordinates : Coordinates
    data : Rows or Parts
    targets : object
        What y is: see `skmlp._targets`.
    validation : Rows or Parts, or None
    map_rows : callable
        A ``map`` for sums over rows.
    target_means : ndarray of shape (S,)
        Of the statistics that the loss asks for: of classes, their shares in the weight.
    floor : float
        Mean loss of the best constant prediction.
    """

    def __init__(
        self, network, coordinates, data, targets, validation=None, map_rows=serial
    ):
        self.network, self.coordinates, self.targets = network, coordinates, targets
        self.data, self.validation, self.map_rows = data, validation, map_rows
        totals = data.target_totals(network.output, network.layer_sizes[-1])
        self.target_means = totals / data.total_weight
        self.floor = network.output.floor(self.target_means)

    @property
    def origin(self):
        """The mean loss of perfect predictions, by convention."""
        return self.network.output.origin(self.target_means)

    @property
    def to_learn(self):
        """What the mean loss of perfect predictions is below the constant's; 0 or more."""
        most = self.network.output.most * self.targets.n_targets
        return min(max(self.floor - self.origin, 0.0), most)

    def tolerances(self, tol):
        """`tol` of losses, as arguments of `Monitor`.

        It is times the loss that there is to learn, but at most one unit: of
        cross-entropies, a bit. Of losses that tell the scale of the noise it is in parts of
        the loss, until little is left.
        """
        if self.network.output.is_relative:
            return {"tol": tol * _LEFT * (self.to_learn or 1.0), "rtol": tol}
        return {"tol": tol * (min(self.to_learn / self.network.output.scale, 1.0) or 1.0)}

    def at_constant(self, theta):
        """Parameters whose outputs are the best constant for all rows."""
        parameters = self.network.parameters(theta.copy())
        parameters.coefs[-1][...] = 0
        parameters.intercepts[-1][...] = self.network.output.constant(self.target_means)
        return parameters.vector

    def objective(self, alpha, **options):
        """Of the training rows."""
        return self.data.objective(
            self.network, self.coordinates, alpha, self.map_rows, **options
        )

    def held_out_objective(self):
        """Of the validation rows."""
        return self.validation.objective(self.network, self.coordinates, 0.0, self.map_rows)

    def rough_objective(self, alpha, map_rows=serial):
        """Of the training rows, for the search.

        Alpha is wanted to a factor of 3, and single precision takes half of the time.
        """
        exact = self.data.objective(self.network, self.coordinates, alpha, map_rows)
        return exact.in_single_precision()

    def rough_held_out_objective(self):
        """Of the validation rows, likewise."""
        return self.validation.objective(
            self.network, self.coordinates, 0.0
        ).in_single_precision()

    def telling(self, rows):
        """Share of effective observations in some rows; see `telling_share`.

        Only losses that are relative need it: the others tell how much a row is.
        """
        loss = self.network.output
        if not loss.is_relative:
            return math.inf
        return telling_share(rows, loss, loss.constant(self.target_means))

    def part(self, data, validation=None):
        """The same problem with other rows, or with some of its own."""
        others = self.targets, validation, self.map_rows
        return Problem(self.network, self.coordinates, data, *others)

    def in_row_space(self):
        """The same problem in the span of its rows, if it is much smaller there."""
        n_others = 0 if self.validation is None else self.validation.n_rows
        mean, scale = self.coordinates.means[0], self.coordinates.scales[0]
        n_units = self.network.layer_sizes[1]
        data, basis = self.data.in_basis(row_basis, n_others, n_units, mean, scale)
        return self if basis is None else _RowSpaceProblem(self, data, basis)

    def with_units(self, most):
        """The same problem with at most so many units in a hidden layer."""
        network = self.network.with_units(most)
        if network.layer_sizes == self.network.layer_sizes:
            return self
        return _NarrowProblem(self, network)

    def draw(self, random_state, standardized):
        """Parameters to start from, of shape (P,); see `Network.initialize`."""
        return self.network.initialize(random_state, self.data.dtype, standardized)

    def reduce(self, theta):
        """The share of a larger problem's parameters that acts on the rows of this one."""
        return theta

    def expand(self, theta):
        """Parameters of the larger problem."""
        return theta

    def raw(self, theta, widening=0.0):
        """Weights and biases of the whole network at theta, with densities made wider."""
        theta = theta.astype(self.data.dtype, copy=False)
        parameters = raw_parameters(self.network, self.coordinates, theta)
        return self.targets.to_raw(*parameters[1:], widening)


class _RowSpaceProblem(Problem):
    """A problem whose features are coordinates in the span of its rows.

    Parameters
    ----------
    whole : Problem
        With the features of the data.
    data : Rows
        Their coordinates.
    basis : DenseBasis or SparseBasis
    """

    def __init__(self, whole, data, basis):
        self._whole, self._basis = whole, basis
        validation = whole.validation
        if validation is not None:
            validation = validation.replaced(basis.coordinates_of(validation.X))
        super().__init__(
            whole.network.with_features(data.n_features),
            whole.coordinates.without_features(data.dtype),
            data,
            whole.targets,
            validation,
            whole.map_rows,
        )

    def draw(self, random_state, standardized):
        return self.reduce(self._whole.draw(random_state, standardized))

    def reduce(self, theta):
        return _with_first(self._basis.reduce, self._whole.network, self.network, theta)

    def expand(self, theta):
        return _with_first(self._basis.expand, self.network, self._whole.network, theta)

    def raw(self, theta, widening=0.0):
        return self._whole.raw(self.expand(theta), widening)


class _NarrowProblem(Problem):
    """A problem with fewer units in the hidden layers.

    Parameters
    ----------
    whole : Problem
    network : Network
        Of `Network.with_units`.
    """

    def __init__(self, whole, network):
        self._whole = whole
        coordinates = whole.coordinates.with_units(network)
        others = whole.data, whole.targets, whole.validation, whole.map_rows
        super().__init__(network, coordinates, *others)

    def reduce(self, theta):
        return self._whole.network.first_units(self._whole.reduce(theta), self.network)

    def expand(self, theta):
        network = self._whole.network
        return self._whole.expand(network.with_first_units(theta, self.network))


def _with_first(change, network, other, theta):
    """Parameters of another network: the first layer's weights are changed."""
    (W, *others), intercepts = network.parameters(theta)[1:]
    return other.flatten([change(W), *others], intercepts, theta.dtype)


def from_raw(network, coordinates, targets, coefs, intercepts, dtype, widening=0.0):
    """Weights and biases of the whole network as a flat vector: `Problem.raw` undone."""
    parameters = network.parameters(network.flatten(coefs, intercepts, dtype))
    targets.from_raw(parameters, widening)
    coordinates.from_raw(parameters)
    return parameters.vector


class Fit(NamedTuple):
    """A problem, and how it is to be learnt.

    Attributes
    ----------
    settings : Settings
    problem : Problem
    is_drawn : bool
        Whether the parameters to start from were drawn.
    stops_early : bool
        Whether the score of the validation rows ends the training.
    score : callable or None
        Of the attributes that a network predicts with, on the validation rows.
    stage, notify, begin : callable
        See `skmlp._training.train`.
    columns : str or None
        The name of the columns that the rows are in, if there are several.
    held_out : dict
        The held-out losses by which these were chosen, by name.
    """

    settings: object
    problem: Problem
    is_drawn: bool
    stops_early: bool
    score: Callable | None
    stage: Callable
    notify: Callable | None
    begin: Callable | None
    columns: str | None = None
    held_out: Mapping = MappingProxyType({})
