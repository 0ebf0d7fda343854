"""The choices before the iterations: of a divisor of the features, and of alpha."""

import math
from dataclasses import replace
from functools import partial
from itertools import starmap

from skmlp._alpha import Choice, choose_alpha, judge_alpha
from skmlp._monitor import Monitor, Stopped
from skmlp._race import tell_nobody
from skmlp._scaling import scaling_of
from skmlp._unit import choose_unit, share_a_unit, with_unit

# alpha="auto" in partial_fit, whose calls see few of the rows: the penalty weighs against
# the rows of a call, so the penalty that suits all rows would be too strong
_ALPHA_OF_A_STREAM = 1e-4


def choose_divisor(settings, problem, progress, theta, stage):
    """Divide features of one unit by one number, if held-out rows say so."""
    moments = progress.moments
    is_set = not settings.standardize or progress.unit or progress.tails is not None
    if is_set or not share_a_unit(moments):
        return problem, progress
    try:
        with stage("choose divisor"):
            options = _of_search(settings, problem, progress, _print_divisors)
            unit = choose_unit(problem, theta, moments, **options)
    except Stopped:
        pass  # there is no alpha to end with yet: the search for it ends the fit
    if unit is None:
        return problem, progress
    scaling = scaling_of(moments, problem.data.dtype, unit=unit)
    return with_unit(problem, moments, unit), replace(progress, unit=unit, scaling=scaling)


def choose_columns(begun, reached):
    """Let held-out rows say which columns the rows are to be in, and set alpha.

    A search for alpha is made for each; where alpha is given, one fit to a part of the
    rows. (To ask for more than a lower loss, before the first columns are left, made fits
    of real tables worse.)

    Parameters
    ----------
    begun : list of (Fit, Progress, ndarray)
        The fit in each columns, with what `set_alpha` takes.
    reached : deque
        See `set_alpha`.

    Returns
    -------
    fit : Fit
    progress : Progress
    choice : Choice
    """
    (fit, *at), *others = begun
    chosen = [(fit, *set_alpha(fit, *at, reached))]
    if not others:
        return chosen[0]
    around = chosen[0][-1].at_first
    chosen += [(fit, *set_alpha(fit, *at, reached, around)) for fit, *at in others]
    judged = list(starmap(_judged, chosen))
    held_out = {
        fit.columns: choice.held_out
        for (fit, _, _), choice in zip(chosen, judged, strict=True)
    }
    # the first of equals; nothing is less than nan, which few rows have
    fit, *rest = min(chosen, key=lambda at: held_out[at[0].columns])
    if fit.settings.verbose:
        for columns, loss in held_out.items():
            print(f"{columns} columns: held-out loss = {loss:.6f}")
        print(f"{fit.columns} columns are taken")
    return fit._replace(held_out=held_out), *rest


def _judged(fit, progress, choice):
    """A choice with its loss on held-out rows, which no search has told yet."""
    if fit.settings.searches_alpha(None):
        return choice
    options = _of_search(fit.settings, fit.problem, progress, tell_nobody)
    del options["show"]
    return judge_alpha(fit.problem, choice.theta, choice.alpha, **options)


def set_alpha(fit, progress, theta, reached, around=None):
    """Take alpha as it is given, keep the earlier one, or search for it.

    Parameters
    ----------
    fit : Fit
    progress : Progress
    theta : ndarray of shape (P,)
    reached : deque
        Is given the fit, and the progress and the parameters of the best one so far.
    around : float, optional
        See `choose_alpha`.

    Returns
    -------
    progress : Progress
    choice : Choice
        Where to start from, and more, if there was a search.
    """
    settings, problem = fit.settings, fit.problem
    if settings.alpha != "auto":
        choice = Choice(float(settings.alpha), theta)
        return replace(_with_choice(progress, choice), chosen_for=None), choice
    if settings.is_incremental:
        alpha = _ALPHA_OF_A_STREAM if progress.alpha is None else progress.alpha
        return replace(progress, alpha=alpha), Choice(alpha, theta)
    chosen_for = problem.data.observation_weight()
    if not settings.searches_alpha(progress):
        progress = _with_alpha_kept(progress, chosen_for)
        return progress, Choice(progress.alpha, theta)
    progress = replace(progress, chosen_for=chosen_for)
    choice = None
    try:
        with fit.stage("choose alpha"):
            choice = _search_alpha(fit, progress, theta, reached, around)
    except Stopped:
        if reached:
            raise  # else nothing is trained yet: the first iteration ends the fit
    if choice.record is None:  # few rows or a constant: a warm fit to more may search
        progress = replace(progress, chosen_for=None)
    if settings.verbose:
        print(f"alpha = {choice.alpha:.6g}, chosen on held-out rows")
    progress = _with_choice(progress, choice)
    if choice.found is not None:
        reached.append((fit, progress, choice.found))
    if fit.stops_early or settings.method.has_epochs:
        # it ends at other parameters than the search, long before it has learnt noise
        progress = replace(progress, widening=0.0)
    return progress, choice


def _with_alpha_kept(progress, chosen_for):
    """Keep the earlier choice: in other units of the weights, the same penalty."""
    factor = chosen_for / progress.chosen_for
    if math.isnan(factor):
        factor = 1.0
    return replace(progress, alpha=factor * progress.alpha, chosen_for=chosen_for)


def _search_alpha(fit, progress, theta, reached, around):
    """See `set_alpha`."""
    settings, problem = fit.settings, fit.problem
    draw_start = partial(problem.draw, standardized=settings.standardize)
    return choose_alpha(
        problem,
        theta,
        draw_start=draw_start if fit.is_drawn else None,
        around=around,
        stage=fit.stage,
        report=lambda best: reached.append((fit, _with_choice(progress, best), best.theta)),
        **_of_search(settings, problem, progress, _print_candidates),
    )


def _with_choice(progress, choice):
    return replace(
        progress,
        alpha=choice.alpha,
        alpha_search=choice.record,
        widening=choice.widening,
    )


def _print_candidates(table):
    for n_rows, alpha, loss in table:
        print(f"{n_rows} rows, alpha = {alpha:.6g}: held-out loss = {loss:.6f}")


def _print_divisors(losses):
    for unit, loss in losses.items():
        print(f"standardize={unit!r}: held-out loss = {loss:.6f}")


def _of_search(settings, problem, progress, show):
    """The arguments that both searches share."""
    tolerances = problem.tolerances(settings.tol)
    patience = settings.n_iter_no_change
    return {
        "seed": progress.seed,
        "make_monitor": partial(Monitor, patience=patience, **tolerances),
        # the iterations of a search are no epochs
        "max_iter": math.inf if settings.method.has_epochs else settings.max_iter,
        "show": show if settings.verbose else tell_nobody,
    }
