"""How the objective curves at the end of a fit."""

import math
from numbers import Integral

import numpy as np
from scipy.linalg import eigh, eigh_tridiagonal
from scipy.sparse.linalg import LinearOperator, cg
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Bunch, check_random_state, check_scalar

from skmlp._parallel import row_threads
from skmlp._warnings import warn
from skmlp.inspection._fitted import fitted_problem, transform, unwrap

# Parameters up to which the matrices themselves are computed
_FEW = 1000
# and so many for each eigenvalue that is asked for: more take longer by Lanczos's method
_FEW_FOR_EACH = 10
# Parameters up to which a matrix is computed (512 MB) rather than solving takes longer
_MANY = 2**13
# Steps of Lanczos's method from one look at its end to the next
_STEPS = 64
# Numbers that its vectors may take (1 GB)
_BASIS_NUMBERS = 2**27
_ROUGH_NUMBER = (
    "effective_n_parameters is an upper bound: after {} steps, systems of equations for it "
    "are not solved exactly. A larger alpha takes fewer."
)
# Eigenvalues are known to this share of the largest one
_RESOLUTION = 1e-7
# Random vectors that a trace is estimated by, and of the products that the matrix itself
# takes, how many each of them may
_N_PROBES, _PROBE_SHARE = 10, 0.1
# How exactly systems of equations are solved for it
_PROBE_TOLERANCE = 1e-3


