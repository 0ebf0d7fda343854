"""Functions of the logits that can be explained, each beside its derivative."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skmlp._losses import log_softmax, sigmoid, softmax


class Response(NamedTuple):
    """T functions of a row's K logits.

    Attributes
    ----------
    value : callable
        ``value(Z)``: of shape (n, T).
    jacobian : callable
        ``jacobian(Z)``: the derivatives with respect to the logits, of shape (n, T, K), or
        of shape (1, T, K) if they are the same for all rows.
    n_targets : int
        T.
    is_linear : bool
    """

    value: Callable[[np.ndarray], np.ndarray]
    jacobian: Callable[[np.ndarray], np.ndarray]
    n_targets: int
    is_linear: bool = False


def response_of(method, units, n_outputs, targets, dtype):
    """The outputs `targets` of a response.

    Parameters
    ----------
    method : {'logits', 'decision_function', 'predict_proba'}
    units : {'softmax', 'logistic'}
    n_outputs : int
    targets : ndarray of shape (T,) of int
        Which outputs.
    dtype : dtype

    Returns
    -------
    response : Response
    """
    identity = np.eye(n_outputs, dtype=dtype)
    if method == "decision_function" and units == "softmax" and n_outputs == 2:
        return _linear(2 * identity[targets] - 1)
    if method == "logits" or (method == "decision_function" and units == "logistic"):
        return _linear(identity[targets])
    if units == "logistic":
        return _sigmoids(identity, targets)
    if method == "predict_proba":
        return _probabilities(identity, targets)
    return _log_probabilities(identity, targets)


def _linear(C):
    """Combinations C of the logits."""
    return Response(lambda Z: Z @ C.T, lambda Z: C[np.newaxis], len(C), is_linear=True)


def _probabilities(identity, targets):
    """y_k, with the derivatives y_k ([k = l] - y_l): (11)."""

    def value(Z):
        return _finish(softmax, Z)[:, targets]

    def jacobian(Z):
        Y = _finish(softmax, Z)
        return Y[:, targets, np.newaxis] * (identity[targets] - Y[:, np.newaxis])

    return Response(value, jacobian, len(targets))


def _log_probabilities(identity, targets):
    """Logarithms of y_k, with the derivatives [k = l] - y_l."""

    def value(Z):
        return _finish(log_softmax, Z)[:, targets]

    def jacobian(Z):
        return identity[targets] - _finish(softmax, Z)[:, np.newaxis]

    return Response(value, jacobian, len(targets))


def _sigmoids(identity, targets):
    """y_k, each label's own, with the derivative y_k (1 - y_k): (10)."""

    def value(Z):
        return _finish(sigmoid, Z)[:, targets]

    def jacobian(Z):
        Y = value(Z)
        return (Y * (1 - Y))[:, :, np.newaxis] * identity[targets]

    return Response(value, jacobian, len(targets))


def _finish(function, Z):
    """What a function in place makes of the logits, which stay."""
    Y = Z.copy()
    function(Y)
    return Y
