"""Features that are made when they are read give the fit of features in memory."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmlp import TabularMLPClassifier, TabularMLPRegressor, _encoded
from skmlp._encoded import Encoded
from skmlp._tabular import _encoding, _estimator

FEW_BYTES = 2**17
short_fits = pytest.mark.filterwarnings("ignore:.*stopped at max_iter")


def make_table(n=1500):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    table["kind"] = rng.choice(["x", "y", None], n)
    table.loc[::7, "b"] = np.nan
    y = np.sin(3 * table["a"]) + table["c"] * (table["kind"] == "x")
    return table, y + 0.1 * rng.normal(size=n)


@pytest.fixture
def few_bytes(monkeypatch):
    """A function that leaves little memory for features."""

    def leave():
        for room, name in (
            (_encoded, "MOST_BYTES"),
            (_encoding, "MOST_BYTES"),
            (_estimator, "_MOST_BYTES"),
        ):
            monkeypatch.setattr(room, name, FEW_BYTES)

    return leave


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"solver": "adam", "max_iter": 5, "early_stopping": True, "n_iter_no_change": 9},
        {"early_stopping": True, "scoring": "r2"},
        {"solver": "newton-cg", "max_iter": 3, "alpha": 1.0},
    ],
)
@short_fits
def test_a_fit_is_the_same(params, few_bytes):
    X, y = make_table()
    options = {"hidden_layer_sizes": 9, "max_iter": 40, "random_state": 0} | params
    weight = np.arange(len(y)) % 3
    kept = TabularMLPRegressor(encoding="piecewise", **options)
    kept.fit(X, y, sample_weight=weight, X_val=X[:300], y_val=y[:300])
    expected = kept.predict(X)
    few_bytes()
    made = TabularMLPRegressor(encoding="piecewise", **options)
    made.fit(X, y, sample_weight=weight, X_val=X[:300], y_val=y[:300])
    for one, other in zip(kept.coefs_, made.coefs_, strict=True):
        assert_array_equal(one, other)
    assert kept.alpha_ == made.alpha_
    assert_allclose(made.predict(X), expected, rtol=1e-12)  # other blocks, other sums


@short_fits
def test_the_choice_is_the_same(few_bytes):
    X, y = make_table()
    options = {"hidden_layer_sizes": 9, "max_iter": 40, "tol": 1e-3, "random_state": 0}
    kept = TabularMLPClassifier(**options).fit(X, y > 0)
    few_bytes()
    made = TabularMLPClassifier(**options).fit(X, y > 0)
    assert made.encoding_ == "piecewise"
    assert made.encoding_losses_ == kept.encoding_losses_
    assert_array_equal(made.coefs_[0], kept.coefs_[0])


def test_sparse_features_are_joined(few_bytes):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=900), "word": rng.integers(300, size=900)})
    X = X.astype({"word": str})
    kept = TabularMLPClassifier(hidden_layer_sizes=3, alpha=1.0, encoding="piecewise")
    kept.set_params(random_state=0, max_iter=20, tol=1e-2).fit(X, X["a"] > 0)
    assert kept.encoder_.sparse_output_
    proba = kept.predict_proba(X)
    few_bytes()
    assert_array_equal(kept.fit(X, X["a"] > 0).predict_proba(X), proba)


def test_rows_are_read_as_those_of_an_array(monkeypatch):
    parts = np.arange(20.0).reshape(10, 2), np.ones((10, 1))
    rows = Encoded(parts, lambda *some: np.hstack(some))
    X = np.hstack(parts)
    assert rows.shape == X.shape
    assert (rows.dtype, rows.nbytes) == (X.dtype, X.nbytes)
    assert_array_equal(np.asarray(rows), X)
    assert_array_equal(rows[2:5], X[2:5])
    assert_array_equal(rows[:, [2, 0]], X[:, [2, 0]])
    monkeypatch.setattr(_encoded, "MOST_BYTES", 100)
    assert isinstance(rows[np.arange(3)], np.ndarray)
    assert isinstance(rows[np.arange(8)], Encoded)
    assert_array_equal(np.asarray(rows[np.arange(8)[::-1]]), X[7::-1])
