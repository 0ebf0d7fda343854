"""The mean gradient on the straight line from one row to another.

On the way the inputs of the first layer move on a straight line, too. So the features are
multiplied with its weights once for each end, and nothing else of the path is as wide as
the data: what is averaged are derivatives with respect to these inputs, (52).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import roots_legendre

from skmlp._network import Parameters

FEWEST_STEPS = 8
# Numbers that pairs of a row and a baseline may take at a time, for cache
_PAIR_NUMBERS = 2**18
# What rounding may leave of a sum of contributions, in units of the last place
_ROUNDING = 64


class Ends(NamedTuple):
    """Some rows, at which paths begin or end.

    Attributes
    ----------
    X : ndarray of shape (n, d)
    inputs : ndarray of shape (n, n_units)
        Of the first layer.
    values : ndarray of shape (n, T)
        Of the response.
    """

    X: np.ndarray
    inputs: np.ndarray
    values: np.ndarray

    def take(self, rows):
        return Ends(self.X[rows], self.inputs[rows], self.values[rows])


class Paths:
    """The straight lines from the rows of a baseline to other rows.

    Parameters
    ----------
    network : Network
    parameters : Parameters
    response : Response
        Of T outputs.
    baseline : ndarray of shape (m, d)
    tol : float
        By how much contributions may miss what they are to add up to, relative to the
        largest of them.
    max_steps : int
        Most nodes of a quadrature.
    columns : Columns
        Those that contributions are of.
    """

    def __init__(self, network, parameters, response, baseline, tol, max_steps, columns):
        self._activation, self._response = network.activation, response
        self._W, self._bias = parameters.coefs[0], parameters.intercepts[0]
        values = response.value(network.activations(parameters, baseline))
        self._baseline = self._ends(baseline, values)
        self._tol, self._max_steps, self._columns = tol, max_steps, columns
        self._n_hidden = len(network.layer_sizes) - 2
        # the mean gradient needs no quadrature
        self._is_closed = response.is_linear and self._n_hidden <= 1
        if self._n_hidden:
            self._above = network.above_first_layer()
            self._parameters_above = Parameters(
                None, parameters.coefs[1:], parameters.intercepts[1:]
            )

    def _ends(self, X, values):
        return Ends(X, X @ self._W + self._bias, values)

    def contributions(self, X, values):
        """Contributions of the features of some rows to the response: (51) and (52).

        They are x - b times the mean gradient, averaged over the rows b of the baseline.
        Paths are taken together that lead from one b, or to one x, if there are fewer.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        values : ndarray of shape (n, T)
            The response.

        Returns
        -------
        contributions : ndarray of shape (n, T, n_columns)
        allowed : ndarray of shape (n, T)
            How far they may be from their sum, by `tol`.
        n_steps : ndarray of shape (n,) of int
            The most that a path of each row took.
        """
        rows, n_targets = self._ends(X, values), values.shape[1]
        n_columns = self._columns.rows.shape[1]
        total = np.zeros((len(X), n_targets, n_columns), X.dtype)
        allowed, n_steps = np.zeros(values.shape), np.zeros(len(X), int)
        for at, to, start in self._pairs(rows, n_targets * max(self._W.shape)):
            shares, missed, steps = self._between(to, start)
            if len(start.X) > 1:
                shares, missed = shares.sum(axis=0), missed.sum(axis=0)
                steps = steps.max()
            total[at] += shares
            allowed[at] += missed
            n_steps[at] = np.maximum(n_steps[at], steps)
        n_baselines = len(self._baseline.X)
        return total / n_baselines, allowed / n_baselines, n_steps

    def _pairs(self, rows, pair_numbers):
        """Yield places in `rows`, ends of paths and their starts: one, or of one row."""
        n_rows, n_baselines = len(rows.X), len(self._baseline.X)
        if n_rows >= n_baselines:
            for i in range(n_baselines):
                yield slice(None), rows, self._baseline.take(slice(i, i + 1))
            return
        n_together = max(_PAIR_NUMBERS // pair_numbers, 2)
        for i in range(n_rows):
            for first in range(0, n_baselines, n_together):
                place = slice(i, i + 1)
                together = slice(first, first + n_together)
                yield place, rows.take(place), self._baseline.take(together)

    def _between(self, to, start):
        """Contributions of pairs of rows, what they may miss, and steps that they took."""
        if not self._is_closed:
            return self._refined(to, start)
        shares = self._shares(self._closed(to.inputs, start.inputs), to.X - start.X)
        return shares, np.full(shares.shape[:2], np.inf), np.zeros(len(shares), int)

    def _shares(self, mean, moves):
        """Contributions of the columns, by the mean derivatives above them: (51)."""
        shares = mean.reshape(-1, mean.shape[2]) @ self._W.T
        shares = shares.reshape(*mean.shape[:2], len(self._W))
        shares *= moves[:, np.newaxis]
        return self._columns.total(shares)

    def _closed(self, A, B):
        """Mean derivative of a linear response, between inputs of the first layer: (54)."""
        if not self._n_hidden:
            C = self._response.jacobian(A)
            return np.broadcast_to(C, (max(len(A), len(B)), *C.shape[1:]))
        slope = _mean_slope(self._activation, A, B)
        # what is above the hidden layer is the same everywhere
        return slope[:, np.newaxis] * self._gradient_above(A[:1])

    def _refined(self, to, start):
        """Contributions of pairs of rows, by quadrature.

        Where they do not add up to the differences of the response, there are twice as many
        nodes, and so on.

        Parameters
        ----------
        to, start : Ends

        Returns
        -------
        shares : ndarray of shape (n, T, n_columns)
        allowed : ndarray of shape (n, T)
            What sums may miss.
        n_steps : ndarray of shape (n,) of int
        """
        steps, moves = to.inputs - start.inputs, to.X - start.X
        starts = np.broadcast_to(start.inputs, steps.shape)
        # what rounding makes of a row and itself is no difference
        is_moved = moves.any(axis=1)[:, np.newaxis]
        differences = np.where(is_moved, to.values - start.values, 0)
        rounding = rounding_of(np.maximum(np.abs(to.values), np.abs(start.values)))
        allowed = np.empty(differences.shape)
        n_columns = self._columns.rows.shape[1]
        shares = np.empty((*differences.shape, n_columns), moves.dtype)
        rows, n_nodes = np.arange(len(steps)), FEWEST_STEPS
        n_steps = np.empty(len(steps), int)
        while True:
            mean = self._quadrature(steps[rows], starts[rows], n_nodes)
            n_steps[rows], new = n_nodes, self._shares(mean, moves[rows])
            errors = np.abs(differences[rows] - new.sum(axis=2))
            shares[rows], largest = new, np.abs(new).max(axis=2)
            allowed[rows] = self._tol * largest + rounding[rows]
            rows = rows[~(errors <= allowed[rows]).all(axis=1)]
            if not len(rows) or 2 * n_nodes > self._max_steps:
                return shares, allowed, n_steps
            n_nodes *= 2

    def _quadrature(self, steps, starts, n_nodes):
        """Mean derivative along steps, by nodes of Gauss and Legendre: (53)."""
        total, dtype = 0, steps.dtype
        for t, weight in zip(*_gauss_legendre(n_nodes), strict=True):
            total += dtype.type(weight) * self._derivative(starts + dtype.type(t) * steps)
        return total

    def _derivative(self, A):
        """Of the response, with respect to the first layer's inputs; A is spent."""
        if not self._n_hidden:
            return self._response.jacobian(A)
        self._activation.forward(A, np.zeros(1, A.dtype))
        gradient = self._gradient_above(A)
        slope = np.ones_like(A)
        self._activation.backward(A, slope)
        gradient *= slope[:, np.newaxis]
        return gradient

    def _gradient_above(self, h):
        """Of the response, with respect to the outputs of the first hidden layer."""
        gradient = np.empty((len(h), self._response.n_targets, h.shape[1]), h.dtype)
        jacobian = self._response.jacobian
        self._above.input_gradient(self._parameters_above, h, jacobian, gradient)
        return gradient


def rounding_of(values):
    """What rounding may leave of a sum of contributions to responses of some size."""
    return _ROUNDING * np.finfo(values.dtype).eps * values


def _mean_slope(activation, A, B):
    """Mean of phi' between two inputs, (54): the difference of phi over theirs.

    Where they are so close that the difference is mostly rounding, it is phi' at the
    middle.
    """
    step = A - B
    is_short = np.abs(step) < np.cbrt(np.finfo(A.dtype).eps)
    middle = (B + step / 2)[is_short]
    no_bias = np.zeros(1, A.dtype)
    ends = A.copy(), B.copy()
    for end in ends:
        activation.forward(end, no_bias)
    slope = ends[0] - ends[1]
    np.divide(slope, step, out=slope, where=~is_short)
    activation.forward(middle, no_bias)
    at_middle = np.ones_like(middle)
    activation.backward(middle, at_middle)
    slope[is_short] = at_middle
    return slope


@lru_cache
def _gauss_legendre(n_nodes):
    """Nodes and weights of the quadrature on [0, 1]."""
    nodes, weights = roots_legendre(n_nodes)
    return (1 + nodes) / 2, weights / 2
