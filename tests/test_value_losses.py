"""The losses of real values: gradients, curvatures, and what is known of constants."""

import numpy as np
import pytest
from common import VALUE_LOSSES, draw_values
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.metrics import mean_gamma_deviance, mean_pinball_loss, mean_poisson_deviance

from skmlp._value_losses import (
    GAMMA,
    GAUSSIAN,
    LEAST_VARIANCE,
    LOG_UNIT,
    POISSON,
    SQUARED_ERROR,
    quantile_loss,
)

WEIGHTS = {"scalar": 0.7, "array": np.linspace(0, 2, 6)}


def make_case(name, n=6, seed=1):
    """A loss, logits of its outputs, and targets."""
    loss, n_columns, n_outputs = VALUE_LOSSES[name]
    Z = np.random.default_rng(seed).normal(size=(n, n_outputs))
    return loss, Z, draw_values(loss, n_columns, n, seed)


def evaluate(loss, Z, T, weights=1.0):
    """Loss and gradient, for logits that stay as they are."""
    gradient = np.array(Z, order="F")
    with np.errstate(all="ignore"):
        return loss.residual(gradient, T, weights), gradient


def means_of(loss, T, n_outputs, weights=None):
    total = len(T) if weights is None else weights.sum()
    return loss.totals(T, weights, n_outputs) / total


