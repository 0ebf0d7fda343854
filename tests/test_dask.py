"""Partitions give what the same rows in memory give."""

import os
import signal
import threading
import time
import warnings
from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest
from common import paired, parameters, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.datasets import make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

from skmlp import MLPClassifierManual, MLPRegressorManual
from skmlp._coordinates import Coordinates
from skmlp._intake import take
from skmlp._objective import Objective
from skmlp._race import Race
from skmlp._settings import Settings
from skmlp._targets import ClassLabels

pytest.importorskip("distributed", reason="needs the extra dask")

import dask
import dask.array as da
import dask.dataframe as dd
from dask.distributed import Client, LocalCluster

from skmlp.dask import DaskMLPClassifierManual, DaskMLPRegressorManual
from skmlp.dask._intake import take_parts
from skmlp.dask._parts import SumOfParts

# warnings of a cluster that starts and stops on a busy machine; it is up for all tests here
busy_cluster = pytest.mark.filterwarnings(
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore::pytest.PytestUnhandledThreadExceptionWarning",
    "ignore:Port .* is already in use",
    "ignore:Sending large graph",
    # threads are asked for while it is up
    "ignore:Running on a single-machine scheduler",
    "ignore::DeprecationWarning:distributed",
)

SETTINGS = {"solver": "lbfgs", "alpha": 0.5, "max_iter": 20, "tol": 0, "random_state": 0}
# uneven, and one of them empty
CHUNKS = {1: (1000,), 3: (613, 0, 387), 17: (100,) * 3 + (0,) + (53,) * 12 + (64,)}


