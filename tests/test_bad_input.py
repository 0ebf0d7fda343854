"""Every bad input gets a clear error, and the estimator stays as it was."""

import copy
from itertools import product

import numpy as np
import pandas as pd
import pytest
from common import SOLVERS, assert_same_state, shared_settings, short_fits
from scipy import sparse
from sklearn.utils._param_validation import InvalidParameterError

from skmlp import MLPClassifierManual
from skmlp._activations import ACTIVATIONS

X = np.random.default_rng(0).normal(size=(40, 3))
y = np.arange(40) % 2


def bad(value, at=(3, 1)):
    changed = X.copy()
    changed[at] = value
    return changed


def assert_rejected(X, y, match, sample_weight=None, error=ValueError, **params):
    """In `fit`, first or later, and in `partial_fit`; nothing is left half set."""
    new = MLPClassifierManual(**params)
    with pytest.raises(error, match=match):
        new.fit(X, y, sample_weight)
    assert vars(new) == vars(MLPClassifierManual(**params))
    with pytest.raises(error, match=match):
        # where partial_fit is available
        getattr(new, "partial_fit", new.fit)(
            X,
            y,
            sample_weight=sample_weight,
            **({"classes": [0, 1]} if hasattr(new, "partial_fit") else {}),
        )
    assert vars(new) == vars(MLPClassifierManual(**params))
    fitted = MLPClassifierManual(solver="lbfgs", alpha=1.0, tol=0.1, random_state=0)
    fitted.fit(globals()["X"], globals()["y"])
    fitted.set_params(**params)
    before = copy.deepcopy(vars(fitted))
    with pytest.raises(error, match=match):
        fitted.fit(X, y, sample_weight)
    assert_same_state(before, vars(fitted))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("data", "match"),
    [
        (bad(np.nan), "contains NaN"),
        (bad(np.inf), "contains infinity"),
        (X[:, 0], "Expected 2D array"),
        (X + 1j, "Complex data not supported"),
        (np.full((40, 3), "text", dtype=object), "could not convert string to float"),
        (X[:0], r"Found array with 0 sample\(s\)"),
        (X[:, :0], r"0 feature\(s\)"),
        (X[:30], "inconsistent numbers of samples"),
        (sparse.csr_array(bad(np.nan)), "contains NaN"),
    ],
)
def test_bad_X(solver, data, match):
    assert_rejected(data, y, match, solver=solver)


def with_missing_label():
    """A frame of two nullable labels."""
    labels = pd.DataFrame({"a": y, "b": 1 - y}, dtype="Int64")
    labels.iloc[3, 0] = pd.NA
    return labels


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (np.linspace(0, 1, 40), "Unknown label type"),
        (y[:10], "inconsistent numbers of samples"),
        (np.where(y, np.nan, 0.0), "contains NaN"),
        (np.arange(80).reshape(40, 2) % 3, "y should be a 1d array.*MultiOutputClassifier"),
        (np.where(y[:, np.newaxis], [0, 2], 0), "should hold 0 and 1 only"),
        (np.zeros((40, 2)).astype(object), "numbers 0 and 1, got .* dtype object"),
        (with_missing_label(), "y contains NaN"),
        ([], "0 sample|inconsistent numbers of samples"),
        (None, "requires y to be passed, but the target y is None|y cannot be None"),
    ],
)
def test_bad_y(labels, match):
    assert_rejected(X, labels, match)


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        (np.where(y, -1.0, 1.0), "Negative values"),
        (np.where(y, np.nan, 1.0), "contains NaN"),
        (np.zeros(40), "non-zero|must be positive and finite, got 0"),
        (np.full(40, 1e308), "must be positive and finite, got inf"),
        (np.where(y, np.inf, 1.0), "contains infinity"),
        (np.ones(39), "sample_weight.shape"),
        (np.ones((40, 2)), "must be 1D"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in reduce")
@pytest.mark.parametrize("solver", SOLVERS)
def test_bad_sample_weight(solver, weights, match):
    assert_rejected(X, y, match, sample_weight=weights, solver=solver)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("activation", "swish"),
        ("solver", "newton"),
        ("alpha", -1),
        ("batch_size", 0),
        ("batch_size", "all"),
        ("learning_rate", "optimal"),
        ("learning_rate_init", 0),
        ("power_t", -0.5),
        ("max_iter", 0),
        ("max_iter", 1.5),
        ("shuffle", "yes"),
        ("random_state", -1),
        ("tol", -1),
        ("verbose", -1),
        ("warm_start", "no"),
        ("momentum", 1.1),
        ("nesterovs_momentum", "no"),
        ("early_stopping", "never"),
        ("scoring", 3),
        ("class_weight", "heavy"),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("validation_fraction", 0.0),
        ("validation_fraction", 1.0),
        ("beta_1", 1.0),
        ("beta_2", -0.1),
        ("epsilon", 0.0),
        ("n_iter_no_change", 0),
        ("max_fun", 0),
        ("hidden_layer_sizes", 0),
        ("hidden_layer_sizes", 2.5),
        ("hidden_layer_sizes", "100"),
        ("hidden_layer_sizes", -1),
    ],
)
def test_bad_parameters_are_named(name, value):
    model = MLPClassifierManual(**{name: value})
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter"):
        model.fit(X, y)
    assert vars(model) == vars(MLPClassifierManual(**{name: value}))


