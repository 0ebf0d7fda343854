"""A training: a function of settings, data and progress, which sets nothing of anything."""

import math
from collections import deque
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from skmlp._alpha import MOST_ROWS, Choice, choose_alpha
from skmlp._coordinates import (
    Coordinates,
    drifted,
    have_no_scale,
    merge_means,
    merge_moments,
    raw_parameters,
    standard_coordinates,
    warn_of_lost,
    without_idleness,
)
from skmlp._monitor import Monitor, Stopped
from skmlp._outcome import Outcome, Progress, network_attributes
from skmlp._parallel import row_threads
from skmlp._passes import Passes, weight_seen, with_call
from skmlp._problem import Problem
from skmlp._race import tell_nobody
from skmlp._relevance import features_matter
from skmlp._scaling import N_ROWS, find_tails, merge_tails, scaling_of
from skmlp._solvers import SOLVERS, Result, StochasticState
from skmlp._unit import FEWEST_COLUMNS, choose_unit, share_a_unit, with_unit
from skmlp._warnings import warn

# alpha="auto" in partial_fit, whose calls see parts of the data: the penalty weighs against
# the rows of a call, so what suits the whole would be too strong
_ALPHA_OF_PARTS = 1e-4
# A stream that has trained on fewer rows knows neither means nor deviations, and has learnt
# little: the weights of the standardised features stay what they are where these change
_FIRST_ROWS = 30
# From so many rows on there are fits to growing parts of them first. The last part is one
# in `_LAST_PART` rows; each is `_GROWTH` times as large as the one before; none has fewer
# rows or more bytes than these
_MANY_ROWS = 50_000
_LAST_PART, _GROWTH = 8, 4
_PART_ROWS, _PART_BYTES = 3000, 2**28
# An iteration on a part is cheap: it has to gain a quarter of what it has to on all rows
_PART_TOLERANCE = 0.25
# What is said at Ctrl-C if something has been trained by then
_INTERRUPTED_BEFORE = (
    "Training was interrupted before its iterations on all rows; the estimator keeps the "
    "best parameters that were fitted to some of them."
)
# Relative difference from the entropy of the classes that is none
_NO_BETTER = 1e-3
# Observations of equal weight that tell nothing, if they are fewer than that
_FEWEST_EFFECTIVE = 30


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after which there is an outcome: what was trained until then."""

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
        A validation set; None, with early stopping, to hold out some of the data.
    earlier : Progress or None
        What to go on from.
    initial : (list of array-like or None, list of array-like or None)
        Weights and biases to start from.
    make_score : callable or None
        ``make_score(rows)`` returns a function of the attributes that a network predicts
        with: its score on validation rows. None scores by the loss.
    notify : callable or None
        ``notify(make_outcome)`` is called after each iteration; the training ends if it
        returns True. ``make_outcome()`` is what the training would come to there.
    stage : callable
        ``stage(name)`` is a context for what is done before the iterations: the search for
        alpha, its later stages within it, and each fit to a part. It may raise `Stopped`
        at its end; then the training ends with what it has.
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
    network = settings.network(data.n_features, targets)
    drawn, progress = None, earlier
    if earlier is None:
        random_state = check_random_state(settings.random_state)
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
    # 2 even of few rows: large products of mini-batches are shared by two threads
    with row_threads(max(data.n_blocks(network), 2)) as map_rows:
        if drawn is None:
            of_network = network, targets
            progress, coordinates, theta = _go_on(settings, *of_network, data, progress)
        else:
            progress, coordinates = _choose_coordinates(settings, network, data, progress)
            theta = _start(network, coordinates, targets, drawn, *initial)
        problem = Problem(network, coordinates, data, targets, validation, map_rows)
        is_drawn = earlier is None and all(part is None for part in initial)
        if is_drawn and settings.searches_alpha(earlier):
            problem, progress = _choose_unit(settings, problem, progress, theta, stage)
        if is_drawn and targets.is_met_by_constant(problem.floor - problem.origin):
            theta = problem.at_constant(theta)
        problem, theta = _narrow(settings, problem, theta, is_drawn)
        score = None
        if validation is not None and make_score is not None:
            score = make_score(validation)
        watch = partial(_watch, settings, problem, stops_early, score)
        may_move = is_drawn and not stops_early and not settings.method.has_epochs
        prepare = partial(
            _prepare, settings, problem, progress, theta, is_drawn, may_move, stage
        )
        return _run(settings, problem, prepare, watch, {"begin": begin, "notify": notify})


def _count(settings, data, progress):
    """Add the weight of the rows of this call to what was seen."""
    if settings.is_incremental:
        of_call = data.fingerprint(), data.total_weight, data.n_rows
        passes = with_call(progress.passes, *of_call)
    else:
        passes = tuple(Passes(of_fit=data.total_weight))
    return replace(progress, passes=passes)


def _run(settings, problem, prepare, watch, follow):
    """Prepare and solve; or end with what was reached, if someone asks to stop before.

    Parameters
    ----------
    settings : Settings
    problem : Problem
    prepare : callable
        `_prepare`, but for what was reached.
    watch : callable
        ``watch(progress, **follow)`` returns a monitor of the iterations, which begin.
    follow : dict
        `begin` and `notify` of `train`.

    Returns
    -------
    outcome : Outcome
    """
    reached = deque(maxlen=1)  # the progress and the parameters to end with
    try:
        progress, theta, found = prepare(reached)
        monitor = watch(progress, **follow)
        outcome, result = _solve(settings, problem, theta, monitor, progress, found)
    except Interrupted:
        raise
    except Stopped:
        return _outcome_there(problem, partial(watch, **follow), *reached.pop())
    except KeyboardInterrupt as interrupt:
        if not reached:
            raise
        outcome = _outcome_there(problem, watch, *reached.pop())
        raise Interrupted(_INTERRUPTED_BEFORE, outcome) from interrupt
    _warn_of_the_end(settings, problem, outcome, result)
    return outcome


def _prepare(settings, problem, progress, theta, is_drawn, may_move, stage, reached):
    """Set alpha, and find where the solver is to start.

    Parameters
    ----------
    is_drawn, may_move : bool
        Whether theta was drawn, and whether the solver may start elsewhere.
    stage : callable
        See `train`.
    reached : deque
        Is given the progress and the parameters of the best fit so far.

    Returns
    -------
    progress : Progress
    theta : ndarray of shape (P,)
    found : ndarray of shape (P,) or None
        See `Choice`.
    """
    progress, choice = _set_alpha(
        settings, problem, progress, theta, is_drawn, stage, reached
    )
    theta, found = choice.theta, choice.found
    if may_move and choice.is_stage and found is not None:
        theta = found
    elif may_move:
        theta = _approach(settings, problem, theta, progress, stage, reached)
    return progress, theta, found


def _watch(settings, problem, stops_early, score, progress, begin=None, notify=None):
    """A monitor of the iterations, which begin now; it tells of each."""
    if begin is not None:
        begin()
    monitor = _make_monitor(settings, problem, progress, stops_early, score)
    if notify is not None:
        monitor.notify = lambda: notify(
            lambda: _outcome(problem, monitor, _without_state(progress))
        )
    return monitor


def _outcome_there(problem, watch, progress, theta):
    """Of a training that ends where it is, before its iterations.

    The objective is evaluated on all rows, which is recorded as an iteration that has left
    the parameters as they are.
    """
    monitor = watch(progress)
    monitor(theta, problem.objective(_alpha_of_call(problem, progress)).loss(theta))
    return _outcome(problem, monitor, _without_state(progress), keep_best=True)


def problem_at(settings, data, targets, progress):
    """The problem of some rows, and where a fitted network is in it.

    Parameters
    ----------
    settings : Settings
    data : Rows
    targets : object
    progress : Progress
        Of the fit.

    Returns
    -------
    problem : Problem
    theta : ndarray of shape (P,), in the precision of the rows
    """
    network = settings.network(data.n_features, targets)
    coordinates = _coordinates(network, progress.scaling, data.dtype)
    theta = network.flatten(progress.coefs, progress.intercepts, data.dtype)
    parameters = network.parameters(theta)
    targets.from_raw(parameters)
    coordinates.from_raw(parameters)
    return Problem(network, coordinates, data, targets), theta


def _narrow(settings, problem, theta, is_drawn):
    """Go into the span of the rows, where solvers without epochs end with weights of it.

    What of a start of the user's own is not in the span, though, may be meant to stay.

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


