"""The systems of `speed.py`: loss and gradient of all rows, and fits by mini-batches.

All train the same network on the same objective: `evaluation` and `fit` say how. What a
system holds between the evaluations of a fit, threads for instance, it holds in a context
of its own turn, so that it is in nobody else's way.
"""

import importlib.util
import warnings
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from sklearn.neural_network import MLPClassifier
from sklearn.neural_network._multilayer_perceptron import _pack

from skmlp import MLPClassifierManual
from skmlp._coordinates import feature_moments, mean_and_scale, standard_coordinates
from skmlp._network import Network
from skmlp._objective import Objective
from skmlp._parallel import row_threads

OURS, PLAIN = "skmlp", "skmlp, standardize=False"
ALPHA = 1e-4
RATE = {"adam": 1e-3, "sgd": 0.05}
# The start is uniform, of variance `_GAIN` / 3 / (fan_in + fan_out), as MLPClassifier's
_GAIN = {"logistic": 2, "relu": 6}


class Work(NamedTuple):
    """Rows, their classes, and a network of logistic units to fit to them."""

    X: np.ndarray
    k: np.ndarray
    hidden: tuple
    n_classes: int
    threads: int

    @property
    def sizes(self):
        return [self.X.shape[1], *self.hidden, self.n_classes]


def make_work(n, d, n_classes, hidden, dtype, threads):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d)).astype(dtype)
    k = (X[:, :n_classes] + 0.5 * rng.standard_normal((n, n_classes))).argmax(axis=1)
    return Work(X, k, hidden, n_classes, threads)


def installed(names):
    """Those of the systems that can run here."""
    modules = {"PyTorch": "torch", "JAX": "jax"}
    return [
        name
        for name in names
        if name not in modules or importlib.util.find_spec(modules[name])
    ]


# --- skmlp and MLPClassifier --------------------------------------------------------------


def skmlp_evaluation(work, standardize):
    network = Network(work.sizes, "logistic")
    theta = network.initialize(np.random.RandomState(0), work.X.dtype, standardize)
    coordinates = None
    if standardize:
        scaling = mean_and_scale(feature_moments(work.X, None))
        coordinates = standard_coordinates(network, *scaling, work.X.dtype)
    objective = Objective(network, work.X, work.k, None, ALPHA, coordinates=coordinates)

    @contextmanager
    def session():  # a fit holds BLAS to one thread, and has threads of its own
        with row_threads(64) as objective._map:
            yield lambda: objective.loss_gradient(theta)

    return session


