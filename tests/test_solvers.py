"""Solvers on a quadratic: they never see a network."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmlp._monitor import Monitor
from skmlp._schedules import Schedule, make_schedule
from skmlp._solvers import (
    SGD,
    Adam,
    StochasticState,
    minimize_lbfgs,
    minimize_stochastic,
)

CENTRES = np.array([[1.0, -2.0, 3.0], [3.0, 0.0, -1.0]])
MINIMUM = CENTRES.mean(axis=0)
SCALE = np.array([1.0, 3.0, 0.5])


class Quadratic:
    """Mean over two rows of half the scaled squared distance to the row's centre."""

    n_rows = 2
    dtype = np.dtype(np.float64)

    def loss_gradient(self, theta):
        offset = theta - CENTRES
        return (
            0.5 * (SCALE * offset**2).sum() / 2,
            (SCALE * offset).mean(axis=0),
        )

    def loss(self, theta):
        return self.loss_gradient(theta)[0]

    def batches(self, theta, batch_size, rng):
        order = rng.permutation(2)
        for rows in order.reshape(-1, batch_size):
            offset = theta - CENTRES[rows]
            yield (
                0.5 * (SCALE * offset**2).sum() / batch_size,
                (SCALE * offset).mean(axis=0),
            )


def run(rule, *, schedule=None, on_iteration=lambda *_: "", **options):
    settings = {
        "batch_size": 2,
        "max_iter": 2000,
        "state": StochasticState(),
        "seed": 0,
    } | options
    return minimize_stochastic(
        Quadratic(),
        np.zeros(3),
        rule,
        schedule or make_schedule("constant", 0.05, 0.5, 0, 1),
        on_iteration=on_iteration,
        **settings,
    )


@pytest.mark.parametrize(
    "rule",
    [SGD(0.0, False), SGD(0.9, False), SGD(0.9, True), Adam(0.9, 0.999, 1e-8)],
    ids=["plain", "momentum", "nesterov", "adam"],
)
def test_stochastic_solvers_find_the_minimum(rule):
    result = run(rule)
    assert_allclose(result.theta, MINIMUM, atol=1e-4)
    assert result.n_iter == 2000
    assert not result.converged
    assert "max_iter=2000" in result.message


def test_sgd_against_its_formula():
    for nesterov in (False, True):
        theta, velocity = np.zeros(3), np.zeros(3)
        for _ in range(5):
            gradient = SCALE * (theta - MINIMUM)
            velocity = 0.8 * velocity - 0.05 * gradient
            step = 0.8 * velocity - 0.05 * gradient if nesterov else velocity
            theta = theta + step
        assert_allclose(run(SGD(0.8, nesterov), max_iter=5).theta, theta, rtol=1e-13)


def test_adam_against_its_formula():
    theta, m, v = np.zeros(3), 0, 0
    for t in range(1, 6):
        gradient = SCALE * (theta - MINIMUM)
        m = 0.7 * m + 0.3 * gradient
        v = 0.95 * v + 0.05 * gradient**2
        rate = 0.05 * math.sqrt(1 - 0.95**t) / (1 - 0.7**t)
        theta = theta - rate * m / (np.sqrt(v) + 1e-3)
    assert_allclose(run(Adam(0.7, 0.95, 1e-3), max_iter=5).theta, theta, rtol=1e-13)


def test_lbfgs_finds_the_minimum_and_calls_the_hook():
    seen = []
    result = minimize_lbfgs(
        Quadratic(),
        np.zeros(3),
        max_iter=100,
        max_fun=1000,
        on_iteration=lambda theta, loss, slope: seen.append((theta.copy(), loss)) or "",
    )
    assert result.converged
    assert_allclose(result.theta, MINIMUM, rtol=1e-8)
    assert len(seen) == result.n_iter
    assert_allclose(seen[-1][0], result.theta, rtol=0)
    losses = [loss for _, loss in seen]
    assert losses == sorted(losses, reverse=True)
    assert result.loss == losses[-1]


