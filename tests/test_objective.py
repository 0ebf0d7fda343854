"""One objective: for every batch size, every weighting and every number of threads."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from skmlp import MLPClassifierManual
from skmlp._coordinates import standard_coordinates
from skmlp._network import Network
from skmlp._objective import (
    Objective,
    Standardised,
    row_blocks,
)
from skmlp._parallel import row_threads


def make_objective(n=103, alpha=0.3, weighted=True, container=np.asarray, **options):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 8)) * (rng.random((n, 8)) < 0.6)
    k = rng.integers(4, size=n)
    weights = rng.uniform(0, 5, size=n) if weighted else None
    network = Network((8, 6, 4), "logistic")
    theta = network.initialize(np.random.RandomState(1), np.float64)
    return Objective(network, container(X), k, weights, alpha, **options), theta


def relative_error(found, exact):
    return np.abs(found - exact).max() / np.abs(exact).max()


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("batch_size", [1, 10, 50, 102, 103])
@pytest.mark.parametrize("shuffled", [False, True])
def test_mean_of_batches_is_the_objective(container, weighted, batch_size, shuffled):
    objective, theta = make_objective(
        weighted=weighted, container=container, shuffle=shuffled
    )
    loss, gradient = objective.loss_gradient(theta)
    assert_allclose(objective.loss(theta), loss, rtol=1e-12)
    rng = np.random.default_rng(3)
    batches = [
        (value, slope.copy()) for value, slope in objective.batches(theta, batch_size, rng)
    ]
    assert len(batches) == -(-103 // batch_size)
    values, slopes = zip(*batches, strict=True)
    assert_allclose(np.mean(values), loss, rtol=1e-12)
    assert relative_error(np.mean(slopes, axis=0), gradient) < 1e-12


def make_standardised(
    container=np.asarray,
    dtype=np.float64,
    offset=3.0,
    n=103,
    hidden=6,
    activation="tanh",
    **options,
):
    """An objective of features with offsets and scales, and one of the scaled features.

    The second, in double precision, is what batches are to be estimates of.
    """
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 8)) * [1e-3, 1e-2, 0.1, 1, 1, 10, 1e2, 1e3]
    X = (X + offset * X.std(axis=0)).astype(dtype)
    k = rng.integers(4, size=n)
    network = Network((8, hidden, 4), activation)
    theta = network.initialize(np.random.RandomState(1), dtype, standardized=True)
    exact = X.astype(np.float64)
    coordinates = standard_coordinates(
        network, exact.mean(axis=0), exact.std(axis=0), dtype
    )
    mean, scale = (v[0].astype(np.float64) for v in (coordinates.means, coordinates.scales))
    weights = options.pop("weights", None)
    objective = Objective(
        network, container(X), k, weights, 0.3, coordinates=coordinates, **options
    )
    return objective, theta, Objective(network, (exact - mean) / scale, k, weights, 0.3)


def mean_of_batches(objective, theta, batch_size, n_epochs=1):
    prepared = objective.for_batches(batch_size, n_epochs)
    drawn = prepared.batches(theta, batch_size, np.random.default_rng(3))
    values, slopes = zip(*((value, slope.copy()) for value, slope in drawn), strict=True)
    return np.mean(values), np.mean(slopes, axis=0), slopes[0].dtype


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("batch_size", [1, 10, 102])
@pytest.mark.parametrize("shuffled", [False, True])
def test_batches_of_raw_rows_are_those_of_standardised_rows(
    container, batch_size, shuffled
):
    objective, theta, scaled = make_standardised(container, shuffle=shuffled)
    before = objective.X.copy()
    if container is np.asarray:
        objective.X.flags.writeable = False
    loss, gradient, _ = mean_of_batches(objective, theta, batch_size)
    exact_loss, exact = scaled.loss_gradient(theta)
    assert_allclose(loss, exact_loss, rtol=1e-12)
    assert relative_error(gradient, exact) < 1e-12
    assert abs(objective.X - before).max() == 0


@pytest.mark.parametrize("shuffled", [False, True])
def test_batches_in_float32_keep_the_digits_that_tell_rows_apart(shuffled):
    """Means of 10,000 deviations would leave three digits of products with raw rows."""
    objective, theta, scaled = make_standardised(
        dtype=np.float32, offset=1e4, shuffle=shuffled
    )
    loss, gradient, dtype = mean_of_batches(objective, theta, 10)
    exact_loss, exact = scaled.loss_gradient(theta.astype(np.float64))
    assert dtype == np.float32
    assert_allclose(loss, exact_loss, rtol=1e-5)
    assert relative_error(gradient, exact) < 1e-5


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_of_many_rows_are_in_single_precision(shuffled, weighted):
    """6 million products, of rows of which nothing is left in float32."""
    n = 2500
    weights = np.random.default_rng(0).uniform(0.1, 5, size=n) if weighted else None
    objective, theta, scaled = make_standardised(
        offset=1e9, n=n, hidden=200, shuffle=shuffled, weights=weights
    )
    loss, gradient, dtype = mean_of_batches(objective, theta, 1000)
    exact_loss, exact = scaled.loss_gradient(theta)
    assert dtype == np.float32
    assert theta.dtype == np.float64
    assert_allclose(loss, exact_loss, rtol=1e-6)
    assert relative_error(gradient, exact) < 1e-5


def test_only_batches_of_many_dense_standardised_rows_are_in_single_precision():
    def dtype(*arguments, batch_size=1000, **options):
        objective, theta, _ = make_standardised(*arguments, **options)
        return mean_of_batches(objective, theta, batch_size)[2]

    many = {"n": 2500, "hidden": 200}
    assert dtype(**many) == np.float32
    assert dtype(**many, batch_size=10) == np.float32
    assert dtype(**many, batch_size=2500) == np.float64  # all rows at once
    assert dtype(n=2500) == np.float64
    assert dtype(n=1100, hidden=200) == np.float64
    assert dtype(sparse.csr_array, **many) == np.float64
    # rows without weight may be of any size
    weights = np.ones(2500)
    weights[7] = 0
    objective, theta, _ = make_standardised(**many, weights=weights)
    objective.X[7] = 1e300
    _, gradient, found = mean_of_batches(objective, theta, 1000)
    assert found == np.float64
    assert np.isfinite(gradient).all()
    raw = Objective(objective.network, objective.X, objective.targets, None, 1.0)
    assert raw.for_batches(99, 2) is raw


@pytest.mark.parametrize("activation", ["tanh", "logistic"])  # centred at 0, and not
@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"dropout": 0.4}])
def test_rows_that_are_standardised_once_make_the_same_batches(activation, options):
    weights = np.random.default_rng(0).uniform(0.1, 5, size=2500)
    objective, theta, _ = make_standardised(
        offset=1e9,
        n=2500,
        hidden=200,
        activation=activation,
        weights=weights,
        total_weight=7000.0,
        **options,
    )
    prepared = [objective.for_batches(1000, n_epochs) for n_epochs in (2, 1)]
    assert [isinstance(other.X, np.ndarray) for other in prepared] == [True, False]
    assert [other.dtype for other in prepared] == [np.float32] * 2
    assert objective.X.dtype == np.float64
    several = (f.batches(theta, 1000, np.random.default_rng(3)) for f in prepared)
    for (loss, gradient), (exact_loss, exact) in zip(*several, strict=True):
        assert gradient.dtype == np.float32
        assert_allclose(loss, exact_loss, rtol=1e-6)
        assert relative_error(gradient, exact) < 1e-5


@pytest.mark.parametrize("options", [{}, {"shuffle": False}])
def test_float32_rows_that_are_standardised_once_make_the_same_bits(options):
    objective, theta, _ = make_standardised(dtype=np.float32, n=500, **options)
    prepared = [objective.for_batches(70, n_epochs) for n_epochs in (2, 1)]
    assert [isinstance(other.X, np.ndarray) for other in prepared] == [True, False]
    several = (f.batches(theta, 70, np.random.default_rng(3)) for f in prepared)
    for (loss, gradient), (other_loss, other) in zip(*several, strict=True):
        assert loss == other_loss
        assert_array_equal(gradient, other)


def test_rows_are_standardised_once_only_where_it_pays(tmp_path, monkeypatch):
    monkeypatch.setattr("skmlp._memory_map._most_bytes", lambda: 0)

    def is_copied(*arguments, n_epochs=2, batch_size=1000, **options):
        objective, _, _ = make_standardised(*arguments, **options)
        prepared = objective.for_batches(batch_size, n_epochs)
        return prepared is not objective and isinstance(prepared.X, np.ndarray)

    def mapped(X):
        rows = np.memmap(tmp_path / "X", X.dtype, "w+", shape=X.shape)
        rows[:] = X
        return rows

    many = {"n": 2500, "hidden": 200}
    assert is_copied(**many)
    assert not is_copied(**many, n_epochs=1)
    assert not is_copied(**many, batch_size=2500)
    assert is_copied(**many, dtype=np.float32)
    assert not is_copied(n=2500)
    assert not is_copied(mapped, **many)
    assert not is_copied(sparse.csr_array, **many)


def test_a_fit_standardises_its_rows_once_and_a_call_of_partial_fit_never(monkeypatch):
    calls, rows = [], Standardised.rows

    def spy(self, some):
        calls.append(self.shape)
        return rows(self, some)

    monkeypatch.setattr(Standardised, "rows", spy)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2500, 20))
    y = X[:, 0] > 0
    model = MLPClassifierManual(solver="sgd", alpha=1.0, max_iter=30, random_state=0)
    model.set_params(learning_rate="cosine").fit(X, y)
    assert calls == [(2500, 20)]
    model.partial_fit(X, y)
    assert len(calls) == 1


def test_batches_in_single_precision_have_the_same_bits_for_any_number_of_threads():
    gradients = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"), row_threads(2) as map_rows:
            objective, theta, _ = make_standardised(n=90_000, hidden=100, map_rows=map_rows)
            gradients.append(mean_of_batches(objective, theta, 80_000)[1])
    assert gradients[0].dtype == np.float32
    assert_array_equal(*gradients)


def test_shuffled_batches_are_other_batches():
    losses = []
    for shuffle in (False, True):
        objective, theta = make_objective(shuffle=shuffle)
        losses.append(next(objective.batches(theta, 10, np.random.default_rng(0)))[0])
    assert losses[0] != losses[1]


@pytest.mark.parametrize("batch_size", [10, 103])
def test_dropout_draws_other_units_for_every_batch(batch_size):
    objective, theta = make_objective(dropout=0.5, shuffle=False)
    rng = np.random.default_rng(0)
    epochs = [[loss for loss, _ in objective.batches(theta, batch_size, rng)] for _ in "ab"]
    assert (np.array(epochs[0]) != epochs[1]).all()
    again = objective.batches(theta, batch_size, np.random.default_rng(0))
    assert epochs[0] == [loss for loss, _ in again]


def test_dropout_keeps_the_expected_output():
    """A mask is 0 or 1 / (1 - rate), and 1 on average: of each row, and of each unit."""
    network = Network((3, 200, 2), "identity")
    dropout = network.dropout(0.3, 5000, np.random.default_rng(0), np.float64)
    (mask,) = dropout.masks
    assert_array_equal(np.unique(mask), [0, 1 / 0.7])
    assert abs((mask == 0).mean() - 0.3) < 0.002
    assert_allclose(mask.mean(axis=1), 1, atol=0.25)
    assert_allclose(mask.mean(axis=0), 1, atol=0.05)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_weight_is_repetition(container):
    rng = np.random.default_rng(0)
    X, k = rng.normal(size=(40, 5)), rng.integers(3, size=40)
    weights = rng.integers(4, size=40).astype(float)
    network = Network((5, 7, 3), "tanh")
    theta = network.initialize(np.random.RandomState(0), np.float64)
    repeated = np.repeat(np.arange(40), weights.astype(int))
    loss, gradient = Objective(network, container(X), k, weights, 2.0).loss_gradient(theta)
    exact_loss, exact = Objective(
        network, container(X[repeated]), k[repeated], None, 2.0
    ).loss_gradient(theta)
    assert_allclose(loss, exact_loss, rtol=1e-12)
    assert relative_error(gradient, exact) < 1e-12


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("hidden", [(9,), (6, 5)])
def test_agrees_with_the_objective_of_scikit_learns_lbfgs(activation, hidden, weighted):
    """Independent oracle: MLPClassifier's value and gradient at the same parameters."""
    rng = np.random.default_rng(0)
    X, k = rng.normal(size=(60, 7)), np.arange(60) % 3
    weights = rng.uniform(0.1, 4, size=60) if weighted else None
    peer = MLPClassifier(hidden, activation, alpha=0.7, random_state=0)
    peer.partial_fit(X, k, classes=[0, 1, 2])
    sizes = [7, *hidden, 3]
    network = Network(sizes, activation)
    theta = network.flatten(peer.coefs_, peer.intercepts_, np.float64)
    n_layers = len(sizes) - 1
    peer_loss, coef_grads, intercept_grads = peer._backprop(
        X,
        np.eye(3)[k],
        weights,
        [X] + [None] * n_layers,
        [None] * n_layers,
        [None] * n_layers,
        [None] * n_layers,
    )
    loss, gradient = Objective(network, X, k, weights, 0.7).loss_gradient(theta)
    expected = network.flatten(coef_grads, intercept_grads, np.float64)
    assert_allclose(loss, peer_loss, rtol=1e-12)
    assert relative_error(gradient, expected) < 1e-12


