"""The estimator: it validates, chooses the parts, and reports."""

import copy
import inspect
import math
import operator
from contextlib import contextmanager
from functools import partial
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
    is_multilabel,
)
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from skmlp._activations import ACTIVATIONS
from skmlp._alpha import TRAINING_ROWS, best_start, draw_splits, sample, search_alpha
from skmlp._callbacks import CallbackSupportMixin, FitTask, with_callbacks
from skmlp._coordinates import (
    feature_moments,
    have_drifted,
    mean_and_scale,
    merge_moments,
    raw_parameters,
    standard_coordinates,
)
from skmlp._holdout import count_distinct, hold_out
from skmlp._memory_map import assert_finite_in_blocks, give_back, memory_map
from skmlp._monitor import Monitor
from skmlp._network import Network, Parameters
from skmlp._objective import Objective, in_single_precision, row_blocks
from skmlp._parallel import row_threads
from skmlp._rows import check_total, class_counts, total_weight, weigh
from skmlp._schedules import make_schedule
from skmlp._score_test import features_matter
from skmlp._solvers import (
    SGD,
    Adam,
    Result,
    StochasticState,
    minimize_lbfgs,
    minimize_stochastic,
)
from skmlp._targets import ClassLabels, LabelIndicators, targets_of
from skmlp._warnings import warn, warn_once

# The parameters that not every solver uses, and those that do
_SOLVERS_THAT_USE = {
    **dict.fromkeys(("dropout", "batch_size", "shuffle"), ("sgd", "adam")),
    **dict.fromkeys(("learning_rate", "learning_rate_init", "power_t"), ("sgd", "adam")),
    **dict.fromkeys(("momentum", "nesterovs_momentum"), ("sgd",)),
    **dict.fromkeys(("beta_1", "beta_2", "epsilon"), ("adam",)),
    "max_fun": ("lbfgs",),
}


def _has_partial_fit(estimator):
    """Whether single epochs make sense; raise the reason if they do not."""
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for the stochastic solvers 'sgd' and 'adam', "
            "not for solver='lbfgs'."
        )
    if estimator.early_stopping and estimator.early_stopping != "auto":
        raise AttributeError(
            "partial_fit does not support early_stopping=True: a call is one epoch, so "
            "there is nothing to stop."
        )
    return True


