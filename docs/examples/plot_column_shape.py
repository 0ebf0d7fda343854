"""
The shape of a column
=====================

A net's first layer is linear in its columns, so a threshold costs it a steep unit, and a
column with a long tail has most of its values in one place. A piecewise-linear encoding
gives it bins between quantiles. Here is what a net makes of one column with and without
it: where the truth is known, and of the passengers of the Titanic.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn.datasets
from sklearn.ensemble import HistGradientBoostingRegressor

from skmlp import TabularMLPClassifier, TabularMLPRegressor

# %%
# Parcels: most are light, and a few are a hundred times as heavy. What one costs depends on
# four thresholds of its weight, and on how far it goes.

LIMITS, PRICES = [0.5, 1.0, 2.0, 5.0], np.array([3.0, 4.5, 6.0, 9.0, 15.0])


def price(X):
    return PRICES[np.searchsorted(LIMITS, X["weight"])] * (1 + X["distance"] / 1000)


def draw(n, seed):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {"weight": np.exp(1.2 * rng.normal(size=n)), "distance": rng.uniform(0, 800, n)}
    )
    return X, price(X) + 0.5 * rng.normal(size=n)


X, y = draw(12_000, seed=0)
X_new, y_new = draw(20_000, seed=1)
models = {
    encoding: TabularMLPRegressor(encoding=encoding, random_state=0)
    for encoding in ("linear", "piecewise")
}
models["boosting"] = HistGradientBoostingRegressor(random_state=0)
for name, model in models.items():
    error = y_new - model.fit(X, y).predict(X_new)
    print(f"{name:9} root mean squared error {np.sqrt((error**2).mean()):.3f}, noise 0.5")

# %%
# The price at a distance of 400 km. Below are the bins, each of which has as many parcels
# as the others. Steps are what trees are made of, so boosting is the best here; with bins,
# the net is next to it.

grid = pd.DataFrame({"weight": np.geomspace(0.05, 30, 600), "distance": 400.0})
figure, axes = plt.subplots(
    1, 3, figsize=(12, 4), layout="constrained", sharex=True, sharey=True
)
for ax, (name, model) in zip(axes, models.items(), strict=True):
    ax.plot(grid["weight"], price(grid), "k--", lw=1, label="truth")
    ax.plot(grid["weight"], model.predict(grid), color="#5E3C99", lw=2, label=name)
    ax.set(xscale="log", xlim=(0.04, 40), xlabel="weight", title=name)
    ax.legend(loc="upper left")
edges = models["piecewise"].encoder_["numbers"].bin_edges_[0]
axes[1].plot(edges, np.full(len(edges), 2.0), "|", color="#E66101", ms=10)
axes[0].set_ylabel("price at 400 km")
plt.show()

# %%
# Held-out rows choose between the two. ``encoding="auto"``, the default, shows both losses.

model = TabularMLPRegressor(random_state=0).fit(X, y)
print(
    model.encoding_, {name: round(loss, 4) for name, loss in model.encoding_losses_.items()}
)

# %%
# Of a real table nobody knows the truth. The curves are the mean prediction for all 1309
# passengers of the Titanic, if all of them had this age, or had paid this fare; the marks
# at the bottom are the passengers.
# (:ref:`Another example <sphx_glr_gallery_plot_titanic.py>` tells of this table.)

folder = Path(sklearn.datasets.__file__).parent / "tests/data/openml/id_40945"
names = "pclass survived name sex age sibsp parch ticket fare cabin embarked boat body home"
passengers = pd.read_csv(
    folder / "data-v1-dl-16826755.arff.gz",
    skiprows=17,
    names=names.split(),
    na_values="?",
)
X = passengers[["pclass", "sex", "age", "sibsp", "parch", "fare", "embarked"]]
y = passengers["survived"]
grids = {"age": np.linspace(0, 75, 76), "fare": np.geomspace(4, 500, 76)}
figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for encoding, color in (("linear", "#E66101"), ("piecewise", "#5E3C99")):
    model = TabularMLPClassifier(encoding=encoding, random_state=0).fit(X, y)
    for ax, (name, values) in zip(axes, grids.items(), strict=True):
        curve = [
            model.predict_proba(X.assign(**{name: value}))[:, 1].mean() for value in values
        ]
        ax.plot(values, curve, color=color, lw=2, label=encoding)
for ax, name in zip(axes, grids, strict=True):
    known = X[name].dropna()
    ax.plot(known[known > 0], np.full((known > 0).sum(), 0.22), "k|", ms=6, alpha=0.15)
    ax.set_xlabel(name)
axes[1].set_xscale("log")
axes[0].set_ylabel("mean probability of survival")
axes[0].legend()
plt.show()

# %%
# The piecewise net sees a threshold: children were saved first, and from about 20 years on
# age hardly matters. To held-out rows both nets are about as good.

model = TabularMLPClassifier(random_state=0).fit(X, y)
print({name: round(loss, 3) for name, loss in model.encoding_losses_.items()})
