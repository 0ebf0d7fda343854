"""The same fit on a cluster, or on data larger than memory, with Dask.

Loss and gradient are sums over rows, so those of the partitions add up to those of the
whole: the parameters are the ones that a fit on one machine would find.

>>> import dask.array as da
>>> from sklearn.datasets import load_digits
>>> from skmlp.dask import DaskMLPClassifierManual
>>> X, y = load_digits(return_X_y=True)
>>> X, y = da.from_array(X / 16, chunks=(500, 64)), da.from_array(y, chunks=500)
>>> model = DaskMLPClassifierManual(20, solver="lbfgs", alpha=1.0, tol=1e-3, random_state=0)
>>> model = model.fit(X, y)
>>> bool((model.predict(X) == y).mean().compute() > 0.95)
True
>>> type(model.to_local()).__name__
'MLPClassifierManual'

It needs the extra ``dask`` (``pip install "skmlp[dask]"``). With a `distributed.Client`,
the partitions live on its workers; without one, Dask uses threads of this process.
"""

import math
from functools import partial, reduce
from typing import NamedTuple

import dask
import numpy as np
from dask import array as da
from dask import delayed
from scipy import sparse
from sklearn.base import _fit_context
from sklearn.metrics import accuracy_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _num_samples,
    check_is_fitted,
)

from skmlp._alpha import MOST_ROWS, sample
from skmlp._callbacks import with_callbacks
from skmlp._classifier import (
    MLPClassifierManual,
    _unchanged_on_error,
    search_objective,
)
from skmlp._coordinates import feature_moments, merge_moments
from skmlp._objective import Objective
from skmlp._parallel import row_threads
from skmlp._rows import Rows, check_total, class_counts, weigh
from skmlp._targets import ClassLabels, are_texts, targets_of

# Partial sums that one task adds up: a tree, so that no machine receives them all
_SUMMANDS = 8


def _has_no_partial_fit(estimator):
    raise AttributeError(
        "partial_fit is not available on partitions: fit takes all of them. For chunks in "
        "memory, use MLPClassifierManual."
    )


