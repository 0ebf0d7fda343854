"""Seconds until the held-out log-loss is as good: the race of `speed.py`.

All have 100 hidden units, standardised features, batches of 200 rows, the same objective,
and the units that their users have: skmlp logistic ones, the others ReLU. The targets are
1.5, 1.1 and 1.02 times the best held-out loss that MLPClassifier has in 200 epochs of Adam,
or until ten of them have been no better. The clock runs while a system trains, and stands
while the held-out loss is computed, after each epoch or iteration.

- skmlp is stopped by a callback; "defaults" chooses the penalty first, on the clock, the
  others are given it.
- MLPClassifier: an epoch of Adam is a call of `partial_fit`; a callback is handed to the
  optimiser of scipy that its `fit` by L-BFGS calls.
- PyTorch: Adam fused; L-BFGS with strong Wolfe line search, five iterations a step, since
  each step evaluates anew where it begins.
- JAX: an epoch of Adam is one jitted scan; L-BFGS is scipy's, of the jitted loss and
  gradient. Compilation is over before the clock runs.
"""

import statistics
import time
import warnings
from functools import partial
from typing import NamedTuple
from unittest import mock

import numpy as np
import scipy.optimize
from scipy.ndimage import affine_transform
from sklearn.datasets import load_digits, make_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from speed_systems import (
    installed,
    jax_epochs,
    jax_log_proba,
    jax_loss,
    jax_parameters,
    torch_epoch,
    torch_logits,
    torch_loss,
    torch_parameters,
    torch_rule,
)

from skmlp import MLPClassifierManual

ALPHA = 1.0
BATCH = 200
MARGINS = (1.5, 1.1, 1.02)
PATIENCE = 10
CAP = 10  # seconds of training
ENDLESS = 10**6


class Data(NamedTuple):
    """Rows to train on and rows held out."""

    X: np.ndarray
    X_val: np.ndarray
    k: np.ndarray
    k_val: np.ndarray
    threads: int

    @property
    def sizes(self):
        return [self.X.shape[1], 100, int(self.k.max()) + 1]

    @property
    def strength(self):
        return ALPHA / len(self.X)


def digits():
    return train_test_split(*load_digits(return_X_y=True), test_size=0.2, random_state=0)


def images():
    """Digits of 28 x 28 pixels, as MNIST has: digits() enlarged, turned and shifted."""
    X, X_val, k, k_val = digits()
    rng = np.random.default_rng(0)
    rows, rows_val = rng.integers(len(X), size=10_000), rng.integers(len(X_val), size=2500)
    return _vary(X[rows], rng), _vary(X_val[rows_val], rng), k[rows], k_val[rows_val]


def _vary(X, rng):
    center, images = np.full(2, 13.5), []
    for image in X.reshape(-1, 8, 8):
        angle, shift = rng.normal(scale=0.15), rng.normal(scale=1.5, size=2)
        c, s = np.cos(angle) * 8 / 28, np.sin(angle) * 8 / 28
        turn = np.array([[c, -s], [s, c]])
        offset = np.full(2, 3.5) - turn @ (center + shift)
        images.append(affine_transform(image, turn, offset, output_shape=(28, 28), order=1))
    return np.reshape(images, (len(X), -1))


def made():
    X, k = make_classification(
        25_000,
        20,
        n_informative=8,
        n_classes=3,
        n_clusters_per_class=4,
        flip_y=0.05,
        random_state=0,
    )
    return train_test_split(X, k, test_size=0.2, random_state=0)


DATA = {
    "digits, 1437 x 64": digits,
    "images, 10,000 x 784": images,
    "made, 20,000 x 20": made,
}


def load(name, threads):
    X, X_val, k, k_val = DATA[name]()
    scaler = StandardScaler().fit(X)
    return Data(scaler.transform(X), scaler.transform(X_val), k, k_val, threads)


class Clock:
    """Counts seconds of training until the held-out loss is at each target, or the cap."""

    def __init__(self, data, targets):
        self.data, self.targets = data, targets
        self.seconds, self.is_over = 0.0, False
        self.reached = [None] * len(targets)

    def start(self):
        self.started = time.perf_counter()

    def check(self, predict_proba):
        """Whether it is over with what `predict_proba(X_val)` returns."""
        if not self.is_over:
            self.seconds += time.perf_counter() - self.started
            loss = log_loss(self.data.k_val, predict_proba(self.data.X_val))
            for i, target in enumerate(self.targets):
                if self.reached[i] is None and loss <= target:
                    self.reached[i] = self.seconds
            self.is_over = None not in self.reached or self.seconds > CAP
            self.start()
        return self.is_over


class Watch:
    """The callback that asks the clock."""

    def __init__(self, clock):
        self.clock = clock

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        return fitted_estimator is not None and self.clock.check(
            fitted_estimator.predict_proba
        )


def skmlp(data, clock, **params):
    model = MLPClassifierManual(random_state=0, **params).set_callbacks(Watch(clock))
    clock.start()
    model.fit(data.X, data.k)


def sklearn_adam(data, clock):
    # its penalty is divided by the rows of the batch
    model = MLPClassifier(alpha=data.strength * BATCH, random_state=0)
    clock.start()
    over = False
    while not over:
        model.partial_fit(data.X, data.k, classes=range(data.sizes[-1]))
        over = clock.check(model.predict_proba)


