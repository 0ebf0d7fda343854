"""Standardised coordinates: a change of variables, and nothing but that."""

import numpy as np
import pytest
from common import SOLVERS, STOCHASTIC, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize, sparse
from scipy.special import logsumexp
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

from skmlp import MLPClassifierManual
from skmlp._activations import ACTIVATIONS
from skmlp._coordinates import (
    feature_moments,
    mean_and_scale,
    merge_moments,
    raw_parameters,
    standard_coordinates,
)
from skmlp._network import Network
from skmlp._objective import Objective
from skmlp._outcome import Progress
from skmlp._training import _follow_features


@pytest.fixture
def table():
    """Features of very different means and scales, one of them constant, with weights."""
    rng = np.random.default_rng(0)
    X = rng.normal([0, 1e4, -3, 5, 1], [1, 200, 1e-3, 0, 2], size=(60, 5))
    X[:, 4] *= rng.random(60) < 0.3
    return X, rng.integers(3, size=60), rng.uniform(0.2, 3, size=60)


def in_coordinates(X, weights, activation, hidden=(6, 4)):
    network = Network((X.shape[1], *hidden, 3), activation)
    scaling = mean_and_scale(feature_moments(X, weights))
    return network, standard_coordinates(network, *scaling, np.float64)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_means_and_scales(table, weighted, container):
    X, _, weights = table
    weights = weights if weighted else None
    mean, scale = mean_and_scale(feature_moments(container(X), weights))
    expected = np.average(X, axis=0, weights=weights)
    variance = np.average((X - expected) ** 2, axis=0, weights=weights)
    assert_allclose(mean, expected, rtol=1e-10)
    assert_allclose(scale, np.where(X.std(axis=0) > 0, np.sqrt(variance), 1), rtol=1e-9)
    assert scale[3] == 1  # a constant


