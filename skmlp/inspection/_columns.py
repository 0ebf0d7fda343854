"""Columns of a table, each of which a network sees as several features."""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils import check_array

from skmlp._sklearn import select
from skmlp._tabular._estimator import TabularMLP
from skmlp._tabular._table import check_table
from skmlp.preprocessing import PiecewiseLinearEncoder


class Columns(NamedTuple):
    """What results are about: columns of a table, or the features themselves.

    Attributes
    ----------
    rows : {ndarray, CSR} of shape (n, d)
        As the user has them.
    sums : CSR of shape (n_features, d) or None
        Ones where a feature is of a column; None if the features are the columns.
    slopes : Slopes or None
        How the features change with the columns; None if the features are the columns.
    """

    rows: np.ndarray
    sums: sparse.csr_array | None = None
    slopes: "Slopes | None" = None

    def total(self, parts):
        """What the features of each column have together.

        Parameters
        ----------
        parts : ndarray of shape (n, T, n_features)

        Returns
        -------
        totals : ndarray of shape (n, T, d)
        """
        if self.sums is None:
            return parts
        totals = parts.reshape(-1, parts.shape[2]) @ self.sums.astype(parts.dtype)
        return totals.reshape(*parts.shape[:2], self.rows.shape[1])


class Slopes(NamedTuple):
    """Derivatives of the features of a table with respect to its columns.

    Attributes
    ----------
    numbers : ndarray of shape (n, d)
        NaN where there is no number.
    of_features : ndarray of shape (n_features,) of int
        The column of each feature.
    begins, ends, rates : ndarray of shape (n_features,)
        A feature changes at this rate where its column is in [begin, end).
    """

    numbers: np.ndarray
    of_features: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    rates: np.ndarray

    def at(self, rows):
        """The derivatives, of shape (n, n_features), and where columns have none."""
        numbers = self.numbers[rows]
        values = numbers[:, self.of_features]
        is_within = (self.begins <= values) & (values < self.ends)
        return np.where(is_within, self.rates, 0), np.isnan(numbers)


def encode(model, rows):
    """What the network within a model is given of rows: of tables, features."""
    return model._features(rows) if isinstance(model, TabularMLP) else rows


def columns_of(model, rows, X):
    """What results are about.

    Parameters
    ----------
    model : BaseMLP
        Fitted.
    rows : {DataFrame, array-like, sparse matrix} of shape (n, d)
        As `model` takes them.
    X : {ndarray, CSR} of shape (n, n_features)
        As its network sees them.

    Returns
    -------
    columns : Columns
    """
    if not isinstance(model, TabularMLP):
        return Columns(X)
    table, encoder = check_table(model, rows, reset=False), model.encoder_
    if sparse.issparse(table):  # which the encoder leaves as it is
        return Columns(table)
    of_features = features_of_columns(encoder)
    ones, places = np.ones(len(of_features)), np.arange(len(of_features))
    shape = len(of_features), encoder.n_features_in_
    sums = sparse.csr_array((ones, (places, of_features)), shape)
    slopes = Slopes(_numbers(encoder, table), of_features, *_ramps(encoder))
    return Columns(np.asarray(table), sums, slopes)


def features_of_columns(encoder):
    """The column that each feature is made of.

    Parameters
    ----------
    encoder : ColumnTransformer
        As tables have it: of columns that are named by their numbers.

    Returns
    -------
    columns : ndarray of shape (n_features,) of int
    """
    columns = [
        np.asarray(taken)[_inputs(transformer)] for transformer, taken, _ in _parts(encoder)
    ]
    return np.concatenate(columns)


def _parts(encoder):
    """Transformers that have columns, these, and the place of their features."""
    parts = [
        (transformer, taken, encoder.output_indices_[name])
        for name, transformer, taken in encoder.transformers_
        if len(taken) and transformer != "drop"
    ]
    return sorted(parts, key=lambda part: part[2].start)


def _inputs(transformer):
    """Of its columns, by their place among them, the one that each feature is of."""
    if isinstance(transformer, PiecewiseLinearEncoder):
        return transformer.columns_
    if isinstance(transformer, OneHotEncoder):
        counts = _category_counts(transformer)
        return np.repeat(np.arange(len(counts)), counts)
    raise TypeError(f"The features of a {type(transformer).__name__} are of no column.")


def _category_counts(one_hot):
    """How many features each column has: infrequent categories share one."""
    counts = np.array([len(categories) for categories in one_hot.categories_])
    infrequent = getattr(one_hot, "infrequent_categories_", [None] * len(counts))
    counts -= [0 if rare is None else len(rare) - 1 for rare in infrequent]
    if one_hot.drop_idx_ is not None:
        counts -= [index is not None for index in one_hot.drop_idx_]
    return counts


def _numbers(encoder, table):
    """The columns of numbers, validated as their encoder does; NaN elsewhere."""
    numbers = np.full(table.shape, np.nan)
    for transformer, taken, _ in _parts(encoder):
        if isinstance(transformer, PiecewiseLinearEncoder):
            numbers[:, taken] = check_array(
                select(table, taken, axis=1),
                dtype=(np.float64, np.float32),
                ensure_all_finite="allow-nan",
            )
    return numbers


def _ramps(encoder):
    """Where each feature begins and ends to change with its column, and its rate.

    A bin ends where the next one begins. Categories and indicators never change.
    """
    ramps = [
        _ramps_of_bins(transformer)
        if isinstance(transformer, PiecewiseLinearEncoder)
        else np.zeros((3, place.stop - place.start))
        for transformer, _, place in _parts(encoder)
    ]
    return np.concatenate(ramps, axis=1)


def _ramps_of_bins(encoder):
    start, width, least, most, _ = encoder.ramps_.astype(float)
    begins = np.where(np.isfinite(least), start, -np.inf)
    # the start of the next bin, or what rounding makes of it
    ends, following = start + width, np.roll(start, -1)
    ends = np.where(np.isclose(ends, following, rtol=1e-6), following, ends)
    ends[np.isinf(most)] = np.inf
    ends[least == most] = -np.inf
    return np.array([begins, ends, 1 / width])
