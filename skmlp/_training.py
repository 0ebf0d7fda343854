"""A training: a function of settings, data and progress, which sets nothing of anything."""

from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from skmlp._alpha import MOST_ROWS
from skmlp._choices import choose_columns, choose_divisor
from skmlp._growing import approach, sample_sizes
from skmlp._iteration import Result
from skmlp._monitor import Monitor, Stopped
from skmlp._outcome import Outcome, Progress, network_attributes
from skmlp._parallel import row_threads
from skmlp._passes import Passes, weight_seen, with_call
from skmlp._problem import Fit, Problem
from skmlp._relevance import features_matter
from skmlp._start import choose_coordinates, go_on, start
from skmlp._unit import FEWEST_COLUMNS
from skmlp._warnings import warn

# The message at Ctrl-C if something has been trained by then
_INTERRUPTED_BEFORE = (
    "Training was interrupted before its iterations on all rows; the estimator keeps the "
    "best parameters that were fitted to some of them."
)
# A smaller relative difference from the loss of the best constant is none
_NO_BETTER = 1e-3
# Fewer observations of equal weight tell nothing
_FEWEST_EFFECTIVE = 30


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with the outcome of the training until then."""

    def __init__(self, message, outcome):
        super().__init__(message)
        self.outcome = outcome


def train(
    settings,
    data,
    targets,
    validation=None,
    earlier=None,
    *,
    columns=None,
    others=MappingProxyType({}),
    initial=(None, None),
    make_score=None,
    notify=None,
    stage=nullcontext,
    begin=None,
):
    """Minimise the objective of a network of the data.

    Parameters
    ----------
    settings : Settings
    data : Rows or Parts
    targets : object
        What y is.
    validation : Rows or Parts, or None
        A validation set; with early stopping, None holds out some of the data.
    earlier : Progress or None
        Of the fit or call to go on from.
    columns : str or None
        A name for the columns of the rows.
    others : dict of {str: (Rows, Rows or None)}, default={}
        The same rows, and validation rows, in other columns, by their names: held-out rows
        say whether these are better.
    initial : (list of array-like or None, list of array-like or None)
        Weights and biases to start from.
    make_score : callable or None
        ``make_score(rows, columns)`` returns a function of the attributes that a network
        predicts with: its score on validation rows, in the columns of that name. None
        scores by the loss.
    notify : callable or None
        ``notify(make_outcome)`` is called after each iteration; the training ends if it
        returns True. ``make_outcome()`` returns the outcome, were it to end there.
    stage : callable
        ``stage(name)`` is a context for each step before the iterations: the search for
        alpha, its later stages within it, and each fit to a sample. It may raise `Stopped`
        at its end; then the training ends with the best parameters so far.
    begin : callable or None
        Called before the first iteration.

    Returns
    -------
    outcome : Outcome

    Raises
    ------
    ValueError
        If settings, data and progress do not fit together, or training diverges.
    Interrupted
        At a KeyboardInterrupt, if there are parameters that something was fitted to.
    """
    random_state = None if earlier else check_random_state(settings.random_state)
    n_blocks = data.n_blocks(settings.network(data.n_features, targets))
    offers = [(columns, data, validation, False)]
    offers += [(name, *rows, True) for name, rows in others.items()]
    # each starts from the same state of the random numbers
    states = [random_state, *(deepcopy(random_state) for _ in others)]
    told = stage, notify, begin
    # 2 even of few rows: large products of mini-batches are shared by two threads
    with row_threads(max(n_blocks, 2)) as map_rows:
        call = _Call(settings, targets, earlier, initial, make_score, *told, map_rows)
        return _run(list(map(partial(_begin, call), states, offers)))


class _Call(NamedTuple):
    """The arguments of `train` that are the same in all columns."""

    settings: object
    targets: object
    earlier: Progress | None
    initial: tuple
    make_score: Callable | None
    stage: Callable
    notify: Callable | None
    begin: Callable | None
    map_rows: Callable


def _begin(call, random_state, offer):
    """What is to be fitted, in some columns, and where its training starts.

    Parameters
    ----------
    call : _Call
    random_state : RandomState or None
    offer : (str or None, Rows, Rows or None, bool)
        Name of the columns, data and validation rows, and whether others come before: a
        common divisor is looked for in the first columns only.

    Returns
    -------
    fit : Fit
    progress : Progress
    theta : ndarray of shape (P,)
    """
    settings, targets, earlier, initial = call[:4]
    columns, data, validation, is_other = offer
    network = settings.network(data.n_features, targets)
    drawn, progress = None, earlier
    if earlier is None:
        drawn = network.initialize(random_state, data.dtype, settings.standardize)
        progress = Progress(int(random_state.randint(np.iinfo(np.int32).max)))
    stops_early = settings.stops_early(data, validation)
    if stops_early and validation is None:
        data, validation = data.split(
            settings.validation_fraction, progress.seed, targets.names
        )
    if not settings.method.has_epochs:
        data = data.added_up()
    progress = _count(settings, data, progress)
    if drawn is None:
        progress, coordinates, theta = go_on(settings, network, targets, data, progress)
    else:
        progress, coordinates = choose_coordinates(
            settings, network, data, progress, call.map_rows
        )
        theta = start(network, coordinates, targets, drawn, *initial)
    problem = Problem(network, coordinates, data, targets, validation, call.map_rows)
    is_drawn = earlier is None and all(given is None for given in initial)
    if is_drawn and settings.searches_alpha(earlier) and not is_other:
        problem, progress = choose_divisor(settings, problem, progress, theta, call.stage)
    if is_drawn and targets.is_met_by_constant(problem.floor - problem.origin):
        theta = problem.at_constant(theta)
    problem, theta = _narrow(settings, problem, theta, is_drawn)
    score = None
    if validation is not None and call.make_score is not None:
        score = call.make_score(validation, columns)
    told = call.stage, call.notify, call.begin, columns
    return Fit(settings, problem, is_drawn, stops_early, score, *told), progress, theta


def _count(settings, data, progress):
    """Add the weight of the rows of this call to the weight that was seen."""
    if settings.is_incremental:
        of_call = data.fingerprint(), data.total_weight, data.n_rows
        passes = with_call(progress.passes, *of_call)
    else:
        passes = tuple(Passes(of_fit=data.total_weight))
    return replace(progress, passes=passes)


def _run(begun):
    """Prepare and solve; or end with the best so far, if someone asks to stop before.

    Parameters
    ----------
    begun : list of (Fit, Progress, ndarray)
        See `choose_columns`.
    """
    reached = deque(maxlen=1)  # fit, progress and parameters to end with
    try:
        fit, progress, theta, found = _prepare(begun, reached)
        begun.clear()  # of starts that may be long, and are behind
        outcome, result = _solve(fit, progress, theta, _watch(fit, progress), found)
    except Interrupted:
        raise
    except Stopped:
        return _outcome_there(*reached.pop())
    except KeyboardInterrupt as interrupt:
        if not reached:
            raise
        fit, *there = reached.pop()
        outcome = _outcome_there(fit._replace(begin=None, notify=None), *there)
        raise Interrupted(_INTERRUPTED_BEFORE, outcome) from interrupt
    _warn_of_the_end(fit, outcome, result)
    return outcome


def _prepare(begun, reached):
    """Choose columns, set alpha, and find where the solver is to start.

    Parameters
    ----------
    begun : list of (Fit, Progress, ndarray)
    reached : deque
        Is given the fit, and the progress and the parameters of the best one so far.

    Returns
    -------
    fit : Fit
    progress : Progress
    theta : ndarray of shape (P,)
    found : ndarray of shape (P,) or None
        See `Choice`.
    """
    fit, progress, choice = choose_columns(begun, reached)
    theta, found = choice.theta, choice.found
    if fit.is_drawn and not (fit.stops_early or fit.settings.method.has_epochs):
        if choice.is_stage and found is not None:
            theta = found
        else:
            theta = approach(fit, progress, theta, reached)
    return fit, progress, theta, found


def _watch(fit, progress):
    """A monitor of the iterations, which begin now; it tells of each."""
    if fit.begin is not None:
        fit.begin()
    monitor = _make_monitor(fit, progress)
    if fit.notify is not None:
        monitor.notify = partial(fit.notify, partial(_outcome, fit, progress, monitor))
    return monitor


def _outcome_there(fit, progress, theta):
    """The outcome of a training that ends at theta, before its iterations.

    The objective is evaluated on all rows, which is recorded as an iteration that has left
    the parameters as they are.
    """
    monitor = _watch(fit, progress)
    monitor(theta, _objective(fit, progress).loss(theta))
    return _outcome(fit, progress, monitor, keep_best=True)


def _narrow(settings, problem, theta, is_drawn):
    """Go into the span of the rows, where solvers without epochs keep the weights.

    A start that the user has given may have weights out of the span, which are to stay.

    Returns
    -------
    problem : Problem
    theta : ndarray of shape (P,)
    """
    if settings.method.has_epochs or settings.alpha == 0:
        return problem, theta
    narrow = problem.in_row_space()
    reduced = narrow.reduce(theta)
    if is_drawn or narrow is problem or np.allclose(narrow.expand(reduced), theta):
        return narrow, reduced
    return problem, theta


def most_stages(settings, data, validation, earlier, is_drawn):
    """Stages before the iterations, at the most, without the stages within others.

    Parameters
    ----------
    settings, data, validation, earlier
        See `train`.
    is_drawn : bool
        Whether the parameters to start from will be drawn.
    """
    n_stages = int(settings.searches_alpha(earlier))
    if n_stages and is_drawn and settings.standardize is True:
        n_stages += data.n_features >= FEWEST_COLUMNS
    is_whole = not (settings.method.has_epochs or settings.stops_early(data, validation))
    if is_drawn and is_whole:
        n_stages += len(sample_sizes(data.n_rows))
    return n_stages


def _score_held_out(fit, held_out, floor, widening, theta):
    """Loss and score of held-out rows; without a score, the loss is the score."""
    problem, loss = fit.problem, held_out.loss(theta)
    if fit.score is None:
        return loss, problem.targets.score(loss, floor)
    return loss, fit.score(network_attributes(*problem.raw(theta, widening)))


def _make_monitor(fit, progress):
    settings, problem = fit.settings, fit.problem
    score_held_out = None
    if problem.validation is not None:
        held_out = problem.held_out_objective()
        floor = problem.part(problem.validation).floor
        known = held_out, floor, progress.widening
        score_held_out = partial(_score_held_out, fit, *known)
    patience = settings.n_iter_no_change
    if not fit.stops_early and settings.has_planned_rate:
        patience = np.inf  # the end of the plan tells when it is done
    earlier = {}
    if settings.is_incremental and progress.best_loss is not None:
        earlier = {"best_loss": progress.best_loss, "n_stalled": progress.n_stalled}
    return Monitor(
        patience=patience,
        score_held_out=score_held_out,
        watches_score=fit.stops_early,
        verbose=settings.verbose,
        **earlier,
        **_tolerances(fit),
    )


def _tolerances(fit):
    """`tol` as arguments of `Monitor`; scores have a scale of their own, as D2 has."""
    settings, problem = fit.settings, fit.problem
    is_relative = problem.network.output.is_relative
    if fit.stops_early:
        has_scale = is_relative or settings.scoring != "loss"
    else:  # the calls of partial_fit may each see few classes
        has_scale = settings.is_incremental and not is_relative
    return {"tol": settings.tol} if has_scale else problem.tolerances(settings.tol)


def _objective(fit, progress, **options):
    """The objective of a call: alpha times its share in the weight that was seen so far.

    So the penalties of many small calls of a stream add up to about the penalty of one
    large call.
    """
    share = fit.problem.data.total_weight / weight_seen(progress.passes)
    return fit.problem.objective(progress.alpha * share, **options)


def _solve(fit, progress, theta, monitor, found):
    """Run the solver; the outcome, and the solver's own result."""
    settings = fit.settings
    try:
        result = settings.method.run(
            settings,
            _objective(fit, progress, shuffle=settings.shuffle, dropout=settings.dropout),
            theta,
            on_iteration=monitor,
            state=progress.optimizer,
            seed=progress.seed,
            n_samples=progress.n_samples,
            # what holds up the fit, a saddle point, may not have held up the search
            other=None if monitor.watches_score else found,
        )
    except KeyboardInterrupt as interrupt:
        if not monitor.losses:
            raise
        which = "last" if monitor.best_theta is None else "best"
        raise Interrupted(
            f"Training was interrupted after {len(monitor.losses)} iterations; the "
            f"estimator keeps the parameters of the {which} of them.",
            _outcome(fit, progress, monitor, keep_best=True),
        ) from interrupt
    return _outcome(fit, progress, monitor, result, keep_best=True), result