def test_moments_of_parts_are_those_of_the_whole(table):
    X, _, weights = table
    weights[:7] = 0
    parts = [
        feature_moments(X[rows], weights[rows])
        for rows in (slice(5), slice(5, 7), slice(7, 8), slice(8, 60))
    ]
    merged = parts[0]
    for part in parts[1:]:
        merged = merge_moments(merged, part)
    for found, exact in zip(merged, feature_moments(X, weights), strict=True):
        assert_allclose(found, exact, rtol=1e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_change_of_variables_can_be_undone(table, activation):
    X, _, weights = table
    network, coordinates = in_coordinates(X, weights, activation)
    theta = network.initialize(np.random.RandomState(0), np.float64)
    raw = raw_parameters(network, coordinates, theta)
    assert not np.shares_memory(raw.vector, theta)
    coordinates.from_raw(raw)
    assert_allclose(raw.vector, theta, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_it_is_the_network_on_standardised_data(table, activation):
    X, y, weights = table
    network, coordinates = in_coordinates(X, weights, activation)
    theta = network.initialize(np.random.RandomState(0), np.float64)
    here = Objective(network, X, y, weights, 0.7, coordinates=coordinates)
    mean, scale = mean_and_scale(feature_moments(X, weights))
    Z = (X - mean) / scale
    there = Objective(network, Z, y, weights, 0.7)
    centred = theta.copy()  # hidden outputs less their middle, which the biases make up for
    parameters = network.parameters(centred)
    for W, b in zip(parameters.coefs[1:], parameters.intercepts[1:], strict=True):
        b -= network.activation.center * W.sum(axis=0)
    assert_allclose(here.loss(theta), there.loss(centred), rtol=1e-9)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_against_central_differences(table, activation, container):
    X, y, weights = table
    network, coordinates = in_coordinates(X, weights, activation)
    objective = Objective(
        network, container(X), y, weights, 0.7, coordinates=coordinates, shuffle=False
    )
    theta = network.initialize(np.random.RandomState(0), np.float64)
    _, gradient = objective.loss_gradient(theta)
    approximate = optimize.approx_fprime(theta, objective.loss, 1e-6)
    assert_allclose(gradient, approximate, atol=2e-5 * np.abs(gradient).max())
    directions = np.random.default_rng(1).normal(size=(5, theta.size))
    for v in directions / np.linalg.norm(directions, axis=1, keepdims=True):
        h = 1e-5
        slope = (objective.loss(theta + h * v) - objective.loss(theta - h * v)) / (2 * h)
        assert_allclose(gradient @ v, slope, rtol=1e-5, atol=1e-7)
    batches = list(objective.batches(theta, 13, np.random.default_rng(0)))
    assert len(batches) == 5
    slopes = [
        slope.copy() for _, slope in objective.batches(theta, 13, np.random.default_rng(0))
    ]
    assert_allclose(np.mean(slopes, axis=0), gradient, rtol=1e-9, atol=1e-12)


@short_fits
@pytest.mark.parametrize("solver", SOLVERS)
def test_raw_data_train_as_scaled_data(solver):
    """The scaler that was forgotten makes no difference."""
    X, y = load_wine(return_X_y=True)
    # another rounding in time is another number of steps within one of Newton's
    max_iter = 8 if solver == "newton-cg" else 20
    settings = {"solver": solver, "alpha": 0.1, "max_iter": max_iter, "random_state": 0}
    raw = MLPClassifierManual(10, **settings).fit(X, y)
    Z = StandardScaler().fit_transform(X)
    scaled = MLPClassifierManual(10, **settings).fit(Z, y)
    assert_allclose(raw.loss_curve_, scaled.loss_curve_, rtol=1e-6)
    assert_allclose(raw.predict_proba(X), scaled.predict_proba(Z), rtol=1e-4, atol=1e-7)
    if solver not in STOCHASTIC:
        without = MLPClassifierManual(10, standardize=False, **settings).fit(X, y)
        assert without.loss_ > 2 * raw.loss_


def test_coefs_act_on_raw_data(table):
    X, y, _ = table
    model = MLPClassifierManual(7, alpha=1.0, random_state=0).fit(X, y)
    h = 1 / (1 + np.exp(-(X @ model.coefs_[0] + model.intercepts_[0])))
    Z = h @ model.coefs_[1] + model.intercepts_[1]
    log_proba = Z - logsumexp(Z, axis=1, keepdims=True)
    assert_allclose(model.decision_function(X), log_proba, rtol=1e-8, atol=1e-10)


def test_a_weight_of_two_is_the_row_twice(table):
    X, y, _ = table
    weights = np.random.default_rng(0).integers(4, size=len(y))
    settings = {"alpha": 0.5, "max_iter": 10, "random_state": 0}
    fits = []
    for data in ((X, y, weights), (np.repeat(X, weights, 0), np.repeat(y, weights))):
        with pytest.warns(match="max_iter=10"):
            fits.append(MLPClassifierManual(5, **settings).fit(*data))
    assert_allclose(fits[0].coefs_[0], fits[1].coefs_[0], rtol=1e-6)


def stream(table):
    X, y, _ = table
    model = MLPClassifierManual(5, solver="adam", alpha=0.1, random_state=0)
    return model.partial_fit(X[:30], y[:30], classes=[0, 1, 2]), X[30:], y[30:]


def test_means_and_scales_follow_a_stream(table):
    model, X, y = stream(table)
    mean, _ = model._progress["scaling"]
    assert_allclose(mean, table[0][:30].mean(axis=0), rtol=1e-10)
    model.partial_fit(X + 50, y)
    whole = np.vstack([table[0][:30], X + 50])
    mean, scale = model._progress["scaling"]
    assert_allclose(mean, whole.mean(axis=0), rtol=1e-9)
    assert_allclose(scale, whole.std(axis=0), rtol=1e-6)


def test_following_a_stream_does_not_change_the_function(table):
    model, X, _ = stream(table)
    before = model.predict_proba(X)
    moments = feature_moments(X + (X - X.mean(axis=0)) + X.std(axis=0), None)
    network = Network((5, 5, 3), "logistic")
    progress = _follow_features(network, Progress.of(model), moments)
    model.coefs_, model.intercepts_ = progress.coefs, progress.intercepts
    assert_allclose(model.predict_proba(X), before, rtol=1e-7, atol=1e-10)
    assert not np.allclose(progress.scaling[0], table[0][:30].mean(axis=0))


def test_averages_of_gradients_follow_too(table):
    """In the new coordinates they are what the gradient is there."""
    X, y, weights = table
    network, old = in_coordinates(X, weights, "logistic")
    mean, scale = mean_and_scale(feature_moments(X, weights))
    new = standard_coordinates(network, mean + 0.3 * scale, 2 * scale, np.float64)
    theta = network.initialize(np.random.RandomState(0), np.float64, True)
    _, gradient = Objective(network, X, y, weights, 0.0, coordinates=old).loss_gradient(
        theta
    )
    old.follow(theta, [(1, gradient)], network, new)
    there = Objective(network, X, y, weights, 0.0, coordinates=new)
    assert_allclose(there.loss_gradient(theta)[1], gradient, rtol=1e-6, atol=1e-9)


def test_a_first_chunk_that_hardly_varies_is_forgotten():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3))
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    model = MLPClassifierManual(20, learning_rate_init=0.01, random_state=0)
    model.partial_fit(1e-4 * X[:100], y[:100], classes=[0, 1])
    for start in range(100, 2000, 100):
        model.partial_fit(X[start : start + 100], y[start : start + 100])
    assert model.score(X[2000:], y[2000:]) > 0.9


