"""Heavy tails, units of any size and columns of one unit: cases of `stress_data.py`."""

from functools import partial
from itertools import product

import numpy as np
from generated import labels, one_hot
from scipy import ndimage, sparse
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from stress import N_TEST
from stress_report import TOLERANCE
from stress_verdict import Case, Verdict, net


def scores(rng, n):
    """Five normal scores, and labels that depend on them."""
    Z = rng.normal(size=(n, 5))
    return Z, labels(rng, 2 * Z[:, 0] - 1.5 * Z[:, 1] + 1.5 * Z[:, 0] * Z[:, 2])


def log_normal(sigma, rng, n):
    Z, y = scores(rng, n)
    return np.exp(sigma * Z), y


def one_log_normal(rng, n):
    """The first of five columns, the others are normal."""
    Z, y = scores(rng, n)
    Z[:, 0] = np.exp(3 * Z[:, 0])
    return Z, y


def cauchy(rng, n):
    X = rng.standard_cauchy(size=(n, 5))
    Z = np.tanh(X)
    return X, labels(rng, 3 * Z[:, 0] - 2 * Z[:, 1] + 2 * Z[:, 2] * Z[:, 3])


def pareto(rng, n):
    """Columns whose tails have exponents from 0.8 to 3."""
    exponents = np.array([0.8, 1.0, 1.5, 2.0, 3.0])
    E = rng.exponential(size=(n, 5))
    X = np.exp(E / exponents)
    return X, labels(rng, 2 * (E[:, 0] - E[:, 1]) + (E[:, 2] - 1) * (E[:, 3] - 1))


def money(rng, n):
    """Amounts that are 0 for most, beside age and income."""
    spends = rng.random((n, 3)) < [0.4, 0.15, 0.05]
    Z = rng.normal(size=(n, 3))
    age, income = rng.uniform(18, 90, size=n), rng.normal(size=n)
    logit = spends @ [-1.0, 2.0, 3.0] + (spends * Z) @ [1.5, -2.0, 1.0]
    logit += 0.05 * (age - 54) + income
    amounts = np.round(spends * np.exp(6 + 1.7 * Z), 2)
    return np.column_stack([amounts, age, np.exp(10 + 0.8 * income)]), labels(rng, logit)


def flows(rng, n):
    """Connections of four kinds: bytes both ways, seconds, packets, share of errors."""
    kind = rng.choice(4, p=[0.5, 0.3, 0.15, 0.05], size=n)
    level = rng.normal(size=(n, 3))
    sent = np.exp(np.array([5.5, 3.5, 1.0, 8.0])[kind] + 1.3 * level[:, 0])
    back = np.exp(np.array([7.0, 0.0, 1.0, 5.0])[kind] + 1.8 * level[:, 1])
    lasts = np.exp(np.array([1.0, -2.0, 3.0, 4.0])[kind] + 2.0 * level[:, 2])
    X = np.column_stack([sent, back, lasts])
    X *= rng.random((n, 3)) < np.array([0.9, 0.6, 0.4])
    X[rng.random((n, 3)) < 3e-4] *= 1e5
    packets = rng.poisson(np.array([8.0, 300.0, 60.0, 20.0])[kind])
    errors = rng.beta(np.array([1.0, 4.0, 8.0, 2.0])[kind], 5)
    return np.column_stack([np.floor(X), packets, errors.round(2)]), kind


TAILS = {
    **{f"log-normal, sigma {sigma}": partial(log_normal, sigma) for sigma in (1, 2, 3)},
    "one log-normal among normal columns": one_log_normal,
    "Cauchy": cauchy,
    "Pareto": pareto,
    "money with many zeros": money,
    "flows": flows,
}


def zipf_words(n_words, rng, n):
    """Texts of 60 words, most of which are rare; each word tells something."""
    share = 1 / np.arange(1, n_words + 1)
    effects = np.random.default_rng(5).normal(size=n_words)
    words = rng.choice(n_words, p=share / share.sum(), size=(n, 60))
    ones, rows = np.ones(words.size), np.repeat(np.arange(n), 60)
    X = sparse.csr_array((ones, (rows, words.ravel())), shape=(n, n_words))
    return X, labels(rng, 0.4 * effects[words].sum(axis=1))


