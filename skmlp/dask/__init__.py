"""The same fit on a cluster, or on data larger than memory, with Dask.

Loss and gradient are sums over rows, so the sums of the partitions add up to the sum of
all rows: the parameters are the ones that a fit on one machine would find.

>>> import dask.array as da
>>> from sklearn.datasets import load_digits
>>> from skmlp.dask import DaskMLPClassifierManual
>>> X, y = load_digits(return_X_y=True)
>>> X, y = da.from_array(X / 16, chunks=(500, 64)), da.from_array(y, chunks=500)
>>> model = DaskMLPClassifierManual(20, solver="lbfgs", alpha=1.0, tol=1e-3, random_state=0)
>>> model = model.fit(X, y)
>>> bool((model.predict(X) == y).mean().compute() > 0.95)
True
>>> type(model.to_local()).__name__
'MLPClassifierManual'

`DaskMLPRegressorManual` does the same for values.

It needs the extra ``dask`` (``pip install "skmlp[dask]"``). With a `distributed.Client`,
the partitions live on its workers; without one, Dask uses threads of this process.
"""

from skmlp.dask._estimator import DaskMLPClassifierManual, DaskMLPRegressorManual

__all__ = ["DaskMLPClassifierManual", "DaskMLPRegressorManual"]
