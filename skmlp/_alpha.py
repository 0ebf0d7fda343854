"""The strength of the penalty, chosen on held-out rows, at the size where it is used."""

import math
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

import numpy as np

from skmlp._holdout import folds
from skmlp._race import ENOUGH_TELLING, STRONGEST, WEAKEST, Race, Rules, tell_nobody
from skmlp._solvers import minimize_lbfgs

# Candidates that every search sees, from the strongest on, in half decades
SEARCH_CANDIDATES = (2, 0, -2)
# Most iterations of a candidate; the rule that stops the fit stops it, too. Densities have
# more: those that overfit do so late, and beyond all bounds
_MAX_ITER, _MAX_ITER_OF_DENSITY = 100, 1000

# Rows to train on and the most that are looked at in all. A few are dealt out to folds, and
# as many of the folds take their turn as held-out rows as it takes to see enough of them.
TRAINING_ROWS = 2400
MOST_ROWS = 4800
_N_FOLDS = 5
_ENOUGH_HELD_OUT = 300
# Fewer rows than this tell nothing. Their penalty, in units, is this times the square of
# their number: the four of XOR can be learnt, and it is about the best for 20
_FEWEST_ROWS = 30
# But densities of few rows are beyond all bounds without a search
_FEWEST_OF_DENSITY = 5
_ALPHA_OF_FEW = 1 / 4000
# Starts that few rows choose from, besides the first
_N_OTHER_STARTS = 7

# Later stages: the fewest rows to train on; how many times as many as in the stage before,
# so that the same penalty for a row is the next candidate for alpha; and the most rows: so
# many, or one in so many of all rows
_STAGE_ROWS = 4000
_GROWTH = math.sqrt(10)
_LAST_STAGE, _SHARE_OF_ALL = 38_400, 8
# A share of the loss, or of what was learnt, that makes no difference there: the fit goes
# on where the candidates have ended, which under a weaker penalty is time to learn noise
_SLACK = 0.005
# Rows that a search which has seen nothing leaves to a second one, in `TRAINING_ROWS`
_CLEARLY_MORE = 1.2
# A strength that is none, in units
_NO_PENALTY = 1e-20
# What the rows of a stage may take
_STAGE_BYTES = 2**28
# Units of a layer in the search, at the most: strengths that suit a net suit a wider one
_MOST_UNITS = 100
# Fewer, where a loss and gradient of these takes about a millisecond: numbers that the rows
# are multiplied by, where the function of a unit is worth so many
_FEWER_UNITS, _DEAR, _WORTH_OF_UNIT = 64, 6_000_000, 30
# Starts with steeper first layers, for answers that bend often, and candidates to try them
_STEEPER = (4, 16)
_OF_STEEPER = (0, -2, -4)


class Choice(NamedTuple):
    """The end of a search.

    Attributes
    ----------
    alpha : float
    theta : ndarray of shape (P,)
        To start from.
    found : ndarray of shape (P,) or None
        Where the last stage's fit with about the same penalty for a row ended; without
        stages, the search's fit with alpha. None without such a fit, or if it has learnt
        noise.
    is_stage : bool
        Whether that part was one of the later stages.
    table : sequence of (int, float, float)
        Rows to train on, strength and mean held-out loss of each candidate of each stage.
    widening : float
        What held-out rows add to the log-variances of densities.
    held_out : float
        The mean held-out loss of alpha; nan without held-out rows.
    at_first : float or None
        The strength that was the best in the search on few rows.
    """

    alpha: float
    theta: np.ndarray
    found: np.ndarray | None = None
    is_stage: bool = False
    table: tuple = ()
    widening: float = 0.0
    held_out: float = math.nan
    at_first: float | None = None

    @property
    def record(self):
        """The table as a dict of arrays, by the names of its columns."""
        if not self.table:
            return None
        n_samples, alpha, loss = map(np.array, zip(*self.table, strict=True))
        return {"n_samples": n_samples, "alpha": alpha, "held_out_loss": loss}


