import os
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris, make_multilabel_classification
from sklearn.preprocessing import StandardScaler

pytest.register_assert_rewrite("common")


class SameDraws:
    """Fits without random_state draw the same in every run of a test, pages included."""

    @staticmethod
    def pytest_runtest_setup():
        np.random.seed(0)  # noqa: NPY002, since it is the generator that such fits draw from


def pytest_configure(config):
    """Workers of pytest-xdist share the cores: tests of threads ask for them."""
    config.pluginmanager.register(SameDraws())
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        from common import set_threads

        set_threads(max(os.cpu_count() // worker["workercount"], 1))


@pytest.fixture(scope="session")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.fixture(scope="session")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


@pytest.fixture(scope="session")
def binary_digits(digits):
    X, y = digits
    rows = np.flatnonzero(y < 2)[:200]
    return X[rows], y[rows]


@pytest.fixture
def imbalanced(digits):
    """Two digits, one of them rare."""
    X, y = digits
    rows = np.r_[np.flatnonzero(y == 3)[:150], np.flatnonzero(y == 8)[:15]]
    return X[rows], y[rows]


@pytest.fixture
def labels():
    """Rows with any number of four labels."""
    X, Y = make_multilabel_classification(300, 12, n_classes=4, random_state=0)
    return StandardScaler().fit_transform(X), Y


@pytest.fixture(autouse=True)
def close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def can_import(name):
    """Whether a module is there, and its package works.

    imbalanced-learn 0.13, the last for numpy 1.24, fails to import with scikit-learn 1.7.
    """
    try:
        return find_spec(name) is not None
    except ImportError:
        return False


def pytest_collection_modifyitems(items):
    """Examples that draw, and some pages, need the extras, or a new scikit-learn."""
    needs = {
        "_display": ["matplotlib"],
        "Display": ["matplotlib"],
        "docs/guide/callbacks": ["sklearn.callback", "rich"],
        "docs/guide/curves": ["matplotlib"],
        "docs/guide/inspection": ["matplotlib"],
        "docs/guide/large_data": ["dask"],
        "docs/guide/persistence": ["onnxruntime", "skl2onnx", "skops"],
        "docs/guide/tools": [
            *("skrub", "matplotlib"),  # which skrub imports
            *("imblearn.pipeline", "optuna", "mapie", "shap"),
        ],
    }
    for item in items:
        for name, modules in needs.items():
            if name in item.nodeid and not all(map(can_import, modules)):
                item.add_marker(pytest.mark.skip(reason=f"needs {' and '.join(modules)}"))
