"""Solvers: each minimises any objective, and never sees a network.

An objective has ``loss(theta)``, ``loss_gradient(theta)`` and ``dtype``, for Newton's
method ``hessian_product(theta)``, and for the stochastic solvers
``batches(theta, batch_size, rng)`` and ``n_rows``. By ``rough()`` and
``for_epochs(n_epochs, batch_size)`` it returns one that is faster. After each iteration a
solver calls ``on_iteration(theta, loss, slope)``, where slope is the norm of the gradient,
or None if only mini-batches have one, and heeds the `Verdict` that it returns. Gradients
of mini-batches may be in a lower precision than theta.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import numpy as np
from scipy import optimize
from scipy.linalg import blas

_DIVERGED = (
    "Training diverged: the loss, its gradient or the parameters are no longer finite. "
    "Scale the features, as standardize=True does, or lower learning_rate_init "
    "(solver='sgd' or 'adam')."
)


# Pairs of vectors that L-BFGS keeps: fewer where each has more numbers than this
_MAXCOR, _MAXCOR_OF_LONG = 10, 5
_LONG = 2**20


class Verdict(Enum):
    """What a solver is told after an iteration."""

    GO_ON = "go on"
    SLOW = "the end is near"
    STALLED = "stop, unless the learning rate has an answer"
    STOP = "stop"


@dataclass
class Result:
    """Where a solver stopped, and why.

    Attributes
    ----------
    theta : ndarray of shape (P,)
    loss : float
        The objective at theta, or with epochs its mean over the last one's batches.
    n_iter : int
    converged : bool
    message : str
        If not converged: why, and what to do about it.
    """

    theta: np.ndarray
    loss: float
    n_iter: int
    converged: bool
    message: str = ""


@dataclass
class StochasticState:
    """All that a stochastic solver needs to go on exactly where it was.

    Attributes
    ----------
    averages : list of ndarray of shape (P,)
        The update rule's averages of past gradients, in their precision; empty, they start
        at zero.
    n_steps : int
        Steps that have gone into the averages.
    n_epochs, n_samples, n_plateaus : int
        Epochs and rows so far, and how often progress has stalled.
    """

    averages: list = field(default_factory=list)
    n_steps: int = 0
    n_epochs: int = 0
    n_samples: int = 0
    n_plateaus: int = 0


class SGD:
    """Gradient descent with momentum.

    v <- momentum * v - rate * g;  theta <- theta + v, or with Nesterov's momentum
    theta <- theta + momentum * v - rate * g.

    Parameters
    ----------
    momentum : float in [0, 1]
    nesterov : bool

    References
    ----------
    I. Sutskever et al., "On the importance of initialization and momentum in deep
    learning", ICML 2013, eqs. 1 to 4, with theta at the look-ahead point.
    """

    powers = (1,)  # of the gradient, whose averages it keeps

    def __init__(self, momentum, nesterov):
        self.momentum = float(momentum)
        self.nesterov = nesterov

    def step(self, theta, gradient, rate, state):
        """Update theta and the velocity in place; gradient is used as scratch."""
        (velocity,) = state.averages
        gradient *= -rate
        velocity *= self.momentum
        velocity += gradient
        if self.nesterov:
            _axpy(gradient)(velocity, gradient, a=self.momentum)
            theta += gradient
        else:
            theta += velocity


class Adam:
    """Adam: steps scaled by running averages of the gradient and its square.

    m <- beta_1 m + (1 - beta_1) g;  v <- beta_2 v + (1 - beta_2) g^2;
    theta <- theta - rate_t m / (sqrt(v) + epsilon), where
    rate_t = rate sqrt(1 - beta_2^t) / (1 - beta_1^t).

    Parameters
    ----------
    beta_1, beta_2 : float in [0, 1)
    epsilon : float

    References
    ----------
    D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015,
    algorithm 1 in the form that closes its section 2.
    """

    powers = (1, 2)

    def __init__(self, beta_1, beta_2, epsilon):
        self.beta_1 = float(beta_1)
        self.beta_2 = float(beta_2)
        self.epsilon = float(epsilon)
        # Moments are kept without their factors (1 - beta), which saves two passes
        self._m_scale = 1 - self.beta_1
        self._v_scale = math.sqrt(1 - self.beta_2)

    def step(self, theta, gradient, rate, state):
        """Update theta and the averages in place; gradient is used as scratch."""
        m, v = state.averages
        t = state.n_steps + 1
        rate *= math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        m *= self.beta_1
        m += gradient
        np.square(gradient, out=gradient)
        v *= self.beta_2
        v += gradient
        np.sqrt(v, out=gradient)
        # where squares underflow, v is 0 and epsilon all that m is divided by
        least = math.sqrt(np.finfo(gradient.dtype).tiny)
        gradient += max(self.epsilon / self._v_scale, least)
        np.divide(m, gradient, out=gradient)
        _axpy(theta)(gradient, theta, a=-rate * self._m_scale / self._v_scale)


def _axpy(y):
    """BLAS's ``axpy(x, y, a=a)`` for vectors like y: ``y += a * x`` in a single pass.

    If x is in another precision, it is converted first.
    """
    return blas.saxpy if y.dtype == np.float32 else blas.daxpy


def minimize_stochastic(
    objective,
    theta,
    rule,
    schedule,
    *,
    state,
    batch_size,
    max_iter,
    on_iteration,
    seed,
):
    """Minimise by steps along the gradients of mini-batches.

    Parameters
    ----------
    objective : Objective
    theta : ndarray of shape (P,)
        Start; updated in place.
    rule : SGD or Adam
    schedule : Schedule
        Its rate is read at every step.
    state : StochasticState
        Updated in place; without averages, they start at zero.
    batch_size, max_iter : int
        Rows in a batch, epochs at the most.
    on_iteration : callable
        ``on_iteration(theta, loss, None)`` returns a `Verdict`, after each epoch.
    seed : int
        Epoch e draws its batches by a generator seeded with (seed, e).

    Returns
    -------
    result : Result

    Raises
    ------
    ValueError
        At the first loss that is not finite, or parameters or averages after an epoch.
    """
    if not state.averages:
        state.n_steps = 0
    converged, n_iter, loss = False, 0, math.nan
    while n_iter < max_iter and not converged:
        rng = np.random.default_rng((seed, state.n_epochs))
        losses = []
        for batch_loss, gradient in objective.batches(theta, batch_size, rng):
            if not math.isfinite(batch_loss):
                raise ValueError(_DIVERGED)
            if not losses:
                state.averages = _averages(state.averages, rule, gradient)
            epoch = state.n_epochs + len(losses) * batch_size / objective.n_rows
            rate = schedule.rate(epoch, state.n_samples, state.n_plateaus)
            losses.append(batch_loss)
            rule.step(theta, gradient, rate, state)
            state.n_steps += 1
        # Adam's second moment overflows first, and would stop every step in silence
        if not all(np.isfinite(vector).all() for vector in (theta, *state.averages)):
            raise ValueError(_DIVERGED)
        n_iter += 1
        state.n_epochs += 1
        state.n_samples += objective.n_rows
        loss = math.fsum(losses) / len(losses)
        verdict = on_iteration(theta, loss, None)
        state.n_plateaus += verdict is Verdict.STALLED
        converged = verdict is Verdict.STOP or (
            verdict is Verdict.STALLED and state.n_plateaus > schedule.n_reductions
        )
    return Result(
        theta=theta,
        loss=loss,
        n_iter=n_iter,
        converged=converged or schedule.is_planned,
        message=(
            f"The solver stopped at max_iter={max_iter} epochs, and the loss was still "
            "improving. Increase max_iter, or learning_rate_init if the loss falls "
            "slowly and smoothly."
        ),
    )


def _averages(averages, rule, gradient):
    """Averages in the precision of the gradient; there may be none yet."""
    if not averages:
        return [np.zeros_like(gradient) for _ in rule.powers]
    return [average.astype(gradient.dtype, copy=False) for average in averages]


def minimize_lbfgs(
    objective, theta, *, max_iter, max_fun, on_iteration, rough=None, other=None
):
    """Minimise by L-BFGS, `scipy.optimize.minimize(method="L-BFGS-B")`.

    Parameters
    ----------
    objective : Objective
    theta : ndarray of shape (P,)
        Start; left as it is.
    max_iter, max_fun : int
        Iterations and evaluations at the most.
    on_iteration : callable
        ``on_iteration(theta, loss, slope)`` returns a `Verdict`, after each iteration.
    rough : Objective, optional
        The same function in single precision: it takes the place of `objective` until
        progress is slow, or it can't be lowered further, or it is not finite.
    other : ndarray of shape (P,), optional
        Where to go on from at the end, if the loss is lower there.

    Returns
    -------
    result : Result
        Converged if `on_iteration` stopped it, or if the loss can't be lowered within the
        precision of the data's type.

    Raises
    ------
    ValueError
        At the first loss or gradient that is not finite.

    References
    ----------
    R. H. Byrd, P. Lu, J. Nocedal, "A limited memory algorithm for bound constrained
    optimization", SIAM J. Sci. Comput. 16 (1995).
    """
    run = _RunOfLbfgs(objective, on_iteration, max_iter, max_fun)
    return _minimize(run, theta, rough, other)


def minimize_newton(objective, theta, *, max_iter, on_iteration, rough=None, other=None):
    """Minimise by Newton's method: conjugate gradients in a trust region.

    `scipy.optimize.minimize(method="trust-ncg")`, with exact products with the Hessian. It
    goes down along negative curvature, so it leaves saddle points, and near a minimum the
    number of right digits doubles with each iteration.

    Parameters
    ----------
    objective : Objective
        With `hessian_product`.
    theta, max_iter, on_iteration, rough, other
        See `minimize_lbfgs`.

    Returns
    -------
    result : Result

    Raises
    ------
    ValueError
        At the first loss or gradient that is not finite.

    References
    ----------
    T. Steihaug, "The conjugate gradient method and trust regions in large scale
    optimization", SIAM J. Numer. Anal. 20 (1983).
    """
    run = _RunOfNewton(objective, on_iteration, max_iter)
    return _minimize(run, theta, rough, other)


def _minimize(run, theta, rough, other):
    """See `minimize_lbfgs`."""
    objective = run.objective
    solution = run(theta, rough or objective)
    if rough is not None and not run.was_ended and run.has_budget:
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


def _resolution(objective):
    """Relative differences that say nothing in its precision."""
    return max(64 * np.finfo(float).eps, np.finfo(objective.dtype).eps)


class _ScipyRun:
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
        """After a number that is not finite, which then may be the objective's own."""
        if self._active is self.objective:
            raise ValueError(_DIVERGED)
        self._use(self.objective)

    def _too_far(self, x):
        """What scipy is told of a trial without a finite value: a bowl around the start.

        Its line search then tries a shorter step.
        """
        start, loss = self._reached
        step = x - start
        height = 1 + abs(loss)
        return loss + height, 2 * height / float(step @ step) * step

    def _value(self, x, loss, gradient):
        """What scipy is to minimise."""
        return loss

    def _loss_and_slope(self, x):
        """Where an iteration has ended: at what was evaluated last."""
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


