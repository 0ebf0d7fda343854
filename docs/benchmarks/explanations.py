"""Expected gradients beside shap's KernelExplainer and permutation importance.

    python docs/benchmarks/explanations.py            # half a minute

One model for all three: the default fit on half of a table, explained on rows of the other
half. It reports how far the contributions agree and what they take, and the time of input
gradients and attributions beside that of predictions. Results go to `explanations.md`,
beside this file, with all that was set.
"""

import os
import platform
import time
import warnings
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import shap
from scipy.stats import spearmanr
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split
from speed import processor
from threadpoolctl import threadpool_info

from skmlp import MLPClassifierManual
from skmlp.inspection import attributions, input_gradients

N_BASELINES, N_EXPLAINED, REPEATS = 50, 20, 15
TABLES = {
    "breast cancer": load_breast_cancer,
    "wine": load_wine,
    "digits": load_digits,
}


def timed(function):
    start = time.perf_counter()
    value = function()
    return value, time.perf_counter() - start


def logits(model, X):
    return model.hidden_activations(X) @ model.coefs_[-1] + model.intercepts_[-1]


def compare(name, load):
    """Lines of the tables of agreement and of its cost."""
    X, y = load(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.5, stratify=y, random_state=0
    )
    model = MLPClassifierManual(random_state=0).fit(X_train, y_train)
    background = shap.utils.sample(X_train, N_BASELINES, random_state=0)
    rows = X_test[:N_EXPLAINED]
    if len(model.classes_) == 2:
        target, method, output = 1, "decision_function", model.decision_function
    else:
        target, method = model.classes_[0], "logits"

        def output(X):
            return logits(model, X)[:, 0]

    options = {"baseline": background, "target": target, "response_method": method}
    ours, seconds = timed(lambda: attributions(model, rows, **options))
    of_all, _ = timed(lambda: attributions(model, X_test, **options))
    explainer = shap.KernelExplainer(output, background)
    kernel = partial(explainer.shap_values, rows, silent=True)
    theirs, seconds_kernel = timed(partial(kernel, l1_reg=0))
    by_default, _ = timed(kernel)
    permuted, seconds_permuted = timed(
        lambda: permutation_importance(
            model, X_test, y_test, scoring="neg_log_loss", n_repeats=10, random_state=0
        )
    )
    c = ours.contributions
    agreement = [
        f"{of_all:{form}} ({of_ten:{form}})"
        for of_all, of_ten, form in zip(
            agree(c, theirs), agree(c, by_default), (".3f", ".0%", ".2f"), strict=True
        )
    ]
    importance = np.abs(of_all.contributions).mean(axis=0)
    ranks = spearmanr(importance, permuted.importances_mean)[0]
    return (
        f"| {name} | {X.shape[1]} | {' | '.join(agreement)} | {ranks:.2f} |",
        f"| {name} | {1e3 * seconds / N_EXPLAINED:.2f} ms | "
        f"{1e3 * seconds_kernel / N_EXPLAINED:.0f} ms | {seconds_permuted:.1f} s |",
    )


def agree(ours, theirs):
    """Correlation, relative difference, and correlation of the features' ranks."""
    importance = [np.abs(c).mean(axis=0) for c in (ours, theirs)]
    return (
        np.corrcoef(ours.ravel(), theirs.ravel())[0, 1],
        np.abs(ours - theirs).mean() / np.abs(theirs).mean(),
        spearmanr(*importance)[0],
    )


def medians(*functions):
    """Median seconds of functions that take turns."""
    seconds = [[timed(function)[1] for function in functions] for _ in range(REPEATS)]
    return np.median(seconds, axis=0)


def speed(hidden, n_classes):
    """One line of the table of seconds."""
    X = np.random.default_rng(0).normal(size=(10_000, 50))
    y = X[:, :n_classes].argmax(axis=1)
    model = MLPClassifierManual(hidden, alpha=1.0, random_state=0).fit(X, y)
    predict, gradients, of_one = medians(
        lambda: model.predict_proba(X),
        lambda: input_gradients(model, X),
        lambda: input_gradients(model, X, target=1),
    )
    explain = partial(attributions, model, X[:1000], baseline=X[5000:5050])
    _, of_logits = timed(explain)
    _, of_proba = timed(partial(explain, response_method="predict_proba"))
    return (
        f"| {hidden} | {n_classes} | {1e3 * predict:.1f} ms | {gradients / predict:.1f} | "
        f"{of_one / predict:.1f} | {of_logits:.2f} s | {of_proba:.2f} s |"
    )


def lines(rows, which):
    return "\n".join(row[which] for row in rows)


def main():
    warnings.simplefilter("ignore", PendingDeprecationWarning)
    compared = [compare(name, load) for name, load in TABLES.items()]
    nets = [((100,), 2), ((100,), 3), ((100,), 10), ((100, 50), 2)]
    seconds = "\n".join(speed(*net) for net in nets)
    packages = ("numpy", "scikit-learn", "shap")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    threads = max(
        info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"
    )
    page = f"""# Explanations, compared

{processor()}, {os.cpu_count()} cores, {threads} thread(s); Python
{platform.python_version()}, {versions}. Written by
`docs/benchmarks/explanations.py`; what the numbers mean is said in
[the guide](../guide/inspection.md).

## Agreement

Default fits on half of each table; {N_EXPLAINED} rows of the other half, explained by
`attributions` and by shap's KernelExplainer, both against the same {N_BASELINES} rows:
the log-odds of two classes, the first class's logit of more. KernelExplainer with
`l1_reg=0`, that is, for all features; in brackets as it is by default, for ten of them.
Correlation and mean absolute difference (over the mean absolute contribution)
are of all contributions; ranks are those of the features' mean absolute contributions.
The last column is the correlation of these ranks, over the whole half, with those of
permutation importance (of the log-loss, 10 times shuffled).

| table | features | correlation | difference | ranks | ranks, permuted |
|---|---|---|---|---|---|
{lines(compared, 0)}

| table | `attributions`, a row | KernelExplainer, a row | permutation importance, in all |
|---|---|---|---|
{lines(compared, 1)}

## Seconds

10,000 rows of 50 features, {REPEATS} times by turns; ratios are to the time of
`predict_proba`. Attributions are of 1000 rows, all classes, {N_BASELINES} baselines, with
the default `tol`.

| units | classes | `predict_proba` | gradients of all | of one | logits | probabilities |
|---|---|---|---|---|---|---|
{seconds}
"""
    Path(__file__).with_suffix(".md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
