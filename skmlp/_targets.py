"""What y is: one label a row, or any number of labels. All that depends on it is here.

Both classes turn labels into the targets that the network's loss takes, and logits into
predictions; they differ in nothing that training has to know, beside their `loss`.
"""

import numpy as np
from scipy import sparse
from sklearn.utils.class_weight import compute_class_weight

from skmlp._losses import LOSSES, log_softmax


class ClassLabels:
    """One label a row; targets are class indices, and the output layer is a softmax.

    Parameters
    ----------
    classes : ndarray of shape (K,)
        All labels, sorted.
    """

    loss = "cross_entropy"
    is_sparse = False

    def __init__(self, classes, is_sparse=False):
        self.classes = classes

    @property
    def n_outputs(self):
        """Output units of the network."""
        return len(self.classes)

    @property
    def names(self):
        """What to call the groups of rows that are to be in both parts of a split."""
        return self.classes

    def check(self, y):
        """Raise ValueError if y is a matrix, or has a label that is not a class."""
        if y.ndim != 1:
            raise ValueError(f"y has shape {y.shape}; expected is one label a row.")
        comparable = are_texts(y) == are_texts(self.classes)
        unknown = np.setdiff1d(y, self.classes) if comparable else np.unique(y)
        if unknown.size:
            raise ValueError(
                f"`y` has classes {unknown} that are not in `self.classes_`, "
                f"{self.classes}: those of the training set, or those named in the first "
                "call of partial_fit."
            )

    def encode(self, y):
        """Class index of each row, given its label."""
        return np.searchsorted(self.classes, y)

    def decode(self, k):
        """Labels, given class indices."""
        return self.classes[k]

    def predict(self, Z):
        """Labels, given logits of shape (n, K)."""
        return self.classes[Z.argmax(axis=1)]

    def decision(self, Z):
        """Log-probabilities, given logits; for two classes the log-odds of the second."""
        if Z.shape[1] == 2:
            return Z[:, 1] - Z[:, 0]
        with np.errstate(all="ignore"):
            log_softmax(Z)
        return Z

    def class_weights(self, class_weight, y, sample_weight):
        """Weight of each class.

        Parameters
        ----------
        class_weight : dict, 'balanced' or None
            As of scikit-learn's estimators.
        y : ndarray of shape (n,)
        sample_weight : ndarray of shape (n,) or None

        Returns
        -------
        weights : ndarray of shape (K,) or None
            None if all classes weigh 1.

        Raises
        ------
        ValueError
            If a weight is negative or not finite.
        """
        if class_weight is None:
            return None
        if class_weight != "balanced":
            weights = compute_class_weight(class_weight, classes=self.classes, y=y)
            if not (np.isfinite(weights).all() and (weights >= 0).all()):
                raise ValueError(
                    f"class_weight must be finite and at least 0, got {class_weight}."
                )
            return weights
        if sample_weight is not None:  # a row of weight 0 is as if it were not there
            y, sample_weight = y[sample_weight > 0], sample_weight[sample_weight > 0]
        weights, present = np.ones(len(self.classes)), np.unique(y)
        weights[np.searchsorted(self.classes, present)] = compute_class_weight(
            "balanced", classes=present, y=y, sample_weight=sample_weight
        )
        return weights


class LabelIndicators:
    """Any number of labels a row; each has a logistic output of its own.

    Parameters
    ----------
    classes : ndarray of shape (K,)
        Numbers of the labels, 0 to K - 1.
    is_sparse : bool
        Whether predictions are sparse, as y was in training.
    """

    loss = "binary_cross_entropy"
    names = None

    def __init__(self, classes, is_sparse=False):
        self.classes = classes
        self.is_sparse = is_sparse
        if classes.dtype.kind not in "iu" or (classes != np.arange(len(classes))).any():
            raise ValueError(
                "For a multilabel y, classes should be the numbers of its columns, 0 to "
                f"{len(classes) - 1}, got {classes}."
            )

    @property
    def n_outputs(self):
        """Output units of the network."""
        return len(self.classes)

    def check(self, y):
        """Raise ValueError if y is not a matrix with as many columns."""
        if y.ndim != 2 or y.shape[1] != len(self.classes):
            raise ValueError(
                f"y has shape {y.shape}; expected is an indicator matrix with "
                f"{len(self.classes)} columns."
            )

    def encode(self, y):
        """Whether each row has each label, given {ndarray, sparse matrix} of shape (n, K).

        Raises
        ------
        ValueError
            If there are values other than 0 and 1.
        """
        T = y.toarray() if sparse.issparse(y) else y
        if not np.isin(T, (0, 1)).all():
            raise ValueError(
                f"A multilabel y should hold 0 and 1 only, got the values {np.unique(T)}."
            )
        return T.astype(bool)

    def decode(self, T):
        """Indicators, given targets."""
        return T.astype(int)

    def predict(self, Z):
        """Indicators, given logits of shape (n, K): 1 where the probability exceeds 1/2."""
        labels = (Z > 0).astype(int)
        return sparse.csr_matrix(labels) if self.is_sparse else labels

    def decision(self, Z):
        """Logits, which are the log-odds of each label."""
        return Z

    def class_weights(self, class_weight, y, sample_weight):
        """None: there is no one class for a row to have the weight of.

        Raises
        ------
        ValueError
            If `class_weight` is not None.
        """
        if class_weight is not None:
            raise ValueError(
                "class_weight is for y with one label a row. For a multilabel y, weigh the "
                "rows by sample_weight."
            )


def targets_of(y):
    """What the y of a training set is.

    Parameters
    ----------
    y : ndarray of shape (n,), or {ndarray, sparse matrix} of shape (n, K)
        Validated labels or indicators.

    Returns
    -------
    targets : ClassLabels or LabelIndicators
    """
    if y.ndim == 1:
        return ClassLabels(np.unique(y))
    return LabelIndicators(np.arange(y.shape[1]), sparse.issparse(y))


KINDS = {LOSSES[kind.loss].units: kind for kind in (ClassLabels, LabelIndicators)}


def targets_of_fitted(estimator):
    """What y was in training."""
    kind = KINDS[estimator.out_activation_]
    return kind(estimator.classes_, estimator._has_sparse_labels_)


def fitted_attributes(targets):
    """What `targets_of_fitted` reads, as a dict."""
    return {
        "classes_": targets.classes,
        "out_activation_": LOSSES[targets.loss].units,
        "_has_sparse_labels_": targets.is_sparse,
    }


def are_texts(labels):
    """Whether an array holds texts, which numbers can't be compared with."""
    return labels.dtype.kind in "USO"
