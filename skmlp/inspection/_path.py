"""The mean gradient on the straight line from one row to another.

On the way the inputs of the first layer move on a straight line, too. So the features are
multiplied with its weights once for each end, and nothing else of the path is as wide as
the data: what is averaged are derivatives with respect to these inputs, (52).
"""

from functools import lru_cache

import numpy as np

from skmlp._network import Parameters

FEWEST_STEPS = 8


class Paths:
    """The straight lines from the rows of a baseline to other rows.

    Parameters
    ----------
    network : Network
    parameters : Parameters
    response : Response
        Of T outputs.
    baseline : ndarray of shape (m, d)
    tolerances : ndarray of shape (T,)
        By how much contributions may miss what they are to add up to.
    max_steps : int
        Most nodes of a quadrature.
    """

    def __init__(
        self, network, parameters, response, baseline, tolerances=0, max_steps=FEWEST_STEPS
    ):
        self._activation, self._response = network.activation, response
        self._W, self._bias = parameters.coefs[0], parameters.intercepts[0]
        self._baseline, self._ends = baseline, baseline @ self._W + self._bias
        self._values = response.value(network.activations(parameters, baseline))
        self._tolerances, self._max_steps = tolerances, max_steps
        self._n_hidden = len(network.layer_sizes) - 2
        # the mean gradient needs no quadrature
        self._is_closed = response.is_linear and self._n_hidden <= 1
        if self._n_hidden:
            self._above = network.above_first_layer()
            self._parameters_above = Parameters(
                None, parameters.coefs[1:], parameters.intercepts[1:]
            )

    def contributions(self, X, values):
        """Contributions of the features of some rows to the response: (51) and (52).

        They are x - b times the mean gradient, and of that the mean over the baseline's b.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        values : ndarray of shape (n, T)
            The response.

        Returns
        -------
        contributions : ndarray of shape (n, T, d)
        n_steps : ndarray of shape (n,) of int
            The most that a path of each row took.
        """
        A, total, n_steps = X @ self._W + self._bias, 0, np.zeros(len(X), int)
        for b, B, value in zip(self._baseline, self._ends, self._values, strict=True):
            if self._is_closed:
                mean = self._closed(A, B)
            else:
                mean, steps = self._refined(A - B, B, values - value)
                np.maximum(n_steps, steps, out=n_steps)
            gradient = mean.reshape(-1, mean.shape[2]) @ self._W.T
            gradient = gradient.reshape(*mean.shape[:2], -1)
            gradient *= (X - b)[:, np.newaxis]
            total += gradient
        return total / len(self._baseline), n_steps

    def _closed(self, A, B):
        """Mean derivative of a linear response, between inputs of the first layer: (54)."""
        if not self._n_hidden:
            C = self._response.jacobian(A)
            return np.broadcast_to(C, (len(A), *C.shape[1:]))
        slope = _mean_slope(self._activation, A, B)
        # what is above the hidden layer is the same everywhere
        return slope[:, np.newaxis] * self._gradient_above(A[:1])

    def _refined(self, step, B, differences):
        """Mean derivative along a step from the first layer's inputs B, and nodes it took.

        Where the contributions do not add up to the differences of the response, there
        are twice as many nodes, and so on. Their sum is that of the step times the mean
        derivative, whatever the weights of the first layer are.

        Parameters
        ----------
        step : ndarray of shape (n, n_units)
        B : ndarray of shape (n_units,)
        differences : ndarray of shape (n, T)

        Returns
        -------
        mean : ndarray of shape (n, T, n_units)
        n_steps : ndarray of shape (n,) of int
        """
        rows, n_nodes = np.arange(len(step)), FEWEST_STEPS
        mean = np.empty((*differences.shape, len(B)), B.dtype)
        n_steps = np.empty(len(step), int)
        while True:
            mean[rows] = self._quadrature(step[rows], B, n_nodes)
            n_steps[rows] = n_nodes
            sums = (mean[rows] @ step[rows][:, :, np.newaxis])[:, :, 0]
            errors = np.abs(differences[rows] - sums)
            rows = rows[~(errors <= self._tolerances).all(axis=1)]
            if not len(rows) or 2 * n_nodes > self._max_steps:
                return mean, n_steps
            n_nodes *= 2

    def _quadrature(self, step, B, n_nodes):
        """Mean derivative along a step from B, by nodes of Gauss and Legendre: (53)."""
        total, dtype = 0, B.dtype
        for t, weight in zip(*_gauss_legendre(n_nodes), strict=True):
            total += dtype.type(weight) * self._derivative(B + dtype.type(t) * step)
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


def _mean_slope(activation, A, B):
    """Mean of phi' between two inputs, (54): the difference of phi over theirs.

    Where they are so close that the difference is mostly rounding, it is phi' at the
    middle.
    """
    step = A - B
    is_short = np.abs(step) < np.cbrt(np.finfo(A.dtype).eps)
    middle = (B + step / 2)[is_short]
    no_bias = np.zeros(1, A.dtype)
    ends = A.copy(), B[np.newaxis].copy()
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
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    return (1 + nodes) / 2, weights / 2
