"""The one place that knows `sklearn.callback`, which is new and marked experimental.

Where it is missing (scikit-learn < 1.9) or no longer what it was, everything else works,
and `set_callbacks` says what it needs.
"""

import functools
from contextlib import contextmanager, suppress

from sklearn.utils.metaestimators import available_if

from skmlp._monitor import Stopped

try:
    from sklearn.callback import CallbackContext, CallbackSupportMixin, with_callbacks

    _is_known = hasattr(CallbackSupportMixin, "_init_callback_context") and all(
        hasattr(CallbackContext, method)
        for method in ("subcontext", "call_on_fit_task_begin", "call_on_fit_task_end")
    )
except ImportError:
    _is_known = False

if not _is_known:

    def _raise_what_is_needed(estimator):
        raise AttributeError(
            "set_callbacks needs sklearn.callback as scikit-learn 1.9 has it; this version "
            "of scikit-learn does not have it. Everything else works without it."
        )

    class CallbackSupportMixin:
        """In the place of scikit-learn's: has no `set_callbacks`, and says why."""

        @available_if(_raise_what_is_needed)
        def set_callbacks(self, *callbacks):
            """Set callbacks for the estimator; not available here."""

    def with_callbacks(method):
        """In the place of scikit-learn's: there is nothing to tear down."""

        @functools.wraps(method)
        def wrapper(estimator, *args, **kwargs):
            return method(estimator, *args, **kwargs)

        return wrapper


def begin_fit_task(estimator, n_stages, X, y, sample_weight, groups):
    """What the callbacks follow a fit by; None without callbacks."""
    if not hasattr(estimator, "_skl_callbacks"):
        return None
    given = {"sample_weight": sample_weight, "groups": groups}
    metadata = {name: value for name, value in given.items() if value is not None}
    return FitTask(estimator, n_stages, estimator.max_iter, X, y, metadata)


class FitTask:
    """The callbacks' view of one fit: a task, with a subtask for each stage and iteration.

    Parameters
    ----------
    estimator : estimator
        With `CallbackSupportMixin`, in a method decorated by `with_callbacks`.
    n_stages : int
        Stages before the first iteration, at the most.
    max_iter : int
        Iterations at the most.
    X, y : array-like
        The training data as the user gave them.
    metadata : dict
        The sample weights and groups, if there are any.
    """

    def __init__(self, estimator, n_stages, max_iter, X, y, metadata):
        self._hook_arguments = {
            "estimator": estimator,
            "X": X,
            "y": y,
            "metadata": metadata,
        }
        self._n_left = max_iter
        self._iteration = None
        self._has_to_stop = False
        self._fit = estimator._init_callback_context(max_subtasks=n_stages + max_iter)
        self._fit.call_on_fit_task_begin(**self._hook_arguments)
        self._stage = self._fit  # what is under way, of which the next one is a part

    def begin_iteration(self):
        """Tell the callbacks that an iteration begins, if there may be one more."""
        if self._n_left:
            self._n_left -= 1
            self._iteration = self._begin("iteration")

    def _begin(self, task_name, **options):
        task = self._stage.subcontext(task_name=task_name, **options)
        return task.call_on_fit_task_begin(**self._hook_arguments)

    @contextmanager
    def stage(self, task_name):
        """Tell the callbacks when a stage before the iterations begins, and when it ends.

        Stages may have stages. At an error they do not end, as no task of scikit-learn's
        does.

        Parameters
        ----------
        task_name : str

        Raises
        ------
        Stopped
            At the end, if a callback asks to end the fit.
        """
        whole = self._stage
        # not a leaf, which would have no bar: how much there is to do is not known
        self._stage = self._begin(task_name, max_subtasks=None)
        with suppress(Stopped):  # by a part of this stage, which then ends, too
            yield
        self._has_to_stop |= self._stage.call_on_fit_task_end(**self._hook_arguments)
        self._stage = whole
        if self._has_to_stop:
            raise Stopped

    def end_iteration(self, fitted_attributes):
        """Tell the callbacks.

        Parameters
        ----------
        fitted_attributes : callable
            Returns the attributes of the estimator as if the fit had ended here.

        Returns
        -------
        stop : bool
            Whether one of them asks, or has asked before, to end the fit.
        """
        iteration, self._iteration = self._iteration, None
        self._has_to_stop |= iteration.call_on_fit_task_end(
            **self._hook_arguments, reconstruction_attributes=fitted_attributes
        )
        if not self._has_to_stop:
            self.begin_iteration()
        return self._has_to_stop

    def end(self, fitted_attributes):
        """Tell the callbacks that the fit has ended; see `end_iteration`."""
        if self._iteration is not None:  # begun, but the solver stopped before it
            self._iteration.call_on_fit_task_end(**self._hook_arguments)
        self._fit.call_on_fit_task_end(
            **self._hook_arguments, reconstruction_attributes=fitted_attributes
        )
