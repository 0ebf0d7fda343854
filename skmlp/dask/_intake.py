"""Partitions that come in: each is validated where it is, and all of them together."""

from typing import NamedTuple

import dask
import numpy as np
from dask import array as da
from dask import delayed
from dask.utils import is_dataframe_like, is_series_like

from skmlp._intake import (
    Taken,
    check_data,
    group_keys,
    shallow_copy,
    taken_attributes,
)
from skmlp._rows import check_total, weigh
from skmlp._sklearn import check_feature_names, check_n_features, count_samples
from skmlp.dask._parts import Parts, SumOfParts
from skmlp.dask._sample import sample_targets
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
    reader = estimator._reader
    reader.check_settings_of_parts(settings)
    probe = estimator if earlier else shallow_copy(estimator)
    pieces = _partitions(estimator._local_class, X, y, sample_weight, groups)
    data = _read(pieces, estimator, settings, persist, reader.needs_sample(settings))
    _check_features(probe, data.summaries[0], reset=not earlier)
    targets = reader.merged(data.tallies, settings, data.sample)
    if earlier:
        targets = reader.going_on(estimator._targets(), targets)
    totals = reader.totals(targets, data.tallies)
    class_weights = targets.class_weights(settings, targets.names, totals)
    dtype = earlier.coefs[0].dtype if earlier else data.dtype
    encoding = targets, class_weights, dtype
    parts = _encode(data, *encoding, persist, totals, groups is not None)
    del data  # lets go of the partitions as they were read
    validation = None
    if validation_set is not None:
        validation = _take_validation_set(
            probe, estimator, settings, encoding, persist, *validation_set
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
    probe, estimator, settings, encoding, persist, X, y, sample_weight
):
    if X is None or y is None:
        raise ValueError("A validation set needs both X_val and y_val.")
    in_memory = not any(map(dask.is_dask_collection, (X, y, sample_weight)))
    try:
        given = X, y, sample_weight, None
        parts = (
            [[sent(piece, [piece]) for piece in given]]
            if in_memory
            else _partitions(estimator._local_class, *given)
        )
        data = _read(parts, estimator, settings, persist)
        _check_features(probe, data.summaries[0], reset=False)
        for tally in data.tallies:
            encoding[0].check(tally.example)
        return _encode(data, *encoding, persist)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"In the validation set: {error}") from error


class _Summary(NamedTuple):
    """What the client learns of a partition.

    Attributes
    ----------
    number : int
    tally : LabelTally or ValueTally
    n_features : int
    feature_names : tuple of str or None
    dtype : {float32, float64}
    """

    number: int
    tally: object
    n_features: int
    feature_names: tuple | None
    dtype: np.dtype

    @property
    def traits(self):
        """What has to be the same in all partitions, by what it is called."""
        of_features = {"features": self.n_features, "feature names": self.feature_names}
        return of_features | self.tally.traits


class _Data(NamedTuple):
    """Validated partitions, before targets are encoded.

    Attributes
    ----------
    parts : list of Delayed
        (X, y, sample_weight, groups) of each partition that has rows.
    summaries : list of _Summary
    sample : (ndarray of shape (n,) or (n, K), ndarray of shape (n,)) or None
        See `sample_targets`.
    dtype : {float32, float64}
        float32 if every partition is.
    """

    parts: list
    summaries: list
    sample: tuple | None
    dtype: np.dtype

    @property
    def tallies(self):
        """What each partition tells of y."""
        return [summary.tally for summary in self.summaries]


def _read(parts, estimator, settings, persist, needs_sample=False):
    """Validate every partition where it is; what they are together."""
    checked = [
        delayed(_check_part)(number, estimator._local_class, settings, *pieces)
        for number, pieces in enumerate(parts)
    ]
    if persist:
        checked = dask.persist(*checked)
    pieces = [delayed(_first)(pair) for pair in checked]
    summaries = [delayed(_second)(pair) for pair in checked]
    sample = sample_targets(pieces) if needs_sample else None
    summaries, sample = dask.compute(summaries, sample)
    summaries = [summary for summary in summaries if summary is not None]
    if not summaries:
        raise ValueError("X has no rows.")
    for other in summaries[1:]:
        _check_that_parts_match(summaries[0], other)
    check_total(sum(summary.tally.size(None, None)[1] for summary in summaries))
    dtype = np.result_type(*(summary.dtype for summary in summaries))
    return _Data(
        [pieces[summary.number] for summary in summaries], summaries, sample, dtype
    )


def _first(pair):
    return pair[0]


def _second(pair):
    return pair[1]


def _partitions(local_class, X, y, sample_weight, groups):
    """Delayed pieces (X, y, sample_weight, groups) of each partition."""
    given = {"X": X, "y": y, "sample_weight": sample_weight, "groups": groups}
    given = {name: data for name, data in given.items() if data is not None or name == "y"}
    _check_collections(local_class, given)
    given = {name: _in_chunks_of(X, data) for name, data in given.items()}
    _check_numbers(given)
    arrays = {name: data for name, data in given.items() if isinstance(data, da.Array)}
    frames = {name: data for name, data in given.items() if name not in arrays}
    pieces = {name: data.to_delayed().ravel().tolist() for name, data in arrays.items()}
    pieces |= _of_frames(frames)
    nothing = [None] * len(pieces["X"])
    names = "X", "y", "sample_weight", "groups"
    return zip(*(pieces.get(name, nothing) for name in names), strict=True)


def _check_collections(local_class, given):
    """Raise TypeError if one of the data is not a Dask array or frame."""
    for name, data in given.items():
        if dask.is_dask_collection(data) and (
            isinstance(data, da.Array) or is_dataframe_like(data) or is_series_like(data)
        ):
            continue
        if name == "X":
            raise TypeError(
                f"X should be a Dask array or dataframe, got {type(data).__name__}. For "
                f"data in memory or in a memory map, use {local_class.__name__}."
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


def _check_part(number, local_class, settings, X, y, sample_weight, groups):
    """Validated (X, y, sample_weight, groups) of a partition, and a `_Summary`."""
    probe = local_class()
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
            method=settings.method,
        )
        sample_weight = np.zeros(X.shape[0]) if is_weightless else weights
        groups = None if groups is None else group_keys(groups, X.shape[0])
        tally = probe._reader.tally(y, settings, sample_weight)
    except (ValueError, TypeError) as error:
        raise ValueError(f"In partition {number}: {error}") from error
    names = getattr(probe, "feature_names_in_", None)
    names = None if names is None else tuple(names)
    summary = _Summary(number, tally, X.shape[1], names, X.dtype)
    return (X, y, sample_weight, groups), summary


def _check_that_parts_match(one, other):
    for what, value in one.traits.items():
        if value != other.traits[what]:
            raise ValueError(
                f"Partitions {one.number} and {other.number} differ in {what}: {value} "
                f"and {other.traits[what]}."
            )


def _encode(
    data, targets, class_weights, dtype, persist, target_totals=None, has_groups=False
):
    """Rows of each partition, with the targets and weights that all of them share."""
    tallies = data.tallies
    sizes, weights = zip(
        *(tally.size(targets, class_weights) for tally in tallies), strict=True
    )
    check_total(sum(weights))
    if target_totals is not None and class_weights is not None:
        target_totals = target_totals * class_weights
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
        target_totals,
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
