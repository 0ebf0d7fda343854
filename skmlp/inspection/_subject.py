"""What is inspected: the network within the estimator, its features, and its outputs."""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils import check_array

from skmlp._classifier import MLPClassifierManual
from skmlp._fitted import transform, unwrap
from skmlp._inference import fitted_network
from skmlp._intake import check_features
from skmlp._network import Network, Parameters
from skmlp._sklearn import check_feature_names
from skmlp._targets import KINDS
from skmlp.inspection._responses import Response, response_of


class Subject(NamedTuple):
    """A fitted network, the rows that it sees, and what of its outputs is asked for.

    Attributes
    ----------
    model : MLPClassifierManual
    steps : list of Pipeline
        What the rows go through before.
    loss : str
        The network's.
    network : Network
    parameters : Parameters
    X : {ndarray, CSR} of shape (n, d)
        Validated, as `model` sees it.
    response : Response
        Of T outputs.
    targets : ndarray of shape (T,)
        Their classes.
    """

    model: MLPClassifierManual
    steps: list
    loss: str
    network: Network
    parameters: Parameters
    X: np.ndarray
    response: Response
    targets: np.ndarray


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
    indices = _target_indices(target, model.classes_)
    X = check_features(model, transform(steps, X))
    units = model.out_activation_
    response = response_of(response_method, units, model.n_outputs_, indices, X.dtype)
    loss = KINDS[units].loss
    network, parameters = fitted_network(model, loss)
    targets = model.classes_[indices]
    return Subject(model, steps, loss, network, parameters, X, response, targets)


def _target_indices(target, classes):
    """Numbers of the outputs that `target` names; ValueError if it names none."""
    if target is None:
        return np.arange(len(classes))
    wanted = [target] if np.ndim(target) == 0 else list(target)
    known = classes.tolist()
    unknown = [label for label in wanted if label not in known]
    if unknown or not wanted:
        raise ValueError(
            f"target should be one or several of the classes {known}, got {target!r}."
        )
    return np.array([known.index(label) for label in wanted])


def feature_names(subject):
    """Names of the features that the network sees: x0, x1, ... if they have none.

    Returns
    -------
    names : ndarray of shape (d,) of object
    """
    names = getattr(subject.model, "feature_names_in_", None)
    if names is not None:
        return names
    try:
        for step in subject.steps:
            names = step.get_feature_names_out(names)
    except (AttributeError, ValueError):  # a step that can't tell
        names = None
    if names is None:
        names = [f"x{i}" for i in range(subject.X.shape[1])]
    return np.asarray(names, dtype=object)


def take_baseline(subject, baseline):
    """Validate the rows that others are compared with.

    Parameters
    ----------
    subject : Subject
    baseline : {array-like, sparse matrix} of shape (d,) or (m, d), or None
        None is the mean of the features in training.

    Returns
    -------
    baseline : ndarray of shape (m, d)

    Raises
    ------
    ValueError
    """
    if baseline is None:
        baseline = _training_mean(subject.model)
    else:
        try:
            baseline = transform(subject.steps, _as_rows(baseline))
            if hasattr(baseline, "columns") and hasattr(subject.model, "feature_names_in_"):
                check_feature_names(subject.model, baseline, reset=False)
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"In baseline: {error}\nIt should be a row like those of X, or several."
            ) from error
    rows = check_array(
        baseline, accept_sparse="csr", dtype=subject.X.dtype, input_name="baseline"
    )
    n_features = subject.X.shape[1]
    if rows.shape[1] != n_features:
        raise ValueError(
            f"baseline has {rows.shape[1]} features, but {n_features} are expected."
        )
    return rows.toarray() if sparse.issparse(rows) else rows


def _training_mean(model):
    scaling = model._progress["scaling"]
    if scaling is None:
        raise ValueError(
            "baseline=None is the mean of the features in training, which is known with "
            "standardize=True only. Pass baseline, a row or several to compare with."
        )
    return scaling[0][np.newaxis]


def _as_rows(baseline):
    """A row as a matrix of one; a Series as a frame, so that it keeps its names.

    Texts are rows each.
    """
    if isinstance(baseline, str):
        return [baseline]
    is_table = hasattr(baseline, "columns") or sparse.issparse(baseline)
    if is_table or all(isinstance(row, str) for row in baseline):
        return baseline
    if hasattr(baseline, "to_frame") and hasattr(baseline, "index"):
        return baseline.to_frame().T
    rows = np.asarray(baseline)
    return rows[np.newaxis] if rows.ndim == 1 else rows
