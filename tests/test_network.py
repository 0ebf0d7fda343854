"""The network's gradient is the derivative of its loss, whatever its shape."""

import itertools
import tracemalloc

import numpy as np
import pytest
from common import VALUE_LOSSES, draw_values, paired
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from skmlp._activations import ACTIVATIONS
from skmlp._losses import LOSSES
from skmlp._network import Network, _for_blas, _matmul

DEPTHS = {0: (), 1: (4,), 2: (4, 3), 3: (5, 3, 4)}
ALL_LOSSES = [*LOSSES, *VALUE_LOSSES]
CONTAINERS = [np.asarray, sparse.csr_array, sparse.csr_matrix]
NETWORKS = list(itertools.product(ACTIVATIONS, DEPTHS, ALL_LOSSES))
WITH_DROPOUT = itertools.product(ACTIVATIONS, DEPTHS, ["cross_entropy", "gaussian"])


def make_rows(n=7, d=6, n_classes=3, seed=0, zeros=0.4):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) > zeros)
    return X, rng.integers(n_classes, size=n), rng.uniform(0.2, 3, size=n)


def make_network(loss, activation, hidden, n_features=6):
    """A network with the outputs that a loss has in these tests, and parameters."""
    output, _, n_outputs = VALUE_LOSSES.get(loss) or (LOSSES[loss], 3, 3)
    network = Network((n_features, *hidden, n_outputs), activation, output)
    theta = np.random.default_rng(len(hidden)).normal(size=network.n_parameters)
    return network, 0.5 * theta if loss in VALUE_LOSSES else theta


def draw_targets(loss, n):
    if loss in VALUE_LOSSES:
        return draw_values(*VALUE_LOSSES[loss][:2], n, seed=1)
    if loss == "binary_cross_entropy":
        return np.random.default_rng(1).random((n, 3)) < 0.4
    return np.random.default_rng(1).integers(3, size=n)


def evaluate(network, theta, X, targets, weights, dropout=None):
    gradient = network.parameters(np.empty_like(theta))
    loss = network.loss_gradient(
        network.parameters(theta),
        X,
        targets,
        weights,
        gradient,
        network.workspace(X.shape[0], theta.dtype),
        dropout,
    )
    return loss, gradient.vector


@pytest.mark.parametrize(
    ("activation", "depth", "loss", "dropout_rate", "weighted", "container"),
    paired(
        [*((*net, 0) for net in NETWORKS), *((*net, 0.4) for net in WITH_DROPOUT)],
        list(itertools.product([False, True], CONTAINERS)),
    ),
)
def test_gradient_against_central_differences(
    activation, depth, loss, dropout_rate, weighted, container
):
    X, _, weights = make_rows()
    targets = draw_targets(loss, 7)
    weights = weights if weighted else 0.7
    network, theta = make_network(loss, activation, DEPTHS[depth])
    rng = np.random.default_rng(depth)
    X = container(X)
    # drawn once: the mask is held fixed while theta moves
    dropout = network.dropout(dropout_rate, 7, rng, float) if dropout_rate else None
    _, gradient = evaluate(network, theta, X, targets, weights, dropout)

    def derivative(direction, eps=1e-5):
        above, _ = evaluate(network, theta + eps * direction, X, targets, weights, dropout)
        below, _ = evaluate(network, theta - eps * direction, X, targets, weights, dropout)
        return (above - below) / (2 * eps)

    scale = np.abs(gradient).max()
    by_coordinate = [derivative(e) for e in np.eye(network.n_parameters)]
    assert_allclose(gradient, by_coordinate, rtol=1e-6, atol=1e-7 * scale)
    for direction in rng.normal(size=(5, network.n_parameters)):
        assert_allclose(gradient @ direction, derivative(direction), rtol=1e-6)


def draw_hessian_case(activation, depth, loss, weights, n=7):
    """A network, parameters and rows."""
    network, theta = make_network(loss, activation, DEPTHS[depth])
    return network, theta, (make_rows(n)[0], draw_targets(loss, n), weights)


