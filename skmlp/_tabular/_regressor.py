"""The regressor of tables: a face of the estimator."""

from skmlp._regressor import MLPRegressorManual
from skmlp._tabular._estimator import TabularMLP


class TabularMLPRegressor(TabularMLP, MLPRegressorManual):
    """Multilayer perceptron regressor of tables: of numbers, categories and gaps.

    It takes a DataFrame as it is. Each category is a column of 0 and 1, a missing value is
    a value, and numbers are given to the net as they are ('linear'), or also piecewise
    linearly [1]_: by how much of each bin between quantiles they have passed. So the net
    sees thresholds, and numbers of any scale and with any tails. Held-out rows choose
    between the two. The net is `MLPRegressorManual`, with all its parameters and methods.

    Parameters
    ----------
    loss, hidden_layer_sizes, activation : str, int or array-like of int, and str
        As of `MLPRegressorManual`.

    encoding : {'auto', 'linear', 'piecewise'}, default='auto'
        What a column of numbers becomes.

        - 'linear' is one feature, the column itself;
        - 'piecewise' is the column itself and a feature for each of its bins, see
          `PiecewiseLinearEncoder`;
        - 'auto' takes the one with the lower loss on held-out rows, as `encoding_`. These
          are the rows that choose `alpha`, or the validation set. There is one search for
          each encoding; with a number for `alpha`, one fit to a part of the rows for each.
          'linear' is kept unless 'piecewise' is better. Without columns of three or more
          values there is nothing to choose.

        With both, a column that had missing values in `fit` has one more feature, which
        says where, and its mean stands for them in the column itself.

    categorical_features : 'from_dtype', array-like or None, default='from_dtype'
        Which columns are categories.

        - 'from_dtype' goes by the types of the columns: strings, `category` of pandas,
          `Categorical` and `Enum` of polars and dictionaries of pyarrow are categories;
          integers, floats, decimals and booleans, nullable or not, are numbers. Objects
          are what their values are, all strings or all numbers. Arrays that are not
          of objects are one or the other as a whole.
        - an array-like has the names of the columns (of a frame), their indices, or is a
          mask. All strings have to be among them, and numbers may be.
        - None is for tables of numbers.

        Dates, lists, complex numbers and mixtures are refused with an error that names the
        column.

    quantile, dropout, alpha, standardize : various
        The objective, as of `MLPRegressorManual`; `standardize` is about the encoded
        features.

    solver, random_state, warm_start, batch_size, shuffle : various
        The solver, as of `MLPRegressorManual`.

    learning_rate, learning_rate_init, power_t, momentum, nesterovs_momentum : various
        Likewise.

    beta_1, beta_2, epsilon : float
        Likewise.

    max_iter, max_fun, tol, n_iter_no_change : int or float
        When a fit ends, as of `MLPRegressorManual`.

    early_stopping, scoring, validation_fraction : various
        Likewise. A callable `scoring` is given the net and encoded features, as
        ``scoring(net, features, y)``.

    verbose : bool or int, default=False
        Whether to print the searches and the iterations, as of `MLPRegressorManual`.

    Attributes
    ----------
    encoder_ : ColumnTransformer
        What makes features of a table: ``encoder_["numbers"]`` is a
        `PiecewiseLinearEncoder`, ``encoder_["categories"]`` one-hot.
        ``encoder_.get_feature_names_out()`` tells the names of the features.

    encoding_ : {'linear', 'piecewise'}
        The encoding, given or chosen.

    encoding_losses_ : dict of {str: float}
        Mean loss of each candidate on the held-out rows; nan where there was one only.

    pipeline_ : Pipeline
        `encoder_` and an `MLPRegressorManual`, fitted, which predict the same together.
        It is made when it is asked for.

    n_features_in_ : int
        Number of columns of the table.

    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if they are all strings.

    coefs_, feature_mean_, feature_scale_ : list of ndarray, and two ndarray
        As of `MLPRegressorManual`: of the encoded features, in the order of `encoder_`,
        not of the columns. So are all other attributes: `alpha_`, `alpha_search_` (of the
        chosen encoding), `intercepts_`, `target_mean_`, the curves, `n_iter_` and so on.

    See Also
    --------
    MLPRegressorManual : The net itself, for tables of numbers, with `coefs_` on X.
    TabularMLPClassifier : The same for classes.
    skmlp.preprocessing.PiecewiseLinearEncoder : The encoding, for pipelines of your own.
    sklearn.ensemble.HistGradientBoostingRegressor : Trees for the same tables.

    Notes
    -----
    A category that was not in `fit`, or had weight 0 there, is no error in a prediction:
    it is 0 in all columns of its own. A missing value is a category like the others.
    Missing numbers in columns that had none in `fit` are taken for the mean of the column.
    Other columns, or another order of them, are an error.

    `partial_fit` goes on with the encoding that it has. A first call fixes it by the rows
    of that call: with ``encoding="auto"`` it is 'linear', as no rows are held out, and
    categories that come later are unknown. `warm_start` keeps the encoding, too.

    `coefs_init` and `intercepts_init` are weights for features, so `encoding` has to be
    'linear' or 'piecewise' for them.

    The encoded features take 8 bytes a row and feature (4, if all numbers are float32),
    with up to 35 features for a column of numbers with ``encoding_="piecewise"``. Those
    of predictions are made block by block.

    References
    ----------
    .. [1] Y. Gorishniy, I. Rubachev, A. Babenko, "On embeddings for numerical features in
       tabular deep learning", NeurIPS 2022 (eq. 1).

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skmlp import TabularMLPRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({
    ...     "income": np.exp(3 * rng.normal(size=300)),
    ...     "town": rng.choice(["Ulm", "Kiel", None], 300),
    ... })
    >>> y = np.log(X["income"]) + 2 * (X["town"] == "Ulm")
    >>> model = TabularMLPRegressor(hidden_layer_sizes=10, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    >>> model.encoding_, list(model.encoding_losses_)
    ('piecewise', ['linear', 'piecewise'])
    >>> new = pd.DataFrame({"income": [1.0, np.nan], "town": ["Paris", "Ulm"]})
    >>> model.predict(new).shape
    (2,)
    """

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
