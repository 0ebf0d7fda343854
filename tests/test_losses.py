"""The cross-entropies of the output units, and their gradients."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmlp._losses import LOSSES, log_softmax, softmax, softmax_cross_entropy


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_logits_have_finite_loss_and_exact_residual(dtype):
    Z = np.array([[1e3, -1e3, 0], [-1e3, 1e3, 0], [1e30, 0, -1e30]], dtype, order="F")
    k = np.array([0, 0, 1])
    residual = Z.copy(order="F")
    loss = softmax_cross_entropy(residual, k, np.array([1, 1, 1e-27], dtype))
    assert_allclose(loss, 0 + 2e3 + 1e3, rtol=1e-6)
    assert_allclose(residual[:2], [[0, 0, 0], [-1, 1, 0]], atol=1e-30)
    log_proba = Z.copy()
    log_softmax(log_proba)
    assert np.isfinite(log_proba).all()
    assert_allclose(log_proba[0], [0, -2e3, -1e3], rtol=1e-6)
    softmax(Z)
    assert_allclose(Z.sum(axis=1), 1, rtol=1e-6)


def test_logits_in_another_order_are_refused():
    """Their loss would be wrong, and their gradient a probability."""
    Z = np.zeros((3, 2))
    with pytest.raises(ValueError, match="Fortran order"):
        softmax_cross_entropy(Z, np.array([0, 1, 0]), 1.0)
    assert softmax_cross_entropy(np.asfortranarray(Z), np.array([0, 1, 0]), 1.0) > 2


def draw_targets(loss, n, n_outputs, seed=0):
    rng = np.random.default_rng(seed)
    if LOSSES[loss].units == "softmax":
        return rng.integers(n_outputs, size=n)
    return rng.random((n, n_outputs)) < 0.4


def evaluate(loss, Z, targets, weights):
    """Loss and gradient, for logits that stay as they are."""
    residual = np.array(Z, order="F")
    return LOSSES[loss].residual(residual, targets, weights), residual


def test_values_by_hand():
    Z = np.log([[1.0, 3.0], [1.0, 1.0]])
    loss, residual = evaluate("cross_entropy", Z, np.array([1, 0]), np.array([2.0, 1.0]))
    assert_allclose(loss, -2 * np.log(3 / 4) - np.log(1 / 2))
    assert_allclose(residual, [[2 / 4, -2 / 4], [-1 / 2, 1 / 2]])
    T = np.array([[True, True], [False, True]])
    loss, residual = evaluate("binary_cross_entropy", Z, T, 2.0)
    assert_allclose(loss, -2 * (np.log(1 / 2) + np.log(3 / 4) + 2 * np.log(1 / 2)))
    assert_allclose(residual, [[-2 / 2, -2 / 4], [2 / 2, -2 / 2]])


@pytest.mark.parametrize("weights", [0.7, np.linspace(0, 2, 6)])
@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_against_central_differences(loss, weights):
    Z = np.random.default_rng(1).normal(scale=3, size=(6, 4))
    targets = draw_targets(loss, 6, 4)
    _, gradient = evaluate(loss, Z, targets, weights)
    for at in np.ndindex(Z.shape):
        step = np.zeros_like(Z)
        step[at] = 1e-5
        above, below = (evaluate(loss, Z + s * step, targets, weights)[0] for s in (1, -1))
        assert_allclose(gradient[at], (above - below) / 2e-5, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("weights", [0.7, np.linspace(0, 2, 6)])
@pytest.mark.parametrize("loss", LOSSES)
def test_curvature_against_central_differences_of_the_residual(loss, weights):
    rng = np.random.default_rng(1)
    Z, direction = rng.normal(scale=3, size=(2, 6, 4))
    targets = draw_targets(loss, 6, 4)
    above, below = (
        evaluate(loss, Z + s * 1e-5 * direction, targets, weights)[1] for s in (1, -1)
    )
    Y, R = (np.array(a, order="F") for a in (Z, direction))
    LOSSES[loss].mean(Y)
    before = Y.copy()
    LOSSES[loss].curvature(Y, weights, R)
    assert_allclose(R, (above - below) / 2e-5, rtol=1e-6, atol=1e-8)
    assert_array_equal(Y, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", LOSSES)
def test_huge_logits_have_finite_values(loss, dtype):
    Z = np.random.default_rng(0).choice([-1000, 0, 1000], size=(40, 3)).astype(dtype)
    value, residual = evaluate(loss, Z, draw_targets(loss, 40, 3), 1.0)
    assert np.isfinite(value)
    assert value > 1000
    assert residual.dtype == dtype
    assert np.abs(residual).max() <= 1
    proba, log_proba = Z.copy(), Z.copy()
    LOSSES[loss].mean(proba)
    LOSSES[loss].log_mean(log_proba)
    assert np.isfinite(log_proba).all()
    assert log_proba.min() <= -1000
    assert_allclose(np.exp(log_proba), proba, rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_residuals_are_probabilities_less_targets(loss):
    Z = np.random.default_rng(1).normal(size=(6, 4))
    targets = draw_targets(loss, 6, 4)
    proba = Z.copy()
    LOSSES[loss].mean(proba)
    one_hot = np.eye(4)[targets] if targets.ndim == 1 else targets
    assert_allclose(evaluate(loss, Z, targets, 1.0)[1], proba - one_hot, atol=1e-15)


@pytest.mark.parametrize("loss", LOSSES)
def test_entropy_is_the_loss_of_the_best_constant(loss):
    """Also where a class or label has no row, or all."""
    targets = draw_targets(loss, 50, 3)
    if targets.ndim == 1:
        shares = np.bincount(targets, minlength=4) / 50
    else:
        targets[:, 1], targets[:, 2] = False, True
        shares = targets.mean(axis=0)
    constant = LOSSES[loss].constant(shares)
    assert np.isfinite(constant).all()
    value, residual = evaluate(loss, np.tile(constant, (50, 1)), targets, 1 / 50)
    assert_allclose(value, LOSSES[loss].floor(shares), rtol=1e-12)
    assert_allclose(residual.sum(axis=0), 0, atol=1e-14)


def test_entropies_by_hand():
    softmax, logistic = LOSSES["cross_entropy"], LOSSES["binary_cross_entropy"]
    assert_allclose(softmax.floor(np.full(5, 0.2)), np.log(5))
    assert softmax.floor(np.array([0.0, 1.0])) == 0
    assert softmax.floor(np.array([0.0, 1.0 + 1e-15])) == 0  # a sum of shares, rounded
    assert_allclose(logistic.floor(np.array([0.5, 0.5, 0.0, 1.0])), 2 * np.log(2))
    assert logistic.floor(np.array([1.0 + 1e-15])) == 0