@pytest.mark.parametrize("n", [60, 20_631])
@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
def test_constants_are_found_whatever_the_rounding_of_their_mean(n, container, weighted):
    constants = np.array([518.67, 14.62, 1.3, 0.03, 0.1, 1e9 + 0.1, -21.61])
    X = container(np.tile(constants, (n, 1)))
    weights = np.random.default_rng(0).random(n) if weighted else None
    mean, scale = mean_and_scale(feature_moments(X, weights))
    assert_allclose(mean, constants, rtol=1e-9)
    assert_array_equal(scale, 1)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
def test_rare_values_have_no_leverage(container, weighted):
    """No standardised value is above ten; parts know it as the whole does."""
    X = np.zeros((1000, 3))
    X[:2, 0] = 4.0
    X[:2, 1] = -4.0
    X[:500, 2] = 4.0
    weights = np.full(1000, 3.0) if weighted else None
    if weighted:
        X[-1], weights[-1] = 1e9, 0  # a row without weight is no row
    for parts in (1, 4):
        moments = [
            feature_moments(
                container(X[i::parts]), None if weights is None else weights[i::parts]
            )
            for i in range(parts)
        ]
        merged = moments[0]
        for other in moments[1:]:
            merged = merge_moments(merged, other)
        mean, scale = mean_and_scale(merged)
        assert_allclose(np.abs(X[0] - mean) / scale, [10, 10, 1], rtol=2e-3)


def test_small_variation_on_a_large_mean_is_no_constant():
    noise = np.random.default_rng(0).normal(size=(1000, 1))
    X = np.hstack([1e9 + noise, 0.1 + 1e-9 * noise, 1e30 * noise, 1e-30 * noise])
    _, scale = mean_and_scale(feature_moments(X, None))
    assert_allclose(scale, np.array([1, 1e-9, 1e30, 1e-30]) * noise.std(), rtol=1e-5)


def test_features_that_overflow_or_vanish_stay_as_they_are():
    X = np.array([[1e300, 1e-200, 1.0], [-1e300, -1e-200, 3.0]] * 10)
    with np.errstate(over="ignore"):
        mean, scale = mean_and_scale(feature_moments(X, None))
    assert_allclose(mean, [0, 0, 2], atol=1e-6)
    assert scale[0] == scale[2] == 1
    network = Network((3, 4, 2), "logistic")
    coordinates = standard_coordinates(network, mean, scale, np.float64)
    assert_array_equal(coordinates.scales[0], [1, 1, 1])
