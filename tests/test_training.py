"""A training needs no estimator, and one that fails leaves none changed."""

import copy

import numpy as np
import pytest
from common import assert_same_state, short, short_fits
from sklearn.base import clone

from skmlp._rows import Rows
from skmlp._settings import Settings
from skmlp._targets import ClassLabels
from skmlp._training import Interrupted, train

EVERY_KIND = [
    {},
    {"solver": "sgd", "batch_size": 40},
    {"solver": "adam", "early_stopping": True, "learning_rate": "cosine"},
    {"solver": "lbfgs", "alpha": 0.1, "standardize": False},
]


def given(iris, estimator):
    """What `train` is given where `fit` is given the data."""
    X, y = iris
    return Settings(estimator), Rows(X, y), ClassLabels(np.unique(y))


def assert_attributes(attributes, estimator):
    """Bit for bit."""
    fitted = vars(estimator)
    assert_same_state(attributes, {name: fitted[name] for name in attributes})


@short_fits
@pytest.mark.parametrize("params", EVERY_KIND)
def test_a_training_is_a_fit_without_an_estimator(iris, params):
    estimator = short(**params)
    before = dict(vars(estimator))
    outcome = train(*given(iris, estimator))
    assert vars(estimator) == before
    assert_attributes(outcome.attributes({}), clone(estimator).fit(*iris))


@short_fits
@pytest.mark.parametrize("params", EVERY_KIND)
def test_a_training_that_goes_on_is_a_warm_start(iris, params):
    estimator = short(warm_start=True, **params)
    settings, rows, targets = given(iris, estimator)
    first = train(settings, rows, targets)
    before = first.attributes({})
    kept = copy.deepcopy(before)
    second = train(settings, rows, targets, earlier=first.progress)
    assert_same_state(before, kept)
    assert second.progress.n_samples == 2 * first.progress.n_samples > 0
    assert_attributes(second.attributes(before), estimator.fit(*iris).fit(*iris))


@short_fits
def test_settings_are_those_of_when_they_were_made(iris):
    estimator = short()
    expected = short().fit(*iris)
    settings, rows, targets = given(iris, estimator)
    estimator.set_params(max_iter=1, hidden_layer_sizes=3)
    assert_attributes(train(settings, rows, targets).attributes({}), expected)
    with pytest.raises(AttributeError, match="max_iter is set"):
        settings.max_iter = 1


@pytest.mark.parametrize("params", [{"solver": "lbfgs"}, {"solver": "adam"}])
def test_the_outcome_of_an_iteration(iris, params):
    """What a callback is told, and what is left at Ctrl-C."""
    seen = []

    def stop_after_three(make_outcome):
        seen.append(make_outcome())
        return len(seen) == 3

    def interrupt_after_three(make_outcome):
        if stop_after_three(make_outcome):
            raise KeyboardInterrupt

    arguments = given(iris, short(alpha=0.1, **params))
    stopped = train(*arguments, notify=stop_after_three)
    seen_before = seen.copy()
    seen.clear()
    with pytest.raises(Interrupted, match="after 3 iterations") as caught:
        train(*arguments, notify=interrupt_after_three)
    last = caught.value.outcome.progress
    for progress in (seen_before[-1].progress, stopped.progress):
        assert_same_state(progress.coefs, last.coefs)
        assert progress.n_samples == last.n_samples == 450
    assert_same_state(seen[0].progress.coefs, seen_before[0].progress.coefs)
    assert (seen[0].progress.coefs[0] != last.coefs[0]).any()


@short_fits
def test_momentum_does_not_outlive_an_interruption(iris):
    """It is of the way until then, and the best parameters may be of before."""

    def interrupt(make_outcome):
        assert make_outcome().progress.optimizer is None
        raise KeyboardInterrupt

    arguments = given(iris, short(solver="sgd", warm_start=True))
    first = train(*arguments)
    assert first.progress.optimizer is not None
    with pytest.raises(Interrupted) as caught:
        train(*arguments, earlier=first.progress, notify=interrupt)
    assert caught.value.outcome.progress.optimizer is None
    assert first.progress.optimizer is not None


def diverge(estimator, X, y):
    """In the second batch, after a step."""
    estimator.set_params(activation="identity", batch_size=75, shuffle=False)
    huge = np.vstack([X[:75], np.full((75, 4), 1e308)])
    with pytest.raises(ValueError, match="Training diverged"):
        estimator.fit(huge, y)


def fail_to_score(estimator, X, y):
    """After the second iteration."""
    scores = iter([0.5, 0.6])
    estimator.set_params(early_stopping=True, scoring=lambda *_: next(scores))
    with pytest.raises(StopIteration):
        estimator.fit(X, y)


@short_fits
@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("fail", [diverge, fail_to_score])
def test_a_training_that_fails_changes_no_attribute(iris, fail, warm_start):
    estimator = short(solver="sgd", warm_start=warm_start).fit(*iris)
    parameters = estimator.get_params()
    before = copy.deepcopy(vars(estimator))
    fail(estimator, *iris)
    assert_same_state(before, vars(estimator.set_params(**parameters)))


@short_fits
@pytest.mark.parametrize("warm_start", [False, True])
def test_attributes_of_the_user_survive(iris, warm_start):
    estimator = short(solver="adam", warm_start=warm_start).fit(*iris)
    estimator.note_ = note = ["mine"]
    estimator.fit(*iris).partial_fit(*iris)
    assert estimator.note_ is note
