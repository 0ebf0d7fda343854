"""alpha="auto": a search on held-out rows, with losses that a test can know."""

import math
from functools import partial

import numpy as np
import pytest
from common import KnownSplit, known_rules, make_rows, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.preprocessing import OneHotEncoder

import skmlp._alpha
from skmlp import MLPClassifierManual, MLPRegressorManual
from skmlp._alpha import (
    MOST_ROWS,
    TRAINING_ROWS,
    _about,
    _train,
    best_start,
    choose_alpha,
    draw_splits,
    judge_alpha,
    search_alpha,
)
from skmlp._coordinates import Coordinates
from skmlp._iteration import Result, Verdict
from skmlp._monitor import Monitor
from skmlp._problem import Problem
from skmlp._rows import Rows
from skmlp._settings import Settings
from skmlp._targets import ClassLabels


def search(
    loss_of, *, unit=1.0, n_splits=1, held_out=300, floor=1.0, steeper=(), **options
):
    """A race between candidates with known losses, and the start it was run with."""
    splits = [KnownSplit(loss_of, held_out, unit) for _ in range(n_splits)]
    rules = known_rules(unit=unit, floor=floor)
    starts = [np.array([float(start), 0.0]) for start in (1, *steeper)]
    race, theta = search_alpha(rules, splits, starts[0], starts[1:], **options)
    assert race.trained.keys() == race.losses.keys()
    return race, theta[0]


def bowl(best):
    """Losses that are least at a number of half decades."""
    return lambda candidate, start: 0.05 + 0.1 * abs(candidate - best)


@pytest.mark.parametrize("unit", [1.0, 0.01, 190_000.0])
@pytest.mark.parametrize("best", [0, -1, -2, 1, 3, -5, 6, -6])
def test_search_finds_the_half_decade(best, unit):
    race, _ = search(bowl(best), unit=unit, n_splits=3)
    assert race.best() == best
    assert race.alpha(race.best()) == unit * 10 ** (best / 2)


@pytest.mark.parametrize(
    ("best", "tried"),
    [
        (3, {4, 2, 6, 3}),
        (2, {4, 2, 0, 3}),
        (0, {4, 2, 0, -2, 1}),
        (6, {4, 2, 6, 5}),
        (-6, {4, 2, 0, -2, -4, -6, -5}),
    ],
)
def test_a_search_about_a_candidate_finds_the_half_decade(best, tried):
    race, _ = search(bowl(best), held_out=10**6, about=(4, 2))
    assert race.best() == best
    assert race.losses.keys() == tried


@pytest.mark.parametrize(
    ("alpha", "unit", "expected"),
    [
        *((1.0, 1.0, (2, 0)), (3.2, 1.0, (3, 1)), (5.0, 0.05, (6, 4))),
        *((1e9, 1.0, (6, 4)), (0.01, 1.0, (2, 0))),
    ],
)
def test_the_candidates_about_a_strength(alpha, unit, expected):
    assert _about(alpha, unit) == expected


def test_of_equal_losses_about_a_candidate_the_strongest_penalty_is_taken():
    """What overfits only late looks as good in a search of few iterations."""
    options = {"about": (-2, -4), "held_out": 10**6}
    race, _ = search(lambda candidate, start: 0.5 + 1e-4 * candidate, **options)
    assert race.best() == 6
    race, _ = search(lambda candidate, start: 0.5 + 0.01 * candidate, **options)
    assert race.best() == -6


def test_a_start_is_not_blamed_before_a_weaker_penalty_is_tried():
    """Losses of two strong candidates can't tell that none matters."""
    starts = []

    def loss(candidate, start):
        starts.append(start)
        return 0.5 + 0.001 * candidate

    search(loss, steeper=[4], about=(4, 2), held_out=100)
    assert 4 not in starts[:2]
    starts.clear()
    race, _ = search(bowl(2), steeper=[4], about=(2, 0), held_out=10**6)
    assert race.losses.keys() == {2, 0, 4, 3}


