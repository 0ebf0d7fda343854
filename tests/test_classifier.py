"""What a user of the estimator sees."""

import inspect
import pickle
import re
import subprocess
import sys
import threading
import warnings
from itertools import product

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from common import SOLVERS, STOCHASTIC, parameters, shared_settings, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from skmlp import MLPClassifierManual
from skmlp._activations import ACTIVATIONS
from skmlp._iteration import State
from skmlp._network import Network
from skmlp._objective import Objective

# --- the constructor ------------------------------------------------------------------


def test_constructor_is_that_of_mlpclassifier():
    """The same names and kinds; the defaults but for those that serve better untuned."""
    ours = inspect.signature(MLPClassifierManual).parameters
    theirs = dict(inspect.signature(MLPClassifier).parameters)
    other = {"activation": "logistic", "solver": "auto", "alpha": "auto", "tol": 2e-4}
    assert list(ours)[:2] == list(theirs)[:2]
    for name, parameter in theirs.items():
        assert ours[name].kind == parameter.kind
        if name not in other:
            assert ours[name].default == parameter.default
    assert {name: ours[name].default for name in other} == other
    more = {"class_weight", "dropout", "scoring", "standardize"}
    assert set(ours) - set(theirs) == more


# --- fit: solvers, quality, structure -------------------------------------------------


def searched_by_one(solver):
    """An alpha: the search for it is the same for every solver, and takes longest."""
    return "auto" if solver == "lbfgs" else 1.0


@shared_settings
@pytest.mark.parametrize(
    ("solver", "activation"),
    # see `test_newton_refuses_kinks`
    [pair for pair in product(SOLVERS, ACTIVATIONS) if pair != ("newton-cg", "relu")],
)
def test_every_solver_learns_digits(digits, solver, activation):
    X, y = digits
    model = MLPClassifierManual(
        50,
        activation,
        solver=solver,
        alpha=searched_by_one(solver),
        learning_rate_init=0.1 if solver == "sgd" else 0.01,
        max_iter=400,
        tol=1e-3,
        random_state=1,
    ).fit(X[:600], y[:600])
    assert model.score(X[:600], y[:600]) > 0.98
    assert model.score(X[600:], y[600:]) > 0.85
    assert len(model.loss_curve_) == model.n_iter_ < 400
    assert model.loss_curve_[0] > 2 * model.loss_
    assert model.loss_ == model.loss_curve_[-1]
    assert model.best_loss_ == min(model.loss_curve_)
    assert model.validation_scores_ is model.best_validation_score_ is None
    assert model.t_ == model.n_iter_ * 600


@pytest.mark.parametrize(
    ("hidden", "shapes"),
    [
        ((), [(64, 10)]),
        (7, [(64, 7), (7, 10)]),
        ([7, 5], [(64, 7), (7, 5), (5, 10)]),
        (np.array([7, 5, 6], np.uint8), [(64, 7), (7, 5), (5, 6), (6, 10)]),
        (np.array(7), [(64, 7), (7, 10)]),
    ],
)
def test_layers(digits, hidden, shapes):
    X, y = digits
    model = MLPClassifierManual(hidden, solver="lbfgs", tol=1e-2, random_state=0).fit(
        X[:100], y[:100]
    )
    assert [W.shape for W in model.coefs_] == shapes
    assert [b.shape for b in model.intercepts_] == [(shape[1],) for shape in shapes]
    assert model.n_layers_ == len(shapes) + 1
    assert model.n_outputs_ == 10
    assert model.out_activation_ == "softmax"
    flat = model.coefs_[0].base
    assert all(np.shares_memory(flat, a) for a in (*model.coefs_, *model.intercepts_))


@shared_settings
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_without_hidden_layer_it_is_logistic_regression(iris, solver, weighted):
    X, y = iris
    weights = np.random.default_rng(0).uniform(0.2, 3, size=len(y)) if weighted else None
    peer = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(X, y, weights)
    model = MLPClassifierManual(
        (),
        solver=solver,
        alpha=2.0,  # 1 / C
        standardize=False,
        tol=1e-15,
        max_iter=20_000,
        batch_size=150,
        learning_rate_init=1.0 if solver == "sgd" else 0.01,
        n_iter_no_change=100,
        random_state=0,
    ).fit(X, y, weights)
    assert_allclose(model.coefs_[0], peer.coef_.T, atol=1e-4)
    centred = model.intercepts_[0] - model.intercepts_[0].mean()
    assert_allclose(centred, peer.intercept_ - peer.intercept_.mean(), atol=1e-4)
    assert_array_equal(model.predict(X), peer.predict(X))
    assert_allclose(model.predict_proba(X), peer.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu"])
def test_scipys_lbfgs_follows_scikit_learns_path(iris, activation):
    """Same start, same objective, same method: the same curve and parameters."""
    X, y = iris
    settings = {"alpha": 0.1, "random_state": 0, "max_iter": 15}
    ours = MLPClassifierManual(8, activation, standardize=False, **settings)
    with pytest.warns(ConvergenceWarning):
        ours.set_params(solver="l-bfgs-b").fit(X, y)
    with pytest.warns(ConvergenceWarning):
        theirs = MLPClassifier(8, activation, solver="lbfgs", **settings).fit(X, y)
    assert_allclose(ours.loss_, theirs.loss_, rtol=1e-9)
    assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-5, atol=1e-7)


