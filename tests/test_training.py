"""A training needs no estimator, and one that fails leaves none changed."""

import copy
import tracemalloc

import numpy as np
import pytest
from common import assert_same_state, short, short_fits
from scipy import sparse
from sklearn.base import clone
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from skmlp import MLPClassifierManual
from skmlp._growing import sample_sizes
from skmlp._network import Network
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
    estimator = short(**({"alpha": "auto"} | params))
    before = dict(vars(estimator))
    outcome = train(*given(iris, estimator))
    assert vars(estimator) == before
    assert_attributes(outcome.attributes({}), clone(estimator).fit(*iris))


@short_fits
@pytest.mark.parametrize("params", EVERY_KIND)
def test_a_training_that_goes_on_is_a_warm_start(iris, params):
    estimator = short(**({"alpha": "auto", "warm_start": True} | params))
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
        assert make_outcome().progress.optimizer.theta is None
        raise KeyboardInterrupt

    arguments = given(iris, short(solver="sgd", warm_start=True))
    first = train(*arguments)
    assert first.progress.optimizer.theta is not None
    with pytest.raises(Interrupted) as caught:
        train(*arguments, earlier=first.progress, notify=interrupt)
    assert caught.value.outcome.progress.optimizer.theta is None
    assert first.progress.optimizer.theta is not None


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
    monkeypatch.setattr("skmlp._growing._MANY_ROWS", 600)
    monkeypatch.setattr("skmlp._growing._FEWEST_ROWS", 18)


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
    monkeypatch.setattr("skmlp._growing._MOST_BYTES", 40 * 3 * 8)
    estimator = MLPClassifierManual(5, alpha=0.3, random_state=0, verbose=True)
    train(Settings(estimator), *tall())
    lines = capsys.readouterr().out.splitlines()
    of_part = [line for line in lines if line.startswith("Fit to 40 of 600 rows: ")]
    assert of_part == lines[: len(of_part)]
    assert of_part[0].startswith("Fit to 40 of 600 rows: Iteration    1, loss =   0.")
    assert of_part[1].startswith("Fit to 40 of 600 rows: Iteration    2, loss =   0.")
    assert lines[len(of_part)].startswith("Iteration    1, loss =   0.")


def test_fewer_rows_have_no_samples():
    assert sample_sizes(49_999) == []
    assert sample_sizes(400_000) == [50_000, 12_500, 3125]
    assert sample_sizes(400_000, 20_000) == [20_000, 5000]


@pytest.fixture
def small_stages(small_parts, monkeypatch):
    """A search on 240 rows, a stage on 480, and fits to parts of 600 rows."""
    monkeypatch.setattr("skmlp._alpha._STAGE_ROWS", 400)
    monkeypatch.setattr("skmlp._alpha.TRAINING_ROWS", 240)
    monkeypatch.setattr("skmlp._alpha.MOST_ROWS", 480)


def fit_until(monkeypatch, n, model, X, y, X_val, y_val):
    """Fit with Ctrl-C in the n-th evaluation of a gradient, 0 for never.

    Returns the number of evaluations, and the interrupt.
    """
    calls, original = [], Network.loss_gradient

    def interrupted(self, *args):
        calls.append(1)
        if len(calls) == n:
            raise KeyboardInterrupt
        return original(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Network, "loss_gradient", interrupted)
        try:
            model.fit(X, y, X_val=X_val, y_val=y_val)
        except KeyboardInterrupt as interrupt:
            return len(calls), interrupt
    return len(calls), None


def objective_at(model, X, y):
    """With standardize=False."""
    penalty = sum((W**2).sum() for W in model.coefs_)
    return log_loss(y, model.predict_proba(X)) + model.alpha_ * penalty / 2 / len(y)


def assert_usable(model, X, y, X_val, y_val, is_before):
    """What is kept at an interrupt, before the iterations over all rows or in them."""
    assert len(model.loss_curve_) == len(model.validation_loss_curve_) == model.n_iter_
    assert model.n_iter_ == 1 or not is_before
    assert model.t_ == model.n_iter_ * len(X)
    if is_before or model.solver != "adam":  # whose loss is a mean over an epoch
        assert model.loss_ == pytest.approx(objective_at(model, X, y), rel=1e-9)
    held_out_loss = log_loss(y_val, model.predict_proba(X_val))
    if model.early_stopping:
        assert model.loss_ == model.loss_curve_[model.best_iteration_]
        assert model.best_validation_score_ == max(model.validation_scores_)
        assert model.best_validation_score_ == pytest.approx(-held_out_loss, rel=1e-9)
    else:
        assert model.loss_ == model.loss_curve_[-1]
        assert model.validation_loss_curve_[-1] == pytest.approx(held_out_loss, rel=1e-9)
    if model.alpha == "auto":
        assert model.alpha_ in model.alpha_search_["alpha"]
    else:
        assert model.alpha_ == model.alpha


