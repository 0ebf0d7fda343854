"""LossCurveDisplay draws what was recorded, and nothing without matplotlib."""

import subprocess
import sys

import numpy as np
import pytest
from common import short_fits
from numpy.testing import assert_array_equal
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmlp import LossCurveDisplay, MLPClassifierManual, MLPRegressorManual

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5))
    y = (X[:, 0] + rng.normal(size=200) > 0).astype(int)
    return MLPClassifierManual(
        20, solver="adam", learning_rate_init=0.1, early_stopping=True, random_state=0
    ).fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])


def test_from_estimator(model):
    display = LossCurveDisplay.from_estimator(model, name="net", alpha=0.5, lw=3)
    (line,), (dashed,), (dot,) = display.line_, display.validation_line_, display.best_
    n_iter = np.arange(1, model.n_iter_ + 1)
    assert_array_equal(line.get_xydata(), np.c_[n_iter, model.loss_curve_])
    assert_array_equal(dashed.get_xydata(), np.c_[n_iter, model.validation_loss_curve_])
    best = model.best_iteration_
    assert_array_equal(dot.get_xydata(), [[best + 1, model.validation_loss_curve_[best]]])
    assert line.get_color() == dashed.get_color() == dot.get_color()
    assert line.get_linestyle() != dashed.get_linestyle()
    assert line.get_alpha() == dashed.get_alpha() == 0.5
    assert line.get_linewidth() == 3
    red = LossCurveDisplay.from_estimator(model, c="r", ls=":", label="mine")
    assert red.line_[0].get_color() == red.best_[0].get_color() == "r"
    assert red.line_[0].get_label() == "mine"
    assert display.ax_.get_xlabel() == "iteration"
    assert display.ax_.get_ylabel() == "loss"
    assert display.ax_.get_yscale() == "linear"
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["net", "validation loss", "parameters that are kept"]
    assert display.figure_ is display.ax_.figure


@short_fits
def test_several_on_given_axes(model):
    X = np.random.default_rng(0).normal(size=(100, 5))
    settings = {"solver": "sgd", "max_iter": 3, "random_state": 0}
    y = X[:, 0] > 0
    peer = MLPClassifier(**settings).fit(X, y)
    pipe = make_pipeline(StandardScaler(), MLPClassifierManual(**settings)).fit(X, y)
    _, ax = plt.subplots()
    estimators = {"ours": model, "theirs": peer, "pipeline": pipe}
    display = LossCurveDisplay.from_estimators(estimators, ax=ax, log_scale=True)
    assert display.ax_ is ax
    assert ax.get_yscale() == "log"
    assert [line is None for line in display.validation_line_] == [False, True, True]
    assert [dot is None for dot in display.best_] == [False, True, True]
    assert_array_equal(display.line_[1].get_ydata(), peer.loss_curve_)
    assert_array_equal(display.line_[2].get_ydata(), pipe[-1].loss_curve_)
    assert len({line.get_color() for line in display.line_}) == 3
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "ours",
        "theirs",
        "pipeline",
        "validation loss",
        "parameters that are kept",
    ]
    again = display.plot()
    assert again is display
    assert display.ax_ is not ax


def test_estimator_without_curve():
    with pytest.raises(
        ValueError, match=r"'MLPClassifierManual' has no loss_curve_: .* not fitted"
    ):
        LossCurveDisplay.from_estimator(MLPClassifierManual())
    with pytest.raises(ValueError, match=r"'scale' has no loss_curve_: .*does not record"):
        LossCurveDisplay.from_estimators({"scale": StandardScaler()})


def test_matplotlib_is_needed_only_to_plot():
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "from skmlp import LossCurveDisplay\n"
        "try:\n"
        "    LossCurveDisplay([[1.0]]).plot()\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert b"requires matplotlib" in done.stdout


def test_names_in_the_legend_are_written_as_they_are(tmp_path):
    names = ["Ba$$in", "cost ($) net ($)", r"\alpha_{", "_hidden", "100%", "x" * 80]
    display = LossCurveDisplay([[1.0, 0.5]] * len(names), names=names).plot()
    display.figure_.savefig(tmp_path / "picture.png")
    texts = display.ax_.get_legend().get_texts()
    assert [text.get_text().replace("\n", "") for text in texts] == names
    assert not any(text.get_parse_math() or text.get_usetex() for text in texts)
    box, axes = display.ax_.get_legend().get_window_extent(), display.ax_.bbox
    assert axes.x0 <= box.x0 < box.x1 <= axes.x1
    assert LossCurveDisplay([]).plot().line_ == []


@short_fits
@pytest.mark.parametrize("loss", ["squared_error", "poisson", "quantile", "gaussian"])
def test_regressors(loss):
    X = np.random.default_rng(0).normal(size=(200, 5))
    y = np.exp(X[:, 0])
    model = MLPRegressorManual(loss, 5, max_iter=20, early_stopping=True, random_state=0)
    pipe = make_pipeline(StandardScaler(), model).fit(X, y)
    display = LossCurveDisplay.from_estimator(pipe, log_scale=True)
    (line,), (dashed,), (dot,) = display.line_, display.validation_line_, display.best_
    assert_array_equal(line.get_ydata(), model.loss_curve_)
    assert_array_equal(dashed.get_ydata(), model.validation_loss_curve_)
    assert dot.get_ydata() == model.validation_loss_curve_[model.best_iteration_]
    assert min(model.loss_curve_) > 0  # so that a logarithmic scale can show them
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels[0] == "MLPRegressorManual"
    display.figure_.canvas.draw()
    assert display.ax_.yaxis.label.get_window_extent().x0 >= 0
