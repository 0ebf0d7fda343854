"""The one objective that every solver minimises, and how its sum over rows is run.

    F(theta) = (1/S) [ sum_i s_i loss_i(theta) + (alpha/2) sum_l ||W_l||^2 ],  S = sum_i s_i

Rows are evaluated in blocks small enough to stay in cache, on threads. Blocks are added up
in an order that depends on the data's shape alone, so results are the same to the bit for
any number of threads.
"""

import threading
from functools import partial
from itertools import pairwise

import numpy as np
from scipy import sparse
from scipy.linalg import get_blas_funcs

from skmlp._coordinates import Coordinates, raw_parameters
from skmlp._memory_map import give_back, memory_map
from skmlp._parallel import serial

# Block of rows: what its activations may take. Some 2000 rows of 100 units are few enough
# for cache, and enough for the work of a call to outweigh the hand-over between threads.
_BLOCK_BYTES = 2**21
# Entries of sparse data in a block, for each feature: a block costs passes over the weights
_BLOCK_ENTRIES = 8
# Partial sums of the gradient: at most so many, and so many numbers in all, but at least 4
_MAX_GROUPS = 16
_GROUP_NUMBERS = 2**23
# What products with the Hessian may keep of the rows
_KEPT_BYTES = 2**28
# Single precision takes half of the time; fits to fewer blocks have little to save
_FEWEST_ROUGH_BLOCKS = 3
# Rows times weights from which an epoch of mini-batches has something to save, too
_FEWEST_ROUGH_PRODUCTS = 2**22
# Rows gathered at a time for mini-batches, if they are those of a batch at least
_PIECE_BYTES = 2**18
# Rows standardised at a time: few enough to stay in cache from pass to pass
_STRIP_BYTES = 2**19