@short_fits
@pytest.mark.parametrize("alpha", [0.0, 0.3, 50.0])
def test_a_given_alpha_is_judged_by_the_rows_of_a_search(alpha):
    X, y = make_classification(900, n_informative=4, flip_y=0.2, random_state=0)
    problem = make_problem(X, y)
    make_monitor = partial(Monitor, tol=1e-4, patience=10)
    options = {"seed": 3, "make_monitor": make_monitor, "max_iter": 30}
    theta = problem.draw(np.random.RandomState(0), standardized=True)
    choice = judge_alpha(problem, theta, alpha, **options)
    splits = skmlp._alpha.draw_rows(problem, 3)[0]
    losses, weights = [], []
    for train, held_out in splits:
        part = problem.part(train, held_out)
        objective = part.rough_objective(alpha)
        found = _train(objective, theta, make_monitor(), max_iter=30).theta
        losses.append(part.rough_held_out_objective().loss(found))
        weights.append(held_out.total_weight)
    assert_allclose(choice.held_out, np.average(losses, weights=weights), rtol=1e-3)
    assert choice.alpha == alpha
    few = make_problem(X[:20], y[:20])
    assert math.isnan(judge_alpha(few, theta, alpha, **options).held_out)


@pytest.mark.parametrize(("best", "chosen"), [(-9, -6), (9, 6)])
def test_search_goes_beyond_its_first_decades_to_the_ends(best, chosen):
    race, _ = search(bowl(best))
    assert race.best() == chosen
    assert -6 <= min(race.losses) <= max(race.losses) <= 6


@pytest.mark.parametrize(("best", "tried"), [(0.4, 1), (-0.4, -1), (-1.9, -1), (4.9, 5)])
def test_search_tries_the_half_decade_on_the_better_side(best, tried):
    race, _ = search(bowl(best))
    assert {c for c in race.losses if c % 2} == {tried}


def test_candidates_that_are_not_clearly_worse_race_on():
    loss = bowl(0.4)
    near, _ = search(loss, n_splits=3, floor=1e9)  # nothing is clear
    assert near.losses.keys() == {2, 1, 0, -2, -4}
    assert {len(losses) for losses in near.losses.values()} == {3}
    far, _ = search(loss, n_splits=3, floor=1e-9)
    # the only one that is not clearly worse needs no more races
    assert {len(losses) for losses in far.losses.values()} == {1}
    some, _ = search(loss, n_splits=3, floor=2.5, held_out=100)  # clear from 0.125 on
    assert {c for c, losses in some.losses.items() if len(losses) == 3} == {1, 0}


@pytest.mark.parametrize(("floor", "tried"), [(1e9, True), (1e-9, False)])
def test_a_decade_beyond_one_that_is_clearly_worse_is_not_tried(floor, tried):
    race, _ = search(bowl(0.4), floor=floor)
    assert {2, 0, -2} <= race.losses.keys()
    assert (-4 in race.losses) == tried


def test_on_a_plateau_weaker_penalties_are_tried_until_one_overfits():
    def narrow(candidate, start):
        return 0.5 if candidate == -5 else 1.0

    race, _ = search(narrow)
    assert race.best() == -5
    race, _ = search(lambda candidate, start: 1.06 if candidate == -3 else 1.0)
    assert race.losses.keys() == {2, 1, 0, -1, -2, -3, -4}


def test_stronger_penalties_are_tried_where_all_rows_say_that_nothing_is_learnt():
    """The first split says otherwise."""
    splits = [
        KnownSplit(lambda candidate, start: 0.8 + 0.1 * abs(candidate)),
        KnownSplit(lambda candidate, start: 1.8 - 0.25 * candidate),
    ]
    race, _ = search_alpha(known_rules(telling=0.0), splits, np.array([1.0, 0.0]))
    assert race.best() == 6
    assert race.losses[4] == pytest.approx([1.2, 0.8])
    assert race.losses[6] == pytest.approx([1.4, 0.3])


def test_of_equal_losses_the_usual_penalty_is_taken():
    race, _ = search(lambda candidate, start: 0.5)
    assert race.best() == -1


