"""Each nonlinearity, its derivative and its mean square."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmlp._activations import ACTIVATIONS, mean_square


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_at_extreme_inputs(activation):
    values = np.array([[-1e30, -1e3, 0.0, 1e3, 1e30]])
    expected = {
        "identity": values[0],
        "logistic": [0, 0, 0.5, 1, 1],
        "tanh": [-1, -1, 0, 1, 1],
        "relu": [0, 0, 0, 1e3, 1e30],
    }[activation]
    slope = {
        "identity": [1, 1, 1, 1, 1],
        "logistic": [0, 0, 0.25, 0, 0],
        "tanh": [0, 0, 1, 0, 0],
        "relu": [0, 0, 0, 1, 1],
    }[activation]
    delta = np.ones_like(values)
    with np.errstate(over="ignore"):
        ACTIVATIONS[activation].forward(values, np.zeros(5))
        assert_allclose(values[0], expected, rtol=0)
        ACTIVATIONS[activation].backward(values, delta)
    assert_allclose(delta[0], slope, rtol=0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slope_against_central_differences(name):
    activation = ACTIVATIONS[name]
    z = np.random.default_rng(0).normal(scale=2, size=(7, 3))
    b = np.array([0.5, -1.0, 0.0])

    def phi(shift):
        H = z.copy()
        activation.forward(H, b + shift)
        return H

    delta = np.full_like(z, 2.0)
    activation.backward(phi(0), delta)
    assert_allclose(delta, (phi(1e-6) - phi(-1e-6)) / 1e-6, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_bend_against_central_differences_of_the_slope(name):
    """phi'' by differences of phi', over phi'; the outputs are left as they are."""
    activation = ACTIVATIONS[name]
    z = np.random.default_rng(0).normal(scale=2, size=(7, 3))

    def slope(shift):
        H, phi = z.copy(), np.ones_like(z)
        activation.forward(H, np.full(3, shift))
        activation.backward(H, phi)
        return phi

    H, R = z.copy(), np.full_like(z, 2.0)
    activation.forward(H, np.zeros(3))
    before = H.copy()
    activation.bend(H, R)
    second = (slope(1e-6) - slope(-1e-6)) / 2e-6
    assert_allclose(R * slope(0), 2 * second, rtol=1e-6, atol=1e-9)
    assert_array_equal(H, before)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_bend_at_extreme_inputs(name):
    """Finite, and exactly nothing of what is straight."""
    H = np.array([[-1e30, -1e3, 0.0, 1e3, 1e30]])
    R = np.ones_like(H)
    with np.errstate(over="ignore"):
        ACTIVATIONS[name].forward(H, np.zeros(5))
    ACTIVATIONS[name].bend(H, R)
    expected = {"logistic": [1, 1, 0, -1, -1], "tanh": [2, 2, 0, -2, -2]}
    assert_allclose(R[0], expected.get(name, np.zeros(5)), rtol=0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_center_is_the_output_at_zero(name):
    H = np.zeros((1, 1))
    ACTIVATIONS[name].forward(H, np.zeros(1))
    assert H[0, 0] == ACTIVATIONS[name].center


@pytest.mark.parametrize("variance", [0.04, 1.0, 9.0])
def test_mean_square_of_outputs(variance):
    assert_allclose(mean_square(ACTIVATIONS["identity"], variance), variance, rtol=1e-10)
    assert_allclose(mean_square(ACTIVATIONS["relu"], variance), variance / 2, rtol=1e-10)
    z = np.sqrt(variance) * np.random.default_rng(0).normal(size=400_000)
    squares = {"tanh": np.tanh(z) ** 2, "logistic": (np.tanh(z / 2) / 2) ** 2}
    for name, square in squares.items():
        assert_allclose(mean_square(ACTIVATIONS[name], variance), square.mean(), rtol=0.01)
