"""Runs of scipy's minimisers, in single precision as long as progress is fast."""

import math

import numpy as np
from scipy import optimize
from scipy.linalg import blas

from skmlp._iteration import DIVERGED, Result, Verdict


def minimize(run, theta, other):
    """Minimise by a `ScipyRun`; see `minimize_lbfgs`."""
    objective, rough = run.objective, run.objective.rough()
    solution = run(theta, rough)
    if rough is not objective and not run.was_ended and run.has_budget:
        solution = run(solution.x, objective)
    may_go_on = other is not None and run.verdict is not Verdict.STOP and run.has_budget
    if may_go_on and objective.loss(other) < solution.fun:
        solution = run(other, objective)
    if run.is_lost and run.has_budget:
        solution = run(solution.x, objective)
    return Result(
        theta=solution.x,
        loss=float(solution.fun),
        n_iter=run.n_iter,
        converged=solution.success or run.was_ended,
        message=_limit_message(run, solution),
    )


def _limit_message(run, solution):
    if run.n_iter >= run.max_iter:
        limit, parameters = f"max_iter={run.max_iter} iterations", "max_iter"
    elif run.n_fun >= run.max_fun:
        limit, parameters = f"max_fun={run.max_fun} evaluations", "max_iter and max_fun"
    else:
        return (
            f"{run.name} could not lower the loss further ({solution.message}). Increase "
            "tol, set standardize=True, or use float64 data."
        )
    return (
        f"{run.name} stopped at {limit}, and the loss was still falling by more than tol. "
        f"Increase {parameters}, or tol if the result is good enough."
    )


def resolution(objective):
    """The relative difference that is rounding, in the precision of an objective."""
    return max(64 * np.finfo(float).eps, np.finfo(objective.dtype).eps)


class ScipyRun:
    """Calls of one of scipy's methods that share their limits.

    Attributes
    ----------
    objective : Objective
    verdict : Verdict
        The last one.
    was_ended : bool
        Whether it ended the last call; else scipy did.
    is_lost : bool
        Whether the last call ended since gains were lost in the rounding of the loss, and
        another one from there would see them.
    n_iter, n_fun : int
        Iterations and evaluations so far.
    """

    def __init__(self, objective, on_iteration, max_iter, max_fun=math.inf):
        self.objective = objective
        self._on_iteration = on_iteration
        self.max_iter, self.max_fun = max_iter, max_fun
        self.n_iter = self.n_fun = 0
        self.is_lost = False
        self._reached = None  # the start, or where the last iteration has ended
        self._trial = None  # the latest evaluation; None if it was not finite

    @property
    def was_ended(self):
        return self.verdict in (Verdict.STALLED, Verdict.STOP)

    @property
    def has_budget(self):
        return self.n_iter < self.max_iter and self.n_fun < self.max_fun

    def __call__(self, theta, active):
        """Minimise, by evaluations of `active` at first; returns scipy's result."""
        self._use(active)
        self.verdict, self._reached = Verdict.GO_ON, None
        solution = optimize.minimize(
            self._loss_gradient,
            theta.astype(np.float64),
            method=self.method,
            jac=True,
            callback=self._callback,
            **self._arguments(theta.size),
        )
        if self._trial is None and not solution.success:
            raise ValueError(DIVERGED)  # however short its last steps were
        self.n_iter += solution.nit
        self.n_fun += solution.nfev
        return solution

    def _use(self, objective):
        self._active = objective

    def _loss_gradient(self, x):
        loss, gradient = self._active.loss_gradient(x)
        gradient = gradient.astype(np.float64, copy=False)
        slope = float(blas.dnrm2(gradient))
        if math.isfinite(loss) and math.isfinite(slope):
            self._trial = x, loss, slope
            if self._reached is None:
                self._reached = x, loss
            return self._value(x, loss, gradient), gradient
        if self._active is self.objective and self._reached is not None:
            return self._too_far(x)
        self._leave_rough()
        return self._loss_gradient(x)

    def _leave_rough(self):
        """Go over to the objective itself, after a number that is not finite."""
        if self._active is self.objective:
            raise ValueError(DIVERGED)
        self._use(self.objective)

    def _too_far(self, x):
        """The values for scipy at a trial without a finite one: a bowl around the start.

        Its line search then tries a shorter step. ValueError if the trial is no point.
        """
        self._trial = None
        start, loss = self._reached
        step = x - start
        square, height = float(step @ step), 1 + abs(loss)
        if not math.isfinite(square):
            raise ValueError(DIVERGED)
        return loss + height, 2 * height / square * step

    def _value(self, x, loss, gradient):
        """The number that scipy minimises."""
        return loss

    def _loss_and_slope(self, x):
        """Where an iteration has ended: at the latest evaluation."""
        return self._trial[1:]

    def _callback(self, intermediate_result):
        theta = intermediate_result.x
        try:
            self.verdict = self._on_iteration(theta, *self._loss_and_slope(theta))
        except StopIteration as error:  # of a scorer or callback: no word to scipy
            raise RuntimeError("StopIteration was raised after an iteration.") from error
        if self.verdict is Verdict.SLOW:
            self._use(self.objective)
        elif self.was_ended:
            raise StopIteration
        self._reached = theta.copy(), float(intermediate_result.fun)
