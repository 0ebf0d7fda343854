"""Predictions of partitions: lazily, each where its partition is."""

from functools import partial
from inspect import getdoc, signature

import dask
import numpy as np
from dask import array as da
from sklearn.utils.validation import check_is_fitted

from skmlp.dask._tasks import sent

# The methods, and the shape of what each returns for the rows of its example
_METHODS = {
    "predict": "(100,)",
    "predict_proba": "(100, 2)",
    "predict_log_proba": "(100, 2)",
    "decision_function": "(100,)",
    "hidden_activations": "(100, 3)",
    "transform": "(100, 3)",
}
_OF_UNITS = ("hidden_activations", "transform")
_DOC = """{summary}

What `MLPClassifierManual.{name}` returns, for each partition of X.

Parameters
----------
X : dask Array or DataFrame, or {{array-like, sparse matrix}}
    The data, of shape (n_samples, n_features).
{layer}
Returns
-------
result : dask Array, Series or DataFrame, or ndarray
    Lazy if X is: nothing is computed before it is asked for.

Examples
--------
>>> import dask.array as da
>>> from skmlp.dask import DaskMLPClassifierManual
>>> X = da.random.default_rng(0).normal(size=(100, 2), chunks=(50, 2))
>>> model = DaskMLPClassifierManual(3, solver="lbfgs", alpha=1.0, random_state=0)
>>> model.fit(X, X[:, 0] > 0).{name}(X).shape
{shape}
"""
_LAYER = """
layer : int, default=-1
    Which hidden layer: 0 is the first, -1 the last.
"""


def lazy_methods(cls):
    """Give a class the methods of the table, which call those of its `to_local`."""
    for name, shape in _METHODS.items():
        local = getattr(cls, name)
        has_layer = "layer" in signature(local).parameters
        method = _of_layer(name) if has_layer else _of_rows(name)
        method.__name__, method.__qualname__ = name, f"{cls.__name__}.{name}"
        method.__module__ = cls.__module__
        method.__doc__ = _DOC.format(
            summary=getdoc(local).partition("\n")[0],
            name=name,
            layer=_LAYER * has_layer,
            shape=shape,
        )
        setattr(cls, name, method)
    return cls


def _of_rows(name):
    def method(self, X):
        return _lazily(self, name, X)

    return method


def _of_layer(name):
    def method(self, X, layer=-1):
        return _lazily(self, name, X, layer=layer)

    return method


def _lazily(estimator, method, X, **arguments):
    """What a method of the local estimator returns, for each partition of X."""
    check_is_fitted(estimator)
    local = estimator.to_local()
    if not dask.is_dask_collection(X):
        return getattr(local, method)(X, **arguments)
    nothing = _empty(estimator, method, arguments)
    call, model = partial(_call, method, arguments), sent(local, local.coefs_)
    if isinstance(X, da.Array):
        return _of_array(X, call, nothing, model)
    meta = _empty_frame(estimator, method, X._meta.index, nothing)
    return X.map_partitions(
        partial(_predict_frame, call, meta), model, meta=meta, enforce_metadata=False
    )


def _empty(estimator, method, arguments):
    """What the method returns for no rows."""
    unnamed = estimator.to_local()
    vars(unnamed).pop("feature_names_in_", None)
    row = np.zeros((1, estimator.n_features_in_), estimator.coefs_[0].dtype)
    return getattr(unnamed, method)(row, **arguments)[:0]


def _of_array(X, call, nothing, model):
    X = X.rechunk({1: -1}) if X.numblocks[1] > 1 else X
    of_block = partial(_predict_block, call, nothing)
    if nothing.ndim == 1:
        return X.map_blocks(of_block, model, drop_axis=1, meta=nothing)
    chunks = (X.chunks[0], (nothing.shape[1],))
    return X.map_blocks(of_block, model, chunks=chunks, meta=nothing)


def _empty_frame(estimator, method, index, nothing):
    import pandas as pd

    if nothing.ndim == 1:
        return pd.Series(nothing, index=index, name=method)
    if isinstance(nothing, pd.DataFrame):  # as `set_output` wants it
        return nothing.set_axis(estimator.get_feature_names_out(), axis=1).set_axis(index)
    columns = range(nothing.shape[1]) if method in _OF_UNITS else estimator.classes_
    return pd.DataFrame(nothing, index=index, columns=columns)


def _call(method, arguments, X, model):
    return getattr(model, method)(X, **arguments)


def _predict_block(call, nothing, X, model):
    return call(X, model) if X.shape[0] else nothing


def _predict_frame(call, meta, X, model):
    if not len(X):
        return meta
    values = np.asarray(call(X, model))
    if values.ndim == 1:
        return type(meta)(values, index=X.index, name=meta.name, dtype=meta.dtype)
    return type(meta)(values, index=X.index, columns=meta.columns)
