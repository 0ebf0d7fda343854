"""Accuracy, log-loss and seconds of untuned classifiers on real tables.

    python docs/benchmarks/quality.py            # the baselines: about 5 minutes
    python docs/benchmarks/quality.py --study    # one default at a time: about 6 minutes
    python docs/benchmarks/quality.py --regret   # alpha="auto" beside others: 15 minutes

Repeated stratified splits, a fifth of the rows for testing; numbers are standardised and
categories one-hot in a pipeline. Against the baselines, candidates take turns on each
split, on a machine that does nothing else, and seconds count. In the study two processes
share the fits, and only quality counts. Results go to `quality.json` and `study.json`, from
which `quality_report.py` writes the page.

The regret of ``alpha="auto"`` is its log-loss less that of the best fixed strength: of five
half decades about the one that was chosen, and of more beyond an end that is the best. It
is measured on all of these tables, on larger ones and on generated problems of 500 to
100,000 rows, by two processes, and goes to `regret.json`. ``--regret --only magic linear``
measures some of them, and keeps the others' rows of an earlier run.
"""

import argparse
import datetime
import itertools
import json
import os
import platform
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from datasets import LARGER, NAMES, load, preprocessing
from generated import CURVES
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder

from skmlp import MLPClassifierManual

HERE = Path(__file__).parent
RAW = ["wine", "breast_cancer", "german", "satimage"]


def ours(**params):
    return MLPClassifierManual(**{"random_state": 0, **params})


BASELINES = {
    "MLPClassifierManual()": ours(),
    "MLPClassifier()": MLPClassifier(random_state=0),
    "LogisticRegression()": LogisticRegression(),
    "HistGradientBoosting()": HistGradientBoostingClassifier(random_state=0),
}
ADAM = {"solver": "adam", "max_iter": 60}
STUDY = {
    "default": {"defaults": ours(), "random_state=1": ours(random_state=1)},
    "alpha": {f"alpha={alpha:g}": ours(alpha=alpha) for alpha in (0.01, 0.1, 1, 10)}
    | {"alpha=0.1, early_stopping=True": ours(alpha=0.1, early_stopping=True)},
    "coordinates": {"standardize=False": ours(standardize=False)},
    "stopping": {f"tol={tol:g}": ours(tol=tol) for tol in (1e-3, 5e-4, 1e-4)}
    | {"tol=1e-5, max_iter=400": ours(tol=1e-5, max_iter=400)}
    | {"max_iter=100": ours(max_iter=100)},
    "width": {f"{units} units": ours(hidden_layer_sizes=units) for units in (25, 50, 200)}
    | {"50 and 50 units": ours(hidden_layer_sizes=(50, 50))},
    "activation": {name: ours(activation=name) for name in ("tanh", "relu")},
    "solver": {
        "adam, 0.001 constant, 200 epochs": ours(solver="adam"),
        "adam, 0.01 constant, 60 epochs": ours(learning_rate_init=0.01, **ADAM),
        "adam, 0.01 cosine, 60 epochs": ours(
            learning_rate="cosine", learning_rate_init=0.01, **ADAM
        ),
        "adam, 0.03 one_cycle, 60 epochs": ours(
            learning_rate="one_cycle", learning_rate_init=0.03, **ADAM
        ),
        "adam, 0.01 cosine, batches of 50": ours(
            learning_rate="cosine", learning_rate_init=0.01, batch_size=50, **ADAM
        ),
    },
}
UNSCALED = {
    "defaults": ours(),
    "standardize=False": ours(standardize=False),
    "MLPClassifier()": MLPClassifier(random_state=0),
}
# Rows of the generated problems: to train on, with how many seeds, and to test on
SIZES = {500: 5, 2000: 5, 8000: 3, 30_000: 2, 100_000: 1}
N_TEST = 20_000
# Fixed strengths about the chosen one, and how far to go if an end is the best
HALF_DECADES, FURTHEST = range(-2, 3), 6


def _split(name, split):
    """Rows to train on and to test on: X, y, X_test, y_test."""
    X, y = load(name)
    y = LabelEncoder().fit_transform(y)
    # the same five splits, however many of them are used
    splits = StratifiedShuffleSplit(5, test_size=0.2, random_state=0).split(X, y)
    train, test = next(itertools.islice(splits, split, None))
    return X.iloc[train], y[train], X.iloc[test], y[test]


def _evaluate(model, X, y, X_test, y_test, scaled=True):
    """What one fit is good for, as a dict, and the losses of the rows."""
    pipe = make_pipeline(preprocessing(scaled), clone(model))
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pipe.fit(X, y)
    seconds = time.perf_counter() - start
    proba = pipe.predict_proba(X_test)
    result = {
        "accuracy": accuracy_score(y_test, proba.argmax(axis=1)),
        "log_loss": log_loss(y_test, proba, labels=np.arange(proba.shape[1])),
        "seconds": seconds,
        "warned": bool(caught),
        "alpha": getattr(pipe[-1], "alpha_", None),
        "n_train": len(y),
        "n_features": X.shape[1],
        "n_classes": proba.shape[1],
    }
    of_label = proba[np.arange(len(y_test)), y_test]
    return result, -np.log(of_label.clip(np.finfo(of_label.dtype).eps))


def measure(name, split, group, candidate, model, scaled=True):
    """What one fit is good for, as a dict."""
    result, _ = _evaluate(model, *_split(name, split), scaled)
    about = {"set": name, "split": split, "group": group, "candidate": candidate}
    return about | {"scaled": scaled} | result


