"""The outcome of a training, and the progress that the next one goes on from."""

import math
import operator
from dataclasses import dataclass, field, fields, replace

import numpy as np

from skmlp._coordinates import Coordinates, standard_coordinates
from skmlp._iteration import State
from skmlp._monitor import Monitor
from skmlp._passes import Passes


@dataclass(frozen=True)
class Progress:
    """All that goes on from one call to the next.

    Attributes
    ----------
    seed : int
        Of all that is random, but the initial parameters.
    moments : tuple or None
        Of the features; see `feature_moments`. None if they are not standardised.
    plain_mean : (ndarray of shape (d,), float) or None
        Mean of the features over all rows, and the weight of all rows: in the moments a
        feature that was idle has less weight.
    scaling : (ndarray, ndarray) or None
        Mean and scale of the features in training, each of shape (d,).
    tails : (ndarray, ndarray) or None
        Median and scale of the features with heavy tails; see `find_tails`.
    unit : {"common", "wide"} or None
        The divisor of features of one unit; see `scaling_of`.
    n_stalled : int
        Iterations since the last improvement.
    optimizer : State
        From which a solver with epochs goes on.
    coefs, intercepts : list of ndarray, or None
        The parameters; None before the first training.
    passes : tuple or None
        The weight that a call's penalty weighs against; see `Passes`.
    alpha : float or None
    alpha_search : dict or None
        How alpha was found; see `Choice.record`. None if it was given.
    widening : float
        What held-out rows of that search have added to the log-variances of densities; the
        parameters of training are without it.
    chosen_for : float or None
        Mean weight of an observation in the data that alpha was chosen for: nan if it is
        not known, None if alpha was not chosen.
    n_samples : int
        Rows seen, counted in each iteration.
    best_loss : float or None
    """

    seed: int
    moments: tuple | None = None
    plain_mean: tuple | None = None
    scaling: tuple | None = None
    tails: tuple | None = None
    unit: str | None = None
    n_stalled: int = 0
    optimizer: State = field(default_factory=State)
    coefs: list | None = None
    intercepts: list | None = None
    passes: tuple | None = None
    widening: float = 0.0
    chosen_for: float | None = None
    alpha: float | None = None
    alpha_search: dict | None = None
    n_samples: int = 0
    best_loss: float | None = None

    @classmethod
    def of(cls, estimator):
        """The progress of a fitted estimator; the user may have changed its attributes."""
        public = {name: getattr(estimator, given) for name, given in _PUBLIC.items()}
        progress = cls(**estimator._progress, **public)
        return replace(progress, optimizer=State(**progress.optimizer))

    def hidden(self):
        """The fields without a public attribute, as dicts, which skops trusts."""
        names = {own.name for own in fields(self)} - _PUBLIC.keys()
        hidden = {name: getattr(self, name) for name in names}
        return hidden | {"optimizer": self.optimizer._asdict()}

    def coordinates(self, network, dtype):
        """The coordinates of training."""
        if self.scaling is None:
            return Coordinates.identity(network)
        return standard_coordinates(network, *self.scaling, dtype)


# Fields that are public attributes of the estimator
_PUBLIC = {
    "coefs": "coefs_",
    "intercepts": "intercepts_",
    "alpha": "alpha_",
    "alpha_search": "alpha_search_",
    "n_samples": "t_",
    "best_loss": "best_loss_",
}
_CURVES = ("loss_curve_", "validation_loss_curve_", "validation_scores_")


def upgrade(state):
    """The attributes of an estimator, which may be of version 0.2.0."""
    if "_seed_" not in state:
        return state
    state = {"alpha_search_": None} | state
    exact = dict(state.pop("_moments_", None) or {"vectors": ()})
    progress = Progress(
        state.pop("_seed_"),
        moments=state.pop("_feature_moments_", None),
        scaling=state.pop("_feature_scaling_", None),
        n_stalled=state.pop("_n_stalled_", 0),
        optimizer=State(
            averages=exact.pop("vectors"),
            n_epochs=state.pop("_n_epochs_", 0),
            plan_epoch=state.pop("_plan_epoch_", 0),
            n_plateaus=state.pop("_n_plateaus_", 0),
            **exact,
        ),
    )
    progress = replace(progress, **_not_recorded(state, progress))
    scaling = scaling_attributes(progress.scaling, progress.unit)
    return scaling | state | {"_progress": progress.hidden()}