class DaskMLPClassifierManual(MLPClassifierManual):
    """MLPClassifierManual on Dask collections, by L-BFGS.

    Loss and gradient are evaluated where the partitions are, added up in a tree of tasks,
    and handed to L-BFGS in this process. The objective, and with it the result, is that of
    `MLPClassifierManual(solver="lbfgs")` on the same rows in memory, up to the rounding of
    sums that are formed in another order.

    The constructor is that of `MLPClassifierManual`, whose documentation describes the
    parameters. ``solver="lbfgs"`` (or 'auto') and ``scoring="loss"`` are required, and
    `early_stopping` needs a validation set, since no rows are held out ('auto' stops early
    if there is one).

    See Also
    --------
    MLPClassifierManual : The estimator for data in memory, or in a memory map.

    Examples
    --------
    >>> import dask.array as da
    >>> from skmlp.dask import DaskMLPClassifierManual
    >>> X = da.random.default_rng(0).normal(size=(1000, 5), chunks=(250, 5))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> model = DaskMLPClassifierManual(10, solver="lbfgs", tol=1e-2, random_state=0)
    >>> model.fit(X, y).predict_proba(X).chunks
    ((250, 250, 250, 250), (2,))
    """

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X,
        y,
        sample_weight=None,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
        coefs_init=None,
        intercepts_init=None,
        persist=True,
    ):
        """Fit the network to partitioned data.

        Parameters
        ----------
        X : dask Array or DataFrame of shape (n_samples, n_features)
            The data. Chunks may be dense or scipy.sparse, of any size, known or not.

        y : dask Array, Series or DataFrame of shape (n_samples,) or (n_samples, n_outputs)
            The class labels, or an indicator matrix; as many partitions as X, with as
            many rows each. Arrays with known chunks are rechunked to those of X.

        sample_weight : dask Array or Series of shape (n_samples,), default=None
            Weights of the rows, at least 0; None means 1 each.

        X_val, y_val, sample_weight_val : dask collections or array-like, default=None
            A validation set, as in `MLPClassifierManual.fit`, in partitions or in memory.

        coefs_init, intercepts_init : list of array-like, default=None
            Parameters to start from, as in `MLPClassifierManual.fit`.

        persist : bool, default=True
            Whether the partitions are read once and kept in memory (of the workers). If
            False, they are read again for each evaluation, and no more of them are in
            memory than are worked on: for data larger than memory.

        Returns
        -------
        self : DaskMLPClassifierManual
            The fitted estimator.

        Raises
        ------
        TypeError
            If X is not a Dask collection.
        ValueError
            As `MLPClassifierManual.fit`; what is wrong with a partition is said with its
            number. Errors of reading a partition are its own.

        Examples
        --------
        >>> import dask.dataframe as dd
        >>> from sklearn.datasets import load_iris
        >>> from skmlp.dask import DaskMLPClassifierManual
        >>> frame = dd.from_pandas(load_iris(as_frame=True).frame, npartitions=3)
        >>> model = DaskMLPClassifierManual(solver="lbfgs", tol=1e-2, random_state=0)
        >>> model = model.fit(frame.drop(columns="target"), frame["target"])
        >>> model.n_features_in_
        4
        """
        has_validation_set = any(
            given is not None for given in (X_val, y_val, sample_weight_val)
        )
        self._check_settings(has_validation_set)
        self._warn_of_unused_parameters(has_validation_set)
        with _unchanged_on_error(self), np.errstate(all="ignore"):
            go_on = self._goes_on(coefs_init, intercepts_init)
            task = self._begin_task(X, y, sample_weight)
            data = _read(_partitions(X, y, sample_weight), persist)
            self._set_features(data, reset=not go_on)
            self._set_targets(data.targets, go_on)
            class_weights = data.targets.class_weights(
                self.class_weight, data.targets.classes, data.class_counts
            )
            dtype = self.coefs_[0].dtype if go_on else data.dtype
            training = _encode(data, data.targets, class_weights, dtype, persist)
            del data  # lets go of the partitions as they were read
            validation = None
            if has_validation_set:
                validation = self._read_validation_set(
                    X_val, y_val, sample_weight_val, class_weights, dtype, persist
                )
            self._train_on_parts(training, validation, coefs_init, intercepts_init, task)
            if task is not None:
                task.end(dict)
            return self

    def _check_settings(self, has_validation_set):
        if self._solver() != "lbfgs":
            raise ValueError(
                f"solver={self._solver()!r} does not work on partitions: 'lbfgs' does, "
                "without dropout."
            )
        if self.scoring != "loss":
            raise ValueError(
                f"scoring={self.scoring!r} does not work on partitions: leave it at 'loss'."
            )
        if self.early_stopping and self.early_stopping != "auto" and not has_validation_set:
            raise ValueError(
                "early_stopping=True needs X_val and y_val: no rows are held out of "
                "partitions."
            )

    def _set_features(self, data, reset):
        """Number and names of the features, checked as scikit-learn does, or set."""
        like = np.empty((0, data.n_features))
        if data.feature_names is not None:
            import pandas as pd

            like = pd.DataFrame(like, columns=list(data.feature_names))
        _check_feature_names(self, like, reset=reset)
        _check_n_features(self, like, reset=reset)

    def _read_validation_set(self, X, y, sample_weight, class_weights, dtype, persist):
        if X is None or y is None:
            raise ValueError("A validation set needs both X_val and y_val.")
        in_memory = not any(map(dask.is_dask_collection, (X, y, sample_weight)))
        try:
            parts = (
                [(X, y, sample_weight)] if in_memory else _partitions(X, y, sample_weight)
            )
            data = _read(parts, persist)
            self._set_features(data, reset=False)
            return _encode(data, self._targets(), class_weights, dtype, persist)
        except (ValueError, TypeError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"In the validation set: {error}") from error

    def _train_on_parts(self, training, validation, coefs_init, intercepts_init, task):
        """As `_train`, with the sums over rows formed where the rows are."""
        network = self._network(self.n_features_in_)
        going_on = hasattr(self, "coefs_")
        drawn = None if going_on else self._draw(network, training.dtype)
        with row_threads(2) as map_rows:
            coordinates = self._coordinates(
                network, training.dtype, lambda: _moments(training)
            )
            theta = self._start(network, drawn, coordinates, coefs_init, intercepts_init)
            entropy = network.output.entropy(training.shares)
            theta, found = self._set_alpha(
                partial(self._draw_samples, _sample, training, validation),
                partial(search_objective, network, coordinates),
                theta,
                network if theta is drawn else None,
                entropy,
                map_rows,
            )
        objective = _SumOfParts(network, training, self.alpha_, coordinates)
        validate = None
        if validation is not None:
            held_out = _SumOfParts(network, validation, 0.0, coordinates)
            validate = self._validator(held_out)
        stops_early = bool(self.early_stopping) and validation is not None
        monitor = self._monitor(entropy, validate, stops_early, incremental=False)
        if task is not None:
            monitor.notify = self._notifier(objective, monitor, task)
        self._solve(objective, theta, monitor, training.shares, found=found)

    @available_if(_has_no_partial_fit)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Not available: train on all partitions by `fit`, or on chunks in memory.

        Parameters
        ----------
        X, y, classes, sample_weight : object
            Of `MLPClassifierManual.partial_fit`, which takes chunks in memory.

        Examples
        --------
        >>> from skmlp.dask import DaskMLPClassifierManual
        >>> hasattr(DaskMLPClassifierManual(), "partial_fit")
        False
        """

    def to_local(self):
        """Return the plain estimator, with the same parameters and fitted attributes.

        Returns
        -------
        model : MLPClassifierManual
            It needs no Dask, neither to predict nor to be unpickled.

        Examples
        --------
        >>> import dask.array as da
        >>> from skmlp.dask import DaskMLPClassifierManual
        >>> X = da.random.default_rng(0).normal(size=(100, 2), chunks=(50, 2))
        >>> model = DaskMLPClassifierManual(3, solver="lbfgs", alpha=1.0, random_state=0)
        >>> model.fit(X, X[:, 0] > 0).to_local()
        MLPClassifierManual(alpha=1.0, hidden_layer_sizes=3, random_state=0,
                            solver='lbfgs')
        """
        local = MLPClassifierManual()
        vars(local).update(vars(self))  # `set_output` and metadata requests are among these
        return local

    def predict(self, X):
        """Predict the labels of each row.

        Parameters
        ----------
        X : dask Array or DataFrame, or {array-like, sparse matrix}
            The data, of shape (n_samples, n_features).

        Returns
        -------
        y : dask Array or Series, or ndarray
            Lazy if X is: nothing is computed before it is asked for.

        Examples
        --------
        >>> import dask.array as da
        >>> from skmlp.dask import DaskMLPClassifierManual
        >>> X = da.random.default_rng(0).normal(size=(100, 2), chunks=(50, 2))
        >>> model = DaskMLPClassifierManual(3, solver="lbfgs", alpha=1.0, random_state=0)
        >>> model.fit(X, X[:, 0] > 0).predict(X)[:3].compute().dtype
        dtype('bool')
        """
        return self._lazily("predict", X)

    def predict_proba(self, X):
        """Predict the probability of each class; see `predict`.

        Parameters
        ----------
        X : dask Array or DataFrame, or {array-like, sparse matrix}
            The data, of shape (n_samples, n_features).

        Returns
        -------
        proba : dask Array or DataFrame, or ndarray
            Of shape (n_samples, n_classes), lazy if X is.

        Examples
        --------
        >>> import dask.array as da
        >>> from skmlp.dask import DaskMLPClassifierManual
        >>> X = da.random.default_rng(0).normal(size=(100, 2), chunks=(50, 2))
        >>> model = DaskMLPClassifierManual(3, solver="lbfgs", alpha=1.0, random_state=0)
        >>> model.fit(X, X[:, 0] > 0).predict_proba(X).shape
        (100, 2)
        """
        return self._lazily("predict_proba", X)

    def predict_log_proba(self, X):
        """Predict the logarithm of the probability of each class; see `predict`.

        Parameters
        ----------
        X : dask Array or DataFrame, or {array-like, sparse matrix}
            The data, of shape (n_samples, n_features).

        Returns
        -------
        log_proba : dask Array or DataFrame, or ndarray
            Of shape (n_samples, n_classes), lazy if X is.

        Examples
        --------
        >>> import dask.array as da
        >>> from skmlp.dask import DaskMLPClassifierManual
        >>> X = da.random.default_rng(0).normal(size=(100, 2), chunks=(50, 2))
        >>> model = DaskMLPClassifierManual(3, solver="lbfgs", alpha=1.0, random_state=0)
        >>> bool((model.fit(X, X[:, 0] > 0).predict_log_proba(X) <= 0).all().compute())
        True
        """
        return self._lazily("predict_log_proba", X)

    def decision_function(self, X):
        """Compute the logits; see `predict`.

        Parameters
        ----------
        X : dask Array or DataFrame, or {array-like, sparse matrix}
            The data, of shape (n_samples, n_features).

        Returns
        -------
        decision : dask Array, Series or DataFrame, or ndarray
            Of shape (n_samples, n_classes), or (n_samples,) for two classes; lazy if X is.

        Examples
        --------
        >>> import dask.array as da
        >>> from skmlp.dask import DaskMLPClassifierManual
        >>> X = da.random.default_rng(0).normal(size=(100, 2), chunks=(50, 2))
        >>> model = DaskMLPClassifierManual(3, solver="lbfgs", alpha=1.0, random_state=0)
        >>> model.fit(X, X[:, 0] > 0).decision_function(X).shape
        (100,)
        """
        return self._lazily("decision_function", X)

    def hidden_activations(self, X, layer=-1):
        """Compute the outputs of a hidden layer; see `predict`.

        Parameters
        ----------
        X : dask Array or DataFrame, or {array-like, sparse matrix}
            The data, of shape (n_samples, n_features).

        layer : int, default=-1
            Which hidden layer: 0 is the first, -1 the last.

        Returns
        -------
        H : dask Array or DataFrame, or ndarray
            Of shape (n_samples, n_units), lazy if X is.

        Examples
        --------
        >>> import dask.array as da
        >>> from skmlp.dask import DaskMLPClassifierManual
        >>> X = da.random.default_rng(0).normal(size=(100, 2), chunks=(50, 2))
        >>> model = DaskMLPClassifierManual(3, solver="lbfgs", alpha=1.0, random_state=0)
        >>> model.fit(X, X[:, 0] > 0).hidden_activations(X).shape
        (100, 3)
        """
        return self._lazily("hidden_activations", X, layer=layer)

    def transform(self, X):
        """Compute the outputs of the last hidden layer; see `predict`.

        Parameters
        ----------
        X : dask Array or DataFrame, or {array-like, sparse matrix}
            The data, of shape (n_samples, n_features).

        Returns
        -------
        H : dask Array or DataFrame, or ndarray
            Of shape (n_samples, n_units), lazy if X is.

        Examples
        --------
        >>> import dask.array as da
        >>> from skmlp.dask import DaskMLPClassifierManual
        >>> X = da.random.default_rng(0).normal(size=(100, 2), chunks=(50, 2))
        >>> model = DaskMLPClassifierManual(3, solver="lbfgs", alpha=1.0, random_state=0)
        >>> model.fit(X, X[:, 0] > 0).transform(X).shape
        (100, 3)
        """
        return self._lazily("transform", X)

    def score(self, X, y, sample_weight=None):
        """Compute the share of rows whose labels are predicted.

        Parameters
        ----------
        X, y : dask collections or array-like
            The data, and the true labels.

        sample_weight : dask Array or Series, or array-like, default=None
            Weights of the rows.

        Returns
        -------
        score : float
            Computed at once; only labels and weights are gathered here.

        Examples
        --------
        >>> import dask.array as da
        >>> from skmlp.dask import DaskMLPClassifierManual
        >>> X = da.random.default_rng(0).normal(size=(100, 2), chunks=(50, 2))
        >>> model = DaskMLPClassifierManual(3, solver="lbfgs", alpha=1.0, random_state=0)
        >>> model.fit(X, X[:, 0] > 0).score(X, X[:, 0] > 0) > 0.9
        True
        """
        predicted, y, sample_weight = dask.compute(self.predict(X), y, sample_weight)
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def _lazily(self, method, X, **arguments):
        """What a method of the local estimator returns, for each partition of X."""
        check_is_fitted(self)
        local = self.to_local()
        if not dask.is_dask_collection(X):
            return getattr(local, method)(X, **arguments)
        unnamed = self.to_local()
        vars(unnamed).pop("feature_names_in_", None)
        row = np.zeros((1, self.n_features_in_), self.coefs_[0].dtype)
        nothing = getattr(unnamed, method)(row, **arguments)[:0]
        call = partial(_call, local, method, arguments)
        if isinstance(X, da.Array):
            X = X.rechunk({1: -1}) if X.numblocks[1] > 1 else X
            of_block = partial(_predict_block, call, nothing)
            if nothing.ndim == 1:
                return X.map_blocks(of_block, drop_axis=1, meta=nothing)
            chunks = (X.chunks[0], (nothing.shape[1],))
            return X.map_blocks(of_block, chunks=chunks, meta=nothing)
        import pandas as pd

        index = X._meta.index
        if nothing.ndim == 1:
            meta = pd.Series(nothing, index=index, name=method)
        else:
            is_hidden = method in ("transform", "hidden_activations")
            columns = range(nothing.shape[1]) if is_hidden else self.classes_
            meta = pd.DataFrame(nothing, index=index, columns=columns)
        return X.map_partitions(
            partial(_predict_frame, call, meta), meta=meta, enforce_metadata=False
        )


def _call(model, method, arguments, X):
    return getattr(model, method)(X, **arguments)


def _predict_block(call, nothing, X):
    return call(X) if X.shape[0] else nothing


def _predict_frame(call, meta, X):
    if not len(X):
        return meta
    values = call(X)
    if values.ndim == 1:
        return type(meta)(values, index=X.index, name=meta.name, dtype=meta.dtype)
    return type(meta)(values, index=X.index, columns=meta.columns)


class _Data(NamedTuple):
    """Validated partitions, before labels are encoded.

    Attributes
    ----------
    parts : list of (int, Delayed)
        Number of a partition, and its (X, y, sample_weight), of those with rows.
    sizes : list of (int, float)
        Rows and sample weight of each.
    targets : ClassLabels or LabelIndicators
        Of all partitions together.
    class_counts : ndarray of shape (K,)
        Weight of the rows of each class or label.
    n_features : int
    feature_names : tuple of str or None
    dtype : {float32, float64}
        float32 if every partition is.
    """

    parts: list
    sizes: list
    targets: object
    class_counts: np.ndarray
    n_features: int
    feature_names: tuple | None
    dtype: np.dtype


class _Encoded(NamedTuple):
    """Partitions that are ready for an objective.

    Attributes
    ----------
    rows : list of Delayed
        Of `Rows`; partitions without weight are left out.
    n_rows : int
    total_weight : float
    shares : ndarray of shape (K,)
        Of each class or label in the total weight.
    dtype : {float32, float64}
    """

    rows: list
    n_rows: int
    total_weight: float
    shares: np.ndarray
    dtype: np.dtype


class _Summary(NamedTuple):
    """What the client learns of a partition."""

    number: int
    n_rows: int
    weight: float
    targets: object
    class_counts: np.ndarray
    n_features: int
    feature_names: tuple | None
    dtype: np.dtype


def _read(parts, persist):
    """Validate every partition where it is; what they are together."""
    checked = [delayed(_check_part)(number, *pieces) for number, pieces in enumerate(parts)]
    if persist:
        checked = dask.persist(*checked)
    summaries = dask.compute(*(delayed(_second)(pair) for pair in checked))
    summaries = [summary for summary in summaries if summary is not None]
    if not summaries:
        raise ValueError("X has no rows.")
    first = summaries[0]
    for other in summaries[1:]:
        _check_that_parts_match(first, other)
    targets, counts = _merge_targets(summaries)
    return _Data(
        [
            (summary.number, delayed(_first)(checked[summary.number]))
            for summary in summaries
        ],
        [(summary.n_rows, summary.weight) for summary in summaries],
        targets,
        counts,
        first.n_features,
        first.feature_names,
        np.result_type(*(summary.dtype for summary in summaries)),
    )


def _first(pair):
    return pair[0]


def _second(pair):
    return pair[1]


def _partitions(X, y, sample_weight):
    """Delayed pieces (X, y, sample_weight) of each partition."""
    if not dask.is_dask_collection(X):
        raise TypeError(
            f"X should be a Dask array or dataframe, got {type(X).__name__}. For data in "
            "memory or in a memory map, use MLPClassifierManual."
        )
    pieces = [_blocks(X)]
    for name, other in (("y", y), ("sample_weight", sample_weight)):
        if other is None:
            pieces.append([None] * len(pieces[0]))
            continue
        if not dask.is_dask_collection(other):
            raise TypeError(
                f"{name} should be a Dask collection, as X is, got {type(other).__name__}."
            )
        both_known = all(
            isinstance(data, da.Array) and not np.isnan(data.chunks[0]).any()
            for data in (X, other)
        )
        if both_known and len(X) == len(other):
            other = other.rechunk({0: X.chunks[0]})
        pieces.append(_blocks(other))
        if len(pieces[-1]) != len(pieces[0]):
            raise ValueError(
                f"X has {len(pieces[0])} partitions, but {name} has {len(pieces[-1])}. "
                "Repartition one as the other."
            )
    return zip(*pieces, strict=True)


def _blocks(data):
    if isinstance(data, da.Array):
        if data.ndim == 2 and data.numblocks[1] > 1:
            data = data.rechunk({1: -1})
        return data.to_delayed().ravel().tolist()
    return data.to_delayed()


def _check_part(number, X, y, sample_weight):
    """Validated (X, y, sample_weight) of a partition, and a `_Summary`."""
    plain = MLPClassifierManual(solver="lbfgs")
    try:
        n_rows = [_num_samples(rows) for rows in (X, y, sample_weight) if rows is not None]
        if len(set(n_rows)) > 1:
            raise ValueError(
                f"X, y and sample_weight have inconsistent numbers of rows: {n_rows}."
            )
        if n_rows[0] == 0:
            return None, None
        # weights that are all 0 are wrong in all of the data, but not in a part of them
        is_weightless = sample_weight is not None and not np.any(sample_weight)
        X, y, weights = plain._check_data(X, y, None if is_weightless else sample_weight)
        sample_weight = np.zeros(X.shape[0]) if is_weightless else weights
    except (ValueError, TypeError) as error:
        raise ValueError(f"In partition {number}: {error}") from error
    targets = targets_of(y)
    counts = class_counts(targets.encode(y), sample_weight, len(targets.classes))
    names = getattr(plain, "feature_names_in_", None)
    names = None if names is None else tuple(names)
    weight = X.shape[0] if sample_weight is None else float(sample_weight.sum())
    summary = _Summary(
        number, X.shape[0], weight, targets, counts, X.shape[1], names, X.dtype
    )
    return (X, y, sample_weight), summary


def _check_that_parts_match(one, other):
    for what, values in (
        ("features", (one.n_features, other.n_features)),
        ("feature names", (one.feature_names, other.feature_names)),
        ("kind of y", (type(one.targets).__name__, type(other.targets).__name__)),
    ):
        if values[0] != values[1]:
            raise ValueError(
                f"Partitions {one.number} and {other.number} differ in {what}: {values[0]} "
                f"and {values[1]}."
            )


def _merge_targets(summaries):
    """What y is in all partitions together, and the weight of each class."""
    first = summaries[0].targets
    classes = [summary.targets.classes for summary in summaries]
    if not isinstance(first, ClassLabels):
        lengths = {len(columns) for columns in classes}
        if len(lengths) > 1:
            raise ValueError(
                f"Partitions of y have different numbers of columns: {lengths}."
            )
        return first, sum(summary.class_counts for summary in summaries)
    for summary in summaries:
        if are_texts(summary.targets.classes) != are_texts(first.classes):
            raise ValueError(
                f"Partitions {summaries[0].number} and {summary.number} of y have labels "
                f"of different types: {first.classes} and {summary.targets.classes}."
            )
    targets = ClassLabels(np.unique(np.concatenate(classes)))
    counts = np.zeros(len(targets.classes))
    for summary in summaries:
        counts[targets.encode(summary.targets.classes)] += summary.class_counts
    return targets, counts


def _encode(data, targets, class_weights, dtype, persist):
    """Rows of each partition, with the targets and weights that all of them share."""
    if isinstance(data.targets, ClassLabels) and isinstance(targets, ClassLabels):
        targets.check(data.targets.classes)
    total = sum(weight for _, weight in data.sizes)
    counts = np.zeros(len(targets.classes))
    counts[np.searchsorted(targets.classes, data.targets.classes)] = data.class_counts
    if class_weights is not None:
        counts *= class_weights
        total = float(counts.sum())
    check_total(total)
    rows = [
        delayed(_encode_part)(number, part, targets, class_weights, dtype)
        for (number, part), (_, weight) in zip(data.parts, data.sizes, strict=True)
        if weight > 0
    ]
    if persist:
        rows = dask.persist(*rows)
    n_rows = sum(n for n, weight in data.sizes if weight > 0)
    return _Encoded(list(rows), n_rows, total, counts / total, np.dtype(dtype))


def _encode_part(number, part, targets, class_weights, dtype):
    X, y, sample_weight = part
    try:
        targets.check(y)
        encoded = targets.encode(y)
    except ValueError as error:
        raise ValueError(f"In partition {number}: {error}") from error
    return weigh(X.astype(dtype, copy=False), encoded, sample_weight, class_weights)


def _moments(data):
    """Moments of the features in all partitions."""
    return _tree([delayed(_part_moments)(rows) for rows in data.rows], _merge).compute()


def _part_moments(rows):
    return feature_moments(rows.X, rows.weights)


def _merge(moments):
    return reduce(merge_moments, moments)


def _sample(data, targets, seed):
    """Rows of all partitions, or of each its share of as many as `sample` draws."""
    share = min(1.0, MOST_ROWS / data.n_rows)
    parts = dask.compute(
        *(delayed(_sample_part)(rows, targets, seed, share) for rows in data.rows)
    )
    return Rows(*(_stack(pieces) for pieces in zip(*parts, strict=True)))


def _sample_part(rows, targets, seed, share):
    strata, _ = targets.strata(rows.targets)
    return sample(rows, strata, seed, math.ceil(share * rows.X.shape[0]))


def _stack(pieces):
    if pieces[0] is None:
        return None
    if sparse.issparse(pieces[0]):
        return sparse.vstack(pieces, format="csr")
    return np.concatenate(pieces)


def _tree(values, add):
    """One delayed value, from tasks that each add up a few."""
    while len(values) > 1:
        values = [
            delayed(add)(values[start : start + _SUMMANDS])
            for start in range(0, len(values), _SUMMANDS)
        ]
    return values[0]


class _SumOfParts:
    """An objective whose rows are in partitions: the sum of an `Objective` of each.

    Parameters
    ----------
    network : Network
    data : _Encoded
    alpha : float
        The first partition's objective has the penalty, the others have none.
    coordinates : Coordinates or None
    """

    def __init__(self, network, data, alpha, coordinates=None):
        self.network = network
        self.coordinates = coordinates
        self.dtype, self.n_rows = data.dtype, data.n_rows
        self._rows = data.rows
        self._alphas = [alpha] + [0.0] * (len(data.rows) - 1)
        self._total_weight = data.total_weight

    def loss(self, theta):
        """F(theta), as `Objective.loss`."""
        return self._sum("loss", theta)

    def loss_gradient(self, theta):
        """F(theta) and its gradient, as `Objective.loss_gradient`."""
        return self._sum("loss_gradient", theta)

    def rough(self):
        """Nothing: the partitions are not to be copied."""

    def _sum(self, method, theta):
        theta = delayed(theta.astype(self.dtype, copy=False))
        coordinates = delayed(self.coordinates)
        values = [
            delayed(_evaluate)(
                method, theta, self.network, coordinates, rows, alpha, self._total_weight
            )
            for rows, alpha in zip(self._rows, self._alphas, strict=True)
        ]
        return _tree(values, _add).compute()


def _evaluate(method, theta, network, coordinates, rows, alpha, total):
    # Partitions run side by side: one thread for each is enough
    with row_threads(1) as map_rows:
        objective = Objective(
            network,
            *rows[:3],
            alpha,
            coordinates=coordinates,
            total_weight=total,
            map=map_rows,
        )
        return getattr(objective, method)(theta)


def _add(values):
    if isinstance(values[0], tuple):
        losses, gradients = zip(*values, strict=True)
        return sum(losses), np.sum(gradients, axis=0)
    return sum(values)
