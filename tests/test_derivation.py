"""The derivation's equations (10) to (23), and (55) to (79), for one row of data.

Notation as there: row vectors x (N,), t (C,), h (H,), y (C,); W (N, H), V (H, C),
b (H,), d (C,). Scalar equations are written out as sums, index by index, and compared
with central differences of the model (5) to (9); the code is compared with them at the
end, in (23) and (59). R is the derivative along a direction (UW, UV, ub, ud).
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.interpolate import BSpline
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import norm

from skmlp._activations import ACTIVATIONS
from skmlp._losses import softmax, softmax_cross_entropy, softmax_curvature
from skmlp._network import Network
from skmlp._value_losses import (
    GAMMA,
    GAUSSIAN,
    LEAST_VARIANCE,
    LOG_UNIT,
    POISSON,
    SQUARED_ERROR,
    quantile_loss,
)
from skmlp._values import Values
from skmlp.preprocessing import PiecewiseLinearEncoder

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


# Targets that are numbers, (61) to (71): three outputs, whose logits are z
numbers, amounts = np.array([0.0, 0.7, 3.0]), np.array([0.2, 0.7, 3.0])
logits = np.array([-0.4, 0.3, 1.2])
tau, width, least = 0.3, 0.2, LEAST_VARIANCE
check_loss = quantile_loss(np.array([tau]), width, np.zeros(1))


def code(loss, z, t):
    """Value and gradient of one row."""
    Z = np.atleast_2d(z).astype(float)
    return loss.residual(Z, np.atleast_2d(t), 1.0), Z[0]


def second_derivatives(loss, z, t):
    """Of one row, as the products of the code with unit vectors."""
    M = np.atleast_2d(z).astype(float)
    loss.bent(M, np.atleast_2d(t))
    R = np.eye(len(z))
    loss.curvature(np.repeat(M, len(z), axis=0), 1.0, R)
    return R


def softplus(x):
    return np.log(1 + np.exp(x))


def of_means(z, t):
    """(61), with the first two lines of (62)."""
    entropy = np.where(t > 0, t, 0) * np.log(np.where(t > 0, t, 1))
    return {
        SQUARED_ERROR: ((z**2 / 2 - t * z + t**2 / 2).sum(), z - t, np.ones(len(z))),
        POISSON: (
            (np.exp(z) - t * z + entropy - t).sum(),
            np.exp(z) - t,
            np.exp(z),
        ),
    }


@pytest.mark.parametrize("loss", [SQUARED_ERROR, POISSON], ids=["normal", "Poisson"])
def test_61_to_63_canonical_losses(loss):
    value, residual, bend = of_means(logits, numbers)[loss]
    found, gradient = code(loss, logits, numbers)
    assert_allclose(found, value, rtol=1e-14)
    assert_allclose(gradient, residual, rtol=1e-14)
    assert_equal(residual, differences(lambda z: of_means(z, numbers)[loss][0], logits))
    found = second_derivatives(loss, logits, numbers)
    assert_allclose(found, np.diag(bend), rtol=1e-14)
    assert_equal(found, differences(lambda z: of_means(z, numbers)[loss][1], logits))


def test_64_gamma():
    def value(z):
        return (amounts * np.exp(-z) + z - np.log(amounts) - 1).sum()

    found, gradient = code(GAMMA, logits, amounts)
    y = np.exp(logits)
    assert_allclose(found, value(logits), rtol=1e-14)
    assert_allclose(gradient, (y - amounts) / y, rtol=1e-14)
    assert_equal(gradient, differences(value, logits))
    found = second_derivatives(GAMMA, logits, amounts)
    assert_allclose(found, np.diag(amounts / y), rtol=1e-14)
    assert_equal(found, differences(lambda z: code(GAMMA, z, amounts)[1], logits))


def test_65_smoothed_check_loss_is_an_average():
    def average(u):
        errors = np.linspace(-10, 10, 200_001)
        density = sigma(errors / width) * (1 - sigma(errors / width)) / width
        above = u - errors
        return (above * (tau - (above < 0)) * density).sum() * (errors[1] - errors[0])

    u = numbers - logits
    value = (tau * u + width * softplus(-u / width)).sum()
    assert_allclose(code(check_loss, logits, numbers)[0], value, rtol=1e-14)
    assert_allclose(sum(map(average, u)), value, rtol=1e-7)


def test_66_derivatives_of_the_smoothed_check_loss():
    step = sigma((logits - numbers) / width)
    gradient = code(check_loss, logits, numbers)[1]
    assert_allclose(gradient, step - tau, rtol=1e-13)
    assert_equal(gradient, differences(lambda z: code(check_loss, z, numbers)[0], logits))
    found = second_derivatives(check_loss, logits, numbers)
    assert_allclose(found, np.diag(step * (1 - step) / width), rtol=1e-13)
    assert_equal(found, differences(lambda z: code(check_loss, z, numbers)[1], logits))


# z and zeta of three targets; the last is fitted well, with a variance near the least
unit = LOG_UNIT
density_logits = np.array([-0.4, 0.3, 2.99, 2.0, -4.0, -32.0])
r, v = density_logits[:3] - numbers, np.exp(unit * density_logits[3:]) + least
share = 1 - least / v


def density_loss(z):
    r, v = z[:3] - numbers, np.exp(unit * z[3:]) + least
    return (np.log(v / least) + r**2 / v).sum() / 2


def test_67_and_68_normal_density():
    found, gradient = code(GAUSSIAN, density_logits, numbers)
    assert_allclose(found, density_loss(density_logits), rtol=1e-13)
    exact = np.concatenate([r / v, unit * share / 2 * (1 - r**2 / v)])
    assert_allclose(gradient, exact, rtol=1e-12)
    assert_allclose(gradient, differences(density_loss, density_logits), rtol=1e-6)


def test_69_second_derivatives_of_the_normal_density():
    mixed = np.diag(-unit * r * share / v)
    of_scale = unit**2 * share / 2 * ((1 - share) * (1 - r**2 / v) + share * r**2 / v)
    exact = np.block([[np.diag(1 / v), mixed], [mixed, np.diag(of_scale)]])
    found = second_derivatives(GAUSSIAN, density_logits, numbers)
    assert_allclose(found, exact, rtol=1e-12)
    numerical = differences(lambda z: code(GAUSSIAN, z, numbers)[1], density_logits)
    assert_allclose(found, numerical, rtol=1e-6, atol=1e-6)


def test_70_outputs_in_units_of_the_target():
    raw = 40 + 9 * RNG.normal(size=50)
    for loss, n_outputs in (("squared_error", 1), ("poisson", 1), ("gaussian", 2)):
        targets = Values.of(raw, SimpleNamespace(loss=loss), None)
        V, d = RNG.normal(size=(H, n_outputs)), RNG.normal(size=n_outputs)
        (V_raw,), (d_raw,) = targets.to_raw([V], [d])
        z, z_raw = h @ V + d, h @ V_raw + d_raw
        g, c = targets.scale[0], targets.center[0]
        exact = {"poisson": [z[0] + np.log(g)], "squared_error": [g * z[0] + c]}
        exact["gaussian"] = [g * z[0] + c, unit * z[-1] + 2 * np.log(g)]
        assert_allclose(z_raw, exact[loss], rtol=1e-12)


def test_71_losses_in_units_of_the_target():
    g, c = 250.0, 7.0
    wide = quantile_loss(np.array([tau]), g * width, np.zeros(1))
    for loss, raw, t, at, t_raw, factor in (
        (SQUARED_ERROR, SQUARED_ERROR, numbers, g * logits + c, g * numbers + c, g**2),
        (POISSON, POISSON, numbers, logits + np.log(g), g * numbers, g),
        (check_loss, wide, numbers, g * logits + c, g * numbers + c, g),
        (GAMMA, GAMMA, amounts, logits + np.log(g), g * amounts, 1),
    ):
        value = code(loss, logits, t)[0]
        assert_allclose(code(raw, at, t_raw)[0], factor * value, rtol=1e-12)
    value = code(GAUSSIAN, [0.3, -1.0 / unit], [0.8])[0]
    deviation = g * math.sqrt(math.exp(-1.0) + least)
    minus_log = -norm.logpdf(0.8 * g, 0.3 * g, deviation)
    constant = math.log(g) + math.log(2 * math.pi * least) / 2
    assert_allclose(value + constant, minus_log, rtol=1e-12)


# Features that are parts of bins, (72) to (79)
column = RNG.normal(size=(300, 1))
encoder = PiecewiseLinearEncoder(4, include_original=False).fit(column)
(edges,) = encoder.bin_edges_
inside = np.linspace(edges[0], edges[-1], 41)
beyond = np.concatenate([[-9.0, -4.0], inside, [4.0, 9.0]])


def parts(x):
    """(72)."""
    part = (x - edges[:-1]) / np.diff(edges)
    part[1:] = np.maximum(part[1:], 0)
    part[:-1] = np.minimum(part[:-1], 1)
    return part


def encode(x):
    return encoder.transform(np.reshape(x, (-1, 1)))


def test_72_parts_of_bins():
    assert_allclose(encode(beyond), [parts(u) for u in beyond], rtol=1e-13, atol=1e-14)


def test_73_weights_are_rises():
    levels = RNG.normal(size=5)
    found = levels[0] + encode(inside) @ np.diff(levels)
    assert_allclose(found, np.interp(inside, edges, levels), atol=1e-13)
    # a constant and four rises: no feature is a sum of others
    assert np.linalg.matrix_rank(np.column_stack([np.ones(45), encode(beyond)])) == 5


def test_74_the_column_is_a_sum_of_its_bins():
    assert_allclose(edges[0] + encode(beyond) @ np.diff(edges), beyond, atol=1e-13)


def test_75_rises_draw_to_even_steps_and_levels_to_zero():
    def penalty(of_features):
        """Of three bins, from 1 to 2, by what is between."""
        return lambda between: (of_features(np.r_[1.0, between, 2.0]) ** 2).sum()

    assert_allclose(minimize(penalty(np.diff), np.zeros(2)).x, [4 / 3, 5 / 3], atol=1e-6)
    hats = BSpline.design_matrix(np.arange(4.0), np.r_[0, 0, 1, 2, 3, 3], 1).toarray()
    assert_allclose(hats, np.eye(4), atol=1e-15)  # the weights of hats are levels
    levels = minimize(penalty(lambda levels: levels), np.ones(2)).x
    assert_allclose(levels, [0, 0], atol=1e-6)


def test_76_the_column_beside_its_bins():
    h, r = np.diff(edges), RNG.normal(size=4)
    best = minimize_scalar(lambda v: v**2 + ((r - v * h) ** 2).sum())
    assert_allclose(best.x, h @ r / (1 + h @ h), rtol=1e-6)
    assert_allclose(best.fun, r @ r - (h @ r) ** 2 / (1 + h @ h), rtol=1e-12)
    steep = 3.0 * h
    line = steep @ steep - (h @ steep) ** 2 / (1 + h @ h)
    assert_allclose(line, 9 * (h @ h) / (1 + h @ h), rtol=1e-12)
    assert line < min(9, steep @ steep)


def cut(shares, n_bins):
    """(78), by trying each number of values that are cut."""
    for m in range(n_bins):
        ordered = sorted(shares)
        others = ordered[: len(shares) - m]
        c = sum(others) / (n_bins - m)
        if others[-1] <= c * (1 + 1e-12):
            return c
    raise AssertionError


@pytest.mark.parametrize("n_atoms", [0, 1, 2, 4])
def test_77_and_78_quantiles_without_excess(n_atoms):
    n_bins = 5
    atoms = np.repeat(np.array([-0.7, 0.1, 0.6, 2.0])[:n_atoms], 400)
    x, weight = np.r_[atoms, column[:, 0]], RNG.integers(1, 4, size=len(atoms) + 300)
    values = np.unique(x)
    shares = np.array([weight[x == u].sum() / weight.sum() for u in values])
    c = cut(shares, n_bins)
    assert_allclose(c, np.minimum(shares, c).sum() / n_bins, rtol=1e-12)
    assert math.isclose(c, 1 / n_bins) == (n_atoms == 0)
    P = [np.minimum(shares[: i + 1], c).sum() for i in range(len(values))]
    inner = [
        next(
            u for u, P_u in zip(values, P, strict=True) if P_u >= q / n_bins * P[-1] - 1e-9
        )
        for q in range(1, n_bins)
    ]
    beside = [
        values[j]
        for i in np.flatnonzero(shares > 1 / n_bins)
        for j in (i - 1, i, i + 1)
        if 0 <= j < len(values)
    ]
    assert (len(beside) > 0) == (n_atoms > 0)
    expected = np.unique([values[0], *inner, *beside, values[-1]])
    found = PiecewiseLinearEncoder(n_bins).fit(x.reshape(-1, 1), sample_weight=weight)
    assert_array_equal(found.bin_edges_[0], expected)


def test_79_derivative_by_the_column():
    both = PiecewiseLinearEncoder(4).fit(column)
    into = RNG.normal(size=(5, C))

    def g(features):
        return np.sin(features @ into) @ np.arange(C)

    for x in (-9.0, *(edges[:-1] + edges[1:]) / 2, 9.0):
        (features,) = both.transform([[x]])
        slopes = differences(g, features)
        q = np.clip(np.searchsorted(edges, x) - 1, 0, 3)
        exact = slopes[0] + slopes[1 + q] / (edges[q + 1] - edges[q])
        by_differences = differences(lambda x: g(both.transform([x])), [x])
        assert_allclose(exact, by_differences[0, 0], rtol=1e-6, atol=1e-8)
