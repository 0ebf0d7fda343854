"""What happened during a fit: the one record that stopping, printing and plotting read."""

import time

import numpy as np


class Monitor:
    """Called by the solver after each iteration; says when progress has stalled.

    Parameters
    ----------
    tol : float
        What counts as an improvement.
    patience : float
        Iterations without improvement that are forgiven.
    validate : callable or None
        ``validate(theta)`` returns the loss of parameters on held-out data and their
        score, higher is better.
    watches_score : bool
        Whether the score is watched and the best parameters are kept; else the training
        loss is, and the held-out data are looked at for the record only.
    verbose : bool
        Print a line an iteration.
    best_loss, n_stalled : float and int
        Where to take up from an earlier call; the defaults start afresh.

    Attributes
    ----------
    losses, validation_losses, scores : list of float
        One an iteration; the last two stay empty without `validate`.
    theta, best_theta : ndarray of shape (P,) or None
        Copies of the parameters after the last finished iteration, and of those with the
        best score.
    best_iteration : int or None
        Index of the best score, if the score is watched.
    best_score : float
        NaN until there is a score that is a number.
    notify : callable or None
        Called at the end of each iteration; the fit ends if it returns True.
    """

    def __init__(
        self,
        tol,
        patience,
        validate=None,
        *,
        watches_score=False,
        verbose=False,
        best_loss=np.inf,
        n_stalled=0,
    ):
        self.tol = tol
        self.patience = patience
        self.validate = validate
        self.watches_score = watches_score
        self.verbose = verbose
        self.best_loss = best_loss
        self.n_stalled = n_stalled
        self.losses = []
        self.validation_losses = []
        self.scores = []
        self.theta = self.best_theta = self.best_iteration = self.notify = None
        self.best_score = np.nan
        self._start = time.perf_counter()

    def __call__(self, theta, loss):
        """Record an iteration.

        Parameters
        ----------
        theta : ndarray of shape (P,)
            Copied.
        loss : float

        Returns
        -------
        verdict : {'', 'stalled', 'stop'}
            'stalled' if patience has run out, which starts anew then; 'stop' if the fit
            should end.
        """
        theta = theta.copy()
        improved = loss <= self.best_loss - self.tol
        if self.validate is not None:
            validation_loss, score = self.validate(theta)  # may raise: nothing is recorded
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
        self.best_loss = min(self.best_loss, loss)
        self.n_stalled = 0 if improved else self.n_stalled + 1
        if self.verbose:
            self._print_line()
        stalled = self.n_stalled > self.patience
        if stalled:
            self.n_stalled = 0
        if self.notify is not None and self.notify():
            return "stop"
        return "stalled" if stalled else ""

    def _print_line(self):
        line = f"Iteration {len(self.losses):4d}, loss = {self.losses[-1]:10.6f}"
        if self.scores:
            line += f", validation loss = {self.validation_losses[-1]:10.6f}"
            if self.scores[-1] != -self.validation_losses[-1]:
                line += f", validation score = {self.scores[-1]:10.6f}"
        print(f"{line}, {time.perf_counter() - self._start:.1f} s")