@pytest.fixture(scope="module")
def processes():
    """Two processes of one thread each."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


@pytest.fixture
def cluster(processes):
    """Where a test that asks for it computes; the others do in threads."""
    with Client(processes):
        yield


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 6)) * (rng.random((1000, 6)) < 0.7)
    y = np.argmax(X[:, :3] ** 2 + rng.normal(scale=0.3, size=(1000, 3)), axis=1)
    return X, y, rng.uniform(0, 2, size=1000)


def partitioned(array, chunks, unknown=False, convert=None):
    """A Dask array with chunks along the rows; with `unknown`, of sizes unknown to it."""
    array = da.from_array(array, chunks=(chunks, *array.shape[1:]))
    if convert is not None:
        array = array.map_blocks(convert)
    if unknown:
        array._chunks = ((np.nan,) * len(chunks), *array.chunks[1:])
    return array


def counted(monkeypatch, cls):
    """How often the objective of a class is evaluated."""
    calls = []
    original = cls.loss_gradient

    def loss_gradient(self, theta):
        calls.append(1)
        return original(self, theta)

    monkeypatch.setattr(cls, "loss_gradient", loss_gradient)
    return calls


@busy_cluster
@short_fits
@pytest.mark.parametrize(
    ("scheduler", "weighted"),
    [("threads", False), ("threads", True), ("processes of a cluster", True)],
)
@pytest.mark.parametrize("n_parts", CHUNKS)
def test_partitions_give_what_memory_gives(
    rows, n_parts, weighted, scheduler, request, monkeypatch
):
    X, y, weights = rows
    weights = weights if weighted else None
    local_calls = counted(monkeypatch, Objective)
    local = MLPClassifierManual(20, **SETTINGS).fit(X, y, weights)
    n_local = len(local_calls)
    monkeypatch.undo()
    settings = {"scheduler": scheduler}
    if scheduler == "processes of a cluster":
        request.getfixturevalue("cluster")
        settings = {}
    calls = counted(monkeypatch, SumOfParts)
    chunks = CHUNKS[n_parts]
    with dask.config.set(**settings):
        model = DaskMLPClassifierManual(20, **SETTINGS).fit(
            partitioned(X, chunks),
            partitioned(y, chunks),
            None if weights is None else partitioned(weights, chunks),
        )
    assert len(calls) == n_local
    assert model.n_iter_ == local.n_iter_ == 20
    assert_allclose(parameters(model), parameters(local), rtol=1e-6, atol=1e-6)
    assert_allclose(model.loss_curve_, local.loss_curve_, rtol=1e-6)


def parts_of(model, given):
    settings = Settings(model)
    taken = take_parts(model, settings, None, *given, None, None, persist=True)
    return taken.data, settings


@busy_cluster
@pytest.mark.parametrize("scheduler", ["threads", "processes of a cluster"])
@pytest.mark.parametrize("n_parts", CHUNKS)
def test_loss_and_gradient(rows, n_parts, scheduler, request):
    X, y, weights = rows
    if scheduler == "processes of a cluster":
        request.getfixturevalue("cluster")
    chunks = CHUNKS[n_parts]
    model = DaskMLPClassifierManual(20, **SETTINGS)
    parts, settings = parts_of(model, [partitioned(a, chunks) for a in rows])
    network = settings.network(6, ClassLabels(np.unique(y)))
    assert len(parts.rows) == sum(size > 0 for size in chunks)
    theta = network.initialize(np.random.RandomState(0), np.float64)
    objective = parts.objective(network, Coordinates.identity(network), 0.5)
    loss, gradient = objective.loss_gradient(theta)
    whole = Objective(network, X, y, weights, 0.5)
    exact_loss, exact = whole.loss_gradient(theta)
    assert_allclose(loss, exact_loss, rtol=1e-12)
    assert np.abs(gradient - exact).max() < 1e-12 * np.abs(exact).max()
    assert_allclose(objective.loss(theta), loss)


@busy_cluster
@short_fits
@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("convert", [None, sparse.csr_matrix, np.float32])
@pytest.mark.parametrize("persist", [False, True])
def test_chunks_of_every_kind(rows, unknown, convert, persist):
    X, y, _ = rows
    chunks = CHUNKS[3] if convert is not sparse.csr_matrix else (613, 387)
    local_X = X.astype(np.float32) if convert is np.float32 else X
    local = MLPClassifierManual(5, **SETTINGS).fit(local_X, y)
    convert = (lambda block: block.astype(np.float32)) if convert is np.float32 else convert
    X_parts = partitioned(X, chunks, unknown, convert)
    model = DaskMLPClassifierManual(5, **SETTINGS)
    model.fit(X_parts, partitioned(y, chunks, unknown), persist=persist)
    assert model.coefs_[0].dtype == local.coefs_[0].dtype
    rtol = 1e-6 if model.coefs_[0].dtype == np.float64 else 1e-2
    assert_allclose(model.loss_, local.loss_, rtol=rtol)
    if model.coefs_[0].dtype == np.float64:
        assert_allclose(parameters(model), parameters(local), atol=1e-6)
    proba = model.predict_proba(X_parts)
    assert isinstance(proba, da.Array)
    found = model.to_local().predict_proba(local_X)
    assert_allclose(proba.compute(), found, rtol=1e-5)


@busy_cluster
@short_fits
def test_columns_in_several_chunks(rows):
    X, y, _ = rows
    X_parts = da.from_array(X, chunks=(300, 2))
    model = DaskMLPClassifierManual(5, **SETTINGS).fit(
        X_parts, da.from_array(y, chunks=100)
    )
    local = MLPClassifierManual(5, **SETTINGS).fit(X, y)
    assert_allclose(parameters(model), parameters(local), atol=1e-6)
    assert_array_equal(model.predict(X_parts).compute(), local.predict(X))


@busy_cluster
@short_fits
def test_dataframes(rows, cluster):
    X, y, weights = rows
    frame = pd.DataFrame(X, columns=list("abcdef"), index=np.arange(1000) * 2)
    frame["y"], frame["w"] = np.array(["u", "v", "w"])[y], weights
    parts = dd.from_pandas(frame, npartitions=4)
    features = parts[list("abcdef")]
    model = DaskMLPClassifierManual(5, **SETTINGS).fit(features, parts["y"], parts["w"])
    local = MLPClassifierManual(5, **SETTINGS).fit(
        frame[list("abcdef")], frame["y"], frame["w"]
    )
    assert_allclose(parameters(model), parameters(local), atol=1e-6)
    assert list(model.feature_names_in_) == list("abcdef")
    predicted, proba = model.predict(features), model.predict_proba(features)
    assert isinstance(predicted, dd.Series)
    assert isinstance(proba, dd.DataFrame)
    assert list(proba.columns) == ["u", "v", "w"]
    computed = proba.compute()
    assert_array_equal(computed.index, frame.index)
    assert_allclose(computed, local.predict_proba(frame[list("abcdef")]), atol=1e-6)
    assert_array_equal(predicted.compute(), local.predict(frame[list("abcdef")]))
    assert computed.dtypes.equals(proba.dtypes)
    assert predicted.compute().dtype == predicted.dtype
    with pytest.raises(ValueError, match="feature names"):
        model.predict(features[list("bacdef")]).compute()


@busy_cluster
@short_fits
def test_predictions_are_lazy_with_the_right_meta(rows):
    X, y, _ = rows
    X_parts, y_parts = partitioned(X, CHUNKS[3]), partitioned(y, CHUNKS[3])
    model = DaskMLPClassifierManual(5, **SETTINGS).fit(X_parts, y_parts)
    never = da.map_blocks(lambda: 1 / 0, dtype=float, chunks=((5,), (6,)))
    for method, shape in (
        ("predict", (1000,)),
        ("predict_proba", (1000, 3)),
        ("predict_log_proba", (1000, 3)),
        ("decision_function", (1000, 3)),
    ):
        getattr(model, method)(never)
        lazy = getattr(model, method)(X_parts)
        computed = lazy.compute()
        assert lazy.shape == computed.shape == shape
        assert lazy.dtype == computed.dtype
        assert_array_equal(computed, getattr(model.to_local(), method)(X))
        assert_array_equal(getattr(model, method)(X), computed)
    model.set_output(transform="pandas")
    assert model.to_local().transform(X[:5]).columns[0] == "mlpclassifiermanual0"
    accuracy = (model.to_local().predict(X) == y).mean()
    assert model.score(X_parts, y_parts) == accuracy


@busy_cluster
@pytest.mark.parametrize("class_weight", [{0: 5}, "balanced"])
def test_class_weights_and_validation_set(rows, class_weight):
    X, y, weights = rows
    chunks = CHUNKS[3]
    settings = SETTINGS | {
        "class_weight": class_weight,
        "early_stopping": True,
        "n_iter_no_change": 3,
        "max_iter": 200,
        "alpha": 0.01,
    }
    local = MLPClassifierManual(20, **settings).fit(
        X[:600], y[:600], weights[:600], X_val=X[600:], y_val=y[600:]
    )
    chunks, val_chunks = (250, 0, 350), (100, 300)
    model = DaskMLPClassifierManual(20, **settings).fit(
        partitioned(X[:600], chunks),
        partitioned(y[:600], chunks),
        partitioned(weights[:600], chunks),
        X_val=partitioned(X[600:], val_chunks),
        y_val=partitioned(y[600:], val_chunks),
    )
    assert model.n_iter_ == local.n_iter_
    assert model.best_iteration_ == local.best_iteration_
    assert_allclose(model.validation_loss_curve_, local.validation_loss_curve_, rtol=1e-5)
    assert_allclose(parameters(model), parameters(local), atol=1e-4)


@busy_cluster
def test_validation_set_in_memory_and_its_weights(rows):
    X, y, weights = rows
    parts = partitioned(X[:600], (300, 300)), partitioned(y[:600], (300, 300))
    settings = SETTINGS | {"early_stopping": "auto", "max_iter": 60}
    local = MLPClassifierManual(20, **settings).fit(
        X[:600], y[:600], X_val=X[600:], y_val=y[600:], sample_weight_val=weights[600:]
    )
    given = {"X_val": X[600:], "y_val": y[600:], "sample_weight_val": weights[600:]}
    in_parts = {name: partitioned(array, (150, 250)) for name, array in given.items()}
    for validation in (given, in_parts):
        model = DaskMLPClassifierManual(20, **settings).fit(*parts, **validation)
        assert model.n_iter_ == local.n_iter_
        assert model.best_iteration_ == local.best_iteration_
        assert local.best_iteration_ is not None
        assert_allclose(
            model.validation_loss_curve_, local.validation_loss_curve_, rtol=1e-5
        )


@busy_cluster
@short_fits
def test_names_of_features_are_compared(rows):
    X, y, _ = rows
    frame = pd.DataFrame(X, columns=list("abcdef"))
    parts = dd.from_pandas(frame, npartitions=3)
    y_parts = dd.from_pandas(pd.Series(y), npartitions=3)
    model = DaskMLPClassifierManual(5, warm_start=True, **SETTINGS).fit(parts, y_parts)
    before = parameters(model)
    with pytest.raises(ValueError, match="feature names should match"):
        model.fit(parts[list("bacdef")], y_parts)
    with pytest.raises(ValueError, match="In the validation set: The feature names"):
        model.fit(parts, y_parts, X_val=parts[list("bacdef")], y_val=y_parts)
    assert_array_equal(parameters(model), before)
    mixed = dd.from_delayed(
        [dask.delayed(frame[:500]), dask.delayed(frame[500:][list("bacdef")])],
        meta=frame[:0],
        verify_meta=False,
    )
    y_parts = dd.from_delayed(
        [dask.delayed(pd.Series(y[:500])), dask.delayed(pd.Series(y[500:]))]
    )
    fails(mixed, y_parts, match="Partitions 0 and 1 differ in feature names")


@busy_cluster
@short_fits
def test_partitions_of_two_precisions(rows):
    X, y, _ = rows
    X_parts = partitioned(X, (613, 387)).map_blocks(
        lambda block: block.astype(np.float32) if len(block) == 613 else block
    )
    model = DaskMLPClassifierManual(5, **SETTINGS).fit(X_parts, partitioned(y, (613, 387)))
    assert model.coefs_[0].dtype == np.float64


@busy_cluster
@short_fits
@pytest.mark.parametrize("persist", [False, True])
def test_how_often_partitions_are_read(rows, persist):
    X, y, _ = rows
    reads = []

    def read(block):
        if len(block):  # Dask tries it on nothing first
            reads.append(1)
        return block

    X_parts = partitioned(X, (613, 387)).map_blocks(read, dtype=X.dtype, meta=X[:0])
    calls = []
    original = SumOfParts.loss_gradient
    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler="threads"):
        patch.setattr(
            SumOfParts,
            "loss_gradient",
            lambda self, theta: calls.append(1) or original(self, theta),
        )
        DaskMLPClassifierManual(5, **(SETTINGS | {"max_fun": 6})).fit(
            X_parts, partitioned(y, (613, 387)), persist=persist
        )
    assert len(reads) == (
        2 if persist else 2 * (2 + len(calls))
    )  # means and scales are a pass, too
    assert len(calls) >= 6


@busy_cluster
def test_defaults_choose_what_they_choose_in_memory(rows):
    """Means, scales and, where all rows are few enough to look at, alpha."""
    X, y, _ = rows
    X = X * [1, 1000, 0.01, 1, 1, 1] + [5, 0, 0, 0, 0, 0]
    y = np.where(np.arange(1000) % 3, y, 0)  # noise, for one alpha to be clearly the best
    with dask.config.set(scheduler="threads"):
        model = DaskMLPClassifierManual(5, random_state=0)
        model.fit(partitioned(X, (613, 387)), partitioned(y, (613, 387)))
    local = MLPClassifierManual(5, random_state=0).fit(X, y)
    for found, expected in zip(
        model._progress["scaling"], local._progress["scaling"], strict=True
    ):
        assert_allclose(found, expected, rtol=1e-10)
    assert model.alpha_ == local.alpha_
    assert_allclose(model.predict_proba(X), local.predict_proba(X), atol=1e-3)


@busy_cluster
def test_alpha_of_many_rows_is_chosen_on_a_sample(rows):
    model = DaskMLPClassifierManual(20, **SETTINGS)
    with dask.config.set(scheduler="threads"):
        parts, _ = parts_of(model, [partitioned(part, (613, 387)) for part in rows])
        drawn = parts.sample(0, 200)
    assert 190 < len(drawn.X) <= 201
    originals = set(map(tuple, rows[0]))
    assert all(tuple(row) in originals for row in drawn.X)


@busy_cluster
def test_groups_may_be_in_several_partitions():
    """Near copies of a row, which its group tells from others."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(50, 6))
    labels = (2 * centres[:, 0] + rng.logistic(size=50) > 0).astype(int)
    X = np.repeat(centres, 20, axis=0) + 0.05 * rng.normal(size=(1000, 6))
    y = np.repeat(labels, 20)
    groups = np.repeat([f"person {i}" for i in range(50)], 20).astype(object)
    order = np.random.default_rng(2).permutation(1000)
    X, y, groups = X[order], y[order], groups[order]
    local = MLPClassifierManual(5, random_state=0).fit(X, y, groups=groups)
    given = [partitioned(array, (613, 387)) for array in (X, y)]
    with dask.config.set(scheduler="threads"):
        for kind in (groups, groups.astype("U9")):
            model = DaskMLPClassifierManual(5, random_state=0)
            model.fit(*given, groups=partitioned(kind, (613, 387)))
            assert model.alpha_ == local.alpha_
        model.fit(*given)
        assert model.alpha_ < local.alpha_ / 100
        unknown = np.where(np.arange(1000) == 3, None, groups)
        with pytest.raises(ValueError, match="In partition 0: groups contains None"):
            model.fit(*given, groups=partitioned(unknown, (613, 387)))
        with pytest.raises(TypeError, match="groups should be a Dask collection"):
            model.fit(*given, groups=groups)
        with pytest.raises(ValueError, match="In partition 1: groups has 386 entries"):
            model.fit(*given, groups=partitioned(groups[:-1], (613, 386), unknown=True))


