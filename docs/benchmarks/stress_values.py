"""The part of the stress suite for regressors: textbook problems and odd y.

    python docs/benchmarks/stress_values.py                  # about 10 minutes on 2 cores
    python docs/benchmarks/stress_values.py --only textbook  # printed and not recorded

Each case has a right answer, which another way gives: the function that drew y, another
estimator, the same y in units of one, the fit without the outlier. A warning excuses
nothing, and an error is wrong. Results go to `stress_values.json`, from which
`stress_report.py` writes the page. `tests/test_stress.py` runs a few of the cases.
"""

import argparse
import json
from functools import partial
from itertools import product
from pathlib import Path

import joblib
import numpy as np
import stress_report
from quality import machine
from regression import on_standardised_y
from scipy.stats import norm
from sklearn import datasets
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import PoissonRegressor, Ridge, RidgeCV
from sklearn.metrics import mean_pinball_loss, mean_poisson_deviance
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from stress_report import TOLERANCE
from stress_verdict import Case, Verdict, measure

from skmlp import MLPRegressorManual

HERE = Path(__file__).parent
N_TEST, N_SEEDS = 4000, 10
# An error that is small, and one that is too large whatever others do: deviations of y
GOOD, POOR = 0.15, 0.25
DEEP = {"hidden_layer_sizes": (50, 50, 50)}
# Errors of rounding, of the same fit in other units: a longer fit makes them larger, and a
# search of alpha may turn on them
ROUNDING, BRIEF = 1e-4, {"alpha": 10.0, "max_iter": 20}


def net(seed, **params):
    return MLPRegressorManual(random_state=seed, **params)


def sine(periods, rng, n):
    X = rng.uniform(size=(n, 1))
    return X, np.sin(2 * np.pi * periods * X[:, 0])


def step(rng, n):
    X = rng.normal(size=(n, 3))
    return X, np.where(X[:, 0] > 0.3, 1.0, -1.0)


def product_of_two(rng, n):
    X = rng.normal(size=(n, 5))
    return X, X[:, 0] * X[:, 1]


def friedman(number, rng, n):
    make = getattr(datasets, f"make_friedman{number}")
    return make(n, random_state=rng.integers(2**31))


def line(rng, n):
    X = rng.normal(size=(n, 4))
    return X, X @ np.array([1.0, -1.0, 0.5, 0.0])


def ramp(rng, n):
    X = rng.uniform(-1, 1, size=(n, 1))
    return X, X[:, 0]


def curve(rng, n):
    X = rng.normal(size=(n, 4))
    return X, X[:, 0] + np.sin(2 * X[:, 1])


def sparse_line(rng, n):
    """Many more features than rows, ten of which matter."""
    X = rng.normal(size=(n, 500))
    return X, X[:, :10].sum(axis=1)


TEXTBOOK = {
    "sine over three periods": (partial(sine, 3), 500),
    "sine over six periods": (partial(sine, 6), 1000),
    "step": (step, 1000),
    "product x1 x2": (product_of_two, 1000),
    **{f"Friedman {i}": (partial(friedman, i), 1000) for i in (1, 2, 3)},
}


def drawn(draw, n, rng, noise=0.1):
    """Rows to train on, with noise of so many deviations, and rows to test on without."""
    X, f = draw(rng, n + N_TEST)
    y = f[:n] + noise * f.std() * rng.normal(size=n)
    return X[:n], y, X[n:], f[n:]


def error(model, X, y, X_test, f):
    """Error of the predictions, in deviations of what is right."""
    prediction = model.fit(X, y).predict(X_test)
    return float(np.sqrt(np.mean((prediction - f) ** 2)) / f.std())


def others(seed):
    mlp = on_standardised_y(MLPRegressor(random_state=seed))
    return {
        "MLPRegressor": make_pipeline(StandardScaler(), mlp),
        "boosting": HistGradientBoostingRegressor(random_state=seed),
        "Ridge": make_pipeline(StandardScaler(), Ridge()),
    }


def learns(draw, n, params, rng, seed):
    """The error is small, or at most 0.02 above the best of others, and never large."""
    data = drawn(draw, n, rng)
    beside = {name: error(model, *data) for name, model in others(seed).items()}
    limit = min(max(GOOD, min(beside.values()) + TOLERANCE), POOR)
    return Verdict("error", error(net(seed, **params), *data), limit, beside)


def textbook():
    for (name, (draw, n)), (depth, params), seed in product(
        TEXTBOOK.items(), {"": {}, ", deep": DEEP}.items(), range(N_SEEDS)
    ):
        judge = partial(learns, draw, n, params)
        yield Case("textbook", f"{name}{depth}", seed, judge)


LOSSES = {
    **{name: {"loss": name} for name in ("squared_error", "absolute_error", "gaussian")},
    "quantile": {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]},
    "poisson": {"loss": "poisson"},
    "gamma": {"loss": "gamma"},
}


