"""The curvature at the end of a fit, against a Hessian of differences of a loss."""

import pickle
from importlib.util import find_spec

import numpy as np
import pytest
from common import short_fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.special import log_softmax
from sklearn.base import BaseEstimator
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skmlp import MLPClassifierManual, MLPRegressorManual
from skmlp._coordinates import raw_parameters
from skmlp._objective import Objective
from skmlp._value_losses import LEAST_VARIANCE, LOG_UNIT
from skmlp.inspection import _curvature, loss_curvature
from skmlp.inspection._fitted import fitted_problem

pytestmark = short_fits
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)) * [1, 5, 0.2] + [0, 9, 1]
Y = (X[:, 0] * (X[:, 1] - 9) > 0).astype(int) + (X[:, 2] > 1.2)
WEIGHTS = RNG.integers(0, 3, 60).astype(float)


def make_model(hidden=4, **params):
    settings = {"alpha": 0.5, "max_iter": 20, "random_state": 0}
    return MLPClassifierManual(hidden, **(settings | params))


def hessian_of_differences(model, weights, step=1e-4):
    """Of the objective of one layer of logistic units, written anew, and its parameters."""
    mean = np.average(X, axis=0, weights=weights)
    scale = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weights))
    (W, V), (b, d) = model.coefs_, model.intercepts_
    parts = [W * scale[:, None], V, b + mean @ W, d + V.sum(axis=0) / 2]
    theta = np.concatenate([part.ravel() for part in parts])
    ends = np.cumsum([part.size for part in parts])

    def objective(theta):
        W, V, b, d = (
            piece.reshape(part.shape)
            for piece, part in zip(np.split(theta, ends[:-1]), parts, strict=True)
        )
        H = 1 / (1 + np.exp(-((X - mean) / scale @ W + b))) - 0.5
        losses = -log_softmax(H @ V + d, axis=1)[np.arange(len(Y)), Y]
        penalty = model.alpha_ / 2 * ((W**2).sum() + (V**2).sum())
        return (weights @ losses + penalty) / weights.sum()

    moves = step * np.eye(theta.size)
    ahead, behind = (
        np.array([[objective(theta + s * a + b) for b in moves] for a in moves])
        for s in (1, -1)
    )
    # mixed differences of second order; on the diagonal they are those of one direction
    sums = ahead - behind
    turned = np.array([[objective(theta - b + a) for b in moves] for a in moves])
    back = np.array([[objective(theta - b - a) for b in moves] for a in moves])
    return (sums - turned + back) / (4 * step**2)


@pytest.mark.parametrize("weights", [np.ones(60), WEIGHTS])
def test_eigenvalues_are_those_of_the_objective(weights):
    model = make_model().fit(X, Y, weights)
    curvature = loss_curvature(model, X, Y, weights, n_eigenvalues=31)
    expected = np.linalg.eigvalsh(hessian_of_differences(model, weights))
    assert curvature.n_parameters == len(expected) == 31
    assert_allclose(curvature.smallest, expected, atol=1e-6)
    assert_allclose(curvature.largest, expected[::-1], atol=1e-6)
    assert curvature.of_penalty == 0.5 / weights.sum()
    assert_allclose(curvature.loss, model.loss_, rtol=1e-12)


def loss_curvature_of_all(monkeypatch, model):
    """All eigenvalues."""
    with monkeypatch.context() as patch:
        patch.setattr(_curvature, "_FEW", 1000)
        return loss_curvature(model, X, Y, n_eigenvalues=1000).largest


