"""Learning rates: their formulas, and trainings that follow them."""

import numpy as np
import pytest
from common import STOCHASTIC, parameters, short, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skmlp import MLPClassifierManual
from skmlp._schedules import SCHEDULES, make_schedule


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


@pytest.mark.parametrize("solver", STOCHASTIC)
@pytest.mark.parametrize("learning_rate", ["cosine", "one_cycle", lambda fraction: 0.01])
def test_planned_schedules_use_all_of_max_iter(iris, solver, learning_rate, recwarn):
    X, y = iris
    settings = {"max_iter": 40, "tol": 1.0, "batch_size": 50, "alpha": 0.01}
    model = short(solver=solver, learning_rate=learning_rate, **settings).fit(X, y)
    assert model.n_iter_ == 40  # though tol alone would have ended it
    assert not recwarn.list
    stopped = clone(model).set_params(early_stopping=True).fit(X, y)
    assert stopped.n_iter_ < 40


@short_fits
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_callable_schedule_gets_the_fraction_of_training(iris, solver):
    X, y = iris
    seen = []

    def rate(fraction):
        seen.append(fraction)
        return 0.01

    settings = {"solver": solver, "batch_size": 50, "max_iter": 4, "tol": 0}
    model = short(learning_rate=rate, **settings).fit(X, y)
    assert_allclose(seen, np.arange(12) / 12)
    plain = short(learning_rate_init=0.01, **settings).fit(X, y)
    assert_array_equal(parameters(model), parameters(plain))
    seen.clear()
    by_parts = short(learning_rate=rate, **settings)
    for _ in range(5):
        by_parts.partial_fit(X, y, classes=[0, 1, 2])
    assert_allclose(seen, [*np.arange(12) / 12, 0, 1 / 12, 2 / 12], atol=1e-15)


@short_fits
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_every_fit_and_then_partial_fit_is_a_training_of_its_own(iris, solver):
    X, y = iris
    seen = []
    model = short(
        solver=solver,
        learning_rate=lambda fraction: seen.append(fraction) or 0.01,
        batch_size=150,
        max_iter=4,
        warm_start=True,
    )
    model.fit(X, y).fit(X, y)
    model.partial_fit(X, y).partial_fit(X, y)
    assert_allclose(seen, [0, 0.25, 0.5, 0.75] * 2 + [0, 0.25])


@pytest.mark.filterwarnings("ignore:learning_rate='cosine' has no effect")
def test_lbfgs_warns_although_a_planned_rate_is_set(iris):
    with pytest.warns(ConvergenceWarning, match="max_iter=5"):
        short(solver="lbfgs", learning_rate="cosine").fit(*iris)


@short_fits
def test_a_random_rate_does_not_keep_the_fit_from_stopping(iris):
    rng = np.random.default_rng(0)
    model = short(
        solver="adam",
        learning_rate=lambda fraction: rng.uniform(0, 1e-9),
        early_stopping=True,
        max_iter=60,
        tol=0.1,
    )
    assert model.fit(*iris).n_iter_ == 12


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf, None, "fast"])
def test_callable_schedule_with_bad_values(iris, value):
    with pytest.raises(ValueError, match=r"learning_rate must return .* returned"):
        short(solver="adam", learning_rate=lambda fraction: value).fit(*iris)


@short_fits
def test_cosine_ends_closer_to_the_minimum(digits):
    X, y = digits
    losses = {}
    for learning_rate in ("constant", "cosine"):
        model = MLPClassifierManual(
            20,
            solver="adam",
            learning_rate=learning_rate,
            learning_rate_init=0.05,
            max_iter=20,
            batch_size=32,
            alpha=1.0,
            tol=0,
            random_state=0,
        ).fit(X, y)
        losses[learning_rate] = model.loss_
    assert losses["cosine"] < losses["constant"]


def test_adaptive_rate_falls_over_partial_fits(iris):
    X, y = iris
    model = MLPClassifierManual(
        solver="sgd", learning_rate="adaptive", tol=10.0, n_iter_no_change=2, random_state=0
    )
    for _ in range(9):
        model.partial_fit(X, y, classes=[0, 1, 2])
    # the first epoch improves on infinity; then every third one is a plateau
    assert model._progress["optimizer"]["n_plateaus"] == 2


def test_adaptive_rate_ends_a_fit():
    model = MLPClassifierManual(
        tol=0.5, max_iter=3000, solver="sgd", learning_rate="adaptive", random_state=0
    ).fit([[3, 2], [1, 6]], [1, 0])
    assert model.n_iter_ < 3000


@short_fits
def test_schedules_act_on_adam_too(iris):
    X, y = iris
    fits = [
        parameters(
            MLPClassifierManual(
                solver="adam", learning_rate=name, max_iter=5, random_state=0
            ).fit(X, y)
        )
        for name in ("constant", "invscaling")
    ]
    assert (fits[0] != fits[1]).any()


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_no_named_schedule_exceeds_the_initial_rate(name):
    schedule = make_schedule(name, 0.1, 0.5, 0, 10)
    rates = [schedule.rate(step / 4, 50 * (step // 4), step // 8) for step in range(80)]
    assert min(rates) >= 0
    assert max(rates) == pytest.approx(0.1, rel=0.01)
