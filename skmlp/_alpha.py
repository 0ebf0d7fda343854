"""The strength of the penalty, chosen on held-out rows."""

import math

import numpy as np

from skmlp._holdout import folds
from skmlp._solvers import minimize_lbfgs

# The search starts at 1, a standard normal prior on the weights of standardised inputs,
# and goes by factors of sqrt(10), down or up, at most to these powers of 10.
_HALF_DECADES = range(-6, 5)
# L-BFGS iterations from the initial parameters, and from those of the alpha before
_FIRST_ITERATIONS = 50
_NEXT_ITERATIONS = 25

# Most rows that the search looks at. They are dealt out to folds, and as many of the folds
# take their turn as held-out rows as it takes to measure the loss on enough rows.
MOST_ROWS = 1500
_N_FOLDS = 5
_ENOUGH_HELD_OUT = 300
# Fewer distinct rows than this tell nothing
_FEWEST_ROWS = 20


def search_alpha(make_objective, theta, splits, unit=1.0):
    """Losses on held-out rows for some values of alpha, by descent from the first.

    In a Bayesian reading the penalty is minus the logarithm of a normal prior of precision
    alpha [1]_, which does not depend on the number of rows: so alpha can be found on a part
    of them. The fits are short, each starts where that of the alpha before ended, and the
    first that is no better ends the search.

    Parameters
    ----------
    make_objective : callable
        ``make_objective(rows, alpha)`` returns an objective.
    theta : ndarray of shape (P,)
        Start of the first fit.
    splits : list of (Rows, Rows)
        Rows to train on, rows to measure the loss on.
    unit : float, default=1.0
        Where the search starts.

    Returns
    -------
    losses : dict of {float: float}
        Held-out loss, summed over the splits, of each alpha that was tried; the best is
        the one with the smallest.

    References
    ----------
    .. [1] D. J. C. MacKay, "A practical Bayesian framework for backpropagation networks",
       Neural Computation 4 (1992).
    """
    held_out = [make_objective(rows, 0.0) for _, rows in splits]
    alphas = {i: unit * 10.0 ** (i / 2) for i in _HALF_DECADES}
    losses = {}

    def fit(alpha, starts, n_iterations):
        thetas = [
            minimize_lbfgs(
                make_objective(rows, alpha),
                start,
                max_iter=n_iterations,
                max_fun=10 * n_iterations,
                on_iteration=lambda theta, loss: "",
            ).theta
            for (rows, _), start in zip(splits, starts, strict=True)
        ]
        losses[alpha] = math.fsum(
            objective.total_weight * objective.loss(theta)
            for objective, theta in zip(held_out, thetas, strict=True)
        )
        return thetas

    def descend(step, thetas):
        i = 0
        while i + step in _HALF_DECADES:
            thetas = fit(alphas[i + step], thetas, _NEXT_ITERATIONS)
            if not losses[alphas[i + step]] < losses[alphas[i]]:
                return i
            i += step
        return i

    thetas = fit(alphas[0], [theta] * len(splits), _FIRST_ITERATIONS)
    if descend(-1, thetas) == 0:
        descend(1, thetas)
    return losses


def sample(rows, seed, n_most=MOST_ROWS):
    """All rows that have a weight, or some drawn at random if there are too many."""
    n_rows = rows.X.shape[0]
    if n_rows > n_most:
        drawn = np.random.RandomState(seed).permutation(n_rows)[:n_most]
        rows = rows.where(np.sort(drawn))
    return rows if rows.weights is None else rows.where(rows.weights > 0)


def draw_splits(rows, strata, seed):
    """Splits of rows for the search, none of too few rows.

    Parameters
    ----------
    rows : Rows
        Of a `sample`.
    strata : ndarray of shape (n,) of int
        Class index of each row.
    seed : int

    Returns
    -------
    splits : list of (Rows, Rows)
    """
    fold, n_distinct = folds(
        rows.X, strata, rows.sample_weight, n_folds=_N_FOLDS, seed=seed
    )
    if n_distinct < _FEWEST_ROWS:
        return []
    n_splits = min(-(-_ENOUGH_HELD_OUT * _N_FOLDS // n_distinct), _N_FOLDS)
    # of few distinct rows with many copies, a fold may have none
    present = [i for i in range(n_splits) if 0 < np.sum(fold == i) < len(fold)]
    return [(rows.where(fold != i), rows.where(fold == i)) for i in present]
