"""Nets for tables: what columns are, how they are encoded, and all else as for nets."""

import datetime
import pickle
import re
import warnings
from decimal import Decimal
from io import BytesIO

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from common import SOLVERS, STOCHASTIC, parameters, shared_settings, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from skmlp import MLPClassifierManual, TabularMLPClassifier, TabularMLPRegressor
from skmlp._alpha import choose_alpha
from skmlp._callbacks import _is_known

needs_callbacks = pytest.mark.skipif(not _is_known, reason="needs scikit-learn >= 1.9")
ENCODINGS = ["linear", "piecewise"]
N = 200


@pytest.mark.filterwarnings(
    # as in test_estimator_checks.py
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::sklearn.exceptions.SkipTestWarning",
    "ignore:validation_fraction=0.1 of .* samples would be 1",
    "ignore:The validation set of early stopping has no sample",
    "ignore:n_iter_no_change=20 has no effect with solver='(lbfgs|newton-cg)'",
)
@parametrize_with_checks(
    [
        TabularMLPClassifier(),
        *(
            # an alpha, as in test_estimator_checks.py
            TabularMLPClassifier(10, alpha=1.0, **params)
            for params in (
                {"encoding": "linear", "solver": "adam", "learning_rate_init": 0.01},
                {"encoding": "piecewise", "solver": "sgd", "learning_rate_init": 0.1},
                {"encoding": "piecewise", "solver": "newton-cg", "max_iter": 10},
            )
        ),
        TabularMLPRegressor(),
        TabularMLPRegressor("gaussian", 10, encoding="piecewise", alpha=1.0, max_iter=10),
    ]
)
def test_estimator(estimator, check):
    check(estimator)


def small(**params):
    """A small net, which fits in a few iterations."""
    net = TabularMLPClassifier(4, alpha=1.0, tol=1e-2, random_state=0)
    return net.set_params(**params)


def with_gaps(values, seed=0):
    rows = np.random.default_rng(seed).random(len(values)) < 0.1
    return np.where(rows, None, values)


