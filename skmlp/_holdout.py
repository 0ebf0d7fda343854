"""The validation set of early stopping."""

import zlib

import numpy as np
from sklearn.model_selection import train_test_split

_REMEDY = "Increase validation_fraction, add rows, or set early_stopping=False."


def hold_out(X, k, classes, fraction, seed):
    """Draw distinct rows to hold out, stratified by class.

    What is drawn depends on the distinct rows alone, not on their order or number: a row
    of weight w and w copies of it give the same split, and no copy of a training
    row leaks into the validation set.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
    k : ndarray of shape (n,) of int
        Class index of each row.
    classes : ndarray of shape (K,)
        Labels, for the messages.
    fraction : float in (0, 1)
        Share of the distinct rows to hold out.
    seed : int

    Returns
    -------
    held_out : ndarray of shape (n,) of bool

    Raises
    ------
    ValueError
        If either set would be too small, or lack a class.
    """
    _, first, group = np.unique(
        [zlib.crc32(row, label) for row, label in zip(_rows(X), k.tolist(), strict=True)],
        return_index=True,
        return_inverse=True,
    )
    k = k[first]
    counts = np.bincount(k, minlength=len(classes))
    present = counts > 0
    single = counts == 1
    if single.any():
        raise ValueError(
            "Early stopping needs every class in the training and in the validation "
            f"set, but there is only 1 distinct row of {classes[single]}. Add rows, or "
            "set early_stopping=False."
        )
    n_held_out = int(np.ceil(fraction * len(k)))
    n_least = max(2, present.sum())
    if n_held_out < n_least:
        raise ValueError(
            f"The validation set is too small: {n_held_out} of {len(k)} distinct rows, "
            f"where {n_least} are needed for {present.sum()} classes. {_REMEDY}"
        )
    if len(k) - n_held_out < present.sum():
        raise ValueError(
            f"The training set is too small: {len(k) - n_held_out} of {len(k)} distinct "
            f"rows for {present.sum()} classes. Decrease validation_fraction."
        )
    _, drawn = train_test_split(
        np.arange(len(k)), test_size=fraction, stratify=k, random_state=seed
    )
    missing = present & (np.bincount(k[drawn], minlength=len(counts)) == 0)
    if missing.any():
        raise ValueError(
            f"The validation set lacks {classes[missing]}: there are "
            f"{counts[missing]} distinct rows of it. {_REMEDY}"
        )
    return np.isin(group, drawn)


def _rows(X):
    """Yield the bytes of each row."""
    if isinstance(X, np.ndarray):
        for row in X:
            yield row.tobytes()
    else:
        for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True):
            yield X.indices[start:stop].tobytes() + X.data[start:stop].tobytes()
