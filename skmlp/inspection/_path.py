"""The mean gradient on the straight line from one row to another.

On the way the inputs of the first layer move on a straight line, too. So the features are
multiplied with its weights once for each end, and nothing else of the path is as wide as
the data: what is averaged are derivatives with respect to these inputs, (52).
"""

from functools import lru_cache

import numpy as np

from skmlp._network import Parameters


class Paths:
    """The straight lines from the rows of a baseline to other rows.

    Parameters
    ----------
    network : Network
    parameters : Parameters
    response : Response
        Of T outputs.
    baseline : ndarray of shape (m, d)

    Attributes
    ----------
    is_closed : bool
        Whether the mean gradient needs no quadrature: the response is linear in the
        outputs of at most one hidden layer.
    """

    def __init__(self, network, parameters, response, baseline):
        self._activation, self._response = network.activation, response
        self._W, self._bias = parameters.coefs[0], parameters.intercepts[0]
        self._baseline, self._ends = baseline, baseline @ self._W + self._bias
        self._n_hidden = len(network.layer_sizes) - 2
        self.is_closed = response.is_linear and self._n_hidden <= 1
        if self._n_hidden:
            self._above = network.above_first_layer()
            self._parameters_above = Parameters(
                None, parameters.coefs[1:], parameters.intercepts[1:]
            )

    def contributions(self, X, n_steps):
        """Contributions of the features of some rows to the response: (51).

        They are x - b times the mean gradient, and of that the mean over the baseline's b.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        n_steps : int
            Nodes of the quadrature, (53); not used if `is_closed`.

        Returns
        -------
        contributions : ndarray of shape (n, T, d)
        """
        A, total = X @ self._W + self._bias, 0
        for b, B in zip(self._baseline, self._ends, strict=True):
            mean = self._mean_derivative(A, B, n_steps)
            gradient = mean.reshape(-1, mean.shape[2]) @ self._W.T
            gradient = gradient.reshape(*mean.shape[:2], -1)
            gradient *= (X - b)[:, np.newaxis]
            total += gradient
        return total / len(self._baseline)

    def _mean_derivative(self, A, B, n_steps):
        """Mean derivative of the response with respect to the first layer's inputs: (52).

        Parameters
        ----------
        A, B : ndarray of shape (n, n_units) and (n_units,)
            Inputs of the first layer, the biases included, at the paths' ends.
        n_steps : int

        Returns
        -------
        mean : ndarray of shape (n, T, n_units)
        """
        if self.is_closed and not self._n_hidden:
            C = self._response.jacobian(A)
            return np.broadcast_to(C, (len(A), *C.shape[1:]))
        if self.is_closed:  # what is above the hidden layer is the same everywhere
            slope = _mean_slope(self._activation, A, B)
            return slope[:, np.newaxis] * self._gradient_above(A[:1])
        step, total = A - B, 0
        for t, weight in zip(*_gauss_legendre(n_steps), strict=True):
            total += A.dtype.type(weight) * self._derivative(B + A.dtype.type(t) * step)
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
def _gauss_legendre(n_steps):
    """Nodes and weights of the quadrature on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(n_steps)
    return (1 + nodes) / 2, weights / 2
