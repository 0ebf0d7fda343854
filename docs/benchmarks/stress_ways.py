"""Streams, partitions and maps of joblib: cases of `stress_data.py`."""

import tempfile
from functools import partial
from importlib.util import find_spec
from itertools import product

import numpy as np
import stress
from generated import labels
from sklearn import datasets
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from stress_report import TOLERANCE
from stress_scales import digits, zipf_words
from stress_verdict import Case, Verdict, net

from skmlp import MLPClassifierManual


def moons(rng):
    return stress.moons(rng, 2000)


def noisy(rng):
    return datasets.make_classification(
        2000,
        20,
        n_informative=5,
        flip_y=0.3,
        class_sep=0.7,
        random_state=rng.integers(2**31),
    )


TABLES = {
    "breast cancer": lambda rng: datasets.load_breast_cancer(return_X_y=True),
    "digits": digits,
    "wine": lambda rng: datasets.load_wine(return_X_y=True),
    "moons": moons,
    "noisy": noisy,
}
SOLVERS = {"default": {}, "adam": {"solver": "adam", "max_iter": 500}}
PASSES = {1: 2, 10: 5, 50: 20}


def split(X, y, share, seed):
    return train_test_split(X, y, test_size=share, stratify=y, random_state=seed)


def thirds(X, y, seed):
    """Rows to fit, rows that come later, rows to test on."""
    X, X_test, y, y_test = split(X, y, 0.3, seed)
    X, X_new, y, y_new = split(X, y, 0.5, seed)
    return (X, y), (X_new, y_new), (X_test, y_test)


def stream(model, X, y, size, n_passes):
    """Rows in chunks, again and again."""
    for _ in range(n_passes):
        for start in range(0, len(X), size):
            chunk = slice(start, start + size)
            model.partial_fit(X[chunk], y[chunk])


def lost(model, fitted, new, test, size):
    """Accuracy that a stream of new rows costs."""
    before = model.fit(*fitted).score(*test)
    stream(model, *new, size, PASSES[size])
    return float(before - model.score(*test))


def scaled(parts):
    """What MLPClassifier gets: all rows in the units of the first."""
    scaler = StandardScaler().fit(parts[0][0])
    return [(scaler.transform(X), y) for X, y in parts]


def keeps_what_it_learnt(read, params, size, rng, seed):
    """A stream of like rows costs about as much accuracy as it costs MLPClassifier."""
    parts = thirds(*read(rng), seed)
    theirs = lost(MLPClassifier(max_iter=500, random_state=seed), *scaled(parts), size)
    ours = lost(net(seed, **params), *parts, size)
    limit = max(0.03, theirs + TOLERANCE)
    return Verdict("accuracy lost", ours, limit, {"MLPClassifier": theirs})


def bytes_of_digits(rng):
    X, y = digits(rng)
    return np.round(X * 255 / 16), y


def learns_after(first_rows, idle, read, size, rng, seed):
    """A stream whose first call tells little: no worse than MLPClassifier by 0.03."""
    X, X_test, y, y_test = split(*read(rng), 0.3, seed)
    opening = X[:first_rows].copy()
    opening[:, idle] = 0.1
    accuracy = {}
    for model in (net(seed), MLPClassifier(random_state=seed)):
        model.partial_fit(opening, y[:first_rows], classes=np.unique(y))
        stream(model, X[first_rows:], y[first_rows:], size, PASSES[size])
        accuracy[type(model).__name__] = float(model.score(X_test, y_test))
    ours, theirs = accuracy.values()
    return Verdict(
        "share of errors", 1 - ours, 1 - theirs + 0.03, {"MLPClassifier": 1 - theirs}
    )


FIRST = {"digits of 0 to 255": bytes_of_digits, "moons": moons}


def streams():
    for (name, read), (solver, params), size, seed in product(
        TABLES.items(), SOLVERS.items(), PASSES, range(3)
    ):
        judge = partial(keeps_what_it_learnt, read, params, size)
        yield Case("streams after fits", f"{name}, {solver}, by {size}", seed, judge)
    for (name, read), size, seed in product(FIRST.items(), PASSES, range(3)):
        of_one = partial(learns_after, 1, [], read, size)
        yield Case("first calls", f"{name}, one row, then by {size}", seed, of_one)
        of_idle = partial(learns_after, 50, slice(None, None, 2), read, size)
        yield Case("first calls", f"{name}, idle columns, then by {size}", seed, of_idle)


def three_classes(rng, n):
    X = rng.normal([0, 5, 0, 0], [1, 3, 1, 1], size=(n, 4))
    score = X[:, 0] + X[:, 1] / 3 + 0.5 * rng.normal(size=n)
    return X, np.select([score > 2.5, X[:, 0] < -0.5], [2, 0], 1)


def by_class(rng, n):
    X, y = three_classes(rng, n)
    order = np.argsort(y, kind="stable")
    return X[order], y[order]


def with_copies(rng, n):
    """The last 500 rows are one."""
    X, y = three_classes(rng, n)
    X[-500:], y[-500:] = X[-1], y[-1]
    return X, y


def cells(d, rng, n):
    """Rows that repeat, with either label: the first three columns tell them apart."""
    X = np.zeros((n, d))
    X[:, :3] = rng.integers(4, size=(n, 3))
    return X, labels(rng, 2 * (X[:, 0] == X[:, 1]) + X[:, 2] - 2.5)


def arrays(chunks, X, *columns):
    import dask.array as da

    columns = [da.from_array(column, chunks=(chunks,)) for column in columns]
    return da.from_array(X, chunks=(chunks, X.shape[1])), *columns