@pytest.mark.parametrize("n_rows", [30, 60])
def test_few_rows_of_noise_do_not_choose_an_extreme(n_rows):
    """Ten and a thousand times as much as the usual penalty win by chance otherwise."""
    alphas = []
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(scale=0.5 / np.sqrt(n_rows), size=13)
        race, _ = search(
            lambda candidate, start, noise=noise: 0.5 + 0.3 * noise[int(candidate)],
            n_splits=5,
            held_out=n_rows // 5,
        )
        alphas.append(race.best())
    distance = np.abs(np.array(alphas) + 1)
    assert np.mean(distance <= 1) > 0.8
    assert distance.max() <= 3


def test_a_loss_that_is_not_finite_is_worse_than_any_number():
    race, _ = search(lambda candidate, start: math.nan if candidate < 1 else 0.5)
    assert race.best() == 2
    nothing, _ = search(lambda candidate, start: math.nan)
    assert math.isinf(nothing.mean(nothing.best()))


def test_steeper_starts_are_tried_where_no_penalty_is_better_than_the_others():
    seen = []

    def loss(candidate, start):
        seen.append((start, candidate))
        return {1: 0.69, 4: 0.6, 16: 0.3}[start] + 0.001 * abs(candidate)

    race, start = search(loss, steeper=(4, 16))
    assert start == 16
    assert race.mean(race.best()) < 0.31
    assert [c for s, c in seen if s == 4] == [-4, -2, 0]
    # the first candidates are run with the start that was found, too
    assert {c for s, c in seen if s == 16} >= {-4, -2, 0, 2}


def test_a_steeper_start_has_to_be_clearly_better():
    for gain, found in ((0.02, 1), (0.04, 4)):  # clear is half over the root of 300
        losses = {1: 0.5, 4: 0.5 - gain}
        _, start = search(lambda candidate, start, of=losses: of[start], steeper=(4,))
        assert start == found


def test_steeper_starts_are_not_tried_where_a_weaker_penalty_is_worse():
    def loss(candidate, start):
        assert start == 1
        return 0.3 + 0.1 * abs(candidate)

    assert search(loss, steeper=(4, 16))[1] == 1


def test_every_candidate_has_the_same_training(iris, monkeypatch):
    starts, iterations = [], []

    def spy(objective, theta, monitor, max_iter):
        starts.append(theta.copy())
        result = _train(objective, theta, monitor, max_iter)
        iterations.append(result.n_iter)
        return result

    monkeypatch.setattr(skmlp._alpha, "_train", spy)
    monkeypatch.setattr(Monitor, "__call__", lambda *args: Verdict.STOP)
    problem = make_problem(*iris)
    theta = problem.draw(np.random.RandomState(0), standardized=True)
    choice = choose_alpha(
        problem,
        theta,
        seed=0,
        make_monitor=partial(Monitor, 0.0, np.inf),
        draw_start=None,
        max_iter=math.inf,
    )
    assert len(starts) > 4
    for start in starts:
        assert_array_equal(start, theta)
    assert set(iterations) == {1}
    assert_array_equal(choice.theta, theta)


def make_problem(X, y, weights=None):
    """In standardised coordinates, of ten units."""
    rows = Rows(X, y, weights, weights)
    targets = ClassLabels(np.unique(y))
    network = Settings(MLPClassifierManual(10)).network(X.shape[1], targets)
    return Problem(network, Coordinates.identity(network), rows, targets)


@pytest.mark.parametrize("n", [10, 29])
def test_of_fewer_than_30_rows_the_penalty_is_weak(n):
    unit = 3.0
    rng = np.random.default_rng(0)
    problem = make_problem(rng.normal(size=(n, 3)), np.arange(n) % 2, np.full(n, unit))
    theta = problem.draw(np.random.RandomState(0), standardized=True)
    choice = choose_alpha(
        problem, theta, seed=0, make_monitor=None, draw_start=None, max_iter=math.inf
    )
    assert choice.alpha == pytest.approx(unit * n**2 / 4000)
    assert choice.theta is theta
    assert choice.found is choice.record is None


def test_a_single_class_has_the_weakest_penalty_and_no_search():
    problem = make_problem(
        np.random.default_rng(0).normal(size=(100, 3)), np.zeros(100, int)
    )
    theta = problem.draw(np.random.RandomState(0), standardized=True)
    choice = choose_alpha(
        problem, theta, seed=0, make_monitor=None, draw_start=None, max_iter=math.inf
    )
    assert choice.alpha == pytest.approx(1e-3)
    assert choice.record is None


