"""Standardised coordinates: a change of variables, and nothing but that."""

import warnings
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from common import SOLVERS, STOCHASTIC, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize, sparse
from scipy.special import logsumexp
from sklearn.datasets import load_digits, load_wine
from sklearn.preprocessing import StandardScaler

from skmlp import MLPClassifierManual, _coordinates
from skmlp._activations import ACTIVATIONS
from skmlp._coordinates import (
    drifted,
    feature_moments,
    mean_and_scale,
    merge_moments,
    raw_parameters,
    standard_coordinates,
    standard_scaling,
    warn_of_lost,
)
from skmlp._network import Network
from skmlp._objective import Objective
from skmlp._outcome import Progress
from skmlp._rows import Rows
from skmlp._settings import Settings
from skmlp._start import go_on


@pytest.fixture
def table():
    """Features of very different means and scales, one of them constant, with weights."""
    rng = np.random.default_rng(0)
    X = rng.normal([0, 1e4, -3, 5, 1], [1, 200, 1e-3, 0, 2], size=(60, 5))
    X[:, 4] *= rng.random(60) < 0.3
    return X, rng.integers(3, size=60), rng.uniform(0.2, 3, size=60)


@pytest.fixture
def even_table():
    """Features that float32 tells apart as well as float64; the last one is constant."""
    rng = np.random.default_rng(1)
    X = rng.normal([0, 1, -3, 0, 3], [1, 2, 1, 1, 0], size=(60, 5))
    X[:, 3] *= rng.random(60) < 0.3
    return X, np.digitize(X[:, 0] + X[:, 1] * X[:, 2], [-4, 0])


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