def _choose_coordinates(settings, network, data, progress):
    """Choose the coordinates of a training that does not go on from another."""
    if settings.standardize:
        moments = data.moments()
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
    return progress, _coordinates(network, progress.scaling, data.dtype)


def _coordinates(network, scaling, dtype):
    if scaling is None:
        return Coordinates.identity(network)
    return standard_coordinates(network, *scaling, dtype)


def _go_on(settings, network, targets, data, progress):
    """Parameters and coordinates of before; in a stream, these follow the features.

    Returns
    -------
    progress : Progress
        Its averages of gradients are copies.
    coordinates : Coordinates
    theta : ndarray of shape (P,)
    """
    _check_standardize(settings, progress)
    coordinates = _coordinates(network, progress.scaling, data.dtype)
    theta = _take_up(network, coordinates, targets, progress)
    if progress.optimizer is not None:
        vectors = list(map(np.array, progress.optimizer["vectors"]))
        progress = replace(progress, optimizer=progress.optimizer | {"vectors": vectors})
    if not settings.is_incremental or progress.moments is None:
        return progress, coordinates, theta
    are_new = _have_unknown_scale(progress, data)
    progress = _with_features(network, data, progress)
    return _follow_features(network, coordinates, theta, progress, are_new)


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
    """Raise ValueError where parameters of other coordinates are to go on in these."""
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
    """Add what a call of a stream tells of the features."""
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


