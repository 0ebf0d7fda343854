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

from functools import partial, reduce
from itertools import chain

import numpy as np
from scipy import sparse
from scipy.linalg import blas
from sklearn.utils.sparsefuncs import mean_variance_axis, min_max_axis

from skmlp._memory_map import pieces
from skmlp._warnings import warn

# Numbers in a block of rows, and blocks that threads share: moments of more take memory
_BLOCK_NUMBERS, _BLOCKS_AT_A_TIME = 2**18, 4
# Values from which on, as below their inverse, squares and fourth powers may be no floats
_FAR = 2.0**200
# Weights of a standardised feature are hardly larger
_LARGEST_WEIGHT = 2.0**6
# Columns that a warning names
_MOST_NAMED = 10
# A deviation that grows by more than this was not known before
_UNKNOWN = 10.0
# Means that moved by more deviations, and deviations that did relatively, are renewed
_DRIFT = 0.1
# Standardised values are at most this large, but of columns with heavy tails
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
        pairs = zip(means, scales, strict=True)
        self._changed = [
            i for i, pair in enumerate(pairs) if any(vector is not None for vector in pair)
        ]
        self.is_identity = not self._changed

    @classmethod
    def identity(cls, network):
        """Coordinates in which theta is the weights and biases themselves."""
        nothing = [None] * len(network.coef_shapes)
        return cls(nothing, nothing)

    def without_features(self, dtype):
        """The same coordinates for features that are standardised already."""
        means = [m if m is None else m.astype(dtype) for m in self.means[1:]]
        of_standard = self.of_standard or self.scales[0] is not None
        return Coordinates([None, *means], [None, *self.scales[1:]], of_standard)

    def with_units(self, network):
        """The same coordinates of a network of fewer units in the hidden layers."""

        def first(vectors):
            sizes = network.layer_sizes[1:-1]
            cut = [
                v if v is None else v[:n] for v, n in zip(vectors[1:], sizes, strict=True)
            ]
            return [vectors[0], *cut]

        return Coordinates(first(self.means), first(self.scales), self.of_standard)

    def for_single_entries(self):
        """The same coordinates in float32, for features that are not standardised before.

        None where that would lose digits: of entries that are far from 0 for what tells
        them apart, and of weights that are divided by very small or large scales.
        """
        mean, scale = self.means[0], self.scales[0]
        least = _least_scale(np.float32)
        if scale is None or scale.min() < least or scale.max() > 1 / least:
            return None
        if np.abs(mean / scale).max() > _LARGEST:
            return None
        vectors = (
            [v if v is None else v.astype(np.float32) for v in layers]
            for layers in (self.means, self.scales)
        )
        return Coordinates(*vectors, self.of_standard)

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
                b -= np.dot(mean, W)

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
                ger = blas.sger if dW.dtype == np.float32 else blas.dger
                ger(-1, mean, db, a=dW, overwrite_a=True)
            if scale is not None:
                dW /= scale[:, np.newaxis]

    def follow(self, theta, averages, network, new, are_new):
        """Change parameters, and averages of gradients, into other coordinates.

        Only the weights of features that have moved are touched. The function stays as it
        is, but for features that had no scale, or whose deviation has grown so much that
        the old one, of a chunk in which they hardly varied, says nothing: they keep their
        weights in the new coordinates, and the function its value at the old mean.

        Parameters
        ----------
        theta : ndarray of shape (P,)
            In these coordinates; changed in place.
        averages : list of (int, ndarray of shape (P,))
            Averages of powers of the gradient, each with its power; likewise.
        network : Network
        new : Coordinates
        are_new : ndarray of shape (d,) of bool
            Features whose scale is not known from before.
        """
        rows = np.flatnonzero(
            (new.means[0] != self.means[0]) | (new.scales[0] != self.scales[0])
        )
        scale = new.scales[0][rows]
        growth = scale / self.scales[0][rows]
        factor = np.where(are_new[rows] | (growth > _UNKNOWN), 1, growth)[:, np.newaxis]
        shift = (new.means[0] - self.means[0])[rows] / scale
        parameters = network.parameters(theta)
        W, b = parameters.coefs[0], parameters.intercepts[0]
        W[rows] *= factor
        b += shift @ W[rows]
        for power, vector in averages:
            average = network.parameters(vector)
            dW, db = average.coefs[0], average.intercepts[0]
            dW[rows] = dW[rows] / factor**power + np.outer((-shift) ** power, db)

    def _layers(self, parameters):
        """Weights, biases, means and scales of the layers that have means or scales."""
        _, coefs, intercepts = parameters
        return [
            (coefs[i], intercepts[i], self.means[i], self.scales[i]) for i in self._changed
        ]


