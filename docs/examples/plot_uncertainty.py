"""
How sure is it?
===============

A probability of 0.99 says that a row is far on one side of the boundary between the
classes. It does not say that there were rows like it in the training set. Here is what a
net answers near two moons and far from them, what ten nets answer that start differently,
and what a detector of outliers says about the same places.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import make_moons
from sklearn.neighbors import LocalOutlierFactor

from skmlp import MLPClassifierManual

X, y = make_moons(300, noise=0.15, random_state=0)

# %%
# The first net chooses ``alpha``, and nine others take it over. They differ in their random
# start alone. The detector compares the density of the training rows around a place with
# that around its neighbours; it sees no classes.

net = MLPClassifierManual(random_state=0).fit(X, y)
other = clone(net).set_params(alpha=net.alpha_)
nets = [
    net,
    *(clone(other).set_params(random_state=seed).fit(X, y) for seed in range(1, 10)),
]
detector = LocalOutlierFactor(novelty=True).fit(X)


def of_each(rows):
    return np.array([one.predict_proba(rows)[:, 1] for one in nets])


# %%
# Above, the moons and their surroundings; below, the same from ten times as far away.
# Within the dashed line are the places where the detector would expect a row.


def square(half_width, n=200):
    side = np.linspace(-half_width, half_width, n)
    grid = np.meshgrid(X[:, 0].mean() + side, X[:, 1].mean() + side)
    return grid, np.column_stack([axis.ravel() for axis in grid])


def draw_map(ax, grid, values, **style):
    values = values.reshape(grid[0].shape)
    return ax.pcolormesh(*grid, values, alpha=0.5, rasterized=True, vmin=0, **style)


def draw_moons(ax):
    for label, color in enumerate(["#E66101", "#5E3C99"]):
        name = f"training rows, class {label}"
        ax.scatter(*X[y == label].T, s=12, color=color, ec="black", lw=0.3, label=name)


figure, axes = plt.subplots(2, 3, figsize=(11.5, 8), layout="constrained")
for row, half_width in zip(axes, (2.5, 25), strict=True):
    grid, places = square(half_width)
    p = of_each(places)
    inlier = detector.decision_function(places).reshape(grid[0].shape)
    for ax, values in zip(row, (p[0], p.mean(axis=0)), strict=False):
        probability = draw_map(ax, grid, values, cmap="PuOr", vmax=1)
    disagreement = draw_map(row[2], grid, p.std(axis=0), cmap="Greens", vmax=0.5)
    for ax in row:
        ax.contour(*grid, inlier, levels=[0], colors="black", linestyles="--")
        ax.set(aspect="equal")
for ax in axes[0]:
    draw_moons(ax)
for ax, title in zip(
    axes[0], ["one net", "mean of ten", "deviation of the ten"], strict=True
):
    ax.set_title(title)
axes[0, 0].set_ylabel("the moons")
axes[1, 0].set_ylabel("from ten times as far")
bars = {"location": "bottom", "shrink": 0.8}
figure.colorbar(
    probability, ax=axes[:, :2], label="probability of class 1", aspect=45, **bars
)
figure.colorbar(disagreement, ax=axes[:, 2], label="standard deviation", aspect=20, **bars)
handles, names = axes[0, 0].get_legend_handles_labels()
line = plt.Line2D([], [], color="black", linestyle="--")
figure.legend(
    [*handles, line],
    [*names, "the detector's boundary"],
    loc="outside upper center",
    ncols=3,
)
plt.show()

# %%
# The nets follow the moons, and are unsure where these touch. Away from them, the boundary
# goes on as a straight line, and all that is not close to it gets a probability near 0 or
# 1, with no row in sight. The ten disagree on where the line runs, and on little else:
# their mean has a wider seam, and is as sure of the rest.

angle = np.linspace(0, 2 * np.pi, 400)
ring = X.mean(axis=0) + 25 * np.column_stack([np.cos(angle), np.sin(angle)])
for name, rows in {"training rows": X, "a ring, 25 away": ring}.items():
    p = of_each(rows)
    one, ten = (np.maximum(q, 1 - q).mean() for q in (p[0], p.mean(axis=0)))
    print(
        f"{name:16} confidence of one {one:.3f}, of ten {ten:.3f}; deviation "
        f"{p.std(axis=0).mean():.3f}; outliers {np.mean(detector.predict(rows) < 0):.0%}"
    )

# %%
# So ask two questions of a new row. Is it like the training rows? That is for the detector,
# which looks at the features alone. And if it is, of which class? That is for the net, and
# its probability is worth something. The guide has more on both, in "How sure it is".
