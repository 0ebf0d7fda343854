"""What a penalty weighs against in a stream, and after it."""

import copy
import pickle

import numpy as np
import pytest
from common import STOCHASTIC, parameters, short, short_fits
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.datasets import load_breast_cancer, make_classification, make_moons
from sklearn.metrics import log_loss

from skmlp import MLPClassifierManual
from skmlp._passes import Passes, weight_seen, with_call
from skmlp._rows import Rows


def seen(passes, *calls):
    weights = []
    for fingerprint, weight in calls:
        passes = with_call(passes, fingerprint, weight, n_rows=15)
        weights.append(weight_seen(passes))
    return weights


def test_a_second_pass_over_the_same_rows_adds_nothing():
    once = [(7, 2.0), (8, 3.0), (9, 5.0)]
    assert seen(None, *once, *once, *once) == [2, 5, 10, *[10] * 6]
    # the first two calls have to come again, as they were
    assert seen(None, *once, (7, 2.0), *once) == [2, 5, 10, 10, 12, 12, 12]
    assert seen(None, *once, (8, 3.0), (8, 3.0)) == [2, 5, 10, 13, 16]
    assert seen(tuple(Passes(of_fit=100.0)), *once, *once)[-1] == 110
    # fewer than 30 rows may be all that there are, or come again by chance
    few = [(7, 2.0)]
    assert seen(None, *few, *few, *few) == [2, 2, 2]
    assert seen(None, *few, *few, *few, (8, 3.0), *few) == [2, 2, 2, 9, 9]
    assert seen(None, (7, 2.0), (7, 2.0), (8, 3.0), (7, 2.0), (7, 2.0)) == [2, 2, 7, 7, 7]


def test_the_first_calls_are_no_longer_than_30_rows():
    passes = None
    for _ in range(1000):
        passes = with_call(passes, 7, 1.0, n_rows=4)
    assert weight_seen(passes) == 1
    passes = with_call(passes, 8, 1.0, n_rows=4)
    assert weight_seen(passes) == 1001
    assert len(Passes(*passes).first) == 8


def test_rows_of_categories_that_come_again_are_no_second_pass():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, size=(600, 6)).astype(float)
    labels = (bits[:, :2].sum(axis=1) > rng.random(600)).astype(int)
    for y in (labels, np.column_stack([labels, bits[:, 3] > 0]).astype(int)):
        model = short(hidden_layer_sizes=3, solver="sgd", alpha=1.0)
        classes = [0, 1]
        for i in range(600):
            model.partial_fit(bits[i : i + 1], y[i : i + 1], classes=classes)
        assert weight_seen(model._progress["passes"]) > 590  # the latest may be held


def test_the_fingerprint_of_rows():
    """Does not depend on their order, nor on how they are stored."""
    X, y = np.random.default_rng(0).normal(size=(20, 3)).round(1), np.arange(20) % 3
    number, order = Rows(X, y).fingerprint(), np.random.default_rng(1).permutation(20)
    assert Rows(X[order], y[order]).fingerprint() == number
    assert Rows(sparse.csr_array(X), y).fingerprint() == number
    assert Rows(X, y[::-1].copy()).fingerprint() != number
    assert Rows(X[:19], y[:19]).fingerprint() != number


def tables():
    X, y = load_breast_cancer(return_X_y=True)
    yield "cancer", X, y
    yield "moons", *make_moons(569, noise=0.2, random_state=0)
    noisy = {"flip_y": 0.3, "class_sep": 0.7, "random_state": 0}
    yield "noisy", *make_classification(800, n_informative=5, **noisy)


TABLES = {name: (X, y) for name, X, y in tables()}


@pytest.mark.parametrize(
    "params", [{}, {"alpha": 1.0}, {"class_weight": {0: 1000, 1: 700}}]
)
@pytest.mark.parametrize("table", TABLES)
def test_single_rows_after_a_fit_do_not_undo_it(table, params):
    X, y = TABLES[table]
    order = np.random.default_rng(0).permutation(len(y))
    fitted, new, others = np.array_split(order, 3)
    new = new[:100]
    model = MLPClassifierManual(random_state=0, **params).fit(X[fitted], y[fitted])
    before = model.score(X[others], y[others])
    loss = log_loss(y[others], model.predict_proba(X[others]))
    for _ in range(2):
        for i in new:
            model.partial_fit(X[i : i + 1], y[i : i + 1])
    assert model.score(X[others], y[others]) > before - 0.03
    assert log_loss(y[others], model.predict_proba(X[others])) < loss + 0.06


@pytest.mark.parametrize("weight", [1e-3, 1.0, 1000.0])
def test_the_unit_of_the_weights_does_not_matter_after_a_fit(weight):
    X, y = TABLES["cancer"]
    fits = []
    for unit in (1.0, weight):
        model = MLPClassifierManual(10, random_state=0)
        model.fit(X[:300], y[:300], np.full(300, unit))
        for i in range(300, 350):
            model.partial_fit(X[i : i + 1], y[i : i + 1], sample_weight=[unit])
        fits.append(model.predict_proba(X))
    assert np.abs(fits[1] - fits[0]).max() < 2e-3