def hessian_products(network, theta, rows, vectors, **options):
    """With several vectors, from one linearization."""
    parameters = network.parameters(theta)
    at = network.linearization(rows[0].shape[0], theta.dtype)
    network.linearize(parameters, *rows, at)
    workspace = network.workspace(rows[0].shape[0], theta.dtype)
    product = network.parameters(np.empty_like(theta))
    products = []
    for vector in vectors:
        direction = network.parameters(vector)
        network.hessian_product(
            parameters, direction, rows[0], rows[2], at, product, workspace, **options
        )
        products.append(product.vector.copy())
    return np.array(products)


WEIGHTS = {"scalar": 0.7, "array": np.array([0, 1, 0.3, 2, 0, 1.7, 0.1])}


@pytest.mark.parametrize(
    ("activation", "depth", "loss", "weights", "container"),
    paired(NETWORKS, list(itertools.product(WEIGHTS, CONTAINERS))),
)
def test_hessian_product_against_differences_of_gradients(
    activation, depth, loss, weights, container
):
    network, theta, rows = draw_hessian_case(activation, depth, loss, WEIGHTS[weights])
    rows = container(rows[0]), *rows[1:]
    vectors = np.random.default_rng(7).normal(size=(3, theta.size))
    products = hessian_products(network, theta, rows, vectors)
    step = 1e-5
    for vector, product in zip(vectors, products, strict=True):
        above, below = (
            evaluate(network, theta + s * step * vector, *rows)[1] for s in (1, -1)
        )
        scale = np.abs(product).max()
        assert_allclose(product, (above - below) / (2 * step), rtol=1e-6, atol=1e-7 * scale)


@pytest.mark.parametrize("gauss_newton", [False, True])
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_hessian_and_gauss_newton_matrix_are_symmetric(
    activation, depth, loss, gauss_newton
):
    network, theta, rows = draw_hessian_case(activation, depth, loss, WEIGHTS["array"])
    matrix = hessian_products(
        network, theta, rows, np.eye(theta.size), gauss_newton=gauss_newton
    )
    assert_allclose(matrix, matrix.T, rtol=1e-9, atol=1e-12 * np.abs(matrix).max())


@pytest.mark.parametrize("loss", ALL_LOSSES)
@pytest.mark.parametrize("activation", ["logistic", "tanh"])
def test_hessian_against_second_differences_of_the_loss(activation, loss):
    """All entries, and nothing of the gradient's code."""
    network, theta = make_network(loss, activation, (2, 2), n_features=2)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(5, 2)), draw_targets(loss, 5), rng.uniform(size=5)
    steps = 1e-4 * np.eye(theta.size)

    def value(point):
        return evaluate(network, point, *rows)[0]

    differences = [
        [
            (value(theta + a + b) - value(theta + a - b))
            - (value(theta - a + b) - value(theta - a - b))
            for a in steps
        ]
        for b in steps
    ]
    matrix = hessian_products(network, theta, rows, np.eye(theta.size))
    assert_allclose(matrix, np.array(differences) / 4e-8, atol=1e-6)