def same_number(params, value, rng, seed):
    """A y of one value is predicted, wherever one looks."""
    X = rng.normal(size=(200, 3))
    predicted = net(seed, **params).fit(X, np.full(200, value)).predict(10 * X)
    gap = float(np.abs(predicted - value).max() / value)
    return Verdict("largest error, relative", gap, 1e-6, {})


def as_without(value, params, rng, seed):
    """One y is far from all others: losses that resist give the fit without it, or near."""
    X, y, *test = drawn(curve, 500, rng)
    clean = error(net(seed, **params), X, y, *test)
    y[100] += value
    ours = error(net(seed, **params), X, y, *test)
    return Verdict("error", ours, clean + 2 * TOLERANCE, {"without the outlier": clean})


def as_others(value, rng, seed):
    """One y is far from all others: squared errors are no worse than others' by 0.02."""
    X, y, *test = drawn(curve, 500, rng)
    y[100] += value
    beside = {name: error(model, X, y, *test) for name, model in others(seed).items()}
    limit = min(beside.values()) + TOLERANCE
    return Verdict("error", error(net(seed), X, y, *test), limit, beside)


def constants_and_outliers():
    resist = {name: LOSSES[name] for name in ("absolute_error", "quantile")}
    resist["quantile"] = {"loss": "quantile", "quantile": 0.5}
    for seed in range(N_SEEDS):
        for (name, params), value in product(LOSSES.items(), (3.0, 1e6)):
            judge = partial(same_number, params, value)
            yield Case("y constant", f"{name}, {value:g}", seed, judge)
        for (name, params), value in product(resist.items(), (50.0, 1e6)):
            judge = partial(as_without, value, params)
            yield Case("y with an outlier", f"{name}, {value:g}", seed, judge)
        judge = partial(as_others, 50.0)
        yield Case("y with an outlier", "squared_error, 50", seed, judge)


def no_worse_than(draw, n, rivals, rng, seed):
    """The error is at most 0.02 above the best of others."""
    data = drawn(draw, n, rng)
    beside = {name: error(model, *data) for name, model in rivals.items()}
    limit = min(beside.values()) + TOLERANCE
    return Verdict("error", error(net(seed), *data), limit, beside)


def few_rows():
    mean = {"mean": DummyRegressor()}
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 5, 15)))
    for (name, draw, n, rivals), seed in product(
        [
            ("4 rows, one feature", ramp, 4, mean),
            ("20 rows, line", line, 20, mean),
            ("50 rows, 500 features", sparse_line, 50, mean | {"RidgeCV": ridge}),
        ],
        range(N_SEEDS),
    ):
        judge = partial(no_worse_than, draw, n, rivals)
        yield Case("few rows", name, seed, judge)


def rare_counts(size, rng, n):
    """Mostly 0, and large where a feature is: means of y."""
    X = rng.normal(size=(n, 4))
    return X, size * np.exp(2.5 * X[:, 0] - 6 + 0.5 * X[:, 1] * X[:, 2])


def deviance_of_counts(size, rng, seed):
    """The deviance is at most 5% above the best of the others'."""
    X, mean = rare_counts(size, rng, 2000 + N_TEST)
    X, X_test, y, y_test = *np.split(X, [2000]), *np.split(rng.poisson(mean), [2000])
    linear = PoissonRegressor(max_iter=1000)
    rivals = {
        "mean": DummyRegressor(),
        "PoissonRegressor": make_pipeline(StandardScaler(), linear),
        "boosting": HistGradientBoostingRegressor(loss="poisson", random_state=seed),
    }
    ours, *beside = (
        float(mean_poisson_deviance(y_test, model.fit(X, y).predict(X_test)))
        for model in (net(seed, loss="poisson"), *rivals.values())
    )
    beside = dict(zip(rivals, beside, strict=True))
    return Verdict("mean deviance", ours, 1.05 * min(beside.values()), beside)


def counts():
    for size, seed in product((1, 1000), range(N_SEEDS)):
        judge = partial(deviance_of_counts, size)
        yield Case("rare counts", f"of up to some {100 * size}", seed, judge)


def in_other_units(params, factor, shift, dtype, rng, seed):
    """The fit to y in other units is the fit to y, to the rounding of y."""
    X, f = curve(rng, 300 + N_TEST)
    y = np.exp(f[:300] / 2) + 0.1 * rng.random(300)
    moved = (y * factor + shift).astype(dtype)
    first, second = (
        net(seed, hidden_layer_sizes=20, **BRIEF, **params).fit(X[:300], t)
        for t in ((moved.astype(float) - shift) / factor, moved)
    )
    right = first.predict(X[300:])
    ours = (second.predict(X[300:]).astype(float) - shift) / factor
    gap = float(np.abs(ours - right).max() / y.std())
    return Verdict("largest difference, in deviations", gap, ROUNDING, {})


