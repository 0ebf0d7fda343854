"""Missing values, by whatever name: None, NaN, NaT, pandas.NA."""

from decimal import Decimal
from numbers import Real

import numpy as np
from sklearn.preprocessing import OneHotEncoder


def is_missing(value):
    """Whether a value stands for none."""
    # NaN differs from itself; pandas.NA does not say, and NaT is a date as well
    is_nan = isinstance(value, (Real, Decimal)) and value != value
    return value is None or is_nan or type(value).__name__ in ("NAType", "NaTType")


class GapOneHotEncoder(OneHotEncoder):
    """scikit-learn's encoder, for which all missing values are one category.

    It tells None from NaN, and refuses pandas.NA beside texts; but a column that is read
    anew, or comes from another kind of frame, may have another of these.
    """

    def fit(self, X, y=None):
        """Fit the encoder; see `OneHotEncoder`."""
        return super().fit(_with_one_gap(X))

    def fit_transform(self, X, y=None):
        """Fit and encode."""
        return self.fit(X).transform(X)

    def transform(self, X):
        """Encode."""
        return super().transform(_with_one_gap(X))


def _with_one_gap(X):
    """Columns as an array of objects, with NaN for all that is missing."""
    values = np.array(X, dtype=object)
    for column in values.T:
        distinct = {id(value): value for value in column}
        gaps = {key for key, value in distinct.items() if is_missing(value)}
        if gaps:
            column[[id(value) in gaps for value in column]] = np.nan
    return values
