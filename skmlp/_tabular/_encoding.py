"""The features that a net sees of a table."""

import numpy as np
from sklearn import config_context
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder

from skmlp._sklearn import select
from skmlp.preprocessing import PiecewiseLinearEncoder

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
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", dtype=_dtype(table, numbers)
    )
    with config_context(enable_metadata_routing=True):
        bins.set_fit_request(sample_weight=True)
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


def has_bins(encoder):
    """Whether an encoder makes more of a table than the columns themselves."""
    bins = encoder.named_transformers_["numbers"]
    return isinstance(bins, PiecewiseLinearEncoder) and any(
        len(edges) > 2 for edges in bins.bin_edges_
    )
