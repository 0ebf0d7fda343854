"""Contributions, gradients and pictures of tables: of their columns, as users have them."""

import numpy as np
import pytest
from common import short_fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.inspection import (
    PartialDependenceDisplay,
    partial_dependence,
    permutation_importance,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from skmlp import LossCurveDisplay, TabularMLPClassifier, TabularMLPRegressor
from skmlp.inspection import (
    AttributionDisplay,
    attributions,
    input_gradients,
    loss_curvature,
)
from skmlp.inspection._columns import features_of_columns
from skmlp.preprocessing import PiecewiseLinearEncoder

pd = pytest.importorskip("pandas")

pytestmark = short_fits

ENCODINGS = ["linear", "piecewise"]
ODDS = {"target": True, "response_method": "decision_function"}
NUMBERS = ["age", "wage", "one"]


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    n = 200
    frame = pd.DataFrame(
        {
            "town": rng.choice(["Ulm", "Kiel", "Bonn"], n),
            "age": rng.integers(18, 90, n).astype(float),
            "paid": rng.random(n) < 0.5,
            "wage": np.exp(2 * rng.normal(size=n)),
            "kind": pd.Categorical(rng.choice(["a", "b"], n)),
            "one": 1.0,
        }
    )
    frame.loc[::7, "age"] = np.nan
    frame.loc[::11, "town"] = None
    return frame


@pytest.fixture(scope="module")
def labels(table):
    return ((table["age"].fillna(30) > 50) ^ (table["town"] == "Ulm")).to_numpy(bool)


def fit(table, y, *, hidden=(6,), kind=TabularMLPClassifier, **params):
    settings = {"alpha": 0.1, "max_iter": 20, "random_state": 0, "encoding": "piecewise"}
    model = kind(hidden_layer_sizes=hidden, **(settings | params))
    return model.fit(table, y)


@pytest.fixture(scope="module", params=ENCODINGS)
def model(request, table, labels):
    return fit(table, labels, encoding=request.param)


def by_names(result, columns):
    """Contributions of encoded features, added up by the columns in their names."""
    prefixes = [
        next(c for c in columns if name == c or name.startswith(f"{c}_"))
        for name in result.feature_names
    ]
    return np.stack(
        [
            result.contributions[..., [p == column for p in prefixes]].sum(axis=-1)
            for column in columns
        ],
        axis=-1,
    )


@pytest.mark.parametrize("hidden", [(), (6,), (6, 4)])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_contributions_of_columns_add_up(table, labels, hidden, encoding):
    model = fit(table, labels, hidden=hidden, encoding=encoding)
    for baseline in (None, table.iloc[:9]):
        result = attributions(model, table, baseline=baseline, tol=1e-6, **ODDS)
        assert_array_equal(result.feature_names, list(table))
        assert result.contributions.shape == table.shape
        total = result.base_values + result.contributions.sum(axis=1)
        assert_allclose(total, model.decision_function(table), atol=1e-4)
        assert_allclose(result.responses, model.decision_function(table))
        of_features = attributions(
            model.pipeline_, table, baseline=baseline, tol=1e-6, **ODDS
        )
        expected = by_names(of_features, list(table))
        assert_allclose(result.contributions, expected, atol=1e-5)
    base = model.decision_function(table.iloc[:9]).mean()
    assert_allclose(result.base_values, base)
    assert_array_equal(result.contributions[:, 5], 0)  # a constant column


def test_a_column_that_is_as_in_the_baseline_contributes_nothing(model, table):
    result = attributions(model, table, baseline=table.iloc[4], **ODDS)
    same = (table == table.iloc[4]).to_numpy()
    assert same.any(axis=0).all()
    assert_array_equal(result.contributions[same], 0)
    assert (result.contributions[~same] != 0).any()


def test_features_are_the_table(model, table):
    features = attributions(model, table).features
    assert features.shape == table.shape
    for column, name in zip(features.T, table, strict=True):
        known = table[name].notna().to_numpy()
        assert_array_equal(column[known], table[name].to_numpy()[known])
    numbers = table[["age", "wage"]]
    of_numbers = attributions(fit(numbers, table["paid"]), numbers).features
    assert_array_equal(of_numbers, numbers.to_numpy())
    assert of_numbers.dtype == float


def test_baselines_in_every_form(model, table):
    rows = table.iloc[[0]]
    expected = attributions(model, table, baseline=rows, **ODDS)
    assert pd.isna(rows["town"].item())
    assert_allclose(expected.base_values, model.decision_function(rows)[0])
    row = table.iloc[0]
    forms = [row, row.to_dict(), row.tolist(), [row.tolist()] * 2, row.iloc[::-1].to_dict()]
    for baseline in forms[:-1]:
        result = attributions(model, table, baseline=baseline, **ODDS)
        assert_allclose(result.contributions, expected.contributions, atol=1e-12)
    for baseline, message in [
        (forms[-1], "must be in the same order"),
        ({**row.to_dict(), "wages": 1.0}, "wages"),
        (row.drop("wage"), "wage"),
        ([1.0, 2.0], "2 features, not 6"),
        ({**row.to_dict(), "wage": "much"}, "Column 'wage' holds strings"),
    ]:
        with pytest.raises(ValueError, match=r"In baseline: [\s\S]*" + message):
            attributions(model, table, baseline=baseline)


def test_errors_name_columns_of_the_table(model, table):
    for function in (attributions, input_gradients):
        with pytest.raises(ValueError, match=r"missing:\n- wage"):
            function(model, table.drop(columns="wage"))
        with pytest.raises(ValueError, match="same order"):
            function(model, table[table.columns[::-1]])
    with pytest.raises(ValueError, match="which is known with standardize=True"):
        attributions(fit(table, table["paid"], standardize=False), table)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("hidden", [(), (6,), (6, 4)])
def test_gradients_are_those_of_differences(table, labels, hidden, encoding):
    model = fit(table, labels, hidden=hidden, encoding=encoding, activation="tanh")
    # no value is at an edge, and some are outside of all bins
    moved = table.assign(age=table["age"] + 0.3, wage=table["wage"] * 1.01 - 0.01)
    moved.loc[1, ["age", "wage"]] = [5.5, -1.5]
    moved.loc[2, ["age", "wage"]] = [99.5, 1e3]
    gradients = input_gradients(model, moved, **ODDS)
    assert gradients.shape == table.shape
    for name in NUMBERS:
        up, down = (moved.assign(**{name: moved[name] + h}) for h in (1e-5, -1e-5))
        slopes = (model.decision_function(up) - model.decision_function(down)) / 2e-5
        slopes[moved[name].isna()] = np.nan
        place = list(table).index(name)
        assert_allclose(gradients[:, place], slopes, rtol=1e-4, atol=1e-5)
        assert name == "one" or np.nanmax(np.abs(slopes)) > 0.01
    assert np.isnan(gradients[:, [0, 4]]).all()  # categories
    assert_array_equal(np.isnan(gradients[:, 1]), table["age"].isna())
    assert np.isfinite(gradients[:, [2, 3, 5]]).all()
    of_both = input_gradients(model, moved)
    assert_allclose(of_both[:, 1] - of_both[:, 0], gradients, atol=1e-12)


def test_at_an_edge_the_gradient_is_the_one_above_it(table, labels):
    x = table[["wage"]].to_numpy()
    model = fit(x, labels)
    (edges,) = model.encoder_.named_transformers_["numbers"].bin_edges_
    assert len(edges) == 6
    at_edges, above, below = (
        input_gradients(model, (edges + h)[:, np.newaxis], **ODDS) for h in (0, 1e-9, -1e-9)
    )
    assert_allclose(at_edges, above, rtol=1e-6)
    assert (np.abs(at_edges - below)[1:-1] > 1e-3 * np.abs(at_edges).max()).all()
    assert_allclose(at_edges[[0, -1]], below[[0, -1]], rtol=1e-6)  # open ends
    # in single precision, too, where x minus an edge over a width is not quite 0 or 1
    single = input_gradients(model, edges.astype(np.float32)[:, np.newaxis], **ODDS)
    is_either = np.isclose(single, above, rtol=1e-4) | np.isclose(single, below, rtol=1e-4)
    assert is_either.all()


def test_kinds_of_tables(table, labels):
    values = table[["age", "wage"]].to_numpy()
    of_array = fit(values, labels)
    names = attributions(of_array, values).feature_names
    assert_array_equal(names, ["x0", "x1"])
    objects = table.to_numpy(dtype=object)
    of_objects = fit(objects, labels)
    result = attributions(of_objects, objects, baseline=objects[3], **ODDS)
    of_frame = attributions(fit(table, labels), table, baseline=table.iloc[3], **ODDS)
    assert_allclose(result.contributions, of_frame.contributions, rtol=1e-6, atol=1e-9)
    single = values.astype(np.float32)
    of_single = fit(single, labels)
    assert attributions(of_single, single).contributions.dtype == np.float32
    assert input_gradients(of_single, single).dtype == np.float32
    matrix = sparse.csr_array(np.nan_to_num(values))
    of_sparse = fit(matrix, labels, encoding="linear")
    result = attributions(of_sparse, matrix, **ODDS)
    total = result.base_values + result.contributions.sum(axis=1)
    assert_allclose(total, of_sparse.decision_function(matrix))
    assert result.features.shape == values.shape
    gradients = input_gradients(of_sparse, matrix)
    assert_allclose(gradients, input_gradients(of_sparse, matrix.toarray()))


def test_frames_of_polars(table, labels):
    pl = pytest.importorskip("polars")
    plain = table.assign(kind=table["kind"].astype(str), town=table["town"].fillna("-"))
    frame = pl.DataFrame({name: plain[name].tolist() for name in plain})
    model, of_pandas = fit(frame, labels), fit(plain, labels)
    for baseline in (frame[:9], ["Ulm", None, True, 3.0, "b", 1.0]):
        result = attributions(model, frame, baseline=baseline, **ODDS)
        assert_array_equal(result.feature_names, list(table))
        total = result.base_values + result.contributions.sum(axis=1)
        assert_allclose(total, model.decision_function(frame))
    assert_allclose(
        input_gradients(model, frame), input_gradients(of_pandas, plain), rtol=1e-6
    )


def test_pictures_of_frames_of_polars(table, labels):
    pytest.importorskip("matplotlib")
    pl = pytest.importorskip("polars")
    plain = table.assign(kind=table["kind"].astype(str), town=table["town"].fillna("-"))
    frame = pl.DataFrame({name: plain[name].tolist() for name in plain})
    model = fit(frame, labels)
    display = AttributionDisplay.from_estimator(model, frame, kind="waterfall", row=7)
    assert "age = missing" in names_of(display)


def test_only_categories_and_many_of_them(labels):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({c: rng.integers(50, size=200).astype(str) for c in "ab"})
    model = fit(frame, labels, encoding="linear")
    assert sparse.issparse(model.encoder_.transform(frame))
    result = attributions(model, frame, baseline=frame[:5], **ODDS)
    total = result.base_values + result.contributions.sum(axis=1)
    assert_allclose(total, model.decision_function(frame))
    assert result.contributions.shape == (200, 2)
    assert np.isnan(input_gradients(model, frame)).all()


def test_pipelines_searches_and_several_outputs(table):
    Y = np.c_[table["wage"], table["paid"]].astype(float)
    steps = FunctionTransformer(lambda frame: frame.drop(columns="one"))
    net = TabularMLPRegressor(
        hidden_layer_sizes=4, encoding="piecewise", max_iter=20, random_state=0
    )
    grid = {"tabularmlpregressor__alpha": [0.1]}
    search = GridSearchCV(make_pipeline(steps, net), grid, cv=2).fit(table, Y)
    result = attributions(search, table, baseline=table[:9])
    assert_array_equal(result.feature_names, list(table)[:-1])
    assert result.contributions.shape == (200, 2, 5)
    total = result.base_values + result.contributions.sum(axis=2)
    assert_allclose(total, search.predict(table))
    assert input_gradients(search, table).shape == (200, 2, 5)
    assert attributions(search, table, target=1).contributions.shape == (200, 5)


@pytest.mark.parametrize("drop", [None, "first", "if_binary"])
@pytest.mark.parametrize("min_frequency", [None, 3])
def test_each_feature_is_of_the_column_that_moves_it(drop, min_frequency):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": rng.choice(list("uvwxy"), 60, p=[0.4, 0.3, 0.28, 0.01, 0.01]),
            "x": rng.normal(size=60),
            "b": rng.choice(["yes", "no"], 60),
            "one": 1.0,
            "z": np.where(np.arange(60) % 5, rng.normal(size=60), np.nan),
            "c": "always",
        }
    )
    frame.loc[:1, "a"] = ["x", "y"]
    unknown = "infrequent_if_exist" if min_frequency else "error"
    one_hot = OneHotEncoder(drop=drop, min_frequency=min_frequency, handle_unknown=unknown)
    encoder = ColumnTransformer(
        [
            ("numbers", PiecewiseLinearEncoder(4), [1, 3, 4]),
            ("nothing", OneHotEncoder(), []),
            ("categories", one_hot, [0, 2, 5]),
        ]
    ).fit(frame)
    columns = features_of_columns(encoder)
    before = encoder.transform(frame)
    assert columns.shape == (before.shape[1],)
    for j, name in enumerate(frame):
        shuffled = frame[name].sample(frac=1, random_state=1).to_numpy()
        after = encoder.transform(frame.assign(**{name: shuffled}))
        has_moved = (before != after).any(axis=0)
        assert (columns[has_moved] == j).all()
        assert has_moved.any() or name in ("one", "c")
        is_constant = (before == before[0]).all(axis=0)
        assert_array_equal(columns[~has_moved & ~is_constant] == j, False)


