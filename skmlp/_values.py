"""What y is for a regressor: real values, and how they are standardised.

The network is trained on standardised targets. That is a change of variables: weights and
biases of the output layer are multiplied back, so that they give y in its own units.
"""

import warnings
from functools import reduce
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.exceptions import DataConversionWarning

from skmlp._coordinates import deviations, feature_moments, merge_moments
from skmlp._losses import Loss
from skmlp._repeats import fingerprints
from skmlp._value_losses import (
    GAMMA,
    GAUSSIAN,
    LEAST_VARIANCE,
    LOG_UNIT,
    POISSON,
    SQUARED_ERROR,
    normal_deviations,
    quantile_loss,
)

# Of normal values, 90% are within so many deviations of the median
_SHARE, _NORMAL_SHARE = 0.9, 1.645
# A deviation that is less, in means of y, is what rounding leaves of a constant
_ROUNDING = 10 * np.finfo(np.float64).eps
# The unit of a constant, in parts of it, and what stands for 0
_OF_CONSTANT, _LEAST = 2.0**-40, 1e-280
# A loss of a constant that is none
_NOTHING = 1e-12
# What a user calls what may not change when a fit goes on
_CALLED = {
    "name": "loss has",
    "n_targets": "the number of columns of y has",
    "levels": "quantile has",
}
# Deviations from the median that are as good as any larger number for a quantile
_FURTHEST = 1000.0
# Parts of a unit that targets are rounded to
_GRID = 2.0**22
# Relative differences from which on a stream has left its units
_DRIFT = 0.1
# Factors, and numbers of deviations, from which on other units have nothing in common
_APART = 100.0
# Width of the smoothing of quantiles, in deviations of y: it vanishes with the rows
_WIDTH, _WIDTH_POWER = 0.5, -0.4


class Family(NamedTuple):
    """What a value of the parameter `loss` stands for.

    Attributes
    ----------
    loss : Loss or None
        None for losses of quantiles, which depend on the targets.
    center, scale : callable or None
        ``center(y, weights)`` of each column, and ``scale(y, weights, center)``; targets
        are ``(y - center) / scale``. None is 0.
    has_log_link : bool
        Whether predictions are exp of the logits: then the scale is added to these.
    least : float
        Below which no y may be, and not at it if it is not `may_be_least`.
    may_be_least : bool
    """

    loss: Loss | None
    center: object = None
    scale: object = None
    has_log_link: bool = False
    least: float = -np.inf
    may_be_least: bool = True


def _mean(y, weights):
    return np.average(y, axis=0, weights=weights)


def _mean_scale(y, weights, center):
    return _mean(y, weights)


def _deviation(y, weights, center):
    largest = np.abs(y - center).max(axis=0)  # its square may be no float
    largest[largest == 0] = 1
    return largest * np.sqrt(_mean(((y - center) / largest) ** 2, weights))


def _median(y, weights):
    return quantiles_of(y, weights, 0.5)


def _robust_deviation(y, weights, center):
    """By the distance from the median that 90% do not exceed."""
    scale = quantiles_of(np.abs(y - center), weights, _SHARE) / _NORMAL_SHARE
    return np.where(scale > 0, scale, _deviation(y, weights, center))


def quantiles_of(y, weights, level):
    """The weighted quantile of each column of y, of shape (n, K)."""
    weights = np.ones(len(y)) if weights is None else weights
    order = np.argsort(y, axis=0)
    reached = np.cumsum(weights[order], axis=0) >= level * weights.sum() * (1 - 1e-12)
    return np.take_along_axis(y, order, axis=0)[reached.argmax(axis=0), range(y.shape[1])]


FAMILIES = {
    "squared_error": Family(SQUARED_ERROR, _mean, _deviation),
    "poisson": Family(POISSON, None, _mean_scale, has_log_link=True, least=0.0),
    "gamma": Family(GAMMA, None, _mean_scale, True, least=0.0, may_be_least=False),
    "absolute_error": Family(None, _median, _robust_deviation),
    "quantile": Family(None, _median, _robust_deviation),
    "gaussian": Family(GAUSSIAN, _mean, _deviation),
}