def loss_curvature(
    estimator, X, y, sample_weight=None, *, n_eigenvalues=6, random_state=None
):
    """Curvature of the objective at the parameters of a fitted network.

    The eigenvalues of the Hessian matrix of the objective, (26), tell whether the end of a
    fit is a minimum, how flat it is, and how unlike its directions are. They are computed
    in the coordinates of training: of standardised features, unless ``standardize=False``,
    and for a regressor of standardised y.

    Parameters
    ----------
    estimator : estimator
        A fitted `MLPClassifierManual` or `MLPRegressorManual`, or a net for tables, a
        pipeline that ends in one, or a search with ``refit=True`` over one of these.
    X : {DataFrame, array-like, sparse matrix} of shape (n_samples, n_features)
        The rows that it was fitted to; others have another objective. They are looked at in
        double precision: float32 rows are copied, also from a memory map.
    y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_outputs)
        Their labels, or values.
    sample_weight : array-like of shape (n_samples,), default=None
        Their weights, which are multiplied by ``class_weight``.
    n_eigenvalues : int, default=6
        How many to compute at either end of the spectrum.
    random_state : int, RandomState instance or None, default=None
        Of networks with more than 1000 parameters: where Lanczos's method starts, and the
        vectors that `effective_n_parameters` is estimated by.

    Returns
    -------
    curvature : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        largest : ndarray of shape (n_eigenvalues,)
            Eigenvalues of the Hessian, descending, in units of the loss (of a classifier,
            nats) per squared parameter. Fewer, if there are fewer parameters. With more
            than 1000 parameters, one that occurs several times may be listed fewer times.
        smallest : ndarray of shape (n_eigenvalues,)
            Eigenvalues at the other end, ascending.
        kind : {'minimum', 'saddle'}
            Whether the smallest eigenvalue is at least 0, up to 1e-7 of the largest, which
            is as precisely as it is known.
        loss : float
            The objective.
        gradient_norm : float
            Length of its gradient. Where that has not vanished the fit could go on, and
            `kind` is what the place is like, not what its end would be.
        of_penalty : float
            alpha / S: the eigenvalue that the penalty alone gives to all weights.
        n_parameters : int
            Weights and biases.
        effective_n_parameters : float
            How many of them the data determine, rather than the penalty: the sum of
            ``g / (g + of_penalty)`` over the eigenvalues g of the Gauss-Newton matrix of
            the loss. (Biases count as if they were penalised, too.) With more than 1000
            parameters, an estimate, unless all eigenvalues take fewer products; NaN with
            ``alpha=0``, when there is no penalty.
        effective_n_parameters_error : float
            Standard error of the estimate; else 0.

    Raises
    ------
    TypeError
        If there is no network in the estimator, or it is for partitions.
    ValueError
        If the rows do not fit the network, or `n_eigenvalues` is less than 1.

    Warns
    -----
    ConvergenceWarning
        If memory or time end before the eigenvalues or the number are known as precisely as
        they should: with more than some 10,000 parameters.

    See Also
    --------
    skmlp.MLPClassifierManual : With ``solver="newton-cg"``, fits go on to a minimum.

    Notes
    -----
    With ``activation="relu"`` the Hessian is computed on the straight pieces. It does not
    see the kinks between them, on which many fits end: there neither `kind` nor the
    gradient says how good the end is.

    For the losses 'quantile' and 'absolute_error' the curvature is computed of the smoothed
    loss that training minimises. It is large near the kink and grows with the rows. For
    'gaussian', the Gauss-Newton matrix has the second derivatives with respect to mean and
    log-variance that are expected by the net's own density (the Fisher information): second
    derivatives at the rows may be negative where it fits badly.

    Softmax probabilities do not change if all biases of the output layer grow alike: one
    eigenvalue is 0 at every minimum.

    The eigenvalues take no more products with the Hessian than there are parameters, mostly
    some hundred, and `effective_n_parameters` about as many at most with the Gauss-Newton
    matrix. A product takes the time of one to two gradients.

    References
    ----------
    D. J. C. MacKay, "Bayesian interpolation", Neural Computation 4 (1992), section 4, for
    the effective number of parameters; C. M. Bishop, "Pattern recognition and machine
    learning", 2006, section 5.4; M. F. Hutchinson, "A stochastic estimator of the trace of
    the influence matrix", Communications in Statistics 19 (1990).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skmlp import MLPClassifierManual
    >>> from skmlp.inspection import loss_curvature
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPClassifierManual(5, alpha=1.0, solver="newton-cg", tol=1e-9)
    >>> net.set_params(random_state=0).fit(X, y).n_iter_ < 100
    True
    >>> curvature = loss_curvature(net, X, y)
    >>> curvature.kind, curvature.gradient_norm < 1e-8
    ('minimum', True)
    >>> curvature.effective_n_parameters < curvature.n_parameters
    True
    """
    check_scalar(n_eigenvalues, "n_eigenvalues", Integral, min_val=1)
    random_state = check_random_state(random_state)
    steps, model = unwrap(estimator)
    problem, theta = fitted_problem(model, transform(steps, X), y, sample_weight)
    with row_threads(problem.data.n_blocks(problem.network)) as map_rows:
        data, network, coordinates = problem.data, problem.network, problem.coordinates
        objective = data.objective(network, coordinates, model.alpha_, map_rows)
        loss, gradient = objective.loss_gradient(theta)
        largest, smallest = _extremes(
            objective.hessian_product(theta), theta.size, n_eigenvalues, random_state
        )
        of_penalty = model.alpha_ / data.total_weight
        of_loss = data.objective(network, coordinates, 0.0, map_rows)
        effective, error = _effective_number(
            of_loss.hessian_product(theta, gauss_newton=True),
            theta.size,
            of_penalty,
            random_state,
        )
    return Bunch(
        largest=largest,
        smallest=smallest,
        kind="minimum" if smallest[0] >= -_RESOLUTION * largest[0] else "saddle",
        loss=float(loss),
        gradient_norm=float(np.linalg.norm(gradient)),
        of_penalty=of_penalty,
        n_parameters=theta.size,
        effective_n_parameters=float(effective),
        effective_n_parameters_error=float(error),
    )


