"""A table, validated: which of its columns are numbers, and which are categories."""

import re
from collections import Counter
from collections.abc import Sized
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.utils.validation import validate_data

from skmlp._sklearn import count_samples, select
from skmlp._tabular._gaps import is_missing

# What columns are, by the first letters of the names of their dtypes in pandas, polars and
# pyarrow
_KINDS = {
    name: kind
    for kind, names in (
        ("category", "category categorical enum dictionary str string utf large_string"),
        ("number", "int uint float double halffloat bool boolean decimal sparse null"),
        ("date", "date datetime time timestamp timedelta duration period"),
    )
    for name in names.split()
}
# The same of numpy's dtypes
_KINDS_OF_NUMPY = {
    **dict.fromkeys("biuf", "number"),
    **dict.fromkeys("US", "category"),
    **dict.fromkeys("mM", "date"),
}
# The same of objects; Python's booleans are numbers
_TYPES = {
    "number": (Real, Decimal, np.bool_),
    "category": (str, bytes),
    "date": (date, time, timedelta, np.datetime64, np.timedelta64),
}


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
        A frame as it is: the values of its columns are validated when they are encoded.

    Raises
    ------
    ValueError
        If the shape or the names are not right, or a column is neither a number nor a
        category, or not the one of both that it was in `fit`.
    """
    if is_frame(X):
        _check_distinct(list(X.columns))
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        if not (count_samples(X) and estimator.n_features_in_):
            raise ValueError(
                f"Found array with shape {tuple(X.shape)}: a minimum of 1 sample and 1 "
                f"feature is required by {type(estimator).__name__}."
            )
    else:
        options = {"accept_sparse": "csr", "ensure_all_finite": "allow-nan"}
        X = validate_data(estimator, X, reset=reset, dtype=None, **options)
    kinds = _checked_kinds(X)
    if not reset:
        _check_known_kinds(estimator, X, kinds)
    return _without_na_in_objects(X, kinds) if is_frame(X) else X


def _without_na_in_objects(X, kinds):
    """A frame in which pandas.NA among numbers is NaN: else it can't be made a number."""
    for j, (name, dtype, kind) in enumerate(zip(X.columns, X.dtypes, kinds, strict=True)):
        if kind == "number" and str(dtype) == "object":
            values = np.asarray(select(X, j, axis=1), dtype=object)
            if any(type(value).__name__ == "NAType" for value in values):
                numbers = [np.nan if is_missing(value) else value for value in values]
                X = X.copy(deep=False)
                X[name] = np.array(numbers, dtype=float)
    return X


def _check_distinct(names):
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        raise ValueError(f"X has several columns of the name {twice[0]!r}: rename them.")


def _check_known_kinds(estimator, X, kinds):
    """Numbers are numbers as they were in `fit`, and strings are strings, but for gaps."""
    if not hasattr(estimator, "encoder_"):
        return
    columns = {name: columns for name, _, columns in estimator.encoder_.transformers_}
    were_numbers = np.isin(np.arange(len(kinds)), columns["numbers"])
    is_by_dtype = _is_from_dtype(estimator.categorical_features)
    for j, kind in enumerate(kinds):
        if kind == "category" and were_numbers[j]:
            raise _changed(_names(X)[j], "strings or categories", "numbers")
        if kind == "number" and is_by_dtype and not (were_numbers[j] or _is_gap(X, j)):
            raise _changed(_names(X)[j], "numbers", "strings or categories")


def _changed(name, now, before):
    return ValueError(f"Column {name!r} holds {now}, and held {before} in fit.")


def _is_gap(X, j):
    """Whether no value of a column is known."""
    return all(map(is_missing, np.asarray(select(X, j, axis=1), dtype=object)))


def _is_from_dtype(categorical_features):
    return isinstance(categorical_features, str) and categorical_features == "from_dtype"


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
        If there are no such columns, or another one holds strings, or X is sparse.
    """
    kinds, names = np.array(_kinds(X)), _names(X)
    if _is_from_dtype(categorical_features):
        return kinds == "category"
    are_categories = _as_mask(categorical_features, names)
    if sparse.issparse(X) and are_categories.any():
        raise ValueError("categorical_features are for frames and dense X; X is sparse.")
    if (strings := np.flatnonzero(~are_categories & (kinds == "category"))).size:
        raise ValueError(
            f"Column {names[strings[0]]!r} holds strings or categories, but is not among "
            "categorical_features."
        )
    return are_categories


def _names(X):
    return list(X.columns) if is_frame(X) else list(range(X.shape[1]))


def _checked_kinds(X):
    """Of each column: 'number' or 'category'; all else is an error."""
    kinds = _kinds(X)
    for name, kind in zip(_names(X), kinds, strict=True):
        _check_kind(name, kind)
    return kinds


def _kinds(X):
    """Of each column: 'number', 'category', 'date', or what else it holds."""
    if sparse.issparse(X) or (isinstance(X, np.ndarray) and X.dtype != object):
        return [_kind_of_dtype(X.dtype)] * X.shape[1]
    if isinstance(X, np.ndarray):
        return [_kind_of_values(column) for column in X.T]
    return [_kind_of_column(X, j, dtype) for j, dtype in enumerate(X.dtypes)]


def _kind_of_column(X, j, dtype):
    if str(dtype).lower() == "object":
        return _kind_of_values(np.asarray(select(X, j, axis=1), dtype=object))
    if isinstance(categories := getattr(dtype, "categories", None), Sized):
        return _kind_of_categories(np.asarray(categories, dtype=object))
    return _kind_of_dtype(dtype)


def _kind_of_dtype(dtype):
    if isinstance(dtype, np.dtype):
        return _KINDS_OF_NUMPY.get(dtype.kind, str(dtype))
    name = str(dtype).lower()
    return _KINDS.get(re.match("[a-z_]*", name)[0], name)


def _kind_of_categories(categories):
    """Categories may be anything that can be compared with one another."""
    kind = _kind_of_values(categories)
    is_uniform = kind in _TYPES or len(_type_names(categories)) == 1
    return "category" if is_uniform else kind


def _kind_of_values(values):
    """Of objects, by what they are; a column without values is one of numbers."""
    known = [value for value in values if not is_missing(value)]
    for kind, types in _TYPES.items():
        if all(isinstance(value, types) for value in known):
            return kind
    return " and ".join(_type_names(known))


def _type_names(values):
    return sorted({type(value).__name__ for value in values})


def _check_kind(name, kind):
    if kind == "date":
        raise ValueError(
            f"Column {name!r} holds dates. Make numbers or categories of them, as what "
            "you predict depends on them: days since the first one, the day of the year, "
            "the weekday, the hour."
        )
    if kind not in ("number", "category"):
        raise ValueError(
            f"Column {name!r} holds {kind} values, neither numbers nor strings only. Make "
            "numbers or categories of them."
        )


def _as_mask(given, names):
    """A mask of the columns that names, indices or a mask are given of."""
    given = [] if given is None else given
    is_mask = np.asarray(given).dtype == bool
    if np.ndim(given) != 1 or (is_mask and len(given) != len(names)):
        raise ValueError(
            "categorical_features should be names or indices of columns, or a mask of "
            f"shape ({len(names)},), got {given!r}."
        )
    if is_mask:
        return np.asarray(given)
    mask = np.zeros(len(names), bool)
    for item in given:
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
