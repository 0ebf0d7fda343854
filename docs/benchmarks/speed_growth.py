"""A default fit of one size, in a process of its own: seconds, peak memory, held-out loss.

    python docs/benchmarks/speed_growth.py rows 100000 skmlp 200

prints a line of JSON. Sizes are those of `FAMILIES`; the last number is the most seconds
that the fit may take: then it ends, and only that is known, and the memory so far.
MLPClassifier fits after a StandardScaler, which is on the clock as the standardisation of
skmlp is.
"""

import json
import os
import signal
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmlp import MLPClassifierManual

N_TEST = 500


def rows(rng, n):
    """Classes by a net's logits and noise: 20 features, 3 classes."""
    X = rng.standard_normal((n, 20))
    Z = 2 * np.tanh(X @ rng.standard_normal((20, 10)) / 2) @ rng.standard_normal((10, 3))
    return X, (Z + rng.gumbel(size=Z.shape)).argmax(axis=1)


def features(rng, d):
    """200 rows to fit, as of genes: ten features tell the two classes apart."""
    n = 200 + N_TEST
    X, k = rng.standard_normal((n, d)), rng.integers(2, size=n)
    X[:, :10] += k[:, np.newaxis] - 0.5
    return X, k


def classes(rng, n_classes, n=0):
    """Five rows of each class at least, around a centre of its own: 50 features."""
    n = max(n, 1000, 5 * n_classes) + N_TEST
    k = np.arange(n) % n_classes
    return rng.standard_normal((n_classes, 50))[k] + rng.standard_normal((n, 50)), k


def text(rng, n, n_columns, n_classes, words_a_column=1):
    """Tf-idf of some 100 words a row, Zipf's; each class has 200 words it favours."""
    n_words = n_columns * words_a_column
    column = rng.integers(n_columns, size=n_words)
    k = rng.integers(n_classes, size=n)
    words = np.empty((n, 110), int)
    for label in range(n_classes):
        share = 1 / np.arange(10, 10 + n_words)
        share[rng.integers(n_words // 10, size=200)] *= 10
        of_class = k == label
        size = (of_class.sum(), words.shape[1])
        words[of_class] = rng.choice(n_words, size=size, p=share / share.sum())
    ones, ends = np.ones(words.size), words.shape[1] * np.arange(n + 1)
    shape = (n, n_columns)
    counts = sparse.csr_array((ones, column[words.ravel()], ends), shape=shape)
    counts.sum_duplicates()
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts), k


# {family: {size: (its rows, the parameters that are not at their defaults)}}
FAMILIES = {
    "rows": {n: (partial(rows, n=n + N_TEST), {}) for n in (10**3, 10**4, 10**5, 10**6)},
    "rows, three iterations of L-BFGS": {
        n: (partial(rows, n=n + N_TEST), {"solver": "lbfgs", "alpha": 1.0, "max_iter": 3})
        for n in (10**5, 10**6)
    },
    "features": {d: (partial(features, d=d), {}) for d in (10, 100, 1000, 5000, 20_000)},
    "classes": {K: (partial(classes, n_classes=K), {}) for K in (2, 10, 100, 1000)},
    "classes, 20,000 rows": {1000: (partial(classes, n_classes=1000, n=20_000), {})},
    "text": {
        "10,000 x 50,000, 20 classes": (
            partial(text, n=10_000 + N_TEST, n_columns=50_000, n_classes=20),
            {},
        ),
        "2000 x 65,536, hashed, 10 hidden units": (
            partial(text, n=2000 + N_TEST, n_columns=2**16, n_classes=4, words_a_column=4),
            {"hidden_layer_sizes": 10},
        ),
    },
}


def estimator(system, is_sparse, params):
    if system == "skmlp":
        return MLPClassifierManual(random_state=0, **params)
    scaler = StandardScaler(with_mean=not is_sparse)
    return make_pipeline(scaler, MLPClassifier(random_state=0, **params))


def status(key):
    """Megabytes that the kernel counts."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


def measure(make, params, system, cap):
    """Fit, and print what it took; or that it took longer than the cap."""
    X, k = make(np.random.default_rng(0))
    X, k, X_test, k_test = X[:-N_TEST], k[:-N_TEST], X[-N_TEST:], k[-N_TEST:]
    model = estimator(system, sparse.issparse(X), params)
    # what is loaded and set up once is neither of the fit
    small = make_pipeline(model).fit(X[:20, :10], np.arange(20) % 2)
    small.predict_proba(X[:1, :10])
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    start = time.perf_counter()

    def cost():
        return {"seconds": time.perf_counter() - start, "MB": status("VmHWM") - before}

    def give_up(*_):
        print(json.dumps(cost() | {"capped": True}), flush=True)
        os._exit(0)

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(cap)
    model.fit(X, k)
    signal.alarm(0)
    row = cost()
    loss = log_loss(k_test, model.predict_proba(X_test), labels=np.unique(k))
    print(json.dumps(row | {"log_loss": loss}))


def main(family, size, system, cap):
    (point,) = (value for key, value in FAMILIES[family].items() if str(key) == size)
    warnings.simplefilter("ignore")
    measure(*point, system, int(cap))


if __name__ == "__main__":
    main(*sys.argv[1:])
