"""What comes in: data, targets and weights, validated as scikit-learn does it."""

from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils import column_or_1d
from sklearn.utils.validation import validate_data

from skmlp._encoded import Encoded
from skmlp._memory_map import assert_finite_in_blocks, memory_map
from skmlp._rows import Rows, check_total, weigh
from skmlp._sklearn import check_sample_weight

_FEATURE_ATTRIBUTES = ("n_features_in_", "feature_names_in_")


class Taken(NamedTuple):
    """What a call was given, ready to train on.

    Attributes
    ----------
    data : Rows or Parts
    targets : object
        What y is: see `skmlp._targets`.
    validation : Rows or Parts, or None
    attributes : dict
        The fitted attributes that tell what the data are.
    columns : str or None
        The name of the columns, if there are others.
    others : dict of {str: Taken}
        The same in other columns, by their names.
    """

    data: Rows
    targets: object
    validation: Rows | None
    attributes: dict
    columns: str | None = None
    others: Mapping = MappingProxyType({})

    def in_columns(self, name):
        """What was taken in the columns of a name."""
        return self.others.get(name, self)


def take(estimator, settings, earlier, X, y, sample_weight, groups, validation_set):
    """Validate what `fit` was given.

    Parameters
    ----------
    estimator : estimator
        Its name is in the messages; its attributes are what the data must match, if the
        fit goes on.
    settings : Settings
    earlier : Progress or None
        What the fit goes on from.
    X, y, sample_weight, groups : array-like
    validation_set : tuple of (X, y, sample_weight), or None

    Returns
    -------
    taken : Taken

    Raises
    ------
    ValueError
    """
    probe = shallow_copy(estimator)
    X, y, sample_weight = check_data(probe, settings, _dtype(earlier), X, y, sample_weight)
    targets = estimator._reader.of(y, settings, sample_weight)
    if earlier:
        targets = estimator._reader.going_on(estimator._targets(), targets)
    class_weights = targets.class_weights(settings, y, sample_weight)
    if groups is not None:
        groups = group_keys(groups, X.shape[0])
    rows = _weigh(X, y, sample_weight, targets, class_weights, groups)
    validation = None
    if validation_set is not None:
        of_training = targets, class_weights, X.dtype
        validation = _take_validation_set(probe, settings, *of_training, validation_set)
    return Taken(rows, targets, validation, taken_attributes(probe, targets))


def take_chunk(estimator, settings, earlier, X, y, classes, sample_weight):
    """Validate what `partial_fit` was given; see `take`."""
    probe = shallow_copy(estimator)
    estimator._reader.begin(probe, classes)
    X, y, sample_weight = check_data(probe, settings, _dtype(earlier), X, y, sample_weight)
    targets = estimator._reader.of_chunk(probe, y, settings, sample_weight)
    targets.check(y)
    class_weights = targets.class_weights(settings, y, sample_weight)
    rows = _weigh(X, y, sample_weight, targets, class_weights)
    return Taken(rows, targets, None, taken_attributes(probe, targets))


def shallow_copy(estimator):
    """A copy, whose attributes can be set; `copy.copy` would take as long as an epoch."""
    probe = object.__new__(type(estimator))
    vars(probe).update(vars(estimator))
    return probe


def _dtype(earlier):
    return earlier.coefs[0].dtype if earlier else None


def _weigh(X, y, sample_weight, targets, class_weights, groups=None):
    """Validated data with encoded targets.

    ValueError if no row has a weight, or if the precision of X has no numbers for the unit
    of y.
    """
    targets.check_precision(X.dtype)
    rows = weigh(X, targets.encode(y), sample_weight, class_weights, groups)
    check_total(rows.total_weight)
    return rows


def _take_validation_set(probe, settings, targets, class_weights, dtype, given):
    """Rows of (X, y, sample_weight) that are to be as the rows of training are."""
    try:
        X, y, sample_weight = check_data(probe, settings, dtype, *given)
        targets.check(y)
        return _weigh(X, y, sample_weight, targets, class_weights)
    except ValueError as error:
        raise ValueError(f"In the validation set: {error}") from error


