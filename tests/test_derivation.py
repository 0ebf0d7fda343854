"""The derivation's equations (10) to (23), and (55) to (60), for one row of data.

Notation as there: row vectors x (N,), t (C,), h (H,), y (C,); W (N, H), V (H, C),
b (H,), d (C,). Scalar equations are written out as sums, index by index, and compared
with central differences of the model (5) to (9); the code is compared with them at the
end, in (23) and (59). R is the derivative along a direction (UW, UV, ub, ud).
"""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmlp._activations import ACTIVATIONS
from skmlp._losses import softmax, softmax_cross_entropy, softmax_curvature
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


UW, UV = RNG.normal(size=(N, H)), RNG.normal(size=(H, C))
ub, ud = RNG.normal(size=H), RNG.normal(size=C)
slope, quotient = h * (1 - h), 1 - 2 * h
# (56) and (57), which the equations after them go on from
Rh = [slope[j] * (sum(x[i] * UW[i, j] for i in range(N)) + ub[j]) for j in range(H)]
Rz = [sum(Rh[j] * V[j, k] + h[j] * UV[j, k] for j in range(H)) + ud[k] for k in range(C)]
Ry = [y[k] * (Rz[k] - sum(y[r] * Rz[r] for r in range(C))) for k in range(C)]
# (58)
Rback = [
    sum(V[j, k] * Ry[k] + UV[j, k] * (y[k] - t[k]) for k in range(C)) * slope[j]
    + sum(V[j, k] * (y[k] - t[k]) for k in range(C)) * quotient[j] * Rh[j]
    for j in range(H)
]


def along(f, eps=1e-6):
    """Central difference of a function of (W, V, b, d) along the direction."""
    above, below = (f(W + e * UW, V + e * UV, b + e * ub, d + e * ud) for e in (eps, -eps))
    return (above - below) / (2 * eps)


def back(W, V, b, d):
    """delta of the hidden units, (20) without x."""
    h = hidden(x, W, b)
    return ((outputs(h, V, d) - t) @ V.T) * h * (1 - h)


def test_55_second_derivatives_of_units():
    z = np.linspace(-4, 4, 17)
    for name, slope, bend in (
        ("logistic", lambda z: sigma(z) * (1 - sigma(z)), lambda z: 1 - 2 * sigma(z)),
        ("tanh", lambda z: 1 - np.tanh(z) ** 2, lambda z: -2 * np.tanh(z)),
    ):
        out, found = z.reshape(-1, 1).copy(), np.ones((17, 1))
        ACTIVATIONS[name].forward(out, np.zeros(1))
        ACTIVATIONS[name].bend(out, found)
        assert_allclose(found[:, 0], bend(z), atol=1e-15)
        assert_equal(bend(z) * slope(z), np.diag(differences(slope, z)))


def test_56_hidden_and_logits_along_a_direction():
    assert_equal(Rh, along(lambda W, V, b, d: hidden(x, W, b)))
    assert_equal(Rz, along(lambda W, V, b, d: hidden(x, W, b) @ V + d))


def test_57_residual_along_a_direction():
    assert_equal(Ry, along(lambda W, V, b, d: outputs(hidden(x, W, b), V, d) - t))
    found = np.array(Rz).reshape(1, -1)
    softmax_curvature(y.reshape(1, -1), 1.0, found)
    assert_allclose(found[0], Ry, rtol=1e-12)


def test_58_hidden_residual_along_a_direction():
    assert_equal(Rback, along(back))


def hessian_product_of_the_code(**options):
    network = Network((N, H, C), "logistic")
    theta = network.flatten([W, V], [b, d], np.float64)
    product = network.parameters(np.empty_like(theta))
    parameters = network.parameters(theta)
    X, at = x.reshape(1, -1), network.linearization(1, np.float64)
    network.linearize(parameters, X, np.array([2]), 1.0, at)
    network.hessian_product(
        parameters,
        network.parameters(network.flatten([UW, UV], [ub, ud], np.float64)),
        X,
        1.0,
        at,
        product,
        network.workspace(1, np.float64),
        **options,
    )
    return product


def test_59_hessian_product_of_the_code():
    product = hessian_product_of_the_code()
    exact_V = np.outer(h, Ry) + np.outer(Rh, y - t)
    for found, exact, f in [
        (
            product.coefs[1],
            exact_V,
            lambda W, V, b, d: np.outer(
                hidden(x, W, b), outputs(hidden(x, W, b), V, d) - t
            ),
        ),
        (product.coefs[0], np.outer(x, Rback), lambda *at: np.outer(x, back(*at))),
    ]:
        assert_equal(exact, along(f))
        assert_allclose(found, exact, rtol=1e-12)
    assert_allclose(product.intercepts[1], Ry, rtol=1e-12)
    assert_allclose(product.intercepts[0], Rback, rtol=1e-12)


def test_60_gauss_newton_product_of_the_code():
    product = hessian_product_of_the_code(gauss_newton=True)
    assert_allclose(product.coefs[1], np.outer(h, Ry), rtol=1e-12)
    assert_allclose(product.intercepts[1], Ry, rtol=1e-12)
    only = [sum(V[j, k] * Ry[k] for k in range(C)) * slope[j] for j in range(H)]
    assert_allclose(product.coefs[0], np.outer(x, only), rtol=1e-12)
    assert_allclose(product.intercepts[0], only, rtol=1e-12)
