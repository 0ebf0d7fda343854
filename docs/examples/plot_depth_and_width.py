"""
Depth and width
===============

How many hidden layers, and how wide? Two spirals wind around each other, too tightly for a
few units. The panels show the probability of the orange spiral everywhere in the plane, for
networks of one to three hidden layers (rows) of 2 to 32 units each (columns).
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from skmlp import MLPClassifierManual

rng = np.random.default_rng(0)
n = 600
y = np.arange(n) % 2
angle = 3 * np.pi * np.sqrt(rng.uniform(0.02, 1, n))
radius = angle / np.pi
turned = angle + np.pi * y
X = np.column_stack([radius * np.cos(turned), radius * np.sin(turned)])
X += rng.normal(scale=0.15, size=X.shape)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=0)

# %%
# The penalty is weak, and small networks end in different local minima from different
# starts. So each network starts five times, and the one with the lowest objective is shown;
# above it, its number of parameters, its log-loss on other points of the spirals, and the
# range of that log-loss over the five starts.

widths = [2, 4, 8, 32]
depths = [1, 2, 3]


def fit_from(random_state, hidden_layer_sizes):
    return MLPClassifierManual(
        hidden_layer_sizes,
        activation="tanh",
        solver="lbfgs",
        alpha=0.1,
        max_iter=10_000,
        tol=2e-3,
        early_stopping=False,
        random_state=random_state,
    ).fit(X_train, y_train)


def draw_panel(ax, models):
    model = min(models, key=lambda model: model.loss_)
    display = DecisionBoundaryDisplay.from_estimator(
        model,
        X,
        response_method="predict_proba",
        class_of_interest=1,
        plot_method="pcolormesh",
        grid_resolution=200,
        eps=0.5,
        cmap="PuOr_r",
        alpha=0.8,
        vmin=0,
        vmax=1,
        ax=ax,
    )
    for label, color, marker in ((0, "#B2ABD2", "o"), (1, "#FDB863", "^")):
        points = X_train[y_train == label]
        ax.scatter(*points.T, c=color, marker=marker, s=13, ec="black", lw=0.4)
    n_parameters = sum(part.size for part in (*model.coefs_, *model.intercepts_))
    losses = {fit: log_loss(y_test, fit.predict_proba(X_test)) for fit in models}
    least, most = min(losses.values()), max(losses.values())
    ax.set_title(
        f"{model.hidden_layer_sizes}: {n_parameters} parameters\n"
        f"log-loss {losses[model]:.2f} ({least:.2f} to {most:.2f})",
        fontsize=10,
    )
    ax.set(xticks=[], yticks=[], aspect="equal")
    return display.surface_


figure, axes = plt.subplots(
    len(depths), len(widths), figsize=(11, 8.2), layout="constrained"
)
for row, depth in zip(axes, depths, strict=True):
    for ax, width in zip(row, widths, strict=True):
        surface = draw_panel(ax, [fit_from(start, (width,) * depth) for start in range(5)])
figure.colorbar(surface, ax=axes, shrink=0.6, label="probability of the orange spiral")
plt.show()

# %%
# Layers of two units are too narrow at any of these depths. From two to eight units, width
# helps in every row. With four or eight units a layer, two layers draw the spirals better
# than one; but (4, 4) and (8,), with 42 parameters each, are about as good. A third layer
# adds little here. The deep networks of four units depend most on the start: the worst of
# five has several times the log-loss of the best.
#
# Far from the points, nearly all networks answer with certainty, though they have seen
# nothing there, and they contradict one another.
