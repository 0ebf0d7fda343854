"""What all estimators of the package do: take in, have trained, publish."""

import inspect
import operator
from dataclasses import replace
from functools import lru_cache, partial
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.metrics import check_scoring
from sklearn.utils.validation import check_is_fitted

from skmlp._activations import ACTIVATIONS
from skmlp._callbacks import CallbackSupportMixin, begin_fit_task
from skmlp._inference import fitted_network, layer_outputs
from skmlp._intake import check_features, is_plain, shallow_copy, take, take_chunk
from skmlp._outcome import Progress, upgrade, with_own_curves
from skmlp._scaling import UNITS
from skmlp._schedules import SCHEDULES
from skmlp._settings import Settings, announce_unused
from skmlp._sklearn import Interval, Options, StrOptions, validate_parameters
from skmlp._solvers import SOLVERS
from skmlp._training import Interrupted, most_stages, train
from skmlp._warnings import warn


def has_partial_fit(estimator):
    """Whether single epochs make sense; raise the reason if they do not."""
    solver = SOLVERS.get(estimator.solver)
    if solver is not None and not solver.has_epochs:
        raise AttributeError(
            "partial_fit is only available for the stochastic solvers 'sgd' and 'adam', "
            f"not for solver={estimator.solver!r}."
        )
    if estimator.early_stopping and estimator.early_stopping != "auto":
        raise AttributeError(
            "partial_fit does not support early_stopping=True: a call is one epoch, so "
            "there is nothing to stop."
        )
    return True