@pytest.mark.parametrize(
    ("n", "n_splits"), [(29, 0), (30, 5), (300, 5), (400, 4), (800, 2), (1500, 1)]
)
def test_splits(n, n_splits):
    rows = make_rows(n)
    splits = draw_splits(rows, seed=0)
    assert len(splits) == n_splits
    held_out = [set(map(tuple, validation.X)) for _, validation in splits]
    assert len(set().union(*held_out)) == sum(map(len, held_out))  # folds are disjoint
    for train, validation in splits:
        assert len(train.X) + len(validation.X) == n
        assert abs(len(validation.X) - n / 5) < 3
        assert len(set(map(tuple, train.X)) & set(map(tuple, validation.X))) == 0


@pytest.mark.parametrize(
    ("telling", "n_splits"), [(1.0, 1), (0.05, 1), (0.03, 2), (0.001, 5)]
)
def test_more_folds_are_held_out_where_few_rows_tell(telling, n_splits):
    assert len(draw_splits(make_rows(1500), seed=0, telling=telling)) == n_splits


@pytest.mark.parametrize("name", ["squared_error", "poisson"])
def test_rare_large_values_are_judged_by_all_folds(monkeypatch, name):
    """Most folds of a few rows have none of them: those can't say which penalty is good."""
    races = []

    def spied(*arguments):
        race, theta = search_alpha(*arguments)
        races.append(race)
        return race, theta

    monkeypatch.setattr(skmlp._alpha, "search_alpha", spied)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    counts = rng.poisson(20 * np.exp(0.5 * X[:, 0]))
    for y in (np.where(X[:, 0] > 2, 1000, counts), counts):
        MLPRegressorManual(name, 10, random_state=0).fit(X, y)
    rare, usual = ([len(losses) for losses in race.losses.values()] for race in races)
    assert set(rare) == {5}
    assert min(usual) < 5


def test_of_more_rows_all_that_are_not_for_training_are_held_out():
    rows = make_rows(MOST_ROWS)
    ((train, validation),) = draw_splits(rows, seed=0)
    assert abs(len(train.X) - TRAINING_ROWS) < 5
    assert len(train.X) + len(validation.X) == MOST_ROWS


def test_noisy_labels_get_a_stronger_penalty():
    X, y = make_classification(1000, 10, n_informative=5, flip_y=0, random_state=0)
    clean = MLPClassifierManual(20, random_state=0).fit(X, y)
    noisy_y = np.where(np.random.default_rng(0).random(1000) < 0.3, 1 - y, y)
    noisy = MLPClassifierManual(20, random_state=0).fit(X, noisy_y)
    assert clean.alpha_ < 0.5 * noisy.alpha_


def test_fit_with_what_was_chosen_is_the_fit(iris):
    X, y = iris
    chosen = MLPClassifierManual(10, random_state=0).fit(X, y)
    given = MLPClassifierManual(10, alpha=chosen.alpha_, random_state=0).fit(X, y)
    assert_array_equal(chosen.coefs_[0], given.coefs_[0])
    assert given.alpha_ == chosen.alpha_


def test_a_fit_that_is_held_up_goes_on_from_where_the_search_was(monkeypatch):
    def search_from_elsewhere(rules, splits, theta, steeper, about):
        assert steeper == []  # the start is the user's
        start = np.random.default_rng(0).normal(size=theta.shape)
        return search_alpha(rules, splits, start)[0], theta

    monkeypatch.setattr(skmlp._alpha, "search_alpha", search_from_elsewhere)
    X = np.random.default_rng(0).normal(size=(300, 2))
    y = X[:, 0] * X[:, 1] > 0
    saddle = {
        "coefs_init": [np.zeros((2, 10)), np.zeros((10, 2))],
        "intercepts_init": [np.zeros(10), np.zeros(2)],
    }
    model = MLPClassifierManual(10, random_state=0).fit(X, y, **saddle)
    assert model.score(X, y) > 0.95
    assert model.n_iter_ == len(model.loss_curve_)
    assert model.loss_curve_[0] == pytest.approx(np.log(2), abs=0.01)
    assert model.loss_ == model.loss_curve_[-1] < 0.2
    limited = MLPClassifierManual(10, random_state=0, max_iter=12, n_iter_no_change=2)
    with pytest.warns(ConvergenceWarning, match="max_iter=12"):
        limited.fit(X, y, **saddle)
    assert limited.n_iter_ == 12


