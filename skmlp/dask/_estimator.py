"""The estimators for Dask collections."""

from functools import partial

import dask
from sklearn.utils.metaestimators import available_if

from skmlp._callbacks import with_callbacks
from skmlp._classifier import MLPClassifierManual
from skmlp._outcome import with_own_curves
from skmlp._regressor import MLPRegressorManual
from skmlp._settings import Settings
from skmlp._sklearn import fit_context
from skmlp.dask._intake import check_settings, take_parts
from skmlp.dask._lazy import lazy_methods


def _has_no_partial_fit(estimator):
    raise AttributeError(
        "partial_fit is not available on partitions: fit takes all of them. For chunks in "
        f"memory, use {estimator._local_class.__name__}."
    )


class OnPartitions:
    """What the estimators for Dask collections have in common.

    Attributes
    ----------
    _local_class : type
        The estimator for data in memory, with the same constructor.
    """

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
        persist=True,
    ):
        """Fit the network to partitioned data.

        Parameters
        ----------
        X : dask Array or DataFrame of shape (n_samples, n_features)
            The data. Chunks may be dense or scipy.sparse, of any size, known or not.

        y : dask Array, Series or DataFrame of shape (n_samples,) or (n_samples, n_outputs)
            The class labels or an indicator matrix; of a regressor the values, of one or
            several columns. As many partitions as X, with as many rows each. Arrays with
            known chunks are rechunked as X is.

        sample_weight : dask Array or Series of shape (n_samples,), default=None
            Weights of the rows, at least 0; None means 1 each.

        groups : dask Array or Series of shape (n_samples,), default=None
            Groups of the rows, as in memory; a group may be in several partitions.

        X_val, y_val, sample_weight_val : dask collections or array-like, default=None
            A validation set, in partitions or in memory.

        coefs_init, intercepts_init : list of array-like, default=None
            Parameters to start from, as in memory.

        persist : bool, default=True
            Whether the partitions are read once and kept in memory (of the workers). If
            False, they are read again for each evaluation, and no more of them are in
            memory than are worked on: for data larger than memory.

        Returns
        -------
        self : DaskMLPClassifierManual or DaskMLPRegressorManual
            The fitted estimator.

        Raises
        ------
        TypeError
            If X is not a Dask collection.
        ValueError
            As in memory; what is wrong with a partition, as labels or values that the loss
            is not made for, is said with its number. Errors of reading a partition are its
            own.

        Examples
        --------
        >>> import dask.dataframe as dd
        >>> from sklearn.datasets import load_iris
        >>> from skmlp.dask import DaskMLPClassifierManual
        >>> frame = dd.from_pandas(load_iris(as_frame=True).frame, npartitions=3)
        >>> model = DaskMLPClassifierManual(solver="lbfgs", tol=1e-2, random_state=0)
        >>> model = model.fit(frame.drop(columns="target"), frame["target"])
        >>> model.n_features_in_
        4
        """
        check_settings(Settings(self), X_val is not None or y_val is not None)
        return self._fit(
            partial(take_parts, persist=persist),
            (X, y, sample_weight, groups),
            (X_val, y_val, sample_weight_val),
            (coefs_init, intercepts_init),
        )

    @available_if(_has_no_partial_fit)
    def partial_fit(self, X, y, sample_weight=None):
        """Not available: train on all partitions by `fit`, or on chunks in memory.

        Parameters
        ----------
        X, y, sample_weight : object
            Of the estimator for data in memory, which takes chunks.

        Examples
        --------
        >>> from skmlp.dask import DaskMLPClassifierManual, DaskMLPRegressorManual
        >>> hasattr(DaskMLPClassifierManual(), "partial_fit")
        False
        >>> hasattr(DaskMLPRegressorManual(), "partial_fit")
        False
        """

    def to_local(self):
        """Return the plain estimator, with the same parameters and fitted attributes.

        Returns
        -------
        model : MLPClassifierManual or MLPRegressorManual
            It needs no Dask, neither to predict nor to be unpickled.

        Examples
        --------
        >>> import dask.array as da
        >>> from skmlp.dask import DaskMLPClassifierManual
        >>> X = da.random.default_rng(0).normal(size=(100, 2), chunks=(50, 2))
        >>> model = DaskMLPClassifierManual(3, solver="lbfgs", alpha=1.0, random_state=0)
        >>> model.fit(X, X[:, 0] > 0).to_local()
        MLPClassifierManual(alpha=1.0, hidden_layer_sizes=3, random_state=0,
                            solver='lbfgs')
        """
        local = self._local_class()
        # `set_output` and metadata requests are among these
        vars(local).update(with_own_curves(vars(self)))
        return local

    def score(self, X, y, sample_weight=None):
        """Compute the share of labels that are predicted, or R2 of a regressor.

        Parameters
        ----------
        X, y : dask collections or array-like
            The data, and the true labels or values.

        sample_weight : dask Array or Series, or array-like, default=None
            Weights of the rows.

        Returns
        -------
        score : float
            Computed at once; only y, predictions and weights are gathered here.

        Examples
        --------
        >>> import dask.array as da
        >>> from skmlp.dask import DaskMLPClassifierManual
        >>> X = da.random.default_rng(0).normal(size=(100, 2), chunks=(50, 2))
        >>> model = DaskMLPClassifierManual(3, solver="lbfgs", alpha=1.0, random_state=0)
        >>> model.fit(X, X[:, 0] > 0).score(X, X[:, 0] > 0) > 0.9
        True
        """
        y, predicted, weights = dask.compute(y, self.predict(X), sample_weight)
        local = self.to_local()
        local.predict = lambda X: predicted
        return float(local.score(None, y, weights))


