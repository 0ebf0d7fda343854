"""L-BFGS, by scipy."""

from skmlp._scipy_run import ScipyRun, minimize, resolution

# Pairs of vectors that L-BFGS keeps: fewer where each has more numbers than this
_MAXCOR, _MAXCOR_OF_LONG = 10, 5
_LONG = 2**20


def minimize_lbfgs(objective, theta, *, max_iter, max_fun, on_iteration, other=None):
    """Minimise by L-BFGS, `scipy.optimize.minimize(method="L-BFGS-B")`.

    Parameters
    ----------
    objective : Objective
        The one that `rough` returns takes its place until progress is slow, or it can't be
        lowered further, or it is not finite.
    theta : ndarray of shape (P,)
        Start; left as it is.
    max_iter, max_fun : int
        Iterations and evaluations at the most.
    on_iteration : callable
        ``on_iteration(theta, loss, slope)`` returns a `Verdict`, after each iteration.
    other : ndarray of shape (P,), optional
        Where to go on from at the end, if the loss is lower there.

    Returns
    -------
    result : Result
        Converged if `on_iteration` stopped it, or if the loss can't be lowered within the
        precision of the data's type.

    Raises
    ------
    ValueError
        If the loss or its gradient is not finite at the start, or at each point that the
        search for a step ends with.

    References
    ----------
    R. H. Byrd, P. Lu, J. Nocedal, "A limited memory algorithm for bound constrained
    optimization", SIAM J. Sci. Comput. 16 (1995).
    """
    run = _RunOfLbfgs(objective, on_iteration, max_iter, max_fun)
    return minimize(run, theta, other)


class _RunOfLbfgs(ScipyRun):
    name, method = "L-BFGS", "L-BFGS-B"

    def _arguments(self, n_parameters):
        options = {
            "maxiter": self.max_iter - self.n_iter,
            "maxfun": self.max_fun - self.n_fun,
            "maxcor": _MAXCOR_OF_LONG if n_parameters > _LONG else _MAXCOR,
            "gtol": 0.0,
            # on_iteration decides, down to the resolution of the arithmetic
            "ftol": resolution(self.objective),
        }
        return {"options": options}
