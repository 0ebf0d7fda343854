"""Models in ONNX predict what they predict here."""

import warnings

import numpy as np
import pytest
from common import short_fits
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_multilabel_classification
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skmlp import MLPClassifierManual, MLPRegressorManual

pytest.importorskip("skl2onnx", reason="needs the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="runs what was converted")

from skl2onnx import to_onnx

import skmlp.onnx  # noqa: F401, registers the converter


def run(model, X, **options):
    """Outputs of the converted model, by onnxruntime."""
    with warnings.catch_warnings():
        # of skl2onnx and onnx themselves
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        converted = to_onnx(model, X[:1], options=options or None)
    session = onnxruntime.InferenceSession(
        converted.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"X": X})


def agree(model, X, rtol, atol):
    label, proba = run(model, X, zipmap=False)
    assert proba.dtype == X.dtype
    assert_array_equal(label, model.predict(X))
    assert_allclose(proba, model.predict_proba(X), rtol=rtol, atol=atol)


@short_fits
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("hidden", [(), (9,), (7, 5), (7, 6, 5)])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_every_activation_and_depth(digits, activation, hidden, dtype):
    X, y = digits
    X = X.astype(dtype)
    model = MLPClassifierManual(hidden, activation, max_iter=10, random_state=0).fit(X, y)
    agree(model, X, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-12)