@pytest.mark.parametrize("activation", ["logistic", "tanh"])
def test_agrees_with_scikit_learns_single_output_for_two_classes(activation):
    """Its logistic output z is our softmax over the logits (0, z)."""
    rng = np.random.default_rng(0)
    X, k = rng.normal(size=(60, 7)), np.arange(60) % 2
    peer = MLPClassifier((5,), activation, alpha=0, random_state=0)
    peer.partial_fit(X, k, classes=[0, 1])
    peer_loss, coef_grads, intercept_grads = peer._backprop(
        X, k[:, np.newaxis], None, [X, None, None], *([None, None] for _ in range(3))
    )
    network = Network((7, 5, 2), activation)
    theta = network.flatten(
        [peer.coefs_[0], np.c_[np.zeros(5), peer.coefs_[1]]],
        [peer.intercepts_[0], [0, *peer.intercepts_[1]]],
        np.float64,
    )
    loss, gradient = Objective(network, X, k, None, 0.0).loss_gradient(theta)
    expected = network.flatten(
        [coef_grads[0], np.c_[-coef_grads[1], coef_grads[1]]],
        [intercept_grads[0], [-intercept_grads[1][0], *intercept_grads[1]]],
        np.float64,
    )
    assert_allclose(loss, peer_loss, rtol=1e-12)
    assert relative_error(gradient, expected) < 1e-12


