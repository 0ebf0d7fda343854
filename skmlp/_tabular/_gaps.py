"""Missing values, by whatever name: None, NaN, NaT, pandas.NA."""

import numpy as np
from sklearn.preprocessing import OneHotEncoder


def is_missing(value):
    """Whether a value stands for none."""
    return not isinstance(value, str) and str(value) in ("None", "nan", "NaT", "<NA>")


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