def curvature_of_row(output, M):
    """The matrix of second derivatives by the logits, or expected ones."""
    columns = np.eye(M.shape[1])[:, np.newaxis]
    for column in columns:
        (output.fisher or output.curvature)(M, 1.0, column)
    return columns[:, 0]


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_gauss_newton_matrix_by_its_definition(activation, depth, loss):
    """The sum of J^T Lambda J, with the J of each row's logits by differences."""
    weights = WEIGHTS["array"]
    network, theta, rows = draw_hessian_case(activation, depth, loss, weights)
    step = 1e-6 * np.eye(theta.size)

    def logits(point):
        return network.activations(network.parameters(point), rows[0])

    J = np.array([(logits(theta + e) - logits(theta - e)) / 2e-6 for e in step])
    M = np.array(logits(theta), order="F")
    network.output.bent(M, rows[1])
    expected = np.zeros((theta.size, theta.size))
    for i in range(len(M)):
        curvature = curvature_of_row(network.output, M[[i]])
        expected += weights[i] * J[:, i] @ curvature @ J[:, i].T
    matrix = hessian_products(network, theta, rows, np.eye(theta.size), gauss_newton=True)
    scale = np.abs(expected).max()
    assert_allclose(matrix, expected, rtol=1e-6, atol=1e-8 * scale)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_gauss_newton_matrix_has_no_negative_eigenvalue(activation, loss):
    network, theta, rows = draw_hessian_case(activation, 2, loss, WEIGHTS["array"])
    matrix = hessian_products(network, theta, rows, np.eye(theta.size), gauss_newton=True)
    assert np.linalg.eigvalsh(matrix).min() > -1e-11 * np.abs(matrix).max()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_without_residuals_the_hessian_is_the_gauss_newton_matrix(activation):
    """Targets that are the outputs, which labels of 0 and 1 are never quite."""
    network, theta, (X, *_) = draw_hessian_case(activation, 2, "binary_cross_entropy", 1.0)
    Y = network.activations(network.parameters(theta), X)
    network.output.mean(Y)
    vectors = np.random.default_rng(0).normal(size=(4, theta.size))
    exact, without = (
        hessian_products(network, theta, (X, Y, 1.0), vectors, gauss_newton=flag)
        for flag in (False, True)
    )
    assert_allclose(exact, without, rtol=1e-12, atol=1e-12 * np.abs(exact).max())
    elsewhere = hessian_products(network, theta, (X, 1 - Y, 1.0), vectors)
    if activation != "identity":
        assert np.abs(elsewhere - without).max() > 0.01 * np.abs(without).max()


@pytest.mark.parametrize("gauss_newton", [False, True])
def test_hessian_product_is_finite_where_units_and_outputs_are_saturated(gauss_newton):
    for activation in ACTIVATIONS:
        network, theta, rows = draw_hessian_case(activation, 2, "cross_entropy", 1.0)
        vectors = np.ones((1, theta.size))
        with np.errstate(over="ignore"):
            found = hessian_products(
                network, 1e4 * theta, rows, vectors, gauss_newton=gauss_newton
            )
        assert np.isfinite(found).all()


def test_parameters_are_views_of_one_vector():
    network = Network((3, 4, 2), "tanh")
    theta = np.arange(float(network.n_parameters))
    parameters = network.parameters(theta)
    assert [W.shape for W in parameters.coefs] == [(3, 4), (4, 2)]
    assert [b.shape for b in parameters.intercepts] == [(4,), (2,)]
    for view in (*parameters.coefs, *parameters.intercepts):
        assert np.shares_memory(view, theta)
    parameters.coefs[1][0, 0] = -1
    assert theta[12] == -1
    flat = network.flatten(parameters.coefs, parameters.intercepts, np.float64)
    assert_allclose(flat, theta, rtol=0)
    assert not np.shares_memory(flat, theta)


@pytest.mark.parametrize(("activation", "factor"), [("logistic", 2), ("relu", 6)])
def test_initial_parameters_fill_the_stated_bound(activation, factor):
    network = Network((30, 50, 20), activation)
    theta = network.initialize(np.random.RandomState(0), np.float64)
    parameters = network.parameters(theta)
    for W in parameters.coefs:
        bound = np.sqrt(factor / sum(W.shape))
        assert 0.98 * bound < np.abs(W).max() <= bound


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_start_keeps_variances_through_ten_layers(activation):
    """Of what enters the units, and of the residuals on the way back."""
    rng = np.random.default_rng(0)
    X, k = rng.normal(size=(500, 20)), rng.integers(5, size=500)
    network = Network((20, *(200,) * 10, 5), activation)
    theta = network.initialize(np.random.RandomState(0), np.float64, standardized=True)
    parameters = network.parameters(theta)
    for W, b in zip(parameters.coefs[1:], parameters.intercepts[1:], strict=True):
        b -= network.activation.center * W.sum(axis=0)
    h, entering = X, []
    for layer, (W, b) in enumerate(
        zip(parameters.coefs, parameters.intercepts, strict=True)
    ):
        entering.append((h @ W + b).var())
        h = network.activations(parameters, X, layer)
    assert 0.4 < min(entering) < max(entering) < 2.5
    workspace = network.workspace(500, np.float64)
    gradient = network.parameters(np.empty_like(theta))
    network.loss_gradient(parameters, X, k, np.ones(500), gradient, workspace)
    variances = [delta.var() for delta in workspace.deltas]
    assert max(variances) < 10 * min(variances)
    # the start of MLPClassifier, which standardize=False keeps, does not
    if activation == "logistic":
        network.parameters(theta).vector[:] = network.initialize(
            np.random.RandomState(0), np.float64
        )
        network.loss_gradient(parameters, X, k, np.ones(500), gradient, workspace)
        variances = [delta.var() for delta in workspace.deltas]
        assert max(variances) > 1e6 * min(variances)


