"""What is worth doing for honest probabilities: a Laplace approximation, or something else?

    python docs/benchmarks/error_bars.py            # about 4 minutes

The Laplace approximation puts a normal distribution around the parameters of a fitted net:
its precision is the Gauss-Newton matrix of the loss plus alpha, for the penalty is a prior.
It is written out here, for nets of one hidden layer, since it is not in the package. It
meets the net as it is, four nets that start differently, temperature scaling and MAPIE's
conformal sets. Results go to `error_bars.json`; from it, and from the text of
`error_bars.md.in`, `error_bars_report.py` writes `error_bars.md`. Needs `pip install pandas
mapie`, scikit-learn 1.8, and the tables.
"""

import json
import os
import platform
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import error_bars_report
import numpy as np
from datasets import NAMES, load, preprocessing
from mapie.classification import SplitConformalClassifier
from scipy.linalg import cho_factor, cho_solve
from scipy.special import softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_moons
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from speed import processor
from threadpoolctl import threadpool_info

from skmlp import MLPClassifierManual

HERE = Path(__file__).parent
SPLITS, MOST_ROWS, MOST_WEIGHTS, LEVEL = 2, 4000, 2200, 0.9
FACTORS = (10, 100, 1000)
ALPHAS = (0.03, 0.1, 0.3, 1, 3, 10, 30)
OF_ALPHAS = ("iris", "wine", "digits", "penbased", "segment", "texture")
OF_CLASSES = (
    "digits",
    "penbased",
    "optdigits",
    "satimage",
    "segment",
    "vehicle",
    "texture",
)
ACTIVATIONS = ("logistic", "tanh", "relu")
DISTANCES = (3, 10, 100)
CENTER = {"logistic": 0.5, "tanh": 0.0, "relu": 0.0}
SLOPE = {
    "logistic": lambda h: h * (1 - h),
    "tanh": lambda h: 1 - h**2,
    "relu": lambda h: (h > 0).astype(float),
}


# The Laplace approximation. Means and covariances are those of the logits, linearised in
# the parameters, which are those of the training: of standardised features and centred
# hidden units. There alpha is the precision of the prior; biases get it, too.


def last_layer(net, X, X_new, alpha):
    """Covariance (n, K, K) of the logits of new rows, from the last layer's parameters."""
    A, A_new = (with_ones(centered(net, rows)) for rows in (X, X_new))
    Y = net.predict_proba(X)
    K, m = Y.shape[1], A.shape[1]
    blocks = [
        [A.T @ ((Y[:, [k]] * ((k == j) - Y[:, [j]])) * A) for j in range(K)]
        for k in range(K)
    ]
    S = inverse(np.block(blocks), alpha).reshape(K, m, K, m)
    return np.einsum("na,kajb,nb->nkj", A_new, S, A_new, optimize=True)


def all_weights(net, X, X_new, alpha):
    """The same from the parameters of both layers."""
    mean, scale = X.mean(axis=0), X.std(axis=0)
    scale = np.maximum(scale, np.abs(X - mean).max(axis=0) / 10)
    scale[scale == 0] = 1
    precision = 0
    for rows in batches(X):
        root = np.sqrt(net.predict_proba(rows))
        K = root.shape[1]
        # diag(y) - y y^T = L L^T, with L = diag(r) - y r^T, r = sqrt(y)
        L = root[:, :, None] * (np.eye(K) - root[:, :, None] * root[:, None, :])
        R = L.transpose(0, 2, 1) @ jacobian(net, rows, (rows - mean) / scale)
        R = R.reshape(-1, R.shape[2])
        precision = precision + R.T @ R
    S = inverse(precision, alpha)
    jacobians = (jacobian(net, rows, (rows - mean) / scale) for rows in batches(X_new))
    return np.concatenate([J @ S @ J.transpose(0, 2, 1) for J in jacobians])