@busy_cluster
def test_labels_of_a_cell_in_partitions():
    """The search finds what it finds in memory, and many rows are a sample of them."""
    rng = np.random.default_rng(0)
    X = rng.integers(3, size=(20_000, 4)).astype(float)
    p = rng.choice([0.1, 0.9], size=81)[(X @ [1, 3, 9, 27]).astype(int)]
    y = (rng.random(20_000) < p).astype(int)
    for n in (4000, 20_000):
        chunks = (n // 2, n // 4, n // 4)
        given = partitioned(X[:n], chunks), partitioned(y[:n], chunks)
        with dask.config.set(scheduler="threads"):
            model = DaskMLPClassifierManual(20, random_state=0).fit(*given)
        local = MLPClassifierManual(20, random_state=0).fit(X[:n], y[:n])
        assert model.alpha_ < 10
        assert model.alpha_ == local.alpha_
        assert log_loss(y, model.predict_proba(X)) < 0.36  # best is 0.325
    with dask.config.set(scheduler="threads"):
        parts, _ = parts_of(model, [*given, None])
        drawn = parts.sample(0, 1000)
    # cells and labels are fewer than 1000: each is drawn, with the weight of all like it
    assert drawn.n_rows == 2 * 81
    assert drawn.n_observations() == drawn.total_weight == 20_000


@busy_cluster
@short_fits
def test_stages_of_partitions_hold_out_the_same_rows(monkeypatch):
    """From 6000 rows on alpha is chosen on more and more of them."""
    races = []

    class Spied(Race):
        def __init__(self, rules, splits, *args, **options):
            super().__init__(rules, splits, *args, **options)
            races.append(splits)

    monkeypatch.setattr("skmlp._alpha.Race", Spied)
    rng = np.random.default_rng(0)
    X = np.column_stack([np.arange(20_000.0), rng.normal(size=(20_000, 2))])
    y = (X[:, 1] + rng.normal(size=20_000) > 0).astype(int)
    given = [partitioned(array, (9000, 6000, 5000)) for array in (X, y)]
    with dask.config.set(scheduler="threads"):
        model = DaskMLPClassifierManual(3, standardize=False, max_iter=2, random_state=0)
        model.fit(*given)
    trained = [set(race[-1].data.X[:, 0]) for race in races]
    held_out = [set(race[-1].validation.X[:, 0]) for race in races]
    assert list(map(len, trained))[-3:] == [2400, 5059, 16_000]
    assert all(smaller <= larger for smaller, larger in pairwise(trained))
    assert held_out == held_out[:1] * len(races)
    assert len(held_out[0]) == 4000
    assert not trained[-1] & held_out[0]
    assert model.alpha_search_["n_samples"][-1] == 16_000


@busy_cluster
@short_fits
def test_set_output_keeps_partitions_lazy(rows):
    X, y, _ = rows
    names = [f"x{i}" for i in range(6)]
    frame = dd.from_pandas(pd.DataFrame(X, columns=names), npartitions=3)
    labels = dd.from_pandas(pd.Series(y), npartitions=3)
    with dask.config.set(scheduler="threads"):
        model = DaskMLPClassifierManual(3, **SETTINGS).fit(frame, labels)
        plain = model.transform(frame).compute()
        hidden = model.set_output(transform="pandas").transform(frame)
        assert dask.is_dask_collection(hidden)
        hidden = hidden.compute()
    assert list(hidden.columns) == list(model.get_feature_names_out())
    assert_array_equal(hidden.to_numpy(), plain.to_numpy())
    assert_array_equal(hidden.index, plain.index)


@busy_cluster
@short_fits
def test_callbacks_follow_a_fit_of_partitions(rows):
    callback = pytest.importorskip("sklearn.callback", reason="needs scikit-learn 1.9")
    X, y, _ = rows
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = DaskMLPClassifierManual(5, **(SETTINGS | {"max_iter": 3})).set_callbacks(
        monitor
    )
    X_parts, y_parts = partitioned(X, (500, 500)), partitioned(y, (500, 500))
    model.fit(X_parts, y_parts)
    scores = [row["accuracy"] for row in monitor.get_logs().data if "accuracy" in row]
    assert len(scores) == 1 + 3
    assert scores[0] == scores[-1] == model.score(X_parts, y_parts)


@busy_cluster
@short_fits
def test_weighted_score_and_hidden_layers(rows):
    X, y, weights = rows
    X_parts, y_parts = partitioned(X, (500, 500)), partitioned(y, (500, 500))
    model = DaskMLPClassifierManual((5, 4), **SETTINGS).fit(X_parts, y_parts)
    local = model.to_local()
    assert_allclose(
        model.score(X_parts, y_parts, partitioned(weights, (500, 500))),
        local.score(X, y, weights),
    )
    by_columns = da.from_array(X, chunks=(300, 2))
    for lazy, exact in (
        (model.transform(by_columns), local.transform(X)),
        (model.hidden_activations(by_columns, layer=0), local.hidden_activations(X, 0)),
        (model.predict_proba(by_columns), local.predict_proba(X)),
    ):
        assert isinstance(lazy, da.Array)
        assert lazy.shape == exact.shape
        assert_allclose(lazy.compute(), exact)


@busy_cluster
@short_fits
def test_empty_partitions_of_frames(rows):
    X, y, _ = rows
    frame = pd.DataFrame(X, columns=list("abcdef"))
    parts = dd.from_pandas(frame, npartitions=3)
    model = DaskMLPClassifierManual(5, **SETTINGS)
    model.fit(parts, dd.from_pandas(pd.Series(y), npartitions=3))
    few = dd.from_delayed(
        [dask.delayed(frame[:100]), dask.delayed(frame[:0])], meta=frame[:0]
    )
    assert len(model.predict(few).compute()) == 100
    assert len(model.predict_proba(few).compute()) == 100
    hidden = model.transform(few)
    assert hidden.compute().shape == (100, 5)


@busy_cluster
@short_fits
@pytest.mark.parametrize("convert", [None, sparse.csr_matrix])
def test_multilabel(convert):
    X, Y = make_multilabel_classification(200, 6, n_classes=3, random_state=0)
    X = X - X.mean(axis=0)
    chunks = (70, 130)
    model = DaskMLPClassifierManual(5, **SETTINGS)
    model.fit(partitioned(X, chunks), partitioned(Y, chunks, convert=convert))
    local = MLPClassifierManual(5, **SETTINGS).fit(X, Y)
    assert_allclose(model.loss_, local.loss_, rtol=1e-6)
    assert_allclose(parameters(model), parameters(local), atol=1e-4)
    found, exact = model.predict(partitioned(X, chunks)).compute(), local.predict(X)
    assert_array_equal(found.toarray() if sparse.issparse(found) else found, exact)


@busy_cluster
@short_fits
def test_warm_start_and_initial_parameters(rows):
    X, y, _ = rows
    parts = partitioned(X, CHUNKS[3]), partitioned(y, CHUNKS[3])
    local = MLPClassifierManual(5, warm_start=True, **SETTINGS).fit(X, y).fit(X, y)
    model = DaskMLPClassifierManual(5, warm_start=True, **SETTINGS).fit(*parts)
    start = {"coefs_init": model.coefs_, "intercepts_init": model.intercepts_}
    again = DaskMLPClassifierManual(5, **SETTINGS).fit(*parts, **start)
    model.fit(*parts)
    assert_allclose(parameters(model), parameters(again), atol=1e-12)
    assert_allclose(parameters(model), parameters(local), atol=1e-4)
    with pytest.raises(ValueError, match=r"X has 2 features, but DaskMLP.* expecting 6"):
        model.fit(parts[0][:, :2], parts[1])


# --- what goes wrong -------------------------------------------------------------------


def fails(X, y, weights=None, error=ValueError, match="", **params):
    model = DaskMLPClassifierManual(5, **(SETTINGS | params))
    before = dict(vars(model))
    with pytest.raises(error, match=match):
        model.fit(X, y, weights)
    assert vars(model) == before


@busy_cluster
def test_bad_partitions(rows):
    X, y, weights = rows
    chunks = CHUNKS[3]
    X_parts, y_parts = partitioned(X, chunks), partitioned(y, chunks)
    nan = X.copy()
    nan[700, 2] = np.nan
    fails(partitioned(nan, chunks), y_parts, match="In partition 2: Input X contains NaN")
    fails(
        partitioned(X, chunks, True),
        partitioned(y, CHUNKS[17], True),
        match="X has 3 partitions, but y has 17",
    )
    fails(
        partitioned(X, (600, 400), True),
        partitioned(y, (500, 500), True),
        match=r"In partition \d: .* inconsistent numbers of rows: \[.00, 500\]",
    )
    narrow = da.concatenate([X_parts[:600], X_parts[600:, :]])
    narrow = narrow.map_blocks(lambda block: block[:, :4] if len(block) == 387 else block)
    fails(narrow, y_parts, match="differ in features: 6 and 4")
    fails(
        X_parts, y_parts, partitioned(-weights, chunks), match=r"In partition \d: Negative"
    )
    fails(X_parts, y_parts, partitioned(weights * 0, chunks), match="must be positive")
    mixed = y_parts.astype(object).map_blocks(
        lambda block: block.astype(str) if len(block) == 387 else block.astype(int)
    )
    fails(X_parts, mixed, match="labels of different types|Unknown label type")
    fails(X_parts[:0], y_parts[:0], match="X has no rows|no rows")


@busy_cluster
@short_fits
def test_a_class_in_one_partition_only(rows):
    X, y, _ = rows
    order = np.argsort(y, kind="stable")
    X, y = X[order], y[order]
    chunks = tuple(np.bincount(y))
    model = DaskMLPClassifierManual(5, **SETTINGS)
    model.fit(partitioned(X, chunks), partitioned(y, chunks))
    local = MLPClassifierManual(5, **SETTINGS).fit(X, y)
    assert_array_equal(model.classes_, [0, 1, 2])
    assert_allclose(parameters(model), parameters(local), atol=1e-6)


@busy_cluster
@short_fits
def test_weight_zero_in_a_whole_partition(rows):
    X, y, weights = rows
    weights = weights.copy()
    weights[:613] = 0
    chunks = CHUNKS[3]
    model = DaskMLPClassifierManual(5, **SETTINGS).fit(
        *(partitioned(array, chunks) for array in (X, y, weights))
    )
    local = MLPClassifierManual(5, **SETTINGS).fit(X, y, weights)
    assert_allclose(parameters(model), parameters(local), atol=1e-6)


@busy_cluster
def test_settings_that_do_not_work_on_partitions(rows):
    X, y, _ = rows
    parts = partitioned(X, (500, 500)), partitioned(y, (500, 500))
    fails(*parts, match="solver='adam' does not work on partitions", solver="adam")
    match = "solver='newton-cg' does not work on partitions: 'lbfgs' does"
    fails(*parts, match=match, solver="newton-cg")
    fails(*parts, match="early_stopping=True needs X_val", early_stopping=True)
    fails(*parts, match="scoring='accuracy' does not work", scoring="accuracy")
    fails(*parts, match="'alpha' parameter", alpha=-1)
    fails(X, y, error=TypeError, match="X should be a Dask array .* MLPClassifierManual")
    fails(parts[0], y, error=TypeError, match="y should be a Dask collection")
    model = DaskMLPClassifierManual(5, **SETTINGS)
    bad = partitioned(np.where(y == 2, 7, y), (500, 500))
    with pytest.raises(ValueError, match=r"validation set: .*classes \[7\]"):
        model.fit(*parts, X_val=parts[0], y_val=bad)
    with pytest.raises(ValueError, match="needs both X_val and y_val"):
        model.fit(*parts, X_val=parts[0])
    with pytest.raises(ValueError, match="In the validation set: X has 3 features"):
        model.fit(*parts, X_val=parts[0][:, :3], y_val=parts[1])
    with pytest.raises(TypeError, match="In the validation set: X should be a Dask"):
        model.fit(*parts, X_val=X, y_val=parts[1])
    assert not hasattr(DaskMLPClassifierManual(), "partial_fit")


@busy_cluster
@short_fits
def test_an_unreadable_partition_gives_its_own_error(rows, cluster):
    X, y, _ = rows

    def unreadable(block, block_info=None):
        if block_info and block_info[0]["chunk-location"][0] == 1:
            raise OSError("file 1 is gone")
        return block

    chunks = (500, 300, 200)
    X_parts = partitioned(X, chunks).map_blocks(unreadable, dtype=float)
    start = time.monotonic()
    fails(X_parts, partitioned(y, chunks), error=OSError, match="file 1 is gone")
    assert time.monotonic() - start < 30
    model = DaskMLPClassifierManual(5, **SETTINGS)
    model.fit(partitioned(X, chunks), partitioned(y, chunks))
    assert model.n_iter_ == 20


@busy_cluster
@short_fits
def test_a_killed_worker_changes_nothing(rows, processes, cluster):
    """The partitions that it held are computed again, by a worker that lives."""
    X, y, _ = rows
    chunks = CHUNKS[17]
    local = MLPClassifierManual(5, **SETTINGS).fit(X, y)
    pids = [worker.pid for worker in processes.workers.values()]
    evaluations = []
    original = SumOfParts.loss_gradient

    def kill_in_the_middle(self, theta):
        evaluations.append(1)
        if len(evaluations) == 10:
            threading.Timer(0.01, os.kill, (pids[0], signal.SIGKILL)).start()
        return original(self, theta)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SumOfParts, "loss_gradient", kill_in_the_middle)
        model = DaskMLPClassifierManual(5, **SETTINGS)
        model.fit(partitioned(X, chunks), partitioned(y, chunks))
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    assert model.n_iter_ == local.n_iter_ == 20
    assert_allclose(parameters(model), parameters(local), atol=1e-5)


