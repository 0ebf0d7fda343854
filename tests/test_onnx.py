"""Models in ONNX predict what they predict here."""

import functools
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from common import short_fits
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_multilabel_classification
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skmlp import (
    MLPClassifierManual,
    MLPRegressorManual,
    TabularMLPClassifier,
    TabularMLPRegressor,
)
from skmlp._tabular import _encoding
from skmlp._tabular._gaps import GapOneHotEncoder
from skmlp.preprocessing import PiecewiseLinearEncoder

pytest.importorskip("skl2onnx", reason="needs the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="runs what was converted")

from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType

from skmlp.onnx import input_types


def run(model, X, **options):
    """Outputs of the converted model, by onnxruntime."""
    return run_typed(model, {"X": X}, X[:1], None, options or None)


def run_typed(model, feed, X, types, options=None):
    """Outputs of the model, converted by rows or types, for named arrays."""
    with warnings.catch_warnings():
        # of skl2onnx and onnx themselves
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        converted = to_onnx(model, X, initial_types=types, options=options)
    session = onnxruntime.InferenceSession(
        converted.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feed)


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
    model = MLPClassifierManual(hidden, activation, alpha=0.1, max_iter=10, random_state=0)
    model.fit(X, y)
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
    net = MLPClassifierManual(alpha=0.1, max_iter=40, random_state=0)
    pipe = make_pipeline(StandardScaler(), net).fit(X, y)
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


def gappy(dtype, seed=0):
    """Columns of heavy tails, whole numbers, two values and a constant; two have gaps."""
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [
            np.exp(2 * rng.normal(size=300)),
            rng.integers(0, 40, size=300),
            rng.integers(0, 2, size=300),
            np.full(300, 5.0),
        ]
    )
    X[::7, 0] = np.nan
    X[::5, 2] = np.nan
    return X.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("include_original", [True, False])
@pytest.mark.parametrize("n_bins", [1, 6])
def test_piecewise_linear_features(n_bins, include_original, dtype):
    encoder = PiecewiseLinearEncoder(n_bins, include_original=include_original)
    encoder.fit(gappy(dtype))
    X = gappy(dtype, seed=1)
    X[3:9] *= 1000
    X[11:20, 1] = np.nan  # gaps that are new
    (features,) = run(encoder, X)
    assert features.dtype == dtype
    tol = 1e-6 if dtype == np.float32 else 1e-14
    assert_allclose(features, encoder.transform(X), rtol=10 * tol, atol=tol)


def test_piecewise_linear_features_of_integers_and_of_named_columns():
    X = np.random.default_rng(0).integers(0, 40, size=(100, 2))
    encoder = PiecewiseLinearEncoder(4).fit(X)
    (features,) = run(encoder, X)
    assert_allclose(features, encoder.transform(X), rtol=1e-6)
    feed = {"a": X[:, :1], "b": X[:, 1:]}
    (features,) = run_typed(encoder, feed, pd.DataFrame(X, columns=["a", "b"])[:1], None)
    assert_allclose(features, encoder.transform(X), rtol=1e-6)


@short_fits
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_piecewise_linear_features_in_a_pipeline(dtype):
    X = gappy(dtype)
    columns = make_column_transformer(
        (PiecewiseLinearEncoder(4), [0, 2]), (StandardScaler(), [1, 3])
    )
    pipe = make_pipeline(columns, MLPClassifierManual(max_iter=10, random_state=0))
    pipe.fit(X, X[:, 1] > 20)
    agree(pipe, X, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-12)


def test_bins_too_narrow_for_the_precision():
    encoder = PiecewiseLinearEncoder(4).fit(1e-60 * gappy(np.float64))
    with pytest.raises(ValueError, match="float32 can't have bins as narrow"):
        run(encoder, gappy(np.float32))