def test_blas_reads_what_it_can_as_it_is_and_a_copy_of_the_rest():
    X = np.arange(600.0).reshape(20, 30)
    for readable in (X, X.T, X[:, 3:9], X[::2], np.asfortranarray(X)[3:9], X[:1]):
        assert _for_blas(readable) is readable
    windows = np.lib.stride_tricks.sliding_window_view(X.ravel(), 30)
    for strided in ((X + 1j).real, windows, windows.T, X[:, ::2], X[:, ::-1], X[::-1].T):
        copy = _for_blas(strided)
        assert not np.shares_memory(copy, strided)
        assert_array_equal(copy, strided)


def test_strided_rows_give_the_same_bits():
    _, targets, weights = make_rows(n=40)
    X = np.fft.fft(np.random.default_rng(0).normal(size=(40, 6))).real
    network = Network((6, 4, 3), "tanh")
    theta = network.initialize(np.random.RandomState(0), np.float64)
    loss, gradient = evaluate(network, theta, X, targets, weights)
    expected_loss, expected = evaluate(network, theta, X.copy(), targets, weights)
    assert loss == expected_loss
    assert_array_equal(gradient, expected)


@pytest.mark.parametrize(
    ("n", "d", "m"), [(200, 800, 130), (64, 600, 700), (10, 3000, 600), (200, 300, 100)]
)
@pytest.mark.parametrize("transposed", [False, True])
def test_large_products_are_divided_between_two_threads(n, d, m, transposed):
    """By rows or columns of the larger factor; the first has more, and no part is lost."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(d, n) if transposed else (n, d)).astype(np.float32)
    A = A.T if transposed else A
    B = np.asfortranarray(rng.normal(size=(d, m)).astype(np.float32))
    out, calls = np.full((n, m), np.nan, np.float32, order="F"), []

    def backwards(function, *iterables):
        calls.extend(zip(*iterables, strict=True))
        return [function(*call) for call in calls[::-1]]

    _matmul(A, B, out, backwards)
    assert_allclose(out, A.astype(float) @ B, rtol=0, atol=1e-3)
    if 4 * n * d * m < 2**25:
        assert not calls
        return
    assert len(calls) == 2
    axis = int(n * d < d * m)
    (first, second), whole = ([part.shape[axis] for *_, part in calls], out.shape[axis])
    assert first + second == whole
    assert first >= second or whole < 32
    assert [call[1 - axis] is (A, B)[1 - axis] for call in calls] == [True, True]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_with_few_entries_pass_over_no_weights(dtype):
    """A row of a hundred words is no reason to copy the weights of all words."""
    rng = np.random.default_rng(0)
    X = sparse.csr_array(sparse.random(5, 100_000, 1e-3, random_state=0, dtype=dtype))
    X.data[:3] = 0
    W = np.asfortranarray(rng.normal(size=(100_000, 4)).astype(dtype))
    delta = np.asfortranarray(rng.normal(size=(5, 4)).astype(dtype))
    for A, B in ((X, W), (X.T, delta), (X[:0], W), (X[:0].T, delta[:0])):
        out = np.full((A.shape[0], 4), np.nan, dtype, order="F")
        tracemalloc.start()
        _matmul(A, B, out)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert_array_equal(out, A @ B)
        assert peak < W.nbytes / 20
