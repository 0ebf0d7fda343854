"""The classifier: a face of the estimator."""

from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if

from skmlp._callbacks import with_callbacks
from skmlp._estimator import BaseMLP, has_partial_fit
from skmlp._sklearn import StrOptions, fit_context
from skmlp._targets import Labels


class MLPClassifierManual(ClassifierMixin, BaseMLP):
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
        for every batch size: a normal prior of precision alpha on each weight [7]_. (What
        suits some rows need not suit ten times as many: a fit is one maximum, not the
        posterior.)
        'auto' chooses it, as `alpha_`, by the loss on held-out rows. First, nets are
        fitted by L-BFGS to some 2400 of the rows or fewer, all from one start and stopped
        as the fit will be, with decades around the weight of an observation, more if an
        end is the best (0.001 to 1000 times that weight), and a half decade beside the
        best. From 5000 rows on, the best and its neighbours compete again on three
        times as many rows, and so on, up to 80% of the rows or 38,400. A verdict of few
        held-out rows is drawn towards 0.3 times that weight.
        The validation set is held out, if there is one. Else rows that chance made equal
        are held out one by one, copies of a row together, and so are the rows of each of
        the `groups` given to `fit`. With fewer than 30 observations it is that weight
        times their number squared over 4000, and the start is the best of eight; in
        `partial_fit` it is 0.0001, unless a `fit` has chosen it before. A fit that goes on
        by `warm_start` keeps what a fit has chosen, in units of the weight of an
        observation.
        In `partial_fit` the penalty weighs against the rows seen: in the last fit,
        and in the calls since. A call has the share of it that its weight is; a second
        pass over the same calls, in their order, is not counted again.

    class_weight : dict or 'balanced', default=None
        Weights of the classes, ``{label: weight}``; they multiply the weights of the rows
        in the training loss and in the validation loss, but not in other scores. Classes
        that are not named weigh 1. 'balanced' gives every class of the training set the
        same total weight. Not for multilabel y.

    standardize : bool or {'common', 'wide'}, default=True
        Whether to train in standardised coordinates: as if the features had been divided
        by their standard deviation after subtraction of their mean, and the hidden
        layers' logistic outputs centred at 1/2 [8]_. (The divisor is at least a tenth of
        the largest distance from the mean: so rare words and categories get no leverage.
        Columns with heavy tails, as incomes have, are measured by their median and by the
        distance from it that nine values of ten do not exceed. For other columns, if they
        have one unit, as pixels have, 'common' is one divisor, the root of their mean
        variance, and 'wide' three times that; True takes one of these, where `alpha` is
        chosen, if held-out rows say so: see `standardize_`.
        Columns whose deviation is too small for weights of X's precision, 2e-37 in float32,
        are left out, with a warning.)
        A change of variables does it: X is not copied, sparse X stays sparse, and `coefs_`
        act on X as it is. The penalty is then on the weights of the standardised features.
        Data that are standardised already lose nothing; the hidden layers still learn
        faster, and start at a scale that was derived for them [9]_. In `partial_fit` means
        and deviations follow the data, which does not change what the net computes (but
        for the first 30 rows, and features that were constant until then). With
        `warm_start` a fit keeps the means and deviations of the first call.

    solver : {'auto', 'lbfgs', 'l-bfgs-b', 'newton-cg', 'sgd', 'adam'}, default='auto'
        Full-batch L-BFGS, the same by `scipy.optimize.minimize`, Newton's method with exact
        products with the Hessian in a trust region [10]_, stochastic gradient descent with
        momentum, or Adam. 'auto' is 'lbfgs', and 'adam' for `dropout` and in `partial_fit`,
        where 'lbfgs' can't be. 'l-bfgs-b' is for comparisons: it ends at the same losses as
        'lbfgs', and takes more memory and, with many parameters, more time. 'newton-cg'
        is for few rows and ``standardize=False``, or for a minimum to the last digits, with
        ``tol=0``; elsewhere it takes longer. It does not see the kinks of 'relu', and is
        refused with it, unless there is no hidden layer.

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
        faster than before, or its gradient grows: that is a plateau, not the end; and so
        does 'newton-cg'. Both also stop when the loss can't be lowered within the precision
        of the data's type ('newton-cg': nor its gradient), as they are to with ``tol=0``.

    n_iter_no_change : int or inf, default=10
        Iterations without improvement that are forgiven.

    early_stopping : bool or 'auto', default=False
        Whether to stop when the score on a validation set no longer improves, with every
        solver, 'lbfgs' and 'newton-cg' included. The parameters with the best score of the
        call are kept, also when the fit goes on to `max_iter`. The validation set is the
        one given to `fit`; without it, rows are held out, as for `alpha`: no copy of a row
        is in both sets, and no group of the `groups` given to `fit`. 'auto' stops early if
        a validation set is given or there are more than 10,000 rows.

    scoring : str, callable or None, default='loss'
        The score of the validation set, higher is better: 'loss' is the negative log-loss;
        a str the name of a scorer (:ref:`scoring_parameter`), a callable
        ``scorer(estimator, X, y)``; None is the estimator's own `score`, the accuracy
        (which is what MLPClassifier watches).

    validation_fraction : float in (0, 1), default=0.1
        Share of the weight of each class to hold out, rounded up to whole rows, to all
        copies of them, or to whole groups.
        (If y is multilabel, share of all rows.) Used with early stopping if no validation
        set is given.

    verbose : bool or int, default=False
        Whether to print a line after each iteration: the training loss, the validation loss
        and score if there is a validation set, and the seconds since the start. Before, a
        line for each candidate of the search for alpha, with its held-out loss, and one
        for each iteration of the parts that many rows start from.

    Attributes
    ----------
    alpha_ : float
        The `alpha` of the objective, given or chosen.

    alpha_search_ : dict of ndarray, or None
        The candidates for `alpha`, stage by stage: the rows that each was trained on
        ('n_samples'), its strength ('alpha') and its mean log-loss on held-out rows
        ('held_out_loss'). None if there was no search.

    best_params_ : dict
        What the fit has chosen by itself, as arguments for `set_params`: 'alpha', and a
        divisor in 'standardize' if features share one. A fit with them repeats the choice
        without the search, which is what fits in a loop or in a grid search need.

    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted; for multilabel y the numbers of its columns.

    coefs_ : list of ndarray of shape (fan_in, fan_out)
        Weights of each layer; ``coefs_[0]`` and ``coefs_[1]`` are W and V above. With
        `intercepts_`, they are views of one flat vector, until they are pickled.

    feature_mean_, feature_scale_ : ndarray of shape (n_features,), or None
        What the features were standardised by: subtracted, and divided by; see
        `standardize`. None with ``standardize=False``.

    standardize_ : bool or {'common', 'wide'}
        Which way of `standardize` was taken. With it and `alpha_` as parameters, a fit has
        the objective of this one, without a search.

    intercepts_ : list of ndarray of shape (fan_out,)
        Biases of each layer; ``intercepts_[0]`` and ``intercepts_[1]`` are b and d.

    loss_ : float
        The objective at the end: for 'lbfgs' and 'newton-cg', its value; for 'sgd' and
        'adam', the mean over the batches of the epoch. With early stopping, at
        the iteration whose parameters are kept.

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
        The largest of this fit's validation scores, which the parameters have that are kept
        if the fit stops early; None without a validation set.

    best_iteration_ : int or None
        Index into the curves of the iteration whose parameters are kept; None without
        early stopping.

    n_iter_ : int
        Iterations of the last call, over all rows. (If it was ended before the first, the
        evaluation of the network trained by then counts as one.)

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
    classes' shares, unless the features can't tell more: constant columns, for instance.

    Before a fit by 'lbfgs' or 'newton-cg', equal rows that are observations, as in a table
    of categories, are added up to one row with the sum of their weights. The objective is
    the same, and `t_` counts the rows as they were given.

    float32 data are trained and predicted in float32, all other data in float64; 'lbfgs'
    and 'newton-cg' fit many rows in float32 until progress is slow, and then in
    float64, if `max_iter` leaves time for it; 'sgd' and 'adam' compute the gradients of
    many dense, standardised rows in float32. Sparse data are never made dense.

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
    .. [10] J. Nocedal, S. Wright, "Numerical Optimization", 2nd edition, Springer 2006,
       algorithm 7.2 (T. Steihaug, SIAM J. Numer. Anal. 20, 1983).

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

    _reader = Labels
    _parameter_constraints: dict = {  # noqa: RUF012, scikit-learn's convention
        **BaseMLP._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
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
        tags.classifier_tags.multi_label = True
        return tags

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X,
        y,
        sample_weight=None,
        *,
        groups=None,
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

        groups : array-like of shape (n_samples,), default=None
            Numbers or names of the persons, sites and so on that the rows are of. Where
            rows are held out, to choose `alpha` and for `early_stopping`, all rows of a
            group are: so that the model is chosen for new groups. None means that each row
            stands for itself.

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
            If the data or a parameter are not valid, `dropout` is used with 'lbfgs' or
            'newton-cg', 'relu' with 'newton-cg', the validation set of early stopping
            cannot be drawn, or training diverges. The estimator is then as it was before
            the call.

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
        return self._fit(
            self._take,
            (X, y, sample_weight, groups),
            (X_val, y_val, sample_weight_val),
            (coefs_init, intercepts_init),
        )

    @available_if(has_partial_fit)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch over the given rows.

        Successive calls go on exactly where the last one stopped, momentum included. (After
        a `fit` without `warm_start`, which keeps no momentum, it starts at zero.) The mean
        in the objective is taken over the rows of this call, and the penalty is the share
        of it that these rows are of all that were seen (see `alpha`). Callbacks are not
        called.

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
            With solver='lbfgs' or 'newton-cg', or early_stopping=True, which have no single
            epochs.
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
        return self._fit_chunk(X, y, classes, sample_weight)

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
        return self._evaluate(X, finish="mean")

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
        return self._evaluate(X, finish="log_mean")

    def decision_function(self, X):
        """Compute a score for each class: its log-probability, or log-odds of two classes.

        These are the logits but for a number that is added to all logits of a row, and
        which the softmax does not see: so scores of different rows can be compared, as
        calibration does.

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
