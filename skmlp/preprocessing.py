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

# n_bins="auto": a bin for so many rows, but at least and at most so many bins
_ROWS_OF_BIN, _FEWEST_BINS, _MOST_BINS = 800, 5, 33
# What rounding may take from a sum of shares
_ROUNDING = 1e-9


class PiecewiseLinearEncoder(TransformerMixin, BaseEstimator):
    """Columns of numbers as piecewise-linear features.

    Each column x is divided into bins by quantiles ``b_0 < b_1 < ... < b_K``. The feature
    of bin k is how much of the bin x has passed [1]_ ::

        e_k(x) = clip((x - b_k) / (b_{k+1} - b_k), 0, 1)

    where the first bin has no lower end and the last one no upper end. A linear function
    of these features is any continuous function of x that is linear within the bins; and
    the weight of a feature is what the function rises by in its bin. An L2 penalty on the
    weights then is a penalty on how unevenly it rises. So a net sees thresholds, and where
    most values are, at any scale and with any tails.

    Parameters
    ----------
    n_bins : int or 'auto', default='auto'
        Most bins of a column. 'auto' is a bin for every 800 rows, but at least 5 and at
        most 33. A column of one bin passes through as it is.

    include_original : bool, default=True
        Whether the column itself comes before its bins.

    Attributes
    ----------
    bin_edges_ : list of ndarray of shape (n_bins + 1,)
        Of each column: smallest value, quantiles and largest value, all distinct.

    fill_values_ : ndarray of shape (n_features,)
        The (weighted) mean of each column, which stands for missing values in the column
        itself.

    has_gaps_ : ndarray of shape (n_features,) of bool
        Which columns had missing values in `fit`; these have an indicator as last feature.

    columns_ : ndarray of shape (n_features_out,) of int
        The column that each feature is made of.

    ramps_ : ndarray of shape (5, n_features_out)
        What each feature is made by: start and width of the bin, least and most of the
        feature, and what it is where the column is missing.

    n_features_in_ : int
        Number of columns seen during `fit`.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if X had names that are all strings.

    See Also
    --------
    TabularMLPClassifier, TabularMLPRegressor : Use it where held-out rows say so.
    sklearn.preprocessing.SplineTransformer : With ``degree=1`` it spans the same functions,
        by features that are hats; their penalty draws the function to 0 and not to a line.
    sklearn.preprocessing.KBinsDiscretizer : Steps instead of lines.

    Notes
    -----
    A missing value (NaN) is 0 in all bins. If a value has more than a bin's share of the
    weight, as zeros often have, it counts for that share only when the quantiles are
    taken: the others have the rest of the bins. Columns of one or two distinct values
    have one bin.

    Sparse X passes through as it is, without missing values.

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
            If X has infinite values, or a weight is negative, or none is positive.
        """
        X = self.validated(X, reset=True)
        if sample_weight is None:
            weight = np.ones(X.shape[0])
        else:
            weight = check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
            if not weight.any():
                raise ValueError("The sum of sample_weight must be positive.")
        edges, means, gaps = self._of_columns(X, weight)
        self.bin_edges_, self.fill_values_, self.has_gaps_ = edges, means, gaps
        ramps = [self._ramps(*column) for column in zip(edges, means, gaps, strict=True)]
        self.columns_ = np.repeat(np.arange(X.shape[1]), [of.shape[1] for of in ramps])
        self.ramps_ = np.concatenate(ramps, axis=1)
        return self

    def _ramps(self, edges, mean, has_gaps):
        """Of the features of a column, see `ramps_`."""
        ramps = [_ramps_of_bins(edges)]
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
        X, weight = X[weight > 0], weight[weight > 0]
        n_bins = auto_n_bins(X.shape[0]) if self.n_bins == "auto" else self.n_bins
        edges, means, are_known = [], [], ~np.isnan(X)
        for column, is_known in zip(X.T, are_known.T, strict=True):
            values = column[is_known], weight[is_known]
            edges.append(_bin_edges(*values, n_bins))
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
        features : ndarray of shape (n_samples, n_features_out), or X if it is sparse
            In the order of the columns: each column itself, its bins, and whether it is
            missing.

        Raises
        ------
        ValueError
            If X has infinite values or other columns than in `fit`.
        """
        check_is_fitted(self)
        X = self.validated(X, reset=False)
        return X if sparse.issparse(X) else self.encode(X)

    def encode(self, X):
        """What `transform` does with validated, dense rows, block by block.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)

        Returns
        -------
        features : ndarray of shape (n_samples, n_features_out)
        """
        start, width, least, most, of_gap = self.ramps_.astype(X.dtype)
        features = X[:, self.columns_]
        features -= start
        features /= width
        np.clip(features, least, most, out=features)
        gaps = np.isnan(X)
        if gaps.any():
            np.copyto(features, of_gap, where=gaps[:, self.columns_])
        return features

    def get_feature_names_out(self, input_features=None):
        """Names of the features: of column a, they are a, a_bin0, ..., a_missing.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns; None takes those seen in `fit`, or x0, x1, ...

        Returns
        -------
        names : ndarray of shape (n_features_out,) of object
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

    def validated(self, X, reset=False):
        """X as an array of floats, or CSR; see `transform` for its errors."""
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


def _mean(values, weight):
    """Weighted mean; 0 of no values."""
    return float(np.average(values, weights=weight)) if len(values) else 0.0


def _bin_edges(values, weight, n_bins):
    """Smallest value, quantiles and largest value, all distinct.

    A value counts for a bin's share of the weight at the most.

    Parameters
    ----------
    values, weight : ndarray of shape (n,)
    n_bins : int
        The most.

    Returns
    -------
    edges : ndarray of shape (n_edges,)
        Fewer than `n_bins` + 1 if there are few values; none without values.
    """
    distinct, of_row = np.unique(values, return_inverse=True)
    if len(distinct) <= n_bins + 1:
        return distinct
    shares = np.bincount(of_row, weight) / weight.sum()
    passed = np.cumsum(_without_excess(shares, n_bins))
    quantiles = np.arange(1, n_bins) / n_bins * passed[-1]
    inner = distinct[np.searchsorted(passed, quantiles * (1 - _ROUNDING))]
    return np.unique(np.concatenate([distinct[:1], inner, distinct[-1:]]))


def _without_excess(shares, n_bins):
    """Shares of values, none of which is more than one bin's share of their sum."""
    capped = shares
    for _ in range(n_bins):
        capped = np.minimum(shares, capped.sum() / n_bins)
    return capped


def _n_bins_between(edges):
    """Number of bins that are features: none if there is a single one."""
    return len(edges) - 1 if len(edges) > 2 else 0


def _ramps_of_bins(edges):
    """See `PiecewiseLinearEncoder.ramps_`."""
    n_bins = _n_bins_between(edges)
    start, width = edges[:n_bins], np.diff(edges)[:n_bins]
    least, most = np.zeros(n_bins), np.ones(n_bins)
    least[:1], most[-1:] = -np.inf, np.inf
    return np.array([start, width, least, most, np.zeros(n_bins)])


def auto_n_bins(n_rows):
    """The most bins of a column of so many rows."""
    return min(max(n_rows // _ROWS_OF_BIN, _FEWEST_BINS), _MOST_BINS)