class BaseMLP(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """A multilayer perceptron of any kind of targets.

    A subclass has a constructor with the parameters of `_parameter_constraints`, `fit` and
    `partial_fit` with the arguments that its targets need, and methods that predict.

    Attributes
    ----------
    _reader : type
        What reads y, see `skmlp._targets`.
    """

    _parameter_constraints: dict = {  # noqa: RUF012, scikit-learn's convention
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "alpha": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "standardize": ["boolean", StrOptions(set(UNITS))],
        "solver": [StrOptions({"auto", *SOLVERS})],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "learning_rate": [StrOptions(SCHEDULES), callable],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "scoring": [str, callable, None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "verbose": ["verbose"],
    }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def hidden_activations(self, X, layer=-1):
        """Compute the outputs of a hidden layer.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.

        layer : int, default=-1
            Which hidden layer: 0 is the first, -1 the last.

        Returns
        -------
        H : ndarray of shape (n_samples, n_units)
            Output h of each unit of that layer for each row.

        Raises
        ------
        ValueError
            If there is no such layer.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skmlp import MLPClassifierManual
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifierManual((8, 4), solver="lbfgs", tol=1e-2, random_state=0)
        >>> model.fit(X, y).hidden_activations(X, layer=0).shape
        (150, 8)
        """
        check_is_fitted(self)
        n_hidden = self.n_layers_ - 2
        if not (isinstance(layer, Integral) and -n_hidden <= layer < n_hidden):
            raise ValueError(
                f"layer={layer!r} is not one of the {n_hidden} hidden layers, which are "
                "numbered from 0, or from -1 backwards."
            )
        return self._evaluate(X, layer=layer % n_hidden)

    def transform(self, X):
        """Compute the outputs of the last hidden layer, as features for another estimator.

        They are the inputs of the output layer: without hidden layers, X itself.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.

        Returns
        -------
        H : ndarray or sparse matrix of shape (n_samples, n_units)
            Columns are named by `get_feature_names_out`.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.neighbors import KNeighborsClassifier
        >>> from sklearn.pipeline import make_pipeline
        >>> from skmlp import MLPClassifierManual
        >>> X, y = load_iris(return_X_y=True)
        >>> net = MLPClassifierManual(3, solver="lbfgs", tol=1e-2, random_state=0)
        >>> model = make_pipeline(net, KNeighborsClassifier()).fit(X, y)
        >>> model.score(X, y) > 0.9
        True
        >>> net.get_feature_names_out()
        array(['mlpclassifiermanual0', 'mlpclassifiermanual1',
               'mlpclassifiermanual2'], dtype=object)
        """
        check_is_fitted(self)
        return self.hidden_activations(X) if self.n_layers_ > 2 else self._features(X)

    @property
    def _n_features_out(self):
        """Number of columns that `transform` returns."""
        return len(self.coefs_[-1])

    @property
    def best_params_(self):
        """Parameters that the fit has chosen by itself, as arguments for `set_params`.

        A fit with them repeats the choice without the search.
        """
        check_is_fitted(self)
        chosen = self._chosen()
        return {name: one for name, one in chosen.items() if getattr(self, name) != one}

    def _chosen(self):
        return {"alpha": self.alpha_, "standardize": self.standardize_}

    def __setstate__(self, state):
        super().__setstate__(with_own_curves(upgrade(state)))

    _take, _take_chunk = staticmethod(take), staticmethod(take_chunk)

    def _fit(self, take, given, validation_set, initial):
        """Take in, train, publish: a fit of data that `take` knows how to take in."""
        settings = Settings(self)
        if all(array is None for array in validation_set):
            validation_set = None
        elif any(array is None for array in validation_set[:2]):
            raise ValueError("A validation set needs both X_val and y_val.")
        announce_unused(
            self,
            settings,
            validation_set is not None,
            _defaults(type(self)),
            has_groups=given[-1] is not None,
        )
        with np.errstate(all="ignore"):
            earlier = None
            is_given = any(array is not None for array in initial)
            if self.warm_start and hasattr(self, "coefs_") and not is_given:
                earlier = Progress.of(self)
            taken = take(self, settings, earlier, *given, validation_set)
            if earlier:
                earlier = self._in_units(earlier, taken.targets)
            is_drawn = earlier is None and not is_given
            of_data = taken.data, taken.validation
            n_stages = most_stages(settings, *of_data, earlier, is_drawn)
            task = begin_fit_task(self, n_stages, *given)
            publish = partial(self._publish, taken, earlier)
            follow = {}
            if task is not None:
                notify = partial(self._notify, taken, earlier, task)
                follow = {"notify": notify, "stage": task.stage}
                follow["begin"] = task.begin_iteration
            self._train(settings, taken, earlier, publish, initial=initial, **follow)
            if task is not None:
                task.end(dict)
            return self

    def _fit_chunk(self, X, y, classes, sample_weight):
        """Take in, train, publish: a call of `partial_fit`."""
        validate_parameters(self)
        settings = Settings(self, is_incremental=True)
        announce_unused(self, settings, False, _defaults(type(self)))
        self._reader.check_settings_of_chunk(self)
        with np.errstate(all="ignore"):
            earlier = Progress.of(self) if hasattr(self, "coefs_") else None
            taken = self._take_chunk(self, settings, earlier, X, y, classes, sample_weight)
            if earlier:
                earlier = self._in_units(earlier, taken.targets, is_incremental=True)
                # densities are as wide as they were, and learn from new rows how wide to be
                earlier = replace(earlier, widening=0.0)
            # in place: the calls of a long stream do not copy the curve of all before
            publish = partial(self._publish, taken, earlier, join=operator.iadd)
            return self._train(settings, taken, earlier, publish)

    def _in_units(self, earlier, targets, is_incremental=False):
        """Progress without averages of gradients and losses, if they were in other units.

        None if a fit has units that have nothing in common with the earlier ones: it starts
        afresh. What was fitted to a constant may have no weights left to go on from.
        """
        if targets.has_units_of(self._targets()):
            return earlier
        if not is_incremental and targets.is_new is not None and targets.is_new.all():
            return None
        state = earlier.optimizer.without_averages()
        return replace(earlier, optimizer=state, best_loss=None, n_stalled=0)

    def _train(self, settings, taken, earlier, publish, **options):
        """Train on what was taken in, and publish the outcome."""
        make_score = None
        if settings.scoring != "loss":
            scorer = check_scoring(self, settings.scoring)
            make_score = partial(self._make_score, scorer, taken)
        try:
            outcome = train(
                settings,
                taken.data,
                taken.targets,
                taken.validation,
                earlier,
                columns=taken.columns,
                others={
                    name: (other.data, other.validation)
                    for name, other in taken.others.items()
                },
                make_score=make_score,
                **options,
            )
        except Interrupted as interrupt:
            publish(interrupt.outcome)
            raise
        publish(outcome)
        return self

    def _attributes(self, taken, earlier, outcome, join=operator.add):
        """All fitted attributes."""
        before = vars(self) if earlier else {}
        of_columns = taken.in_columns(outcome.columns).attributes
        return of_columns | outcome.attributes(before, join)

    def _publish(self, taken, earlier, outcome, join=operator.add):
        """Set the fitted attributes: here, and nowhere else."""
        attributes = self._attributes(taken, earlier, outcome, join)
        vars(self).pop("feature_names_in_", None)
        vars(self).update(attributes)

    def _notify(self, taken, earlier, task, make_outcome):
        """Tell the callbacks of an iteration; whether one of them asks to end the fit."""
        return task.end_iteration(lambda: self._attributes(taken, earlier, make_outcome()))

    def _make_score(self, scorer, taken, rows, columns):
        """The score of rows, as a function of attributes that a network predicts with."""
        y = taken.targets.decode(rows.targets)
        weights = (
            {} if rows.sample_weight is None else {"sample_weight": rows.sample_weight}
        )

        def score(attributes):
            fitted = shallow_copy(self)
            vars(fitted).update(taken.in_columns(columns).attributes | attributes)
            fitted = fitted._net()
            vars(fitted).pop("feature_names_in_", None)  # X is an array by now
            return float(scorer(fitted, rows.X, y, **weights))

        return score

    def _net(self):
        """The estimator that takes what the network sees."""
        return self

    def _features(self, X):
        """Validate X; what the network sees of it."""
        return check_features(self, X)

    def _targets(self):
        """What y was in training."""
        return self._reader.of_fitted(self)

    def _evaluate(self, X, layer=-1, finish=None):
        """Validate X; the outputs of a layer for it, see `layer_outputs`."""
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        needs_no_validation = is_plain(self, X)
        if not needs_no_validation:
            X = check_features(self, X)
        outputs, is_finite = layer_outputs(*fitted_network(self), X, layer, finish)
        if needs_no_validation and not is_finite:
            check_features(self, X)
        if not np.isfinite(outputs).all():
            warn(
                "Predictions are not finite: X has too large values, or is not finite.",
                RuntimeWarning,
            )
        return outputs


@lru_cache
def _defaults(cls):
    """Parameters of the constructor that names all of them, which a subclass may not."""
    for base in cls.__mro__:
        parameters = inspect.signature(base).parameters
        if parameters.keys() >= cls._parameter_constraints.keys():
            return parameters
    raise TypeError(f"No constructor of {cls.__name__} names all parameters.")
