"""Runs of a minimiser, in single precision as long as progress is fast."""

import math

import numpy as np

from skmlp._iteration import Result, Verdict

# Pairs of vectors that L-BFGS keeps: fewer where each has more numbers than this
_PAIRS, _PAIRS_OF_LONG = 10, 5
_LONG = 2**20


def minimize(run, theta, other):
    """Minimise by a `Run`; see `minimize_lbfgs`."""
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


def most_pairs(n_parameters):
    """Pairs of vectors of so many parameters that L-BFGS keeps."""
    return _PAIRS if n_parameters <= _LONG else _PAIRS_OF_LONG


class Run:
    """Calls of one method that share their limits.

    Attributes
    ----------
    objective : Objective
    verdict : Verdict
        The last one.
    was_ended : bool
        Whether it ended the last call; else the method did.
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

    @property
    def was_ended(self):
        return self.verdict in (Verdict.STALLED, Verdict.STOP)

    @property
    def has_budget(self):
        return self.n_iter < self.max_iter and self.n_fun < self.max_fun

    def __call__(self, theta, active):
        """Minimise, by evaluations of `active` at first; returns an `OptimizeResult`."""
        self._use(active)
        self.verdict = Verdict.GO_ON
        return self._minimize(theta)

    def _use(self, objective):
        self._active = objective

    def _evaluate(self, theta):
        """Loss, gradient and its norm; None where the objective's are not finite.

        Nor may the square of the norm overflow: no product with the gradient would be a
        number.
        """
        self.n_fun += 1
        loss, gradient = self._active.loss_gradient(theta)
        slope = float(np.sqrt(gradient @ gradient))
        if math.isfinite(loss) and math.isfinite(slope):
            return loss, gradient, slope
        if self._active is self.objective:
            return None
        self._use(self.objective)
        return self._evaluate(theta)

    def _tell(self, theta, loss, slope):
        """The end of an iteration."""
        self.verdict = self._on_iteration(theta, loss, slope)
        if self.verdict is Verdict.SLOW:
            self._use(self.objective)
