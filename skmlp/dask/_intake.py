"""Partitions that come in: each is validated where it is, and all of them together."""

from typing import NamedTuple

import dask
import numpy as np
from dask import array as da
from dask import delayed
from dask.utils import is_dataframe_like, is_series_like

from skmlp._classifier import MLPClassifierManual
from skmlp._intake import (
    Taken,
    check_data,
    group_keys,
    shallow_copy,
    taken_attributes,
)
from skmlp._rows import check_total, weigh
from skmlp._sklearn import check_feature_names, check_n_features, count_samples
from skmlp._solvers import SOLVERS
from skmlp._targets import ClassLabels, LabelIndicators, Labels, are_texts
from skmlp.dask._parts import Parts, SumOfParts
from skmlp.dask._tasks import sent


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
    _check_features(probe, data.summaries[0], reset=not earlier)
    if earlier:
        estimator._reader.going_on(estimator._targets(), data.targets)
    class_weights = data.targets.class_weights(
        settings, data.targets.classes, data.class_counts
    )
    dtype = earlier.coefs[0].dtype if earlier else data.dtype
    has_groups = groups is not None
    parts = _encode(data, data.targets, class_weights, dtype, persist, has_groups)
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


def _check_features(probe, summary, reset):
    """Number and names of the features, checked as scikit-learn does, or set."""
    like = np.empty((0, summary.n_features))
    if summary.feature_names is not None:
        import pandas as pd

        like = pd.DataFrame(like, columns=list(summary.feature_names))
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
        parts = (
            [[sent(piece, [piece]) for piece in given]]
            if in_memory
            else _partitions(*given)
        )
        data = _read(parts, persist)
        _check_features(probe, data.summaries[0], reset=False)
        return _encode(data, targets, class_weights, dtype, persist)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"In the validation set: {error}") from error


class _Summary(NamedTuple):
    """What the client learns of a partition.

    Attributes
    ----------
    number : int
    targets : ClassLabels or LabelIndicators
    n_rows, weight : ndarray of shape (k,)
        Number of the rows that have a weight, and their total, of each class; of all rows
        together, if they are of no class.
    class_counts : ndarray of shape (K,)
        Weight of the rows of each class or label.
    n_features : int
    feature_names : tuple of str or None
    dtype : {float32, float64}
    """

    number: int
    targets: ClassLabels | LabelIndicators
    n_rows: np.ndarray
    weight: np.ndarray
    class_counts: np.ndarray
    n_features: int
    feature_names: tuple | None
    dtype: np.dtype

    def totals(self, targets, class_weights):
        """Number of the rows with a weight, and the total, under weights of classes."""
        if class_weights is None:
            return int(self.n_rows.sum()), float(self.weight.sum())
        weights = class_weights[targets.encode(self.targets.classes)]
        return int(self.n_rows[weights > 0].sum()), float(weights @ self.weight)


class _Data(NamedTuple):
    """Validated partitions, before labels are encoded.

    Attributes
    ----------
    parts : list of Delayed
        (X, y, sample_weight, groups) of each partition that has rows.
    summaries : list of _Summary
    targets : ClassLabels or LabelIndicators
        Of all partitions together.
    class_counts : ndarray of shape (K,)
        Weight of the rows of each class or label.
    dtype : {float32, float64}
        float32 if every partition is.
    """

    parts: list
    summaries: list
    targets: ClassLabels | LabelIndicators
    class_counts: np.ndarray
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
    parts = [delayed(_first)(checked[summary.number]) for summary in summaries]
    dtype = np.result_type(*(summary.dtype for summary in summaries))
    return _Data(parts, summaries, *_merge_targets(summaries), dtype)


def _first(pair):
    return pair[0]


def _second(pair):
    return pair[1]


def _partitions(X, y, sample_weight, groups):
    """Delayed pieces (X, y, sample_weight, groups) of each partition."""
    given = {"X": X, "y": y, "sample_weight": sample_weight, "groups": groups}
    given = {name: data for name, data in given.items() if data is not None or name == "y"}
    _check_collections(given)
    given = {name: _in_chunks_of(X, data) for name, data in given.items()}
    _check_numbers(given)
    arrays = {name: data for name, data in given.items() if isinstance(data, da.Array)}
    frames = {name: data for name, data in given.items() if name not in arrays}
    pieces = {name: data.to_delayed().ravel().tolist() for name, data in arrays.items()}
    pieces |= _of_frames(frames)
    nothing = [None] * len(pieces["X"])
    names = "X", "y", "sample_weight", "groups"
    return zip(*(pieces.get(name, nothing) for name in names), strict=True)