def names_of(display):
    return [text.get_text() for text in display.ax_.get_yticklabels()]


def test_pictures(model, table):
    pytest.importorskip("matplotlib")
    bars = AttributionDisplay.from_estimator(model, table)
    assert set(names_of(bars)) == set(table)
    fall = AttributionDisplay.from_estimator(model, table, kind="waterfall", row=0)
    row = table.iloc[0]
    written = ["town = missing", "age = missing", f"paid = {row['paid']}"]
    written += [f"wage = {row['wage']:.3g}", f"kind = {row['kind']}", "one = 1"]
    assert set(names_of(fall)) == set(written)
    strips = AttributionDisplay.from_estimator(model, table, kind="strip")
    levels = strips.dots_.get_array().reshape(table.shape)
    for level, j in zip(levels.T, strips.feature_order_, strict=True):
        name, column = list(table)[j], table.iloc[:, j]
        is_number = column.notna() & (name not in ("town", "kind"))
        assert_array_equal(~np.ma.getmaskarray(level), is_number)
        if is_number.any():
            ranks = column[is_number].astype(float).rank(method="dense").to_numpy() - 1
            assert_allclose(level[is_number.to_numpy()], ranks / max(ranks.max(), 1))
    strips.figure_.canvas.draw()
    colors = strips.dots_.get_facecolors().reshape(*table.shape, 4)
    place = strips.feature_order_.tolist().index(0)
    red, green, blue, alpha = colors[:, place].T
    assert_array_equal(red, green)
    assert_array_equal(red, blue)
    assert (alpha == 1).all()
    assert len(strips.dots_.get_offsets()) == table.size
    label = strips.figure_.axes[-1].get_ylabel()
    assert label == "value of the feature, by rank (grey: no number)"


