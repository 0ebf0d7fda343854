"""Fits to growing samples of many rows, before the fit to all of them."""

from skmlp._monitor import Monitor

# From so many rows on there are such fits. The largest sample is one row in `_LARGEST`;
# each is `_GROWTH` times as large as the one before; none has fewer rows, or more bytes
_MANY_ROWS = 50_000
_LARGEST, _GROWTH = 8, 4
_FEWEST_ROWS, _MOST_BYTES = 3000, 2**28
# An iteration on a sample is cheap: it has to gain a quarter of what it has to on all rows
_TOLERANCE = 0.25


def approach(fit, progress, theta, reached):
    """Find where L-BFGS should start on many rows: at the optimum of a sample of them.

    The fit to a sample starts from the optimum of a smaller one, and so on: each has to
    make up only for what its rows know better. Unlike in [1]_, where samples grow until
    their gradients are sure enough to descend, each fit goes to its end. Alpha is
    multiplied by the sample's share of the weight, which makes it the same penalty for a
    row: under a stronger one, the units of a small network become alike, and stay so.

    Parameters
    ----------
    fit : Fit
    progress : Progress
    theta : ndarray of shape (P,)
    reached : deque
        Is given the progress and the parameters of the latest fit.

    Returns
    -------
    theta : ndarray of shape (P,)

    References
    ----------
    .. [1] R. Bollapragada et al., "A progressive batching L-BFGS method for machine
       learning", ICML 2018.
    """
    for n_rows in reversed(_sample_sizes(fit.problem.data)):
        with fit.stage(f"fit to {n_rows} rows"):
            theta = _fit_to_sample(fit, progress, theta, n_rows, reached)
    return theta


def _fit_to_sample(fit, progress, theta, n_rows, reached):
    """See `approach`."""
    settings, problem = fit.settings, fit.problem
    rows = problem.data.sample(progress.seed, n_rows)
    monitor = Monitor(
        _TOLERANCE * problem.tolerance(settings.tol),
        settings.n_iter_no_change,
        verbose=settings.verbose,
        title=f"Fit to {rows.n_rows} of {problem.data.n_rows} rows: ",
    )
    monitor.notify = lambda: reached.append((progress, monitor.theta))
    alpha = progress.alpha * rows.total_weight / problem.data.total_weight
    objective = problem.part(rows).objective(alpha)
    result = settings.method.run(settings, objective, theta, on_iteration=monitor)
    theta = result.theta.astype(theta.dtype, copy=False)
    reached.append((progress, theta))
    return theta


def most_samples(data):
    """Fits to samples, at the most: rows with many bytes have fewer."""
    return len(_shrinking(data.n_rows // _LARGEST)) if data.n_rows >= _MANY_ROWS else 0


def _sample_sizes(data):
    """Numbers of rows of the samples, the largest one first."""
    if data.n_rows < _MANY_ROWS:
        return []
    return _shrinking(min(data.n_rows // _LARGEST, _MOST_BYTES // data.row_bytes))


def _shrinking(n_rows):
    """Numbers of rows of a sample and of those before it."""
    sizes = []
    while n_rows >= _FEWEST_ROWS:
        sizes.append(n_rows)
        n_rows //= _GROWTH
    return sizes
