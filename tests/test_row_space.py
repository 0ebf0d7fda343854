"""The span of the rows: the same minimum, with as many features as rows."""

import numpy as np
import pytest
from common import short_fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize, sparse

import skmlp._problem
from skmlp import MLPClassifierManual
from skmlp._coordinates import (
    Coordinates,
    feature_moments,
    mean_and_scale,
    standard_coordinates,
)
from skmlp._network import Network
from skmlp._problem import Problem
from skmlp._row_space import DenseBasis, SparseBasis, row_basis
from skmlp._rows import Rows
from skmlp._targets import ClassLabels

TARGETS = ClassLabels(np.arange(3))
KINDS = ["dense", "sparse"]


def wide(kind, n=24, d=200, dtype=np.float64):
    """Few rows of many features, two of them equal, one feature constant, one empty."""
    rng = np.random.default_rng(0)
    X = rng.exponential(size=(n, d)) * (rng.random((n, d)) < 0.4)
    X[1], X[:, 0], X[:, 1] = X[0], 3.0, 0.0
    X = X.astype(dtype)
    return sparse.csr_array(X) if kind == "sparse" else X


def standardised(X):
    mean, scale = mean_and_scale(feature_moments(X, None))
    X = X.toarray() if sparse.issparse(X) else X
    return (X - mean) / scale, mean, scale


@pytest.mark.parametrize("kind", KINDS)
def test_a_basis_keeps_products_and_lengths(kind):
    X = wide(kind)
    Z, mean, scale = standardised(X)
    basis = {"dense": DenseBasis, "sparse": SparseBasis}[kind](X, mean, scale)
    coordinates = basis.coordinates
    assert_allclose(coordinates @ coordinates.T, Z @ Z.T, atol=1e-10)
    assert_allclose(basis.coordinates_of(X[3:9]), coordinates[3:9], atol=1e-10)
    A = coordinates.T @ np.random.default_rng(1).normal(size=(len(Z), 5))
    W = basis.expand(A)
    assert_allclose(Z @ W, coordinates @ A, atol=1e-9)
    assert_allclose(np.sum(W**2), np.sum(A**2), rtol=1e-10)
    assert_allclose(basis.reduce(W), A, atol=1e-9)
    other = np.random.default_rng(2).normal(size=W.shape)
    other -= np.linalg.pinv(Z) @ (Z @ other)  # orthogonal to all rows
    assert_allclose(basis.reduce(other), 0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_basis_has_the_rank_of_the_rows(kind):
    X = wide(kind)
    Z, mean, scale = standardised(X)
    basis = {"dense": DenseBasis, "sparse": SparseBasis}[kind](X, mean, scale)
    assert basis.coordinates.shape == (24, np.linalg.matrix_rank(Z)) == (24, 22)


@pytest.mark.parametrize(
    ("n", "d", "n_units", "kind", "is_worth"),
    [
        (30, 40, 100, "dense", True),
        (32, 40, 100, "dense", False),  # not many fewer rows than features
        (252, 400, 10, "dense", False),  # too many rows for 10 units
        (30, 40, 100, "sparse", True),
        (150, 205, 1, "sparse", False),
        (150, 205, 100, "sparse", True),
    ],
)
def test_where_a_basis_is_worth_it(n, d, n_units, kind, is_worth):
    rows = Rows(wide(kind, n, d), np.zeros(n, int))
    basis, _ = row_basis(rows, 0, n_units, None, None)
    assert (basis is not None) == is_worth


@pytest.mark.parametrize("kind", KINDS)
def test_copies_of_a_row_are_copies_of_its_coordinates(kind):
    X = wide(kind)[[3, 0, 5, 3, 1, 5, 3]]
    basis, coordinates = row_basis(Rows(X, np.zeros(7, int)), 0, 100, None, None)
    assert len(basis.coordinates) == 3  # 0 and 1 are copies, too
    assert_array_equal(coordinates[[0, 1, 2]], coordinates[[3, 4, 5]])
    dense = X.toarray() if kind == "sparse" else X
    assert_allclose(coordinates @ coordinates.T, dense @ dense.T)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_rows_have_no_basis(kind):
    X = wide(kind)[[0, 1]]
    mean, scale = mean_and_scale(feature_moments(X, None))
    assert row_basis(Rows(X, np.arange(2)), 0, 100, mean, scale)[0] is None
    model = MLPClassifierManual((), alpha=0.1, random_state=0).fit(X, [0, 1])
    assert_allclose(model.predict_proba(X), 0.5)


def test_rows_whose_products_overflow_have_no_basis():
    X = wide("sparse")
    X.data *= 1e200
    with np.errstate(all="ignore"):
        assert row_basis(Rows(X, np.zeros(24, int)), 0, 100, None, None)[0] is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ["logistic", "relu"])
