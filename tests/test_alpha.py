"""alpha="auto": a search on held-out rows, with losses that a test can know."""

import math
from functools import partial

import numpy as np
import pytest
from common import make_rows, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import OneHotEncoder

import skmlp._alpha
from skmlp import MLPClassifierManual
from skmlp._alpha import (
    MOST_ROWS,
    TRAINING_ROWS,
    _train,
    best_start,
    draw_splits,
    search_alpha,
)
from skmlp._monitor import Monitor
from skmlp._rows import Rows
from skmlp._solvers import Result, Verdict


class Bowl:
    """Held out (alpha is 0), its loss is least where the training alphas ended at best."""

    total_weight = 2.0
    dtype = np.dtype(np.float64)

    def __init__(self, best, alpha):
        self.best, self.alpha = best, alpha

    def loss(self, theta):
        return abs(np.log10(theta[0]) - np.log10(self.best))

    def loss_gradient(self, theta):
        offset = theta - self.alpha
        return 0.5 * float(offset @ offset), offset


few_iterations = partial(_train, max_iter=100)


class Split:
    """A problem of some rows, whose objectives are made by a function of alpha."""

    def __init__(self, make_objective, n_rows):
        self.data = self.validation = make_rows(n_rows)
        self._make_objective = make_objective

    def rough_objective(self, alpha, map=None):
        return self._make_objective(alpha)

    def rough_held_out_objective(self):
        return self._make_objective(0.0)

    def reduce(self, theta):
        return theta

    expand = reduce


def search(best, unit=1.0, n_splits=3, held_out=300, entropy=0.01):
    """Losses by number of half decades, of a search among bowls."""
    losses, trained = search_alpha(
        np.ones(1),
        [Split(partial(Bowl, best * unit), held_out)] * n_splits,
        train=few_iterations,
        total_weight=1.0,
        unit=unit,
        entropy=entropy,
        make_monitor=partial(Monitor, 0.0, np.inf),
    )
    for alpha, theta in trained.items():  # a bowl's fit ends at alpha
        assert_allclose(theta, alpha, rtol=1e-6)
    assert trained.keys() == losses.keys()
    return {round(2 * np.log10(alpha / unit)): loss for alpha, loss in losses.items()}


@pytest.mark.parametrize("unit", [1.0, 0.01, 190_000.0])
@pytest.mark.parametrize(
    ("best", "chosen"), [(0, 0), (-1, -1), (-2, -2), (1, 1), (3, 3), (-5, -5)]
)
def test_search_finds_the_half_decade(best, chosen, unit):
    losses = search(10 ** (best / 2), unit)
    assert min(losses, key=losses.get) == chosen
    assert losses[chosen] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("best", "chosen"), [(1e-9, -6), (1e9, 4)])
def test_search_goes_beyond_its_first_decades_to_the_ends(best, chosen):
    losses = search(best)
    assert min(losses, key=losses.get) == chosen


def test_candidates_that_are_not_clearly_worse_race_on():
    near = search(10**0.2, entropy=1e9)  # nothing is clear
    assert {2, 0, -2, -4, 1} <= near.keys()
    far = search(10**0.2, entropy=1e-9)
    assert far.keys() == {0}


@pytest.mark.parametrize(("entropy", "tried"), [(1e9, True), (1e-9, False)])
def test_a_decade_beyond_one_that_is_clearly_worse_is_not_tried(entropy, tried):
    trained = set()

    def make_objective(alpha):
        trained.add(alpha)
        return Bowl(10**0.2, alpha)

    search_alpha(
        np.ones(1),
        [Split(make_objective, 300)],
        train=few_iterations,
        total_weight=1.0,
        unit=1.0,
        entropy=entropy,
        make_monitor=partial(Monitor, 0.0, np.inf),
    )
    assert {10.0, 1.0, 0.1} <= trained
    assert (0.01 in trained) == tried


def test_of_equal_losses_the_strongest_penalty_is_taken():
    class Flat(Bowl):
        def loss(self, theta):
            return 1.0

    losses, _ = search_alpha(
        np.ones(1),
        [Split(partial(Flat, 1.0), 40)],
        train=few_iterations,
        total_weight=1.0,
        unit=1.0,
        entropy=1.0,
        make_monitor=partial(Monitor, 0.0, np.inf),
    )
    assert set(losses.values()) == {1.0}
    assert min(losses, key=losses.get) == max(losses) == 100


def test_a_loss_that_is_not_finite_is_worse_than_any_number():
    class Overflowing(Bowl):
        def loss(self, theta):
            return math.nan if self.best == "nan" or theta[0] < 2 else theta[0]

    for best, chosen in ((1.0, 10.0), ("nan", 100.0)):
        losses, _ = search_alpha(
            np.ones(1),
            [Split(partial(Overflowing, best), 40)] * 2,
            train=few_iterations,
            total_weight=1.0,
            unit=1.0,
            entropy=1.0,
            make_monitor=partial(Monitor, 0.0, np.inf),
        )
        assert min(losses, key=losses.get) == pytest.approx(chosen)


