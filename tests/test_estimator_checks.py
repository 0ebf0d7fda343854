"""scikit-learn's own checks of an estimator, for every solver and every loss."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmlp import MLPClassifierManual, MLPRegressorManual
from skmlp._values import FAMILIES

# The search for alpha is nine tenths of a fit to so few rows, and it is the same for every
# solver: the defaults make it, and a fit with held-out rows does. The others have an alpha.
ESTIMATORS = [
    MLPClassifierManual(),
    MLPClassifierManual(10, early_stopping=True),
    MLPClassifierManual(10, alpha=1.0, early_stopping="auto"),
    MLPClassifierManual(10, alpha=1.0, solver="lbfgs"),
    MLPClassifierManual(10, alpha=1.0, solver="l-bfgs-b"),
    # ten iterations: more of them magnify rounding, of repeated rows beside weights
    MLPClassifierManual(10, alpha=1.0, solver="newton-cg", max_iter=10),
    MLPClassifierManual((), alpha=1.0, solver="newton-cg"),
    MLPClassifierManual(10, alpha=1.0, solver="sgd", learning_rate_init=0.1),
    MLPClassifierManual(10, alpha=1.0, solver="adam", learning_rate_init=0.01),
    MLPClassifierManual((20, 10), "tanh", alpha=1.0, solver="lbfgs"),
    *(
        MLPClassifierManual(
            sizes, "relu", alpha=1.0, solver="adam", learning_rate_init=0.01
        )
        for sizes in ((), (20, 10))
    ),
    *(
        MLPClassifierManual(
            10, alpha=1.0, solver=solver, learning_rate_init=rate, early_stopping=True
        )
        for solver, rate in (("sgd", 0.1), ("adam", 0.01))
    ),
    MLPRegressorManual(),
    MLPRegressorManual(hidden_layer_sizes=10, alpha=1.0, early_stopping=True),
    MLPRegressorManual(hidden_layer_sizes=10, alpha=1.0, solver="newton-cg", max_iter=10),
    MLPRegressorManual(hidden_layer_sizes=(), alpha=1.0, solver="newton-cg"),
    *(
        MLPRegressorManual(
            hidden_layer_sizes=10, alpha=1.0, solver=solver, learning_rate_init=rate
        )
        for solver, rate in (("sgd", 0.1), ("adam", 0.01))
    ),
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
                "max_iter": 200 if loss == "gamma" else 100,
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