def make_table(n=300, seed=0):
    """Numbers, whole numbers, strings, categories and booleans, most with gaps."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "size": np.exp(2 * rng.normal(size=n)),
            "year": rng.integers(1900, 2020, size=n),
            "name": rng.choice(["ann", "bob", "cy", "dee"], size=n),
            "kind": pd.Categorical(rng.choice(["u", "v", "w"], size=n)),
            "is_new": rng.random(n) < 0.5,
            "zone": rng.integers(0, 5, size=n),
        }
    )
    table.loc[::7, "size"] = np.nan
    table.loc[::5, "name"] = None
    table.loc[::9, "kind"] = np.nan
    return table


def answers(table):
    z = np.log(table["size"].fillna(1.0)) + (table["name"] == "bob") + (table["zone"] == 1)
    return z.to_numpy(dtype=float)


def fit_tabular(estimator_type, table, y, **params):
    model = estimator_type(
        hidden_layer_sizes=9,
        categorical_features=["name", "kind", "zone"],
        alpha=0.1,
        max_iter=15,
        random_state=0,
        **({"encoding": "piecewise"} | params),
    )
    return model.fit(table, y)


def arrays(table, types):
    """What onnxruntime takes: an array of shape (n, 1) for each column."""
    return {
        name: table[[name]].to_numpy(
            {"StringTensorType": object, "DoubleTensorType": np.float64}.get(
                type(of_column).__name__, np.float32
            )
        )
        for name, of_column in types
    }


def assert_tables_agree(model, table, dtype=np.float32, types=None):
    types = types or input_types(model, dtype)
    feed = arrays(table, types)
    is_classifier = hasattr(model, "predict_proba")
    options = {"zipmap": False} if is_classifier else None
    found = run_typed(model, feed, None, types, options)
    tol = 1e-5 if dtype == np.float32 else 1e-12
    if is_classifier:
        assert_array_equal(found[0], model.predict(table))
    expected = model.predict_proba(table) if is_classifier else model.predict(table)
    assert found[-1].dtype == dtype
    # a value near 0 is a difference of numbers as large as the others
    atol = tol * max(1.0, np.abs(expected).max())
    assert_allclose(found[-1].reshape(expected.shape), expected, rtol=tol, atol=atol)


def with_news(table):
    """Gaps and categories that `fit` has not seen."""
    table = table.astype({"kind": object, "year": float})
    table.loc[0:3, "name"] = "new"
    table.loc[2:5, "kind"] = "new"
    table.loc[4:6, "zone"] = 99
    table.loc[5:9, "year"] = np.nan
    table.loc[8:12, "size"] = 1e7
    return table


@short_fits
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("encoding", ["linear", "piecewise", "auto"])
def test_tables_with_gaps_and_unknown_categories(encoding, dtype):
    table = make_table()
    model = fit_tabular(
        TabularMLPClassifier, table, answers(table) > 0.5, encoding=encoding
    )
    assert_tables_agree(model, table, dtype)
    assert_tables_agree(model, with_news(make_table(seed=1)), dtype)


@short_fits
@pytest.mark.parametrize("loss", ["squared_error", "poisson", "gaussian"])
def test_values_of_tables(loss):
    table = make_table()
    y = np.exp(0.3 * answers(table))
    model = fit_tabular(TabularMLPRegressor, table, y, loss=loss)
    new = with_news(make_table(seed=1))
    assert_tables_agree(model, new, np.float64)
    (values,) = run_typed(model, arrays(new, input_types(model)), None, input_types(model))
    assert_allclose(values[:, 0], model.predict(new), rtol=1e-4)


@short_fits
def test_tables_of_polars():
    table = make_table()
    frame = pl.from_pandas(table)
    y = answers(table) > 0.5
    model = fit_tabular(TabularMLPClassifier, frame, y)
    types = input_types(model)
    feed = arrays(table, types)
    # as polars has a missing string
    feed["name"] = frame[["name"]].to_numpy()
    assert None in feed["name"]
    _, proba = run_typed(model, feed, None, types, {"zipmap": False})
    assert_allclose(proba, model.predict_proba(frame), atol=1e-5)


@short_fits
@pytest.mark.parametrize("gap", ["", "nan", "None", "<NA>", np.nan, None, pd.NA])
def test_missing_strings(gap):
    table = make_table()
    model = fit_tabular(TabularMLPClassifier, table, answers(table) > 0.5)
    types = input_types(model)
    feed = arrays(table, types)
    feed["name"] = np.array([gap] * len(table), dtype=object).reshape(-1, 1)
    _, proba = run_typed(model, feed, None, types, {"zipmap": False})
    table["name"] = pd.Series([None] * len(table), dtype=table["name"].dtype)
    assert_allclose(proba, model.predict_proba(table), atol=1e-5)


@short_fits
def test_a_category_that_looks_missing():
    """It is the category, unless there are missing values beside it."""
    table = make_table()
    table["name"] = table["name"].astype(object)
    table.loc[table["name"].isna(), "name"] = "nan"
    model = fit_tabular(TabularMLPClassifier, table, answers(table) > 0.5)
    assert_tables_agree(model, table)
    table.loc[:20, "name"] = np.nan
    model = fit_tabular(TabularMLPClassifier, table, answers(table) > 0.5)
    with pytest.raises(ValueError, match=r"'name', ONNX can't tell missing .* 'nan'"):
        assert_tables_agree(model, table)


@short_fits
@pytest.mark.parametrize("gaps", [False, True])
def test_infrequent_categories(gaps, monkeypatch):
    """Unknown ones are as these."""
    rare = functools.partial(GapOneHotEncoder, min_frequency=0.1)
    monkeypatch.setattr(_encoding, "GapOneHotEncoder", rare)
    table = make_table()
    if gaps:
        table.loc[7:, "name"] = table.loc[7:, "name"].fillna("dee")
    else:
        table.loc[:10, "name"] = ["rare", "scarce"] * 5 + ["rare"]
    table.loc[:5, "zone"] = [8, 9] * 3
    model = fit_tabular(TabularMLPClassifier, table, answers(table) > 0.5)
    infrequent = model.encoder_.named_transformers_["categories"].infrequent_categories_
    assert [None if rare is None else len(rare) for rare in infrequent] == [
        *(1 if gaps else 2, None, 2)
    ]
    assert_tables_agree(model, table)
    assert_tables_agree(model, with_news(make_table(seed=1)))


@short_fits
@pytest.mark.parametrize("values", [[False, True], [1, 2, 5], [0.1, 0.2, np.nan]])
def test_categories_that_are_numbers(values):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.choice(values, size=200), "b": rng.normal(size=200)})
    model = TabularMLPRegressor(
        categorical_features=["a"], alpha=0.1, max_iter=10, random_state=0
    )
    model.fit(table, table["a"].fillna(4.0) + table["b"])
    new = table.astype(float)
    new.loc[:5, "a"] = 77.0
    new.loc[6:9, "a"] = np.nan
    assert_tables_agree(model, new, np.float64)
    if values != [0.1, 0.2, np.nan]:  # in float32, 0.1 is another number here
        assert_tables_agree(model, new.astype(np.float32))


@short_fits
def test_categories_that_single_numbers_cannot_tell_apart():
    table = pd.DataFrame({"a": [2**24, 2**24 + 1] * 20, "b": np.arange(40.0)})
    model = TabularMLPRegressor(
        categorical_features=["a"], alpha=0.1, max_iter=5, random_state=0
    )
    model.fit(table, np.arange(40.0))
    assert_tables_agree(model, table, np.float64)
    with pytest.raises(ValueError, match="float32 can't tell the categories of column 'a'"):
        assert_tables_agree(model, table)


@short_fits
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_tables_that_are_one_array(dtype):
    """Integers are doubles, as scikit-learn has them."""
    X = np.nan_to_num(gappy(np.float64), nan=3.0).round().astype(dtype)
    if dtype != np.int64:
        X[::6, 0] = np.nan
    model = TabularMLPRegressor(
        encoding="piecewise",
        categorical_features=[2],
        alpha=0.1,
        max_iter=10,
        random_state=0,
    )
    model.fit(X, X[:, 1])
    (values,) = run(model, X)
    assert values.dtype == (np.float32 if dtype == np.float32 else np.float64)
    expected = model.predict(X)
    # a value near 0 is a difference of numbers as large as the others
    tol = np.abs(expected).max() * (1e-6 if dtype == np.float32 else 1e-13)
    assert_allclose(values[:, 0], expected, rtol=0, atol=tol)


@short_fits
def test_an_array_of_strings():
    X = make_table()[["name", "kind"]].astype(object).fillna("none").to_numpy(object)
    model = TabularMLPClassifier(encoding="linear", alpha=0.1, max_iter=10, random_state=0)
    model.fit(X, X[:, 0] == "bob")
    _, proba = run(model, X, zipmap=False)
    assert_allclose(proba, model.predict_proba(X), atol=1e-5)


@short_fits
def test_the_order_of_inputs_does_not_matter():
    table = make_table()
    model = fit_tabular(TabularMLPClassifier, table, answers(table) > 0.5)
    assert_tables_agree(model, table, types=input_types(model)[::-1])


@short_fits
@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"name": "nom"}, r"named as the columns .*\['size', .*input_types"),
        ({"name": "Name"}, "named as the columns"),
    ],
)
def test_inputs_of_other_names_are_refused(change, match):
    table = make_table()
    model = fit_tabular(TabularMLPClassifier, table, answers(table) > 0.5)
    types = [(change.get(name, name), of_column) for name, of_column in input_types(model)]
    with pytest.raises(ValueError, match=match):
        to_onnx(model, initial_types=types)


@short_fits
@pytest.mark.parametrize(
    ("column", "number", "match"),
    [
        ("name", FloatTensorType([None, 1]), "'name' are strings, and so should be"),
        ("zone", StringTensorType([None, 1]), "'zone' are numbers, and so should be"),
        ("size", StringTensorType([None, 1]), "'size' holds numbers"),
        ("size", FloatTensorType([None, 2]), r"'size' should be of shape \(n, 1\)"),
    ],
)
def test_inputs_of_other_types_are_refused(column, number, match):
    table = make_table()
    model = fit_tabular(TabularMLPClassifier, table, answers(table) > 0.5)
    types = dict(input_types(model)) | {column: number}
    with pytest.raises(ValueError, match=match):
        to_onnx(model, initial_types=list(types.items()))


@short_fits
def test_an_array_of_more_columns_is_refused():
    X = gappy(np.float32)
    model = TabularMLPRegressor(alpha=0.1, max_iter=5).fit(X, X[:, 1])
    with pytest.raises(ValueError, match=r"'X' should be of shape \(n, 4\)"):
        to_onnx(model, np.column_stack([X, X]))


@short_fits
def test_the_pipeline_of_a_table_of_numbers():
    X = gappy(np.float32)
    model = TabularMLPClassifier(
        encoding="piecewise", alpha=0.1, max_iter=10, random_state=0
    )
    agree(model.fit(X, X[:, 1] > 20).pipeline_, X, rtol=0, atol=1e-5)


@short_fits
def test_the_pipeline_of_a_table_is_refused():
    table = make_table()
    model = fit_tabular(TabularMLPClassifier, table, answers(table) > 0.5)
    with pytest.raises(RuntimeError, match="GapOneHotEncoder"):
        to_onnx(model.pipeline_, initial_types=input_types(model))


@short_fits
@pytest.mark.parametrize("zipmap", [True, "columns"])
def test_dictionaries_of_tables(zipmap):
    table = make_table()
    kinds = np.array(["low", "mid", "high"])[np.digitize(answers(table), [-1, 1])]
    model = fit_tabular(TabularMLPClassifier, table, kinds)
    types = input_types(model, np.float64)
    label, *found = run_typed(model, arrays(table, types), None, types, {"zipmap": zipmap})
    assert_array_equal(label, model.predict(table))
    if zipmap is True:
        found = [[row[kind] for row in found[0]] for kind in model.classes_]
    found = np.array(found).reshape(3, -1).T
    assert_allclose(found, model.predict_proba(table), atol=1e-6)


@short_fits
def test_raw_scores_of_tables():
    table = make_table()
    model = fit_tabular(TabularMLPClassifier, table, answers(table) > 0.5)
    types, options = input_types(model, np.float64), {"zipmap": False, "raw_scores": True}
    _, scores = run_typed(model, arrays(table, types), None, types, options)
    assert_allclose(scores[:, 1], model.decision_function(table), rtol=1e-9, atol=1e-12)