class MLPClassifierManual(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClassifierMixin,
    BaseEstimator,
):
    """Multilayer perceptron classifier, trained by closed-form gradients.

    The reference model has one hidden layer of logistic units: for a row x,
    ``h = sigmoid(x W + b)`` and ``y = softmax(h V + d)``. Training minimises, for every
    solver and every batch size, the one objective ::

        F = (1/S) [sum_i s_i (-log y_i[class of i]) + (alpha/2) (||W||^2 + ||V||^2)]

    where s_i is the weight of row i (sample weight times class weight) and S the sum of the
    weights over the whole training set; the penalty is on the weights of standardised
    features (see `standardize`). Weight 2 on a row is the row twice, and weight 0 is
    the row left out (though its label still counts as a class). If y is a multilabel
    indicator matrix, each of its columns has a logistic output, ``y = sigmoid(h V + d)``,
    and the loss of a row is the sum of their cross-entropies.

    The parameters have the names and meanings of `sklearn.neural_network.MLPClassifier`;
    where an effect differs, it is said below. They are grouped: architecture
    (`hidden_layer_sizes` to `dropout`), objective (`alpha` to `standardize`), solver
    (`solver` to `epsilon`), stopping (`max_iter` to `validation_fraction`) and output
    (`verbose`).

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer. Empty means none: multinomial logistic regression.

    activation : {'identity', 'logistic', 'tanh', 'relu'}, default='logistic'
        Nonlinearity of the hidden layers: z, 1 / (1 + exp(-z)), tanh(z) or max(0, z).
        (MLPClassifier's default is 'relu'.)

    dropout : float in [0, 1), default=0.0
        Probability that a hidden unit is left out, anew for each row of each mini-batch.
        The outputs that stay are divided by 1 - dropout (inverted dropout), so that
        nothing changes for prediction. In the gradient, a hidden layer's residual is
        multiplied by the same mask m (0, or 1 / (1 - dropout)) as its output:
        ``(delta V^T) * m * phi'(h)``. Works with 'sgd' and 'adam' only, and takes memory
        for all hidden units of a mini-batch.

    alpha : float or 'auto', default='auto'
        Strength of the L2 penalty on the weights; biases are not penalised. It weighs
        against the *sum* of the losses, as in the formula above, and so means the same
        for every batch size: a normal prior of precision alpha on each weight [7]_.
        'auto' chooses it, as `alpha_`, by the loss on held-out rows: fits by L-BFGS on
        some 2400 of the rows or fewer, all from one start and stopped as the fit will be,
        of decades around the mean weight of a distinct row, of more if an end is the best
        (0.001 to 100 times that weight), and of a half decade beside the best. All rows
        are then fitted with what was chosen, whatever the unit of the weights is. The
        held-out rows are those of the validation set, if there is one. With fewer than 30
        distinct rows it is that weight times their number squared over 4000, and the
        start is the best of eight; in `partial_fit` it is 0.0001. A fit that
        goes on, by `warm_start` or `partial_fit`, keeps the choice.

    class_weight : dict or 'balanced', default=None
        Weights of the classes, ``{label: weight}``; they multiply the weights of the rows
        in the training loss and in the validation loss, but not in other scores. Classes
        that are not named weigh 1. 'balanced' gives every class of the training set the
        same total weight. Not for multilabel y.

    standardize : bool, default=True
        Whether to train in standardised coordinates: as if the features had been divided
        by their standard deviation after subtraction of their mean, and the hidden
        layers' logistic outputs centred at 1/2 [8]_. (The divisor is at least a tenth of
        the largest distance from the mean: so rare words and categories get no leverage.)
        A change of variables does it: X is not copied, sparse X stays sparse, and `coefs_`
        act on X as it is. The penalty is then on the weights of the standardised features.
        Data that are standardised already lose nothing; the hidden layers still learn
        faster, and start at a scale that was derived for them [9]_. In `partial_fit` means
        and deviations follow the data, which does not change what the net computes. With
        `warm_start` those of the first call are kept.

    solver : {'auto', 'lbfgs', 'sgd', 'adam'}, default='auto'
        Full-batch L-BFGS, stochastic gradient descent with momentum, or Adam. 'auto' is
        'lbfgs', and 'adam' for `dropout` and in `partial_fit`, where 'lbfgs' can't be.

    random_state : int, RandomState instance or None, default=None
        Draws the initial parameters, the order of the rows, the units that drop out and
        the validation set. An int makes fits reproducible to the bit, whatever the number
        of threads.

    warm_start : bool, default=False
        Whether `fit` goes on from the parameters of the previous call. With 'sgd' and
        'adam' it goes on exactly, momentum and order of rows included: two such fits of
        10 epochs are one of 20. After early stopping or an interrupt the momentum
        starts at zero. Patience, and a learning rate that depends on how far the training
        is, start afresh.

    batch_size : int or 'auto', default='auto'
        Rows in a mini-batch; 'auto' is min(200, n_samples). Used by 'sgd' and 'adam'.

    shuffle : bool, default=True
        Whether rows are shuffled before each epoch. Used by 'sgd' and 'adam'.

    learning_rate : {'constant', 'invscaling', 'adaptive', 'cosine', 'one_cycle'} or \
            callable, default='constant'
        Schedule of the learning rate, for 'sgd' and for 'adam' (where MLPClassifier
        ignores it).

        - 'constant' keeps `learning_rate_init`;
        - 'invscaling' divides it by ``(t_ + 1) ** power_t`` after each epoch;
        - 'adaptive' divides it by 5 whenever progress stalls for more than
          `n_iter_no_change` epochs, until it is 1e-6;
        - 'cosine' lowers it along half a cosine to 0 at the end of training [4]_;
        - 'one_cycle' raises it from 1/25 of `learning_rate_init` to all of it in the first
          30% of training, and lowers it to almost 0 in the rest [5]_;
        - a callable maps the fraction of training, in [0, 1), to the learning rate itself.

        The last three plan for `max_iter` epochs: a stalled training loss does not end
        the fit before, early stopping does. `max_iter` calls of `partial_fit` count as
        one training, and then the next begins.

    learning_rate_init : float, default=0.001
        The initial learning rate, or for 'one_cycle' the largest. Used by 'sgd' and
        'adam'.

    power_t : float, default=0.5
        Exponent of 'invscaling'.

    momentum : float in [0, 1], default=0.9
        Momentum of 'sgd'.

    nesterovs_momentum : bool, default=True
        Whether 'sgd' uses Nesterov's momentum.

    beta_1, beta_2 : float in [0, 1), default=0.9 and 0.999
        Decay rates of Adam's first and second moments.

    epsilon : float, default=1e-8
        Adam's guard against division by zero.

    max_iter : int, default=200
        Most iterations: epochs for 'sgd' and 'adam'.

    max_fun : int, default=15000
        Most evaluations of the objective. Used by 'lbfgs'.

    tol : float, default=2e-4
        A fit stops when the loss (with early stopping, the validation score) has not
        improved by `tol` for more than `n_iter_no_change` iterations, with every solver.
        For losses `tol` is per bit: where the entropy of the classes is less than one bit,
        as with rare events, it is multiplied by it. 'lbfgs' goes on while the loss falls
        faster than before, or its gradient grows: that is a plateau, not the end.
        'lbfgs' also stops when the loss can't be lowered within the precision of the
        data's type, as it is to with ``tol=0``.

    n_iter_no_change : int or inf, default=10
        Iterations without improvement that are forgiven.

    early_stopping : bool or 'auto', default=False
        Whether to stop when the score on a validation set no longer improves, with every
        solver, 'lbfgs' included. The parameters with the best score of the call are kept,
        also when the fit goes on to `max_iter`. The validation set is the one given to
        `fit`; without it, rows are held out (no copy of a row is in both sets). 'auto'
        stops early if a validation set is given or there are more than 10,000 rows.

    scoring : str, callable or None, default='loss'
        The score of the validation set, higher is better: 'loss' is the negative log-loss;
        a str the name of a scorer (:ref:`scoring_parameter`), a callable
        ``scorer(estimator, X, y)``; None is the estimator's own `score`, the accuracy
        (which is what MLPClassifier watches).

    validation_fraction : float in (0, 1), default=0.1
        Share of the weight of each class to hold out, rounded up to whole distinct rows.
        (If y is multilabel, share of all rows.) Used with early stopping if no validation
        set is given.

    verbose : bool or int, default=False
        Whether to print a line after each iteration: the training loss, the validation loss
        and score if there is a validation set, and the seconds since the start.

    Attributes
    ----------
    alpha_ : float
        The `alpha` of the objective, given or chosen.

    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted; for multilabel y the numbers of its columns.

    coefs_ : list of ndarray of shape (fan_in, fan_out)
        Weights of each layer; ``coefs_[0]`` and ``coefs_[1]`` are W and V above. With
        `intercepts_`, they are views of one flat vector, until they are pickled.

    intercepts_ : list of ndarray of shape (fan_out,)
        Biases of each layer; ``intercepts_[0]`` and ``intercepts_[1]`` are b and d.

    loss_ : float
        The objective at the end: for 'lbfgs', its value; for 'sgd' and 'adam', the mean
        over the batches of the epoch. With early stopping, that of the iteration
        whose parameters are kept.

    best_loss_ : float or None
        The smallest value of the loss curve in this fit; None with early stopping.

    loss_curve_ : list of float
        The loss after each iteration, with every solver. `warm_start` and `partial_fit`
        append to it.

    validation_loss_curve_ : list of float or None
        Log-loss on the validation set after each iteration (without penalty); None without
        a validation set.

    validation_scores_ : list of float or None
        Score of the validation set after each iteration, by `scoring`; None without
        a validation set.

    best_validation_score_ : float or None
        The largest of this fit's validation scores, that of the parameters that are kept if
        the fit stops early; None without a validation set.

    best_iteration_ : int or None
        Index into the curves of the iteration whose parameters are kept; None without
        early stopping.

    n_iter_ : int
        Iterations of the last call.

    t_ : int
        Training rows seen: the sum of rows times iterations over all calls that went on
        from one another.

    n_layers_ : int
        Layers, input and output included.

    n_outputs_ : int
        Output units: one a class, also for two classes.

    out_activation_ : str
        'softmax', or 'logistic' for multilabel y.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if `X` had them and they are all strings.

    See Also
    --------
    sklearn.neural_network.MLPClassifier : The classifier whose vocabulary this one shares.
    sklearn.linear_model.LogisticRegression : The same model without hidden layer.
    LossCurveDisplay : Draws `loss_curve_` and `validation_loss_curve_`.

    Notes
    -----
    A parameter that the chosen solver does not use is announced by a warning if it is not
    at its default. So is a fit that ends no better than a constant prediction of the
    classes' shares, although the features tell the classes apart.

    float32 data are trained and predicted in float32, all other data in float64; 'lbfgs'
    fits many dense rows in float32 until progress is slow, and then in float64, if
    `max_iter` leaves time for it. Sparse data are never made dense.

    References
    ----------
    .. [1] D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by
       back-propagating errors", Nature 323 (1986).
    .. [2] X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward
       neural networks", AISTATS 2010 (eq. 16: the scale of the initial parameters).
    .. [3] D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    .. [4] I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts",
       ICLR 2017 (eq. 5).
    .. [5] L. N. Smith, N. Topin, "Super-convergence: very fast training of neural networks
       using large learning rates", 2019, arXiv:1708.07120.
    .. [6] N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
       overfitting", JMLR 15 (2014).
    .. [7] D. J. C. MacKay, "A practical Bayesian framework for backpropagation networks",
       Neural Computation 4 (1992).
    .. [8] Y. LeCun, L. Bottou, G. Orr, K.-R. Mueller, "Efficient BackProp", in Neural
       Networks: Tricks of the Trade, 1998, sections 4.3 and 4.4.
    .. [9] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015
       (eq. 10).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from skmlp import MLPClassifierManual
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> model = MLPClassifierManual(random_state=0).fit(X_train, y_train)
    >>> model.score(X_test, y_test) > 0.96
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012, scikit-learn's convention
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "alpha": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "standardize": ["boolean"],
        "solver": [StrOptions({"auto", "lbfgs", "sgd", "adam"})],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "batch_size": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "shuffle": ["boolean"],
        "learning_rate": [
            StrOptions({"constant", "invscaling", "adaptive", "cosine", "one_cycle"}),
            callable,
        ],
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

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="logistic",
        *,
        dropout=0.0,
        alpha="auto",
        class_weight=None,
        standardize=True,
        solver="auto",
        random_state=None,
        warm_start=False,
        batch_size="auto",
        shuffle=True,
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        max_iter=200,
        max_fun=15000,
        tol=2e-4,
        n_iter_no_change=10,
        early_stopping=False,
        scoring="loss",
        validation_fraction=0.1,
        verbose=False,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.alpha = alpha
        self.class_weight = class_weight
        self.standardize = standardize
        self.solver = solver
        self.random_state = random_state
        self.warm_start = warm_start
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.max_iter = max_iter
        self.max_fun = max_fun
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X,
        y,
        sample_weight=None,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
        coefs_init=None,
        intercepts_init=None,
    ):
        """Fit the network to data X and labels y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data. CSR is used as it is, other sparse formats are converted to it.

        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_outputs)
            The class labels, or for multilabel classification an indicator matrix.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, at least 0; None means 1 each.

        X_val, y_val : {array-like, sparse matrix}, default=None
            A validation set, given together; shapes and labels as of `X` and `y`. The loss
            and score on it are recorded after each iteration. With `early_stopping` True
            or 'auto' they also decide when to stop and which parameters are kept. In a
            pipeline, ``Pipeline(..., transform_input=["X_val"])`` transforms `X_val` as it
            does `X`; passed as ``<step>__X_val`` it arrives untransformed.

        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of the rows of the validation set.

        coefs_init : list of array-like of shape (fan_in, fan_out), default=None
            Weights of each layer to start from, in the shapes of `coefs_`; None draws
            them at random. The fit then starts afresh, also with `warm_start`.

        intercepts_init : list of array-like of shape (fan_out,), default=None
            Biases of each layer to start from, likewise.

        Returns
        -------
        self : MLPClassifierManual
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or a parameter are not valid, `dropout` is used with 'lbfgs', the
            validation set of early stopping cannot be drawn, or training diverges. The
            estimator is then as it was before the call.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skmlp import MLPClassifierManual
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifierManual(solver="lbfgs", tol=1e-2, random_state=0)
        >>> model.fit(X, y).n_features_in_
        4

        With a validation set of one's own:

        >>> model = MLPClassifierManual(solver="lbfgs", early_stopping=True, random_state=0)
        >>> model = model.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
        >>> len(model.validation_loss_curve_) == model.n_iter_
        True
        """
        has_validation_set = any(
            given is not None for given in (X_val, y_val, sample_weight_val)
        )
        self._warn_of_unused_parameters(has_validation_set)
        with _unchanged_on_error(self), np.errstate(all="ignore"):
            go_on = self._goes_on(coefs_init, intercepts_init)
            task = self._begin_task(X, y, sample_weight)
            X, y, sample_weight = self._check_data(X, y, sample_weight)
            targets = targets_of(y)
            self._set_targets(targets, go_on)
            class_weights = targets.class_weights(self.class_weight, y, sample_weight)
            rows = self._rows(X, y, sample_weight, class_weights)
            validation = None
            if has_validation_set:
                validation = self._check_validation_set(
                    X_val, y_val, sample_weight_val, class_weights, X.dtype
                )
            self._train(
                rows,
                validation,
                coefs_init=coefs_init,
                intercepts_init=intercepts_init,
                task=task,
            )
            if task is not None:
                task.end(dict)
            return self

    @available_if(_has_partial_fit)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch over the given rows.

        Successive calls go on exactly where the last one stopped, momentum included. (After
        a `fit` without `warm_start`, which keeps no momentum, it starts at zero.) The mean
        in the objective is taken over the rows of this call. Callbacks are not called.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.

        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_outputs)
            The class labels, which need not contain all classes, or an indicator matrix.

        classes : array-like of shape (n_classes,), default=None
            All classes that any call will see; for an indicator matrix the numbers of its
            columns. Required in the first call.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, at least 0; None means 1 each.

        Returns
        -------
        self : MLPClassifierManual
            The updated estimator.

        Raises
        ------
        AttributeError
            With solver='lbfgs' or early_stopping=True, which have no single epochs.
        ValueError
            If `classes` is missing in the first call or differs from it later, if `y` has
            other labels, if class_weight='balanced', if the data are not valid, or training
            diverges. The estimator is then as it was before the call.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skmlp import MLPClassifierManual
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifierManual(learning_rate_init=0.01, random_state=0)
        >>> for _ in range(100):
        ...     for start in range(3):  # every third flower: the data come in chunks
        ...         _ = model.partial_fit(X[start::3], y[start::3], classes=[0, 1, 2])
        >>> model.score(X, y) > 0.95
        True
        """
        self._validate_params()
        self._warn_of_unused_parameters(False, incremental=True)
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' is not supported by partial_fit, which sees one "
                "part of the data at a time. Compute the weights from all labels, or from "
                "what is known of them, with sklearn.utils.compute_class_weight('balanced',"
                " classes=classes, y=y), and pass them as a dict."
            )
        with _unchanged_on_error(self), np.errstate(all="ignore"):
            first = _check_partial_fit_first_call(self, classes)
            X, y, sample_weight = self._check_data(X, y, sample_weight, incremental=True)
            if first:
                kind = type(targets_of(y))
                self._set_targets(kind(self.classes_))
            targets = self._targets()
            targets.check(y)
            class_weights = targets.class_weights(self.class_weight, y, sample_weight)
            rows = self._rows(X, y, sample_weight, class_weights)
            self._train(rows, incremental=True)
            return self

    def predict(self, X):
        """Predict the most probable class of each row, or its probable labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.

        Returns
        -------
        y : {ndarray, sparse matrix} of shape (n_samples,) or (n_samples, n_outputs)
            Class labels; for multilabel data, 1 where a label's probability exceeds 1/2, as
            a sparse matrix if y was sparse in training.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skmlp import MLPClassifierManual
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifierManual(solver="lbfgs", tol=1e-2, random_state=0).fit(X, y)
        >>> model.predict(X[::50])
        array([0, 1, 2])
        """
        Z = self._evaluate(X)
        return self._targets().predict(Z)

    def predict_proba(self, X):
        """Predict the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; for multilabel data, each is the
            probability of a label on its own.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skmlp import MLPClassifierManual
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifierManual(solver="lbfgs", tol=1e-2, random_state=0).fit(X, y)
        >>> model.predict_proba(X[::50]).round(1)
        array([[1., 0., 0.],
               [0., 1., 0.],
               [0., 0., 1.]])
        """
        return self._evaluate(X, finish="proba")

    def predict_log_proba(self, X):
        """Predict the logarithm of the probability of each class.

        Computed from the logits: finite where the probability itself underflows to 0.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skmlp import MLPClassifierManual
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifierManual(solver="lbfgs", tol=1e-2, random_state=0).fit(X, y)
        >>> model.predict_log_proba(X[::50]).argmax(axis=1)
        array([0, 1, 2])
        """
        return self._evaluate(X, finish="log_proba")

    def decision_function(self, X):
        """Compute a score for each class: its log-probability, or log-odds of two classes.

        These are the logits but for a number that is added to all those of a row, which the
        softmax does not see: so scores of different rows can be compared, as calibration
        does.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.

        Returns
        -------
        decision : ndarray of shape (n_samples, n_classes) or (n_samples,)
            For two classes the log-odds of ``classes_[1]``, the difference of the two
            logits; for multilabel data the log-odds of each label.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skmlp import MLPClassifierManual
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifierManual(solver="lbfgs", tol=1e-2, random_state=0).fit(X, y)
        >>> model.decision_function(X[::50]).argmax(axis=1)
        array([0, 1, 2])
        """
        Z = self._evaluate(X)
        return self._targets().decision(Z)

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
        return self.hidden_activations(X) if self.n_layers_ > 2 else self._check_features(X)

    @property
    def _n_features_out(self):
        """Number of columns that `transform` returns."""
        return len(self.coefs_[-1])

    def _solver(self, incremental=False):
        """The solver that 'auto' stands for, or that was named."""
        if self.solver != "auto":
            return self.solver
        return "adam" if incremental or self.dropout else "lbfgs"

    def _warn_of_unused_parameters(self, has_validation_set, incremental=False):
        """Raise or warn where a parameter was set that has no part in the fit."""
        solver = self._solver(incremental)
        if self.dropout and solver == "lbfgs":
            raise ValueError(
                f"dropout={self.dropout} works with solver='sgd' and 'adam', not with "
                "'lbfgs': it draws other units for every mini-batch."
            )
        unused = {
            name: (
                f"solver={self.solver!r}" + f", here {solver!r}" * (self.solver == "auto"),
                f"solver={' and '.join(f'{solver!r}' for solver in solvers)}",
            )
            for name, solvers in _SOLVERS_THAT_USE.items()
            if solver not in solvers
        }
        stops_early = "early_stopping=True or 'auto'"
        if not self.early_stopping:
            unused["validation_fraction"] = "early_stopping=False", stops_early
            if self._has_planned_rate(solver):
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
        if not self._hidden_sizes():
            unused["dropout"] = "hidden_layer_sizes=()", "hidden layers"
        for name, (present, needed) in unused.items():
            value = getattr(self, name)
            if value != _DEFAULTS[name].default:
                warn_once(
                    f"{name}={value!r} has no effect with {present}; it works with "
                    f"{needed}.",
                    subject=name,
                )

    def _goes_on(self, coefs_init, intercepts_init):
        """Whether a fit goes on from the last; if not, what that left is removed."""
        is_given = coefs_init is not None or intercepts_init is not None
        go_on = self.warm_start and hasattr(self, "coefs_") and not is_given
        if not go_on:
            self._forget()
        return go_on

    def _targets(self):
        """What y is, as far as the fitted attributes tell."""
        if self.out_activation_ == "softmax":
            return ClassLabels(self.classes_)
        return LabelIndicators(self.classes_, self._has_sparse_labels_)

    def _set_targets(self, targets, go_on=False):
        if go_on and not (
            targets.output == self.out_activation_
            and np.array_equal(targets.classes, self.classes_)
        ):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the "
                f"previous call to fit. Previously got {self.classes_}, `y` has "
                f"{targets.classes}"
            )
        self.out_activation_, self.classes_ = targets.output, targets.classes
        self._has_sparse_labels_ = getattr(targets, "is_sparse", False)

    def _check_data(self, X, y, sample_weight, dtype=None, incremental=False):
        """Validate X (dense or CSR), y (labels or indicators) and weights, or None.

        With `dtype`, the data must match those that were seen before.
        """
        reset = dtype is None and not hasattr(self, "coefs_")
        if dtype is None:
            dtype = (np.float64, np.float32) if reset else self.coefs_[0].dtype
        multilabel = getattr(y, "ndim", None) != 1 and is_multilabel(y)
        shape = getattr(y, "shape", ())
        if len(shape) == 2 and shape[1] > 1 and not multilabel:
            y = check_array(y, accept_sparse=True, dtype=None, input_name="y")
            raise ValueError(
                "y should be a 1d array of labels, or an indicator matrix with the numbers "
                f"0 and 1, got an array of shape {shape} and dtype {y.dtype}. For several "
                "classes of several values, use sklearn.multioutput.MultiOutputClassifier."
            )
        X, y = self._validate(
            X,
            y,
            dtype=dtype,
            # mini-batches gather rows, which lie together in C order only
            order=None if self._solver(incremental) == "lbfgs" else "C",
            multi_output=multilabel,
            reset=reset,
        )
        check_classification_targets(y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        return X, y, sample_weight

    def _rows(self, X, y, sample_weight, class_weights):
        """Validated data with encoded labels; ValueError if no row has a weight."""
        rows = weigh(X, self._targets().encode(y), sample_weight, class_weights)
        check_total(total_weight(rows))
        return rows

    def _check_validation_set(self, X, y, sample_weight, class_weights, dtype):
        if X is None or y is None:
            raise ValueError("A validation set needs both X_val and y_val.")
        try:
            X, y, sample_weight = self._check_data(X, y, sample_weight, dtype)
            self._targets().check(y)
            return self._rows(X, y, sample_weight, class_weights)
        except ValueError as error:
            raise ValueError(f"In the validation set: {error}") from error

    def _train(
        self,
        rows,
        validation=None,
        *,
        coefs_init=None,
        intercepts_init=None,
        task=None,
        incremental=False,
    ):
        """Minimise the objective over validated data, and set the fitted attributes."""
        scorer = None if self.scoring == "loss" else check_scoring(self, self.scoring)
        network = self._network(rows.X.shape[1])
        drawn = None if hasattr(self, "coefs_") else self._draw(network, rows.X.dtype)
        stops_early = not incremental and self.early_stopping
        if stops_early == "auto":
            stops_early = validation is not None or rows.X.shape[0] > 10_000
        if stops_early and validation is None:
            rows, validation = self._hold_out(rows)
        n_blocks = len(row_blocks(rows.X.shape[0], network, rows.X.dtype))
        # 2 even of few rows: large products of mini-batches are shared by two threads
        with row_threads(max(n_blocks, 2)) as map_rows:
            if incremental and getattr(self, "_feature_moments_", None) is not None:
                self._follow_features(network, feature_moments(rows.X, rows.weights))
            coordinates = self._coordinates(
                network, rows.X.dtype, lambda: feature_moments(rows.X, rows.weights)
            )
            theta = self._start(network, drawn, coordinates, coefs_init, intercepts_init)
            make_objective = partial(_objective, network, coordinates, map_rows)
            of_classes = class_counts(rows.targets, rows.weights, len(self.classes_))
            of_classes /= total_weight(rows)
            entropy = network.output.entropy(of_classes)
            theta, found = self._set_alpha(
                partial(self._draw_samples, _sample, rows, validation),
                partial(search_objective, network, coordinates),
                theta,
                network if theta is drawn else None,
                entropy,
                map_rows,
                incremental,
            )
            objective = make_objective(
                rows, self.alpha_, shuffle=self.shuffle, dropout=self.dropout
            )
            validate = None
            if validation is not None:
                held_out = make_objective(validation, 0.0)
                validate = self._validator(held_out, validation, scorer)
            monitor = self._monitor(entropy, validate, stops_early, incremental)
            if task is not None:
                monitor.notify = self._notifier(objective, monitor, task)
            self._solve(objective, theta, monitor, of_classes, incremental, found)

    def _hold_out(self, rows):
        """Rows to train on, and rows for early stopping to look at."""
        if rows.weights is not None:
            rows = rows.where(rows.weights > 0)  # where they could not be left out
        strata, names = self._targets().strata(rows.targets)
        train, others = hold_out(
            rows.X,
            strata,
            rows.sample_weight,
            names=names,
            fraction=self.validation_fraction,
            seed=self._seed_,
        )
        return rows.where(train), rows.where(others)

    def _draw(self, network, dtype):
        """Draw the initial parameters, and what all else that is random follows from."""
        random_state = check_random_state(self.random_state)
        theta = network.initialize(random_state, dtype, self.standardize)
        self._seed_ = int(random_state.randint(np.iinfo(np.int32).max))
        return theta

    def _coordinates(self, network, dtype, moments):
        """Those that the network is trained in: of a fit that goes on, the same as before.

        Parameters
        ----------
        network : Network
        dtype : {float32, float64}
        moments : callable
            Returns the features' moments.
        """
        if not hasattr(self, "coefs_"):
            self._feature_moments_ = self._feature_scaling_ = None
            if self.standardize:
                self._feature_moments_ = moments()
                self._feature_scaling_ = mean_and_scale(self._feature_moments_)
        if self._feature_scaling_ is None:
            return None
        return standard_coordinates(network, *self._feature_scaling_, dtype)

    def _follow_features(self, network, moments):
        """Let the coordinates follow the features of a stream; see `Coordinates.follow`."""
        self._feature_moments_ = merge_moments(self._feature_moments_, moments)
        scaling = mean_and_scale(self._feature_moments_)
        if not have_drifted(self._feature_scaling_, scaling):
            return
        dtype = self.coefs_[0].dtype
        old, new = (
            standard_coordinates(network, *each, dtype)
            for each in (self._feature_scaling_, scaling)
        )
        theta = self._start(network, None, old, None, None)
        state = getattr(self, "_moments_", {})
        vectors = [np.array(vector) for vector in state.get("vectors", [])]
        old.follow(theta, vectors, network, new)
        if state:
            self._moments_ = state | {"theta": theta, "vectors": vectors}
        self._feature_scaling_ = scaling
        _, self.coefs_, self.intercepts_ = raw_parameters(network, new, theta)

    def _draw_samples(self, sample, rows, validation, seed):
        """Rows for the search to train on, and to validate on or None."""
        targets = self._targets()
        if validation is not None:
            validation = sample(validation, targets, seed)
        return sample(rows, targets, seed), validation

    def _set_alpha(
        self, draw, make_objective, theta, network, entropy, map_fits, incremental=False
    ):
        """Choose alpha, or take it as it is given; a fit that goes on keeps its choice.

        Rows that are too few to choose alpha by choose the start.

        Parameters
        ----------
        draw : callable
            ``draw(seed)`` returns training rows and validation rows, or None for these.
        make_objective : callable
            ``make_objective(rows, alpha, map=map)`` returns an objective.
        theta : ndarray of shape (P,)
        network : Network or None
            Draws other starts; None if this one is to be kept.
        entropy : float
        map_fits : callable
            A ``map`` for the fits of the search.
        incremental : bool

        Returns
        -------
        theta : ndarray of shape (P,)
            To start from.
        found : ndarray of shape (P,) or None
            Where the search's fit to a part of the rows ended.
        """
        found = None
        if self.alpha != "auto":
            self.alpha_ = float(self.alpha)
        elif hasattr(self, "alpha_"):
            pass
        elif incremental:
            self.alpha_ = _ALPHA_OF_PARTS
        else:
            rows, validation = draw(self._seed_)
            strata, _ = self._targets().strata(rows.targets)
            if validation is None:
                splits = draw_splits(rows, strata, self._seed_)
            else:
                splits = [(sample(rows, strata, self._seed_, TRAINING_ROWS), validation)]
            total = total_weight(rows)
            make_monitor = partial(
                Monitor, self.tol * _bits(entropy), self.n_iter_no_change
            )
            losses, trained = search_alpha(
                make_objective,
                theta,
                splits,
                total_weight=total,
                unit=total / count_distinct(rows.X, strata),
                entropy=entropy,
                make_monitor=make_monitor,
                map_fits=map_fits,
            )
            self.alpha_ = min(losses, key=losses.get)
            found = trained[self.alpha_]
            if not splits and network is not None:
                random_state = np.random.RandomState(self._seed_)
                others = [
                    network.initialize(random_state, theta.dtype, self.standardize)
                    for _ in range(_N_OTHER_STARTS)
                ]
                objective = make_objective(rows, self.alpha_)
                theta = best_start(objective, [theta, *others], make_monitor)
        return theta, found

    def _solve(self, objective, theta, monitor, shares, incremental=False, found=None):
        """Minimise any objective of a network's flat vector; set the fitted attributes."""
        try:
            result = self._minimize(objective, theta, monitor, incremental, found)
        except KeyboardInterrupt as interrupt:
            if not monitor.losses:
                raise
            last = Result(monitor.theta, monitor.losses[-1], len(monitor.losses), True)
            self._publish(last, monitor, objective, incremental)
            which = "last" if monitor.best_theta is None else "best"
            raise _Interrupted(
                f"Training was interrupted after {last.n_iter} iterations; the estimator "
                f"keeps the parameters of the {which} of them."
            ) from interrupt
        self._publish(result, monitor, objective, incremental)
        if result.converged and not (incremental or monitor.was_stopped):
            self._warn_of_a_constant(result.loss, objective, shares)
        if not (result.converged or incremental):
            warn(result.message, ConvergenceWarning)
        if monitor.watches_score and monitor.scores and monitor.best_theta is None:
            warn(
                "No validation score was a number, so the last parameters are kept, not "
                "the best. Check scoring, and the scale of the validation set.",
            )

    def _warn_of_a_constant(self, loss, objective, shares):
        """Warn where a fit is no better than the classes' shares, but could be."""
        entropy = objective.network.output.entropy(shares)
        if loss > (1 - _NO_BETTER) * entropy > 0 and features_matter(
            objective.network, objective, shares, self._seed_
        ):
            warn(
                "The fit is no better than a constant prediction of the classes' shares: "
                f"its loss is {loss:.6g}, theirs {entropy:.6g}. Yet the features tell the "
                "classes apart. Try a larger n_iter_no_change, another random_state, or "
                f"a weaker penalty than alpha={self.alpha_:.3g}.",
                ConvergenceWarning,
            )

    def _validator(self, objective, rows=None, scorer=None):
        """Loss and score of held-out rows, as a function of the flat vector.

        Without a scorer, the score is the negative loss, and no rows are needed.
        """
        if scorer is None:

            def validate(theta):
                loss = objective.loss(theta)
                return loss, -loss

            return validate
        y = self._targets().decode(rows.targets)
        weights = (
            {} if rows.sample_weight is None else {"sample_weight": rows.sample_weight}
        )

        def validate(theta):
            fitted = copy.copy(self)
            vars(fitted).update(_fitted_attributes(objective, theta))
            vars(fitted).pop("feature_names_in_", None)  # X is an array by now
            return objective.loss(theta), float(scorer(fitted, rows.X, y, **weights))

        return validate

    def _begin_task(self, X, y, sample_weight):
        """What the callbacks follow the fit by; None without callbacks."""
        if not hasattr(self, "_skl_callbacks"):
            return None
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        return FitTask(self, self.max_iter, X, y, metadata)

    def _notifier(self, objective, monitor, task):
        """What tells the callbacks of an iteration."""

        def fitted_attributes():
            return _fitted_attributes(objective, monitor.theta) | self._record(monitor)

        return lambda: task.end_iteration(fitted_attributes)

    def _hidden_sizes(self):
        return np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object)).tolist()

    def _has_planned_rate(self, solver):
        return solver != "lbfgs" and self._schedule().is_planned

    def _schedule(self, first_epoch=0):
        return make_schedule(
            self.learning_rate,
            self.learning_rate_init,
            self.power_t,
            first_epoch=first_epoch,
            n_epochs=self.max_iter,
        )

    def _network(self, n_features):
        sizes = self._hidden_sizes()
        for size in sizes:
            if not isinstance(size, Integral) or isinstance(size, bool) or size < 1:
                raise ValueError(
                    "hidden_layer_sizes must be integers of at least 1, got "
                    f"{size!r} in {self.hidden_layer_sizes!r}."
                )
        sizes = [n_features, *map(int, sizes), len(self.classes_)]
        return Network(sizes, self.activation, self.out_activation_)

    def _start(self, network, drawn, coordinates, coefs_init, intercepts_init):
        """Flat vector to start from: drawn, given, or that of the present parameters."""
        if drawn is not None:
            if coefs_init is None and intercepts_init is None:
                return drawn
            parameters = raw_parameters(network, coordinates, drawn)
            _fill(parameters.coefs, coefs_init, "coefs_init")
            _fill(parameters.intercepts, intercepts_init, "intercepts_init")
        else:
            shapes = [W.shape for W in self.coefs_]
            if shapes != network.coef_shapes:
                raise ValueError(
                    "hidden_layer_sizes has changed: warm_start and partial_fit go on with "
                    f"layers of shapes {shapes}, not {network.coef_shapes}. Set it back, "
                    "or call fit with warm_start=False."
                )
            theta = network.flatten(self.coefs_, self.intercepts_, self.coefs_[0].dtype)
            parameters = network.parameters(theta)
            exact = getattr(self, "_moments_", {}).get("theta")
            if exact is not None:
                vector = raw_parameters(network, coordinates, exact).vector
                if np.array_equal(vector, theta):
                    return exact.copy()
        if coordinates is not None:
            coordinates.from_raw(parameters)
        return parameters.vector

    def _monitor(self, entropy, validate, stops_early, incremental):
        patience = self.n_iter_no_change
        if not stops_early and self._has_planned_rate(self._solver(incremental)):
            patience = np.inf  # the end of the plan tells when it is done
        earlier = {}
        if incremental and getattr(self, "best_loss_", None) is not None:
            earlier = {"best_loss": self.best_loss_, "n_stalled": self._n_stalled_}
        # the calls of partial_fit may each see few classes; a score has a scale of its own
        has_scale = incremental or (stops_early and self.scoring != "loss")
        return Monitor(
            self.tol if has_scale else self.tol * _bits(entropy),
            patience,
            validate,
            watches_score=stops_early,
            verbose=self.verbose,
            **earlier,
        )

    def _minimize(self, objective, theta, monitor, incremental, found):
        solver = self._solver(incremental)
        state = self._take_state(incremental, solver)
        if solver == "lbfgs":
            return minimize_lbfgs(
                objective,
                theta,
                max_iter=self.max_iter,
                max_fun=self.max_fun,
                on_iteration=monitor,
                rough=objective.rough(),
                # what holds up the fit, a saddle point, may not have held up the search
                other=None if monitor.watches_score else found,
            )
        if solver == "sgd":
            rule = SGD(self.momentum, self.nesterovs_momentum)
        else:
            rule = Adam(self.beta_1, self.beta_2, self.epsilon)
        # a fit is a training of its own, and so are max_iter calls of partial_fit
        first_epoch = getattr(self, "_plan_epoch_", 0) if incremental else state.n_epochs
        result = minimize_stochastic(
            objective,
            theta,
            rule,
            self._schedule(first_epoch),
            state=state,
            batch_size=self._batch_size(objective.n_rows, incremental),
            max_iter=1 if incremental else self.max_iter,
            on_iteration=monitor,
            seed=self._seed_,
        )
        self._n_epochs_ = state.n_epochs
        if not incremental:
            self._plan_epoch_ = state.n_epochs
        # Kept where a later call goes on from them, and fits the parameters that are kept
        if incremental or (self.warm_start and not monitor.watches_score):
            self._moments_ = {
                "solver": solver,
                "theta": result.theta.copy(),
                "n_steps": state.n_steps,
                "vectors": state.moments,
            }
            self._n_plateaus_ = state.n_plateaus
        return result

    def _batch_size(self, n_rows, incremental):
        """Rows in a mini-batch; chunks of a stream may be smaller without a warning."""
        batch_size = 200 if self.batch_size == "auto" else self.batch_size
        if self.batch_size != "auto" and batch_size > n_rows and not incremental:
            warn(
                f"batch_size={batch_size} is larger than the {n_rows} training rows: all "
                "of them make one batch."
            )
        return min(batch_size, n_rows)

    def _take_state(self, incremental, solver):
        """State of the earlier calls to go on from; a new one without any.

        The moments leave the estimator: they must not outlive a change of the parameters
        that they have no part in, by another solver or an interrupted run.
        """
        moments = vars(self).pop("_moments_", {})
        n_plateaus = vars(self).pop("_n_plateaus_", 0)
        state = StochasticState(
            n_epochs=getattr(self, "_n_epochs_", 0),
            n_samples=getattr(self, "t_", 0),
            # a new fit has new patience
            n_plateaus=n_plateaus if incremental else 0,
        )
        if moments.get("solver") == solver:
            state.n_steps = moments["n_steps"]
            state.moments = [np.array(vector) for vector in moments["vectors"]]
        return state

    def _publish(self, result, monitor, objective, incremental):
        """Set the fitted attributes; with early stopping, those of the best iteration."""
        if monitor.best_theta is not None:
            result.theta = monitor.best_theta
            result.loss = monitor.losses[monitor.best_iteration]
        fitted = _fitted_attributes(objective, result.theta)
        # in place: the calls of a long stream do not copy the curve of all those before
        join = operator.iadd if incremental else operator.add
        vars(self).update(self._record(monitor, join) | fitted)
        self.loss_ = result.loss
        if not monitor.watches_score:
            self.best_loss_ = min(monitor.best_loss, result.loss)
        self.t_ = getattr(self, "t_", 0) + result.n_iter * objective.n_rows
        self._n_stalled_ = monitor.n_stalled

    def _record(self, monitor, join=operator.add):
        """Attributes of what the monitor has seen, joined to what earlier calls left."""
        before = getattr(self, "loss_curve_", [])
        n_before = len(before)
        record = {
            "n_iter_": len(monitor.losses),
            "loss_": monitor.losses[-1] if monitor.losses else None,
            "loss_curve_": join(before, monitor.losses),
            "best_loss_": None if monitor.watches_score else monitor.best_loss,
            "best_iteration_": None,
            "validation_loss_curve_": None,
            "validation_scores_": None,
            "best_validation_score_": monitor.best_score if monitor.scores else None,
        }
        if monitor.best_iteration is not None:
            record["best_iteration_"] = n_before + monitor.best_iteration
        if monitor.validate is not None:
            for name, values in (
                ("validation_loss_curve_", monitor.validation_losses),
                ("validation_scores_", monitor.scores),
            ):
                # earlier calls may have had no validation set
                earlier = getattr(self, name, None) or [np.nan] * n_before
                record[name] = join(earlier, values)
        return record

    def _forget(self):
        """Remove the fitted attributes."""
        for name in list(filter(_is_fitted, vars(self))):
            delattr(self, name)

    def _evaluate(self, X, layer=-1, finish=None):
        """Validate X; the outputs of a layer for it, finished in place.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n, d)
        layer : int, default=-1
            The logits, or a hidden layer.
        finish : {'proba', 'log_proba'}, optional
            What the logits are turned into.
        """
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        # What is plainly right but for its values, which are looked at block by block,
        # need not go through a validation that takes longer than the prediction of a row
        is_plain = (
            type(X) is np.ndarray
            and X.ndim == 2
            and X.dtype == self.coefs_[0].dtype
            and X.shape[0] > 0
            and X.shape[1] == self.n_features_in_
            and not hasattr(self, "feature_names_in_")
        )
        if not is_plain:
            X = self._check_features(X)
        sizes = [*(len(W) for W in self.coefs_), self.n_outputs_]
        network = Network(sizes, self.activation, self.out_activation_)
        parameters = Parameters(None, self.coefs_, self.intercepts_)
        finish = finish and getattr(network.output, finish)
        outputs = np.empty((X.shape[0], network.layer_sizes[1:][layer]), X.dtype)

        def evaluate(rows):
            block = X[rows]
            Z = network.activations(parameters, block, layer)
            if finish is not None:
                finish(Z)
            outputs[rows] = Z
            is_finite = np.isfinite(block.sum())  # cheap while the block is in cache
            give_back(mapped)
            return is_finite

        mapped = memory_map(X)
        blocks = row_blocks(X.shape[0], network, X.dtype)
        largest_product = X.shape[0] * max(W.size for W in self.coefs_)
        with row_threads(len(blocks), largest_product) as map_rows:
            is_finite = all(list(map_rows(evaluate, blocks)))
        if is_plain and not is_finite:
            self._check_features(X)
        if not np.isfinite(outputs).all():
            warn(
                "Predictions are not finite: X has too large values, or is not finite.",
                RuntimeWarning,
            )
        return outputs

    def _check_features(self, X):
        return self._validate(X, dtype=self.coefs_[0].dtype, reset=False)

    def _validate(self, X, *y, **options):
        """scikit-learn's `validate_data`, which would load all of a memory map."""
        is_mapped = memory_map(X) is not None
        data = validate_data(
            self, X, *y, accept_sparse="csr", ensure_all_finite=not is_mapped, **options
        )
        if is_mapped:
            assert_finite_in_blocks(data[0] if y else data, type(self).__name__)
        return (_canonical(data[0]), *data[1:]) if y else _canonical(data)