@pytest.fixture(scope="module")
def people():
    """A frame with columns of all kinds, and classes that depend on two of them."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "income": 100 * rng.lognormal(size=N),
            "age": with_gaps(rng.normal(size=N)).astype(float),
            "town": rng.choice(["Ulm", "Kiel", "Bonn"], N),
            "size": pd.Categorical(with_gaps(rng.choice(["s", "m", "l"], N), seed=1)),
            "member": rng.random(N) < 0.5,
            "known": pd.array(with_gaps(rng.random(N) < 0.5, seed=2), dtype="boolean"),
            "visits": pd.array(with_gaps(rng.integers(0, 9, N), seed=3), dtype="Int64"),
            "constant": 1.0,
            "nothing": np.nan,
            "object": pd.Series(with_gaps(rng.choice(["u", "v"], N), seed=4), dtype=object),
        }
    )
    return X, np.where((X["income"] > 100) & (X["town"] != "Ulm"), "yes", "no")


def as_polars(X):
    """The same frame, with categories as an Enum."""
    columns = {
        name: [None if pd.isna(value) else value for value in X[name].tolist()]
        for name in X
    }
    enum = pl.Enum(["s", "m", "l"])
    return pl.DataFrame(columns, schema_overrides={"nothing": pl.Float64, "size": enum})


NAMES = [
    *("income", "age", "age_missing", "member", "known", "known_missing"),
    *("visits", "visits_missing", "constant", "nothing", "nothing_missing"),
    *("town_Bonn", "town_Kiel", "town_Ulm", "size_l", "size_m", "size_s", "size_nan"),
    *("object_u", "object_v", "object_nan"),
]


def names_of(model):
    return model.encoder_.get_feature_names_out().tolist()


@pytest.mark.parametrize("convert", [lambda X: X, as_polars])
def test_a_frame_as_it_is(people, convert):
    X, y = people
    X = convert(X)
    model = TabularMLPClassifier(random_state=0).fit(X, y)
    assert model.score(X, y) > 0.97
    assert model.n_features_in_ == 10
    assert_array_equal(model.feature_names_in_, list(X.columns))
    assert len(model.coefs_[0]) == len(model.feature_mean_) == len(names_of(model))
    linear = small(encoding="linear").fit(X, y)
    assert names_of(linear) == NAMES


def test_pandas_and_polars_are_one_table(people):
    X, y = people
    of_pandas, of_polars = small().fit(X, y), small().fit(as_polars(X), y)
    assert_array_equal(of_pandas.predict_proba(X), of_polars.predict_proba(as_polars(X)))
    assert_array_equal(of_pandas.predict_proba(as_polars(X)), of_polars.predict_proba(X))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_pipeline_predicts_what_the_model_does(people, encoding):
    X, y = people
    model = small(encoding=encoding).fit(X, y)
    encoder, net = (step for _, step in model.pipeline_.steps)
    check_is_fitted(model.pipeline_)
    assert type(net) is MLPClassifierManual
    assert_array_equal(model.pipeline_.predict_proba(X), model.predict_proba(X))
    assert_array_equal(net.predict(encoder.transform(X)), model.predict(X))
    assert_array_equal(model.pipeline_.transform(X), model.transform(X))
    assert_array_equal(net.coefs_[0], model.coefs_[0])


def test_arrays_of_numbers_and_of_objects(people):
    X, y = people
    numbers = X[["income", "age"]]
    assert_array_equal(
        small().fit(numbers, y).predict_proba(numbers),
        small().fit(numbers.to_numpy(), y).predict_proba(numbers.to_numpy()),
    )
    mixed = X[["income", "town"]].to_numpy(dtype=object)
    model = small().fit(mixed, y)
    assert names_of(model)[-3:] == ["x1_Bonn", "x1_Kiel", "x1_Ulm"]
    assert model.score(mixed, y) > 0.95


def test_a_table_of_categories_alone(people):
    X, y = people
    towns = X[["town", "size"]]
    model = small(encoding="auto").fit(towns, y)
    assert model.encoding_ == "linear"
    assert list(model.encoding_losses_) == ["linear"]
    assert_array_equal(model.classes_, ["no", "yes"])
    assert small().fit(towns.to_numpy(dtype=object), y).score(towns.to_numpy(), y) > 0.6
    assert small().fit(towns[["town"]].to_numpy(dtype=str), y).n_features_in_ == 1


def test_sparse_numbers_stay_sparse(people):
    _, y = people
    X = sparse.random(N, 8, density=0.1, format="csr", random_state=0)
    net = MLPClassifierManual(4, alpha=1.0, tol=1e-2, random_state=0).fit(X, y)
    model = small().fit(X, y)
    assert model.encoding_ == "linear"
    assert sparse.issparse(model.encoder_.transform(X))
    assert_allclose(model.predict_proba(X), net.predict_proba(X), rtol=1e-12)
    with pytest.raises(ValueError, match=r"^categorical_features are for frames and dense"):
        small(categorical_features=[1]).fit(X, y)


def in_a_frame(column):
    """A frame with a column c, and classes that its first column tells."""
    first = np.arange(len(column)) % 7.0
    return pd.DataFrame({"first": first, "c": column}), (first > 2).astype(int)


NUMBERS = {
    "int8": np.arange(N, dtype=np.int8),
    "float16": np.arange(N, dtype=np.float16),
    "objects": pd.Series([1, 2.5, None, True] * (N // 4), dtype=object),
    "booleans of numpy": pd.Series([np.True_, None] * (N // 2), dtype=object),
    "decimals": pd.Series([Decimal("1.5"), Decimal(2)] * (N // 2), dtype=object),
    "Float32": pd.array([1.5, None] * (N // 2), dtype="Float32"),
    "nothing": [None] * N,
}
CATEGORIES = {
    "strings": ["a", "b"] * (N // 2),
    "string": pd.array(["a", None] * (N // 2), dtype="string"),
    "objects": pd.Series([np.str_("a"), None] * (N // 2), dtype=object),
    "objects with pandas.NA": pd.Series(["a", pd.NA] * (N // 2), dtype=object),
    "the string nan": ["nan"] * N,
    "categories of numbers": pd.Categorical([1, 2, None, 4] * (N // 4)),
    "categories of mixed numbers": pd.Categorical(
        pd.Series([1, 2.5] * (N // 2), dtype=object)
    ),
    "categories of booleans": pd.Categorical([True, False] * (N // 2)),
    "intervals": pd.cut(np.arange(N), 3),
    "no category": pd.Categorical([None] * N, categories=["a"]),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_columns_of_numbers(kind):
    X, y = in_a_frame(NUMBERS[kind])
    model = small(encoding="linear").fit(X, y)
    assert names_of(model)[1] == "c"
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("kind", CATEGORIES)
def test_columns_of_categories(kind):
    X, y = in_a_frame(CATEGORIES[kind])
    model = small(encoding="linear").fit(X, y)
    n_categories = len(pd.unique(pd.Series(CATEGORIES[kind])))
    assert len(names_of(model)) == 1 + n_categories
    assert all(name.startswith("c_") for name in names_of(model)[1:])
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize(
    ("dtype", "values", "names"),
    [
        ("int64[pyarrow]", [1, None], ["c", "c_missing"]),
        ("double[pyarrow]", [1.5, None], ["c", "c_missing"]),
        ("bool[pyarrow]", [True, None], ["c", "c_missing"]),
        ("string[pyarrow]", ["a", None], ["c_a", "c_nan"]),
    ],
)
def test_columns_of_pyarrow(dtype, values, names):
    pytest.importorskip("pyarrow")
    X, y = in_a_frame(pd.array(values * (N // 2), dtype=dtype))
    model = small(encoding="linear").fit(X, y)
    assert names_of(model)[1:] == names
    assert model.score(X, y) > 0.9


DATES = {
    "dates": pd.date_range("2020", periods=N),
    "dates with a zone": pd.date_range("2020", periods=N, tz="UTC"),
    "periods": pd.period_range("2020", periods=N),
    "durations": pd.to_timedelta(np.arange(N), unit="s"),
    "dates of Python": [datetime.date(2020, 1, 1)] * N,
    "times of Python": [datetime.time(1)] * N,
    "timestamps": pd.Series([pd.Timestamp("2020"), None] * (N // 2), dtype=object),
}
OTHERS = {
    "lists": ([[1]] * N, "list"),
    "dictionaries": ([{}] * N, "dict"),
    "arrays": ([np.arange(2)] * N, "ndarray"),
    "complex numbers": (np.full(N, 1j), "complex128"),
    "complex objects": (pd.Series([1j] * N, dtype=object), "complex"),
    "intervals": (pd.interval_range(0, N), "interval"),
    "mixed": (pd.Series([1, "a"] * (N // 2), dtype=object), "int and str"),
    "booleans and strings": ([True, "a"] * (N // 2), "bool and str"),
    "mixed categories": (pd.Categorical([1, "a"] * (N // 2)), "int and str"),
}


@pytest.mark.parametrize("kind", DATES)
def test_dates_are_refused(people, kind):
    X, y = people
    X_dates = X.assign(income=DATES[kind])
    match = "^Column 'income' holds dates. Make numbers or categories of them"
    model = small()
    with pytest.raises(ValueError, match=match):
        model.fit(X_dates, y)
    assert vars(model) == vars(small())
    with pytest.raises(ValueError, match=match):
        model.fit(X, y).predict(X_dates)


@pytest.mark.parametrize("kind", OTHERS)
def test_other_columns_are_refused_by_name(people, kind):
    X, y = people
    column, what = OTHERS[kind]
    X_others = X.assign(town=column)
    model = small()
    with pytest.raises(ValueError, match=f"^Column 'town' holds {what}.* values, neither"):
        model.fit(X_others, y)
    assert vars(model) == vars(small())
    with pytest.raises(ValueError, match=f"^Column 'town' holds {what}"):
        model.fit(X, y).predict(X_others)


@pytest.mark.parametrize(
    ("column", "what"),
    [
        (pl.Series([datetime.date(2020, 1, 1)] * N), "dates"),
        (pl.Series([datetime.time(1)] * N), "dates"),
        (pl.Series([[1]] * N), "list"),
        (pl.Series([{"a": 1}] * N), "struct"),
    ],
)
def test_columns_of_polars_are_refused_by_name(column, what):
    X = pl.DataFrame({"a": np.arange(N), "b": column})
    with pytest.raises(ValueError, match=f"^Column 'b' holds {what}"):
        small().fit(X, np.arange(N) % 2)


def test_arrays_of_dates_and_mixed_objects_are_refused():
    y = np.arange(N) % 2
    with pytest.raises(ValueError, match=r"^Column 0 holds dates"):
        small().fit(np.full((N, 2), "2020", dtype="datetime64[s]"), y)
    X = np.array([[1.0, 2], [3, "a"]] * (N // 2), dtype=object)
    with pytest.raises(ValueError, match=r"^Column 1 holds int and str values"):
        small().fit(X, y)


def test_infinite_numbers_are_an_error(people):
    X, y = people
    with pytest.raises(ValueError, match="infinity"):
        small().fit(X.assign(income=np.inf), y)


@pytest.mark.parametrize(
    ("name", "values", "match"),
    [
        ("income", "12", "'income' holds strings or categories, and held numbers in fit"),
        ("town", 12, "'town' holds numbers, and held strings or categories in fit"),
        ("town", True, "'town' holds numbers, and held strings or categories in fit"),
    ],
)
def test_a_column_stays_what_it_was_in_fit(people, name, values, match):
    X, y = people
    model = small(solver="adam", learning_rate_init=0.05).fit(X, y)
    for method in (model.predict, lambda X: model.partial_fit(X, y)):
        with pytest.raises(ValueError, match=f"^Column {match}"):
            method(X.assign(**{name: values}))


def test_other_columns_are_the_error_of_scikit_learn(people):
    X, y = people
    model = small().fit(X, y)
    with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
        model.predict(X[X.columns[::-1]])
    with pytest.raises(ValueError, match="yet now missing:\n- town"):
        model.predict(X.drop(columns="town"))
    with pytest.raises(ValueError, match="unseen at fit time:\n- more"):
        model.predict(X.assign(more=1))
    model = small().fit(X[["income"]].to_numpy(), y)
    with pytest.raises(ValueError, match=r"X has 2 features, but Tab.* is expecting 1"):
        model.predict(np.zeros((3, 2)))
    for empty in (X.head(0), X[[]]):
        with pytest.raises(ValueError, match=r"^Found array with shape"):
            small().fit(empty, y[: len(empty)])


def test_two_columns_of_one_name_are_refused(people):
    X, y = people
    X = X[["income", "age"]].set_axis(["income", "income"], axis=1)
    with pytest.raises(ValueError, match=r"^X has several columns of the name 'income'"):
        small().fit(X, y)


def test_names_that_are_numbers(people):
    X, y = people
    X = X[["town", "income"]].set_axis([10, 0], axis=1)
    model = small(encoding="linear").fit(X, y)
    assert not hasattr(model, "feature_names_in_")
    assert names_of(model) == ["x1", "x0_Bonn", "x0_Kiel", "x0_Ulm"]
    assert model.score(X, y) > 0.9
    # an integer is an index
    model = small(categorical_features=[1, 0]).fit(X, y)
    assert names_of(model)[:3] == ["x0_Bonn", "x0_Kiel", "x0_Ulm"]


def test_unseen_categories_and_new_gaps_are_no_error(people):
    X, y = people
    model = small().fit(X, y)
    unseen = X.assign(town="Paris", size=pd.Categorical(["xl"] * N))
    of_no_category = model.encoder_.transform(unseen).copy()
    is_one_hot = np.isin(names_of(model), [name for name in NAMES if "_" in name])
    town = is_one_hot & np.char.startswith(names_of(model), "town")
    assert not of_no_category[:, town].any()
    assert np.isfinite(model.predict_proba(unseen)).all()
    gaps = X.assign(income=np.nan, member=None)
    mean = X.assign(income=model.encoder_["numbers"].fill_values_[0])
    assert_allclose(
        model.encoder_.transform(gaps)[:, 0], model.encoder_.transform(mean)[:, 0]
    )
    assert np.isfinite(model.predict_proba(gaps)).all()
    assert np.isfinite(
        model.predict_proba(pd.DataFrame(index=[0], columns=X.columns))
    ).all()


@pytest.mark.parametrize("has_gaps", [False, True])
def test_every_gap_is_the_same_category(people, has_gaps):
    """None, NaN and pandas.NA, and a column without any value."""
    X, y = people
    town = X["town"].astype(object)
    model = small().fit(X.assign(town=town.where(X["member"], None)) if has_gaps else X, y)
    expected = model.predict_proba(X.assign(town=pd.Series([None] * N, dtype=object)))
    for gap in (
        np.nan,
        pd.NA,
        pd.Series([np.nan] * N, dtype=object),
        pd.array([None] * N, dtype="string"),
        pd.Categorical([None] * N),
    ):
        assert_array_equal(model.predict_proba(X.assign(town=gap)), expected)


def test_gaps_of_several_kinds_are_one_category(people):
    X, y = people
    town = X["town"].astype(object)
    town[:3] = [None, np.nan, pd.NA]
    assert names_of(small(encoding="linear").fit(X[["age"]].assign(town=town), y))[2:] == [
        *("town_Bonn", "town_Kiel", "town_Ulm", "town_nan")
    ]


@pytest.mark.parametrize(
    "given",
    [
        ["code"],
        ("code",),
        [1],
        [-1],
        range(1, 2),
        np.array([1]),
        [False, True],
        np.array([False, True]),
        pd.Series(["code"]),
        pd.Index(["code"]),
        ["code", 1],
    ],
)
def test_categorical_features(people, given):
    X, y = people
    X = X[["income"]].assign(code=np.arange(N) % 3)
    model = small(encoding="linear", categorical_features=given).fit(X, y)
    assert names_of(model) == ["income", "code_0", "code_1", "code_2"]
    again = clone(model).fit(X, y)
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_no_categorical_features(people):
    X, y = people
    X = X[["income"]].assign(code=np.arange(N) % 3)
    for given in (None, [], [False, False]):
        model = small(encoding="linear", categorical_features=given).fit(X, y)
        assert names_of(model) == ["income", "code"]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (["z"], "has 'z', which is neither the name nor the index of one of the 2 columns"),
        ([2], "has 2, which is neither the name nor the index"),
        ([1.0], "has 1.0, which is neither"),
        ([[1]], r"should be names or indices of columns, or a mask of shape \(2,\)"),
        ([True], "or a mask"),
        ([0], "'town' holds strings or categories, but is not among categorical_features"),
        (None, "'town' holds strings or categories, but is not among categorical_features"),
        ("town", "'categorical_features' parameter of TabularMLPClassifier must be"),
    ],
)
def test_wrong_categorical_features(people, given, match):
    X, y = people
    model = small(categorical_features=given)
    with pytest.raises(ValueError, match=match):
        model.fit(X[["income", "town"]], y)
    assert not hasattr(model, "n_features_in_")


def lognormal(rng):
    Z = rng.normal(size=(400, 3))
    return np.exp(5 * Z), (Z[:, 0] + Z[:, 1] + 0.3 * rng.logistic(size=400) > 0).astype(int)


def steps(rng):
    X = rng.uniform(size=(400, 2))
    return X, (5 * X[:, 0]).astype(int) % 2


def plane(rng):
    X = rng.normal(size=(400, 4))
    return X, (X @ [1, 2, -1, 0.5] + rng.logistic(size=400) > 0).astype(int)


@pytest.mark.parametrize(
    ("draw", "alpha", "best"),
    [
        (lognormal, "auto", "piecewise"),
        (lognormal, 1.0, "piecewise"),
        (steps, 1.0, "piecewise"),
        (plane, "auto", "linear"),
        (plane, 1.0, "linear"),
    ],
)
@pytest.mark.parametrize("Model", [TabularMLPClassifier, TabularMLPRegressor])
def test_held_out_rows_choose_the_encoding(Model, draw, alpha, best):
    X, y = draw(np.random.default_rng(1))
    params = {"hidden_layer_sizes": 10, "alpha": alpha, "random_state": 0}
    model = Model(**params).fit(X, y)
    assert model.encoding_ == best
    assert list(model.encoding_losses_) == ENCODINGS
    assert min(model.encoding_losses_, key=model.encoding_losses_.get) == best
    assert model.n_features_in_ == X.shape[1]
    searched = {"alpha": model.alpha_} if alpha == "auto" else {}
    assert model.best_params_ == {"encoding": best} | searched
    if alpha == "auto":
        assert model.encoding_losses_[best] in model.alpha_search_["held_out_loss"]
    else:
        of_best = Model(**params, encoding=best).fit(X, y)
        assert_array_equal(model.predict(X), of_best.predict(X))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_given_encoding_is_taken(encoding):
    X, y = plane(np.random.default_rng(0))
    model = small(encoding=encoding).fit(X, y)
    assert model.encoding_ == encoding
    assert_array_equal(list(model.encoding_losses_.values()), [np.nan])
    assert len(model.coefs_[0]) == (4 if encoding == "linear" else 4 * (1 + 10))


def test_without_bins_there_is_no_choice(people):
    X, y = people
    model = small(encoding="auto", alpha="auto").fit(X[["town", "member", "constant"]], y)
    assert model.encoding_ == "linear"
    assert list(model.encoding_losses_) == ["linear"]


def test_linear_columns_of_numbers_are_the_plain_net(iris):
    X, y = iris
    net = MLPClassifierManual(5, random_state=0).fit(X, y)
    model = TabularMLPClassifier(5, encoding="linear", random_state=0).fit(X, y)
    assert model.alpha_ == net.alpha_
    assert_allclose(parameters(model), parameters(net), rtol=1e-8)
    assert_allclose(model.predict_proba(X), net.predict_proba(X), rtol=1e-8)


def test_verbose_tells_what_was_tried_for_which_encoding(people, capsys):
    X, y = people
    model = small(encoding="auto", alpha="auto", verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert sum("alpha =" in line and "chosen" in line for line in lines) == 2
    for encoding, loss in model.encoding_losses_.items():
        assert any(encoding in line and f"{loss:.6f}" in line for line in lines)
    assert re.match(rf"Iteration +{model.n_iter_}, loss", lines[-1])


class Recorder:
    """Follows a fit, and asks it to stop at the end of the n-th task of a name."""

    def __init__(self, name=None, n=1, interrupts=False):
        self.name, self.n, self.interrupts = name, n, interrupts
        self.events, self.fitted = [], []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X, fitted_estimator):
        self.events.append(f"end {context.task_name}")
        if context.task_name == "iteration":
            self.fitted.append(fitted_estimator)
        is_it = self.events.count(f"end {self.name}") == self.n
        if is_it and context.task_name == self.name and self.interrupts:
            raise KeyboardInterrupt
        return is_it and context.task_name == self.name


@needs_callbacks
@pytest.mark.parametrize("solver", SOLVERS)
def test_callbacks_see_both_searches_and_tables(people, solver):
    X, y = people
    recorder = Recorder("iteration", 3)
    model = small(encoding="auto", alpha="auto", solver=solver).set_callbacks(recorder)
    model.fit(X, y)
    search = ["begin choose alpha", "end choose alpha"]
    iterations = ["begin iteration", "end iteration"] * 3
    assert recorder.events == ["begin fit", *search, *search, *iterations, "end fit"]
    assert type(recorder.fitted[0]) is TabularMLPClassifier
    assert_array_equal(recorder.fitted[-1].predict_proba(X), model.predict_proba(X))
    assert recorder.fitted[0].encoding_losses_ == model.encoding_losses_


@needs_callbacks
@pytest.mark.parametrize("interrupts", [False, True])
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_who_ends_a_search_gets_what_there_is(people, solver, n, interrupts, recwarn):
    X, y = people
    recorder = Recorder("choose alpha", n, interrupts)
    model = small(encoding="auto", alpha="auto", solver=solver).set_callbacks(recorder)
    if interrupts:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
    else:
        model.fit(X, y)
    assert model.n_iter_ == len(model.loss_curve_) == 1
    assert list(model.encoding_losses_) == [model.encoding_]
    assert model.score(X, y) > 0.8
    assert_array_equal(model.pipeline_.predict(X), model.predict(X))
    assert len(model.coefs_[0]) == len(names_of(model))
    assert not recwarn.list


@pytest.mark.parametrize("n", [1, 2])
def test_ctrl_c_in_a_search_keeps_the_one_before(people, monkeypatch, n):
    X, y = people
    calls = []

    def search(*arguments, **options):
        calls.append(1)
        if len(calls) == n:
            raise KeyboardInterrupt
        return choose_alpha(*arguments, **options)

    monkeypatch.setattr("skmlp._choices.choose_alpha", search)
    model = small(encoding="auto", alpha="auto")
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert hasattr(model, "coefs_") == (n == 2)
    if n == 2:
        assert model.encoding_ == "linear"
        assert model.score(X, y) > 0.8
    else:
        assert vars(model) == vars(small(encoding="auto", alpha="auto"))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_weight_is_so_many_copies(people, encoding):
    X, y = people
    weights = np.arange(N) % 3
    copies = np.repeat(np.arange(N), weights)
    model = small(encoding=encoding, tol=1e-4).fit(X, y, weights)
    copied = clone(model).fit(X.iloc[copies], y[copies])
    assert_allclose(model.predict_proba(X), copied.predict_proba(X), rtol=1e-8)
    for one, other in zip(
        model.encoder_["numbers"].bin_edges_,
        copied.encoder_["numbers"].bin_edges_,
        strict=True,
    ):
        assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("alpha", [1.0, "auto"])
def test_a_row_of_weight_0_is_left_out(people, alpha):
    X, y = people
    rest = np.arange(1, N)
    X = X.assign(town=X["town"].where(np.arange(N) > 0, "Paris"))
    weights = np.ones(N)
    weights[0] = 0
    model = small(encoding="auto", alpha=alpha).fit(X, y, weights)
    expected = small(encoding="auto", alpha=alpha).fit(X.iloc[rest], y[rest])
    assert names_of(model) == names_of(expected)
    assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize(
    "weights", [np.full(N, -1.0), np.zeros(N), np.full(N, np.nan), [1]]
)
def test_bad_weights(people, weights):
    model = small()
    with pytest.raises(ValueError, match=r"sample_weight|weight"):
        model.fit(*people, sample_weight=weights)
    assert vars(model) == vars(small())


def test_class_weight(people):
    """The bins and means are of the rows' own weights, the loss is not."""
    X, y = people
    X = X[["income", "town", "member"]]
    model = small(encoding="linear", class_weight={"yes": 3}).fit(X, y)
    expected = small(encoding="linear").fit(X, y, np.where(y == "yes", 3.0, 1.0))
    assert_allclose(model.predict_proba(X), expected.predict_proba(X), rtol=1e-8)
    with pytest.raises(ValueError, match=r"class_weight|label"):
        small(class_weight={"maybe": 3}).fit(X, y)