@busy_cluster
@pytest.mark.parametrize("chunks", [(20_000,) * 3, (59_999, 1), (1, 59_999)])
def test_a_sample_of_uneven_partitions(chunks):
    rng = np.random.default_rng(0)
    cells = rng.integers(4, size=(60_000, 3)).astype(float)
    y = (rng.random(60_000) < 0.2 + 0.15 * cells[:, 0]).astype(int)
    settings = {"hidden_layer_sizes": 3, "max_iter": 5, "random_state": 0}
    with warnings.catch_warnings(), dask.config.set(scheduler="threads"):
        warnings.simplefilter("ignore", ConvergenceWarning)  # five iterations
        local = MLPClassifierManual(**settings).fit(cells, y)
        model = DaskMLPClassifierManual(**settings)
        model.fit(partitioned(cells, chunks), partitioned(y, chunks))
    # cells and labels, each once
    assert set(model.alpha_search_["n_samples"]) <= {126, 127, 128}
    assert model.alpha_ == local.alpha_


UNEVEN = {
    "a last row": (300, 1),
    "first rows": (1, 1, 1, 298),
    "a short end": (100, 100, 75, 26),
    "tiny": (7,) * 43,
}


@busy_cluster
@short_fits
@pytest.mark.parametrize("chunks", UNEVEN.values(), ids=UNEVEN)
@pytest.mark.parametrize("weights", [None, "uneven", "zero in partitions"])
def test_uneven_partitions_choose_what_memory_chooses(chunks, weights):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(301, 4))
    y = (X[:, 0] * X[:, 1] + rng.logistic(scale=0.5, size=301) > 0).astype(int)
    if weights is not None:
        weights = np.linspace(0.1, 2, 301) * (weights == "uneven" or np.arange(301) < 240)
    model = DaskMLPClassifierManual(4, max_iter=30, random_state=0)
    with dask.config.set(scheduler="threads"):
        model.fit(
            partitioned(X, chunks),
            partitioned(y, chunks),
            None if weights is None else partitioned(weights, chunks),
        )
    local = MLPClassifierManual(4, max_iter=30, random_state=0).fit(X, y, weights)
    assert_allclose(model.alpha_, local.alpha_, rtol=1e-12)
    assert_allclose(model.loss_, local.loss_, rtol=1e-3)


