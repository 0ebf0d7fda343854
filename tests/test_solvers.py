"""Solvers on a quadratic: they never see a network."""

import inspect
import math
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize

from skmlp import MLPClassifierManual
from skmlp._iteration import State, Verdict
from skmlp._lbfgs import Pairs, minimize_lbfgs
from skmlp._lbfgsb import minimize_lbfgsb
from skmlp._line_search import Trial, search
from skmlp._monitor import Monitor
from skmlp._network import Network
from skmlp._newton import minimize_newton
from skmlp._objective import Objective
from skmlp._schedules import Schedule, make_schedule
from skmlp._settings import Settings
from skmlp._solvers import SOLVERS
from skmlp._stochastic import SGD, Adam, minimize_stochastic


def lbfgs(objective, theta, *, max_iter=100, max_fun=1000, **options):
    return minimize_lbfgs(objective, theta, max_iter=max_iter, max_fun=max_fun, **options)


def lbfgsb(objective, theta, *, max_iter=100, max_fun=1000, **options):
    return minimize_lbfgsb(objective, theta, max_iter=max_iter, max_fun=max_fun, **options)


def newton(objective, theta, *, max_iter=100, **options):
    return minimize_newton(objective, theta, max_iter=max_iter, **options)


of_the_whole = pytest.mark.parametrize("minimize", [lbfgs, lbfgsb, newton])
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

    def rough(self):
        return self

    def for_batches(self, batch_size, n_epochs):
        return self

    def loss(self, theta):
        return self.loss_gradient(theta)[0]

    def hessian_product(self, theta):
        return lambda v: SCALE * v

    def batches(self, theta, batch_size, rng):
        order = rng.permutation(2)
        for rows in order.reshape(-1, batch_size):
            offset = theta - CENTRES[rows]
            yield (
                0.5 * (SCALE * offset**2).sum() / batch_size,
                (SCALE * offset).mean(axis=0),
            )