def sklearn_evaluation(work):
    model = MLPClassifier(work.hidden, "logistic", solver="lbfgs", alpha=ALPHA, max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(work.X, work.k)
    theta = _pack(model.coefs_, model.intercepts_)
    targets = model._label_binarizer.transform(work.k).astype(bool)
    n_layers = len(work.hidden) + 1
    lists = [work.X] + [None] * n_layers, *([None] * n_layers for _ in range(3))
    return partial(
        nullcontext, lambda: model._loss_grad_lbfgs(theta, work.X, targets, None, *lists)
    )


def estimator_fit(cls, work, solver, batch, epochs, **params):
    model = cls(
        work.hidden,
        "logistic",
        solver=solver,
        alpha=ALPHA,
        batch_size=batch,
        learning_rate_init=RATE[solver],
        max_iter=epochs,
        tol=0,
        n_iter_no_change=10_000,
        random_state=0,
        **params,
    )

    def fit():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(work.X, work.k)

    return fit


# --- PyTorch, in eager mode ---------------------------------------------------------------


def torch_parameters(sizes, dtype, unit="logistic"):
    import torch

    torch.manual_seed(0)
    parameters = []
    for fan_in, fan_out in pairwise(sizes):
        bound = (_GAIN[unit] / (fan_in + fan_out)) ** 0.5
        for shape in ((fan_in, fan_out), (fan_out,)):
            W = torch.empty(shape, dtype=getattr(torch, str(dtype)))
            parameters.append(W.uniform_(-bound, bound).requires_grad_())
    return parameters


def torch_logits(parameters, X, unit="logistic"):
    import torch

    phi = {"logistic": torch.sigmoid, "relu": torch.relu}[unit]
    for W, b in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
        X = phi(torch.addmm(b, X, W))
    return torch.addmm(parameters[-1], X, parameters[-2])


def torch_loss(parameters, X, k, strength, unit="logistic"):
    import torch

    loss = torch.nn.functional.cross_entropy(torch_logits(parameters, X, unit), k)
    return loss + 0.5 * strength * sum((W * W).sum() for W in parameters[::2])


def torch_evaluation(work):
    import torch

    torch.set_num_threads(work.threads)
    parameters = torch_parameters(work.sizes, work.X.dtype)
    X, k = torch.from_numpy(work.X), torch.from_numpy(work.k)

    def evaluate():
        loss = torch_loss(parameters, X, k, ALPHA / len(X))
        return torch.autograd.grad(loss, parameters)

    return partial(nullcontext, evaluate)


def torch_rule(solver, parameters):
    import torch

    if solver == "adam":
        return torch.optim.Adam(parameters, lr=RATE[solver], fused=True)
    return torch.optim.SGD(
        parameters, lr=RATE[solver], momentum=0.9, nesterov=True, fused=True
    )


def torch_epoch(rule, parameters, X, k, batch, strength, unit="logistic"):
    import torch

    order = torch.randperm(len(X))
    for start in range(0, len(X), batch):
        rows = order[start : start + batch]
        loss = torch_loss(parameters, X[rows], k[rows], strength, unit)
        rule.zero_grad()
        loss.backward()
        rule.step()


def torch_fit(work, solver, batch, epochs):
    import torch

    torch.set_num_threads(work.threads)
    X, k = torch.from_numpy(work.X), torch.from_numpy(work.k)

    def fit():
        parameters = torch_parameters(work.sizes, work.X.dtype)
        rule = torch_rule(solver, parameters)
        for _ in range(epochs):
            torch_epoch(rule, parameters, X, k, batch, ALPHA / len(X))

    return fit


# --- JAX, jitted: an epoch is one scan ----------------------------------------------------


def jax_parameters(sizes, dtype, unit="logistic"):
    import jax.numpy as jnp

    rng, parameters = np.random.default_rng(0), []
    for fan_in, fan_out in pairwise(sizes):
        bound = (_GAIN[unit] / (fan_in + fan_out)) ** 0.5
        W = rng.uniform(-bound, bound, (fan_in, fan_out))
        b = rng.uniform(-bound, bound, fan_out)
        parameters.append((jnp.asarray(W, dtype), jnp.asarray(b, dtype)))
    return parameters


def jax_log_proba(parameters, X, unit="logistic"):
    import jax

    phi = {"logistic": jax.nn.sigmoid, "relu": jax.nn.relu}[unit]
    for W, b in parameters[:-1]:
        X = phi(X @ W + b)
    W, b = parameters[-1]
    return jax.nn.log_softmax(X @ W + b)


def jax_loss(parameters, X, k, strength, unit="logistic"):
    import jax.numpy as jnp

    log_proba = jax_log_proba(parameters, X, unit)
    loss = -jnp.take_along_axis(log_proba, k[:, None], axis=1).mean()
    return loss + 0.5 * strength * sum((W * W).sum() for W, _ in parameters)


def jax_evaluation(work):
    import jax

    parameters = jax_parameters(work.sizes, work.X.dtype)
    X, k = jax.device_put(work.X), jax.device_put(work.k)
    gradient = jax.jit(jax.value_and_grad(jax_loss))
    return partial(
        nullcontext,
        lambda: jax.block_until_ready(gradient(parameters, X, k, ALPHA / len(X))),
    )


def jax_adam(parameters, m, v, t, g):
    import jax
    import jax.numpy as jnp

    tree_map = jax.tree_util.tree_map
    m = tree_map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = tree_map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
    a = RATE["adam"] * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    parameters = tree_map(
        lambda p, m, v: (p - a * m / (jnp.sqrt(v) + 1e-8)).astype(p.dtype), parameters, m, v
    )
    return parameters, m, v


def jax_sgd(parameters, m, v, t, g):
    import jax

    tree_map, rate = jax.tree_util.tree_map, RATE["sgd"]
    m = tree_map(lambda m, g: 0.9 * m - rate * g, m, g)
    parameters = tree_map(lambda p, m, g: p + 0.9 * m - rate * g, parameters, m, g)
    return parameters, m, v


def jax_epochs(solver, parameters, X, k, batch, strength, unit="logistic"):
    """A jitted ``epoch(state, key)``, and the state to start from: parameters first."""
    import jax
    import jax.numpy as jnp

    n, rule = len(X), {"adam": jax_adam, "sgd": jax_sgd}[solver]
    X, k = jax.device_put(X), jax.device_put(k)
    zeros = jax.tree_util.tree_map(jnp.zeros_like, parameters)

    def step(state, rows):
        parameters, m, v, t = state
        g = jax.grad(jax_loss)(parameters, X[rows], k[rows], strength, unit)
        return (*rule(parameters, m, v, t + 1, g), t + 1), None

    @jax.jit
    def epoch(state, key):
        order = jax.random.permutation(key, n)
        whole = n // batch * batch
        state, _ = jax.lax.scan(step, state, order[:whole].reshape(-1, batch))
        if whole < n:
            state, _ = step(state, order[whole:])
        return state

    return epoch, (parameters, zeros, zeros, jnp.zeros((), X.dtype))


def jax_fit(work, solver, batch, epochs):
    import jax

    parameters = jax_parameters(work.sizes, work.X.dtype)
    strength = ALPHA / len(work.X)
    epoch, start = jax_epochs(solver, parameters, work.X, work.k, batch, strength)

    def fit():
        state = start
        for key in jax.random.split(jax.random.key(0), epochs):
            state = epoch(state, key)
        jax.block_until_ready(state)

    return fit


# --- GEMM: nothing but the matrix products of the same work -------------------------------


def gemm_products(X, sizes):
    """The products of one forward and backward pass over X, and nothing else."""
    rng, dtype = np.random.default_rng(0), X.dtype
    fans = list(pairwise(sizes))
    weights = [rng.standard_normal(fan).astype(dtype) for fan in fans]
    outputs = [np.ones((len(X), size), dtype) for size in sizes[1:]]
    gradients = [np.empty(fan, dtype) for fan in fans]

    def products():
        below = [X, *outputs[:-1]]
        for h, W, out in zip(below, weights, outputs, strict=True):
            np.matmul(h, W, out=out)
        for i in reversed(range(len(fans))):
            np.matmul(below[i].T, outputs[i], out=gradients[i])
            if i:
                np.matmul(outputs[i], weights[i].T, out=outputs[i - 1])

    return products


def gemm_evaluation(work):
    return partial(nullcontext, gemm_products(work.X, work.sizes))


def gemm_fit(work, solver, batch, epochs):
    products = gemm_products(work.X[:batch], work.sizes)

    def fit():
        for _ in range(round(epochs * len(work.X) / batch)):
            products()

    return fit


# Of a work: what to call in turn, as a callable that returns a context
EVALUATIONS = {
    OURS: partial(skmlp_evaluation, standardize=True),
    PLAIN: partial(skmlp_evaluation, standardize=False),
    "scikit-learn": sklearn_evaluation,
    "PyTorch": torch_evaluation,
    "JAX": jax_evaluation,
    "GEMM": gemm_evaluation,
}
# Of a work, a solver, rows in a batch and epochs: what to call in turn
FITS = {
    OURS: partial(estimator_fit, MLPClassifierManual),
    PLAIN: partial(estimator_fit, MLPClassifierManual, standardize=False),
    "scikit-learn": partial(estimator_fit, MLPClassifier),
    "PyTorch": torch_fit,
    "JAX": jax_fit,
    "GEMM": gemm_fit,
}