def test_the_objective_is_the_same(kind, activation):
    X = wide(kind)
    rows = Rows(X, np.arange(24) % 3, np.random.default_rng(0).uniform(0.5, 2, 24))
    network = Network((200, 6, 3), activation)
    scaling = mean_and_scale(rows.moments())
    coordinates = standard_coordinates(network, *scaling, np.float64)
    whole = Problem(network, coordinates, rows, TARGETS, rows.where(np.arange(10)))
    narrow = whole.in_row_space()
    assert narrow.network.layer_sizes[0] <= 24
    theta = narrow.draw(np.random.RandomState(0), True)
    expanded = narrow.expand(theta)
    loss, gradient = narrow.objective(0.7).loss_gradient(theta)
    expected_loss, expected = whole.objective(0.7).loss_gradient(expanded)
    assert_allclose(loss, expected_loss, rtol=1e-12)
    assert_allclose(gradient, narrow.reduce(expected), atol=1e-12)
    held_out = [
        problem.held_out_objective().loss(at)
        for problem, at in ((narrow, theta), (whole, expanded))
    ]
    assert_allclose(*held_out, rtol=1e-12)
    for one, other in zip(narrow.raw(theta), whole.raw(expanded), strict=True):
        for mine, its in zip(one, other, strict=True):
            assert_array_equal(mine, its)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("standardize", [True, False])
def test_the_minimum_is_the_same(monkeypatch, kind, standardize):
    """No hidden layer: there is one minimum, which L-BFGS on all features finds, too."""
    X, y = wide(kind), np.arange(24) % 3
    model = MLPClassifierManual(
        (), alpha=0.5, tol=0, max_iter=1000, standardize=standardize, random_state=0
    )
    narrow = model.fit(X, y).coefs_[0]
    assert narrow.shape == (200, 3)
    monkeypatch.setattr(skmlp._problem, "row_basis", lambda *arguments: (None, None))
    direct = model.fit(X, y).coefs_[0]
    assert (narrow != direct).any()  # another way
    # both end within the resolution of the loss; its second derivative is alpha / n or more
    allowed = np.sqrt(2 * 64 * np.finfo(float).eps / (0.5 / len(y)))
    assert_allclose(narrow, direct, atol=2 * allowed)


@pytest.mark.parametrize("kind", KINDS)
def test_newton_finds_that_minimum_in_the_span(kind):
    X, y = wide(kind, n=30), np.arange(30) % 3
    settings = {"alpha": 1.0, "tol": 0, "max_iter": 1000, "random_state": 0}
    newton = MLPClassifierManual((), solver="newton-cg", **settings).fit(X, y)
    lbfgs = MLPClassifierManual((), solver="lbfgs", **settings).fit(X, y)
    assert_allclose(newton.loss_, lbfgs.loss_, rtol=1e-10)
    assert newton.loss_ <= lbfgs.loss_
    assert_allclose(newton.predict_proba(X), lbfgs.predict_proba(X), atol=1e-5)
    assert newton.n_iter_ < lbfgs.n_iter_


