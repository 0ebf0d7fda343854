"""The validation set of early stopping."""

import zlib

import numpy as np
from sklearn.model_selection import train_test_split


def hold_out(X, k, sample_weight, *, classes, fraction, seed):
    """Draw distinct rows to hold out, stratified by class.

    What is drawn depends on the distinct rows alone, not on their order or number: a
    row of weight w and w copies of it give the same split, and no copy of a training row
    leaks into the validation set. The one exception: a class whose rows are all copies
    of one has that row in both sets.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
    k : ndarray of shape (n,) of int
        Class index of each row.
    sample_weight : ndarray of shape (n,) or None
    classes : ndarray of shape (K,)
        Labels, for the messages.
    fraction : float in (0, 1)
        Share of the distinct rows to hold out.
    seed : int

    Returns
    -------
    train, held_out : ndarray of shape (n,) of bool

    Raises
    ------
    ValueError
        If either set would be too small, or lack a class.
    """
    copies = np.bincount(k, weights=sample_weight, minlength=len(classes))
    single = (copies > 0) & (copies < 2)
    if single.any():
        raise ValueError(
            "Early stopping needs every class in the training and in the validation set, "
            f"but there is only 1 sample of class {classes[single]}. Add samples, or set "
            "early_stopping=False."
        )
    keys = [zlib.crc32(row, label) for row, label in zip(_rows(X), k.tolist(), strict=True)]
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    k = k[first]
    alone = np.bincount(k)[k] == 1
    train, held_out = _stratified(np.flatnonzero(~alone), k, classes, fraction, seed)
    alone = np.flatnonzero(alone)
    return np.isin(group, [*train, *alone]), np.isin(group, [*held_out, *alone])


def _stratified(rows, k, classes, fraction, seed):
    """Split indices of distinct rows, or raise if the validation set will not do."""
    if not rows.size:
        return rows, rows
    present = np.unique(k[rows])
    n_held_out = int(np.ceil(fraction * len(rows)))
    n_train = len(rows) - n_held_out
    n_least = max(2, len(present))
    if n_held_out < n_least or n_train < len(present):
        name, change = (
            ("training", "Decrease") if n_train < n_held_out else ("validation", "Increase")
        )
        raise ValueError(
            f"The {name} set is too small: validation_fraction={fraction} of {len(rows)} "
            f"distinct samples leaves {min(n_train, n_held_out)} of them for "
            f"{len(present)} classes. {change} validation_fraction, add samples, or set "
            "early_stopping=False."
        )
    train, held_out = train_test_split(
        rows, test_size=fraction, stratify=k[rows], random_state=seed
    )
    missing = np.setdiff1d(present, k[held_out])
    if missing.size:
        raise ValueError(
            f"The validation set lacks class {classes[missing]}: it has only "
            f"{np.bincount(k)[missing]} distinct samples. Increase validation_fraction, "
            "add samples, or set early_stopping=False."
        )
    return train, held_out


def _rows(X):
    """Yield the bytes of each row."""
    if isinstance(X, np.ndarray):
        for row in X:
            yield row.tobytes()
    else:
        for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True):
            yield X.indices[start:stop].tobytes() + X.data[start:stop].tobytes()
