"""Data in a large memory map are read in pieces, and what was read is given back.

The pages of a file that a process has touched count as its memory until the system takes
them back, which it does only when it has to. Giving them back costs little, since they
stay in the system's cache.

A map that fits in memory with ease is an array like any other. Its user may not know of
it: joblib hands arrays of a megabyte and more to its workers as maps.
"""

import mmap
import os
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.utils import assert_all_finite

_BLOCK_BYTES = 2**24
# Rows to gather at a time: systems read 64 kB around each, if they are in their cache
_GATHERED_ROWS = 256
# A map fits in memory with ease if it is one in so many parts of each processor's share,
# since each may have a worker that holds copies; or if it takes less than the modules that
# a worker loads
_PARTS_OF_SHARE, _FEW_BYTES = 64, 2**26
# Where Linux says what a container may take
_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def memory_map(X):
    """The large memory map that an array is a view of, or None.

    A map is large if what the array spans of it does not fit in memory with ease. Maps of
    mode "c" are left alone: pages that are given back would lose their changes.
    """
    base = X
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            is_left = base.mode == "c" or _span(X) <= _most_bytes()
            return None if is_left else base._mmap
        base = base.base
    return None


def _span(X):
    """Bytes from the first entry of an array to its last."""
    return sum((n - 1) * abs(step) for n, step in zip(X.shape, X.strides, strict=True))


@cache
def _most_bytes():
    """What fits in memory with ease, even if each processor has a worker."""
    share = _memory() // (os.cpu_count() or 1)
    return max(share // _PARTS_OF_SHARE, _FEW_BYTES)


def _memory():
    """Bytes of memory that the machine or the container has; 0 if it does not tell."""
    try:
        sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, OSError, ValueError):
        return 0
    for path in _LIMITS:
        try:
            sizes.append(int(Path(path).read_text()))
        except (OSError, ValueError):  # there is none, or it is "max"
            continue
    return min(sizes)


def give_back(mapped):
    """Give back the pages of a memory map, if the system can; None is no map."""
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def pieces(X, n_rows, n_in_all=None):
    """Yield slices of rows, and give back what was read of a memory map for each.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
    n_rows : int
        Rows of a piece.
    n_in_all : int, optional
        The end of the last piece, if these are pieces of some other rows, which are
        gathered from X; else n.
    """
    mapped = memory_map(X)
    for start in range(0, X.shape[0] if n_in_all is None else n_in_all, n_rows):
        yield slice(start, start + n_rows)
        give_back(mapped)


def take_rows(X, rows):
    """Some rows of X, copied; what was read around them is given back.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
    rows : ndarray of int or of bool
        Indices or a mask.
    """
    if memory_map(X) is None:
        return X[rows]
    rows = np.arange(X.shape[0])[rows]
    taken = np.empty((len(rows), X.shape[1]), X.dtype)
    for piece in pieces(X, _GATHERED_ROWS, len(rows)):
        taken[piece] = X[rows[piece]]
    return taken


def assert_finite_in_blocks(X, estimator_name):
    """scikit-learn's ValueError if X, in a memory map, is not finite.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    estimator_name : str
        For the message.
    """
    n_rows = max(_BLOCK_BYTES // (X.itemsize * X.shape[1]), 1)
    for piece in pieces(X, n_rows):
        assert_all_finite(X[piece], estimator_name=estimator_name, input_name="X")