def choose_alpha(
    problem,
    theta,
    *,
    seed,
    make_monitor,
    draw_start,
    max_iter,
    around=None,
    stage=nullcontext,
    report=tell_nobody,
    show=tell_nobody,
):
    """Alpha by the loss on held-out rows; rows that are too few choose the start instead.

    First there is a search on few rows; with fewer units, if that is all there is, since
    the same strength suits nets of any width. The penalty that suits few rows need not suit
    ten times as many: so from some thousand rows on, stages follow, each on about three
    times the rows of the one before, in which the neighbours of what was best compete
    again. Each fit of a stage starts where the fit with the same penalty for a row, alpha
    divided by the weight of the rows, ended in the stage before: it is almost the same
    objective.

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
    around : float, optional
        What suits the same rows in other columns. The candidates begin there, and a decade
        above, instead of at the usual decades.
    stage : callable, default=nullcontext
        ``stage(name)`` is a context for each of the later stages.
    report : callable
        ``report(choice)`` is called whenever candidates have been measured, with what the
        choice would be if the search ended there: theta is where the best one's fit ended.
    show : callable
        ``show(table)`` is called with the candidates of each stage at its end.

    Returns
    -------
    choice : Choice
    """
    splits, stages, sample = draw_rows(problem, seed)
    rules = search_rules(problem, sample, make_monitor, max_iter)
    if problem.floor <= problem.origin:  # a single class: there is nothing to hold back
        return Choice(rules.unit * 10.0 ** (WEAKEST / 2), theta)
    if not splits:
        n_rows = sample.n_observations()
        alpha = rules.unit * _ALPHA_OF_FEW * min(n_rows, _FEWEST_ROWS) ** 2
        if draw_start is not None and n_rows < _FEWEST_ROWS:
            few = problem.part(sample).in_row_space()
            starts = [theta, *_other_starts(draw_start, seed)]
            theta = best_start(few, alpha, starts, make_monitor, rules.train)
        return Choice(alpha, theta)
    rules = rules._replace(report=_best_so_far(report))
    may_steepen = draw_start is not None and len(problem.network.coef_shapes) > 1
    factors = _STEEPER if may_steepen else ()
    about = None if around is None else _about(around, rules.unit)
    # nothing here keeps the rows of the attempts
    race, theta = _search(
        problem,
        rules,
        _attempts(problem, splits, stages, sample, seed, draw_start is not None),
        theta,
        factors,
        about,
    )
    show(race.table())
    choice = _climb(problem, rules, race, theta, stages, stage, show)
    return choice._replace(at_first=race.alpha(race.best()))


def _search(problem, rules, attempts, theta, factors, about):
    """`search_alpha` on splits after splits, until something is learnt.

    Other starts are steeper by the factors.
    """
    steeper = [steepened(problem.network, theta, factor) for factor in factors]
    for splits in attempts:
        race, start = search_alpha(rules, splits, theta, steeper, about)
        if not race.is_plateau(race.best()):
            break
    return race, start


def judge_alpha(problem, theta, alpha, *, seed, make_monitor, max_iter):
    """The choice of an alpha that is given, with its loss on held-out rows.

    The rows are as many as the last stage of a search has.

    Parameters
    ----------
    problem : Problem
    theta : ndarray of shape (P,)
    alpha : float
    seed, make_monitor, max_iter
        See `choose_alpha`.

    Returns
    -------
    choice : Choice
    """
    splits, stages, sample = draw_rows(problem, seed)
    if problem.floor <= problem.origin or not splits:
        return Choice(alpha, theta)
    rules = search_rules(problem, sample, make_monitor, max_iter)
    splits = [problem.part(*split).in_row_space() for split in stages[-1:] or splits]
    candidate = 2 * math.log10(max(alpha / rules.unit, _NO_PENALTY))
    race = Race(rules, splits, lambda candidate: theta)
    for split in range(len(splits)):
        race.run([candidate], split)
    return Choice(alpha, theta, held_out=race.mean(candidate))