@shared_settings
@short_fits
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_stochastic_solvers_follow_scikit_learns_path(
    iris, solver, learning_rate, nesterov
):
    """Unpenalised, in order, in batches of one size, the two have one definition."""
    X, y = iris
    settings = {
        "solver": solver,
        "alpha": 0,
        "shuffle": False,
        "batch_size": 30,
        # MLPClassifier ignores the schedule of Adam
        "learning_rate": learning_rate if solver == "sgd" else "constant",
        "power_t": 0.1,
        "nesterovs_momentum": nesterov,
        "learning_rate_init": 0.05,
        "max_iter": 40,
        "tol": 0.01,
        "n_iter_no_change": 3,
        "random_state": 0,
    }
    ours = MLPClassifierManual(8, "logistic", standardize=False, **settings).fit(X, y)
    theirs = MLPClassifier(8, "logistic", **settings).fit(X, y)
    assert ours.n_iter_ == theirs.n_iter_
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-6, atol=1e-9)


def test_penalty_means_the_same_for_every_solver_and_batch_size(iris):
    """MLPClassifier's ||W||^2 differ 16-fold here."""
    X, y = iris
    settings = {"alpha": 5.0, "random_state": 0, "tol": 1e-7, "n_iter_no_change": 50}
    fits = {
        "lbfgs": MLPClassifierManual(20, solver="lbfgs", max_iter=5000, **settings),
        "full": MLPClassifierManual(
            20,
            solver="adam",
            batch_size=150,
            max_iter=5000,
            learning_rate_init=0.01,
            **settings,
        ),
        "mini": MLPClassifierManual(
            20,
            solver="adam",
            batch_size=10,
            max_iter=1500,
            learning_rate="adaptive",
            learning_rate_init=0.003,
            **(settings | {"n_iter_no_change": 20}),
        ),
    }
    norms = {
        name: sum((W**2).sum() for W in model.fit(X, y).coefs_)
        for name, model in fits.items()
    }
    assert_allclose(norms["full"], norms["lbfgs"], rtol=0.01)
    assert_allclose(norms["mini"], norms["lbfgs"], rtol=0.03)


@short_fits
@pytest.mark.parametrize("name", ["digits", "breast_cancer", "wine"])
def test_quality_at_equal_settings(name, request):
    """Five splits, the same epochs and seeds: as good as MLPClassifier or better."""
    if name == "digits":
        X, y = (array[:900] for array in request.getfixturevalue("digits"))
    else:
        loader = {"breast_cancer": load_breast_cancer, "wine": load_wine}[name]
        X, y = loader(return_X_y=True)
    differences = []
    for seed, (train, test) in enumerate(
        StratifiedShuffleSplit(5, test_size=0.3, random_state=0).split(X, y)
    ):
        results = []
        for estimator in (MLPClassifierManual, MLPClassifier):
            model = make_pipeline(
                StandardScaler(),
                estimator(50, "logistic", random_state=seed),
            ).fit(X[train], y[train])
            proba = model.predict_proba(X[test])
            results.append([model.score(X[test], y[test]), -log_loss(y[test], proba)])
        differences.append(np.subtract(*results))
    differences = np.array(differences)
    noise = 2 * differences.std(axis=0, ddof=1) / np.sqrt(len(differences))
    floor = [1 / len(test), 0.005]  # one test row; noise is 0 where two are the same
    assert (differences.mean(axis=0) > -np.maximum(noise, floor)).all()


def test_larger_alpha_gives_smaller_weights(binary_digits):
    X, y = binary_digits
    norms = [
        np.abs(
            MLPClassifierManual(10, solver="lbfgs", alpha=alpha, random_state=1)
            .fit(X, y)
            .coefs_[0]
        ).sum()
        for alpha in (0.01, 0.1, 1.0)
    ]
    assert norms[0] > norms[1] > norms[2]


def test_fit_of_a_worked_example():
    """One step on one row with given weights, recomputed with the equations' symbols."""
    x, t = np.array([0.6, 0.8, 0.7]), np.array([1.0, 0.0])
    W = np.array([[0.1, 0.2], [0.3, 0.1], [0.5, 0.0]])
    b, V, d = np.array([0.1, 0.1]), np.array([[0.1, -0.2], [0.2, 0.3]]), np.array([1.0, 0])
    model = MLPClassifierManual(
        2,
        solver="sgd",
        learning_rate_init=0.1,
        alpha=0.1,
        standardize=False,
        momentum=0,
        random_state=0,
    )
    model.partial_fit([x], [0], classes=[0, 1])
    model.coefs_, model.intercepts_ = [W, V], [b, d]
    h = 1 / (1 + np.exp(-(x @ W + b)))
    y = np.exp(h @ V + d) / np.exp(h @ V + d).sum()
    assert_allclose(model.predict_proba([x])[0], y, rtol=1e-13)
    back = ((y - t) @ V.T) * h * (1 - h)
    model._progress["optimizer"]["averages"][0][:] = 0
    model.partial_fit([x], [0])
    assert_allclose(model.coefs_[0], W - 0.1 * (np.outer(x, back) + 0.1 * W), rtol=1e-12)
    assert_allclose(model.coefs_[1], V - 0.1 * (np.outer(h, y - t) + 0.1 * V), rtol=1e-12)
    assert_allclose(model.intercepts_[0], b - 0.1 * back, rtol=1e-12)
    assert_allclose(model.intercepts_[1], d - 0.1 * (y - t), rtol=1e-12)