def test_validation_set_of_ones_own_decides(monkeypatch, iris):
    X, y = iris
    seen = []

    def spy(rules, splits, *args):
        race, theta = search_alpha(rules, splits, *args)
        seen.append((splits, race))
        return race, theta

    monkeypatch.setattr(skmlp._alpha, "search_alpha", spy)
    model = MLPClassifierManual(5, random_state=0)
    model.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    (((split,), race),) = seen
    assert_array_equal(split.data.X, X[::2])
    assert_array_equal(split.validation.X, X[1::2])
    assert model.alpha_ == race.alpha(race.best())


@pytest.fixture
def searched(monkeypatch):
    """The hidden layers of the nets of each search, in the order of the searches."""
    seen = []

    def spy(rules, splits, *args):
        seen.append(splits[0].network.layer_sizes[1:-1])
        return search_alpha(rules, splits, *args)

    monkeypatch.setattr(skmlp._alpha, "search_alpha", spy)
    return seen


@pytest.mark.parametrize(
    ("n_rows", "hidden", "of_search"),
    [
        (200, (100,), (100,)),
        (200, (300,), (100,)),
        (200, (120, 20), (100, 20)),
        (1000, (120, 30), (64, 30)),  # dear
        (5000, (130,), (130,)),  # later stages begin where the search has ended
    ],
)
def test_the_search_has_fewer_units(searched, n_rows, hidden, of_search):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 5))
    y = X[:, 0] + rng.normal(size=n_rows) > 0
    model = MLPClassifierManual(hidden, random_state=0, max_iter=3)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model.fit(X, y)
    assert searched == [of_search]
    assert [len(b) for b in model.intercepts_] == [*hidden, 2]


def test_a_search_with_a_given_start_has_its_units(searched, iris):
    X, y = iris
    start = MLPClassifierManual(120, alpha=1.0, random_state=0).fit(X, y)
    model = MLPClassifierManual(120, random_state=0)
    model.fit(X, y, coefs_init=start.coefs_, intercepts_init=start.intercepts_)
    assert searched == [(120,)]


def test_a_search_that_learns_nothing_is_repeated_with_all_units(searched):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 3)), np.arange(400) % 2
    MLPClassifierManual(120, random_state=0).fit(X, y)
    assert searched == [(100,), (120,)]


def test_a_net_of_fewer_units_is_the_net_with_weights_of_zero(iris):
    problem = make_problem(*iris)
    narrow = problem.with_units(4)
    assert narrow.network.layer_sizes == (4, 4, 3)
    assert problem.with_units(10) is problem
    theta = narrow.reduce(problem.draw(np.random.RandomState(0), standardized=True))
    theta *= np.arange(theta.size) % 3  # also biases
    loss = narrow.objective(2.0).loss(theta)
    assert_allclose(problem.objective(2.0).loss(narrow.expand(theta)), loss, rtol=1e-12)


@pytest.mark.parametrize("hidden", [300, (120, 100)])
def test_strengths_suit_nets_of_any_width(hidden):
    X, y = make_classification(4150, 10, flip_y=0.2, random_state=0)
    X, X_test, y, y_test = X[:150], X[150:], y[:150], y[150:]
    chosen = MLPClassifierManual(hidden, random_state=0).fit(X, y)

    def held_out_loss(model):
        return log_loss(y_test, model.predict_proba(X_test))

    others = [
        held_out_loss(MLPClassifierManual(hidden, alpha=10.0**k, random_state=0).fit(X, y))
        for k in (-2, -1, 0, 0.5)
    ]
    assert held_out_loss(chosen) < 1.1 * min(others) < 0.5 * others[0]


def test_what_was_chosen_can_be_passed_on(searched, iris):
    X, y = iris
    model = MLPClassifierManual(10, random_state=0).fit(X, y)
    assert model.best_params_ == {"alpha": model.alpha_}
    again = clone(model).set_params(**model.best_params_).fit(X, y)
    assert len(searched) == 1
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.best_params_ == {}


