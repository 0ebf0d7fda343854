"""Rows of data, with their targets and weights."""

from typing import NamedTuple

import numpy as np

from skmlp._memory_map import memory_map, take_rows


class Rows(NamedTuple):
    """Validated rows of data, their targets and their weights.

    Attributes
    ----------
    X : {ndarray, CSR} of shape (n, d)
    targets : ndarray of shape (n,) of int, or of shape (n, K) of bool
        Class indices, or the indicators of several labels.
    weights : ndarray of shape (n,) or None
        Sample weight times class weight: what the loss is weighted by.
    sample_weight : ndarray of shape (n,) or None
        Without the class weights: for scores other than the loss.
    """

    X: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None
    sample_weight: np.ndarray | None

    def where(self, mask):
        """The rows for which a mask is true, or of some indices."""
        others = (None if array is None else array[mask] for array in self[1:])
        return Rows(take_rows(self.X, mask), *others)


def weigh(X, targets, sample_weight, class_weights):
    """Rows with weights; those without any are left out, but of a memory map.

    Parameters
    ----------
    X, targets
        See `Rows`.
    sample_weight : ndarray of shape (n,) or None
    class_weights : ndarray of shape (K,) or None
        If given, targets are class indices.

    Returns
    -------
    rows : Rows
    """
    weights = sample_weight
    if class_weights is not None:
        weights = class_weights[targets] * (1.0 if weights is None else weights)
    rows = Rows(X, targets, weights, sample_weight)
    # to leave rows of a memory map out would be to load the others; they add 0 as they are
    if weights is None or weights.all() or memory_map(X) is not None:
        return rows
    return rows.where(weights > 0)


def total_weight(rows):
    """Sum of the weights."""
    if rows.weights is None:
        return rows.X.shape[0]
    with np.errstate(over="ignore"):
        return rows.weights.sum()


def check_total(total):
    """Raise ValueError if a sum of weights is 0 or not finite."""
    if total == 0 or not np.isfinite(total):
        raise ValueError(
            "The sum of sample_weight, times class_weight, must be positive and finite, "
            f"got {total}."
        )


def class_counts(targets, weights, n_outputs):
    """Weight of the rows that have each class or label.

    Parameters
    ----------
    targets : ndarray of shape (n,) of int, or of shape (n, K)
        See `Rows`.
    weights : ndarray of shape (n,) or None
    n_outputs : int

    Returns
    -------
    counts : ndarray of shape (K,)
    """
    if targets.ndim == 1:
        return np.bincount(targets, weights, n_outputs).astype(np.float64)
    return targets.sum(axis=0, dtype=float) if weights is None else weights @ targets