@pytest.mark.parametrize("params", [{}, {"solver": "newton-cg", "tol": 1e-10}])
def test_lanczos_and_probes_agree_with_the_matrices(monkeypatch, params):
    model = make_model(9, max_iter=300, **params).fit(X, Y)
    exact = loss_curvature(model, X, Y)
    monkeypatch.setattr(_curvature, "_FEW", 1)
    monkeypatch.setattr(_curvature, "_N_PROBES", 200)
    monkeypatch.setattr(_curvature, "_PROBE_SHARE", 10)
    other = loss_curvature(model, X, Y, random_state=0)
    resolution = 1e-6 * exact.largest[0]
    assert_allclose(other.largest, exact.largest, atol=resolution)
    assert_allclose(other.smallest[0], exact.smallest[0], atol=resolution)
    # of an eigenvalue that occurs several times, Lanczos's method may find fewer
    everything = loss_curvature_of_all(monkeypatch, model)
    for found in other.smallest:
        assert np.abs(everything - found).min() < resolution
    assert other.kind == exact.kind == ("minimum" if params else "saddle")
    error = other.effective_n_parameters_error
    assert exact.effective_n_parameters_error == 0 < error < 1
    difference = other.effective_n_parameters - exact.effective_n_parameters
    assert abs(difference) < 4 * error
    again = loss_curvature(model, X, Y, random_state=0)
    assert_array_equal(again.smallest, other.smallest)
    assert again.effective_n_parameters == other.effective_n_parameters


def count_products(monkeypatch):
    """A list that grows with each product with a Hessian."""
    products, make = [], Objective.hessian_product

    def counted(objective, *args, **options):
        product = make(objective, *args, **options)

        def of(v):
            products.append(1)
            return product(v)

        return of

    monkeypatch.setattr(Objective, "hessian_product", counted)
    return products


@pytest.mark.parametrize(("n", "alpha"), [(60, 1.0), (60, 1e-4), (1000, 1e-4)])
def test_no_more_products_than_for_the_matrices(monkeypatch, n, alpha):
    """Eigenvalues that lie close together, and systems of equations that take long."""
    rows, y = make_classification(n, 20, n_informative=8, flip_y=0.1, random_state=0)
    model = make_model(50, alpha=alpha, max_iter=100, tol=1e-9).fit(rows, y)
    products = count_products(monkeypatch)
    curvature = loss_curvature(model, rows, y, random_state=0)
    n_parameters = curvature.n_parameters
    assert n_parameters == 1152
    assert len(products) < 1.5 * n_parameters
    monkeypatch.setattr(_curvature, "_FEW", n_parameters)
    products.clear()
    exact = loss_curvature(model, rows, y)
    assert len(products) == 2 * n_parameters
    resolution = 1e-7 * exact.largest[0]
    assert_allclose(curvature.largest, exact.largest, atol=resolution)
    assert_allclose(curvature.smallest, exact.smallest, atol=resolution)
    assert curvature.kind == exact.kind == "saddle"
    error = curvature.effective_n_parameters_error
    assert error > 0 or n == 1000
    assert_allclose(
        curvature.effective_n_parameters,
        exact.effective_n_parameters,
        atol=4 * error + 1e-6,
    )


def test_very_many_eigenvalues_and_none_but_zeros(monkeypatch):
    rows, y = make_classification(60, 20, random_state=0)
    model = make_model(50).fit(rows, y)
    exact = loss_curvature(model, rows, y, n_eigenvalues=1152)
    products = count_products(monkeypatch)
    curvature = loss_curvature(model, rows, y, n_eigenvalues=115, random_state=0)
    assert len(products) < 2 * 1152
    # one that occurs several times may be found fewer times
    gaps = np.abs(curvature.smallest[:, np.newaxis] - exact.smallest)
    assert gaps.min(axis=1).max() < 1e-7 * exact.largest[0]
    assert_allclose(curvature.largest[:5], exact.largest[:5], rtol=1e-6)
    model.alpha_ = 0.0
    for array in (*model.coefs_, *model.intercepts_):
        array[...] = 0
    model.intercepts_[-1][...] = [500, -500]
    zero = loss_curvature(model, rows[:2], np.zeros(2, int), random_state=0)
    assert_array_equal(zero.largest, np.zeros(6))
    assert_array_equal(zero.smallest, np.zeros(6))
    assert zero.kind == "minimum"


