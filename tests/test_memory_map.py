"""Data in a large memory map are not loaded: what was read is given back."""

import os
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from common import SOLVERS, short_fits
from joblib import Parallel, delayed
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import skmlp._memory_map
from skmlp import MLPClassifierManual
from skmlp._memory_map import _most_bytes, memory_map

# Of memory, as the process itself has it: what getrusage tells is at least as much as the
# process that has started it has
PEAK = """
import re, sys, warnings
import numpy as np
import skmlp._memory_map
from skmlp import MLPClassifierManual
from skmlp._rows import Rows
def peak():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\\s+([0-9]+)", status.read())[1]) // 1024
warnings.simplefilter("ignore")
skmlp._memory_map._most_bytes = lambda: 2**20
X = np.memmap(sys.argv[1], np.float64, "r", shape=(200_000, 200))
y = np.arange(len(X)) % 3
"""
GROWTH = (
    PEAK
    + """
model = MLPClassifierManual(20, **eval(sys.argv[2]), max_iter=1, random_state=0)
model.fit(X[:5000], y[:5000]).predict(X[:5000])
before = peak()
model.fit(X, y, np.where(y, 1.0, 0.0)).predict_proba(X)
print(peak() - before)
"""
)
GROWTH_OF_PRINTS = (
    PEAK
    + """
Rows(X[:2000], y[:2000]).prints
before = peak()
rows = Rows(X, y)
rows.n_observations(), rows.sample(0, 1000), rows.features_tell(0.1)
print(peak() - before)
"""
)
on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="memory is measured as Linux does"
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """320 MB of zeros but for every hundredth row."""
    path = tmp_path_factory.mktemp("map") / "X.dat"
    X = np.memmap(path, np.float64, "w+", shape=(200_000, 200))
    X[::100] = np.random.default_rng(0).normal(size=(2000, 200))
    X.flush()
    return path


@pytest.fixture
def every_map_is_large(monkeypatch):
    monkeypatch.setattr(skmlp._memory_map, "_most_bytes", lambda: 0)


@on_linux
@pytest.mark.parametrize(
    ("params", "most"),
    [
        ({"solver": "lbfgs", "alpha": 1.0}, 80),
        ({"solver": "adam", "shuffle": False, "alpha": 1.0}, 80),
        # 48,000 rows of the search are 77 MB
        ({"solver": "lbfgs"}, 160),
    ],
)
def test_memory_does_not_grow_with_the_file(path, params, most):
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, path, repr(params)], capture_output=True, check=True
    )
    assert int(done.stdout) < most  # MB, of a file of 320


@on_linux
def test_fingerprints_give_back_what_they_have_read(path):
    done = subprocess.run(
        [sys.executable, "-c", GROWTH_OF_PRINTS, path], capture_output=True, check=True
    )
    assert int(done.stdout) < 80  # MB, of a file of 320


@short_fits
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_large_map_gives_what_an_array_gives(path, solver, mode, every_map_is_large):
    X = np.memmap(path, np.float64, mode, shape=(200_000, 200))[::100]
    array = np.array(X)
    y = np.arange(len(X)) % 3
    alpha = "auto" if solver == "lbfgs" else 1.0
    models = [
        MLPClassifierManual(5, alpha=alpha, solver=solver, max_iter=3, random_state=0)
        for _ in range(2)
    ]
    for model, data in zip(models, (X, array), strict=True):
        model.fit(data, y)
    assert_array_equal(*(model.coefs_[0] for model in models))
    assert_array_equal(models[0].predict_proba(X), models[1].predict_proba(array))


@pytest.mark.filterwarnings("ignore:batch_size=2000 is larger")
@short_fits
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_weight_zero_of_a_large_map(path, solver, early_stopping, every_map_is_large):
    """The rows stay where they are, and add nothing."""
    X = np.memmap(path, np.float64, "r", shape=(200_000, 200))[:4000:2]
    y = np.arange(len(X)) % 3
    weights = np.where(np.arange(len(X)) % 5, 1.0, 0.0)
    settings = {"solver": solver, "max_iter": 3, "random_state": 0}
    if solver == "adam":
        settings |= {"batch_size": 2000, "shuffle": False}
    models = [
        MLPClassifierManual(5, early_stopping=early_stopping, **settings).fit(*data)
        for data in ((X, y, weights), (X[weights > 0], y[weights > 0]))
    ]
    assert_allclose(*(model.coefs_[0] for model in models), rtol=1e-6, atol=1e-9)


