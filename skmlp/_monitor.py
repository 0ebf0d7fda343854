"""The one record of a fit, which stopping, printing and plotting read."""

import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

import numpy as np

from skmlp._iteration import Verdict

# A plateau gains speed: so much more in the younger half of the patience than in the older
_GAINING = 1.25


class Stopped(Exception):
    """A callback asks to end the fit before its first iteration."""


@dataclass(eq=False)
class Monitor:
    """Called by the solver after each iteration; says when progress has stalled.

    Before a minimum, the loss falls ever more slowly and its gradient fades. On a plateau,
    around a saddle point, both are as small, but they grow. So where the gradient is known,
    a stall is an end only if neither of them gained in the last iterations.

    Parameters
    ----------
    tol : float
        The least improvement that counts, of the loss or of a score that is watched.
    patience : float
        Iterations without improvement that are forgiven.
    score_held_out : callable or None
        ``score_held_out(theta)`` returns the loss of parameters on held-out data and their
        score, higher is better.
    rtol : float, default=0
        The same for the loss, in parts of the loss, if that is more.
    watches_score : bool
        Whether the score is watched and the best parameters are kept; else the training
        loss is, and the held-out data are looked at for the record only.
    verbose : bool
        Print a line an iteration.
    title : str, default=""
        The beginning of each line.
    best_loss, n_stalled : float and int
        Where to take up from an earlier call; the defaults start afresh.

    Attributes
    ----------
    losses, validation_losses, scores : list of float
        One an iteration; the last two stay empty without `score_held_out`.
    theta, best_theta : ndarray of shape (P,) or None
        The parameters after the last finished iteration, and after the one with the best
        score.
    best_iteration : int or None
        Index of the best score, if the score is watched.
    best_score : float
        NaN until there is a score that is a number.
    notify : callable or None
        Called at the end of each iteration; the fit ends if it returns True.
    was_stopped : bool
        Whether it did.
    """

    tol: float
    patience: float
    score_held_out: Callable | None = None
    _: KW_ONLY
    rtol: float = 0.0
    watches_score: bool = False
    verbose: bool = False
    title: str = ""
    best_loss: float = np.inf
    n_stalled: int = 0

    def __post_init__(self):
        self.losses, self._slopes, self.validation_losses, self.scores = [], [], [], []
        self.theta = self.best_theta = self.best_iteration = self.notify = None
        self.best_score, self.was_stopped = np.nan, False
        self._start = time.perf_counter()

    def __call__(self, theta, loss, slope=None):
        """Record an iteration.

        Parameters
        ----------
        theta : ndarray of shape (P,)
            Kept: nobody may change it later.
        loss : float
        slope : float, optional
            Norm of the gradient.

        Returns
        -------
        verdict : Verdict
            SLOW if half of the patience has run out; STALLED if all of it has, which
            starts anew then; STOP if the fit should end.
        """
        improved = loss <= self.best_loss - self.least_gain(loss)
        if self.score_held_out is not None:
            # may raise: then nothing is recorded
            validation_loss, score = self.score_held_out(theta)
            best = -np.inf if np.isnan(self.best_score) else self.best_score
            if self.watches_score:
                improved = score >= best + self.tol
                if score > best:
                    self.best_theta, self.best_iteration = theta, len(self.scores)
            if score > best:
                self.best_score = score
            self.validation_losses.append(validation_loss)
            self.scores.append(score)
        self.theta = theta
        self.losses.append(loss)
        self._slopes.append(slope)
        self.best_loss = min(self.best_loss, loss)
        self.n_stalled = 0 if improved else self.n_stalled + 1
        if self.verbose:
            self._print_line()
        is_slow = self.n_stalled > self.patience / 2
        verdict = Verdict.SLOW if is_slow else Verdict.GO_ON
        if self.n_stalled > self.patience and (
            self.watches_score or not self._is_gaining()
        ):
            verdict, self.n_stalled = Verdict.STALLED, 0
        if self.notify is not None and self.notify():
            self.was_stopped = True
            return Verdict.STOP
        return verdict

    def least_gain(self, loss):
        """The least difference from a loss that counts."""
        return max(self.tol, self.rtol * loss)

    def _is_gaining(self):
        """Whether the loss falls faster than it did, or its gradient has grown."""
        half = self.patience // 2
        if half == 0 or self._slopes[-1] is None:
            return False
        before, middle, now = self.losses[-1 - 2 * half :: half]
        older, younger = self._slopes[-2 * half : -half], self._slopes[-half:]
        falls_faster = middle - now > _GAINING * (before - middle)
        return falls_faster or np.median(younger) > _GAINING * np.median(older)

    def _print_line(self):
        line = (
            f"{self.title}Iteration {len(self.losses):4d}, loss = {self.losses[-1]:10.6f}"
        )
        if self.scores:
            line += f", validation loss = {self.validation_losses[-1]:10.6f}"
            if self.scores[-1] != -self.validation_losses[-1]:
                line += f", validation score = {self.scores[-1]:10.6f}"
        print(f"{line}, {time.perf_counter() - self._start:.1f} s")
