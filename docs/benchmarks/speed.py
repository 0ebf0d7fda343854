"""Speed and memory of MLPClassifierManual beside its peers.

    python docs/benchmarks/speed.py            # all works: about 20 minutes on 2 cores
    python docs/benchmarks/speed.py --quick    # fewer repeats: about 12 minutes

Peers are scikit-learn's MLPClassifier, PyTorch in eager mode, JAX jitted (an epoch is one
`scan`; compilation is timed apart), and "GEMM": nothing but the matrix products of the
same work, in numpy. A peer that is not installed is left out.

Everything is run once for each number of threads, 1 and all, in a process of its own. In a
process, systems take turns, repeat by repeat, and the median of the repeats counts. Each
system is then judged by the number of threads that suits it best. Results go to
`results.json`, `results.md` and `results.png` in the directory named by --out.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from functools import partial
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).parent

# n, features, classes, hidden
FULL_BATCH = {
    "digits": (1797, 64, 10, (100,)),
    "mnist-like": (10_000, 784, 10, (100,)),
    "tall": (100_000, 20, 3, (100,)),
    "taller": (400_000, 20, 3, (32,)),
}
# solver, n, features, classes, hidden, batch, epochs
MINI_BATCH = {
    "adam mnist-like": ("adam", 10_000, 784, 10, (100,), 200, 4),
    "adam tall": ("adam", 100_000, 20, 2, (100,), 200, 2),
    "adam digits": ("adam", 1797, 64, 10, (100,), 200, 40),
    "adam batch 32": ("adam", 10_000, 50, 5, (64,), 32, 8),
    "adam wide": ("adam", 5_000, 2_000, 20, (256,), 256, 2),
    "adam two layers": ("adam", 20_000, 50, 5, (128, 64), 200, 5),
    "sgd mnist-like": ("sgd", 10_000, 784, 10, (100,), 200, 4),
    "sgd tall": ("sgd", 100_000, 20, 2, (100,), 200, 2),
}
SYSTEMS = ["skmlp", "scikit-learn", "PyTorch", "JAX", "GEMM"]
ALPHA = 1e-4
RATE = {"adam": 1e-3, "sgd": 0.05}


# --- one process: all systems at one number of threads -----------------------------------


def make_data(n, d, n_classes, dtype):
    import numpy as np

    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d)).astype(dtype)
    k = (X[:, :n_classes] + 0.5 * rng.standard_normal((n, n_classes))).argmax(axis=1)
    return X, k


def skmlp_evaluation(X, k, hidden, n_classes, threads):
    import numpy as np

    from skmlp._network import Network
    from skmlp._objective import Objective
    from skmlp._parallel import row_threads

    network = Network((X.shape[1], *hidden, n_classes), "logistic")
    theta = network.initialize(np.random.RandomState(0), X.dtype)
    session = row_threads(64)
    objective = Objective(network, X, k, None, ALPHA, map=session.__enter__())
    return lambda: objective.loss_gradient(theta), lambda: session.__exit__(
        None, None, None
    )


def sklearn_evaluation(X, k, hidden, n_classes, threads):
    import numpy as np
    from sklearn.neural_network import MLPClassifier
    from sklearn.neural_network._multilayer_perceptron import _pack

    model = MLPClassifier(hidden, "logistic", solver="lbfgs", alpha=ALPHA, max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, k)
    theta = _pack(model.coefs_, model.intercepts_)
    targets = model._label_binarizer.transform(k).astype(bool)
    n_layers = len(hidden) + 1
    lists = [X] + [None] * n_layers, *([None] * n_layers for _ in range(3))
    assert np.isfinite(model.loss_)
    return (
        lambda: model._loss_grad_lbfgs(theta, X, targets, None, *lists),
        lambda: None,
    )


def torch_parameters(d, hidden, n_classes, dtype):
    import torch

    sizes = [d, *hidden, n_classes]
    torch.manual_seed(0)
    make = {"float32": torch.float32, "float64": torch.float64}[dtype]
    parameters = []
    for fan_in, fan_out in pairwise(sizes):
        bound = (2 / (fan_in + fan_out)) ** 0.5
        for shape in ((fan_in, fan_out), (fan_out,)):
            W = torch.empty(shape, dtype=make).uniform_(-bound, bound)
            parameters.append(W.requires_grad_())
    return parameters


def torch_loss(parameters, X, k, scale):
    import torch

    h = X
    for i in range(0, len(parameters) - 2, 2):
        h = torch.sigmoid(torch.addmm(parameters[i + 1], h, parameters[i]))
    logits = torch.addmm(parameters[-1], h, parameters[-2])
    loss = torch.nn.functional.cross_entropy(logits, k)
    penalty = sum((W * W).sum() for W in parameters[::2])
    return loss + 0.5 * scale * penalty


def torch_evaluation(X, k, hidden, n_classes, threads):
    import torch

    torch.set_num_threads(threads)
    parameters = torch_parameters(X.shape[1], hidden, n_classes, str(X.dtype))
    X, k = torch.from_numpy(X), torch.from_numpy(k)

    def evaluate():
        loss = torch_loss(parameters, X, k, ALPHA / len(X))
        return torch.autograd.grad(loss, parameters)

    return evaluate, lambda: None


def jax_loss(parameters, X, k, scale):
    import jax
    import jax.numpy as jnp

    h = X
    for W, b in parameters[:-1]:
        h = jax.nn.sigmoid(h @ W + b)
    W, b = parameters[-1]
    log_proba = jax.nn.log_softmax(h @ W + b)
    loss = -jnp.take_along_axis(log_proba, k[:, None], axis=1).mean()
    return loss + 0.5 * scale * sum((W * W).sum() for W, _ in parameters)


def jax_parameters(d, hidden, n_classes, dtype):
    import jax.numpy as jnp
    import numpy as np

    rng, sizes = np.random.default_rng(0), [d, *hidden, n_classes]
    parameters = []
    for fan_in, fan_out in pairwise(sizes):
        bound = (2 / (fan_in + fan_out)) ** 0.5
        W = rng.uniform(-bound, bound, (fan_in, fan_out))
        b = rng.uniform(-bound, bound, fan_out)
        parameters.append((jnp.asarray(W, dtype), jnp.asarray(b, dtype)))
    return parameters


def jax_evaluation(X, k, hidden, n_classes, threads):
    import jax

    parameters = jax_parameters(X.shape[1], hidden, n_classes, X.dtype)
    X, k = jax.device_put(X), jax.device_put(k)
    gradient = jax.jit(jax.value_and_grad(jax_loss))
    return (
        lambda: jax.block_until_ready(gradient(parameters, X, k, ALPHA / len(X))),
        lambda: None,
    )


def gemm_evaluation(X, k, hidden, n_classes, threads):
    return gemm_products(X, [*hidden, n_classes]), lambda: None


def gemm_products(X, sizes):
    """The products of one forward and backward pass over X, and nothing else."""
    import numpy as np

    rng, dtype = np.random.default_rng(0), X.dtype
    fans = list(zip([X.shape[1], *sizes], sizes, strict=False))
    weights = [rng.standard_normal(fan).astype(dtype) for fan in fans]
    outputs = [np.ones((len(X), size), dtype) for size in sizes]
    gradients = [np.empty(fan, dtype) for fan in fans]

    def products():
        below = [X, *outputs[:-1]]
        for h, W, out in zip(below, weights, outputs, strict=True):
            np.matmul(h, W, out=out)
        for i in reversed(range(len(sizes))):
            np.matmul(below[i].T, outputs[i], out=gradients[i])
            if i:
                np.matmul(outputs[i], weights[i].T, out=outputs[i - 1])

    return products


def estimator_fit(cls, solver, X, k, hidden, batch, epochs):
    model = cls(
        hidden,
        "logistic",
        solver=solver,
        alpha=ALPHA,
        batch_size=batch,
        learning_rate_init=RATE[solver],
        max_iter=epochs,
        tol=0,
        n_iter_no_change=10_000,
        random_state=0,
    )

    def fit():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X, k)

    return fit


def skmlp_fit(solver, X, k, hidden, n_classes, batch, epochs, threads):
    from skmlp import MLPClassifierManual

    # the same work as the others do
    cls = partial(MLPClassifierManual, standardize=False)
    return estimator_fit(cls, solver, X, k, hidden, batch, epochs)


def sklearn_fit(solver, X, k, hidden, n_classes, batch, epochs, threads):
    from sklearn.neural_network import MLPClassifier

    return estimator_fit(MLPClassifier, solver, X, k, hidden, batch, epochs)


def torch_fit(solver, X, k, hidden, n_classes, batch, epochs, threads):
    import torch

    torch.set_num_threads(threads)
    X_, k_ = torch.from_numpy(X), torch.from_numpy(k)

    def fit():
        parameters = torch_parameters(X.shape[1], hidden, n_classes, str(X.dtype))
        if solver == "adam":
            rule = torch.optim.Adam(parameters, lr=RATE[solver], fused=True)
        else:
            rule = torch.optim.SGD(
                parameters, lr=RATE[solver], momentum=0.9, nesterov=True, fused=True
            )
        for _ in range(epochs):
            order = torch.randperm(len(X))
            for start in range(0, len(X), batch):
                rows = order[start : start + batch]
                loss = torch_loss(parameters, X_[rows], k_[rows], ALPHA / len(X))
                rule.zero_grad()
                loss.backward()
                rule.step()

    return fit


def jax_fit(solver, X, k, hidden, n_classes, batch, epochs, threads):
    import jax
    import jax.numpy as jnp

    start = jax_parameters(X.shape[1], hidden, n_classes, X.dtype)
    n, rate, tree = len(X), RATE[solver], jax.tree_util
    X, k = jax.device_put(X), jax.device_put(k)
    zeros = tree.tree_map(jnp.zeros_like, start)

    def step(carry, rows):
        parameters, m, v, t = carry
        g = jax.grad(jax_loss)(parameters, X[rows], k[rows], ALPHA / n)
        t = t + 1
        if solver == "adam":
            m = tree.tree_map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
            v = tree.tree_map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
            a = rate * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            parameters = tree.tree_map(
                lambda p, m, v: (p - a * m / (jnp.sqrt(v) + 1e-8)).astype(p.dtype),
                parameters,
                m,
                v,
            )
        else:
            m = tree.tree_map(lambda m, g: 0.9 * m - rate * g, m, g)
            parameters = tree.tree_map(
                lambda p, m, g: p + 0.9 * m - rate * g, parameters, m, g
            )
        return (parameters, m, v, t), None

    @jax.jit
    def epoch(carry, key):
        order = jax.random.permutation(key, n)
        whole = n // batch * batch
        carry, _ = jax.lax.scan(step, carry, order[:whole].reshape(-1, batch))
        if whole < n:
            carry, _ = step(carry, order[whole:])
        return carry

    def fit():
        carry = (start, zeros, zeros, jnp.zeros((), X.dtype))
        for key in jax.random.split(jax.random.key(0), epochs):
            carry = epoch(carry, key)
        jax.block_until_ready(carry)

    return fit


def gemm_fit(solver, X, k, hidden, n_classes, batch, epochs, threads):
    products = gemm_products(X[:batch], [*hidden, n_classes])
    n_steps = epochs * len(X) / batch

    def fit():
        for _ in range(round(n_steps)):
            products()

    return fit


EVALUATIONS = {
    "skmlp": skmlp_evaluation,
    "scikit-learn": sklearn_evaluation,
    "PyTorch": torch_evaluation,
    "JAX": jax_evaluation,
    "GEMM": gemm_evaluation,
}
FITS = {
    "skmlp": skmlp_fit,
    "scikit-learn": sklearn_fit,
    "PyTorch": torch_fit,
    "JAX": jax_fit,
    "GEMM": gemm_fit,
}


def installed():
    modules = {"PyTorch": "torch", "JAX": "jax"}
    return [
        name
        for name in SYSTEMS
        if name not in modules or importlib.util.find_spec(modules[name])
    ]


def interleave(functions, repeats, least=0.05):
    """Median seconds of a call of each function, which take turns."""
    calls, first = {}, {}
    for name, function in functions.items():
        start = time.perf_counter()
        function()
        first[name] = time.perf_counter() - start
        start = time.perf_counter()
        function()
        calls[name] = max(1, round(least / (time.perf_counter() - start)))
    seconds = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            for _ in range(calls[name]):
                function()
            seconds[name].append((time.perf_counter() - start) / calls[name])
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    if "JAX" in first:
        medians["JAX compile"] = first["JAX"] - medians["JAX"]
    return medians


def run_works(threads, repeats, works):
    """All works of one process; prints a line of JSON for each."""

    def report(kind, work, dtype, medians):
        row = {"kind": kind, "work": work, "dtype": dtype, "threads": threads}
        print(json.dumps(row | {"seconds": medians}), flush=True)

    def wanted(kind, work):
        return not works or any(name in f"{kind} {work}" for name in works)

    for dtype in ("float64", "float32"):
        for work, (n, d, n_classes, hidden) in FULL_BATCH.items():
            if wanted("A", work):
                X, k = make_data(n, d, n_classes, dtype)
                made = {
                    name: EVALUATIONS[name](X, k, hidden, n_classes, threads)
                    for name in installed()
                }
                medians = interleave({name: f for name, (f, _) in made.items()}, repeats)
                for _, close in made.values():
                    close()
                report("A", work, dtype, medians)
        for work, (solver, n, d, n_classes, hidden, batch, epochs) in MINI_BATCH.items():
            if wanted("B", work):
                X, k = make_data(n, d, n_classes, dtype)
                arguments = (solver, X, k, hidden, n_classes, batch, epochs, threads)
                functions = {name: FITS[name](*arguments) for name in installed()}
                report("B", work, dtype, interleave(functions, repeats, least=0))
        if wanted("P", "predict"):
            from sklearn.neural_network import MLPClassifier

            from skmlp import MLPClassifierManual

            X, k = make_data(200_000, 50, 5, dtype)
            models = {}
            for name, cls in [
                ("skmlp", MLPClassifierManual),
                ("scikit-learn", MLPClassifier),
            ]:
                models[name] = cls(activation="logistic", solver="adam", max_iter=1)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    models[name].fit(X[:2000], k[:2000])
            for work, rows in (("one row", X[:1]), ("200,000 rows", X)):
                functions = {
                    name: (lambda model=model, rows=rows: model.predict_proba(rows))
                    for name, model in models.items()
                }
                report("P", work, dtype, interleave(functions, repeats))


# --- memory, and a busy machine ----------------------------------------------------------

MEMORY = """
import sys, warnings
import numpy as np
from sklearn.neural_network import MLPClassifier
from skmlp import MLPClassifierManual
warnings.simplefilter("ignore")
n = int(sys.argv[2])
rng = np.random.default_rng(0)
X = rng.standard_normal((n, 50))
y = (X[:, 0] > 0).astype(int)
def status(key):
    for line in open("/proc/self/status"):
        if line.startswith(key):
            return int(line.split()[1]) / 1024