@pytest.mark.parametrize("unit", [1 / 569, 1e-6, 190_000.0])
def test_the_unit_of_the_weights_does_not_matter(unit):
    X, y = load_breast_cancer(return_X_y=True)
    weights = np.random.default_rng(0).lognormal(size=len(y))
    plain = MLPClassifierManual(10, random_state=0).fit(X, y, weights)
    other = MLPClassifierManual(10, random_state=0).fit(X, y, weights * unit)
    assert_allclose(other.alpha_, plain.alpha_ * unit, rtol=1e-9)
    assert_allclose(other.predict_proba(X), plain.predict_proba(X), atol=1e-3)


def test_copies_are_weights_also_to_the_search():
    # no hidden layer: with one, rounding may decide between minima
    X, y = load_breast_cancer(return_X_y=True)
    copies = np.random.default_rng(0).integers(1, 3, size=len(y))
    weighted = MLPClassifierManual((), random_state=0).fit(X, y, copies)
    rows = np.repeat(np.arange(len(y)), copies)
    copied = MLPClassifierManual((), random_state=0).fit(X[rows], y[rows])
    assert_allclose(copied.alpha_, weighted.alpha_, rtol=1e-9)
    assert_allclose(copied.predict_proba(X), weighted.predict_proba(X), atol=1e-3)


@short_fits
def test_a_fit_that_goes_on_keeps_the_choice(iris):
    X, y = iris
    model = MLPClassifierManual(5, warm_start=True, max_iter=3, random_state=0).fit(X, y)
    alpha = model.alpha_
    rng = np.random.default_rng(0)
    model.fit(X, rng.permutation(y))  # for which another would be chosen
    # two equal flowers are two observations, now that their labels differ
    assert model.alpha_ == pytest.approx(alpha * 149 / 150)
    stream = MLPClassifierManual(5, random_state=0).partial_fit(X, y, [0, 1, 2])
    assert stream.alpha_ == 1e-4
    stream.set_params(alpha=2.0).partial_fit(X, y)
    assert stream.alpha_ == 2.0


def test_of_starts_that_end_alike_the_first_is_taken():
    def ends_where_it_starts(objective, theta, monitor):
        return Result(theta, theta[0], 1, True)

    starts = [np.array([loss]) for loss in (2.0, 1.0, 1.0 - 1e-12)]
    problem = KnownSplit(None)
    problem.objective = problem.rough_objective
    make_monitor = partial(Monitor, 1e-4, 10)
    chosen = best_start(problem, 1.0, starts, make_monitor, ends_where_it_starts)
    assert chosen is starts[1]


@short_fits
@pytest.mark.parametrize(
    ("params", "most"), [({"max_iter": 7}, 7), ({"solver": "adam", "max_iter": 7}, 100)]
)
def test_a_candidate_makes_no_more_iterations_than_the_fit(monkeypatch, iris, params, most):
    counts = []

    def spy(objective, theta, monitor, max_iter):
        counts.append(_train(objective, theta, monitor, max_iter).n_iter)
        return _train(objective, theta, monitor, max_iter)

    monkeypatch.setattr(skmlp._alpha, "_train", spy)
    MLPClassifierManual(10, random_state=0, **params).fit(*iris)
    assert max(counts) == 7 if most == 7 else 7 < max(counts) <= 100


def test_verbose_says_what_was_chosen(capsys, iris):
    model = MLPClassifierManual(10, verbose=True, random_state=0).fit(*iris)
    assert f"alpha = {model.alpha_:.6g}, chosen on held-out rows" in capsys.readouterr().out


def lookup(n, seed=0, noise=0.12):
    """Rows of 64 cells, each of which has a probability of its own; and all cells."""
    grid = np.indices((4, 4, 4)).reshape(3, -1).T
    X = OneHotEncoder(sparse_output=False).fit_transform(grid)
    rng = np.random.default_rng(seed)
    p = np.random.default_rng(99).choice([noise, 1 - noise], size=64)
    cell = rng.integers(64, size=n)
    return X, p, cell, (rng.random(n) < p[cell]).astype(int)


