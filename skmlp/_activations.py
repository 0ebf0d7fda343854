"""Elementwise nonlinearities of the hidden layers, each beside its derivative.

An activation is a pair of in-place functions, since a new array for every layer
of every block of rows would cost more than the arithmetic:

``forward(Z, b)``
    replaces the products Z = xW by h = phi(Z + b);
``backward(H, delta)``
    multiplies ``delta`` by phi'(Z + b), which every activation here can state from its
    own output H alone. H is spent: it is overwritten where that saves memory;
``bend(H, R)``
    multiplies ``R`` by phi''/phi', of H alone, too, which is left as it is.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np


class Activation(NamedTuple):
    """A hidden layer's nonlinearity, and what its weights start by.

    Attributes
    ----------
    forward : callable
        ``forward(Z, b)``: Z becomes phi(Z + b), in place.
    backward : callable
        ``backward(H, delta)``: delta becomes delta * phi', in place.
    bend : callable
        ``bend(H, R)``: R becomes R * phi''/phi', in place.
    glorot_factor : float
        Without standardised coordinates, weights start uniform within
        sqrt(glorot_factor / (fan_in + fan_out)), as in scikit-learn's MLPClassifier:
        6 (Glorot and Bengio, 2010, eq. 16), or 2 for the logistic function.
    center : float
        phi(0), the middle of its outputs if it has one: where they are centred.
    is_smooth : bool
        Whether the slope has no jumps.
    saturates : bool
        Whether the outputs are bounded, so that an input cannot be too large.
    """

    forward: Callable[[np.ndarray, np.ndarray], None]
    backward: Callable[[np.ndarray, np.ndarray], None]
    bend: Callable[[np.ndarray, np.ndarray], None]
    glorot_factor: float
    center: float = 0.0
    is_smooth: bool = True
    saturates: bool = False


def _identity(Z, b):
    """phi(z) = z."""
    Z += b


def _identity_backward(H, delta):
    """phi'(z) = 1."""


def _straight(H, R):
    """phi''(z) = 0 where phi is made of straight pieces."""
    R.fill(0)


def _logistic(Z, b):
    """sigma(z) = 1 / (1 + exp(-z)): (6) of the derivation."""
    np.subtract(-b, Z, out=Z)  # adds the bias and negates in one pass
    np.exp(Z, out=Z)  # may overflow to inf, and 1 / inf = 0 is right
    Z += 1
    np.divide(1, Z, out=Z)  # twice as fast as np.reciprocal


def _logistic_backward(H, delta):
    """sigma'(z) = h (1 - h): (10) of the derivation."""
    delta *= H
    np.subtract(1, H, out=H)
    delta *= H


def _logistic_bend(H, R):
    """sigma''(z) / sigma'(z) = 1 - 2h: (55)."""
    R *= 1 - 2 * H


def _tanh(Z, b):
    """phi(z) = tanh z."""
    Z += b
    np.tanh(Z, out=Z)


def _tanh_backward(H, delta):
    """phi'(z) = 1 - h^2."""
    H *= H
    np.subtract(1, H, out=H)
    delta *= H


def _tanh_bend(H, R):
    """phi''(z) / phi'(z) = -2h: (55)."""
    R *= -2 * H


def _relu(Z, b):
    """phi(z) = max(0, z)."""
    Z += b
    np.maximum(Z, 0, out=Z)


def _relu_backward(H, delta):
    """phi'(z) = 1 where h > 0, else 0 (at z = 0, too)."""
    np.greater(H, 0, out=H)  # four times as fast as np.sign
    delta *= H


ACTIVATIONS = {
    "identity": Activation(_identity, _identity_backward, _straight, 6.0),
    "logistic": Activation(
        _logistic, _logistic_backward, _logistic_bend, 2.0, center=0.5, saturates=True
    ),
    "tanh": Activation(_tanh, _tanh_backward, _tanh_bend, 6.0, saturates=True),
    "relu": Activation(_relu, _relu_backward, _straight, 6.0, is_smooth=False),
}


@lru_cache
def mean_square(activation, variance):
    """E (phi(z) - center)^2 for normal z of mean 0, by Gauss-Hermite quadrature.

    Parameters
    ----------
    activation : Activation
    variance : float
        Of z.

    Returns
    -------
    mean_square : float
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    H = (np.sqrt(variance) * nodes)[:, np.newaxis]
    activation.forward(H, np.zeros(1))
    return float(weights @ (H[:, 0] - activation.center) ** 2 / weights.sum())