def baselines(n_splits):
    for name, split in itertools.product(NAMES, range(n_splits)):
        for candidate, model in BASELINES.items():
            row = measure(name, split, "baselines", candidate, model)
            print(
                f"{name:14s} {split} {candidate:24s} accuracy {row['accuracy']:.4f}, "
                f"log-loss {row['log_loss']:.4f}, {row['seconds']:.2f} s",
                flush=True,
            )
            yield row


def study(n_splits):
    tasks = [
        (name, split, group, candidate, model)
        for group, candidates in STUDY.items()
        for candidate, model in candidates.items()
        for name, split in itertools.product(NAMES, range(n_splits))
        if not (group == "solver" and name == "shuttle")  # to save time
    ]
    tasks += [
        (name, split, "unscaled", candidate, model, scaled)
        for name, split in itertools.product(RAW, range(5))
        for candidate, model in UNSCALED.items()
        for scaled in (True, False)
    ]
    return joblib.Parallel(n_jobs=2, inner_max_num_threads=1, return_as="generator")(
        joblib.delayed(measure)(*task) for task in tasks
    )


def _beside_fixed(about, X, y, X_test, y_test):
    """Rows of auto, of fixed strengths and of LogisticRegression; losses of auto."""
    shares = np.bincount(y_test) / len(y_test)
    about = about | {"entropy": float(-shares @ np.log(shares))}
    auto, losses = _evaluate(ours(), X, y, X_test, y_test)
    logistic, _ = _evaluate(LogisticRegression(), X, y, X_test, y_test)
    rows = [
        about | {"candidate": "auto"} | auto,
        about | {"candidate": "LogisticRegression()"} | logistic,
    ]
    fixed, steps = {}, list(HALF_DECADES)
    while steps:
        step = steps.pop()
        model = ours(alpha=auto["alpha"] * 10 ** (step / 2))
        result, _ = _evaluate(model, X, y, X_test, y_test)
        rows.append(about | {"candidate": f"{step:+d} half decades"} | result)
        fixed[step] = result["log_loss"]
        best = min(fixed, key=fixed.get)
        if not steps and abs(best) < FURTHEST:
            steps = [beyond for beyond in (best - 1, best + 1) if beyond not in fixed]
    return rows, losses


def regret_of_table(group, name, split):
    """Rows of a split of a real table."""
    about = {"group": group, "set": name, "split": split}
    return _beside_fixed(about, *_split(name, split))[0]


def regret_of_curve(name, seed):
    """Rows of a generated problem of more and more rows, the first of them the same.

    Those of auto tell how much the loss rose since the size before, and the standard error
    of this.
    """
    sizes = [n for n, n_seeds in SIZES.items() if seed < n_seeds]
    X, y = CURVES[name](np.random.default_rng([1, seed]), max(sizes))
    X_test, y_test = CURVES[name](np.random.default_rng(0), N_TEST)
    X, X_test = pd.DataFrame(X), pd.DataFrame(X_test)
    rows, before = [], None
    for n in sizes:
        about = {"group": "generated", "set": name, "split": seed}
        those, losses = _beside_fixed(about, X[:n], y[:n], X_test, y_test)
        if before is not None:
            rise = losses - before
            error = rise.std() / np.sqrt(len(rise))
            those[0] |= {"rise": float(rise.mean()), "rise_error": float(error)}
        rows, before = rows + those, losses
    return rows


def regret(n_splits, only):
    """Rows of all tables and problems, or of those that are named; the longest first."""
    seeds = range(max(SIZES.values()))
    tasks = [(regret_of_curve, name, seed) for seed in seeds for name in CURVES]
    tasks += [
        (regret_of_table, group, name, split)
        for group, names, some in (
            ("larger", reversed(LARGER), range(min(n_splits, 2))),
            ("development", reversed(NAMES), range(n_splits)),
        )
        for name in names
        for split in some
    ]
    tasks = [task for task in tasks if not only or set(task) & set(only)]
    done = joblib.Parallel(n_jobs=2, inner_max_num_threads=1, return_as="generator")(
        joblib.delayed(function)(*arguments) for function, *arguments in tasks
    )
    for rows in done:
        for row in rows:
            if row["candidate"] == "auto":
                print(
                    f"{row['set']:20s} {row['split']} {row['n_train']:6d} rows, "
                    f"log-loss {row['log_loss']:.4f}, alpha {row['alpha']:.3g}, "
                    f"{row['seconds']:.1f} s",
                    flush=True,
                )
        yield from rows


def machine():
    names = ("numpy", "scipy", "scikit-learn")
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "date": datetime.date.today().isoformat(),
        "load at the start": os.getloadavg()[0],
        "versions": {"Python": platform.python_version()}
        | {name: version(name) for name in names},
    }


def _kept(path, names):
    """Rows of an earlier run, of tables other than some."""
    if not names or not path.exists():
        return []
    return [row for row in json.loads(path.read_text())["rows"] if row["set"] not in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--study", action="store_true")
    parser.add_argument("--regret", action="store_true")
    parser.add_argument("--splits", type=int)
    names = [*NAMES, *LARGER, *CURVES]
    help = f"with --regret, some of: {', '.join(names)}"
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=help)
    options = parser.parse_args()
    if options.only and not options.regret:
        parser.error("--only goes with --regret")
    where = machine()
    if options.study:
        path, rows = HERE / "study.json", list(study(options.splits or 2))
    elif options.regret:
        path = HERE / "regret.json"
        rows = list(regret(options.splits or 5, options.only))
        rows = _kept(path, options.only) + rows
    else:
        path, rows = HERE / "quality.json", list(baselines(options.splits or 5))
    lines = ",\n".join(json.dumps(row) for row in rows)
    path.write_text(f'{{"machine": {json.dumps(where)},\n"rows": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