@short_fits
@pytest.mark.parametrize("labels", ["int", "negative", "string", "object", "bool", "float"])
@pytest.mark.parametrize("zipmap", [False, True, "columns"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_and_zipmap_in_a_pipeline(iris, labels, zipmap, dtype):
    X, y = iris
    X = X.astype(dtype)
    names = np.array(["setosa", "versicolor", "virginica"])
    y = {
        "int": y,
        "negative": y - 5,
        "string": names[y],
        "object": names.astype(object)[y],
        "bool": y > 0,
        "float": y.astype(float),
    }[labels]
    pipe = make_pipeline(StandardScaler(), MLPClassifierManual(max_iter=40, random_state=0))
    pipe.fit(X, y)
    label, *proba = run(pipe, X, zipmap=zipmap)
    assert_array_equal(label, pipe.predict(X))
    expected = pipe.predict_proba(X)
    if zipmap is True:
        assert [set(row) for row in proba[0]] == [set(pipe.classes_)] * len(X)
        proba = [[row[label] for row in proba[0]] for label in pipe.classes_]
    elif zipmap is False:
        proba = proba[0].T
    assert_allclose(np.array(proba).reshape(expected.T.shape), expected.T, atol=1e-5)


@short_fits
def test_the_defaults_of_to_onnx_run(iris):
    """float64 data with dictionaries, which ONNX has for float32 only."""
    X, y = iris
    model = MLPClassifierManual(max_iter=40, random_state=0).fit(X, y)
    label, dictionaries = run(model, X)
    assert_array_equal(label, model.predict(X))
    assert_allclose(
        [list(row.values()) for row in dictionaries], model.predict_proba(X), atol=1e-6
    )


@short_fits
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_multilabel(dtype):
    X, Y = make_multilabel_classification(200, 10, n_classes=4, random_state=0)
    X = X.astype(dtype)
    pipe = make_pipeline(
        StandardScaler(), MLPClassifierManual(20, "tanh", max_iter=40, random_state=0)
    )
    agree(pipe.fit(X, Y), X, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-12)


@short_fits
def test_saturated_probabilities(iris):
    X, y = iris
    X = (X * 1e3).astype(np.float32)
    model = MLPClassifierManual(
        (), max_iter=40, solver="adam", learning_rate_init=1.0, random_state=0
    )
    agree(model.fit(X, y), X, rtol=0, atol=1e-5)


@short_fits
def test_inside_a_column_transformer_pipeline(iris):
    X, y = iris
    X = X.astype(np.float32)
    columns = make_column_transformer((StandardScaler(), [0, 1]), (MinMaxScaler(), [2, 3]))
    pipe = make_pipeline(columns, MLPClassifierManual(max_iter=40, random_state=0))
    agree(pipe.fit(X, y), X, rtol=0, atol=1e-5)


@short_fits
@pytest.mark.parametrize("n_classes", [2, 3])
def test_raw_scores_and_calibration(iris, n_classes):
    X, y = iris
    X, y = X[y < n_classes].astype(np.float32), y[y < n_classes]
    net = MLPClassifierManual(
        5, max_iter=40, solver="adam", learning_rate_init=0.01, random_state=0
    )
    net.fit(X, y)
    _, scores = run(net, X, zipmap=False, raw_scores=True)
    decision = net.decision_function(X)
    expected = decision if n_classes > 2 else np.column_stack([-decision, decision])
    assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
    agree(CalibratedClassifierCV(net, cv=3).fit(X, y), X, rtol=0, atol=1e-5)


@short_fits
def test_class_labels_as_an_output(iris):
    X, y = iris
    model = MLPClassifierManual(max_iter=40, random_state=0).fit(X, y)
    outputs = run(model, X, zipmap=False, output_class_labels=True)
    assert_array_equal(outputs[2], model.classes_)


@short_fits
def test_labels_that_onnx_does_not_have(iris):
    X, y = iris
    model = MLPClassifierManual(max_iter=5, random_state=0).fit(X, y)
    model.classes_ = np.array([0.5, 1.5, 2.5])
    with pytest.raises(ValueError, match="ONNX labels are strings or integers"):
        run(model, X, zipmap=False)


# Losses of a regressor, and columns of y
VALUES = [
    ({"loss": "squared_error"}, 1),
    ({"loss": "squared_error"}, 3),
    ({"loss": "poisson"}, 1),
    ({"loss": "poisson"}, 2),
    ({"loss": "gamma"}, 2),
    ({"loss": "absolute_error"}, 2),
    ({"loss": "quantile", "quantile": 0.9}, 1),
    ({"loss": "quantile", "quantile": [0.45, 0.5, 0.55]}, 1),
    ({"loss": "gaussian"}, 1),
    ({"loss": "gaussian"}, 2),
]


def make_regressor(params, n_columns, dtype, **others):
    """A regressor in a pipeline, of values of many sizes, and its rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    y = 10 + 1e3 * np.exp(X[:, :n_columns] + rng.normal(size=(60, n_columns)))
    settings = {"alpha": 0.1, "max_iter": 15, "random_state": 0}
    model = MLPRegressorManual(hidden_layer_sizes=(7, 5), **(settings | params | others))
    y = y if n_columns > 1 else y[:, 0]
    return make_pipeline(StandardScaler(), model).fit(X.astype(dtype), y), X.astype(dtype)


@short_fits
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("params", "n_columns"), VALUES)
def test_values(params, n_columns, dtype):
    """A column for each one, also where `predict` has one dimension; no deviations."""
    pipe, X = make_regressor(params, n_columns, dtype)
    (values,) = run(pipe, X)
    expected = pipe.predict(X)
    assert values.dtype == dtype
    assert values.shape == (60, np.size(params.get("quantile", 0.5)) * n_columns)
    tol = 1e-6 if dtype == np.float32 else 1e-13
    atol = tol * np.abs(expected).max()
    assert_allclose(values, expected.reshape(values.shape), rtol=10 * tol, atol=atol)
    converted = to_onnx(pipe, X[:1])
    (output,) = converted.graph.output
    assert output.name == "variable"
    assert output.type.tensor_type.shape.dim[1].dim_value == values.shape[1]


@short_fits
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_quantiles_that_cross_are_sorted(dtype):
    pipe, X = make_regressor(*VALUES[7], dtype)
    seen, net = pipe[0].transform(X), pipe[1]
    Z = net.transform(seen) @ net.coefs_[-1] + net.intercepts_[-1]
    assert (np.diff(Z, axis=1) < 0).any()
    (values,) = run(pipe, X)
    assert (np.diff(values, axis=1) >= 0).all()
    assert_allclose(values, np.sort(Z, axis=1), atol=1e-6 * np.abs(Z).max())


@short_fits
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", ["poisson", "gaussian"])
def test_values_far_away_are_finite(loss, dtype):
    pipe, X = make_regressor({"loss": loss}, 1, dtype, activation="identity")
    far = dtype(1e6) * X
    (values,) = run(pipe, far)
    assert np.isfinite(values).all()
    assert_allclose(values[:, 0], pipe.predict(far), rtol=1e-4)
    assert loss == "gaussian" or values.max() > np.finfo(dtype).max / 2
