"""A training needs no estimator, and one that fails leaves none changed."""

import copy

import numpy as np
import pytest
from common import assert_same_state, short, short_fits
from sklearn.base import clone

import skmlp._training
from skmlp import MLPClassifierManual
from skmlp._rows import Rows
from skmlp._settings import Settings
from skmlp._solvers import SOLVERS
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
    estimator.set_params(activation="identity", batch_size=75, learning_rate_init=1e300)
    with pytest.raises(ValueError, match="Training diverged"):
        estimator.fit(X, y)


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


def tall(n=600):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    y = (X[:, 0] * X[:, 1] + 0.3 * rng.normal(size=n) > 0).astype(int)
    return Rows(X, y, rng.uniform(0.5, 1.5, n)), ClassLabels(np.arange(2))


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr("skmlp._training._MANY_ROWS", 600)
    monkeypatch.setattr("skmlp._training._PART_ROWS", 18)


@pytest.fixture
def starts(monkeypatch):
    """Rows, start and alpha of each run of L-BFGS, without those of a search."""
    seen = []
    run = SOLVERS["lbfgs"].run

    def spy(settings, objective, theta, **options):
        seen.append((objective.n_rows, theta.copy(), objective.total_weight))
        return run(settings, objective, theta, **options)

    monkeypatch.setitem(SOLVERS, "lbfgs", SOLVERS["lbfgs"]._replace(run=spy))
    return seen


@pytest.mark.parametrize("params", [{}, {"alpha": 0.3}])
def test_many_rows_start_from_the_optimum_of_a_part(small_parts, starts, params):
    rows, targets = tall(4800)
    estimator = MLPClassifierManual(10, random_state=0, **params)
    outcome = train(Settings(estimator), rows, targets)
    assert [n_rows for n_rows, _, _ in starts] == [37, 150, 600, 4800]
    assert starts[0][2] == pytest.approx(37, rel=0.3)  # weights of the part
    assert not np.allclose(starts[0][1], starts[1][1])
    # the curve is of all rows, and begins where the part's optimum is
    assert outcome.monitor.losses[0] < 0.9 * np.log(2)
    assert len(outcome.monitor.losses) > estimator.n_iter_no_change


def test_a_part_has_the_same_penalty_for_a_row(small_parts, monkeypatch):
    """Alpha divided by the weight of the rows."""
    seen = []
    objective = Rows.objective

    def spy(rows, network, coordinates, alpha, *args, **options):
        seen.append((rows.n_rows, rows.total_weight, alpha))
        return objective(rows, network, coordinates, alpha, *args, **options)

    monkeypatch.setattr(Rows, "objective", spy)
    estimator = MLPClassifierManual(10, alpha=0.3, random_state=0)
    rows, targets = tall()
    train(Settings(estimator), rows, targets)
    assert [n_rows for n_rows, _, _ in seen] == [18, 75, 600]
    for _, weight, alpha in seen:
        assert alpha == pytest.approx(0.3 * weight / rows.total_weight, rel=1e-12)
    assert seen[-1][2] == 0.3


@short_fits
@pytest.mark.parametrize(
    ("params", "initial"),
    [
        ({"early_stopping": True}, (None, None)),
        ({"solver": "adam", "max_iter": 2}, (None, None)),
        ({}, ([np.ones((3, 10)), np.ones((10, 2))], None)),
    ],
)
def test_what_has_no_use_for_a_part_gets_none(small_parts, starts, params, initial):
    estimator = MLPClassifierManual(10, alpha=0.3, random_state=0, **params)
    train(Settings(estimator), *tall(800), initial=initial)  # many, also without held out
    assert len(starts) == (estimator.solver != "adam")
    first = MLPClassifierManual(10, alpha=0.3, warm_start=True, random_state=0)
    progress = train(Settings(first), *tall()).progress
    starts.clear()
    train(Settings(first), *tall(), earlier=progress)
    assert len(starts) == 1


def test_parts_are_at_most_so_large_and_tell_of_themselves(
    small_parts, capsys, monkeypatch
):
    monkeypatch.setattr("skmlp._training._PART_BYTES", 40 * 3 * 8)
    estimator = MLPClassifierManual(5, alpha=0.3, random_state=0, verbose=True)
    train(Settings(estimator), *tall())
    assert capsys.readouterr().out.startswith("Fit to 40 of 600 rows: ")


def test_fewer_rows_have_no_parts():
    data = Rows(np.zeros((49_999, 1)), np.zeros(49_999, int))
    assert skmlp._training._parts(data) == []
    data = Rows(np.zeros((400_000, 1)), np.zeros(400_000, int))
    assert skmlp._training._parts(data) == [50_000, 12_500, 3125]