# --- predict --------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 10])
def test_predictions_agree_with_each_other(digits, n_classes):
    X, y = digits
    X, y = X[y < n_classes][:300], y[y < n_classes][:300]
    model = MLPClassifierManual(10, solver="lbfgs", random_state=0).fit(X, y)
    proba = model.predict_proba(X)
    assert proba.shape == (len(X), n_classes)
    assert_allclose(proba.sum(axis=1), 1)
    assert_array_equal(model.classes_[proba.argmax(axis=1)], model.predict(X))
    assert_allclose(np.exp(model.predict_log_proba(X)), proba, rtol=1e-12)
    decision = model.decision_function(X)
    if n_classes == 2:
        assert decision.shape == (len(X),)
        assert_allclose(decision, np.log(proba[:, 1] / proba[:, 0]), rtol=1e-6, atol=1e-9)
        assert_array_equal(decision > 0, model.predict(X) == model.classes_[1])
    else:
        assert decision.shape == (len(X), n_classes)
        # a logarithm near 0 is a difference of logits
        assert_allclose(decision, model.predict_log_proba(X), rtol=1e-12, atol=1e-13)


def test_log_proba_is_finite_where_proba_underflows(iris):
    X, y = iris
    model = MLPClassifierManual((), solver="lbfgs", alpha=1e-3, random_state=0).fit(X, y)
    far = 1e4 * X
    assert (model.predict_proba(far) == 0).any()
    assert np.isfinite(model.predict_log_proba(far)).all()


def test_prediction_in_blocks_is_prediction_by_row(iris):
    X, y = iris
    model = MLPClassifierManual(30, solver="lbfgs", random_state=0).fit(X, y)
    many = np.tile(X, (40, 1))
    proba = model.predict_proba(many)
    assert_allclose(proba, np.tile(model.predict_proba(X), (40, 1)), rtol=1e-12)
    one_by_one = np.vstack([model.predict_proba(x.reshape(1, -1)) for x in X])
    assert_allclose(proba[:150], one_by_one, rtol=1e-12)


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "predict_log_proba", "decision_function"]
)
def test_not_fitted(method):
    with pytest.raises(NotFittedError):
        getattr(MLPClassifierManual(), method)([[1.0, 2.0]])


# --- data: types, labels, weights -----------------------------------------------------


@short_fits
@pytest.mark.parametrize("solver", SOLVERS)
def test_float32_in_and_out(digits, solver):
    X, y = digits
    single, double = (
        MLPClassifierManual(
            (15, 10),
            solver=solver,
            alpha=searched_by_one(solver),
            max_iter=30,
            random_state=0,
        ).fit(X[:300].astype(dtype), y[:300])
        for dtype in (np.float32, np.float64)
    )
    for model, dtype in ((single, np.float32), (double, np.float64)):
        assert parameters(model).dtype == dtype
        for method in ("predict_proba", "predict_log_proba", "decision_function"):
            assert getattr(model, method)(X[300:].astype(dtype)).dtype == dtype
            assert getattr(model, method)(X[300:]).dtype == dtype
    assert_allclose(single.loss_curve_[:10], double.loss_curve_[:10], rtol=1e-3)


@pytest.mark.parametrize(
    ("dtype", "kept"), [(np.float16, np.float64), (int, np.float64), (bool, np.float64)]
)
def test_other_numbers_become_float64(dtype, kept):
    X = np.random.default_rng(0).integers(2, size=(20, 3)).astype(dtype)
    model = MLPClassifierManual(solver="lbfgs", alpha=0.1, random_state=0)
    model.fit(X, X[:, 0] != 0)
    assert model.coefs_[0].dtype == kept


@shared_settings
@short_fits
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    "container",
    [
        sparse.csr_matrix,
        sparse.csr_array,
        sparse.csc_matrix,
        sparse.csc_array,
        sparse.coo_array,
    ],
)
def test_sparse_is_dense(digits, solver, container):
    X, y = digits
    X, y = X[:250], y[:250]
    settings = {"solver": solver, "max_iter": 20, "random_state": 0, "alpha": 0.1}
    dense = MLPClassifierManual(15, batch_size=100, **settings).fit(X, y)
    thin = MLPClassifierManual(15, batch_size=100, **settings).fit(container(X), y)
    assert_allclose(parameters(thin), parameters(dense), rtol=1e-6, atol=1e-8)
    assert_allclose(thin.predict_proba(container(X)), dense.predict_proba(X), rtol=1e-6)


@short_fits
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_sparse_is_never_made_dense(solver, early_stopping, monkeypatch):
    X = sparse.csr_array(sparse.random(500, 3000, density=0.01, random_state=0))

    def forbid_rows(original):
        def to_dense(self, *args, **kwargs):
            if self.ndim == 2 and self.shape[0] > 1:  # the moments of features may be dense
                pytest.fail("dense")
            return original(self, *args, **kwargs)

        return to_dense

    for container in (sparse.csr_array, sparse.csc_array, sparse.coo_array):
        for name in ("toarray", "todense"):
            monkeypatch.setattr(container, name, forbid_rows(getattr(container, name)))
    y = np.arange(500) % 3
    model = MLPClassifierManual(5, solver=solver, max_iter=3, early_stopping=early_stopping)
    model.fit(X, y)
    assert model.predict_proba(X).shape == (500, 3)


