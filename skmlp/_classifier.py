"""The estimator: it validates, chooses the parts, and reports."""

import warnings
from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
)
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from skmlp._holdout import hold_out
from skmlp._losses import log_softmax, softmax
from skmlp._monitor import Monitor
from skmlp._network import Network, Parameters
from skmlp._objective import Objective, row_blocks, row_threads
from skmlp._schedules import make_schedule
from skmlp._solvers import (
    SGD,
    Adam,
    Result,
    StochasticState,
    minimize_lbfgs,
    minimize_stochastic,
)


def _has_partial_fit(estimator):
    """Whether single epochs make sense; raise the reason if they do not."""
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for the stochastic solvers 'sgd' and 'adam', "
            "not for solver='lbfgs'."
        )
    if estimator.early_stopping:
        raise AttributeError(
            "partial_fit does not support early_stopping=True: a call is one epoch, so "
            "there is nothing to stop."
        )
    return True


class MLPClassifierManual(ClassifierMixin, BaseEstimator):
    """Multilayer perceptron classifier, trained by closed-form gradients.

    The reference model has one hidden layer of logistic units: for a row x,
    ``h = sigmoid(x W + b)`` and ``y = softmax(h V + d)``. Training minimises, for every
    solver and every batch size, the one objective ::

        F = (1/S) [sum_i s_i (-log y_i[class of i]) + (alpha/2) (||W||^2 + ||V||^2)]

    where s_i is the sample weight of row i and S the sum of the weights over the
    whole training set. Weight 2 on a row is the row twice, and weight 0 is the row
    left out (though its label still counts as a class). The parameters have the names and
    meanings of `sklearn.neural_network.MLPClassifier`; where an effect differs, it is said
    below.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer. Empty means none: multinomial logistic regression.

    activation : {'identity', 'logistic', 'tanh', 'relu'}, default='logistic'
        Nonlinearity of the hidden layers: z, 1 / (1 + exp(-z)), tanh(z) or max(0, z).
        (MLPClassifier's default is 'relu'.)

    solver : {'lbfgs', 'sgd', 'adam'}, default='adam'
        Full-batch L-BFGS, stochastic gradient descent with momentum, or Adam. L-BFGS is
        usually the fastest to an accurate minimum on up to some ten thousand rows.

    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights; biases are not penalised. It weighs
        against the *sum* of the losses, as in the formula above, and so means the same
        for every batch size.

    batch_size : int or 'auto', default='auto'
        Rows in a mini-batch; 'auto' is min(200, n_samples). Used by 'sgd' and 'adam'.

    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        Schedule of the learning rate, for 'sgd' and for 'adam' (where MLPClassifier
        ignores it). 'constant' keeps `learning_rate_init`; 'invscaling' divides it by
        ``(t_ + 1) ** power_t`` after each epoch; 'adaptive' divides it by 5 whenever
        progress stalls for more than `n_iter_no_change` epochs, until it is 1e-6.

    learning_rate_init : float, default=0.001
        The initial learning rate. Used by 'sgd' and 'adam'.

    power_t : float, default=0.5
        Exponent of 'invscaling'.

    max_iter : int, default=200
        Most iterations: epochs for 'sgd' and 'adam'.

    shuffle : bool, default=True
        Whether rows are shuffled before each epoch. Used by 'sgd' and 'adam'.

    random_state : int, RandomState instance or None, default=None
        Draws the initial parameters, the order of the rows and the validation set. An int
        makes fits reproducible to the bit, whatever the number of threads.

    tol : float, default=1e-4
        'sgd' and 'adam' stop when the loss (with `early_stopping`, the validation score)
        has not improved by `tol` for more than `n_iter_no_change` epochs; 'lbfgs'
        without `early_stopping` stops when no component of the gradient exceeds `tol`, or
        when the loss can't be lowered within the precision of the data's type.

    verbose : bool or int, default=False
        Whether to print a line after each iteration.

    warm_start : bool, default=False
        Whether `fit` goes on from the parameters of the previous call. With 'sgd' and
        'adam' it goes on exactly, momentum and order of rows included: two such fits of
        10 epochs are one of 20. After `early_stopping` or an interrupt the momentum
        starts at zero. Patience, and an 'adaptive' learning rate, start afresh.

    momentum : float in [0, 1], default=0.9
        Momentum of 'sgd'.

    nesterovs_momentum : bool, default=True
        Whether 'sgd' uses Nesterov's momentum.

    early_stopping : bool, default=False
        Whether to hold out a validation set and stop when the accuracy on it no longer
        improves, with every solver, 'lbfgs' included. The parameters with the best
        score are kept. No copy of a row is in both sets.

    validation_fraction : float in (0, 1), default=0.1
        Share of the weight of each class to hold out, rounded up to whole distinct rows.
        Used with `early_stopping`.

    beta_1, beta_2 : float in [0, 1), default=0.9 and 0.999
        Decay rates of Adam's first and second moments.

    epsilon : float, default=1e-8
        Adam's guard against division by zero.

    n_iter_no_change : int or inf, default=10
        Iterations without improvement that are forgiven. Used by 'sgd' and 'adam', and by
        every solver with `early_stopping`.

    max_fun : int, default=15000
        Most evaluations of the objective. Used by 'lbfgs'.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.

    coefs_ : list of ndarray of shape (fan_in, fan_out)
        Weights of each layer; ``coefs_[0]`` and ``coefs_[1]`` are W and V above. With
        `intercepts_`, they are views of one flat vector, until they are pickled.

    intercepts_ : list of ndarray of shape (fan_out,)
        Biases of each layer; ``intercepts_[0]`` and ``intercepts_[1]`` are b and d.

    loss_ : float
        The objective at the end: for 'lbfgs', its value; for 'sgd' and 'adam', the mean
        over the batches of the epoch. With `early_stopping`, that of the iteration
        whose parameters are kept.

    best_loss_ : float or None
        The smallest value of the loss curve in this fit; None with `early_stopping`.

    loss_curve_ : list of float
        The loss after each iteration, with every solver. `warm_start` and `partial_fit`
        append to it.

    validation_scores_ : list of float or None
        Accuracy on the validation set after each iteration; None without
        `early_stopping`.

    best_validation_score_ : float or None
        The largest of this fit's validation scores; None without `early_stopping`.

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
        'softmax'.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` had them and they are all strings.

    See Also
    --------
    sklearn.neural_network.MLPClassifier : The classifier whose vocabulary this one shares.
    sklearn.linear_model.LogisticRegression : The same model without hidden layer.

    Notes
    -----
    Parameters that the chosen solver does not name as its own have no effect on it.

    float32 data are trained and predicted in float32, all other data in float64. Sparse
    data are never made dense.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by
    back-propagating errors", Nature 323 (1986).

    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", AISTATS 2010 (eq. 16: the scale of the initial parameters).

    D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skmlp import MLPClassifierManual
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> model = make_pipeline(
    ...     StandardScaler(),
    ...     MLPClassifierManual(solver="lbfgs", alpha=1.0, random_state=0),
    ... )
    >>> model.fit(X_train, y_train).score(X_test, y_test) > 0.96
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012, scikit-learn's convention
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "activation": [StrOptions({"identity", "logistic", "tanh", "relu"})],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="logistic",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit the network to data X and labels y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data. CSR is used as it is, other sparse formats are converted to it.

        y : array-like of shape (n_samples,)
            The class labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, at least 0; None means 1 each.

        Returns
        -------
        self : MLPClassifierManual
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or a parameter are not valid, the validation set of
            `early_stopping` cannot be drawn, or training diverges. The estimator is then
            as it was before the call.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skmlp import MLPClassifierManual
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifierManual(solver="lbfgs", tol=1e-2, random_state=0)
        >>> model.fit(X, y).n_features_in_
        4
        """
        with _unchanged_on_error(self):
            go_on = self.warm_start and hasattr(self, "coefs_")
            if not go_on:
                self._forget()
            X, y, sample_weight = self._check_data(X, y, sample_weight)
            classes = np.unique(y)
            if go_on and not np.array_equal(classes, self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the "
                    f"previous call to fit. Previously got {self.classes_}, `y` has "
                    f"{classes}"
                )
            self.classes_ = classes
            return self._train(X, y, sample_weight)

    @available_if(_has_partial_fit)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch over the given rows.

        Successive calls go on exactly where the last one stopped, momentum included. (After
        a `fit` without `warm_start`, which keeps no momentum, it starts at zero.) The mean
        in the objective is taken over the rows of this call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.

        y : array-like of shape (n_samples,)
            The class labels; they need not contain all classes.

        classes : array-like of shape (n_classes,), default=None
            All classes that any call will see. Required in the first call.

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
            other labels, if the data are not valid, or training diverges. The estimator
            is then as it was before the call.

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
        with _unchanged_on_error(self):
            _check_partial_fit_first_call(self, classes)
            X, y, sample_weight = self._check_data(X, y, sample_weight)
            unknown = np.setdiff1d(y, self.classes_)
            if unknown.size:
                raise ValueError(
                    f"`y` has classes {unknown} that are not in `self.classes_`, "
                    f"{self.classes_}. Name all classes in the first call of partial_fit."
                )
            return self._train(X, y, sample_weight, incremental=True)

    def predict(self, X):
        """Predict the most probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Class labels.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skmlp import MLPClassifierManual
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifierManual(solver="lbfgs", tol=1e-2, random_state=0).fit(X, y)
        >>> model.predict(X[::50])
        array([0, 1, 2])
        """
        k = self._logits(X).argmax(axis=1)
        return self.classes_[k]

    def predict_proba(self, X):
        """Predict the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.

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
        return self._logits(X, finish=softmax)

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
        return self._logits(X, finish=log_softmax)

    def decision_function(self, X):
        """Compute the logits, the inputs of the softmax.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.

        Returns
        -------
        decision : ndarray of shape (n_samples, n_classes) or (n_samples,)
            For two classes the difference of the two logits, which is the log-odds of
            ``classes_[1]``.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skmlp import MLPClassifierManual
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifierManual(solver="lbfgs", tol=1e-2, random_state=0).fit(X, y)
        >>> model.decision_function(X[::50]).argmax(axis=1)
        array([0, 1, 2])
        """
        Z = self._logits(X)
        return Z[:, 1] - Z[:, 0] if Z.shape[1] == 2 else Z

    def _check_data(self, X, y, sample_weight):
        """Validate training data: X (dense or CSR), y (1-D), weights or None."""
        first = not hasattr(self, "coefs_")
        shape = getattr(y, "shape", ())
        if len(shape) == 2 and shape[1] > 1:
            raise ValueError(
                f"y should be a 1d array of labels, got an array of shape {shape}. For "
                "several labels a row, use sklearn.multioutput.MultiOutputClassifier."
            )
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=(np.float64, np.float32) if first else self.coefs_[0].dtype,
            # mini-batches gather rows, which lie together in C order only
            order=None if self.solver == "lbfgs" else "C",
            reset=first,
        )
        check_classification_targets(y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
            total = sample_weight.sum()
            if total == 0 or not np.isfinite(total):
                raise ValueError(
                    f"The sum of sample_weight must be positive and finite, got {total}."
                )
        return X, y, sample_weight

    def _train(self, X, y, sample_weight, incremental=False):
        """Minimise the objective over validated data, and set the fitted attributes."""
        network = self._network(X.shape[1])
        theta = self._start(network, X.dtype)
        rows = X, np.searchsorted(self.classes_, y), sample_weight
        if sample_weight is not None and not sample_weight.all():
            rows = _take(sample_weight > 0, *rows)
        validation = None
        if self.early_stopping:
            train, held_out = hold_out(
                *rows,
                classes=self.classes_,
                fraction=self.validation_fraction,
                seed=self._seed_,
            )
            validation, rows = _take(held_out, *rows), _take(train, *rows)
        n_blocks = len(row_blocks(rows[0].shape[0], network, X.dtype))
        # 2 even of few rows: large products of mini-batches are shared by two threads
        with row_threads(max(n_blocks, 2)) as map_rows:
            objective = Objective(network, *rows, self.alpha, map=map_rows)
            validate = validation and _accuracy(network, *validation, map_rows)
            monitor = self._monitor(validate, incremental)
            try:
                result = self._minimize(objective, theta, monitor, incremental)
            except KeyboardInterrupt:
                if not monitor.losses:
                    raise
                result = self._interrupted(monitor)
        if not (result.converged or incremental):
            warnings.warn(result.message, ConvergenceWarning, stacklevel=4)
        if monitor.best_theta is not None:
            result.theta = monitor.best_theta
            result.loss = monitor.losses[monitor.best_iteration]
        self._report(network, result, monitor, objective)
        return self

    def _network(self, n_features):
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object)).tolist()
        for size in sizes:
            if not isinstance(size, Integral) or isinstance(size, bool) or size < 1:
                raise ValueError(
                    "hidden_layer_sizes must be integers of at least 1, got "
                    f"{size!r} in {self.hidden_layer_sizes!r}."
                )
        return Network([n_features, *map(int, sizes), len(self.classes_)], self.activation)

    def _start(self, network, dtype):
        """Flat vector to start from: the present parameters, or newly drawn ones."""
        if not hasattr(self, "coefs_"):
            random_state = check_random_state(self.random_state)
            theta = network.initialize(random_state, dtype)
            self._seed_ = int(random_state.randint(np.iinfo(np.int32).max))
            return theta
        shapes = [W.shape for W in self.coefs_]
        if shapes != network.coef_shapes:
            raise ValueError(
                "hidden_layer_sizes has changed: warm_start and partial_fit go on with "
                f"layers of shapes {shapes}, not {network.coef_shapes}. Set it back, or "
                "call fit with warm_start=False."
            )
        return network.flatten(self.coefs_, self.intercepts_, dtype)

    def _monitor(self, validate, incremental):
        patience = self.n_iter_no_change
        if self.solver == "lbfgs" and validate is None:
            patience = np.inf  # the gradient alone tells when L-BFGS is done
        earlier = {}
        if incremental and getattr(self, "best_loss_", None) is not None:
            earlier = {"best_loss": self.best_loss_, "n_stalled": self._n_stalled_}
        return Monitor(self.tol, patience, validate, self.verbose, **earlier)

    def _minimize(self, objective, theta, monitor, incremental):
        state = self._take_state(incremental)
        if self.solver == "lbfgs":
            return minimize_lbfgs(
                objective,
                theta,
                max_iter=self.max_iter,
                max_fun=self.max_fun,
                tol=self.tol,
                on_iteration=monitor,
            )
        if self.solver == "sgd":
            rule = SGD(self.momentum, self.nesterovs_momentum)
        else:
            rule = Adam(self.beta_1, self.beta_2, self.epsilon)
        batch_size = 200 if self.batch_size == "auto" else self.batch_size
        if self.batch_size != "auto" and batch_size > objective.n_rows and not incremental:
            warnings.warn(
                f"batch_size={batch_size} is larger than the {objective.n_rows} training "
                "rows: all of them make one batch.",
                stacklevel=5,
            )
        result = minimize_stochastic(
            objective,
            theta,
            rule,
            make_schedule(self.learning_rate, self.learning_rate_init, self.power_t),
            state=state,
            batch_size=min(batch_size, objective.n_rows),
            max_iter=1 if incremental else self.max_iter,
            on_iteration=monitor,
            seed=self._seed_ if self.shuffle else None,
        )
        self._n_epochs_ = state.n_epochs
        # Kept where a later call goes on from them, and fits the parameters that are kept
        if incremental or (self.warm_start and not self.early_stopping):
            self._moments_ = {
                "solver": self.solver,
                "n_steps": state.n_steps,
                "vectors": state.moments,
            }
            self._n_plateaus_ = state.n_plateaus
        return result

    def _take_state(self, incremental):
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
        if moments.get("solver") == self.solver:
            state.n_steps = moments["n_steps"]
            state.moments = [np.array(vector) for vector in moments["vectors"]]
        return state

    def _interrupted(self, monitor):
        """What Ctrl-C leaves: the record of the iterations that were finished."""
        which = "last" if monitor.best_theta is None else "best"
        warnings.warn(
            f"Training was interrupted after {len(monitor.losses)} iterations; the "
            f"parameters of the {which} of them are kept.",
            stacklevel=5,
        )
        return Result(monitor.theta, monitor.losses[-1], len(monitor.losses), True)

    def _report(self, network, result, monitor, objective):
        """Set the fitted attributes."""
        theta = result.theta.astype(objective.dtype, copy=False)
        _, self.coefs_, self.intercepts_ = network.parameters(theta)
        self.loss_ = result.loss
        self.n_iter_ = result.n_iter
        self.t_ = getattr(self, "t_", 0) + result.n_iter * objective.n_rows
        self.loss_curve_ = getattr(self, "loss_curve_", []) + monitor.losses
        self._n_stalled_ = monitor.n_stalled
        if monitor.validate is None:
            self.best_loss_ = min(monitor.best_loss, result.loss)
            self.validation_scores_ = self.best_validation_score_ = None
        else:
            self.best_loss_ = None
            earlier = getattr(self, "validation_scores_", None) or []
            self.validation_scores_ = earlier + monitor.scores
            self.best_validation_score_ = max(monitor.scores, default=None)
        self.n_layers_ = len(network.layer_sizes)
        self.n_outputs_ = network.layer_sizes[-1]
        self.out_activation_ = "softmax"

    def _forget(self):
        """Remove the fitted attributes: private or not, their names end in "_"."""
        for name in list(vars(self)):
            if name.endswith("_"):
                delattr(self, name)

    def _logits(self, X, finish=None):
        """Validate X; its logits, handed through `finish` in place, if given."""
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
        network = Network(sizes, self.activation)
        parameters = Parameters(None, self.coefs_, self.intercepts_)
        blocks = row_blocks(X.shape[0], network, X.dtype)
        largest_product = X.shape[0] * max(W.size for W in self.coefs_)
        with row_threads(len(blocks), largest_product) as map_rows:
            outputs, is_finite = _blockwise_logits(
                network, parameters, X, map_rows, blocks, finish
            )
        if is_plain and not is_finite:
            self._check_features(X)
        if not np.isfinite(outputs).all():
            warnings.warn(
                "Predictions are not finite: X has too large values, or is not finite.",
                RuntimeWarning,
                stacklevel=3,
            )
        return outputs

    def _check_features(self, X):
        return validate_data(
            self, X, accept_sparse="csr", dtype=self.coefs_[0].dtype, reset=False
        )


def _blockwise_logits(network, parameters, X, map_rows, blocks, finish=None):
    """Logits (n, K) of the rows of X, finished in place, and whether X is finite."""
    outputs = np.empty((X.shape[0], network.layer_sizes[-1]), X.dtype)

    def evaluate(rows):
        block = X[rows]
        Z = network.logits(parameters, block)
        if finish is not None:
            finish(Z)
        outputs[rows] = Z
        return np.isfinite(block.sum())  # cheap while the block is in cache

    is_finite = all(list(map_rows(evaluate, blocks)))
    return outputs, is_finite


def _accuracy(network, X, k, sample_weight, map_rows):
    """Weighted accuracy on held-out rows, as a function of the flat vector."""
    blocks = row_blocks(X.shape[0], network, X.dtype)

    def accuracy(theta):
        parameters = network.parameters(theta.astype(X.dtype, copy=False))
        Z, _ = _blockwise_logits(network, parameters, X, map_rows, blocks)
        return np.average(Z.argmax(axis=1) == k, weights=sample_weight)

    return accuracy


def _take(rows, X, k, sample_weight):
    """The rows of data, labels and weights (which may be None) where a mask is true."""
    return X[rows], k[rows], None if sample_weight is None else sample_weight[rows]


@contextmanager
def _unchanged_on_error(estimator):
    """Put the estimator's attributes back as they were if anything is raised."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
