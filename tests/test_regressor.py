"""What a user of the regressor sees."""

import copy
import inspect
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from common import (
    SOLVERS,
    STOCHASTIC,
    assert_same_state,
    parameters,
    shared_settings,
    short_fits,
)
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse, stats
from sklearn.base import clone, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import (
    make_friedman1,
    make_friedman2,
    make_friedman3,
    make_regression,
)
from sklearn.exceptions import (
    ConvergenceWarning,
    DataConversionWarning,
    NotFittedError,
)
from sklearn.linear_model import GammaRegressor, PoissonRegressor, Ridge
from sklearn.metrics import mean_pinball_loss, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from skmlp import LossCurveDisplay, MLPRegressorManual
from skmlp._activations import ACTIVATIONS
from skmlp._callbacks import _is_known
from skmlp._values import FAMILIES
from skmlp.inspection._fitted import fitted_problem

POSITIVE = ["poisson", "gamma"]
needs_callbacks = pytest.mark.skipif(not _is_known, reason="needs scikit-learn >= 1.9")


@pytest.fixture(scope="module")
def data():
    """Rows of a smooth function of two of four features, with little noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    return X, np.sin(X[:, 0]) + 0.5 * X[:, 1] + 0.1 * rng.normal(size=200)


@pytest.fixture(scope="module")
def spread_out():
    """The deviation of y grows with the feature, and so does its mean."""
    rng = np.random.default_rng(1)
    X = rng.uniform(-2, 2, size=(3000, 1))
    deviation = 0.1 + 0.4 * (X[:, 0] + 2) / 4
    return X, np.sin(X[:, 0]) + deviation * rng.normal(size=3000), deviation


def small(loss="squared_error", **params):
    """A small network, whose penalty is given."""
    settings = {"alpha": 0.1, "tol": 1e-3, "max_iter": 1000, "random_state": 0}
    return MLPRegressorManual(loss, **{"hidden_layer_sizes": 8} | settings | params)


def suited(loss, y):
    """y that a loss is made for."""
    return np.exp(y) if loss in POSITIVE else y


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "quantile", "gaussian"])
def test_tol_is_a_share_of_the_loss_or_a_difference_of_its_logarithm(data, loss):
    X, y = data
    y = suited(loss, y)
    problem, _ = fitted_problem(small(loss).fit(X, y), X, y, None)
    tolerances = problem.tolerances(0.1)
    if loss == "gaussian":
        assert tolerances == {"tol": 0.1}
    else:
        assert_allclose(tolerances["tol"], 1e-2 * problem.floor)
        assert tolerances["rtol"] == 0.1


# --- the constructor ------------------------------------------------------------------


def test_constructor_is_that_of_mlpregressor():
    """The same names and kinds; the defaults but for those that serve better untuned."""
    ours = inspect.signature(MLPRegressorManual).parameters
    theirs = dict(inspect.signature(MLPRegressor).parameters)
    other = {"activation": "logistic", "solver": "auto", "alpha": "auto"}
    other |= {"tol": 5e-4, "max_iter": 1000}
    assert list(ours)[:3] == list(theirs)[:3]
    for name, parameter in theirs.items():
        assert ours[name].kind == parameter.kind
        if name not in other:
            assert ours[name].default == parameter.default
    assert {name: ours[name].default for name in other} == other
    more = {"dropout", "quantile", "scoring", "standardize"}
    assert set(ours) - set(theirs) == more


def test_it_is_a_regressor():
    assert is_regressor(MLPRegressorManual())
    assert not hasattr(MLPRegressorManual(), "predict_proba")
    assert not hasattr(MLPRegressorManual(), "classes_")


# --- fit: solvers, quality, shapes ----------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_lbfgs_learns_a_linear_function(activation):
    X, y = make_regression(200, 10, noise=1.0, bias=-20.0, random_state=1)
    model = MLPRegressorManual("squared_error", 50, activation, alpha=0.1, random_state=1)
    model.fit(X[:150], y[:150])
    assert model.score(X[:150], y[:150]) > 0.98
    assert model.score(X[150:], y[150:]) > 0.95


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_two_outputs(activation):
    X, y = make_regression(200, 10, n_targets=2, n_informative=5, random_state=0)
    y *= [1.0, 1e-3]
    model = MLPRegressorManual("squared_error", 50, activation, alpha=0.1, random_state=1)
    model.fit(X[:150], y[:150])
    assert model.predict(X).shape == (200, 2)
    scores = r2_score(y[150:], model.predict(X[150:]), multioutput="raw_values")
    assert scores.min() > 0.9
    assert_allclose(model.score(X[150:], y[150:]), scores.mean())
    assert model.n_outputs_ == 2


@shared_settings
@pytest.mark.parametrize("loss", FAMILIES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_learns_every_loss(data, solver, loss):
    X, y = data
    y = suited(loss, y)
    model = small(
        loss,
        solver=solver,
        learning_rate_init=0.1 if solver == "sgd" else 0.02,
        batch_size=50,
    ).fit(X, y)
    assert model.score(X, y) > 0.8
    assert len(model.loss_curve_) == model.n_iter_ < 1000
    assert model.loss_ == model.loss_curve_[-1]
    assert model.best_loss_ == min(model.loss_curve_)
    assert model.validation_scores_ is model.best_validation_score_ is None
    assert model.t_ == model.n_iter_ * 200


@pytest.mark.parametrize(
    ("hidden", "shapes"),
    [
        ((), [(4, 1)]),
        (7, [(4, 7), (7, 1)]),
        ([7, 5], [(4, 7), (7, 5), (5, 1)]),
    ],
)
def test_layers(data, hidden, shapes):
    X, y = data
    model = small(hidden_layer_sizes=hidden).fit(X, y)
    assert [W.shape for W in model.coefs_] == shapes
    assert [b.shape for b in model.intercepts_] == [(shape[1],) for shape in shapes]
    assert model.n_layers_ == len(shapes) + 1
    assert model.n_outputs_ == 1
    assert model.out_activation_ == "identity"


@pytest.mark.parametrize("standardize", [True, False])
def test_weights_and_biases_give_y_in_its_own_units(data, standardize):
    X, y = data
    y = 1000 + 50 * np.c_[y, y**2]
    model = small(standardize=standardize).fit(X, y)
    W, V = model.coefs_
    b, c = model.intercepts_
    by_hand = 1 / (1 + np.exp(-(X @ W + b))) @ V + c
    assert_allclose(model.predict(X), by_hand, rtol=1e-10)
    assert model.score(X, y) > 0.5
    assert_allclose(model.target_mean_, y.mean(axis=0))
    assert_allclose(model.target_scale_, y.std(axis=0))


def test_loss_of_the_fit_is_half_the_mean_squared_error_of_standardised_y(data):
    X, y = data
    model = small(alpha=0).fit(X, 50 * y)
    error = np.mean((50 * y - model.predict(X)) ** 2) / np.var(50 * y)
    assert_allclose(model.loss_, error / 2, rtol=1e-5)


def test_a_column_is_flat_with_a_warning(data):
    X, y = data
    flat = small().fit(X, y)
    with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
        column = small().fit(X, y[:, np.newaxis])
    assert column.predict(X).shape == (200,)
    assert_array_equal(column.predict(X), flat.predict(X))


def test_shape_of_predictions_is_that_of_y(data):
    X, y = data
    for loss in FAMILIES:
        target = suited(loss, y)
        assert small(loss).fit(X, target).predict(X).shape == (200,)
        two = np.c_[target, target[::-1]]
        assert small(loss).fit(X, two).predict(X).shape == (200, 2)


def test_lists_integers_and_booleans_are_numbers(data):
    X, _ = data
    y = np.arange(200) % 7
    plain = small(max_iter=200, tol=0.01)
    expected = plain.fit(X, y.astype(float)).predict(X)
    for other in (y.tolist(), y, y.astype(np.int8), y.astype(np.float32), pd.Series(y)):
        assert_array_equal(plain.fit(X, other).predict(X), expected)
    flags = plain.fit(X, y > 3).predict(X)
    assert_array_equal(flags, plain.fit(X, (y > 3).astype(float)).predict(X))


# --- against scikit-learn -------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("n_columns", [1, 3])
def test_without_hidden_layer_it_is_ridge_regression(n_columns, standardize, weighted):
    """The penalty is of standardised weights, and per variance of y: alpha is Ridge's."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5)) * [1, 2, 3, 4, 5] + 7
    y = 100 + 30 * X @ rng.normal(size=(5, n_columns)) + rng.normal(size=(60, n_columns))
    y = y[:, 0] if n_columns == 1 else y
    weights = rng.uniform(0.2, 3, size=60) if weighted else None
    model = MLPRegressorManual(
        hidden_layer_sizes=(),
        alpha=3.0,
        standardize=standardize,
        tol=1e-14,
        max_iter=5000,
        solver="newton-cg",
    ).fit(X, y, weights)
    units = (model.feature_mean_, model.feature_scale_) if standardize else (0, 1)
    peer = Ridge(3.0).fit((X - units[0]) / units[1], y, weights)
    expected = peer.predict((X - units[0]) / units[1])
    assert_allclose(model.predict(X), expected, rtol=1e-6, atol=1e-6 * y.std())
    coef = np.atleast_2d(peer.coef_).T
    ours = model.coefs_[0] * np.reshape(units[1], (-1, 1))
    assert_allclose(ours, coef, rtol=1e-6, atol=1e-6 * np.abs(coef).max())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize(
    ("loss", "peer"), [("poisson", PoissonRegressor), ("gamma", GammaRegressor)]
)
def test_without_hidden_layer_it_is_a_generalised_linear_model(
    loss, peer, standardize, weighted
):
    """Our Poisson deviance is per mean of y; that of gamma has no unit."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 4)) * [0.5, 1, 2, 3] + 1
    mean = np.exp(0.2 * X @ rng.normal(size=4) + 1.5)
    y = rng.poisson(mean) * 1.0 if loss == "poisson" else rng.gamma(3.0, mean / 3)
    weights = rng.uniform(0.2, 3, size=150) if weighted else None
    model = MLPRegressorManual(
        loss,
        (),
        alpha=5.0,
        standardize=standardize,
        tol=1e-13,
        max_iter=5000,
        solver="newton-cg",
    ).fit(X, y, weights)
    units = (model.feature_mean_, model.feature_scale_) if standardize else (0, 1)
    total = len(y) if weights is None else weights.sum()
    scale = np.average(y, weights=weights) if loss == "poisson" else 1.0
    other = peer(alpha=5.0 * scale / total, tol=1e-9, max_iter=5000)
    other.fit((X - units[0]) / units[1], y, weights)
    assert_allclose(model.predict(X), other.predict((X - units[0]) / units[1]), rtol=1e-4)
    assert_allclose(model.coefs_[0][:, 0] * units[1], other.coef_, rtol=1e-4, atol=1e-6)
    if not standardize:
        assert_allclose(model.intercepts_[0], other.intercept_, rtol=1e-4)


@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu"])
def test_scipys_lbfgs_follows_scikit_learns_path(data, activation):
    """Same start and objective, on y that is standardised beforehand: the same curve."""
    X, y = data
    y = (y - y.mean()) / y.std()
    settings = {"alpha": 0.1, "random_state": 0, "max_iter": 12}
    ours = MLPRegressorManual("squared_error", 8, activation, standardize=False, **settings)
    with pytest.warns(ConvergenceWarning):
        ours.set_params(solver="l-bfgs-b").fit(X, y)
    theirs = MLPRegressor(hidden_layer_sizes=8, activation=activation, **settings)
    with pytest.warns(ConvergenceWarning):
        theirs.set_params(solver="lbfgs").fit(X, y)
    assert_allclose(ours.loss_, theirs.loss_, rtol=1e-7)
    assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-4, atol=1e-6)


def test_as_good_as_scikit_learns_with_standardised_y():
    X, y = make_friedman1(400, noise=1.0, random_state=0)
    ours = MLPRegressorManual(random_state=0).fit(X[:200], y[:200])
    peer = make_pipeline(StandardScaler(), MLPRegressor(max_iter=1000, random_state=0))
    theirs = TransformedTargetRegressor(peer, transformer=StandardScaler())
    theirs.fit(X[:200], y[:200])
    assert ours.score(X[200:], y[200:]) > theirs.score(X[200:], y[200:])


# --- y has no unit and no origin ------------------------------------------------------


def outcome(model, X, y):
    model.fit(X, y)
    return model.alpha_, model.n_iter_, model.predict(X)


@pytest.mark.parametrize("loss", FAMILIES)
def test_unit_of_y_does_not_matter(data, loss):
    X, y = data
    y = suited(loss, y)
    model = MLPRegressorManual(loss, 10, max_iter=1000, tol=1e-3, random_state=0)
    alpha, n_iter, expected = outcome(model, X, y)
    for unit in (2.0**-20, 2.0**20):  # exact, so that all bits are as they were
        found = outcome(model, X, unit * y)
        assert found[:2] == (alpha, n_iter)
        assert_allclose(found[2] / unit, expected, rtol=1e-9)


# A fit magnifies rounding with every iteration; so these are short
@short_fits
@pytest.mark.parametrize("loss", FAMILIES)
@pytest.mark.parametrize("unit", [1e-300, 1e-6, 1e6, 1e300])
def test_rounding_of_another_unit_stays_rounding(data, loss, unit):
    X, y = data
    y = suited(loss, y)
    model = small(loss, max_iter=15)
    _, n_iter, expected = outcome(model, X, y)
    found = outcome(model, X, unit * y)
    assert found[1] == n_iter
    assert_allclose(found[2] / unit, expected, rtol=1e-6, atol=1e-6)


@short_fits
@pytest.mark.parametrize("loss", [loss for loss in FAMILIES if loss not in POSITIVE])
def test_origin_of_y_does_not_matter(data, loss):
    X, y = data
    y = np.round(y * 2**12) / 2**12  # y + 1e6 is exact
    model = small(loss, max_iter=15)
    _, n_iter, expected = outcome(model, X, y)
    _, of_moved, found = outcome(model, X, y + 1e6)
    assert of_moved == n_iter
    assert_allclose(found - 1e6, expected, atol=1e-5)


@pytest.mark.parametrize("loss", ["squared_error", "gaussian", "quantile"])
def test_penalty_that_is_found_does_not_depend_on_unit_or_origin(data, loss):
    """But for a step of half a decade: rounding decides where two are as good."""
    X, y = data
    y = np.round(y * 2**12) / 2**12
    model = MLPRegressorManual(loss, 10, max_iter=1000, tol=1e-3, random_state=0)
    alpha, _, expected = outcome(model, X, y)
    for change, back in [
        (lambda y: 1e-6 * y, lambda p: p / 1e-6),
        (lambda y: 1e6 * y, lambda p: p / 1e6),
        (lambda y: 1e6 + y, lambda p: p - 1e6),
    ]:
        found = outcome(model, X, change(y))
        # a density is as good at penalties of some decades here: 1e-15 of X decides
        assert loss == "gaussian" or 0.3 < found[0] / alpha < 3.3
        assert r2_score(expected, back(found[2])) > 0.98


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_single_precision_y_far_from_zero_keeps_its_digits(data, dtype):
    X, _ = data
    signs = np.sign(X[:, 0])
    y = (1e6 + signs).astype(np.float32)
    model = small().fit(X.astype(dtype), y)
    assert model.score(X.astype(dtype), y.astype(float)) > 0.9


def test_features_and_targets_of_any_unit(data):
    X, y = data
    X = X * [1e-8, 1, 1e8, 1] + [0, 1e5, 0, 0]
    assert MLPRegressorManual(random_state=0).fit(X, 1e9 + y).score(X, 1e9 + y) > 0.9


# --- losses ---------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_share_of_held_out_rows_below_a_quantile(spread_out, level):
    X, y, deviation = spread_out
    model = MLPRegressorManual("quantile", 10, quantile=level, alpha=0.1, random_state=0)
    model.fit(X[:2000], y[:2000])
    below = y[2000:] <= model.predict(X[2000:])
    assert_allclose(below.mean(), level, atol=0.04)
    for half in (X[2000:, 0] < 0, X[2000:, 0] >= 0):  # not on average alone
        assert_allclose(below[half].mean(), level, atol=0.06)
    truth = np.sin(X[:, 0]) + deviation * stats.norm.ppf(level)
    assert np.abs(model.predict(X) - truth).mean() < 0.05


def test_several_quantiles_do_not_cross(spread_out):
    X, y, _ = spread_out
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    model = MLPRegressorManual("quantile", 10, quantile=levels, alpha=0.1, random_state=0)
    model.fit(X[:2000], y[:2000])
    found = model.predict(X[2000:])
    assert found.shape == (1000, 5)
    shares = (y[2000:, np.newaxis] <= found).mean(axis=0)
    assert_allclose(shares, levels, atol=0.04)
    for far in (X[2000:], 100 * X[2000:], np.array([[-1e300], [1e300]])):
        assert (np.diff(model.predict(far), axis=1) >= 0).all()


def test_few_rows_have_quantiles_that_do_not_cross():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 3)), rng.normal(size=12)
    levels = np.linspace(0.1, 0.9, 9)
    model = MLPRegressorManual("quantile", quantile=levels, alpha=0.1, max_iter=2000)
    model.set_params(random_state=0)
    assert (np.diff(model.fit(X, y).predict(5 * X), axis=1) >= 0).all()


def test_score_of_several_quantiles(spread_out):
    X, y, _ = spread_out
    model = small("quantile", quantile=[0.1, 0.5, 0.9]).fit(X, y)
    assert 0.1 < model.score(X, y) < 1


def test_one_level_in_a_list_is_the_level(data):
    X, y = data
    one, listed = (small("quantile", quantile=q).fit(X, y) for q in (0.3, [0.3]))
    assert_array_equal(one.predict(X), listed.predict(X))


def test_absolute_error_is_the_median(spread_out):
    X, y, _ = spread_out
    y = y + 5 * (np.arange(3000) % 10 == 0)  # moves the mean by .5
    model = small("absolute_error").fit(X, y)
    median = small("quantile", alpha=0.05).fit(X, y)  # half the loss, half the penalty
    assert_allclose(model.predict(X), median.predict(X), atol=0.03)
    assert_allclose((y <= model.predict(X)).mean(), 0.5, atol=0.02)
    squared = small().fit(X, y)
    truth = np.sin(X[:, 0])
    assert np.abs(squared.predict(X) - truth).mean() > 0.4
    assert np.abs(model.predict(X) - truth).mean() < 0.2


def test_deviation_of_heteroscedastic_data(spread_out):
    X, y, deviation = spread_out
    model = MLPRegressorManual("gaussian", 20, alpha=0.1, random_state=0)
    model.fit(X[:2000], y[:2000])
    mean, std = model.predict(X, return_std=True)
    assert mean.shape == std.shape == (3000,)
    assert_array_equal(mean, model.predict(X))
    assert np.abs(mean - np.sin(X[:, 0])).mean() < 0.04
    assert np.abs(np.log(std / deviation)).mean() < 0.1
    held_out = slice(2000, None)
    nll = -stats.norm.logpdf(y[held_out], mean[held_out], std[held_out]).mean()
    known = -stats.norm.logpdf(
        y[held_out], np.sin(X[held_out, 0]), deviation[held_out]
    ).mean()
    assert nll < known + 0.02
    inside = np.abs(y - mean)[held_out] < 1.96 * std[held_out]
    assert_allclose(inside.mean(), 0.95, atol=0.02)


def noisy_wave(n, seed):
    """Five features tell of y; the deviation of the noise is .3."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    return X, np.sin(2 * X.sum(axis=1) / np.sqrt(5)) + 0.3 * rng.normal(size=n)


