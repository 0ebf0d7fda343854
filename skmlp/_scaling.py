"""What to subtract from each feature and to divide it by.

Most columns have their mean and their standard deviation. Two kinds do not: a few huge
values can ruin the deviation of a column, and columns of one unit, as pixels are, may be
better off with one divisor for all.
"""

import numpy as np
from scipy import sparse

from skmlp._coordinates import deviations, have_no_scale, standard_scaling

# What all columns may be divided by, in roots of their mean variance
UNITS = {"common": 1.0, "wide": 3.0}
# Rows that the middle of a column is looked for in
N_ROWS = 4800
# Columns whose largest value is further from the mean, in deviations, are looked at; they
# have heavy tails if it is further from the median, in robust deviations
_FAR = 10.0
# Of normal values, 90% are within so many deviations of the median
_SHARE, _NORMAL_SHARE = 0.9, 1.645
# No standardised value is larger: its square, of which Adam has a mean, is a number in
# single precision
_LARGEST = 1e18
# Fewer values besides the most common one tell nothing of others
_FEWEST_VALUES = 20


def scaling_of(moments, dtype, tails=None, unit=None):
    """Mean and scale of the features.

    Parameters
    ----------
    moments : tuple
        Of `feature_moments`.
    dtype : {float32, float64}
        Of the weights; see `standard_scaling`.
    tails : (ndarray of shape (d,), ndarray of shape (d,)) or None
        Of `find_tails`.
    unit : {"common", "wide"} or None
        If given, all columns that vary, and have no heavy tails, have one scale; see
        `UNITS`.

    Returns
    -------
    mean, scale : ndarray of shape (d,)
    """
    mean, scale = standard_scaling(moments, dtype)
    center, of_tails = np.zeros((2, len(mean))) if tails is None else tails
    is_heavy = of_tails > 0
    if unit is not None:
        share_one = ~(is_heavy | have_no_scale(moments, dtype))
        scale = np.where(share_one, UNITS[unit] * _common_scale(moments, share_one), scale)
    return np.where(is_heavy, center, mean), np.where(is_heavy, of_tails, scale)


def _common_scale(moments, are_meant):
    """The root of the mean variance of some columns; 1 if there are none."""
    deviation = deviations(moments)[0][are_meant]
    if not len(deviation):
        return 1.0
    largest = deviation.max()  # its square may be no float
    return largest * np.sqrt(((deviation / largest) ** 2).mean())


def find_tails(moments, sample, saturates):
    """The middle of columns with heavy tails.

    Such a column has a value that is further from the median than `_FAR` robust deviations:
    90% of its values, without those that are the median itself, are within 1.645 of them,
    as it is with normal values. (A column of zeros and amounts is judged by its amounts.)

    A unit that saturates does not mind how far a value is: there the scale is the robust
    deviation. Others do: there it is the geometric mean of this and the standard deviation.

    Parameters
    ----------
    moments : tuple
        Of `feature_moments`.
    sample : callable
        ``sample()`` returns `Rows`, some of the rows that the moments are of. It is called
        if there is a column that has to be looked at.
    saturates : bool
        Whether the units that see the features do.

    Returns
    -------
    tails : (ndarray of shape (d,), ndarray of shape (d,)) or None
        The median, and what stands for the standard deviation, 0 for columns without heavy
        tails. None if there is no other.
    """
    low, high = moments[3:]
    deviation, largest = deviations(moments)
    columns = np.flatnonzero(largest > _FAR * deviation)
    if not len(columns):
        return None
    center, scale = np.zeros((2, len(low)))
    center[columns], scale[columns] = _middle(sample(), columns)
    furthest = np.maximum(high - center, center - low)
    is_heavy = (scale > 0) & (furthest > _FAR * scale)
    if not saturates:
        scale = np.sqrt(scale) * np.sqrt(deviation)
    scale = np.where(is_heavy, np.maximum(scale, furthest / _LARGEST), 0)
    return (center, scale) if scale.any() else None


def merge_tails(one, other, share):
    """The middle by two sets of rows together.

    Parameters
    ----------
    one, other : (ndarray of shape (d,), ndarray of shape (d,)) or None
        Of `find_tails`.
    share : float
        Of the weight of the rows that the second is of.
    """
    if one is None or other is None:
        return one if other is None else other
    share = np.where(other[1] > 0, np.where(one[1] > 0, share, 1.0), 0.0)
    return tuple(a + share * (b - a) for a, b in zip(one, other, strict=True))


def _middle(rows, columns):
    """Median and robust deviation of columns; this is 0 where too few values tell it."""
    X = rows.X[:, columns]
    weights = np.ones(rows.n_rows) if rows.weights is None else rows.weights
    if not sparse.issparse(X):
        return _middle_of_dense(X, weights)
    X = sparse.csc_array(X)
    center, scale = np.zeros(len(columns)), _typical(abs(X), weights)
    # of most columns the median is 0, but not of columns without zeros
    for column in np.flatnonzero(np.diff(X.indptr) > rows.n_rows / 2):
        dense = X[:, [column]].toarray()
        center[[column]], scale[[column]] = _middle_of_dense(dense, weights)
    return center, scale


def _middle_of_dense(X, weights):
    X = X.astype(np.float64, copy=False)
    center = _medians(X, weights)
    return center, _typical(sparse.csc_array(np.abs(X - center)), weights)


def _medians(X, weights):
    """Weighted median of each column."""
    order = np.argsort(X, axis=0)
    index = (np.cumsum(weights[order], axis=0) < weights.sum() / 2).sum(axis=0)
    columns = np.arange(X.shape[1])
    return X[order[index, columns], columns]


def _typical(distances, weights):
    """Robust deviation of each column by its distances from the median.

    Parameters
    ----------
    distances : CSC of shape (n, d)
        Zeros are left out.
    weights : ndarray of shape (n,)

    Returns
    -------
    scale : ndarray of shape (d,)
        0 where there are too few distances.
    """
    distances.eliminate_zeros()
    starts, n_values = distances.indptr[:-1], np.diff(distances.indptr)
    columns = np.repeat(np.arange(len(n_values)), n_values)
    order = np.lexsort((distances.data, columns))
    weight = np.append(0, np.cumsum(weights[distances.indices[order]]))
    before, after = weight[starts], weight[starts + n_values]
    index = np.searchsorted(weight[1:], before + _SHARE * (after - before))
    are_enough = n_values >= _FEWEST_VALUES
    scale = np.zeros(len(n_values))
    scale[are_enough] = distances.data[order[index[are_enough]]] / _NORMAL_SHARE
    return scale
