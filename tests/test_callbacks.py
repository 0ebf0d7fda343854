"""Callbacks of `sklearn.callback` where it exists; everything else where it does not."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from common import SOLVERS, STOCHASTIC, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmlp
from skmlp import MLPClassifierManual
from skmlp._alpha import choose_alpha
from skmlp._callbacks import _is_known
from skmlp._outcome import Progress
from skmlp._rows import Rows
from skmlp._settings import Settings
from skmlp._training import most_stages

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

    monkeypatch.setattr("skmlp._choices.choose_alpha", search)
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


@pytest.fixture
def many():
    """Rows, and a validation set, lest fewer are left to train on."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    y = (X[:, 0] * X[:, 1] + 0.3 * rng.normal(size=600) > 0).astype(int)
    return {"X": X, "y": y, "X_val": X[:200], "y_val": y[:200]}


@pytest.fixture
def small_stages(monkeypatch):
    """A stage of the search on 400 rows or more, and fits to parts of 600 rows."""
    monkeypatch.setattr("skmlp._alpha._STAGE_ROWS", 400)
    monkeypatch.setattr("skmlp._alpha.TRAINING_ROWS", 240)
    monkeypatch.setattr("skmlp._alpha.MOST_ROWS", 480)
    monkeypatch.setattr("skmlp._growing._MANY_ROWS", 600)
    monkeypatch.setattr("skmlp._growing._FEWEST_ROWS", 18)


STAGES = {
    "auto": ["choose alpha", "choose alpha on 600 rows"],
    0.3: ["fit to 18 rows", "fit to 75 rows"],
}


def of_stages(events):
    return [event for event in events if "alpha" in event or "rows" in event]


@short_fits
@needs_callbacks
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_what_precedes_the_iterations_is_in_stages(many, small_stages, solver):
    recorder = Recorder()
    model = short(solver, alpha="auto", max_iter=40).set_callbacks(recorder).fit(**many)
    whole, stage = STAGES["auto"]
    assert of_stages(recorder.events) == [
        f"begin {whole}",
        f"begin {stage}",
        f"end {stage}",
        f"end {whole}",
    ]
    assert recorder.n_subtasks == 1 + 2 + 40  # at the most: the parts are left out
    recorder.events.clear()
    model.set_params(alpha=0.3).fit(**many)
    expected = [f"{when} {name}" for name in STAGES[0.3] for when in ("begin", "end")]
    assert of_stages(recorder.events) == expected
    assert recorder.n_subtasks == 2 + 40
    assert recorder.events[2 + len(expected)] == "begin iteration"
    plain = short(solver, alpha=0.3, max_iter=40).fit(**many)
    assert_array_equal(model.predict_proba(many["X"]), plain.predict_proba(many["X"]))


@needs_callbacks
@pytest.mark.parametrize(
    ("stage", "solver", "early_stopping"),
    [
        *itertools.product(STAGES["auto"], SOLVERS, [False, True]),
        *itertools.product(STAGES[0.3], ["lbfgs", "newton-cg"], [False]),
    ],
)
def test_who_asks_to_stop_in_a_stage_gets_what_there_is(
    many, small_stages, solver, early_stopping, stage, recwarn
):
    """All that was begun ends, and nothing else begins but an iteration."""
    X, y = many["X"], many["y"]
    alpha = "auto" if stage in STAGES["auto"] else 0.3
    recorder = Recorder(stop_after=stage)
    model = short(solver, alpha=alpha, early_stopping=early_stopping, max_iter=40)
    model.set_callbacks(recorder).fit(**many)
    names = STAGES[alpha][:1] if stage == "fit to 18 rows" else STAGES[alpha]
    events = of_stages(recorder.events)
    for when in ("begin", "end"):
        assert {e for e in events if e.startswith(when)} == {f"{when} {n}" for n in names}
    assert len(events) == 2 * len(names)
    assert recorder.events[-4:] == [
        "begin iteration",
        "end iteration",
        "end fit",
        "teardown",
    ]
    assert model.n_iter_ == len(model.loss_curve_) == len(recorder.fitted) == 1
    assert model.t_ == 600
    assert_array_equal(recorder.fitted[0].predict_proba(X), model.predict_proba(X))
    assert model.loss_ == model.loss_curve_[0]
    if alpha == "auto":
        assert model.loss_ < 0.99 * np.log(2)  # an epoch of sgd has learnt less
        assert model.score(X, y) > 0.6
    assert not recwarn.list