def test_the_hook_stops_every_solver():
    for minimize in (
        lambda hook: run(Adam(0.9, 0.999, 1e-8), on_iteration=hook),
        lambda hook: minimize_lbfgs(
            Quadratic(), np.zeros(3), max_iter=9, max_fun=99, on_iteration=hook
        ),
    ):
        calls = []
        result = minimize(
            lambda *_, calls=calls: (
                calls.append(1) or ("stalled" if len(calls) == 2 else "")
            )
        )
        assert result.n_iter == len(calls) == 2
        assert result.converged

        calls.clear()
        result = minimize(
            lambda *_, calls=calls: calls.append(1) or ("stop" if len(calls) == 3 else "")
        )
        assert result.n_iter == len(calls) == 3
        assert result.converged


class Rough(Quadratic):
    """The same in single precision, with a count of its evaluations."""

    dtype = np.dtype(np.float32)

    def __init__(self):
        self.n_evaluations = 0

    def loss_gradient(self, theta):
        self.n_evaluations += 1
        loss, gradient = super().loss_gradient(theta.astype(np.float32))
        return float(np.float32(loss)), gradient.astype(np.float32)


def minimize_roughly(rough, hook, **limits):
    limits = {"max_iter": 100, "max_fun": 1000} | limits
    return minimize_lbfgs(
        Quadratic(), np.full(3, 30.0), on_iteration=hook, rough=rough, **limits
    )


def test_rough_takes_the_place_of_the_objective_until_progress_is_slow():
    rough, verdicts = Rough(), iter(["", "slow", "slow", "stalled"])
    result = minimize_roughly(rough, lambda *_: next(verdicts))
    assert result.converged
    assert result.n_iter == 4
    assert 3 <= rough.n_evaluations <= 5  # the start and two iterations
    assert result.loss == Quadratic().loss_gradient(result.theta)[0]


def test_where_rough_can_not_be_lowered_the_objective_goes_on():
    rough, seen = Rough(), []
    result = minimize_roughly(rough, lambda *_: seen.append(1) or "")
    assert rough.n_evaluations > 0
    assert result.converged
    assert len(seen) == result.n_iter
    assert_allclose(result.theta, MINIMUM, rtol=1e-8)


def test_where_rough_is_not_finite_the_objective_goes_on():
    class Overflowing(Rough):
        def loss_gradient(self, theta):
            loss, gradient = super().loss_gradient(theta)
            return (math.inf if self.n_evaluations > 2 else loss), gradient

    rough = Overflowing()
    result = minimize_roughly(rough, lambda *_: "")
    assert rough.n_evaluations == 3
    assert_allclose(result.theta, MINIMUM, rtol=1e-8)


@pytest.mark.parametrize(("other", "n_iter"), [(MINIMUM + 1e-3, 4), (np.full(3, 99.0), 2)])
def test_goes_on_from_elsewhere_if_that_is_lower(other, n_iter):
    verdicts = iter(["", "stalled", "", "stalled"])
    seen = []

    def minimize(hook, **limits):
        return minimize_lbfgs(
            Quadratic(), np.full(3, 30.0), on_iteration=hook, other=other, **limits
        )

    result = minimize(
        lambda theta, *_: seen.append(theta.copy()) or next(verdicts),
        max_iter=100,
        max_fun=1000,
    )
    assert result.converged
    assert result.n_iter == len(seen) == n_iter
    assert_allclose(seen[-1], result.theta, rtol=0)
    # limits are those of both together
    limited = minimize(lambda *_: "stalled", max_iter=1, max_fun=1000)
    assert limited.n_iter == 1
    assert minimize(lambda *_: "stop", max_iter=9, max_fun=1000).n_iter == 1


def test_a_limit_that_is_reached_roughly_is_a_limit():
    result = minimize_roughly(Rough(), lambda *_: "", max_iter=2)
    assert not result.converged
    assert result.n_iter == 2
    assert "max_iter=2" in result.message
    assert minimize_roughly(Rough(), lambda *_: "stop").n_iter == 1


def test_stop_iteration_from_a_scorer_is_an_error():
    def hook(theta, loss, slope):
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration was raised"):
        minimize_lbfgs(Quadratic(), np.zeros(3), max_iter=9, max_fun=99, on_iteration=hook)
    with pytest.raises(StopIteration):
        run(SGD(0.5, False), on_iteration=hook)


