"""
What hidden units learn
=======================

A hidden unit has a weight for each pixel, so its weights are an image: where it is red, ink
excites the unit; where it is blue, ink holds it back. Here are the sixteen units of a
network for scikit-learn's digits, at three strengths ``alpha`` of the penalty on the
weights, and what the penalty does to them: it turns switches that are on or off into units
that never quite reach either.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import CenteredNorm
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmlp import MLPClassifierManual

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, test_size=0.5, stratify=y, random_state=0
)

# %%
# The scaler only subtracts the means here, so that weights of different pixels can be
# compared.

models = {}
for alpha in (0.001, 0.1, 10.0):
    network = MLPClassifierManual(
        16,
        solver="lbfgs",
        alpha=alpha,
        max_iter=1000,
        early_stopping=False,
        random_state=0,
    )
    models[alpha] = make_pipeline(StandardScaler(with_std=False), network)
    models[alpha].fit(X_train, y_train)

# %%
# ``coefs_[0]`` has a row for each pixel and a column for each hidden unit. Mind the colour
# bars, each with a scale of its own, centred at zero: from left to right, the largest
# weights shrink from about 7 to about 1. All three networks started from the same random
# weights, so some units can be recognised from one panel to the next. Accuracy and log-loss
# are those on the half of the digits that was held out.

figure = plt.figure(figsize=(11, 4.6), layout="constrained")
panels = figure.subfigures(ncols=len(models))
for panel, (alpha, model) in zip(panels, models.items(), strict=True):
    weights = model[-1].coefs_[0]
    norm = CenteredNorm(halfrange=np.abs(weights).max())
    axes = panel.subplots(4, 4)
    for ax, unit in zip(axes.flat, weights.T, strict=True):
        image = ax.imshow(unit.reshape(8, 8), cmap="RdBu_r", norm=norm)
        ax.set(xticks=[], yticks=[])
    panel.colorbar(image, ax=axes, orientation="horizontal", shrink=0.8, label="weight")
    panel.suptitle(
        f"alpha={alpha:g}\naccuracy {model.score(X_test, y_test):.3f}, "
        f"log-loss {log_loss(y_test, model.predict_proba(X_test)):.3f}"
    )
plt.show()

# %%
# ``transform`` returns the outputs of the hidden units, between 0 and 1. With the weakest
# penalty, three quarters of them are close to one of the ends, like switches, and the
# held-out log-loss is worse than in the middle: the network is too sure of its mistakes.
# With the strongest, next to none are close to an end, and the probabilities are vague: the
# accuracy is some five points lower than in the middle, but the log-loss seven times as
# high.

figure, axes = plt.subplots(
    ncols=len(models), figsize=(11, 3), sharey=True, layout="constrained"
)
for ax, (alpha, model) in zip(axes, models.items(), strict=True):
    H = model.transform(X_test).ravel()
    at_ends = np.mean((H < 0.05) | (H > 0.95))
    ax.hist(H, bins=20, range=(0, 1), weights=np.full(H.size, 1 / H.size), color="#0072B2")
    ax.set_title(f"alpha={alpha:g}: {at_ends:.0%} within 0.05 of 0 or 1")
    ax.set_xlabel("output of a hidden unit")
axes[0].set_ylabel("share of all outputs")
plt.show()