@short_fits
@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_frames_keep_their_names(iris, solver, early_stopping, frame):
    X, y = iris
    names = ["a", "b", "c", "d"]
    X_frame = frame(dict(zip(names, X.T, strict=True)))
    settings = {"solver": solver, "max_iter": 5, "early_stopping": early_stopping}
    settings |= {"alpha": searched_by_one(solver)}
    model = MLPClassifierManual(random_state=0, **settings).fit(X_frame, y)
    assert list(model.feature_names_in_) == names
    expected = MLPClassifierManual(random_state=0, **settings).fit(X, y)
    assert_allclose(model.predict_proba(X_frame), expected.predict_proba(X), rtol=1e-9)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame(dict(zip("abce", X.T, strict=True))))


@short_fits
@pytest.mark.parametrize(
    "labels",
    [
        np.array(["setosa", "versicolor", "virginica"]),
        np.array(["b", "c", "a"], dtype=object),
        np.array([10, -3, 7]),
        np.array([2.0, 1.0, 5.0]),
    ],
)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_labels_of_any_type(iris, labels, early_stopping):
    X, k = iris
    y = labels[k]
    model = MLPClassifierManual(
        max_iter=80,
        solver="adam",
        learning_rate_init=0.05,
        early_stopping=early_stopping,
        random_state=0,
    ).fit(X, y)
    assert_array_equal(model.classes_, np.unique(labels))
    assert model.predict(X).dtype == y.dtype
    assert model.score(X, y) > (0.8 if early_stopping else 0.9)


def test_boolean_and_frame_labels(binary_digits):
    X, y = binary_digits
    for labels in (y.astype(bool), pd.Series(y).astype("category"), pl.Series(y)):
        model = MLPClassifierManual(solver="lbfgs", alpha=0.1, random_state=0)
        assert model.fit(X, labels).score(X, labels) == 1.0


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_one_class_is_predicted_with_certainty(solver, early_stopping):
    X = np.random.default_rng(0).normal(size=(30, 3))
    model = MLPClassifierManual(
        solver=solver, early_stopping=early_stopping, random_state=0
    ).fit(X, ["only"] * 30)
    assert np.isfinite([model.loss_, model.best_loss_ or 0]).all()
    assert_array_equal(model.predict(X), ["only"] * 30)
    assert_array_equal(model.predict_proba(X), np.ones((30, 1)))
    assert_array_equal(model.predict_log_proba(X), np.zeros((30, 1)))


@shared_settings
@short_fits
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_weight_zero_is_the_row_left_out(iris, solver, early_stopping):
    X, y = iris
    weights = np.random.default_rng(0).integers(3, size=len(y)).astype(float)
    settings = {
        "solver": solver,
        "max_iter": 15,
        "batch_size": 40,
        "early_stopping": early_stopping,
        "random_state": 0,
    }
    whole = MLPClassifierManual(**settings).fit(X, y, weights)
    kept = weights > 0
    reduced = MLPClassifierManual(**settings).fit(X[kept], y[kept], weights[kept])
    assert_array_equal(parameters(whole), parameters(reduced))


@short_fits
def test_a_batch_of_weightless_rows_is_no_error(iris):
    X, y = iris
    weights = (y < 2).astype(float)
    model = MLPClassifierManual(
        solver="adam", batch_size=10, shuffle=False, max_iter=30, random_state=0
    )
    proba = model.fit(X, y, weights).predict_proba(X)
    assert_array_equal(model.classes_, [0, 1, 2])
    assert proba[:, 2].mean() < 0.2


@short_fits
@pytest.mark.parametrize("solver", SOLVERS)
def test_scale_of_the_weights_acts_on_the_penalty_alone(iris, solver):
    X, y = iris
    # another rounding in time is another number of steps within one of Newton's
    max_iter = 5 if solver == "newton-cg" else 20
    settings = {"solver": solver, "max_iter": max_iter, "random_state": 0}
    one = MLPClassifierManual(alpha=0.3, **settings).fit(X, y)
    three = MLPClassifierManual(alpha=0.9, **settings).fit(X, y, np.full(len(y), 3.0))
    assert_allclose(parameters(one), parameters(three), rtol=1e-6, atol=1e-9)


def test_in_a_pipeline_and_a_grid_search(digits):
    X, y = digits
    search = GridSearchCV(
        make_pipeline(
            StandardScaler(),
            MLPClassifierManual(
                activation="tanh", solver="lbfgs", max_iter=1000, random_state=0
            ),
        ),
        {
            "mlpclassifiermanual__hidden_layer_sizes": [(), 10, (10, 10)],
            "mlpclassifiermanual__alpha": np.logspace(-1, 0, 2),
        },
        cv=3,
    ).fit(X[:400], y[:400])
    assert search.score(X[400:], y[400:]) > 0.85
    assert (search.cv_results_["mean_test_score"] > 0.75).all()
    assert search.best_estimator_[-1].n_features_in_ == 64


# --- reproducibility ------------------------------------------------------------------


@short_fits
@pytest.mark.parametrize("solver", SOLVERS)
def test_random_state_reproduces_bit_for_bit_on_any_number_of_threads(solver):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5000, 20)), rng.integers(3, size=5000)
    settings = {"max_iter": 3, "alpha": searched_by_one(solver)}
    fits = []
    for n_threads in (1, 2, 4):
        with threadpool_limits(n_threads, user_api="blas"):
            model = MLPClassifierManual(
                (60, 20), solver=solver, early_stopping=True, random_state=7, **settings
            ).fit(X, y)
            fits.append((parameters(model), model.predict_proba(X), model.loss_curve_))
    for theta, proba, curve in fits[1:]:
        assert_array_equal(theta, fits[0][0])
        assert_array_equal(proba, fits[0][1])
        assert curve == fits[0][2]
    other = MLPClassifierManual((60, 20), solver=solver, random_state=8, **settings)
    assert (parameters(other.fit(X, y)) != fits[0][0]).any()


