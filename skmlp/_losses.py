"""Losses and their output units, computed from logits.

Logits Z have a row per sample and a column per output unit. Everything is in place, and
no exp overflows; because nothing is clipped, loss and residual stay the value and the
gradient of one function even where the network is saturated.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import entr

# Of a class without weight, so that its logit is finite
_LEAST_SHARE = 1e-30


class Loss(NamedTuple):
    """A loss as a function of the logits, with all that training asks of it.

    Attributes
    ----------
    units : str
        Name of the output units, which turn logits into predictions.
    residual : callable
        ``residual(Z, targets, weights)``: the weighted sum of the losses over the rows;
        Z becomes its gradient, for canonical links the weighted residuals
        weights * (y - t). The softmax needs Z in Fortran order, as the network makes it.
    mean, log_mean : callable
        ``mean(Z)``: Z becomes the expected targets y, or their logarithms, in place.
    bent : callable
        ``bent(Z, targets)``: Z becomes what `curvature` has to know of the rows, in place.
    curvature : callable
        ``curvature(M, weights, R)``, with M of `bent`: R becomes the product of each row's
        second derivatives with respect to the logits with it, in place.
    totals : callable
        ``totals(targets, weights, n_outputs)``: weighted sums of the statistics of the
        targets that the following ask for; sums over parts of the rows add up.
    constant : callable
        ``constant(means)``: the logits of the best constant prediction, finite whatever
        the means of the statistics.
    floor : callable
        ``floor(means)``: the mean loss of that prediction.
    spread : callable
        ``spread(means)``: the variance of each output's residual there.
    scale : float
        What `tol` is per: a floor beyond it does not count.
    origin : callable
        ``origin(means)``: what the mean loss of perfect predictions is taken for; 0 by
        default.
    most : float, default=inf
        What a target gives to learn at the most, if the loss of a perfect prediction says
        nothing of it.
    is_relative : bool, default=False
        Whether the data tell the scale of the noise, so that a difference of losses says
        as much as its share of the loss that is left; else losses are logarithms of
        likelihoods.
    fisher : callable or None
        Like `curvature`, with expected second derivatives, where those themselves may be
        negative. None where they are not.
    widen : callable or None
        ``widen(biases, amount)`` makes densities wider that the biases of the output layer
        predict, in place: held-out rows tell by how much. None if there are none.
    """

    units: str
    residual: Callable
    mean: Callable[[np.ndarray], None]
    log_mean: Callable[[np.ndarray], None] | None
    bent: Callable[[np.ndarray, np.ndarray], None]
    curvature: Callable
    totals: Callable
    constant: Callable[[np.ndarray], np.ndarray]
    floor: Callable[[np.ndarray], float]
    spread: Callable[[np.ndarray], np.ndarray]
    scale: float
    origin: Callable[[np.ndarray], float] = lambda means: 0.0
    most: float = math.inf
    is_relative: bool = False
    fisher: Callable | None = None
    widen: Callable[[np.ndarray, float], None] | None = None


def _shift(Z):
    """Subtract from each row its largest logit; softmax does not notice."""
    Z -= np.maximum.reduce(Z, axis=1, keepdims=True)


def softmax(Z):
    """Replace logits by probabilities, in place: (8) of the derivation."""
    _shift(Z)
    np.exp(Z, out=Z)
    Z /= Z.sum(axis=1, keepdims=True)


def log_softmax(Z):
    """Replace logits by log-probabilities, in place; finite where softmax underflows."""
    _shift(Z)
    Z -= np.log(np.exp(Z).sum(axis=1, keepdims=True))


def softmax_cross_entropy(Z, k, weights):
    """Weighted sum of the losses -log y_k over the rows, and its gradient.

    Value (9), gradient with respect to the logits (18): the residual y - t.

    Parameters
    ----------
    Z : ndarray of shape (n, K), in Fortran order
        Logits. Overwritten with the weighted residuals weights * (y - t).
    k : ndarray of shape (n,) of int
        The class index of each row: t is one-hot at k.
    weights : float or ndarray of shape (n,)
        Factor of each row's loss.

    Returns
    -------
    loss : float
        sum_i weights_i * (log sum_j exp z_ij - z_ik), added up in float64.

    Raises
    ------
    ValueError
        If Z is in another order.
    """
    if not Z.flags.f_contiguous:  # else what follows would write to a copy
        raise ValueError("Z has to be in Fortran order.")
    Z = Z.T  # in C order, which numpy sees at once
    flat = Z.reshape(-1)  # a view: one index into it is cheaper than two into Z
    target = k * len(k)
    target += np.arange(len(k))
    Z -= np.maximum.reduce(Z)
    shifted = flat[target]
    np.exp(Z, out=Z)
    total = np.add.reduce(Z)
    Z *= weights / total
    flat[target] -= weights
    loss = np.log(total, out=total)
    loss -= shifted
    loss *= weights
    return float(np.add.reduce(loss, dtype=np.float64))


def _bent_softmax(Z, k):
    softmax(Z)


def softmax_curvature(Y, weights, R):
    """Replace R by weights * (diag(y) - y y^T) R, row by row: (57).

    Parameters
    ----------
    Y : ndarray of shape (n, K)
        Probabilities.
    weights : float or ndarray of shape (n,)
    R : ndarray of shape (n, K)
    """
    R *= Y
    R -= Y * np.add.reduce(R, axis=1, keepdims=True)
    R *= _column(weights)


def sigmoid(Z):
    """Replace logits by 1 / (1 + exp(-z)), in place, each output on its own."""
    np.copyto(Z, _sigmoid(Z, np.exp(-np.abs(Z))))


def log_sigmoid(Z):
    """Replace logits by log-probabilities, in place: min(z, 0) - log(1 + exp(-|z|))."""
    log_one_plus = np.log1p(np.exp(-np.abs(Z)))
    np.minimum(Z, 0, out=Z)
    Z -= log_one_plus


def sigmoid_cross_entropy(Z, T, weights):
    """Weighted sum of -t.log y - (1 - t).log(1 - y) over the rows, and its gradient.

    With y = sigmoid(z) for each of K independent labels, the loss of a label is
    log(1 + exp(z)) - t z, and its derivative with respect to the logit the same residual
    y - t as softmax has in (18): what lies below the logits does not change.

    Parameters
    ----------
    Z : ndarray of shape (n, K)
        Logits. Overwritten with the weighted residuals weights * (y - t).
    T : ndarray of shape (n, K)
        1 where a row has a label, else 0.
    weights : float or ndarray of shape (n,)
        Factor of each row's loss.

    Returns
    -------
    loss : float
        sum_i weights_i * sum_j (log(1 + exp z_ij) - t_ij z_ij), added up in float64.
    """
    E = np.exp(-np.abs(Z))
    loss = np.maximum(Z, 0)
    loss -= np.where(T, Z, 0)  # not T * Z: a label that is absent adds nothing to inf
    loss += np.log1p(E)
    loss = np.add.reduce(loss, axis=1, dtype=np.float64)
    np.copyto(Z, _sigmoid(Z, E))
    Z -= T
    Z *= _column(weights)
    return float(np.add.reduce(loss * weights))


def _bent_sigmoid(Z, T):
    sigmoid(Z)


def sigmoid_curvature(Y, weights, R):
    """Replace R by weights * y (1 - y) R, label by label; see `softmax_curvature`."""
    R *= Y
    R *= 1 - Y
    R *= _column(weights)


def _column(weights):
    """Weights of rows, as they multiply a row's outputs."""
    return weights if np.isscalar(weights) else weights[:, np.newaxis]