def _not_recorded(state, progress):
    """Fields that models of version 0.2.0 lack, of the weight that alpha is for.

    It is taken for the weight of a fit, or of a stream's mean call.
    """
    moments, n_calls = progress.moments, 1
    n_epochs, plan_epoch = progress.optimizer.n_epochs, progress.optimizer.plan_epoch
    was_chosen = state.get("alpha") == "auto"
    if state["alpha_search_"] is None and not plan_epoch:
        n_calls = max(n_epochs, 1)
        was_chosen &= n_epochs == 0
    weight = state["t_"] / state.get("n_iter_", 1) if moments is None else moments[2]
    return {
        "plain_mean": moments and (moments[0], moments[2]),
        "passes": tuple(Passes(longest=float(weight / n_calls))),
        "chosen_for": math.nan if was_chosen else None,
    }


def with_own_curves(attributes):
    """Attributes of a copy: `partial_fit` appends to its curves in place."""
    return attributes | {
        name: attributes[name].copy() for name in _CURVES if attributes.get(name)
    }


@dataclass(frozen=True)
class Outcome:
    """The end of a training.

    Attributes
    ----------
    progress : Progress
    monitor : Monitor
        The record of this call.
    loss : float or None
        The objective at the parameters.
    columns : str or None
        The name of the columns that were chosen.
    held_out : dict
        The held-out losses of all columns, by name; see `train`.
    """

    progress: Progress
    monitor: Monitor
    loss: float | None
    columns: str | None = None
    held_out: dict = field(default_factory=dict)

    def attributes(self, before, join=operator.add):
        """The fitted attributes, without the ones that describe the data.

        Parameters
        ----------
        before : dict
            The attributes of the fit that this one goes on from; empty if none.
        join : callable, default=operator.add
            Appends a curve to the curve of the earlier calls.

        Returns
        -------
        attributes : dict
        """
        progress, monitor = self.progress, self.monitor
        earlier = before.get("loss_curve_", [])
        n_before = len(earlier)
        attributes = network_attributes(progress.coefs, progress.intercepts)
        attributes |= scaling_attributes(progress.scaling, progress.unit) | {
            "alpha_": progress.alpha,
            "alpha_search_": progress.alpha_search,
            "loss_": self.loss,
            "best_loss_": progress.best_loss,
            "loss_curve_": join(earlier, monitor.losses),
            "validation_loss_curve_": None,
            "validation_scores_": None,
            "best_validation_score_": monitor.best_score if monitor.scores else None,
            "best_iteration_": None,
            "n_iter_": len(monitor.losses),
            "t_": progress.n_samples,
            "_progress": progress.hidden(),
        }
        if monitor.best_iteration is not None:
            attributes["best_iteration_"] = n_before + monitor.best_iteration
        if monitor.score_held_out is not None:
            for name, values in (
                ("validation_loss_curve_", monitor.validation_losses),
                ("validation_scores_", monitor.scores),
            ):
                # earlier calls may have had no validation set
                known = before.get(name) or [np.nan] * n_before
                attributes[name] = join(known, values)
        return attributes


def scaling_attributes(scaling, unit):
    """The attributes that tell how the features are standardised."""
    mean, scale = (None, None) if scaling is None else scaling
    standardize = scaling is not None if unit is None else unit
    return {"feature_mean_": mean, "feature_scale_": scale, "standardize_": standardize}


def network_attributes(coefs, intercepts):
    """The attributes that a fitted estimator predicts with."""
    return {
        "coefs_": coefs,
        "intercepts_": intercepts,
        "n_layers_": len(coefs) + 1,
        "n_outputs_": len(intercepts[-1]),
    }
