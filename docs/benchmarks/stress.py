"""Textbook problems and odd data: does training with the defaults get there, every time?

    python docs/benchmarks/stress.py                    # about 15 minutes on 2 cores
    python docs/benchmarks/stress.py --only pictures    # a group, printed and not recorded

A case is right if the held-out log-loss is at most 0.02 above the better of MLPClassifier()
behind a scaler and LogisticRegression(), or if a warning says why not. Results go to
`stress.json`; from it and from what `stress_data.py` recorded, `stress_report.py` writes
`stress.md` and `stress.png`. `tests/test_stress.py` runs a few of the cases.
"""

import argparse
import itertools
import json
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import generated
import joblib
import numpy as np
import stress_report
from generated import labels, one_hot, rare
from quality import machine
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from stress_report import TOLERANCE

from skmlp import MLPClassifierManual

HERE = Path(__file__).parent
N_TEST = 4000


class Case(NamedTuple):
    """A table, and how it is fitted.

    Attributes
    ----------
    group, name : str
    seed : int
    n : int
        Rows to train on.
    draw : callable
        ``draw(rng, n)`` returns X and y.
    params : dict
        Of our estimator.
    weigh : callable or None
        ``weigh(rng, y)`` returns weights of the rows.
    change : callable
        What is done to X of both sets.
    n_test : int
        Rows to test on, drawn together with the others.
    group_of : callable or None
        ``group_of(n)`` returns which of the first n rows belong together, as numbers. Our
        estimator is told, the others do not need it.
    """

    group: str
    name: str
    seed: int
    n: int
    draw: Callable
    params: dict = {}  # noqa: RUF012, never changed
    weigh: Callable | None = None
    change: Callable = np.asarray
    n_test: int = N_TEST
    group_of: Callable | None = None

    def __str__(self):
        return f"{self.name}, n = {self.n}, seed {self.seed}"


def moons(rng, n):
    return datasets.make_moons(n, noise=0.25, random_state=rng.integers(2**31))


def noisy_moons(rng, n):
    X, y = moons(rng, n)
    return X, np.where(rng.random(n) < 0.2, 1 - y, y)


def circles(rng, n):
    return datasets.make_circles(n, noise=0.1, factor=0.6, random_state=rng.integers(2**31))


def spirals(rng, n):
    y = rng.integers(2, size=n)
    t = 3 * np.pi * np.sqrt(rng.random(n))
    angle = t + np.pi * y
    X = np.column_stack([t * np.cos(angle), t * np.sin(angle)]) / 10
    return X + rng.normal(scale=0.03, size=X.shape), y


def signs(bits, rng, n):
    """Parity of some signs, which the features show with little noise."""
    X = rng.choice([-1.0, 1.0], size=(n, bits))
    return X + rng.normal(scale=0.2, size=X.shape), (X.prod(axis=1) > 0).astype(int)


def parity(bits, rng, n):
    X = rng.normal(size=(n, bits))
    return X, (X.prod(axis=1) > 0).astype(int)


def checkerboard(rng, n):
    X = rng.uniform(0, 3, size=(n, 2))
    return X, np.floor(X).sum(axis=1).astype(int) % 2


def product(rng, n, d=6, factor=2.0):
    X = rng.normal(size=(n, d))
    return X, labels(rng, factor * X[:, 1] * X[:, 2])


def u_shape(rng, n):
    X = rng.normal(size=(n, 5))
    return X, labels(rng, 2 * (X[:, 0] ** 2 - 1))


def seasons(periods, rng, n):
    X = np.column_stack([rng.random(n), rng.normal(size=(n, 2))])
    return X, labels(rng, 4 * np.sin(2 * np.pi * periods * X[:, 0]))


def window(rng, n):
    X = rng.normal(size=(n, 4))
    return X, labels(rng, np.where((X[:, 0] > 0.2) & (X[:, 0] < 1), 3.0, -3.0))


def rings(rng, n):
    y = rng.integers(5, size=n)
    radius, angle = y + 1 + 0.2 * rng.normal(size=n), rng.uniform(0, 2 * np.pi, size=n)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), y


def blobs(n_classes, d, rng, n):
    """Two blobs for each class."""
    centers = np.random.default_rng(0).normal(size=(2 * n_classes, d)) * 5 / np.sqrt(d)
    blob = np.append(np.arange(2 * n_classes), rng.integers(2 * n_classes, size=n))[:n]
    return centers[blob] + 0.6 * rng.normal(size=(n, d)), blob % n_classes