@pytest.mark.parametrize(
    "sizes", [(10, 0), [5, -1], (10, 2.5), (True,), ("5",), [[5]], {5}]
)
def test_bad_layer_sizes_name_the_entry(sizes):
    with pytest.raises(ValueError, match=r"hidden_layer_sizes .* got .* in "):
        MLPClassifierManual(sizes).fit(X, y)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    "data",
    [
        1e308 * np.random.default_rng(0).uniform(size=(40, 3)),
        (1e38 * np.abs(X)).clip(None, 3e38).astype(np.float32),
    ],
    ids=["float64", "float32"],
)
def test_data_that_overflow_the_arithmetic_are_an_error(solver, data):
    model = MLPClassifierManual(
        solver=solver,
        activation="identity" if solver == "newton-cg" else "relu",
        standardize=False,
        alpha=1e-4,
        random_state=0,
    )
    match = "Training diverged.*Scale the features.*learning_rate_init"
    with pytest.raises(ValueError, match=match):
        model.fit(data, y)
    assert vars(model).keys() == vars(MLPClassifierManual()).keys()


def test_newton_refuses_kinks():
    relu = MLPClassifierManual(activation="relu", solver="newton-cg", alpha=1.0)
    with pytest.raises(ValueError, match="do not see the kinks of activation='relu'"):
        relu.fit(X, y)
    assert relu.set_params(hidden_layer_sizes=()).fit(X, y).n_iter_ > 0


@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_too_large_steps_are_an_error_at_once(activation):
    model = MLPClassifierManual(
        solver="sgd",
        activation=activation,
        learning_rate_init=1e6,
        alpha=1.0,
        n_iter_no_change=np.inf,
        max_iter=10_000_000,  # would take hours
        random_state=0,
    )
    with pytest.raises(ValueError, match="Training diverged"):
        model.fit(X, y)
    assert vars(model).keys() == vars(MLPClassifierManual()).keys()


@shared_settings
@short_fits
@pytest.mark.parametrize(
    ("solver", "activation"),
    # see `test_newton_refuses_kinks`
    [pair for pair in product(SOLVERS, ACTIVATIONS) if pair != ("newton-cg", "relu")],
)
@pytest.mark.parametrize("scale", [1e3, 1e30])
def test_huge_data_train_to_a_finite_model(solver, activation, scale):
    model = MLPClassifierManual(
        5, activation, solver=solver, max_iter=20, batch_size=10, random_state=0
    )
    model.fit(scale * X, y)
    assert np.isfinite(model.loss_curve_).all()
    assert all(np.isfinite(a).all() for a in (*model.coefs_, *model.intercepts_))
    assert np.isfinite(model.predict_proba(scale * X)).all()
    assert np.isfinite(model.predict_log_proba(scale * X)).all()


def test_partial_fit_needs_classes_first():
    model = MLPClassifierManual()
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, y)
    with pytest.raises(ValueError, match=r"classes \[0\]|not in"):
        model.partial_fit(X, y, classes=[1, 2])
    assert vars(model) == vars(MLPClassifierManual())
    model.partial_fit(X, y, classes=[0, 1])
    before = copy.deepcopy(vars(model))
    with pytest.raises(ValueError, match="is not the same as on last call"):
        model.partial_fit(X, y, classes=[1, 2])
    with pytest.raises(ValueError, match=r"classes \[2\] that are not in"):
        model.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="X has 2 features, but"):
        model.partial_fit(X[:, :2], y)
    # a first batch that takes a step, and a second that diverges
    changed = {"activation": "identity", "batch_size": 20, "learning_rate_init": 1e300}
    unchanged = {name: getattr(model, name) for name in changed}
    with pytest.raises(ValueError, match="Training diverged"):
        model.set_params(**changed).partial_fit(X, y)
    assert_same_state(before, vars(model.set_params(**unchanged)))
    for name, value in (("solver", "newton"), ("alpha", -1), ("learning_rate", "bogus")):
        broken = copy.deepcopy(model).set_params(**{name: value})
        with pytest.raises(InvalidParameterError, match=f"'{name}' parameter"):
            broken.partial_fit(X, y)


