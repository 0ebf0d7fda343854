"""Class weights: factors of the sample weights."""

import numpy as np
import pytest
from common import SOLVERS, parameters, short, short_fits
from numpy.testing import assert_array_equal
from sklearn.utils.class_weight import compute_class_weight

from skmlp import MLPClassifierManual


@short_fits
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("class_weight", [{3: 0.5, 8: 7}, {8: 7}, {3: 2, 8: 0}, "balanced"])
def test_class_weight_multiplies_sample_weight(imbalanced, solver, class_weight, weighted):
    X, y = imbalanced
    weights = np.random.default_rng(0).integers(3, size=len(y)) if weighted else None
    if class_weight == "balanced":
        per_class = dict(
            zip(
                (3, 8),
                compute_class_weight(
                    "balanced", classes=np.array([3, 8]), y=y, sample_weight=weights
                ),
                strict=True,
            )
        )
    else:
        per_class = {3: 1} | class_weight
    by_row = np.array([per_class[label] for label in y]) * (
        1 if weights is None else weights
    )
    settings = {"solver": solver, "alpha": "auto" if solver == "lbfgs" else 1.0}
    model = short(class_weight=class_weight, **settings).fit(X, y, weights)
    assert_array_equal(parameters(model), parameters(short(**settings).fit(X, y, by_row)))


def test_balanced_finds_the_rare_class(imbalanced):
    X, y = imbalanced
    X = X + np.random.default_rng(0).normal(scale=0.7, size=X.shape)
    recall = {
        class_weight: MLPClassifierManual(
            10,
            solver="lbfgs",
            alpha=10,
            tol=1e-3,
            class_weight=class_weight,
            random_state=0,
        )
        .fit(X, y)
        .predict(X)[y == 8]
        .tolist()
        .count(8)
        for class_weight in (None, "balanced")
    }
    assert recall["balanced"] > recall[None]


def test_class_weight_in_partial_fit(imbalanced):
    X, y = imbalanced
    model = short(class_weight={8: 10.0})
    by_row = short()
    for part in (slice(0, 100), slice(100, 165)):
        model.partial_fit(X[part], y[part], classes=[3, 8])
        by_row.partial_fit(
            X[part], y[part], classes=[3, 8], sample_weight=np.where(y[part] == 8, 10, 1)
        )
    assert_array_equal(parameters(model), parameters(by_row))
    with pytest.raises(
        ValueError, match=r"'balanced' is not supported by partial_fit.*dict"
    ):
        short(class_weight="balanced").partial_fit(X, y, classes=[3, 8])


@pytest.mark.parametrize(
    ("class_weight", "match"),
    [
        ({3: -1}, "class_weight must be finite and at least 0"),
        ({3: np.nan}, "class_weight must be finite and at least 0"),
        ({3: 0, 8: 0}, "sample_weight, times class_weight, must be positive"),
        ({4: 2}, "not in class_weight"),
    ],
)
def test_bad_class_weight(imbalanced, class_weight, match):
    with pytest.raises(ValueError, match=match):
        short(class_weight=class_weight).fit(*imbalanced)


@short_fits
def test_balanced_ignores_rows_of_weight_zero(imbalanced):
    X, y = imbalanced
    weights = np.where(y == 8, 0.0, 1.0)
    weights[:50] = 0
    model = short(class_weight="balanced").fit(X, y, weights)
    assert_array_equal(parameters(model), parameters(short().fit(X, y, weights)))
