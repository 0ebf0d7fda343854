"""A fit that ends with a constant says so, unless the features can tell nothing."""

import warnings

import numpy as np
import pytest
from common import SOLVERS, shared_settings
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skmlp import MLPClassifierManual
from skmlp._rows import Rows
from skmlp._settings import Settings
from skmlp._targets import ClassLabels
from skmlp._training import train

NO_BETTER = "^The fit is no better than a constant prediction: "
NOTHING = NO_BETTER + r".* constant's 0\.69.* Either the features tell nothing of y"
LINEAR = NO_BETTER + r".* Yet the features tell of y.*alpha="


def noise(n=1000, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)), rng.integers(2, size=n)


@pytest.mark.parametrize(
    "params", [{}, {"alpha": 1e4}, {"alpha": 1e4, "solver": "newton-cg"}]
)
def test_labels_of_chance_warn(params):
    with pytest.warns(ConvergenceWarning, match=NOTHING) as record:
        model = MLPClassifierManual(10, random_state=0, **params).fit(*noise(8000))
    assert len(record) == 1
    assert f"alpha={model.alpha_:.3g} " in str(record[0].message)
    if model.alpha == 1e4:
        assert np.abs(model.predict_proba(noise()[0]) - 0.5).max() < 0.05


@shared_settings
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_penalty_that_leaves_a_constant_warns(solver):
    X, y = noise()
    model = MLPClassifierManual(10, alpha=3000, solver=solver, batch_size=1000, tol=1e-3)
    model.set_params(learning_rate_init=0.01, max_iter=500, random_state=0)
    with pytest.warns(ConvergenceWarning, match=LINEAR):
        model.fit(X, X[:, 0] > 0)
    with pytest.warns(ConvergenceWarning, match=NOTHING):
        model.fit(X, y)


def test_a_penalty_that_is_still_high_does_not_hide_what_was_learnt():
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    X = rng.normal(size=(200, 2)) + 10 * y[:, np.newaxis]
    model = MLPClassifierManual(
        2, solver="adam", learning_rate="one_cycle", learning_rate_init=1e-6, max_iter=2
    )
    coefs = [np.full((2, 2), 20.0), np.array([[-5.0, 5.0], [-5.0, 5.0]])]
    intercepts = [np.full(2, -200.0), np.array([5.0, -5.0])]
    model.set_params(alpha=50.0, random_state=0)
    model.fit(X, y, coefs_init=coefs, intercepts_init=intercepts)
    assert model.loss_ > 10
    assert model.score(X, y) > 0.99


def test_labels_of_chance_warn_with_several_labels():
    X, y = noise()
    with pytest.warns(ConvergenceWarning, match=NO_BETTER):
        MLPClassifierManual(10, alpha=1e5, random_state=0).fit(
            X, np.column_stack([y, 1 - y, noise(seed=1)[1]])
        )


@pytest.mark.parametrize("alpha", ["auto", 1.0])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize(
    "X",
    [
        np.ones((200, 3)),
        np.zeros((200, 3)),
        np.repeat([[0.0, 1.0], [1.0, 0.0]], 100, axis=0),  # half of each are of a class
    ],
)
def test_features_that_can_tell_nothing_do_not_warn(X, container, alpha):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = MLPClassifierManual(10, alpha=alpha, random_state=0)
        model.fit(container(X), np.arange(200) % 2)
    assert model.loss_ == pytest.approx(np.log(2), abs=1e-3)


@pytest.mark.parametrize("alpha", ["auto", 1.0])
def test_a_single_class_does_not_warn(alpha):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = MLPClassifierManual(10, alpha=alpha, random_state=0)
        model.fit(noise()[0], np.zeros(1000))
    assert (model.predict_proba(noise()[0]) > 0.99).all()


def test_fits_that_are_not_over_do_not_warn():
    """Those of a stream, and those that were cut short, which say so."""
    X, y = noise()
    model = MLPClassifierManual(10, alpha=1e5, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(X, y, classes=[0, 1])
        train(
            Settings(model),
            Rows(X, y),
            ClassLabels(np.arange(2)),
            notify=lambda make_outcome: True,  # asks to stop
        )
    with pytest.warns(ConvergenceWarning) as record:
        model.set_params(alpha=1.0, max_iter=2, tol=0).fit(X, y)
    assert ["max_iter=2" in str(warning.message) for warning in record] == [True]


def test_added_up_rows_count_as_they_were_given():
    """An effect that 36 rows would not show, and 20,000 do."""
    rng = np.random.default_rng(0)
    cells = rng.integers(6, size=(20_000, 2)).astype(float)
    y = (rng.random(20_000) < 0.4 + 0.04 * cells[:, 0]).astype(int)
    with pytest.warns(ConvergenceWarning, match="Yet the features tell of y"):
        MLPClassifierManual(5, alpha=1e9, random_state=0).fit(cells, y)


def uneven(seed=0, n=300):
    X, y = noise(n, seed)
    return X, y, np.where(np.arange(n) < 6, 1000.0, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_a_few_heavy_rows_of_noise_tell_nothing(seed):
    X, y, weights = uneven(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MLPClassifierManual(10, alpha=1e6, random_state=0).fit(X, y, weights)


def test_uneven_weights_do_not_hide_what_the_features_tell():
    X, _, weights = uneven(n=8000)
    weights = np.where(weights > 1, 5.0, 1.0)
    with pytest.warns(ConvergenceWarning, match="Yet the features tell of y"):
        MLPClassifierManual(10, alpha=1e6, random_state=0).fit(X, X[:, 0] > 0, weights)


def test_the_effective_number_of_rows():
    """Frequencies are so many rows, weights are not; copies are one."""
    X, y, weights = uneven()
    assert Rows(X, y).squared_shares() == pytest.approx(1 / 300)
    kish = (weights**2).sum() / weights.sum() ** 2
    assert Rows(X, y, weights, weights).squared_shares() == pytest.approx(kish)
    copied = np.repeat(np.arange(300), np.where(weights > 1, 1000, 1))
    assert Rows(X[copied], y[copied]).squared_shares() == pytest.approx(kish)
    rng = np.random.default_rng(0)
    cells, y = rng.integers(3, size=(5000, 2)).astype(float), rng.integers(2, size=5000)
    assert Rows(cells, y).squared_shares() == pytest.approx(1 / 5000)
    table = Rows(cells, y).added_up()
    assert table.n_rows == 18
    frequencies = Rows(table.X, table.targets, table.weights, table.sample_weight)
    doubled = 1.0 + y  # class weights: so each row has one of two weights
    of_classes = Rows(cells, y, doubled, None).added_up()
    assert table.squared_shares() == pytest.approx(1 / 5000)
    assert frequencies.squared_shares() == pytest.approx(1 / 5000)
    expected = (doubled**2).sum() / doubled.sum() ** 2
    assert of_classes.squared_shares() == pytest.approx(expected)
