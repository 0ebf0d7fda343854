"""Predictions of partitions: lazily, each where its partition is."""

from copy import copy
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

What `{local}.{name}` returns, for each partition of X.

Parameters
----------
X : dask Array or DataFrame, or {{array-like, sparse matrix}}
    The data, of shape (n_samples, n_features).
{parameters}
Returns
-------
result : dask Array, Series or DataFrame, or ndarray
    Lazy if X is: nothing is computed before it is asked for.

Examples
--------
>>> import dask.array as da
>>> from skmlp.dask import {cls}
>>> X = da.random.default_rng(0).normal(size=(100, 2), chunks=(50, 2))
>>> model = {cls}(hidden_layer_sizes=3, alpha=1.0, random_state=0)
>>> model.fit(X, {y}).{name}(X).shape
{shape}
"""
# The parameters beside X
_PARAMETERS = {
    "layer": """
layer : int, default=-1
    Which hidden layer: 0 is the first, -1 the last.
""",
    "return_std": """
return_std : bool, default=False
    Whether to return the standard deviation, too: a second result, of the same kind,
    for ``loss="gaussian"`` only.
""",
}


def lazy_methods(y):
    """Give a class the methods of the table, which call the same methods of its `to_local`.

    Parameters
    ----------
    y : str
        The targets of the examples, computed from X.
    """

    def decorate(cls):
        for name in _METHODS:
            if hasattr(cls, name):
                setattr(cls, name, _lazy_method(cls, name, y))
        return cls

    return decorate


def _lazy_method(cls, name, y):
    local = getattr(cls._local_class, name)

    def method(self, X, *args, **options):
        return _lazily(self, partial(_call, name, args, options), name, X)

    method.__signature__ = signature(local)
    method.__name__, method.__qualname__ = name, f"{cls.__name__}.{name}"
    method.__module__ = cls.__module__
    method.__doc__ = _DOC.format(
        cls=cls.__name__,
        local=cls._local_class.__name__,
        summary=getdoc(local).partition("\n")[0],
        name=name,
        parameters="".join(map(_PARAMETERS.get, list(signature(local).parameters)[2:])),
        y=y,
        shape=_METHODS[name],
    )
    return method


def _lazily(estimator, call, name, X):
    """What a method of the local estimator returns, for each partition of X."""
    check_is_fitted(estimator)
    local = estimator.to_local()
    if not dask.is_dask_collection(X):
        return call(X, local)
    nothing, model = _empty(local, call), sent(local, local.coefs_)
    if not isinstance(nothing, tuple):
        return _of_collection(estimator, call, name, X, nothing, model)
    return tuple(
        _of_collection(estimator, partial(_item, i, call), name, X, empty, model)
        for i, (name, empty) in enumerate(zip((name, "std"), nothing, strict=True))
    )


def _of_collection(estimator, call, name, X, nothing, model):
    """A lazy result, of which `nothing` has no rows."""
    if isinstance(X, da.Array):
        return _of_array(X, call, nothing, model)
    meta = _empty_frame(estimator, name, X._meta.index, nothing)
    return X.map_partitions(
        partial(_predict_frame, call, meta), model, meta=meta, enforce_metadata=False
    )


def _empty(local, call):
    """What the method returns for no rows."""
    unnamed = copy(local)
    vars(unnamed).pop("feature_names_in_", None)
    row = np.zeros((1, local.n_features_in_), local.coefs_[0].dtype)
    result = call(row, unnamed)
    if isinstance(result, tuple):
        return tuple(part[:0] for part in result)
    return result[:0]


def _of_array(X, call, nothing, model):
    X = X.rechunk({1: -1}) if X.numblocks[1] > 1 else X
    of_block = partial(_predict_block, call, nothing)
    if nothing.ndim == 1:
        return X.map_blocks(of_block, model, drop_axis=1, meta=nothing)
    chunks = (X.chunks[0], (nothing.shape[1],))
    return X.map_blocks(of_block, model, chunks=chunks, meta=nothing)


def _empty_frame(estimator, name, index, nothing):
    import pandas as pd

    if nothing.ndim == 1:
        return pd.Series(nothing, index=index, name=name)
    if isinstance(nothing, pd.DataFrame):  # as `set_output` wants it
        return nothing.set_axis(estimator.get_feature_names_out(), axis=1).set_axis(index)
    of_units = range(nothing.shape[1])
    columns = of_units if name in _OF_UNITS else estimator._targets().columns
    return pd.DataFrame(nothing, index=index, columns=columns)


def _call(name, args, options, X, model):
    return getattr(model, name)(X, *args, **options)


def _item(i, call, X, model):
    return call(X, model)[i]


def _predict_block(call, nothing, X, model):
    return call(X, model) if X.shape[0] else nothing


def _predict_frame(call, meta, X, model):
    if not len(X):
        return meta
    values = np.asarray(call(X, model))
    if values.ndim == 1:
        return type(meta)(values, index=X.index, name=meta.name, dtype=meta.dtype)
    return type(meta)(values, index=X.index, columns=meta.columns)