def _attempts(problem, splits, stages, sample, seed, may_be_narrow):
    """Splits, as problems, for one search after another, until one has learnt something.

    First with fewer units, then with all of them, then with more rows. Later stages start
    where the first search has ended: before them, there is one search with all units.
    """
    # a split may have few rows for its features where the data as a whole have many
    whole = [problem.part(*split).in_row_space() for split in splits]
    narrow = narrowed(whole) if may_be_narrow and not stages else whole
    if narrow[0] is not whole[0]:
        yield narrow
    yield whole
    if not stages and (split := _second_split(sample, seed)):
        yield [problem.part(*split).in_row_space()]


def narrowed(splits):
    """The splits of a search, with fewer units where there are many, or dear ones."""
    splits = [split.with_units(_MOST_UNITS) for split in splits]
    n_rows, network = splits[0].data.n_rows, splits[0].network
    n_units = sum(network.layer_sizes[1:])
    if n_rows * (network.n_weights + _WORTH_OF_UNIT * n_units) <= _DEAR:
        return splits
    return [split.with_units(_FEWER_UNITS) for split in splits]


def _best_so_far(report):
    """What tells, of a race, the candidate with the lowest held-out loss so far."""
    lowest, best_choice = math.inf, None

    def tell(race, before=()):
        nonlocal lowest, best_choice
        best = race.best()
        if race.mean(best) <= lowest:
            theta = race.trained[best]
            lowest = race.mean(best)
            best_choice = Choice(race.alpha(best), theta, widening=race.widening(best))
        report(best_choice._replace(table=(*before, *race.table())))

    return tell


def search_rules(problem, sample, make_monitor, max_iter):
    """The `Rules` of a search that has drawn a sample of a problem's rows."""
    loss = problem.network.output
    most = _MAX_ITER if loss.widen is None else _MAX_ITER_OF_DENSITY
    train = partial(_train, max_iter=min(max_iter, most))
    unit = sample.total_weight / sample.n_observations()
    return Rules(
        train,
        make_monitor,
        unit,
        problem.floor,
        problem.to_learn,
        problem.map_rows,
        telling=problem.telling(sample),
        origin=problem.origin,
        is_relative=loss.is_relative,
        widen=loss.widen,
    )


def _about(alpha, unit):
    """The candidates about a strength, and a decade above, none of them weak.

    From weak ones, a hump where nets overfit may hide the strong ones.
    """
    candidate = round(2 * math.log10(alpha / unit))
    candidate = min(max(candidate, 0), STRONGEST - 2)
    return candidate + 2, candidate


def search_alpha(rules, splits, theta, steeper=(), about=None):
    """A race between some values of alpha.

    On the first split three decades are tried; a fourth, if the third is not clearly worse;
    more beyond an end that is the best; and the half decade on the better side of the best.
    If the loss is flat, it is the start that holds the net back, and others are tried. On a
    plateau, all half decades are, until one overfits. What is not clearly worse races on
    over the other splits [1]_.

    Parameters
    ----------
    rules : Rules
    splits : list of Problem
    theta : ndarray of shape (P,)
        Start of every fit.
    steeper : list of ndarray of shape (P,)
        Other starts.
    about : sequence of int, optional
        The candidates to begin with, from the strongest on, instead of the usual decades.

    Returns
    -------
    race : Race
    theta : ndarray of shape (P,)
        The start with which it was run.

    References
    ----------
    .. [1] O. Maron, A. W. Moore, "Hoeffding races", NIPS 1993.
    """
    slack = 0.0 if about is None else _SLACK
    race = Race(rules, splits, lambda candidate: theta, slack=slack)
    _run_decades(race, about)
    # without a weaker one, it may be the penalty
    has_weaker = about is None or min(race.losses) < race.best()
    for start in steeper if has_weaker and race.is_flat() else ():
        other = Race(rules, splits, lambda candidate, start=start: start)
        other.run(_OF_STEEPER)
        if other.beats(race):
            race, theta = other, start
    _run_decades(race, about)
    race.run([race.between()])
    while (candidate := race.next_on_plateau()) is not None:
        race.run([candidate])
    for split in range(1, len(splits)):
        if len(survivors := race.survivors()) > 1:
            race.run(survivors, split)
    while (candidate := race.stronger_on_plateau()) is not None:
        for split in range(len(race.losses[race.best()])):
            race.run([candidate], split)
    return race, theta


