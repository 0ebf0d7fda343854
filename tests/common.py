"""What several files of tests share, beside the fixtures."""

from collections import Counter
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from threadpoolctl import ThreadpoolController

from skmlp import MLPClassifierManual
from skmlp._iteration import Result
from skmlp._race import Rules
from skmlp._rows import Rows
from skmlp._value_losses import GAMMA, GAUSSIAN, POISSON, SQUARED_ERROR, quantile_loss

SOLVERS = ["lbfgs", "newton-cg", "sgd", "adam"]
STOCHASTIC = ["sgd", "adam"]
# for tests that are about a few iterations: their end is no failure
short_fits = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
# for tests in which one set of parameters serves several solvers
shared_settings = pytest.mark.filterwarnings("ignore:.* has no effect with ")


# Losses of real values: each with numbers of targets and of outputs
VALUE_LOSSES = {
    "squared_error": (SQUARED_ERROR, 4, 4),
    "poisson": (POISSON, 4, 4),
    "gamma": (GAMMA, 4, 4),
    "gaussian": (GAUSSIAN, 2, 4),
    "quantile": (quantile_loss(np.array([0.8]), 0.2, np.full(4, 0.84)), 4, 4),
    "absolute quantile": (quantile_loss(np.array([0.5]), 0.3, np.zeros(4), 2.0), 4, 4),
    "quantiles": (
        quantile_loss(
            np.array([0.1, 0.3, 0.6, 0.9]), 0.3, np.array([-1.28, -0.52, 0.25, 1.28])
        ),
        1,
        4,
    ),
}


def set_threads(n_threads):
    """Set the threads of BLAS and the like, not as a limit; return how many there were."""
    libraries = ThreadpoolController().lib_controllers
    before = max((library.num_threads for library in libraries), default=1)
    for library in libraries:
        library.set_num_threads(n_threads)
        # threadpoolctl 3.8 lets the thread that was the first to set a limit alone do so
        forget = getattr(library, "clear_controlling_thread", None)
        if forget is not None:
            forget(force=True)
    return before


def draw_values(loss, n_columns, n, seed=0):
    """Targets: counts with zeros for Poisson, positive for gamma, else normal."""
    rng = np.random.default_rng(seed)
    if loss is POISSON:
        return rng.poisson(1.5, size=(n, n_columns)) / 1.5
    if loss is GAMMA:
        return rng.gamma(2.0, 0.5, size=(n, n_columns))
    return rng.normal(size=(n, n_columns))


def paired(cases, others):
    """Each case with one of the others, chosen so that all pairs of values come up.

    Instead of each case with every other, for parameters that meet in no line of the code.
    """
    seen, found = Counter(), []
    for case in cases:
        pairs = {
            other: list(product(enumerate(case), enumerate(other))) for other in others
        }
        other = min(others, key=lambda other: sum(seen[pair] for pair in pairs[other]))
        seen.update(pairs[other])
        found.append((*case, *other))
    return found


def parameters(model):
    """All weights and biases, in one vector."""
    return np.concatenate([a.ravel(order="F") for a in (*model.coefs_, *model.intercepts_)])


def short(**params):
    """A small network with few iterations, which end before its training has."""
    model = MLPClassifierManual(10, alpha=1.0, max_iter=5, random_state=0)
    return model.set_params(**params)


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


class KnownSplit:
    """What a race asks of a problem; the held-out loss of each candidate is known.

    Parameters
    ----------
    loss_of : callable
        Of a number of half decades and a start: the loss on held-out rows.
    n_held_out : int
    unit : float
    n_rows : int
        To train on.
    objective_of : callable
        Of a number of half decades: the objective where its fit ends.
    n_independent : int, optional
        Groups that are held out.
    """

    def __init__(
        self,
        loss_of,
        n_held_out=300,
        unit=1.0,
        n_rows=100,
        objective_of=lambda c: 1.0,
        n_independent=None,
    ):
        self._loss_of, self._unit, self._objective_of = loss_of, unit, objective_of
        self.data = SimpleNamespace(n_rows=n_rows, total_weight=n_rows * unit)
        self.validation = SimpleNamespace(
            n_observations=lambda: n_held_out,
            n_independent=lambda: n_independent or n_held_out,
        )
        self.network = SimpleNamespace(n_parameters=2)
        self._weight = n_held_out * unit

    def rough_objective(self, alpha, map_rows=None):
        candidate = 2 * np.log10(alpha / self._unit)
        end = self._objective_of(round(candidate, 6))
        return SimpleNamespace(candidate=candidate, end=end, dtype=np.dtype(float))

    def rough_held_out_objective(self):
        def loss(theta):
            start, candidate = theta
            return self._loss_of(round(candidate, 6), start)

        return SimpleNamespace(loss=loss, total_weight=self._weight)

    def reduce(self, theta):
        return theta

    expand = reduce


def known_rules(train=None, unit=1.0, floor=1.0, **options):
    """Rules by which a fit to a `KnownSplit` ends with its start and its candidate."""

    def end(objective, theta, monitor):
        return Result(np.array([theta[0], objective.candidate]), objective.end, 1, True)

    to_learn = floor - options.get("origin", 0.0)
    return Rules(train or end, lambda: None, unit, floor, to_learn, **options)