class _RunOfLbfgs(_ScipyRun):
    name, method = "L-BFGS", "L-BFGS-B"

    def _arguments(self, n_parameters):
        options = {
            "maxiter": self.max_iter - self.n_iter,
            "maxfun": self.max_fun - self.n_fun,
            "maxcor": _MAXCOR_OF_LONG if n_parameters > _LONG else _MAXCOR,
            "gtol": 0.0,
            # on_iteration decides, down to what the arithmetic can resolve
            "ftol": _resolution(self.objective),
        }
        return {"options": options}


class _RunOfNewton(_ScipyRun):
    """Newton's method, whose last steps gain less than the rounding of the loss.

    So scipy gets the loss less that at the start of the call, and where nothing is left of
    this difference, what the gradients at both ends say of it: the trapezoidal rule. A
    longer gradient is no gain there, but a step along what is flat but for rounding.
    """

    name, method = "Newton's method", "trust-ncg"

    def __call__(self, theta, active):
        self._start = self._taken = None
        self.is_lost = False
        solution = super().__call__(theta, active)
        self.is_lost |= solution.status == 2
        solution.success |= self.is_lost
        solution.fun = self._taken[1]
        return solution

    def _arguments(self, n_parameters):
        gtol = _resolution(self.objective)
        options = {"maxiter": self.max_iter - self.n_iter, "gtol": gtol}
        return {"hessp": self._hessian_product, "options": options}

    def _use(self, objective):
        super()._use(objective)
        self._at = self._product = None

    def _too_far(self, x):
        """A value that makes scipy shrink the trust region."""
        return math.inf, np.zeros_like(x)

    def _is_rounding(self, loss, other):
        return abs(loss - other) <= _resolution(self._active) * abs(other)

    def _value(self, x, loss, gradient):
        if self._start is None:
            self._start, self._taken = (x, loss, gradient), self._trial
        start, loss_there, gradient_there = self._start
        if not self._is_rounding(loss, loss_there):
            return loss - loss_there
        if self._trial[2] > self._taken[2]:
            return math.inf
        return 0.5 * float((gradient + gradient_there) @ (x - start))

    def _hessian_product(self, x, v):
        if self._at is None or not np.array_equal(x, self._at):
            self._product = None  # two of them may be too much
            self._at = x.copy()
            self._product = self._active.hessian_product(self._at)
        product = self._product(v).astype(np.float64, copy=False)
        if math.isfinite(blas.dnrm2(product)):
            return product
        self._leave_rough()
        return self._hessian_product(x, v)

    def _loss_and_slope(self, x):
        if np.array_equal(x, self._trial[0]):  # else the step was not taken
            self._taken = self._trial
        return self._taken[1:]

    def _callback(self, intermediate_result):
        super()._callback(intermediate_result)
        (_, tried, _), (_, loss, _) = self._trial, self._taken
        if self._trial is not self._taken and self._is_rounding(tried, loss):
            self.is_lost = True
            raise StopIteration


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