def run(rule, *, schedule=None, on_iteration=lambda *_: Verdict.GO_ON, **options):
    settings = {
        "batch_size": 2,
        "max_iter": 2000,
        "state": State(),
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


@of_the_whole
def test_solvers_of_the_whole_find_the_minimum_and_call_the_hook(minimize):
    seen = []
    result = minimize(
        Quadratic(),
        np.zeros(3),
        on_iteration=lambda theta, *others: (
            seen.append((theta.copy(), *others)) or Verdict.GO_ON
        ),
    )
    assert result.converged
    assert_allclose(result.theta, MINIMUM, rtol=1e-8)
    assert len(seen) == result.n_iter
    assert_allclose(seen[-1][0], result.theta, rtol=0)
    losses = [loss for _, loss, _ in seen]
    assert losses == sorted(losses, reverse=True)
    assert result.loss == losses[-1]
    for theta, loss, slope in seen:
        expected, gradient = Quadratic().loss_gradient(theta)
        assert loss == expected
        assert_allclose(slope, np.linalg.norm(gradient), rtol=1e-14)


@pytest.mark.parametrize(("verdict", "n_iter"), [(Verdict.STALLED, 2), (Verdict.STOP, 3)])
def test_the_hook_stops_every_solver(verdict, n_iter):
    for minimize in (
        lambda hook: run(Adam(0.9, 0.999, 1e-8), on_iteration=hook),
        lambda hook: lbfgs(Quadratic(), np.zeros(3), on_iteration=hook),
        lambda hook: newton(Quadratic(), np.zeros(3), on_iteration=hook),
    ):
        verdicts = iter([Verdict.GO_ON] * (n_iter - 1) + [verdict])
        result = minimize(lambda *_, verdicts=verdicts: next(verdicts))
        assert result.n_iter == n_iter
        assert next(verdicts, None) is None
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


def having(objective, rough):
    """The objective, of which the other one is the same in single precision."""
    objective.rough = lambda: rough
    return objective


def minimize_roughly(minimize, rough, hook, **limits):
    objective, start = having(Quadratic(), rough), np.full(3, 30.0)
    return minimize(objective, start, on_iteration=hook, **limits)


@pytest.mark.parametrize("minimize", [lbfgs, lbfgsb, newton, "sgd"])
def test_what_the_hook_has_seen_is_not_changed_later(minimize):
    seen = []

    def hook(theta, loss, slope):
        seen.append((theta, theta.copy()))
        return Verdict.GO_ON

    if minimize == "sgd":
        run(SGD(0.5, True), on_iteration=hook, max_iter=5)
    else:
        minimize(Rosenbrock(), np.array([-1.2, 1.0]), on_iteration=hook, max_iter=5)
    assert len(seen) == 5
    for theta, before in seen:
        assert_array_equal(theta, before)


@of_the_whole
def test_rough_takes_the_place_of_the_objective_until_progress_is_slow(minimize):
    rough, verdicts = (
        Rough(),
        iter([Verdict.GO_ON, Verdict.SLOW, Verdict.SLOW, Verdict.STALLED]),
    )
    result = minimize_roughly(minimize, rough, lambda *_: next(verdicts))
    assert result.converged
    assert result.n_iter == 4
    assert 3 <= rough.n_evaluations <= 5  # the start and two iterations
    assert result.loss == Quadratic().loss_gradient(result.theta)[0]


@of_the_whole
def test_where_rough_can_not_be_lowered_the_objective_goes_on(minimize):
    rough, seen = Rough(), []
    result = minimize_roughly(minimize, rough, lambda *_: seen.append(1) or "")
    assert rough.n_evaluations > 0
    assert result.converged
    assert len(seen) == result.n_iter
    assert_allclose(result.theta, MINIMUM, rtol=1e-8)


@of_the_whole
def test_where_rough_is_not_finite_the_objective_goes_on(minimize):
    class Overflowing(Rough):
        def loss_gradient(self, theta):
            loss, gradient = super().loss_gradient(theta)
            return (math.inf if self.n_evaluations > 2 else loss), gradient

    rough = Overflowing()
    result = minimize_roughly(minimize, rough, lambda *_: "")
    assert rough.n_evaluations == 3
    assert_allclose(result.theta, MINIMUM, rtol=1e-8)


def test_where_the_hessian_of_rough_is_not_finite_the_objective_goes_on():
    class Overflowing(Rough):
        def hessian_product(self, theta):
            return lambda v: v * np.inf

    result = minimize_roughly(newton, Overflowing(), lambda *_: "")
    assert_allclose(result.theta, MINIMUM, rtol=1e-8)


@of_the_whole
@pytest.mark.parametrize(("other", "n_iter"), [(MINIMUM + 2, 4), (np.full(3, 99.0), 2)])
def test_goes_on_from_elsewhere_if_that_is_lower(minimize, other, n_iter):
    verdicts = iter([Verdict.GO_ON, Verdict.STALLED, Verdict.GO_ON, Verdict.STALLED])
    seen = []

    def run_both(hook, **limits):
        return minimize(
            Quadratic(), np.full(3, 30.0), on_iteration=hook, other=other, **limits
        )

    result = run_both(lambda theta, *_: seen.append(theta.copy()) or next(verdicts))
    assert result.converged
    assert result.n_iter == len(seen) == n_iter
    assert_allclose(seen[-1], result.theta, rtol=0)
    # limits are those of both together
    limited = run_both(lambda *_: Verdict.STALLED, max_iter=1)
    assert limited.n_iter == 1
    assert run_both(lambda *_: Verdict.STOP, max_iter=9).n_iter == 1


@of_the_whole
def test_a_limit_that_is_reached_roughly_is_a_limit(minimize):
    result = minimize_roughly(minimize, Rough(), lambda *_: "", max_iter=2)
    assert not result.converged
    assert result.n_iter == 2
    assert "max_iter=2" in result.message
    assert minimize_roughly(minimize, Rough(), lambda *_: Verdict.STOP).n_iter == 1


def test_stop_iteration_from_a_scorer_is_an_error():
    def hook(theta, loss, slope):
        raise StopIteration

    for minimize in (lbfgsb, newton):
        with pytest.raises(RuntimeError, match="StopIteration was raised"):
            minimize(Quadratic(), np.zeros(3), on_iteration=hook)
    for minimize in (lbfgs, lambda *_, **options: run(SGD(0.5, False), **options)):
        with pytest.raises(StopIteration):
            minimize(Quadratic(), np.zeros(3), on_iteration=hook)


@pytest.mark.parametrize(
    ("minimize", "limit", "message"),
    [
        (lbfgs, {"max_iter": 2}, "L-BFGS stopped at max_iter=2 iterations"),
        (lbfgs, {"max_fun": 2}, "L-BFGS stopped at max_fun=2 evaluations"),
        (lbfgsb, {"max_fun": 2}, "L-BFGS-B stopped at max_fun=2 evaluations"),
        (newton, {"max_iter": 2}, "Newton's method stopped at max_iter=2 iterations"),
    ],
)
def test_solvers_of_the_whole_say_which_limit_they_hit(minimize, limit, message):
    result = minimize(
        Quadratic(), np.zeros(3), on_iteration=lambda *_: Verdict.GO_ON, **limit
    )
    assert not result.converged
    assert message in result.message


class Saddle:
    """(x^2 - y^2) / 2 + y^4 / 4: a saddle point at 0, and minima at y = 1 and -1."""

    dtype = np.dtype(np.float64)
    rough = Quadratic.rough

    def loss_gradient(self, theta):
        x, y = theta
        return (x**2 - y**2) / 2 + y**4 / 4, np.array([x, y**3 - y])

    def loss(self, theta):
        return self.loss_gradient(theta)[0]

    def hessian_product(self, theta):
        return lambda v: np.array([1, 3 * theta[1] ** 2 - 1]) * v


def test_newton_leaves_a_saddle_point_along_negative_curvature():
    """Where the gradient is all but 0, and a Newton step would lead back."""
    result = newton(Saddle(), np.array([1e-9, 1e-8]), on_iteration=lambda *_: Verdict.GO_ON)
    assert result.converged
    assert_allclose(result.theta, [0, 1], atol=1e-10)
    assert result.n_iter < 20


class Rosenbrock:
    """A curved valley, in which Newton's steps are sometimes too long."""

    dtype = np.dtype(np.float64)
    rough = Quadratic.rough

    def __init__(self):
        self.n_hessians = 0

    def loss_gradient(self, theta):
        return optimize.rosen(theta), optimize.rosen_der(theta)

    def hessian_product(self, theta):
        self.n_hessians += 1
        return partial(optimize.rosen_hess_prod, theta.copy())


def test_a_step_of_newtons_that_is_not_taken_keeps_its_slope_and_its_hessian():
    objective, seen = Rosenbrock(), []
    result = newton(
        objective,
        np.array([-1.2, 1.0]),
        on_iteration=lambda theta, loss, slope: (
            seen.append((theta.copy(), slope)) or Verdict.GO_ON
        ),
    )
    assert_allclose(result.theta, 1, rtol=1e-9)
    stays = [(a == b).all() for (a, _), (b, _) in pairwise(seen)]
    assert any(stays)
    assert not all(stays)
    for theta, slope in seen[:-1]:
        assert_allclose(slope, np.linalg.norm(optimize.rosen_der(theta)), rtol=1e-12)
    assert objective.n_hessians <= len(seen) - sum(stays) + 1


def small_network(dtype=np.float64, hidden=(4,)):
    """An objective of 60 rows, and a start."""
    rng = np.random.default_rng(0)
    X, k = rng.normal(size=(60, 3)).astype(dtype), rng.integers(3, size=60)
    network = Network((3, *hidden, 3), "tanh")
    theta = network.initialize(np.random.RandomState(0), dtype, standardized=True)
    return Objective(network, X, k, None, 1.0), theta


@pytest.mark.parametrize("hidden", [(), (4,), (4, 3)])
def test_newton_finds_the_minimum_of_a_network_to_the_last_digits(hidden):
    objective, theta = small_network(hidden=hidden)
    slopes = []
    result = newton(
        objective,
        theta,
        on_iteration=lambda theta, loss, slope: slopes.append(slope) or Verdict.GO_ON,
    )
    assert result.converged
    assert np.linalg.norm(objective.loss_gradient(result.theta)[1]) < 1e-10
    product = objective.hessian_product(result.theta)
    assert np.linalg.eigvalsh([product(e) for e in np.eye(theta.size)]).min() > -1e-12
    # digits double: from the third to the tenth within few iterations
    assert sum(1e-10 < slope < 1e-3 for slope in slopes) <= 5


def test_rough_is_left_where_newtons_gains_are_lost_in_its_rounding():
    """And not by ever smaller steps, after which the radius is as small."""
    (objective, theta), (rough, _) = small_network(), small_network(np.float32)
    n_iter = [
        newton(
            having(objective, instead), theta, on_iteration=lambda *_: Verdict.GO_ON
        ).n_iter
        for instead in (objective, rough)
    ]
    assert n_iter[1] <= n_iter[0] + 3


def test_newton_in_single_precision_ends_with_its_digits():
    objective, theta = small_network(np.float32)
    result = newton(objective, theta, on_iteration=lambda *_: Verdict.GO_ON)
    assert result.converged
    assert result.n_iter < 60
    assert np.linalg.norm(objective.loss_gradient(result.theta)[1]) < 1e-5


def test_epochs_are_shuffled_by_seed_and_number():
    rule = SGD(0.5, False)
    one = run(rule, batch_size=1, max_iter=7, seed=1)
    assert_allclose(run(rule, batch_size=1, max_iter=7, seed=1).theta, one.theta, rtol=0)
    assert (run(rule, batch_size=1, max_iter=7, seed=2).theta != one.theta).any()


@pytest.mark.parametrize("rule", [SGD(0.9, True), Adam(0.9, 0.999, 1e-8)])
def test_state_goes_on_exactly(rule):
    whole = run(rule, batch_size=1, max_iter=9, seed=4)
    first = run(rule, batch_size=1, max_iter=4, seed=4)
    assert (first.state.n_epochs, first.state.n_steps) == (4, 8)
    second = minimize_stochastic(
        Quadratic(),
        first.theta,
        rule,
        make_schedule("constant", 0.05, 0.5, 0, 1),
        state=first.state,
        n_samples=8,
        batch_size=1,
        max_iter=5,
        on_iteration=lambda *_: Verdict.GO_ON,
        seed=4,
    )
    assert_allclose(second.theta, whole.theta, rtol=0)


class Single(Quadratic):
    """The quadratic with batches in single precision."""

    def batches(self, theta, batch_size, rng):
        for loss, gradient in super().batches(theta, batch_size, rng):
            yield loss, gradient.astype(np.float32)


@pytest.mark.parametrize("rule", [SGD(0.9, False), SGD(0.9, True), Adam(0.9, 0.999, 1e-8)])
def test_gradients_in_single_precision_move_parameters_in_double(rule):
    def run_single(objective, theta, rate, max_iter, state):
        return minimize_stochastic(
            objective,
            theta,
            rule,
            make_schedule("constant", rate, 0.5, 0, 1),
            state=state,
            batch_size=2,
            max_iter=max_iter,
            on_iteration=lambda *_: Verdict.GO_ON,
            seed=0,
        )

    single, exact = (
        run_single(objective, np.zeros(3), 0.05, 20, State())
        for objective in (Single(), Quadratic())
    )
    assert single.theta.dtype == np.float64
    assert len(single.state.averages) == len(rule.powers)
    assert {average.dtype for average in single.state.averages} == {np.dtype(np.float32)}
    assert_allclose(single.theta, exact.theta, rtol=1e-5)
    # averages of calls in double precision are taken up in the precision of the gradient
    later = run_single(Single(), exact.theta, 0.05, 1, exact.state).state
    assert {average.dtype for average in later.averages} == {np.dtype(np.float32)}
    # steps that are far too small for single precision are not lost
    start = np.full(3, 9.0)
    moved = run_single(Single(), start.copy(), 1e-12, 10, State()).theta
    assert ((moved != start) & (abs(moved - start) < 1e-8)).all()


def test_adam_in_single_precision_where_squares_underflow():
    """A step is never much longer than the rate, and there is none without a gradient."""
    theta, averages = np.zeros(3), [np.zeros(3, np.float32) for _ in "mv"]
    rule = Adam(0.9, 0.999, 1e-60)
    rule.step(theta, np.array([0, 1e-30, -1e-10], np.float32), 0.1, averages, 1)
    assert theta[0] == 0
    assert -0.1 < theta[1] < 0
    assert_allclose(theta[2], 0.1, rtol=1e-6)


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
                state=State(),
                batch_size=1,
                max_iter=1,
                on_iteration=lambda *_: Verdict.GO_ON,
                seed=0,
            )

        class Infinite(Quadratic):
            def loss_gradient(self, theta):
                return 1.0, np.array([np.inf, 0, 0])

        class InfinitelyCurved(Quadratic):
            def hessian_product(self, theta):
                return lambda v: v * np.inf

        for minimize, objective in (
            (lbfgs, Infinite()),
            (lbfgsb, Infinite()),
            (newton, Infinite()),
            (newton, InfinitelyCurved()),
        ):
            with pytest.raises(ValueError, match="Training diverged"):
                minimize(objective, np.zeros(3), on_iteration=lambda *_: Verdict.GO_ON)