def _check_collections(given):
    """Raise TypeError if one of the data is not a Dask array or frame."""
    for name, data in given.items():
        if dask.is_dask_collection(data) and (
            isinstance(data, da.Array) or is_dataframe_like(data) or is_series_like(data)
        ):
            continue
        if name == "X":
            raise TypeError(
                f"X should be a Dask array or dataframe, got {type(data).__name__}. For "
                "data in memory or in a memory map, use MLPClassifierManual."
            )
        raise TypeError(
            f"{name} should be a Dask collection, as X is: an array, a series or a "
            f"dataframe, got {type(data).__name__}."
        )


def _in_chunks_of(X, data):
    """An array with all columns in one chunk, and if both are known, in the chunks of X."""
    if not isinstance(data, da.Array):
        return data
    if data.ndim == 2 and data.numblocks[1] > 1:
        data = data.rechunk({1: -1})
    if not (_has_known_chunks(X) and _has_known_chunks(data)) or len(X) != len(data):
        return data
    return data.rechunk({0: X.chunks[0]})


def _has_known_chunks(data):
    return isinstance(data, da.Array) and not np.isnan(data.chunks[0]).any()


def _check_numbers(given):
    """Raise ValueError if the data are not in equally many partitions."""
    numbers = {name: data.npartitions for name, data in given.items()}
    for name, number in numbers.items():
        if number != numbers["X"]:
            raise ValueError(
                f"X has {numbers['X']} partitions, but {name} has {number}. Repartition "
                "one as the other. What is made or persisted of some columns of a Parquet "
                "file is divided by what was read: persist the frame as a whole, and then "
                "select columns; of arrays, call compute_chunk_sizes()."
            )


def _of_frames(frames):
    """Delayed pieces of each frame, by its name.

    They are simplified together, so that what they have in common is read, filtered and
    shuffled once; but no further. Dask's optimizer joins partitions of Parquet files in
    which few columns are read, of each frame for itself, so that they no longer match.
    """
    if not frames:
        return {}
    import pandas as pd
    from dask import dataframe as dd

    together = dd.map_partitions(
        _as_tuple,
        *frames.values(),
        meta=pd.Series(dtype=object),
        enforce_metadata=False,
        align_dataframes=False,
    )
    parts = together.simplify().to_delayed(optimize_graph=False)
    return {name: [part[i] for part in parts] for i, name in enumerate(frames)}


def _as_tuple(*pieces):
    return pieces


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
    names = getattr(probe, "feature_names_in_", None)
    names = None if names is None else tuple(names)
    return (X, y, sample_weight, groups), _summarize(number, X, y, sample_weight, names)


def _summarize(number, X, y, sample_weight, names):
    """The `_Summary` of a validated partition."""
    targets = Labels.of(y)
    rows = weigh(X, targets.encode(y), sample_weight, None)
    n_strata = len(targets.classes) if targets.names is not None else 1
    return _Summary(
        number,
        targets,
        np.bincount(rows.strata, minlength=n_strata),
        np.bincount(rows.strata, rows.weights, n_strata),
        rows.target_totals(targets.loss, len(targets.classes)),
        rows.n_features,
        names,
        rows.dtype,
    )


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


def _encode(data, targets, class_weights, dtype, persist, has_groups=False):
    """Rows of each partition, with the targets and weights that all of them share."""
    if isinstance(data.targets, ClassLabels) and isinstance(targets, ClassLabels):
        targets.check(data.targets.classes)
    totals = (summary.totals(targets, class_weights) for summary in data.summaries)
    sizes, weights = zip(*totals, strict=True)
    check_total(sum(weights))
    counts = np.zeros(len(targets.classes))
    counts[np.searchsorted(targets.classes, data.targets.classes)] = data.class_counts
    if class_weights is not None:
        counts *= class_weights
    rows = [
        delayed(_encode_part)(summary.number, part, targets, class_weights, dtype)
        for part, summary, size in zip(data.parts, data.summaries, sizes, strict=True)
        if size > 0
    ]
    if persist:
        rows = dask.persist(*rows)
    return Parts(
        list(rows),
        [size for size in sizes if size > 0],
        data.summaries[0].n_features,
        counts,
        sum(weights),
        np.dtype(dtype),
        has_groups,
    )


def _encode_part(number, part, targets, class_weights, dtype):
    X, y, sample_weight, groups = part
    try:
        targets.check(y)
        encoded = targets.encode(y)
    except ValueError as error:
        raise ValueError(f"In partition {number}: {error}") from error
    X = X.astype(dtype, copy=False)
    return weigh(X, encoded, sample_weight, class_weights, groups)