@short_fits
@needs_callbacks
@pytest.mark.parametrize("when", ["begin", "end"])
@pytest.mark.parametrize("stage", STAGES["auto"] + STAGES[0.3])
def test_ctrl_c_in_a_callback_of_a_stage(many, small_stages, when, stage):
    class Interrupting(Recorder):
        def on_fit_task_begin(self, estimator, context):
            self.interrupt("begin", context)

        def on_fit_task_end(self, estimator, context):
            self.interrupt("end", context)

        def interrupt(self, when_now, context):
            if (when_now, context.task_name) == (when, stage):
                raise KeyboardInterrupt

    alpha = "auto" if stage in STAGES["auto"] else 0.3
    model = short("lbfgs", alpha=alpha).set_callbacks(Interrupting())
    with pytest.raises(KeyboardInterrupt) as caught:
        model.fit(**many)
    is_early = when == "begin" and stage in ("choose alpha", "fit to 18 rows")
    assert ("before its iterations" in str(caught.value)) != is_early
    assert hasattr(model, "coefs_") != is_early


def test_stages_at_the_most():
    """What may have fewer in the end: parts of wide rows, or after a search."""
    few, many = (Rows(np.zeros((400_000, d)), np.zeros(400_000, int)) for d in (1, 16))
    for params, earlier, is_drawn, n_stages in (
        ({"alpha": 1.0}, None, True, 3),
        ({}, None, True, 4),
        ({}, None, False, 1),
        ({"solver": "adam"}, None, True, 1),
        ({"early_stopping": True}, None, True, 1),
        ({"early_stopping": "auto"}, None, True, 1),
        ({}, Progress(0, alpha=1.0, chosen_for=1.0), False, 0),
    ):
        settings = Settings(MLPClassifierManual(**params))
        assert most_stages(settings, few, None, earlier, is_drawn) == n_stages
    for params, is_drawn, n_stages in (
        ({"solver": "sgd"}, True, 2),
        ({"solver": "sgd"}, False, 1),
        ({"solver": "sgd", "standardize": "wide"}, True, 1),
        ({"solver": "sgd", "standardize": False}, True, 1),
        ({"solver": "sgd", "alpha": 1.0}, True, 0),
    ):
        settings = Settings(MLPClassifierManual(**params))
        assert most_stages(settings, many, None, None, is_drawn) == n_stages


@short_fits
@needs_callbacks
@pytest.mark.parametrize("stop_after", [None, "choose divisor"])
def test_the_choice_of_a_divisor_is_a_stage(stop_after, capsys):
    X, y = load_digits(return_X_y=True)
    recorder = Recorder(stop_after=stop_after)
    model = MLPClassifierManual(4, max_iter=3, tol=1, verbose=1, random_state=0)
    model.set_callbacks(recorder).fit(X[:300], y[:300])
    assert [event for event in recorder.events if "choose" in event] == [
        "begin choose divisor",
        "end choose divisor",
        "begin choose alpha",
        "end choose alpha",
    ]
    assert recorder.events.count("begin iteration") == model.n_iter_
    assert (model.n_iter_ == 1) == (stop_after is not None)
    out = capsys.readouterr().out
    for value in (True, "common", "wide"):
        assert f"standardize={value!r}: held-out loss = " in out


@needs_callbacks
def test_an_error_in_the_search_tears_down(iris, monkeypatch):
    def search(*arguments, **options):
        raise RuntimeError("an error in the search")

    monkeypatch.setattr("skmlp._choices.choose_alpha", search)
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