def zipf_categories(n_levels, rng, n):
    """Three columns of categories, most of which are rare, and a normal column."""
    share = 1 / np.arange(1, n_levels + 1)
    effects = np.random.default_rng(6).normal(size=(3, n_levels))
    codes = rng.choice(n_levels, p=share / share.sum(), size=(n, 3))
    z = rng.normal(size=n)
    logit = 1.5 * effects[np.arange(3), codes].sum(axis=1) + z
    return np.column_stack([one_hot(codes, n_levels), z]), labels(rng, logit)


RARE = {
    "rare words": partial(zipf_words, 2000),
    "rare categories": partial(zipf_categories, 200),
}


def behind_a_scaler(seed):
    return {
        "MLPClassifier": make_pipeline(StandardScaler(), MLPClassifier(random_state=seed)),
        "LogisticRegression": make_pipeline(StandardScaler(), LogisticRegression()),
    }


def raw_logistic(seed):
    return {"LogisticRegression": LogisticRegression(max_iter=1000)}


def halves(draw, n, rng):
    """Rows to train on, and rows to test on."""
    X, y = draw(rng, n + N_TEST)
    return X[:n], X[n:], y[:n], y[n:]


def loss(model, X, X_test, y, y_test):
    model.fit(X, y)
    probabilities = model.predict_proba(X_test).astype(np.float64)
    return float(log_loss(y_test, probabilities, labels=model.classes_))


def no_worse_than(rivals, draw, n, rng, seed):
    """The held-out log-loss is at most 0.02 above the best of others."""
    data = halves(draw, n, rng)
    beside = {name: loss(model, *data) for name, model in rivals(seed).items()}
    limit = min(beside.values()) + TOLERANCE
    return Verdict("log-loss", loss(net(seed), *data), limit, beside)