def share_inside(model, seed):
    """Share of new rows that an interval of 90% has."""
    X, y = noisy_wave(3000, 100 + seed)
    mean, std = model.predict(X, return_std=True)
    return np.mean(np.abs(y - mean) < 1.645 * std)


def test_held_out_rows_tell_how_wide_densities_are():
    """150 rows for 100 units: the residuals of the training rows say too little."""
    found, known = [], []
    for seed in range(4):
        X, y = noisy_wave(150, seed)
        model = MLPRegressorManual("gaussian", random_state=seed).fit(X, y)
        found.append(share_inside(model, seed))
        model.set_params(alpha=model.alpha_).fit(X, y)  # nothing is held out
        known.append(share_inside(model, seed))
    assert np.mean(known) < 0.87
    assert 0.88 < np.mean(found) < 0.94


@pytest.mark.parametrize("n_columns", [1, 2])
def test_the_width_of_densities_is_kept_and_not_added_twice(n_columns):
    X, y = noisy_wave(100, 0)
    y = np.c_[y, 100 + 10 * y][:, :n_columns]
    y = y[:, 0] if n_columns == 1 else y
    model = MLPRegressorManual("gaussian", 20, random_state=0, warm_start=True).fit(X, y)
    std = model.predict(X, return_std=True)[1]
    problem, theta = fitted_problem(model, X, y, None)
    assert_allclose(problem.objective(model.alpha_).loss(theta), model.loss_, rtol=1e-9)
    again = pickle.loads(pickle.dumps(model)).set_params(max_iter=1, tol=1.0)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        again.fit(X, y)
    assert again.loss_curve_[-1] <= model.loss_
    ratio = again.predict(X, return_std=True)[1] / std
    assert_allclose(ratio, 1, atol=0.05)
    again.set_params(alpha=model.alpha_)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        again.fit(X, y)
    ratio = again.predict(X, return_std=True)[1] / std
    widening = model._progress["widening"]
    assert widening > 0.1
    assert_allclose(ratio, np.exp(-widening / 2), atol=0.05)


