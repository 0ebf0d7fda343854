"""Data in a memory map are not loaded: what was read is given back."""

import subprocess
import sys

import numpy as np
import pytest
from common import SOLVERS, short_fits
from numpy.testing import assert_allclose, assert_array_equal

from skmlp import MLPClassifierManual
from skmlp._memory_map import memory_map

GROWTH = """
import resource, sys, warnings
import numpy as np
from skmlp import MLPClassifierManual
warnings.simplefilter("ignore")
X = np.memmap(sys.argv[1], np.float64, "r", shape=(200_000, 200))
y = np.arange(len(X)) % 3
model = MLPClassifierManual(20, **eval(sys.argv[2]), max_iter=1, random_state=0)
model.fit(X[:5000], y[:5000]).predict(X[:5000])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model.fit(X, y, np.where(y, 1.0, 0.0)).predict_proba(X)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """320 MB of zeros but for every hundredth row."""
    path = tmp_path_factory.mktemp("map") / "X.dat"
    X = np.memmap(path, np.float64, "w+", shape=(200_000, 200))
    X[::100] = np.random.default_rng(0).normal(size=(2000, 200))
    X.flush()
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux does")
@pytest.mark.parametrize(
    "params", [{"solver": "lbfgs"}, {"solver": "adam", "shuffle": False}]
)
def test_memory_does_not_grow_with_the_file(path, params):
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, path, repr(params)], capture_output=True, check=True
    )
    assert int(done.stdout) < 80  # MB, of a file of 320


@short_fits
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_memory_map_gives_what_an_array_gives(path, solver, mode):
    X = np.memmap(path, np.float64, mode, shape=(200_000, 200))[::100]
    array = np.array(X)
    y = np.arange(len(X)) % 3
    models = [
        MLPClassifierManual(5, solver=solver, max_iter=3, random_state=0).fit(data, y)
        for data in (X, array)
    ]
    assert_array_equal(*(model.coefs_[0] for model in models))
    assert_array_equal(models[0].predict_proba(X), models[1].predict_proba(array))


@pytest.mark.filterwarnings("ignore:batch_size=2000 is larger")
@short_fits
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_weight_zero_of_a_memory_map(path, solver, early_stopping):
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
def test_changes_of_a_private_map_survive(path):
    X = np.memmap(path, np.float64, "c", shape=(200_000, 200))[:2000]
    X[0] = 7
    assert memory_map(X) is None
    MLPClassifierManual(5, solver="lbfgs", max_iter=2).fit(X, np.arange(2000) % 2)
    assert (X[0] == 7).all()


@short_fits
def test_map_that_is_not_finite(path):
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