def test_partial_fit_is_not_there_where_it_makes_no_sense():
    assert not hasattr(MLPClassifierManual(solver="lbfgs"), "partial_fit")
    assert not hasattr(MLPClassifierManual(solver="newton-cg"), "partial_fit")
    assert not hasattr(MLPClassifierManual(early_stopping=True), "partial_fit")
    assert not hasattr(MLPClassifierManual(early_stopping=np.True_), "partial_fit")
    assert hasattr(MLPClassifierManual(early_stopping="auto"), "partial_fit")
    with pytest.raises(AttributeError) as caught:
        MLPClassifierManual(early_stopping=True).partial_fit(X, y)
    assert "does not support early_stopping=True" in str(caught.value.__cause__)
    with pytest.raises(AttributeError) as caught:
        MLPClassifierManual(solver="newton-cg").partial_fit(X, y)
    assert "'sgd' and 'adam', not for solver='newton-cg'" in str(caught.value.__cause__)


def test_warm_start_with_other_classes_features_or_layers():
    model = MLPClassifierManual(
        solver="lbfgs", warm_start=True, tol=0.1, random_state=0
    ).fit(X, y)
    before = copy.deepcopy(vars(model))
    with pytest.raises(ValueError, match=r"Previously got \[0 1\], `y` has \[0 1 2\]"):
        model.fit(X, np.arange(40) % 3)
    with pytest.raises(ValueError, match="X has 2 features, but"):
        model.fit(X[:, :2], y)
    assert_same_state(before, vars(model))
    with pytest.raises(ValueError, match="hidden_layer_sizes has changed"):
        model.set_params(hidden_layer_sizes=7).fit(X, y)


def test_class_of_one_row_is_trained_on():
    labels = np.zeros(40)
    labels[3] = 1
    model = MLPClassifierManual(early_stopping=True, alpha=0.01, random_state=0)
    with pytest.warns(UserWarning, match=r"no sample of class \[1\.\], of .* 1") as record:
        model.fit(X, labels)
    assert record[0].filename == __file__
    assert model.predict_proba(X[3:4])[0, 1] > 0.05
    # its weight makes it several rows
    weights = np.where(labels, 2.0, 1.0)
    assert model.fit(X, labels, weights).n_iter_ > 10


def test_where_one_row_would_be_held_out_there_are_two():
    model = MLPClassifierManual(early_stopping=True, random_state=0)
    with pytest.warns(UserWarning, match=r"of 5 samples .* there are 2"):
        model.fit(X[:5], np.zeros(5))
    assert len(model.validation_loss_curve_) == model.n_iter_
    for n, labels in ((2, np.zeros(2)), (3, np.arange(3))):
        with pytest.raises(ValueError, match=rf"too small: of {n} samples"):
            model.fit(X[:n], labels)


@short_fits
def test_batch_larger_than_the_data_warns():
    model = MLPClassifierManual(solver="adam", batch_size=100, max_iter=3, random_state=0)
    with pytest.warns(UserWarning, match="batch_size=100 is larger than the 40") as record:
        model.fit(X, y)
    assert record[0].filename == __file__
    model.partial_fit(X, y)  # chunks of a stream may be small


def test_prediction_of_bad_data():
    model = MLPClassifierManual(solver="lbfgs", tol=0.1, random_state=0).fit(X, y)
    for data, match in [
        (X[:, :2], "X has 2 features, but"),
        (bad(np.nan), "contains NaN"),
        (X[0], "Expected 2D array"),
        (np.array(1.0), "Expected 2D array"),
        (X[np.newaxis], "Found array with dim 3"),
        (X[:0], r"0 sample\(s\)"),
    ]:
        with pytest.raises(ValueError, match=match):
            model.predict(data)


@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba"])
def test_predictions_beyond_the_arithmetic_warn(method):
    model = MLPClassifierManual(
        activation="identity", alpha=1e-4, standardize=False, random_state=0, tol=0.1
    ).fit(X, y)
    model.coefs_[0] *= 1e10
    with pytest.warns(RuntimeWarning, match="Predictions are not finite") as record:
        getattr(model, method)(1e308 * np.ones((5, 3)))
    assert record[0].filename == __file__
