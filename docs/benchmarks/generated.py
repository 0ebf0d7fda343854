"""Generated problems of any number of rows, for `stress.py` and `quality.py`.

Each ``draw(rng, n)`` returns features and labels; what is to be learnt is the same for all
rng, so that more rows tell more of it.
"""

from functools import partial

import numpy as np


def labels(rng, logit):
    """Two classes, by the logit of the second."""
    return (rng.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(int)


def _weights(seed, d):
    """Of so many features, each of which tells little; their sum has a deviation of 2."""
    return np.random.default_rng(seed).normal(size=d) * 2 / np.sqrt(d)


def weak(d, rng, n):
    X = rng.normal(size=(n, d))
    return X, labels(rng, X @ _weights(3, d))


def weak_and_product(d, rng, n):
    X = rng.normal(size=(n, d))
    return X, labels(rng, X @ _weights(3, d) + 1.5 * X[:, 0] * X[:, 1])


def three_classes(d, rng, n):
    X = rng.normal(size=(n, d))
    scores = np.column_stack([X @ _weights(3, d), X @ _weights(4, d), np.zeros(n)])
    return X, (scores + rng.gumbel(size=(n, 3))).argmax(axis=1)


def products(d, rng, n):
    """Two products of features, the others are noise."""
    X = rng.normal(size=(n, d))
    return X, labels(rng, 1.5 * X[:, 0] * X[:, 1] + X[:, 2] * X[:, 3])


def additive(d, rng, n):
    """A wave of each of six features, the others are noise."""
    X = rng.normal(size=(n, d))
    return X, labels(rng, 1.2 * np.sin(2 * X[:, :6]).sum(axis=1))


def irrelevant(d, rng, n):
    """Four features tell much, the others nothing."""
    X = rng.normal(size=(n, d))
    return X, labels(rng, X[:, :4] @ [1.5, -1.5, 1.0, 0.5])


def label_noise(d, rng, n):
    """A ball, with a fifth of the labels turned over."""
    X = rng.normal(size=(n, d))
    inside = (X[:, :4] ** 2).sum(axis=1) < 3.4
    return X, (inside ^ (rng.random(n) < 0.2)).astype(int)


def clusters(n_classes, d, rng, n):
    """Three clusters for each class, which overlap."""
    centers = np.random.default_rng(0).normal(size=(3 * n_classes, d)) * 3 / np.sqrt(d)
    cluster = rng.integers(3 * n_classes, size=n)
    return centers[cluster] + 0.8 * rng.normal(size=(n, d)), cluster % n_classes


def rare(share, rng, n):
    """Rare events that depend on two of ten features."""
    X = rng.normal(size=(n, 10))
    y = labels(rng, np.log(share) - 1 + X[:, 0] + X[:, 1])
    y[:4] = 1
    return X, y


def one_hot(codes, n_levels):
    """Columns of categories, each with the same number of levels, as columns of 0 and 1."""
    return (codes[:, :, None] == np.arange(n_levels)).reshape(len(codes), -1).astype(float)


def effects_of_levels(n_columns, n_levels, rng, n, intercept=0.0, scale=1.0):
    """Each level of each column adds something."""
    codes = rng.integers(n_levels, size=(n, n_columns))
    effects = scale * np.random.default_rng(1).normal(size=(n_columns, n_levels))
    logit = intercept + effects[np.arange(n_columns), codes].sum(axis=1)
    return one_hot(codes, n_levels), labels(rng, logit)


def lookup(n_columns, n_levels, rng, n):
    """Each cell has a logit of its own, 2 or -2."""
    codes = rng.integers(n_levels, size=(n, n_columns))
    cell = codes @ n_levels ** np.arange(n_columns)
    logit = np.random.default_rng(1).choice([-2.0, 2.0], size=n_levels**n_columns)[cell]
    return one_hot(codes, n_levels), labels(rng, logit)


clicks = partial(effects_of_levels, 4, 20, intercept=-3.5, scale=0.7)
CURVES = {
    "linear": partial(weak, 50),
    "products among noise": partial(products, 20),
    "additive": partial(additive, 10),
    "irrelevant features": partial(irrelevant, 100),
    "label noise": partial(label_noise, 10),
    "clusters": partial(clusters, 5, 10),
    "clicks": clicks,
    "rare classes": partial(rare, 0.02),
}
