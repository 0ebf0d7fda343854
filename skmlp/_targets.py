"""What y is: one label a row, or any number of labels. All that depends on it is here.

Both classes turn labels into the targets that the network's loss takes, and logits into
predictions; they differ in nothing that training has to know, beside their `loss`.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, is_multilabel

from skmlp._losses import LOSSES, log_softmax
from skmlp._repeats import fingerprints
from skmlp._sklearn import check_first_call
from skmlp._values import RealValues


class _OfClasses:
    """What the two kinds of labels have in common: there is an output for each class.

    Parameters
    ----------
    classes : ndarray of shape (K,)
        All labels, sorted; or the numbers of the columns of an indicator matrix.
    is_sparse : bool, default=False
        Whether predictions are sparse, as y was in training.

    Attributes
    ----------
    n_outputs : int
        Output units of the network.
    outputs : ndarray of shape (K,)
        Names of the outputs, by which the user chooses some.
    columns : ndarray of shape (K,)
        What to call the columns of predictions.
    n_targets : int
        Columns of y that are numbers to learn.
    is_single : bool
        Whether there is one output, as y has one dimension.
    """

    n_targets = 1
    is_single = False

    def __init__(self, classes, is_sparse=False):
        self.classes = self.outputs = self.columns = classes
        self.n_outputs, self.is_sparse = len(classes), is_sparse

    @staticmethod
    def title(output):
        """What to call an output in a sentence, given its name."""
        return str(output)

    def to_raw(self, coefs, intercepts, widening=0.0):
        """Weights and biases as they are: labels have no units, and no density."""
        return coefs, intercepts

    def from_raw(self, parameters, widening=0.0):
        """Leave the parameters, likewise."""

    def has_units_of(self, other):
        """True: there are none that could change."""
        return True

    def check_precision(self, dtype):
        """Labels have no unit that a type may have no numbers for."""

    @staticmethod
    def is_met_by_constant(to_learn):
        """Whether training is to begin with a constant: labels take finite logits."""
        return False

    def score(self, loss, floor):
        """The score that ``scoring="loss"`` stands for."""
        return -loss


class ClassLabels(_OfClasses):
    """One label a row; targets are class indices, and the output layer is a softmax."""

    loss = LOSSES["cross_entropy"]

    @staticmethod
    def strata(k):
        """Groups that each part of the rows is to have rows of, as numbers."""
        return k

    # numbers that are equal for equal targets, and those that no other row has a say in
    tokens = prints = strata

    @property
    def names(self):
        """What to call the groups of rows that are to be in both parts of a split."""
        return self.classes

    @property
    def main(self):
        """Number of the output to explain if none is named: of two, the second."""
        return 1 if len(self.classes) == 2 else None

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

    def class_weights(self, settings, y, sample_weight):
        """Weight of each class.

        Parameters
        ----------
        settings : Settings
            With `class_weight`, as of scikit-learn's estimators.
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
        class_weight = settings.class_weight
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


class LabelIndicators(_OfClasses):
    """Any number of labels a row; each has a logistic output of its own."""

    loss = LOSSES["binary_cross_entropy"]
    names = None
    main = None

    def __init__(self, classes, is_sparse=False):
        super().__init__(classes, is_sparse)
        if classes.dtype.kind not in "iu" or (classes != np.arange(len(classes))).any():
            raise ValueError(
                "For a multilabel y, classes should be the numbers of its columns, 0 to "
                f"{len(classes) - 1}, got {classes}."
            )

    @staticmethod
    def strata(T):
        """One group: see `ClassLabels.strata`."""
        return np.zeros(len(T), int)

    @staticmethod
    def tokens(T):
        """A number for each row, equal for equal targets."""
        packed = np.packbits(T, axis=1)
        return np.unique(packed, axis=0, return_inverse=True)[1].reshape(-1)

    @staticmethod
    def prints(T):
        """The same, whatever the other rows are."""
        return fingerprints(T)

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

    def class_weights(self, settings, y, sample_weight):
        """None: there is no one class for a row to have the weight of.

        Raises
        ------
        ValueError
            If `class_weight` is not None.
        """
        if settings.class_weight is not None:
            raise ValueError(
                "class_weight is for y with one label a row. For a multilabel y, weigh the "
                "rows by sample_weight."
            )


# What encoded targets are, by the kind of their type
_OF_TYPES = {"i": ClassLabels, "b": LabelIndicators, "f": RealValues}


def kind_of(targets):
    """The class that has encoded such targets."""
    return _OF_TYPES[targets.dtype.kind]


class LabelTally(NamedTuple):
    """What the y of some rows tells of all: labels, and how many rows have them.

    Attributes
    ----------
    targets : ClassLabels or LabelIndicators
    n_rows, weight : ndarray of shape (k,)
        Number of the rows that have a weight, and their total, of each class; of all rows
        together, if they are of no class.
    totals : ndarray of shape (K,)
        Weight of the rows of each class or label.
    """

    targets: ClassLabels | LabelIndicators
    n_rows: np.ndarray
    weight: np.ndarray
    totals: np.ndarray

    @property
    def traits(self):
        """What has to be the same in all parts, by what it is called."""
        classes = self.targets.classes
        return {
            "kind of y": type(self.targets).__name__,
            "columns of y": 1 if self.targets.names is not None else len(classes),
        }

    @property
    def example(self):
        """A y that has each of the labels, as other rows may be checked by."""
        classes = self.targets.classes
        return np.zeros((1, len(classes))) if self.targets.names is None else classes

    def size(self, targets, class_weights):
        """Number of the rows with a weight, and the total, under weights of classes."""
        if class_weights is None:
            return int(self.n_rows.sum()), float(self.weight.sum())
        weights = class_weights[targets.encode(self.targets.classes)]
        return int(self.n_rows[weights > 0].sum()), float(weights @ self.weight)