class RealValues:
    """One or several numbers a row.

    Parameters
    ----------
    name : str
        A key of `FAMILIES`.
    center, spread : ndarray of shape (K,)
        What is subtracted from the columns of y, and what they are divided by if it is
        not 0.
    levels : ndarray of shape (Q,)
        Of quantiles.
    quantiles : ndarray of shape (max(K, Q),)
        Of y itself, for losses of quantiles.
    width : float
        Of the smoothing of these, in units of the scale.
    weight : float
        Of the rows that this is known from.
    is_flat : bool
        Whether y has one dimension, and predictions have.
    seen : dict or None
        In a stream, `center`, `spread` and `quantiles` by all rows so far: they become the
        units when they have moved away from these.
    is_new : ndarray of shape (K,) of bool, or None
        Columns whose outputs start anew, at a constant: what the net knew of them before is
        in units that have nothing in common with these. None if there are none.

    Attributes
    ----------
    scale : ndarray of shape (K,)
        What the columns of y are divided by, also where the spread is 0.
    """

    names = None

    def __init__(
        self,
        name,
        center,
        spread,
        levels,
        quantiles,
        width,
        weight,
        is_flat,
        seen=None,
        is_new=None,
    ):
        self.family, self.name, self.is_flat = FAMILIES[name], name, is_flat
        self.is_new = is_new
        self.spread, self.seen = spread, seen
        # of a constant, so little that whatever a net makes of it is the constant
        least = np.maximum(np.abs(center), _LEAST) * _OF_CONSTANT
        self.center, self.scale = center, np.where(spread > 0, spread, least)
        self.levels, self.quantiles = levels, quantiles
        self.width, self.weight = width, weight

    def state(self):
        """The arguments of the constructor, as a dict."""
        names = ("name", "center", "spread", "levels", "quantiles", "width", "weight")
        return {name: getattr(self, name) for name in (*names, "is_flat", "seen")}

    def following(self, other):
        """The same after other rows of a stream, which `other` is known from.

        Means and deviations merge as they do for features, medians and the like
        as means. Units change when the mean has moved by a tenth of a deviation, or the
        deviation by a tenth of itself; or the optimiser would never come to rest.
        """
        names = ("center", "spread", "quantiles")
        seen = self.seen or {name: getattr(self, name) for name in names}
        weight = self.weight + other.weight
        share = other.weight / weight if weight else 0.0
        new = {
            name: (1 - share) * seen[name] + share * getattr(other, name) for name in names
        }
        step = other.center - seen["center"]
        if self.family.scale is _deviation:
            new["spread"] = np.hypot(
                np.sqrt(1 - share) * seen["spread"],
                np.sqrt(share) * np.hypot(other.spread, np.sqrt(1 - share) * step),
            )
        elif self.family.scale is _robust_deviation:
            # a call of one row has no spread, but is away from the others
            of_call = np.hypot(other.spread, step)
            new["spread"] = (1 - share) * seen["spread"] + share * of_call
        width = _width(_rows_of(self.width) + _rows_of(other.width))
        state = self.state() | {"weight": weight, "seen": new, "width": width}
        ahead = RealValues(**state | new)
        moved = np.abs(ahead.center - self.center) > _DRIFT * ahead.scale
        moved |= np.abs(np.log(ahead.scale / self.scale)) > _DRIFT
        return ahead._after(self) if moved.any() else RealValues(**state)

    def _after(self, before):
        """The same, which knows the columns that begin anew after earlier units."""
        return RealValues(**self.state(), is_new=before._is_apart(self))

    def _is_apart(self, other):
        """Which columns have units that have nothing in common with another's."""
        apart = np.abs(np.log(other.scale / self.scale)) > np.log(_APART)
        return apart | (np.abs(other.center - self.center) > _APART * other.scale)

    def has_units_of(self, other):
        """Whether parameters and gradients are in the same units."""
        return np.array_equal(self.center, other.center) and np.array_equal(
            self.scale, other.scale
        )

    @property
    def constant(self):
        """The quantiles of standardised targets; 0 for other losses."""
        if self.family.loss is not None:
            return np.zeros(len(self.scale))
        return (self.quantiles - self.center) / self.scale

    @staticmethod
    def strata(T):
        """One group: see `ClassLabels.strata`."""
        return np.zeros(len(T), int)

    @staticmethod
    def tokens(T):
        """A number for each row, equal for equal targets."""
        return np.unique(RealValues.prints(T), return_inverse=True)[1]

    @staticmethod
    def prints(T):
        """The same, whatever the other rows are."""
        return fingerprints(T)

    @property
    def loss(self):
        """The `Loss`."""
        if self.family.loss is not None:
            return self.family.loss
        factor = 2.0 if self.name == "absolute_error" else 1.0
        return quantile_loss(self.levels, self.width, self.constant, factor)

    @property
    def n_targets(self):
        """Columns of y."""
        return len(self.center)

    @property
    def n_outputs(self):
        """Output units of the network."""
        return self.n_predictions * (2 if self.name == "gaussian" else 1)

    @property
    def n_predictions(self):
        """Values that `predict` has for a row: of normal densities, the means alone."""
        return max(len(self.center), len(self.levels))

    @property
    def outputs(self):
        """Names of the outputs: levels of quantiles, or numbers of the columns of y.

        Of normal densities, 'mean' and 'std', of several columns 'mean_0' and so on.
        """
        n_columns = len(self.center)
        if self.name == "gaussian":
            ends = [f"_{i}" for i in range(n_columns)] if n_columns > 1 else [""]
            return np.array([what + end for what in ("mean", "std") for end in ends])
        return self.levels if self._has_levels else np.arange(n_columns)

    @property
    def _has_levels(self):
        """Whether outputs are told apart by the levels of quantiles."""
        return self.name == "quantile" and len(self.center) == 1

    @property
    def is_single(self):
        """Whether there is one output, as y has one dimension."""
        return self.is_flat and self.n_outputs == 1

    @property
    def main(self):
        """Number of the output to explain if none is named: of one column, its own."""
        is_clear = len(self.center) == len(self.levels) == 1
        return 0 if is_clear else None

    def title(self, output):
        """What to call an output in a sentence, given its name."""
        if self.name == "gaussian":
            return f"{output} of y"
        if self._has_levels:
            return f"quantile {output:g} of y"
        return "y" if self.n_outputs == 1 else f"column {output} of y"

    @property
    def columns(self):
        """What to call the columns of predictions."""
        return self.levels if len(self.levels) > 1 else range(len(self.center))

    def check(self, y):
        """Raise ValueError if y has another number of columns, or values out of range."""
        n_columns = 1 if y.ndim == 1 else y.shape[1]
        if n_columns != len(self.center):
            raise ValueError(
                f"y has {n_columns} columns, but {len(self.center)} are expected."
            )
        check_range(y, self.name)

    def check_precision(self, dtype):
        """Raise ValueError if a type has no numbers for parameters in units of y."""
        info, size = np.finfo(dtype), np.maximum(np.abs(self.center), self.spread)
        is_small = (self.spread > 0) & (self.spread < info.tiny)
        if (is_small | (size > info.max / _APART)).any():
            raise ValueError(
                f"y is too large or too small for X of {info.dtype}: its columns have the "
                f"means or medians {self.center} and the deviations {self.spread}. Convert "
                "X to float64, or change the unit of y."
            )

    def encode(self, y):
        """Standardised targets of shape (n, K), to a quarter of a millionth of the unit.

        With a log link, a value below 1 is rounded to as small a part of itself.

        So they are the same to the bit for y in another unit, or with another origin; what
        rounding leaves of these could else decide which of several minima a fit ends in.
        For losses of quantiles, which do not mind how far a value is, the furthest ones are
        drawn near: else one of them would be almost all of the loss.
        """
        T = (_columns(y) - self.center) / self.scale
        if self.family.loss is None:
            T = np.clip(T, -_FURTHEST, _FURTHEST)
        if not self.family.has_log_link:
            return np.rint(T * _GRID) / _GRID
        # logarithms count, so that no value may become 0
        exponent = np.minimum(np.frexp(T)[1], 0)
        return np.ldexp(np.rint(np.ldexp(T, -exponent) * _GRID) / _GRID, exponent)

    def decode(self, T):
        """y, given standardised targets."""
        y = T * self.scale + self.center
        return y[:, 0] if self.is_flat else y

    def predict(self, Z):
        """y, given logits in its own units, of shape (n, n_outputs)."""
        Z = Z[:, : len(self.center)] if self.name == "gaussian" else Z
        self.loss.mean(Z)
        return Z[:, 0] if self.is_flat and Z.shape[1] == 1 else Z

    def deviation(self, Z):
        """Standard deviation of y, given logits in its own units."""
        _, deviation = normal_deviations(Z[:, len(self.center) :], self.least_deviation)
        return deviation[:, 0] if self.is_flat else deviation

    @property
    def least_deviation(self):
        """Standard deviation of each column that a prediction has at the least."""
        return np.sqrt(LEAST_VARIANCE) * self.scale

    def to_raw(self, coefs, intercepts, widening=0.0):
        """Weights and biases for y in its own units, given standardised ones.

        Parameters
        ----------
        coefs, intercepts : list of ndarray
        widening : float, default=0
            What is added to log-variances of normal densities.
        """
        dtype = coefs[-1].dtype
        factor, shift = (unit.astype(dtype) for unit in self._units(widening))
        last = intercepts[-1] * factor + shift
        return [*coefs[:-1], coefs[-1] * factor], [*intercepts[:-1], last]

    def from_raw(self, parameters, widening=0.0):
        """From y in its own units to standardised targets, in place."""
        factor, shift = self._units(widening)
        parameters.coefs[-1][...] /= factor
        parameters.intercepts[-1][...] = (parameters.intercepts[-1] - shift) / factor
        if self.is_new is not None:
            biases = parameters.intercepts[-1]
            is_new = np.resize(self.is_new, len(biases))
            parameters.coefs[-1][:, is_new] = 0
            biases[is_new] = np.resize(self.constant, len(biases))[is_new]

    @staticmethod
    def is_met_by_constant(to_learn):
        """Whether y is a constant, so that training is to begin, and to end, with it."""
        return to_learn <= _NOTHING

    def score(self, loss, floor):
        """The share of the loss of the best constant that is explained: D2."""
        return 1 - loss / floor if floor > 0 else -loss

    def _units(self, widening):
        """What the outputs are multiplied by, and what is added, to be in units of y."""
        if self.family.has_log_link:
            return np.ones(len(self.scale)), np.log(self.scale)
        if self.name == "gaussian":
            factor = np.full(len(self.scale), LOG_UNIT)
            shift = 2 * np.log(self.scale) + widening
            return np.append(self.scale, factor), np.append(self.center, shift)
        return self.scale, self.center

    def class_weights(self, settings, y, sample_weight):
        """None: rows are of no class."""