@busy_cluster
@short_fits
@pytest.mark.parametrize("class_weight", [{0: 0, 1: 1, 2: 3}, {0: 0, 1: 0, 2: 1}])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_partition_whose_classes_weigh_nothing(rows, class_weight, weighted):
    X, y, weights = rows
    order = np.argsort(y, kind="stable")
    X, y, weights = X[order], y[order], weights[order]
    chunks = tuple(np.bincount(y))
    weights = weights if weighted else None
    settings = SETTINGS | {"class_weight": class_weight}
    local = MLPClassifierManual(5, **settings).fit(X, y, weights)
    parts = [partitioned(array, chunks) for array in (X, y)]
    given = parts if weights is None else [*parts, partitioned(weights, chunks)]
    model = DaskMLPClassifierManual(5, **settings).fit(
        *given, X_val=parts[0], y_val=parts[1]
    )
    assert_allclose(parameters(model), parameters(local), atol=1e-5)
    assert_allclose(model.validation_loss_curve_[-1], model.loss_curve_[-1], rtol=0.5)
    fails(*parts, match="must be positive", class_weight={0: 0, 1: 0, 2: 0})


@busy_cluster
def test_rows_of_no_weight_are_not_counted(rows):
    X, y, _ = rows
    weights = (np.arange(1000) % 4 > 0) * 1.0
    model = DaskMLPClassifierManual(5, **(SETTINGS | {"class_weight": {0: 0, 1: 1, 2: 1}}))
    with dask.config.set(scheduler="threads"):
        parts, _ = parts_of(model, [partitioned(a, CHUNKS[17]) for a in (X, y, weights)])
        n_rows = [part.n_rows for part in dask.compute(*parts.rows)]
    assert parts.n_rows == sum(n_rows) == ((weights > 0) & (y > 0)).sum()
    assert all(n_rows)


def some_rows(kind):
    """(X, y, sample_weight, groups), and how many of them a sample may have."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    y = (X[:, 0] + rng.logistic(size=600) > 0).astype(int)
    cells = rng.integers(3, size=(6000, 3)).astype(float)
    labels = (rng.random(6000) < 0.2 + 0.2 * cells[:, 0]).astype(int)
    many = rng.normal(size=(6000, 3))
    if kind == "copies":
        return np.repeat(X, 10, axis=0), np.repeat(y, 10), None, None
    if kind == "copies of some rows":
        n_copies = np.where(np.arange(600) < 50, 61, 1)
        return np.repeat(X, n_copies, axis=0), np.repeat(y, n_copies), None, None
    if kind == "frequencies":
        return cells, labels, 0.5 * rng.integers(1, 6, 6000), None
    if kind == "weights of a survey":
        return cells, labels, rng.gamma(2, size=6000), None
    if kind == "groups of copies":
        return np.repeat(X, 10, axis=0), np.repeat(y, 10), None, np.repeat(range(100), 60)
    if kind == "groups in cells":
        return cells, labels, None, rng.integers(50, size=6000)
    if kind == "labels":
        indicators = np.column_stack([labels, 1 - labels, cells[:, 1] > 1]).astype(int)
        return cells, indicators, None, None
    return many, (many[:, 0] > 0).astype(int), rng.uniform(size=6000), None


KINDS = (
    "copies",
    "copies of some rows",
    "frequencies",
    "weights of a survey",
    "groups of copies",
    "groups in cells",
    "labels",
    "rows once",
)


@busy_cluster
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("all_at_once", [True, False])
def test_a_sample_of_partitions_is_one_of_the_whole(kind, all_at_once, monkeypatch):
    """Of more bytes than are fetched at once, observations and weights are the same."""
    X, y, weights, groups = some_rows(kind)
    n_most = 400
    if not all_at_once:
        monkeypatch.setattr("skmlp.dask._sample._FETCHED_BYTES", 0)
    chunks = (1, len(X) // 2, len(X) // 2 - 2, 1)
    model = DaskMLPClassifierManual(3, **SETTINGS)
    given = [None if a is None else partitioned(a, chunks) for a in (X, y, weights, groups)]
    with dask.config.set(scheduler="threads"):
        taken = take_parts(
            model, Settings(model), None, *given, validation_set=None, persist=True
        )
        drawn = taken.data.sample(0, n_most)
    local = take(
        MLPClassifierManual(), Settings(model), None, X, y, weights, groups, None
    ).data
    exact = local.sample(0, n_most)
    assert drawn.identity.repeats == local.identity.repeats
    # draws differ in how often they have a row, and those of single rows in their weights
    is_exact = all_at_once or kind == "copies"
    assert_allclose(drawn.n_rows, exact.n_rows, rtol=0 if is_exact else 0.15)
    rtol = 1e-9 if is_exact or local.identity.repeats.weight_of_one else 0.15
    assert_allclose(drawn.total_weight, exact.total_weight, rtol=rtol)
    assert_allclose(drawn.n_observations(), exact.n_observations(), rtol=rtol)
    originals = set(map(tuple, X))
    assert all(tuple(row) in originals for row in drawn.X)
    if all_at_once:
        assert_array_equal(drawn.X, exact.X)
        assert_allclose(drawn.weights, exact.weights)


@busy_cluster
def test_copies_in_one_partition_choose_what_memory_chooses():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30_000, 4))
    y = (X[:, 0] * X[:, 1] + rng.logistic(scale=0.7, size=30_000) > 0).astype(int)
    X = np.concatenate([X, np.repeat(X[:300], 100, axis=0)])
    y = np.concatenate([y, np.repeat(y[:300], 100)])
    settings = {"hidden_layer_sizes": 4, "max_iter": 10, "random_state": 0}
    with warnings.catch_warnings(), dask.config.set(scheduler="threads"):
        warnings.simplefilter("ignore", ConvergenceWarning)  # ten iterations
        local = MLPClassifierManual(**settings).fit(X, y)
        model = DaskMLPClassifierManual(**settings)
        model.fit(*(partitioned(array, (30_000, 30_000)) for array in (X, y)))
    assert model.alpha_ == local.alpha_


@busy_cluster
@short_fits
def test_some_chunks_are_sparse(rows):
    X, y, _ = rows
    chunks = (500, 300, 200)
    X_parts = partitioned(X, chunks).map_blocks(
        lambda block: sparse.csr_matrix(block) if len(block) == 300 else block
    )
    settings = {"max_iter": 20, "random_state": 0}
    model = DaskMLPClassifierManual(5, **settings).fit(X_parts, partitioned(y, chunks))
    local = MLPClassifierManual(5, **settings).fit(sparse.csr_matrix(X), y)
    assert model.alpha_ == local.alpha_


# --- Parquet, where partitions depend on the columns that are read


PARQUET = {
    "as it is": lambda file, frame: file,
    "without an index": lambda file, frame: file.reset_index(drop=True),
    "filtered": lambda file, frame: file[file["i"] < 350],
    "some of each partition": lambda file, frame: file[file["a"] > 0],
    "concatenated": lambda file, frame: dd.concat([file, file]),
    "concatenated with another": lambda file, frame: dd.concat([file, frame]),
    "mapped": lambda file, frame: file.map_partitions(lambda part: part.assign(a=1.0)),
    "repartitioned": lambda file, frame: file.repartition(npartitions=2),
    "some partitions": lambda file, frame: file.partitions[1:4],
}
FEATURES = ["a", "b", "c", "flag"]


@pytest.fixture(scope="module")
def table():
    """Columns and labels of many types."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 900))
    label = np.select([a + b / 3 + rng.normal(size=900) > 1, a < -0.5], ["u", "v"], "w")
    columns = {
        "a": a,
        "b": b,
        "c": pd.array(rng.integers(0, 4, 900), "Int64"),
        "flag": pd.array(rng.random(900) < 0.5, "boolean"),
        "w": rng.uniform(0.1, 2, 900),
        "i": np.arange(900),
        "text": label,
        "category": pd.Categorical(label),
        "bool": a + rng.normal(size=900) > 0,
        "boolean": pd.array(a + rng.normal(size=900) > 0, "boolean"),
        "Int64": pd.array((a + rng.normal(size=900) > 0).astype(int), "Int64"),
    }
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def parquet(table, tmp_path_factory):
    """A folder with five files, and the frame that they are of."""
    pytest.importorskip("pyarrow", reason="reads and writes Parquet")
    folder = str(tmp_path_factory.mktemp("parquet"))
    frame = dd.from_pandas(table, npartitions=5)
    with warnings.catch_warnings(), dask.config.set(scheduler="threads"):
        warnings.simplefilter("ignore")  # of pandas, about what Dask calls
        frame.to_parquet(folder)
    return folder, frame


