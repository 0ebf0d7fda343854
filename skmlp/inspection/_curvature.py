"""How the objective curves at the end of a fit."""

import math
from numbers import Integral

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg, eigsh
from sklearn.utils import Bunch, check_random_state, check_scalar

from skmlp._fitted import fitted_problem, transform, unwrap
from skmlp._parallel import row_threads

# Parameters up to which the matrices themselves are computed
_FEW = 1000
# and so many for each eigenvalue that is asked for: more take longer by Lanczos's method
_FEW_FOR_EACH = 10
# Eigenvalues are known to this share of the largest one
_RESOLUTION = 1e-7
# Random vectors that a trace is estimated by
_N_PROBES = 10
# How exactly systems of equations are solved for it
_PROBE_TOLERANCE = 1e-3


def loss_curvature(
    estimator, X, y, sample_weight=None, *, n_eigenvalues=6, random_state=None
):
    """Curvature of the objective at the parameters of a fitted network.

    The eigenvalues of the Hessian matrix of the objective, (26), tell whether the end of a
    fit is a minimum, how flat it is, and how unlike its directions are. They are those in
    the coordinates of training: of standardised features, unless ``standardize=False``.

    Parameters
    ----------
    estimator : estimator
        A fitted `MLPClassifierManual`, a pipeline that ends in one, or a search with
        ``refit=True`` over one of these.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows that it was fitted to; others have another objective. They are looked at in
        double precision: float32 rows, those of a memory map included, are copied.
    y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_outputs)
        Their labels.
    sample_weight : array-like of shape (n_samples,), default=None
        Their weights; those of ``class_weight`` are multiplied in.
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
            Eigenvalues of the Hessian, descending, in nats per squared parameter. Fewer, if
            there are fewer parameters. With more than 1000 parameters, one that occurs
            several times may be listed fewer times.
        smallest : ndarray of shape (n_eigenvalues,)
            Those at the other end, ascending.
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
            parameters, an estimate; NaN with ``alpha=0``, when there is no penalty.
        effective_n_parameters_error : float
            Standard error of that estimate; else 0.

    Raises
    ------
    TypeError
        If there is no network in the estimator, or it is for partitions.
    ValueError
        If the rows do not fit the network, or `n_eigenvalues` is less than 1.

    See Also
    --------
    skmlp.MLPClassifierManual : With ``solver="newton-cg"``, fits go on to a minimum.

    Notes
    -----
    The Hessian of ``activation="relu"`` is that of the straight pieces. It does not see the
    kinks between them, on which many fits end: there neither `kind` nor the gradient says
    how good the end is.

    Softmax probabilities do not change if all biases of the output layer grow alike: one
    eigenvalue is 0 at every minimum.

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
        eigenvalues = np.linalg.eigvalsh(_matrix_of(product, n))
        return eigenvalues[::-1][:k], eigenvalues[:k]
    start = random_state.normal(size=n)
    if not product(start).any():  # of one class, without a penalty
        return np.zeros(k), np.zeros(k)
    options = {
        "k": k,
        "which": "LA",
        "v0": start,
        "tol": _RESOLUTION,
        "return_eigenvectors": False,
    }
    largest = np.sort(eigsh(LinearOperator((n, n), product, dtype=float), **options))[::-1]

    def upside_down(v):
        # of an eigenvalue near 0, which Lanczos's method would want to know to a share of
        # itself, this is one near the largest
        return largest[0] * v - product(v)

    turned = eigsh(LinearOperator((n, n), upside_down, dtype=float), **options)
    return largest, largest[0] - np.sort(turned)[::-1]


def _effective_number(product, n, of_penalty, random_state):
    """Trace of G (G + of_penalty)^-1, given products with G, and its standard error."""
    if of_penalty == 0:
        return math.nan, math.nan
    if n <= _FEW:
        eigenvalues = np.maximum(np.linalg.eigvalsh(_matrix_of(product, n)), 0)
        return (eigenvalues / (eigenvalues + of_penalty)).sum(), 0.0

    def penalised(v):
        return product(v) + of_penalty * v

    operator, traces = LinearOperator((n, n), penalised, dtype=float), []
    for _ in range(_N_PROBES):
        probe = random_state.choice([-1.0, 1.0], size=n)
        atol = _PROBE_TOLERANCE * np.linalg.norm(probe)
        traces.append(n - of_penalty * (probe @ cg(operator, probe, atol=atol)[0]))
    return np.mean(traces), np.std(traces, ddof=1) / np.sqrt(_N_PROBES)


def _matrix_of(product, n):
    """The symmetric matrix of which `product` gives products with vectors."""
    matrix = np.stack(list(map(product, np.eye(n))))
    return (matrix + matrix.T) / 2