def _follow_features(network, coordinates, theta, progress, are_new):
    """Let all follow the features of a stream, in place; see `Coordinates.follow`."""
    scaling = scaling_of(progress.moments, theta.dtype, progress.tails, progress.unit)
    scaling = drifted(progress.scaling, scaling)
    if scaling is None:
        return progress, coordinates, theta
    new, averages = _coordinates(network, scaling, theta.dtype), []
    if progress.optimizer is not None:
        powers = SOLVERS[progress.optimizer["solver"]].powers
        averages = list(zip(powers, progress.optimizer["vectors"], strict=True))
    coordinates.follow(theta, averages, network, new, are_new)
    return replace(progress, scaling=scaling), new, theta


def _choose_unit(settings, problem, progress, theta, stage):
    """Divide features of one unit by one number, if held-out rows say so."""
    moments = progress.moments
    is_set = not settings.standardize or progress.unit or progress.tails is not None
    if is_set or not share_a_unit(moments):
        return problem, progress
    try:
        with stage("choose divisor"):
            unit = choose_unit(
                problem,
                theta,
                moments,
                seed=progress.seed,
                make_monitor=_monitors_of_search(settings, problem),
                max_iter=_most_iterations(settings),
                show=_print_divisors if settings.verbose else tell_nobody,
            )
    except Stopped:
        pass  # there is no alpha to end with yet: the search for it ends the fit
    if unit is None:
        return problem, progress
    scaling = scaling_of(moments, problem.data.dtype, unit=unit)
    return with_unit(problem, moments, unit), replace(progress, unit=unit, scaling=scaling)


def _take_up(network, coordinates, targets, progress):
    """Flat vector of the present parameters: if nobody has changed them, the exact one."""
    shapes = [W.shape for W in progress.coefs]
    if shapes != network.coef_shapes:
        raise ValueError(
            "hidden_layer_sizes has changed: warm_start and partial_fit go on with "
            f"layers of shapes {shapes}, not {network.coef_shapes}. Set it back, "
            "or call fit with warm_start=False."
        )
    if progress.optimizer is not None:
        exact = progress.optimizer["theta"]
        theta = exact.copy()
        raw = network.parameters(theta)
        coordinates.to_raw(raw)
        given = [*progress.coefs, *progress.intercepts]
        coefs, intercepts = targets.to_raw(raw.coefs, raw.intercepts)
        if all(map(np.array_equal, [*coefs, *intercepts], given)):
            np.copyto(theta, exact)
            return theta
    dtype = progress.coefs[0].dtype
    theta = network.flatten(progress.coefs, progress.intercepts, dtype)
    parameters = network.parameters(theta)
    targets.from_raw(parameters)
    coordinates.from_raw(parameters)
    return theta


def _start(network, coordinates, targets, drawn, coefs_init, intercepts_init):
    """Flat vector to start from: the drawn one, unless the user has given parts of it."""
    if coefs_init is None and intercepts_init is None:
        return drawn
    raw = targets.to_raw(*raw_parameters(network, coordinates, drawn)[1:])
    parameters = network.parameters(network.flatten(*raw, drawn.dtype))
    _fill(parameters.coefs, coefs_init, "coefs_init")
    _fill(parameters.intercepts, intercepts_init, "intercepts_init")
    targets.from_raw(parameters)
    coordinates.from_raw(parameters)
    return parameters.vector