cls = {"skmlp": MLPClassifierManual, "scikit-learn": MLPClassifier}[sys.argv[1]]
settings = {"solver": "lbfgs", "alpha": 1e-4, "hidden_layer_sizes": (100,)}
cls(activation="logistic", max_iter=1, **settings).fit(X[:500], y[:500])
open("/proc/self/clear_refs", "w").write("5")  # resets the peak
before = status("VmRSS")
cls(activation="logistic", max_iter=3, **settings).fit(X, y)
print(status("VmHWM") - before)
"""


def measure_memory():
    """Peak growth in MB during fit(solver='lbfgs'), 50 features, 100 hidden units."""
    growth = {}
    for system in ("skmlp", "scikit-learn"):
        for n in (250_000, 1_000_000):
            done = subprocess.run(
                [sys.executable, "-c", MEMORY, system, str(n)],
                capture_output=True,
                check=True,
                text=True,
            )
            growth[f"{system} {n}"] = float(done.stdout)
    return growth


BUSY = """
import sys, time, warnings
sys.path.insert(0, sys.argv[1])
import speed
warnings.simplefilter("ignore")
results = {}
for work in ("adam mnist-like", "adam tall", "adam digits", "adam wide"):
    solver, n, d, n_classes, hidden, batch, epochs = speed.MINI_BATCH[work]
    X, k = speed.make_data(n, d, n_classes, "float64")
    fit = speed.skmlp_fit(solver, X, k, hidden, n_classes, batch, epochs, None)
    results[work] = speed.interleave({"s": fit}, 5, least=0)["s"]
