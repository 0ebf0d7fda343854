"""Rows of data with their targets and weights, and the weights of classes."""

from typing import NamedTuple

import numpy as np
from sklearn.utils.class_weight import compute_class_weight


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
        """The rows for which a mask is true."""
        return Rows(*(None if array is None else array[mask] for array in self))


def class_weights(class_weight, classes, rows):
    """Weight of each class.

    Parameters
    ----------
    class_weight : dict, 'balanced' or None
        As of scikit-learn's estimators.
    classes : ndarray of shape (K,)
        All labels, sorted.
    rows : Rows
        With labels as targets, and sample weights.

    Returns
    -------
    weights : ndarray of shape (K,) or None
        None if all classes weigh 1.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or each row has several labels.
    """
    if class_weight is None:
        return None
    y, sample_weight = rows.targets, rows.sample_weight
    if y.ndim == 2:
        raise ValueError(
            "class_weight is for y with one label a row. For a multilabel y, weigh the "
            "rows by sample_weight."
        )
    if class_weight != "balanced":
        weights = compute_class_weight(class_weight, classes=classes, y=y)
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise ValueError(
                f"class_weight must be finite and at least 0, got {class_weight}."
            )
        return weights
    if sample_weight is not None:  # a row of weight 0 is as if it were not there
        y, sample_weight = y[sample_weight > 0], sample_weight[sample_weight > 0]
    weights, present = np.ones(len(classes)), np.unique(y)
    weights[np.searchsorted(classes, present)] = compute_class_weight(
        "balanced", classes=present, y=y, sample_weight=sample_weight
    )
    return weights