def _run_decades(race, about):
    race.run(about or SEARCH_CANDIDATES)
    if about is None and SEARCH_CANDIDATES[-1] in race.contenders():
        race.run([SEARCH_CANDIDATES[-1] - 2])
    look_beyond = race.edge if about is None else race.beyond
    while (candidate := look_beyond()) is not None:
        race.run([candidate])


def _climb(problem, rules, race, theta, stages, stage=nullcontext, show=tell_nobody):
    """Let the best candidates compete on more and more rows."""
    if not stages:
        best = race.best()
        found = race.trained[best], False, race.table(), race.widening(best)
        return Choice(race.alpha(best), theta, *found, race.mean(best))
    table = []
    for split in stages:
        table += race.table()
        rules = rules._replace(report=partial(rules.report, before=table))
        larger = problem.part(*split).in_row_space()
        with stage(f"choose alpha on {larger.data.n_rows} rows"):
            race = _race_on(race, rules, larger, theta)
            if split is stages[-1]:
                race.run([race.quarter()])
            show(race.table())
    best, shift = race.best(), _half_decades(problem.data, race.training_weight)
    found = race.start_for(best - shift, otherwise=None)
    table, widening = table + race.table(), race.widening(best)
    told = widening, race.mean(best)
    return Choice(race.alpha(best), theta, found, True, table, *told)


def _race_on(race, rules, split, theta):
    """A race of the best and its neighbours on more rows.

    Those are at least the same alpha, and the alpha that is the same penalty for a row.
    """
    best, shift = race.best(), _half_decades(split.data, race.training_weight)
    race.forget_rows()

    def start_of(candidate):
        return race.start_for(candidate - shift, otherwise=theta)

    larger = Race(rules, [split], start_of, pull=0.0, slack=_SLACK)
    larger.run(range(best, min(best + shift, STRONGEST) + 1))
    while (neighbour := larger.next_neighbour()) is not None:
        larger.run([neighbour])
    return larger


def _half_decades(data, weight):
    """Half decades of alpha between the weight of data and a smaller weight."""
    return max(round(2 * math.log10(data.total_weight / weight)), 0)


def steepened(network, theta, factor):
    """A start whose first hidden layer bends so many times as sharply.

    Its units are spread over the data as before, but each tells one side of its threshold
    from the other in a strip that is narrower by the factor. So a net can learn a
    checkerboard, from which nothing is to be seen with units as wide as the data.
    """
    steep = theta.copy()
    parameters = network.parameters(steep)
    parameters.coefs[0][...] *= factor
    parameters.intercepts[0][...] *= factor
    return steep


