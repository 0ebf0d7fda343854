"""The table of solvers: each minimises any objective, and never sees a network.

An objective has ``loss(theta)``, ``loss_gradient(theta)`` and ``dtype``, for Newton's
method ``hessian_product(theta)``, and for the stochastic solvers
``batches(theta, batch_size, rng)`` and ``n_rows``. By ``rough()`` and
``for_batches(batch_size, n_epochs)`` it returns one that is faster. After each iteration a
solver calls ``on_iteration(theta, loss, slope)``, where slope is the norm of the gradient,
or None if only mini-batches have one, and heeds the `Verdict` that it returns. It never
changes this theta later, since the caller may keep it. Gradients of mini-batches may be in
a lower precision than theta.
"""

from collections.abc import Callable
from typing import NamedTuple

from skmlp._lbfgs import minimize_lbfgs
from skmlp._lbfgsb import minimize_lbfgsb
from skmlp._newton import minimize_newton
from skmlp._stochastic import SGD, Adam, minimize_stochastic

_OF_EPOCHS = frozenset(
    {"dropout", "batch_size", "shuffle", "learning_rate", "learning_rate_init", "power_t"}
)


class Solver(NamedTuple):
    """A row of the table of solvers.

    Attributes
    ----------
    run : callable
        ``run(settings, objective, theta, *, on_iteration, state, seed, n_samples, other)``
        returns a `Result`. A `State`, the seed of the batches and the rows seen before are
        for solvers that have epochs; `other`, where to go on from if it is better, is for
        the others.
    parameters : frozenset of str
        Parameters of the estimator that not every solver uses, but this one.
    needs : tuple of str
        Methods of an objective.
    has_epochs : bool
        Whether an iteration is a pass over mini-batches.
    powers : tuple of int
        Powers of the gradient of which it keeps averages from call to call.
    """

    run: Callable
    parameters: frozenset
    needs: tuple
    has_epochs: bool
    powers: tuple = ()


def _by_iterations(minimize, *limits, needs=()):
    """A solver that looks at all rows in every iteration, within limits of the settings."""

    def run(settings, objective, theta, *, on_iteration, other=None, **of_epochs):
        options = {name: getattr(settings, name) for name in limits}
        return minimize(objective, theta, on_iteration=on_iteration, other=other, **options)

    needs = "loss", "loss_gradient", "rough", *needs
    return Solver(run, frozenset(limits) - {"max_iter"}, needs, has_epochs=False)


def _by_epochs(rule, *names):
    """A solver that steps by a rule with some parameters of the settings."""

    def run(settings, objective, theta, *, state, other=None, **options):
        first_epoch = state.plan_epoch if settings.is_incremental else state.n_epochs
        return minimize_stochastic(
            objective,
            theta,
            rule(*(getattr(settings, name) for name in names)),
            settings.schedule(first_epoch),
            state=state,
            batch_size=settings.rows_in_a_batch(objective.n_rows),
            max_iter=1 if settings.is_incremental else settings.max_iter,
            **options,
        )

    parameters, needs = _OF_EPOCHS.union(names), ("for_batches", "batches")
    return Solver(run, parameters, needs, has_epochs=True, powers=rule.powers)


SOLVERS = {
    "lbfgs": _by_iterations(minimize_lbfgs, "max_iter", "max_fun"),
    "l-bfgs-b": _by_iterations(minimize_lbfgsb, "max_iter", "max_fun"),
    "newton-cg": _by_iterations(minimize_newton, "max_iter", needs=["hessian_product"]),
    "sgd": _by_epochs(SGD, "momentum", "nesterovs_momentum"),
    "adam": _by_epochs(Adam, "beta_1", "beta_2", "epsilon"),
}
