"""What several files of tests share, beside the fixtures."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skmlp import MLPClassifierManual
from skmlp._rows import Rows

SOLVERS = ["lbfgs", "newton-cg", "sgd", "adam"]
STOCHASTIC = ["sgd", "adam"]
# for tests that are about a few iterations: their end is no failure
short_fits = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
# for tests in which one set of parameters serves several solvers
shared_settings = pytest.mark.filterwarnings("ignore:.* has no effect with ")


def parameters(model):
    """All weights and biases, in one vector."""
    return np.concatenate([a.ravel(order="F") for a in (*model.coefs_, *model.intercepts_)])


def short(**params):
    """A small network with few iterations, which end before its training has."""
    return MLPClassifierManual(10, max_iter=5, random_state=0).set_params(**params)


def make_rows(n, weights=None, n_classes=3):
    """Rows of normal features; their classes take turns."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, 4)), np.arange(n) % n_classes
    return Rows(X, y, weights, weights)


def assert_same_state(before, after):
    """Of two dictionaries of arrays, scalars, and lists and dictionaries of them."""
    assert type(before) is type(after)
    if isinstance(before, dict):
        assert before.keys() == after.keys()
        for name, value in before.items():
            assert_same_state(value, after[name])
    elif isinstance(before, list | tuple):
        assert len(before) == len(after)
        for one, other in zip(before, after, strict=True):
            assert_same_state(one, other)
    else:
        assert_array_equal(before, after)
