"""AttributionDisplay draws the contributions that `attributions` computes."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from common import short, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmlp import MLPRegressorManual
from skmlp.inspection import AttributionDisplay, _display, attributions

plt = pytest.importorskip("matplotlib.pyplot")

pytestmark = short_fits


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).normal(size=(50, 6))


@pytest.fixture(scope="module")
def model(X):
    return short(solver="lbfgs", alpha=1.0).fit(X, X[:, 0] + X[:, 1] ** 2 > 1)


def names(display):
    return [text.get_text() for text in display.ax_.get_yticklabels()]


def test_bars(model, X):
    display = AttributionDisplay.from_estimator(model, X, max_features=4, color="r")
    importance = np.abs(attributions(model, X, target=True).contributions).mean(axis=0)
    order = np.argsort(-importance)[:4]
    assert_array_equal(display.feature_order_, order)
    assert_allclose(display.bars_.datavalues, importance[order])
    assert names(display) == [f"x{i}" for i in order]
    assert display.ax_.yaxis_inverted()
    assert display.ax_.get_xlabel() == "mean |contribution| to logit of True"
    assert display.bars_[0].get_facecolor() == (1, 0, 0, 1)
    assert display.dots_ is None
    assert display.figure_ is display.ax_.figure


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_strips(model, X, container):
    X = np.where(np.abs(X) > 0.5, X, 0)
    _, ax = plt.subplots()
    options = {"response_method": "decision_function", "baseline": X[:4]}
    display = AttributionDisplay.from_estimator(
        model, container(X), kind="strip", ax=ax, max_features=3, s=4, **options
    )
    result = attributions(model, X, target=True, **options)
    order = display.feature_order_
    x, y = display.dots_.get_offsets().T
    assert_allclose(x, result.contributions[:, order].ravel(), atol=1e-12)
    strip = np.round(y).astype(int).reshape(50, 3)
    assert_array_equal(strip, np.tile([0, 1, 2], (50, 1)))
    assert len(set(y)) > 3  # dots of a strip lie side by side
    assert np.abs(y - np.round(y)).max() <= 0.4
    levels = display.dots_.get_array().reshape(50, 3)
    for column, values in zip(levels.T, X[:, order].T, strict=True):
        rows = np.argsort(values)
        assert (np.diff(column[rows]) >= 0).all()
        assert (column.min(), column.max()) == (0, 1)
        assert len(set(column[values == 0])) == 1
    assert display.dots_.get_sizes() == [4]
    assert display.ax_ is ax
    assert display.bars_ is None
    assert ax.get_xlabel() == "contribution to decision function of True"
    red = display.plot(kind="strip", color="r")
    assert red.dots_.get_array() is None
    assert red.ax_ is not ax


@pytest.mark.parametrize("row", [3, -1])
def test_waterfall(model, X, row):
    display = AttributionDisplay.from_estimator(
        model, X, kind="waterfall", row=row, max_features=4, response_method="predict_proba"
    )
    result = attributions(model, X, target=True, response_method="predict_proba")
    contributions = result.contributions[row]
    order = np.argsort(-np.abs(contributions))
    assert_array_equal(display.feature_order_, order[:4])
    steps = [*contributions[order[:4]], contributions[order[4:]].sum()]
    assert_allclose(display.bars_.datavalues, steps, atol=1e-12)
    starts = result.base_values + np.r_[0, np.cumsum(steps)[:-1]]
    assert_allclose([min(b.get_x(), b.get_x() + b.get_width()) for b in display.bars_],
                    np.minimum(starts, starts + steps), atol=1e-12)  # fmt: skip
    colors = [bar.get_facecolor() for bar in display.bars_]
    assert [color == colors[0] for color in colors] == list(
        np.sign(steps) == np.sign(steps[0])
    )
    assert names(display) == [
        *(f"x{i} = {X[row, i]:.3g}" for i in order[:4]),
        "2 other features",
    ]
    assert display.ax_.get_xlabel() == "probability of True"
    title = (
        f"from {result.base_values:.3g} (dotted) to {result.base_values + sum(steps):.3g}"
    )
    assert display.ax_.get_title() == title
    (base, end) = (line.get_xdata()[0] for line in display.ax_.lines)
    assert_allclose([base, end], [result.base_values, result.responses[row]], atol=0.01)
    low, high = display.ax_.get_xlim()
    assert low < min(starts) < max(starts) < high


def test_numbers_of_ones_own():
    display = AttributionDisplay([[1.0, -3.0], [2.0, 1.0]], feature_names=["a", "b"])
    assert names(display.plot()) == ["b", "a"]
    assert names(display.plot(kind="waterfall", row=1)) == ["a", "b"]
    assert_array_equal(display.bars_.datavalues, [2, 1])
    assert display.plot(kind="strip").dots_.get_array() is None
    nothing = AttributionDisplay(np.zeros((3, 2)), features=np.ones((3, 2)))
    assert_array_equal(nothing.plot(kind="strip").dots_.get_array(), 0)


def test_pipelines_and_targets(X):
    pipe = make_pipeline(StandardScaler(), short(solver="lbfgs", alpha=1.0))
    pipe.fit(X, np.array(list("abc"))[np.arange(50) % 3])
    display = AttributionDisplay.from_estimator(pipe, 2 * X, target="c")
    expected = attributions(pipe, 2 * X, target="c")
    assert_array_equal(display.contributions, expected.contributions)
    assert_allclose(display.features, pipe[0].transform(2 * X))
    assert display.output_name == "logit of c"
    with pytest.raises(ValueError, match=r"target should be one of \['a', 'b', 'c'\]: "):
        AttributionDisplay.from_estimator(pipe, X)
    with pytest.raises(ValueError, match="target should be a single class"):
        AttributionDisplay.from_estimator(pipe, X, target=["a", "b"])


def test_of_one_of_two_classes_the_second_is_drawn_and_nothing_else_computed(
    X, monkeypatch
):
    labels = np.c_[X[:, 0] > 0, X[:, 1] > 0]
    of_labels = short(solver="lbfgs", alpha=1.0).fit(X, labels)
    of_two = short(solver="lbfgs", alpha=1.0).fit(X, labels[:, 0])
    display = AttributionDisplay.from_estimator(of_two, X)
    assert display.output_name == "logit of True"
    monkeypatch.setattr(_display, "attributions", None)  # before any work
    with pytest.raises(ValueError, match=r"one of \[0, 1\]: name one"):
        AttributionDisplay.from_estimator(of_labels, X)
    with pytest.raises(ValueError, match="row=99 is not one of the 50 rows"):
        AttributionDisplay.from_estimator(of_two, X, kind="waterfall", row=99)


def test_what_can_not_be_drawn_is_an_error():
    numbers = np.ones((3, 2))
    with pytest.raises(ValueError, match="Found array with dim 3"):
        AttributionDisplay(numbers[np.newaxis]).plot()
    with pytest.raises(ValueError, match="max_features == 0, must be >= 1"):
        AttributionDisplay(numbers).plot(max_features=0)
    with pytest.raises(ValueError, match=r"row=1\.5 is not one of the 3 rows"):
        AttributionDisplay(numbers).plot(kind="waterfall", row=1.5)


def test_names_are_not_cut_off(model, X):
    names = np.array([f"a name of a feature of {i} words" for i in range(X.shape[1])])
    display = AttributionDisplay.from_estimator(model, X, kind="waterfall")
    display.feature_names = names
    display.plot(kind="waterfall")
    display.figure_.canvas.draw()
    boxes = [text.get_window_extent() for text in display.ax_.get_yticklabels()]
    assert min(box.x0 for box in boxes) >= 0
    many = AttributionDisplay(np.ones((2, 60))).plot(max_features=60)
    heights = [text.get_window_extent().height for text in many.ax_.get_yticklabels()]
    step = many.ax_.get_window_extent().height / 60
    assert step > 0.8 * max(heights)


ODD = [
    "cost ($) of net ($)",
    "Ba$$in",
    r"\\alpha_{",
    "100%",
    "_hidden",
    "x^2_",
    "price_$",
    r"a\$b",
    "{}}",
]


def texts(display):
    """All that is written on the axes."""
    ax = display.ax_
    return [*ax.get_yticklabels(), ax.xaxis.label, ax.title]


@pytest.mark.parametrize("kind", ["bar", "strip", "waterfall"])
def test_names_are_written_as_they_are(kind, tmp_path):
    numbers = np.random.default_rng(0).normal(size=(5, len(ODD)))
    for output_name in ("logit of $10k-$50k", "logit of a$$b", r"logit of \frac{"):
        display = AttributionDisplay(numbers, numbers, 0.0, ODD, output_name)
        display.plot(kind=kind)
        display.figure_.savefig(tmp_path / "picture.png")
        written = [text.get_text().split(" = ")[0] for text in texts(display)]
        assert written[: len(ODD)] == [ODD[i] for i in display.feature_order_]
        assert written[-2].endswith(output_name)
        for text in texts(display)[:-1]:
            assert not text.get_parse_math()
            assert not text.get_usetex()


@pytest.mark.parametrize("kind", ["bar", "strip", "waterfall"])
@pytest.mark.parametrize("filler", ["income of the person ", "preprocess__category_"])
@pytest.mark.parametrize(("length", "size"), [(33, 10), (60, 10), (60, 18), (500, 10)])
def test_long_names_leave_room_for_the_axes(kind, filler, length, size, monkeypatch):
    monkeypatch.setitem(plt.rcParams, "font.size", size)
    long = [f"q{i} {filler * 30}"[:length] for i in range(12)]
    numbers = np.random.default_rng(0).normal(size=(5, 12))
    display = AttributionDisplay(numbers, numbers, 0.0, long, f"logit of {long[0]}")
    display.plot(kind=kind)
    display.figure_.canvas.draw()
    assert display.ax_.get_position().width > 1 / 3
    boxes = [text.get_window_extent() for text in texts(display)]
    assert min(box.x0 for box in boxes) >= 0
    assert min(box.y0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= display.figure_.bbox.width
    names = [text.get_window_extent() for text in display.ax_.get_yticklabels()]
    for upper, lower in itertools.pairwise(names):
        assert upper.y0 > lower.y1
    for text, i in zip(texts(display), display.feature_order_, strict=False):
        written = "".join(text.get_text().split())
        assert written.startswith(f"q{i}")
        if length <= 60 and size == 10:
            assert "".join(long[i].split()) in written
        assert text.get_text().count("\n") < 4
        assert kind != "waterfall" or f"= {numbers[0, i]:.3g}" in text.get_text()


def test_long_names_in_axes_of_ones_own():
    long = [f"q{i}_" + "OCCUPATION_AND_INCOME_" * 4 for i in range(10)]
    display = AttributionDisplay(np.ones((5, 10)), feature_names=long)
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.8), layout="constrained")
    for ax in axes:
        display.plot(ax)
    figure.canvas.draw()
    assert_array_equal(figure.get_size_inches(), [12, 4.8])
    for ax in axes:
        assert ax.get_position().width > 0.1
        boxes = [text.get_window_extent() for text in ax.get_yticklabels()]
        for upper, lower in itertools.pairwise(boxes):
            assert upper.y0 > lower.y0 + 0.9 * upper.height
        # each has its beginning and its end
        for i, text in enumerate(ax.get_yticklabels()):
            assert text.get_text().startswith(f"q{i}_")
            assert text.get_text().endswith("_INCOME_")


def test_a_colour_of_ones_own_has_no_colour_bar(model, X):
    display = AttributionDisplay.from_estimator(model, X, kind="strip", c="red")
    assert len(display.figure_.axes) == 1


def test_bad_kind_and_row(model, X):
    with pytest.raises(ValueError, match=r"kind should be one of .*, got 'pie'"):
        AttributionDisplay.from_estimator(model, X, kind="pie")
    for row in (50, -51):
        with pytest.raises(ValueError, match=f"row={row} is not one of the 50 rows"):
            AttributionDisplay.from_estimator(model, X, kind="waterfall", row=row)
    with pytest.raises(ValueError, match="kind should be one of"):
        AttributionDisplay([[1.0]]).plot(kind="line")


def test_matplotlib_is_needed_only_to_draw():
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "from skmlp.inspection import AttributionDisplay, attributions\n"
        "try:\n"
        "    AttributionDisplay([[1.0]]).plot()\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert b"requires matplotlib" in done.stdout


@pytest.mark.parametrize(
    ("params", "target", "title"),
    [
        ({}, None, "prediction of y"),
        ({"response_method": "logits"}, None, "logit of y"),
        ({"loss": "poisson"}, None, "prediction of y"),
        ({"loss": "quantile", "quantile": 0.9}, None, "prediction of quantile 0.9 of y"),
        (
            {"loss": "quantile", "quantile": [0.1, 0.9]},
            0.1,
            "prediction of quantile 0.1 of y",
        ),
        ({"loss": "gaussian"}, None, "prediction of mean of y"),
        ({"loss": "gaussian"}, "std", "prediction of std of y"),
    ],
)
@pytest.mark.parametrize("kind", ["bar", "strip", "waterfall"])
def test_values(X, params, target, title, kind):
    y = 10 + X[:, 0] + X[:, 1] ** 2
    options = {name: params[name] for name in ("response_method",) if name in params}
    settings = {name: params[name] for name in params if name not in options}
    model = MLPRegressorManual(hidden_layer_sizes=5, alpha=0.1, max_iter=20, **settings)
    model.fit(X, y)
    display = AttributionDisplay.from_estimator(
        model, X, target=target, kind=kind, row=2, **options
    )
    assert display.ax_.get_xlabel().endswith(title)
    name = model._targets().outputs[0] if target is None else target
    result = attributions(model, X, target=name, **options)
    assert_array_equal(display.contributions, result.contributions)
    assert display.base_value == result.base_values


def test_of_several_values_one_has_to_be_named(X):
    Y = np.c_[X[:, 0] + X[:, 1], X[:, 2]]
    model = MLPRegressorManual(hidden_layer_sizes=5, alpha=0.1, max_iter=20).fit(X, Y)
    with pytest.raises(ValueError, match=r"one of \[0, 1\]: name one"):
        AttributionDisplay.from_estimator(model, X)
    display = AttributionDisplay.from_estimator(model, X, target=1, kind="strip")
    assert display.ax_.get_xlabel() == "contribution to prediction of column 1 of y"
    assert display.feature_order_[0] == 2
    with pytest.raises(ValueError, match=r"'logits'\]. Got 'predict_proba' instead"):
        AttributionDisplay.from_estimator(
            model, X, target=1, response_method="predict_proba"
        )
    dense = MLPRegressorManual(loss="gaussian", hidden_layer_sizes=5, alpha=0.1, max_iter=9)
    with pytest.raises(ValueError, match=r"'std_0', 'std_1'.*: name one"):
        AttributionDisplay.from_estimator(dense.fit(X, Y), X)