@short_fits
def test_changes_of_a_private_map_survive(path, every_map_is_large):
    X = np.memmap(path, np.float64, "c", shape=(200_000, 200))[:2000]
    X[0] = 7
    assert memory_map(X) is None
    MLPClassifierManual(5, solver="lbfgs", max_iter=2).fit(X, np.arange(2000) % 2)
    assert (X[0] == 7).all()


@short_fits
def test_large_map_that_is_not_finite(path, every_map_is_large):
    X = np.memmap(path, np.float64, "r+", shape=(200_000, 200))[:2000]
    y = np.arange(2000) % 2
    model = MLPClassifierManual(5, solver="lbfgs", max_iter=2).fit(X, y)
    assert memory_map(X[::2].view()) is not None
    before = X[1500, 7]
    try:
        X[1500, 7] = np.nan
        for call in (lambda: model.fit(X, y), lambda: model.predict(X)):
            with pytest.raises(ValueError, match="Input X contains NaN"):
                call()
    finally:
        X[1500, 7] = before


def table(n=6000):
    """Enough rows for single precision, for mini-batches too, and for a stage."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 8))
    return X, (np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] > 0).astype(int)


def on_disk(X, folder):
    """A read-only map, as `numpy.load` and joblib make one."""
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


def fit(X, y, solver, *, weights=None, groups=None, **params):
    if solver in ("adam", "sgd"):
        params["max_iter"] = 2
    model = MLPClassifierManual(
        100, solver=solver, **{"alpha": 1.0, "max_iter": 12, "random_state": 0} | params
    )
    return model.fit(X, y, weights, groups=groups)


def name_of(value):
    return (", ".join(value) or "plain") if isinstance(value, dict) else value


def assert_same_fit(X, mapped, y, solver, **given):
    assert isinstance(mapped, np.memmap)
    models = [fit(data, y, solver, **given) for data in (X, mapped)]
    one, other = (
        [*model.coefs_, *model.intercepts_, model.loss_curve_, model.alpha_]
        for model in models
    )
    for expected, found in zip(one, other, strict=True):
        assert_array_equal(expected, found)
    for method in ("predict_proba", "decision_function", "transform"):
        assert_array_equal(*(getattr(models[0], method)(data) for data in (X, mapped)))


# the search is the same for every solver, before epochs and before iterations
SEARCHING = ["lbfgs", "adam"]


@short_fits
@pytest.mark.parametrize(
    ("given", "solver"),
    [
        *product(
            [
                {},
                {"early_stopping": True},
                {"dtype": np.float32},
                {"standardize": False},
                {"weights": np.arange(6000) % 3},
            ],
            SOLVERS,
        ),
        *product(
            [{"alpha": "auto"}, {"alpha": "auto", "groups": np.arange(6000) // 6}],
            SEARCHING,
        ),
    ],
    ids=name_of,
)
def test_a_map_trains_to_the_bits_of_the_array(tmp_path, solver, given):
    X, y = table()
    given = given.copy()
    X = X.astype(given.pop("dtype", X.dtype))
    assert_same_fit(X, on_disk(X, tmp_path), y, solver, **given)


@short_fits
@pytest.mark.parametrize(
    ("given", "solver"),
    [
        *product(
            [{}, {"early_stopping": True}, {"weights": np.arange(6000) % 3 + 1}], SOLVERS
        ),
        *product([{"alpha": "auto"}], SEARCHING),
    ],
    ids=name_of,
)
def test_a_large_map_trains_to_the_bits_of_the_array(
    tmp_path, solver, given, every_map_is_large
):
    X, y = table()
    assert_same_fit(X, on_disk(X, tmp_path), y, solver, **given)


@short_fits
def test_a_large_map_has_the_parts_of_the_array(tmp_path, every_map_is_large, monkeypatch):
    monkeypatch.setattr("skmlp._growing._MANY_ROWS", 6000)
    monkeypatch.setattr("skmlp._growing._FEWEST_ROWS", 100)
    X, y = table()
    assert_same_fit(X, on_disk(X, tmp_path), y, "lbfgs")


@short_fits
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
@pytest.mark.parametrize(
    "view",
    [
        lambda X: X[500:],
        lambda X: X[::2],
        lambda X: X[:, 1:5],
        lambda X: X[::-1, ::2],
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_view_of_a_map_trains_to_the_bits_of_the_view(tmp_path, solver, order, view):
    X, y = table(12_000)
    X = np.asarray(X, order=order)
    seen = view(X)
    assert_same_fit(seen, view(on_disk(X, tmp_path)), y[: len(seen)], solver)


@short_fits
def test_a_wide_map_trains_to_the_bits_of_the_array(tmp_path):
    """In the span of its rows."""
    X = np.random.default_rng(0).normal(size=(60, 400))
    y = (X[:, 0] > 0).astype(int)
    assert_same_fit(X, on_disk(X, tmp_path), y, "lbfgs", alpha="auto")


@short_fits
def test_a_table_of_categories_in_a_map_trains_to_the_bits_of_the_array(tmp_path):
    """Whose equal rows are added up."""
    X = np.random.default_rng(0).integers(3, size=(3000, 3)).astype(float)
    y = (X.sum(axis=1) + np.arange(3000) % 2 > 3).astype(int)
    assert_same_fit(X, on_disk(X, tmp_path), y, "lbfgs", alpha="auto")


def coefs_in_a_worker(*arrays, **params):
    X, y, weights = arrays
    assert not (X.data if sparse.issparse(X) else X).flags.writeable
    return fit(X, y, "auto", weights=weights, **params).coefs_[0]


@short_fits
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_the_maps_of_joblib_are_arrays(kind):
    """All of what a worker is given is read-only, and nobody has asked for a map."""
    X, y = table()
    arrays = X if kind == "dense" else sparse.csr_array(X), y, np.arange(6000) % 3 + 1.0
    with Parallel(n_jobs=2, max_nbytes=1000) as pool:
        (found,) = pool([delayed(coefs_in_a_worker)(*arrays, max_iter=8)])
    expected = fit(*arrays[:2], "auto", weights=arrays[2], max_iter=8).coefs_[0]
    assert_array_equal(found, expected)


def test_what_fits_in_memory_with_ease(monkeypatch, tmp_path):
    """A share of the memory, of the container if it has less, for each processor."""
    (tmp_path / "unlimited").write_text("max")
    (tmp_path / "limit").write_text(f"{64 * 2**30}\n")
    sizes = {"SC_PHYS_PAGES": 2**28, "SC_PAGE_SIZE": 2**10}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    bound = _most_bytes.__wrapped__
    paths = [str(tmp_path / name) for name in ("none", "unlimited", "limit")]
    monkeypatch.setattr(skmlp._memory_map, "_LIMITS", paths[:2])
    assert bound() == 2**30
    monkeypatch.setattr(skmlp._memory_map, "_LIMITS", paths)
    assert bound() == 2**28
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert bound() == 2**26  # and always so much
    monkeypatch.delattr(os, "sysconf")
    assert bound() == 2**26


def test_a_map_is_large_by_what_is_seen_of_it(path, monkeypatch):
    monkeypatch.setattr(skmlp._memory_map, "_most_bytes", lambda: 2**24)
    X = np.memmap(path, np.float64, "r", shape=(200_000, 200))
    for seen in (X, X[::100], X[::-1], X[:, :1], X.T):
        assert memory_map(seen) is X._mmap
    for seen in (X[:10_000], X[-10_000::2], X[:1], X[5]):
        assert memory_map(seen) is None
