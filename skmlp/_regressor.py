"""The regressor: a face of the estimator."""

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import d2_pinball_score
from sklearn.utils.metaestimators import available_if

from skmlp._callbacks import with_callbacks
from skmlp._estimator import BaseMLP, has_partial_fit
from skmlp._intake import take
from skmlp._sklearn import StrOptions, fit_context
from skmlp._values import FAMILIES, Values


class MLPRegressorManual(RegressorMixin, BaseMLP):
    """Multilayer perceptron regressor."""

    _reader = Values
    _parameter_constraints: dict = {  # noqa: RUF012, scikit-learn's convention
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions(set(FAMILIES))],
        "quantile": ["array-like", float],
    }

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="logistic",
        *,
        quantile=0.5,
        dropout=0.0,
        alpha="auto",
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
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.quantile = quantile
        self.dropout = dropout
        self.alpha = alpha
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
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = FAMILIES[self.loss].least == 0
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
        """Fit the network to data X and values y."""
        return self._fit(
            take,
            (X, y, sample_weight, groups),
            (X_val, y_val, sample_weight_val),
            (coefs_init, intercepts_init),
        )

    @available_if(has_partial_fit)
    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch over the given rows."""
        return self._fit_chunk(X, y, None, sample_weight)

    def predict(self, X, return_std=False):
        """Predict y, with its standard deviation if it is asked for."""
        if return_std and self.loss != "gaussian":
            raise ValueError(f"return_std needs loss='gaussian', not {self.loss!r}.")
        Z, targets = self._evaluate(X), self._targets()
        if not return_std:
            return targets.predict(Z)
        return targets.predict(Z), targets.deviation(Z)

    def score(self, X, y, sample_weight=None):
        """Compute R2, the share of the variance of y that is explained.

        Of several quantiles it is the mean over these of D2, the share of the check loss
        of the constant that is explained.
        """
        levels = self._targets().levels
        if len(levels) == 1:
            return super().score(X, y, sample_weight)
        scores = [
            d2_pinball_score(y, predicted, sample_weight=sample_weight, alpha=level)
            for predicted, level in zip(self.predict(X).T, levels, strict=True)
        ]
        return float(np.mean(scores))
