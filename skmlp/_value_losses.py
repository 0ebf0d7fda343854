"""Losses of real values: of means, of quantiles, and of a mean with its deviation.

Targets T have a row per sample and a column per value; they are standardised, see
`skmlp._values`. The residual of a mean under its canonical link is y - t, as in (18).
"""

import math
from functools import partial

import numpy as np
from scipy.special import expit, xlogy

from skmlp._losses import Loss, _column

# Targets and variances that are taken for 0
_LEAST = 1e-30
# Variance that a prediction has at the least, in variances of y: else a perfect fit has an
# infinite density. Losses are relative to what it makes of a perfect fit, which is 0
LEAST_VARIANCE = 1e-4
_LEAST_LOG = math.log(LEAST_VARIANCE)
# Log-variances are this times their logits, so that the penalty weighs 16 times as much on
# what they are made of as on what means are made of: residuals tell less of a variance
LOG_UNIT = 0.25


def _power_totals(T, weights, n_outputs, n_powers=2):
    """Weighted sums of the powers of the targets, from the first one on."""
    return np.concatenate([_sums(T**power, weights) for power in range(1, n_powers + 1)])


def _sums(T, weights):
    return T.sum(axis=0, dtype=np.float64) if weights is None else weights @ T


def _variance(means):
    """Variance of each target, given the means of its powers."""
    mean, square = means[: len(means) // 2], means[len(means) // 2 :]
    return np.maximum(square - mean**2, 0)


def _total(loss, weights):
    """Weighted sum over the rows, given the loss of each output."""
    return float(np.add.reduce(np.add.reduce(loss, axis=1, dtype=np.float64) * weights))


def as_they_are(Z, T=None):
    """Leave the logits: they are the prediction."""


def exponentials(Z):
    """Replace logits by exp(z), in place; the largest number stands for larger ones."""
    np.exp(np.minimum(Z, largest_log(Z.dtype), out=Z), out=Z)


def largest_log(dtype):
    """The largest number whose exponential is a number, but for rounding."""
    info = np.finfo(dtype)
    return dtype.type(np.log(info.max) * (1 - info.eps))


def squared_error(Z, T, weights):
    """Weighted sum of |z - t|^2 / 2 over the rows; Z becomes weights * (z - t)."""
    Z -= T
    loss = _total(Z * Z, weights) / 2
    Z *= _column(weights)
    return loss


def squared_curvature(M, weights, R):
    """Replace R by weights * R: the second derivative is 1."""
    R *= _column(weights)


def poisson(Z, T, weights):
    """Weighted sum of half the Poisson deviance, exp(z) - t z + t log t - t.

    With y = exp(z), the canonical link, the residual is y - t.
    """
    Y = np.exp(Z)
    loss = _total(Y - np.where(T, T * Z, 0) + xlogy(T, T) - T, weights)
    np.subtract(Y, T, out=Z)
    Z *= _column(weights)
    return loss


def exponential_bent(Z, T):
    """Second derivatives of `poisson`: exp(z)."""
    np.exp(Z, out=Z)


def scaled_curvature(M, weights, R):
    """Replace R by weights * M R."""
    R *= M
    R *= _column(weights)


def poisson_totals(T, weights, n_outputs):
    """Weighted sums of t, t^2 and t log t."""
    return np.append(_power_totals(T, weights, n_outputs), _sums(xlogy(T, T), weights))


def _log_constant(means):
    return np.log(np.maximum(means[: len(means) // 3], _LEAST))


def poisson_floor(means):
    """Mean half deviance of the mean: sum of E[t log t] - m log m."""
    mean, _, entropy = np.split(means, 3)
    return float(np.maximum(entropy - xlogy(mean, mean), 0).sum())


def _spread_of_exponential(means):
    return _variance(means[: 2 * len(means) // 3])


def gamma(Z, T, weights):
    """Weighted sum of half the gamma deviance, t exp(-z) + z - log t - 1."""
    Q = T * np.exp(-Z)
    loss = _total(Q + Z - np.log(T) - 1, weights)
    np.subtract(1, Q, out=Z)
    Z *= _column(weights)
    return loss


def gamma_bent(Z, T):
    """Second derivatives of `gamma`: t exp(-z)."""
    np.exp(-Z, out=Z)
    Z *= T


def gamma_totals(T, weights, n_outputs):
    """Weighted sums of t, t^2 and log t."""
    return np.append(_power_totals(T, weights, n_outputs), _sums(np.log(T), weights))


def gamma_floor(means):
    """Mean half deviance of the mean: sum of log m - E[log t]."""
    mean, _, log = np.split(means, 3)
    return float(np.maximum(np.log(mean) - log, 0).sum())


def _gamma_spread(means):
    return _spread_of_exponential(means) / means[: len(means) // 3] ** 2


def quantile(levels, factor, width, Z, T, weights):
    """Weighted sum of smoothed check losses [1]_; Z becomes its gradient.

    The check loss u (tau - [u < 0]) of u = t - z is convolved with a logistic density of
    the given width h [2]_: tau u + h log(1 + exp(-u / h)), whose derivative with respect
    to z is sigmoid(-u / h) - tau. It is the loss of [3]_, too.

    References
    ----------
    .. [1] R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46 (1978).
    .. [2] M. Fernandes, E. Guerre, E. Horta, "Smoothing quantile regressions", Journal of
       Business & Economic Statistics 39 (2021).
    .. [3] S. Zheng, "Gradient descent algorithms for quantile regression with smooth
       approximation", International Journal of Machine Learning and Cybernetics 2 (2011).
    """
    np.subtract(T, Z, out=Z)
    loss = levels * Z
    Z /= -width
    loss += width * np.logaddexp(0, Z)
    expit(Z, out=Z)
    Z -= levels
    Z *= factor * _column(weights)
    return factor * _total(loss, weights)


def quantile_bent(factor, width, Z, T):
    """Second derivatives of `quantile`: sigmoid' (u / h) / h."""
    np.subtract(Z, T, out=Z)
    Z /= width
    expit(Z, out=Z)
    Z *= (1 - Z) * (factor / width)


def _quantile_totals(levels, factor, width, constant, T, weights, n_outputs):
    """Weighted sums of the loss of each output at its constant."""
    U = T - constant
    loss = levels * U + width * np.logaddexp(0, -U / width)
    return factor * _sums(loss, weights)


def rearranged(Z):
    """Sort the quantiles of each row, in place: they do not cross, and lose nothing.

    References
    ----------
    V. Chernozhukov, I. Fernandez-Val, A. Galichon, "Quantile and probability curves
    without crossing", Econometrica 78 (2010).
    """
    Z.sort(axis=1)


def gaussian(Z, T, weights):
    """Weighted sum of -log of normal densities with mean m and variance v = exp(c s) + e.

    The logits are m of each target, and then s of each; c is `LOG_UNIT`. With r = m - t,
    p = 1 / v and q = exp(c s) p, the loss (log v + r^2 p) / 2 has the derivatives p r and
    c q (1 - r^2 p) / 2. The least variance e keeps it bounded.
    """
    m, s = _halves(Z)
    p, q = _precision(s)
    r = m - T
    loss = _total(r * r * p + np.logaddexp(0, LOG_UNIT * s - _LEAST_LOG), weights) / 2
    np.multiply(r, p, out=m)
    np.multiply(q * (LOG_UNIT / 2), 1 - r * m, out=s)
    Z *= _column(weights)
    return loss


def gaussian_bent(Z, T):
    """Of the logits m and s: r and p, see `gaussian`."""
    m, s = _halves(Z)
    p, _ = _precision(s)
    m -= T
    np.copyto(s, p)


def gaussian_curvature(M, weights, R):
    """Replace R by the product with the second derivatives.

    They are p, -c r p q and c^2 q ((1 - q) (1 - r^2 p) + q r^2 p) / 2.
    """
    (r, p), (Rm, Rs) = _halves(M), _halves(R)
    q = 1 - LEAST_VARIANCE * p
    square = r * r * p
    mixed = -LOG_UNIT * r * p * q
    of_scale = q * ((1 - q) * (1 - square) + q * square) * (LOG_UNIT**2 / 2)
    above = p * Rm + mixed * Rs
    np.copyto(Rs, mixed * Rm + of_scale * Rs)
    np.copyto(Rm, above)
    R *= _column(weights)


def gaussian_fisher(M, weights, R):
    """Replace R by the product with the expected second derivatives, if t is normal.

    They are p and c^2 q^2 / 2, and none of them is negative, as some of
    `gaussian_curvature` are where the density fits badly.
    """
    (_, p), (Rm, Rs) = _halves(M), _halves(R)
    Rm *= p
    Rs *= (1 - LEAST_VARIANCE * p) ** 2 * (LOG_UNIT**2 / 2)
    R *= _column(weights)


def widen(biases, amount):
    """Add an amount to the log-variances of all predictions, in place.

    Parameters
    ----------
    biases : ndarray of shape (2 K,)
        Of the output layer.
    amount : float

    References
    ----------
    D. Levi et al., "Evaluating and calibrating uncertainty prediction in regression
    tasks", Sensors 22 (2022): one factor of all deviations, by held-out rows.
    """
    biases[len(biases) // 2 :] += amount / LOG_UNIT


def normal_deviations(s, least):
    """exp(s / 2), and the standard deviation sqrt(exp(s) + least^2).

    Parameters
    ----------
    s : ndarray of shape (n, K)
        Logarithms of variances; beyond what has an exponential, the largest stands for it.
    least : ndarray of shape (K,)
    """
    E = s / 2
    exponentials(E)
    return E, np.hypot(E, least.astype(s.dtype))


def _halves(Z):
    K = Z.shape[1] // 2
    return Z[:, :K], Z[:, K:]


def _precision(s):
    """1 / v and exp(c s) / v, of which none overflows."""
    s = LOG_UNIT * s - _LEAST_LOG
    return expit(-s) / LEAST_VARIANCE, expit(s)


def _gaussian_moments(means):
    """Mean, variance and fourth central moment, given the means of the powers."""
    a, b, c, d = np.split(means, 4)
    variance = np.maximum(b - a**2, 0)
    return a, variance, np.maximum(d - 4 * a * c + 6 * a**2 * b - 3 * a**4, 0)


def _gaussian_constant(means):
    mean, variance, _ = _gaussian_moments(means)
    log = np.log(np.maximum(variance - LEAST_VARIANCE, _LEAST))
    return np.append(mean, log / LOG_UNIT)


def _gaussian_floor(means):
    _, variance, _ = _gaussian_moments(means)
    v = np.maximum(variance, LEAST_VARIANCE)
    return float((variance / v + np.log(v / LEAST_VARIANCE)).sum() / 2)


def _gaussian_origin(means):
    """The loss of a perfect mean with the variance 1, of all targets that vary."""
    _, variance, _ = _gaussian_moments(means)
    return float(np.count_nonzero(variance > LEAST_VARIANCE) * -_LEAST_LOG / 2)


def _gaussian_spread(means):
    _, variance, fourth = _gaussian_moments(means)
    v = np.maximum(variance, LEAST_VARIANCE)
    q = LOG_UNIT * (1 - LEAST_VARIANCE / v)
    return np.append(variance / v**2, q**2 * np.maximum(fourth / v**2 - 1, 0) / 4)


SQUARED_ERROR = Loss(
    "identity",
    residual=squared_error,
    mean=as_they_are,
    log_mean=None,
    bent=as_they_are,
    curvature=squared_curvature,
    totals=_power_totals,
    constant=lambda means: means[: len(means) // 2],
    floor=lambda means: float(_variance(means).sum() / 2),
    spread=_variance,
    scale=0.5,
    is_relative=True,
)
POISSON = Loss(
    "exp",
    residual=poisson,
    mean=exponentials,
    log_mean=as_they_are,
    bent=exponential_bent,
    curvature=scaled_curvature,
    totals=poisson_totals,
    constant=_log_constant,
    floor=poisson_floor,
    spread=_spread_of_exponential,
    scale=0.5,
    is_relative=True,
)
GAMMA = POISSON._replace(
    residual=gamma,
    bent=gamma_bent,
    totals=gamma_totals,
    floor=gamma_floor,
    spread=_gamma_spread,
)
GAUSSIAN = Loss(
    "normal",
    residual=gaussian,
    mean=as_they_are,
    log_mean=None,
    bent=gaussian_bent,
    curvature=gaussian_curvature,
    fisher=gaussian_fisher,
    totals=partial(_power_totals, n_powers=4),
    constant=_gaussian_constant,
    floor=_gaussian_floor,
    spread=_gaussian_spread,
    scale=0.5,
    origin=_gaussian_origin,
    most=0.5,
    widen=widen,
)


def quantile_loss(levels, width, constant, factor=1.0):
    """The loss of some quantiles.

    Parameters
    ----------
    levels : ndarray of shape (Q,)
        tau of each output; several are of one target.
    width : float
        Of the smoothing, in the unit of the targets.
    constant : ndarray of shape (Q,)
        The quantiles of the targets themselves.
    factor : float, default=1
        2 makes the absolute error of the median's loss.
    """
    return Loss(
        "identity" if len(levels) == 1 else "sorted",
        residual=partial(quantile, levels, factor, width),
        mean=as_they_are if len(levels) == 1 else rearranged,
        log_mean=None,
        bent=partial(quantile_bent, factor, width),
        curvature=scaled_curvature,
        totals=partial(_quantile_totals, levels, factor, width, constant),
        constant=lambda means: constant,
        floor=lambda means: float(means.sum()),
        spread=lambda means: factor**2 * levels * (1 - levels) + 0 * constant,
        scale=0.5,
        is_relative=True,
    )
