"""Where a training starts: coordinates and parameters, new or of an earlier call."""

from dataclasses import replace
from functools import partial
from itertools import chain, starmap

import numpy as np

from skmlp._coordinates import (
    drifted,
    have_no_scale,
    merge_means,
    merge_moments,
    raw_parameters,
    warn_of_lost,
    without_idleness,
)
from skmlp._problem import from_raw
from skmlp._scaling import N_ROWS, find_tails, merge_tails, scaling_of

# A stream that has trained on fewer rows knows neither means nor deviations, and has learnt
# little: where these change, the weights of the standardised features stay the same
_FIRST_ROWS = 30


def choose_coordinates(settings, network, data, progress, map_rows):
    """Choose the coordinates of a training that does not go on from another."""
    if settings.standardize:
        moments = data.moments(map_rows)
        warn_of_lost(moments, data.dtype)
        tails = _tails(network, data, progress, moments)
        unit = settings.standardize if isinstance(settings.standardize, str) else None
        scaling = scaling_of(moments, data.dtype, tails, unit)
        progress = replace(
            progress,
            moments=moments,
            plain_mean=(moments[0], moments[2]),
            tails=tails,
            unit=unit,
            scaling=scaling,
        )
    return progress, progress.coordinates(network, data.dtype)


def go_on(settings, network, targets, data, progress):
    """The earlier parameters and coordinates; in a stream, these follow the features.

    Returns
    -------
    progress : Progress
        Its averages of gradients are copies.
    coordinates : Coordinates
    theta : ndarray of shape (P,)
    """
    _check_standardize(settings, progress)
    coordinates = progress.coordinates(network, data.dtype)
    theta = _take_up(network, coordinates, targets, progress)
    progress = replace(progress, optimizer=_taken_up(settings, progress.optimizer))
    if not settings.is_incremental or progress.moments is None:
        return progress, coordinates, theta
    are_new = _have_unknown_scale(progress, data)
    progress = _with_features(network, data, progress)
    return _follow_features(settings, network, coordinates, theta, progress, are_new)


def _taken_up(settings, state):
    """The state that a solver goes on from, with a copy of its averages."""
    if state.solver != settings.solver:
        state = state.without_averages()
    if not settings.is_incremental:
        state = state._replace(n_plateaus=0)  # a new fit has new patience
    return state._replace(averages=list(map(np.array, state.averages)))


def _have_unknown_scale(progress, data):
    """Which features have not varied, or are known from few rows of a stream only."""
    if progress.n_samples < _FIRST_ROWS:
        return np.ones(data.n_features, bool)
    are_new, weight = have_no_scale(progress.moments, data.dtype), progress.moments[2]
    if np.ndim(weight):
        few = _FIRST_ROWS * data.total_weight / data.n_rows
        are_new |= (weight < few) & (weight < weight.max())
    return are_new


def _check_standardize(settings, progress):
    """Raise ValueError if the earlier parameters are in other coordinates."""
    before = progress.scaling is not None
    if settings.standardize not in (before, progress.unit):
        raise ValueError(
            "standardize has changed: warm_start and partial_fit go on with "
            f"standardize={progress.unit or before!r}, not {settings.standardize!r}. Set "
            "it back, or call fit with warm_start=False."
        )


def _tails(network, data, progress, moments):
    """Features of the data with heavy tails; see `find_tails`."""
    saturates = network.activation.saturates and len(network.coef_shapes) > 1
    return find_tails(moments, partial(data.sample, progress.seed, N_ROWS), saturates)


def _with_features(network, data, progress):
    """Add the moments and tails of the features in a call of a stream."""
    of_call, weight = data.moments(), data.total_weight / data.n_rows
    moments = merge_moments(without_idleness(progress.moments, weight), of_call)
    warn_of_lost(moments, data.dtype, known=progress.moments)
    tails, share = _tails(network, data, progress, moments), of_call[2] / moments[2]
    return replace(
        progress,
        moments=moments,
        plain_mean=merge_means(progress.plain_mean, of_call[:3:2]),
        tails=merge_tails(progress.tails, tails, share),
    )


def _follow_features(settings, network, coordinates, theta, progress, are_new):
    """Let theta and averages follow the features, in place; see `Coordinates.follow`."""
    scaling = scaling_of(progress.moments, theta.dtype, progress.tails, progress.unit)
    scaling = drifted(progress.scaling, scaling)
    if scaling is None:
        return progress, coordinates, theta
    progress = replace(progress, scaling=scaling)
    new = progress.coordinates(network, theta.dtype)
    of_powers = settings.method.powers, progress.optimizer.averages
    averages = list(zip(*of_powers, strict=False))  # there may be none yet
    coordinates.follow(theta, averages, network, new, are_new)
    return progress, new, theta


def _take_up(network, coordinates, targets, progress):
    """Flat vector of the present parameters: if nobody has changed them, the exact one."""
    shapes = [W.shape for W in progress.coefs]
    if shapes != network.coef_shapes:
        raise ValueError(
            "hidden_layer_sizes has changed: warm_start and partial_fit go on with "
            f"layers of shapes {shapes}, not {network.coef_shapes}. Set it back, "
            "or call fit with warm_start=False."
        )
    given, exact = (progress.coefs, progress.intercepts), progress.optimizer.theta
    if exact is not None:
        raw = raw_parameters(network, coordinates, exact)
        there = targets.to_raw(*raw[1:], progress.widening)
        layers = zip(chain(*there), chain(*given), strict=True)
        if all(starmap(np.array_equal, layers)):
            return exact.copy()
    dtype, widening = progress.coefs[0].dtype, progress.widening
    return from_raw(network, coordinates, targets, *given, dtype, widening)


def start(network, coordinates, targets, drawn, coefs_init, intercepts_init):
    """Flat vector to start from: the drawn one, unless the user has given some of it."""
    if coefs_init is None and intercepts_init is None:
        return drawn
    coefs, intercepts = targets.to_raw(*raw_parameters(network, coordinates, drawn)[1:])
    coefs = _given(coefs_init, coefs, "coefs_init")
    intercepts = _given(intercepts_init, intercepts, "intercepts_init")
    return from_raw(network, coordinates, targets, coefs, intercepts, drawn.dtype)


def _given(values, drawn, name):
    """The arrays that the user has given for the layers, or those that were drawn."""
    if values is None:
        return drawn
    shapes = [array.shape for array in drawn]
    if not hasattr(values, "__len__") or len(values) != len(shapes):
        raise ValueError(
            f"{name} should be a list with an array for each of the {len(shapes)} layers, "
            f"of shapes {shapes}."
        )
    arrays = [np.asarray(value, drawn[0].dtype) for value in values]
    for i, (array, shape) in enumerate(zip(arrays, shapes, strict=True)):
        if array.shape != shape:
            raise ValueError(f"{name}[{i}] should have shape {shape}, got {array.shape}.")
        if not np.isfinite(array).all():
            raise ValueError(f"{name}[{i}] should be finite.")
    return arrays
