"""Fits to growing samples of many rows, before the fit to all of them."""

import math

from skmlp._monitor import Monitor

# From so many rows on there are such fits. The largest sample is one row in `_LARGEST`;
# each is `_GROWTH` times as large as the one before; none has fewer rows, or more bytes
_MANY_ROWS = 50_000
_LARGEST, _GROWTH = 8, 4
_FEWEST_ROWS, _MOST_BYTES = 3000, 2**28
# An iteration on a sample is cheap: a quarter of the gain that all rows ask for is enough
_TOLERANCE = 0.25


def approach(fit, progress, theta, reached):
    """Find where L-BFGS should start on many rows: at the optimum of a sample of them.

    The fit to a sample starts from the optimum of a smaller one, and so on: each has to
    make up only for the rows that are new. Unlike in [1]_, where samples grow until
    their gradients are sure enough to descend, each fit goes to its end. Alpha is
    multiplied by the sample's share of the weight, which makes it the same penalty for a
    row: under a stronger one, the units of a small network become alike, and stay so.

    Parameters
    ----------
    fit : Fit
    progress : Progress
    theta : ndarray of shape (P,)
    reached : deque
        Is given the fit, and the progress and the parameters of the latest one.

    Returns
    -------
    theta : ndarray of shape (P,)

    References
    ----------
    .. [1] R. Bollapragada et al., "A progressive batching L-BFGS method for machine
       learning", ICML 2018.
    """
    data = fit.problem.data
    for n_rows in reversed(sample_sizes(data.n_rows, _MOST_BYTES // data.row_bytes)):
        with fit.stage(f"fit to {n_rows} rows"):
            theta = _fit_to_sample(fit, progress, theta, n_rows, reached)
    return theta


def _fit_to_sample(fit, progress, theta, n_rows, reached):
    """See `approach`."""
    settings, problem = fit.settings, fit.problem
    rows = problem.data.sample(progress.seed, n_rows)
    monitor = Monitor(
        patience=settings.n_iter_no_change,
        verbose=settings.verbose,
        title=f"Fit to {rows.n_rows} of {problem.data.n_rows} rows: ",
        **problem.tolerances(_TOLERANCE * settings.tol),
    )
    monitor.notify = lambda: reached.append((fit, progress, monitor.theta))
    alpha = progress.alpha * rows.total_weight / problem.data.total_weight
    objective = problem.part(rows).objective(alpha)
    result = settings.method.run(settings, objective, theta, on_iteration=monitor)
    theta = result.theta.astype(theta.dtype, copy=False)
    reached.append((fit, progress, theta))
    return theta


def sample_sizes(n_rows, most=math.inf):
    """Numbers of rows of the samples of so many rows, the largest one first.

    Parameters
    ----------
    n_rows : int
    most : int, default=inf
        Of the largest sample.
    """
    size, sizes = min(n_rows // _LARGEST, most), []
    while n_rows >= _MANY_ROWS and size >= _FEWEST_ROWS:
        sizes.append(size)
        size //= _GROWTH
    return sizes
