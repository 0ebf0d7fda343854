"""What is inspected: the network within the estimator, its features, and its outputs."""

from inspect import signature
from typing import NamedTuple

import numpy as np

from skmlp._estimator import BaseMLP
from skmlp._inference import fitted_network
from skmlp._intake import check_features
from skmlp._network import Network, Parameters
from skmlp.inspection._columns import Columns, columns_of, encode
from skmlp.inspection._fitted import transform, unwrap
from skmlp.inspection._responses import Response, method_of, response_of


class Subject(NamedTuple):
    """A fitted network, the rows that it sees, and what of its outputs is asked for.

    Attributes
    ----------
    model : BaseMLP
    steps : list of transformer
        What the rows go through before.
    network : Network
    parameters : Parameters
    X : {ndarray, CSR} of shape (n, d)
        Validated, as the network sees it.
    columns : Columns
        Those that the results are about.
    response : Response
        Of T outputs.
    targets : ndarray of shape (T,)
        Their names.
    is_single : bool
        Whether results have no axis of outputs.
    """

    model: BaseMLP
    steps: list
    network: Network
    parameters: Parameters
    X: np.ndarray
    columns: Columns
    response: Response
    targets: np.ndarray
    is_single: bool


def take_subject(estimator, X, target, response_method):
    """Validate what an inspection was given.

    Parameters
    ----------
    estimator : estimator
        As `input_gradients` takes it.
    X : array-like
    target : object, list of object or None
    response_method : str

    Returns
    -------
    subject : Subject

    Raises
    ------
    TypeError, ValueError
    """
    steps, model = unwrap(estimator)
    kind = model._targets()
    method = method_of(response_method, kind.loss.units)
    indices = _target_indices(target, kind.outputs)
    is_single = kind.is_single if target is None else np.ndim(target) == 0
    rows = transform(steps, X)
    X = check_features(model._net(), encode(model, rows))
    columns = columns_of(model, rows, X)
    response = response_of(method, kind, indices, X.dtype)
    asked = response, kind.outputs[indices], is_single
    return Subject(model, steps, *fitted_network(model), X, columns, *asked)


def _target_indices(target, outputs):
    """Numbers of the outputs that `target` names; ValueError if it names none."""
    if target is None:
        return np.arange(len(outputs))
    wanted = [target] if np.ndim(target) == 0 else list(target)
    known = outputs.tolist()
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise ValueError(
            f"target should be one or several of the outputs {known}, got {target!r}."
        )
    return np.array([known.index(name) for name in wanted])


def feature_names(subject):
    """Names of the columns that results are about: x0, x1, ... if they have none.

    Returns
    -------
    names : ndarray of shape (d,) of object
    """
    names = None
    for step in subject.steps:
        names = _names_out(step, getattr(step, "feature_names_in_", names))
    names = getattr(subject.model, "feature_names_in_", names)
    n_features = subject.columns.rows.shape[1]
    if names is None or len(names) != n_features:
        names = [f"x{i}" for i in range(n_features)]
    return np.asarray(names, dtype=object)


def _names_out(step, names):
    """Names of the features that a step returns, or None if it can't tell."""
    try:
        given = [names] if signature(step.get_feature_names_out).parameters else []
        return step.get_feature_names_out(*given)
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return None