@short_fits
def test_groups_are_held_out_as_a_whole():
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(60), 10)
    traits, labels = rng.normal(size=(60, 3)), rng.integers(2, size=60)
    X = traits[person] + 0.01 * rng.normal(size=(600, 3))
    model = TabularMLPClassifier(10, random_state=0)
    alone = clone(model).fit(X, labels[person])
    grouped = model.fit(X, labels[person], groups=person)
    for encoding in ENCODINGS:
        assert grouped.encoding_losses_[encoding] > 0.6 > alone.encoding_losses_[encoding]


@short_fits
@pytest.mark.parametrize("scoring", ["loss", "accuracy", lambda net, X, y: net.score(X, y)])
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_a_validation_set_is_a_table(people, solver, scoring):
    X, y = people
    rows = np.arange(N) < 140
    model = small(encoding="auto", solver=solver, early_stopping=True, scoring=scoring)
    model.fit(X[rows], y[rows], X_val=X[~rows], y_val=y[~rows])
    assert list(model.encoding_losses_) == ENCODINGS
    predicted = model.predict_proba(X[~rows])
    expected = model.score(X[~rows], y[~rows])
    if scoring == "loss":
        expected = -log_loss(y[~rows], predicted)
        assert model.validation_loss_curve_[model.best_iteration_] == pytest.approx(
            -expected
        )
    assert model.best_validation_score_ == pytest.approx(expected)