def test_deviations_of_two_columns_are_in_their_units(spread_out):
    X, y, deviation = spread_out
    y = np.c_[y, 1000 * y + 1e5]
    mean, std = small("gaussian").fit(X, y).predict(X, return_std=True)
    assert mean.shape == std.shape == (3000, 2)
    assert np.abs(np.log(std / np.c_[deviation, 1000 * deviation])).mean() < 0.15


def test_deviation_without_noise_is_small_and_not_zero():
    X = np.linspace(-1, 1, 100)[:, np.newaxis]
    y = 3 * X[:, 0]
    _, std = small("gaussian", alpha=1e-3, max_iter=3000).fit(X, y).predict(X, True)
    assert (std > 0).all()
    assert std.max() < 0.05 * y.std()


@short_fits
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "params",
    [{}, {"solver": "newton-cg"}, {"solver": "adam", "learning_rate_init": 0.01}],
    ids=["auto", "newton-cg", "adam"],
)
def test_normal_densities_of_few_whole_numbers(seed, params):
    """Rows of equal y can be predicted without error: the density must stay bounded."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(30, 4)), rng.integers(3, size=30)
    model = MLPRegressorManual("gaussian", alpha=1e-4, max_iter=300, **params)
    model.set_params(random_state=0).fit(X, y)
    mean, std = model.predict(X, return_std=True)
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()
    assert (std > 0).all()


def test_rare_large_counts():
    """Nearly all are 0, one in fifty is of the order of 1000."""
    scores = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(6000, 3))
        y = rng.poisson(np.where(X[:, 0] > 2, 1000.0, 0.02))
        model = MLPRegressorManual("poisson", max_iter=2000, random_state=0)
        model.fit(X[:1500], y[:1500])
        found = model.predict(X[1500:])
        assert (found >= 0).all()
        few, many = found[X[1500:, 0] < 1.7], found[X[1500:, 0] > 2.3]
        assert few.mean() < 1
        assert many.mean() > 300
        scores.append(model.score(X[1500:], y[1500:]))
    # the scores are of a few rows near the threshold
    assert np.median(scores) > 0.5


def test_counts_that_are_all_zero_but_one():
    X = np.random.default_rng(0).normal(size=(100, 3))
    y = np.zeros(100)
    y[7] = 100_000
    found = small("poisson").fit(X, y).predict(X)
    assert np.isfinite(found).all()
    assert (found >= 0).all()


def test_zero_counts_are_allowed_and_predictions_are_positive(data):
    X, y = data
    y = np.random.default_rng(0).poisson(np.exp(y))
    assert (y == 0).any()
    model = small("poisson", tol=1e-7).fit(X, y)
    assert (model.predict(X) > 0).all()
    # what the canonical link promises: the bias, without penalty, makes the means equal
    assert_allclose(model.predict(X).mean(), y.mean(), rtol=1e-3)


# --- easy, hard and degenerate problems -----------------------------------------------


def problem(name, n, seed):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n, 2))
    return {
        "sine": lambda: (X[:, :1], np.sin(9 * X[:, 0])),
        "step": lambda: (X, np.where(X[:, 0] > 0.1, 3.0, -1.0)),
        "product": lambda: (X, X[:, 0] * X[:, 1]),
        "friedman1": lambda: make_friedman1(n, random_state=seed),
        "friedman2": lambda: make_friedman2(n, random_state=seed),
        "friedman3": lambda: make_friedman3(n, random_state=seed),
    }[name]()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("sine", 0.95),
        ("step", 0.9),
        ("product", 0.99),
        ("friedman1", 0.95),
        ("friedman2", 0.99),
        ("friedman3", 0.9),
    ],
)
def test_textbook_problems(name, least, seed):
    X, y = problem(name, 600, seed)
    model = MLPRegressorManual(max_iter=1000, random_state=seed)
    assert model.fit(X[:300], y[:300]).score(X[300:], y[300:]) > least


@pytest.mark.parametrize("name", ["sine", "product"])
def test_deep_networks_learn(name):
    X, y = problem(name, 600, 0)
    model = MLPRegressorManual(
        "squared_error", (20, 20, 20, 20), "tanh", alpha=0.01, max_iter=2000, random_state=0
    )
    assert model.fit(X[:300], y[:300]).score(X[300:], y[300:]) > 0.95


@pytest.mark.parametrize("value", [0.0, 0.1, -3e7, 1e300, 1e-300])
@pytest.mark.parametrize("loss", FAMILIES)
def test_constant_y_is_predicted(data, loss, value):
    X, _ = data
    value = (abs(value) or float(loss == "gamma")) if loss in POSITIVE else value
    model = MLPRegressorManual(loss, 10, random_state=0).fit(X, np.full(200, value))
    found = model.predict(10 * X)
    assert_allclose(found, value, rtol=1e-6, atol=1e-12)
    if loss == "gaussian":
        std = model.predict(X, return_std=True)[1]
        assert np.isfinite(std).all()


def test_one_column_of_y_is_constant(data):
    X, y = data
    model = small().fit(X, np.c_[np.full(200, 0.1), y])
    assert_allclose(model.predict(X)[:, 0], 0.1, rtol=1e-9)
    assert r2_score(y, model.predict(X)[:, 1]) > 0.9


@pytest.mark.parametrize("far", [1e3, 1e6, 1e9])
@pytest.mark.parametrize("loss", ["absolute_error", "quantile"])
def test_a_value_far_out_does_not_move_the_median(data, loss, far):
    X, y = data
    y = y.copy()
    y[3] = far
    others = np.arange(200) != 3
    for params in ({}, {"alpha": "auto"}):
        model = small(loss, **params).fit(X, y)
        assert r2_score(y[others], model.predict(X[others])) > 0.9


@short_fits
@pytest.mark.parametrize("loss", ["squared_error", "gaussian"])
def test_a_value_far_out_leaves_finite_predictions(data, loss):
    X, y = data
    y = y.copy()
    y[3] = 1e150
    model = MLPRegressorManual(loss, 10, random_state=0, max_iter=1000).fit(X, y)
    assert np.isfinite(model.predict(X)).all()


@short_fits
@pytest.mark.parametrize("loss", FAMILIES)
def test_four_rows(loss):
    X = np.array([[0.0], [1.0], [2.0], [3.0]])
    y = np.array([1.0, 2.0, 3.0, 4.0])
    for params in ({}, {"hidden_layer_sizes": ()}, {"solver": "adam", "batch_size": 2}):
        model = MLPRegressorManual(loss, max_iter=2000, random_state=0)
        found = model.set_params(**params).fit(X, y).predict(X)
        assert np.isfinite(found).all()
        assert (np.abs(found - y) < 3).all()


def test_one_row():
    for loss in FAMILIES:
        model = MLPRegressorManual(loss, random_state=0).fit([[1.0, 2.0]], [3.0])
        assert_allclose(model.predict([[1.0, 2.0], [0.0, 5.0]]), 3.0, rtol=1e-9)


def test_many_more_features_than_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3000))
    X[:, :200] += 2 * rng.normal(size=(120, 1))
    y = X[:, :200].mean(axis=1)
    model = MLPRegressorManual("squared_error", 20, random_state=0).fit(X[:80], y[:80])
    assert model.score(X[80:], y[80:]) > 0.8


def test_y_that_features_tell_nothing_of():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 5)), rng.normal(size=300)
    with pytest.warns(ConvergenceWarning, match="no better than a constant"):
        model = MLPRegressorManual(random_state=0).fit(X[:200], y[:200])
    assert model.score(X[200:], y[200:]) > -0.1


@pytest.mark.parametrize("loss", FAMILIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_are_finite_for_huge_features(data, loss, dtype):
    X, y = data
    model = small(loss).fit(X.astype(dtype), suited(loss, y))
    huge = np.array([[1e30, -1e30, 1e30, 0], [-1e30, 1e30, 1e30, 1e30]], dtype)
    assert np.isfinite(model.predict(huge)).all()
    if loss == "gaussian":
        mean, std = model.predict(huge, return_std=True)
        assert np.isfinite(mean).all()
        assert np.isfinite(std).all()


@pytest.mark.parametrize("loss", POSITIVE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_far_out_of_a_log_link_are_finite(data, loss, dtype):
    """Without hidden layer nothing bounds the logit."""
    X, y = data
    model = small(loss, hidden_layer_sizes=()).fit(X.astype(dtype), suited(loss, y))
    far = np.array([[1e4] * 4, [-1e4] * 4, [1e4, 0, 0, 0]], dtype)
    assert np.isfinite(model.predict(far)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_deviations_far_out_are_finite(spread_out, dtype):
    X, y, _ = spread_out
    model = small("gaussian", hidden_layer_sizes=()).fit(X.astype(dtype), y)
    mean, std = model.predict(np.array([[1e4], [-1e4]], dtype), return_std=True)
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()


# --- weights --------------------------------------------------------------------------


@short_fits
@pytest.mark.parametrize("loss", FAMILIES)
def test_weights_are_copies(data, loss):
    X, y = data[0][:60], suited(loss, data[1][:60])
    copies = np.random.default_rng(0).integers(4, size=60)
    weighted = small(loss, max_iter=15, alpha=1.0)
    weighted.fit(X, y, sample_weight=copies)
    repeated = clone(weighted).fit(np.repeat(X, copies, axis=0), np.repeat(y, copies))
    assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-6, atol=1e-6)
    assert_allclose(weighted.loss_, repeated.loss_, rtol=1e-7)


@short_fits
@pytest.mark.parametrize("loss", FAMILIES)
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_weight_zero_is_the_row_left_out(data, solver, loss):
    X, y = data[0][:60], suited(loss, data[1][:60])
    weights = np.r_[np.zeros(20), np.ones(40)]
    model = small(loss, solver=solver, max_iter=15, alpha=1.0, batch_size="auto")
    weighted = model.fit(X, y, weights).predict(X)
    without = model.fit(X[20:], y[20:]).predict(X)
    assert_allclose(weighted, without, rtol=1e-6, atol=1e-6)


@short_fits
@pytest.mark.parametrize("loss", FAMILIES)
def test_scale_of_the_weights_acts_on_the_penalty_alone(data, loss):
    X, y = data[0][:80], suited(loss, data[1][:80])
    plain = small(loss, alpha=1.0, max_iter=15).fit(X, y)
    heavy = clone(plain).set_params(alpha=8.0).fit(X, y, np.full(80, 8.0))
    assert_allclose(heavy.predict(X), plain.predict(X), rtol=1e-6, atol=1e-6)


# --- early stopping, streams, warm starts ---------------------------------------------


@pytest.mark.parametrize("scoring", ["loss", None, "neg_mean_absolute_error"])
@pytest.mark.parametrize("solver", SOLVERS)
@shared_settings
@short_fits
def test_early_stopping_keeps_the_best_parameters(data, solver, scoring):
    X, y = data
    model = MLPRegressorManual(
        "squared_error",
        50,
        solver=solver,
        alpha=1e-6,
        learning_rate_init=0.05,
        early_stopping=True,
        scoring=scoring,
        max_iter=60,
        random_state=0,
    ).fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    assert len(model.loss_curve_) == model.n_iter_
    assert len(model.validation_loss_curve_) == len(model.validation_scores_)
    assert len(model.validation_scores_) == model.n_iter_
    best = model.best_iteration_
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.validation_scores_[best] == model.best_validation_score_
    kept = {
        None: model.score(X[60:], y[60:]),
        "neg_mean_absolute_error": -np.abs(model.predict(X[60:]) - y[60:]).mean(),
    }
    if scoring != "loss":
        assert_allclose(kept[scoring], model.best_validation_score_, rtol=1e-5)
    error = np.mean((model.predict(X[60:]) - y[60:]) ** 2) / 2 / y[:60].var()
    assert_allclose(error, model.validation_loss_curve_[best], rtol=1e-5)


def test_score_of_held_out_rows_by_the_loss_is_the_deviance_explained(data):
    """1 for perfect predictions, 0 for those of the constant; it follows the loss."""
    X, y = data
    for loss in ("squared_error", "poisson", "quantile"):
        model = small(loss, early_stopping=True)
        model.fit(
            X[:100], suited(loss, y)[:100], X_val=X[100:], y_val=suited(loss, y)[100:]
        )
        scores = np.array(model.validation_scores_)
        losses = np.array(model.validation_loss_curve_)
        slope, constant = np.polyfit(losses, scores, 1)
        assert_allclose(scores, slope * losses + constant, atol=1e-9)
        assert_allclose(constant, 1, atol=1e-9)
        assert 0.5 < model.best_validation_score_ < 1


def test_rows_are_held_out_without_a_validation_set(data):
    X, y = data
    model = small(early_stopping=True, validation_fraction=0.2, solver="adam")
    model.set_params(learning_rate_init=0.02).fit(X, y)
    assert model.t_ == 160 * model.n_iter_
    assert model.score(X, y) > 0.85
    assert model.n_iter_ > model.best_iteration_


@pytest.mark.parametrize("solver", STOCHASTIC)
def test_partial_fit_learns_from_a_stream(data, solver):
    X, y = data
    y = 1000 + 50 * y
    model = small(solver=solver, learning_rate_init=0.1 if solver == "sgd" else 0.02)
    for _ in range(100):
        for start in range(0, 200, 50):
            model.partial_fit(X[start : start + 50], y[start : start + 50])
    assert model.score(X, y) > 0.9
    assert model.t_ == 100 * 200
    assert len(model.loss_curve_) == 400


@short_fits
def test_partial_fits_are_the_epochs_of_a_fit(data):
    X, y = data
    settings = {"solver": "adam", "shuffle": False, "batch_size": 50, "alpha": 0.1}
    whole = small(max_iter=5, n_iter_no_change=100, **settings).fit(X, y)
    model = small(**settings)
    for _ in range(5):
        model.partial_fit(X, y)
    assert_allclose(model.predict(X), whole.predict(X), rtol=1e-6, atol=1e-6)
    assert_allclose(model.loss_curve_, whole.loss_curve_, rtol=1e-6)


def test_mean_and_deviation_of_a_stream():
    """They follow y, as if all rows had been there at once; and so do predictions."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 3)), np.r_[np.zeros(100), rng.normal(50, 20, size=300)]
    model = small(solver="adam")
    for start in range(0, 400, 100):
        model.partial_fit(X[start : start + 100], y[start : start + 100])
    # units change in steps of a tenth
    assert_allclose(model.target_mean_, y.mean(), atol=0.1 * y.std())
    assert_allclose(model.target_scale_, y.std(), rtol=0.11)