@short_fits
def test_another_python_thread_gives_the_same_bits(digits):
    X, y = digits
    model = MLPClassifierManual(solver="lbfgs", max_iter=5, random_state=0)
    expected = parameters(model.fit(X, y))
    found = []
    thread = threading.Thread(
        target=lambda: found.append(parameters(clone(model).fit(X, y)))
    )
    with threadpool_limits(2, user_api="blas"):
        thread.start()
        thread.join()
    assert_array_equal(found[0], expected)


@short_fits
def test_shuffle_changes_the_path(iris):
    X, y = iris
    fits = {
        shuffle: parameters(
            MLPClassifierManual(
                5, max_iter=2, solver="adam", batch_size=10, shuffle=shuffle, random_state=0
            ).fit(X, y)
        )
        for shuffle in (True, False)
    }
    assert (fits[True] != fits[False]).any()


@short_fits
def test_random_state_instance_moves_on(iris):
    X, y = iris
    state = np.random.RandomState(0)
    model = MLPClassifierManual(5, max_iter=2, random_state=state)
    first = parameters(model.fit(X, y))
    assert (parameters(model.fit(X, y)) != first).any()
    again = MLPClassifierManual(5, max_iter=2, random_state=np.random.RandomState(0))
    assert_array_equal(parameters(again.fit(X, y)), first)


# --- going on: warm_start, partial_fit, pickles ---------------------------------------


@short_fits
@pytest.mark.parametrize("solver", STOCHASTIC)
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling"])
def test_warm_start_goes_on_exactly(iris, solver, learning_rate):
    X, y = iris
    settings = {
        "solver": solver,
        "learning_rate": learning_rate,
        "batch_size": 40,
        "random_state": 3,
    }
    whole = MLPClassifierManual(max_iter=9, **settings).fit(X, y)
    model = MLPClassifierManual(max_iter=4, warm_start=True, **settings).fit(X, y)
    assert model.n_iter_ == 4
    model = pickle.loads(pickle.dumps(model))
    model.set_params(max_iter=5).fit(X, y)
    assert model.n_iter_ == 5
    assert_array_equal(parameters(model), parameters(whole))
    assert model.loss_curve_ == whole.loss_curve_
    assert model.t_ == whole.t_ == 9 * 150


@short_fits
def test_warm_start_of_lbfgs_goes_on_from_the_parameters(iris):
    X, y = iris
    model = MLPClassifierManual(
        solver="lbfgs", warm_start=True, max_iter=10, random_state=0
    )
    losses = [model.fit(X, y).loss_ for _ in range(4)]
    assert losses == sorted(losses, reverse=True)
    assert model.n_iter_ == 10
    assert len(model.loss_curve_) == 40
    assert_allclose(model.loss_curve_[9], losses[0], rtol=0)


@short_fits
def test_warm_start_of_newton_goes_on_from_the_parameters(iris):
    X, y = iris
    settings = {"solver": "newton-cg", "alpha": 1.0, "random_state": 0}
    model = MLPClassifierManual(10, warm_start=True, max_iter=10, **settings)
    losses = [model.fit(X, y).loss_ for _ in range(4)]
    assert losses == sorted(losses, reverse=True)
    assert model.n_iter_ <= 10
    assert losses[0] == model.loss_curve_[9]
    model.set_params(max_iter=500, tol=0).fit(X, y)
    assert model.fit(X, y).n_iter_ <= 2  # at a minimum


@pytest.mark.parametrize("standardize", [True, False])
def test_newton_finds_the_minimum_to_eight_digits(standardize):
    """Of features whose scales differ by thousands, raw ones included."""
    X, y = load_wine(return_X_y=True)
    settings = {"alpha": 1.0, "tol": 0, "standardize": standardize, "random_state": 0}
    model = MLPClassifierManual((), solver="newton-cg", max_iter=500, **settings)
    model.fit(X, y)
    residuals = (model.predict_proba(X) - np.eye(3)[y]) / len(y)
    scales = X.std(axis=0) if standardize else np.ones(X.shape[1])
    assert_allclose(residuals.sum(axis=0), 0, atol=1e-12)
    penalty = model.coefs_[0] * scales[:, np.newaxis] ** 2 / len(y)
    assert_allclose(X.T @ residuals, -penalty, rtol=1e-6, atol=1e-9)


@short_fits
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_partial_fits_are_the_epochs_of_a_fit(iris, solver):
    X, y = iris
    settings = {"solver": solver, "alpha": 0.1, "batch_size": 40, "random_state": 3}
    whole = MLPClassifierManual(max_iter=6, **settings).fit(X, y)
    straight, pickled = (MLPClassifierManual(**settings) for _ in range(2))
    for _ in range(6):
        straight.partial_fit(X, y, classes=[0, 1, 2])
        pickled = pickle.loads(pickle.dumps(pickled)).partial_fit(X, y, [0, 1, 2])
    assert_array_equal(parameters(straight), parameters(whole))
    assert_array_equal(parameters(pickled), parameters(whole))
    assert straight.loss_curve_ == pickled.loss_curve_ == whole.loss_curve_
    assert straight.n_iter_ == 1
    assert straight.t_ == 6 * 150
    assert straight.best_loss_ == whole.best_loss_