def _next_state(settings, progress, result, monitor):
    """The state that a later call goes on from, if it takes these parameters.

    Averages of gradients must not outlive their parameters: another solver may have moved
    these, or an interrupted training may have kept earlier ones.
    """
    state = result.state
    if state is None:
        return progress.optimizer.without_averages()._replace(n_plateaus=0)
    if not settings.is_incremental:
        # a fit is a training of its own, and so are max_iter calls of partial_fit
        state = state._replace(plan_epoch=state.n_epochs)
    if settings.is_incremental or (settings.warm_start and not monitor.watches_score):
        return state._replace(solver=settings.solver, theta=result.theta)
    return state.without_averages()._replace(n_plateaus=0)


def _outcome(fit, progress, monitor, result=None, keep_best=False):
    """The outcome of a solver's result, or of the last iteration; or of the best one."""
    problem = fit.problem
    if result is None:
        result = Result(monitor.theta, monitor.losses[-1], len(monitor.losses), True)
    theta, loss = result.theta, result.loss
    if keep_best and monitor.best_theta is not None:
        theta, loss = monitor.best_theta, monitor.losses[monitor.best_iteration]
    coefs, intercepts = problem.raw(theta, progress.widening)
    best_loss = None if monitor.watches_score else min(monitor.best_loss, loss)
    progress = replace(
        progress,
        coefs=coefs,
        intercepts=intercepts,
        optimizer=_next_state(fit.settings, progress, result, monitor),
        n_samples=progress.n_samples + result.n_iter * problem.data.n_given,
        best_loss=best_loss,
        n_stalled=monitor.n_stalled,
    )
    return Outcome(progress, monitor, loss, fit.columns, fit.held_out)


