"""A start of one's own."""

import numpy as np
import pytest
from common import STOCHASTIC, parameters, short, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skmlp import MLPClassifierManual


@short_fits
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_initial_weights(iris, solver):
    X, y = iris
    rng = np.random.default_rng(0)
    coefs = [rng.normal(size=(4, 10)), rng.normal(size=(10, 3)).tolist()]
    intercepts = [np.zeros(10), [1.0, 2.0, 3.0]]
    model = short(solver=solver, alpha=1e-4, max_iter=1)
    model.set_params(learning_rate=lambda fraction: 0.0)  # the start is the end
    model.fit(X, y, coefs_init=coefs, intercepts_init=intercepts)
    for found, given in zip(
        model.coefs_ + model.intercepts_, coefs + intercepts, strict=True
    ):
        assert_allclose(found, given, atol=1e-9)
    assert isinstance(coefs[1], list)  # what was given is left as it was
    only = short(solver=solver, max_iter=1).fit(X, y, coefs_init=coefs)
    assert only.coefs_[0].shape == (4, 10)


def test_lbfgs_stays_at_a_minimum_that_it_starts_from(iris):
    X, y = iris
    settings = {"solver": "lbfgs", "alpha": 1.0, "tol": 0, "max_iter": 5000}
    there = short(**settings).fit(X, y)
    again = short(**settings).fit(
        X, y, coefs_init=there.coefs_, intercepts_init=there.intercepts_
    )
    assert_allclose(again.loss_curve_, there.loss_, rtol=1e-9)
    assert_allclose(again.coefs_[0], there.coefs_[0], atol=1e-3)


@short_fits
def test_half_a_start_is_a_fresh_start(iris):
    X, y = iris
    model = short(warm_start=True).fit(X, y)
    fresh = short().fit(X, y, intercepts_init=model.intercepts_)
    model.fit(X, y, intercepts_init=model.intercepts_)
    assert_array_equal(parameters(model), parameters(fresh))


@short_fits
def test_initial_weights_of_another_fit_go_on_from_it(iris):
    X, y = iris
    first = short(solver="lbfgs", alpha=0.1).fit(X, y)
    second = short(solver="lbfgs", alpha=0.1, warm_start=True).fit(X, y)
    second.fit(X, y, coefs_init=first.coefs_, intercepts_init=first.intercepts_)
    third = clone(first).set_params(warm_start=True).fit(X, y).fit(X, y)
    assert_array_equal(parameters(second), parameters(third))
    assert len(second.loss_curve_) == 5  # a fit of its own


@short_fits
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("only_biases", [True, False])
@pytest.mark.parametrize("alpha", ["auto", 0.01])
def test_few_rows_start_where_the_user_says(standardize, only_biases, alpha):
    """None other is chosen: units that start alike, by hand or biased so, stay alike."""
    X, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    model = MLPClassifierManual(2, alpha=alpha, standardize=standardize, random_state=0)
    if only_biases:
        start = {"intercepts_init": [np.full(2, -50.0), np.zeros(2)]}
        model.fit(X, y, **start)
        assert_allclose(model.intercepts_[0], -50, rtol=0.2)
    else:
        start = {"coefs_init": [np.ones((2, 2)), [[0.5, -0.5], [0.5, -0.5]]]}
        model.fit(X, y, **start, intercepts_init=[np.zeros(2), np.zeros(2)])
        assert_allclose(model.coefs_[0][:, 0], model.coefs_[0][:, 1], rtol=1e-6)


@pytest.mark.parametrize(
    ("start", "match"),
    [
        ({"coefs_init": [np.ones((4, 10))]}, "coefs_init should be a list with an array"),
        ({"coefs_init": 5}, "coefs_init should be a list with an array for each"),
        ({"coefs_init": [np.ones((4, 10)), None]}, r"coefs_init\[1\] should have shape"),
        (
            {"coefs_init": [np.ones((4, 9)), np.ones((10, 3))]},
            r"coefs_init\[0\] should have shape \(4, 10\), got \(4, 9\)",
        ),
        (
            {"intercepts_init": [np.ones(10), np.full(3, np.nan)]},
            r"intercepts_init\[1\] should be finite",
        ),
    ],
)
def test_bad_initial_weights(iris, start, match):
    model = short()
    with pytest.raises(ValueError, match=match):
        model.fit(*iris, **start)
    assert vars(model) == vars(short())
