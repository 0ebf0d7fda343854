"""The span of the rows, in which a network of more features than rows is trained.

What of a unit's weights is orthogonal to all (standardised) rows changes no output and
costs penalty, so a minimum has none of it: the weights are ``W' = Q A``, where the columns
of Q are an orthonormal basis of the span of the rows. Since ``||W'|| = ||A||``, training A
on the rows' coordinates ``X' Q`` is the same problem, with as many features as rows.

References
----------
B. Schoelkopf, R. Herbrich, A. J. Smola, "A generalized representer theorem", COLT 2001.
T. Hastie, R. Tibshirani, "Efficient quadratic regularization for expression arrays",
Biostatistics 5 (2004), section 3.
"""

import numpy as np
from scipy import linalg, sparse

from skmlp._memory_map import pieces
from skmlp._repeats import distinct

# Rows for each unit of the first layer up to which a basis pays: it takes no more memory
# than L-BFGS's vectors of all the weights would, nor more time than some evaluations
_DENSE_ROWS_PER_UNIT = 25
_SPARSE_PAIRS_PER_UNIT = 10
# Copies of a row in the mean up to which distinct rows are counted
_COPIES = 100
# Pairs of rows for each feature from which on sparse products with all of the features
# are faster than dense ones with as many as rows
_SPARSE_PAIRS = 400
_BLOCK_BYTES = 2**24


def row_basis(rows, n_others, n_units, mean, scale):
    """A basis of the span of some rows, where it makes training cheaper.

    Parameters
    ----------
    rows : Rows
        n, of d features.
    n_others : int
        Rows to validate on, whose coordinates will be wanted, too.
    n_units : int
        Of the first layer.
    mean, scale : ndarray of shape (d,) or None
        What standardises the features; None if nothing does.

    Returns
    -------
    basis : DenseBasis, SparseBasis or None
        None if there are not much fewer rows than features, or too many rows, or if all
        of them are at their mean.
    coordinates : ndarray of shape (n, r)
        Of the rows. Copies of a row have the same ones, to the bit.
    """
    X, d = rows.X, rows.n_features
    if rows.n_rows > _COPIES * d:
        return None, X
    first, group, _ = distinct(rows.prints, np.ones(rows.n_rows))
    n = len(first)  # so that weights are as good as copies
    if sparse.issparse(X):
        pairs = n * (n + n_others)
        is_worth = pairs <= d * min(_SPARSE_PAIRS_PER_UNIT * n_units, _SPARSE_PAIRS)
        make = SparseBasis
    else:
        is_worth, make = n <= _DENSE_ROWS_PER_UNIT * n_units, DenseBasis
    if not is_worth or 4 * n > 3 * d:
        return None, X
    has_copies = n < rows.n_rows
    basis = make(
        X[first] if has_copies else X,
        0.0 if mean is None else mean,
        1.0 if scale is None else scale,
    )
    if basis.coordinates.shape[1] == 0 or not np.isfinite(basis.coordinates).all():
        return None, X
    return basis, basis.coordinates[group] if has_copies else basis.coordinates


class DenseBasis:
    """Q of the thin QR decomposition of the transposed rows.

    A second one, of R with columns pivoted, tells the rank: what is drawn for a direction
    that is none of the rows' would be noise.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    mean, scale : ndarray of shape (d,) or float

    Attributes
    ----------
    coordinates : ndarray of shape (n, r)
        Of the rows themselves; r is their rank.
    """

    def __init__(self, X, mean, scale):
        self._mean, self._scale = mean, scale
        rows = self._standardised(X)
        Q, R = linalg.qr(rows.T, overwrite_a=True, mode="economic", check_finite=False)
        turn, R, pivots = linalg.qr(R, pivoting=True, check_finite=False)
        sizes = np.abs(np.diag(R))
        rank = int((sizes > max(X.shape) * np.finfo(float).eps * sizes[0]).sum())
        self._Q = Q @ turn[:, :rank]
        self.coordinates = np.empty((len(X), rank))
        self.coordinates[pivots] = R[:rank].T

    def coordinates_of(self, X):
        """Of other rows, of shape (n, r)."""
        n_rows = max(_BLOCK_BYTES // (8 * X.shape[1]), 1)
        coordinates = np.empty((X.shape[0], self._Q.shape[1]))
        for rows in pieces(X, n_rows):
            coordinates[rows] = self._standardised(X[rows]) @ self._Q
        return coordinates

    def reduce(self, W):
        """A of the part of W' that is in the span: ``Q^T W'``."""
        return self._Q.T @ W

    def expand(self, A):
        """W' of A."""
        return self._Q @ A

    def _standardised(self, X):
        rows = np.subtract(X, self._mean, dtype=np.float64)
        rows /= self._scale
        return rows


class SparseBasis:
    """A basis by the products of the rows, lest Q, which is dense, is formed.

    With the Cholesky decomposition ``X' X'^T = L L^T``, rows pivoted, and X'_p the rows of
    the pivots, ``Q = X'_p^T L_p^-T``. The rows X' themselves, which are not sparse where
    features have a mean, aren't formed either.

    Parameters
    ----------
    X : CSR of shape (n, d)
    mean, scale : ndarray of shape (d,) or float

    Attributes
    ----------
    coordinates : ndarray of shape (n, r)
        Of the rows themselves; r is their rank.
    """

    def __init__(self, X, mean, scale):
        self._scale = np.broadcast_to(scale, X.shape[1])
        self._shift = mean / self._scale
        self._rows = self._scaled(X)
        (pstrf,) = linalg.get_lapack_funcs(("pstrf",), dtype=np.float64)
        # less than what rounding leaves of the products is none
        sizes = (self._rows**2).sum(axis=1) + self._shift @ self._shift
        least = max(X.shape) * np.finfo(float).eps * sizes.max()
        products = self._products(self._rows)
        L, pivots, rank, _ = pstrf(products, tol=least, lower=1, overwrite_a=1)
        rank *= L[0, 0] ** 2 > least  # the first pivot it takes as it is
        L = np.tril(L)[:, :rank]
        pivots -= 1  # Fortran's
        self._L, self._rows = L[:rank], self._rows[pivots[:rank]]
        self.coordinates = np.empty_like(L)
        self.coordinates[pivots] = L

    def coordinates_of(self, X):
        """Of other rows, of shape (n, r)."""
        return self._solve(self._products(self._scaled(X)).T).T

    def reduce(self, W):
        """A of the part of W' that is in the span."""
        return self._solve(self._rows @ W - self._shift @ W)

    def expand(self, A):
        """W' of A."""
        C = self._solve(A, trans="T")
        return self._rows.T @ C - np.outer(self._shift, C.sum(axis=0))

    def _solve(self, B, **options):
        return linalg.solve_triangular(
            self._L, B, lower=True, check_finite=False, **options
        )

    def _scaled(self, X):
        """X without the shift, so that it is sparse."""
        data = X.data / self._scale[X.indices]
        return sparse.csr_array((data, X.indices, X.indptr), shape=X.shape)

    def _products(self, X):
        """Of shifted rows with the shifted rows of the basis, of shape (n, m)."""
        transposed = self._rows.T.tocsr()
        products = np.empty((X.shape[0], transposed.shape[1]), order="F")
        n_rows = max(_BLOCK_BYTES // (12 * transposed.shape[1]), 1)
        for rows in pieces(X, n_rows):
            products[rows] = (X[rows] @ transposed).toarray()
        products -= (X @ self._shift)[:, np.newaxis]
        products -= self._rows @ self._shift - self._shift @ self._shift
        return products