@pytest.mark.parametrize("n", [4000, 20_000])
def test_probabilities_of_cells_are_learnt(n):
    """Held out are rows of a cell, not one of its labels."""
    X, p, cell, y = lookup(n)
    model = MLPClassifierManual(random_state=0).fit(X[cell], y)
    assert model.alpha_ < 3
    found = model.predict_proba(X)[:, 1]
    loss = -(p * np.log(found) + (1 - p) * np.log(1 - found)).mean()
    best = -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean()
    assert loss - best < 40 / n + 0.001  # a constant is off by 0.33


@pytest.mark.parametrize("draw", ["at random", "50 times each"])
def test_a_function_of_cells_is_learnt(draw):
    X, _, cell, _ = lookup(3200)
    labels = np.random.default_rng(1).integers(2, size=64)
    cell = cell if draw == "at random" else np.repeat(np.arange(64), 50)
    model = MLPClassifierManual(random_state=0).fit(X[cell], labels[cell])
    assert model.score(X, labels) == 1


def table_of(X, cell, y):
    """Each combination of a cell and a label once, and how often it is seen."""
    entries, counts = np.unique(2 * cell + y, return_counts=True)
    return X[entries // 2], entries % 2, counts


@pytest.mark.parametrize("unit", [1.0, 1e-6, 190_000.0])
def test_a_table_with_frequencies_is_the_fit_of_its_rows(unit):
    X, _, cell, y = lookup(20_000)
    plain = MLPClassifierManual(20, random_state=0).fit(X[cell], y)
    X_table, y_table, counts = table_of(X, cell, y)
    table = MLPClassifierManual(20, random_state=0).fit(X_table, y_table, counts * unit)
    assert_allclose(table.alpha_, unit * plain.alpha_, rtol=1e-6)
    assert_allclose(table.predict_proba(X), plain.predict_proba(X), atol=1e-3)


@pytest.mark.parametrize("alpha", ["auto", 0.5])
@pytest.mark.parametrize("solver", ["auto", "lbfgs", "newton-cg"])
@pytest.mark.parametrize("n", [1000, 8000])
def test_frequencies_and_persons_have_the_same_bits(solver, alpha, n):
    """In whatever order they are; rows are counted as they were given."""
    X, _, cell, y = lookup(n)
    data = [(X[cell], y, np.ones(n)), table_of(X, cell, y)]
    shuffle = np.random.default_rng(1).permutation
    data += [
        [array[order] for array in arrays]
        for arrays in data
        for order in [shuffle(len(arrays[0]))]
    ]
    plain = MLPClassifierManual(20, solver=solver, alpha=alpha, random_state=0)
    plain.fit(X[cell], y)
    for arrays in data:
        model = clone(plain).fit(*arrays)
        assert model.alpha_ == plain.alpha_
        for one, other in zip(model.coefs_, plain.coefs_, strict=True):
            assert_array_equal(one, other)
        assert model.loss_curve_ == plain.loss_curve_
        assert model.t_ == len(arrays[0]) * model.n_iter_


def test_early_stopping_learns_cells():
    """Of several labels of a cell, which were held out and which were not, one by one."""
    X, p, cell, y = lookup(20_000)
    model = MLPClassifierManual(alpha=0.1, early_stopping=True, random_state=0)
    found = model.fit(X[cell], y).predict_proba(X)[:, 1]
    assert np.abs(found - p).max() < 0.1


@pytest.mark.parametrize(
    ("n", "n_groups", "n_splits"),
    [(40, 2, 2), (40, 4, 4), (40, 7, 5), (900, 900, 5), (4000, 3, 3)],
)
def test_splits_of_groups(n, n_groups, n_splits):
    groups = (np.arange(n) % n_groups).astype(np.uint64)
    X = np.random.default_rng(0).normal(size=(len(groups), 3))
    splits = draw_splits(Rows(X, np.arange(len(groups)) % 2, groups=groups), seed=0)
    assert len(splits) == n_splits
    held_out = [set(validation.groups) for _, validation in splits]
    assert len(set().union(*held_out)) == sum(map(len, held_out))
    for train, validation in splits:
        assert not set(train.groups) & set(validation.groups)
        assert len(set(validation.groups)) >= n_groups // 5
        assert set(train.groups) | set(validation.groups) == set(groups)
