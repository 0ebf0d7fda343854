"""Features for a net: columns of numbers, piecewise linear."""

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_is_fitted, validate_data

from skmlp._sklearn import (
    Interval,
    StrOptions,
    check_feature_names_in,
    check_sample_weight,
    fit_context,
)

__all__ = ["PiecewiseLinearEncoder"]

# n_bins="auto": so many bins of all columns together, and so many times the fourth root of
# the number of rows if that is more, up to a number of rows: a bin costs time; rows for
# each bin of a column; and the fewest and the most bins of a column
_BINS_IN_ALL, _BINS_OF_MANY_ROWS, _MOST_ROWS = 160, 20, 60_000
_ROWS_OF_BIN, _FEWEST_BINS, _MOST_BINS = 40, 5, 33
# A column of so few values, as a grade, is not divided further than into the fewest bins
_FEW_VALUES = 20
# A bin at an end that is narrower than such a part of the median one is closed
_NARROW = 0.1
# What rounding may take from a sum of shares
_ROUNDING = 1e-9


class PiecewiseLinearEncoder(TransformerMixin, BaseEstimator):
    """Columns of numbers as piecewise-linear features.

    Quantiles ``b_0 < b_1 < ... < b_K`` divide each column x into bins. The feature of bin k
    is the part of the bin that x has passed [1]_ ::

        e_k(x) = clip((x - b_k) / (b_{k+1} - b_k), 0, 1)

    where the first bin has no lower end and the last one no upper end, unless they are
    narrower than a tenth of the median bin. The linear functions
    of these features are all continuous functions of x that are linear within the bins. The
    weight of a feature is the rise of the function in its bin, so an L2 penalty on the
    weights draws the function to a constant, step by step. A net sees thresholds, and where
    most values are, at any scale and with any tails. :ref:`The derivation <piecewise>` has
    the formulas.

    Parameters
    ----------
    n_bins : int or 'auto', default='auto'
        The most bins of a column. A column of one bin passes through as it is. 'auto'
        is 160, or 20 times the fourth root of the number of rows (of 60,000 at most) if
        that is more, over the number of columns with more than two values, and at most a
        bin for 40 rows; but at least 5, at most 33, and 5 for a column of 20 values or
        fewer. So few columns have fine bins, many have coarse ones.

    include_original : bool, default=True
        Whether the column itself comes before its bins.

    Attributes
    ----------
    bin_edges_ : list of ndarray of shape (n_bins + 1,)
        Of each column: smallest value, quantiles and largest value, all distinct. Empty
        for a column without values, and for sparse X.

    fill_values_ : ndarray of shape (n_features,)
        The (weighted) mean of each column, which stands for its missing values.

    has_gaps_ : ndarray of shape (n_features,) of bool
        Which columns had missing values in `fit`; the last feature of such a column is an
        indicator.

    columns_ : ndarray of shape (n_features_out,) of int
        The column that each feature is made of.

    ramps_ : ndarray of shape (5, n_features_out)
        Of each feature: start and width of the bin, its least and its largest value, and
        its value where the column is missing.

    n_features_in_ : int
        Number of columns seen during `fit`.

    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X had names that are all strings.

    See Also
    --------
    TabularMLPClassifier, TabularMLPRegressor : Use it where held-out rows say so.
    sklearn.preprocessing.SplineTransformer : With ``degree=1`` it spans the same functions
        between the ends by hats, whose weights are levels and not rises.
    sklearn.preprocessing.KBinsDiscretizer : Steps instead of lines.

    Notes
    -----
    A missing value (NaN) of a column that had some in `fit` is the mean in the column
    itself, 0 in all bins, and 1 in the indicator. In a column that had none, a missing
    value is encoded as the mean.

    If a value has more than a bin's share of the weight, as zeros often have, it counts for
    one share when the quantiles are taken, and the other values have the other bins. The
    values on both sides of it are edges as well, so that a feature tells it from them.
    Columns of one or two distinct values have one bin.

    If X is sparse in `fit`, rows pass through as they are, and missing values are an error.
    Sparse rows of an encoder that was fitted on dense ones become dense.

    References
    ----------
    .. [1] Y. Gorishniy, I. Rubachev, A. Babenko, "On embeddings for numerical features in
       tabular deep learning", NeurIPS 2022 (eq. 1).

    Examples
    --------
    >>> from skmlp.preprocessing import PiecewiseLinearEncoder
    >>> X = [[0.0], [1.0], [2.0], [3.0], [10.0]]
    >>> encoder = PiecewiseLinearEncoder(n_bins=2).fit(X)
    >>> encoder.bin_edges_
    [array([ 0.,  2., 10.])]
    >>> encoder.transform([[1.0], [6.0], [14.0]])
    array([[ 1. ,  0.5,  0. ],
           [ 6. ,  1. ,  0.5],
           [14. ,  1. ,  1.5]])
    >>> encoder.get_feature_names_out()
    array(['x0', 'x0_bin0', 'x0_bin1'], dtype=object)
    """

    _parameter_constraints: dict = {  # noqa: RUF012, scikit-learn's convention
        "n_bins": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "include_original": ["boolean"],
    }

    # as other transformers do by `set_fit_request`, if metadata are routed
    __metadata_request__fit = {"sample_weight": True}  # noqa: RUF012

    def __init__(self, n_bins="auto", *, include_original=True):
        self.n_bins = n_bins
        self.include_original = include_original

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Find the bins.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data; NaN is a missing value.

        y : None
            Ignored.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, at least 0: weight 2 is the row twice.

        Returns
        -------
        self : PiecewiseLinearEncoder
            The fitted encoder.

        Raises
        ------
        ValueError
            If X has infinite values, or values that are further apart than the largest
            number, or a weight is negative, or none is positive.

        Examples
        --------
        >>> from skmlp.preprocessing import PiecewiseLinearEncoder
        >>> X = [[0.0], [1.0], [2.0], [3.0]]
        >>> PiecewiseLinearEncoder(2).fit(X, sample_weight=[1, 1, 1, 3]).bin_edges_
        [array([0., 2., 3.])]
        """
        X = self._validate(X, reset=True)
        edges, means, gaps = self._of_columns(X, _check_weight(sample_weight, X))
        _check_width(edges, X.dtype)
        self.bin_edges_, self.fill_values_, self.has_gaps_ = edges, means, gaps
        ramps = [self._ramps(*column) for column in zip(edges, means, gaps, strict=True)]
        self.columns_ = np.repeat(np.arange(X.shape[1]), [of.shape[1] for of in ramps])
        self.ramps_ = np.concatenate(ramps, axis=1).astype(X.dtype)
        return self

    def _ramps(self, edges, mean, has_gaps):
        """Of the features of a column, see `ramps_`."""
        ramps = [_ramps_of_bins(edges, None if has_gaps else mean)]
        if self.include_original or not ramps[0].size:
            ramps.insert(0, [[0.0], [1.0], [-np.inf], [np.inf], [mean]])
        if has_gaps:
            ramps.append([[0.0], [1.0], [0.0], [0.0], [1.0]])
        return np.concatenate(ramps, axis=1)

    def _of_columns(self, X, weight):
        """Edges of the bins and mean of each column, and whether it has gaps."""
        if sparse.issparse(X):
            n_features = X.shape[1]
            nothing = [np.empty(0)] * n_features
            return nothing, np.zeros(n_features), np.zeros(n_features, bool)
        if not weight.all():
            X, weight = X[weight > 0], weight[weight > 0]
        n_bins = self.n_bins
        if n_bins == "auto":
            n_bins = _auto_n_bins(X.shape[0], sum(map(_has_bins, X.T)))
        edges, means, are_known = [], [], ~np.isnan(X)
        for column, is_known in zip(X.T, are_known.T, strict=True):
            values = column[is_known], weight[is_known]
            edges.append(_bin_edges(*values, n_bins, is_auto=self.n_bins == "auto"))
            means.append(_mean(*values))
        return edges, np.array(means), ~are_known.all(axis=0)

    def transform(self, X):
        """Encode X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data. Gaps in columns that had none in `fit` are no error.

        Returns
        -------
        features : ndarray or sparse matrix of shape (n_samples, n_features_out)
            In the order of the columns: each column itself, its bins, and whether it is
            missing. X itself if it is sparse, as it was in `fit`.

        Raises
        ------
        ValueError
            If X has infinite values or other columns than in `fit`.

        Examples
        --------
        >>> from skmlp.preprocessing import PiecewiseLinearEncoder
        >>> encoder = PiecewiseLinearEncoder(2).fit([[0.0], [2.0], [10.0], [float("nan")]])
        >>> encoder.transform([[1.0], [float("nan")]])
        array([[1. , 0.5, 0. , 0. ],
               [4. , 0. , 0. , 1. ]])
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        if not sparse.issparse(X):
            return self._encode(X)
        has_columns_only = np.array_equal(self.columns_, np.arange(X.shape[1]))
        return X if has_columns_only else self._encode(X.toarray())

    def _encode(self, X):
        """Features of dense rows: in the precision of `fit`, or more, and cast to X's."""
        dtype = np.result_type(X, self.ramps_)
        *ramps, of_gap = self.ramps_.astype(dtype, copy=False)
        features = X[:, self.columns_].astype(dtype, copy=False)
        _climb(features, *ramps)
        gaps = np.isnan(X)
        if gaps.any():
            np.copyto(features, of_gap, where=gaps[:, self.columns_])
        return _cast(features, X.dtype)

    def get_feature_names_out(self, input_features=None):
        """Make names of the features: of column a, they are a, a_bin0, ..., a_missing.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns; None takes those seen in `fit`, or x0, x1, ...

        Returns
        -------
        names : ndarray of shape (n_features_out,) of object

        Examples
        --------
        >>> from skmlp.preprocessing import PiecewiseLinearEncoder
        >>> encoder = PiecewiseLinearEncoder(2).fit([[0.0], [2.0], [10.0], [float("nan")]])
        >>> encoder.get_feature_names_out(["age"]).tolist()
        ['age', 'age_bin0', 'age_bin1', 'age_missing']
        """
        check_is_fitted(self)
        names = []
        for j, name in enumerate(check_feature_names_in(self, input_features)):
            n_bins = _n_bins_between(self.bin_edges_[j])
            has_original = self.include_original or not n_bins
            names += [name] * has_original
            names += [f"{name}_bin{k}" for k in range(n_bins)]
            names += [f"{name}_missing"] * bool(self.has_gaps_[j])
        return np.array(names, dtype=object)

    @property
    def _n_features_out(self):
        return len(self.columns_)

    def _validate(self, X, reset):
        X = validate_data(
            self,
            X,
            accept_sparse="csr",
            dtype=(np.float64, np.float32),
            ensure_all_finite="allow-nan",
            reset=reset,
        )
        if sparse.issparse(X):
            assert_all_finite(X.data, estimator_name=type(self).__name__, input_name="X")
        return X