def test_the_validation_set_decides_the_encoding():
    """The rows to train on know of steps, the others of a plane, or of none."""
    X, y = steps(np.random.default_rng(0))
    of_plane = (X[:, 1] > 0.5).astype(int)
    for y_val in (y, of_plane):
        with warnings.catch_warnings():
            # what these rows know may say nothing of the others
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = small(encoding="auto").fit(X, y, X_val=X, y_val=y_val)
        best = min(model.encoding_losses_, key=model.encoding_losses_.get)
        assert model.encoding_ == best
        assert (best == "piecewise") == (y_val is y)


def test_a_wrong_validation_set_is_named(people):
    X, y = people
    for wrong, match in (
        (X.drop(columns="town"), "yet now missing:\n- town"),
        (X.assign(age=pd.Timestamp("2020")), "Column 'age' holds dates"),
    ):
        model = small()
        with pytest.raises(ValueError, match=r"^In the validation set: .*") as caught:
            model.fit(X, y, X_val=wrong, y_val=y)
        assert match in str(caught.value)
        assert vars(model) == vars(small())


def test_searches(people):
    X, y = people
    grid = {"encoding": ENCODINGS, "alpha": [0.3, 3.0]}
    search = GridSearchCV(small(), grid, cv=3).fit(X, y)
    assert search.best_estimator_.encoding_ == search.best_params_["encoding"]
    assert search.score(X, y) > 0.95
    halving = HalvingGridSearchCV(small(), grid, cv=3, random_state=0).fit(X, y)
    assert halving.score(X, y) > 0.9