def test_a_hidden_layer_ends_at_a_minimum_of_all_features():
    X, y = wide("dense"), np.arange(24) % 3
    Z = standardised(X)[0]
    model = MLPClassifierManual(
        4, "tanh", alpha=0.5, tol=1e-12, max_iter=1000, standardize=False, random_state=0
    )
    model.fit(Z, y)
    rows, network = Rows(Z, y), Network((200, 4, 3), "tanh")
    whole = Problem(network, Coordinates.identity(network), rows, TARGETS)
    theta = network.flatten(model.coefs_, model.intercepts_, np.float64)
    objective = whole.objective(0.5)
    assert np.abs(objective.loss_gradient(theta)[1]).max() < 1e-6
    further = optimize.minimize(objective.loss_gradient, theta, jac=True, method="L-BFGS-B")
    assert further.fun > objective.loss(theta) - 1e-9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_default_fit_is_made_of_rows(kind, dtype):
    X = wide(kind, 60, 400, dtype)
    total = np.asarray(X[:, 5:25].sum(axis=1)).ravel()
    model = MLPClassifierManual(8, random_state=0).fit(X, total > np.median(total))
    Z, _, scale = standardised(X)
    assert model.coefs_[0].dtype == dtype
    W = model.coefs_[0] * scale[:, np.newaxis]
    projected = np.linalg.lstsq(Z.T, W, rcond=None)[0]
    assert_allclose(Z.T @ projected, W, atol=1e-4 if dtype == np.float32 else 1e-9)


def test_weights_are_copies_and_rows_without_weight_are_none():
    X = wide("dense", 60, 400)
    y = X[:, 5:25].sum(axis=1) > 8
    weights = np.array([2, 1, 0] * 20)
    copies = np.repeat(np.arange(60), weights)
    one = MLPClassifierManual(8, random_state=0).fit(X, y, weights)
    other = MLPClassifierManual(8, random_state=0).fit(X[copies], y[copies])
    assert_allclose(one.alpha_, other.alpha_)
    assert_allclose(one.predict_proba(X), other.predict_proba(X), atol=1e-3)


@short_fits
def test_what_a_start_of_ones_own_knows_of_other_features_is_kept():
    """Trained on rows that do not have them, with a penalty too weak to unlearn it."""
    X, y = wide("dense", 20, 400), np.arange(20) % 2
    X[:, 300:] = 0
    start = [np.zeros((400, 5)), np.zeros((5, 2))]
    start[0][350] = 1.0
    model = MLPClassifierManual(5, alpha=1e-9, max_iter=20, random_state=0)
    model.fit(X, y, coefs_init=start)
    assert_allclose(model.coefs_[0][350], 1.0, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_start_goes_on_in_the_span(kind):
    X, y = wide(kind, 60, 400), np.arange(60) % 2
    model = MLPClassifierManual(8, alpha=0.3, warm_start=True, random_state=0)
    first = model.fit(X, y).loss_
    assert model.fit(X, y).loss_ <= first + 1e-9


def test_a_validation_set_and_callbacks_see_the_whole_network():
    X, y = wide("dense", 60, 400), np.arange(60) % 2
    model = MLPClassifierManual(8, early_stopping=True, scoring="accuracy", random_state=0)
    model.fit(X, y, X_val=X[:20], y_val=y[:20])
    assert model.coefs_[0].shape == (400, 8)
    assert len(model.validation_scores_) == model.n_iter_


def test_large_maps_are_left_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr("skmlp._memory_map._most_bytes", lambda: 0)
    X = wide("dense", 60, 400)
    mapped = np.memmap(tmp_path / "X", mode="w+", shape=X.shape)
    mapped[:] = X
    rows = Rows(mapped, np.zeros(60, int))
    assert rows.in_basis(row_basis, 0, 100, None, None) == (rows, None)
    in_memory = Rows(X, np.zeros(60, int))
    assert in_memory.in_basis(row_basis, 0, 100, None, None)[0].n_features == 59