_DEFAULTS = inspect.signature(MLPClassifierManual).parameters
# alpha="auto" in partial_fit, whose calls see parts of the data: the penalty weighs against
# the rows of a call, so what suits the whole would be too strong
_ALPHA_OF_PARTS = 1e-4
# Starts that few rows choose from, besides the first
_N_OTHER_STARTS = 7
# Relative difference from the entropy of the classes that is none
_NO_BETTER = 1e-3


def _canonical(X):
    """X, or for a CSR matrix with several entries in one place a copy with their sums."""
    if sparse.issparse(X) and not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def _objective(network, coordinates, map, rows, alpha, **options):
    return Objective(network, *rows[:3], alpha, coordinates=coordinates, map=map, **options)


def _sample(rows, targets, seed):
    strata, _ = targets.strata(rows.targets)
    return sample(rows, strata, seed)


def _bits(entropy):
    """The entropy of the classes in bits, but at most 1, and 1 for a single class."""
    return min(entropy / math.log(2), 1.0) or 1.0


def search_objective(network, coordinates, rows, alpha, map=map):
    """An objective in the same coordinates on few rows, in single precision if possible.

    Alpha is wanted to a factor of 3, and single precision takes half of the time.
    """
    X, coordinates = in_single_precision(rows.X, coordinates)
    return Objective(
        network, X, rows.targets, rows.weights, alpha, coordinates=coordinates, map=map
    )