@pytest.mark.parametrize("solver", STOCHASTIC)
def test_partial_fit_learns_from_a_stream(digits, solver):
    X, y = digits
    model = MLPClassifierManual(
        30,
        solver=solver,
        learning_rate_init=0.1 if solver == "sgd" else 0.01,
        random_state=0,
    )
    for _ in range(15):
        for start in range(0, 1200, 100):  # in order, and less than batch_size rows
            rows = slice(start, start + 100)
            model.partial_fit(X[rows], y[rows], classes=np.arange(10))
    assert model.score(X[1200:], y[1200:]) > 0.88


def test_partial_fit_takes_classes_in_any_order_and_weights(iris):
    X, y = iris
    model = MLPClassifierManual(random_state=0)
    model.partial_fit(X[:50], y[:50], [2, 0, 1], np.ones(50))
    assert_array_equal(model.classes_, [0, 1, 2])
    model.partial_fit(X[100:], y[100:], sample_weight=np.zeros(50) + 1e-3)
    assert model.predict_proba(X).shape == (150, 3)


@short_fits
def test_partial_fit_goes_on_from_a_fit(iris):
    X, y = iris
    model = MLPClassifierManual(solver="adam", max_iter=20, random_state=0).fit(X, y)
    before = parameters(model)
    loss = model.loss_
    model.partial_fit(X, y)
    assert 0 < np.abs(parameters(model) - before).max() < 0.1
    assert model.loss_ < loss


def forget_averages(model):
    state = State(**model._progress["optimizer"])
    model._progress["optimizer"] = state.without_averages()._asdict()


@short_fits
def test_change_of_solver_starts_its_own_averages(iris):
    X, y = iris
    settings = {"warm_start": True, "max_iter": 3, "random_state": 0}
    model = MLPClassifierManual(**settings).fit(X, y)
    model.set_params(solver="lbfgs").fit(X, y)
    # Adam's moments are of the way before L-BFGS: going on, they are left behind
    without = pickle.loads(pickle.dumps(model))
    forget_averages(without)
    for fitted in (model, without):
        fitted.set_params(solver="adam").fit(X, y)
    assert_array_equal(parameters(model), parameters(without))
    assert model._progress["optimizer"]["n_steps"] == 3


@short_fits
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_partial_fit_after_a_plain_fit_goes_on_but_for_the_momentum(iris, solver):
    """Schedule and order of the rows go on; the momentum was not kept."""
    X, y = iris
    settings = {
        "solver": solver,
        "standardize": False,  # what is kept without momentum is the raw parameters
        "learning_rate": "invscaling",
        "batch_size": 40,
        "random_state": 3,
    }
    fitted = MLPClassifierManual(max_iter=5, **settings).fit(X, y).partial_fit(X, y)
    warm = MLPClassifierManual(max_iter=5, warm_start=True, **settings).fit(X, y)
    plain = MLPClassifierManual(**settings).fit(X, y)
    assert plain._progress["optimizer"]["theta"] is None
    if solver == "sgd":
        warm._progress["optimizer"]["averages"][0][:] = 0
    else:
        forget_averages(warm)
    warm.partial_fit(X, y)
    assert_array_equal(parameters(fitted), parameters(warm))


@short_fits
def test_going_on_keeps_the_data_type(iris):
    X, y = iris
    model = MLPClassifierManual(warm_start=True, max_iter=3).fit(X.astype(np.float32), y)
    assert parameters(model.fit(X, y)).dtype == np.float32
    assert parameters(model.partial_fit(X, y)).dtype == np.float32


def test_partial_fit_averages_over_the_rows_of_its_call(iris):
    """A step of plain SGD is on the mean of its own; the penalty is their share of it."""
    X, y = iris
    weights = np.linspace(0.5, 2, 10)
    model = MLPClassifierManual(
        solver="sgd",
        momentum=0,
        learning_rate_init=0.1,
        alpha=3.0,
        standardize=False,
        random_state=0,
    ).partial_fit(X, y, [0, 1, 2])
    before = parameters(model)
    network = Network((4, 100, 3), "logistic")
    rows = slice(45, 55)
    alpha = 3.0 * weights.sum() / (150 + weights.sum())
    objective = Objective(network, X[rows], y[rows], weights, alpha)
    _, gradient = objective.loss_gradient(before)
    model.partial_fit(X[rows], y[rows], sample_weight=weights)
    assert_allclose(parameters(model), before - 0.1 * gradient, rtol=1e-12, atol=1e-14)


@short_fits
def test_pickles_hold_the_parameters_and_little_else(digits, tmp_path):
    X, y = digits
    model = MLPClassifierManual(max_iter=3, random_state=0).fit(X, y)
    assert len(pickle.dumps(model)) < 1.2 * parameters(model).nbytes
    path = tmp_path / "model.joblib"
    joblib.dump(model, path)
    code = (
        f"import joblib; from sklearn.datasets import load_digits;"
        f"m = joblib.load({str(path)!r});"
        f"print(m.predict_proba(load_digits().data / 16).sum(axis=0).tolist())"
    )
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, check=True
    )
    assert out.stdout.decode().strip() == str(model.predict_proba(X).sum(axis=0).tolist())


@short_fits
@pytest.mark.parametrize("solver", SOLVERS)
def test_fitted_state_is_plain(iris, solver):
    X, y = iris
    model = MLPClassifierManual(solver=solver, max_iter=3, warm_start=True).fit(X, y)

    def check(value):
        if isinstance(value, (list, tuple)):
            for item in value:
                check(item)
        elif isinstance(value, dict):
            for item in value.values():
                check(item)
        else:
            assert value is None or type(value) in (int, float, bool, str, np.ndarray)

    check({k: v for k, v in vars(model).items() if k.endswith("_") or k == "_progress"})


