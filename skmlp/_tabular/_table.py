"""A table, validated: which of its columns are numbers, and which are categories."""

from datetime import date, timedelta
from numbers import Integral, Number

import numpy as np
from scipy import sparse
from sklearn.utils.validation import validate_data

from skmlp._sklearn import count_samples, select
from skmlp._tabular._gaps import is_missing

# What the names of the dtypes of pandas, polars, pyarrow and numpy begin with
_CATEGORIES = (
    *("category", "categorical", "enum", "dictionary"),
    *("str", "utf8", "large_string", "<u", "|s"),
)
_NUMBERS = (
    *("int", "uint", "float", "double", "halffloat", "bool"),
    *("decimal", "sparse", "null"),
)
_DATES = ("date", "time", "period", "duration")


def check_table(estimator, X, *, reset):
    """Validate the shape of a table and the names of its columns.

    Parameters
    ----------
    estimator : estimator
        Learns the number and the names of the columns with ``reset=True``; else they must
        be those that it knows.
    X : {DataFrame, array-like, sparse matrix} of shape (n, d)
    reset : bool

    Returns
    -------
    X : DataFrame, ndarray or CSR
        A frame as it is: its columns are validated when they are encoded.

    Raises
    ------
    ValueError
    """
    if not is_frame(X):
        return validate_data(
            estimator,
            X,
            reset=reset,
            dtype=None,
            accept_sparse="csr",
            ensure_all_finite="allow-nan",
        )
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    if not (count_samples(X) and estimator.n_features_in_):
        raise ValueError(
            f"Found array with shape {tuple(X.shape)}: a minimum of 1 sample and 1 feature "
            f"is required by {type(estimator).__name__}."
        )
    return X


def is_frame(X):
    """Whether X has columns with a dtype each."""
    return hasattr(X, "columns") and hasattr(X, "dtypes")


def find_categories(X, categorical_features):
    """Which columns are categories.

    Parameters
    ----------
    X : DataFrame, ndarray or CSR of shape (n, d)
    categorical_features : {'from_dtype'}, array-like or None
        Names, indices or a mask; see `TabularMLPClassifier`.

    Returns
    -------
    are_categories : ndarray of shape (d,) of bool

    Raises
    ------
    ValueError
        If a column is neither a number nor a category.
    """
    kinds = np.array(_kinds(X))
    names = _names(X)
    for name, kind in zip(names, kinds, strict=True):
        _check_kind(name, kind)
    if isinstance(categorical_features, str) and categorical_features == "from_dtype":
        return kinds == "category"
    are_categories = _as_mask(categorical_features, names)
    if (strings := np.flatnonzero(~are_categories & (kinds == "category"))).size:
        raise ValueError(
            f"Column {names[strings[0]]!r} holds strings or categories, but is not among "
            "categorical_features."
        )
    return are_categories


def _names(X):
    return list(X.columns) if is_frame(X) else list(range(X.shape[1]))


def _kinds(X):
    """Of each column: 'number', 'category', 'date', or the name of another dtype."""
    if sparse.issparse(X) or (isinstance(X, np.ndarray) and X.dtype != object):
        return [_kind_of_dtype(X.dtype)] * X.shape[1]
    if isinstance(X, np.ndarray):
        return [_kind_of_values(column) for column in X.T]
    return [_kind_of_column(X, i, dtype) for i, dtype in enumerate(X.dtypes)]


def _kind_of_column(X, i, dtype):
    if str(dtype).lower() != "object":
        return _kind_of_dtype(dtype)
    return _kind_of_values(np.asarray(select(X, i, axis=1), dtype=object))


def _kind_of_dtype(dtype):
    name = str(dtype).lower()
    for kind, prefixes in (
        ("category", _CATEGORIES),
        ("number", _NUMBERS),
        ("date", _DATES),
    ):
        if name.startswith(prefixes):
            return kind
    return name


def _kind_of_values(values):
    """Of objects, by what they are; a column without values is one of numbers."""
    known = [value for value in values if not is_missing(value)]
    if any(isinstance(value, (date, timedelta, np.datetime64)) for value in known):
        return "date"
    if not all(isinstance(value, Number) for value in known):
        return "category"
    # scikit-learn can't make a number of it
    has_na = any(str(value) == "<NA>" for value in values)
    return "pandas.NA in objects" if has_na else "number"


def _check_kind(name, kind):
    if kind == "date":
        raise ValueError(
            f"Column {name!r} holds dates. Make numbers or categories of them, as what "
            "you predict depends on them: days since the first one, the day of the year, "
            "the weekday, the hour."
        )
    if kind == "pandas.NA in objects":
        raise ValueError(
            f"Column {name!r} holds pandas.NA among numbers, and its dtype is object: "
            "convert the frame by X.convert_dtypes()."
        )
    if kind not in ("number", "category"):
        raise ValueError(
            f"Column {name!r} is of dtype {kind}, neither numbers nor categories."
        )


def _as_mask(given, names):
    """A mask of the columns that names, indices or a mask are given of."""
    mask = np.zeros(len(names), bool)
    given = np.asarray([] if given is None else given)
    if given.ndim != 1 or (given.dtype == bool and len(given) != len(names)):
        raise ValueError(
            "categorical_features should be names or indices of columns, or a mask of "
            f"shape ({len(names)},), got {given!r}."
        )
    if given.dtype == bool:
        return given
    for item in given.tolist():
        mask[_index(item, names)] = True
    return mask


def _index(item, names):
    if item in names and not isinstance(item, Integral):
        return names.index(item)
    if isinstance(item, Integral) and -len(names) <= item < len(names):
        return item
    raise ValueError(
        f"categorical_features has {item!r}, which is neither the name nor the index of "
        f"one of the {len(names)} columns."
    )
