"""The parameters of an estimator for one call, with a value in the place of 'auto'."""

from functools import lru_cache
from numbers import Integral

import numpy as np

from skmlp._activations import ACTIVATIONS
from skmlp._network import Network
from skmlp._schedules import make_schedule
from skmlp._solvers import SOLVERS
from skmlp._warnings import warn, warn_once

# Rows from which on early_stopping="auto" can spare some
_MANY_ROWS = 10_000


class Settings:
    """The parameters, by the names and with the meanings that the estimator documents.

    Parameters
    ----------
    estimator : estimator
    is_incremental : bool, default=False
        Whether the call is one of `partial_fit`, which is an epoch.

    Raises
    ------
    ValueError
        If parameters contradict one another.
    """

    def __init__(self, estimator, is_incremental=False):
        # not by `get_params`: a subclass may have fixed some of them
        names = estimator._parameter_constraints
        given = {name: getattr(estimator, name) for name in names}
        chosen = f"solver={given['solver']!r}"
        if given["solver"] == "auto":
            needs_epochs = is_incremental or given["dropout"]
            given["solver"] = "adam" if needs_epochs else "lbfgs"
            chosen += f", here {given['solver']!r}"
        vars(self).update(given, is_incremental=is_incremental, _chosen=chosen)
        if self.dropout and not self.method.has_epochs:
            raise ValueError(
                f"dropout={self.dropout} works with solver='sgd' and 'adam', not with "
                f"{self.solver!r}: it draws other units for every mini-batch."
            )

        is_bent = self.hidden_sizes and not ACTIVATIONS[self.activation].is_smooth
        if is_bent and "hessian_product" in self.method.needs:
            raise ValueError(
                f"solver={self.solver!r} goes by second derivatives, which do not see the "
                f"kinks of activation={self.activation!r}: its steps lead nowhere. Use "
                "solver='lbfgs', or activation='logistic' or 'tanh'."
            )

    def __setattr__(self, name, value):
        raise AttributeError(f"Settings do not change: {name} is set.")

    @property
    def method(self):
        """The `Solver`."""
        return SOLVERS[self.solver]

    @property
    def has_planned_rate(self):
        """Whether the learning rate says when the training is done."""
        return self.method.has_epochs and self.schedule(0).is_planned

    @property
    def hidden_sizes(self):
        """Units of each hidden layer, as a list, not checked."""
        return np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object)).tolist()

    def network(self, n_features, targets):
        """The network; ValueError if `hidden_layer_sizes` are none."""
        for size in self.hidden_sizes:
            if not isinstance(size, Integral) or isinstance(size, bool) or size < 1:
                raise ValueError(
                    "hidden_layer_sizes must be integers of at least 1, got "
                    f"{size!r} in {self.hidden_layer_sizes!r}."
                )
        sizes = [n_features, *map(int, self.hidden_sizes), targets.n_outputs]
        return Network(sizes, self.activation, targets.loss)

    def schedule(self, first_epoch):
        """The learning rate of a training that began at an epoch."""
        return make_schedule(
            self.learning_rate,
            self.learning_rate_init,
            self.power_t,
            first_epoch=first_epoch,
            n_epochs=self.max_iter,
        )

    def rows_in_a_batch(self, n_rows):
        """Rows in a mini-batch; chunks of a stream may be smaller without a warning."""
        if self.batch_size == "auto":
            return min(200, n_rows)
        if self.batch_size > n_rows and not self.is_incremental:
            warn(
                f"batch_size={self.batch_size} is larger than the {n_rows} training rows: "
                "all of them make one batch."
            )
        return min(self.batch_size, n_rows)

    def stops_early(self, data, validation):
        """Whether the score of held-out rows ends the training."""
        if self.early_stopping == "auto" and not self.is_incremental:
            has_spare_rows = data.can_be_split and data.n_rows > _MANY_ROWS
            return validation is not None or has_spare_rows
        return bool(self.early_stopping) and not self.is_incremental

    def searches_alpha(self, earlier):
        """Whether to search for alpha: not where it is given, or was chosen before."""
        is_known = earlier is not None and earlier.chosen_for is not None
        return self.alpha == "auto" and not (is_known or self.is_incremental)

    def unused(self, has_validation_set):
        """Parameters that have no part in the call.

        Parameters
        ----------
        has_validation_set : bool

        Returns
        -------
        unused : dict of {str: (str, str)}
            For each, a setting without any effect of it, and the settings that use it.
        """
        of_others = _parameters_of_others(self.solver).items()
        unused = {name: (self._chosen, solvers) for name, solvers in of_others}
        stops_early = "early_stopping=True or 'auto'"
        if not self.early_stopping:
            unused["validation_fraction"] = "early_stopping=False", stops_early
            if self.has_planned_rate:
                unused["n_iter_no_change"] = (
                    f"learning_rate={self.learning_rate!r}",
                    f"the other schedules, or {stops_early}",
                )
            if not has_validation_set:
                unused["scoring"] = "early_stopping=False", f"{stops_early}, or with X_val"
        elif has_validation_set:
            unused["validation_fraction"] = "X_val", "rows that are held out"
        if self.learning_rate != "invscaling":
            unused.setdefault(
                "power_t",
                (f"learning_rate={self.learning_rate!r}", "learning_rate='invscaling'"),
            )
        if callable(self.learning_rate):
            unused.setdefault(
                "learning_rate_init", ("a callable learning_rate", "the named schedules")
            )
        loss = vars(self).get("loss", "quantile")
        if loss != "quantile":
            unused["quantile"] = f"loss={loss!r}", "loss='quantile'"
        if not self.hidden_sizes:
            unused["dropout"] = "hidden_layer_sizes=()", "hidden layers"
        return unused

    def ignores_groups(self, has_validation_set):
        """The setting because of which no rows are held out; None if some are."""
        if has_validation_set:
            return "X_val"
        if self.alpha != "auto" and not self.early_stopping:
            return f"alpha={self.alpha!r} and early_stopping=False"
        return None


@lru_cache
def _parameters_of_others(solver):
    """Parameters that other solvers use, with the names of these."""
    others = set().union(*(method.parameters for method in SOLVERS.values()))
    return {
        name: "solver="
        + " and ".join(repr(key) for key, row in SOLVERS.items() if name in row.parameters)
        for name in sorted(others - SOLVERS[solver].parameters)
    }


def announce_unused(estimator, settings, has_validation_set, defaults, *, has_groups=False):
    """Warn of each parameter that has no effect, but was set.

    Parameters
    ----------
    estimator : estimator
    settings : Settings
        Its own.
    has_validation_set : bool
    defaults : mapping of {str: inspect.Parameter}
        Of the constructor.
    has_groups : bool, default=False
        Whether groups were given, too.
    """
    for name, (present, needed) in settings.unused(has_validation_set).items():
        value = getattr(estimator, name)
        if value != defaults[name].default:
            warn_once(
                f"{name}={value!r} has no effect with {present}; it works with {needed}.",
                subject=name,
            )
    present = settings.ignores_groups(has_validation_set) if has_groups else None
    if present is not None:
        warn_once(
            f"groups has no effect with {present}; it works with rows that are held out.",
            subject="groups",
        )
