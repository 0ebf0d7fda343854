"""Functions of the logits that can be explained, each beside its derivative."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skmlp._losses import log_softmax, sigmoid, softmax
from skmlp._value_losses import exponentials, largest_log, normal_deviations


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


def method_of(response_method, units):
    """The response method that is asked for, if the output units have it.

    Parameters
    ----------
    response_method : str
        'auto' is the first that they have.
    units : str
        A key of `RESPONSES`.

    Returns
    -------
    method : str

    Raises
    ------
    ValueError
        If they do not have it.
    """
    known = list(RESPONSES[units])
    if response_method == "auto":
        return known[0]
    if response_method not in known:
        raise ValueError(
            "The 'response_method' parameter of this estimator's outputs must be one of "
            f"{['auto', *known]}. Got {response_method!r} instead."
        )
    return response_method


def response_of(method, kind, outputs, dtype):
    """Some outputs of a response.

    Parameters
    ----------
    method : str
        As `method_of` returns it.
    kind : object
        What y is: see `skmlp._targets`.
    outputs : ndarray of shape (T,) of int
        Which ones.
    dtype : dtype

    Returns
    -------
    response : Response
    """
    identity = np.eye(kind.n_outputs, dtype=dtype)
    return RESPONSES[kind.loss.units][method](kind, identity, outputs)


def _logits(kind, identity, outputs):
    return _linear(identity[outputs])


def _linear(C):
    """Combinations C of the logits."""
    return Response(lambda Z: Z @ C.T, lambda Z: C[np.newaxis], len(C), is_linear=True)


def _elementwise(value, slope, identity, outputs):
    """Functions of one logit each, and their derivatives, given all logits."""

    def jacobian(Z):
        return slope(Z)[:, outputs, np.newaxis] * identity[outputs]

    return Response(lambda Z: value(Z)[:, outputs], jacobian, len(outputs))


def _probabilities(kind, identity, outputs):
    """y_k, with the derivatives y_k ([k = l] - y_l): (11)."""

    def value(Z):
        return _finish(softmax, Z)[:, outputs]

    def jacobian(Z):
        Y = _finish(softmax, Z)
        return Y[:, outputs, np.newaxis] * (identity[outputs] - Y[:, np.newaxis])

    return Response(value, jacobian, len(outputs))


def _log_probabilities(kind, identity, outputs):
    """Logarithms of y_k, with the derivatives [k = l] - y_l; of two classes, log-odds."""
    if len(identity) == 2:
        return _linear(2 * identity[outputs] - 1)

    def value(Z):
        return _finish(log_softmax, Z)[:, outputs]

    def jacobian(Z):
        return identity[outputs] - _finish(softmax, Z)[:, np.newaxis]

    return Response(value, jacobian, len(outputs))


def _sigmoids(kind, identity, outputs):
    """y_k, each label's own, with the derivative y_k (1 - y_k): (10)."""

    def slope(Z):
        Y = _finish(sigmoid, Z)
        return Y * (1 - Y)

    return _elementwise(lambda Z: _finish(sigmoid, Z), slope, identity, outputs)


def _exponentials(kind, identity, outputs):
    """exp(z), which is its own derivative, up to the largest number."""

    def value(Z):
        return _finish(exponentials, Z)

    def slope(Z):
        return _where_it_grows(Z, value(Z))

    return _elementwise(value, slope, identity, outputs)


def _sorted(kind, identity, outputs):
    """Logits in order: each depends on the one that has its place."""

    def jacobian(Z):
        return identity[np.argsort(Z, axis=1)[:, outputs]]

    return Response(lambda Z: np.sort(Z, axis=1)[:, outputs], jacobian, len(outputs))


def _moments(kind, identity, outputs):
    """Means m, and deviations v = sqrt(exp(s) + e), with the derivative exp(s) / (2 v)."""
    K = len(identity) // 2

    def value(Z):
        return np.c_[Z[:, :K], normal_deviations(Z[:, K:], kind.least_deviation)[1]]

    def slope(Z):
        s = Z[:, K:]
        E, deviation = normal_deviations(s, kind.least_deviation)
        return np.c_[np.ones_like(E), _where_it_grows(s / 2, E * (E / deviation) / 2)]

    return _elementwise(value, slope, identity, outputs)


def _where_it_grows(Z, slope):
    """The slope of what has exp(z) as a factor, which ends at the largest number."""
    most = largest_log(Z.dtype)
    return np.where(most > Z, slope, 0)


def _finish(function, Z):
    """What a function in place makes of the logits, which stay."""
    Y = Z.copy()
    function(Y)
    return Y


# Of each kind of output units; the first method is the default
RESPONSES = {
    "softmax": {
        "logits": _logits,
        "decision_function": _log_probabilities,
        "predict_proba": _probabilities,
    },
    "logistic": {
        "logits": _logits,
        "decision_function": _logits,
        "predict_proba": _sigmoids,
    },
    "identity": {"predict": _logits, "logits": _logits},
    "exp": {"predict": _exponentials, "logits": _logits},
    "sorted": {"predict": _sorted, "logits": _logits},
    "normal": {"predict": _moments, "logits": _logits},
}
