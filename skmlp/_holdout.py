"""Rows to hold out: the validation set of early stopping, and folds to choose alpha on."""

import numpy as np
from scipy import sparse

from skmlp._warnings import warn


def hold_out(prints, k, sample_weight, *, names, fraction, seed):
    """Draw rows to hold out: of each class, at least `fraction` of its weight.

    Distinct rows are drawn, so that what is drawn depends neither on their order nor on
    how they are stored: a row of weight w and w copies of it give the same split, and no
    copy of a training row leaks into the validation set. Of each class at least one
    distinct row goes to either set; if all its rows are copies of one, that goes to both.

    Parameters
    ----------
    prints : ndarray of shape (n,) of int
        The rows' `fingerprints`.
    k : ndarray of shape (n,) of int
        Class index of each row.
    sample_weight : ndarray of shape (n,) or None
    names : ndarray of shape (K,) or None
        Names of the classes; None if the rows are of no class.
    fraction : float in (0, 1)
    seed : int

    Returns
    -------
    train, held_out : ndarray of shape (n,) of bool

    Warns
    -----
    UserWarning
        If a class has a single row, which is trained on, or if the fraction is so small
        that one row would be held out: then there are two.

    Raises
    ------
    ValueError
        If there are too few rows to hold out two.
    """
    weight = np.ones(len(k)) if sample_weight is None else sample_weight
    first, group, weight = distinct(prints, weight)
    n_copies = np.bincount(group)
    random_state = np.random.RandomState(seed)
    train, held_out, spare, single = [], [], [], []
    for rows in map(random_state.permutation, _rows_by_class(k[first])):
        if len(rows) == 1:
            train.extend(rows)
            has_copies = n_copies[rows[0]] > 1 or weight[rows[0]] >= 2
            (held_out if has_copies else single).extend(rows)
        else:
            share = np.cumsum(weight[rows]) / weight[rows].sum()
            cut = np.searchsorted(share[:-2], fraction * (1 - 1e-12)) + 1
            held_out.extend(rows[:cut])
            train.extend(rows[cut:])
            spare.append(rows[cut:-1])
    is_small = max(sum(sizes[row] for row in held_out) for sizes in (n_copies, weight)) < 2
    spare = max(spare, key=len, default=[])
    if is_small and (len(held_out) == 0 or len(spare) == 0):
        raise ValueError(
            f"The validation set would be too small: of {len(k)} samples, early stopping "
            "can't hold out 2 and have one of each class left. Add samples, or set "
            "early_stopping=False."
        )
    if single and names is not None:
        warn(
            "The validation set of early stopping has no sample of class "
            f"{names[k[first[single]]]}, of which there is only 1: it is trained on. "
            "A scorer that needs all classes can't be used."
        )
    if is_small:
        warn(
            f"validation_fraction={fraction} of {len(k)} samples would be 1 to hold out: "
            "there are 2. Increase validation_fraction."
        )
        held_out.append(spare[0])
        train.remove(spare[0])
    return np.isin(group, train), np.isin(group, held_out)


def folds(prints, k, sample_weight, *, n_folds, seed):
    """Deal the rows out to folds, of about equal weight in each class.

    As in `hold_out`, distinct rows are dealt out, and copies of a row are in one fold.

    Parameters
    ----------
    prints : ndarray of shape (n,) of int
        The rows' `fingerprints`.
    k : ndarray of shape (n,) of int
        Class index of each row.
    sample_weight : ndarray of shape (n,) or None
    n_folds : int
    seed : int

    Returns
    -------
    fold : ndarray of shape (n,) of int
        In 0, ..., n_folds - 1.
    """
    weight = np.ones(len(k)) if sample_weight is None else sample_weight
    first, group, weight = distinct(prints, weight)
    random_state = np.random.RandomState(seed)
    fold = np.empty(len(first), int)
    for rows in map(random_state.permutation, _rows_by_class(k[first])):
        middles = np.cumsum(weight[rows]) - weight[rows] / 2
        fold[rows] = n_folds * middles / weight[rows].sum()
    return fold[group]


def _rows_by_class(k):
    """Indices of the rows of each class, in ascending order."""
    ends = np.cumsum(np.unique(k, return_counts=True)[1])
    return np.split(np.argsort(k, kind="stable"), ends[:-1])


def distinct(prints, weight):
    """Index of the first copy of each distinct row, number of each row, total weights."""
    _, first, group = np.unique(prints, return_index=True, return_inverse=True)
    return first, group, np.bincount(group, weight)


def fingerprints(X, k):
    """A hash of each row and its class; that of equal rows is equal, dense or sparse."""
    factors = np.random.default_rng(0).integers(2**64, size=X.shape[1], dtype=np.uint64)
    if isinstance(X, np.ndarray):
        starts = range(0, len(X), 1024)  # the scrambled copy stays small
        pieces = [_scramble(X[start : start + 1024]) @ factors for start in starts]
        prints = np.concatenate(pieces)
    else:
        scrambled = (_scramble(X.data), X.indices, X.indptr)
        prints = sparse.csr_array(scrambled, shape=X.shape) @ factors
    return prints + _scramble(k + 1.0)


def _scramble(values):
    """Well-mixed 64 bits of each value, and 0 for zero, whatever its sign."""
    bits = np.add(values, 0.0, dtype=np.float64).view(np.uint64)
    bits ^= bits >> np.uint64(32)
    bits *= np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio
    bits ^= bits >> np.uint64(29)
    return bits