@short_fits
@pytest.mark.parametrize("is_fitted", [False, True])
@pytest.mark.parametrize(
    "params",
    [
        {"solver": "lbfgs"},
        {"solver": "lbfgs", "alpha": 0.3},
        {"solver": "lbfgs", "early_stopping": True},
        {"solver": "newton-cg"},
        {"solver": "newton-cg", "alpha": 0.3},
        {"solver": "adam", "batch_size": 150},
        {"solver": "adam", "batch_size": 150, "early_stopping": True},
    ],
    ids=str,
)
def test_an_interrupt_keeps_what_there_is(small_stages, params, is_fitted, monkeypatch):
    """At whatever evaluation it comes: of the search, its stage, a part, an iteration."""
    rows, _ = tall(700)
    data = rows.X[:600], rows.targets[:600], rows.X[600:], rows.targets[600:]
    model = MLPClassifierManual(5, standardize=False, max_iter=6, random_state=0)
    model.set_params(**params)
    n_all, interrupt = fit_until(monkeypatch, 0, clone(model), *data)
    assert interrupt is None
    if is_fitted:
        model.fit(*data[:2])
    before = copy.deepcopy(vars(model))
    kept, n_before = [], 0
    for n in np.unique(np.r_[1:10, np.linspace(10, n_all, 12)].astype(int)):
        tried = copy.deepcopy(model)
        n_made, interrupt = fit_until(monkeypatch, n, tried, *data)
        assert n_made == n
        kept.append(isinstance(interrupt, Interrupted))
        if kept[-1]:
            is_before = "before its iterations" in str(interrupt)
            n_before += is_before
            assert_usable(tried, *data, is_before)
        else:
            assert_same_state(before, vars(tried))
    assert kept == sorted(kept)  # from some point on always
    assert not kept[0]
    assert sum(kept) > len(kept) / 3
    assert n_before >= 5


def test_what_is_kept_is_the_best_candidate_or_the_last_iteration(
    small_stages, monkeypatch
):
    rows, _ = tall(700)
    data = rows.X[:600], rows.targets[:600], rows.X[600:], rows.targets[600:]
    model = MLPClassifierManual(5, standardize=False, random_state=0)
    sizes, (n_all, _) = set(), fit_until(monkeypatch, 0, model, *data)
    for n in np.linspace(1, n_all, 30).astype(int):
        _, interrupt = fit_until(monkeypatch, n, model, *data)
        if "before its iterations" not in str(interrupt):
            continue
        n_samples, alpha, loss = model.alpha_search_.values()
        sizes.add(n_samples.max())
        assert model.alpha_ == alpha[loss.argmin()]
        assert model.validation_loss_curve_ == pytest.approx([loss.min()], rel=1e-6)
    assert sizes == {240, 600}
    model.set_params(alpha=0.3)
    losses = []
    for n in (8, 12, 40, 60):  # the first two are of the smallest part
        fit_until(monkeypatch, n, model, *data)
        losses.append(model.loss_)
        assert model.alpha_search_ is None
    assert len(set(losses)) == 4


@short_fits
@pytest.mark.parametrize(
    ("alpha", "shape", "n_units", "most"),
    [(1.0, (12_000, 20_000), 55, 18), ("auto", (3000, 5000), 60, 25)],
    ids=["five pairs", "search"],
)
def test_a_wide_fit_takes_few_vectors(alpha, shape, n_units, most):
    """Of P float64 numbers, with all that a search and the data take."""
    rng = np.random.default_rng(0)
    n_rows, n_words = shape
    columns, k = rng.integers(n_words, size=20 * n_rows), np.arange(n_rows) % 4
    columns[::20] = k
    X = sparse.csr_array((np.ones(20 * n_rows), columns, 20 * np.arange(n_rows + 1)), shape)
    X.sum_duplicates()
    model = MLPClassifierManual(n_units, alpha=alpha, max_iter=12, random_state=0)
    tracemalloc.start()
    with threadpool_limits(1):  # each thread of a search fits a candidate of its own
        model.fit(X, k)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    n_parameters = sum(part.size for part in (*model.coefs_, *model.intercepts_))
    assert peak < most * 8 * n_parameters
