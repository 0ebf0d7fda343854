"""Warnings point to the user's line, however deep in the package they arise."""

import sys
import warnings

from sklearn.exceptions import ConvergenceWarning

_INSIDE = ("skmlp", "sklearn", "joblib")


def warn(message, category=UserWarning):
    """Warn as if it were done where this package, scikit-learn or joblib was called.

    A ConvergenceWarning is said to come from scikit-learn's wrapper of `fit`, so that the
    filters which are in use for scikit-learn's own estimators act on it:
    ``filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")``.

    Parameters
    ----------
    message : str
    category : type, default=UserWarning
    """
    inside = _INSIDE[:1] if issubclass(category, ConvergenceWarning) else _INSIDE
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in inside:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