def _warn_of_the_end(fit, outcome, result):
    """Warn of a fit that did not converge, or that is no better than a constant."""
    settings, problem, monitor = fit.settings, fit.problem, outcome.monitor
    is_over = result.converged and not (settings.is_incremental or monitor.was_stopped)
    bound = problem.floor - _NO_BETTER * (problem.floor - problem.origin)
    seems_constant = is_over and outcome.loss > bound > problem.origin
    # epochs may have learnt what there is long before the penalty is low
    if seems_constant and problem.objective(0.0).loss(result.theta) > bound:
        _warn_of_a_constant(problem, outcome)
    if not (result.converged or settings.is_incremental):
        warn(result.message, ConvergenceWarning)
    if monitor.watches_score and monitor.scores and monitor.best_theta is None:
        warn(
            "No validation score was a number, so the last parameters are kept, not "
            "the best. Check scoring, and the scale of the validation set.",
        )


def _warn_of_a_constant(problem, outcome):
    """Say that the fit is no better than a constant, and what may help.

    Unless there is no more to know: where equal features have all that differs between the
    targets, and where a few heavy rows of many are almost all there is.
    """
    alpha, seed = outcome.progress.alpha, outcome.progress.seed
    rows = problem.data.sample(seed, MOST_ROWS)
    if not rows.features_tell(_NO_BETTER):
        return
    squared_shares = problem.data.squared_shares()
    drawn = problem.draw(np.random.RandomState(seed), standardized=True)
    at_start = problem.network, problem.objective(alpha), drawn
    if features_matter(*at_start, problem.target_means, squared_shares):
        advice = (
            "Yet the features tell of y. Try a larger n_iter_no_change, another "
            f"random_state, or a weaker penalty than alpha={alpha:.3g}."
        )
    elif 1 / squared_shares < _FEWEST_EFFECTIVE <= rows.n_observations():
        return
    else:
        advice = (
            "Either the features tell nothing of y, or it takes more rows, more units or "
            "more iterations to see what they tell. A much weaker penalty than "
            f"alpha={alpha:.3g} reproduces the training rows, but perhaps no others."
        )
    warn(
        f"The fit is no better than a constant prediction: its loss is {outcome.loss:.6g}, "
        f"the constant's {problem.floor:.6g}. {advice}",
        ConvergenceWarning,
    )
