"""The regressor of tables: a face of the estimator."""

from skmlp._regressor import MLPRegressorManual
from skmlp._tabular._estimator import TabularMLP


class TabularMLPRegressor(TabularMLP, MLPRegressorManual):
    """Multilayer perceptron regressor of tables."""

    _net_type = MLPRegressorManual
    _parameter_constraints: dict = {  # noqa: RUF012, scikit-learn's convention
        **MLPRegressorManual._parameter_constraints,
        **TabularMLP._parameters_of_table,
    }

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="logistic",
        *,
        encoding="auto",
        categorical_features="from_dtype",
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
        max_iter=1000,
        max_fun=15000,
        tol=5e-4,
        n_iter_no_change=10,
        early_stopping=False,
        scoring="loss",
        validation_fraction=0.1,
        verbose=False,
    ):
        self.encoding = encoding
        self.categorical_features = categorical_features
        super().__init__(
            loss,
            hidden_layer_sizes,
            activation,
            quantile=quantile,
            dropout=dropout,
            alpha=alpha,
            standardize=standardize,
            solver=solver,
            random_state=random_state,
            warm_start=warm_start,
            batch_size=batch_size,
            shuffle=shuffle,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            max_iter=max_iter,
            max_fun=max_fun,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            early_stopping=early_stopping,
            scoring=scoring,
            validation_fraction=validation_fraction,
            verbose=verbose,
        )
