"""What this package uses of scikit-learn that is private, but for callbacks, and why.

scikit-learn promises nothing about these names. They are what its own estimators are made
with, and writing them anew would be to answer bad input in other words than it does.
"""

# Some rows or columns of a frame of any kind, or of an array, as its column transformer has
# `fit` validates the parameters, and tells what it calls that they need it no more
from sklearn.base import BaseEstimator
from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as select

# The error of a display where matplotlib is missing
from sklearn.utils._optional_dependencies import check_matplotlib_support

# The declaration of what values a parameter may have, and the errors that follow from it
from sklearn.utils._param_validation import (
    Interval,
    Options,
    StrOptions,
    validate_params,
)

# The rules of `classes` in the first and in later calls of `partial_fit`
from sklearn.utils.multiclass import _check_partial_fit_first_call as check_first_call

# Names and number of features, number of rows and weights, where there is no X to pass to
# `validate_data`: of partitions, and of data in a memory map
from sklearn.utils.validation import _check_feature_names as check_feature_names

# Names that a transformer makes others of: those it was given, has seen, or x0, x1, ...
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_n_features as check_n_features
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _num_samples as count_samples

__all__ = [
    "Interval",
    "Options",
    "StrOptions",
    "check_feature_names",
    "check_feature_names_in",
    "check_first_call",
    "check_matplotlib_support",
    "check_n_features",
    "check_sample_weight",
    "count_samples",
    "fit_context",
    "select",
    "validate_parameters",
    "validate_params",
]

# What `fit` does by its decorator, for `partial_fit`, which validates in every call
validate_parameters = BaseEstimator._validate_params
