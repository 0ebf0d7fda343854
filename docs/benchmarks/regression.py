"""Errors, likelihoods and seconds of untuned regressors on real tables.

    python docs/benchmarks/regression.py                       # about 8 minutes
    python docs/benchmarks/regression.py --only nox concrete   # printed and not recorded

Two tables, concrete and Boston, by the protocol of [1]_: 20 random splits, a tenth of the
rows for testing. The others: five random splits, a quarter of the rows for testing. Numbers
are standardised and categories one-hot in a pipeline; missing numbers are means,
but for boosting, which knows what to do with them. Nothing is tuned. Candidates take turns
on each split, each in one thread, and seconds are of the processor. Results go to
`regression.json`, from which `regression_report.py` writes the page.

References
----------
.. [1] J. M. Hernandez-Lobato, R. P. Adams, "Probabilistic backpropagation for scalable
   learning of Bayesian neural networks", ICML 2015.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import regression_report
from datasets import PROTOCOL, VALUES, load_values, preprocessing
from quality import machine
from scipy.stats import norm
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from skmlp import MLPRegressorManual

HERE = Path(__file__).parent
N_SPLITS = dict.fromkeys(PROTOCOL, 20) | dict.fromkeys(VALUES, 5)
TEST_SHARE = dict.fromkeys(PROTOCOL, 0.1) | dict.fromkeys(VALUES, 0.25)


def filled(model):
    """Behind the means of the columns, instead of missing numbers."""
    return make_pipeline(SimpleImputer(keep_empty_features=True), model)


def on_standardised_y(model):
    return TransformedTargetRegressor(model, transformer=StandardScaler())


def candidates():
    """Regressors by their names on the page."""
    theirs = MLPRegressor(random_state=0)
    return {
        "MLPRegressorManual()": filled(MLPRegressorManual(random_state=0)),
        'loss="gaussian"': filled(MLPRegressorManual(loss="gaussian", random_state=0)),
        "MLPRegressor()": filled(theirs),
        "MLPRegressor(), y standardised": filled(on_standardised_y(theirs)),
        "HistGradientBoosting()": HistGradientBoostingRegressor(random_state=0),
        "Ridge()": filled(Ridge()),
    }


def splits(name, n_rows):
    """Rows to train on and to test on, again and again: one permutation a split."""
    random_state = np.random.RandomState(1)
    n_train = round(n_rows * (1 - TEST_SHARE[name]))
    for _ in range(N_SPLITS[name]):
        yield np.split(random_state.permutation(n_rows), [n_train])


def last_of(pipe):
    """The estimator at the end."""
    return last_of(pipe[-1]) if isinstance(pipe, Pipeline) else pipe


def negative_log_likelihood(pipe, X, y):
    """Mean over the rows, in the unit of y; None without standard deviations."""
    if getattr(last_of(pipe), "loss", None) != "gaussian":
        return None
    mean, deviation = pipe.predict(X, return_std=True)
    return float(-norm.logpdf(y, mean, deviation).mean())


def measure(model, X, y, X_test, y_test):
    """What one fit is good for, as a dict."""
    pipe = make_pipeline(preprocessing(), clone(model))
    start = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pipe.fit(X, y)
    seconds = time.process_time() - start
    rmse = np.sqrt(np.mean((y_test - pipe.predict(X_test)) ** 2))
    return {
        "rmse": float(rmse),
        "relative": float(rmse / y_test.std()),
        "nll": negative_log_likelihood(pipe, X_test, y_test),
        "seconds": seconds,
        "warned": bool(caught),
        "alpha": getattr(last_of(pipe), "alpha_", None),
        "n_train": len(y),
        "n_features": pipe[0].transform(X[:1]).shape[1],
    }


def results(names):
    """A row for each fit to these tables."""
    for name in names:
        X, y = load_values(name)
        for split, (train, test) in enumerate(splits(name, len(y))):
            data = X.iloc[train], y[train], X.iloc[test], y[test]
            for candidate, model in candidates().items():
                about = {"set": name, "split": split, "candidate": candidate}
                yield about | measure(model, *data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = [*PROTOCOL, *VALUES]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=str(names))
    only = parser.parse_args().only
    where, rows = machine(), []
    with threadpool_limits(1):
        for row in results(only or names):
            print(json.dumps(row), flush=True)
            rows.append(row)
    if only:
        return
    lines = ",\n".join(json.dumps(row) for row in rows)
    path = HERE / "regression.json"
    path.write_text(f'{{"machine": {json.dumps(where)},\n"rows": [\n{lines}\n]}}\n')
    regression_report.main()


if __name__ == "__main__":
    main()
