"""
A validation set of your own, in a pipeline
===========================================

Early stopping needs data that training does not see. Rows drawn at random are not always
the right ones: scikit-learn's digits were collected writer by writer, and a row drawn at
random has neighbours by the same hand in the training set. So the validation set is a later
stretch of the rows, handed through a pipeline whose scaler is fitted on the training rows
and applied to both.

Run as a script, it prints the scores and writes the figure to ``validation_set.png``, or to
the file named on the command line.
"""

import sys

import matplotlib.pyplot as plt
import sklearn
from sklearn.datasets import load_digits
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skmlp import LossCurveDisplay, MLPClassifierManual

X, y = load_digits(return_X_y=True)
X_train, X_val, X_test = X[:800], X[800:1200], X[1200:]
y_train, y_val, y_test = y[:800], y[800:1200], y[1200:]

# %%
# Arguments of ``fit`` reach a step of a pipeline by scikit-learn's metadata routing: the
# network requests them, and ``transform_input`` names those that the steps before it
# transform as they transform ``X``.

sklearn.set_config(enable_metadata_routing=True)


def make_model(**params):
    network = MLPClassifierManual(
        solver="adam",
        early_stopping=True,
        learning_rate_init=0.01,
        max_iter=200,
        random_state=0,
        **params,
    ).set_fit_request(X_val=True, y_val=True)
    return Pipeline(
        [("scale", StandardScaler()), ("network", network)], transform_input=["X_val"]
    )


models = {
    "no dropout": make_model(),
    "dropout 0.5": make_model(dropout=0.5),
}
for name, model in models.items():
    model.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    network = model[-1]
    print(
        f"{name}: stopped after {network.n_iter_} epochs, kept those of epoch "
        f"{network.best_iteration_ + 1}; validation loss "
        f"{-network.best_validation_score_:.3f}, "
        f"test accuracy {model.score(X_test, y_test):.3f}"
    )

# %%
# The curves: training loss as it was minimised (with dropout, of the thinned networks), and
# validation loss of the whole network; the dot is what was kept.

figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
LossCurveDisplay.from_estimators(models, ax=ax, log_scale=True)
ax.set_title("Digits, validated on a later stretch of the rows")

if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else "validation_set.png"
    figure.savefig(path, dpi=150)
    print(f"figure: {path}")
