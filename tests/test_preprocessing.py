"""Columns of numbers as piecewise-linear features."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmlp import MLPRegressorManual
from skmlp.preprocessing import PiecewiseLinearEncoder, _auto_n_bins


# scikit-learn skips its array API check unless SCIPY_ARRAY_API is set
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [
        PiecewiseLinearEncoder(),
        PiecewiseLinearEncoder(1),
        PiecewiseLinearEncoder(3, include_original=False),
    ]
)
def test_estimator(estimator, check):
    check(estimator)


def normals(n=500, d=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def with_gaps(X, seed=1):
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < 0.2] = np.nan
    return X


def counts_in(edges, values):
    """Values in the bins, each of which has its upper edge."""
    return np.diff(np.searchsorted(np.sort(values.ravel()), edges, side="right"))


def by_definition(x, edges, mean, include_original=True, has_gaps=False):
    """Features of one value, bin by bin; gaps only where `fit` had some."""
    n_bins = len(edges) - 1 if len(edges) > 2 else 0
    is_gap = np.isnan(x)
    if is_gap and not has_gaps:
        return by_definition(mean, edges, mean, include_original)
    row = [mean if is_gap else x] if include_original or not n_bins else []
    for k in range(n_bins):
        passed = (x - edges[k]) / (edges[k + 1] - edges[k])
        if k > 0:
            passed = max(passed, 0.0)
        if k < n_bins - 1:
            passed = min(passed, 1.0)
        row.append(0.0 if is_gap else passed)
    return [*row, float(is_gap)] if has_gaps else row


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("include_original", [True, False])
@pytest.mark.parametrize("n_bins", [1, 2, 7, "auto"])
def test_the_formula_value_by_value(n_bins, include_original, dtype):
    X = np.column_stack([with_gaps(normals(d=2)), normals(d=1, seed=2)])
    X = np.column_stack([X, np.arange(500) % 2, np.full(500, np.nan), np.full(500, 3.0)])
    X = X.astype(dtype)
    encoder = PiecewiseLinearEncoder(n_bins, include_original=include_original).fit(X)
    new = X.copy()
    new[:20] *= 10  # beyond both ends
    new[20:30, 2:] = np.nan  # gaps that `fit` has not seen
    features = encoder.transform(new)
    columns = list(
        zip(encoder.bin_edges_, encoder.fill_values_, encoder.has_gaps_, strict=True)
    )
    expected = [
        np.concatenate(
            [
                by_definition(float(x), edges, mean, include_original, has_gaps)
                for x, (edges, mean, has_gaps) in zip(row, columns, strict=True)
            ]
        )
        for row in new
    ]
    assert features.dtype == dtype
    tol = 1e-12 if dtype == np.float64 else 1e-5
    assert_allclose(features, expected, rtol=tol, atol=tol)
    assert encoder.has_gaps_.tolist() == [True, True, False, False, True, False]
    assert_array_equal(encoder.columns_, np.sort(encoder.columns_))
    assert features.shape[1] == len(encoder.get_feature_names_out())
    assert not np.isnan(features).any()


def test_the_bins_have_equal_shares():
    X = normals(1000, 1)
    (edges,) = PiecewiseLinearEncoder(8).fit(X).bin_edges_
    assert_array_equal(counts_in(edges, X), [124] + [125] * 7)
    assert edges[0] == X.min()
    assert edges[-1] == X.max()


def test_the_ends_are_open():
    encoder = PiecewiseLinearEncoder(2, include_original=False).fit([[0.0], [1], [2], [4]])
    assert_array_equal(encoder.bin_edges_[0], [0, 1, 4])
    assert_array_equal(encoder.transform([[-2.0], [7.0]]), [[-2, 0], [1, 2]])


def test_ends_beside_a_value_with_much_of_the_mass_are_closed():
    """A value that is a little less than the least is not many steps below it."""
    x = np.concatenate([np.zeros(500), np.linspace(1e-3, 10, 500)])
    encoder = PiecewiseLinearEncoder(4, include_original=False).fit(x.reshape(-1, 1))
    assert_array_equal(encoder.bin_edges_[0][:2], [0, 1e-3])
    below, above = encoder.transform([[-1.0], [20.0]])
    assert_array_equal(below, encoder.transform([[0.0]])[0])
    assert above[-1] > 2
    mirrored = PiecewiseLinearEncoder(4, include_original=False).fit(-x.reshape(-1, 1))
    assert_array_equal(mirrored.transform([[1.0]]), mirrored.transform([[0.0]]))


@pytest.mark.parametrize("n_bins", [3, 6])
def test_any_continuous_function_linear_in_the_bins_is_spanned(n_bins):
    X = normals(d=1)
    encoder = PiecewiseLinearEncoder(n_bins, include_original=False).fit(X)
    levels = np.random.default_rng(1).normal(size=n_bins + 1)
    y = np.interp(X[:, 0], encoder.bin_edges_[0], levels)
    model = LinearRegression().fit(encoder.transform(X), y)
    assert_allclose(model.coef_, np.diff(levels), atol=1e-10)
    assert_allclose(model.intercept_, levels[0], atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("atom", ["lowest", "inside", "highest"])
def test_a_value_with_most_of_the_mass_leaves_bins_for_the_others(atom, dtype):
    others = np.random.default_rng(0).exponential(size=100)
    at = {"lowest": 0.0, "inside": np.median(others), "highest": 10.0}[atom]
    x = np.concatenate([np.full(1900, at), others]).astype(dtype)
    (edges,) = PiecewiseLinearEncoder(5).fit(x.reshape(-1, 1)).bin_edges_
    assert dtype(at) in edges
    values = np.unique(x)
    i = np.flatnonzero(values == dtype(at))[0]
    beside = values[max(i - 1, 0) : i + 2]  # a step up to the atom, and one from it
    assert np.isin(beside, edges).all()
    assert 5 <= len(edges) <= 8
    assert counts_in(edges, others.astype(dtype)).max() <= 25


def test_several_atoms_count_for_a_bin_each():
    """Four atoms in six bins: the other values, 1% of the mass, share two."""
    others = np.random.default_rng(0).uniform(10, 20, size=40)
    x = np.concatenate([np.repeat([1.0, 2.0, 3.0, 4.0], 990), others])
    (edges,) = PiecewiseLinearEncoder(6).fit(x.reshape(-1, 1)).bin_edges_
    assert_array_equal(edges[:5], [1, 2, 3, 4, others.min()])
    assert_array_equal(counts_in(edges[3:], others), [1, 19, 20])


def test_weights_are_copies_of_rows():
    X = np.column_stack([with_gaps(normals(300, 2)), np.arange(300) % 9])
    weight = np.random.default_rng(3).integers(0, 4, size=300)
    weighted = PiecewiseLinearEncoder(6).fit(X, sample_weight=weight)
    copied = PiecewiseLinearEncoder(6).fit(np.repeat(X, weight, axis=0))
    for found, expected in zip(weighted.bin_edges_, copied.bin_edges_, strict=True):
        assert_array_equal(found, expected)
    assert_allclose(weighted.fill_values_, copied.fill_values_, rtol=1e-12)
    assert_array_equal(weighted.has_gaps_, copied.has_gaps_)
    scaled = PiecewiseLinearEncoder(6).fit(X, sample_weight=1e-3 * weight)
    assert_allclose(scaled.ramps_, weighted.ramps_, rtol=1e-12)


def test_rows_of_weight_zero_are_left_out():
    X = normals(4000, 2)
    weight = np.ones(4000)
    weight[:1000] = 0
    X[:1000] = np.nan
    X[:500, 0] = 1e6
    left_out = PiecewiseLinearEncoder().fit(X, sample_weight=weight)
    without = PiecewiseLinearEncoder().fit(X[1000:])
    assert_array_equal(left_out.ramps_, without.ramps_)
    assert not left_out.has_gaps_.any()


@pytest.mark.parametrize(
    ("weight", "match"),
    [
        (np.zeros(20), "sum of sample_weight must be positive|at least one non-zero"),
        (np.full(20, 1e308), "sum of sample_weight must be positive and finite"),
        (np.r_[-1.0, np.ones(19)], "Negative values"),
        (np.ones(3), r"sample_weight.shape == \(3,\)"),
        (np.full(20, np.nan), "NaN"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in reduce")
def test_weights_that_are_refused(weight, match):
    encoder = PiecewiseLinearEncoder()
    with pytest.raises(ValueError, match=match):
        encoder.fit(normals(20), sample_weight=weight)
    assert not hasattr(encoder, "ramps_")


@pytest.mark.parametrize("values", [[3.0], [0.0, 1.0], [-1.0, 5.0]])
@pytest.mark.parametrize("include_original", [True, False])
def test_one_or_two_distinct_values_pass(values, include_original):
    X = np.resize(values, (30, 1))
    encoder = PiecewiseLinearEncoder(include_original=include_original).fit(X)
    assert_array_equal(encoder.transform(X), X)
    assert_array_equal(encoder.bin_edges_[0], values)
    assert encoder.get_feature_names_out().tolist() == ["x0"]


def test_few_distinct_values_have_a_bin_between_each_pair():
    X = np.repeat([[0.0], [1.0], [5.0]], [50, 3, 10], axis=0)
    encoder = PiecewiseLinearEncoder(include_original=False).fit(X)
    assert_array_equal(encoder.transform([[0.0], [1], [5]]), [[0, 0], [1, 0], [1, 1]])


def test_gaps_have_an_indicator_and_new_ones_are_as_the_mean():
    X = np.array([[0.0, 0], [1, 1], [2, 2], [3, 3], [np.nan, 4]])
    encoder = PiecewiseLinearEncoder(2).fit(X)
    assert encoder.get_feature_names_out().tolist() == [
        *("x0", "x0_bin0", "x0_bin1", "x0_missing"),
        *("x1", "x1_bin0", "x1_bin1"),
    ]
    (row,) = encoder.transform([[np.nan, np.nan]])
    assert_array_equal(row, [1.5, 0, 0, 1, 2, 1, 0])
    assert_array_equal(encoder.transform([[1.5, 2.0]])[0, 4:], row[4:])


def test_a_column_of_gaps_only():
    X = np.column_stack([np.full(20, np.nan), np.arange(20.0)])
    encoder = PiecewiseLinearEncoder().fit(X)
    features = encoder.transform(X)
    assert_array_equal(features[:, :2], np.tile([0.0, 1.0], (20, 1)))
    assert_array_equal(encoder.transform([[7.0, 0]])[:, :2], [[7, 0]])
    assert encoder.get_feature_names_out()[1] == "x0_missing"


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix, pd.DataFrame])
def test_infinite_values_are_refused(container):
    X = normals(20)
    fitted = PiecewiseLinearEncoder().fit(container(X))
    X[3, 1] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        PiecewiseLinearEncoder().fit(container(X))
    with pytest.raises(ValueError, match="infinity"):
        fitted.transform(container(X))


@pytest.mark.parametrize("scale", [1e300, 1e-300, 1e-310, 5e-324])
def test_numbers_of_any_size(scale):
    """At any scale the features are the same, as far as subnormal numbers allow."""
    X = np.random.default_rng(0).integers(0, 50, size=(200, 1)).astype(float)
    plain = PiecewiseLinearEncoder(4, include_original=False).fit(X)
    scaled = PiecewiseLinearEncoder(4, include_original=False).fit(X * scale)
    assert_allclose(scaled.transform(X * scale), plain.transform(X), rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_are_finite_beyond_narrow_bins(dtype):
    most = np.finfo(dtype).max
    least = np.finfo(dtype).smallest_subnormal
    X = (np.arange(50).reshape(-1, 1) * float(least)).astype(dtype)
    encoder = PiecewiseLinearEncoder(4).fit(X)
    features = encoder.transform(np.array([[most], [-most]]))
    assert_array_equal(features, [[most, 1, 1, 1, most], [-most, -most, 0, 0, 0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_too_far_apart_to_subtract_are_refused(dtype):
    most = np.finfo(dtype).max
    X = np.array([[0, -most], [1, 0], [2, most / 4], [3, most / 2]], dtype=dtype)
    with pytest.raises(ValueError, match="values of column 1 of X are further apart"):
        PiecewiseLinearEncoder().fit(X)
    means = PiecewiseLinearEncoder().fit(np.full((9, 1), most)).fill_values_
    assert_allclose(means, [most], rtol=1e-6)


def test_single_rows_of_an_encoder_fitted_on_doubles():
    """Widths that float32 has not: times in seconds, and tiny or huge numbers."""
    X = np.random.default_rng(0).uniform(size=(300, 1)) * 1e-42
    encoder = PiecewiseLinearEncoder(5, include_original=False).fit(X)
    for factor in (1e-10, 1.0, 1e300):
        encoder.fit(factor * X)
        single = (factor * X).astype(np.float32) if factor <= 1 else X.astype(np.float32)
        features = encoder.transform(single)
        assert features.dtype == np.float32
        expected = encoder.transform(single.astype(np.float64))
        assert_allclose(features, expected, rtol=1e-6)


def test_doubles_of_an_encoder_fitted_on_single_rows():
    X = normals()
    encoder = PiecewiseLinearEncoder().fit(X.astype(np.float32))
    assert encoder.transform(X).dtype == np.float64
    expected = PiecewiseLinearEncoder().fit(X).transform(X)
    assert_allclose(encoder.transform(X), expected, atol=1e-5)


def test_sparse_rows_pass_through():
    X = sparse.random(50, 4, 0.3, format="csr", random_state=0)
    encoder = PiecewiseLinearEncoder().fit(X, sample_weight=np.ones(50))
    found = encoder.transform(X)
    assert sparse.issparse(found)
    assert_array_equal(found.toarray(), X.toarray())
    assert_array_equal(encoder.transform(X.toarray()), X.toarray())
    assert encoder.get_feature_names_out().tolist() == ["x0", "x1", "x2", "x3"]
    assert PiecewiseLinearEncoder().fit(X.astype(np.float32)).ramps_.dtype == np.float32


def test_missing_values_in_sparse_rows_are_refused():
    X = sparse.random(50, 4, 0.3, format="csr", random_state=0)
    encoder = PiecewiseLinearEncoder().fit(X)
    X.data[0] = np.nan
    for method in (encoder.transform, encoder.fit):
        with pytest.raises(ValueError, match="contains NaN"):
            method(X)


def test_sparse_rows_of_an_encoder_fitted_on_dense_ones():
    X = np.maximum(normals(), 0)
    encoder = PiecewiseLinearEncoder().fit(X)
    assert_array_equal(encoder.transform(sparse.csr_matrix(X)), encoder.transform(X))


PANDAS = {
    "Int64": pd.array([1, None, 3, 4] * 5, dtype="Int64"),
    "Float32": pd.array([1, None, 3, 4] * 5, dtype="Float32"),
    "boolean": pd.array([True, None, False, True] * 5, dtype="boolean"),
    "objects": pd.Series([1.0, None, 3, 4] * 5, dtype=object),
}


@pytest.mark.parametrize("name", PANDAS)
def test_pandas_with_missing_values(name):
    frame = pd.DataFrame({"whole": [True, False, True, True] * 5, "a": PANDAS[name]})
    encoder = PiecewiseLinearEncoder().fit(frame)
    known = frame["a"].notna().to_numpy()
    features = encoder.transform(frame)
    assert_array_equal(features[:, 0], frame["whole"])
    assert_array_equal(features[known, 1], frame["a"][known].astype(float))
    assert_array_equal(features[:, -1], ~known)
    assert encoder.get_feature_names_out()[[0, 1, -1]].tolist() == [
        *("whole", "a", "a_missing")
    ]


@pytest.mark.parametrize("name", ["Int64", "Float32", "boolean"])
def test_polars_with_nulls(name):
    values = PANDAS[name]
    a = pl.Series([None if value is pd.NA else value for value in values])
    frame = pl.DataFrame({"a": a, "b": np.arange(20)})
    encoder = PiecewiseLinearEncoder().fit(frame)
    same = pd.DataFrame({"a": values, "b": np.arange(20)})
    assert_array_equal(encoder.transform(frame), encoder.fit(same).transform(same))


def test_frames_out():
    X = pd.DataFrame(normals(60, 2), columns=["a", "b"], index=np.arange(60) + 7)
    X.iloc[3, 1] = np.nan
    encoder = PiecewiseLinearEncoder(3)
    expected = encoder.fit_transform(X)
    names = [
        *("a", "a_bin0", "a_bin1", "a_bin2"),
        *("b", "b_bin0", "b_bin1", "b_bin2", "b_missing"),
    ]
    for kind, frame_type in (("pandas", pd.DataFrame), ("polars", pl.DataFrame)):
        frame = clone(encoder).set_output(transform=kind).fit_transform(X)
        assert isinstance(frame, frame_type)
        assert list(frame.columns) == names
        assert_array_equal(frame.to_numpy(), expected)
        assert kind == "polars" or frame.index.equals(X.index)


def test_names_and_their_order():
    X = pd.DataFrame(normals(60, 2), columns=["a", "b"])
    encoder = PiecewiseLinearEncoder(2).fit(X)
    with pytest.raises(ValueError, match="feature names should match"):
        encoder.transform(X[["b", "a"]])
    with pytest.raises(ValueError, match="input_features"):
        encoder.get_feature_names_out(["b", "a"])
    with pytest.raises(ValueError, match="3 features"):
        encoder.fit(X.to_numpy()).transform(normals(5, 3))
    assert encoder.get_feature_names_out(["p", "q"])[[0, -1]].tolist() == ["p", "q_bin1"]


@pytest.mark.parametrize("n_bins", [0, -1, 2.5, "many", None])
def test_wrong_numbers_of_bins(n_bins):
    with pytest.raises(ValueError, match="The 'n_bins' parameter of PiecewiseLinear"):
        PiecewiseLinearEncoder(n_bins).fit(normals())


def test_a_million_rows_have_no_more_bins():
    assert _auto_n_bins(10**6, 20) == _auto_n_bins(60_000, 20) == 15


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "n_bins"),
    [
        *((50, 1, 5), (400, 1, 10), (1600, 1, 33), (60_000, 1, 33)),
        *((2000, 7, 20), (2000, 15, 10), (2000, 40, 5), (20_000, 8, 26)),
    ],
)
def test_few_columns_and_many_rows_have_more_bins(n_rows, n_columns, n_bins):
    X = normals(n_rows, n_columns)
    # two values are no bins, and a constant is none
    X = np.column_stack([X, X[:, 0] > 0, np.zeros(n_rows), np.arange(n_rows) % 20])
    *edges, one, other, few = PiecewiseLinearEncoder().fit(X).bin_edges_
    assert {len(of_column) - 1 for of_column in edges} == {n_bins}
    assert (len(one), len(other), len(few)) == (2, 1, 6)


def test_copies_and_files(tmp_path):
    X = with_gaps(normals())
    encoder = PiecewiseLinearEncoder(4, include_original=False).fit(X)
    expected = encoder.transform(X)
    assert not hasattr(clone(encoder), "ramps_")
    assert clone(encoder).get_params() == encoder.get_params()
    assert_array_equal(pickle.loads(pickle.dumps(encoder)).transform(X), expected)
    path = tmp_path / "encoder.skops"
    skops.io.dump(encoder, path)
    trusted = ["skmlp.preprocessing.PiecewiseLinearEncoder"]
    assert skops.io.get_untrusted_types(file=path) == trusted
    assert_array_equal(skops.io.load(path, trusted=trusted).transform(X), expected)


def test_a_search_over_the_bins_of_some_columns():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"bent": rng.normal(size=400), "kind": rng.choice(["a", "b"], 400)})
    y = np.abs(X["bent"]) + (X["kind"] == "a")
    columns = make_column_transformer(
        (PiecewiseLinearEncoder(), ["bent"]), (OneHotEncoder(), ["kind"])
    )
    grid = {"columntransformer__piecewiselinearencoder__n_bins": [1, 2, 8]}
    search = GridSearchCV(make_pipeline(columns, Ridge(0.1)), grid, cv=3).fit(X, y)
    assert search.best_index_ == 2
    assert search.best_score_ > 0.99 > 0.6 > search.cv_results_["mean_test_score"][0]


def test_weights_are_routed_to_it():
    X, weight = normals(), np.repeat([0.0, 1.0], 250)
    with config_context(enable_metadata_routing=True):
        encoder = PiecewiseLinearEncoder(3).set_fit_request(sample_weight=True)
        pipe = make_pipeline(encoder, StandardScaler().set_fit_request(sample_weight=False))
        pipe.fit(X, sample_weight=weight)
    expected = PiecewiseLinearEncoder(3).fit(X[250:])
    assert_array_equal(pipe[0].ramps_, expected.ramps_)


def test_a_net_sees_a_threshold_among_heavy_tails():
    rng = np.random.default_rng(0)
    X = np.exp(rng.normal(size=(600, 1)) * 4)
    y = (X[:, 0] > 1) * 1.0
    net = MLPRegressorManual(alpha=0.1, random_state=0)
    encoded = make_pipeline(PiecewiseLinearEncoder(8), net).fit(X, y)
    assert encoded.score(X, y) > 0.9
