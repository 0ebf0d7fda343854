"""Callbacks of `sklearn.callback` where it exists; everything else where it does not."""

import subprocess
import sys

import numpy as np
import pytest
from common import SOLVERS, STOCHASTIC, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmlp
from skmlp import MLPClassifierManual
from skmlp._alpha import choose_alpha
from skmlp._callbacks import _is_known

needs_callbacks = pytest.mark.skipif(not _is_known, reason="needs scikit-learn >= 1.9")


class Recorder:
    """Follows a fit, and asks it to stop after some iterations, or after a stage."""

    def __init__(self, stop_after=None, interrupt_after=None):
        self.stop_after = stop_after
        self.interrupt_after = interrupt_after
        self.events = []
        self.fitted = []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")
        if context.task_name == "fit":
            self.n_subtasks = context.max_subtasks

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.events.append(f"end {context.task_name}")
        if context.task_name == "iteration" and fitted_estimator is not None:
            self.fitted.append(fitted_estimator)
            self.data = X, y, metadata
            if len(self.fitted) == self.interrupt_after:
                raise RuntimeError("an error in a callback")
            return len(self.fitted) == self.stop_after
        return context.task_name == self.stop_after


def short(solver, **params):
    model = MLPClassifierManual(8, solver=solver, alpha=0.1, max_iter=4, random_state=0)
    return model.set_params(**params)


@short_fits
@needs_callbacks
@pytest.mark.parametrize("solver", SOLVERS)
def test_callbacks_follow_every_iteration(iris, solver):
    X, y = iris
    recorder = Recorder()
    weights = np.ones(len(y))
    model = short(solver).set_callbacks(recorder).fit(X, y, weights)
    iterations = ["begin iteration", "end iteration"] * 4
    assert recorder.events == ["setup", "begin fit", *iterations, "end fit", "teardown"]
    assert recorder.data[0] is X
    assert recorder.data[1] is y
    assert recorder.data[2] == {"sample_weight": weights}
    with pytest.warns(UserWarning, match="^groups has no effect"):
        short(solver).set_callbacks(recorder).fit(X, y, groups=y)
    assert recorder.data[2] == {"groups": y}
    recorder.fitted = recorder.fitted[:4]
    plain = short(solver).fit(X, y, weights)
    assert_array_equal(recorder.fitted[-1].predict_proba(X), plain.predict_proba(X))
    for n, fitted in enumerate(recorder.fitted, start=1):
        until = short(solver, max_iter=n).fit(X, y, weights)
        assert_array_equal(fitted.predict_proba(X), until.predict_proba(X))
        assert fitted.loss_curve_ == until.loss_curve_
        assert fitted.loss_ == until.loss_
        assert fitted.n_iter_ == n
    assert_array_equal(model.predict_proba(X), plain.predict_proba(X))


@needs_callbacks
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_callback_stops_the_fit(iris, solver, early_stopping, recwarn):
    X, y = iris
    recorder = Recorder(stop_after=2)
    model = short(solver, early_stopping=early_stopping).set_callbacks(recorder).fit(X, y)
    assert model.n_iter_ == len(recorder.fitted) == 2
    assert recorder.events[-3:] == ["end iteration", "end fit", "teardown"]
    assert recorder.events.count("begin iteration") == 2
    assert not recwarn.list  # what was asked for is no failure to converge
    until = short(solver, early_stopping=early_stopping, max_iter=2).fit(X, y)
    fitted = recorder.fitted[-1]
    assert fitted.validation_loss_curve_ == model.validation_loss_curve_
    assert fitted.best_validation_score_ == model.best_validation_score_
    assert fitted.best_iteration_ == model.best_iteration_
    assert_array_equal(model.predict_proba(X), until.predict_proba(X))


@short_fits
@needs_callbacks
@pytest.mark.parametrize("solver", SOLVERS)
def test_callbacks_see_the_last_parameters_not_the_best(iris, solver):
    X, y = iris
    recorder = Recorder()
    scores = iter([3.0, 2.0, 1.0, 0.0])
    short(solver, early_stopping=True, scoring=lambda *_: next(scores)).set_callbacks(
        recorder
    ).fit(X, y)
    first, *_, last = recorder.fitted
    assert (first.coefs_[0] != last.coefs_[0]).any()
    assert first.best_iteration_ == last.best_iteration_ == 0


@short_fits
@needs_callbacks
@pytest.mark.parametrize("solver", SOLVERS)
def test_the_search_for_alpha_is_a_stage_before_the_iterations(iris, solver, monkeypatch):
    X, y = iris
    plain = short(solver, alpha="auto").fit(X, y)
    recorder = Recorder()

    def search(*arguments, **options):
        recorder.events.append("search")
        return choose_alpha(*arguments, **options)

    monkeypatch.setattr("skmlp._training.choose_alpha", search)
    model = short(solver, alpha="auto", warm_start=True).set_callbacks(recorder).fit(X, y)
    stage = ["begin choose alpha", "search", "end choose alpha"]
    iterations = ["begin iteration", "end iteration"] * 4
    events = ["setup", "begin fit", *iterations, "end fit", "teardown"]
    assert recorder.events == [*events[:2], *stage, *events[2:]]
    assert recorder.n_subtasks == 1 + 4
    assert model.alpha_ == plain.alpha_
    assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    recorder.events.clear()
    model.fit(X, y)  # goes on with the alpha that it has
    assert recorder.events == events
    assert recorder.n_subtasks == 4


