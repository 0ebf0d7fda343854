"""
Handwritten digits: a pipeline, a grid search, a report
=======================================================

A multilayer perceptron with one hidden layer learns the 8 x 8 images of
scikit-learn's digits. The number of hidden units and the strength of the penalty are
chosen by cross-validation; a quarter of the images is held out for the report.

Run as a script, it prints the report and writes the figure to ``digits.png``, or to
the file named on the command line.
"""

import sys

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay, classification_report
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skmlp import LossCurveDisplay, MLPClassifierManual

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.25, stratify=y, random_state=0
)

# %%
# The scaler belongs into the pipeline: each fold of the search then learns its own
# means and scales. L-BFGS is the solver of choice for a table of this size.

pipeline = Pipeline(
    [
        ("scale", StandardScaler()),
        ("mlp", MLPClassifierManual(solver="lbfgs", max_iter=500, random_state=0)),
    ]
)
grid = {
    "mlp__hidden_layer_sizes": [10, 30, 100],
    "mlp__alpha": [0.01, 0.1, 1.0, 10.0],
}
search = GridSearchCV(pipeline, grid, scoring="neg_log_loss", cv=5, n_jobs=-1)
search.fit(X_train, y_train)

print("Mean log-loss of 5 folds, by hidden units (rows) and alpha (columns):")
scores = -search.cv_results_["mean_test_score"].reshape(4, 3).T
print("          " + "".join(f"{alpha:>8}" for alpha in grid["mlp__alpha"]))
for units, row in zip(grid["mlp__hidden_layer_sizes"], scores, strict=True):
    print(f"{units:>10}" + "".join(f"{score:8.3f}" for score in row))

best = search.best_params_
units, alpha = best["mlp__hidden_layer_sizes"], best["mlp__alpha"]
print(f"\nBest: {units} hidden units, alpha={alpha}\n")
print(f"Held-out quarter, accuracy {search.best_estimator_.score(X_test, y_test):.3f}:")
print(classification_report(y_test, search.predict(X_test), digits=3))

# %%
# The same network by each solver. All of them minimise the same objective, so their
# curves can be compared: L-BFGS evaluates all rows once or twice an iteration, Adam and
# SGD pass through all of them in an epoch.

X_scaled = search.best_estimator_["scale"].transform(X_train)
rates = {
    "lbfgs": {},
    "adam": {"learning_rate_init": 0.003},
    "sgd": {"learning_rate_init": 0.1},
}
models = {
    solver: MLPClassifierManual(
        units, solver=solver, alpha=alpha, max_iter=300, random_state=0, **rate
    ).fit(X_scaled, y_train)
    for solver, rate in rates.items()
}

figure, (left, right) = plt.subplots(
    ncols=2, figsize=(11, 4.6), layout="constrained", width_ratios=[1.15, 1]
)
left.set_prop_cycle(color=["#0072B2", "#D55E00", "#009E73"])
LossCurveDisplay.from_estimators(models, ax=left, log_scale=True, linewidth=2)
left.set(
    xscale="log",
    xlabel="iteration (lbfgs) or epoch (adam, sgd)",
    ylabel="objective on the training set",
    title=f"Three solvers, one objective ({units} hidden units, alpha={alpha:g})",
)
left.grid(alpha=0.3)

ConfusionMatrixDisplay.from_estimator(
    search, X_test, y_test, ax=right, cmap="Blues", colorbar=False
)
right.set_title(
    f"Held-out digits, accuracy {search.best_estimator_.score(X_test, y_test):.3f}"
)

if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else "digits.png"
    figure.savefig(path, dpi=120)
    print(f"Loss curves and confusion matrix: {path}")