def test_a_stream_whose_first_rows_are_all_alike(data):
    X, y = data
    model = small(solver="adam", learning_rate_init=0.02).partial_fit(
        X[:20], np.full(20, 0.1)
    )
    for _ in range(300):
        model.partial_fit(X, 50 + 30 * y)
    assert model.score(X, 50 + 30 * y) > 0.9


def test_partial_fit_with_weights_and_columns(data):
    X, y = data
    model = small(solver="adam").partial_fit(X, np.c_[y, y], np.linspace(0, 1, 200))
    assert model.predict(X).shape == (200, 2)
    with pytest.raises(ValueError, match="the number of columns of y has changed"):
        model.partial_fit(X, y)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"solver": "lbfgs"}, "solvers 'sgd' and 'adam'"),
        ({"early_stopping": True}, "epoch"),
    ],
)
def test_partial_fit_is_of_stochastic_solvers(data, params, match):
    model = small(**params)
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError) as caught:
        _ = model.partial_fit
    assert match in str(caught.value.__cause__)


@short_fits
@pytest.mark.parametrize("loss", FAMILIES)
def test_warm_start_goes_on_exactly(data, loss):
    X, y = data[0], suited(loss, data[1])
    settings = {"solver": "adam", "batch_size": 40}
    whole = small(loss, max_iter=9, **settings).fit(X, y)
    model = small(loss, max_iter=4, warm_start=True, **settings).fit(X, y)
    model = pickle.loads(pickle.dumps(model))
    model.set_params(max_iter=5).fit(X, y)
    assert_allclose(model.predict(X), whole.predict(X), rtol=1e-9)
    assert model.t_ == whole.t_ == 9 * 200


