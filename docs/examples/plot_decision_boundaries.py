"""
Decision boundaries
===================

Three cultivars of wine, told apart by two measurements that overlap. The columns show the
four activations, the rows three strengths ``alpha`` of the penalty. The activation decides
which shapes the boundaries can take, the penalty how closely they follow single wines.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmlp import MLPClassifierManual

wine = load_wine(as_frame=True)
X = wine.data[["alcohol", "color_intensity"]]
X_train, X_test, y_train, y_test = train_test_split(
    X, wine.target, test_size=0.5, stratify=wine.target, random_state=0
)

# %%
# Each network has 30 hidden units. The log-losses above a panel are those on the half of
# the wines that it was trained on, and on the other half.

activations = ["identity", "relu", "tanh", "logistic"]
alphas = [0.001, 0.1, 10.0]
colors = ["#0072B2", "#E69F00", "#CC79A7"]


def draw_wines(ax, X, y, **style):
    for label, color in enumerate(colors):
        name = f"cultivar {label}, {style['label']}"
        ax.scatter(*X[y == label].to_numpy().T, color=color, **style | {"label": name})


def draw_panel(ax, model):
    DecisionBoundaryDisplay.from_estimator(
        model,
        X,
        response_method="predict_proba",
        multiclass_colors=colors,
        grid_resolution=200,
        xlabel="",
        ylabel="",
        ax=ax,
    )
    draw_wines(ax, X_train, y_train, marker="o", s=20, ec="black", lw=0.5, label="training")
    draw_wines(ax, X_test, y_test, marker="X", s=24, ec="black", lw=0.5, label="held out")
    losses = [
        log_loss(y_part, model.predict_proba(X_part))
        for X_part, y_part in ((X_train, y_train), (X_test, y_test))
    ]
    ax.set_title("log-loss {:.2f}, held out {:.2f}".format(*losses), fontsize=10)


# %%
# The background shows the most probable class at each place, the paler the less sure.

figure, axes = plt.subplots(
    len(alphas),
    len(activations),
    figsize=(12.5, 9),
    sharex=True,
    sharey=True,
    layout="constrained",
)
for row, alpha in zip(axes, alphas, strict=True):
    for ax, activation in zip(row, activations, strict=True):
        network = MLPClassifierManual(
            30,
            activation=activation,
            solver="lbfgs",
            alpha=alpha,
            max_iter=5000,
            early_stopping=False,
            random_state=0,
        )
        draw_panel(ax, make_pipeline(StandardScaler(), network).fit(X_train, y_train))
    row[0].set_ylabel(f"alpha={alpha:g}\n\ncolour intensity")
for ax, activation in zip(axes[0], activations, strict=True):
    ax.set_title(f'activation="{activation}"\n{ax.get_title()}', fontsize=10)
for ax in axes[-1]:
    ax.set_xlabel("alcohol (%)")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
plt.show()

# %%
# Without a nonlinearity (``"identity"``) the boundaries are straight lines, whatever the
# penalty. ``"relu"`` bends them at corners, ``"tanh"`` and ``"logistic"`` in curves.
# With the weakest penalty, these three draw lines around single wines; they are nearly
# always right on the training half, and sure of it, and pay for that on the other half.
# With the strongest, the boundaries are nearly straight and the probabilities pale.
#
# The same ``alpha`` does not weigh the same for every activation. A logistic unit rises
# only a quarter as steeply as one of ``"tanh"`` and so needs larger weights for the same
# effect: at ``alpha=10`` no place is left where it would answer cultivar 2.
