"""Textbook problems and odd data: does training with the defaults get there, every time?

    python docs/benchmarks/stress.py             # about 10 minutes on 2 cores

A case is right if the held-out log-loss is at most 0.02 above the better of MLPClassifier()
behind a scaler and LogisticRegression(), or if a warning says why not. Results go to
`stress.json`, `stress.md` and `stress.png`; `tests/test_stress.py` runs a few of the cases.
"""

import json
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
from quality import machine
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmlp import MLPClassifierManual

HERE = Path(__file__).parent
TOLERANCE = 0.02
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
    """

    group: str
    name: str
    seed: int
    n: int
    draw: Callable
    params: dict = {}  # noqa: RUF012, never changed
    weigh: Callable | None = None
    change: Callable = np.asarray

    def __str__(self):
        return f"{self.name}, n = {self.n}, seed {self.seed}"


def _labels(rng, logit):
    return (rng.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(int)


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
    return X, _labels(rng, factor * X[:, 1] * X[:, 2])


def u_shape(rng, n):
    X = rng.normal(size=(n, 5))
    return X, _labels(rng, 2 * (X[:, 0] ** 2 - 1))


def seasons(periods, rng, n):
    X = np.column_stack([rng.random(n), rng.normal(size=(n, 2))])
    return X, _labels(rng, 4 * np.sin(2 * np.pi * periods * X[:, 0]))


def window(rng, n):
    X = rng.normal(size=(n, 4))
    return X, _labels(rng, np.where((X[:, 0] > 0.2) & (X[:, 0] < 1), 3.0, -3.0))


def rings(rng, n):
    y = rng.integers(5, size=n)
    radius, angle = y + 1 + 0.2 * rng.normal(size=n), rng.uniform(0, 2 * np.pi, size=n)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), y


def blobs(n_classes, d, rng, n):
    """Two blobs for each class."""
    centers = np.random.default_rng(0).normal(size=(2 * n_classes, d)) * 5 / np.sqrt(d)
    blob = np.append(np.arange(2 * n_classes), rng.integers(2 * n_classes, size=n))[:n]
    return centers[blob] + 0.6 * rng.normal(size=(n, d)), blob % n_classes


def rare(share, rng, n):
    """Rare events that depend on two of ten features."""
    X = rng.normal(size=(n, 10))
    y = _labels(rng, np.log(share) - 1 + X[:, 0] + X[:, 1])
    y[:4] = 1
    return X, y


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
    return X, _labels(rng, logit)


def repeated(draw, rng, n):
    """Every row ten times."""
    X, y = draw(rng, -(-n // 10))
    return np.repeat(X, 10, axis=0)[:n], np.repeat(y, 10)[:n]


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
        yield Case("rare events", f"{share:.2%}", 0, 20_000, partial(rare, share))


def _weights(unit, rng, y):
    return unit * rng.lognormal(sigma=0.5, size=len(y))


def measure(case):
    """What a case gave, as a dict."""
    rng = np.random.default_rng([zlib.crc32(case.name.encode()), case.seed])
    n_test = 4 * N_TEST if case.group == "rare events" else N_TEST
    X, y = case.draw(rng, case.n + n_test)
    X = case.change(X)
    weights = None if case.weigh is None else case.weigh(rng, y)
    train, test = slice(case.n), slice(case.n, None)
    losses, caught = {}, []
    for name, model in {
        "ours": MLPClassifierManual(random_state=case.seed, **case.params),
        "MLPClassifier": MLPClassifier(random_state=case.seed),
        "LogisticRegression": LogisticRegression(),
    }.items():
        routed = {} if weights is None else {"sample_weight": weights[train]}
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            if name == "ours":
                model.fit(X[train], y[train], **routed)
                caught = [str(warning.message) for warning in seen]
            else:
                step = type(model).__name__.lower()
                routed = {f"{step}__{key}": value for key, value in routed.items()}
                model = make_pipeline(StandardScaler(), model).fit(
                    X[train], y[train], **routed
                )
        losses[name] = log_loss(
            y[test],
            model.predict_proba(X[test]).astype(np.float64),
            labels=model.classes_,
            sample_weight=None if weights is None else weights[test],
        )
    excess = losses["ours"] - min(losses["MLPClassifier"], losses["LogisticRegression"])
    return {
        "group": case.group,
        "case": str(case),
        **losses,
        "excess": excess,
        "warning": caught[0] if caught else "",
        "right": bool(excess <= TOLERANCE or caught),
    }


def draw_picture(rows, path):
    """How far each case is from the better of the others, by group."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    groups = list(dict.fromkeys(row["group"] for row in rows))
    figure, ax = plt.subplots(figsize=(8, 5), layout="constrained")
    jitter = np.random.default_rng(0).uniform(-0.25, 0.25, size=len(rows))
    for label, colour, kept in (
        ("right", "#0072B2", lambda row: row["excess"] <= TOLERANCE),
        ("warned", "#E69F00", lambda row: row["right"] and row["excess"] > TOLERANCE),
        ("wrong", "#D55E00", lambda row: not row["right"]),
    ):
        points = [
            (row["excess"], groups.index(row["group"]) + offset)
            for row, offset in zip(rows, jitter, strict=True)
            if kept(row)
        ]
        if points:
            ax.plot(*zip(*points, strict=True), "o", ms=5, alpha=0.7, c=colour, label=label)
    ax.axvline(TOLERANCE, color="0.4", lw=1, ls="--")
    ax.set_xscale("symlog", linthresh=0.02)
    ax.set(
        yticks=range(len(groups)),
        yticklabels=groups,
        xlabel="log-loss minus that of the better of MLPClassifier and LogisticRegression\n"
        "(left is better; dashed: 0.02)",
    )
    ax.invert_yaxis()
    ax.grid(alpha=0.3, axis="x")
    ax.legend(loc="lower right")
    figure.savefig(path, dpi=110)


