"""L-BFGS-B, by scipy."""

from skmlp._run import minimize, most_pairs, resolution
from skmlp._scipy_run import ScipyRun


def minimize_lbfgsb(objective, theta, *, max_iter, max_fun, on_iteration, other=None):
    """Minimise by `scipy.optimize.minimize(method="L-BFGS-B")`.

    It takes the steps that `skmlp._lbfgs.minimize_lbfgs` takes, up to rounding and to what
    is tried where a step is too long; see there for the parameters.

    References
    ----------
    R. H. Byrd, P. Lu, J. Nocedal, "A limited memory algorithm for bound constrained
    optimization", SIAM J. Sci. Comput. 16 (1995).
    """
    run = _RunOfLbfgsb(objective, on_iteration, max_iter, max_fun)
    return minimize(run, theta, other)


class _RunOfLbfgsb(ScipyRun):
    name = method = "L-BFGS-B"

    def _arguments(self, n_parameters):
        options = {
            "maxiter": self.max_iter - self.n_iter,
            "maxfun": self.max_fun - self.n_fun,
            "maxcor": most_pairs(n_parameters),
            "gtol": 0.0,
            # on_iteration decides, down to the resolution of the arithmetic
            "ftol": resolution(self.objective),
        }
        return {"options": options}