def taken_attributes(probe, targets):
    """The attributes of an estimator that has seen the features, and of the targets."""
    of_features = {
        name: getattr(probe, name) for name in _FEATURE_ATTRIBUTES if hasattr(probe, name)
    }
    return of_features | probe._reader.attributes(targets)


def check_data(estimator, settings, dtype, X, y, sample_weight):
    """Validate X (dense or CSR), y and weights, or None.

    Parameters
    ----------
    estimator : estimator
        Learns the number and the names of the features, if dtype is None; else they must
        be those that it knows.
    settings : Settings
    dtype : {float32, float64} or None
        None keeps float32, and makes everything else float64.
    X, y, sample_weight : array-like

    Returns
    -------
    X : {ndarray, CSR} of shape (n, d)
    y : {ndarray, sparse matrix} of shape (n,) or (n, K)
    sample_weight : ndarray of shape (n,) or None
    """
    options = estimator._reader.options(y) | {
        "dtype": (np.float64, np.float32) if dtype is None else dtype,
        # mini-batches gather rows, which lie together in C order only
        "order": "C" if settings.method.has_epochs else None,
        "reset": dtype is None,
    }
    X, y = _validate(estimator, X, y, **options)
    y = estimator._reader.checked(y)
    if sample_weight is not None:
        sample_weight = check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        check_total(sample_weight.sum())
    return X, y, sample_weight


def group_keys(groups, n_rows):
    """A hash of the group of each row, which does not depend on the other rows.

    Parameters
    ----------
    groups : array-like of shape (n,)
        Numbers or texts.
    n_rows : int

    Returns
    -------
    keys : ndarray of shape (n,) of uint64

    Raises
    ------
    ValueError
        If there are not as many groups as rows, or one is missing.
    """
    groups = column_or_1d(groups, dtype=None)
    if len(groups) != n_rows:
        raise ValueError(f"groups has {len(groups)} entries, but X has {n_rows} rows.")
    values = groups.tolist()
    keys = {value: _group_key(value) for value in set(values)}
    return np.fromiter(map(keys.get, values), np.uint64, n_rows)


def _group_key(value):
    """A hash of a group's name; of a number, the same for integers and floats."""
    if not isinstance(value, str) and str(value) in ("None", "nan", "<NA>", "NaT"):
        raise ValueError(f"groups contains {value}: the group of each row must be known.")
    is_whole = isinstance(value, float) and value.is_integer()
    name = str(int(value) if is_whole else value)
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def check_features(estimator, X):
    """Validate X for a fitted estimator."""
    return _validate(estimator, X, dtype=estimator.coefs_[0].dtype, reset=False)


def is_plain(estimator, X):
    """Whether X is right for a fitted estimator, but perhaps for its values.

    It need not go through a validation that takes longer than the prediction of a row.
    """
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype == estimator.coefs_[0].dtype
        and X.shape[0] > 0
        and X.shape[1] == estimator.n_features_in_
        and not hasattr(estimator, "feature_names_in_")
    )


def _validate(estimator, X, *y, **options):
    """scikit-learn's `validate_data`, which would load all of a memory map."""
    if isinstance(X, Encoded):  # of columns that are validated
        names = {"multi_output", "y_numeric"} & options.keys()
        of_y = {name: options[name] for name in names}
        return (X, *(validate_data(estimator, y=of, **of_y) for of in y)) if y else X
    is_mapped = memory_map(X) is not None
    data = validate_data(
        estimator, X, *y, accept_sparse="csr", ensure_all_finite=not is_mapped, **options
    )
    X, *y = data if y else (data,)
    if is_mapped:
        assert_finite_in_blocks(X, type(estimator).__name__)
    return (_canonical(X), *y) if y else _canonical(X)


def _canonical(X):
    """X, or for a CSR matrix with several entries in one place a copy with their sums."""
    if sparse.issparse(X) and not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X