def _run_lbfgs(settings, objective, theta, *, on_iteration, other, **of_epochs):
    return minimize_lbfgs(
        objective,
        theta,
        max_iter=settings.max_iter,
        max_fun=settings.max_fun,
        on_iteration=on_iteration,
        rough=objective.rough(),
        other=other,
    )


def _run_newton(settings, objective, theta, *, on_iteration, other, **of_epochs):
    return minimize_newton(
        objective,
        theta,
        max_iter=settings.max_iter,
        on_iteration=on_iteration,
        rough=objective.rough(),
        other=other,
    )


def _run_stochastic(make_rule):
    def run(
        settings, objective, theta, *, on_iteration, state, first_epoch, seed, **of_search
    ):
        batch_size = settings.rows_in_a_batch(objective.n_rows)
        max_iter = 1 if settings.is_incremental else settings.max_iter
        return minimize_stochastic(
            objective.for_epochs(max_iter, batch_size),
            theta,
            make_rule(settings),
            settings.schedule(first_epoch),
            state=state,
            batch_size=batch_size,
            max_iter=max_iter,
            on_iteration=on_iteration,
            seed=seed,
        )

    return run


class Solver(NamedTuple):
    """A row of the table of solvers.

    Attributes
    ----------
    run : callable
        ``run(settings, objective, theta, *, on_iteration, state, first_epoch, seed,
        other)`` returns a `Result`. A `StochasticState`, the epoch at which the plan of
        the learning rate began, and the seed of the batches are for solvers that have
        epochs; `other`, where to go on from if it is better, is for the others.
    parameters : frozenset of str
        Parameters of the estimator that not every solver uses, but this one.
    needs : tuple of str
        Methods of an objective.
    has_epochs : bool
        Whether an iteration is a pass over mini-batches.
    powers : tuple of int
        Powers of the gradient of which it keeps averages from call to call.
    """

    run: Callable
    parameters: frozenset
    needs: tuple
    has_epochs: bool
    powers: tuple = ()


_OF_EPOCHS = frozenset(
    {"dropout", "batch_size", "shuffle", "learning_rate", "learning_rate_init", "power_t"}
)
SOLVERS = {
    "lbfgs": Solver(
        _run_lbfgs,
        frozenset({"max_fun"}),
        needs=("loss", "loss_gradient", "rough"),
        has_epochs=False,
    ),
    "newton-cg": Solver(
        _run_newton,
        frozenset(),
        needs=("loss", "loss_gradient", "rough", "hessian_product"),
        has_epochs=False,
    ),
    "sgd": Solver(
        _run_stochastic(
            lambda settings: SGD(settings.momentum, settings.nesterovs_momentum)
        ),
        _OF_EPOCHS | {"momentum", "nesterovs_momentum"},
        needs=("for_epochs", "batches"),
        has_epochs=True,
        powers=SGD.powers,
    ),
    "adam": Solver(
        _run_stochastic(
            lambda settings: Adam(settings.beta_1, settings.beta_2, settings.epsilon)
        ),
        _OF_EPOCHS | {"beta_1", "beta_2", "epsilon"},
        needs=("for_epochs", "batches"),
        has_epochs=True,
        powers=Adam.powers,
    ),
}
