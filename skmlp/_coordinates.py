"""Coordinates in which every layer has centred inputs, and the first one scaled ones.

A layer sees ``h W + b``. With means m and scales s of its inputs h, the same function is
``((h - m) / s) W' + b'`` where

    W = diag(1/s) W',    b = b' - m W,

a linear, invertible change of variables. Training on (W', b') is training on standardised
inputs, though no input is touched: sparse data stay sparse, and data in a memory map stay
there. (Dense rows that are copied anyway, as mini-batches are, are standardised themselves:
that is a pass over the rows, not several over the weights.) Gradients follow by the chain
rule: ``dW' = diag(1/s) (dW - m^T db)``, ``db' = db``.

References
----------
Y. LeCun, L. Bottou, G. Orr, K.-R. Mueller, "Efficient BackProp", in Neural Networks: Tricks
of the Trade, 1998, sections 4.3 and 4.4.
"""

import numpy as np
from scipy import sparse
from scipy.linalg import get_blas_funcs
from sklearn.utils.sparsefuncs import mean_variance_axis, min_max_axis

from skmlp._memory_map import give_back, memory_map

_BLOCK_BYTES = 2**21
# A deviation that grows by more than this was not known before
_UNKNOWN = 10.0
# Means that moved by more deviations, and deviations that did relatively, are renewed
_DRIFT = 0.1
# Standardised values are at most this large
_LARGEST = 10.0


class Coordinates:
    """The change of variables of all layers of a network.

    Parameters
    ----------
    means : list of ndarray of shape (fan_in,) or None
        m of each layer; None for zeros.
    scales : list of ndarray of shape (fan_in,) or None
        s of each layer; None for ones.
    of_standard : bool, default=False
        Whether the features are standardised as they are.

    Attributes
    ----------
    is_identity : bool
        Whether theta is the weights and biases themselves.
    """

    def __init__(self, means, scales, of_standard=False):
        self.means = means
        self.scales = scales
        self.of_standard = of_standard
        self.is_identity = all(vector is None for vector in (*means, *scales))

    @classmethod
    def identity(cls, network):
        """Those of the weights and biases themselves."""
        nothing = [None] * len(network.coef_shapes)
        return cls(nothing, nothing)

    def without_features(self, dtype):
        """The same coordinates for features that have had their part of them."""
        means = [m if m is None else m.astype(dtype) for m in self.means[1:]]
        of_standard = self.of_standard or self.scales[0] is not None
        return Coordinates([None, *means], [None, *self.scales[1:]], of_standard)

    def standardise(self, rows, out):
        """Write dense rows to `out` as the first layer is to see them, (h - m) / s.

        Parameters
        ----------
        rows : ndarray of shape (n, d)
            Spent: they serve as scratch, and may be `out`.
        out : ndarray of shape (n, d)
            In the precision of the rows, or in a lower one, which the differences from the
            means can do with where the rows themselves could not.
        """
        np.subtract(rows, self.means[0], out=rows)
        np.multiply(rows, 1 / self.scales[0], out=rows)
        if out is not rows:
            np.copyto(out, rows, casting="same_kind")

    def to_raw(self, parameters):
        """From (W', b') to (W, b), in place."""
        for W, b, mean, scale in self._layers(parameters):
            if scale is not None:
                W /= scale[:, np.newaxis]
            if mean is not None:
                b -= mean @ W

    def from_raw(self, parameters):
        """From (W, b) to (W', b'), in place."""
        for W, b, mean, scale in self._layers(parameters):
            if mean is not None:
                b += mean @ W
            if scale is not None:
                W *= scale[:, np.newaxis]

    def pull_back(self, gradient):
        """From the gradient with respect to (W, b) to that for (W', b'), in place."""
        for dW, db, mean, scale in self._layers(gradient):
            if mean is not None:  # a rank-one update in one pass; dW is in Fortran order
                get_blas_funcs("ger", (dW,))(-1, mean, db, a=dW, overwrite_a=True)
            if scale is not None:
                dW /= scale[:, np.newaxis]

    def follow(self, theta, averages, network, new):
        """Parameters, and averages of gradients, in other coordinates of the features.

        The function stays as it is, but for features whose deviation has grown so much
        that the old one, of a chunk in which they hardly varied, says nothing: they keep
        their weights in the new coordinates, and the function its value at the old mean.

        Parameters
        ----------
        theta : ndarray of shape (P,)
            In these coordinates; changed in place.
        averages : list of (int, ndarray of shape (P,))
            Averages of powers of the gradient, each with its power; likewise.
        network : Network
        new : Coordinates
        """
        mean, scale = new.means[0], new.scales[0]
        growth = scale / self.scales[0]
        factor = np.where(growth > _UNKNOWN, 1.0, growth)
        shift = (mean - self.means[0]) / scale
        parameters = network.parameters(theta)
        W, b = parameters.coefs[0], parameters.intercepts[0]
        W *= factor[:, np.newaxis]
        b += shift @ W
        for power, vector in averages:
            average = network.parameters(vector)
            dW, db = average.coefs[0], average.intercepts[0]
            dW /= factor[:, np.newaxis] ** power
            dW += np.outer((-shift) ** power, db)

    def _layers(self, parameters):
        return zip(
            parameters.coefs, parameters.intercepts, self.means, self.scales, strict=True
        )