def test_minimum_of_logistic_regression_is_a_stationary_point():
    objective, _ = make_objective(n=300, alpha=1.0)
    network = Network((8, 4), "identity")
    fitted = LogisticRegression(C=1.0, tol=1e-10, max_iter=10000).fit(
        objective.X, objective.targets, objective.weights
    )
    theta = network.flatten([fitted.coef_.T], [fitted.intercept_], np.float64)
    _, gradient = Objective(
        network, objective.X, objective.targets, objective.weights, 1.0
    ).loss_gradient(theta)
    assert np.abs(gradient).max() < 1e-6


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_for_any_number_of_threads(container, dtype):
    """40,000 rows are many blocks, in more groups than there are threads."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(40_000, 8)) * (rng.random((40_000, 8)) < 0.5)).astype(dtype)
    k = rng.integers(4, size=len(X))
    weights = rng.uniform(0, 2, size=len(X))
    network = Network((8, 120, 4), "logistic")
    theta = network.initialize(np.random.RandomState(0), dtype)
    results = []
    for n_threads in (1, 2, 4):
        with threadpool_limits(n_threads, user_api="blas"), row_threads(64) as map_rows:
            objective = Objective(
                network, container(X), k, weights, 1.0, shuffle=False, map_rows=map_rows
            )
            results.append(objective.loss_gradient(theta))
            again = objective.loss_gradient(theta)
            assert again[0] == results[-1][0]
            # two batches, whose products are large enough to be divided
            rng = np.random.default_rng(0)
            drawn = objective.batches(theta, len(X) // 2, rng)
            batches = [(loss, gradient.copy()) for loss, gradient in drawn]
            losses, gradients = zip(*batches, strict=True)
            results[-1] += np.mean(losses), np.mean(gradients, axis=0)
    for loss, gradient, batch_loss, batch_gradient in results:
        assert loss == results[0][0]
        assert batch_loss == results[0][2]
        assert_array_equal(gradient, results[0][1])
        assert_array_equal(batch_gradient, results[0][3])
        # and the blocks add up to what two passes over all rows give
        tolerance = 1e-4 if dtype == np.float32 else 1e-12
        assert_allclose(loss, batch_loss, rtol=tolerance)
        assert relative_error(gradient, batch_gradient) < tolerance


@pytest.mark.parametrize("weighted", [False, True])
def test_rough_is_the_same_function_in_single_precision(weighted):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 5)) * 1e-3 + 1e6  # nothing of it is left in float32
    k = rng.integers(3, size=4000)
    weights = rng.uniform(0, 5, size=4000) if weighted else None
    network = Network((5, 100, 3), "tanh")
    coordinates = standard_coordinates(network, X.mean(axis=0), X.std(axis=0), X.dtype)
    theta = network.initialize(np.random.RandomState(1), np.float64, standardized=True)
    options = {"coordinates": coordinates, "total_weight": 7000.0}
    objective = Objective(network, X, k, weights, 30.0, **options)
    rough = objective.rough()
    assert rough.X.dtype == rough.dtype == np.float32
    loss, gradient = objective.loss_gradient(theta)
    rough_loss, rough_gradient = rough.loss_gradient(theta)
    assert_allclose(rough_loss, loss, rtol=1e-6)
    assert relative_error(rough_gradient, gradient) < 1e-5


@pytest.mark.parametrize("weighted", [False, True])
def test_rough_is_the_same_function_of_sparse_rows_in_single_precision(weighted):
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(4000, 8)) * 10.0 ** np.arange(-8, 8, 2)
    X = sparse.csr_array(np.where(rng.random(dense.shape) < 0.3, dense, 0))
    k = rng.integers(3, size=4000)
    weights = rng.uniform(0, 5, size=4000) if weighted else None
    network = Network((8, 100, 3), "tanh")
    moments = X.toarray().mean(axis=0), X.toarray().std(axis=0)
    coordinates = standard_coordinates(network, *moments, X.dtype)
    theta = network.initialize(np.random.RandomState(1), np.float64, standardized=True)
    objective = Objective(network, X, k, weights, 30.0, coordinates=coordinates)
    rough = objective.rough()
    assert rough.X.dtype == rough.dtype == np.float32
    assert sparse.issparse(rough.X)
    loss, gradient = objective.loss_gradient(theta)
    rough_loss, rough_gradient = rough.loss_gradient(theta)
    assert rough_gradient.dtype == np.float32
    assert_allclose(rough_loss, loss, rtol=1e-6)
    assert relative_error(rough_gradient, gradient) < 1e-5


def test_only_many_standardised_rows_in_float64_have_a_rough_objective():
    X = np.random.default_rng(0).normal(size=(4000, 5))
    network = Network((5, 100, 3), "logistic")

    def rough(X, dtype=np.float64, standardized=True, mean=0.0, scale=1.0):
        mean, scale = np.full(5, mean), np.full(5, scale)
        coordinates = standard_coordinates(network, mean, scale, dtype)
        k, coordinates = np.zeros(X.shape[0], int), coordinates if standardized else None
        objective = Objective(network, X, k, None, 1.0, coordinates=coordinates)
        return objective.rough() is not objective

    assert rough(X)
    assert not rough(X[:1000])
    assert not rough(X.astype(np.float32), np.float32)
    assert not rough(X, standardized=False)
    assert rough(sparse.csr_array(X))
    assert not rough(sparse.csr_array(X), standardized=False)
    # float32 would lose the digits of these, or weights divided by the scales
    assert not rough(sparse.csr_array(X), mean=11.0)
    assert not rough(sparse.csr_array(X), scale=1e-37)
    # and has no numbers for these
    assert not rough(sparse.csr_array(X), scale=1e37)
    assert not rough(sparse.csr_array(1e40 * X))


def test_the_rough_objective_of_a_large_map_copies_no_rows(tmp_path, monkeypatch):
    """They are standardised block by block, whenever they are read: to the same bits."""
    monkeypatch.setattr("skmlp._memory_map._most_bytes", lambda: 0)
    X = np.random.default_rng(0).normal(size=(4000, 5))
    mapped = np.memmap(tmp_path / "X", np.float64, "w+", shape=X.shape)
    mapped[:] = X
    network = Network((5, 100, 3), "logistic")
    coordinates = standard_coordinates(network, X.mean(axis=0), X.std(axis=0), X.dtype)
    theta = network.initialize(np.random.RandomState(1), np.float64, standardized=True)
    one, other = (
        Objective(network, data, np.arange(4000) % 3, None, 1.0, coordinates=coordinates)
        for data in (X, mapped)
    )
    one, other = one.rough(), other.rough()
    assert isinstance(other.X, Standardised)
    assert other.dtype == np.float32
    assert one.loss(theta) == other.loss(theta)
    assert_array_equal(one.loss_gradient(theta)[1], other.loss_gradient(theta)[1])
    products = [objective.hessian_product(theta)(theta) for objective in (one, other)]
    assert_array_equal(*products)


def in_float32(objective):
    X, weights = objective.X.astype(np.float32), objective.weights
    return Objective(objective.network, X, objective.targets, weights, 0.3)


def test_float32_stays_float32_and_sums_in_float64():
    objective, theta = make_objective()
    single = in_float32(objective)
    loss, gradient = single.loss_gradient(theta)
    exact_loss, exact = objective.loss_gradient(theta)
    assert gradient.dtype == np.float32
    assert_allclose(loss, exact_loss, rtol=1e-6)
    assert relative_error(gradient, exact) < 1e-5


def test_memory_of_an_evaluation_does_not_grow_with_the_rows():
    """All hidden units of 80,000 rows at once would take 64 MB."""
    network = Network((10, 100, 3), "logistic")
    theta = network.initialize(np.random.RandomState(0), np.float64)
    peaks = []
    for n in (20_000, 80_000):
        X, k = np.ones((n, 10)), np.arange(n) % 3
        tracemalloc.start()
        Objective(network, X, k, None, 1.0).loss_gradient(theta)
        # and as the single batch of a stochastic solver
        rng = np.random.default_rng(0)
        next(Objective(network, X, k, None, 1.0).batches(theta, n, rng))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 20e6


@pytest.fixture
def small_blocks(monkeypatch):
    """A dozen blocks, or eight, of 103 rows, some of them in one group."""
    monkeypatch.setattr("skmlp._objective._BLOCK_BYTES", 2**11)
    monkeypatch.setattr("skmlp._objective._MAX_GROUPS", 3)


def in_coordinates(kind, container):
    """An objective in the coordinates that a fit of that kind has."""
    weights = np.random.default_rng(0).integers(3, size=103).astype(float)
    if kind == "raw":
        return make_objective(container=container)
    if kind == "part":
        return make_objective(container=container, total_weight=999.0)
    objective, theta, scaled = make_standardised(container, weights=weights)
    if kind == "row space":
        objective.X = container(scaled.X)
        objective.coordinates = objective.coordinates.without_features(np.float64)
    return objective, theta


@pytest.mark.parametrize("kept", [2**28, 0])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("kind", ["raw", "part", "standardised", "row space"])
def test_hessian_product_against_differences_of_gradients(
    monkeypatch, small_blocks, kind, container, kept
):
    """In any coordinates, with the penalty, of rows that are kept or seen again."""
    monkeypatch.setattr("skmlp._objective._KEPT_BYTES", kept)
    objective, theta = in_coordinates(kind, container)
    assert len(row_blocks(objective.X, objective.network)) >= 8
    product, step = objective.hessian_product(theta), 1e-5
    for v in np.random.default_rng(1).normal(size=(3, theta.size)):
        above, below = (objective.loss_gradient(theta + s * step * v)[1] for s in (1, -1))
        assert relative_error(product(v), (above - below) / (2 * step)) < 1e-7
        assert_array_equal(product(v), product(v))


@pytest.mark.parametrize("gauss_newton", [False, True])
@pytest.mark.parametrize("kind", ["raw", "standardised"])
def test_products_are_symmetric_and_those_of_gauss_newton_positive(
    small_blocks, kind, gauss_newton
):
    objective, theta = in_coordinates(kind, np.asarray)
    product = objective.hessian_product(theta, gauss_newton=gauss_newton)
    matrix = np.array([product(e) for e in np.eye(theta.size)])
    assert relative_error(matrix, matrix.T) < 1e-12
    eigenvalues = np.linalg.eigvalsh(matrix)
    if gauss_newton:  # where the loss is flat, the penalty is what curves
        weights = np.arange(theta.size) < objective.network.n_weights
        penalty = 0.3 / objective.total_weight * np.diag(weights)
        assert np.linalg.eigvalsh(matrix - penalty).min() > -1e-12 * eigenvalues.max()
    else:
        assert eigenvalues.min() < -1e-3 * eigenvalues.max()


@pytest.mark.parametrize(("kept", "n_products"), [(2**28, 0), (0, 3)])
def test_rows_are_seen_again_only_if_they_are_too_much_to_keep(
    monkeypatch, small_blocks, kept, n_products
):
    monkeypatch.setattr("skmlp._objective._KEPT_BYTES", kept)
    objective, theta = make_objective()
    n_blocks, seen = len(row_blocks(objective.X, objective.network)), []
    linearize = Network.linearize

    def spy(*arguments):
        seen.append(1)
        return linearize(*arguments)

    monkeypatch.setattr(Network, "linearize", spy)
    product = objective.hessian_product(theta)
    n_at_first = len(seen)
    for _ in range(3):
        product(theta)
    assert n_at_first == (n_blocks if kept else 0)
    assert len(seen) == n_at_first + n_products * n_blocks


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_weight_is_repetition_in_products_with_the_hessian(container):
    rng = np.random.default_rng(0)
    X, k = rng.normal(size=(40, 5)), rng.integers(3, size=40)
    weights = rng.integers(4, size=40)
    network = Network((5, 7, 3), "tanh")
    theta, v = rng.normal(size=(2, network.n_parameters))
    repeated = np.repeat(np.arange(40), weights)
    found, exact = (
        Objective(network, container(X), k, weights, 2.0).hessian_product(theta)(v)
        for X, k, weights in (
            (X, k, weights.astype(float)),
            (X[repeated], k[repeated], None),
        )
    )
    assert relative_error(found, exact) < 1e-12


@pytest.mark.parametrize("kept", [2**28, 0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_have_the_same_bits_for_any_number_of_threads(monkeypatch, kept, dtype):
    monkeypatch.setattr("skmlp._objective._KEPT_BYTES", kept)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 8)).astype(dtype)
    k, weights = rng.integers(4, size=len(X)), rng.uniform(0, 2, size=len(X))
    network = Network((8, 120, 4), "logistic")
    theta, v = rng.normal(size=(2, network.n_parameters)).astype(dtype)
    products = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"), row_threads(64) as map_rows:
            objective = Objective(network, X, k, weights, 1.0, map_rows=map_rows)
            products.append(objective.hessian_product(theta)(v))
    assert products[0].dtype == dtype
    assert_array_equal(*products)


@pytest.mark.parametrize("gauss_newton", [False, True])
def test_products_in_float32(gauss_newton):
    objective, theta = make_objective()
    single = in_float32(objective)
    v = np.random.default_rng(0).normal(size=theta.size)
    found, exact = (
        each.hessian_product(theta, gauss_newton=gauss_newton)(v)
        for each in (single, objective)
    )
    assert found.dtype == np.float32
    assert relative_error(found, exact) < 1e-5


def test_memory_of_products_does_not_grow_with_the_rows(monkeypatch):
    """Beyond what may be kept."""
    monkeypatch.setattr("skmlp._objective._KEPT_BYTES", 2**20)
    network = Network((10, 100, 3), "logistic")
    theta = network.initialize(np.random.RandomState(0), np.float64)
    peaks = []
    for n in (20_000, 80_000):
        X, k = np.ones((n, 10)), np.arange(n) % 3
        tracemalloc.start()
        Objective(network, X, k, None, 1.0).hessian_product(theta)(theta)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 40e6


def sparse_rows(n, d, entries):
    """With so many entries a row."""
    indices = np.arange(n * entries) * 7 % d
    indptr = np.arange(n + 1) * entries
    return sparse.csr_array((np.ones(n * entries), indices, indptr), shape=(n, d))


@pytest.mark.parametrize(
    ("d", "entries", "n_blocks"),
    [(500, 50, 8), (50_000, 50, 2), (50_000, 100, 4)],
)
def test_sparse_rows_of_many_features_make_few_blocks(d, entries, n_blocks):
    """Each costs passes over weights of all the features."""
    X = sparse_rows(8000 if entries == 50 else 10_000, d, entries)
    assert len(row_blocks(X, Network((d, 100, 10), "logistic"))) == n_blocks


@pytest.mark.parametrize(("d", "n_groups"), [(10, 16), (10_000, 8), (40_000, 4)])
def test_long_gradients_have_few_partial_sums(d, n_groups):
    dense = np.broadcast_to(np.float32(0), (40_000, d))  # takes no memory
    network = Network((d, 100, 10), "logistic")
    objective = Objective(network, dense, np.zeros(40_000, int), None, 1.0)
    assert len(objective._groups()) == n_groups
