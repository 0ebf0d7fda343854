"""
A sine with bands
=================

How far may a value be from what was predicted? Here the noise around a sine grows from left
to right. Two losses find that out from the data: ``"gaussian"``, by which one net predicts
a mean and a standard deviation, and ``"quantile"``, by which it predicts three quantiles.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm

from skmlp import MLPRegressorManual


def draw(n, make_noise, seed):
    """Rows, values, and the quantiles that these have around the sine."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-3, 3, n)
    return x[:, np.newaxis], np.sin(2 * x) + deviation(x) * make_noise(rng, n)


def deviation(x):
    return 0.1 * (x + 4)


def normal(rng, n):
    return rng.normal(size=n)


def skewed(rng, n):
    return rng.exponential(size=n) - 1


# %%
# First normal noise, then noise of the same mean and deviation that goes far up, but hardly
# down. Each net sees 2000 points.

levels = [0.05, 0.5, 0.95]
grid = np.linspace(-3, 3, 300)
true_quantiles = {"normal": norm.ppf(levels), "skewed": -np.log1p(-np.array(levels)) - 1}


def by_gaussian(X, y, rows):
    model = MLPRegressorManual("gaussian", random_state=0).fit(X, y)
    mean, std = model.predict(rows, return_std=True)
    return mean[:, np.newaxis] + std[:, np.newaxis] * norm.ppf(levels)


def by_quantiles(X, y, rows):
    model = MLPRegressorManual("quantile", quantile=levels, random_state=0)
    return model.fit(X, y).predict(rows)


figure, axes = plt.subplots(
    2, 2, figsize=(11, 7.5), layout="constrained", sharex=True, sharey="row"
)
for row, make_noise in zip(axes, (normal, skewed), strict=True):
    name = make_noise.__name__
    X, y = draw(2000, make_noise, seed=0)
    X_new, y_new = draw(20_000, make_noise, seed=1)
    rows = np.vstack([grid[:, np.newaxis], X_new])
    truth = np.sin(2 * grid)[:, np.newaxis] + np.outer(
        deviation(grid), true_quantiles[name]
    )
    for ax, predict in zip(row, (by_gaussian, by_quantiles), strict=True):
        found = predict(X, y, rows)
        (low, middle, high), new = found[: len(grid)].T, found[len(grid) :]
        below, above = np.mean(y_new < new[:, 0]), np.mean(y_new > new[:, 2])
        ax.scatter(X, y, s=3, color="0.6", label="training points")
        ax.fill_between(grid, low, high, alpha=0.3, label="from 5% to 95%")
        ax.plot(grid, middle, lw=2, label="mean (left) or median (right) of the net")
        ax.plot(grid, truth[:, [0, 2]], "k--", lw=1, label=["true 5% and 95%", None])
        ax.set_title(
            f"{name} noise, {predict.__name__.replace('_', ' ')}\n"
            f"new points: {below:.1%} below the band, {above:.1%} above",
            fontsize=11,
        )
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
plt.show()

# %%
# Where the noise is normal, both bands keep near the dashed lines, and about one in twenty
# new points is below, one above. Where it is skewed, a mean and a deviation are not enough:
# the normal density is symmetric, so its band goes too far down, no point is below it, and
# too many are above. Quantiles assume nothing about the noise, and their band is as
# lopsided as it is. At the edges, where there are points on one side only, all bands are
# less exact.
#
# What ``"gaussian"`` has instead is a likelihood: it names every quantile at once, far ones
# as well, and by it nets can be compared with other models of the noise.
