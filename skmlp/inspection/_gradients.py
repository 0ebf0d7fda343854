"""Gradients of a network's outputs with respect to its features."""

import numpy as np

from skmlp._memory_map import give_back, memory_map
from skmlp._objective import row_blocks
from skmlp._parallel import row_threads
from skmlp._sklearn import StrOptions, validate_params
from skmlp.inspection._subject import take_subject

RESPONSE_METHODS = [StrOptions({"logits", "decision_function", "predict_proba"})]


@validate_params({"response_method": RESPONSE_METHODS}, prefer_skip_nested_validation=True)
def input_gradients(estimator, X, *, target=None, response_method="logits"):
    """Compute the gradient of each output with respect to the features of each row.

    It is exact: back-propagation, taken one layer further than training takes it [1]_. The
    slope of 'relu' at its kink counts as 0.

    Parameters
    ----------
    estimator : MLPClassifierManual, Pipeline or search
        A fitted `MLPClassifierManual`, a pipeline that ends in one, or a search with
        ``refit=True`` over one of these. In a pipeline, gradients are with respect to the
        features that the last step sees, after the steps before.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows, as `estimator` takes them. Sparse rows are never made dense, but
        the gradients are dense.

    target : label or list of labels, default=None
        The classes (of multilabel data the numbers of the labels) whose outputs are
        differentiated; None means all of ``classes_``. A single label drops the second
        axis of the result.

    response_method : {'logits', 'decision_function', 'predict_proba'}, default='logits'
        What is differentiated:

        - 'logits' are the inputs of the softmax (of the logistic outputs, if y was
          multilabel), one a class, also for two classes;
        - 'decision_function' has log-probabilities of three or more classes, and for two
          the log-odds of each (the method of this name returns those of
          ``classes_[1]``); for multilabel data it is the same as 'logits';
        - 'predict_proba' are the probabilities.

    Returns
    -------
    gradients : ndarray of shape (n_samples, n_targets, n_features) or \
            (n_samples, n_features)
        In the precision of the estimator: float32 if it was trained on float32, else
        float64. That is all the memory that grows with the rows: 8 bytes times their
        number, the number of targets and of features. For many features or classes, choose
        targets, or pass some rows at a time.

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
    """
    subject = take_subject(estimator, X, target, response_method)
    gradients = _gradients(subject)
    return gradients if np.ndim(target) or target is None else gradients[:, 0]


def _gradients(subject):
    """Block by block, on threads."""
    X, network, n_targets = subject.X, subject.network, len(subject.targets)
    gradients = np.empty((X.shape[0], n_targets, X.shape[1]), X.dtype)
    mapped = memory_map(X)

    def evaluate(rows):
        network.input_gradient(
            subject.parameters, X[rows], subject.response.jacobian, gradients[rows]
        )
        give_back(mapped)

    blocks = row_blocks(X, network, (1 + n_targets) * sum(network.layer_sizes[1:]))
    with row_threads(len(blocks)) as map_rows:
        map_rows(evaluate, blocks)
    return gradients