def raw_parameters(network, coordinates, theta):
    """Weights and biases at theta.

    Parameters
    ----------
    network : Network
    coordinates : Coordinates
        Those of theta.
    theta : ndarray of shape (P,)

    Returns
    -------
    parameters : Parameters
        Of a copy of theta, or of theta itself in the coordinates of the identity.
    """
    if coordinates.is_identity:
        return network.parameters(theta)
    parameters = network.parameters(theta.copy())
    coordinates.to_raw(parameters)
    return parameters


def standard_coordinates(network, mean, scale, dtype):
    """Coordinates that standardise the features and centre the hidden layers' outputs.

    Parameters
    ----------
    network : Network
    mean, scale : ndarray of shape (d,)
        Of the features.
    dtype : {float32, float64}
    """
    center = network.activation.center
    # a scale whose square underflows is none: weights are divided by it
    scale = np.where(scale**2 < np.finfo(dtype).tiny, 1.0, scale)
    hidden = network.layer_sizes[1:-1]
    centers = [np.full(size, center, dtype) if center else None for size in hidden]
    return Coordinates(
        [mean.astype(dtype), *centers], [scale.astype(dtype), *[None] * len(hidden)]
    )


def mean_and_scale(moments):
    """What to subtract from each feature and to divide it by.

    The scale is the standard deviation, but no value gets larger than `_LARGEST`: a word
    that is in few texts, or a rare category, would else have a leverage that its few rows
    do not justify. The scale of a constant is 1.

    Parameters
    ----------
    moments : tuple
        Of `feature_moments`.

    Returns
    -------
    mean, scale : ndarray of shape (d,)
    """
    mean, variance = moments[:2]
    scale = np.sqrt(np.maximum(variance, 0))  # sums over sparse data may end below
    # what rounding leaves of the variance of a constant is no scale
    constant = scale <= 10 * np.finfo(np.float64).eps * np.abs(mean)
    scale = np.maximum(scale, largest_deviation(moments) / _LARGEST)
    overflown = ~(np.isfinite(mean) & np.isfinite(scale))  # such features stay as they are
    return np.where(overflown, 0.0, mean), np.where(constant | overflown, 1.0, scale)


def largest_deviation(moments):
    """How far from its mean each feature gets, of shape (d,)."""
    mean, _, _, low, high = moments
    return np.maximum(high - mean, mean - low)


def have_drifted(scaling, new):
    """Whether the (mean, scale) of the features are no longer what they were."""
    (mean, scale), (new_mean, new_scale) = scaling, new
    moved = np.abs(new_mean - mean) > _DRIFT * new_scale
    return bool((moved | (np.abs(np.log(new_scale / scale)) > _DRIFT)).any())


def feature_moments(X, weights):
    """Mean, variance, total weight, smallest and largest value of the features.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
        A memory map is read in blocks.
    weights : ndarray of shape (n,) or None

    Returns
    -------
    mean, variance : ndarray of shape (d,), float64
    total : float
    low, high : ndarray of shape (d,), float64
        Of rows that have a weight.
    """
    n_rows = max(_BLOCK_BYTES // (8 * X.shape[1]), 1)
    mapped, moments = memory_map(X), None
    for start in range(0, X.shape[0], n_rows):
        rows = slice(start, start + n_rows)
        of_block = _block_moments(X[rows], None if weights is None else weights[rows])
        moments = of_block if moments is None else merge_moments(moments, of_block)
        give_back(mapped)
    return moments


def merge_moments(one, other):
    """Moments of two sets of rows together.

    References
    ----------
    T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance",
    The American Statistician 37 (1983), eq. 2.1.
    """
    mean, variance, total, low, high = one
    other_mean, other_variance, other_total, other_low, other_high = other
    if other_total == 0:
        return one
    if total == 0:
        return other
    share = other_total / (total + other_total)
    step = other_mean - mean
    variance = (1 - share) * variance + share * (other_variance + (1 - share) * step**2)
    low, high = np.minimum(low, other_low), np.maximum(high, other_high)
    return mean + share * step, variance, total + other_total, low, high


def _block_moments(X, weights):
    if weights is not None and not weights.all():
        X, weights = X[weights > 0], weights[weights > 0]
    total = X.shape[0] if weights is None else weights.sum()
    if total == 0:
        zeros = np.zeros(X.shape[1])
        return zeros, zeros, 0.0, zeros, zeros
    X = X.astype(np.float64, copy=False)
    if sparse.issparse(X):
        mean, variance = mean_variance_axis(X, axis=0, weights=weights)
        return mean, variance, total, *min_max_axis(X, axis=0)
    mean = np.average(X, axis=0, weights=weights)
    # the rounding of a sum grows with its length; that of a mean of what is left does not
    mean += np.average(X - mean, axis=0, weights=weights)
    variance = np.average((X - mean) ** 2, axis=0, weights=weights)
    return mean, variance, total, X.min(axis=0), X.max(axis=0)
