"""The messages between a solver and its caller."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np

DIVERGED = (
    "Training diverged: the loss, its gradient or the parameters are no longer finite. "
    "Scale the features, as standardize=True does, or lower learning_rate_init "
    "(solver='sgd' or 'adam')."
)


class Verdict(Enum):
    """The answer to a solver after an iteration."""

    GO_ON = "go on"
    SLOW = "the end is near"
    STALLED = "stop, unless the learning rate has an answer"
    STOP = "stop"


class State(NamedTuple):
    """All that a solver with epochs needs to go on exactly where it was.

    Attributes
    ----------
    solver : str or None
        The owner of the averages; None without any.
    theta : ndarray of shape (P,) or None
        The parameters in the coordinates of training.
    averages : sequence of ndarray of shape (P,)
        The update rule's averages of the gradient and of its powers, in the precision of
        the gradient, which the solver updates in place. Without any, they start at zero.
    n_steps : int
        Steps that have gone into the averages.
    n_epochs, plan_epoch, n_plateaus : int
        Epochs so far, the one at which the plan of the learning rate began, and how often
        progress has stalled.
    """

    solver: str | None = None
    theta: np.ndarray | None = None
    averages: tuple | list = ()
    n_steps: int = 0
    n_epochs: int = 0
    plan_epoch: int = 0
    n_plateaus: int = 0

    def without_averages(self):
        """The state for another solver, or for other parameters."""
        return self._replace(solver=None, theta=None, averages=(), n_steps=0)


@dataclass(frozen=True)
class Result:
    """Where a solver stopped, and why.

    Attributes
    ----------
    theta : ndarray of shape (P,)
    loss : float
        The objective at theta, or with epochs its mean over the batches of the last one.
    n_iter : int
    converged : bool
    message : str
        If not converged: why, and what to do about it.
    state : State or None
        Of a solver with epochs.
    """

    theta: np.ndarray
    loss: float
    n_iter: int
    converged: bool
    message: str = ""
    state: State | None = None
