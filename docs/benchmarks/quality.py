"""Accuracy, log-loss and seconds of untuned classifiers on real tables.

    python docs/benchmarks/quality.py            # the baselines: about 5 minutes
    python docs/benchmarks/quality.py --study    # one default at a time: about 6 minutes

Repeated stratified splits, a fifth of the rows for testing; numbers are standardised and
categories one-hot in a pipeline. Against the baselines, candidates take turns on each
split, on a machine that does nothing else, and seconds count. In the study two processes
share the fits, and only quality counts. Results go to `quality.json` and `study.json`, from
which `quality_report.py` writes the page.
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
from datasets import NAMES, load, preprocessing
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


def measure(name, split, group, candidate, model, scaled=True):
    """What one fit is good for, as a dict."""
    X, y = load(name)
    y = LabelEncoder().fit_transform(y)
    # the same five splits, however many of them are used
    splits = StratifiedShuffleSplit(5, test_size=0.2, random_state=0).split(X, y)
    train, test = next(itertools.islice(splits, split, None))
    pipe = make_pipeline(preprocessing(scaled), clone(model))
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pipe.fit(X.iloc[train], y[train])
    seconds = time.perf_counter() - start
    proba = pipe.predict_proba(X.iloc[test])
    return {
        "set": name,
        "split": split,
        "group": group,
        "candidate": candidate,
        "scaled": scaled,
        "accuracy": accuracy_score(y[test], proba.argmax(axis=1)),
        "log_loss": log_loss(y[test], proba, labels=np.arange(proba.shape[1])),
        "seconds": seconds,
        "warned": bool(caught),
        "alpha": getattr(pipe[-1], "alpha_", None),
        "n_train": len(train),
        "n_features": X.shape[1],
        "n_classes": proba.shape[1],
    }


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


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--study", action="store_true")
    parser.add_argument("--splits", type=int)
    options = parser.parse_args()
    where = machine()
    if options.study:
        rows = list(study(options.splits or 2))
    else:
        rows = list(baselines(options.splits or 5))
    path = HERE / ("study.json" if options.study else "quality.json")
    lines = ",\n".join(json.dumps(row) for row in rows)
    path.write_text(f'{{"machine": {json.dumps(where)},\n"rows": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
