"""The one objective that every solver minimises, and how its sum over rows is run.

    F(theta) = (1/S) [ sum_i s_i loss_i(theta) + (alpha/2) sum_l ||W_l||^2 ],  S = sum_i s_i

Rows are evaluated in blocks small enough to stay in cache, on threads. Blocks are added up
in an order that depends on the data's shape alone, so results are the same to the bit for
any number of threads.
"""

import threading
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from itertools import pairwise, repeat

import numpy as np
from scipy import sparse
from scipy.linalg import get_blas_funcs

from skmlp._coordinates import Coordinates, raw_parameters
from skmlp._encoded import Encoded
from skmlp._memory_map import give_back, memory_map
from skmlp._parallel import faster, serial

# Bytes that the activations of a block of rows may take. Some 2000 rows of 100 units are
# few enough for cache, and enough for the work of a call to outweigh the hand-over between
# threads.
_BLOCK_BYTES = 2**21
# Entries of sparse data in a block, for each feature: a block costs passes over the weights
_BLOCK_ENTRIES = 8
# Partial sums of the gradient: at most so many, with so many numbers in all; at least 4
_MAX_GROUPS = 16
_GROUP_NUMBERS = 2**23
# Bytes that products with the Hessian may keep of the rows
_KEPT_BYTES = 2**28
# Single precision takes half of the time; fits to fewer blocks have little to save
_FEWEST_ROUGH_BLOCKS = 3
# Rows times weights from which an epoch of mini-batches has something to save, too
_FEWEST_ROUGH_PRODUCTS = 2**22
# Bytes of rows gathered at a time for mini-batches; a batch may have more
_PIECE_BYTES = 2**18
# Bytes of rows standardised at a time: few enough to stay in cache from pass to pass
_STRIP_BYTES = 2**19


