"""
Class weights on imbalanced data
================================

Who of 442 patients is among the 15% whose diabetes progresses most within a year? A network
that minimises the log-loss rarely says "this one", since it is rarely more likely than not.
``class_weight="balanced"`` gives both classes the same total weight, and finds most of
these patients. This page shows what that gains and what it costs: false alarms, and
probabilities that can no longer be taken at their word.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import CalibrationDisplay
from sklearn.datasets import load_diabetes
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    PrecisionRecallDisplay,
    log_loss,
    precision_score,
    recall_score,
)
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmlp import MLPClassifierManual

X, progression = load_diabetes(return_X_y=True, scaled=False)
y = (progression >= np.quantile(progression, 0.85)).astype(int)
print(f"{y.sum()} of {len(y)} patients are in the class to be found")

# %%
# Each patient's probability comes from a network that has not seen this patient, by
# cross-validation in ten folds.

folds = StratifiedKFold(10, shuffle=True, random_state=0)


def report(name, p, threshold=0.5):
    precision, recall = precision_score(y, p > threshold), recall_score(y, p > threshold)
    print(
        f"{name:25} precision {precision:.2f}, recall {recall:.2f} above "
        f"{threshold:.2f}; log-loss {log_loss(y, p):.3f}"
    )


probabilities = {}
for class_weight in (None, "balanced"):
    network = MLPClassifierManual(
        10,
        solver="lbfgs",
        alpha=3.0,
        class_weight=class_weight,
        early_stopping=False,
        random_state=0,
    )
    model = make_pipeline(StandardScaler(), network)
    name = f"class_weight={class_weight!r}"
    p = cross_val_predict(model, X, y, cv=folds, method="predict_proba")[:, 1]
    probabilities[name] = p
    report(name, p)

# %%
# The confusion matrices count patients, each put into the class that is more probable.

labels = ["other", "fastest 15%"]
figure, axes = plt.subplots(ncols=2, figsize=(9, 4.2), layout="constrained")
for ax, (name, p) in zip(axes, probabilities.items(), strict=True):
    ConfusionMatrixDisplay.from_predictions(
        y,
        p > 0.5,
        display_labels=labels,
        cmap="Blues",
        colorbar=False,
        ax=ax,
        text_kw={"fontsize": 14},
    )
    ax.set_title(name)
plt.show()

# %%
# What has moved is the threshold. The two precision-recall curves, which go through all
# thresholds, run close to each other, so the weights have hardly changed the order in
# which the networks rank the patients. The probabilities have moved, too: with equal total
# weights, the network answers as if every second patient were of the class, and its
# log-loss is worse than without weights.

colors = ["#0072B2", "#D55E00"]
markers = ["o", "s"]
figure, (left, right) = plt.subplots(ncols=2, figsize=(11, 5), layout="constrained")
for (name, p), color, marker in zip(probabilities.items(), colors, markers, strict=True):
    PrecisionRecallDisplay.from_predictions(
        y, p, name=name, ax=left, curve_kwargs={"color": color}
    )
    left.plot(
        recall_score(y, p > 0.5),
        precision_score(y, p > 0.5),
        color=color,
        marker=marker,
        markersize=10,
    )
    CalibrationDisplay.from_predictions(
        y,
        p,
        n_bins=6,
        strategy="quantile",
        name=f"{name}, log-loss {log_loss(y, p):.3f}",
        ax=right,
        color=color,
        marker=marker,
    )
left.set(title="Precision and recall; marks: threshold 0.5", ylim=(0, 1.03))
left.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02))
left.legend(loc="lower left")
right.set(title="Are the probabilities true?")
right.set(xlabel="predicted probability", ylabel="share of the class")
right.legend(loc="upper left")
for ax in (left, right):
    ax.grid(alpha=0.3)
plt.show()

# %%
# If probabilities are wanted, leave the weights alone, and choose the threshold instead:
# scikit-learn's ``FixedThresholdClassifier`` with the share of the class as its threshold,
# or ``TunedThresholdClassifierCV``, make a classifier of it. At the share of the class, the
# network without weights finds as many of these patients as the balanced one does.

report("class_weight=None", probabilities["class_weight=None"], threshold=y.mean())
