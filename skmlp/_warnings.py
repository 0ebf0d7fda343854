"""Warnings point to the user's line, however deep in the package they arise."""

import re
import sys
import warnings

from sklearn.exceptions import ConvergenceWarning

_INSIDE = ("skmlp", "sklearn", "joblib")
_told = set()


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
    warnings.warn(message, category, stacklevel=_find_caller(inside)[1])


def warn_once(message, subject):
    """Warn once of a subject and a line of code, where Python's filters say so.

    They do by default, but scikit-learn's searches make Python forget, for every fit, what
    it has warned of.

    Parameters
    ----------
    message : str
    subject : str
    """
    frame, level = _find_caller(_INSIDE)
    place = subject, frame.f_code.co_filename, frame.f_lineno
    if place in _told and _action(message, frame) == "default":
        return
    _told.add(place)
    warnings.warn(message, UserWarning, stacklevel=level)


def _find_caller(inside):
    """The frame outside of the packages, and its stack level where this was called."""
    frame, level = sys._getframe(2), 2
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in inside:
        frame, level = frame.f_back, level + 1
    return frame, level


def _action(message, frame):
    """What Python's filters say of a UserWarning there."""

    def matches(pattern, text):
        return pattern is None or bool(re.match(pattern, text))

    module = frame.f_globals.get("__name__", "")
    for action, text, category, name, line in warnings.filters:
        is_meant = issubclass(UserWarning, category) and line in (0, frame.f_lineno)
        if is_meant and matches(text, message) and matches(name, module):
            return action
    return "default"