def row_blocks(X, network, row_numbers=None):
    """Slices that divide the rows evenly into blocks: 1, 2, or a multiple of 4.

    No block is empty: each of very few rows is a block.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
    network : Network
    row_numbers : int, optional
        Numbers that a row takes, beside X; by default its outputs and deltas.
    """
    n_rows, n_features = X.shape
    row_bytes = (row_numbers or 2 * sum(network.layer_sizes[1:])) * X.dtype.itemsize
    n_blocks = -(-n_rows * row_bytes // _BLOCK_BYTES)
    if sparse.issparse(X) and row_numbers is None:
        n_blocks = min(n_blocks, X.nnz // (_BLOCK_ENTRIES * n_features) + 1)
    if n_blocks > 2:
        n_blocks = -(-n_blocks // 4) * 4
    elif n_rows >= 1024:
        n_blocks = 2
    n_blocks = max(min(n_blocks, n_rows), 1)
    ends = [n_rows * i // n_blocks for i in range(n_blocks + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


@dataclass(eq=False)
class Objective:
    """F(theta) over bound data.

    Parameters
    ----------
    network : Network
    X : {ndarray, CSR, Encoded, Standardised} of shape (n, d), float32 or float64
    targets : ndarray of shape (n,) of int, or of shape (n, K)
        Class index of each row, or 1 for each of its labels and 0 for the others.
    weights : ndarray of shape (n,), float64, or None
        s_i; None means one each.
    alpha : float
        Strength of the penalty on the weights; biases are free.
    shuffle : bool, default=True
        Whether mini-batches take the rows in random order.
    dropout : float in [0, 1), default=0
        Probability that a hidden unit is left out for a row of a mini-batch.
    coordinates : Coordinates, optional
        Of theta: gradients are with respect to them, and the penalty is on them. The
        default are the weights and biases themselves.
    total_weight : float, optional
        S, if the rows are only some of the data: the objectives of all partitions, one of
        them with alpha and the others without, then add up to the objective of the whole.
    map_rows : callable, default=serial
        A ``map`` over the groups of blocks: `_parallel.row_threads` gives one on threads.
    """

    network: object
    X: object
    targets: np.ndarray
    weights: np.ndarray | None
    alpha: float
    _: KW_ONLY
    shuffle: bool = True
    dropout: float = 0.0
    coordinates: Coordinates | None = None
    total_weight: float | None = None
    map_rows: Callable = serial

    def __post_init__(self):
        self.n_rows, self.dtype = self.X.shape[0], self.X.dtype
        if self.total_weight is None:
            self.total_weight = self.n_rows if self.weights is None else self.weights.sum()
        if self.coordinates is None:
            self.coordinates = Coordinates.identity(self.network)
        self.total_weight = float(self.total_weight)
        self._strength = float(self.alpha) / self.total_weight
        is_standardised = isinstance(self.X, Standardised)
        self._mapped = self.X.mapped if is_standardised else memory_map(self.X)
        self._axpy = get_blas_funcs("axpy", dtype=self.dtype)  # y += a x in one pass
        self._local = threading.local()
        # no cached_property, whose lock in Python 3.11 a forked child may find taken
        self._kept_groups = None

    def loss(self, theta):
        """F(theta); see `loss_gradient`."""
        theta = self._cast(theta)
        parameters = raw_parameters(self.network, self.coordinates, theta)
        losses = self.map_rows(partial(self._group_loss, parameters), self._groups())
        return sum(losses) + self._penalty(theta)

    def loss_gradient(self, theta):
        """F(theta) and its gradient.

        Parameters
        ----------
        theta : ndarray of shape (P,)
            Taken in the precision of X.

        Returns
        -------
        loss : float
        gradient : ndarray of shape (P,), in the precision of X
        """
        theta = self._cast(theta)
        parameters = raw_parameters(self.network, self.coordinates, theta)
        loss, gradient = self._sum(
            partial(self._block_loss_gradient, parameters), self._groups(), theta
        )
        return loss + self._penalty(theta), gradient

    def hessian_product(self, theta, *, gauss_newton=False):
        """Products of the Hessian of F at theta with vectors.

        Parameters
        ----------
        theta : ndarray of shape (P,)
        gauss_newton : bool, default=False
            Whether the Gauss-Newton matrix takes the Hessian's place; see
            `Network.hessian_product`.

        Returns
        -------
        product : callable
            ``product(v)`` is of shape (P,), in the precision of X. The derivatives of the
            rows at theta are computed once and kept, or if they are large, each time.
        """
        parameters = raw_parameters(self.network, self.coordinates, self._cast(theta))
        linearize, groups = partial(self._linearize, parameters), self._groups()
        make = self.network.linearization
        n_numbers = 4 * sum(self.network.layer_sizes[1:])  # h, phi', delta and bend
        if self.n_rows * n_numbers * self.dtype.itemsize <= _KEPT_BYTES:

            def keep(block):
                at = linearize(_loaded(block), make)
                give_back(self._mapped)
                return *block, at

            groups = list(self.map_rows(lambda blocks: list(map(keep, blocks)), groups))

        def product(v):
            v = self._cast(v)
            direction = raw_parameters(self.network, self.coordinates, v)

            def of_block(block, out):
                X, _, weights, *kept = block
                (at,) = kept or [linearize(block, partial(self._kept, make))]
                workspace = self._kept(self.network.workspace, X.shape[0], self.dtype)
                self.network.hessian_product(
                    parameters, direction, X, weights, at, out, workspace, gauss_newton
                )
                return 0.0

            return self._sum(of_block, groups, v)[1]

        return product

    def rough(self):
        """The same function in single precision, if that saves time; else this one."""
        is_short = len(row_blocks(self.X, self.network)) < _FEWEST_ROUGH_BLOCKS
        is_single = self.dtype == np.float32
        return self if is_short or is_single else self.in_single_precision()

    def in_single_precision(self):
        """The same function of rows in float32; or this one, if there is no such.

        Dense rows are standardised first, lest they lose the digits that tell them apart;
        sparse ones must not have such digits. So features have to have scales.
        """
        if sparse.issparse(self.X):
            coordinates = self.coordinates.for_single_entries()
            if coordinates is None:
                return self
            with np.errstate(over="ignore"):
                X = self.X.astype(np.float32, copy=False)
            is_finite = np.isfinite(X.data).all()
            return replace(self, X=X, coordinates=coordinates) if is_finite else self
        if isinstance(self.X, np.ndarray) and self.coordinates.of_standard:
            coordinates = self.coordinates.without_features(np.float32)
            X = self.X.astype(np.float32, copy=False)
            return replace(self, X=X, coordinates=coordinates)
        return self._standardised(np.float32, is_kept=True)

    def for_batches(self, batch_size, n_epochs):
        """The same function, for so many passes over mini-batches of standardised rows.

        Rows in double precision come in single precision where that saves time and loses
        nothing. Its rounding of a gradient is nothing beside the noise of the draw of the
        rows; and rows that are standardised have values of 10 at most, unless they have no
        weight. To standardise them takes a tenth to a quarter of an epoch: of many epochs,
        it is done once.
        """
        if batch_size >= self.n_rows and not self.dropout:
            return self
        is_long = self.n_rows * self.network.n_weights >= _FEWEST_ROUGH_PRODUCTS
        have_weight = self.weights is None or self.weights.all()
        dtype = np.dtype(np.float32 if is_long and have_weight else self.dtype)
        return self._standardised(dtype, n_epochs > 1 and dtype == np.float32)

    def _standardised(self, dtype, is_kept):
        """The same function of standardised rows, which are kept or made at each reading.

        Only what is in memory is kept. This function, if rows are sparse or their features
        have no scales.
        """
        is_array = isinstance(self.X, np.ndarray)
        is_dense = is_array or isinstance(self.X, Encoded)
        if not is_dense or self.coordinates.scales[0] is None:
            return self
        X = Standardised(self.X, self.coordinates, dtype)
        rows = X.rows(slice(None)) if is_kept and is_array and self._mapped is None else X
        return replace(self, X=rows, coordinates=X.coordinates)

    def batches(self, theta, batch_size, rng):
        """Unbiased estimates of F(theta) and its gradient, one a mini-batch.

        Of J batches, each gives J/S times its own sum over rows, plus the whole
        penalty: the mean of the J estimates at one theta is F(theta) and its gradient,
        however uneven the batches and the weights are. (With dropout, in expectation.)

        Parameters
        ----------
        theta : ndarray of shape (P,), in the precision of X, or a higher one
            May change between two batches: each is evaluated where theta is then.
        batch_size : int
            Rows in a batch; the last one may have fewer.
        rng : numpy.random.Generator
            Draws the order of the rows, and the units that drop out.

        Yields
        ------
        loss : float
        gradient : ndarray of shape (P,)
            Overwritten by the next batch; the caller may use it as scratch.
        """
        n_batches = -(-self.n_rows // batch_size)
        if n_batches == 1 and not self.dropout:
            yield self.loss_gradient(theta)
            return
        parameters = raw_parameters(self.network, self.coordinates, self._cast(theta))
        gradient = self._new_gradient()
        # theta's weights in the precision of the gradient, to which they add the penalty's
        keeps_weights = self.coordinates.scales[0] is None
        point = parameters.vector if keeps_weights else theta
        maps, masks, workspace = self._kept(self._maps), None, None
        for batch in self._batches(batch_size, rng, n_batches):
            if parameters.vector is not theta:
                np.copyto(parameters.vector, theta)
                self.coordinates.to_raw(parameters)
            workspace = self._workspace(len(batch[1]), next(maps), workspace)
            if self.dropout:
                masks = self.network.dropout(self.dropout, len(batch[1]), rng, self.dtype)
            loss = self.network.loss_gradient(
                parameters, *batch, gradient, workspace, masks
            )
            self._add_penalty(point, gradient)
            yield loss + self._penalty(theta), gradient.vector

    def _workspace(self, n_rows, map_two, last):
        """The last workspace, or another one if that does not suit."""
        if last is not None and len(last.ones) == n_rows and last.map_two is map_two:
            return last
        workspace = self._kept(self.network.workspace, n_rows, self.dtype)
        return workspace._replace(map_two=map_two)

    def _maps(self):
        """The maps for the steps of mini-batches, of which the faster one is taken."""
        if self.map_rows is serial:
            return repeat(serial)
        return faster(serial, self.map_rows)

    def _add_penalty(self, theta, gradient):
        """Make a gradient of the sum over rows one of F, in the coordinates of theta."""
        if not self.coordinates.is_identity:
            self.coordinates.pull_back(gradient)
        weights = self._penalised(theta)
        self._axpy(weights, gradient.vector, weights.size, self._strength)

    def _cast(self, theta):
        return theta.astype(self.dtype, copy=False)

    def _batches(self, batch_size, rng, factor):
        """Yield (X, targets, weights) of each batch; rows of several are read at a time."""
        order = rng.permutation(self.n_rows) if self.shuffle else None
        batch_bytes = batch_size * self.X.shape[1] * self.dtype.itemsize
        n_piece = max(_PIECE_BYTES // batch_bytes, 1) * batch_size
        take = _taker(self.X, order is not None, min(n_piece, self.n_rows))
        for start in range(0, self.n_rows, n_piece):
            rows = slice(start, start + n_piece)
            if order is not None:
                rows = order[rows]
            X, targets, weights = (
                take(rows),
                self.targets[rows],
                self._factors(rows, factor),
            )
            for first in range(0, len(targets), batch_size):
                batch = slice(first, first + batch_size)
                some = weights if np.isscalar(weights) else weights[batch]
                yield X[batch], targets[batch], some
            if not self.shuffle:
                give_back(self._mapped)

    def _factors(self, rows, factor=1.0):
        """The factor of the loss of each row: s_i / S, times `factor`."""
        if self.weights is None:
            return factor / self.total_weight
        factors = self.weights[rows] / self.total_weight
        factors *= factor
        return factors.astype(self.dtype, copy=False)

    def _penalised(self, theta):
        """The weights in a flat vector, without the biases: a view."""
        return theta[: self.network.n_weights]

    def _penalty(self, theta):
        """(alpha / 2S) sum ||W||^2; its gradient is `_strength` times the weights."""
        weights = self._penalised(theta).astype(np.float64, copy=False)
        return 0.5 * self._strength * float(np.dot(weights, weights))

    def _groups(self):
        """Blocks (X, targets, weights) of rows, in groups that have a sum each."""
        if self._kept_groups is not None:
            return self._kept_groups
        blocks = [
            (_slice_rows(self.X, rows), self.targets[rows], self._factors(rows))
            for rows in row_blocks(self.X, self.network)
        ]
        n_most = max(_GROUP_NUMBERS // self.network.n_parameters, 4)
        n_groups = min(len(blocks), n_most, _MAX_GROUPS)
        ends = np.linspace(0, len(blocks), n_groups + 1).astype(int)
        self._kept_groups = [blocks[a:b] for a, b in pairwise(ends)]
        return self._kept_groups

    def _group_loss(self, parameters, blocks):
        total = 0.0
        for X, targets, weights in map(_loaded, blocks):
            workspace = self._kept(self.network.workspace, len(targets), self.dtype)
            total += self.network.loss(parameters, X, targets, weights, workspace)
            give_back(self._mapped)
        return total

    def _sum(self, evaluate, groups, theta):
        """Sums over blocks of rows; the penalty is added to the sum of vectors.

        Parameters
        ----------
        evaluate : callable
            ``evaluate(block, out)`` writes a vector to these `Parameters`, in terms of
            weights and biases, and returns a number.
        groups : list of list of blocks
        theta : ndarray of shape (P,)
            Its weights are multiplied by the strength of the penalty.

        Returns
        -------
        total : float
        vector : ndarray of shape (P,)
            In the coordinates of theta.
        """
        vector, *others = (np.empty(theta.size, self.dtype) for _ in groups)
        sums = [vector, *others]
        total = sum(self.map_rows(partial(self._group_sum, evaluate), groups, sums))
        for other in others:
            vector += other
        self._add_penalty(theta, self.network.parameters(vector))
        return total, vector

    def _block_loss_gradient(self, parameters, block, gradient):
        workspace = self._kept(self.network.workspace, len(block[1]), self.dtype)
        return self.network.loss_gradient(parameters, *block, gradient, workspace)

    def _linearize(self, parameters, block, make):
        """The derivatives for a block, in memory that `make` makes."""
        at = make(len(block[1]), self.dtype)
        self.network.linearize(parameters, *block, at)
        return at

    def _group_sum(self, evaluate, blocks, out):
        """Sum over the blocks of one group; the sum of the vectors goes to `out`."""
        gradient, total = self.network.parameters(out), 0.0
        for block in map(_loaded, blocks):
            total += evaluate(block, gradient)
            give_back(self._mapped)
            if gradient.vector is not out:
                out += gradient.vector
            elif len(blocks) > 1:
                gradient = self._kept(self._new_gradient)
        return total

    def _new_gradient(self):
        vector = np.empty(self.network.n_parameters, self.dtype)
        return self.network.parameters(vector)

    def _kept(self, make, *args):
        """Memory that is made once, and kept by each thread from call to call."""
        kept = vars(self._local)
        key = make.__name__, *args
        if key not in kept:
            kept[key] = make(*args)
        return kept[key]


class Standardised:
    """Rows of a dense X, standardised whenever they are read.

    Parameters
    ----------
    X : {ndarray, Encoded} of shape (n, d)
    coordinates : Coordinates
        Of a network of the rows of X, with a scale of each feature.
    dtype : {float32, float64}
        Of the rows that come out.

    Attributes
    ----------
    coordinates : Coordinates
        Of a network of the rows that come out.
    mapped : mmap or None
    """

    def __init__(self, X, coordinates, dtype):
        self._X, self._features, self.dtype = X, coordinates, np.dtype(dtype)
        self.coordinates = coordinates.without_features(dtype)
        self.shape, self.mapped = X.shape, memory_map(X)

    def rows(self, some):
        """A slice of the rows, in memory of their own."""
        n_rows = len(range(*some.indices(self.shape[0])))
        return self.taker(n_rows)(some)

    def taker(self, n_most):
        """A function of a slice or of indices: up to so many rows.

        They are in a buffer, which the next ones overwrite.
        """
        n_strip = max(_STRIP_BYTES // (self.shape[1] * self._X.itemsize), 1)
        buffer = np.empty((n_most, self.shape[1]), self.dtype)
        scratch = None
        if self._X.dtype != self.dtype:
            scratch = np.empty((min(n_strip, n_most), self.shape[1]), self._X.dtype)

        def take(rows):
            if isinstance(rows, slice):
                rows = np.arange(self.shape[0])[rows]
            for start in range(0, len(rows), n_strip):
                strip = rows[start : start + n_strip]
                out = buffer[start : start + len(strip)]
                taken = out if scratch is None else scratch[: len(strip)]
                _take(self._X, strip, taken)
                self._features.standardise(taken, out)
            return buffer[: len(rows)]

        return take


def _take(X, rows, out):
    if isinstance(X, Encoded):
        np.copyto(out, X[rows])
        return out
    # mode="clip" writes to `out` directly, "raise" through a copy
    return X.take(rows, axis=0, out=out, mode="clip")


def _taker(X, is_ordered, n_most):
    """A function of a slice or of indices that returns up to so many rows of X."""
    if isinstance(X, Standardised):
        return X.taker(n_most)
    if not (is_ordered and isinstance(X, np.ndarray)):
        return X.__getitem__
    buffer = np.empty((n_most, X.shape[1]), X.dtype)
    return lambda rows: _take(X, rows, buffer[: len(rows)])


def _loaded(block):
    """A block of rows (X, ...), which are in memory."""
    X, *others = block
    return (X() if callable(X) else X, *others)


def _slice_rows(X, rows):
    """Rows of X: views of what is in memory, a function that loads what is not."""
    if isinstance(X, np.ndarray):
        return X[rows]
    if isinstance(X, Standardised):
        return partial(X.rows, rows)
    if isinstance(X, Encoded):
        return partial(X.__getitem__, rows)
    indptr = X.indptr[rows.start : rows.stop + 1]
    entries = slice(indptr[0], indptr[-1])
    return sparse.csr_array(
        (X.data[entries], X.indices[entries], indptr - indptr[0]),
        shape=(rows.stop - rows.start, X.shape[1]),
    )