def _check_weight(sample_weight, X):
    """Weights of the rows, 1 by default."""
    if sample_weight is None:
        return np.ones(X.shape[0])
    weight = check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    if not 0 < weight.sum() < np.inf:
        raise ValueError(
            f"The sum of sample_weight must be positive and finite, got {weight.sum()}."
        )
    return weight


def _check_width(edges, dtype):
    """Raise ValueError if a difference of two values overflows."""
    for i, of_column in enumerate(edges):
        halves = of_column[-1:] / 2 - of_column[:1] / 2
        if (halves > np.finfo(dtype).max / 2).any():
            raise ValueError(
                f"The values of column {i} of X are further apart than the largest number "
                f"of {dtype}: divide them by 2 or more."
            )


def _mean(values, weight):
    """Weighted mean, a sum that does not overflow; 0 of no values."""
    return float((values * (weight / weight.sum())).sum()) if len(values) else 0.0


def _climb(x, start, width, least, most):
    """Make ramps of x, in place: 0 at the start, 1 a width after it, never infinite."""
    numbers = np.finfo(x.dtype)
    with np.errstate(over="ignore"):
        x -= start
        x /= width
    np.clip(x, np.maximum(least, numbers.min), np.minimum(most, numbers.max), out=x)


def _cast(features, dtype):
    """Features in a dtype, the largest number of which stands for larger ones."""
    if features.dtype == dtype:
        return features
    numbers = np.finfo(dtype)
    return np.clip(features, numbers.min, numbers.max, out=features).astype(dtype)


