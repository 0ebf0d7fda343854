"""What rows are compared with, in whatever form the user has it."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse
from sklearn.utils import check_array

from skmlp._sklearn import check_feature_names
from skmlp.inspection._columns import encode
from skmlp.inspection._fitted import transform


def take_baseline(subject, X, baseline):
    """Validate the rows that others are compared with.

    Parameters
    ----------
    subject : Subject
    X : array-like
        The rows to explain, as the user passed them.
    baseline : {array-like, sparse matrix} of shape (d,) or (m, d), or None
        None is the mean of the features in training.

    Returns
    -------
    baseline : ndarray of shape (m, d)

    Raises
    ------
    ValueError
    """
    if baseline is None:
        return _training_mean(subject.model).astype(subject.X.dtype)
    try:
        rows = transform(subject.steps, _like_rows(X, baseline))
        rows = encode(subject.model, rows)
        if hasattr(rows, "columns") and hasattr(subject.model, "feature_names_in_"):
            check_feature_names(subject.model, rows, reset=False)
        rows = check_array(
            rows, accept_sparse="csr", dtype=subject.X.dtype, input_name="baseline"
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"In baseline: {error}\nIt should be a row like those of X, or several."
        ) from error
    n_features = subject.X.shape[1]
    if rows.shape[1] != n_features:
        raise ValueError(
            f"baseline has {rows.shape[1]} features, but {n_features} are expected."
        )
    return rows.toarray() if sparse.issparse(rows) else rows


def _training_mean(model):
    """Mean of all rows seen, in a fit or in a stream."""
    known, scaling = (model._progress[name] for name in ("plain_mean", "scaling"))
    if known is None:
        raise ValueError(
            "baseline=None is the mean of the features in training, which is known with "
            "standardize=True only. Pass baseline, a row or several to compare with."
        )
    # where the sum has overflown, training has a mean that has not
    return np.where(np.isfinite(known[0]), known[0], scaling[0])[np.newaxis]


def _like_rows(X, baseline):
    """The baseline as rows of the same kind as X, which the steps take as they take X.

    It is a single row where it is nested once less than X, as a text is among texts.
    """
    if hasattr(baseline, "columns") or sparse.issparse(baseline):
        return baseline
    is_row = _depth(baseline) == max(_depth(X), 1) - 1
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        return _like_frame(X, baseline, is_row)
    rows = [baseline] if is_row else baseline
    if isinstance(X, Sequence) or np.ndim(X) != 2:
        return rows
    return np.asarray(rows, dtype=object if X.dtype == object else None)


def _depth(rows):
    """How many indices lead to an entry of an array-like; a text is an entry."""
    if isinstance(rows, Sequence) and not isinstance(rows, str | bytes):
        shape = (len(rows),)
    else:
        shape = getattr(rows, "shape", np.shape(0))
    return len(shape) if len(shape) != 1 else 1 + _depth(next(iter(rows), None))


def _like_frame(X, baseline, is_row):
    """The baseline as a frame, with the names of X unless it has its own."""
    if isinstance(baseline, Mapping):
        names, rows = list(baseline), [list(baseline.values())]
    elif is_row:
        # a Series has names, too
        names = baseline.keys() if hasattr(baseline, "keys") else X.columns
        rows = [list(baseline)]
    else:
        names, rows = X.columns, baseline
    values = np.asarray(rows, dtype=object)
    if values.ndim != 2:
        return rows
    if values.shape[1] != len(names):
        raise ValueError(f"it has {values.shape[1]} features, not {len(names)} as X has.")
    # column by column, which each frame finds a type for
    frame = type(X)({str(i): column.tolist() for i, column in enumerate(values.T)})
    frame.columns = list(names)
    return _with_categories(frame, X) if hasattr(frame, "astype") else frame


def _with_categories(frame, X):
    """A frame of pandas with categories and texts where X has them."""
    dtypes = {
        name: dtype
        for name, dtype in X.dtypes.items()
        if name in frame and _can_be(frame[name].dropna(), dtype)
    }
    return frame.astype(dtypes)


def _can_be(known, dtype):
    """Whether values are of a dtype of categories or of texts."""
    if hasattr(dtype, "categories"):
        return known.isin(dtype.categories).all()
    is_text = str(dtype).startswith("str")
    return is_text and all(isinstance(value, str) for value in known)
