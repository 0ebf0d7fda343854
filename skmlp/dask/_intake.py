"""Partitions that come in: each is validated where it is, and all of them together."""

from typing import NamedTuple

import dask
import numpy as np
from dask import array as da
from dask import delayed

from skmlp._classifier import MLPClassifierManual
from skmlp._intake import (
    Taken,
    check_data,
    check_same_classes,
    group_keys,
    shallow_copy,
    taken_attributes,
)
from skmlp._rows import Rows, check_total, weigh
from skmlp._sklearn import check_feature_names, check_n_features, count_samples
from skmlp._solvers import SOLVERS
from skmlp._targets import ClassLabels, are_texts, targets_of
from skmlp.dask._parts import Parts, SumOfParts


def take_parts(
    estimator, settings, earlier, X, y, sample_weight, groups, validation_set, *, persist
):
    """Validate partitions that `fit` was given; see `skmlp._intake.take`.

    Parameters
    ----------
    estimator, settings, earlier
        As there.
    X, y, sample_weight, groups : dask collections
    validation_set : tuple of dask collections or array-like, or None
    persist : bool
        Whether partitions are kept in memory once they have been read.

    Returns
    -------
    taken : Taken
    """
    probe = estimator if earlier else shallow_copy(estimator)
    data = _read(_partitions(X, y, sample_weight, groups), persist)
    _check_features(probe, data, reset=not earlier)
    if earlier:
        check_same_classes(estimator, data.targets)
    class_weights = data.targets.class_weights(
        settings.class_weight, data.targets.classes, data.class_counts
    )
    dtype = earlier.coefs[0].dtype if earlier else data.dtype
    parts = _encode(data, data.targets, class_weights, dtype, persist)
    targets = data.targets
    del data  # lets go of the partitions as they were read
    validation = None
    if validation_set is not None:
        validation = _take_validation_set(
            probe, targets, class_weights, dtype, persist, *validation_set
        )
    return Taken(parts, targets, validation, taken_attributes(probe, targets))


def check_settings(settings, has_validation_set):
    """Raise ValueError if partitions can't be trained on in that way."""
    missing = [verb for verb in settings.method.needs if not hasattr(SumOfParts, verb)]
    if missing:
        raise ValueError(
            f"solver={settings.solver!r} does not work on partitions: 'lbfgs' does, "
            "without dropout."
        )
    if settings.scoring != "loss":
        raise ValueError(
            f"scoring={settings.scoring!r} does not work on partitions: leave it at 'loss'."
        )
    if settings.early_stopping not in (False, "auto") and not has_validation_set:
        raise ValueError(
            "early_stopping=True needs X_val and y_val: no rows are held out of partitions."
        )


def _check_features(probe, data, reset):
    """Number and names of the features, checked as scikit-learn does, or set."""
    like = np.empty((0, data.n_features))
    if data.feature_names is not None:
        import pandas as pd

        like = pd.DataFrame(like, columns=list(data.feature_names))
    check_feature_names(probe, like, reset=reset)
    check_n_features(probe, like, reset=reset)


def _take_validation_set(
    probe, targets, class_weights, dtype, persist, X, y, sample_weight
):
    if X is None or y is None:
        raise ValueError("A validation set needs both X_val and y_val.")
    in_memory = not any(map(dask.is_dask_collection, (X, y, sample_weight)))
    try:
        given = X, y, sample_weight, None
        parts = [given] if in_memory else _partitions(*given)
        data = _read(parts, persist)
        _check_features(probe, data, reset=False)
        return _encode(data, targets, class_weights, dtype, persist)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"In the validation set: {error}") from error


class _Data(NamedTuple):
    """Validated partitions, before labels are encoded.

    Attributes
    ----------
    parts : list of (int, Delayed)
        Number of a partition, and its (X, y, sample_weight, groups), of those with rows.
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


def _partitions(X, y, sample_weight, groups):
    """Delayed pieces (X, y, sample_weight, groups) of each partition."""
    if not dask.is_dask_collection(X):
        raise TypeError(
            f"X should be a Dask array or dataframe, got {type(X).__name__}. For data in "
            "memory or in a memory map, use MLPClassifierManual."
        )
    pieces = [_blocks(X)]
    others = {"y": y, "sample_weight": sample_weight, "groups": groups}
    for name, other in others.items():
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


def _check_part(number, X, y, sample_weight, groups):
    """Validated (X, y, sample_weight, groups) of a partition, and a `_Summary`."""
    probe = MLPClassifierManual()
    try:
        n_rows = [count_samples(rows) for rows in (X, y, sample_weight) if rows is not None]
        if len(set(n_rows)) > 1:
            raise ValueError(
                f"X, y and sample_weight have inconsistent numbers of rows: {n_rows}."
            )
        if n_rows[0] == 0:
            return None, None
        # weights that are all 0 are wrong in all of the data, but not in a part of them
        is_weightless = sample_weight is not None and not np.any(sample_weight)
        X, y, weights = check_data(
            probe,
            X,
            y,
            None if is_weightless else sample_weight,
            dtype=None,
            method=SOLVERS["lbfgs"],
        )
        sample_weight = np.zeros(X.shape[0]) if is_weightless else weights
        groups = None if groups is None else group_keys(groups, X.shape[0])
    except (ValueError, TypeError) as error:
        raise ValueError(f"In partition {number}: {error}") from error
    targets = targets_of(y)
    rows = Rows(X, targets.encode(y), sample_weight)
    counts = rows.counts(len(targets.classes))
    names = getattr(probe, "feature_names_in_", None)
    names = None if names is None else tuple(names)
    summary = _Summary(
        number,
        rows.n_rows,
        rows.total_weight,
        targets,
        counts,
        rows.n_features,
        names,
        rows.dtype,
    )
    return (X, y, sample_weight, groups), summary


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
    return Parts(list(rows), n_rows, data.n_features, counts, total, np.dtype(dtype))


def _encode_part(number, part, targets, class_weights, dtype):
    X, y, sample_weight, groups = part
    try:
        targets.check(y)
        encoded = targets.encode(y)
    except ValueError as error:
        raise ValueError(f"In partition {number}: {error}") from error
    X = X.astype(dtype, copy=False)
    return weigh(X, encoded, sample_weight, class_weights, groups)