def test_where_memory_ends_it_says_how_much_is_known(monkeypatch):
    rows, y = make_classification(60, 20, n_informative=8, flip_y=0.1, random_state=0)
    model = make_model(50, alpha=1.0, max_iter=100).fit(rows, y)
    exact = loss_curvature(model, rows, y, random_state=0)
    monkeypatch.setattr(_curvature, "_BASIS_NUMBERS", 64 * 1152)
    with pytest.warns(ConvergenceWarning, match="known to .* after 64 steps") as log:
        rough = loss_curvature(model, rows, y, random_state=0)
    known = float(str(log[0].message).split("known to ")[1].split()[0])
    assert 1e-7 < known < 0.1
    assert_allclose(rough.largest, exact.largest, rtol=1e-6)
    assert (rough.smallest >= exact.smallest - 1e-7 * exact.largest[0]).all()
    assert rough.smallest[0] <= exact.smallest[0] + known * exact.largest[0]
    monkeypatch.setattr(_curvature, "_MANY", 1000)
    monkeypatch.setattr(_curvature, "_PROBE_SHARE", 1 / 1152)
    with pytest.warns(ConvergenceWarning, match="is an upper bound: after 1 steps"):
        rough = loss_curvature(model, rows, y, random_state=0)
    assert rough.effective_n_parameters > exact.effective_n_parameters


def test_pipelines_that_end_in_a_sampler():
    class Sampler(BaseEstimator):
        def fit_resample(self, X, y):
            return X, y

    model = make_model().fit(X, Y)
    pipe = Pipeline([("sample", Sampler()), ("net", model)])
    assert_array_equal(
        loss_curvature(pipe, X, Y).largest, loss_curvature(model, X, Y).largest
    )


def test_a_constant_net_of_xor_is_at_a_saddle():
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 10, float)
    y = corners.sum(axis=1) % 2
    model = make_model(2, alpha=0.0).fit(corners, y)
    for array in (*model.coefs_, *model.intercepts_):
        array[...] = 0
    model.coefs_[0][...] = [[1, -1], [1, -1]]
    model.intercepts_[0][...] = [-1, 1]  # both bend in the middle of the square
    curvature = loss_curvature(model, corners, y)
    assert curvature.kind == "saddle"
    assert curvature.gradient_norm < 1e-12
    assert curvature.smallest[0] < -1e-3
    assert_allclose(curvature.loss, np.log(2), rtol=1e-12)


def test_without_a_penalty_to_speak_of_the_data_determine_what_they_can():
    """Of two classes' weights and biases their differences: half of the parameters."""
    y = Y > 0
    model = make_model((), alpha=1e-9, max_iter=300).fit(X[:, :2], y)
    curvature = loss_curvature(model, X[:, :2], y)
    assert curvature.n_parameters == 6
    assert_allclose(curvature.effective_n_parameters, 3, atol=1e-5)
    strong = make_model((), alpha=1e9).fit(X, y)
    assert loss_curvature(strong, X, y).effective_n_parameters < 1e-6
    free = make_model((), alpha=0.0).fit(X, Y)
    assert np.isnan(loss_curvature(free, X, Y).effective_n_parameters)


def test_weights_are_copies_and_class_weights_count():
    model = make_model(class_weight={0: 1, 1: 2, 2: 1}).fit(X, Y, WEIGHTS)
    rows = np.repeat(np.arange(60), WEIGHTS.astype(int))
    weighted = loss_curvature(model, X, Y, WEIGHTS)
    copied = loss_curvature(model, X[rows], Y[rows])
    for name in ("largest", "smallest", "effective_n_parameters", "loss"):
        assert_allclose(copied[name], weighted[name], atol=1e-12)
    assert weighted.of_penalty == 0.5 / (WEIGHTS @ np.where(Y == 1, 2, 1))


def test_wherever_the_net_is():
    model = make_model().fit(X, Y)
    expected = loss_curvature(model, X, Y)
    pipeline = make_pipeline(StandardScaler(), make_model()).fit(X, Y)
    search = GridSearchCV(pipeline, {"mlpclassifiermanual__alpha": [0.5]}, cv=2).fit(X, Y)
    for estimator in (pipeline, search, pickle.loads(pickle.dumps(model))):
        curvature = loss_curvature(estimator, X, Y)
        assert_allclose(curvature.largest, expected.largest, rtol=1e-5)
    on_sparse = loss_curvature(model, sparse.csr_array(X), Y)
    assert_allclose(on_sparse.smallest, expected.smallest, atol=1e-12)


