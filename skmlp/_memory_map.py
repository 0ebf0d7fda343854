"""Data in a memory map are read in pieces, and what was read is given back.

The pages of a file that a process has touched count as its memory until the system takes
them back, which it does only when it has to. Giving them back costs little, since they
stay in the system's cache.
"""

import mmap

import numpy as np
from sklearn.utils import assert_all_finite

_BLOCK_BYTES = 2**24
# Rows to gather at a time: systems read 64 kB around each, if they are in their cache
_GATHERED_ROWS = 256


def memory_map(X):
    """The memory map that an array is a view of, or None.

    Maps of mode "c" are left alone: pages that are given back would lose their changes.
    """
    base = X
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return None if base.mode == "c" else base._mmap
        base = base.base
    return None


def give_back(mapped):
    """Give back the pages of a memory map, if the system can; None is no map."""
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def take_rows(X, rows):
    """Some rows of X, copied; what was read around them is given back.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
    rows : ndarray of int or of bool
        Indices or a mask.
    """
    mapped = memory_map(X)
    if mapped is None:
        return X[rows]
    rows = np.arange(X.shape[0])[rows]
    taken = np.empty((len(rows), X.shape[1]), X.dtype)
    for start in range(0, len(rows), _GATHERED_ROWS):
        piece = slice(start, start + _GATHERED_ROWS)
        taken[piece] = X[rows[piece]]
        give_back(mapped)
    return taken


def assert_finite_in_blocks(X, estimator_name):
    """scikit-learn's ValueError if X, in a memory map, is not finite.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    estimator_name : str
        For the message.
    """
    mapped = memory_map(X)
    n_rows = max(_BLOCK_BYTES // (X.itemsize * X.shape[1]), 1)
    for start in range(0, X.shape[0], n_rows):
        block = X[start : start + n_rows]
        assert_all_finite(block, estimator_name=estimator_name, input_name="X")
        give_back(mapped)