@short_fits
@shared_settings
@pytest.mark.parametrize("solver", SOLVERS)
def test_warm_start_goes_on_in_the_encoding_that_it_has(people, solver):
    X, y = people
    params = {"solver": solver, "tol": 0.0, "n_iter_no_change": np.inf, "encoding": "auto"}
    model = small(**params, warm_start=True, max_iter=5).fit(X, y)
    encoder = model.encoder_
    model.fit(X, y)
    assert model.encoder_ is encoder
    assert len(model.loss_curve_) == 10
    if solver in STOCHASTIC:
        whole = small(**params, max_iter=10).fit(X, y)
        assert_array_equal(model.predict_proba(X), whole.predict_proba(X))


def test_what_goes_on_remembers_why_the_encoding_was_chosen(people):
    """As it does for alpha."""
    X, y = people
    params = {"encoding": "auto", "alpha": "auto", "warm_start": True}
    model = small(**params, solver="adam", learning_rate_init=0.05).fit(X, y)
    losses, search = model.encoding_losses_, model.alpha_search_
    for go_on in (model.fit, model.partial_fit):
        go_on(X, y)
        assert_array_equal(model.alpha_search_["alpha"], search["alpha"])
        assert model.encoding_losses_ == losses


@short_fits
def test_another_encoding_is_no_warm_start(people):
    X, y = people
    model = small(encoding="linear", warm_start=True, max_iter=3).fit(X, y)
    before = dict(vars(model.set_params(encoding="piecewise")))
    with pytest.raises(ValueError, match="encoding"):
        model.fit(X, y)
    assert vars(model) == before


