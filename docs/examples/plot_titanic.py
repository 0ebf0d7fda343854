"""
A table as it is
================

The passengers of the Titanic: numbers, categories and gaps, in a DataFrame. Nothing is
filled in, encoded or scaled before the fit.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn.datasets
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import (
    RepeatedStratifiedKFold,
    cross_validate,
    train_test_split,
)

from skmlp import TabularMLPClassifier
from skmlp.inspection import AttributionDisplay

# %%
# scikit-learn has the table for its own tests. Boat and body tell the outcome. Names,
# tickets, cabins and homes are nearly one for each passenger.

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
print(X.head(3))
print(X.isna().sum().loc[lambda n_gaps: n_gaps > 0])

# %%
# Strings are categories, and no parameter has to be set. Trees take the same table, if
# strings have the type ``category``.

X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
model = TabularMLPClassifier(random_state=0).fit(X_train, y_train)
print(f"accuracy {model.score(X_test, y_test):.3f}, encoding {model.encoding_}")

text = X.select_dtypes(exclude="number").columns
trees = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0)
folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0)
for other, table in ((model, X), (trees, X.astype(dict.fromkeys(text, "category")))):
    scores = cross_validate(other, table, y, cv=folds, scoring=["accuracy", "neg_log_loss"])
    print(
        f"{type(other).__name__:30} accuracy {scores['test_accuracy'].mean():.3f}, "
        f"log-loss {-scores['test_neg_log_loss'].mean():.3f}"
    )

# %%
# What the net looks at: contributions to the log-odds of survival, for each column of the
# table. They add up to the difference from the mean of a sample of passengers. On the right
# each dot is a passenger.

options = {"baseline": X_train[::6], "response_method": "decision_function"}
figure, axes = plt.subplots(ncols=2, figsize=(11, 3.8), layout="constrained")
for ax, kind in zip(axes, ("bar", "strip"), strict=True):
    AttributionDisplay.from_estimator(model, X_test, kind=kind, ax=ax, **options)
    ax.set_xlabel(ax.get_xlabel().replace("decision function of 1", "log-odds of survival"))
axes[1].set_yticklabels([])
plt.show()

# %%
# A port that nobody came from, and a passenger of whom little is known:

unknown = pd.DataFrame(
    {
        "pclass": [1, 3],
        "sex": ["female", None],
        "age": [30.0, np.nan],
        "sibsp": [0, 0],
        "parch": [0, 0],
        "fare": [80.0, np.nan],
        "embarked": ["Hamburg", None],
    }
)
print(model.predict_proba(unknown)[:, 1].round(2))