def test_several_labels_single_precision_and_rows_of_some_classes():
    labels = np.c_[Y > 0, Y > 1]
    assert loss_curvature(make_model().fit(X, labels), X, labels).largest[0] > 0
    rough = make_model().fit(X.astype(np.float32), Y)
    double = make_model().fit(X, Y)
    assert_allclose(
        loss_curvature(rough, X.astype(np.float32), Y).largest[0],
        loss_curvature(double, X, Y).largest[0],
        rtol=1e-3,
    )
    some = Y != 2
    assert loss_curvature(double, X[some], Y[some]).loss > 0


def test_what_it_is_asked_is_checked():
    model = make_model().fit(X, Y)
    with pytest.raises(ValueError, match="n_eigenvalues == 0, must be >= 1"):
        loss_curvature(model, X, Y, n_eigenvalues=0)
    with pytest.raises(ValueError, match="X has 2 features"):
        loss_curvature(model, X[:, :2], Y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        loss_curvature(model, X, Y[:9])
    with pytest.raises(ValueError, match="that are not in"):
        loss_curvature(model, X, Y + 1)
    with pytest.raises(ValueError, match="Negative values"):
        loss_curvature(model, X, Y, -WEIGHTS)
    with pytest.raises(NotFittedError):
        loss_curvature(make_model(), X, Y)
    with pytest.raises(TypeError, match="LogisticRegression"):
        loss_curvature(LogisticRegression().fit(X, Y), X, Y)
    before = vars(model).copy()
    loss_curvature(model, X, Y)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())


@pytest.mark.skipif(not find_spec("dask"), reason="Dask is not installed")
def test_of_partitions_the_local_model_is_asked():
    import dask.array

    from skmlp.dask import DaskMLPClassifierManual

    model = DaskMLPClassifierManual(4, alpha=0.5, max_iter=20, random_state=0)
    model.fit(dask.array.from_array(X), dask.array.from_array(Y))
    with pytest.raises(TypeError, match="to_local"):
        loss_curvature(model, X, Y)
    assert loss_curvature(model.to_local(), X, Y).largest[0] > 0


POSITIVE = np.exp(0.5 * X[:, 0] + 0.3 * RNG.normal(size=60))
# Losses of a regressor, and its y in units far from one
VALUES = [
    ({"loss": "squared_error"}, 1e4 + 50 * POSITIVE),
    ({"loss": "squared_error"}, np.c_[1e4 + 50 * POSITIVE, POSITIVE]),
    ({"loss": "poisson"}, np.round(5 * POSITIVE)),
    ({"loss": "gamma"}, np.c_[5 * POSITIVE, 1e-3 * POSITIVE]),
    ({"loss": "absolute_error"}, 50 * POSITIVE),
    ({"loss": "quantile", "quantile": [0.2, 0.8]}, 50 * POSITIVE),
    ({"loss": "gaussian"}, np.c_[1e4 + 50 * POSITIVE, POSITIVE]),
]


def make_regressor(params, **others):
    settings = {"alpha": 0.5, "max_iter": 20, "random_state": 0}
    return MLPRegressorManual(hidden_layer_sizes=3, **(settings | params | others))


def differences_of(f, theta, step=1e-5):
    """Central differences of an array along each parameter, which is the last axis."""
    moves = step * np.eye(theta.size)
    slopes = [(f(theta + v) - f(theta - v)) / (2 * step) for v in moves]
    return np.stack(slopes, axis=-1)