def jacobian(net, X, standard):
    """Derivatives (n, K, P) of the logits with respect to all parameters."""
    n, V = len(X), net.coefs_[1]
    A, slopes = with_ones(standard), SLOPE[net.activation](net.hidden_activations(X))
    first = np.einsum("ni,nj,jk->nkij", A, slopes, V, optimize=True)
    second = np.einsum("nj,km->nkjm", with_ones(centered(net, X)), np.eye(V.shape[1]))
    return np.concatenate([J.reshape(n, V.shape[1], -1) for J in (first, second)], axis=2)


def centered(net, X):
    return net.hidden_activations(X) - CENTER[net.activation]


def with_ones(A):
    return np.column_stack([A, np.ones(len(A))])


def inverse(precision, alpha):
    P = len(precision)
    return cho_solve(cho_factor(precision + alpha * np.eye(P)), np.eye(P))


def batches(X, size=100):
    return (X[start : start + size] for start in range(0, len(X), size))


def logits(net, X):
    return net.hidden_activations(X) @ net.coefs_[1] + net.intercepts_[1]


def moderated(mean, covariance):
    """MacKay's probabilities, from the differences of each two logits; normalised."""
    variance = np.einsum("nkk->nk", covariance)
    of_difference = variance[:, :, None] + variance[:, None, :] - 2 * covariance
    difference = mean[:, None, :] - mean[:, :, None]
    difference /= np.sqrt(1 + np.pi / 8 * np.maximum(of_difference, 0))
    P = 1 / np.exp(np.minimum(difference, 700)).sum(axis=2)
    return P / P.sum(axis=1, keepdims=True)


def averaged(mean, covariance, n_samples=500):
    """Mean of the softmax over samples of the logits."""
    K = mean.shape[1]
    noise = np.random.default_rng(0).normal(size=(n_samples, K, 1))
    L = np.linalg.cholesky(covariance + 1e-9 * np.eye(K))
    return np.mean([softmax(mean + (L @ z)[:, :, 0], axis=1) for z in noise], axis=0)


# What is compared


def network(seed, **params):
    return MLPClassifierManual(random_state=seed, **params)


def four_nets(net, X, y, seed):
    """Three other starts with the same alpha, and the function of the mean probability."""
    seeds = range(100 + 10 * seed, 103 + 10 * seed)
    params = {"activation": net.activation, "alpha": net.alpha_}
    nets = [net, *(network(other, **params).fit(X, y) for other in seeds)]
    return lambda rows: np.mean([one.predict_proba(rows) for one in nets], axis=0)


def conformal(net, X, y, X_new, seed):
    """MAPIE's sets, from a net fitted on two thirds of the rows."""
    X_fit, X_cal, y_fit, y_cal = train_test_split(
        X, y, test_size=1 / 3, stratify=y, random_state=seed
    )
    model = network(seed, alpha=net.alpha_).fit(X_fit, y_fit)
    sets = SplitConformalClassifier(model, confidence_level=LEVEL, prefit=True)
    return sets.conformalize(X_cal, y_cal).predict_set(X_new)[1][:, :, 0]


def log_loss(P, y):
    return -np.log(np.maximum(P[np.arange(len(y)), y], 1e-15)).mean()


def calibration_error(P, y, n_bins=15):
    """Difference of confidence and accuracy in bins of the confidence, weighted."""
    confidence, right = P.max(axis=1), P.argmax(axis=1) == y
    which = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    return sum(abs((confidence - right)[which == b].sum()) for b in range(n_bins)) / len(y)


def adding_up(P):
    """The most probable classes that make `LEVEL` together, as a mask."""
    order = np.argsort(-P, axis=1)
    before = np.cumsum(np.take_along_axis(P, order, axis=1), axis=1)
    before -= np.take_along_axis(P, order, axis=1)
    sets = np.zeros(P.shape, bool)
    np.put_along_axis(sets, order, before < LEVEL, axis=1)
    return sets


def at_threshold(P, y):
    """Classes above the threshold that covers `LEVEL` of these rows: a hindsight."""
    of_class = np.sort(P[np.arange(len(y)), y])
    return of_class[int((1 - LEVEL) * len(y))] <= P


def coverage_and_size(sets, y):
    return sets[np.arange(len(y)), y].mean(), sets.sum(axis=1).mean()


