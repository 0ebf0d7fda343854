"""The features that a net sees of a table."""

from functools import partial

import numpy as np
from scipy import sparse
from sklearn import config_context
from sklearn.compose import ColumnTransformer

from skmlp._encoded import MOST_BYTES, Encoded
from skmlp._sklearn import count_samples, select
from skmlp._tabular._gaps import GapOneHotEncoder
from skmlp.preprocessing import PiecewiseLinearEncoder

# Categories of a column that have a feature each; the rarest of more share one
_MOST_CATEGORIES = 256
# The transformers of the columns of a table
_STEPS = ("numbers", "categories")
# What a column of numbers becomes: itself, or its bins as well
N_BINS = {"linear": 1, "piecewise": "auto"}


def fit_encoder(table, are_categories, encoding, sample_weight):
    """A fitted transformer of a table into features.

    Parameters
    ----------
    table : DataFrame, ndarray or CSR of shape (n, d)
    are_categories : ndarray of shape (d,) of bool
    encoding : {'linear', 'piecewise'}
    sample_weight : ndarray of shape (n,) or None

    Returns
    -------
    encoder : ColumnTransformer
    """
    numbers, categories = np.flatnonzero(~are_categories), np.flatnonzero(are_categories)
    bins = PiecewiseLinearEncoder(N_BINS[encoding])
    one_hot = GapOneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=_MOST_CATEGORIES,
        dtype=_dtype(table, numbers),
    )
    with config_context(enable_metadata_routing=True):
        encoder = ColumnTransformer(
            [
                ("numbers", bins, numbers.tolist()),
                ("categories", one_hot, categories.tolist()),
            ],
            verbose_feature_names_out=False,
        ).set_output(transform="default")
        if sample_weight is None:
            return encoder.fit(table)
        # a category of rows without weight is unknown
        rows = np.flatnonzero(sample_weight > 0)
        return encoder.fit(select(table, rows), sample_weight=sample_weight[rows])


def _dtype(table, numbers):
    """float32 if all numbers are."""
    columns = select(table, numbers.tolist(), axis=1)
    dtypes = columns.dtypes if hasattr(columns, "dtypes") else [columns.dtype]
    are_single = [str(dtype).lower() == "float32" for dtype in dtypes]
    return np.float32 if are_single and all(are_single) else np.float64


def encode(encoder, table):
    """The features of a table; those that take too much memory are made when read.

    Parameters
    ----------
    encoder : ColumnTransformer
        Of `fit_encoder`.
    table : DataFrame, ndarray or CSR of shape (n, d)

    Returns
    -------
    features : {ndarray, CSR, Encoded} of shape (n, d_out)
    """
    numbers, categories = map(encoder.named_transformers_.get, _STEPS)
    n_features = max(outputs.stop for outputs in encoder.output_indices_.values())
    n_most = MOST_BYTES // (n_features * np.dtype(np.float64).itemsize)
    n_rows = count_samples(table)
    if n_rows <= n_most or not has_bins(encoder):
        return encoder.transform(table)
    if encoder.sparse_output_:
        pieces = (np.arange(i, min(i + n_most, n_rows)) for i in range(0, n_rows, n_most))
        return sparse.vstack([encoder.transform(select(table, rows)) for rows in pieces])
    columns = {name: which for name, _, which in encoder.transformers_}
    of_numbers, of_categories = (
        select(table, columns.get(name, []), axis=1) for name in _STEPS
    )
    parts = [numbers._validate(of_numbers, reset=False)]
    if of_categories.shape[1]:
        parts.append(categories.transform(of_categories))
    return Encoded(parts, partial(_make, numbers))


def _make(numbers, columns, one_hot=None):
    """The features of some rows."""
    features = numbers._encode(columns)
    if one_hot is None:
        return features
    return np.hstack([features, one_hot.toarray()])


def has_bins(encoder):
    """Whether an encoder makes more of a table than the columns themselves."""
    bins = encoder.named_transformers_["numbers"]
    # the transformer of no columns is not fitted
    return any(len(edges) > 2 for edges in getattr(bins, "bin_edges_", []))
