"""
Calibration, with and without early stopping
============================================

Of the patients to whom a classifier gives a probability of 80%, 80% should be of the class.
On noisy data, a network that is trained until its training loss stalls is far too sure of
itself. Early stopping mends that, in scikit-learn's MLPClassifier, which watches the
accuracy, as in MLPClassifierManual, which watches the log-loss.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import CalibrationDisplay
from sklearn.datasets import load_diabetes
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmlp import MLPClassifierManual

X, progression = load_diabetes(return_X_y=True, scaled=False)
y = (progression > np.median(progression)).astype(int)

# %%
# The class is the half of 442 diabetes patients whose disease progresses faster. All four
# networks have the same 100 units, penalty, solver and learning rate. Each patient's
# probability comes from a network that has not seen this patient, by cross-validation in
# ten folds; early stopping holds out a tenth of the training rows.

common = {
    "hidden_layer_sizes": 100,
    "activation": "relu",
    "alpha": 1e-4,
    "solver": "adam",
    "learning_rate_init": 0.01,
    "max_iter": 1000,
    "random_state": 0,
}
networks = {
    "MLPClassifier": MLPClassifier(early_stopping=False, **common),
    "MLPClassifierManual": MLPClassifierManual(early_stopping=False, **common),
    "MLPClassifier, early stopping": MLPClassifier(early_stopping=True, **common),
    "MLPClassifierManual, early stopping": MLPClassifierManual(
        early_stopping=True, scoring="loss", **common
    ),
}
folds = StratifiedKFold(10, shuffle=True, random_state=0)


def out_of_fold(network):
    model = make_pipeline(StandardScaler(), network)
    return cross_val_predict(model, X, y, cv=folds, method="predict_proba")[:, 1]


def report(name, p):
    accuracy, loss = accuracy_score(y, p > 0.5), log_loss(y, p)
    print(f"{name:36} accuracy {accuracy:.3f}, log-loss {loss:.3f}")


probabilities = {name: out_of_fold(network) for name, network in networks.items()}
for name, p in probabilities.items():
    report(name, p)

# %%
# On the left, each mark is a sixth of the patients, by predicted probability. On the right,
# how often each probability was given.

colors = ["#E69F00", "#D55E00", "#56B4E9", "#0072B2"]
markers = ["^", "v", "s", "o"]
figure, (left, right) = plt.subplots(ncols=2, figsize=(11, 5.2), layout="constrained")
for (name, p), color, marker in zip(probabilities.items(), colors, markers, strict=True):
    CalibrationDisplay.from_predictions(
        y,
        p,
        n_bins=6,
        strategy="quantile",
        name=f"{name}: log-loss {log_loss(y, p):.2f}",
        ax=left,
        color=color,
        marker=marker,
    )
    right.hist(p, bins=20, range=(0, 1), histtype="step", color=color, linewidth=2)
left.set(title="Are the probabilities true?", ylim=(-0.02, 1.02))
left.set(xlabel="predicted probability", ylabel="share of the class")
handles, names = left.get_legend_handles_labels()
figure.legend(handles, names, loc="outside lower center", ncols=3)
left.get_legend().remove()
right.set(title="Which probabilities are given?")
right.set(xlabel="predicted probability", ylabel="patients")
left.grid(alpha=0.3)
plt.show()

# %%
# Without early stopping, both classifiers put most patients within 0.05 of 0 or 1, and are
# often wrong there: this is no matter of the library. With it, both lie near the diagonal,
# and which of the two is nearer changes with the folds.
#
# What is watched matters when training is slower. The accuracy on 40 rows moves in steps of
# a row and soon stands still, while the log-loss still falls. With a tenth of the learning
# rate, the same two networks with early stopping:

for name, network in list(networks.items())[2:]:
    report(name, out_of_fold(network.set_params(learning_rate_init=0.001)))
