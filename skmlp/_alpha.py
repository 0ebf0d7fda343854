"""The strength of the penalty, chosen on held-out rows."""

import math
from functools import partial

import numpy as np

from skmlp._holdout import folds
from skmlp._parallel import serial
from skmlp._solvers import minimize_lbfgs

# Candidates, in half decades of the unit: those that every search sees, from the strongest
# on, and how far it may go beyond them
_FIRST = (2, 0, -2)
_STRONGEST, _WEAKEST = 4, -6
# Most iterations of a candidate; the rule that stops the fit stops it, too
_MAX_ITER = 100

# Rows to train on and the most that are looked at in all. A few are dealt out to folds, and
# as many of the folds take their turn as held-out rows as it takes to see enough of them.
TRAINING_ROWS = 2400
MOST_ROWS = 4800
_N_FOLDS = 5
_ENOUGH_HELD_OUT = 300
# With fewer rows to train on, threads wait for one another more than they work
_FEWEST_FOR_THREADS = 1000
# Fewer distinct rows than this tell nothing. Their penalty, in units, is this times the
# square of their number: the four of XOR can be learnt, and it is about the best for 20
_FEWEST_ROWS = 30
_ALPHA_OF_FEW = 1 / 4000
# Starts that few rows choose from, besides the first
_N_OTHER_STARTS = 7


def choose_alpha(problem, theta, *, seed, make_monitor, draw_start, max_iter):
    """Alpha by the loss on held-out rows; rows that are too few choose the start instead.

    Parameters
    ----------
    problem : Problem
        Its validation rows are the held-out ones; without any, some of its data are.
    theta : ndarray of shape (P,)
    seed : int
    make_monitor : callable
    draw_start : callable or None
        ``draw_start(random_state)`` returns another start; None if theta is to be kept.
    max_iter : float
        Iterations of the fit that alpha is for: a candidate makes no more.

    Returns
    -------
    alpha : float
    theta : ndarray of shape (P,)
        To start from.
    found : ndarray of shape (P,) or None
        Where the search's fit to a part of the rows ended.
    """
    rows, validation = problem.data.sample(seed, MOST_ROWS), problem.validation
    if validation is None:
        splits = draw_splits(rows, seed)
    else:
        training = rows.sample(seed, TRAINING_ROWS)
        splits = [(training, validation.sample(seed, MOST_ROWS))]
    # a split may have few rows for its features where the data as a whole have many
    splits = [problem.part(*split).in_row_space() for split in splits]
    train = partial(_train, max_iter=min(max_iter, _MAX_ITER))
    losses, trained = search_alpha(
        theta,
        splits,
        train=train,
        total_weight=rows.total_weight,
        unit=rows.total_weight / rows.n_observations(),
        entropy=problem.entropy,
        make_monitor=make_monitor,
        map_fits=problem.map_rows,
    )
    alpha = min(losses, key=losses.get)
    if not splits and draw_start is not None:
        random_state = np.random.RandomState(seed)
        others = [draw_start(random_state) for _ in range(_N_OTHER_STARTS)]
        few = problem.part(rows).in_row_space()
        theta = best_start(few, alpha, [theta, *others], make_monitor, train)
    return alpha, theta, trained[alpha]