def _bin_edges(values, weight, n_bins, is_auto):
    """Smallest value, quantiles and largest value, all distinct, in float64.

    A value counts for a bin's share of the weight at the most. If it has more, the values
    beside it are edges, too: the features then tell it from all others by a step.

    Parameters
    ----------
    values, weight : ndarray of shape (n,)
    n_bins : int
        The most.
    is_auto : bool
        Whether few values have fewer bins.

    Returns
    -------
    edges : ndarray of shape (n_edges,)
        Fewer than `n_bins` + 1 if there are few values, and up to two more for each value
        of more than a bin's share; none without values.
    """
    distinct, of_row = np.unique(values.astype(np.float64), return_inverse=True)
    if is_auto and len(distinct) <= _FEW_VALUES:
        n_bins = _FEWEST_BINS
    if len(distinct) <= n_bins + 1:
        return distinct
    shares = np.bincount(of_row, weight) / weight.sum()
    passed = np.cumsum(_without_excess(shares, n_bins))
    quantiles = np.arange(1, n_bins) / n_bins * passed[-1]
    at = np.searchsorted(passed, quantiles * (1 - _ROUNDING))
    atoms = np.flatnonzero(shares > 1 / n_bins)
    inner = np.concatenate([at, atoms - 1, atoms, atoms + 1])
    ends = [0, len(distinct) - 1]
    return distinct[np.union1d(inner.clip(*ends), ends).astype(int)]


