"""The derivation's equations (10) to (23), one test each, for one row of data.

Notation as there: row vectors x (N,), t (C,), h (H,), y (C,); W (N, H), V (H, C),
b (H,), d (C,). Scalar equations are written out as sums, index by index, and compared
with central differences of the model (5) to (9); the code is compared with them at the
end, in (23).
"""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmlp._activations import ACTIVATIONS
from skmlp._losses import softmax, softmax_cross_entropy
from skmlp._network import Network

N, H, C = 4, 3, 5
RNG = np.random.default_rng(0)
x = RNG.normal(size=N)
t = np.eye(C)[2]
W, V = RNG.normal(size=(N, H)), RNG.normal(size=(H, C))
b, d = RNG.normal(size=H), RNG.normal(size=C)


def sigma(z):
    """(6)."""
    return 1 / (1 + np.exp(-z))


def hidden(x, W, b):
    """(5)."""
    return sigma(x @ W + b)


def outputs(h, V, d):
    """(7), with (8)."""
    e = np.exp(h @ V + d)
    return e / e.sum()


def loss(y):
    """(9)."""
    return -t @ np.log(y)


h = hidden(x, W, b)
y = outputs(h, V, d)


def differences(f, at, eps=1e-6):
    """Central differences of f, which may return an array: (*f.shape, *at.shape)."""
    at = np.asarray(at, dtype=float)
    columns = []
    for i in np.ndindex(at.shape):
        step = np.zeros(at.shape)
        step[i] = eps
        columns.append((f(at + step) - f(at - step)) / (2 * eps))
    return np.stack(columns, axis=-1).reshape(*np.shape(f(at)), *at.shape)


def assert_equal(exact, numerical):
    assert_allclose(exact, numerical, rtol=1e-7, atol=1e-9)


def delta_(k, r):
    return float(k == r)


def test_10_sigmoid_derivative():
    z = np.linspace(-8, 8, 33)
    out = z.copy().reshape(-1, 1)
    slope = np.ones_like(out)
    ACTIVATIONS["logistic"].forward(out, np.zeros(1))
    assert_allclose(out[:, 0], [1 / (1 + math.exp(-v)) for v in z], rtol=1e-15)
    ACTIVATIONS["logistic"].backward(out, slope)
    assert_allclose(slope[:, 0], sigma(z) * (1 - sigma(z)), rtol=1e-12)
    assert_equal(slope[:, 0], np.diag(differences(sigma, z)))


def test_11_softmax_derivative():
    z = RNG.normal(size=C)

    def s(z):
        out = z.copy().reshape(1, -1)
        softmax(out)
        return out[0]

    exact = [[s(z)[k] * (delta_(k, m) - s(z)[m]) for m in range(C)] for k in range(C)]
    assert_equal(exact, differences(s, z))


def test_12_loss_by_outputs():
    assert_equal([-t[k] / y[k] for k in range(C)], differences(loss, y))


def test_13_outputs_by_hidden():
    exact = [
        [y[k] * V[j, k] - y[k] * sum(y[r] * V[j, r] for r in range(C)) for j in range(H)]
        for k in range(C)
    ]
    assert_equal(exact, differences(lambda h: outputs(h, V, d), h))


def test_14_loss_by_hidden():
    exact = [sum(V[j, k] * (y[k] - t[k]) for k in range(C)) for j in range(H)]
    assert_equal(exact, differences(lambda h: loss(outputs(h, V, d)), h))


def test_15_outputs_by_V():
    exact = [
        [[y[r] * (delta_(k, r) - y[k]) * h[j] for k in range(C)] for j in range(H)]
        for r in range(C)
    ]
    assert_equal(exact, differences(lambda V: outputs(h, V, d), V))


def test_16_loss_by_V():
    exact = [[(y[k] - t[k]) * h[j] for k in range(C)] for j in range(H)]
    assert_equal(exact, differences(lambda V: loss(outputs(h, V, d)), V))


def test_17_outputs_by_d():
    exact = [[y[r] * (delta_(k, r) - y[k]) for k in range(C)] for r in range(C)]
    assert_equal(exact, differences(lambda d: outputs(h, V, d), d))


def test_18_loss_by_d_is_the_residual_of_the_code():
    residual = (h @ V + d).reshape(1, -1)
    value = softmax_cross_entropy(residual, np.array([2]), 1.0)
    assert_allclose(value, loss(y), rtol=1e-14)
    assert_allclose(residual[0], y - t, rtol=1e-13)
    assert_equal(residual[0], differences(lambda d: loss(outputs(h, V, d)), d))


def test_19_hidden_by_W():
    """The sum inside runs over the N features."""
    numerical = differences(lambda W: hidden(x, W, b), W)
    for j in range(H):
        for i in range(N):
            assert_equal(h[j] * (1 - h[j]) * x[i], numerical[j, i, j])
            assert_equal(0.0, numerical[j, i, (j + 1) % H])


def test_20_loss_by_W():
    exact = [
        [
            sum(V[j, k] * (y[k] - t[k]) for k in range(C)) * h[j] * (1 - h[j]) * x[i]
            for j in range(H)
        ]
        for i in range(N)
    ]
    assert_equal(exact, differences(lambda W: loss(outputs(hidden(x, W, b), V, d)), W))


def test_21_hidden_by_b():
    assert_equal(np.diag(h * (1 - h)), differences(lambda b: hidden(x, W, b), b))


def test_22_loss_by_b():
    exact = [
        sum(V[j, k] * (y[k] - t[k]) for k in range(C)) * h[j] * (1 - h[j]) for j in range(H)
    ]
    assert_equal(exact, differences(lambda b: loss(outputs(hidden(x, W, b), V, d)), b))


@pytest.mark.parametrize("rows", [1, 3])
def test_23_matrix_form_is_the_gradient_of_the_code(rows):
    """(23) in the shapes of V and W; for several equal rows, as many times as much."""
    network = Network((N, H, C), "logistic")
    theta = network.flatten([W, V], [b, d], np.float64)
    gradient = network.parameters(np.empty_like(theta))
    value = network.loss_gradient(
        network.parameters(theta),
        np.tile(x, (rows, 1)),
        np.full(rows, 2),
        1.0,
        gradient,
        network.workspace(rows, np.float64),
    )
    residual = y - t
    back = (residual @ V.T) * h * (1 - h)
    assert_allclose(value, rows * loss(y), rtol=1e-14)
    for found, exact in [
        (gradient.coefs[1], np.outer(h, residual)),
        (gradient.intercepts[1], residual),
        (gradient.coefs[0], np.outer(x, back)),
        (gradient.intercepts[0], back),
    ]:
        assert found.shape == exact.shape
        assert_allclose(found, rows * exact, rtol=1e-13)