# y is multiplied by the first and the second is added
UNITS = {
    "of 1e-6": (1e-6, 0.0, np.float64),
    "of 1e6": (1e6, 0.0, np.float64),
    "of 1e-150": (1e-150, 0.0, np.float64),
    "of 1e150": (1e150, 0.0, np.float64),
    "plus 1e6": (1.0, 1e6, np.float64),
    "minus 1e9": (1.0, -1e9, np.float64),
    "float32, plus 1e6": (1.0, 1e6, np.float32),
}


def units():
    for (name, params), (unit, change), seed in product(
        LOSSES.items(), UNITS.items(), range(N_SEEDS)
    ):
        if change[1] and name in ("poisson", "gamma"):
            continue  # their y have a 0
        judge = partial(in_other_units, params, *change)
        yield Case("units of y", f"{name}, {unit}", seed, judge)


def mean_and_deviation(X):
    return X[:, 0] + np.sin(2 * X[:, 1]), 0.2 + 0.4 / (1 + np.exp(-2 * X[:, 2]))


def uneven(rng, n):
    """y whose deviation depends on X."""
    X = rng.normal(size=(n + N_TEST, 4))
    mean, deviation = mean_and_deviation(X)
    y = mean + deviation * rng.normal(size=n + N_TEST)
    return X[:n], y[:n], X[n:], y[n:]


def coverage(levels, n, rng, seed):
    """Of the held-out rows, the right share is below each quantile."""
    X, y, X_test, y_test = uneven(rng, n)
    model = net(seed, loss="quantile", quantile=levels).fit(X, y)
    below = (y_test[:, None] < model.predict(X_test)).mean(axis=0)
    beside = {f"below {level:g}": float(b) for level, b in zip(levels, below, strict=True)}
    gaps = np.abs(below - levels) / np.sqrt(np.multiply(levels, np.subtract(1, levels)))
    return Verdict("largest gap, in deviations of a row", float(gaps.max()), 0.1, beside)


def pinball(level, n, rng, seed):
    """The check loss is at most 5% above that of the true quantiles."""
    X, y, X_test, y_test = uneven(rng, n)
    mean, deviation = mean_and_deviation(X_test)
    model = net(seed, loss="quantile", quantile=level).fit(X, y)
    right, ours = (
        float(mean_pinball_loss(y_test, quantile, alpha=level))
        for quantile in (mean + norm.ppf(level) * deviation, model.predict(X_test))
    )
    return Verdict("check loss", ours, 1.05 * right, {"true quantiles": right})


def quantiles():
    for n, seed in product((1000, 4000), range(N_SEEDS)):
        for levels in ([0.1, 0.5, 0.9], [0.02, 0.98]):
            judge = partial(coverage, levels, n)
            yield Case("quantiles", f"shares of {levels}, n = {n}", seed, judge)
        for level in (0.1, 0.5):
            judge = partial(pinball, level, n)
            yield Case("quantiles", f"loss of {level}, n = {n}", seed, judge)


def likelihood(n, rng, seed):
    """Minus the log of the density is at most 0.05 above that of the true one."""
    X, y, X_test, y_test = uneven(rng, n)
    right = float(-norm.logpdf(y_test, *mean_and_deviation(X_test)).mean())
    said = net(seed, loss="gaussian").fit(X, y).predict(X_test, return_std=True)
    ours = float(-norm.logpdf(y_test, *said).mean())
    return Verdict("negative log-likelihood", ours, right + 0.05, {"true density": right})


def share_inside(n, rng, seed):
    """Nine tenths of the held-out rows are in the bands that say so."""
    X, y, X_test, y_test = uneven(rng, n)
    model = net(seed, loss="gaussian").fit(X, y)
    mean, deviation = model.predict(X_test, return_std=True)
    inside = float((np.abs(y_test - mean) < norm.ppf(0.95) * deviation).mean())
    return Verdict("gap of the share", abs(inside - 0.9), 0.03, {"inside": inside})


def deviations():
    for n, seed in product((1000, 4000), range(N_SEEDS)):
        for name, judge in {"density": likelihood, "bands": share_inside}.items():
            yield Case("normal densities", f"{name}, n = {n}", seed, partial(judge, n))


PARTS = (
    textbook,
    constants_and_outliers,
    few_rows,
    counts,
    units,
    quantiles,
    deviations,
)


def cases():
    """Every case of this part."""
    for part in PARTS:
        yield from part()


def main():
    groups = list(dict.fromkeys(case.group for case in cases()))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", nargs="+", choices=groups, metavar="GROUP", help=", ".join(groups)
    )
    only = parser.parse_args().only
    those = [case for case in cases() if only is None or case.group in only]
    where = machine()
    pool = joblib.Parallel(n_jobs=2, inner_max_num_threads=1, verbose=1)
    rows = pool(joblib.delayed(measure)(case) for case in those)
    if only is not None:
        print(*map(json.dumps, rows), sep="\n")
        return
    content = ",\n".join(map(json.dumps, rows))
    (HERE / "stress_values.json").write_text(
        f'{{"machine": {json.dumps(where)},\n"rows": [\n{content}\n]}}\n'
    )
    stress_report.main()


if __name__ == "__main__":
    main()