def _without_excess(shares, n_bins):
    """Shares of values, none of which is more than one bin's share of their sum.

    The m largest ones are cut. If s is the sum of the others, all n bins have the sum
    s + m c, and the cut c is one of n shares of it: c = s / (n - m).
    """
    ascending = np.sort(shares)
    sums_of_others = np.cumsum(ascending)[::-1][:n_bins]
    cuts = sums_of_others / np.arange(n_bins, 0, -1)
    # the first that leaves the next value as it is
    m = np.argmax(ascending[::-1][:n_bins] <= cuts)
    return np.minimum(shares, cuts[m])


def _n_bins_between(edges):
    """Number of bins that are features: none if there is a single one."""
    return len(edges) - 1 if len(edges) > 2 else 0


def _ramps_of_bins(edges, fill_value):
    """See `PiecewiseLinearEncoder.ramps_`; a gap is 0, or as the fill value if given."""
    n_bins = _n_bins_between(edges)
    start, width = edges[:n_bins], np.diff(edges)[:n_bins]
    least, most = np.zeros(n_bins), np.ones(n_bins)
    if n_bins:
        # beyond a narrow bin at an end, as there is beside a value that has much of the
        # mass, a value would be many bins away
        is_open = width >= _NARROW * np.median(width)
        least[0], most[-1] = -np.inf if is_open[0] else 0, np.inf if is_open[-1] else 1
    of_gap = np.zeros(n_bins)
    if fill_value is not None:
        of_gap += fill_value
        _climb(of_gap, start, width, least, most)
    return np.array([start, width, least, most, of_gap])


def _has_bins(column):
    """Whether a column has more than two distinct values."""
    known = column[~np.isnan(column)]
    return len(known) > 0 and ((known != known.min()) & (known != known.max())).any()


def _auto_n_bins(n_rows, n_columns):
    """The most bins of each of so many columns."""
    root = min(n_rows, _MOST_ROWS) ** 0.25
    in_all = int(max(_BINS_IN_ALL, _BINS_OF_MANY_ROWS * root))
    most = min(in_all // max(n_columns, 1), n_rows // _ROWS_OF_BIN, _MOST_BINS)
    return max(most, _FEWEST_BINS)
