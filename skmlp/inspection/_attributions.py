"""Contributions of the features to a difference of outputs, by path integrals."""

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Bunch

from skmlp._inference import each_block, layer_outputs
from skmlp._sklearn import Interval, validate_params
from skmlp._warnings import warn
from skmlp.inspection._baseline import take_baseline
from skmlp.inspection._gradients import RESPONSE_METHODS
from skmlp.inspection._path import FEWEST_STEPS, Paths, rounding_of
from skmlp.inspection._subject import feature_names, take_subject

# Features pass once a baseline, and may take so many times the memory of the units, which
# have to stay in cache
_FEATURE_SHARE = 16
# What is said even of contributions that are as exact as they can be, or as was asked for
_SHARE_OF_LARGEST = 1e-2
# What to do about them
_OF_STEPS = "Increase max_steps or tol."
_OF_BASELINES = "Those from several baselines cancel: decrease tol."
_OF_ROUNDING = (
    "It is rounding: subtract from features that are large beside their differences what "
    "they have in common, or fit in double precision."
)


@validate_params(
    {
        "response_method": RESPONSE_METHODS,
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_steps": [Interval(Integral, FEWEST_STEPS, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def attributions(
    estimator,
    X,
    *,
    baseline=None,
    target=None,
    response_method="auto",
    tol=1e-2,
    max_steps=256,
):
    """Divide the difference of outputs between rows and a baseline among the features.

    These are integrated gradients [1]_: a feature's contribution is its difference from
    the baseline times the mean of the output's gradient on the straight line
    between the two rows. With several baselines it is the mean over them, which is known as
    expected gradients [2]_. The contributions of a row add up to the difference of its
    output from the (mean) output of the baseline.

    Parameters
    ----------
    estimator : MLPClassifierManual, MLPRegressorManual, TabularMLPClassifier, \
            TabularMLPRegressor, Pipeline or search
        A fitted net, a pipeline that ends in one, or a search with ``refit=True`` over one
        of these. In a pipeline, the features are those that the last step sees, after the
        steps before; samplers among these are skipped. Of a net for tables they are the
        columns of the table: a column contributes what its encoded features do together,
        which are the number itself and its bins, or all categories, and whether it is
        missing.

    X : {DataFrame, array-like, sparse matrix} of shape (n_samples, n_features)
        The rows to explain, as `estimator` takes them. Sparse rows are made dense
        block by block.

    baseline : {array-like, sparse matrix} of shape (n_features,) or \
            (n_baselines, n_features), default=None
        What the rows are compared with: a row, or a sample of rows. In a pipeline it goes
        through the steps before the last, as X does. A row of a frame may be a Series, a
        dictionary, or a list in the order of its columns. None is the mean of the features
        in training, which is known with ``standardize=True``: of the rows that were not
        held out, in the first of several calls with ``warm_start``; in a stream of
        ``partial_fit``, of all rows so far. Of a net for tables it is the mean of the
        encoded features: each category by its share, and each bin as far as it is passed on
        average. Sparse ones are made dense.

    target : name of an output or list of names, default=None
        The outputs that are explained, as in `input_gradients`; None means all. A single
        one drops the axis of the targets in what is returned, and so does None of a
        regressor with one output for a y of one dimension.

    response_method : {'auto', 'logits', 'decision_function', 'predict_proba', 'predict'}, \
            default='auto'
        Which outputs are explained, as in `input_gradients`: by default the logits of a
        classifier, and the predictions of a regressor. For two classes,
        'decision_function' is twice as far from the baseline as either logit, where these
        are opposite.

    tol : float, default=0.01
        How far contributions may be from adding up, relative to the largest of them, for
        each output, row and baseline on its own.

    max_steps : int, default=256
        Most steps of the quadrature. It is Gauss's, begins with 8, and is repeated with
        twice as many for the rows and baselines for which it misses `tol`.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        contributions : ndarray of shape (n_samples, n_targets, n_features)
            In the units of the response. Its memory is all that grows with the rows: 8
            bytes times their number, the number of targets and of features, or 4
            for float32.
        base_values : ndarray of shape (n_targets,)
            The (mean) response of the baseline.
        responses : ndarray of shape (n_samples, n_targets)
            The response of each row.
        completeness_errors : ndarray of shape (n_samples, n_targets)
            What the base value and a row's contributions lack to add up to its response.
        n_steps : ndarray of shape (n_samples,)
            The most steps that each row took, of all baselines. 0 where the integral has a
            closed form, as for logits, log-odds, and what a regressor predicts of means,
            with at most one hidden layer.
        features : {ndarray, CSR} of shape (n_samples, n_features)
            What the network sees of X; of a net for tables, X itself as an array.
        feature_names : ndarray of shape (n_features,)
            Names of these; 'x0', 'x1' and so on if the steps can't tell.
        targets : ndarray of shape (n_targets,)
            Names of the outputs, as `target` has them.

    Raises
    ------
    TypeError
        If the estimator is of another kind, or for partitions
        (`skmlp.dask.DaskMLPClassifierManual`): pass what its `to_local` returns.
    ValueError
        If the estimator is not fitted, X or the baseline are not valid, or there is no such
        target or response; or if there is no baseline, and none is known.

    Warns
    -----
    ConvergenceWarning
        If contributions of rows do not add up to `tol` with `max_steps`, or miss their sum
        by more than 1% of the largest (by more than `tol`, if that is more): where
        contributions from several baselines cancel, or a difference is mostly rounding.

    See Also
    --------
    AttributionDisplay : Draws contributions.
    input_gradients : The gradient at the rows themselves.

    References
    ----------
    .. [1] M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks",
       ICML 2017.
    .. [2] G. Erion, J. D. Janizek, P. Sturmfels, S. M. Lundberg, S.-I. Lee, "Improving
       performance of deep learning models with axiomatic attribution priors and expected
       gradients", Nature Machine Intelligence 3 (2021).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from skmlp import MLPClassifierManual
    >>> from skmlp.inspection import attributions
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifierManual((9, 5), solver="lbfgs", tol=1e-2, random_state=0)
    >>> result = attributions(model.fit(X, y), X, baseline=X[::10])
    >>> result.contributions.shape
    (150, 3, 4)

    They add up:

    >>> total = result.base_values + result.contributions.sum(axis=2)
    >>> scale = (result.responses - result.base_values).std(axis=0)
    >>> bool((np.abs(total - result.responses) < 0.02 * scale).all())
    True
    """
    subject = take_subject(estimator, X, target, response_method)
    baseline = take_baseline(subject, X, baseline)
    result = _integrate(subject, baseline, tol, max_steps)
    if subject.is_single:
        result.update(_of_single_target(result))
    result.update(features=subject.columns.rows, feature_names=feature_names(subject))
    return result


def _of_single_target(result):
    """Without the axis of the targets."""
    by_row = ("contributions", "responses", "completeness_errors")
    single = {name: result[name][:, 0] for name in by_row}
    return single | {name: result[name][0] for name in ("base_values", "targets")}


def _integrate(subject, baseline, tol, max_steps):
    """All numbers of the result, block by block of rows, on threads."""
    X, network, n_targets = subject.X, subject.network, len(subject.targets)
    responses, at_baseline = (_responses(subject, rows) for rows in (X, baseline))
    base_values = at_baseline.mean(axis=0)
    n_columns = subject.columns.rows.shape[1]
    contributions = np.empty((X.shape[0], n_targets, n_columns), X.dtype)
    allowed, largest = np.empty(responses.shape), np.empty(responses.shape)
    n_steps, is_baseline = np.empty(X.shape[0], int), np.zeros(X.shape[0], bool)
    paths = Paths(
        network,
        subject.parameters,
        subject.response,
        baseline,
        tol,
        max_steps,
        subject.columns,
    )

    def evaluate(rows):
        block = X[rows].toarray() if sparse.issparse(X) else X[rows]
        contributions[rows], allowed[rows], n_steps[rows] = paths.contributions(
            block, responses[rows]
        )
        largest[rows] = np.abs(contributions[rows]).max(axis=2)
        if len(baseline) == 1:
            is_baseline[rows] = (block == baseline).all(axis=1)

    n_units, n_features = sum(network.layer_sizes[1:]), X.shape[1] // _FEATURE_SHARE
    row_numbers = (1 + 2 * n_targets) * max(n_units, n_features)
    each_block(X, network, evaluate, row_numbers)
    errors = responses - base_values - contributions.sum(axis=2)
    # of each baseline they may miss so much, and of all together
    rounding = rounding_of(np.maximum(np.abs(responses), np.abs(base_values)))
    allowed = np.minimum(allowed, max(tol, _SHARE_OF_LARGEST) * largest + rounding)
    allowed[is_baseline] = np.inf  # nothing but rounding
    _warn_if_incomplete(np.abs(errors), allowed, n_steps, max_steps)
    return Bunch(
        contributions=contributions,
        base_values=base_values,
        responses=responses,
        completeness_errors=errors,
        n_steps=n_steps,
        targets=subject.targets,
    )


def _responses(subject, X):
    Z, _ = layer_outputs(subject.network, subject.parameters, X)
    return subject.response.value(Z)


def _warn_if_incomplete(errors, allowed, n_steps, max_steps):
    is_incomplete = ~(errors <= allowed).all(axis=1)
    if not is_incomplete.any():
        return
    n_steps = n_steps[is_incomplete]
    what, advice = "miss their sum by more than 1% of the largest", _OF_ROUNDING
    if (2 * n_steps > max_steps).any():
        what, advice = f"do not add up to tol with max_steps={max_steps}", _OF_STEPS
    elif n_steps.any():
        advice = _OF_BASELINES
    warn(
        f"Contributions of {len(n_steps)} rows {what}: the largest error that remains is "
        f"{errors.max():.2g}. {advice}",
        ConvergenceWarning,
    )