def test_a_picture_of_categories_alone_has_no_colour_bar():
    pytest.importorskip("matplotlib")
    values = np.array([["a", None], ["bc", "d"]], dtype=object)
    display = AttributionDisplay([[1.0, -3.0], [2.0, 1.0]], values).plot(kind="strip")
    assert len(display.figure_.axes) == 1
    fall = display.plot(kind="waterfall", row=0)
    assert names_of(fall) == ["x1 = missing", "x0 = a"]


def test_long_categories_are_cut_in_pictures():
    pytest.importorskip("matplotlib")
    values = np.array([["$a$ long category of many words " * 4]], dtype=object)
    display = AttributionDisplay([[1.0]], values, feature_names=["b"])
    (name,) = names_of(display.plot(kind="waterfall"))
    assert name.startswith("b = $a$")
    assert len(name) < 30


def test_curvature(model, table, labels):
    found = loss_curvature(model, table, labels)
    of_pipeline = loss_curvature(model.pipeline_, table, labels)
    assert_allclose(found.largest, of_pipeline.largest)
    assert found.n_parameters == sum(a.size for a in (*model.coefs_, *model.intercepts_))
    assert found.loss == of_pipeline.loss


def test_permutation_importance_and_partial_dependence(model, table, labels):
    importance = permutation_importance(model, table, labels, n_repeats=3, random_state=0)
    means = importance.importances_mean
    assert set(np.argsort(-means)[:2]) == {0, 1}
    assert means[5] == 0
    for name in ("age", "paid", "kind"):
        is_category = ["kind"] if name == "kind" else None
        found = partial_dependence(
            model, table, [name], categorical_features=is_category, kind="both"
        )
        values = found["grid_values"][0]
        responses = [
            model.predict_proba(table.assign(**{name: value}))[:, 1] for value in values[:2]
        ]
        assert_allclose(found["individual"][0, :, :2], np.transpose(responses))
        assert_allclose(found["average"][0, :2], np.mean(responses, axis=1))
    # scikit-learn makes no grid of texts among which some are missing
    towns = np.array(["Ulm", "Kiel"], dtype=object)
    found = partial_dependence(
        model,
        table,
        ["town"],
        categorical_features=["town"],
        custom_values={"town": towns},
    )
    means = [model.predict_proba(table.assign(town=t))[:, 1].mean() for t in towns]
    assert_allclose(found["average"][0], means)


def test_displays_of_scikit_learn(model, table):
    pytest.importorskip("matplotlib")
    display = PartialDependenceDisplay.from_estimator(
        model, table, ["age", "wage"], kind="both", subsample=20
    )
    assert display.lines_.shape[:2] == (1, 2)
    categories = ["paid", "kind"]
    display = PartialDependenceDisplay.from_estimator(
        model, table, [*categories, tuple(categories)], categorical_features=categories
    )
    assert display.bars_[0, :2].all()
    assert display.heatmaps_[0, 2] is not None
    curve = LossCurveDisplay.from_estimator(model)
    assert curve.ax_ is not None