def at_constant(loss, T, n_outputs):
    """Mean loss at the best constant, and each row's residuals there."""
    constant = loss.constant(means_of(loss, T, n_outputs))
    value, residuals = evaluate(loss, np.tile(constant, (len(T), 1)), T)
    return constant, value / len(T), residuals


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", VALUE_LOSSES)
def test_gradient_against_central_differences(name, weights):
    loss, Z, T = make_case(name)
    weights = WEIGHTS[weights]
    _, gradient = evaluate(loss, Z, T, weights)
    for at in np.ndindex(Z.shape):
        step = np.zeros_like(Z)
        step[at] = 1e-5
        above, below = (evaluate(loss, Z + s * step, T, weights)[0] for s in (1, -1))
        assert_allclose(gradient[at], (above - below) / 2e-5, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", VALUE_LOSSES)
def test_curvature_against_central_differences_of_the_gradient(name, weights):
    loss, Z, T = make_case(name)
    weights = WEIGHTS[weights]
    direction = np.random.default_rng(2).normal(size=Z.shape)
    above, below = (
        evaluate(loss, Z + s * 1e-5 * direction, T, weights)[1] for s in (1, -1)
    )
    M, R = (np.array(a, order="F") for a in (Z, direction))
    loss.bent(M, T)
    before = M.copy()
    loss.curvature(M, weights, R)
    assert_allclose(R, (above - below) / 2e-5, rtol=1e-6, atol=1e-8)
    assert_array_equal(M, before)  # one `bent` serves several products


def test_squared_error_by_hand():
    Z, T = np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([[3.0, 2.0], [0.0, 1.0]])
    value, residual = evaluate(SQUARED_ERROR, Z, T, np.array([1.0, 3.0]))
    assert_allclose(value, (4 + 0) / 2 + 3 * (0 + 4) / 2)
    assert_allclose(residual, [[-2, 0], [0, -6]])


def test_poisson_by_hand():
    Z, T = np.log([[2.0], [5.0]]), np.array([[3.0], [0.0]])
    value, residual = evaluate(POISSON, Z, T, np.array([2.0, 1.0]))
    assert_allclose(value, 2 * (3 * np.log(3 / 2) - 1) + 5)
    assert_allclose(residual, [[2 * (2 - 3)], [5]])
    deviance = mean_poisson_deviance(T[:, 0], np.exp(Z[:, 0]))
    assert_allclose(evaluate(POISSON, Z, T, 0.5)[0], deviance / 2)


def test_gamma_by_hand():
    Z, T = np.log([[2.0], [5.0]]), np.array([[3.0], [1.0]])
    value, residual = evaluate(GAMMA, Z, T, np.array([2.0, 1.0]))
    assert_allclose(value, 2 * (3 / 2 - np.log(3 / 2) - 1) + 1 / 5 + np.log(5) - 1)
    assert_allclose(residual, [[2 * (1 - 3 / 2)], [1 - 1 / 5]])
    deviance = mean_gamma_deviance(T[:, 0], np.exp(Z[:, 0]))
    assert_allclose(evaluate(GAMMA, Z, T, 0.5)[0], deviance / 2)


def test_narrow_quantiles_are_the_check_loss():
    levels = np.array([0.1, 0.5, 0.9])
    Z, T = np.array([[1.0, 2.0, 5.0]]), np.array([[3.0]])
    value, gradient = evaluate(quantile_loss(levels, 1e-9, np.zeros(3)), Z, T)
    assert_allclose(value, 0.1 * 2 + 0.5 * 1 + (1 - 0.9) * 2)
    assert_allclose(gradient, [[-0.1, -0.5, 1 - 0.9]])
    for level, z in zip(levels, Z[0], strict=True):
        one = quantile_loss(np.array([level]), 1e-9, np.zeros(1))
        expected = mean_pinball_loss(T[:, 0], [z], alpha=level)
        assert_allclose(evaluate(one, np.array([[z]]), T)[0], expected)


def test_absolute_error_is_twice_the_loss_of_the_median():
    Z, T = np.array([[1.0, -2.0]]), np.array([[3.0, -7.0]])
    loss = quantile_loss(np.array([0.5]), 1e-9, np.zeros(2), 2.0)
    value, gradient = evaluate(loss, Z, T, 3.0)
    assert_allclose(value, 3 * (2 + 5))
    assert_allclose(gradient, [[-3, 3]])


@pytest.mark.parametrize("width", [1e-6, 0.1, 2.0])
@pytest.mark.parametrize("level", [0.05, 0.5, 0.8])
def test_smoothing_adds_at_most_its_width_times_log_2(level, width):
    """At the kink, where it is most; and nothing far away."""
    loss = quantile_loss(np.array([level]), width, np.zeros(1))
    T = np.zeros((1, 1))

    def added(u):
        Z = np.array([[-u]])
        return evaluate(loss, Z, T)[0] - max(level * u, (level - 1) * u)

    assert_allclose(added(0.0), width * np.log(2))
    assert 0 < added(0.5 * width) < added(0.0)
    assert_allclose([added(60 * width), added(-60 * width)], 0, atol=1e-14)


def test_normal_density_by_hand():
    """Relative to what the least variance makes of a perfect fit."""
    Z, T = np.array([[0.3, -0.4], [-1.0, 0.8]]), np.array([[1.0], [0.2]])
    value, _ = evaluate(GAUSSIAN, Z, T, np.array([2.0, 1.0]))
    deviation = np.sqrt(np.exp(LOG_UNIT * Z[:, 1]) + LEAST_VARIANCE)
    nll = -stats.norm.logpdf(T[:, 0], Z[:, 0], deviation)
    perfect = -stats.norm.logpdf(0, 0, np.sqrt(LEAST_VARIANCE))
    assert_allclose(value, 2 * (nll[0] - perfect) + nll[1] - perfect)
    sure, _ = evaluate(GAUSSIAN, np.array([[1.0, -800.0 / LOG_UNIT]]), T[:1])
    assert_allclose(sure, 0, atol=1e-12)


def test_outputs_of_normal_densities_are_means_and_then_variances():
    Z = np.array([[1.0, -2.0, 0.3, -0.4]])
    T = np.array([[1.5, -1.0]])
    value, gradient = evaluate(GAUSSIAN, Z, T)
    for column in (0, 1):
        at = [column, column + 2]
        alone, residual = evaluate(GAUSSIAN, Z[:, at], T[:, [column]])
        value -= alone
        assert_allclose(gradient[:, at], residual)
    assert_allclose(value, 0, atol=1e-14)


def test_means_of_logits():
    Z = np.array([[3.0, -1.0, 2.0], [0.0, 1.0, 2.0]])
    three = quantile_loss(np.array([0.1, 0.5, 0.9]), 0.1, np.zeros(3))
    for loss, expected in [
        (SQUARED_ERROR, Z),
        (POISSON, np.exp(Z)),
        (GAMMA, np.exp(Z)),
        (quantile_loss(np.array([0.5]), 0.1, np.zeros(3)), Z),
        (three, [[-1, 2, 3], [0, 1, 2]]),
    ]:
        Y = np.array(Z, order="F")
        loss.mean(Y)
        assert_allclose(Y, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", [POISSON, GAMMA])
def test_the_mean_of_huge_logits_is_finite(loss, dtype):
    Y = np.array([[-1e30, -800.0, 0.0, 800.0, 1e30]], dtype)
    loss.mean(Y)
    assert Y.dtype == dtype
    assert np.isfinite(Y).all()
    assert_array_equal(Y[0, :3], [0, 0, 1])
    assert (Y[0, 3:] > np.finfo(dtype).max / 100).all()


# Logits at which the loss is a number that the type can hold
LARGEST = {
    "squared_error": {"float32": 1e15, "float64": 1e150},
    "poisson": {"float32": 80.0, "float64": 700.0},
    "gamma": {"float32": 80.0, "float64": 700.0},
    "gaussian": {"float32": 1e15, "float64": 1e150},
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", VALUE_LOSSES)
def test_extreme_logits_have_finite_values(name, dtype):
    loss, _, T = make_case(name, 40)
    largest = LARGEST.get(name, {"float32": 1e30, "float64": 1e300})[dtype]
    T = T.astype(dtype)
    n_outputs = VALUE_LOSSES[name][2]
    Z = np.random.default_rng(0).choice([-largest, 0, largest], size=(40, n_outputs))
    value, gradient = evaluate(loss, Z.astype(dtype), T)
    assert np.isfinite(value)
    assert gradient.dtype == dtype
    assert np.isfinite(gradient).all()
    M = np.array(Z, dtype, order="F")
    loss.bent(M, T)
    R = np.ones_like(M)
    loss.curvature(M, 1.0, R)
    assert R.dtype == dtype
    assert np.isfinite(R).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_densities_of_any_variance(dtype):
    """A log-variance c s whose exponential is no number: the loss is (c s - log e) / 2."""
    s = np.array([400.0, 1600.0, 4e4, 1e30])
    Z, T = np.c_[np.zeros(4), s].astype(dtype), np.ones((4, 1), dtype)
    for row in range(4):
        value, gradient = evaluate(GAUSSIAN, Z[[row]], T[[row]])
        assert_allclose(value, (LOG_UNIT * s[row] - np.log(LEAST_VARIANCE)) / 2, rtol=1e-6)
        assert_allclose(gradient, [[0, LOG_UNIT / 2]], atol=1e-30)


@pytest.mark.parametrize("name", VALUE_LOSSES)
def test_single_precision_is_double_precision_but_for_rounding(name):
    loss, Z, T = make_case(name, 50)
    Z, T = Z.astype(np.float32), T.astype(np.float32)
    single, gradient = evaluate(loss, Z, T, np.float32(0.7))
    double, expected = evaluate(loss, Z.astype(float), T.astype(float), 0.7)
    assert gradient.dtype == np.float32
    assert_allclose(single, double, rtol=1e-5)
    assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert loss.totals(T, None, Z.shape[1]).dtype == np.float64


@pytest.mark.parametrize("name", VALUE_LOSSES)
def test_weights_are_copies(name):
    loss, Z, T = make_case(name)
    copies = np.array([0, 3, 1, 1, 2, 4])
    value, gradient = evaluate(loss, Z, T, copies.astype(float))
    again, of_copies = evaluate(loss, np.repeat(Z, copies, axis=0), np.repeat(T, copies, 0))
    assert_allclose(value, again, rtol=1e-12)
    assert_allclose(gradient.sum(axis=0), of_copies.sum(axis=0), rtol=1e-12)
    assert_allclose(
        loss.totals(T, copies.astype(float), Z.shape[1]),
        loss.totals(np.repeat(T, copies, axis=0), None, Z.shape[1]),
        rtol=1e-12,
    )


@pytest.mark.parametrize("name", VALUE_LOSSES)
def test_totals_of_parts_add_up(name):
    loss, Z, T = make_case(name, 30)
    weights = np.random.default_rng(0).uniform(size=30)
    for w in (None, weights):
        whole, one, other = (
            loss.totals(T[part], None if w is None else w[part], Z.shape[1])
            for part in (slice(None), slice(11), slice(11, None))
        )
        assert_allclose(one + other, whole, rtol=1e-12)


@pytest.mark.parametrize("name", VALUE_LOSSES)
def test_floor_is_the_loss_of_the_constant(name):
    loss, Z, T = make_case(name, 200)
    constant, value, _ = at_constant(loss, T, Z.shape[1])
    assert np.isfinite(constant).all()
    assert_allclose(value, loss.floor(means_of(loss, T, Z.shape[1])), rtol=1e-12)
    weights = np.random.default_rng(0).uniform(size=200)
    means = means_of(loss, T, Z.shape[1], weights)
    at = np.tile(loss.constant(means), (200, 1))
    weighted = evaluate(loss, at, T, weights)[0] / weights.sum()
    assert_allclose(weighted, loss.floor(means), rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in VALUE_LOSSES if "quantile" not in name])
def test_no_constant_is_better(name):
    loss, Z, T = make_case(name, 200)
    constant, value, residuals = at_constant(loss, T, Z.shape[1])
    assert_allclose(residuals.mean(axis=0), 0, atol=1e-13)
    for step in np.random.default_rng(0).normal(size=(50, len(constant))):
        for size in (1e-3, 0.1, 1.0):
            elsewhere = np.tile(constant + size * step, (200, 1))
            assert evaluate(loss, elsewhere, T)[0] / 200 > value


@pytest.mark.parametrize("level", [0.05, 0.5, 0.9])
def test_no_constant_is_better_than_a_quantile_but_for_the_smoothing(level):
    T = np.random.default_rng(0).gumbel(size=(201, 1))
    width = 0.02
    quantile = np.quantile(T, level, method="inverted_cdf", keepdims=True)[0]
    loss = quantile_loss(np.array([level]), width, quantile)
    floor = loss.floor(means_of(loss, T, 1))
    others = [
        evaluate(loss, np.full((201, 1), z), T)[0] / 201 for z in np.linspace(-2, 5, 701)
    ]
    assert min(others) > floor - width * np.log(2)
    assert abs(min(others) - floor) < 0.01 * floor
    assert max(others) > 2 * floor


@pytest.mark.parametrize("name", VALUE_LOSSES)
def test_spread_is_the_variance_of_the_residual_at_the_constant(name):
    loss, Z, T = make_case(name, 3000)
    _, _, residuals = at_constant(loss, T, Z.shape[1])
    spread = loss.spread(means_of(loss, T, Z.shape[1]))
    assert spread.shape == (Z.shape[1],)
    if "quantile" in name:  # the smoothing makes the residuals smaller
        assert (spread > residuals.var(axis=0)).all()
    else:
        assert_allclose(spread, residuals.var(axis=0), rtol=1e-9)


def test_spread_of_quantiles_is_of_their_levels():
    """A Bernoulli variable's, as far as the smoothing is narrow."""
    T, levels = np.random.default_rng(0).normal(size=(1000, 1)), np.array([0.1, 0.5, 0.9])
    constant = np.quantile(T[:, 0], levels)
    for factor in (1.0, 2.0):
        loss = quantile_loss(levels, 1e-6, constant, factor)
        _, _, residuals = at_constant(loss, T, 3)
        spread = loss.spread(means_of(loss, T, 3))
        assert_allclose(spread, factor**2 * levels * (1 - levels))
        assert_allclose(spread, residuals.var(axis=0), rtol=1e-9)


@pytest.mark.parametrize("name", VALUE_LOSSES)
def test_targets_that_do_not_vary_have_nothing_to_learn(name):
    """They are 0 once they are centred, and 1 where there is a log link."""
    loss, Z, T = make_case(name, 30)
    constant_target = 1.0 if loss.units == "exp" else 0.0
    T = np.full_like(T, constant_target)
    means = means_of(loss, T, Z.shape[1])
    assert np.isfinite(loss.constant(means)).all()
    if "quantile" not in name:
        assert_allclose(loss.floor(means), 0, atol=1e-12)
        assert_allclose(loss.spread(means), 0, atol=1e-12)


def test_counts_that_are_all_zero_have_a_finite_constant():
    T = np.zeros((5, 2))
    means = means_of(POISSON, T, 2)
    constant, value, residuals = at_constant(POISSON, T, 2)
    assert np.isfinite(constant).all()
    assert_allclose([value, POISSON.floor(means)], 0, atol=1e-12)
    assert_allclose(residuals, 0, atol=1e-12)


@pytest.mark.parametrize("name", ["squared_error", "gaussian"])
def test_variance_is_not_negative_by_rounding(name):
    loss, _, n_outputs = VALUE_LOSSES[name]
    T = np.full((7, n_outputs if name == "squared_error" else n_outputs // 2), 0.1)
    means = means_of(loss, T, n_outputs)
    assert loss.floor(means) >= 0
    assert (loss.spread(means) >= 0).all()


@pytest.mark.parametrize("variance", [0.5, 0.01])
def test_log_variance_of_the_constant_is_less_the_least_one(variance):
    T = np.random.default_rng(0).normal(size=(500, 1))
    T *= np.sqrt(variance) * LEAST_VARIANCE**0.5 / T.std()
    T -= T.mean()
    means = means_of(GAUSSIAN, T, 2)
    # y varies less than any prediction may
    assert_allclose(GAUSSIAN.constant(means)[0], 0, atol=1e-15)
    assert np.isfinite(GAUSSIAN.constant(means)).all()
    assert_allclose(GAUSSIAN.floor(means), variance / 2, rtol=1e-9)
    _, value, _ = at_constant(GAUSSIAN, T, 2)
    assert_allclose(value, variance / 2, rtol=1e-9)