@pytest.mark.parametrize(("params", "y"), VALUES)
def test_eigenvalues_for_values(params, y):
    model = make_regressor(params).fit(X, y, WEIGHTS)
    curvature = loss_curvature(model, X, y, WEIGHTS, n_eigenvalues=99)
    problem, theta = fitted_problem(model, X, y, WEIGHTS)
    objective = problem.objective(0.5)
    hessian = differences_of(lambda theta: objective.loss_gradient(theta)[1].copy(), theta)
    expected = np.linalg.eigvalsh((hessian + hessian.T) / 2)
    assert curvature.n_parameters == len(expected)
    largest = np.abs(expected).max()
    assert_allclose(curvature.smallest, expected, atol=1e-6 * largest)
    assert_allclose(curvature.largest, expected[::-1], atol=1e-6 * largest)
    assert_allclose(curvature.loss, model.loss_, rtol=1e-9)
    assert curvature.of_penalty == 0.5 / WEIGHTS.sum()
    assert 0 < curvature.effective_n_parameters < len(expected)
    rows = np.repeat(np.arange(60), WEIGHTS.astype(int))
    copied = loss_curvature(model, X[rows], y[rows])
    for name in ("largest", "smallest", "effective_n_parameters", "loss"):
        wanted = curvature[name][:6] if np.ndim(copied[name]) else curvature[name]
        assert_allclose(copied[name], wanted, rtol=1e-8, atol=1e-10 * largest)


def test_of_normal_densities_the_gauss_newton_matrix_is_the_fisher_matrix():
    """It has 1 / v and (c q)^2 / 2, with q = exp(c s) / v; see `gaussian`."""
    y = VALUES[-1][1]
    model = make_regressor(VALUES[-1][0], max_iter=3).fit(X, y)
    problem, theta = fitted_problem(model, X, y, None)

    def logits(theta):
        parameters = raw_parameters(problem.network, problem.coordinates, theta)
        return problem.network.activations(parameters, X).copy()

    J, E = differences_of(logits, theta), np.exp(LOG_UNIT * logits(theta)[:, 2:])
    p = 1 / (E + LEAST_VARIANCE)
    factors = np.c_[p, (LOG_UNIT * E * p) ** 2 / 2]
    fisher = np.einsum("nk,nki,nkj->ij", factors, J, J) / 60
    product = problem.objective(0.0).hessian_product(theta, gauss_newton=True)
    found = np.array([product(v) for v in np.eye(theta.size)])
    assert_allclose(found, fisher, atol=1e-7 * np.abs(fisher).max())
    eigenvalues = np.linalg.eigvalsh(fisher)
    assert eigenvalues[0] > -1e-7 * eigenvalues[-1]
    count = (eigenvalues / (eigenvalues + 0.5 / 60)).sum()
    curvature = loss_curvature(model, X, y)
    assert_allclose(curvature.effective_n_parameters, count, rtol=1e-5)


def test_without_a_penalty_to_speak_of_every_weight_of_a_linear_fit_counts():
    """Of squared errors, eigenvalues are those of the moments of the standardised rows."""
    y = 1e4 + 50 * POSITIVE
    free = MLPRegressorManual(hidden_layer_sizes=(), alpha=1e-9).fit(X, y)
    curvature = loss_curvature(free, X, y)
    Z = np.c_[StandardScaler().fit_transform(X), np.ones(60)]
    expected = np.linalg.eigvalsh(Z.T @ Z / 60)
    assert_allclose(curvature.smallest, expected, rtol=1e-6)
    assert_allclose(curvature.effective_n_parameters, 4, atol=1e-6)
    assert curvature.kind == "minimum"
    residuals = y - free.predict(X)
    assert_allclose(curvature.loss, np.mean(residuals**2) / np.var(y) / 2, rtol=1e-6)


def test_values_are_checked():
    model = make_regressor({"loss": "poisson"}).fit(X, VALUES[2][1])
    with pytest.raises(ValueError, match="y has 2 columns, but 1 are expected"):
        loss_curvature(model, X, np.c_[VALUES[2][1], VALUES[2][1]])
    with pytest.raises(ValueError, match="loss='poisson' is for y that are at least 0"):
        loss_curvature(model, X, -VALUES[2][1])