@pytest.mark.parametrize(
    ("limit", "message"), [({"max_iter": 2}, "max_iter=2"), ({"max_fun": 2}, "max_fun=2")]
)
def test_lbfgs_says_which_limit_it_hit(limit, message):
    options = {"max_iter": 100, "max_fun": 100} | limit
    result = minimize_lbfgs(Quadratic(), np.zeros(3), on_iteration=lambda *_: "", **options)
    assert not result.converged
    assert message in result.message


def test_epochs_are_shuffled_by_seed_and_number():
    rule = SGD(0.5, False)
    one = run(rule, batch_size=1, max_iter=7, seed=1)
    assert_allclose(run(rule, batch_size=1, max_iter=7, seed=1).theta, one.theta, rtol=0)
    assert (run(rule, batch_size=1, max_iter=7, seed=2).theta != one.theta).any()


@pytest.mark.parametrize("rule", [SGD(0.9, True), Adam(0.9, 0.999, 1e-8)])
def test_state_goes_on_exactly(rule):
    whole = run(rule, batch_size=1, max_iter=9, seed=4)
    state = StochasticState()
    first = run(rule, batch_size=1, max_iter=4, seed=4, state=state)
    assert (state.n_epochs, state.n_steps, state.n_samples) == (4, 8, 8)
    second = minimize_stochastic(
        Quadratic(),
        first.theta,
        rule,
        make_schedule("constant", 0.05, 0.5, 0, 1),
        state=state,
        batch_size=1,
        max_iter=5,
        on_iteration=lambda *_: "",
        seed=4,
    )
    assert_allclose(second.theta, whole.theta, rtol=0)


def test_first_non_finite_value_raises():
    with np.errstate(over="ignore", invalid="ignore"):
        with pytest.raises(ValueError, match=r"Scale the features.*learning_rate_init"):
            run(SGD(0.0, False), schedule=make_schedule("constant", 1e200, 0.5, 0, 1))

        class Once(Quadratic):
            """A second batch that is not finite; the third must not be asked for."""

            def batches(self, theta, batch_size, rng):
                for loss in (1.0, np.nan):
                    yield loss, np.zeros(3)
                pytest.fail("went on after a loss that is not finite")

        with pytest.raises(ValueError, match="Training diverged"):
            minimize_stochastic(
                Once(),
                np.zeros(3),
                SGD(0.0, False),
                make_schedule("constant", 0.1, 0.5, 0, 1),
                state=StochasticState(),
                batch_size=1,
                max_iter=1,
                on_iteration=lambda *_: "",
                seed=0,
            )

        class Infinite(Quadratic):
            def loss_gradient(self, theta):
                return 1.0, np.array([np.inf, 0, 0])

        with pytest.raises(ValueError, match="Training diverged"):
            minimize_lbfgs(
                Infinite(),
                np.zeros(3),
                max_iter=5,
                max_fun=5,
                on_iteration=lambda *_: "",
            )


def test_schedules():
    constant = make_schedule("constant", 0.1, 0.5, 0, 1)
    assert constant.rate(0, 0, 0) == constant.rate(2, 1000, 3) == 0.1
    invscaling = make_schedule("invscaling", 0.1, 0.25, 0, 1)
    assert invscaling.rate(0, 0, 0) == 0.1
    assert_allclose(invscaling.rate(2, 80, 5), 0.1 / 81**0.25)
    assert make_schedule("invscaling", 0.1, 400.0, 0, 1).rate(2, 80, 0) == 0
    adaptive = make_schedule("adaptive", 0.1, 0.5, 0, 1)
    assert adaptive.n_reductions == 8
    assert constant.n_reductions == invscaling.n_reductions == 0
    assert not adaptive.is_planned
    assert adaptive.rate(1, 500, 0) == 0.1
    assert_allclose(adaptive.rate(1, 500, 2), 0.1 / 25)
    assert (
        adaptive.rate(1, 0, 8) == adaptive.rate(1, 0, 50) <= 1e-6 < adaptive.rate(1, 0, 7)
    )