def read_from_parquet(folder, X, *columns):
    import dask.dataframe as dd
    import pandas as pd

    frame = pd.DataFrame(np.column_stack([X, *columns]))
    frame.columns = [f"column {i}" for i in frame]
    dd.from_pandas(frame, npartitions=5).to_parquet(folder)
    names, frame, d = list(frame), dd.read_parquet(folder), X.shape[1]
    return frame[names[:d]], *(frame[name] for name in names[d:])


def in_partitions(chunks, folder, *data):
    """Collections of these chunks; None reads them from a file."""
    if chunks is None:
        return read_from_parquet(folder, *data)
    return arrays(chunks, *data)


def in_memory_and_not(draw, chunks, is_weighted, params, rng):
    """Two fits of the same rows, and the rows."""
    import dask

    from skmlp.dask import DaskMLPClassifierManual

    n = sum(chunks or [5000])
    data = draw(rng, n)
    if is_weighted:
        data = *data, rng.uniform(0.1, 2, size=n)
    whole = MLPClassifierManual(**params).fit(*data)
    with tempfile.TemporaryDirectory() as folder, dask.config.set(scheduler="synchronous"):
        parts = in_partitions(chunks, folder, *data)
        return whole, DaskMLPClassifierManual(**params).fit(*parts), data[0]


def same_probabilities(draw, chunks, is_weighted, params, rng, seed):
    """With a given penalty, partitions and memory end with one net."""
    params = params | {"hidden_layer_sizes": 8, "alpha": 30.0, "tol": 1e-9}
    params |= {"max_iter": 2000, "random_state": seed}
    whole, parts, X = in_memory_and_not(draw, chunks, is_weighted, params, rng)
    gap = np.abs(parts.predict_proba(X) - whole.predict_proba(X)).max()
    return Verdict("largest difference of probabilities", float(gap), 1e-3, {})


def same_penalty(draw, chunks, is_weighted, params, rng, seed):
    """The penalty that partitions choose is the one chosen in memory, or next to it."""
    params = params | {"hidden_layer_sizes": 8, "max_iter": 60, "random_state": seed}
    whole, parts, _ = in_memory_and_not(draw, chunks, is_weighted, params, rng)
    decades = abs(float(np.log10(parts.alpha_ / whole.alpha_)))
    beside = {"in memory": float(whole.alpha_), "in partitions": float(parts.alpha_)}
    return Verdict("decades between penalties", decades, 0.51, beside)


CHUNKS = {
    "2 x 2500": (2500, 2500),
    "5000 + 1": (5000, 1),
    "1 + 5000": (1, 5000),
    "4 x 1000 + 805": (1000, 1000, 1000, 1000, 805),
}
if find_spec("pyarrow"):
    CHUNKS["Parquet"] = None


def partitions():
    judges = {"alpha given": same_probabilities, "alpha chosen": same_penalty}
    kinds = [
        *((name, three_classes, chunks, {}) for name, chunks in CHUNKS.items()),
        ("sorted by class", by_class, (500,) * 10, {}),
        ("copies in the last", with_copies, (1500,) * 3 + (500,), {}),
        ("5000 + 1, rows that repeat", partial(cells, 3), (5000, 1), {}),
        ("without weight", by_class, (500,) * 10, {"class_weight": {0: 0, 1: 1, 2: 1}}),
    ]
    for (name, draw, chunks, params), (what, judge), weighted in product(
        kinds, judges.items(), (False, True)
    ):
        name = f"{name}, {what}" + ", weights" * weighted
        judge = partial(judge, draw, chunks, weighted, params)
        yield from (Case("uneven partitions", name, seed, judge) for seed in range(3))


def normal(dtype, d, rng):
    X = rng.normal(size=(40_000, d)).astype(dtype)
    return X, labels(rng, 2 * X[:, 0] + 3 * X[:, 1] * X[:, 2]) + (X[:, 3] > 1)


def sparse_rows(rng):
    """Words of texts, in CSR."""
    return zipf_words(300, rng, 4000)


OF_MAPS = {
    "float64": partial(normal, np.float64, 10),
    "float32": partial(normal, np.float32, 20),
    "rows that repeat": partial(cells, 10, n=40_000),
    "CSR": sparse_rows,
}


def same_bits(make, draw, rng, seed):
    """Two processes, which get maps of files, give what one process gives."""
    X, y = draw(rng)
    alone, two = (make(seed, n_jobs).fit(X, y).predict_proba(X[:2000]) for n_jobs in (1, 2))
    gap = float(np.abs(two - alone).max())
    return Verdict("largest difference of probabilities", gap, 0.0, {})


def voting(params, seed, n_jobs):
    nets = [(f"net {i}", net(seed + i, **params)) for i in range(2)]
    return VotingClassifier(nets, voting="soft", n_jobs=n_jobs)


def bagging(params, seed, n_jobs):
    model = MLPClassifierManual(**params)
    return BaggingClassifier(model, 2, random_state=seed, n_jobs=n_jobs)


def one_vs_rest(params, seed, n_jobs):
    return OneVsRestClassifier(net(seed, **params), n_jobs=n_jobs)


NETS = {
    "default": {"hidden_layer_sizes": 5, "max_iter": 20},
    "alpha given": {"hidden_layer_sizes": 10, "alpha": 1.0, "max_iter": 50},
    "adam that stops early": {
        "hidden_layer_sizes": 10,
        "solver": "adam",
        "alpha": 1.0,
        "early_stopping": True,
        "max_iter": 5,
    },
}


def maps():
    ensembles = {"voting": voting, "bagging": bagging, "one against the rest": one_vs_rest}
    for (name, make), (net_name, params), (of, draw), seed in product(
        ensembles.items(), NETS.items(), OF_MAPS.items(), range(2)
    ):
        judge = partial(same_bits, partial(make, params), draw)
        yield Case("maps of joblib", f"{name}, {net_name}, {of}", seed, judge)
