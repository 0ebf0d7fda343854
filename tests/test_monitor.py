"""What is recorded of a fit, and when it has stalled."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmlp._iteration import Verdict
from skmlp._monitor import Monitor


def test_monitor_counts_patience_on_the_loss():
    monitor = Monitor(tol=0.1, patience=2)
    theta = np.zeros(1)
    answers = [monitor(theta, loss) for loss in (1.0, 0.8, 0.75, 0.74, 0.73, 0.72)]
    assert answers == [
        *[Verdict.GO_ON] * 3,
        Verdict.SLOW,
        Verdict.STALLED,
        Verdict.GO_ON,
    ]
    assert monitor.best_loss == 0.72
    assert monitor.losses[0] == 1.0


def test_monitor_counts_a_share_of_the_loss():
    """A tenth of it; but a hundredth of 1 where less than a tenth of 1 is left."""
    monitor = Monitor(tol=0.01, patience=9, rtol=0.1)
    stalled = []
    for loss in (2.0, 1.85, 1.7, 1.5, 0.08, 0.075, 0.069):
        monitor(np.zeros(1), loss)
        stalled.append(monitor.n_stalled)
    assert stalled == [0, 1, 2, 0, 0, 1, 2]


@pytest.mark.parametrize("gains", ["loss", "slope", "neither"])
def test_monitor_tells_a_plateau_from_an_end(gains):
    """Before an end both fade; on a plateau the loss gains speed, or its gradient grows."""
    monitor = Monitor(tol=1.0, patience=4)
    falls = [1e-4, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4]
    if gains == "loss":
        falls = [1e-4, 1e-4, 2e-4, 3e-4, 4e-4, 5e-4]
    slopes = [1, 2, 3, 4, 5, 6] if gains == "slope" else [6, 5, 4, 3, 2, 1]
    loss, verdicts = 10.0, [monitor(np.zeros(1), 10.0, 7.0)]
    for fall, slope in zip(falls, slopes, strict=True):
        loss -= fall
        verdicts.append(monitor(np.zeros(1), loss, float(slope)))
    assert (Verdict.STALLED in verdicts) == (gains == "neither")


def test_monitor_keeps_the_best_parameters():
    held_out = iter([(2.0, 0.5), (1.0, 0.9), (0.5, 0.9), (0.1, 0.8)])
    monitor = Monitor(
        tol=0,
        patience=np.inf,
        score_held_out=lambda theta: next(held_out),
        watches_score=True,
    )
    theta = np.zeros(2)
    for _ in range(4):
        theta = theta + 1
        assert monitor(theta, 1.0) is Verdict.GO_ON
    assert_allclose(monitor.best_theta, [2, 2])
    assert monitor.best_iteration == 1
    assert_allclose(monitor.theta, [4, 4])
    assert monitor.scores == [0.5, 0.9, 0.9, 0.8]
    assert monitor.validation_losses == [2.0, 1.0, 0.5, 0.1]


def test_monitor_that_does_not_watch_the_score_only_records_it():
    held_out = iter([(1.0, 0.9), (2.0, 0.5), (3.0, 0.1)])
    monitor = Monitor(tol=0, patience=1, score_held_out=lambda theta: next(held_out))
    answers = [monitor(np.zeros(1), loss) for loss in (3.0, 2.0, 1.0)]
    assert answers == [Verdict.GO_ON] * 3
    assert monitor.scores == [0.9, 0.5, 0.1]
    assert monitor.best_theta is monitor.best_iteration is None
    assert monitor.best_loss == 1.0