class Labels:
    """Reads y of classifiers: one label a row, or any number of labels."""

    _kinds = {kind.loss.units: kind for kind in (ClassLabels, LabelIndicators)}  # noqa: RUF012

    @staticmethod
    def check_settings_of_chunk(estimator):
        """Raise ValueError if a parameter asks for what no chunk can tell."""
        if estimator.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' is not supported by partial_fit, which sees one "
                "part of the data at a time. Compute the weights from all labels, or from "
                "what is known of them, with sklearn.utils.compute_class_weight('balanced',"
                " classes=classes, y=y), and pass them as a dict."
            )

    @staticmethod
    def begin(estimator, classes):
        """Set the classes in the first call of a stream; ValueError if there are others."""
        check_first_call(estimator, classes)

    @staticmethod
    def options(y):
        """How scikit-learn is to validate y; ValueError if it has columns of classes."""
        multilabel = getattr(y, "ndim", None) != 1 and is_multilabel(y)
        shape = getattr(y, "shape", ())
        if len(shape) == 2 and shape[1] > 1 and not multilabel:
            y = check_array(y, accept_sparse=True, dtype=None, input_name="y")
            raise ValueError(
                "y should be a 1d array of labels, or an indicator matrix with the numbers "
                f"0 and 1, got an array of shape {shape} and dtype {y.dtype}. For several "
                "classes of several values, use sklearn.multioutput.MultiOutputClassifier."
            )
        return {"multi_output": multilabel}

    @staticmethod
    def checked(y):
        """The labels, validated as scikit-learn does it."""
        check_classification_targets(y)
        return y

    @staticmethod
    def of(y, settings=None, sample_weight=None):
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

    @staticmethod
    def check_settings_of_parts(settings):
        """Partitions can tell all that the parameters ask for."""

    @staticmethod
    def needs_sample(settings):
        """Whether `merged` needs values of y: it does not, tallies say all."""
        return False

    @classmethod
    def tally(cls, y, settings, sample_weight):
        """What the y of some rows tells of all, as a `LabelTally`."""
        targets = cls.of(y)
        T, weights = targets.encode(y), sample_weight
        if weights is not None:
            T, weights = T[weights > 0], weights[weights > 0]
        strata = targets.strata(T)
        n_strata = 1 if targets.names is None else len(targets.classes)
        return LabelTally(
            targets,
            np.bincount(strata, minlength=n_strata),
            np.bincount(strata, weights, n_strata),
            targets.loss.totals(T, weights, len(targets.classes)),
        )

    @staticmethod
    def merged(tallies, settings, sample):
        """What y is in all parts together, given the tally of each."""
        first, *others = (tally.targets for tally in tallies)
        if first.names is None:
            return first
        for other in others:
            if are_texts(other.classes) != are_texts(first.classes):
                raise ValueError(
                    f"Partitions of y have labels of different types: {first.classes} and "
                    f"{other.classes}."
                )
        classes = [tally.targets.classes for tally in tallies]
        return ClassLabels(np.unique(np.concatenate(classes)))

    @staticmethod
    def totals(targets, tallies):
        """Weight of the rows of each class or label in all parts."""
        totals = np.zeros(len(targets.classes))
        for tally in tallies:
            totals[np.searchsorted(targets.classes, tally.targets.classes)] += tally.totals
        return totals

    @classmethod
    def of_chunk(cls, estimator, y, settings=None, sample_weight=None):
        """What y is in a stream, whose first call has named the classes."""
        if hasattr(estimator, "coefs_"):
            return cls.of_fitted(estimator)
        return type(cls.of(y))(estimator.classes_)

    @classmethod
    def of_fitted(cls, estimator):
        """What y was in training."""
        kind = cls._kinds[estimator.out_activation_]
        return kind(estimator.classes_, estimator._has_sparse_labels_)

    @staticmethod
    def attributes(targets):
        """What `of_fitted` reads, as a dict."""
        return {
            "classes_": targets.classes,
            "out_activation_": targets.loss.units,
            "_has_sparse_labels_": targets.is_sparse,
        }

    @staticmethod
    def going_on(before, targets):
        """What y is in a fit that goes on; ValueError if it has other classes."""
        is_same = isinstance(targets, type(before))
        if not (is_same and np.array_equal(targets.classes, before.classes)):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the "
                f"previous call to fit. Previously got {before.classes}, `y` has "
                f"{targets.classes}"
            )
        return targets


def are_texts(labels):
    """Whether an array holds texts, which numbers can't be compared with."""
    return labels.dtype.kind in "USO"