@pytest.mark.parametrize("solver", STOCHASTIC)
def test_a_stream_has_the_encoding_of_its_first_call(people, solver):
    X, y = people
    model = small(solver=solver, encoding="auto", learning_rate_init=0.05)
    first = model.partial_fit(X[::4], y[::4], classes=["no", "yes"]).encoder_
    for _ in range(20):
        for start in range(4):
            model.partial_fit(X[start::4], y[start::4])
    assert model.encoder_ is first
    assert model.encoding_ == "linear"
    assert model.t_ == 20 * N + N // 4
    assert model.score(X, y) > 0.75
    model.partial_fit(X.assign(town="Paris", income=np.nan), y)
    piecewise = small(solver=solver, encoding="piecewise")
    assert piecewise.partial_fit(X, y, classes=["no", "yes"]).encoding_ == "piecewise"


def test_partial_fit_goes_on_where_fit_ended(people):
    X, y = people
    model = small(solver="adam", encoding="auto", learning_rate_init=0.05).fit(X, y)
    encoder, loss = model.encoder_, log_loss(y, model.predict_proba(X))
    model.partial_fit(X, y)
    assert model.encoder_ is encoder
    assert log_loss(y, model.predict_proba(X)) < 1.05 * loss


def test_a_start_is_for_one_encoding(people):
    X, y = people
    first = small(encoding="piecewise").fit(X, y)
    start = {"coefs_init": first.coefs_, "intercepts_init": first.intercepts_}
    with pytest.raises(
        ValueError, match=r"^coefs_init and intercepts_init are for the feat"
    ):
        small(encoding="auto").fit(X, y, **start)
    model = small(encoding="piecewise").fit(X, y, **start)
    assert model.loss_curve_[0] <= first.loss_ * 1.01