def _columns(y):
    """The values with two dimensions."""
    return y.reshape(len(y), -1)


def check_range(y, name):
    """Raise ValueError if a loss is not made for some values of y."""
    family, least = FAMILIES[name], np.min(y)
    if least > family.least or (least == family.least and family.may_be_least):
        return
    what = "at least 0" if family.may_be_least else "positive"
    raise ValueError(f"loss={name!r} is for y that are {what}; the smallest is {least:g}.")


class ValueTally(NamedTuple):
    """What the y of some rows tells of all rows: moments, which can be merged.

    Attributes
    ----------
    example : ndarray of shape (1,) or (1, K)
        The first row.
    n_rows : int
        Number of the rows that have a weight.
    moments : tuple
        Of `feature_moments`.
    """

    example: np.ndarray
    n_rows: int
    moments: tuple

    @property
    def traits(self):
        """What has to be the same in all parts, by what it is called."""
        return {"columns of y": 1 if self.example.ndim == 1 else self.example.shape[1]}

    def size(self, targets, class_weights):
        """Number of the rows with a weight, and the total."""
        return self.n_rows, float(self.moments[2])


def _width(n_rows):
    """Width of the smoothing of quantiles; 0, if they are none, for 0 rows."""
    return _WIDTH * n_rows**_WIDTH_POWER if n_rows else 0.0


