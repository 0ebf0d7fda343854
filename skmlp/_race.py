"""Candidates for the strength of the penalty, and their losses on held-out rows."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from skmlp._parallel import serial

# Numbers of half decades, from the strongest penalty to the weakest
STRONGEST, WEAKEST = 6, -6
# With fewer rows to train on, threads wait for one another more than they work
_FEWEST_FOR_THREADS = 1000
# With more parameters, the vectors of several fits at a time take too much memory
_MANY_PARAMETERS = 2**20
# Weak verdicts are drawn towards this candidate, by so many nats, over all held-out rows,
# times the squared distance from it
_USUAL, _PULL = -1, 0.3
# A loss that is not lower than the floor by this share of it is one of a constant
_PLATEAU = 0.01
# A share of the floor that is nothing, where nothing has been learnt
_NOTHING = 1e-3
# A loss that is higher by this share is one of noise that was learnt
_OVERFIT = 0.05
# A loss below this share of the floor leaves nothing to look for
_LEARNT = 0.1
# Share of what a fit has learnt that held-out rows have to confirm, lest it is noise
_CONFIRMED = 0.5
# A share of the floor that one candidate gains on another, if it is to say where to look
_GAIN = 0.002
# Held-out rows, and effective observations among them, that can rule candidates out
_ENOUGH, ENOUGH_TELLING = 100, 15
# What held-out rows may add to log-variances; the last is more than there is between the
# least variance and the variance of y
_WIDENINGS = 15 * np.linspace(0, 1, 21) ** 2


def tell_nobody(*news, **details):
    """Where nobody follows the search."""


class Rules(NamedTuple):
    """What all races of a search have in common.

    Attributes
    ----------
    train : callable
        ``train(objective, theta, monitor)`` returns a `Result`.
    make_monitor : callable
        Returns a new `Monitor`, which stops a fit.
    unit : float
        Weight of an observation: what the half decades are multiplied by.
    floor : float
        Mean loss of the best constant prediction.
    to_learn : float
        What the loss of a perfect prediction is below the floor.
    map_fits : callable
        Runs the fits of several candidates, or the sums over rows of a single one.
    report : callable
        ``report(race)`` is called whenever candidates have been measured.
    telling : float
        Share of effective observations; see `Problem.telling`.
    origin, is_relative, widen
        See `Loss`.
    """

    train: Callable
    make_monitor: Callable
    unit: float
    floor: float
    to_learn: float
    map_fits: Callable = serial
    report: Callable = tell_nobody
    telling: float = math.inf
    origin: float = 0.0
    is_relative: bool = False
    widen: Callable | None = None


class Race:
    """Held-out losses of candidates, numbered by half decades of the unit.

    All candidates are trained alike, until the rule that will stop the fit stops them.

    Parameters
    ----------
    rules : Rules
    splits : list of Problem
        Each with rows to train on, and validation rows to measure the loss on.
    start_of : callable
        ``start_of(candidate)`` returns the parameters that its fits start from.
    pull : float, default=0.3
        Nats by which weak verdicts are drawn towards the usual strength, over all held-out
        rows, half a decade away from it.
    slack : float, default=0
        A share of the loss, or of what was learnt if that is less, that makes no
        difference.

    Attributes
    ----------
    losses : dict of {int: list of float or ndarray}
        Of each candidate, its mean loss on the held-out rows of the splits so far. Of
        densities, an array: the loss with each amount added to the log-variances.
    trained : dict of {int: ndarray of shape (P,)}
        Where its fit to the first split ended.
    training_weight : float
        Weight of the rows that the first split trains on.
    """

    def __init__(self, rules, splits, start_of, *, pull=_PULL, slack=0.0):
        self._rules, self._splits, self._start_of = rules, splits, start_of
        self._pull, self._slack = pull, slack
        self._held_out = [split.rough_held_out_objective() for split in splits]
        self._n_seen = np.cumsum([split.validation.n_observations() for split in splits])
        self._n_independent = np.cumsum(
            [split.validation.n_independent() for split in splits]
        )
        self.losses, self.trained, self._objectives = {}, {}, {}
        self._averages = {}  # of the losses of each candidate, over its splits
        data = splits[0].data
        self.training_weight, self._n_training = data.total_weight, data.n_rows

    def alpha(self, candidate):
        """The strength that a candidate stands for."""
        return self._rules.unit * 10.0 ** (candidate / 2)

    def run(self, candidates, split=0):
        """Train the candidates on a split, and measure their losses."""
        # the weaker the penalty, the longer it takes
        candidates = sorted(c for c in candidates if len(self.losses.get(c, [])) == split)
        n_rows = self._splits[split].data.n_rows
        map_fits = serial if n_rows < _FEWEST_FOR_THREADS else self._rules.map_fits
        is_long = self._splits[split].network.n_parameters > _MANY_PARAMETERS
        if len(candidates) == 1 or is_long:
            measured = [self._measure(split, map_fits, one) for one in candidates]
        else:
            measured = map_fits(partial(self._measure, split, serial), candidates)
        for candidate, (result, loss) in zip(candidates, measured, strict=True):
            if split == 0:
                self.trained[candidate] = result.theta
                self._objectives[candidate] = result.loss
            losses = self.losses.setdefault(candidate, [])
            losses.append(loss)
            weights = [held_out.total_weight for held_out in self._held_out[: split + 1]]
            self._averages[candidate] = np.average(losses, axis=0, weights=weights)
        self._rules.report(self)

    def forget_rows(self):
        """Give back the memory of all rows: no more candidates are trained."""
        self._splits, self._held_out = [], []

    def mean(self, candidate):
        """Mean loss on all held-out rows that a candidate has seen.

        Densities are as wide as suits these rows.
        """
        return float(np.min(self._averages[candidate]))

    def widening(self, candidate):
        """What all held-out rows together add to the log-variances of a candidate."""
        if self._rules.widen is None:
            return 0.0
        return float(_WIDENINGS[np.argmin(self._averages[candidate])])

    def best(self):
        """The strongest penalty whose mean loss is about the smallest.

        The fewer rows have been seen, the more it takes to leave the usual strength.
        """
        return self._best_of(self._furthest())

    def contenders(self):
        """The best candidate and those that are not clearly worse."""
        return self._within(self.noise())

    def survivors(self):
        """The candidates that a next split is to tell apart.

        Few rows, of which one may have much of the loss, can't rule one out; and rows of a
        group are alike. Of densities, any row may be far out.
        """
        n_rows = self._n_independent[len(self.losses[self.best()]) - 1]
        is_few = n_rows < _ENOUGH or self._rules.telling * n_rows < ENOUGH_TELLING
        if is_few or self._rules.widen is not None:
            return set(self._furthest())
        return self._within(self._noise_of(n_rows))

    def beats(self, other):
        """Whether the best candidate is clearly better than another race's best."""
        return self.mean(self.best()) < other.mean(other.best()) - other.noise()

    def noise(self):
        """What differences of mean losses have to exceed to be clear.

        Differences of the losses of rows are of the order of half the floor, or of half
        the loss, if that tells the scale.
        """
        return self._noise_of(self._rows_seen(self.best()))

    def _noise_of(self, n_rows):
        return self._unit(self.best()) / 2 / math.sqrt(n_rows)

    def _unit(self, candidate):
        """What differences between a candidate's loss and others are compared with."""
        rules = self._rules
        return self.mean(candidate) if rules.is_relative else rules.to_learn

    def is_plateau(self, candidate):
        """Whether a candidate has learnt next to nothing."""
        rules = self._rules
        return not self.mean(candidate) < rules.floor - _PLATEAU * rules.to_learn

    def is_flat(self):
        """Whether the loss is far from 0, and no weaker penalty is clearly worse.

        Then it is not the penalty that holds the net back.
        """
        best = self.best()
        weaker = {candidate for candidate in self.losses if candidate < best}
        rules = self._rules
        is_learnt = self.mean(best) - rules.origin < _LEARNT * rules.to_learn
        return not is_learnt and weaker <= self.contenders()

    def edge(self):
        """The decade beyond the best, if it has none; None at the ends."""
        best = self.best()
        return next(filter(self._is_new, (best + 2, best - 2)), None)

    def beyond(self):
        """The decade beyond the best, if it has none; None at the ends.

        A weaker penalty has to be worth it: the best gains on a stronger one.
        """
        best = self.best()
        if self._is_new(best + 2):
            return best + 2
        is_worth = self._is_new(best - 2) and self._gains(best, best + 2)
        return best - 2 if is_worth else None

    def between(self):
        """The half decade between the best and its better neighbour."""
        best = self.best()
        return (best + self._best_of(self.losses.keys() & {best - 2, best + 2})) // 2

    def quarter(self):
        """The quarter of a decade between the best and its better neighbour."""
        best = self.best()
        return (best + self._best_of(self.losses.keys() & {best - 1, best + 1})) / 2

    def next_neighbour(self):
        """A neighbour of the best that is worth a fit; None if there is none.

        A side is left alone if the other one, which has been tried, is not worse by much.
        """
        best = self.best()
        if self.is_plateau(best):
            return self.next_on_plateau()
        for candidate in (best - 1, best + 1):
            if self._is_new(candidate) and self._gains(best, 2 * best - candidate):
                return candidate
        return None

    def next_on_plateau(self):
        """A candidate that may leave the plateau that the best is on; None without one.

        The held-out loss has humps where nets begin to learn, so weaker and weaker
        penalties are looked at, until one overfits, and a decade of stronger ones.
        """
        best = self.best()
        if not self.is_plateau(best):
            return None
        for candidate in range(best - 1, WEAKEST - 1, -1):
            if self._is_new(candidate):
                return candidate
            rules = self._rules
            if self.mean(candidate) > rules.floor + _OVERFIT * rules.to_learn:
                break
        return next(filter(self._is_new, (best + 1, best + 2)), None)

    def stronger_on_plateau(self):
        """A stronger candidate, if the strongest is the best, and on a plateau, or None.

        All rows may say so, where the first of them have said where to look.
        """
        best = self.best()
        is_strongest = best == max(self.losses) and best + 2 <= STRONGEST
        return best + 2 if is_strongest and self.is_plateau(best) else None

    def start_for(self, candidate, otherwise):
        """Where the fit of the nearest candidate ended, unless it has learnt noise.

        It has if it is on a plateau, or if held-out rows confirm less than half of what it
        gains on the floor.
        """
        nearest = min(sorted(self.trained), key=lambda tried: abs(tried - candidate))
        learnt = self._rules.floor - self._objectives[nearest]
        confirmed = self._rules.floor - self.mean(nearest)
        if self.is_plateau(nearest) or confirmed < _CONFIRMED * learnt:
            return otherwise
        return self.trained[nearest]

    def table(self):
        """Rows to train on, strength and mean held-out loss of each candidate."""
        return [
            (self._n_training, self.alpha(c), self.mean(c))
            for c in sorted(self.losses, reverse=True)
        ]

    def _within(self, margin):
        """The best candidate and those that are worse by no more than a margin."""
        best = self.best()
        bound = self.mean(best) + margin
        return {c for c in self._furthest() if self.mean(c) <= bound} | {best}

    def _furthest(self):
        """The candidates that have seen the most splits."""
        n_splits = max(map(len, self.losses.values()))
        return [c for c, losses in self.losses.items() if len(losses) == n_splits]

    def _best_of(self, candidates):
        drawn = {candidate: self._drawn(candidate) for candidate in candidates}
        least, rules = min(drawn.values()), self._rules
        slack = self._slack * max(min(least - rules.origin, rules.floor - least), 0)
        if not least < rules.floor - _PLATEAU * rules.to_learn:
            slack = _NOTHING * rules.to_learn
        return max(c for c, loss in drawn.items() if loss <= least + slack)

    def _drawn(self, candidate):
        """The mean loss, drawn towards the usual strength.

        Where the loss tells the scale, half its logarithm is the loss in nats.
        """
        loss, n_rows = self.mean(candidate), self._rows_seen(candidate)
        pull = self._pull * (candidate - _USUAL) ** 2 / n_rows
        return loss * math.exp(2 * pull) if self._rules.is_relative else loss + pull

    def _rows_seen(self, candidate):
        return self._n_seen[len(self.losses[candidate]) - 1]

    def _is_new(self, candidate):
        return candidate not in self.losses and WEAKEST <= candidate <= STRONGEST

    def _gains(self, best, other):
        """Whether the best candidate is better than another one by more than a trifle."""
        if other not in self.losses:
            return True
        return self.mean(other) - self.mean(best) > _GAIN * self._unit(best)

    def _measure(self, split, map_rows, candidate):
        problem = self._splits[split]
        objective = problem.rough_objective(self.alpha(candidate), map_rows)
        start = problem.reduce(self._start_of(candidate))
        result = self._rules.train(objective, start, self._rules.make_monitor())
        loss = self._held_out_loss(split, result.theta)
        theta = problem.expand(result.theta.astype(objective.dtype, copy=False))
        return replace(result, theta=theta), loss

    def _held_out_loss(self, split, theta):
        """See `losses`; infinity, which is worse than any number, where it is none.

        Residuals of rows that the net has learnt understate the variance of others.
        """
        held_out, widen = self._held_out[split], self._rules.widen
        if widen is None:
            loss = held_out.loss(theta)
            return loss if math.isfinite(loss) else math.inf
        losses = np.empty(len(_WIDENINGS))
        for i, amount in enumerate(_WIDENINGS):
            wider = self._splits[split].network.parameters(theta.copy())
            widen(wider.intercepts[-1], amount)
            losses[i] = held_out.loss(wider.vector)
        return np.where(np.isfinite(losses), losses, np.inf)
