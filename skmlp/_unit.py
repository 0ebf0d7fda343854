"""Whether columns of one unit are to have one divisor for all of them.

Pixels, or the channels of a spectrum, are numbers of one unit, and a column that varies
little says little: divided by its own deviation, its noise weighs as much as the others'
signal. Elsewhere such a column may say all. Held-out rows decide.
"""

import math
from functools import partial

import numpy as np

from skmlp._alpha import SEARCH_CANDIDATES, draw_rows, narrowed, search_rules
from skmlp._coordinates import deviations, standard_coordinates
from skmlp._problem import Problem
from skmlp._race import Race
from skmlp._scaling import UNITS, scaling_of

# Columns share a unit if so many, and at least half of all, have more than two values; if
# the root of their mean variance is at least such a part of the range of all values, so
# that it is not a few columns' alone; and if their deviations differ by such a factor
FEWEST_COLUMNS, _PART_OF_RANGE, _FACTOR = 16, 0.08, 3.0
# Numbers of two values have the largest deviation that their mean and range allow
_TWO_VALUES = 0.9995
# The share of the loss that decides for a common divisor
_GAIN = 0.02


def share_a_unit(moments):
    """Whether most features seem to be numbers of one unit, some of which vary little.

    Parameters
    ----------
    moments : tuple
        Of `feature_moments`.
    """
    mean, _, _, low, high = moments
    deviation, _ = deviations(moments)
    varies = (high > low) & (deviation > 0)
    # by the root, which stays within floats where squares do not
    largest = np.sqrt(mean - low) * np.sqrt(high - mean)
    several = varies & (deviation < _TWO_VALUES * largest)
    if several.sum() < max(FEWEST_COLUMNS, varies.sum() / 2):
        return False
    value_range = high[several].max() - low[several].min()
    shares = deviation[several] / value_range
    is_shared = np.sqrt((shares**2).mean()) >= _PART_OF_RANGE
    return bool(is_shared and shares.max() >= _FACTOR * shares.min())


def choose_unit(problem, theta, moments, *, seed, make_monitor, max_iter, show):
    """Let held-out rows say what the features are divided by.

    The rows are those of the search for alpha, and so is the number of units. There is a
    short race of strengths of the penalty for features with divisors of their own; the
    other divisors are tried with the best strength, or where they make the features of a
    net's function smaller, and so the weights larger, with one that is as much weaker.

    Parameters
    ----------
    problem : Problem
    theta : ndarray of shape (P,)
        Start of every fit.
    moments : tuple
        Of `feature_moments`.
    seed, make_monitor, max_iter
        See `choose_alpha`.
    show : callable
        ``show(losses)`` is called with the held-out loss of each value of `standardize`.

    Returns
    -------
    unit : {"common", "wide"} or None
        See `scaling_of`.
    """
    splits, _, sample = draw_rows(problem, seed)
    if not splits or problem.floor <= problem.origin:
        return None
    rules = search_rules(problem, sample, make_monitor, max_iter)
    run = partial(_race_of_unit, problem, rules, splits, theta, moments)
    races = {True: run(None, SEARCH_CANDIDATES)}
    usual = races[True].best()
    for unit, factor in UNITS.items():
        weaker = usual - round(4 * math.log10(factor))
        races[unit] = run(unit, [max(weaker, SEARCH_CANDIDATES[-1])])
    losses = {unit: race.mean(race.best()) for unit, race in races.items()}
    show(losses)
    unit = min(UNITS, key=losses.get)
    has_learnt = not races[unit].is_plateau(races[unit].best())
    is_better = losses[unit] < (1 - _GAIN) * losses[True]
    return unit if has_learnt and is_better else None


def with_unit(problem, moments, unit):
    """The problem in other coordinates of the features."""
    scaling = scaling_of(moments, problem.data.dtype, unit=unit)
    coordinates = standard_coordinates(problem.network, *scaling, problem.data.dtype)
    others = problem.data, problem.targets, problem.validation, problem.map_rows
    return Problem(problem.network, coordinates, *others)


def _race_of_unit(problem, rules, splits, theta, moments, unit, candidates):
    """A short race with a divisor."""
    problem = with_unit(problem, moments, unit)
    splits = narrowed([problem.part(*split).in_row_space() for split in splits])
    race = Race(rules, splits, lambda candidate: theta)
    for i in range(len(splits)):
        race.run(candidates, i)
    return race