def write_page(rows, where, path):
    """The result as a page."""
    groups = list(dict.fromkeys(row["group"] for row in rows))
    lines = ["| group | cases | right | mean log-loss | `MLPClassifier()` | "]
    lines[0] += "`LogisticRegression()` |"
    lines.append("|" + " --- |" * 6)
    for group in [*groups, "all"]:
        those = [row for row in rows if group in (row["group"], "all")]
        means = [
            np.mean([row[name] for row in those])
            for name in ("ours", "MLPClassifier", "LogisticRegression")
        ]
        n_right = sum(row["right"] for row in those)
        cells = [group, len(those), n_right, *(f"{mean:.3f}" for mean in means)]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    others = [
        f"- {row['group']}: {row['case']}: {row['ours']:.3f}; MLPClassifier "
        f"{row['MLPClassifier']:.3f}, LogisticRegression {row['LogisticRegression']:.3f}. "
        + (f"It warned: {row['warning']}" if row["warning"] else "")
        for row in rows
        if row["excess"] > TOLERANCE
    ]
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items())
    text = (HERE / "stress.md.in").read_text()
    for name, value in {
        "table": "\n".join(lines),
        "others": "\n".join(others) or "None.",
        "machine": f"{where['date']}; {versions}",
    }.items():
        text = text.replace(f"@{name}@", value)
    path.write_text(text)


def main():
    rows = joblib.Parallel(n_jobs=2, inner_max_num_threads=1, verbose=1)(
        joblib.delayed(measure)(case) for case in cases()
    )
    where = machine()
    content = ",\n".join(json.dumps(row) for row in rows)
    (HERE / "stress.json").write_text(
        f'{{"machine": {json.dumps(where)},\n"rows": [\n{content}\n]}}\n'
    )
    write_page(rows, where, HERE / "stress.md")
    draw_picture(rows, HERE / "stress.png")


if __name__ == "__main__":
    main()
