"""The network within a fitted estimator, and its problem of some rows."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmlp._estimator import BaseMLP
from skmlp._intake import take_chunk
from skmlp._outcome import Progress
from skmlp._problem import Problem, from_raw
from skmlp._settings import Settings
from skmlp.inspection._columns import encode


def unwrap(estimator):
    """The steps that rows go through before the network, and the network.

    Parameters
    ----------
    estimator : estimator
        A fitted `MLPClassifierManual` or `MLPRegressorManual`, or a net for tables, a
        pipeline that ends in one, or a search with ``refit=True`` over one of these.

    Returns
    -------
    steps : list of transformer
    model : BaseMLP

    Raises
    ------
    TypeError
        If there is no such network.
    NotFittedError
    """
    steps = []
    while True:
        if isinstance(estimator, Pipeline):
            steps += _transformers(estimator.steps[:-1])
            estimator = estimator[-1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            _check_model(estimator)
            return steps, estimator


def _transformers(steps):
    """The steps of a pipeline that rows go through in a prediction, one by one.

    A sampler is none of them. A pipeline asks its last step whether it is fitted, which a
    step without fitted attributes denies, so pipelines among the steps are taken apart.
    """
    for _, step in steps:
        if isinstance(step, Pipeline):
            yield from _transformers(step.steps)
        elif hasattr(step, "transform"):
            yield step


def transform(steps, X):
    """The rows as the network sees them."""
    for step in steps:
        X = step.transform(X)
    return X


def fitted_problem(model, X, y, sample_weight):
    """The problem of rows, and the parameters that a fitted network has for it.

    Parameters
    ----------
    model : BaseMLP
        Fitted.
    X, y, sample_weight : array-like
        As of its `fit`; y may lack some of the classes.

    Returns
    -------
    problem : Problem
        In double precision.
    theta : ndarray of shape (P,)

    Raises
    ------
    ValueError
        If the rows do not fit the network.
    """
    settings, progress = Settings(model), Progress.of(model)
    given = encode(model, X), y, None, sample_weight
    taken = take_chunk(model._net(), settings, progress, *given)
    data, targets = taken.data.astype(np.float64), taken.targets
    network = settings.network(data.n_features, targets)
    coordinates = progress.coordinates(network, data.dtype)
    raw = progress.coefs, progress.intercepts, data.dtype, progress.widening
    theta = from_raw(network, coordinates, targets, *raw)
    return Problem(network, coordinates, data, targets), theta


def _check_model(model):
    name = type(model).__name__
    if not isinstance(model, BaseMLP):
        if hasattr(model, "refit"):  # a search, that may not be fitted yet
            check_is_fitted(model)
        raise TypeError(
            "estimator must be an MLPClassifierManual, MLPRegressorManual, "
            "TabularMLPClassifier or TabularMLPRegressor, a pipeline that ends in one, or "
            f"a search with refit=True over one of these; got {name}."
        )
    if hasattr(model, "to_local"):
        raise TypeError(
            f"estimator is a {name}, which is for partitions: pass estimator.to_local(), "
            "and rows in memory."
        )
    check_is_fitted(model)