def test_single_precision(people):
    X, y = people
    numbers = X[["income", "age"]].astype(np.float32)
    for table in (numbers, numbers.assign(town=X["town"]), numbers.to_numpy()):
        model = small().fit(table, y)
        assert model.coefs_[0].dtype == np.float32
        assert (
            model.predict_proba(table).dtype == model.transform(table).dtype == np.float32
        )
    assert small().fit(X, y).coefs_[0].dtype == np.float64


def by_skops(model):
    data = skops.io.dumps(model)
    trusted = skops.io.get_untrusted_types(data=data)
    assert all(name.startswith("skmlp.") for name in trusted)
    return skops.io.loads(data, trusted=trusted)


def by_joblib(model):
    joblib.dump(model, file := BytesIO())
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize(
    "copy", [lambda model: pickle.loads(pickle.dumps(model)), by_joblib, by_skops]
)
@pytest.mark.parametrize("Model", [TabularMLPClassifier, TabularMLPRegressor])
def test_a_saved_model_predicts_the_same(people, Model, copy):
    X, y = people
    y = y if Model is TabularMLPClassifier else X["income"].to_numpy()
    model = Model(hidden_layer_sizes=4, random_state=0).fit(X, y)
    loaded = copy(model)
    assert_array_equal(loaded.predict(X), model.predict(X))
    assert_array_equal(loaded.pipeline_.predict(X), model.predict(X))
    assert loaded.encoding_losses_ == model.encoding_losses_


def test_a_clone_has_the_parameters_only(people):
    model = small(categorical_features=["town", "size", "object"]).fit(*people)
    again = clone(model)
    assert not hasattr(again, "encoder_")
    assert_array_equal(again.fit(*people).coefs_[0], model.coefs_[0])


def test_metadata_routing(people):
    X, y = people
    weights = 1.0 + np.arange(N) % 3
    expected = small().fit(X, y, weights).predict_proba(X)
    with config_context(enable_metadata_routing=True):
        routed = (
            small().set_fit_request(sample_weight=True).fit(X, y, sample_weight=weights)
        )
        weighted = small().set_fit_request(sample_weight=True)
        weighted.set_score_request(sample_weight=True)
        search = GridSearchCV(weighted, {"tol": [1e-2]})
        search.fit(X, y, sample_weight=weights)
        assert_array_equal(routed.predict_proba(X), expected)
    assert_array_equal(search.predict_proba(X), expected)