def sklearn_lbfgs(data, clock):
    model = MLPClassifier(
        solver="lbfgs",
        alpha=ALPHA,
        random_state=0,
        tol=0,
        max_iter=ENDLESS,
        max_fun=ENDLESS,
    )

    def on_iteration(theta):
        model._unpack(theta)
        if clock.check(model.predict_proba):
            raise StopIteration

    watched = partial(scipy.optimize.minimize, callback=on_iteration)
    with mock.patch("scipy.optimize.minimize", watched):
        clock.start()
        model.fit(data.X, data.k)


def torch_race(data, clock, make_step):
    import torch

    torch.set_num_threads(data.threads)
    parameters = torch_parameters(data.sizes, data.X.dtype, "relu")
    step = make_step(parameters, torch.from_numpy(data.X), torch.from_numpy(data.k))

    def predict_proba(X):
        with torch.no_grad():
            logits = torch_logits(parameters, torch.from_numpy(X), "relu")
        return logits.softmax(dim=1).numpy()

    clock.start()
    step()
    while not clock.check(predict_proba):
        step()


def torch_adam(data, clock):
    def make_step(parameters, X, k):
        rule = torch_rule("adam", parameters)
        return lambda: torch_epoch(rule, parameters, X, k, BATCH, data.strength, "relu")

    torch_race(data, clock, make_step)


def torch_lbfgs(data, clock):
    import torch

    def make_step(parameters, X, k):
        rule = torch.optim.LBFGS(
            parameters, max_iter=5, history_size=10, line_search_fn="strong_wolfe"
        )

        def evaluate():
            rule.zero_grad()
            loss = torch_loss(parameters, X, k, data.strength, "relu")
            loss.backward()
            return loss

        return lambda: rule.step(evaluate)

    torch_race(data, clock, make_step)


def jax_proba(parameters, X):
    return np.exp(np.asarray(jax_log_proba(parameters, X, "relu")))


def jax_adam(data, clock):
    import jax

    start = jax_parameters(data.sizes, data.X.dtype, "relu")
    epoch, state = jax_epochs("adam", start, data.X, data.k, BATCH, data.strength, "relu")
    key = jax.random.key(0)
    jax.block_until_ready(epoch(state, key))
    clock.start()
    over = False
    while not over:
        key, now = jax.random.split(key)
        state = jax.block_until_ready(epoch(state, now))
        over = clock.check(partial(jax_proba, state[0]))


def jax_lbfgs(data, clock):
    import jax
    from jax.flatten_util import ravel_pytree

    start, unravel = ravel_pytree(jax_parameters(data.sizes, data.X.dtype, "relu"))
    X, k = jax.device_put(data.X), jax.device_put(data.k)
    gradient = jax.jit(
        jax.value_and_grad(lambda v: jax_loss(unravel(v), X, k, data.strength, "relu"))
    )

    def evaluate(theta):
        loss, g = gradient(theta)
        return float(loss), np.asarray(g)

    def on_iteration(theta):
        if clock.check(partial(jax_proba, unravel(theta))):
            raise StopIteration

    evaluate(start)
    clock.start()
    options = {"maxiter": ENDLESS, "maxfun": ENDLESS, "gtol": 0, "ftol": 0}
    scipy.optimize.minimize(
        evaluate, start, jac=True, method="L-BFGS-B", callback=on_iteration, options=options
    )


CONTESTANTS = {
    "skmlp": {
        "defaults": skmlp,
        "L-BFGS": partial(skmlp, alpha=ALPHA),
        "Adam": partial(
            skmlp, alpha=ALPHA, solver="adam", max_iter=ENDLESS, n_iter_no_change=np.inf
        ),
    },
    "scikit-learn": {"L-BFGS": sklearn_lbfgs, "Adam": sklearn_adam},
    "PyTorch": {"L-BFGS": torch_lbfgs, "Adam": torch_adam},
    "JAX": {"L-BFGS": jax_lbfgs, "Adam": jax_adam},
}


def set_targets(data):
    """Multiples of the best held-out loss of MLPClassifier's epochs of Adam."""
    model = MLPClassifier(alpha=data.strength * BATCH, random_state=0)
    losses = []
    for _ in range(model.max_iter):
        model.partial_fit(data.X, data.k, classes=range(data.sizes[-1]))
        losses.append(log_loss(data.k_val, model.predict_proba(data.X_val)))
        if len(losses) - np.argmin(losses) > PATIENCE:
            break
    return [margin * min(losses) for margin in MARGINS]


def run(data, targets, contestant):
    """Seconds to each target, or None."""
    clock = Clock(data, targets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        contestant(data, clock)
    return clock.reached


def race(name, threads, repeats):
    """The targets, and the median seconds of each contestant to each of them, or None.

    A contestant that misses a target runs once only.
    """
    data = load(name, threads)
    targets = set_targets(data)
    contestants = {
        f"{system}, {way}": contestant
        for system in installed(CONTESTANTS)
        for way, contestant in CONTESTANTS[system].items()
    }
    runs = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, contestant in contestants.items():
            if not any(None in reached for reached in runs[name]):
                runs[name].append(run(data, targets, contestant))
    return targets, {name: _medians(found) for name, found in runs.items()}


def _medians(runs):
    return [
        None if None in seconds else statistics.median(seconds)
        for seconds in zip(*runs, strict=True)
    ]