def test_warm_start_of_lbfgs_goes_on_from_the_parameters(data):
    X, y = data
    model = small(warm_start=True).fit(X, 7 + 3 * y)
    loss, n_iter = model.loss_, model.n_iter_
    model.fit(X, 7 + 3 * y)
    assert model.loss_curve_[n_iter] <= loss * (1 + 1e-9)
    assert model.loss_ <= loss * (1 + 1e-9)


def test_warm_start_with_another_loss_is_an_error(data):
    X, y = data
    model = small(warm_start=True).fit(X, y)
    before = copy.deepcopy(vars(model))
    with pytest.raises(ValueError, match="loss has changed: warm_start"):
        model.set_params(loss="absolute_error").fit(X, y)
    assert_same_state({**before, "loss": "absolute_error"}, vars(model))
    with pytest.raises(ValueError, match="the number of columns of y has changed"):
        model.set_params(loss="squared_error").fit(X, np.c_[y, y])
    assert_same_state(before, vars(model))


def test_another_quantile_is_not_ignored_by_a_fit_that_goes_on(data):
    X, y = data
    model = small("quantile", quantile=0.1, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="quantile"):
        model.set_params(quantile=0.9).fit(X, y)
    stream = small("quantile", quantile=0.1, solver="adam").partial_fit(X, y)
    with pytest.raises(ValueError, match="quantile"):
        stream.set_params(quantile=0.9).partial_fit(X, y)


