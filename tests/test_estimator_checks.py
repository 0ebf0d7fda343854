"""scikit-learn's own checks of an estimator, for every solver; none may fail."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmlp import MLPClassifierManual

# 0.3 of the checks' data, of as few as 6 rows, holds every class
STOPPING = {"early_stopping": True, "validation_fraction": 0.3}

ESTIMATORS = [
    MLPClassifierManual(solver="lbfgs"),
    MLPClassifierManual(solver="sgd", learning_rate_init=0.1),
    MLPClassifierManual(solver="adam", learning_rate_init=0.01),
    MLPClassifierManual((20, 10), "tanh", solver="lbfgs"),
    MLPClassifierManual((20, 10), "relu", solver="adam", learning_rate_init=0.01),
    MLPClassifierManual((), solver="adam", learning_rate_init=0.01),
    MLPClassifierManual(solver="lbfgs", **STOPPING),
    MLPClassifierManual(solver="sgd", learning_rate_init=0.1, **STOPPING),
    MLPClassifierManual(solver="adam", learning_rate_init=0.01, **STOPPING),
]


@pytest.mark.filterwarnings(
    # many checks fit for a few iterations, or on labels that nothing predicts
    "ignore::sklearn.exceptions.ConvergenceWarning",
    # scikit-learn skips its array API check unless SCIPY_ARRAY_API is set
    "ignore::sklearn.exceptions.SkipTestWarning",
    # check_class_weight_classifiers sets it for every estimator that has it
    "ignore:n_iter_no_change=20 has no effect with solver='lbfgs'",
)
@parametrize_with_checks(ESTIMATORS)
def test_estimator(estimator, check):
    check(estimator)