@needs_callbacks
@pytest.mark.parametrize("solver", SOLVERS)
def test_who_asks_to_stop_after_the_search_gets_one_iteration(iris, solver, recwarn):
    recorder = Recorder(stop_after="choose alpha")
    model = short(solver, alpha="auto").set_callbacks(recorder).fit(*iris)
    assert model.n_iter_ == len(recorder.fitted) == 1
    assert recorder.events[-5:] == [
        "end choose alpha",
        "begin iteration",
        "end iteration",
        "end fit",
        "teardown",
    ]
    assert not recwarn.list


@needs_callbacks
def test_an_error_in_the_search_tears_down(iris, monkeypatch):
    def search(*arguments, **options):
        raise RuntimeError("an error in the search")

    monkeypatch.setattr("skmlp._training.choose_alpha", search)
    model = short("lbfgs", alpha="auto").set_callbacks(recorder := Recorder())
    with pytest.raises(RuntimeError, match="an error in the search"):
        model.fit(*iris)
    assert recorder.events == ["setup", "begin fit", "begin choose alpha", "teardown"]


@short_fits
@needs_callbacks
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_a_fit_goes_on_exactly_after_a_callback_stopped_it(iris, solver):
    X, y = iris
    model = short(solver, warm_start=True).set_callbacks(Recorder(stop_after=1)).fit(X, y)
    model.set_callbacks().set_params(max_iter=3).fit(X, y)
    assert_array_equal(model.predict_proba(X), short(solver).fit(X, y).predict_proba(X))


@short_fits
@needs_callbacks
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_fit_that_ends_by_itself_ends_what_it_began(iris, solver):
    recorder = Recorder()
    short(solver, tol=10.0, max_iter=50).set_callbacks(recorder).fit(*iris)
    assert len(recorder.fitted) < 50
    for task in ("iteration", "fit"):
        begun, ended = (
            recorder.events.count(f"{when} {task}") for when in ("begin", "end")
        )
        assert begun == ended


@needs_callbacks
def test_an_error_in_a_callback_tears_down_and_leaves_nothing_behind(iris):
    model = short("adam").set_callbacks(recorder := Recorder(interrupt_after=2))
    before = dict(vars(model))
    with pytest.raises(RuntimeError, match="an error in a callback"):
        model.fit(*iris)
    assert recorder.events[-1] == "teardown"
    assert vars(model) == before


@short_fits
@needs_callbacks
@pytest.mark.parametrize("solver", SOLVERS)
def test_scoring_monitor(iris, solver):
    from sklearn.callback import ScoringMonitor

    X, y = iris
    monitor = ScoringMonitor(scoring="neg_log_loss")
    model = short(solver, alpha=0).set_callbacks(monitor).fit(X, y)
    scores = [
        row["neg_log_loss"] for row in monitor.get_logs().data if "neg_log_loss" in row
    ]
    assert len(scores) == 1 + 4  # that of the whole fit comes first
    assert scores[0] == scores[-1]
    if solver not in STOCHASTIC:
        assert_allclose(scores[1:], -np.array(model.loss_curve_), rtol=1e-6)


@short_fits
@needs_callbacks
@pytest.mark.parametrize("solver", SOLVERS)
def test_progress_bar_in_pipeline_and_search(iris, solver, capsys):
    from sklearn.callback import ProgressBar

    X, y = iris
    pipe = make_pipeline(StandardScaler(), short(solver))
    search = GridSearchCV(pipe, {"mlpclassifiermanual__alpha": [0.1, 1]}, cv=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
    out = capsys.readouterr().out
    assert "MLPClassifierManual" in out
    assert "100%" in out
    assert "choose alpha" not in out
    short(solver, alpha="auto").set_callbacks(ProgressBar()).fit(X, y)
    out = capsys.readouterr().out
    assert "MLPClassifierManual - fit" in out
    assert "MLPClassifierManual - choose alpha" in out


@pytest.mark.skipif(_is_known, reason="for scikit-learn < 1.9")
@short_fits
def test_without_callbacks_set_callbacks_says_what_it_needs(iris):
    model = short("adam")
    assert not hasattr(model, "set_callbacks")
    with pytest.raises(AttributeError) as caught:
        model.set_callbacks()
    assert "needs sklearn.callback as scikit-learn 1.9 has it" in str(
        caught.value.__cause__
    )
    assert model.fit(*iris).n_iter_ == 4


@needs_callbacks
def test_a_changed_api_only_costs_the_callbacks():
    code = (
        "from sklearn.callback import CallbackContext\n"
        "del CallbackContext.subcontext\n"
        "from sklearn.datasets import load_iris\n"
        "from skmlp import MLPClassifierManual\n"
        "model = MLPClassifierManual(solver='lbfgs', tol=1e-2)\n"
        "model.fit(*load_iris(return_X_y=True))\n"
        "assert model.n_iter_ > 2 and not hasattr(model, 'set_callbacks')\n"
        "try:\n"
        "    model.set_callbacks()\n"
        "except AttributeError as error:\n"
        "    print(error.__cause__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, check=True
    )
    assert b"needs sklearn.callback as scikit-learn 1.9 has it" in done.stdout


def test_the_adapter_is_the_only_place_that_knows_the_callbacks():
    source = skmlp.__path__[0]
    found = subprocess.run(
        ["grep", "-rl", "sklearn.callback", source, "--include=*.py"],
        capture_output=True,
        check=True,
    )
    assert [line.rsplit(b"/", 1)[1] for line in found.stdout.split()] == [b"_callbacks.py"]