def _fitted_attributes(objective, theta):
    """What a fitted estimator predicts with."""
    network = objective.network
    theta = theta.astype(objective.dtype, copy=False)
    _, coefs, intercepts = raw_parameters(network, objective.coordinates, theta)
    return {
        "coefs_": coefs,
        "intercepts_": intercepts,
        "n_layers_": len(network.layer_sizes),
        "n_outputs_": network.layer_sizes[-1],
    }


def _fill(arrays, values, name):
    """Copy given initial parameters into the arrays of the layers."""
    if values is None:
        return
    shapes = [array.shape for array in arrays]
    if not hasattr(values, "__len__") or len(values) != len(shapes):
        raise ValueError(
            f"{name} should be a list with an array for each of the {len(shapes)} layers, "
            f"of shapes {shapes}."
        )
    for i, (array, value) in enumerate(zip(arrays, values, strict=True)):
        value = np.asarray(value, array.dtype)
        if value.shape != array.shape:
            raise ValueError(
                f"{name}[{i}] should have shape {array.shape}, got {value.shape}."
            )
        if not np.isfinite(value).all():
            raise ValueError(f"{name}[{i}] should be finite.")
        array[...] = value


class _Interrupted(KeyboardInterrupt):
    """Ctrl-C after which the estimator has what was trained until then."""


@contextmanager
def _unchanged_on_error(estimator):
    """Put the fitted attributes back as they were if anything is raised.

    But after an interrupt in a later iteration than the first, which loses nothing.
    """
    before = {name: value for name, value in vars(estimator).items() if _is_fitted(name)}
    try:
        yield
    except _Interrupted:
        raise
    except BaseException:
        estimator._forget()
        vars(estimator).update(before)
        raise


def _is_fitted(name):
    """Whether an attribute is set by fitting: private or not, its name ends in "_"."""
    return name.endswith("_")
