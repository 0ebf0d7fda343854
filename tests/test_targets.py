"""What y is: how it is checked and encoded, and what outputs say about it."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from skmlp._targets import ClassLabels, LabelIndicators, Labels

CLASSES = ClassLabels(np.array([-3, 5, 7]))
LABELS = LabelIndicators(np.arange(3))
INDICATORS = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1]])


def weigh(targets, class_weight, y, sample_weight):
    settings = SimpleNamespace(class_weight=class_weight)
    return targets.class_weights(settings, y, sample_weight)


@pytest.mark.parametrize(
    "classes",
    [
        np.array([-3, 5, 7]),
        np.array([0.5, 1.5, 2.5]),
        np.array(["a", "b", "c"]),
        np.array(["a", "b", "c"], dtype=object),
        np.array([False, True]),
    ],
)
def test_class_indices_and_back(classes):
    targets, k = ClassLabels(classes), np.array([1, 0, len(classes) - 1, 1])
    y = classes[k]
    targets.check(y)
    assert_array_equal(targets.encode(y), k)
    assert targets.decode(k).dtype == classes.dtype
    assert_array_equal(targets.decode(k), y)


def test_indicators_and_back():
    for y in (INDICATORS, INDICATORS.astype(bool), sparse.csr_array(INDICATORS)):
        LABELS.check(y)
        T = LABELS.encode(y)
        assert T.dtype == bool
        assert_array_equal(T, INDICATORS)
        assert LABELS.decode(T).dtype == int
        assert_array_equal(LABELS.decode(T), INDICATORS)


def test_outputs_of_classes():
    proba = np.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]])
    Z = np.log(proba) + np.array([[5.0], [-30.0]])  # softmax does not see the shift
    assert_array_equal(CLASSES.predict(Z), [5, -3])
    assert_allclose(CLASSES.decision(Z), np.log(proba))
    two = ClassLabels(np.array(["no", "yes"]))
    assert_array_equal(two.predict(Z[:, :2]), ["yes", "no"])
    assert_allclose(two.decision(Z[:, :2]), np.log([0.5 / 0.2, 0.1 / 0.7]))


def test_outputs_of_labels():
    Z = np.array([[1e-9, -1e-9, 0.0], [3.0, 2.0, -800.0]])
    found = LABELS.predict(Z)
    assert_array_equal(found, [[1, 0, 0], [1, 1, 0]])
    assert found.dtype == int
    assert_array_equal(LABELS.decision(Z), Z)
    thin = LabelIndicators(np.arange(3), is_sparse=True).predict(Z)
    assert sparse.issparse(thin)
    assert_array_equal(thin.toarray(), found)


@pytest.mark.parametrize(
    ("targets", "y", "match"),
    [
        (CLASSES, INDICATORS, r"y has shape \(3, 3\); expected is one label a row"),
        (CLASSES, np.array([5, 6, 7, 8]), r"`y` has classes \[6 8\] that are not in"),
        (CLASSES, np.array(["a", "5"]), r"classes \['5' 'a'\] that are not in"),
        (
            CLASSES,
            np.array(["a", "5"], dtype=object),
            r"classes \['5' 'a'\] that are not in",
        ),
        (LABELS, np.array([1, 0]), r"shape \(2,\); expected .* with 3 columns"),
        (LABELS, INDICATORS[:, :2], r"shape \(3, 2\); expected .* with 3 columns"),
    ],
)
def test_y_of_another_kind(targets, y, match):
    with pytest.raises(ValueError, match=match):
        targets.check(y)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_indicators_of_other_values(container):
    with pytest.raises(ValueError, match=r"0 and 1 only, got the values \[0 1 2\]"):
        LABELS.encode(container(np.array([[0, 1, 2]])))


@pytest.mark.parametrize(
    "classes",
    [np.array([1, 2, 3]), np.array([1, 0]), np.array(["a"]), np.array([0.0, 1.0])],
)
def test_labels_are_numbered(classes):
    with pytest.raises(ValueError, match=f"columns, 0 to {len(classes) - 1}, got"):
        LabelIndicators(classes)


def test_class_weights():
    y = np.array([5, 5, 5, -3])
    assert weigh(CLASSES, None, y, None) is None
    assert_array_equal(weigh(CLASSES, {-3: 2.5, 7: 0}, y, None), [2.5, 1, 0])
    # 4 rows and 2 classes; a class without rows weighs 1
    balanced = weigh(CLASSES, "balanced", y, None)
    assert_allclose(balanced, [4 / (2 * 1), 4 / (2 * 3), 1])
    # rows of weight 0 are as if they were not there
    balanced = weigh(CLASSES, "balanced", y, np.array([2.0, 1.0, 0.0, 6.0]))
    assert_allclose(balanced, [9 / (2 * 6), 9 / (2 * 3), 1])
    assert_allclose(weigh(CLASSES, "balanced", y, 1.0 * (y == 5)), [1, 1, 1])


@pytest.mark.parametrize("weight", [-1, np.inf, np.nan])
def test_bad_class_weights(weight):
    with pytest.raises(ValueError, match="class_weight must be finite and at least 0"):
        weigh(CLASSES, {5: weight}, np.array([5]), None)


def test_labels_have_no_class_weights():
    assert weigh(LABELS, None, INDICATORS, None) is None
    with pytest.raises(ValueError, match="class_weight is for y with one label a row"):
        weigh(LABELS, {0: 1}, INDICATORS, None)


@pytest.mark.parametrize(
    ("y", "kind", "classes", "is_sparse"),
    [
        (np.array(["b", "a", "b"]), ClassLabels, ["a", "b"], False),
        (np.array([2, 0]), ClassLabels, [0, 2], False),
        (INDICATORS, LabelIndicators, [0, 1, 2], False),
        (sparse.csr_array(INDICATORS), LabelIndicators, [0, 1, 2], True),
    ],
)
def test_fitted_attributes_tell_what_y_was(y, kind, classes, is_sparse):
    targets = Labels.of(y)
    attributes = Labels.attributes(targets)
    again = Labels.of_fitted(SimpleNamespace(**attributes))
    for found in (targets, again):
        assert type(found) is kind
        assert_array_equal(found.classes, classes)
        assert found.is_sparse == is_sparse
    assert attributes["out_activation_"] == kind.loss.units