def gives_what_memory_gives(data, label="text", weight="w"):
    settings = SETTINGS | {"max_iter": 15, "alpha": 3.0}
    whole = data.compute()
    model = DaskMLPClassifierManual(5, **settings)
    model.fit(data[FEATURES], data[label], data[weight])
    local = MLPClassifierManual(5, **settings)
    local.fit(whole[FEATURES], whole[label], whole[weight])
    exact = local.predict_proba(whole[FEATURES])
    assert_array_equal(model.classes_, local.classes_)
    assert_allclose(model.to_local().predict_proba(whole[FEATURES]), exact, atol=1e-6)
    with_column = data.assign(predicted=model.predict(data[FEATURES]))
    computed = with_column.compute()
    assert computed.index.equals(whole.index)
    assert computed["predicted"].dtype == with_column.dtypes["predicted"]
    assert_array_equal(computed["predicted"], local.predict(whole[FEATURES]))
    score = local.score(whole[FEATURES], whole[label], whole[weight])
    found = model.score(data[FEATURES], data[label], data[weight])
    assert_allclose(found, score)


# pandas, about what Dask calls to read the file
of_pandas = pytest.mark.filterwarnings(
    "ignore:The inplace keyword", "ignore:An error occurred while calling the read_parquet"
)


@busy_cluster
@of_pandas
@short_fits
@pytest.mark.parametrize("change", PARQUET.values(), ids=PARQUET)
def test_columns_of_one_parquet_file(parquet, change):
    folder, frame = parquet
    with dask.config.set(scheduler="threads"):
        gives_what_memory_gives(change(dd.read_parquet(folder), frame))
        gives_what_memory_gives(
            change(dd.read_parquet(folder, filters=[("i", "<", 800)]), frame)
        )


@busy_cluster
@of_pandas
@short_fits
@pytest.mark.parametrize("label", ["category", "bool", "boolean", "Int64"])
def test_labels_of_a_parquet_file(parquet, label):
    with dask.config.set(scheduler="threads"):
        gives_what_memory_gives(dd.read_parquet(parquet[0]), label)


@busy_cluster
@of_pandas
@short_fits
def test_persisted_columns_of_a_parquet_file(parquet):
    data = dd.read_parquet(parquet[0])
    with dask.config.set(scheduler="threads"):
        whole = data.persist()
        gives_what_memory_gives(whole)
        fails(
            whole[FEATURES],
            data["text"].persist(),
            match="X has . partitions, but y has .* persist the frame as a whole",
        )


# --- values ------------------------------------------------------------------------------


def in_threads():
    return dask.config.set(scheduler="threads")


@pytest.fixture(scope="module")
def values(rows):
    """X, y of each loss, and weights that are 0 for some rows and for all of the first."""
    X, _, weights = rows
    mean = X[:, 0] * X[:, 1] + np.sin(X[:, 2])
    rng = np.random.default_rng(1)
    y = mean + 0.3 * rng.normal(size=1000)
    of_losses = {
        "squared_error": 1e6 + y,
        "poisson": rng.poisson(np.exp(mean)),
        "gamma": np.exp(y),
        "gaussian": y,
        "absolute_error": y,
        "quantile": y,
    }
    return X, of_losses, weights * (np.arange(1000) >= 100) * (rng.random(1000) < 0.8)


LOSSES = ("squared_error", "poisson", "gamma", "gaussian", "absolute_error", "quantile")


def both_regressors(X, y, weights=None, chunks=CHUNKS[3], **params):
    """The fit to partitions, and the fit to the same rows in memory."""
    settings = {"hidden_layer_sizes": 8} | SETTINGS | params
    given = [None if a is None else partitioned(a, chunks) for a in (X, y, weights)]
    model = DaskMLPRegressorManual(**settings).fit(*given)
    return model, MLPRegressorManual(**settings).fit(X, y, weights)


def differences(model, local, X):
    """Largest difference of predictions, in deviations of these."""
    found, exact = model.predict(X), local.predict(X)
    assert found.shape == exact.shape
    return (np.abs(found - exact) / exact.std(axis=0)).max()


@busy_cluster
@short_fits
@pytest.mark.parametrize(
    ("loss", "n_parts", "weighted"),
    paired(product(LOSSES, CHUNKS), [(False,), (True,)]),
)
def test_values_in_partitions_give_what_memory_gives(values, loss, n_parts, weighted):
    X, of_losses, weights = values
    y = of_losses[loss]
    given = X, y, weights if weighted else None
    levels = [0.1, 0.5, 0.9] if loss == "quantile" else 0.5
    with in_threads():
        model, local = both_regressors(*given, CHUNKS[n_parts], loss=loss, quantile=levels)
        X_parts = partitioned(X, CHUNKS[n_parts])
        lazy = model.predict(X_parts)
        assert_allclose(lazy.compute(), model.to_local().predict(X), rtol=1e-12)
    assert lazy.shape == ((1000, 3) if loss == "quantile" else (1000,))
    assert differences(model, local, X) < 1e-5
    assert model.n_iter_ == local.n_iter_ == 20
    assert_allclose(model.target_mean_, local.target_mean_, rtol=1e-12)
    assert_allclose(model.target_scale_, local.target_scale_, rtol=1e-9)
    assert_allclose(model.loss_, local.loss_, rtol=1e-6)
    assert type(model.to_local()) is MLPRegressorManual


@busy_cluster
@short_fits
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "gaussian"])
def test_values_on_a_cluster(values, loss, cluster):
    X, of_losses, weights = values
    model, local = both_regressors(X, of_losses[loss], weights, loss=loss)
    assert differences(model, local, X) < 1e-5
    assert_allclose(model.predict(partitioned(X, (500, 500))).compute(), model.predict(X))


@busy_cluster
@short_fits
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "gaussian"])
def test_several_columns_of_values(values, loss):
    X, of_losses, _ = values
    y = of_losses["gaussian"]
    Y = np.column_stack([1e-3 * y, 50 + 1e3 * y**2])
    with in_threads():
        model, local = both_regressors(X, Y, loss=loss)
        parts = partitioned(X, CHUNKS[3]), partitioned(Y, CHUNKS[3])
        assert differences(model, local, X) < 1e-5
        assert_allclose(model.score(*parts), local.score(X, Y), rtol=1e-6)
        assert model.predict(parts[0]).compute().shape == (1000, 2)


