"""Runs of scipy's minimisers."""

import math

import numpy as np
from scipy import optimize

from skmlp._iteration import DIVERGED
from skmlp._run import Run


class ScipyRun(Run):
    """Calls of one of scipy's methods; see `Run`."""

    def _minimize(self, theta):
        self._reached = None  # the start, or where the last iteration has ended
        self._trial = None  # the latest evaluation; None if it was not finite
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
        return solution

    def _loss_gradient(self, x):
        evaluated = self._evaluate(x)
        if evaluated is None:
            return self._without_number(x)
        loss, gradient, slope = evaluated
        gradient = gradient.astype(np.float64, copy=False)
        self._trial = x, loss, slope
        if self._reached is None:
            self._reached = x, loss
        return self._value(x, loss, gradient), gradient

    def _without_number(self, x):
        if self._reached is None:
            raise ValueError(DIVERGED)
        self._trial = None
        return self._too_far(x)

    def _too_far(self, x):
        """The values for scipy at a trial without a finite one: a bowl around the start.

        Its line search then tries a shorter step. ValueError if the trial is no point.
        """
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
        theta = intermediate_result.x.copy()
        try:
            self._tell(theta, *self._loss_and_slope(theta))
        except StopIteration as error:  # of a scorer or callback: no word to scipy
            raise RuntimeError("StopIteration was raised after an iteration.") from error
        if self.was_ended:
            raise StopIteration
        self._reached = theta, float(intermediate_result.fun)