def test_another_loss_is_not_ignored_by_a_stream(data):
    X, y = data
    model = small(solver="adam").partial_fit(X, y)
    with pytest.raises(ValueError, match="loss"):
        model.set_params(loss="absolute_error").partial_fit(X, y)


def test_a_parameter_set_after_the_fit_does_not_change_predictions(data):
    X, y = data
    model = small("gaussian").fit(X, y)
    mean, std = model.predict(X, return_std=True)
    model.set_params(loss="squared_error")
    assert_array_equal(model.predict(X), mean)
    assert_array_equal(model.predict(X, return_std=True)[1], std)
    other = small().fit(X, y).set_params(loss="gaussian")
    with pytest.raises(ValueError, match="return_std needs loss='gaussian'"):
        other.predict(X, return_std=True)


def test_initial_parameters(data):
    X, y = data
    fitted = small().fit(X, 100 + 20 * y)
    again = small().fit(
        X, 100 + 20 * y, coefs_init=fitted.coefs_, intercepts_init=fitted.intercepts_
    )
    assert again.loss_curve_[0] <= fitted.loss_ * (1 + 1e-9)
    assert r2_score(fitted.predict(X), again.predict(X)) > 0.99


@short_fits
def test_dropout_and_schedules(data):
    X, y = data
    model = small(
        dropout=0.2,
        learning_rate="cosine",
        learning_rate_init=0.02,
        max_iter=200,
        hidden_layer_sizes=50,
    )
    assert model.fit(X, y).score(X, y) > 0.8


# --- containers, copies, tools --------------------------------------------------------


@shared_settings
@short_fits
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("loss", FAMILIES)
def test_float32_in_and_out(data, solver, loss):
    X, y = data
    X = X.astype(np.float32)
    model = small(loss, solver=solver, max_iter=20).fit(X, suited(loss, y))
    assert {a.dtype for a in (*model.coefs_, *model.intercepts_)} == {np.dtype("float32")}
    assert model.predict(X).dtype == np.float32
    assert small(loss).fit(X.astype(float), suited(loss, y)).predict(X).dtype == np.float64
    if loss == "gaussian":
        assert all(a.dtype == np.float32 for a in model.predict(X, return_std=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float32_is_as_good(data, dtype):
    X, y = data
    for loss in FAMILIES:
        model = small(loss).fit(X.astype(dtype), suited(loss, y))
        assert model.score(X.astype(dtype), suited(loss, y)) > 0.85


@short_fits
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix])
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_sparse_is_dense(data, solver, container):
    X, y = data
    X = np.where(np.abs(X) > 0.5, X, 0)
    model = small(solver=solver, max_iter=15)
    dense = model.fit(X, y).predict(X)
    assert_allclose(model.fit(container(X), y).predict(container(X)), dense, rtol=1e-6)


def test_memory_maps(data, tmp_path):
    X, y = data
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    target = np.load(tmp_path / "y.npy", mmap_mode="r")
    expected = small().fit(X, y)
    model = small().fit(mapped, target)
    assert_array_equal(parameters(model), parameters(expected))
    assert_array_equal(model.predict(mapped), expected.predict(X))


@short_fits
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_frames_keep_their_names(data, make):
    X, y = data
    names = ["a", "b", "c", "d"]
    frame = make(dict(zip(names, X.T, strict=True)))
    target = make({"first": y, "second": -y})
    model = small().set_params(max_iter=20).fit(frame, target)
    assert model.feature_names_in_.tolist() == names
    plain = small().set_params(max_iter=20).fit(X, np.c_[y, -y])  # rounding grows
    assert_allclose(model.predict(frame), plain.predict(X), rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[names[::-1]])


def test_set_output(data):
    X, y = data
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = small().set_output(transform="pandas").fit(frame, y)
    hidden = model.transform(frame)
    assert isinstance(hidden, pd.DataFrame)
    assert hidden.columns[0] == "mlpregressormanual0"
    assert_array_equal(hidden.to_numpy(), model.hidden_activations(frame))
    assert hidden.shape == (200, 8)


@pytest.mark.parametrize("loss", FAMILIES)
def test_copies_predict_the_same(data, loss):
    X, y = data[0], suited(loss, data[1])
    model = small(loss).fit(X, y)
    expected = model.predict(X)
    for again in (
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
        copy.copy(model),
    ):
        assert_array_equal(again.predict(X), expected)
    new = clone(model)
    assert not hasattr(new, "coefs_")
    assert new.get_params() == model.get_params()
    assert_array_equal(new.fit(X, y).predict(X), expected)


@pytest.mark.parametrize("loss", FAMILIES)
def test_skops_has_to_trust_our_class_alone(data, loss):
    X, y = data[0], suited(loss, data[1])
    model = small(loss).fit(X, y)
    dumped = skops.io.dumps(model)
    unknown = skops.io.get_untrusted_types(data=dumped)
    assert unknown == ["skmlp._regressor.MLPRegressorManual"]
    loaded = skops.io.loads(dumped, trusted=unknown)
    assert_array_equal(loaded.predict(X), model.predict(X))


def test_in_a_pipeline_and_a_grid_search(data):
    X, y = data
    grid = {"mlpregressormanual__alpha": [0.1, 30.0]}
    pipe = make_pipeline(StandardScaler(), small())
    search = GridSearchCV(pipe, grid, cv=3).fit(X, y)
    assert search.best_params_ == {"mlpregressormanual__alpha": 0.1}
    assert search.best_score_ > 0.9
    losses = GridSearchCV(small(), {"loss": ["squared_error", "absolute_error"]}, cv=2)
    assert losses.fit(X, y).best_score_ > 0.85
    scores = cross_val_score(small("absolute_error"), X, y, cv=3)
    assert scores.min() > 0.85


def test_a_subclass_and_a_transformed_target(data):
    class Mine(MLPRegressorManual):
        pass

    X, y = data
    assert_array_equal(
        Mine(random_state=0, alpha=1.0).fit(X, y).predict(X),
        MLPRegressorManual(random_state=0, alpha=1.0).fit(X, y).predict(X),
    )
    logged = TransformedTargetRegressor(small(), func=np.log, inverse_func=np.exp)
    assert logged.fit(X, np.exp(y)).score(X, np.exp(y)) > 0.9


def test_random_state_reproduces_bit_for_bit(data):
    X, y = data
    one, two = (small(loss="gaussian").fit(X, y) for _ in range(2))
    assert_array_equal(parameters(one), parameters(two))
    other = small(loss="gaussian", random_state=1).fit(X, y)
    assert (parameters(one) != parameters(other)).any()