def search_alpha(
    theta, splits, *, train, total_weight, unit, entropy, make_monitor, map_fits=serial
):
    """Losses on held-out rows for some values of alpha.

    In a Bayesian reading the penalty is minus the logarithm of a normal prior of precision
    alpha [1]_, which does not depend on the number of rows: so alpha can be found on a part
    of them. All candidates are trained alike: from one start, until the rule that will stop
    the fit stops them. On the first split three decades are tried; a fourth, if the third
    is not clearly worse; more beyond an end that is the best; and the half decade on the
    better side of the best. Those that are not clearly worse race on over the other
    splits [2]_.

    Parameters
    ----------
    theta : ndarray of shape (P,)
        Start of every fit.
    splits : list of Problem
        Each with rows to train on, and validation rows to measure the loss on.
    train : callable
        ``train(objective, theta, monitor)`` returns a `Result`.
    total_weight : float
    unit : float
        Mean weight of an observation: what the decades are multiplied by.
    entropy : float
        Mean loss of a prediction by the shares of the classes.
    make_monitor : callable
        Returns a new `Monitor`, which stops a fit.
    map_fits : callable, default=serial
        Runs the fits of several candidates, or the sums over rows of a single one, where
        there are rows enough.

    Returns
    -------
    losses : dict of {float: float}
        Mean held-out loss of each alpha that went all the way, stronger ones first: the
        best is the first with the smallest.
    trained : dict of {float: ndarray of shape (P,)}
        Where the fit of each of them to the first split ended; None without a search.

    References
    ----------
    .. [1] D. J. C. MacKay, "A practical Bayesian framework for backpropagation networks",
       Neural Computation 4 (1992).
    .. [2] O. Maron, A. W. Moore, "Hoeffding races", NIPS 1993.
    """
    if entropy == 0:  # a single class: there is nothing to hold back
        alpha = unit * 10.0 ** (_WEAKEST / 2)
        return {alpha: 0.0}, {alpha: None}
    if not splits:
        alpha = _ALPHA_OF_FEW * total_weight**2 / unit
        return {alpha: math.nan}, {alpha: None}
    if splits[0].data.n_rows < _FEWEST_FOR_THREADS:
        map_fits = serial
    race = _Race(theta, splits, train, unit, entropy, make_monitor, map_fits)
    race.run(0, _FIRST)
    if _FIRST[-1] in race.contenders(race.losses):
        race.run(0, [_FIRST[-1] - 2])
    while (beyond := race.edge()) is not None:
        race.run(0, [beyond])
    race.run(0, [race.between()])
    survivors = race.contenders(race.losses)
    for split in range(1, len(splits)):
        if len(survivors) > 1:
            race.run(split, survivors)
            survivors = race.contenders(survivors)
    ranked = sorted(survivors, reverse=True)
    losses = {race.alpha(i): race.mean(i) for i in ranked}
    return losses, {race.alpha(i): race.trained[i] for i in ranked}


def best_start(problem, alpha, starts, make_monitor, train):
    """Of several starts, the one from which a fit to few rows ends lowest.

    Nets of a few units have minima that are not the lowest: two logistic units miss one of
    XOR's four rows from four starts in ten.

    Parameters
    ----------
    problem : Problem
        Of the rows.
    alpha : float
    starts : list of ndarray of shape (P,)
    make_monitor : callable
        Returns a new `Monitor`.
    train : callable
        See `search_alpha`.

    Returns
    -------
    theta : ndarray of shape (P,)
    """
    objective = problem.rough_objective(alpha)
    reduced = map(problem.reduce, starts)
    losses = [train(objective, theta, make_monitor()).loss for theta in reduced]
    # what differs by less than stopping allows is equal, and the first of equals is taken:
    # the rounding of a sum must not decide
    return starts[int(np.argmax(np.array(losses) <= min(losses) + make_monitor().tol))]


def _train(objective, theta, monitor, max_iter):
    return minimize_lbfgs(
        objective, theta, max_iter=max_iter, max_fun=10 * max_iter, on_iteration=monitor
    )