def test_every_candidate_has_the_same_training():
    starts, iterations = [], []

    class Slow(Bowl):
        def __init__(self, best, alpha):
            super().__init__(best, alpha)
            self.is_new = True

        def loss_gradient(self, theta):
            if self.is_new:
                starts.append(float(theta[0]))
                self.is_new = False
            return super().loss_gradient(theta)

    class Counter:
        def __init__(self):
            iterations.append(0)

        def __call__(self, theta, loss, slope):
            iterations[-1] += 1
            return Verdict.STOP if iterations[-1] == 2 else Verdict.GO_ON

    search_alpha(
        np.full(1, 7.0),
        [Split(partial(Slow, 1.0), 40)],
        train=few_iterations,
        total_weight=1.0,
        unit=1.0,
        entropy=1.0,
        make_monitor=Counter,
    )
    assert set(starts) == {7.0}
    assert max(iterations) <= 2


def test_without_splits_the_penalty_is_weak():
    losses, trained = search_alpha(
        np.ones(1),
        [],
        train=few_iterations,
        total_weight=40.0,
        unit=3.0,
        entropy=1.0,
        make_monitor=None,
    )
    assert min(losses, key=losses.get) == pytest.approx(40**2 / 3 / 4000)
    assert list(trained.values()) == [None]


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
    def search_from_elsewhere(theta, *args, **options):
        start = np.random.default_rng(0).normal(size=theta.shape)
        return search_alpha(start, *args, **options)

    monkeypatch.setattr(skmlp._alpha, "search_alpha", search_from_elsewhere)
    X = np.random.default_rng(0).normal(size=(300, 2))
    y = X[:, 0] * X[:, 1] > 0
    saddle = {"coefs_init": [np.zeros((2, 10)), np.zeros((10, 2))]}
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

    def spy(theta, splits, **options):
        seen.extend(splits)
        return {0.25: 0.0}, {0.25: None}

    monkeypatch.setattr(skmlp._alpha, "search_alpha", spy)
    model = MLPClassifierManual(5, random_state=0)
    model.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    (split,) = seen
    assert_array_equal(split.data.X, X[::2])
    assert_array_equal(split.validation.X, X[1::2])
    assert model.alpha_ == 0.25


@pytest.mark.parametrize("unit", [1 / 569, 1e-6, 190_000.0])
def test_the_unit_of_the_weights_does_not_matter(unit):
    X, y = load_breast_cancer(return_X_y=True)
    weights = np.random.default_rng(0).lognormal(size=len(y))
    plain = MLPClassifierManual(10, random_state=0).fit(X, y, weights)
    other = MLPClassifierManual(10, random_state=0).fit(X, y, weights * unit)
    assert_allclose(other.alpha_, plain.alpha_ * unit, rtol=1e-9)
    assert_allclose(other.predict_proba(X), plain.predict_proba(X), atol=1e-3)


def test_copies_are_weights_also_to_the_search():
    X, y = load_breast_cancer(return_X_y=True)
    copies = np.random.default_rng(0).integers(1, 3, size=len(y))
    weighted = MLPClassifierManual(10, random_state=0).fit(X, y, copies)
    rows = np.repeat(np.arange(len(y)), copies)
    copied = MLPClassifierManual(10, random_state=0).fit(X[rows], y[rows])
    assert_allclose(copied.alpha_, weighted.alpha_, rtol=1e-9)
    assert_allclose(copied.predict_proba(X), weighted.predict_proba(X), atol=1e-3)


@short_fits
def test_a_fit_that_goes_on_keeps_the_choice(iris):
    X, y = iris
    model = MLPClassifierManual(5, warm_start=True, max_iter=3, random_state=0).fit(X, y)
    alpha = model.alpha_
    rng = np.random.default_rng(0)
    model.fit(X, rng.permutation(y))  # for which another would be chosen
    assert model.alpha_ == alpha
    stream = MLPClassifierManual(5, random_state=0).partial_fit(X, y, [0, 1, 2])
    assert stream.alpha_ == 1e-4
    stream.set_params(alpha=2.0).partial_fit(X, y)
    assert stream.alpha_ == 2.0


def test_of_starts_that_end_alike_the_first_is_taken():
    def ends_where_it_starts(objective, theta, monitor):
        return Result(theta, theta[0], 1, True)

    starts = [np.array([loss]) for loss in (2.0, 1.0, 1.0 - 1e-12)]
    problem = Split(lambda alpha: None, 40)
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


@pytest.mark.parametrize("unit", [1.0, 1e-6, 190_000.0])
def test_a_table_with_frequencies_is_the_fit_of_its_rows(unit):
    X, _, cell, y = lookup(20_000)
    plain = MLPClassifierManual(20, random_state=0).fit(X[cell], y)
    entries, counts = np.unique(2 * cell + y, return_counts=True)
    table = MLPClassifierManual(20, random_state=0)
    table.fit(X[entries // 2], entries % 2, counts * unit)
    assert_allclose(table.alpha_, unit * plain.alpha_, rtol=1e-6)
    assert_allclose(table.predict_proba(X), plain.predict_proba(X), atol=1e-3)


def test_early_stopping_learns_cells():
    """Of several labels of a cell, which were held out and which were not, one by one."""
    X, p, cell, y = lookup(20_000)
    model = MLPClassifierManual(alpha=0.1, early_stopping=True, random_state=0)
    found = model.fit(X[cell], y).predict_proba(X)[:, 1]
    assert np.abs(found - p).max() < 0.1


@pytest.mark.parametrize(
    ("n", "n_groups", "n_splits"),
    [(40, 2, 2), (40, 4, 4), (40, 7, 5), (900, 900, 2), (4000, 3, 1)],
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
