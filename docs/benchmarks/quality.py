"""Accuracy, log-loss and seconds of untuned classifiers on real tables.

    python docs/benchmarks/quality.py                           # all sets, 5 splits
    python docs/benchmarks/quality.py --sets iris wine --splits 3

Repeated stratified splits, a fifth of the rows for testing; numbers are standardised and
categories one-hot in a pipeline. Candidates take turns on each split, so that they see the
same rows and the same machine. Results go to `quality.json`, a line for each fit; the
tables are printed.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
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
CANDIDATES = {
    "MLPClassifierManual()": MLPClassifierManual(random_state=0),
    "MLPClassifier()": MLPClassifier(random_state=0),
    "LogisticRegression()": LogisticRegression(),
    "HistGradientBoosting()": HistGradientBoostingClassifier(random_state=0),
}
TIES = {"log_loss": 0.01, "accuracy": 0.005}


def evaluate(candidates, sets, n_splits):
    """A dict for each fit: set, split, candidate, accuracy, log_loss, seconds, warned."""
    for name in sets:
        X, y = load(name)
        y = LabelEncoder().fit_transform(y)
        splits = StratifiedShuffleSplit(n_splits, test_size=0.2, random_state=0)
        for split, (train, test) in enumerate(splits.split(X, y)):
            for candidate, model in candidates.items():
                pipe = make_pipeline(preprocessing(), clone(model))
                start = time.perf_counter()
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    pipe.fit(X.iloc[train], y[train])
                seconds = time.perf_counter() - start
                proba = pipe.predict_proba(X.iloc[test])
                yield {
                    "set": name,
                    "split": split,
                    "candidate": candidate,
                    "accuracy": accuracy_score(y[test], proba.argmax(axis=1)),
                    "log_loss": log_loss(y[test], proba, labels=np.arange(proba.shape[1])),
                    "seconds": seconds,
                    "warned": bool(caught),
                }


def compare(results, ours, theirs):
    """Wins, ties, losses and differences of the sets' medians, ours against theirs."""
    medians = results.groupby(["candidate", "set"]).median(numeric_only=True)
    rows = {}
    for metric, sign in (("log_loss", -1), ("accuracy", 1)):
        better = sign * (medians.loc[ours][metric] - medians.loc[theirs][metric])
        rows[metric] = {
            "wins": int((better > TIES[metric]).sum()),
            "ties": int((better.abs() <= TIES[metric]).sum()),
            "losses": int((better < -TIES[metric]).sum()),
            "mean gain": better.mean(),
            "median gain": better.median(),
            "worst": better.min(),
            "worst set": better.idxmin(),
        }
    seconds = medians["seconds"].groupby("candidate").sum()
    rows["log_loss"]["seconds"] = f"{seconds[ours]:.1f} / {seconds[theirs]:.1f}"
    return pd.DataFrame(rows).T


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", nargs="*", default=NAMES, choices=NAMES)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "quality.json")
    options = parser.parse_args()
    rows = []
    for row in evaluate(CANDIDATES, options.sets, options.splits):
        rows.append(row)
        print(
            f"{row['set']:14s} {row['split']} {row['candidate']:24s} accuracy "
            f"{row['accuracy']:.4f}, log-loss {row['log_loss']:.4f}, "
            f"{row['seconds']:.2f} s",
            flush=True,
        )
    options.out.write_text("\n".join(map(json.dumps, rows)) + "\n")
    results = pd.DataFrame(rows)
    print(results.pivot_table("log_loss", "set", "candidate", "median").round(4))
    print(results.pivot_table("accuracy", "set", "candidate", "median").round(4))
    ours, *others = CANDIDATES
    for theirs in others:
        print(f"\n{ours} against {theirs}\n{compare(results, ours, theirs).to_string()}")


if __name__ == "__main__":
    main()