def _other_starts(draw_start, seed):
    random_state = np.random.RandomState(seed)
    return [draw_start(random_state) for _ in range(_N_OTHER_STARTS)]


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
        ``train(objective, theta, monitor)`` returns a `Result`.

    Returns
    -------
    theta : ndarray of shape (P,)
    """
    # in double precision: rounding would grow along the way, and decide
    objective = problem.objective(alpha)
    reduced = map(problem.reduce, starts)
    losses = [train(objective, theta, make_monitor()).loss for theta in reduced]
    # what differs by less than stopping allows is equal, and the first of equals is taken:
    # the rounding of a sum must not decide
    bound = min(losses) + make_monitor().least_gain(min(losses))
    return starts[int(np.argmax(np.array(losses) <= bound))]


def _train(objective, theta, monitor, max_iter):
    return minimize_lbfgs(
        objective, theta, max_iter=max_iter, max_fun=10 * max_iter, on_iteration=monitor
    )


def draw_rows(problem, seed):
    """Splits of few rows, a split for each later stage, and rows that tell of all.

    In the later stages, and in the search before them, the held-out rows are the same: a
    fit that goes on from the fit of an earlier stage must not have seen them.
    """
    data, validation = problem.data, problem.validation
    most = max(_LAST_STAGE, data.n_rows // _SHARE_OF_ALL)
    most = min(most, max(_STAGE_BYTES // data.row_bytes, MOST_ROWS))
    if validation is not None:
        pool = data.sample(seed, most).added_up()
        held_out = validation.sample(seed, most // (_N_FOLDS - 1))
        search, stages = _stages(pool, held_out, seed)
        return [search], stages, pool
    sample = data.sample(seed, most * _N_FOLDS // (_N_FOLDS - 1)).added_up()
    is_table = sample.n_observations() >= _FEWEST_ROWS and sample.is_complete()
    if is_table and sample.groups is None:
        # there is no other row to predict: a truth table is to be reproduced
        return [(sample, sample)], [], sample
    if sample.n_observations() * (_N_FOLDS - 1) < _STAGE_ROWS * _N_FOLDS:
        sample = sample.sample(seed, MOST_ROWS)
        loss = problem.network.output
        fewest = _FEWEST_ROWS if loss.widen is None else _FEWEST_OF_DENSITY
        return draw_splits(sample, seed, fewest, problem.telling(sample)), [], sample
    search, stages = _stages(*_first_fold(sample, seed), seed)
    return [search], stages, sample


def _stages(pool, held_out, seed):
    """The split of the search, and a split for each later stage."""
    training = pool.sample(seed, TRAINING_ROWS)
    n_rows, sizes = pool.n_rows, []
    while n_rows >= _STAGE_ROWS:
        sizes.append(n_rows)
        n_rows = int(n_rows / _GROWTH)
    # equal rows are added up: then some rows may be many observations
    if not sizes and pool.total_weight >= 2 * training.total_weight:
        sizes = [pool.n_rows]
    search = training, held_out.sample(seed, MOST_ROWS)
    return search, [(pool.sample(seed, size), held_out) for size in reversed(sizes)]


def _second_split(rows, seed):
    """More rows to train on, after a search that has seen nothing; empty without more."""
    if rows.n_rows < _CLEARLY_MORE * TRAINING_ROWS:
        return ()
    return _first_fold(rows, seed, 2 * _N_FOLDS)


def _first_fold(rows, seed, n_folds=_N_FOLDS):
    """All folds but the first, and the first."""
    lots = rows.lots()
    return _divided(rows, lots, folds(lots, n_folds=n_folds, seed=seed) == 0)


def _divided(rows, lots, is_held_out):
    """Rows to train on, and rows to hold out."""
    train, held_out = lots.shares(~is_held_out, are_last=True), lots.shares(is_held_out)
    return rows.part(train), rows.part(held_out)


def draw_splits(rows, seed, fewest=_FEWEST_ROWS, telling=math.inf):
    """Splits of rows for the search, none of too few rows.

    Parameters
    ----------
    rows : Rows
        Of a `Rows.sample`.
    seed : int
    fewest : int, default=30
        Observations that are not too few.
    telling : float, default=inf
        Share of effective observations, see `Problem.telling`.

    Returns
    -------
    splits : list of (Rows, Rows)
    """
    n_observations = rows.n_observations()
    if n_observations < fewest:
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
        enough = max(_ENOUGH_HELD_OUT, ENOUGH_TELLING / telling)
        n_splits = math.ceil(min(enough / n_observations, 1) * n_folds)
        # rows of a group are alike, so that many rows may say little
        n_splits = n_folds if lots.are_groups else n_splits
        held_out = [fold == i for i in range(n_splits)]
    # of few distinct rows with many copies, a fold may have none
    return [_divided(rows, lots, mask) for mask in held_out if 0 < mask.sum() < len(mask)]
