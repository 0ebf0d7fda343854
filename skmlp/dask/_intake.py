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
    read, sample = _read(probe, settings, persist, pieces, reader.needs_sample(settings))
    tallies = [piece.tally for piece in read]
    _check_features(probe, read[0], reset=not earlier)
    targets = reader.merged(tallies, settings, sample)
    if earlier:
        targets = reader.going_on(estimator._targets(), targets)
    totals = reader.totals(targets, tallies)
    class_weights = targets.class_weights(settings, targets.names, totals)
    dtype = np.result_type(*(piece.dtype for piece in read))
    encoding = targets, class_weights, earlier.coefs[0].dtype if earlier else dtype
    parts = _encode(read, *encoding, persist, totals, groups is not None)
    del read, sample  # lets go of the partitions as they were read
    validation = None
    if validation_set is not None:
        validation = _take_validation_set(
            probe, settings, persist, encoding, *validation_set
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


def _check_features(probe, piece, reset):
    """Number and names of the features, checked as scikit-learn does, or set."""
    like = np.empty((0, piece.n_features))
    if piece.feature_names is not None:
        import pandas as pd

        like = pd.DataFrame(like, columns=list(piece.feature_names))
    check_feature_names(probe, like, reset=reset)
    check_n_features(probe, like, reset=reset)


def _take_validation_set(probe, settings, persist, encoding, *given):
    try:
        if any(map(dask.is_dask_collection, given)):
            pieces = _partitions(probe._local_class, *given, None)
        else:
            pieces = [[*(sent(array, [array]) for array in given), None]]
        read, _ = _read(probe, settings, persist, pieces)
        _check_features(probe, read[0], reset=False)
        for piece in read:
            encoding[0].check(piece.tally.example)
        return _encode(read, *encoding, persist)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"In the validation set: {error}") from error


class _Piece(NamedTuple):
    """A validated partition, and what the client learns of it.

    Attributes
    ----------
    arrays : Delayed or None
        Of (X, y, sample_weight, groups).
    number : int
    tally : LabelTally or ValueTally
    n_features : int
    feature_names : tuple of str or None
    dtype : {float32, float64}
    """

    arrays: object
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


def _read(probe, settings, persist, partitions, needs_sample=False):
    """Validate every partition where it is, and all of them together.

    Returns
    -------
    read : list of _Piece
        The partitions that have rows.
    sample : (ndarray of shape (n,) or (n, K), ndarray of shape (n,)) or None
        See `sample_targets`.
    """
    checked = [
        delayed(_check_part)(number, probe._local_class, settings, *arrays)
        for number, arrays in enumerate(partitions)
    ]
    if persist:
        checked = dask.persist(*checked)
    arrays = [pair[0] for pair in checked]
    sample = sample_targets(arrays) if needs_sample else None
    read, sample = dask.compute([pair[1] for pair in checked], sample)
    read = [
        piece._replace(arrays=arrays[piece.number]) for piece in read if piece is not None
    ]
    if not read:
        raise ValueError("X has no rows.")
    for other in read[1:]:
        _check_that_parts_match(read[0], other)
    check_total(sum(piece.tally.size(None, None)[1] for piece in read))
    return read, sample


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
    """Validated (X, y, sample_weight, groups) of a partition, and what they tell of it."""
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
        given = X, y, None if is_weightless else sample_weight
        X, y, weights = check_data(probe, settings, None, *given)
        sample_weight = np.zeros(X.shape[0]) if is_weightless else weights
        groups = None if groups is None else group_keys(groups, X.shape[0])
        tally = probe._reader.tally(y, settings, sample_weight)
    except (ValueError, TypeError) as error:
        raise ValueError(f"In partition {number}: {error}") from error
    names = getattr(probe, "feature_names_in_", None)
    names = None if names is None else tuple(names)
    piece = _Piece(None, number, tally, X.shape[1], names, X.dtype)
    return (X, y, sample_weight, groups), piece


def _check_that_parts_match(one, other):
    for what, value in one.traits.items():
        if value != other.traits[what]:
            raise ValueError(
                f"Partitions {one.number} and {other.number} differ in {what}: {value} "
                f"and {other.traits[what]}."
            )


def _encode(
    read, targets, class_weights, dtype, persist, target_totals=None, has_groups=False
):
    """Rows of each partition, with the targets and weights that all of them share."""
    sizes = [piece.tally.size(targets, class_weights) for piece in read]
    total_weight = sum(weight for _, weight in sizes)
    check_total(total_weight)
    if target_totals is not None and class_weights is not None:
        target_totals = target_totals * class_weights
    rows = [
        delayed(_encode_part)(piece.number, piece.arrays, targets, class_weights, dtype)
        for piece, (n_rows, _) in zip(read, sizes, strict=True)
        if n_rows > 0
    ]
    if persist:
        rows = list(dask.persist(*rows))
    n_rows = [n_rows for n_rows, _ in sizes if n_rows > 0]
    of_features = read[0].n_features, np.dtype(dtype)
    return Parts(rows, n_rows, *of_features, total_weight, has_groups, target_totals)


def _encode_part(number, arrays, targets, class_weights, dtype):
    X, y, sample_weight, groups = arrays
    try:
        targets.check(y)
        encoded = targets.encode(y)
    except ValueError as error:
        raise ValueError(f"In partition {number}: {error}") from error
    X = X.astype(dtype, copy=False)
    return weigh(X, encoded, sample_weight, class_weights, groups)