@short_fits
@pytest.mark.parametrize("solver", SOLVERS)
def test_skops_has_to_trust_our_class_alone(iris, solver):
    X, y = iris
    model = MLPClassifierManual(solver=solver, warm_start=True, max_iter=3, random_state=0)
    data = skops.io.dumps(model.fit(X, y))
    unknown = skops.io.get_untrusted_types(data=data)
    assert unknown == ["skmlp._classifier.MLPClassifierManual"]
    loaded = skops.io.loads(data, trusted=unknown)
    assert_array_equal(parameters(loaded.fit(X, y)), parameters(model.fit(X, y)))


# --- stopping -------------------------------------------------------------------------


@shared_settings
@short_fits
@pytest.mark.parametrize("scoring", ["loss", None])
@pytest.mark.parametrize("solver", SOLVERS)
def test_early_stopping_keeps_the_best_parameters(digits, solver, scoring):
    X, y = digits
    X, y = X[:500], y[:500]
    model = MLPClassifierManual(
        30,
        solver=solver,
        learning_rate_init=0.1 if solver == "sgd" else 0.01,
        early_stopping=True,
        scoring=scoring,
        validation_fraction=0.2,
        max_iter=1000,
        n_iter_no_change=5,
        random_state=0,
    ).fit(X, y)
    scores = model.validation_scores_
    best = int(np.argmax(scores))
    assert len(scores) == len(model.loss_curve_) == model.n_iter_ < 1000
    assert model.best_validation_score_ == scores[best]
    if scoring == "loss":
        assert scores == [-loss for loss in model.validation_loss_curve_]
    else:
        assert scores[best] > 0.85
        # solvers of the whole objective may converge first
        assert solver not in STOCHASTIC or len(scores) - 1 - best >= 5
    assert model.best_iteration_ == best
    assert model.best_loss_ is None
    assert model.loss_ == model.loss_curve_[best]
    # stopping by hand at the best iteration gives the same parameters
    given = {"alpha": model.alpha_, "standardize": model.standardize_}
    by_hand = clone(model).set_params(max_iter=best + 1, **given).fit(X, y)
    assert_array_equal(parameters(by_hand), parameters(model))


@short_fits
@pytest.mark.parametrize("solver", SOLVERS)
def test_warm_start_with_early_stopping(iris, solver):
    """Patience starts afresh, and what is kept is never overwritten by going on."""
    X, y = iris
    model = MLPClassifierManual(
        solver=solver,
        early_stopping=True,
        warm_start=True,
        n_iter_no_change=3,
        max_iter=8,
        random_state=0,
    ).fit(X, y)
    kept = model.coefs_[0]
    copy, n_scores = kept.copy(), len(model.validation_scores_)
    model.fit(X, y)
    assert_array_equal(kept, copy)
    assert not np.shares_memory(kept, model.coefs_[0])
    assert model.n_iter_ >= 4
    assert len(model.validation_scores_) == n_scores + model.n_iter_


@short_fits
def test_patience_starts_afresh_in_a_warm_fit(binary_digits):
    X, y = binary_digits
    model = MLPClassifierManual(
        warm_start=True, tol=1e9, n_iter_no_change=4, max_iter=4, random_state=0
    ).fit(X, y)  # one improvement on infinity, then 3 iterations without
    assert model.set_params(max_iter=50).fit(X, y).n_iter_ == 6


def test_tol_and_patience_end_a_fit(binary_digits):
    X, y = binary_digits
    settings = {"solver": "sgd", "alpha": 0.1, "tol": 0.01, "max_iter": 3000}
    settings |= {"random_state": 0}
    n_iter = [
        MLPClassifierManual(n_iter_no_change=patience, **settings).fit(X, y).n_iter_
        for patience in (2, 5, 20)
    ]
    assert n_iter == sorted(n_iter)
    assert n_iter[0] < n_iter[-1] < 3000


@short_fits
def test_infinite_patience_runs_to_max_iter(binary_digits):
    X, y = binary_digits
    model = MLPClassifierManual(alpha=0.1, tol=1e9, n_iter_no_change=np.inf, max_iter=50)
    assert model.fit(X, y).n_iter_ == 50


@pytest.mark.parametrize("solver", SOLVERS)
def test_convergence_warning_says_what_to_change(iris, solver):
    X, y = iris
    with pytest.warns(
        ConvergenceWarning, match=r"max_iter=2 .*Increase max_iter"
    ) as record:
        model = MLPClassifierManual(solver=solver, max_iter=2).fit(X, y)
    assert model.n_iter_ == 2
    assert "sklearn" in record[0].filename


def test_max_fun_ends_lbfgs(iris):
    X, y = iris
    with pytest.warns(ConvergenceWarning, match="max_fun=10"):
        model = MLPClassifierManual(solver="lbfgs", max_fun=10, tol=0, random_state=0).fit(
            X, y
        )
    assert model.n_iter_ <= 10