@short_fits
@needs_callbacks
@pytest.mark.parametrize("solver", SOLVERS)
def test_callbacks_follow_every_iteration(data, solver):
    class Recorder:
        predictions = ()

        def setup(self, estimator, context):
            pass

        teardown = setup

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
            if context.task_name == "iteration":
                self.predictions = (*self.predictions, fitted_estimator.predict(X))
                return len(self.predictions) == 3
            return False

    X, y = data
    recorder = Recorder()
    model = small(solver=solver, max_iter=10).set_callbacks(recorder).fit(X, 100 + y)
    assert len(recorder.predictions) == model.n_iter_ == 3
    assert_array_equal(recorder.predictions[-1], model.predict(X))
    errors = [np.mean((p - 100 - y) ** 2) for p in recorder.predictions]
    assert errors[-1] < errors[0] < 1e3


def test_curves_are_drawn(data):
    pytest.importorskip("matplotlib.pyplot")
    X, y = data
    model = small(early_stopping=True).fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    display = LossCurveDisplay.from_estimator(model)
    assert_array_equal(display.line_[0].get_ydata(), model.loss_curve_)
    assert_array_equal(
        display.validation_line_[0].get_ydata(), model.validation_loss_curve_
    )


# --- bad input ------------------------------------------------------------------------


def assert_rejected(X, y, match, error=ValueError, sample_weight=None, **params):
    """In a first fit and in a later one; the estimator stays as it was."""
    new = MLPRegressorManual(**params)
    before = dict(vars(new))
    with pytest.raises(error, match=match):
        new.fit(X, y, sample_weight)
    assert vars(new) == before
    if hasattr(new, "partial_fit"):
        with pytest.raises(error, match=match):
            new.partial_fit(X, y, sample_weight)
        assert vars(new) == before
    fitted = small(tol=0.1).fit(np.eye(3), [1.0, 2.0, 3.0]).set_params(**params)
    state = copy.deepcopy(vars(fitted))
    with pytest.raises(error, match=match):
        fitted.fit(X, y, sample_weight)
    assert_same_state(state, vars(fitted))


def changed(y, value):
    y = y.copy()
    y[3] = value
    return y


@pytest.mark.parametrize(
    ("make_y", "match"),
    [
        (lambda y: changed(y, np.nan), "Input y contains NaN"),
        (lambda y: changed(y, np.inf), "Input y contains infinity"),
        (lambda y: y[:10], "inconsistent numbers of samples"),
        (lambda y: y.astype(complex), "Complex data not supported"),
        (lambda y: np.full(len(y), "text", dtype=object), "could not convert string"),
        (lambda y: y.reshape(-1, 1, 1), "dim 3"),
        (lambda y: np.empty((len(y), 0)), "0 feature|no columns|at least one column"),
        (lambda y: None, "y cannot be None|requires y to be passed"),
    ],
)
def test_bad_y(data, make_y, match):
    X, y = data
    assert_rejected(X, make_y(y), match)


@pytest.mark.parametrize(
    ("make_X", "match"),
    [
        (lambda X: changed(X, np.nan), "Input X contains NaN"),
        (lambda X: X[:, 0], "Expected 2D array"),
        (lambda X: X[:, :0], r"0 feature\(s\)"),
        (lambda X: X + 1j, "Complex data not supported"),
    ],
)
def test_bad_X(data, make_X, match):
    X, y = data
    assert_rejected(make_X(X), y, match)


def test_sparse_y(data):
    X, y = data
    assert_rejected(X, sparse.csr_array(np.c_[y, y]), "y is sparse", TypeError)


@pytest.mark.parametrize(
    ("loss", "value", "match"),
    [
        ("poisson", -1.0, "loss='poisson' is for y that are at least 0; .* -1"),
        ("gamma", 0.0, "loss='gamma' is for y that are positive; .* 0"),
        ("gamma", -2.0, "loss='gamma' is for y that are positive; .* -2"),
    ],
)
def test_y_that_a_loss_is_not_made_for(data, loss, value, match):
    X, y = data
    assert_rejected(X, changed(np.exp(y), value), match, loss=loss)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"loss": "absolute"}, "'loss' parameter of MLPRegressorManual"),
        ({"loss": "log_loss"}, "'squared_error'"),
        ({"quantile": "median"}, "'quantile' parameter of MLPRegressorManual"),
        ({"quantile": None}, "'quantile' parameter"),
        ({"alpha": -1}, "'alpha' parameter"),
        ({"scoring": 3}, "'scoring' parameter"),
        ({"solver": "newton"}, "'solver' parameter"),
        ({"activation": "sine"}, "'activation' parameter"),
    ],
)
def test_bad_parameters(data, params, match):
    X, y = data
    with pytest.raises(InvalidParameterError, match=match):
        MLPRegressorManual(**params).fit(X, y)


@pytest.mark.parametrize(
    ("quantile", "match"),
    [
        (0.0, "quantile should be .* between 0 and 1, got 0.0"),
        (1.0, "quantile should be"),
        (np.nan, "quantile should be"),
        ([0.1, 1.2], "quantile should be"),
        ([], "quantile should be"),
        ([0.9, 0.1], "quantile should ascend"),
        (["a"], "quantile"),
    ],
)
def test_bad_quantiles(data, quantile, match):
    X, y = data
    assert_rejected(X, y, match, loss="quantile", quantile=quantile)


def test_quantile_without_its_loss_has_no_effect(data):
    with pytest.warns(UserWarning, match=r"quantile=0.9 has no effect with loss="):
        small(quantile=0.9).fit(*data)


def test_several_quantiles_of_several_columns(data):
    X, y = data
    match = "Several quantiles need y of one column, got 2"
    assert_rejected(X, np.c_[y, y], match, loss="quantile", quantile=[0.1, 0.9])


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        (-np.ones(200), "Negative values in data passed to `sample_weight`"),
        (np.zeros(200), "weight"),
        (np.full(200, np.nan), "contains NaN"),
        (np.ones(10), "sample_weight.shape"),
    ],
)
def test_bad_weights(data, weights, match):
    X, y = data
    assert_rejected(X, y, match, sample_weight=weights)


def test_bad_validation_sets(data):
    X, y = data
    for validation, match in [
        ({"X_val": X}, "needs both X_val and y_val"),
        ({"X_val": X, "y_val": np.c_[y, y]}, "In the validation set: y has 2 columns"),
        ({"X_val": X[:, :2], "y_val": y}, "In the validation set: .* 2 features"),
        ({"X_val": X, "y_val": changed(y, np.nan)}, "In the validation set: .* NaN"),
    ]:
        with pytest.raises(ValueError, match=match):
            small(early_stopping=True).fit(X, y, **validation)
    with pytest.raises(ValueError, match=r"In the validation set: .* at least 0"):
        small("poisson", early_stopping=True).fit(X, np.exp(y), X_val=X, y_val=y)


def test_predictions_need_a_fit_and_its_features(data):
    X, y = data
    with pytest.raises(NotFittedError):
        MLPRegressorManual().predict(X)
    with pytest.raises(NotFittedError):
        MLPRegressorManual("gaussian").predict(X, return_std=True)
    with pytest.raises(ValueError, match=r"3 features, but .* 4 features"):
        small().fit(X, y).predict(X[:, :3])
    with pytest.raises(
        ValueError, match="return_std needs loss='gaussian', not 'quantile'"
    ):
        small("quantile").fit(X, y).predict(X, return_std=True)