def test_frames_as_output_of_all_transformers(people):
    X, y = people
    expected = small().fit(X, y)
    with config_context(transform_output="pandas"):
        model = small().fit(X, y)
        hidden = model.transform(X)
    assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert_array_equal(hidden, expected.transform(X))
    assert hidden.columns.tolist() == [f"tabularmlpclassifier{i}" for i in range(4)]


def test_hidden_activations(people):
    X, y = people
    model = small(hidden_layer_sizes=(5, 3)).fit(X, y)
    assert model.hidden_activations(X, layer=0).shape == (N, 5)
    assert_array_equal(model.transform(X), model.hidden_activations(X))
    names = model.get_feature_names_out()
    assert names.tolist() == [f"tabularmlpclassifier{i}" for i in range(3)]
    net = model.pipeline_["net"]
    assert_array_equal(
        net.hidden_activations(model.encoder_.transform(X), layer=0),
        model.hidden_activations(X, layer=0),
    )
    straight = small(hidden_layer_sizes=()).fit(X, y)
    assert_array_equal(straight.transform(X), straight.encoder_.transform(X))
    assert len(straight.get_feature_names_out()) == straight.transform(X).shape[1]


def test_a_fit_to_other_columns(people):
    X, y = people
    model = small().fit(X, y)
    model.fit(X[["income", "town"]], y)
    assert model.feature_names_in_.tolist() == ["income", "town"]
    assert_array_equal(
        model.predict_proba(X[["income", "town"]]),
        small().fit(X[["income", "town"]], y).predict_proba(X[["income", "town"]]),
    )
    model.fit(X[["income"]].to_numpy(), y)
    assert model.n_features_in_ == 1
    assert not hasattr(model, "feature_names_in_")


@pytest.mark.parametrize(
    "params",
    [{}, {"coefs_init": [1]}, {"X_val": pd.DataFrame({"age": [1]}), "y_val": ["no"]}],
)
def test_a_fit_that_fails_leaves_the_estimator_as_it_was(people, params):
    X, y = people
    model = small(warm_start=True).fit(X, y)
    before, proba = dict(vars(model)), model.predict_proba(X)
    with pytest.raises(ValueError, match=r"."):
        model.fit(X if params else X.assign(age=pd.Timestamp("2020")), y, **params)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    assert_array_equal(model.predict_proba(X), proba)


def test_several_labels_a_row(people):
    X, y = people
    Y = np.column_stack([y == "yes", X["town"] == "Ulm", X["member"]]).astype(int)
    model = small(hidden_layer_sizes=10, alpha=0.1, tol=1e-3, encoding="auto").fit(X, Y)
    assert model.score(X, Y) > 0.95
    assert model.predict_proba(X).shape == (N, 3)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "gamma", "poisson"])
def test_regression(people, loss):
    X, _ = people
    y = X["income"].to_numpy() * np.where(X["town"] == "Ulm", 2, 1)
    model = TabularMLPRegressor(loss, 10, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.9
    assert_array_equal(model.pipeline_.predict(X), model.predict(X))
    assert (model.predict(X) > 0).all() or loss in ("squared_error", "absolute_error")


def test_quantiles_and_densities_of_tables(people):
    X, _ = people
    rng = np.random.default_rng(1)
    noise = rng.normal(size=N) * np.where(X["member"], 1, 0.5)
    y = np.log(X["income"].to_numpy()) + noise
    quantiles = [0.1, 0.5, 0.9]
    model = TabularMLPRegressor("quantile", 4, quantile=quantiles, random_state=0).fit(X, y)
    assert (np.diff(model.predict(X), axis=1) >= 0).all()
    low, median, high = (y[:, None] < model.predict(X)).mean(axis=0)
    assert low < 0.2 < 0.4 < median < 0.6 < 0.8 < high
    model = TabularMLPRegressor("gaussian", 4, random_state=0).fit(X, y)
    mean, deviation = model.predict(X, return_std=True)
    assert 0.8 < (np.abs(y - mean) < 1.64 * deviation).mean() < 0.99
    of_pipeline = model.pipeline_.predict(X, return_std=True)
    assert_array_equal(of_pipeline, (mean, deviation))


@pytest.mark.parametrize("Model", [TabularMLPClassifier, TabularMLPRegressor])
def test_the_same_bits_on_any_number_of_threads(Model):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.lognormal(size=(1500, 3)), columns=["a", "b", "c"])
    X["d"] = rng.choice(["u", "v"], 1500)
    y = (X["a"] * X["b"] > 1).astype(int)
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            model = Model(hidden_layer_sizes=5, random_state=0).fit(X, y)
            found.append((parameters(model), model.predict(X)))
    for one, other in zip(*found, strict=True):
        assert_array_equal(one, other)


def test_many_rows_are_predicted_in_blocks(people, monkeypatch):
    X, y = people
    model = small().fit(X, y)
    expected = model.predict_proba(X)
    monkeypatch.setattr("skmlp._tabular._estimator._MOST_BYTES", 7000)
    assert_allclose(model.predict_proba(X), expected, rtol=1e-12)
    assert_allclose(model.predict_proba(as_polars(X)), expected, rtol=1e-12)