@short_fits
@pytest.mark.parametrize("solver", SOLVERS)
def test_verbose_prints_a_line_an_iteration(iris, solver, capsys):
    X, y = iris
    settings = {"solver": solver, "max_iter": 3, "random_state": 0}
    MLPClassifierManual(**settings).fit(X, y)
    assert capsys.readouterr().out == ""
    model = MLPClassifierManual(verbose=True, early_stopping=True, **settings).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    record = zip(*model.alpha_search_.values(), strict=True)
    candidates = [
        f"{n_rows} rows, alpha = {alpha:.6g}: held-out loss = {loss:.6f}"
        for n_rows, alpha, loss in record
    ]
    assert len(candidates) >= 4
    assert lines[: len(candidates)] == candidates
    chosen = f"alpha = {model.alpha_:.6g}, chosen on held-out rows"
    assert lines[len(candidates)] == chosen
    assert len(lines) == len(candidates) + 4
    expected = (
        f"Iteration    2, loss = {model.loss_curve_[1]:10.6f}, "
        f"validation loss = {model.validation_loss_curve_[1]:10.6f}"
    )
    assert re.fullmatch(re.escape(expected) + r", \d+\.\d s", lines[-2])
    model.set_params(scoring="accuracy").fit(X, y)
    line = capsys.readouterr().out.splitlines()[-2]
    expected += f", validation score = {model.validation_scores_[1]:10.6f}"
    assert re.fullmatch(re.escape(expected) + r", \d+\.\d s", line)


def interrupt(monkeypatch, n):
    """Ctrl-C in the n-th evaluation of a gradient; the list grows by one with each."""
    calls = []
    original = Network.loss_gradient

    def interrupted(self, *args):
        calls.append(1)
        if len(calls) == n:
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(Network, "loss_gradient", interrupted)
    return calls


@shared_settings
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_ctrl_c_keeps_the_last_finished_iteration(
    iris, solver, early_stopping, monkeypatch
):
    X, y = iris
    settings = {
        "solver": solver,
        "batch_size": 30,
        "alpha": 1.0,
        "early_stopping": early_stopping,
        "random_state": 0,
    }
    interrupt(monkeypatch, 18)
    model = MLPClassifierManual(**settings)
    with pytest.raises(KeyboardInterrupt, match=r"interrupted after \d+ iterations"):
        model.fit(X, y)
    monkeypatch.undo()
    assert model._progress["optimizer"]["theta"] is None
    assert len(model.validation_scores_ or model.loss_curve_) == model.n_iter_
    assert model.n_iter_ == len(model.loss_curve_) >= 3
    with pytest.warns(ConvergenceWarning):
        whole = MLPClassifierManual(max_iter=model.n_iter_, **settings).fit(X, y)
    assert_array_equal(parameters(model), parameters(whole))
    assert_array_equal(model.predict(X), whole.predict(X))


def test_ctrl_c_ends_a_search(iris, monkeypatch):
    """A fit that was cut short is not scored as if it were whole."""
    calls = interrupt(monkeypatch, 8)
    model = MLPClassifierManual(5, alpha=1.0, random_state=0)
    search = GridSearchCV(model, {"tol": [1e-3, 1e-4]}, error_score="raise")
    with pytest.raises(KeyboardInterrupt):
        search.fit(*iris)
    assert len(calls) == 8


def test_ctrl_c_in_the_first_iteration_leaves_nothing_behind(iris, monkeypatch):
    interrupt(monkeypatch, 1)
    model = MLPClassifierManual()
    with pytest.raises(KeyboardInterrupt):
        model.fit(*iris)
    assert vars(model) == vars(MLPClassifierManual())


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("multilabel", [False, True])
def test_the_callers_floating_point_state_does_not_matter(iris, solver, multilabel):
    """Exponentials underflow in every fit: that is no error, whatever the caller says."""
    X, y = iris
    y = np.eye(3, dtype=int)[y] if multilabel else y
    model = MLPClassifierManual(5, solver=solver, alpha=0.01, tol=0.1, random_state=0)
    calm = clone(model).fit(X, y)
    far = 1e4 * X
    with np.errstate(all="raise"):
        state = np.geterr()
        model.fit(X, y)
        scores = model.decision_function(far)
        for method in (model.predict, model.predict_proba, model.predict_log_proba):
            assert np.isfinite(method(far)).all()
        assert np.geterr() == state
    assert_array_equal(model.coefs_[0], calm.coefs_[0])
    assert_array_equal(scores, calm.decision_function(far))


def test_a_long_stream_does_not_copy_its_curve(iris):
    X, y = iris
    model = MLPClassifierManual(5, random_state=0).partial_fit(X, y, classes=[0, 1, 2])
    curve = model.loss_curve_
    for n_calls in (2, 3):
        assert model.partial_fit(X, y).loss_curve_ is curve
        assert len(curve) == n_calls


@pytest.mark.parametrize("n_classes", [3, 10])
def test_decision_is_as_good_to_calibrate_as_probabilities(digits, n_classes):
    """Logits have a shift of their own in each row, which scores may not have."""
    X, y = digits
    X, y = X[y < n_classes], y[y < n_classes]

    class WithoutDecision(MLPClassifierManual):
        decision_function = property()

    losses = []
    for kind in (MLPClassifierManual, WithoutDecision):
        model = CalibratedClassifierCV(kind(20, alpha=1.0, random_state=0), cv=3)
        losses.append(log_loss(y[::2], model.fit(X[1::2], y[1::2]).predict_proba(X[::2])))
    assert losses[0] < 1.1 * losses[1] + 0.002


def test_filters_for_scikit_learns_convergence_warnings_act(iris):
    model = MLPClassifierManual(5, alpha=1.0, max_iter=2, random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")
        model.fit(*iris)
        cross_val_score(model, *iris, cv=2)
    assert not caught
    with pytest.warns(ConvergenceWarning):
        model.fit(*iris)
