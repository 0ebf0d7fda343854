"""scikit-learn's own checks of an estimator, for every solver and every loss."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmlp import MLPClassifierManual, MLPRegressorManual
from skmlp._values import FAMILIES

ESTIMATORS = [
    MLPClassifierManual(),
    MLPClassifierManual(early_stopping=True),
    MLPClassifierManual(early_stopping="auto"),
    MLPClassifierManual(solver="lbfgs"),
    MLPClassifierManual(solver="l-bfgs-b"),
    # ten iterations: more of them magnify rounding, of repeated rows beside weights
    MLPClassifierManual(solver="newton-cg", max_iter=10),
    MLPClassifierManual((), solver="newton-cg"),
    MLPClassifierManual(solver="sgd", learning_rate_init=0.1),
    MLPClassifierManual(solver="adam", learning_rate_init=0.01),
    MLPClassifierManual((20, 10), "tanh", solver="lbfgs"),
    MLPClassifierManual((20, 10), "relu", solver="adam", learning_rate_init=0.01),
    MLPClassifierManual((), solver="adam", learning_rate_init=0.01),
    MLPClassifierManual(solver="sgd", learning_rate_init=0.1, early_stopping=True),
    MLPClassifierManual(solver="adam", learning_rate_init=0.01, early_stopping=True),
    MLPRegressorManual(),
    MLPRegressorManual(early_stopping=True),
    MLPRegressorManual(solver="newton-cg", max_iter=10),
    MLPRegressorManual(hidden_layer_sizes=(), solver="newton-cg"),
    MLPRegressorManual(solver="sgd", learning_rate_init=0.1),
    MLPRegressorManual(solver="adam", learning_rate_init=0.01),
    # 15 rows of 30 features, weighted and repeated: kinks magnify the rounding of long fits
    MLPRegressorManual("squared_error", (20, 10), "relu", alpha=1.0, max_iter=50),
    *(
        MLPRegressorManual(loss, 10, alpha=1.0, **params)
        for loss in FAMILIES
        if loss != "squared_error"
        for params in (
            # as above: a density's path magnifies rounding more than a mean's
            {"max_iter": 10} if loss == "gaussian" else {},
            # a single batch an epoch: larger steps go too far for the loss of 'gamma'
            {
                "solver": "adam",
                "learning_rate_init": 0.001 if loss == "gamma" else 0.01,
                "max_iter": 200,
            },
        )
    ),
    MLPRegressorManual("quantile", 10, quantile=[0.9], alpha=1.0),
]


# These give transformers a y with zeros, which has no gamma deviance: GammaRegressor would
# refuse it, too, if it were a transformer
_WITH_ZEROS = [
    "check_transformer_data_not_an_array",
    "check_transformer_general",
    "check_transformer_n_iter",
    "check_transformer_preserve_dtypes",
]


def needs_zeros(estimator):
    """Names of checks that can't be made of an estimator, and why."""
    names = _WITH_ZEROS if getattr(estimator, "loss", None) == "gamma" else []
    return dict.fromkeys(names, "y has zeros")


@pytest.mark.filterwarnings(
    # many checks fit for a few iterations, or on labels that nothing predicts
    "ignore::sklearn.exceptions.ConvergenceWarning",
    # scikit-learn skips its array API check unless SCIPY_ARRAY_API is set
    "ignore::sklearn.exceptions.SkipTestWarning",
    # of the few rows of some checks, too few would be held out
    "ignore:validation_fraction=0.1 of .* samples would be 1",
    "ignore:The validation set of early stopping has no sample",
    # check_class_weight_classifiers sets it for every estimator that has it
    "ignore:n_iter_no_change=20 has no effect with solver='(lbfgs|newton-cg)'",
)
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=needs_zeros)
def test_estimator(estimator, check):
    check(estimator)