class _Race:
    """Held-out losses of candidates, numbered by half decades of the unit.

    Attributes
    ----------
    losses : dict of {int: list of float}
        Of each candidate, its mean loss on the held-out rows of the splits so far.
    trained : dict of {int: ndarray of shape (P,)}
        Where its fit to the first split ended.
    """

    def __init__(self, theta, splits, train, unit, entropy, make_monitor, map_fits):
        self._theta, self._splits, self._train = theta, splits, train
        self._unit, self._entropy = unit, entropy
        self._make_monitor = make_monitor
        self._map = map_fits
        self._held_out = [split.rough_held_out_objective() for split in splits]
        self.losses, self.trained = {}, {}

    def alpha(self, candidate):
        """The strength that a candidate stands for."""
        return self._unit * 10.0 ** (candidate / 2)

    def run(self, split, candidates):
        """Train the candidates on a split, and measure their losses."""
        candidates = sorted(candidates)  # the weaker the penalty, the longer it takes
        if len(candidates) == 1:
            measured = [self._measure(split, self._map, *candidates)]
        else:
            measured = self._map(partial(self._measure, split, serial), candidates)
        for candidate, (theta, loss) in zip(candidates, measured, strict=True):
            self.trained.setdefault(candidate, theta)
            self.losses.setdefault(candidate, []).append(loss)

    def mean(self, candidate):
        """Mean loss on all held-out rows that a candidate has seen."""
        losses = self.losses[candidate]
        weights = [held_out.total_weight for held_out in self._held_out]
        return float(np.average(losses, weights=weights[: len(losses)]))

    def best(self, candidates):
        """The candidate with the smallest mean loss; of equals, the strongest penalty."""
        return min(sorted(candidates, reverse=True), key=self.mean)

    def contenders(self, candidates):
        """The best candidate and those that are not clearly worse.

        Differences of the losses of rows are of the order of half the entropy.
        """
        best = self.best(candidates)
        n_splits = len(self.losses[best])
        n_seen = sum(split.validation.n_observations() for split in self._splits[:n_splits])
        bound = self.mean(best) + self._entropy / 2 / math.sqrt(n_seen)
        return {candidate for candidate in candidates if self.mean(candidate) <= bound}

    def edge(self):
        """The decade beyond the best, if it has none; None at the ends."""
        best = self.best(self.losses)
        for beyond in (best + 2, best - 2):
            if beyond not in self.losses and _WEAKEST <= beyond <= _STRONGEST:
                return beyond
        return None

    def between(self):
        """The half decade between the best and its better neighbour."""
        best = self.best(self.losses)
        return (best + self.best(self.losses.keys() & {best - 2, best + 2})) // 2

    def _measure(self, split, map_rows, candidate):
        problem = self._splits[split]
        objective = problem.rough_objective(self.alpha(candidate), map_rows)
        start = problem.reduce(self._theta)
        theta = self._train(objective, start, self._make_monitor()).theta
        loss = self._held_out[split].loss(theta)
        loss = loss if math.isfinite(loss) else math.inf  # which is worse than any number
        return problem.expand(theta.astype(objective.dtype, copy=False)), loss


def draw_splits(rows, seed):
    """Splits of rows for the search, none of too few rows.

    Parameters
    ----------
    rows : Rows
        Of a `Rows.sample`.
    seed : int

    Returns
    -------
    splits : list of (Rows, Rows)
    """
    n_observations = rows.n_observations()
    if n_observations < _FEWEST_ROWS:
        return []
    lots = rows.lots()
    # of more rows than it takes to train, the others are held out, at little cost
    n_folds = max(_N_FOLDS, (_N_FOLDS - 1) * rows.n_distinct() // TRAINING_ROWS)
    if lots.are_groups:
        n_folds = min(_N_FOLDS, len(lots.count))
    fold = folds(lots, n_folds=n_folds, seed=seed)
    if n_folds > _N_FOLDS:
        held_out = [fold >= _N_FOLDS - 1]
    else:
        n_splits = min(-(-_ENOUGH_HELD_OUT * n_folds // n_observations), n_folds)
        held_out = [fold == i for i in range(n_splits)]
    # of few distinct rows with many copies, a fold may have none
    return [
        (rows.part(lots.shares(~mask, are_last=True)), rows.part(lots.shares(mask)))
        for mask in held_out
        if 0 < mask.sum() < len(mask)
    ]