@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_have_the_same_bits_on_threads(container, dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(3.0, size=(40_000, 50)) * np.logspace(-3, 3, 50)
    X[:, 7] = 2.0**300 if dtype == np.float64 else 5.0
    X, weights = container(X.astype(dtype)), rng.uniform(0, 2, size=40_000)
    n_calls = []

    def backwards(function, blocks):
        blocks = list(blocks)
        n_calls.append(len(blocks))
        return [function(block) for block in blocks[::-1]][::-1]

    for some in (None, weights):
        found, expected = feature_moments(X, some, backwards), feature_moments(X, some)
        for one, other in zip(found, expected, strict=True):
            assert_array_equal(one, other)
    assert n_calls == [4, 4] * 2
    exact = (X.toarray() if sparse.issparse(X) else X).astype(float)
    mean, variance, total, low, high = feature_moments(X, None)
    assert_allclose(mean, exact.mean(axis=0), rtol=1e-12)
    assert_allclose(np.delete(variance, 7), np.delete(exact, 7, 1).var(axis=0), rtol=1e-9)
    assert total == 40_000
    assert_array_equal((low, high), (exact.min(axis=0), exact.max(axis=0)))


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
    varied = np.ptp(table[0][:30], axis=0) > 0
    assert_allclose(mean[varied], whole.mean(axis=0)[varied], rtol=1e-9)
    assert_allclose(scale[varied], whole.std(axis=0)[varied], rtol=1e-6)
    # all rows in which a feature was constant have told what one tells
    begun = whole[29:, ~varied]
    assert begun.size
    assert_allclose(mean[~varied], begun.mean(axis=0), rtol=1e-9)
    largest = abs(begun - begun.mean(axis=0)).max(axis=0)
    assert_allclose(scale[~varied], np.maximum(begun.std(axis=0), largest / 10), rtol=1e-6)


def test_following_a_stream_does_not_change_the_function(table):
    model, X, y = stream(table)
    before = model.predict_proba(X)
    data = Rows(X + (X - X.mean(axis=0)) + X.std(axis=0), y)
    network = Network((5, 5, 3), "logistic")
    settings = Settings(model, is_incremental=True)
    earlier = Progress.of(model)
    targets = model._targets()
    progress, coordinates, theta = go_on(settings, network, targets, data, earlier)
    _, model.coefs_, model.intercepts_ = raw_parameters(network, coordinates, theta)
    assert_allclose(model.predict_proba(X), before, rtol=1e-7, atol=1e-10)
    assert not np.allclose(progress.scaling[0], earlier.scaling[0])
    assert not np.array_equal(theta, earlier.optimizer.theta)
    for old, new in zip(
        earlier.optimizer.averages, progress.optimizer.averages, strict=True
    ):
        assert not np.shares_memory(old, new)


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
    old.follow(theta, [(1, gradient)], network, new, np.zeros(5, bool))
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


@pytest.fixture(scope="module")
def pixels_of_module(digits):
    """Of 0 to 255, in random order, with a scaler that knows them; 750 rows to train on."""
    order = np.random.default_rng(0).permutation(1000)
    X, y = (array[order] for array in digits)
    return X * (255 / 16), y, StandardScaler().fit(X * (255 / 16))


@pytest.fixture
def pixels(pixels_of_module):
    """A copy, which a test may change."""
    X, y, scaler = pixels_of_module
    return X.copy(), y, scaler


@pytest.fixture(scope="module")
def accuracy_if_known(pixels_of_module):
    """Of a stream of single rows whose scales are known beforehand."""
    X, y, scaler = pixels_of_module
    Z, model = scaler.transform(X), MLPClassifierManual(random_state=0, standardize=False)
    return accuracy_of_stream(model, Z[:750], y[:750], Z[750:], y[750:])


def accuracy_of_stream(model, X, y, T, t, first=1):
    """After calls of one row, but for the first call."""
    for start, stop in pairwise([0, *range(first, len(y) + 1)]):
        model.partial_fit(X[start:stop], y[start:stop], classes=np.arange(10))
    return model.score(T, t)


@pytest.mark.parametrize(("first", "unit"), [(1, 1.0), (3, 1.0), (1, 1e-6)])
def test_a_stream_of_single_rows_learns_as_with_known_scales(
    pixels, accuracy_if_known, first, unit
):
    """Whatever the first call, and the unit of the features, is."""
    X, y, _ = pixels
    rows, others, known = slice(750), slice(750, None), accuracy_if_known
    X, model = X * unit, MLPClassifierManual(random_state=0)
    accuracy = accuracy_of_stream(model, X[rows], y[rows], X[others], y[others], first)
    assert accuracy > known - 0.03 > 0.85


def test_sensors_that_were_idle_are_learnt_from(pixels):
    """Half of the columns are constant in the first rows of a stream."""
    X, y, scaler = pixels
    X[:200, :32] = X[:, :32].mean(axis=0)
    Z, rows, others = scaler.transform(X), slice(750), slice(750, None)
    model = MLPClassifierManual(random_state=0, standardize=False)
    known = accuracy_of_stream(model, Z[rows], y[rows], Z[others], y[others])
    model = MLPClassifierManual(random_state=0)
    accuracy = accuracy_of_stream(model, X[rows], y[rows], X[others], y[others])
    assert accuracy > known - 0.03 > 0.85


def moments_of_parts(X, weights, n_parts):
    """Of every so manieth row, merged."""
    parts = [
        feature_moments(X[i::n_parts], None if weights is None else weights[i::n_parts])
        for i in range(n_parts)
    ]
    return reduce(merge_moments, parts)


@pytest.mark.parametrize("n", [60, 20_631, 200_000])
@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_parts", [1, 3])
def test_constants_are_found_whatever_the_rounding_of_their_mean(
    n, container, weighted, n_parts
):
    constants = np.array([518.67, 14.62, 1.3, 0.03, 0.1, 1e9 + 0.1, -21.61])
    X = np.tile(constants, (n, 1))
    X[::7, -1] *= 1 + 2**-52  # rounded otherwise where it was computed
    weights = np.random.default_rng(0).random(n) if weighted else None
    mean, scale = mean_and_scale(moments_of_parts(container(X), weights, n_parts))
    assert_allclose(mean, constants, rtol=1e-15)
    assert_array_equal(scale, 1)


def test_constants_of_a_memory_map_and_of_a_stream_are_found(tmp_path):
    X = np.memmap(tmp_path / "X", float, "w+", shape=(200_000, 3))
    X[:] = 518.67, 0.1, -21.61
    assert_array_equal(mean_and_scale(feature_moments(X, None))[1], 1)
    rows = sparse.csr_array(np.array(X[:1]))
    moments = reduce(merge_moments, [feature_moments(rows, None)] * 3000)
    assert_array_equal(mean_and_scale(moments), [X[0], [1, 1, 1]])


@pytest.mark.parametrize(("dtype", "constant"), [("float32", 1e9), ("float64", 1e20)])
@pytest.mark.parametrize("solver", SOLVERS)
@short_fits
def test_a_large_constant_changes_nothing(even_table, dtype, constant, solver):
    """The product of its mean and its weight would swallow the bias."""
    X, y = even_table
    X, fits = X.astype(dtype), []
    for value in (1, constant):
        X[:, 4] = value
        model = MLPClassifierManual(5, solver=solver, alpha=0.1, max_iter=8, random_state=0)
        fits.append(model.fit(X, y).predict_proba(X))
    assert_allclose(*fits, atol=1e-3 if dtype == "float32" else 1e-7)


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


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_parts", [1, 4])
def test_means_and_scales_are_those_of_data_times_a_power_of_two(
    table, container, weighted, n_parts
):
    """To the bit, as long as all of the values are normal numbers."""
    X, _, weights = table
    weights = weights if weighted else None
    mean, scale = mean_and_scale(moments_of_parts(container(X), weights, n_parts))
    for exponent in (-980, -700, -300, -201, -199, 199, 201, 500, 1000):
        units = 2.0 ** (exponent + np.arange(5))
        found = mean_and_scale(moments_of_parts(container(X * units), weights, n_parts))
        expected = mean * units, np.where(np.arange(5) == 3, 1, scale * units)  # a constant
        assert_array_equal(found, expected)


def test_chunks_in_units_far_apart():
    """What is small beside the largest value is rounded off, and nothing else."""
    small = np.array([[1e-300], [3e-300]])
    large = np.array([[1e250], [3e250]])
    for chunks in ((small, large), (large, small)):
        mean, scale = mean_and_scale(
            reduce(merge_moments, [feature_moments(X, None) for X in chunks])
        )
        whole = np.vstack(chunks) / 1e250
        assert_allclose(mean / 1e250, whole.mean(axis=0), rtol=1e-15)
        assert_allclose(scale / 1e250, whole.std(axis=0), rtol=1e-15)


FACTORS = {
    "float64": [*(10.0 ** np.array([-300, -250, -200, -155, -60, 60, 155, 200, 250, 300]))],
    "float32": [*(10.0 ** np.array([-33, -30, -25, -20, -10, 10, 20, 25, 30, 33]))],
}


def in_units(table, dtype):
    """The table in ten units, and in mixed ones."""
    X, y = table
    for factor in (1.0, *FACTORS[dtype], FACTORS[dtype][::2]):
        yield (X * factor).astype(dtype), y


@pytest.mark.parametrize("dtype", FACTORS)
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("solver", SOLVERS)
@short_fits
def test_the_units_of_features_do_not_matter(even_table, solver, container, dtype):
    settings = {"solver": solver, "alpha": 0.1, "max_iter": 5, "random_state": 0}
    if solver in STOCHASTIC:
        settings |= {"batch_size": 20, "learning_rate_init": 0.02}
    fits = [
        MLPClassifierManual(5, **settings).fit(container(X), y).predict_proba(container(X))
        for X, y in in_units(even_table, dtype)
    ]
    assert np.ptp(fits[0], axis=0).min() > 0.1
    for proba in fits[1:]:
        assert_allclose(proba, fits[0], atol=1e-4 if dtype == "float32" else 1e-8)


@pytest.mark.parametrize("dtype", FACTORS)
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_the_units_of_a_stream_do_not_matter(even_table, solver, container, dtype):
    """Nor where a feature is constant in the first chunk."""
    even_table[0][:10, 0] = 0.5
    fits = []
    for X, y in in_units(even_table, dtype):
        settings = {"learning_rate_init": 0.02, "batch_size": 5, "random_state": 0}
        model = MLPClassifierManual(5, solver=solver, **settings)
        for start in range(0, 60, 10):
            rows = slice(start, start + 10)
            model.partial_fit(container(X[rows]), y[rows], classes=[0, 1, 2])
        fits.append(model.predict_proba(container(X)))
    for proba in fits[1:]:
        assert_allclose(proba, fits[0], atol=1e-4 if dtype == "float32" else 1e-9)


@pytest.mark.parametrize(("dtype", "factor"), [("float32", 1e-40), ("float64", 1e-310)])
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
@short_fits
def test_columns_that_weights_cannot_make_up_for_are_named(
    even_table, solver, dtype, factor
):
    X, y = even_table
    X = X.astype(dtype)
    settings = {"solver": solver, "alpha": 0.01, "max_iter": 40, "random_state": 0}
    settings |= {"learning_rate_init": 0.1} if solver == "adam" else {}
    X[:, 2] = 0
    without = MLPClassifierManual(5, **settings).fit(X, y).predict_proba(X)
    X[:, 2] = factor * (y + 1)
    with pytest.warns(match=rf"weights in {dtype}, are left out: 2 \(counted from 0\)"):
        model = MLPClassifierManual(5, **settings).fit(X, y)
    assert_allclose(model.predict_proba(X), without, atol=1e-3)
    if dtype == "float32":
        assert MLPClassifierManual(5, **settings).fit(X.astype(float), y).score(X, y) == 1


@short_fits
def test_columns_that_are_left_out_are_named_once():
    X, y = load_digits(return_X_y=True)
    X = X.astype(np.float32)
    X[:, 0] = np.where(y > 4, np.float32(1e-42), 0)
    model = MLPClassifierManual(3, tol=0.1, random_state=0)
    with pytest.warns(match="left out: 0 ") as record:
        model.fit(X[:200], y[:200])
    assert sum("left out" in str(warning.message) for warning in record) == 1
    model = MLPClassifierManual(3, random_state=0)
    with pytest.warns(match="left out: 0 "):
        model.partial_fit(X[:20], y[:20], classes=np.unique(y))
    for start in range(20, 100, 20):
        rows = slice(start, start + 20)
        model.partial_fit(X[rows], y[rows])  # a warning would be an error


def test_many_columns_that_are_left_out_are_counted():
    X = np.zeros((4, 30))
    X[1:, 5:] = 1e-320
    moments = feature_moments(X, None)
    _, scale = standard_scaling(moments, np.float64)
    with pytest.warns(match="left out: 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 and 15 more "):
        warn_of_lost(moments, np.float64)
    assert_array_equal(scale, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        standard_scaling(feature_moments(X[1:], None), np.float64)  # constants


def texts(n, n_features):
    """Of 60 words each, most of them rare."""
    rng = np.random.default_rng(0)
    words = np.minimum(rng.zipf(1.3, size=(n, 60)), 2**30) % n_features
    values = rng.uniform(0.5, 2, size=n * 60)
    X = sparse.csr_array((values, (np.repeat(np.arange(n), 60), words.ravel())))
    X.resize(n, n_features)
    X.sum_duplicates()
    return X


def test_moments_of_wide_sparse_data_are_a_matter_of_their_entries(monkeypatch):
    X, shapes = texts(500, 2**18), []
    count = _coordinates.mean_variance_axis

    def counted(X, **options):
        shapes.append(X.shape)
        return count(X, **options)

    monkeypatch.setattr(_coordinates, "mean_variance_axis", counted)
    feature_moments(X, None)
    assert shapes == [X.shape]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_numbers", [2**18, 3000])
def test_moments_of_sparse_data_are_those_of_dense_ones(
    monkeypatch, weighted, dtype, n_numbers
):
    """In one block and in several, with rows without weight, and entries that are 0."""
    monkeypatch.setattr(_coordinates, "_BLOCK_NUMBERS", n_numbers)
    X = texts(400, 700).astype(dtype)
    X.data[::50] = 0
    X[:, [1]] = 5 + np.arange(400, dtype=dtype)[:, np.newaxis] / 1000
    weights = np.random.default_rng(1).integers(3, size=400) * 0.7 if weighted else None
    found = moments_of_parts(X, weights, 3)
    expected = feature_moments(X.toarray().astype(float), weights)
    for one, other in zip(found, expected, strict=True):
        assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_only_features_that_have_drifted_change_their_coordinates(table):
    X, _, weights = table
    network, old = in_coordinates(X, weights, "logistic")
    scaling = mean_and_scale(feature_moments(X, weights))
    mean, scale = (vector.copy() for vector in scaling)
    assert drifted(scaling, (mean + 0.05 * scale, 1.05 * scale)) is None
    mean += scale * [0.05, 0.2, 0, 0, 0]
    scale *= [1.05, 1, 1, 1, 0.8]
    new_mean, new_scale = drifted(scaling, (mean, scale))
    assert_array_equal(new_mean, np.where([0, 1, 0, 0, 1], mean, scaling[0]))
    assert_array_equal(new_scale, np.where([0, 1, 0, 0, 1], scale, scaling[1]))
    theta = network.initialize(np.random.RandomState(0), np.float64, True)
    before = raw_parameters(network, old, theta)
    W = network.parameters(theta).coefs[0].copy()
    new = standard_coordinates(network, new_mean, new_scale, np.float64)
    old.follow(theta, [], network, new, np.zeros(5, bool))
    assert_allclose(raw_parameters(network, new, theta).vector, before.vector, rtol=1e-9)
    assert_array_equal(network.parameters(theta).coefs[0][:4], W[:4])


def test_features_that_had_no_scale_keep_their_weights(table):
    """Whatever the unit in which they begin to vary; the function stays as it was."""
    X, y, _ = table
    for unit in (1e-200, 1e-3, 1.0, 1e200):
        Z = np.hstack([X[:, :1], X[:, 4:] * unit])
        Z[:30, 1] = 2 * unit
        model = MLPClassifierManual(5, solver="adam", random_state=0)
        model.partial_fit(Z[:30], y[:30], classes=[0, 1, 2])
        settings = Settings(model, is_incremental=True)
        earlier = Progress.of(model)
        network = Network((2, 5, 3), "logistic")
        chunk = model._targets(), Rows(Z[30:], y[30:])
        _, coordinates, theta = go_on(settings, network, *chunk, earlier)
        exact = network.parameters(earlier.optimizer.theta).coefs[0]
        assert_array_equal(network.parameters(theta).coefs[0][1], exact[1])
        before = model.predict_proba(Z[:30])
        _, model.coefs_, model.intercepts_ = raw_parameters(network, coordinates, theta)
        assert_allclose(model.predict_proba(Z[:30]), before, rtol=1e-9)
