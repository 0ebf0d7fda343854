"""Print a digest of what fits with fixed seeds end with, one line a case.

A change that is not meant to change any training leaves every line as it is. Digests depend
on the processor and the versions, so compare two runs on one machine:

    python tests/bits.py > before.txt
    ...
    python tests/bits.py | diff before.txt -
"""

import hashlib
import itertools
import tempfile
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.datasets import load_digits, load_wine, make_multilabel_classification

from skmlp import MLPClassifierManual


def digest(model):
    """Of parameters, penalty and curves."""
    values = [*model.coefs_, *model.intercepts_, model.alpha_, model.loss_curve_]
    values += [model.validation_scores_ or 0.0, model.t_, model.n_iter_]
    pieces = [np.ascontiguousarray(value).tobytes() for value in values]
    return hashlib.sha256(b"".join(pieces)).hexdigest()[:16]


def data():
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 3, size=len(y))
    mapped = np.memmap(Path(tempfile.mkdtemp()) / "X", X.dtype, "w+", shape=X.shape)
    mapped[:] = X
    several, labels = make_multilabel_classification(400, random_state=0)
    yield "dense", X, y, None
    yield "float32", X.astype(np.float32), y, None
    yield "Fortran", np.asfortranarray(X), y, None
    yield "sparse", sparse.csr_array(X), y, None
    yield "memory map", mapped, y, None
    yield "weights", X, y, weights
    yield "two classes", X, y > 4, weights
    yield "labels", several, labels, None
    yield "wine", *load_wine(return_X_y=True), None
    yield "few", X[:12], y[:12], None


SETTINGS = {
    "default": {},
    "fixed alpha": {"alpha": 1.0},
    "raw": {"alpha": 1.0, "standardize": False},
    "deep": {"hidden_layer_sizes": (20, 15, 10), "activation": "tanh"},
    "no hidden": {"hidden_layer_sizes": ()},
    "early": {"early_stopping": True, "validation_fraction": 0.2},
    "accuracy": {"early_stopping": True, "validation_fraction": 0.2, "scoring": None},
    "adam": {"solver": "adam", "learning_rate": "cosine", "learning_rate_init": 0.01},
    "dropout": {"dropout": 0.3, "activation": "relu"},
    "sgd": {"solver": "sgd", "learning_rate": "adaptive", "alpha": 0.1},
    "balanced": {"class_weight": "balanced", "alpha": 1.0},
}


def fits():
    for (kind, X, y, weights), (name, params) in itertools.product(
        data(), SETTINGS.items()
    ):
        if (kind, name) in {("labels", "balanced"), ("few", "early"), ("few", "accuracy")}:
            continue  # which are errors
        model = MLPClassifierManual(max_iter=30, random_state=0).set_params(**params)
        yield f"{kind}, {name}", model.fit(X, y, sample_weight=weights)


def calls():
    X, y = load_digits(return_X_y=True)
    train, test = slice(1200), slice(1200, None)
    for solver, early in itertools.product(("lbfgs", "adam", "sgd"), (False, True)):
        model = MLPClassifierManual(
            solver=solver, max_iter=15, early_stopping=early, random_state=0
        )
        model.fit(X[train], y[train], X_val=X[test], y_val=y[test])
        yield f"validation set, {solver}, {early}", model
    for solver, rate in itertools.product(("lbfgs", "adam", "sgd"), ("constant", "cosine")):
        model = MLPClassifierManual(
            solver=solver, learning_rate=rate, max_iter=7, warm_start=True, random_state=0
        )
        for _ in range(3):
            model.fit(X, y)
        yield f"warm start, {solver}, {rate}", model
    for solver, rate in itertools.product(("adam", "sgd"), ("constant", "one_cycle")):
        model = MLPClassifierManual(
            solver=solver, learning_rate=rate, max_iter=5, random_state=0
        )
        for start in range(0, 1700, 100):
            rows = slice(start, start + 100)
            # the features drift
            model.partial_fit(X[rows] * (1 + start / 500), y[rows], classes=range(10))
        yield f"partial_fit, {solver}, {rate}", model
    start = MLPClassifierManual(max_iter=3, random_state=1).fit(X, y)
    model = MLPClassifierManual(max_iter=20, random_state=0)
    model.fit(X, y, coefs_init=start.coefs_, intercepts_init=start.intercepts_)
    yield "given start", model
    yield "then partial_fit", model.partial_fit(X, y)


def on_partitions():
    from dask import array as da

    from skmlp.dask import DaskMLPClassifierManual

    for kind, X, y, weights in data():
        if kind in ("memory map", "few"):
            continue
        chunk = X.shape[0] // 3
        parts = [
            None
            if array is None
            else da.from_array(array, chunks=(chunk, *array.shape[1:]))
            for array in (X.toarray() if sparse.issparse(X) else X, y, weights)
        ]
        for name in ("default", "fixed alpha", "raw", "deep"):
            model = DaskMLPClassifierManual(max_iter=20, random_state=0)
            model.set_params(**SETTINGS[name]).fit(*parts)
            yield f"partitions, {kind}, {name}", model
            model.set_params(warm_start=True).fit(*parts)
            yield f"partitions, {kind}, {name}, again", model


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for case, fitted in itertools.chain(fits(), calls(), on_partitions()):
        print(f"{digest(fitted)} {case}", flush=True)