def _sigmoid(Z, E):
    """1 / (1 + exp(-z)), given E = exp(-|z|), which is at most 1."""
    return np.where(Z < 0, E, 1) / (1 + E)


def softmax_entropy(shares):
    """-sum_k p_k log p_k, in nats."""
    return max(float(entr(shares).sum()), 0.0)  # a sum of shares is one but for rounding


def sigmoid_entropy(shares):
    """-sum_k p_k log p_k + (1 - p_k) log (1 - p_k), in nats."""
    shares = np.minimum(shares, 1)
    return float((entr(shares) + entr(1 - shares)).sum())


def softmax_constant(shares):
    """Logits log p_k."""
    return np.log(np.maximum(shares, _LEAST_SHARE))


def sigmoid_constant(shares):
    """Logits log p_k - log (1 - p_k)."""
    return softmax_constant(shares) - softmax_constant(1 - shares)


def class_totals(k, weights, n_outputs):
    """Weight of the rows of each class, given class indices."""
    return np.bincount(k, weights, n_outputs).astype(np.float64)


def column_totals(T, weights, n_outputs):
    """Weight of the rows that have each label; in general, weighted sums of columns."""
    return T.sum(axis=0, dtype=float) if weights is None else weights @ T


def _bernoulli_variance(shares):
    return shares * (1 - shares)


LOSSES = {
    "cross_entropy": Loss(
        "softmax",
        residual=softmax_cross_entropy,
        mean=softmax,
        log_mean=log_softmax,
        bent=_bent_softmax,
        curvature=softmax_curvature,
        totals=class_totals,
        constant=softmax_constant,
        floor=softmax_entropy,
        spread=_bernoulli_variance,
        scale=math.log(2),
    ),
    "binary_cross_entropy": Loss(
        "logistic",
        residual=sigmoid_cross_entropy,
        mean=sigmoid,
        log_mean=log_sigmoid,
        bent=_bent_sigmoid,
        curvature=sigmoid_curvature,
        totals=column_totals,
        constant=sigmoid_constant,
        floor=sigmoid_entropy,
        spread=_bernoulli_variance,
        scale=math.log(2),
    ),
}
