"""What comes in as a table: encoded in each way that may be right."""

from dataclasses import replace

import numpy as np
from sklearn.utils import check_consistent_length

from skmlp._intake import shallow_copy, take, take_chunk
from skmlp._rows import check_total
from skmlp._sklearn import check_sample_weight
from skmlp._tabular._encoding import N_BINS, encode, fit_encoder, has_bins
from skmlp._tabular._table import check_table, find_categories

# Attributes that tell what the columns of a table are
_OF_TABLE = ("n_features_in_", "feature_names_in_")


def take_table(estimator, settings, earlier, X, y, sample_weight, groups, validation_set):
    """Validate and encode what `fit` was given.

    Parameters
    ----------
    estimator, settings, earlier, X, y, sample_weight, groups, validation_set
        See `skmlp._intake.take`; X may be a frame with categories and gaps.

    Returns
    -------
    taken : Taken
        With all encodings that held-out rows are to choose from.

    Raises
    ------
    ValueError
    """
    probe, table, sample_weight = _check(estimator, earlier, X, y, sample_weight)
    if validation_set is not None:
        X_val, *others = validation_set
        validation_set = _check_validation_table(probe, X_val), *others
    taken = {}
    for encoding, encoder in _encoders(estimator, earlier, table, sample_weight).items():
        encoded = None
        if validation_set is not None:
            encoded = encode(encoder, validation_set[0]), *validation_set[1:]
        given = encode(encoder, table), y, sample_weight, groups, encoded
        of_net = take(estimator._net(), settings, earlier, *given)
        taken[encoding] = _of_table(probe, of_net, encoding, encoder)
    return _joined(*taken.items())


def take_table_chunk(estimator, settings, earlier, X, y, classes, sample_weight):
    """Validate and encode what `partial_fit` was given; see `take_table`.

    The first call fixes the encoding: 'auto' is 'linear', since there is no search.
    """
    probe, table, sample_weight = _check(estimator, earlier, X, y, sample_weight)
    encoders = _encoders(estimator, earlier, table, sample_weight, of_auto=["linear"])
    ((encoding, encoder),) = encoders.items()
    given = encode(encoder, table), y, classes, sample_weight
    of_net = take_chunk(estimator._net(), settings, earlier, *given)
    return _of_table(probe, of_net, encoding, encoder)


def _check(estimator, earlier, X, y, sample_weight):
    """A probe that knows the columns, the table, and weights or None."""
    probe = shallow_copy(estimator)
    table = check_table(probe, X, reset=earlier is None)
    check_consistent_length(table, y)
    if sample_weight is not None:
        options = {"dtype": np.float64, "ensure_non_negative": True}
        sample_weight = check_sample_weight(sample_weight, table, **options)
        check_total(sample_weight.sum())
    return probe, table, sample_weight


def _check_validation_table(probe, X):
    try:
        return check_table(probe, X, reset=False)
    except ValueError as error:
        raise ValueError(f"In the validation set: {error}") from error


def _encoders(estimator, earlier, table, sample_weight, of_auto=N_BINS):
    """The encoders to choose from, by encoding; what goes on has the one that it has.

    With ``encoding="auto"`` they are of the encodings `of_auto`, as far as they differ.
    """
    if earlier is not None:
        if estimator.encoding not in ("auto", estimator.encoding_):
            raise ValueError(
                "encoding has changed: warm_start and partial_fit go on with "
                f"encoding={estimator.encoding_!r}, not {estimator.encoding!r}. Set it "
                "back, or call fit with warm_start=False."
            )
        return {estimator.encoding_: estimator.encoder_}
    are_categories = find_categories(table, estimator.categorical_features)
    is_auto = estimator.encoding == "auto"
    encoders = {
        encoding: fit_encoder(table, are_categories, encoding, sample_weight)
        for encoding in (of_auto if is_auto else [estimator.encoding])
    }
    if is_auto and len(encoders) > 1 and not has_bins(encoders["piecewise"]):
        del encoders["piecewise"]
    return encoders


def _of_table(probe, taken, encoding, encoder):
    """What was taken of the features, as taken of the table."""
    features = dict(taken.attributes)
    for name in _OF_TABLE:
        features.pop(name, None)
        if hasattr(probe, name):
            features[name] = getattr(probe, name)
    known = {"encoding_": encoding, "encoder_": encoder}
    return taken._replace(attributes=features | known, columns=encoding)


def _joined(first, *others):
    """The first encoding, with others: the same rows, which are known to be the same."""
    taken = first[1]
    if not others:
        return taken
    identity = taken.data.identity
    return taken._replace(
        others={
            encoding: other._replace(data=replace(other.data, known_identity=identity))
            for encoding, other in others
        }
    )
