"""
Counts
======

How many bicycles are hired in an hour? The counts are made up, so that the true mean is
known: it depends on the hour, but in another way on working days than on free days, and on
the temperature. Three models with the Poisson loss meet: a linear one, trees, and a net.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import mean_poisson_deviance
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skmlp import MLPRegressorManual


def bump(hour, center, width):
    return np.exp(-(((hour - center) / width) ** 2) / 2)


def true_mean(X):
    hour, is_free, temperature = X.T
    working = bump(hour, 8, 1.2) + 1.2 * bump(hour, 17.5, 1.8)
    of_day = np.where(is_free, 0.9 * bump(hour, 14, 4), working)
    return 20 * (0.03 + of_day) * np.exp(-(((temperature - 24) / 12) ** 2) / 2)


def draw(n, seed):
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [rng.integers(0, 24, n), rng.random(n) < 2 / 7, rng.normal(15, 8, n)]
    )
    return X, rng.poisson(true_mean(X))


X, y = draw(2000, seed=0)
X_new, y_new = draw(20_000, seed=1)

# %%
# The hour goes into the linear model as 24 categories, since it knows no curves; trees and
# net get it as a number. The net chooses its penalty on held-out rows, and the trees how
# many they are; the linear model is given next to none. A fourth model is the same net with
# squared error.

hours = make_column_transformer(
    (OneHotEncoder(sparse_output=False), [0]), (StandardScaler(), [1, 2])
)
models = {
    "PoissonRegressor": make_pipeline(hours, PoissonRegressor(alpha=1e-3, max_iter=1000)),
    "HistGradientBoostingRegressor": HistGradientBoostingRegressor(
        loss="poisson", early_stopping=True, random_state=0
    ),
    "MLPRegressorManual": MLPRegressorManual("poisson", random_state=0),
}
squared = MLPRegressorManual(random_state=0).fit(X, y)
best = mean_poisson_deviance(y_new, true_mean(X_new))
for name, model in models.items():
    deviance = mean_poisson_deviance(y_new, model.fit(X, y).predict(X_new))
    print(f"{name:30} deviance {deviance:.3f}, of the true mean {best:.3f}")
predicted = squared.predict(X_new)
print(
    f"with squared error, {np.mean(predicted <= 0):.1%} of the predictions are not positive"
)

# %%
# What each model predicts through the day, at 20 degrees:

grid = np.arange(24)
figure, axes = plt.subplots(
    1, 3, figsize=(12, 4.2), layout="constrained", sharex=True, sharey=True
)
for ax, (name, model) in zip(axes, models.items(), strict=True):
    for is_free, color in ((0, "#E66101"), (1, "#5E3C99")):
        rows = np.column_stack([grid, np.full(24, is_free), np.full(24, 20.0)])
        day = "free day" if is_free else "working day"
        ax.plot(grid, true_mean(rows), "--", color=color, lw=1, label=f"{day}, truth")
        ax.plot(grid, model.predict(rows), color=color, lw=2, label=day)
    deviance = mean_poisson_deviance(y_new, model.predict(X_new))
    ax.set(title=f"{name}\ndeviance {deviance:.2f} (truth {best:.2f})", xlabel="hour")
axes[0].set_ylabel("bicycles in an hour, at 20 degrees")
axes[0].legend(fontsize=8)
plt.show()

# %%
# The linear model multiplies one effect of the hour by one of the day, so its free days
# have rush hours. The other two find both kinds of day, and are about as good: trees draw
# steps, the net draws curves. All three predict positive means only; the net with squared
# error does not, since nothing tells it that a count can't be negative.