def despite_an_outlier(value, n, rng, seed):
    """One value is far from all others: the log-loss is the one without it, or near."""
    X, X_test, y, y_test = halves(scores, n, rng)
    clean = loss(net(seed), X, X_test, y, y_test)
    X[n // 2, 1] = value
    ours = loss(net(seed), X, X_test, y, y_test)
    return Verdict("log-loss", ours, clean + TOLERANCE, {"without the outlier": clean})


def heavy_tails():
    def case(name, n, seed, judge):
        return Case("heavy tails", f"{name}, n = {n}", seed, judge)

    for n in (1000, 4000):
        for (name, draw), seed in product(TAILS.items(), range(3)):
            yield case(name, n, seed, partial(no_worse_than, behind_a_scaler, draw, n))
        for (name, draw), seed in product(RARE.items(), range(3)):
            yield case(name, n, seed, partial(no_worse_than, raw_logistic, draw, n))
        for value, seed in product((50.0, 1e4, -1e9), range(3)):
            name = f"an outlier of {value:g}"
            yield case(name, n, seed, partial(despite_an_outlier, value, n))
    for name in ("log-normal, sigma 2", "Cauchy", "flows"):
        judge = partial(no_worse_than, behind_a_scaler, TAILS[name], 40_000)
        yield case(name, 40_000, 0, judge)


def in_units(units, dtype, make, params, rng, seed):
    """The log-loss is the one in units of one, or near."""
    X, X_test, y, y_test = halves(scores, 1000, rng)
    losses = [
        loss(
            net(seed, **params),
            *(make((A * u).astype(dtype)) for A in (X, X_test)),
            y,
            y_test,
        )
        for u in (np.ones(5), np.resize(units, 5))
    ]
    beside = {"in units of one": losses[0], "in these units": losses[1]}
    return Verdict(
        "difference of log-losses", abs(losses[0] - losses[1]), TOLERANCE, beside
    )


def idle_columns_of_csr(n, rng, seed):
    """Constants in CSR tell nothing: a millionth of them changes no prediction."""
    Z, y = scores(rng, n)
    idle = np.tile([518.67, 14.62, 0.1, 1e-3], (n, 1))
    model = net(seed, hidden_layer_sizes=5, alpha=1.0, max_iter=10)
    model.fit(sparse.csr_array(np.hstack([Z, idle])), y)
    before, after = (
        model.predict_proba(np.hstack([Z, idle * factor])[:1000])
        for factor in (1, 1 + 1e-6)
    )
    change = float(np.abs(after - before).max())
    return Verdict("largest change of probabilities", change, 0.01, {})


UNITS = {
    "float32 of 1e-20": (1e-20, np.float32),
    "float32 of 1e-30": (1e-30, np.float32),
    "float32 of 1e+30": (1e30, np.float32),
    "float64 of 1e-200": (1e-200, np.float64),
    "float64 of 1e+200": (1e200, np.float64),
    "mixed, float32": ((1e-30, 1.0, 1e-10, 1e20), np.float32),
    "mixed, float64": ((1e-200, 1.0, 1e-150, 1e180), np.float64),
}
OF_ADAM = {"solver": "adam", "max_iter": 100, "learning_rate_init": 0.01}


def tiny_units():
    ways = {
        "": (np.asarray, {}),
        ", adam": (np.asarray, OF_ADAM),
        ", CSR": (sparse.csr_array, {}),
    }
    for (name, (units, dtype)), (way, (make, params)), seed in product(
        UNITS.items(), ways.items(), range(3)
    ):
        judge = partial(in_units, units, dtype, make, params)
        yield Case("tiny units", f"{name}{way}", seed, judge)
    for n in (20_000, 200_000):
        judge = partial(idle_columns_of_csr, n)
        yield Case("tiny units", f"constants in CSR, n = {n}", 0, judge)


def digits(rng):
    """Pixels of 0 to 16, some of which are nearly always 0."""
    return datasets.load_digits(return_X_y=True)


def framed_digits(rng):
    """The same, anywhere in a picture of 12 x 12, so that the rim is nearly always 0."""
    X, y = datasets.load_digits(return_X_y=True)
    pictures = np.pad(X.reshape(-1, 8, 8), ((0, 0), (2, 2), (2, 2)))
    shifts = rng.integers(-2, 3, size=(len(X), 2))
    moved = [np.roll(p, s, axis=(0, 1)) for p, s in zip(pictures, shifts, strict=True)]
    return np.reshape(moved, (len(X), -1)) / 16, y


def spectra(rng):
    """Lines of three substances on 100 wavelengths, two of which overlap."""
    n, at = 1500, np.arange(100)
    lines = np.exp(-0.5 * ((at - np.array([[30], [36], [70]])) / 4) ** 2)
    amounts = rng.gamma(2.0, size=(n, 3))
    X = amounts @ lines + 0.02 * ndimage.gaussian_filter1d(rng.normal(size=(n, 100)), 1)
    return X, labels(rng, 3 * (amounts[:, 0] - amounts[:, 1]) + amounts[:, 2] - 2)


def percentages(rng):
    """A table in one unit, where the columns that vary least tell most."""
    n = 1500
    Z = rng.normal(size=(n, 10))
    spread = np.array([0.3, 0.5, 0.5, 1, 2, 5, 10, 15, 15, 20])
    X = np.clip(50 + spread * Z, 0, 100)
    return X, labels(rng, 2 * Z[:, 0] - Z[:, 1] + Z[:, 1] * Z[:, 2] + 0.5 * Z[:, 8])


def no_worse_than_raw(read, rng, seed):
    """The default is at most 0.02 above ``standardize=False``."""
    X, y = read(rng)
    data = train_test_split(X, y, test_size=0.4, stratify=y, random_state=seed)
    raw = loss(net(seed, standardize=False), *data)
    beside = {"standardize=False": raw}
    return Verdict("log-loss", loss(net(seed), *data), raw + TOLERANCE, beside)


def table_in_one_unit(rng, seed):
    """The default is at most 0.02 above the better of others."""
    X, y = percentages(rng)
    data = train_test_split(X, y, test_size=0.4, random_state=seed)
    beside = {name: loss(model, *data) for name, model in behind_a_scaler(seed).items()}
    limit = min(beside.values()) + TOLERANCE
    return Verdict("log-loss", loss(net(seed), *data), limit, beside)


def one_unit():
    for read, seed in product((digits, framed_digits, spectra), range(3)):
        name = read.__name__.replace("_", " ")
        yield Case("columns of one unit", name, seed, partial(no_worse_than_raw, read))
    for seed in range(3):
        yield Case("columns of one unit", "percentages", seed, table_in_one_unit)