def _fill(arrays, values, name):
    """Copy given initial parameters into the arrays of the layers."""
    if values is None:
        return
    shapes = [array.shape for array in arrays]
    if not hasattr(values, "__len__") or len(values) != len(shapes):
        raise ValueError(
            f"{name} should be a list with an array for each of the {len(shapes)} layers, "
            f"of shapes {shapes}."
        )
    for i, (array, value) in enumerate(zip(arrays, values, strict=True)):
        value = np.asarray(value, array.dtype)
        if value.shape != array.shape:
            raise ValueError(
                f"{name}[{i}] should have shape {array.shape}, got {value.shape}."
            )
        if not np.isfinite(value).all():
            raise ValueError(f"{name}[{i}] should be finite.")
        array[...] = value


def _set_alpha(settings, problem, progress, theta, may_redraw, stage, reached):
    """Take alpha as it is given, keep that of before, or search for it; see `_prepare`.

    Returns
    -------
    progress : Progress
    choice : Choice
        Where to start from, and more, if there was a search.
    """
    if settings.alpha != "auto":
        alpha = float(settings.alpha)
        progress = replace(progress, alpha=alpha, alpha_search=None, chosen_for=None)
        return progress, Choice(alpha, theta)
    if settings.is_incremental:
        alpha = _ALPHA_OF_PARTS if progress.alpha is None else progress.alpha
        return replace(progress, alpha=alpha), Choice(alpha, theta)
    chosen_for = problem.data.observation_weight()
    if not settings.searches_alpha(progress):
        progress = _with_alpha_kept(progress, chosen_for)
        return progress, Choice(progress.alpha, theta)
    progress = replace(progress, chosen_for=chosen_for)
    choice = None
    try:
        with stage("choose alpha"):
            choice = _search_alpha(
                settings, problem, progress, theta, may_redraw, stage, reached
            )
    except Stopped:
        if reached:
            raise  # else nothing is trained yet: the first iteration ends the fit
    if settings.verbose:
        print(f"alpha = {choice.alpha:.6g}, chosen on held-out rows")
    progress = _with_choice(progress, choice)
    if choice.found is not None:
        reached.append((progress, choice.found))
    return progress, choice


def _with_alpha_kept(progress, chosen_for):
    """Keep the choice of before: in other units of the weights, the same penalty."""
    factor = chosen_for / progress.chosen_for
    if math.isnan(factor):
        factor = 1.0
    return replace(progress, alpha=factor * progress.alpha, chosen_for=chosen_for)


def _search_alpha(settings, problem, progress, theta, may_redraw, stage, reached):
    """See `_prepare`."""
    draw_start = partial(problem.draw, standardized=settings.standardize)
    return choose_alpha(
        problem,
        theta,
        seed=progress.seed,
        make_monitor=_monitors_of_search(settings, problem),
        draw_start=draw_start if may_redraw else None,
        max_iter=_most_iterations(settings),
        stage=stage,
        report=lambda best: reached.append((_with_choice(progress, best), best.theta)),
        show=_print_candidates if settings.verbose else tell_nobody,
    )


def _with_choice(progress, choice):
    return replace(progress, alpha=choice.alpha, alpha_search=choice.record)


def _print_candidates(table):
    for n_rows, alpha, loss in table:
        print(f"{n_rows} rows, alpha = {alpha:.6g}: held-out loss = {loss:.6f}")


def _print_divisors(losses):
    for unit, loss in losses.items():
        print(f"standardize={unit!r}: held-out loss = {loss:.6f}")


def _monitors_of_search(settings, problem):
    """What makes a monitor for each fit of a search."""
    tol = problem.tolerance(settings.tol)
    return partial(Monitor, tol, settings.n_iter_no_change)


def _most_iterations(settings):
    """Iterations that a fit of the search makes at the most, whose own are no epochs."""
    return math.inf if settings.method.has_epochs else settings.max_iter


def _approach(settings, problem, theta, progress, stage, reached):
    """Where L-BFGS should start on many rows: the optimum of a part of them.

    That fit starts from the optimum of a smaller part, and so on: each has to make up only
    for what its rows know better. Unlike in [1]_, where samples grow until their gradients
    are sure enough to descend, each part is fitted to its end. Alpha is multiplied by the
    part's share of the weight, which makes it the same penalty for a row: under more than
    that, the units of a small part become alike, and stay so.

    References
    ----------
    .. [1] R. Bollapragada et al., "A progressive batching L-BFGS method for machine
       learning", ICML 2018.
    """
    for n_rows in reversed(_parts(problem.data)):
        with stage(f"fit to {n_rows} rows"):
            theta = _fit_to_part(settings, problem, theta, progress, n_rows, reached)
    return theta


