"""Softmax and its cross-entropy, computed from logits.

Logits Z have a row per sample and a column per class. Everything is in place, and
shifted by the row maximum: exp never overflows, and because nothing is clipped, loss
and residual stay the value and the gradient of one function even where the network
is saturated.
"""

import numpy as np


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
    """
    flat = Z.T.reshape(-1)  # a view: one index into it is cheaper than two into Z
    target = k * len(k)
    target += np.arange(len(k))
    _shift(Z)
    shifted = flat[target]
    np.exp(Z, out=Z)
    total = np.add.reduce(Z, axis=1)
    Z *= (weights / total)[:, np.newaxis]
    flat[target] -= weights
    loss = np.log(total, out=total)
    loss -= shifted
    loss *= weights
    return float(np.add.reduce(loss, dtype=np.float64))