def xor_rows(rng, n):
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    return np.resize(X, (n, 2)), np.resize([0, 1, 1, 0], n)


def with_a_linear_part(draw, rng, n):
    X, y = draw(rng, n)
    Z = rng.normal(size=(n, 3))
    Z[:, 0] += y == y.max()
    Z[:, 1] -= 0.8 * (y == 0)
    return np.hstack([X, Z]), y


def effect(kind, d, rng, n):
    """An effect of some features on top of a linear part of five."""
    X = rng.normal(size=(n, d))
    logit = X[:, :5] @ [0.5, -0.5, 0.4, 0.3, -0.3]
    logit += {
        "product": 1.2 * X[:, 1] * X[:, 2],
        "square": X[:, 5] ** 2 - 1,
        "absolute value": 2 * np.abs(X[:, 5]) - 1.6,
        "step": np.where(X[:, 5] > 0.5, 2.0, -1.0),
        "sine": 2 * np.sin(2.5 * X[:, 5]),
        "two products": X[:, 1] * X[:, 2] + X[:, 3] * X[:, 6],
    }[kind]
    return X, labels(rng, logit)


def repeated(draw, rng, n):
    """Every row ten times."""
    X, y = draw(rng, -(-n // 10))
    return np.repeat(X, 10, axis=0)[:n], np.repeat(y, 10)[:n]


def table(n_columns, n_levels, function, rng, n):
    """All cells, again and again; the label is a function of the cell."""
    cells = itertools.product(range(n_levels), repeat=n_columns)
    codes = np.array(list(cells))
    y = [function(*code) for code in codes]
    X = codes.astype(float) if n_levels == 2 else one_hot(codes, n_levels)
    return np.resize(X, (n, X.shape[1])), np.resize(y, n)


def odd(*bits):
    return sum(bits) % 2


def multiplexer(*bits):
    """The first two bits tell which of the others is the answer."""
    return bits[2 + 2 * bits[0] + bits[1]]


def adder(*bits):
    """The sum of two numbers of three bits each: 15 classes."""
    powers = (4, 2, 1)
    return sum(bit * power for bit, power in zip(bits, 2 * powers, strict=True))


def scattered(*code):
    """A label for each cell that has nothing to do with that of its neighbours."""
    return zlib.crc32(bytes(code)) >> 7 & 1


def squares(x, y):
    return (np.floor(8 * x) + np.floor(8 * y)) % 2 == 1


def stripes(x, y):
    return np.floor(10 * x) % 2 == 1


def spiral(x, y):
    x, y = x - 0.5, y - 0.5
    return np.sin(2 * np.arctan2(y, x) + 40 * np.hypot(x, y)) > 0


def face(x, y):
    """A disc with three holes: two eyes and a mouth."""

    def disc(center, radius):
        return np.hypot(x - center[0], y - center[1]) < radius

    mouth = disc((0.5, 0.45), 0.25) & ~disc((0.5, 0.5), 0.22)
    return (
        disc((0.5, 0.5), 0.42)
        & ~disc((0.35, 0.6), 0.07)
        & ~disc((0.65, 0.6), 0.07)
        & ~mouth
    )


def picture(painted, rng, n):
    """All pixels of a picture of 80 x 80, again and again: is there paint?"""
    x, y = (np.mgrid[:80, :80].reshape(2, -1) + 0.5) / 80
    return np.resize(np.column_stack([x, y]), (n, 2)), np.resize(painted(x, y), n).astype(
        int
    )


def persons(d, n_rows, rng, n):
    """Persons with so many rows each, which differ little."""
    n_persons = -(-n // n_rows)
    X = rng.normal(size=(n_persons, d))
    y = labels(rng, 1.5 * (X[:, 0] - X[:, 1]) + X[:, 2] * X[:, 3])
    X = np.repeat(X, n_rows, axis=0)
    return (X + 0.1 * rng.normal(size=X.shape))[:n], np.repeat(y, n_rows)[:n]


def _person_of(n_rows, n):
    return np.arange(n) // n_rows


FAMILIES = {
    "moons": moons,
    "noisy moons": noisy_moons,
    "circles": circles,
    "spirals": spirals,
    "xor": partial(parity, 2),
    "parity of 3": partial(parity, 3),
    "parity of 4": partial(parity, 4),
    "parity of 4 signs": partial(signs, 4),
    "checkerboard": checkerboard,
    "product": product,
    "U": u_shape,
    "1 season": partial(seasons, 1),
    "2 seasons": partial(seasons, 2),
    "3 seasons": partial(seasons, 3),
    "window": window,
    "rings": rings,
    "blobs": partial(blobs, 10, 2),
}
EFFECTS = ["product", "square", "absolute value", "step", "sine", "two products"]


def _with_constants(X):
    constants = [0.1, 518.67, 14.62, 1e-3, 1e6 + 0.1]
    return np.hstack([X, np.tile(constants, (len(X), 1))])


def cases():
    """Every case of the suite."""
    for name, draw in FAMILIES.items():
        for n in (300, 2000):
            for seed in range(2):
                yield Case("textbook", name, seed, n, draw)
                both = partial(with_a_linear_part, draw)
                yield Case("and a linear part", name, seed, n, both)
    for kind in EFFECTS:
        for n, d in ((2000, 10), (4000, 20)):
            yield Case("effects", f"{kind} of {d}", 0, n, partial(effect, kind, d))
    for name in ("moons", "spirals", "2 seasons"):
        yield Case("many rows", name, 0, 20_000, FAMILIES[name])
    yield Case("many rows", "product of 20", 0, 20_000, partial(product, d=20, factor=1.2))
    for n in (4, 8, 4000):
        yield from (Case("few distinct rows", "xor", s, n, xor_rows) for s in range(3))
    for n in (20, 40, 80):
        yield Case("few distinct rows", "moons", 0, n, moons)
    for n_classes, d in ((2, 2), (5, 10), (20, 20), (50, 50)):
        name = f"{n_classes} classes, {d} features"
        yield Case("classes", name, 0, 3000, partial(blobs, n_classes, d))
    shallow = ("moons", "xor", "spirals", "product")
    for name in shallow:
        for depth in range(2, 7):
            params = {"hidden_layer_sizes": (50,) * depth}
            yield Case("deep", f"{name}, {depth} layers", 0, 2000, FAMILIES[name], params)
        for activation in ("tanh", "relu"):
            params = {"activation": activation}
            yield Case(
                "activations", f"{name}, {activation}", 0, 2000, FAMILIES[name], params
            )
        for solver in ("sgd", "adam"):
            params = {"solver": solver, "learning_rate_init": 0.01, "batch_size": 50}
            params |= {"max_iter": 300}
            yield Case("solvers", f"{name}, {solver}", 0, 2000, FAMILIES[name], params)
    for name in ("moons", "product"):
        draw = FAMILIES[name]
        for power in (-6, -3, 3, 6):
            scaled = partial(np.multiply, 10.0**power)
            yield Case("units", f"{name} times 1e{power}", 0, 1000, draw, change=scaled)
            unit = partial(_weights, 10.0**power)
            yield Case("weights", f"{name}, weights 1e{power}", 0, 1000, draw, weigh=unit)
        shifted = partial(np.add, 1e6)
        yield Case("units", f"{name} plus 1e6", 0, 1000, draw, change=shifted)
        yield Case("odd data", f"{name}, constants", 0, 1000, draw, change=_with_constants)
        yield Case("odd data", f"{name}, float32", 0, 1000, draw, change=np.float32)
        yield Case("odd data", f"{name}, ten copies", 0, 3000, partial(repeated, draw))
    for share in (0.0002, 0.002, 0.02):
        draw = partial(rare, share)
        yield Case("rare events", f"{share:.2%}", 0, 20_000, draw, n_test=4 * N_TEST)
    yield from _categories()
    yield from _more_rows()
    yield from _tables()
    yield from _persons()
    yield from _weak_features()


def _categories():
    for n in (4000, 20_000):
        for n_columns, n_levels in ((3, 4), (5, 3), (2, 8)):
            size = f"{n_columns} columns of {n_levels}"
            draw = partial(generated.lookup, n_columns, n_levels)
            yield Case("categories only", f"lookup table, {size}", 0, n, draw)
        draw = partial(generated.effects_of_levels, 3, 6)
        yield Case("categories only", "effects, 3 columns of 6", 0, n, draw)
    draw = partial(table, 3, 4, scattered)
    yield Case("categories only", "function of 64 cells", 0, 3200, draw, n_test=64)


def _more_rows():
    yield Case("more rows", "50 weak features", 0, 100_000, partial(generated.weak, 50))
    for n in (3000, 12_000, 24_000):
        for name, draw in {
            "50 weak features": partial(generated.weak, 50),
            "200 weak features": partial(generated.weak, 200),
            "three classes": partial(generated.three_classes, 50),
            "products among noise": partial(generated.products, 20),
            "additive sines": partial(generated.additive, 10),
            "irrelevant features": partial(generated.irrelevant, 100),
        }.items():
            yield Case("more rows", name, 0, n, draw)


def _tables():
    for n_bits, function in [
        *((n_bits, odd) for n_bits in range(5, 9)),
        *((6, multiplexer), (6, adder)),
    ]:
        name = {odd: f"parity of {n_bits}"}.get(function, function.__name__)
        draw = partial(table, n_bits, 2, function)
        for seed in range(2):
            yield Case("truth tables", name, seed, 2**n_bits, draw, n_test=2**n_bits)
    for painted in (squares, stripes, spiral, face):
        draw = partial(picture, painted)
        yield Case("pictures", painted.__name__, 0, 6400, draw, n_test=6400)


def _persons():
    for n_persons, n_rows in ((50, 20), (200, 20), (1000, 5)):
        for d in (5, 20):
            yield Case(
                "groups",
                f"{n_persons} persons, {d} features",
                0,
                n_persons * n_rows,
                partial(persons, d, n_rows),
                group_of=partial(_person_of, n_rows),
            )


def _weak_features():
    for d, n in ((50, 500), (50, 2000), (200, 1000), (200, 4000), (500, 4000)):
        for name, draw in {
            "linear": generated.weak,
            "three classes": generated.three_classes,
            "and a product": generated.weak_and_product,
        }.items():
            yield Case("weak features", f"{name}, {d}", 0, n, partial(draw, d))


def _weights(unit, rng, y):
    return unit * rng.lognormal(sigma=0.5, size=len(y))


def _fit(model, X, y, **routed):
    """The warnings of a fit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y, **routed)
    return [str(warning.message) for warning in caught]


def measure(case):
    """What a case gave, as a dict."""
    rng = np.random.default_rng([zlib.crc32(case.name.encode()), case.seed])
    X, y = case.draw(rng, case.n + case.n_test)
    X = case.change(X)
    weights = None if case.weigh is None else case.weigh(rng, y)
    train, test = slice(case.n), slice(case.n, None)
    routed = {} if weights is None else {"sample_weight": weights[train]}
    groups = {} if case.group_of is None else {"groups": case.group_of(case.n)}
    ours = MLPClassifierManual(random_state=case.seed, **case.params)
    caught = _fit(ours, X[train], y[train], **routed, **groups)
    models = {"ours": ours}
    for rival in (MLPClassifier(random_state=case.seed), LogisticRegression()):
        pipe = make_pipeline(StandardScaler(), rival)
        of_rival = {f"{pipe.steps[-1][0]}__{key}": value for key, value in routed.items()}
        _fit(pipe, X[train], y[train], **of_rival)
        models[type(rival).__name__] = pipe
    losses = {
        name: log_loss(
            y[test],
            model.predict_proba(X[test]).astype(np.float64),
            labels=model.classes_,
            sample_weight=None if weights is None else weights[test],
        )
        for name, model in models.items()
    }
    excess = losses["ours"] - min(losses["MLPClassifier"], losses["LogisticRegression"])
    return {
        "group": case.group,
        "case": str(case),
        **losses,
        "excess": excess,
        "warning": caught[0] if caught else "",
        "right": bool(excess <= TOLERANCE or caught),
    }


def main():
    groups = list(dict.fromkeys(case.group for case in cases()))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=groups, metavar="GROUP", help=", ".join(groups))
    only = parser.parse_args().only
    rows = joblib.Parallel(n_jobs=2, inner_max_num_threads=1, verbose=1)(
        joblib.delayed(measure)(case) for case in cases() if only in (None, case.group)
    )
    if only is not None:
        print(*map(json.dumps, rows), sep="\n")
        return
    where = machine()
    content = ",\n".join(json.dumps(row) for row in rows)
    (HERE / "stress.json").write_text(
        f'{{"machine": {json.dumps(where)},\n"rows": [\n{content}\n]}}\n'
    )
    stress_report.main()


if __name__ == "__main__":
    main()