def _extremes(product, n, k, random_state):
    """The k largest eigenvalues and the k smallest, of a matrix given by its products."""
    if n <= max(_FEW, _FEW_FOR_EACH * k):
        eigenvalues = _eigenvalues(product, n)
        return eigenvalues[::-1][:k], eigenvalues[:k]
    n_steps = min(n, max(_BASIS_NUMBERS // n, 4 * k))
    for diagonal, off in _tridiagonal(product, n, n_steps, random_state):
        if len(diagonal) < 2 * k:
            continue
        smallest, largest, error = _ends(diagonal, off, k)
        scale = max(np.abs(smallest[0]), np.abs(largest[-1]))
        if error <= _RESOLUTION * scale:
            break
    else:
        warn(
            f"Of {n} parameters, the eigenvalues are known to {error / scale:.1g} of the "
            f"largest one after {n_steps} steps of Lanczos's method, which memory allows.",
            ConvergenceWarning,
        )
    return largest[::-1], smallest


def _tridiagonal(product, n, n_steps, random_state):
    """Lanczos's matrix, after every `_STEPS` steps.

    Each vector is made orthogonal to all before. So there are never more steps than
    parameters: scipy's `eigsh`, which keeps few vectors and begins anew, takes ten times as
    many where eigenvalues lie close together, as where only the penalty holds the weights.

    Yields
    ------
    diagonal : ndarray of shape (m,)
        After m steps.
    off : ndarray of shape (m,)
        What is beside it; the last one leads to the next step.
    """
    diagonal, off, basis = [], [], []
    v = random_state.normal(size=n)
    while len(diagonal) < n_steps:
        basis.append(np.zeros((min(_STEPS, n_steps - len(diagonal)), n)))
        for vector in basis[-1]:
            vector[:] = v / np.linalg.norm(v)
            v = product(vector)
            diagonal.append(vector @ v)
            v = _orthogonal_to(basis, v)
            off.append(np.linalg.norm(v))
            if off[-1] <= np.finfo(float).eps * np.abs(diagonal).max():
                # an invariant space: other directions are left
                off[-1], v = 0.0, _orthogonal_to(basis, random_state.normal(size=n))
        yield np.array(diagonal), np.array(off)


def _orthogonal_to(basis, v):
    """What is left of a vector, of which rounding would leave too much the first time."""
    for block in basis * 2:
        v = v - (block @ v) @ block
    return v


def _ends(diagonal, off, k):
    """The k smallest and the k largest eigenvalues, and how far they may be off."""
    m = len(diagonal)
    (smallest, low), (largest, high) = (
        eigh_tridiagonal(diagonal, off[:-1], select="i", select_range=ends)
        for ends in [(0, k - 1), (m - k, m - 1)]
    )
    error = off[-1] * max(np.abs(low[-1]).max(), np.abs(high[-1]).max())
    return smallest, largest, error


def _effective_number(product, n, of_penalty, random_state):
    """Trace of G (G + of_penalty)^-1, given products with G, and its standard error."""
    if of_penalty == 0:
        return math.nan, math.nan
    if n > _FEW:
        traces = _traces(product, n, of_penalty, random_state)
        if traces is not None:
            return np.mean(traces), np.std(traces, ddof=1) / np.sqrt(_N_PROBES)
    eigenvalues = np.maximum(_eigenvalues(product, n), 0)
    return (eigenvalues / (eigenvalues + of_penalty)).sum(), 0.0


def _traces(product, n, of_penalty, random_state):
    """Estimates of the trace; None where all of them take longer than the matrix."""

    def penalised(v):
        return product(v) + of_penalty * v

    operator, traces = LinearOperator((n, n), penalised, dtype=float), []
    most = int(_PROBE_SHARE * n)
    for _ in range(_N_PROBES):
        probe = random_state.choice([-1.0, 1.0], size=n)
        atol = _PROBE_TOLERANCE * np.linalg.norm(probe)
        solution, n_done = cg(operator, probe, atol=atol, maxiter=most)
        if n_done and n <= _MANY:  # but not to `atol`
            return None
        if n_done:
            warn(_ROUGH_NUMBER.format(n_done), ConvergenceWarning)
        traces.append(n - of_penalty * (probe @ solution))
    return traces


def _eigenvalues(product, n):
    """All eigenvalues of the symmetric matrix of which `product` gives the products."""
    matrix, unit = np.empty((n, n), order="F"), np.zeros(n)
    for i, column in enumerate(matrix.T):
        unit[i] = 1
        column[:] = product(unit)
        unit[i] = 0
    return eigh(matrix, eigvals_only=True, overwrite_a=True, check_finite=False)