@lazy_methods(y="X[:, 0] > 0")
class DaskMLPClassifierManual(OnPartitions, MLPClassifierManual):
    """MLPClassifierManual on Dask collections, by L-BFGS.

    Loss and gradient are evaluated where the partitions are, added up in a tree of tasks,
    and handed to L-BFGS in this process. So `MLPClassifierManual(solver="lbfgs")`
    has the same objective and the same result on these rows in memory, up to the rounding
    of sums that are formed in another order.

    It has the constructor of `MLPClassifierManual`, whose documentation describes the
    parameters. ``solver="lbfgs"`` (or 'auto') and ``scoring="loss"`` are required, and
    `early_stopping` needs a validation set, since no rows are held out ('auto' stops early
    if there is one).

    See Also
    --------
    MLPClassifierManual : The estimator for data in memory, or in a memory map.

    Examples
    --------
    >>> import dask.array as da
    >>> from skmlp.dask import DaskMLPClassifierManual
    >>> X = da.random.default_rng(0).normal(size=(1000, 5), chunks=(250, 5))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> model = DaskMLPClassifierManual(10, solver="lbfgs", tol=1e-2, random_state=0)
    >>> model.fit(X, y).predict_proba(X).chunks
    ((250, 250, 250, 250), (2,))
    """

    _local_class = MLPClassifierManual


@lazy_methods(y="X[:, 0]")
class DaskMLPRegressorManual(OnPartitions, MLPRegressorManual):
    """MLPRegressorManual on Dask collections, by L-BFGS.

    Loss and gradient are evaluated where the partitions are, as by
    `DaskMLPClassifierManual`, and means and deviations of y are merged from the partitions.
    So `MLPRegressorManual(solver="lbfgs")` has the same objective and the same result on
    these rows in memory, up to the rounding of sums that are formed in another order.
    For ``loss="absolute_error"`` and ``loss="quantile"`` the medians and quantiles that y
    is standardised by come from a sample of 65,536 rows of all partitions; they are exact
    where there are no more rows.

    It has the constructor of `MLPRegressorManual`, whose documentation describes the
    parameters. ``solver="lbfgs"`` (or 'auto') and ``scoring="loss"`` are required, and
    `early_stopping` needs a validation set, since no rows are held out ('auto' stops early
    if there is one).

    See Also
    --------
    MLPRegressorManual : The estimator for data in memory, or in a memory map.
    DaskMLPClassifierManual : The same for labels.

    Examples
    --------
    >>> import dask.array as da
    >>> from skmlp.dask import DaskMLPRegressorManual
    >>> X = da.random.default_rng(0).normal(size=(1000, 5), chunks=(250, 5))
    >>> y = X[:, 0] * X[:, 1]
    >>> model = DaskMLPRegressorManual(hidden_layer_sizes=10, alpha=1.0, random_state=0)
    >>> model.fit(X, y).predict(X).chunks
    ((250, 250, 250, 250),)
    """

    _local_class = MLPRegressorManual
