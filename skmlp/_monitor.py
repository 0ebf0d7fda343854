"""What happened during a fit: the one record that stopping, printing and plotting read."""

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
        ``validate(theta)`` scores parameters on held-out data, higher is better. With it,
        the score is watched and the best parameters are kept; without, the loss.
    verbose : bool
        Print a line an iteration.
    best_loss, n_stalled : float and int
        Where to take up from an earlier call; the defaults start afresh.

    Attributes
    ----------
    losses, scores : list of float
        One an iteration; `scores` stays empty without `validate`.
    theta, best_theta : ndarray of shape (P,) or None
        Copies of the parameters after the last finished iteration, and of those with the
        best score.
    best_iteration : int or None
        Index of the best score.
    """

    def __init__(
        self, tol, patience, validate=None, verbose=False, best_loss=np.inf, n_stalled=0
    ):
        self.tol = tol
        self.patience = patience
        self.validate = validate
        self.verbose = verbose
        self.best_loss = best_loss
        self.n_stalled = n_stalled
        self.losses = []
        self.scores = []
        self.theta = self.best_theta = self.best_iteration = None

    def __call__(self, theta, loss):
        """Record an iteration.

        Parameters
        ----------
        theta : ndarray of shape (P,)
            Copied.
        loss : float

        Returns
        -------
        stalled : bool
            Whether patience has run out; it starts anew then.
        """
        theta = theta.copy()
        if self.validate is None:
            improved = loss <= self.best_loss - self.tol
        else:
            score = float(self.validate(theta))  # before anything is recorded: it may raise
            best = max(self.scores, default=-np.inf)
            improved = score >= best + self.tol
            if score > best:
                self.best_theta, self.best_iteration = theta, len(self.scores)
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
        return stalled

    def _print_line(self):
        line = f"Iteration {len(self.losses)}, loss = {self.losses[-1]:.8f}"
        if self.scores:
            line += f", validation score = {self.scores[-1]:.6f}"
        print(line)