for work in ("digits", "tall"):
    n, d, n_classes, hidden = speed.FULL_BATCH[work]
    X, k = speed.make_data(n, d, n_classes, "float64")
    evaluate, close = speed.skmlp_evaluation(X, k, hidden, n_classes, None)
    results["lbfgs " + work] = speed.interleave({"s": evaluate}, 5)["s"]
    close()
print(speed.json.dumps(results))
"""


def measure_busy():
    """Seconds alone, and while two other processes spin; all threads allowed."""

    def run():
        done = subprocess.run(
            [sys.executable, "-c", BUSY, str(HERE)],
            capture_output=True,
            check=True,
            text=True,
        )
        return json.loads(done.stdout)

    alone = run()
    spinners = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)
    ]
    try:
        busy = run()
    finally:
        for spinner in spinners:
            spinner.kill()
    return {work: {"alone": alone[work], "busy": busy[work]} for work in alone}


# --- the command: a process for each number of threads, then the report ------------------


def child_environment(threads):
    environment = dict(os.environ)
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[name] = str(threads)
    environment["JAX_ENABLE_X64"] = "1"
    environment["JAX_PLATFORMS"] = "cpu"
    return environment


def describe():
    names = ["numpy", "scipy", "scikit-learn", "torch", "jax"]
    versions = {"Python": platform.python_version()}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed: left out"
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load at the start": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 repeats instead of 5")
    parser.add_argument(
        "--works", nargs="*", help="only works whose name contains one of these"
    )
    parser.add_argument("--out", type=Path, help="directory for the results page")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    repeats = 3 if options.quick else 5
    if options.child:
        if hasattr(os, "sched_setaffinity"):  # the only limit that JAX's threads heed
            os.sched_setaffinity(0, range(options.child))
        run_works(options.child, repeats, options.works)
        return
    machine, rows = describe(), []
    print(json.dumps(machine, indent=1))
    for threads in sorted({1, os.cpu_count()}):
        command = [sys.executable, __file__, "--child", str(threads)]
        command += ["--quick"] * options.quick
        command += ["--works", *options.works] if options.works else []
        with subprocess.Popen(
            command, env=child_environment(threads), stdout=subprocess.PIPE, text=True
        ) as child:
            for line in child.stdout:
                row = json.loads(line)
                rows.append(row)
                cells = [f"{name} {1e3 * s:.4g} ms" for name, s in row["seconds"].items()]
                label = f"{row['kind']} {row['work']}, {row['dtype']}, {threads} threads"
                print(f"{label}: {', '.join(cells)}", flush=True)
        if child.returncode:
            sys.exit(child.returncode)
    results = {"machine": machine, "rows": rows}
    if not options.works:
        results["memory"] = measure_memory()
        results["busy"] = measure_busy()
    import report

    print(report.as_text(results))
    if options.out:
        report.write(results, options.out)


if __name__ == "__main__":
    main()
