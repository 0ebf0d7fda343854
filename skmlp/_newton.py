"""Newton's method, by scipy."""

import math

import numpy as np
from scipy.linalg import blas

from skmlp._iteration import DIVERGED
from skmlp._run import minimize, resolution
from skmlp._scipy_run import ScipyRun


def minimize_newton(objective, theta, *, max_iter, on_iteration, other=None):
    """Minimise by Newton's method: conjugate gradients in a trust region.

    `scipy.optimize.minimize(method="trust-ncg")`, with exact products with the Hessian. It
    goes down along negative curvature, so it leaves saddle points, and near a minimum the
    number of right digits doubles with each iteration.

    Parameters
    ----------
    objective : Objective
        With `hessian_product`.
    theta, max_iter, on_iteration, other
        See `skmlp._lbfgs.minimize_lbfgs`.

    Returns
    -------
    result : Result

    Raises
    ------
    ValueError
        If the loss or its gradient is not finite at the start, or at each point that the
        search for a step ends with.

    References
    ----------
    T. Steihaug, "The conjugate gradient method and trust regions in large scale
    optimization", SIAM J. Numer. Anal. 20 (1983).
    """
    run = _RunOfNewton(objective, on_iteration, max_iter)
    return minimize(run, theta, other)


class _RunOfNewton(ScipyRun):
    """Newton's method, whose last steps gain less than the rounding of the loss.

    So scipy gets the difference from the loss at the start of the call. Where that is
    rounding, it gets the estimate by the gradients at both ends, the trapezoidal rule. A
    longer gradient is no gain there: the loss along the step is flat, except for rounding.
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
        gtol = resolution(self.objective)
        options = {"maxiter": self.max_iter - self.n_iter, "gtol": gtol}
        return {"hessp": self._hessian_product, "options": options}

    def _use(self, objective):
        super()._use(objective)
        self._at = self._product = None

    def _too_far(self, x):
        """A value that makes scipy shrink the trust region."""
        return math.inf, np.zeros_like(x)

    def _is_rounding(self, loss, other):
        return abs(loss - other) <= resolution(self._active) * abs(other)

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
        if self._active is self.objective:
            raise ValueError(DIVERGED)
        self._use(self.objective)
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