@busy_cluster
@short_fits
def test_score_of_values_is_r2(values):
    X, of_losses, weights = values
    y = of_losses["squared_error"]
    with in_threads():
        model, _ = both_regressors(X, y)
        parts = [partitioned(a, CHUNKS[3]) for a in (X, y, weights)]
        local = model.to_local()
        assert_allclose(model.score(*parts[:2]), local.score(X, y))
        assert_allclose(model.score(*parts), local.score(X, y, weights))
        assert 0.5 < model.score(*parts[:2]) < 1


@busy_cluster
@short_fits
def test_deviations_are_lazy(values):
    X, of_losses, _ = values
    names = [f"x{i}" for i in range(6)]
    frame = pd.DataFrame(X, columns=names, index=np.arange(1000) * 3)
    for n_columns in (1, 2):
        y = of_losses["gaussian"]
        y = y if n_columns == 1 else np.column_stack([y, -5 * y])
        with in_threads():
            model, local = both_regressors(X, y, loss="gaussian")
            lazy = model.predict(partitioned(X, CHUNKS[17]), return_std=True)
            assert all(isinstance(part, da.Array) for part in lazy)
            for part, exact in zip(lazy, local.predict(X, return_std=True), strict=True):
                assert part.shape == part.compute().shape == exact.shape
                assert_allclose(part.compute(), exact, rtol=1e-5)
            model.feature_names_in_ = np.array(names, dtype=object)
            parts = dd.from_pandas(frame, npartitions=3)
            mean, std = model.predict(parts, return_std=True)
            assert_array_equal(std.compute().index, frame.index)
            assert_allclose(std.compute(), lazy[1].compute())
            assert_allclose(mean.compute(), lazy[0].compute())
    model = DaskMLPRegressorManual(**SETTINGS)
    with in_threads():
        model.fit(partitioned(X, (500, 500)), partitioned(y, (500, 500)))
        with pytest.raises(ValueError, match="return_std needs loss='gaussian'"):
            model.predict(partitioned(X, (500, 500)), return_std=True)


@busy_cluster
@short_fits
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_of_dataframes(values, dtype):
    X, of_losses, weights = values
    names = list("abcdef")
    frame = pd.DataFrame(X.astype(dtype), columns=names, index=np.arange(1000) * 2)
    frame["y"], frame["w"] = of_losses["gaussian"], weights
    frame["z"] = frame["y"] ** 2
    with in_threads():
        parts = dd.from_pandas(frame, npartitions=4)
        for target, columns in (("y", None), (["y", "z"], [0, 1])):
            model = DaskMLPRegressorManual(hidden_layer_sizes=5, **SETTINGS)
            model.fit(parts[names], parts[target], parts["w"])
            local = MLPRegressorManual(hidden_layer_sizes=5, **SETTINGS)
            local.fit(frame[names], frame[target], frame["w"])
            rtol = 1e-6 if dtype == np.float64 else 1e-2
            assert_allclose(model.loss_, local.loss_, rtol=rtol)
            lazy = model.predict(parts[names])
            computed = lazy.compute()
            assert_array_equal(computed.index, frame.index)
            exact = model.to_local().predict(frame[names])
            assert exact.dtype == dtype
            assert_allclose(computed, exact, rtol=100 * np.finfo(dtype).eps, atol=1e-6)
            if columns is None:
                assert isinstance(lazy, dd.Series)
                assert lazy.dtype == computed.dtype == dtype
                assert lazy.name == computed.name == "predict"
            else:
                assert list(lazy.columns) == list(computed.columns) == columns
                assert (lazy.dtypes == dtype).all()
                assert (computed.dtypes == dtype).all()


@busy_cluster
@short_fits
def test_columns_of_quantiles_are_their_levels(values):
    X, of_losses, _ = values
    frame = pd.DataFrame(X, columns=list("abcdef"))
    params = {"loss": "quantile", "quantile": [0.2, 0.8]}
    with in_threads():
        model = DaskMLPRegressorManual(**(SETTINGS | params))
        parts = dd.from_pandas(frame, npartitions=2)
        model.fit(parts, dd.from_pandas(pd.Series(of_losses["quantile"]), npartitions=2))
        lazy = model.predict(parts)
        assert list(lazy.columns) == list(lazy.compute().columns) == [0.2, 0.8]


@busy_cluster
@short_fits
@pytest.mark.parametrize("loss", LOSSES)
def test_sorted_values_and_a_constant_partition(values, loss):
    X, of_losses, _ = values
    order = np.argsort(of_losses[loss], kind="stable")
    X, y = X[order], of_losses[loss][order].astype(float)
    y[300:600] = y[450]
    with in_threads():
        model, local = both_regressors(X, y, chunks=(300, 300, 1, 399), loss=loss)
    assert_allclose(model.target_mean_, local.target_mean_, rtol=1e-12)
    assert_allclose(model.target_scale_, local.target_scale_, rtol=1e-9)
    assert differences(model, local, X) < 1e-5


@busy_cluster
@short_fits
@pytest.mark.filterwarnings("ignore:The fit ended no better than a constant")
def test_constant_values_in_all_partitions(values):
    X = values[0]
    for loss in ("squared_error", "poisson", "absolute_error"):
        with in_threads():
            model, local = both_regressors(X, np.full(1000, 3.0), loss=loss)
            assert_allclose(model.predict(X), local.predict(X), atol=1e-5)
            # a number that is no float: its mean is, and nothing is left of a deviation
            model, _ = both_regressors(X, np.full(1000, 0.1), loss=loss)
        assert_allclose(model.predict(X), 0.1, atol=0.2)


@busy_cluster
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_moments_of_values_near_the_ends_of_floats(rows, scale):
    y = scale * (2 + rows[0][:, 0])
    model = DaskMLPRegressorManual(**SETTINGS)
    with in_threads():
        settings = Settings(model)
        given = partitioned(rows[0], CHUNKS[3]), partitioned(y, CHUNKS[3]), None, None
        taken = take_parts(model, settings, None, *given, None, persist=True)
    assert_allclose(taken.targets.center, y.mean(), rtol=1e-12)
    assert_allclose(taken.targets.scale / scale, (y / scale).std(), rtol=1e-12)
    assert_allclose(
        taken.data.target_totals(taken.targets.loss, 1), [0, 1000], atol=1e-5, rtol=1e-6
    )


@busy_cluster
@pytest.mark.parametrize("loss", LOSSES)
def test_totals_of_values_are_sums_of_partitions(values, loss):
    X, of_losses, weights = values
    settings = Settings(MLPRegressorManual(loss=loss, **SETTINGS))
    arrays = X, of_losses[loss], weights
    local = take(MLPRegressorManual(), settings, None, *arrays, None, None)
    exact = local.data.target_totals(local.targets.loss, local.targets.n_outputs)
    model = DaskMLPRegressorManual()
    with in_threads():
        given = [partitioned(array, CHUNKS[17]) for array in arrays]
        taken = take_parts(model, settings, None, *given, None, None, persist=False)
        found = taken.data.target_totals(taken.targets.loss, taken.targets.n_outputs)
    # values of 1e6, which end with a digit of 1e-10, and there are a thousand of them
    assert_allclose(found, exact, rtol=1e-9, atol=1e-6)
    assert taken.data.n_rows == local.data.n_rows
    assert_allclose(taken.data.total_weight, local.data.total_weight)


@busy_cluster
@pytest.mark.parametrize("chunks", [(900, 100), (1,) * 10 + (990,), (500, 500)])
def test_quantiles_of_more_rows_than_a_sample(values, chunks, monkeypatch):
    """Sorted values: each partition has its share in the sample."""
    monkeypatch.setattr("skmlp.dask._sample.MOST_TARGETS", 400)
    X, of_losses, _ = values
    y = np.sort(of_losses["quantile"])
    model = DaskMLPRegressorManual(loss="quantile", quantile=[0.1, 0.9], **SETTINGS)
    with in_threads():
        given = partitioned(X, chunks), partitioned(y, chunks), None, None, None
        targets = take_parts(model, Settings(model), None, *given, persist=True).targets
    quantiles = targets.constant * targets.scale + targets.center
    shares = [(y <= value).mean() for value in quantiles]
    # standard deviation .015 without the correction for finite numbers
    assert_allclose(shares, [0.1, 0.9], atol=0.045)
    assert abs((y <= targets.center).mean() - 0.5) < 0.075