def test_the_schedule_is_read_at_every_step():
    rates, epochs = [], []

    def rate(epoch, n_samples, n_plateaus):
        epochs.append(epoch)
        return 0.1 / (1 + epoch)

    class Recorder(SGD):
        def step(self, theta, gradient, rate, averages, t):
            rates.append(rate)
            super().step(theta, gradient, rate, averages, t)

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


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_table_names_what_there_is(solver):
    row = SOLVERS[solver]
    assert row.parameters <= inspect.signature(MLPClassifierManual).parameters.keys()
    assert all(callable(getattr(Objective, name)) for name in row.needs)
    assert row.has_epochs == ("batches" in row.needs) == ("batch_size" in row.parameters)


class Only:
    """The quadratic, with some of its methods only."""

    n_rows, dtype = Quadratic.n_rows, Quadratic.dtype

    def __init__(self, methods):
        quadratic = Quadratic()
        quadratic.rough = lambda: self
        quadratic.for_batches = lambda batch_size, n_epochs: self
        vars(self).update({name: getattr(quadratic, name) for name in methods})


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_of_the_table_needs_no_more_than_it_says(solver):
    estimator = MLPClassifierManual(
        solver=solver, learning_rate_init=0.05, max_iter=2000, momentum=0.5
    )
    result = SOLVERS[solver].run(
        Settings(estimator),
        Only(SOLVERS[solver].needs),
        np.zeros(3),
        on_iteration=lambda *_: Verdict.GO_ON,
        state=State(),
        seed=0,
        other=None if SOLVERS[solver].has_epochs else MINIMUM,
    )
    assert_allclose(result.theta, MINIMUM, atol=1e-4)
    if SOLVERS[solver].has_epochs:
        assert result.state.n_epochs == result.n_iter
    else:
        assert result.state is None


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_parameters_of_a_solver_act_on_it(solver):
    """Each that the table names changes the path, or where it ends."""
    other = {
        "batch_size": 1,
        "beta_1": 0.5,
        "beta_2": 0.9,
        "epsilon": 0.1,
        "learning_rate": "cosine",
        "learning_rate_init": 0.02,
        "max_fun": 3,
        "momentum": 0.1,
        "nesterovs_momentum": False,
    }

    def end(**params):
        estimator = MLPClassifierManual(
            **({"solver": solver, "learning_rate_init": 0.1, "max_iter": 5} | params)
        )
        return (
            SOLVERS[solver]
            .run(
                Settings(estimator),
                Only([*SOLVERS[solver].needs, "loss", "rough"]),
                np.full(3, 9.0),
                on_iteration=lambda *_: Verdict.GO_ON,
                state=State(),
                seed=0,
                other=None,
            )
            .theta
        )

    for name in SOLVERS[solver].parameters & other.keys():
        assert (end(**{name: other[name]}) != end()).any(), name
    if SOLVERS[solver].has_epochs:
        decaying = {"learning_rate": "invscaling"}
        assert (end(power_t=0.1, **decaying) != end(**decaying)).any()
    # dropout and shuffle are the objective's
    untested = SOLVERS[solver].parameters - other.keys()
    assert untested <= {"dropout", "shuffle", "power_t"}


