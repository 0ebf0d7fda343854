"""Gradients of a network's outputs with respect to its features."""

import numpy as np

from skmlp._inference import each_block
from skmlp._sklearn import StrOptions, validate_params
from skmlp.inspection._responses import RESPONSES
from skmlp.inspection._subject import take_subject

RESPONSE_METHODS = [StrOptions({"auto"}.union(*RESPONSES.values()))]


@validate_params({"response_method": RESPONSE_METHODS}, prefer_skip_nested_validation=True)
def input_gradients(estimator, X, *, target=None, response_method="auto"):
    """Compute the gradient of each output with respect to the features of each row.

    It is exact: back-propagation, taken one layer further than training takes it [1]_. The
    slope of 'relu' at its kink counts as 0.

    Parameters
    ----------
    estimator : MLPClassifierManual, MLPRegressorManual, TabularMLPClassifier, \
            TabularMLPRegressor, Pipeline or search
        A fitted net, a pipeline that ends in one, or a search with ``refit=True`` over one
        of these. In a pipeline, gradients are with respect to the features that the last
        step sees, after the steps before. Of a net for tables they are with respect to the
        columns of the table, see Notes.

    X : {DataFrame, array-like, sparse matrix} of shape (n_samples, n_features)
        The rows, as `estimator` takes them. Sparse rows are never made dense, but
        the gradients are dense.

    target : name of an output or list of names, default=None
        The outputs that are differentiated; None means all. A single one drops the second
        axis of the result. Of a classifier they are the classes, of multilabel data the
        numbers of the labels. Of a regressor they are the numbers of the columns of y; the
        levels, if it predicts quantiles of one column; and with ``loss="gaussian"`` 'mean'
        and 'std', or for several columns 'mean_0', 'mean_1', ..., 'std_0', 'std_1', .... Of
        a regressor with one output for a y of one dimension, None drops the axis, too.

    response_method : {'auto', 'logits', 'decision_function', 'predict_proba', 'predict'}, \
            default='auto'
        What is differentiated; 'auto' is 'logits' of a classifier, and 'predict' of a
        regressor. Of a classifier:

        - 'logits' are the inputs of the softmax (of the logistic outputs, if y was
          multilabel), one a class, also for two classes;
        - 'decision_function' has log-probabilities of three or more classes, and for two
          the log-odds of each (the method of this name returns only the log-odds of
          ``classes_[1]``); for multilabel data it is the same as 'logits';
        - 'predict_proba' are the probabilities.

        Of a regressor:

        - 'predict' is what its method of this name returns, y in its own units, with
          ``loss="gaussian"`` together with the standard deviation;
        - 'logits' are the outputs of the net: logarithms of the predictions for the losses
          'poisson' and 'gamma', quantiles that may cross, and for 'gaussian' means and
          logarithms of variances; else they are the same as 'predict'.

    Returns
    -------
    gradients : ndarray of shape (n_samples, n_targets, n_features) or \
            (n_samples, n_features)
        In units of the response over units of the feature, and in the precision of the
        estimator: float32 if it was trained on float32, else float64. That is all the
        memory that grows with the rows: 8 bytes times their number, the number of targets
        and of features. For many features or targets, choose some, or pass some rows at a
        time. NaN where a column of a table has no derivative: for categories and missing
        values.

    Raises
    ------
    TypeError
        If the estimator is of another kind, or for partitions
        (`skmlp.dask.DaskMLPClassifierManual`): pass what its `to_local` returns.
    ValueError
        If the estimator is not fitted, X is not valid, or there is no such target or
        response.

    See Also
    --------
    attributions : Contributions of the features, that add up to a difference of outputs.

    Notes
    -----
    A net for tables sees a column of numbers also by its bins, in each of which the output
    may have another slope. The gradient is the one within the bin of the value, and at an
    edge the one above it; it says nothing of other bins. Booleans are numbers, 0 and 1.

    Categories and missing values can't change by a little, so there is no gradient. It is
    NaN and not 0, which would say that the output does not depend on them, and would count
    in means: take these by `numpy.nanmean`.

    References
    ----------
    .. [1] C. M. Bishop, "Pattern recognition and machine learning", Springer, 2006, section
       5.3.4.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skmlp import MLPClassifierManual
    >>> from skmlp.inspection import input_gradients
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifierManual(solver="lbfgs", tol=1e-2, random_state=0).fit(X, y)
    >>> input_gradients(model, X).shape
    (150, 3, 4)
    >>> input_gradients(model, X, target=2, response_method="predict_proba").shape
    (150, 4)

    Of a regressor with one output, they have the shape of X:

    >>> from skmlp import MLPRegressorManual
    >>> length = X[:, 0]
    >>> model = MLPRegressorManual(tol=1e-2, random_state=0).fit(X[:, 1:], length)
    >>> input_gradients(model, X[:, 1:]).shape
    (150, 3)
    """
    subject = take_subject(estimator, X, target, response_method)
    gradients = _gradients(subject)
    return gradients[:, 0] if subject.is_single else gradients


def _gradients(subject):
    """Block by block, on threads."""
    X, network, n_targets = subject.X, subject.network, len(subject.targets)
    columns, jacobian = subject.columns, subject.response.jacobian
    gradients = np.empty((X.shape[0], n_targets, columns.rows.shape[1]), X.dtype)

    def evaluate(rows):
        network.input_gradient(subject.parameters, X[rows], jacobian, gradients[rows])

    def evaluate_table(rows):
        block = X[rows]
        of_features = np.empty((block.shape[0], n_targets, X.shape[1]), X.dtype)
        network.input_gradient(subject.parameters, block, jacobian, of_features)
        gradients[rows] = _by_columns(columns, of_features, rows)

    row_numbers = (1 + n_targets) * sum(network.layer_sizes[1:])
    if columns.slopes is None:
        each_block(X, network, evaluate, row_numbers)
    else:
        each_block(X, network, evaluate_table, row_numbers + n_targets * X.shape[1])
    return gradients


def _by_columns(columns, gradients, rows):
    """Gradients with respect to the columns of a table, by the chain rule."""
    slopes, has_none = columns.slopes.at(rows)
    gradients *= slopes[:, np.newaxis]
    total = columns.total(gradients)
    np.copyto(total, np.nan, where=has_none[:, np.newaxis])
    return total