def row_blocks(X, network, row_numbers=None):
    """Slices that divide the rows evenly into blocks: 1, 2, or a multiple of 4.

    None is empty: of fewer rows than that, each is a block.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
    network : Network
    row_numbers : int, optional
        How many numbers a row takes, beside X; by default its outputs and deltas.
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


class Objective:
    """F(theta) over bound data.

    Parameters
    ----------
    network : Network
    X : {ndarray, CSR, StandardisedMap} of shape (n, d), float32 or float64
    targets : ndarray of shape (n,) of int, or of shape (n, K)
        Class index of each row, or 1 for each of its labels and 0 for the others.
    sample_weight : ndarray of shape (n,), float64, or None
        s_i; None means one each.
    alpha : float
        Strength of the penalty on the weights; biases are free.
    shuffle : bool, default=True
        Whether mini-batches take the rows in random order.
    dropout : float in [0, 1), default=0
        Probability that a hidden unit is left out for a row of a mini-batch.
    coordinates : Coordinates, optional
        Those that theta is in, gradients are with respect to, and the penalty is on; by
        default the weights and biases themselves.
    total_weight : float, optional
        S, if the rows are a part of the data only: the objectives of the parts, one of
        them with alpha and the others without, then add up to that of the whole.
    map : callable, default=serial
        What evaluates the groups of blocks: `_parallel.row_threads` gives one on threads.
    """

    def __init__(
        self,
        network,
        X,
        targets,
        sample_weight,
        alpha,
        *,
        shuffle=True,
        dropout=0.0,
        coordinates=None,
        total_weight=None,
        map=serial,
    ):
        self.network = network
        self.X = X
        self.targets = targets
        self.sample_weight = sample_weight
        self.n_rows = X.shape[0]
        self.dtype = X.dtype
        if total_weight is None:
            total_weight = self.n_rows if sample_weight is None else sample_weight.sum()
        self.total_weight = float(total_weight)
        self.alpha = float(alpha)
        self._strength = self.alpha / self.total_weight
        self.shuffle = shuffle
        self.dropout = float(dropout)
        self.coordinates = coordinates or Coordinates.identity(network)
        self._map = map
        self._mapped = X.mapped if isinstance(X, StandardisedMap) else memory_map(X)
        self._axpy = get_blas_funcs("axpy", dtype=X.dtype)  # y += a x in one pass
        self._local = threading.local()
        # no cached_property, whose lock in Python 3.11 a forked child may find taken
        self._kept_groups = None

    def loss(self, theta):
        """F(theta); see `loss_gradient`."""
        theta = self._cast(theta)
        parameters = raw_parameters(self.network, self.coordinates, theta)
        losses = self._map(partial(self._group_loss, parameters), self._groups())
        return sum(losses) + self._penalty(self._penalised(theta))

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
        return loss + self._penalty(self._penalised(theta)), gradient

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
            ``product(v)`` is of shape (P,), in the precision of X. What it needs of the
            rows at theta is computed once and kept, or again each time if that is much.
        """
        parameters = raw_parameters(self.network, self.coordinates, self._cast(theta))
        linearize, groups = partial(self._linearize, parameters), self._groups()
        if self._linearization_bytes() <= _KEPT_BYTES:
            make = self.network.linearization

            def keep(block):
                at = linearize(_loaded(block), make)
                give_back(self._mapped)
                return *block, at

            groups = list(self._map(lambda blocks: list(map(keep, blocks)), groups))

        def product(v):
            v = self._cast(v)
            direction = raw_parameters(self.network, self.coordinates, v)

            def of_block(block, out):
                X, _, weights, *kept = block
                (at,) = kept or [linearize(block, self._linearization)]
                workspace = self._workspace(X.shape[0], self.dtype)
                self.network.hessian_product(
                    parameters, direction, X, weights, at, out, workspace, gauss_newton
                )
                return 0.0

            return self._sum(of_block, groups, v)[1]

        return product

    def rough(self):
        """The same function in single precision, where that saves time.

        Returns
        -------
        objective : Objective or None
            None for few rows, and for those that are in single precision or can't be.
        """
        is_short = len(row_blocks(self.X, self.network)) < _FEWEST_ROUGH_BLOCKS
        if is_short or self.dtype == np.float32:
            return None
        rough = self._in_single_precision()
        return None if rough.X is self.X else rough

    def for_epochs(self, n_epochs, batch_size):
        """The same function, for so many passes over mini-batches.

        Rows that `batches` would standardise to single precision in every epoch, in a tenth
        to a quarter of its time, are standardised once. One epoch would not make up for
        that; rows of a large memory map are not to be copied; and a copy of those that are
        in single precision would be as large as they are, and save a third as much time.

        Parameters
        ----------
        n_epochs, batch_size : int

        Returns
        -------
        objective : Objective
            This one, where nothing is gained.
        """
        is_repeated = n_epochs > 1 and batch_size < self.n_rows
        if is_repeated and self._mapped is None and self._has_rough_batches():
            return self._in_single_precision()
        return self

    def _in_single_precision(self):
        if self._mapped is not None and _can_standardise(self.X, self.coordinates):
            X = StandardisedMap(self.X, self.coordinates, self._mapped)
            coordinates = self.coordinates.without_features(np.float32)
        else:
            X, coordinates = in_single_precision(self.X, self.coordinates)
        return Objective(
            self.network,
            X,
            self.targets,
            self.sample_weight,
            self.alpha,
            shuffle=self.shuffle,
            dropout=self.dropout,
            coordinates=coordinates,
            total_weight=self.total_weight,
            map=self._map,
        )

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
            Rows in a batch; the last one takes what is left.
        rng : numpy.random.Generator
            Draws the order of the rows, and the units that drop out.

        Yields
        ------
        loss : float
        gradient : ndarray of shape (P,)
            Overwritten by the next batch; the caller may use it as scratch. In single
            precision where there is much to do, see `_has_rough_batches`.
        """
        n_batches = -(-self.n_rows // batch_size)
        if n_batches == 1 and not self.dropout:
            yield self.loss_gradient(theta)
            return
        gather = self._gather(batch_size, rng)
        coordinates, dtype = gather.coordinates, gather.dtype
        point = theta.astype(dtype, copy=False)
        parameters = raw_parameters(self.network, coordinates, point)
        # theta's weights in the precision of the gradient, to which they add the penalty's
        keeps_weights = coordinates.scales[0] is None
        penalised = self._penalised(parameters.vector if keeps_weights else theta)
        gradient = self.network.parameters(np.empty_like(point))
        axpy = get_blas_funcs("axpy", dtype=dtype)
        for X, targets, weights in self._pieces(gather, n_batches):
            for start in range(0, len(targets), batch_size):
                rows = slice(start, start + batch_size)
                n_rows = min(batch_size, len(targets) - start)
                if parameters.vector is not theta:
                    np.copyto(parameters.vector, theta)
                    coordinates.to_raw(parameters)
                loss = self.network.loss_gradient(
                    parameters,
                    X[rows],
                    targets[rows],
                    weights if np.isscalar(weights) else weights[rows],
                    gradient,
                    self._workspace(n_rows, dtype, self._map),
                    self._draw_dropout(n_rows, rng, dtype) if self.dropout else None,
                )
                if not coordinates.is_identity:
                    coordinates.pull_back(gradient)
                axpy(penalised, gradient.vector, penalised.size, self._strength)
                yield loss + self._penalty(self._penalised(theta)), gradient.vector

    def _gather(self, batch_size, rng):
        """What batches take their rows from, in the order and precision of an epoch."""
        order = rng.permutation(self.n_rows) if self.shuffle else None
        dtype = np.float32 if self._has_rough_batches() else self.dtype
        batch_bytes = batch_size * self.X.shape[1] * self.dtype.itemsize
        n_rows = max(_PIECE_BYTES // batch_bytes, 1) * batch_size
        return _Gather(self.X, self.coordinates, dtype, order, n_rows)

    def _cast(self, theta):
        return theta.astype(self.dtype, copy=False)

    def _has_rough_batches(self):
        """Whether rows in double precision are gathered in single precision.

        They are where that saves time and loses nothing. What it rounds off a gradient is
        nothing beside what the draw of the rows adds; and rows that are standardised have
        values of 10 at most, unless they have no weight.
        """
        is_long = self.n_rows * self.network.n_weights >= _FEWEST_ROUGH_PRODUCTS
        have_weight = self.sample_weight is None or self.sample_weight.all()
        is_double = self.dtype == np.float64
        can_be = is_double and _can_standardise(self.X, self.coordinates)
        return is_long and have_weight and can_be

    def _draw_dropout(self, n_rows, rng, dtype):
        return self.network.dropout(self.dropout, n_rows, rng, dtype)

    def _pieces(self, gather, factor):
        """Yield (X, targets, weights) of some batches at a time, in the given order."""
        for rows, X in gather:
            yield X, self.targets[rows], self._weights(rows, factor, gather.dtype)
            if not self.shuffle:
                give_back(self._mapped)

    def _weights(self, rows, factor, dtype):
        """Factor of each row's loss: s_i / S, times `factor`."""
        if self.sample_weight is None:
            return factor / self.total_weight
        weights = self.sample_weight[rows] / self.total_weight
        weights *= factor
        return weights.astype(dtype, copy=False)

    def _penalised(self, theta):
        """The weights in a flat vector, without the biases: a view."""
        return theta[: self.network.n_weights]

    def _penalty(self, weights):
        """(alpha / 2S) sum ||W||^2; its gradient is `_strength` times the weights."""
        weights = weights.astype(np.float64, copy=False)
        return 0.5 * self._strength * float(np.dot(weights, weights))

    def _groups(self):
        """Blocks (X, targets, weights) of rows, in groups that have a sum each."""
        if self._kept_groups is not None:
            return self._kept_groups
        blocks = [
            (
                _slice_rows(self.X, rows),
                self.targets[rows],
                self._weights(rows, 1.0, self.dtype),
            )
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
            workspace = self._workspace(len(targets), self.dtype)
            total += self.network.loss(parameters, X, targets, weights, workspace)
            give_back(self._mapped)
        return total

    def _sum(self, evaluate, groups, theta):
        """Sums over blocks of rows, and what the penalty adds to that of vectors.

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
        sums = np.empty((len(groups), theta.size), self.dtype)
        total = sum(self._map(partial(self._group_sum, evaluate), groups, sums))
        vector = sums[0] if len(sums) == 1 else sums.sum(axis=0)
        if not self.coordinates.is_identity:
            self.coordinates.pull_back(self.network.parameters(vector))
        weights = self._penalised(theta)
        self._axpy(weights, vector, weights.size, self._strength)
        return total, vector

    def _block_loss_gradient(self, parameters, block, gradient):
        workspace = self._workspace(len(block[1]), self.dtype)
        return self.network.loss_gradient(parameters, *block, gradient, workspace)

    def _linearize(self, parameters, block, make):
        """In memory that `make` makes."""
        at = make(len(block[1]), self.dtype)
        self.network.linearize(parameters, *block, at)
        return at

    def _linearization_bytes(self):
        n_numbers = 4 * sum(self.network.layer_sizes[1:])  # h, phi', delta and bend
        return self.n_rows * n_numbers * self.dtype.itemsize

    def _group_sum(self, evaluate, blocks, out):
        """Sum over the blocks of one group; that of the vectors goes to `out`."""
        gradient, total = self.network.parameters(out), 0.0
        for block in map(_loaded, blocks):
            total += evaluate(block, gradient)
            give_back(self._mapped)
            if gradient.vector is not out:
                out += gradient.vector
            elif len(blocks) > 1:
                gradient = self._scratch()
        return total

    def _workspace(self, *args):
        """Workspace for so many rows, kept by each thread from call to call."""
        return self._memory(self.network.workspace, *args)

    def _linearization(self, *args):
        """Linearization of so many rows, likewise."""
        return self._memory(self.network.linearization, *args)

    def _memory(self, make, *args):
        kept = vars(self._local).setdefault("memory", {})
        key = make.__name__, *args
        if key not in kept:
            kept[key] = make(*args)
        return kept[key]

    def _scratch(self):
        """Gradient of one block, kept by each thread from call to call."""
        if not hasattr(self._local, "scratch"):
            vector = np.empty(self.network.n_parameters, self.dtype)
            self._local.scratch = self.network.parameters(vector)
        return self._local.scratch


class _Gather:
    """Iterates over pieces of X: (indices, rows), in a given order.

    Dense rows are standardised as they are gathered, in a buffer that the next ones
    overwrite. Sparse ones would be dense then, and stay as they are.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
    coordinates : Coordinates
        Of a network of the rows of X.
    dtype : {float32, float64}
        What the rows are wanted in: that of X, unless they are standardised.
    order : ndarray of shape (n,) of int, or None
        None for that of X.
    n_rows : int
        Rows in a piece.

    Attributes
    ----------
    standardises : bool
    coordinates : Coordinates
        Of a network of the rows that come out.
    dtype : dtype
    """

    def __init__(self, X, coordinates, dtype, order, n_rows):
        self._X, self._features, self._n_rows = X, coordinates, n_rows
        self.dtype = np.dtype(dtype)
        self.standardises = _can_standardise(X, coordinates)
        self.coordinates = coordinates
        if self.standardises:
            self.coordinates = coordinates.without_features(dtype)
            if order is None:
                order = np.arange(X.shape[0])
        self._order = order

    def __iter__(self):
        take = self._X.__getitem__
        if self._order is not None and isinstance(self._X, np.ndarray):
            take = partial(self._take, *self._buffers())
        for start in range(0, self._X.shape[0], self._n_rows):
            rows = slice(start, start + self._n_rows)
            if self._order is not None:
                rows = self._order[rows]
            yield rows, take(rows)

    def _buffers(self):
        """For a piece, and for a strip of it in the precision of X; one may do for both."""
        n, d = self._X.shape
        n_rows = min(self._n_rows, n)
        n_strip = min(max(_STRIP_BYTES // (d * self._X.itemsize), 1), n_rows)
        buffer = np.empty((n_rows, d), self.dtype)
        return (
            buffer,
            n_strip,
            None if self._X.dtype == self.dtype else np.empty((n_strip, d)),
        )

    def _take(self, buffer, n_strip, scratch, rows):
        for start in range(0, len(rows), n_strip):
            strip = rows[start : start + n_strip]
            out = buffer[start : start + len(strip)]
            taken = out if scratch is None else scratch[: len(strip)]
            # mode="clip" writes to `taken` directly, "raise" through a copy
            self._X.take(strip, axis=0, out=taken, mode="clip")
            if self.standardises:
                self._features.standardise(taken, out)
        return buffer[: len(rows)]


def _can_standardise(X, coordinates):
    """Whether rows can be standardised themselves: dense ones, of features with a scale."""
    return isinstance(X, np.ndarray) and coordinates.scales[0] is not None


class StandardisedMap:
    """Rows of a large memory map in single precision, standardised whenever they are read.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        In the map.
    coordinates : Coordinates
        Of a network of its rows, with a scale of each feature.
    mapped : mmap
    """

    dtype = np.dtype(np.float32)

    def __init__(self, X, coordinates, mapped):
        self._X, self._coordinates, self.mapped = X, coordinates, mapped
        self.shape = X.shape

    def rows(self, some):
        """A slice of the rows, in memory."""
        return in_single_precision(self._X[some], self._coordinates)[0]


def in_single_precision(X, coordinates):
    """Rows in float32, standardised first, lest they lose the digits that tell them apart.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
    coordinates : Coordinates

    Returns
    -------
    X : {ndarray, CSR} of shape (n, d)
        As it is, if it is sparse or its features are not standardised.
    coordinates : Coordinates
        Of a network of these rows.
    """
    if isinstance(X, np.ndarray) and coordinates.of_standard:
        return X.astype(np.float32, copy=False), coordinates.without_features(np.float32)
    if not _can_standardise(X, coordinates):
        return X, coordinates
    gather = _Gather(X, coordinates, np.float32, None, n_rows=X.shape[0])
    ((_, standardised),) = gather  # all of them make one piece
    return standardised, gather.coordinates


def _loaded(block):
    """A block of rows (X, ...), which are in memory."""
    X, *others = block
    return (X() if callable(X) else X, *others)


def _slice_rows(X, rows):
    """Rows of X; those of a CSR matrix as views of its data, of a map what loads them."""
    if isinstance(X, np.ndarray):
        return X[rows]
    if isinstance(X, StandardisedMap):
        return partial(X.rows, rows)
    indptr = X.indptr[rows.start : rows.stop + 1]
    entries = slice(indptr[0], indptr[-1])
    return sparse.csr_array(
        (X.data[entries], X.indices[entries], indptr - indptr[0]),
        shape=(rows.stop - rows.start, X.shape[1]),
    )
