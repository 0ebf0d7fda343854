"""alpha="auto": a search on held-out rows, with losses that a test can know."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, make_classification

import skmlp._classifier
from skmlp import MLPClassifierManual
from skmlp._alpha import MOST_ROWS, draw_splits, sample, search_alpha
from skmlp._holdout import folds
from skmlp._rows import Rows


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


@pytest.mark.parametrize("unit", [1.0, 0.01])
@pytest.mark.parametrize(
    ("best", "tried"),
    [
        (1.0, [1, 10**-0.5, 10**0.5]),
        (0.1, [1, 10**-0.5, 0.1, 10**-1.5]),
        (10.0, [1, 10**-0.5, 10**0.5, 10, 10**1.5]),
        (1e-9, [10 ** (-i / 2) for i in range(7)]),
        (1e9, [1, 10**-0.5, *(10 ** (i / 2) for i in range(1, 5))]),
    ],
)
def test_search_goes_down_or_up_until_it_is_no_better(best, tried, unit):
    losses = search_alpha(
        lambda rows, alpha: Bowl(best * unit, alpha), np.ones(1), [(None, None)] * 3, unit
    )
    assert_allclose(list(losses), unit * np.array(tried))
    expected = abs(np.log10(np.array(tried) / best)) * 2 * 3
    assert_allclose(list(losses.values()), expected, atol=1e-6)


def test_without_splits_there_is_nothing_to_choose():
    losses = search_alpha(None, np.ones(1), [])
    assert min(losses, key=losses.get) == 1


def make_rows(n, weights=None, n_classes=3):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, 4)), np.arange(n) % n_classes
    return Rows(X, y, weights, weights)


@pytest.mark.parametrize(
    ("n", "n_splits"), [(19, 0), (20, 5), (300, 5), (400, 4), (800, 2), (1500, 1)]
)
def test_splits(n, n_splits):
    rows = make_rows(n)
    splits = draw_splits(rows, rows.targets, seed=0)
    assert len(splits) == n_splits
    held_out = [set(map(tuple, validation.X)) for _, validation in splits]
    assert len(set().union(*held_out)) == sum(map(len, held_out))  # folds are disjoint
    for train, validation in splits:
        assert len(train.X) + len(validation.X) == n
        assert abs(len(validation.X) - n / 5) < 3
        assert len(set(map(tuple, train.X)) & set(map(tuple, validation.X))) == 0


def test_folds_know_weights_from_rows():
    X, y, _, _ = make_rows(60)
    weights = np.random.default_rng(1).integers(1, 5, size=60)
    fold, n_distinct = folds(X, y, weights, n_folds=5, seed=3)
    again, n_again = folds(
        np.repeat(X, weights, axis=0), np.repeat(y, weights), None, n_folds=5, seed=3
    )
    assert_array_equal(np.repeat(fold, weights), again)
    assert n_distinct == n_again == 60
    shares = np.bincount(fold, weights) / weights.sum()
    assert_allclose(shares, 0.2, atol=0.06)


def test_of_many_rows_a_sample_is_drawn():
    weights = np.where(np.arange(5000) % 2, 1.0, 0.0)
    rows = sample(make_rows(5000, weights), seed=0)
    assert MOST_ROWS * 0.4 < len(rows.X) < MOST_ROWS * 0.6  # those that have a weight
    assert rows.weights.all()
    assert len(sample(make_rows(5000), seed=0).X) == MOST_ROWS
    few = make_rows(50)
    assert sample(few, seed=0) is few


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


def test_validation_set_of_ones_own_decides(monkeypatch, iris):
    X, y = iris
    seen = []

    def spy(make_objective, theta, splits, unit):
        seen.extend(splits)
        return {0.25: 0.0}

    monkeypatch.setattr(skmlp._classifier, "search_alpha", spy)
    model = MLPClassifierManual(5, random_state=0)
    model.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    ((train, validation),) = seen
    assert_array_equal(train.X, X[::2])
    assert_array_equal(validation.X, X[1::2])
    assert model.alpha_ == 0.25


def test_weights_of_sum_one_mean_what_weights_of_mean_one_mean():
    X, y = load_breast_cancer(return_X_y=True)
    weights = np.full(len(y), 1 / len(y))
    small = MLPClassifierManual(10, random_state=0).fit(X, y, weights)
    plain = MLPClassifierManual(10, random_state=0).fit(X, y)
    assert_allclose(small.alpha_ * len(y), plain.alpha_, rtol=1e-9)
    assert_allclose(small.predict_proba(X), plain.predict_proba(X), atol=1e-3)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
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


def test_auto_stands_for_a_solver(iris):
    X, y = iris
    model = MLPClassifierManual(5, random_state=0)
    lbfgs = MLPClassifierManual(5, solver="lbfgs", random_state=0)
    assert_array_equal(model.fit(X, y).coefs_[0], lbfgs.fit(X, y).coefs_[0])
    model = MLPClassifierManual(5, random_state=0).partial_fit(X, y, [0, 1, 2])
    adam = MLPClassifierManual(5, solver="adam", random_state=0)
    assert_array_equal(model.coefs_[0], adam.partial_fit(X, y, classes=[0, 1, 2]).coefs_[0])
    settings = {"dropout": 0.2, "alpha": 0.1, "max_iter": 3, "random_state": 0}
    with pytest.warns(match="max_iter=3"):
        dropped = MLPClassifierManual(5, **settings).fit(X, y)
    with pytest.warns(match="max_iter=3"):
        by_adam = MLPClassifierManual(5, solver="adam", **settings).fit(X, y)
    assert_array_equal(dropped.coefs_[0], by_adam.coefs_[0])
    with pytest.warns(match="momentum=0.5 has no effect with solver='auto', here 'lbfgs'"):
        MLPClassifierManual(5, momentum=0.5).fit(X, y)
