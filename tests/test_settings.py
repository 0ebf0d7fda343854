"""Parameters: which have an effect, what 'auto' stands for, and their clones."""

import warnings

import numpy as np
import pytest
from common import SOLVERS, parameters, short, short_fits
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV

from skmlp import MLPClassifierManual


@short_fits
@pytest.mark.parametrize(
    ("settings", "works_with"),
    [
        ({"solver": "lbfgs", "batch_size": 10}, "solver='sgd' and 'adam'"),
        ({"solver": "lbfgs", "learning_rate": "cosine"}, "solver='sgd' and 'adam'"),
        ({"solver": "lbfgs", "learning_rate_init": 0.1}, "solver='sgd' and 'adam'"),
        ({"solver": "lbfgs", "power_t": 0.1}, "solver='sgd' and 'adam'"),
        ({"solver": "lbfgs", "shuffle": False}, "solver='sgd' and 'adam'"),
        ({"solver": "lbfgs", "momentum": 0.5}, "solver='sgd'"),
        ({"solver": "adam", "momentum": 0.5}, "solver='sgd'"),
        ({"solver": "adam", "nesterovs_momentum": False}, "solver='sgd'"),
        ({"solver": "sgd", "beta_1": 0.5}, "solver='adam'"),
        ({"solver": "sgd", "beta_2": 0.5}, "solver='adam'"),
        ({"solver": "lbfgs", "epsilon": 0.5}, "solver='adam'"),
        ({"solver": "sgd", "max_fun": 10}, "solver='lbfgs' and 'l-bfgs-b'"),
        ({"solver": "newton-cg", "max_fun": 10}, "solver='lbfgs' and 'l-bfgs-b'"),
        ({"solver": "newton-cg", "batch_size": 10}, "solver='sgd' and 'adam'"),
        ({"solver": "newton-cg", "momentum": 0.5}, "solver='sgd'"),
        ({"power_t": 0.1, "solver": "sgd"}, "learning_rate='invscaling'"),
        ({"scoring": "accuracy"}, "early_stopping=True or 'auto', or with X_val"),
        ({"validation_fraction": 0.3}, "early_stopping=True or 'auto'"),
        ({"dropout": 0.5, "hidden_layer_sizes": ()}, "hidden layers"),
        (
            {
                "learning_rate_init": 0.1,
                "learning_rate": lambda fraction: 0.1,
                "solver": "adam",
            },
            "the named schedules",
        ),
    ],
)
def test_unused_parameters_are_announced(iris, settings, works_with):
    name = next(name for name in settings if name != "solver")
    with pytest.warns(UserWarning, match=f"^{name}=.* has no effect with ") as record:
        short(**settings).fit(*iris)
    assert str(record[0].message).endswith(f"it works with {works_with}.")
    assert record[0].filename == __file__
    assert len([w for w in record if "has no effect" in str(w.message)]) == 1


def test_a_search_announces_an_unused_parameter_once(iris):
    grid = {"learning_rate_init": [1e-4, 1e-3, 1e-2, 1e-1]}
    search = GridSearchCV(short(solver="lbfgs"), grid, cv=3)
    for action, n_warnings in (("default", 1), ("always", 10), ("ignore", 0)):
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter(action)
            search.fit(*iris)
        told = [w for w in record if "has no effect" in str(w.message)]
        assert len(told) == n_warnings, action
        assert {w.filename for w in told} <= {__file__}


@short_fits
def test_fraction_to_hold_out_is_unused_with_a_validation_set(iris):
    X, y = iris
    model = short(early_stopping=True, validation_fraction=0.3).fit(X, y)
    with pytest.warns(
        UserWarning, match=r"^validation_fraction=0.3 has no effect with X_val"
    ):
        model.fit(X, y, X_val=X, y_val=y)


def test_partial_fit_announces_unused_parameters(iris):
    with pytest.warns(UserWarning, match="momentum=0.5 has no effect") as record:
        short(solver="adam", momentum=0.5).partial_fit(*iris, classes=[0, 1, 2])
    assert record[0].filename == __file__


@pytest.mark.parametrize("solver", SOLVERS)
def test_used_parameters_are_not_announced(iris, solver, recwarn):
    used = {
        "lbfgs": {"max_fun": 99, "early_stopping": True, "n_iter_no_change": 3},
        "newton-cg": {"early_stopping": True, "n_iter_no_change": 3},
        "sgd": {"momentum": 0.8, "learning_rate": "invscaling", "power_t": 0.3},
        "adam": {"beta_1": 0.8, "batch_size": 20, "dropout": 0.1},
    }[solver]
    short(solver=solver, **used).fit(*iris)
    assert not [w for w in recwarn if "no effect" in str(w.message)]


@short_fits
@pytest.mark.parametrize("sizes", [5, [5], (5,), np.array([5]), np.int64(5)])
def test_sizes_of_any_kind_are_the_same(iris, sizes):
    expected = parameters(short(hidden_layer_sizes=(5,)).fit(*iris))
    assert_array_equal(parameters(short(hidden_layer_sizes=sizes).fit(*iris)), expected)


@short_fits
def test_sizes_can_be_searched(iris):
    search = GridSearchCV(
        short(solver="lbfgs"),
        {"hidden_layer_sizes": [3, (3,), [4, 2], np.array([2, 2])]},
        cv=3,
    ).fit(*iris)
    assert len(search.cv_results_["params"]) == 4


@pytest.mark.parametrize(
    ("sizes", "entry"),
    [([5, 0], "0"), ([5, 2.5], "2.5"), (("a",), "'a'"), ([3, [2]], r"\[2\]")],
)
def test_bad_sizes_name_the_entry(iris, sizes, entry):
    with pytest.raises(ValueError, match=f"hidden_layer_sizes .* got {entry} in"):
        short(hidden_layer_sizes=sizes).fit(*iris)


def test_a_copy_with_callables_is_a_clone(iris):
    model = short(
        solver="adam",
        learning_rate=lambda fraction: 0.1,
        early_stopping=True,
        scoring=make_scorer(accuracy_score),
    )
    assert clone(model).learning_rate is model.learning_rate
    clone(model).fit(*iris)


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