def _fit_to_part(settings, problem, theta, progress, n_rows, reached):
    """See `_approach`."""
    rows = problem.data.sample(progress.seed, n_rows)
    monitor = Monitor(
        _PART_TOLERANCE * problem.tolerance(settings.tol),
        settings.n_iter_no_change,
        verbose=settings.verbose,
        title=f"Fit to {rows.n_rows} of {problem.data.n_rows} rows: ",
    )
    monitor.notify = lambda: reached.append((progress, monitor.theta))
    alpha = progress.alpha * rows.total_weight / problem.data.total_weight
    objective = problem.part(rows).objective(alpha)
    result = settings.method.run(
        settings, objective, theta, on_iteration=monitor, other=None
    )
    theta = result.theta.astype(theta.dtype, copy=False)
    reached.append((progress, theta))
    return theta


def _parts(data):
    """Numbers of rows of the parts, the largest one first."""
    if data.n_rows < _MANY_ROWS:
        return []
    return _shrinking(min(data.n_rows // _LAST_PART, _PART_BYTES // data.row_bytes))


def _shrinking(n_rows):
    """Numbers of rows of a part and of those before it."""
    parts = []
    while n_rows >= _PART_ROWS:
        parts.append(n_rows)
        n_rows //= _GROWTH
    return parts


def most_stages(settings, data, validation, earlier, is_drawn):
    """Stages before the iterations, at the most; those within others do not count.

    Parameters
    ----------
    settings, data, validation, earlier
        See `train`.
    is_drawn : bool
        Whether the parameters to start from will be drawn.
    """
    searches_alpha = settings.searches_alpha(earlier)
    n_stages = int(searches_alpha)
    if searches_alpha and is_drawn and settings.standardize is True:
        n_stages += data.n_features >= FEWEST_COLUMNS
    is_whole = not (settings.method.has_epochs or settings.stops_early(data, validation))
    if is_drawn and is_whole and data.n_rows >= _MANY_ROWS:
        n_stages += len(_shrinking(data.n_rows // _LAST_PART))
    return n_stages


def _score_held_out(problem, held_out, score, floor, theta):
    """Loss and score of held-out rows; without a score, the loss tells it."""
    loss = held_out.loss(theta)
    if score is None:
        return loss, problem.targets.score(loss, floor)
    return loss, score(network_attributes(*problem.raw(theta)))


def _make_monitor(settings, problem, progress, stops_early, score):
    score_held_out = None
    if problem.validation is not None:
        held_out = problem.held_out_objective()
        floor = problem.part(problem.validation).floor
        score_held_out = partial(_score_held_out, problem, held_out, score, floor)
    patience = settings.n_iter_no_change
    if not stops_early and settings.has_planned_rate:
        patience = np.inf  # the end of the plan tells when it is done
    earlier = {}
    if settings.is_incremental and progress.best_loss is not None:
        earlier = {"best_loss": progress.best_loss, "n_stalled": progress.n_stalled}
    # the calls of partial_fit may each see few classes; a score has a scale of its own
    has_scale = settings.is_incremental or (stops_early and settings.scoring != "loss")
    return Monitor(
        settings.tol if has_scale else problem.tolerance(settings.tol),
        patience,
        score_held_out,
        watches_score=stops_early,
        verbose=settings.verbose,
        **earlier,
    )


def _alpha_of_call(problem, progress):
    """Alpha times the share of this call in the weight that was seen so far.

    So the penalties of many small calls of a stream add up to about the penalty of one
    large call.
    """
    return progress.alpha * (problem.data.total_weight / weight_seen(progress.passes))


def _solve(settings, problem, theta, monitor, progress, found):
    """Run the solver; the outcome, and the solver's own result."""
    objective = problem.objective(
        _alpha_of_call(problem, progress),
        shuffle=settings.shuffle,
        dropout=settings.dropout,
    )
    state = StochasticState(
        n_epochs=progress.n_epochs,
        n_samples=progress.n_samples,
        # a new fit has new patience
        n_plateaus=progress.n_plateaus if settings.is_incremental else 0,
    )
    if progress.takes_up(settings.solver):
        state.n_steps = progress.optimizer["n_steps"]
        state.averages = progress.optimizer["vectors"]
    try:
        result = settings.method.run(
            settings,
            objective,
            theta,
            on_iteration=monitor,
            state=state,
            # a fit is a training of its own, and so are max_iter calls of partial_fit
            first_epoch=progress.plan_epoch if settings.is_incremental else state.n_epochs,
            seed=progress.seed,
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
            _outcome(problem, monitor, _without_state(progress), keep_best=True),
        ) from interrupt
    if settings.method.has_epochs:
        progress = _with_state(settings, progress, state, result.theta, monitor)
    else:
        progress = _without_state(progress)
    return _outcome(problem, monitor, progress, result, keep_best=True), result


def _without_state(progress):
    """The averages of gradients must not outlive parameters that another solver moved."""
    return replace(progress, optimizer=None, n_plateaus=0)


def _with_state(settings, progress, state, theta, monitor):
    """With what a later call goes on from, where it goes on from these parameters."""
    progress = replace(_without_state(progress), n_epochs=state.n_epochs)
    if not settings.is_incremental:
        progress = replace(progress, plan_epoch=state.n_epochs)
    if settings.is_incremental or (settings.warm_start and not monitor.watches_score):
        optimizer = {
            "solver": settings.solver,
            "theta": theta,
            "n_steps": state.n_steps,
            "vectors": state.averages,
        }
        progress = replace(progress, optimizer=optimizer, n_plateaus=state.n_plateaus)
    return progress


def _outcome(problem, monitor, progress, result=None, keep_best=False):
    """Of a solver's result, or of the last iteration; of the best, if it is to be kept."""
    if result is None:
        result = Result(monitor.theta, monitor.losses[-1], len(monitor.losses), True)
    theta, loss = result.theta, result.loss
    if keep_best and monitor.best_theta is not None:
        theta, loss = monitor.best_theta, monitor.losses[monitor.best_iteration]
    coefs, intercepts = problem.raw(theta)
    best_loss = None if monitor.watches_score else min(monitor.best_loss, loss)
    progress = replace(
        progress,
        coefs=coefs,
        intercepts=intercepts,
        n_samples=progress.n_samples + result.n_iter * problem.data.n_given,
        best_loss=best_loss,
        n_stalled=monitor.n_stalled,
    )
    return Outcome(progress, monitor, loss)


def _warn_of_the_end(settings, problem, outcome, result):
    """Warn where the end is none, or no better than a constant, but could be."""
    monitor = outcome.monitor
    is_over = result.converged and not (settings.is_incremental or monitor.was_stopped)
    least = _NO_BETTER * (problem.floor - problem.origin)
    if is_over and outcome.loss > problem.floor - least > problem.origin:
        _warn_of_a_constant(problem, outcome)
    if not (result.converged or settings.is_incremental):
        warn(result.message, ConvergenceWarning)
    if monitor.watches_score and monitor.scores and monitor.best_theta is None:
        warn(
            "No validation score was a number, so the last parameters are kept, not "
            "the best. Check scoring, and the scale of the validation set.",
        )


def _warn_of_a_constant(problem, outcome):
    """Say so, and what may help, unless there is no more to know.

    That is so where equal features have all that differs between the targets, and where a
    few heavy rows of many are almost all there is.
    """
    rows = problem.data.sample(outcome.progress.seed, MOST_ROWS)
    if not rows.features_tell(_NO_BETTER):
        return
    alpha, squared_shares = outcome.progress.alpha, problem.data.squared_shares()
    if _features_matter(problem, outcome.progress, squared_shares):
        advice = (
            "Yet the features tell of the targets. Try a larger n_iter_no_change, "
            f"another random_state, or a weaker penalty than alpha={alpha:.3g}."
        )
    elif 1 / squared_shares < _FEWEST_EFFECTIVE <= rows.n_observations():
        return
    else:
        advice = (
            "Either the features tell nothing of the targets, or it takes more rows, more "
            "units or more iterations to see what they tell. A much weaker penalty than "
            f"alpha={alpha:.3g} reproduces the training rows, but perhaps no others."
        )
    warn(
        f"The fit is no better than a constant prediction: its loss is {outcome.loss:.6g}, "
        f"the constant's {problem.floor:.6g}. {advice}",
        ConvergenceWarning,
    )


def _features_matter(problem, progress, squared_shares):
    random_state = np.random.RandomState(progress.seed)
    theta = problem.draw(random_state, standardized=True)
    objective = problem.objective(progress.alpha)
    return features_matter(
        problem.network, objective, theta, problem.target_means, squared_shares
    )
