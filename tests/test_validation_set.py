"""A validation set of one's own, what is watched on it, and how it gets there."""

import numpy as np
import pytest
from common import SOLVERS, STOCHASTIC, parameters, short, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics import accuracy_score, get_scorer, log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skmlp import MLPClassifierManual


@pytest.mark.parametrize("solver", SOLVERS)
def test_validation_set_is_watched(digits, solver):
    X, y = digits
    train, val = slice(0, 300), slice(300, 500)
    model = MLPClassifierManual(
        30,
        solver=solver,
        learning_rate_init=0.05 if solver in STOCHASTIC else 0.001,
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


@short_fits
@pytest.mark.parametrize("solver", SOLVERS)
def test_validation_set_without_stopping_is_only_recorded(digits, solver):
    X, y = digits
    settings = {"solver": solver, "max_iter": 12, "n_iter_no_change": 3}
    if solver not in STOCHASTIC:
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


@short_fits
def test_weights_of_the_validation_set(imbalanced):
    """Weight 2 is the row twice; class weights act on the loss, too."""
    X, y = imbalanced
    weights = np.random.default_rng(0).integers(3, size=len(y))
    twice = np.repeat(np.arange(len(y)), weights)
    settings = {"alpha": "auto", "class_weight": {8: 3}}
    curves = [
        short(**settings).fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=w)
        for X_val, y_val, w in ((X, y, weights), (X[twice], y[twice], None))
    ]
    assert_allclose(*(model.validation_loss_curve_ for model in curves), rtol=1e-12)
    one = short(**settings).fit(X, y, X_val=X, y_val=y)
    expected = log_loss(y, one.predict_proba(X), sample_weight=np.where(y == 8, 3, 1))
    assert_allclose(one.validation_loss_curve_[-1], expected, rtol=1e-6)


@short_fits
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


@short_fits
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


@short_fits
def test_scorer_sees_no_names_to_warn_about(iris):
    pd = pytest.importorskip("pandas")
    X, y = iris
    X = pd.DataFrame(X, columns=list("abcd"))
    model = short(scoring="accuracy").fit(X, y, X_val=X[::2], y_val=y[::2])
    assert len(model.validation_scores_) == 5
    assert list(model.feature_names_in_) == list("abcd")


@short_fits
def test_class_weights_act_on_the_loss_but_not_on_other_scores(imbalanced):
    X, y = imbalanced
    settings = {"class_weight": {8: 100}, "scoring": "accuracy", "early_stopping": True}
    model = short(**settings).fit(X, y, X_val=X, y_val=y)
    assert model.best_validation_score_ == model.score(X, y)
    weights = np.random.default_rng(0).uniform(size=len(y))
    model = short(**settings).fit(X, y, X_val=X, y_val=y, sample_weight_val=weights)
    assert_allclose(model.best_validation_score_, model.score(X, y, weights))


@short_fits
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


@short_fits
def test_best_iteration_counts_over_warm_starts(iris):
    X, y = iris
    model = short(warm_start=True, early_stopping=True, random_state=1)
    model.fit(X, y).fit(X, y)
    assert len(model.validation_loss_curve_) == 10
    assert model.best_iteration_ == 5 + np.argmin(model.validation_loss_curve_[5:])


@short_fits
def test_validation_is_in_the_precision_of_the_training_data(digits):
    X, y = digits
    seen = set()

    def scorer(estimator, X, y):
        seen.add(X.dtype)
        return 0.0

    short(scoring=scorer).fit(X[:200].astype(np.float32), y[:200], X_val=X, y_val=y)
    assert seen == {np.dtype(np.float32)}


@short_fits
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


@short_fits
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


@short_fits
@pytest.mark.parametrize("scoring", ["accuracy", "no_such_score"])
def test_unknown_scorer(iris, scoring):
    model = short(scoring=scoring, early_stopping=True)
    if scoring == "accuracy":
        assert 0 <= model.fit(*iris).best_validation_score_ <= 1
    else:
        with pytest.raises(ValueError, match="no_such_score"):
            model.fit(*iris)
        assert not hasattr(model, "coefs_")


@short_fits
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


@short_fits
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
            groups=True,
            coefs_init=False,
            intercepts_init=False,
        )
        model.set_partial_fit_request(classes=True, sample_weight=True)
        model.set_score_request(sample_weight=True)
        routing = model.get_metadata_routing()
    assert routing.fit.requests["X_val"] is True
    assert routing.partial_fit.requests == {"classes": True, "sample_weight": True}
    assert routing.score.requests == {"sample_weight": True}
