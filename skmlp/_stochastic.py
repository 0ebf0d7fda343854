"""SGD and Adam: steps in place on the flat vector, along gradients of mini-batches."""

import math

import numpy as np
from scipy.linalg import blas

from skmlp._iteration import DIVERGED, Result, Verdict


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

    def step(self, theta, gradient, rate, averages, t):
        """Step t: update theta and the velocity in place; gradient is used as scratch."""
        (velocity,) = averages
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
        # where squares underflow, v is 0 and epsilon all that m is divided by
        self._least = {
            dtype: max(self.epsilon / self._v_scale, math.sqrt(np.finfo(dtype).tiny))
            for dtype in map(np.dtype, ("float32", "float64"))
        }

    def step(self, theta, gradient, rate, averages, t):
        """Step t: update theta and the averages in place; gradient is used as scratch."""
        m, v = averages
        rate *= math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        m *= self.beta_1
        m += gradient
        np.square(gradient, out=gradient)
        v *= self.beta_2
        v += gradient
        np.sqrt(v, out=gradient)
        gradient += self._least[gradient.dtype]
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
    n_samples=0,
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
    state : State
        Its averages are updated in place.
    batch_size, max_iter : int
        Rows in a batch, epochs at the most.
    on_iteration : callable
        ``on_iteration(theta, loss, None)`` returns a `Verdict`, after each epoch.
    seed : int
        Epoch e draws its batches by a generator seeded with (seed, e).
    n_samples : int, default=0
        Rows seen before, for the schedule.

    Returns
    -------
    result : Result

    Raises
    ------
    ValueError
        At the first loss that is not finite, or parameters or averages after an epoch.
    """
    objective = objective.for_batches(batch_size, max_iter)
    converged, n_iter, loss = False, 0, math.nan
    while n_iter < max_iter and not converged:
        n_seen = n_samples + n_iter * objective.n_rows
        loss, state = _epoch(
            objective, theta, rule, schedule, state, batch_size, seed, n_seen
        )
        n_iter += 1
        verdict = on_iteration(theta.copy(), loss, None)
        is_stalled = verdict is Verdict.STALLED
        state = state._replace(n_plateaus=state.n_plateaus + is_stalled)
        is_over = is_stalled and state.n_plateaus > schedule.n_reductions
        converged = is_over or verdict is Verdict.STOP
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
        state=state,
    )


def _epoch(objective, theta, rule, schedule, state, batch_size, seed, n_seen):
    """A pass over all batches: its mean loss, and the state after it."""
    losses, averages = [], state.averages
    rng = np.random.default_rng((seed, state.n_epochs))
    for loss, gradient in objective.batches(theta, batch_size, rng):
        if not math.isfinite(loss):
            raise ValueError(DIVERGED)
        if not losses:
            averages = _averages(averages, rule, gradient)
        epoch = state.n_epochs + len(losses) * batch_size / objective.n_rows
        rate = schedule.rate(epoch, n_seen, state.n_plateaus)
        losses.append(loss)
        rule.step(theta, gradient, rate, averages, state.n_steps + len(losses))
    # Adam's second moment overflows first, and would stop every step in silence
    if not all(np.isfinite(vector).all() for vector in (theta, *averages)):
        raise ValueError(DIVERGED)
    n_steps, n_epochs = state.n_steps + len(losses), state.n_epochs + 1
    state = state._replace(averages=averages, n_steps=n_steps, n_epochs=n_epochs)
    return math.fsum(losses) / len(losses), state


def _averages(averages, rule, gradient):
    """Averages in the precision of the gradient; there may be none yet."""
    if not averages:
        return [np.zeros_like(gradient) for _ in rule.powers]
    return [average.astype(gradient.dtype, copy=False) for average in averages]