def scores(P, y):
    return {
        "log_loss": log_loss(P, y),
        "accuracy": (P.argmax(axis=1) == y).mean(),
        "ece": calibration_error(P, y),
        "adding up": coverage_and_size(adding_up(P), y),
        "at threshold": coverage_and_size(at_threshold(P, y), y),
    }


def timed(function, *args):
    start = time.perf_counter()
    value = function(*args)
    return value, time.perf_counter() - start


def tables():
    """Scores of all candidates on the development tables."""
    for name in NAMES:
        for split in range(SPLITS):
            yield {"table": name, "split": split} | on_table(name, split)


def halves(X, y, seed):
    """Three quarters to train on and the others, of at most `MOST_ROWS`."""
    rows = np.random.RandomState(seed).permutation(len(y))[:MOST_ROWS]
    train, test = np.split(rows, [len(rows) * 3 // 4])
    encoder = preprocessing().fit(X.iloc[train])
    X_train, X_test = (
        np.asarray(encoder.transform(X.iloc[r]), float) for r in (train, test)
    )
    return X_train, X_test, y[train], y[test]


def on_table(name, split):
    X, labels = load(name)
    y = np.unique(labels, return_inverse=True)[1]
    X, X_test, y, y_test = halves(X, y, split)
    net, seconds = timed(network(split).fit, X, y)
    mean, alpha = logits(net, X_test), net.alpha_
    rows = {"net": scores(net.predict_proba(X_test), y_test) | {"seconds": seconds}}

    covariance, seconds = timed(last_layer, net, X, X_test, alpha)
    P = moderated(mean, covariance)
    rows["last layer"] = scores(P, y_test) | {"seconds": seconds}
    rows["last layer, averaged"] = scores(averaged(mean, covariance), y_test)
    for factor in FACTORS:
        stronger = last_layer(net, X, X_test, alpha * factor)
        rows[f"last layer, {factor}"] = scores(moderated(mean, stronger), y_test)
    if sum(W.size for W in net.coefs_) <= MOST_WEIGHTS:
        covariance, seconds = timed(all_weights, net, X, X_test, alpha)
        P = moderated(mean, covariance)
        rows["all weights"] = scores(P, y_test) | {"seconds": seconds}
        rows["all weights, averaged"] = scores(averaged(mean, covariance), y_test)

    four, seconds = timed(four_nets, net, X, y, split)
    rows["four nets"] = scores(four(X_test), y_test) | {"seconds": seconds}
    scaled = CalibratedClassifierCV(
        network(split, alpha=alpha), method="temperature", ensemble=False, cv=5
    )
    scaled, seconds = timed(scaled.fit, X, y)
    rows["temperature"] = scores(scaled.predict_proba(X_test), y_test)
    rows["temperature"]["seconds"] = seconds
    sets, seconds = timed(conformal, net, X, y, X_test, split)
    rows["MAPIE"] = {"sets": coverage_and_size(sets, y_test), "seconds": seconds}
    return {"n": len(y), "K": mean.shape[1], "alpha": alpha, "candidates": rows}


def alphas():
    """Log-loss of nets of fixed alpha, and of the last layer's approximation."""
    for name in OF_ALPHAS:
        X, labels = load(name)
        y = np.unique(labels, return_inverse=True)[1]
        X, X_test, y, y_test = halves(X, y, 0)
        for alpha in ALPHAS:
            net = network(0, alpha=alpha).fit(X, y)
            P = moderated(logits(net, X_test), last_layer(net, X, X_test, alpha))
            losses = [log_loss(Q, y_test) for Q in (net.predict_proba(X_test), P)]
            yield {"table": name, "alpha": alpha, "losses": losses}


def entropy(P):
    return -(P * np.log(np.maximum(P, 1e-300))).sum(axis=1)


def detectors(X):
    """Two detectors of outliers, fitted."""
    return {
        "IsolationForest": IsolationForest(random_state=0).fit(X),
        "LocalOutlierFactor": make_pipeline(
            StandardScaler(), LocalOutlierFactor(novelty=True)
        ).fit(X),
    }


def novelties():
    """Areas under ROC: finding rows of left-out classes, and the net's own errors."""
    for name in OF_CLASSES:
        X, labels = load(name)
        X, y = np.asarray(X, float), np.unique(labels, return_inverse=True)[1]
        for seed in range(3):
            yield {"table": name, "seed": seed} | areas(X, y, seed)


def areas(X, y, seed):
    rng, n_classes = np.random.RandomState(seed), y.max() + 1
    novel = np.isin(y, rng.permutation(n_classes)[: max(1, n_classes // 4)])
    rows = rng.permutation(len(y))[:3000]
    train, test = np.split(rows, [len(rows) * 2 // 3])
    train = train[~novel[train]]
    X, X_test, novel, known = X[train], X[test], novel[test], ~novel[test]
    net = network(seed).fit(X, y[train])
    P = net.predict_proba(X_test)
    covariance = last_layer(net, X, X_test, net.alpha_)
    doubt = {
        "net": entropy(P),
        "last layer": entropy(moderated(logits(net, X_test), covariance)),
        "four nets": entropy(four_nets(net, X, y[train], seed)(X_test)),
    }
    odd = {name: -one.score_samples(X_test) for name, one in detectors(X).items()}
    wrong = (net.classes_[P.argmax(axis=1)] != y[test])[known]
    return {
        "novel": {name: roc_auc_score(novel, s) for name, s in (doubt | odd).items()},
        "wrong": {
            name: roc_auc_score(wrong, s[known]) for name, s in (doubt | odd).items()
        },
    }


def moons():
    """Log-loss near two moons, and mean confidence on rings around them."""
    for activation in ACTIVATIONS:
        for seed in range(5):
            X, y = make_moons(300, noise=0.15, random_state=seed)
            X_test, y_test = make_moons(2000, noise=0.15, random_state=100 + seed)
            yield {"activation": activation, "seed": seed} | on_moons(
                network(seed, activation=activation).fit(X, y), X, y, X_test, y_test
            )


def on_moons(net, X, y, X_test, y_test):
    def laplace(covariance):
        return lambda rows: moderated(
            logits(net, rows), covariance(net, X, rows, net.alpha_)
        )

    candidates = {
        "net": net.predict_proba,
        "last layer": laplace(last_layer),
        "all weights": laplace(all_weights),
        "four nets": four_nets(net, X, y, net.random_state),
    }
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    rings = [X.mean(axis=0) + distance * circle for distance in DISTANCES]
    return {
        "log_loss": {name: log_loss(f(X_test), y_test) for name, f in candidates.items()},
        "confidence": {
            name: [f(ring).max(axis=1).mean() for ring in rings]
            for name, f in candidates.items()
        },
        "flagged": {
            name: [np.mean(one.predict(rows) < 0) for rows in (X_test, *rings)]
            for name, one in detectors(X).items()
        },
    }


def measure():
    start, load_before = time.perf_counter(), os.getloadavg()[0]
    results = {}
    for part in (tables, alphas, novelties, moons):
        results[part.__name__] = []
        for row in part():
            results[part.__name__].append(row)
            print(part.__name__, *list(row.values())[:2], flush=True)
    packages = ("numpy", "scipy", "scikit-learn", "MAPIE", "skmlp")
    blas = [info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"]
    results["machine"] = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": max(blas),
        "load at the start": load_before,
        "versions": {"Python": platform.python_version()}
        | {name: version(name) for name in packages},
        "seconds": time.perf_counter() - start,
    }
    return results


def main():
    warnings.simplefilter("ignore", PendingDeprecationWarning)
    path = HERE / "error_bars.json"
    path.write_text(in_lines(rounded(measure())))
    error_bars_report.main()


def in_lines(results):
    """JSON with a line for each result."""
    parts = []
    for name, rows in results.items():
        if isinstance(rows, list):
            rows = "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]"
        else:
            rows = json.dumps(rows)
        parts.append(f'"{name}": {rows}')
    return "{" + ",\n".join(parts) + "}\n"


def rounded(value):
    """Floats with six digits."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float | np.floating) else value


if __name__ == "__main__":
    main()