# --- L-BFGS ---------------------------------------------------------------------------


def go_on(*_):
    return Verdict.GO_ON


class Counted:
    """An objective that counts its evaluations."""

    def __init__(self, objective):
        self._objective, self.dtype, self.n_fun = objective, objective.dtype, 0

    def loss_gradient(self, theta):
        self.n_fun += 1
        return self._objective.loss_gradient(theta)

    def rough(self):
        return self


class Ellipsoid:
    """Quadratic with curvatures from 1 to 10,000."""

    def __init__(self, size, dtype=np.float64):
        self.curvatures, self.dtype = np.geomspace(1, 1e4, size), np.dtype(dtype)

    def loss_gradient(self, theta):
        gradient = self.curvatures * theta
        return 0.5 * float(gradient @ theta), gradient.astype(self.dtype)


def network_objective(seed, layer_sizes, activation, dtype):
    """Of a network of some classes, and a start."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(150, layer_sizes[0])).astype(dtype)
    y = (np.abs(X[:, 0] + X[:, 1] * X[:, 2]) * 2).astype(int).clip(max=layer_sizes[-1] - 1)
    network = Network(layer_sizes, activation)
    theta = network.initialize(np.random.RandomState(seed), np.dtype(dtype), True)
    return Objective(network, X, y, None, 0.1), theta


def objectives():
    rng = np.random.default_rng(0)
    for size in (3, 50, 2000):
        yield Ellipsoid(size), rng.normal(size=size)
    yield Rosenbrock(), np.tile([-1.2, 1.0], 5)
    for seed in range(3):
        for sizes in ((5, 3), (5, 20, 3), (5, 10, 8, 3)):
            for activation in ("logistic", "tanh", "relu"):
                yield network_objective(seed, sizes, activation, np.float64)
        yield network_objective(seed, (5, 20, 3), "logistic", np.float32)


def test_lbfgs_takes_as_many_evaluations_as_scipys_and_ends_as_low():
    """It minimises each. Paths that end at another minimum count little in the median."""
    ratios = []
    for objective, theta in objectives():
        counts, losses = [], []
        for minimize in (lbfgs, lbfgsb):
            counted = Counted(objective)
            monitor = Monitor(tol=1e-5, patience=10)
            result = minimize(
                counted, theta, max_iter=3000, max_fun=10_000, on_iteration=monitor
            )
            assert result.converged
            counts.append(counted.n_fun)
            losses.append(result.loss)
        ratios.append(counts[0] / counts[1])
        # networks have several minima, of about the same loss
        assert losses[0] < 1.1 * losses[1] + 1e-3
    assert np.median(ratios) < 1.05


@pytest.mark.parametrize("n_steps", [1, 4, 10, 23])
def test_pairs_are_the_formula_of_bfgs(n_steps):
    """The product form (7.16) of Nocedal and Wright, of the last ten pairs."""
    rng = np.random.default_rng(n_steps)
    A = np.diag(rng.uniform(0.5, 2, size=30))
    pairs, kept, gradient = Pairs(30), [], rng.normal(size=30)
    for _ in range(n_steps):
        direction, step = rng.normal(size=30), rng.uniform(0.1, 2)
        later = gradient + step * A @ direction
        pairs.add(step, direction, gradient, later)
        kept.append((step * direction, later - gradient))
        gradient = later
    s, y = kept[-1]
    H = np.eye(30) * (s @ y) / (y @ y)
    for s, y in kept[-10:]:
        V = np.eye(30) - np.outer(y, s) / (y @ s)
        H = V.T @ H @ V + np.outer(s, s) / (y @ s)
    g = rng.normal(size=30)
    assert_allclose(pairs.direction(g, np.linalg.norm(g)), -H @ g, rtol=1e-9, atol=1e-12)


def test_without_pairs_the_step_has_length_one():
    g = np.array([3.0, -4.0])
    pairs = Pairs(2)
    assert_allclose(pairs.direction(g, 5.0), [-0.6, 0.8])
    pairs.add(1.0, g, g, 2 * g)
    pairs.clear()
    assert_allclose(pairs.direction(g, 5.0), [-0.6, 0.8])


@pytest.mark.parametrize(
    ("size", "n_most", "dtype"),
    [(2**15, 10, "f8"), (2**15 + 1, 10, "f4"), (2**20, 10, "f4"), (2**20 + 1, 5, "f4")],
)
def test_long_pairs_are_kept_in_single_precision_and_are_fewer(size, n_most, dtype):
    pairs, kept = Pairs(size), []
    for i in range(n_most + 2):
        gradient = np.zeros(size)
        gradient[i] = 1.0
        pairs.add(1.0, gradient, gradient, 3 * gradient)
        kept.append(pairs.n_pairs)
    assert max(kept) == kept[-1] == n_most
    # half the curvature along the steps that are kept, and of the last one elsewhere
    assert pairs.direction(gradient, 1.0).dtype == np.dtype(dtype)
    assert_allclose(pairs.direction(gradient, 1.0)[i], -0.5)


@pytest.mark.parametrize("unit", [1e-25, 1e25])
def test_pairs_in_single_precision_have_no_unit(unit):
    """Squares of their numbers would be too small, or too large, for it."""
    rng = np.random.default_rng(0)
    start, pairs = rng.normal(size=3), Pairs(2**15 + 3)
    direction, gradient, later = np.zeros((3, 2**15 + 3))
    direction[:3], later[:3] = start, unit * start
    pairs.add(1.0, direction, gradient, later)
    assert_allclose(pairs.direction(later, np.linalg.norm(later)), -direction, rtol=1e-6)


def test_a_step_that_is_too_far_for_a_number_is_shortened():
    """The loss is a number only near the start, far from what a first step can be."""

    class Nearby(Quadratic):
        def loss_gradient(self, theta):
            loss, gradient = super().loss_gradient(theta)
            return (loss if abs(theta).max() < 3e-6 else np.inf), gradient

    thetas = []

    def hook(theta, loss, slope):
        thetas.append(theta)
        return Verdict.STOP

    for minimize in (lbfgs, lbfgsb):
        result = minimize(Nearby(), np.zeros(3), on_iteration=hook)
        assert 0 < abs(result.theta).max() < 3e-6
        assert result.loss < Nearby().loss(np.zeros(3))


def along(function, slope):
    """`at` of a search along a line, and the trials that it has made."""
    trials = []

    def at(step):
        trials.append(Trial(step, float(function(step)), float(slope(step))))
        return trials[-1], step

    return at, trials


@pytest.mark.parametrize("scale", [1e-3, 0.05, 0.3, 1.0, 7.0, 300.0])
def test_the_search_meets_the_strong_wolfe_conditions(scale):
    """A valley at `scale`, flat before and steep behind it."""
    at, trials = along(
        lambda a: (a / scale) ** 4 / 4 - a / scale, lambda a: ((a / scale) ** 3 - 1) / scale
    )
    trial, point = search(at, Trial(0.0, 0.0, -1 / scale))
    assert point == trial.step
    assert trial.loss <= -1e-3 * trial.step / scale
    assert abs(trial.slope) <= 0.9 / scale
    assert len(trials) <= 12


def test_the_search_ends_at_a_kink_with_the_best_step():
    """No step has a small slope, but the loss falls until the kink."""
    at, trials = along(lambda a: abs(a - 0.3), lambda a: np.sign(a - 0.3))
    trial, point = search(at, Trial(0.0, 0.3, -1.0))
    assert point == trial.step
    assert abs(point - 0.3) < 0.1
    assert trial.loss == min(trial.loss for trial in trials)


def test_the_search_finds_nothing_where_the_slope_is_wrong():
    at, trials = along(lambda a: a, lambda a: 1.0)
    trial, point = search(at, Trial(0.0, 0.0, -1.0))
    assert point is None
    assert trial == trials[-1]
    assert len(trials) == 20


def test_lbfgs_says_that_no_step_lowers_the_loss():
    class Hole(Quadratic):
        def loss_gradient(self, theta):
            return float(theta.any()), np.ones(3)

    result = lbfgs(Hole(), np.zeros(3), on_iteration=go_on)
    assert not result.converged
    assert "could not lower the loss further" in result.message
    assert_allclose(result.theta, 0)
