"""Any number of labels a row."""

import warnings

import numpy as np
import pandas as pd
import pytest
from common import SOLVERS, STOCHASTIC, parameters, short, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.utils import get_tags

from skmlp import MLPClassifierManual


@pytest.mark.parametrize("solver", SOLVERS)
def test_multilabel_against_independent_logistic_regressions(labels, solver):
    """Without hidden layer, each output is a logistic regression of its own."""
    X, Y = labels
    model = MLPClassifierManual(
        (),
        solver=solver,
        alpha=2.0,
        tol=1e-15 if solver in STOCHASTIC else 1e-8,
        max_iter=5000,
        random_state=0,
    )
    if solver in STOCHASTIC:
        model.set_params(
            batch_size=300,
            learning_rate_init=0.5 if solver == "sgd" else 0.02,
            n_iter_no_change=100,
        )
    model.fit(X, Y)
    peers = OneVsRestClassifier(LogisticRegression(C=0.5, tol=1e-10, max_iter=1000)).fit(
        X, Y
    )
    coefs = np.column_stack([peer.coef_[0] for peer in peers.estimators_])
    assert_allclose(model.coefs_[0], coefs, atol=1e-4)
    assert_allclose(model.predict_proba(X), peers.predict_proba(X), atol=1e-4)
    assert_array_equal(model.predict(X), peers.predict(X))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, np.ndarray.tolist])
def test_multilabel_outputs(labels, solver, container):
    X, Y = labels
    model = MLPClassifierManual(20, solver=solver, max_iter=150, random_state=0, tol=1e-3)
    if solver in STOCHASTIC:
        model.set_params(learning_rate_init=0.1 if solver == "sgd" else 0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of lists as indicators
        model.fit(X, container(Y) if container is not np.ndarray.tolist else np.asarray(Y))
    assert model.out_activation_ == "logistic"
    assert model.n_outputs_ == 4
    assert_array_equal(model.classes_, np.arange(4))
    predicted, proba = model.predict(X), model.predict_proba(X)
    assert sparse.issparse(predicted) == (container is sparse.csr_array)
    predicted = predicted.toarray() if sparse.issparse(predicted) else predicted
    assert predicted.shape == proba.shape == model.decision_function(X).shape == Y.shape
    assert_array_equal(predicted, proba > 0.5)
    assert_allclose(np.exp(model.predict_log_proba(X)), proba, rtol=1e-10)
    assert_allclose(proba, 1 / (1 + np.exp(-model.decision_function(X))), rtol=1e-10)
    assert (predicted == Y).mean() > 0.8
    assert model.score(X, Y) == (predicted == Y).all(axis=1).mean()


@short_fits
def test_multilabel_loss_is_that_of_mlpclassifier(labels):
    """The same start, the same L-BFGS, the same curve of losses: its oracle."""
    X, Y = labels
    settings = {"solver": "lbfgs", "alpha": 0.1, "max_iter": 7, "random_state": 3}
    ours = MLPClassifierManual(9, standardize=False, **settings).fit(X, Y)
    theirs = MLPClassifier(9, "logistic", **settings).fit(X, Y)
    assert_allclose(ours.loss_, theirs.loss_, rtol=1e-8)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-5)


@short_fits
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_multilabel_partial_fit(labels, solver):
    X, Y = labels
    model = short(solver=solver, alpha=0.1)
    for _ in range(3):
        model.partial_fit(X, Y, classes=np.arange(4))
    fitted = short(solver=solver, alpha=0.1, max_iter=3).fit(X, Y)
    assert_array_equal(parameters(model), parameters(fitted))
    with pytest.raises(ValueError, match="y has shape"):
        model.partial_fit(X, Y[:, :3])
    with pytest.raises(ValueError, match="y has shape"):
        model.partial_fit(X, Y[:, 0])
    with pytest.raises(ValueError, match="numbers of its columns, 0 to 3"):
        short().partial_fit(X, Y, classes=list("abcd"))
    with pytest.raises(ValueError, match="y has shape"):
        short().partial_fit(X, Y, classes=[0, 1])


@pytest.mark.parametrize("solver", SOLVERS)
def test_multilabel_stops_early_and_takes_weights(labels, solver):
    X, Y = labels
    weights = np.random.default_rng(0).integers(3, size=len(X))
    twice = np.repeat(np.arange(len(X)), weights)
    settings = {"solver": solver, "early_stopping": True}
    if solver == "lbfgs":
        settings |= {"alpha": "auto"}
    if solver in STOCHASTIC:
        settings |= {"batch_size": 600, "shuffle": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the batch size
        model = short(**settings).fit(X, Y, weights)
        again = short(**settings).fit(X[twice], Y[twice])
    assert len(model.validation_loss_curve_) == 5
    assert_allclose(parameters(model), parameters(again), rtol=1e-6, atol=1e-9)


@short_fits
def test_two_labels_are_not_two_classes(labels):
    X, Y = labels
    Y = Y[:, :2]
    model = short(warm_start=True).fit(X, Y)
    assert model.decision_function(X).shape == (300, 2)
    with pytest.raises(ValueError, match="same classes"):
        model.fit(X, Y[:, 0])  # of classes 0 and 1, too
    assert get_tags(model).classifier_tags.multi_label


@short_fits
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_labels(dtype):
    """Logits of +-1e3: sure of every label, finite loss and log-probabilities."""
    X = np.array([[1e3], [-1e3], [1e3], [-1e3]], dtype)
    Y = np.array([[1, 0], [0, 1], [1, 0], [0, 1]])
    settings = {
        "hidden_layer_sizes": (),
        "solver": "sgd",
        "learning_rate": lambda fraction: 0.0,  # the start is the end
        "standardize": False,
        "max_iter": 1,
    }
    model = short(alpha=1e-4, **settings)
    model.fit(X, Y, coefs_init=[[[1.0, -1.0]]], intercepts_init=[[0.0, 0.0]])
    assert_allclose(model.decision_function(X), X @ np.array([[1, -1]], dtype))
    assert_array_equal(model.predict_proba(X), Y)
    assert_allclose(model.predict_log_proba(X), np.where(Y, 0, -1e3), rtol=1e-6)
    wrong = short(alpha=0, **settings)
    wrong.fit(X, 1 - Y, coefs_init=[[[1.0, -1.0]]], intercepts_init=[[0.0, 0.0]])
    assert_allclose(wrong.loss_, 2e3, rtol=1e-6)


@short_fits
def test_multilabel_limits(labels):
    X, Y = labels
    with pytest.raises(ValueError, match=r"class_weight is for .* one label"):
        short(class_weight="balanced").fit(X, Y)
    model = short(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="same classes"):
        model.fit(X, Y[:, :3])
    with pytest.raises(ValueError, match="same classes"):
        model.fit(X, Y[:, 0])


@short_fits
@pytest.mark.parametrize("dtype", ["Int64", "boolean", "Float64"])
def test_nullable_frames_of_labels_are_as_good_as_arrays(iris, dtype):
    X, y = iris
    labels = np.column_stack([y == 0, y > 1]).astype(int)
    frame = pd.DataFrame(labels, columns=["a", "b"]).astype(dtype)
    expected = short().fit(X, labels).predict(X)
    assert_array_equal(short().fit(X, frame).predict(X), expected)