def test_schedules_over_the_fraction_of_training():
    """Training is from epoch 5 to epoch 25, and then begins again."""
    cosine = make_schedule("cosine", 0.1, 0.5, 5, 20)
    assert cosine.is_planned
    assert_allclose(
        [cosine.rate(epoch, 0, 0) for epoch in (5, 10, 15, 20, 24.999, 25)],
        [0.1, 0.05 * (1 + 0.5**0.5), 0.05, 0.05 * (1 - 0.5**0.5), 0, 0.1],
        atol=1e-8,
    )
    one_cycle = make_schedule("one_cycle", 0.1, 0.5, 5, 20)
    assert_allclose(
        [one_cycle.rate(epoch, 0, 0) for epoch in (5, 8, 11, 18, 24.9999999)],
        [0.004, 0.052, 0.1, 0.05 + 2e-7, 4e-7],
        rtol=1e-6,
    )
    seen = []
    own = make_schedule(lambda fraction: seen.append(fraction) or 0.3, 0.1, 0.5, 5, 20)
    assert own.rate(10, 99, 9) == own.rate(24, 0, 0) == 0.3
    assert_allclose(seen, [0.25, 0.95])


def test_the_schedule_is_read_at_every_step():
    rates, epochs = [], []

    def rate(epoch, n_samples, n_plateaus):
        epochs.append(epoch)
        return 0.1 / (1 + epoch)

    class Recorder(SGD):
        def step(self, theta, gradient, rate, state):
            rates.append(rate)
            super().step(theta, gradient, rate, state)

    run(Recorder(0.0, False), schedule=Schedule(rate), batch_size=1, max_iter=2)
    assert epochs == [0, 0.5, 1, 1.5]
    assert rates == [0.1, 0.1 / 1.5, 0.05, 0.04]


def test_adaptive_schedule_ends_at_its_floor():
    rates = []
    schedule = make_schedule("adaptive", 0.1, 0.5, 0, 1)

    def recorded(epoch, n_samples, n_plateaus):
        rates.append(schedule.rate(epoch, n_samples, n_plateaus))
        return rates[-1]

    result = run(
        SGD(0.9, True),
        schedule=schedule._replace(rate=recorded),
        on_iteration=Monitor(tol=1e-4, patience=2),
    )
    assert result.converged
    assert min(rates) <= 1e-6


def test_monitor_counts_patience_on_the_loss():
    monitor = Monitor(tol=0.1, patience=2)
    theta = np.zeros(1)
    answers = [monitor(theta, loss) for loss in (1.0, 0.8, 0.75, 0.74, 0.73, 0.72)]
    assert answers == ["", "", "", "slow", "stalled", ""]
    assert monitor.best_loss == 0.72
    assert monitor.losses[0] == 1.0


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
    assert ("stalled" in verdicts) == (gains == "neither")


def test_monitor_keeps_a_copy_of_the_best_parameters():
    held_out = iter([(2.0, 0.5), (1.0, 0.9), (0.5, 0.9), (0.1, 0.8)])
    monitor = Monitor(
        tol=0, patience=np.inf, validate=lambda theta: next(held_out), watches_score=True
    )
    theta = np.zeros(2)
    for _ in range(4):
        theta += 1
        assert not monitor(theta, 1.0)
    assert_allclose(monitor.best_theta, [2, 2])
    assert monitor.best_iteration == 1
    assert_allclose(monitor.theta, [4, 4])
    assert not np.shares_memory(monitor.theta, theta)
    assert monitor.scores == [0.5, 0.9, 0.9, 0.8]
    assert monitor.validation_losses == [2.0, 1.0, 0.5, 0.1]


def test_monitor_that_does_not_watch_the_score_only_records_it():
    held_out = iter([(1.0, 0.9), (2.0, 0.5), (3.0, 0.1)])
    monitor = Monitor(tol=0, patience=1, validate=lambda theta: next(held_out))
    answers = [monitor(np.zeros(1), loss) for loss in (3.0, 2.0, 1.0)]
    assert answers == ["", "", ""]
    assert monitor.scores == [0.9, 0.5, 0.1]
    assert monitor.best_theta is monitor.best_iteration is None
    assert monitor.best_loss == 1.0
