"""What MLPClassifier's users asked for: class weights, validation sets, multilabel, ..."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, get_scorer, log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.class_weight import compute_class_weight

from skmlp import MLPClassifierManual

SOLVERS = ["lbfgs", "sgd", "adam"]
STOCHASTIC = ["sgd", "adam"]
short_fits = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
pytestmark = short_fits


def parameters(model):
    return np.concatenate([a.ravel(order="F") for a in (*model.coefs_, *model.intercepts_)])


def short(**params):
    return MLPClassifierManual(10, max_iter=5, random_state=0).set_params(**params)


@pytest.fixture
def imbalanced(digits):
    X, y = digits
    rows = np.r_[np.flatnonzero(y == 3)[:150], np.flatnonzero(y == 8)[:15]]
    return X[rows], y[rows]


@pytest.fixture
def labels():
    """Rows with any number of four labels."""
    X, Y = make_multilabel_classification(300, 12, n_classes=4, random_state=0)
    return StandardScaler().fit_transform(X), Y


# --- class_weight ---------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("class_weight", [{3: 0.5, 8: 7}, {8: 7}, {3: 2, 8: 0}, "balanced"])
def test_class_weight_multiplies_sample_weight(imbalanced, solver, class_weight, weighted):
    X, y = imbalanced
    weights = np.random.default_rng(0).integers(3, size=len(y)) if weighted else None
    if class_weight == "balanced":
        per_class = dict(
            zip(
                (3, 8),
                compute_class_weight(
                    "balanced", classes=np.array([3, 8]), y=y, sample_weight=weights
                ),
                strict=True,
            )
        )
    else:
        per_class = {3: 1} | class_weight
    by_row = np.array([per_class[label] for label in y]) * (
        1 if weights is None else weights
    )
    model = short(solver=solver, class_weight=class_weight).fit(X, y, weights)
    assert_array_equal(
        parameters(model), parameters(short(solver=solver).fit(X, y, by_row))
    )


def test_balanced_finds_the_rare_class(imbalanced):
    X, y = imbalanced
    X = X + np.random.default_rng(0).normal(scale=0.7, size=X.shape)
    recall = {
        class_weight: MLPClassifierManual(
            10,
            solver="lbfgs",
            alpha=30,
            tol=1e-3,
            class_weight=class_weight,
            random_state=0,
        )
        .fit(X, y)
        .predict(X)[y == 8]
        .tolist()
        .count(8)
        for class_weight in (None, "balanced")
    }
    assert recall["balanced"] > recall[None]


def test_class_weight_in_partial_fit(imbalanced):
    X, y = imbalanced
    model = short(class_weight={8: 10.0})
    by_row = short()
    for part in (slice(0, 100), slice(100, 165)):
        model.partial_fit(X[part], y[part], classes=[3, 8])
        by_row.partial_fit(
            X[part], y[part], classes=[3, 8], sample_weight=np.where(y[part] == 8, 10, 1)
        )
    assert_array_equal(parameters(model), parameters(by_row))
    with pytest.raises(
        ValueError, match=r"'balanced' is not supported by partial_fit.*dict"
    ):
        short(class_weight="balanced").partial_fit(X, y, classes=[3, 8])


@pytest.mark.parametrize(
    ("class_weight", "match"),
    [
        ({3: -1}, "class_weight must be finite and at least 0"),
        ({3: np.nan}, "class_weight must be finite and at least 0"),
        ({3: 0, 8: 0}, "sample_weight, times class_weight, must be positive"),
        ({4: 2}, "not in class_weight"),
    ],
)
def test_bad_class_weight(imbalanced, class_weight, match):
    with pytest.raises(ValueError, match=match):
        short(class_weight=class_weight).fit(*imbalanced)


def test_balanced_ignores_rows_of_weight_zero(imbalanced):
    X, y = imbalanced
    weights = np.where(y == 8, 0.0, 1.0)
    weights[:50] = 0
    model = short(class_weight="balanced").fit(X, y, weights)
    assert_array_equal(parameters(model), parameters(short().fit(X, y, weights)))


# --- a validation set of one's own, and what is watched on it -------------------------


@pytest.mark.parametrize("solver", SOLVERS)
def test_validation_set_is_watched(digits, solver):
    X, y = digits
    train, val = slice(0, 300), slice(300, 500)
    model = MLPClassifierManual(
        30,
        solver=solver,
        learning_rate_init=0.05 if solver != "lbfgs" else 0.001,
        max_iter=200,
        early_stopping="auto",
        random_state=0,
    ).fit(X[train], y[train], X_val=X[val], y_val=y[val])
    curve = model.validation_loss_curve_
    assert len(curve) == model.n_iter_ == len(model.loss_curve_)
    assert model.best_iteration_ == np.argmin(curve)
    # the best parameters are kept, of a fit that used all of the training rows
    assert_allclose(log_loss(y[val], model.predict_proba(X[val])), min(curve), rtol=1e-6)
    assert model.t_ == 300 * model.n_iter_


@pytest.mark.parametrize("solver", SOLVERS)
def test_validation_set_without_stopping_is_only_recorded(digits, solver):
    X, y = digits
    settings = {"solver": solver, "max_iter": 12, "n_iter_no_change": 3}
    if solver == "lbfgs":
        del settings["n_iter_no_change"]
    settings["alpha"] = 0.1  # "auto" would look at the validation set
    model = short(**settings).fit(X[:300], y[:300], X_val=X[300:400], y_val=y[300:400])
    plain = short(**settings).fit(X[:300], y[:300])
    assert_array_equal(parameters(model), parameters(plain))
    assert plain.validation_loss_curve_ is plain.validation_scores_ is None
    assert len(model.validation_loss_curve_) == model.n_iter_
    assert model.best_iteration_ is None
    expected = log_loss(y[300:400], model.predict_proba(X[300:400]), labels=model.classes_)
    assert_allclose(model.validation_loss_curve_[-1], expected, rtol=1e-6)


def test_weights_of_the_validation_set(imbalanced):
    """Weight 2 is the row twice; class weights act on the loss, too."""
    X, y = imbalanced
    weights = np.random.default_rng(0).integers(3, size=len(y))
    twice = np.repeat(np.arange(len(y)), weights)
    curves = [
        short(class_weight={8: 3}).fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=w)
        for X_val, y_val, w in ((X, y, weights), (X[twice], y[twice], None))
    ]
    assert_allclose(*(model.validation_loss_curve_ for model in curves), rtol=1e-12)
    one = short(class_weight={8: 3}).fit(X, y, X_val=X, y_val=y)
    expected = log_loss(y, one.predict_proba(X), sample_weight=np.where(y == 8, 3, 1))
    assert_allclose(one.validation_loss_curve_[-1], expected, rtol=1e-6)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize(
    ("scoring", "score"),
    [
        (None, lambda est, X, y: accuracy_score(y, est.predict(X))),
        ("accuracy", lambda est, X, y: accuracy_score(y, est.predict(X))),
        ("neg_log_loss", lambda est, X, y: -log_loss(y, est.predict_proba(X))),
        (
            lambda est, X, y: float(est.predict(X)[0]),
            lambda est, X, y: float(est.predict(X)[0]),
        ),
        (make_scorer(accuracy_score), lambda est, X, y: accuracy_score(y, est.predict(X))),
        ("loss", lambda est, X, y: -log_loss(y, est.predict_proba(X))),
    ],
)
def test_scoring(digits, scoring, score, container):
    X, y = digits
    X = container(X)
    model = short(scoring=scoring).fit(X[:300], y[:300], X_val=X[300:400], y_val=y[300:400])
    assert_allclose(model.validation_scores_[-1], score(model, X[300:400], y[300:400]))
    assert model.best_validation_score_ == max(model.validation_scores_)


def test_scorer_gets_weights_only_if_there_are_any(digits):
    X, y = digits
    seen = []

    def scorer(estimator, X, y, sample_weight=None):
        seen.append(sample_weight)
        return 0.0

    short(scoring=scorer, early_stopping=True).fit(X, y)
    assert set(seen) == {None}
    weights = np.full(len(y), 2.0)
    short(scoring=scorer, early_stopping=True).fit(X, y, weights)
    assert_array_equal(np.unique(seen[-1]), [2])


def test_scorer_sees_no_names_to_warn_about(iris):
    pd = pytest.importorskip("pandas")
    X, y = iris
    X = pd.DataFrame(X, columns=list("abcd"))
    model = short(scoring="accuracy").fit(X, y, X_val=X[::2], y_val=y[::2])
    assert len(model.validation_scores_) == 5
    assert list(model.feature_names_in_) == list("abcd")


def test_class_weights_act_on_the_loss_but_not_on_other_scores(imbalanced):
    X, y = imbalanced
    settings = {"class_weight": {8: 100}, "scoring": "accuracy", "early_stopping": True}
    model = short(**settings).fit(X, y, X_val=X, y_val=y)
    assert model.best_validation_score_ == model.score(X, y)
    weights = np.random.default_rng(0).uniform(size=len(y))
    model = short(**settings).fit(X, y, X_val=X, y_val=y, sample_weight_val=weights)
    assert_allclose(model.best_validation_score_, model.score(X, y, weights))


def test_a_score_that_is_not_a_number_is_no_best_score(iris):
    X, y = iris
    scores = iter([np.nan, 0.1, 0.3, np.nan, 0.2])

    def scorer(estimator, X, y):
        return next(scores)

    model = short(scoring=scorer, early_stopping=True).fit(X, y)
    assert model.best_iteration_ == 2
    assert model.best_validation_score_ == 0.3
    with pytest.warns(UserWarning, match="No validation score was a number") as record:
        model = short(scoring=lambda *_: np.nan, early_stopping=True).fit(X, y)
    assert record[-1].filename == __file__
    assert np.isnan(model.best_validation_score_)
    assert model.best_iteration_ is None


@pytest.mark.parametrize("solver", SOLVERS)
def test_stop_iteration_in_a_scorer_is_not_the_end_of_training(iris, solver):
    def scorer(estimator, X, y):
        return next(iter(()))

    with pytest.raises((RuntimeError, StopIteration)):
        short(solver=solver, scoring=scorer, early_stopping=True).fit(*iris)


def test_best_iteration_counts_over_warm_starts(iris):
    X, y = iris
    model = short(warm_start=True, early_stopping=True, random_state=1)
    model.fit(X, y).fit(X, y)
    assert len(model.validation_loss_curve_) == 10
    assert model.best_iteration_ == 5 + np.argmin(model.validation_loss_curve_[5:])


def test_validation_is_in_the_precision_of_the_training_data(digits):
    X, y = digits
    seen = set()

    def scorer(estimator, X, y):
        seen.add(X.dtype)
        return 0.0

    short(scoring=scorer).fit(X[:200].astype(np.float32), y[:200], X_val=X, y_val=y)
    assert seen == {np.dtype(np.float32)}


def test_class_weights_do_not_make_one_row_two(iris):
    """A row that is alone in its class is not held out, however heavy the class."""
    X, y = iris
    rows = np.r_[np.flatnonzero(y < 2), np.flatnonzero(y == 2)[:1]]
    for class_weight in (None, "balanced", {2: 50}):
        model = short(class_weight=class_weight, early_stopping=True)
        with pytest.warns(UserWarning, match=r"no sample of class \[2\]"):
            model.fit(X[rows], y[rows])


@pytest.mark.parametrize("n", [10_000, 10_001])
def test_auto_stops_early_on_more_than_10000_rows(n):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 2))
    model = MLPClassifierManual(
        2, early_stopping="auto", solver="adam", batch_size=2000, max_iter=2, random_state=0
    ).fit(X, X[:, 0] > 0)
    assert (model.validation_scores_ is not None) == (n > 10_000)
    assert hasattr(model, "partial_fit")


def test_best_parameters_are_kept_when_patience_does_not_run_out(digits):
    X, y = digits
    model = short(early_stopping=True, max_iter=30, solver="adam", learning_rate_init=0.3)
    model.fit(X[:100], y[:100], X_val=X[100:300], y_val=y[100:300])
    curve = model.validation_loss_curve_
    assert min(curve) < curve[-1]
    loss = log_loss(y[100:300], model.predict_proba(X[100:300]))
    assert_allclose(loss, min(curve), rtol=1e-6)


def test_validation_curves_go_on_with_warm_start(iris):
    X, y = iris
    model = short(warm_start=True).fit(X, y)
    model.fit(X, y, X_val=X, y_val=y).fit(X, y, X_val=X, y_val=y)
    assert len(model.loss_curve_) == len(model.validation_loss_curve_) == 15
    assert np.isnan(model.validation_loss_curve_[:5]).all()
    assert np.isfinite(model.validation_loss_curve_[5:]).all()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"y_val": None}, "needs both X_val and y_val"),
        ({"X_val": None}, "needs both X_val and y_val"),
        ({"X_val": np.ones((4, 3))}, "In the validation set: X has 3 features, but"),
        ({"X_val": np.full((4, 4), np.nan)}, "In the validation set: Input X contains NaN"),
        ({"y_val": [0, 1, 7, 2]}, r"In the validation set: `y` has classes \[7\]"),
        ({"y_val": list("abca")}, "In the validation set: .*classes"),
        ({"y_val": [0, 1]}, "In the validation set: .*inconsistent numbers"),
        ({"y_val": np.eye(4, dtype=int)[:, :3]}, "In the validation set: .*shape"),
        ({"sample_weight_val": [1, 2]}, "In the validation set: sample_weight.shape"),
        ({"sample_weight_val": [0, 0, 0, 0]}, "In the validation set: .*(positive|zero)"),
    ],
)
def test_bad_validation_set(iris, change, match):
    X, y = iris
    validation = {"X_val": X[::40], "y_val": y[::40], "sample_weight_val": None}
    model = short()
    with pytest.raises(ValueError, match=match):
        model.fit(X, y, **(validation | change))
    assert vars(model) == vars(short())
    with pytest.raises(ValueError, match="needs both X_val and y_val"):
        model.fit(X, y, sample_weight_val=[1.0])


@pytest.mark.parametrize("scoring", ["accuracy", "no_such_score"])
def test_unknown_scorer(iris, scoring):
    model = short(scoring=scoring, early_stopping=True)
    if scoring == "accuracy":
        assert 0 <= model.fit(*iris).best_validation_score_ <= 1
    else:
        with pytest.raises(ValueError, match="no_such_score"):
            model.fit(*iris)
        assert not hasattr(model, "coefs_")


# --- metadata routing -----------------------------------------------------------------


def test_validation_set_through_a_pipeline(digits):
    """The scaler of the pipeline is fitted on X and applied to X_val."""
    X, y = digits
    X, X_val, y, y_val = X[:300] * 50, X[300:400] * 50, y[:300], y[300:400]
    weights = np.random.default_rng(0).uniform(1, 2, size=300)
    with config_context(enable_metadata_routing=True):
        net = short(early_stopping=True).set_fit_request(
            X_val=True, y_val=True, sample_weight=True
        )
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = Pipeline([("scale", scaler), ("net", net)], transform_input=["X_val"])
        pipe.fit(X, y, X_val=X_val, y_val=y_val, sample_weight=weights)
    scaler = StandardScaler().fit(X)
    by_hand = short(early_stopping=True).fit(
        scaler.transform(X), y, weights, X_val=scaler.transform(X_val), y_val=y_val
    )
    assert_array_equal(parameters(pipe[-1]), parameters(by_hand))
    assert pipe[-1].validation_loss_curve_ == by_hand.validation_loss_curve_


def test_routing_of_weights_in_cross_validation(iris):
    X, y = iris
    weights = np.where(y == 0, 0.1, 2.0)
    with config_context(enable_metadata_routing=True):
        net = (
            short()
            .set_fit_request(sample_weight=True)
            .set_score_request(sample_weight=True)
        )
        pipe = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), net)
        # Pipeline.score of scikit-learn 1.7 cannot be asked for weights
        scoring = get_scorer("accuracy").set_score_request(sample_weight=True)
        settings = {"cv": 3, "params": {"sample_weight": weights}, "return_estimator": True}
        results = cross_validate(pipe, X, y, scoring=scoring, **settings)
        alone = cross_validate(net, X, y, **settings)
        by_accuracy = cross_validate(net, X, y, scoring=scoring, **settings)
        search = GridSearchCV(
            pipe, {"mlpclassifiermanual__alpha": [1e-4, 1]}, scoring=scoring, cv=3
        ).fit(X, y, sample_weight=weights)
    assert_array_equal(alone["test_score"], by_accuracy["test_score"])
    assert (search.cv_results_["mean_test_score"] > 0).all()
    plain = clone(pipe).set_params(mlpclassifiermanual=short())
    unweighted = cross_validate(plain, X, y, return_estimator=True, cv=3)
    for one, other in zip(results["estimator"], unweighted["estimator"], strict=True):
        assert (parameters(one[-1]) != parameters(other[-1])).any()


def test_requests_name_every_extra_argument():
    with config_context(enable_metadata_routing=True):
        model = short()
        model.set_fit_request(
            sample_weight=True,
            X_val=True,
            y_val=True,
            sample_weight_val=True,
            coefs_init=False,
            intercepts_init=False,
        )
        model.set_partial_fit_request(classes=True, sample_weight=True)
        model.set_score_request(sample_weight=True)
        routing = model.get_metadata_routing()
    assert routing.fit.requests["X_val"] is True
    assert routing.partial_fit.requests == {"classes": True, "sample_weight": True}
    assert routing.score.requests == {"sample_weight": True}


# --- multilabel -----------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
def test_multilabel_against_independent_logistic_regressions(labels, solver):
    """Without hidden layer, each output is a logistic regression of its own."""
    X, Y = labels
    model = MLPClassifierManual(
        (),
        solver=solver,
        alpha=2.0,
        tol=1e-8 if solver == "lbfgs" else 1e-15,
        max_iter=5000,
        random_state=0,
    )
    if solver != "lbfgs":
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
    if solver != "lbfgs":
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


def test_multilabel_loss_is_that_of_mlpclassifier(labels):
    """The same start, the same L-BFGS, the same curve of losses: its oracle."""
    X, Y = labels
    settings = {"solver": "lbfgs", "alpha": 0.1, "max_iter": 7, "random_state": 3}
    ours = MLPClassifierManual(9, standardize=False, **settings).fit(X, Y)
    theirs = MLPClassifier(9, "logistic", **settings).fit(X, Y)
    assert_allclose(ours.loss_, theirs.loss_, rtol=1e-8)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-5)


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
    if solver != "lbfgs":
        settings |= {"batch_size": 600, "shuffle": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the batch size
        model = short(**settings).fit(X, Y, weights)
        again = short(**settings).fit(X[twice], Y[twice])
    assert len(model.validation_loss_curve_) == 5
    assert_allclose(parameters(model), parameters(again), rtol=1e-6, atol=1e-9)


def test_two_labels_are_not_two_classes(labels):
    X, Y = labels
    Y = Y[:, :2]
    model = short(warm_start=True).fit(X, Y)
    assert model.decision_function(X).shape == (300, 2)
    with pytest.raises(ValueError, match="same classes"):
        model.fit(X, Y[:, 0])  # of classes 0 and 1, too
    assert get_tags(model).classifier_tags.multi_label


@pytest.mark.filterwarnings("error")
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


def test_multilabel_limits(labels):
    X, Y = labels
    with pytest.raises(ValueError, match=r"class_weight is for .* one label"):
        short(class_weight="balanced").fit(X, Y)
    model = short(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="same classes"):
        model.fit(X, Y[:, :3])
    with pytest.raises(ValueError, match="same classes"):
        model.fit(X, Y[:, 0])


# --- schedules ------------------------------------------------------------------------


@pytest.mark.parametrize("solver", STOCHASTIC)
@pytest.mark.parametrize("learning_rate", ["cosine", "one_cycle", lambda fraction: 0.01])
def test_planned_schedules_use_all_of_max_iter(iris, solver, learning_rate, recwarn):
    X, y = iris
    model = short(
        solver=solver, learning_rate=learning_rate, max_iter=40, tol=1.0, batch_size=50
    ).fit(X, y)
    assert model.n_iter_ == 40  # though tol alone would have ended it
    assert not recwarn.list
    stopped = clone(model).set_params(early_stopping=True).fit(X, y)
    assert stopped.n_iter_ < 40


@pytest.mark.parametrize("solver", STOCHASTIC)
def test_callable_schedule_gets_the_fraction_of_training(iris, solver):
    X, y = iris
    seen = []

    def rate(fraction):
        seen.append(fraction)
        return 0.01

    settings = {"solver": solver, "batch_size": 50, "max_iter": 4, "tol": 0}
    model = short(learning_rate=rate, **settings).fit(X, y)
    assert_allclose(seen, np.arange(12) / 12)
    plain = short(learning_rate_init=0.01, **settings).fit(X, y)
    assert_array_equal(parameters(model), parameters(plain))
    seen.clear()
    by_parts = short(learning_rate=rate, **settings)
    for _ in range(5):
        by_parts.partial_fit(X, y, classes=[0, 1, 2])
    assert_allclose(seen, [*np.arange(12) / 12, 0, 1 / 12, 2 / 12], atol=1e-15)


@pytest.mark.parametrize("solver", STOCHASTIC)
def test_every_fit_and_then_partial_fit_is_a_training_of_its_own(iris, solver):
    X, y = iris
    seen = []
    model = short(
        solver=solver,
        learning_rate=lambda fraction: seen.append(fraction) or 0.01,
        batch_size=150,
        max_iter=4,
        warm_start=True,
    )
    model.fit(X, y).fit(X, y)
    model.partial_fit(X, y).partial_fit(X, y)
    assert_allclose(seen, [0, 0.25, 0.5, 0.75] * 2 + [0, 0.25])


@pytest.mark.filterwarnings("ignore:learning_rate='cosine' has no effect")
def test_lbfgs_warns_although_a_planned_rate_is_set(iris):
    with pytest.warns(ConvergenceWarning, match="max_iter=5"):
        short(solver="lbfgs", learning_rate="cosine").fit(*iris)


def test_a_random_rate_does_not_keep_the_fit_from_stopping(iris):
    rng = np.random.default_rng(0)
    model = short(
        solver="adam",
        learning_rate=lambda fraction: rng.uniform(0, 1e-9),
        early_stopping=True,
        max_iter=60,
        tol=0.1,
    )
    assert model.fit(*iris).n_iter_ == 12


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf, None, "fast"])
def test_callable_schedule_with_bad_values(iris, value):
    with pytest.raises(ValueError, match=r"learning_rate must return .* returned"):
        short(solver="adam", learning_rate=lambda fraction: value).fit(*iris)


def test_cosine_ends_closer_to_the_minimum(digits):
    X, y = digits
    losses = {}
    for learning_rate in ("constant", "cosine"):
        model = MLPClassifierManual(
            20,
            solver="adam",
            learning_rate=learning_rate,
            learning_rate_init=0.05,
            max_iter=20,
            batch_size=32,
            alpha=1.0,
            tol=0,
            random_state=0,
        ).fit(X, y)
        losses[learning_rate] = model.loss_
    assert losses["cosine"] < losses["constant"]


# --- dropout --------------------------------------------------------------------------


@pytest.mark.parametrize("solver", STOCHASTIC)
def test_dropout_acts_in_training_only(digits, solver):
    X, y = digits
    X, y = X[:400], y[:400]
    settings = {"solver": solver, "hidden_layer_sizes": (30, 20)}
    model = short(dropout=0.5, **settings).fit(X, y)
    assert_array_equal(
        parameters(model),
        parameters(short(dropout=0.5, **settings).fit(X, y)),
    )
    assert (parameters(model) != parameters(short(**settings).fit(X, y))).any()
    assert_array_equal(model.predict_proba(X), model.predict_proba(X))
    # whatever the batch: one of all rows drops units, too
    whole = short(dropout=0.5, batch_size=400, **settings).fit(X, y)
    assert (
        parameters(whole) != parameters(short(batch_size=400, **settings).fit(X, y))
    ).any()


def test_dropout_regularises(digits):
    X, y = digits
    X = X + np.random.default_rng(0).normal(scale=0.5, size=X.shape)
    held_out = {}
    for dropout in (0.0, 0.5):
        model = MLPClassifierManual(
            solver="adam",
            dropout=dropout,
            alpha=1e-4,
            learning_rate_init=0.01,
            max_iter=60,
            tol=0,
            random_state=0,
        ).fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
        held_out[dropout] = model.validation_loss_curve_[-1]
    assert held_out[0.5] < 0.9 * held_out[0.0]


def test_dropout_with_lbfgs_is_an_error(iris):
    with pytest.raises(ValueError, match=r"dropout=0.1 works with solver='sgd' and 'adam'"):
        short(solver="lbfgs", dropout=0.1).fit(*iris)


# --- a start of one's own -------------------------------------------------------------


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


def test_half_a_start_is_a_fresh_start(iris):
    X, y = iris
    model = short(warm_start=True).fit(X, y)
    fresh = short().fit(X, y, intercepts_init=model.intercepts_)
    model.fit(X, y, intercepts_init=model.intercepts_)
    assert_array_equal(parameters(model), parameters(fresh))


def test_initial_weights_of_another_fit_go_on_from_it(iris):
    X, y = iris
    first = short(solver="lbfgs", alpha=0.1).fit(X, y)
    second = short(solver="lbfgs", alpha=0.1, warm_start=True).fit(X, y)
    second.fit(X, y, coefs_init=first.coefs_, intercepts_init=first.intercepts_)
    third = clone(first).set_params(warm_start=True).fit(X, y).fit(X, y)
    assert_array_equal(parameters(second), parameters(third))
    assert len(second.loss_curve_) == 5  # a fit of its own


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


# --- hidden representation ------------------------------------------------------------


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hidden_activations(digits, container, dtype):
    X, y = digits
    X = X.astype(dtype)
    model = short(hidden_layer_sizes=(8, 5)).fit(container(X), y)

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    first = sigmoid(X @ model.coefs_[0] + model.intercepts_[0])
    second = sigmoid(first @ model.coefs_[1] + model.intercepts_[1])
    for layer, expected in ((0, first), (1, second), (-1, second), (-2, first)):
        found = model.hidden_activations(container(X), layer=layer)
        assert found.dtype == dtype
        assert_allclose(found, expected, rtol=1e-5 if dtype == np.float32 else 1e-12)
    assert_array_equal(
        model.transform(container(X)), model.hidden_activations(container(X))
    )
    for layer in (2, -3, "first", 0.0):
        with pytest.raises(ValueError, match=f"layer={layer!r} is not one of the 2 hidden"):
            model.hidden_activations(X, layer)


def test_hidden_layer_feeds_another_estimator(digits):
    X, y = digits
    net = MLPClassifierManual(
        15, solver="adam", learning_rate_init=0.01, max_iter=30, random_state=0
    )
    pipe = make_pipeline(net, HistGradientBoostingClassifier(max_iter=10))
    assert pipe.fit(X[:500], y[:500]).score(X[500:], y[500:]) > 0.7
    names = [f"mlpclassifiermanual{i}" for i in range(15)]
    assert list(pipe[:-1].get_feature_names_out()) == names
    frame = clone(net).set_output(transform="pandas").fit(X, y).transform(X)
    assert list(frame.columns) == names


def test_no_hidden_layer_to_look_at(iris):
    model = short(hidden_layer_sizes=()).fit(*iris)
    assert_array_equal(model.transform(iris[0]), iris[0])
    assert len(model.get_feature_names_out()) == 4
    with pytest.raises(ValueError, match="layer=-1 is not one of the 0 hidden layers"):
        model.hidden_activations(iris[0])
    with pytest.raises(NotFittedError):
        short().hidden_activations(iris[0])


# --- parameters that the solver does not use ------------------------------------------


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
        ({"solver": "sgd", "max_fun": 10}, "solver='lbfgs'"),
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


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "Float64"])
def test_nullable_frames_of_labels_are_as_good_as_arrays(iris, dtype):
    X, y = iris
    labels = np.column_stack([y == 0, y > 1]).astype(int)
    frame = pd.DataFrame(labels, columns=["a", "b"]).astype(dtype)
    expected = short().fit(X, labels).predict(X)
    assert_array_equal(short().fit(X, frame).predict(X), expected)


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
        "sgd": {"momentum": 0.8, "learning_rate": "invscaling", "power_t": 0.3},
        "adam": {"beta_1": 0.8, "batch_size": 20, "dropout": 0.1},
    }[solver]
    short(solver=solver, **used).fit(*iris)
    assert not [w for w in recwarn if "no effect" in str(w.message)]


# --- sizes ----------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [5, [5], (5,), np.array([5]), np.int64(5)])
def test_sizes_of_any_kind_are_the_same(iris, sizes):
    expected = parameters(short(hidden_layer_sizes=(5,)).fit(*iris))
    assert_array_equal(parameters(short(hidden_layer_sizes=sizes).fit(*iris)), expected)


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