def raw_parameters(network, coordinates, theta):
    """Weights and biases at theta.

    Parameters
    ----------
    network : Network
    coordinates : Coordinates
        Of theta.
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
    mean, scale, are_constant = _scaling(moments)
    return mean, np.where(are_constant, 1.0, scale)


def _scaling(moments):
    """Mean, scale, and whether rounding may have made all values of one."""
    mean, variance, _, low, high = moments
    power = _power_of_two(low, high)
    mean, low, high = mean / power, low / power, high / power
    scale = np.sqrt(np.maximum(variance, 0))  # sums over sparse data may end below
    # what rounding leaves of the variance of a constant is no scale
    are_constant = (low == high) | (scale <= 10 * np.finfo(np.float64).eps * np.abs(mean))
    scale = np.maximum(scale, np.maximum(high - mean, mean - low) / _LARGEST)
    return moments[0], scale * power, are_constant


def standard_scaling(moments, dtype):
    """The mean and scale of each feature, for weights of a precision.

    Weights are divided by scales. So a feature is left out if its scale is too small for
    weights of that precision; see `warn_of_lost`. And a constant is divided by its size,
    lest the product of its mean and its weight swallows the bias.

    Parameters
    ----------
    moments : tuple
        Of `feature_moments`.
    dtype : {float32, float64}
        Of the weights.

    Returns
    -------
    mean, scale : ndarray of shape (d,)
    """
    mean, scale, are_constant = _scaling(moments)
    have_none = are_constant | (scale < _least_scale(dtype))
    return mean, np.where(have_none, np.maximum(np.abs(mean), 1.0), scale)


def deviations(moments):
    """Standard deviation of each feature, and how far from its mean it gets.

    Returns
    -------
    deviation, largest : ndarray of shape (d,)
    """
    mean, variance, _, low, high = moments
    deviation = np.sqrt(np.maximum(variance, 0)) * _power_of_two(low, high)
    return deviation, np.maximum(high - mean, mean - low)


def have_no_scale(moments, dtype):
    """Which features have not varied, or by too little for weights of a precision."""
    _, scale, are_constant = _scaling(moments)
    return are_constant | (scale < _least_scale(dtype))


def drifted(scaling, new):
    """The (mean, scale) of the features: new ones where they are no longer what they were.

    Returns
    -------
    scaling : tuple of ndarray of shape (d,), or None
        None if all are.
    """
    (mean, scale), (new_mean, new_scale) = scaling, new
    have_drifted = np.abs(np.log(new_scale / scale)) > _DRIFT
    have_drifted |= np.abs(new_mean - mean) > _DRIFT * new_scale
    if not have_drifted.any():
        return None
    return tuple(np.where(have_drifted, *pair) for pair in zip(new, scaling, strict=True))


def feature_moments(X, weights, map_rows=map):
    """Mean, variance, total weight, smallest and largest value of the features.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
        A memory map is read in blocks.
    weights : ndarray of shape (n,) or None
    map_rows : callable, default=map
        A ``map`` over a few blocks of rows: whatever it is, the moments are the same.

    Returns
    -------
    mean, variance : ndarray of shape (d,), float64
        The variance in squares of the feature's `_power_of_two`, which is 1 for most.
    total : float
        In a stream of shape (d,), see `without_idleness`.
    low, high : ndarray of shape (d,), float64
        Of rows that have a weight.
    """

    def of_block(rows):
        return _block_moments(X[rows], None if weights is None else weights[rows])

    n_rows, n_block = X.shape[0], _rows_in_a_block(X)
    of_blocks = (
        map_rows(of_block, _blocks(rows, n_rows, n_block))
        for rows in pieces(X, _BLOCKS_AT_A_TIME * n_block)
    )
    return reduce(merge_moments, chain.from_iterable(of_blocks))


def _blocks(rows, n_rows, n_block):
    """Slices of `n_block` rows that a slice of rows consists of."""
    starts = range(*rows.indices(n_rows)[:2], n_block)
    return [slice(start, start + n_block) for start in starts]


def merge_moments(one, other):
    """Moments of two sets of rows together.

    References
    ----------
    T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance",
    The American Statistician 37 (1983), eq. 2.1.
    """
    if not np.any(other[2]):
        return one
    if not np.any(one[2]):
        return other
    low, high = np.minimum(one[3], other[3]), np.maximum(one[4], other[4])
    power = _power_of_two(low, high)
    (mean, variance), (other_mean, other_variance) = (
        _in_powers(moments, power) for moments in (one, other)
    )
    total = one[2] + other[2]
    share = other[2] / total
    step = other_mean - mean
    variance = (1 - share) * variance + share * (other_variance + (1 - share) * step**2)
    return (mean + share * step) * power, variance, total, low, high


def merge_means(one, other):
    """Mean and weight of two sets of rows together, given mean and weight of each.

    Parameters
    ----------
    one, other : (ndarray of shape (d,), float)

    Returns
    -------
    mean : ndarray of shape (d,)
    weight : float
    """
    (mean, weight), (other_mean, other_weight) = one, other
    total = weight + other_weight
    share = other_weight / total if total else 0.0
    return (1 - share) * mean + share * other_mean, total


def without_idleness(moments, weight):
    """Moments of a stream in which a feature that has not varied yet counts as one row.

    All rows so far have told of it what one tells. So its mean and deviation are soon right
    when it begins to vary, as a sensor does that was idle.

    Parameters
    ----------
    moments : tuple
        Of `feature_moments`.
    weight : float
        Of a row.
    """
    mean, variance, total, low, high = moments
    is_idle = (low == high) & (total > weight)
    if is_idle.any():
        total = np.where(is_idle, weight, total)
    return mean, variance, total, low, high


def _power_of_two(low, high):
    """Powers of two to divide the features by, so that no square is beyond floats.

    It is 1 for all whose largest value is not far from it; division rounds nothing off.

    Returns
    -------
    power : float or ndarray of shape (d,)
    """
    largest = np.maximum(-low, high)
    are_far = ((largest < 1 / _FAR) & (largest > 0)) | (largest > _FAR)
    if not are_far.any():
        return 1.0
    return np.where(are_far, np.ldexp(1.0, np.frexp(largest)[1] - 1), 1.0)


def _in_powers(moments, power):
    """Mean and variance of the features divided by powers of two."""
    mean, variance, _, low, high = moments
    return mean / power, variance * (_power_of_two(low, high) / power) ** 2


def _least_scale(dtype):
    """What weights of a precision can be divided by."""
    return _LARGEST_WEIGHT / float(np.finfo(dtype).max)


def warn_of_lost(moments, dtype, known=None):
    """Name the features that vary, but by too little for weights of a precision.

    Parameters
    ----------
    moments, dtype
        See `standard_scaling`.
    known : tuple, optional
        Moments of the rows so far: features that were lost in these are not named again.
    """
    are_lost = _are_lost(moments, dtype)
    if known is not None and are_lost.any():  # in a stream, of which few calls have some
        are_lost &= ~_are_lost(known, dtype)
    if not are_lost.any():
        return
    columns, dtype = np.flatnonzero(are_lost), np.dtype(dtype)
    named = ", ".join(map(str, columns[:_MOST_NAMED]))
    if len(columns) > _MOST_NAMED:
        named += f" and {len(columns) - _MOST_NAMED} more"
    remedy = ", or pass X in float64" if dtype == np.float32 else ""
    warn(
        f"Columns of X that differ by less than {_least_scale(dtype):.1g}, too little for "
        f"weights in {dtype}, are left out: {named} (counted from 0). Multiply them by a "
        f"large number{remedy}."
    )


def _are_lost(moments, dtype):
    _, scale, are_constant = _scaling(moments)
    return ~are_constant & (scale < _least_scale(dtype))


def _rows_in_a_block(X):
    """Rows that fit in cache; of sparse ones so many that they have an entry a feature."""
    n_rows, n_features = X.shape
    if not sparse.issparse(X):
        return max(_BLOCK_NUMBERS // n_features, 1)
    return max(max(_BLOCK_NUMBERS, n_features) * n_rows // max(X.nnz, 1), 1)


def _block_moments(X, weights):
    if weights is not None and not weights.all():
        X, weights = X[weights > 0], weights[weights > 0]
    total = X.shape[0] if weights is None else weights.sum()
    if total == 0:
        zeros = np.zeros(X.shape[1])
        return zeros, zeros, 0.0, zeros, zeros
    is_sparse = sparse.issparse(X)
    ends = min_max_axis(X, axis=0) if is_sparse else (X.min(axis=0), X.max(axis=0))
    low, high = (end.astype(np.float64) for end in ends)
    power = _power_of_two(low, high)
    if is_sparse:
        # where all values have one sign, each has an entry
        shift = np.where((low > 0) | (high < 0), low / power, 0.0)
        power = np.broadcast_to(power, low.shape)
        mean, variance = _sparse_mean_variance(X, weights, power, shift)
    else:
        X = X if np.isscalar(power) else np.divide(X, power, dtype=np.float64)
        mean, variance = _dense_mean_variance(X, weights)
    return mean * power, variance, total, low, high


def _dense_mean_variance(X, weights):
    average = partial(np.average, axis=0, weights=weights)
    # the only array as large as X: of several, systems take back the memory at each call
    scratch = X.astype(np.float64)
    mean = average(scratch)
    # the rounding of a sum grows with its length; a second mean, of differences, removes it
    mean += average(np.subtract(X, mean, out=scratch))
    np.subtract(X, mean, out=scratch)
    return mean, average(np.square(scratch, out=scratch))


def _sparse_mean_variance(X, weights, power, shift):
    """Of ``X / power``; `shift` is near the values of columns without zeros, else 0.

    Sums of differences from it round off little, and nothing of a constant.
    """
    data = np.divide(X.data, power[X.indices], dtype=np.float64)
    data -= shift[X.indices]
    shifted = sparse.csr_array((data, X.indices, X.indptr), shape=X.shape)
    mean, variance = mean_variance_axis(shifted, axis=0, weights=weights)
    return mean + shift, variance