def _rows_of(width):
    """The number of rows of a width."""
    return (width / _WIDTH) ** (1 / _WIDTH_POWER) if width else 0.0


class Values:
    """Reads y of regressors: one or several real values a row."""

    @staticmethod
    def check_settings_of_chunk(estimator):
        """Every parameter is known without the data."""

    @staticmethod
    def begin(estimator, classes):
        """Nothing has to be known of a stream before its first call."""

    @staticmethod
    def options(y):
        """How scikit-learn is to validate y; TypeError if it is sparse."""
        if sparse.issparse(y):
            raise TypeError("y is sparse, but a regressor needs a dense one: y.toarray().")
        return {"multi_output": True, "y_numeric": True}

    @staticmethod
    def checked(y):
        """Values in double precision; a column is flat, with scikit-learn's warning."""
        if y.ndim == 2 and y.shape[1] == 1:
            warnings.warn(
                "A column-vector y was passed when a 1d array was expected. Please change "
                "the shape of y to (n_samples, ), for example using ravel().",
                DataConversionWarning,
                stacklevel=2,
            )
            y = y[:, 0]
        return y.astype(np.float64, copy=False)

    @staticmethod
    def of(y, settings, sample_weight):
        """What the y of a training set is."""
        check_range(y, settings.loss)
        family = FAMILIES[settings.loss]
        if sample_weight is not None:  # a row of weight 0 is as if it were not there
            y, sample_weight = y[sample_weight > 0], sample_weight[sample_weight > 0]
        columns = _columns(y)
        levels = _levels(settings, columns.shape[1])
        center = np.zeros(columns.shape[1])
        if family.center is not None:
            center = family.center(columns, sample_weight)
        spread = family.scale(columns, sample_weight, center)
        spread = np.where(spread > _ROUNDING * np.abs(center), spread, 0.0)
        weight = float(len(y) if sample_weight is None else sample_weight.sum())
        quantiles, width = center, 0.0
        if family.loss is None:
            of_levels = [quantiles_of(columns, sample_weight, level) for level in levels]
            quantiles = np.concatenate(of_levels)
            # copies of a row are as its weight: they do not count
            width = _width(len(np.unique(columns, axis=0)))
        known = center, spread, levels, quantiles, width, weight, y.ndim == 1
        return RealValues(settings.loss, *known)

    @staticmethod
    def check_settings_of_parts(settings):
        """Raise ValueError if the quantiles are none, before partitions are read."""
        _levels(settings, 1)

    @staticmethod
    def needs_sample(settings):
        """Whether `merged` needs values of y: quantiles can't be told from moments."""
        return FAMILIES[settings.loss].loss is None

    @staticmethod
    def tally(y, settings, sample_weight):
        """What the y of some rows tells of all, as a `ValueTally`."""
        check_range(y, settings.loss)
        n_rows = len(y) if sample_weight is None else np.count_nonzero(sample_weight)
        return ValueTally(y[:1], n_rows, feature_moments(_columns(y), sample_weight))

    @classmethod
    def merged(cls, tallies, settings, sample):
        """What y is in all parts together, given the tally of each, or a sample of all.

        Parameters
        ----------
        tallies : list of ValueTally
        settings : Settings
        sample : (ndarray of shape (n,) or (n, K), ndarray of shape (n,)) or None
            Values and their weights, if it `needs_sample`.
        """
        if sample is not None:
            y, weights = sample
            targets = cls.of(y, settings, weights)
            targets.weight = float(sum(tally.moments[2] for tally in tallies))
            return targets
        family = FAMILIES[settings.loss]
        moments = reduce(merge_moments, (tally.moments for tally in tallies))
        mean, _, _, low, high = moments
        center = np.zeros(len(mean)) if family.center is None else mean
        spread = np.where(low < high, deviations(moments)[0], 0)
        spread = mean if family.has_log_link else spread
        levels, is_flat = _levels(settings, len(mean)), tallies[0].example.ndim == 1
        known = center, spread, levels, center, 0.0, float(moments[2]), is_flat
        return RealValues(settings.loss, *known)

    @staticmethod
    def totals(targets, tallies):
        """None: standardised targets are added up where they are."""

    @classmethod
    def of_chunk(cls, estimator, y, settings, sample_weight):
        """What y is in a stream: in the units of before, until these no longer fit."""
        if hasattr(estimator, "coefs_") and not settings.is_incremental:
            return cls.of_fitted(estimator)  # rows that are only looked at
        of_call = cls.of(y, settings, sample_weight)
        if not hasattr(estimator, "coefs_"):
            return of_call
        before = cls.of_fitted(estimator)
        cls.going_on(before, of_call)  # raises, if it cannot
        return before.following(of_call)

    @staticmethod
    def of_fitted(estimator):
        """What y was in training."""
        return RealValues(**estimator._target_values_)

    @staticmethod
    def attributes(targets):
        """What `of_fitted` reads, and what tells the user of it, as a dict."""
        return {
            "out_activation_": targets.loss.units,
            "target_mean_": targets.center,
            "target_scale_": targets.scale,
            "_target_values_": targets.state(),
        }

    @staticmethod
    def going_on(before, targets):
        """What y is in a fit that goes on: units of before, if they suit it at all."""
        for what in ("name", "n_targets", "levels"):
            values = getattr(before, what), getattr(targets, what)
            if not np.array_equal(*values):
                raise ValueError(
                    f"{_CALLED[what]} changed: warm_start and partial_fit go on with "
                    f"{values[0]}, not {values[1]}. Set it back, or call fit with "
                    "warm_start=False."
                )
        return targets._after(before) if before._is_apart(targets).any() else before


def _levels(settings, n_columns):
    """The levels of quantiles; ValueError if there are several for several columns."""
    if settings.loss != "quantile":
        return np.array([0.5])
    try:
        levels = np.atleast_1d(np.asarray(settings.quantile, dtype=np.float64))
    except (TypeError, ValueError):
        levels = np.empty(0)
    if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all() or not levels.size:
        raise ValueError(
            f"quantile should be one or several numbers between 0 and 1, got "
            f"{settings.quantile!r}."
        )
    if (np.diff(levels) <= 0).any():
        raise ValueError(f"quantile should ascend, got {settings.quantile!r}.")
    if len(levels) > 1 and n_columns > 1:
        raise ValueError(
            f"Several quantiles need y of one column, got {n_columns}: fit one regressor a "
            "column, as sklearn.multioutput.MultiOutputRegressor does."
        )
    return levels