@busy_cluster
def test_defaults_choose_what_they_choose_in_memory_for_values(values):
    X, of_losses, _ = values
    y = of_losses["squared_error"]
    groups = np.arange(1000) % 40
    local = MLPRegressorManual(hidden_layer_sizes=5, random_state=0)
    local.fit(X, y, groups=groups)
    with in_threads():
        model = DaskMLPRegressorManual(hidden_layer_sizes=5, random_state=0)
        model.fit(
            partitioned(X, CHUNKS[3]),
            partitioned(y, CHUNKS[3]),
            groups=partitioned(groups, CHUNKS[3]),
        )
    assert model.alpha_ == local.alpha_
    assert_allclose(model.predict(X) - 1e6, local.predict(X) - 1e6, atol=0.05)


@busy_cluster
@short_fits
@pytest.mark.parametrize("loss", ["squared_error", "poisson", "absolute_error"])
def test_validation_sets_of_values(values, loss):
    X, of_losses, weights = values
    y, w = of_losses[loss], 0.1 + weights
    settings = SETTINGS | {"loss": loss, "early_stopping": "auto", "max_iter": 60}
    parts = partitioned(X[:600], (300, 300)), partitioned(y[:600], (300, 300))
    given = {"X_val": X[600:], "y_val": y[600:], "sample_weight_val": w[600:]}
    local = MLPRegressorManual(**settings).fit(X[:600], y[:600], **given)
    in_parts = {name: partitioned(array, (150, 250)) for name, array in given.items()}
    with in_threads():
        for validation in (given, in_parts):
            model = DaskMLPRegressorManual(**settings).fit(*parts, **validation)
            assert model.best_iteration_ == local.best_iteration_ is not None
            assert_allclose(
                model.validation_loss_curve_, local.validation_loss_curve_, rtol=1e-5
            )


@busy_cluster
@short_fits
def test_warm_start_keeps_the_units_of_values(values):
    X, of_losses, _ = values
    y = of_losses["gaussian"]
    parts = partitioned(X, CHUNKS[3]), partitioned(y, CHUNKS[3])
    settings = {"hidden_layer_sizes": 5, "warm_start": True} | SETTINGS
    local = MLPRegressorManual(**settings).fit(X, y).fit(X, 2 * y + 1)
    with in_threads():
        model = DaskMLPRegressorManual(**settings).fit(*parts)
        mean = model.target_mean_
        model.fit(parts[0], 2 * parts[1] + 1)
        assert_array_equal(model.target_mean_, mean)
        assert differences(model, local, X) < 1e-3
        with pytest.raises(ValueError, match="the number of columns of y has changed"):
            model.fit(parts[0], da.stack([parts[1], parts[1]], axis=1))
        assert_array_equal(model.target_mean_, mean)


@busy_cluster
@short_fits
@pytest.mark.parametrize("loss", ["squared_error", "quantile"])
def test_how_often_partitions_of_values_are_read(values, loss, monkeypatch):
    """Without keeping them: once to come in, for means of features and of targets."""
    X, of_losses, _ = values
    reads = []

    def read(block):
        if len(block):
            reads.append(1)
        return block

    calls = counted(monkeypatch, SumOfParts)
    X_parts = partitioned(X, (613, 387)).map_blocks(read, dtype=X.dtype, meta=X[:0])
    with in_threads():
        model = DaskMLPRegressorManual(loss=loss, **(SETTINGS | {"max_iter": 3}))
        model.fit(X_parts, partitioned(of_losses[loss], (613, 387)), persist=False)
    assert len(reads) == 2 * (3 + len(calls))


def regressor_fails(X, y, match, weights=None, chunks=(300, 300, 200, 200), **params):
    model = DaskMLPRegressorManual(**(SETTINGS | params))
    before = dict(vars(model))
    given = [None if a is None else partitioned(a, chunks) for a in (X, y, weights)]
    with in_threads(), pytest.raises(ValueError, match=match):
        model.fit(*given)
    assert vars(model) == before


@busy_cluster
def test_bad_values_in_partitions(values):
    X, of_losses, weights = values
    y = of_losses["poisson"].astype(float)
    y[900] = -1
    match = "In partition 3: loss='poisson' is for y that are at least 0; .* -1"
    regressor_fails(X, y, match, loss="poisson")
    y[900] = 0
    match = "In partition .: loss='gamma' is for y that are positive"
    regressor_fails(X, y, match, loss="gamma")
    y[700] = np.nan
    regressor_fails(X, y, "In partition 2: Input y contains NaN")
    y = of_losses["gaussian"]
    for loss in ("squared_error", "quantile"):
        regressor_fails(X, y, "must be positive", weights=0 * weights, loss=loss)
    Y = partitioned(np.column_stack([y, y, y]), (500, 500))
    unequal = Y.map_blocks(
        lambda block, block_info=None: block[:, block_info[0]["chunk-location"][0] :],
        dtype=float,
    )
    for loss in ("squared_error", "quantile"):
        model = DaskMLPRegressorManual(loss=loss, **SETTINGS)
        with (
            in_threads(),
            pytest.raises(ValueError, match="0 and 1 differ in columns of y"),
        ):
            model.fit(partitioned(X, (500, 500)), unequal)
    model = DaskMLPRegressorManual(loss="gamma", **SETTINGS)
    parts = partitioned(X, (500, 500)), partitioned(np.exp(y), (500, 500))
    with in_threads():
        with pytest.raises(ValueError, match=r"validation set: In partition .: .*positive"):
            model.fit(*parts, X_val=parts[0], y_val=-parts[1])
        Y = da.stack([parts[1], parts[1]], axis=1)
        with pytest.raises(ValueError, match="validation set: y has 2 columns, but 1 are"):
            model.fit(*parts, X_val=parts[0], y_val=Y)
        with pytest.raises(TypeError, match=r"Dask array .* use MLPRegressorManual"):
            model.fit(X, parts[1])
        with pytest.raises(ValueError, match="solver='adam' does not work on partitions"):
            model.set_params(solver="adam").fit(*parts)
    assert not hasattr(model, "partial_fit")


@busy_cluster
def test_quantiles_are_checked_before_anything_is_read(values):
    def read(block):
        raise OSError("read")

    X = partitioned(values[0], (500, 500))
    X = X.map_blocks(read, dtype=float, meta=values[0][:0])
    y = partitioned(values[1]["quantile"], (500, 500))
    model = DaskMLPRegressorManual(loss="quantile", quantile=[0.9, 0.1], **SETTINGS)
    with in_threads(), pytest.raises(ValueError, match="quantile should ascend"):
        model.fit(X, y)


# --- what goes to a cluster --------------------------------------------------------------


@busy_cluster
@short_fits
@pytest.mark.parametrize("as_frame", [False, True])
def test_no_large_graph_is_sent(cluster, as_frame):
    """Parameters of 1.2 MB, where a graph of 1 MB is large."""
    X = da.random.default_rng(0).normal(size=(60, 300), chunks=(20, 300))
    y = (X[:, 0] > 0).astype(int)
    if as_frame:
        X = dd.from_dask_array(X, columns=[f"x{i}" for i in range(300)])
        y = dd.from_dask_array(y, columns="y")
    in_memory = np.random.default_rng(0).normal(size=(600, 300))
    if as_frame:
        in_memory = pd.DataFrame(in_memory, columns=X.columns)
    labels = np.repeat([0, 1], 300)
    threshold = {"distributed.admin.large-graph-warning-threshold": "1MB"}
    with warnings.catch_warnings(), dask.config.set(threshold):
        warnings.filterwarnings("error", message="Sending large graph")
        warnings.simplefilter("ignore", ConvergenceWarning)  # one iteration
        model = DaskMLPClassifierManual(500, alpha=1.0, max_iter=1, random_state=0)
        model.fit(X, y, X_val=in_memory, y_val=labels)
        local = model.to_local()
        for method in ("predict", "predict_proba", "decision_function", "transform"):
            found = np.asarray(getattr(model, method)(X).compute())
            assert_allclose(found, getattr(local, method)(X.compute()), rtol=1e-9)
        assert 0 <= model.score(X, y) <= 1
    assert sum(W.nbytes for W in model.coefs_) > 1.1e6