def test_passes_of_many_calls_end_as_a_fit_of_as_many_epochs():
    """As for the penalty: a stronger one leaves a constant, a weaker one overfits."""
    X, y = TABLES["noisy"]
    model = MLPClassifierManual(alpha=10.0, learning_rate_init=0.01, random_state=0)
    fit = MLPClassifierManual(alpha=10.0, random_state=0).fit(X[::2], y[::2])
    for _ in range(150):
        for start in range(0, 800, 100):
            rows = slice(start, start + 100, 2)
            model.partial_fit(X[rows], y[rows], classes=[0, 1])
    losses = [log_loss(y[1::2], m.predict_proba(X[1::2])) for m in (model, fit)]
    assert losses[0] == pytest.approx(losses[1], abs=0.02)


@short_fits
@pytest.mark.parametrize("stored", [copy.copy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_what_was_seen_is_kept(iris, solver, stored):
    X, y = iris
    model, other = (short(solver=solver, alpha=3.0).fit(X, y) for _ in range(2))
    for i in range(20):
        model.partial_fit(X[i : i + 1], y[i : i + 1])
        other = stored(other).partial_fit(X[i : i + 1], y[i : i + 1])
    assert_array_equal(parameters(model), parameters(other))
    assert weight_seen(model._progress["passes"]) == 170


# --- fits that go on -------------------------------------------------------------------


@short_fits
def test_a_fit_after_a_stream_chooses_alpha(iris):
    X, y = iris
    model = short(alpha="auto", warm_start=True).partial_fit(X, y, classes=[0, 1, 2])
    assert model.alpha_ == 1e-4
    model.set_params(solver="lbfgs").fit(X, y)
    chosen = model.alpha_
    assert chosen >= 1e-3
    assert chosen in model.alpha_search_["alpha"]
    model.set_params(solver="adam").partial_fit(X, y)
    assert model.alpha_ == chosen


@short_fits
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_a_choice_is_kept_for_a_unit_of_weight(iris, solver, monkeypatch):
    X, y = iris
    model = short(solver=solver, alpha="auto", warm_start=True)
    model.fit(X, y, np.full(150, 1000.0))
    heavy = model.alpha_
    monkeypatch.setattr("skmlp._choices.choose_alpha", None)  # no search any more
    model.fit(X, y)
    assert model.alpha_ == pytest.approx(heavy / 1000, rel=1e-12)
    kept = model.alpha_
    assert model.fit(X, y).alpha_ == kept  # to the bit
    assert model.fit(np.vstack([X, X + 0.01]), np.r_[y, y]).alpha_ == kept  # more rows
    copies = np.repeat(X, 50, axis=0), np.repeat(y, 50)
    assert model.fit(*copies).alpha_ == pytest.approx(50 * kept, rel=0.02)
    assert model.fit(X, y).alpha_ == pytest.approx(kept, rel=0.02)
    assert model.fit(X, y, np.full(150, 1e-3)).alpha_ == pytest.approx(kept / 1000)


@short_fits
def test_frequencies_are_rows_when_a_fit_goes_on():
    rng = np.random.default_rng(0)
    cells, y = rng.integers(3, size=(2000, 2)).astype(float), rng.integers(2, size=2000)
    table = Rows(cells, y).added_up()
    model = short(solver="lbfgs", alpha="auto", warm_start=True).fit(cells, y)
    chosen = model.alpha_
    model.fit(table.X, table.targets, table.weights)
    assert model.alpha_ == pytest.approx(chosen, rel=1e-12)


@short_fits
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize("before", [True, False])
def test_a_change_of_standardize_is_an_error(iris, before, call):
    model = short(solver="adam", warm_start=True, standardize=before).fit(*iris)
    model.set_params(standardize=not before)
    kept = parameters(model)
    with pytest.raises(ValueError, match="standardize has changed: warm_start and partial"):
        getattr(model, call)(*iris)
    assert_array_equal(parameters(model), kept)
    model.set_params(warm_start=False).fit(*iris)


# --- copies ----------------------------------------------------------------------------


@short_fits
@pytest.mark.parametrize("method", [copy.copy, copy.deepcopy])
def test_a_copy_goes_on_alone(iris, method):
    X, y = iris
    model = short(solver="adam").fit(X, y, X_val=X, y_val=y)
    curves = [model.loss_curve_, model.validation_loss_curve_, model.validation_scores_]
    other = method(model).partial_fit(X, y)
    assert len(other.loss_curve_) == 6
    assert [len(curve) for curve in curves] == [5, 5, 5]
    model.partial_fit(X, y).partial_fit(X, y)
    assert (len(model.loss_curve_), len(other.loss_curve_)) == (7, 6)


@short_fits
def test_a_local_copy_goes_on_alone(iris):
    X, y = iris
    dask = pytest.importorskip("skmlp.dask", reason="needs the extra dask")
    model = dask.DaskMLPClassifierManual(5, alpha=1.0, max_iter=3, random_state=0)
    vars(model).update(vars(short(alpha=1.0).fit(X, y)))
    local = model.to_local()
    local.set_params(solver="adam").partial_fit(X, y)
    assert (len(local.loss_curve_), len(model.loss_curve_)) == (6, 5)
