"""L-BFGS: steps by a curvature that is guessed from the last few steps."""

import math
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import OptimizeResult

from skmlp._iteration import DIVERGED
from skmlp._line_search import Trial, search
from skmlp._run import Run, minimize, most_pairs, resolution

# Vectors of more numbers are kept in single precision, and summed up in pieces of as many
_PIECE = 2**15


def minimize_lbfgs(objective, theta, *, max_iter, max_fun, on_iteration, other=None):
    """Minimise by L-BFGS, with steps that meet the strong Wolfe conditions.

    Parameters
    ----------
    objective : Objective
        The one that `rough` returns takes its place until progress is slow, or it can't be
        lowered further, or it is not finite.
    theta : ndarray of shape (P,)
        Start; left as it is.
    max_iter, max_fun : int
        Iterations and evaluations at the most.
    on_iteration : callable
        ``on_iteration(theta, loss, slope)`` returns a `Verdict`, after each iteration.
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
        If the loss or its gradient is not finite at the start, or at each point that the
        search for a step ends with.

    References
    ----------
    J. Nocedal, S. J. Wright, "Numerical Optimization", 2nd edition, 2006, section 7.2.
    """
    run = _RunOfLbfgs(objective, on_iteration, max_iter, max_fun)
    return minimize(run, theta, other)


class _Point(NamedTuple):
    theta: np.ndarray
    loss: float
    gradient: np.ndarray
    slope: float  # norm of the gradient


class _RunOfLbfgs(Run):
    name = "L-BFGS"

    def _minimize(self, theta):
        point = self._point(theta.astype(np.float64))
        if point is None:
            raise ValueError(DIVERGED)
        pairs = Pairs(theta.size)
        while point.slope > 0:
            there = self._next(point, pairs)
            if there is None:
                return _result(point, "no step along the gradient lowers it")
            fall, point = point.loss - there.loss, there
            self.n_iter += 1
            self._tell(point.theta, point.loss, point.slope)
            if self.was_ended or not self.has_budget:
                return _result(point, "it was stopped")
            if fall <= resolution(self.objective) * max(abs(point.loss), 1):
                break
        return _result(point)

    def _point(self, theta):
        evaluated = self._evaluate(theta)
        return None if evaluated is None else _Point(theta, *evaluated)

    def _next(self, point, pairs):
        """The end of a step that lowers the loss, whose pair is kept; None without one.

        Where the pairs lead nowhere, they are forgotten, and the gradient is followed.
        """
        direction = pairs.direction(point.gradient, point.slope)
        start = Trial(0.0, point.loss, _dot(point.gradient, direction))
        if start.slope < 0:
            trial, there = search(partial(self._at, point.theta, direction), start)
            if there is not None:
                if trial.slope > start.slope:
                    pairs.add(trial.step, direction, point.gradient, there.gradient)
                return there
            if not (pairs.n_pairs or math.isfinite(trial.loss)):
                raise ValueError(DIVERGED)
        if pairs.n_pairs == 0:
            return None
        pairs.clear()
        return self._next(point, pairs)

    def _at(self, theta, direction, step):
        """A trial of the search, and the point there; see `search`."""
        point = self._point(theta + step * direction)
        if point is None:
            return Trial(step, math.inf, math.nan), None
        return Trial(step, point.loss, _dot(point.gradient, direction)), point


def _result(point, message=None):
    return OptimizeResult(
        x=point.theta, fun=point.loss, success=message is None, message=message
    )


class Pairs:
    """The last steps s and changes y of the gradient, and the inverse Hessian they make.

    With the pairs as rows of S and Y, the oldest ones first, R the upper triangle of S Y^T,
    D its diagonal, and gamma = s y / y y of the last pair, the approximation of BFGS that
    starts from gamma I is

        H = gamma I + S^T R^-T (D + gamma Y Y^T) R^-1 S - gamma (Y^T R^-1 S + S^T R^-T Y),

    so a product takes S and Y times a vector, and two vectors times S and Y [1]_. All else
    is of the size of the number of pairs.

    Parameters
    ----------
    size : int
        P. Long vectors are kept in single precision: they choose the direction only.

    References
    ----------
    .. [1] R. H. Byrd, J. Nocedal, R. B. Schnabel, "Representations of quasi-Newton matrices
       and their use in limited memory methods", Mathematical Programming 63 (1994),
       theorem 2.2.
    """

    def __init__(self, size):
        n_most = most_pairs(size)
        dtype = np.float64 if size <= _PIECE else np.float32
        self._S, self._Y = np.empty((2, n_most, size), dtype)
        self._SY, self._YY = np.zeros((2, n_most, n_most))
        self.clear()

    def clear(self):
        self.n_pairs, self._newest = 0, -1

    def add(self, step, direction, gradient, later):
        """Keep s = step * direction and y = later - gradient in place of the oldest pair.

        Both are divided by the norm of y, which leaves H as it is, so that no product is
        too small or too large for single precision.
        """
        n_most = len(self._S)
        k = self._newest = (self._newest + 1) % n_most
        self.n_pairs = min(self.n_pairs + 1, n_most)
        s, y = self._S[k], self._Y[k]
        np.subtract(later, gradient, out=y, casting="same_kind")
        norm = np.sqrt(_dot(y, y))
        y /= norm
        np.multiply(direction, step / norm, out=s)
        n = self.n_pairs
        self._SY[:n, k] = _products(self._S[:n], y)
        self._YY[:n, k] = self._YY[k, :n] = _products(self._Y[:n], y)

    def direction(self, gradient, norm):
        """-H times the gradient; without pairs a step of length 1 against the gradient."""
        unit = np.divide(gradient, -norm, dtype=self._S.dtype, casting="same_kind")
        n = self.n_pairs
        if n == 0:
            return unit
        S, Y = self._S[:n], self._Y[:n]
        order = np.arange(self._newest + 1, self._newest + 1 + n) % n  # the oldest first
        R, YY = (products[order[:, None], order] for products in (self._SY, self._YY))
        gamma = R[-1, -1] / YY[-1, -1]
        p, _ = lapack.dtrtrs(R, _products(S, unit)[order])
        q = R.diagonal() * p + gamma * (YY @ p - _products(Y, unit)[order])
        q, _ = lapack.dtrtrs(R, q, trans=1)
        of_S, of_Y = np.empty((2, n), unit.dtype)
        of_S[order], of_Y[order] = norm * q, -norm * gamma * p
        unit *= norm * gamma
        unit += of_S @ S
        unit += of_Y @ Y
        return unit


def _products(vectors, v):
    """Of each row with v, summed up in double precision."""
    pieces = (slice(i, i + _PIECE) for i in range(0, v.size, _PIECE))
    return sum((vectors[:, piece] @ v[piece] for piece in pieces), np.zeros(len(vectors)))


def _dot(a, b):
    """Summed up in double precision."""
    if a.dtype == b.dtype == np.float64:
        return float(a @ b)
    return float(np.einsum("i,i", a, b, dtype=np.float64))