def test_divergence_says_what_to_change(data):
    X, y = data
    model = small(solver="sgd", learning_rate_init=1e6, n_iter_no_change=100)
    with pytest.raises(ValueError, match="learning_rate_init"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


def test_a_fit_that_ends_as_a_constant_says_so(data):
    X, y = data
    with pytest.warns(ConvergenceWarning, match="constant|no better"):
        small(alpha=1e9).fit(X, y)


def test_pinball_loss_is_less_than_of_other_levels(spread_out):
    X, y, _ = spread_out
    found = {
        level: small("quantile", quantile=level).fit(X[:1500], y[:1500]).predict(X[1500:])
        for level in (0.1, 0.5, 0.9)
    }
    for level in found:
        losses = {
            at: mean_pinball_loss(y[1500:], p, alpha=level) for at, p in found.items()
        }
        assert min(losses, key=losses.get) == level


# --- targets that change, and few of them ---------------------------------------------


def stream_of(loss):
    """Rows whose y has noise, for each loss; the true mean is far from constant."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 2))
    if loss in ("poisson", "gamma"):
        mean = np.exp(X[:, 0])
        counts = rng.poisson(mean).astype(float)
        return X, (counts if loss == "poisson" else mean * rng.gamma(4, 0.25, size=1500))
    return X, X[:, 0] + 0.3 * rng.normal(size=1500)


@pytest.mark.parametrize("first", [0.0, 1e-6])
@pytest.mark.parametrize("loss", FAMILIES)
def test_a_stream_learns_after_a_first_call_that_tells_nothing(loss, first):
    X, y = stream_of(loss)
    start = first * y[:50] + 1e-9 * (loss == "gamma")
    model = small(loss, solver="adam", learning_rate_init=0.02)
    model.partial_fit(X[:50], start)
    for _ in range(6):
        for rows in np.split(np.arange(1500), 30):
            model.partial_fit(X[rows], y[rows])
    assert model.score(X, y) > 0.4
    if loss == "gaussian":
        mean, deviation = model.predict(X, return_std=True)
        assert_allclose(np.mean(((y - mean) / deviation) ** 2), 1, atol=0.3)


@pytest.mark.parametrize("loss", ["absolute_error", "gaussian"])
def test_a_stream_learns_row_by_row(loss):
    X, y = stream_of(loss)
    model = small(loss, solver="adam", learning_rate_init=0.02)
    for i in range(1000):
        model.partial_fit(X[i : i + 1], y[i : i + 1])
    assert model.score(X, y) > 0.6
    if loss == "gaussian":
        mean, deviation = model.predict(X, return_std=True)
        assert np.mean(((y - mean) / deviation) ** 2) < 5


@pytest.mark.parametrize("loss", FAMILIES)
def test_warm_start_from_y_in_another_unit(loss):
    X, y = stream_of(loss)
    model = MLPRegressorManual(loss, (5,), warm_start=True, random_state=0)
    afresh = clone(model).fit(X[:100], y[:100]).score(X, y)
    for factor in (0.0, 1e-6, 1e6):
        start = factor * y + (factor == 0)
        again = clone(model).fit(X[:100], start[:100]).fit(X[:100], y[:100])
        assert again.score(X, y) > afresh - 0.05, factor


def test_densities_of_few_rows_are_not_beyond_all_bounds():
    X, y = stream_of("gaussian")
    for n_rows in (12, 20, 29):
        model = MLPRegressorManual("gaussian", random_state=0).fit(X[:n_rows], y[:n_rows])
        mean, deviation = model.predict(X, return_std=True)
        assert np.mean(((y - mean) / deviation) ** 2) < 10


def test_a_constant_column_leaves_the_density_of_another():
    X, y = stream_of("gaussian")
    both = np.column_stack([y, np.full(len(y), 5.0)])[:200]
    model = MLPRegressorManual("gaussian", random_state=0).fit(X[:200], both)
    assert model.alpha_search_ is not None
    mean, deviation = model.predict(X, return_std=True)
    assert_allclose(mean[:, 1], 5, rtol=1e-9)
    assert_allclose(np.mean(((y - mean[:, 0]) / deviation[:, 0]) ** 2), 1, atol=0.3)


@pytest.mark.filterwarnings("ignore:The fit is no better than a constant")
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_early_stopping_publishes_the_density_that_was_scored(solver):
    X, y = stream_of("gaussian")
    X = np.hstack([X, np.random.default_rng(1).normal(size=(1500, 8))])
    model = MLPRegressorManual("gaussian", solver=solver, early_stopping=True)
    model.set_params(random_state=0, max_iter=100)
    model.fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
    mean, deviation = model.predict(X[150:], return_std=True)
    variance = (deviation / model.target_scale_) ** 2 / 1e-4
    squares = ((y[150:] - mean) / deviation) ** 2
    loss = np.mean(np.log(variance) + squares) / 2
    assert_allclose(loss, model.validation_loss_curve_[model.best_iteration_], rtol=1e-6)


def test_positive_values_over_many_decades():
    X, _ = stream_of("gamma")
    y = np.exp(6 * X[:300, 0])
    model = MLPRegressorManual("gamma", random_state=0).fit(X[:300], y)
    assert np.corrcoef(np.log(model.predict(X[:300])), np.log(y))[0, 1] > 0.98


def test_an_unknown_loss_is_named_by_a_search():
    X, y = stream_of("gamma")
    with pytest.raises(InvalidParameterError, match="'loss' parameter"):
        cross_val_score(MLPRegressorManual("mse"), X, y, error_score="raise")


@pytest.mark.parametrize("unit", [1e-45, 1e38])
def test_units_that_single_precision_has_no_numbers_for(data, unit):
    X, y = data
    model = small().fit(X.astype(np.float32), y)
    before = model.coefs_
    with pytest.raises(ValueError, match="y is too large or too small for X of float32"):
        model.fit(X.astype(np.float32), unit * y)
    assert model.coefs_ is before
    assert model.fit(X, unit * y).score(X * 1.0, unit * y) > 0.5


@pytest.fixture(scope="module")
def density_of_many_features():
    """5000 rows of 50 features, and a net that was fitted to the first 200."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 50))
    y = X[:, :5].sum(axis=1) + 0.3 * rng.normal(size=5000)
    return X, y, MLPRegressorManual("gaussian", random_state=0).fit(X[:200], y[:200])


def squares_per_variance(model, X, y):
    """Mean of the squared residuals of all rows but 200, by what the variances are."""
    mean, deviation = model.predict(X[200:], return_std=True)
    return np.mean(((y[200:] - mean) / deviation) ** 2)


def test_densities_of_many_features_are_as_wide_as_held_out_rows_say(
    density_of_many_features,
):
    """Residuals of rows that the net has learnt are next to nothing there."""
    X, y, model = density_of_many_features
    assert squares_per_variance(model, X, y) < 2


def test_a_density_learns_its_width_from_a_stream_after_a_fit(density_of_many_features):
    X, y, fitted = density_of_many_features
    model = copy.deepcopy(fitted)
    before = model.predict(X[:5], return_std=True)[1]
    copied = copy.deepcopy(model).set_params(learning_rate_init=1e-12)
    after = copied.partial_fit(X[:200], y[:200]).predict(X[:5], return_std=True)[1]
    assert_allclose(after, before, rtol=1e-6)
    for _ in range(3):
        for rows in np.split(np.arange(200, 5000), 12):
            model.partial_fit(X[rows], y[rows])
    far_from_1 = [abs(np.log(squares_per_variance(m, X, y))) for m in (fitted, model)]
    assert far_from_1[1] < max(far_from_1[0], np.log(1.5))


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_densities_of_epochs_are_as_wide_as_they_were_trained(solver):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 20))
    y = X[:, 0] + 0.3 * rng.normal(size=100)
    model = MLPRegressorManual("gaussian", 20, solver=solver, random_state=0, max_iter=20)
    with pytest.warns(ConvergenceWarning):
        found = model.fit(X, y)
    given = clone(model).set_params(alpha=found.alpha_, standardize=found.standardize_)
    with pytest.warns(ConvergenceWarning):
        given.fit(X, y)
    deviations = (m.predict(X, return_std=True)[1] for m in (found, given))
    assert_allclose(*deviations, rtol=1e-12)
