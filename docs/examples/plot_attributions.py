"""
Which features did it?
======================

A net's output for a row can be divided among the features, so that their contributions add
up to its difference from the outputs of other rows: integrated gradients, exact for nets of
one hidden layer. Here are the tumours of the breast cancer data, whose features have names,
and digits, whose features are pixels.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import CenteredNorm
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split

from skmlp import MLPClassifierManual
from skmlp.inspection import AttributionDisplay, attributions

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)
model = MLPClassifierManual(random_state=0).fit(X_train, y_train)

# %%
# The baseline is a sample of the training set. Contributions are to the log-odds of class
# 1, benign: at the top, the features with the largest of them, on average. Each dot of the
# strips is a tumour. Where large values, yellow, are on the left, they speak against
# benign.

options = {
    "baseline": X_train[::6],
    "response_method": "decision_function",
    "max_features": 8,
}
figure, axes = plt.subplots(ncols=2, figsize=(11, 3.8), layout="constrained")
for ax, kind in zip(axes, ("bar", "strip"), strict=True):
    AttributionDisplay.from_estimator(model, X_test, kind=kind, ax=ax, **options)
    ax.set_xlabel(ax.get_xlabel().replace("decision function of 1", "log-odds of benign"))
axes[1].set_yticklabels([])
plt.show()

# %%
# A waterfall is about one row: here that of which the model is least sure. From the mean
# log-odds of the sample, dotted, the largest contributions come first, blue against benign
# and orange for it, and the last bar is what all other features add. It ends at the model's
# output.

doubtful = X_test.iloc[[np.abs(model.decision_function(X_test)).argmin()]]
figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
AttributionDisplay.from_estimator(model, doubtful, kind="waterfall", ax=ax, **options)
ax.set_xlabel("log-odds of benign")
plt.show()

# %%
# Many of these features say nearly the same: radius, perimeter and area of a
# tumour. Which of them gets the credit is decided by the penalty on the weights, not by
# the data. Their sum means more than each of them.

result = attributions(
    model,
    X_test,
    baseline=X_train[::6],
    target=1,
    response_method="decision_function",
)
groups = ["radius", "perimeter", "area", "texture", "concav", "compactness", "smoothness"]
for group in groups:
    columns = [i for i, name in enumerate(result.feature_names) if group in name]
    together = result.contributions[:, columns].sum(axis=1)
    print(f"{group:>12}: {np.abs(together).mean():.2f}")

# %%
# Of an image, the features are pixels, and so the contributions are an image, too. Here is
# why the net sees a digit as what it is, and not as the one that it takes for the next
# likely: contributions to the difference of the two logits. What is red speaks for it, be
# it ink, or paper where the other digit would have ink.

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, test_size=0.5, stratify=y, random_state=0
)
model = MLPClassifierManual(random_state=0).fit(X_train, y_train)
proba = model.predict_proba(X_test)
first, second = np.argsort(-proba, axis=1)[:, :2].T
unsure = np.argsort(proba.max(axis=1))
rows = [next(i for i in unsure if first[i] == y_test[i] == k) for k in range(8)]
contributions = attributions(model, X_test[rows], baseline=X_train[::18]).contributions

figure, axes = plt.subplots(2, len(rows), figsize=(11, 3.4), layout="constrained")
for column, row in enumerate(rows):
    difference = contributions[column, first[row]] - contributions[column, second[row]]
    image, parts = axes[:, column]
    image.imshow(X_test[row].reshape(8, 8), cmap="gray_r")
    image.set_title(f"{first[row]}, not {second[row]}")
    parts.imshow(difference.reshape(8, 8), cmap="RdBu_r", norm=CenteredNorm())
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()
