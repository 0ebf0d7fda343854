"""The network: a function of one flat parameter vector, with its exact gradient.

Numbers in brackets, here and in the activations and losses, are equations of the
derivation; `tests/test_derivation.py` spells it out.
"""

from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import get_blas_funcs

from skmlp._activations import ACTIVATIONS, mean_square
from skmlp._losses import LOSSES

# Size of a product, multiplications times bytes a number, from which two threads are worth
# their hand-over: some 200 us of work
_LARGE_PRODUCT = 2**25
# What one thread computes until the other has begun and has told that it is done
_HAND_OVER = 3 * 2**22
# Rows or columns that BLAS computes at once
_BLAS_LINES = 16
# Deviation of the first hidden layer's biases at the start: where its units bend
_BIAS_SPREAD = 0.5


class Parameters(NamedTuple):
    """One flat vector, and the weights and biases that are views of it.

    Attributes
    ----------
    vector : ndarray of shape (P,) or None
        All weights, layer by layer and in each layer unit by unit, then all biases. None
        if there is no such vector: to predict, the arrays suffice.
    coefs : list of ndarray of shape (fan_in, fan_out), in Fortran order
        W of each layer: ``coefs[0]`` and ``coefs[1]`` are W and V of (5) and (7).
    intercepts : list of ndarray of shape (fan_out,)
        b of each layer: ``intercepts[0]`` and ``intercepts[1]`` are b and d.
    """

    vector: np.ndarray | None
    coefs: list
    intercepts: list


class Workspace(NamedTuple):
    """Scratch memory of a forward and backward pass over n rows, in Fortran order.

    Attributes
    ----------
    outputs : list of ndarray of shape (n, n_units)
        h of each hidden layer, and the logits.
    deltas : list of ndarray of shape (n, n_units)
        delta of each hidden layer; the delta of the logits is written over them.
    ones : ndarray of shape (n,)
        Column sums are products with it, which BLAS does best.
    map_two : callable or None
        A ``map`` for the two parts of a large product.
    """

    outputs: list
    deltas: list
    ones: np.ndarray
    map_two: Callable | None


class Dropout(NamedTuple):
    """Units of the hidden layers that are left out for the rows of one batch.

    Attributes
    ----------
    rate : float in (0, 1)
        Probability that a unit is left out.
    masks : list of ndarray of shape (n, n_units), in Fortran order
        For each hidden layer, 0 where a unit is left out and 1 / (1 - rate) elsewhere,
        so that its expected output is its output without dropout.
    """

    rate: float
    masks: list


class Linearization(NamedTuple):
    """The derivatives at some parameters for n rows, in Fortran order.

    Attributes
    ----------
    outputs : list of ndarray of shape (n, n_units)
        h of each hidden layer, and the logits after `bent` of the loss.
    deltas : list of ndarray of shape (n, n_units)
        delta of each layer.
    slopes : list of ndarray of shape (n, n_units)
        phi' of each hidden layer.
    bends : list of ndarray of shape (n, n_units)
        delta phi'' / phi'^2 of each hidden layer.
    """

    outputs: list
    deltas: list
    slopes: list
    bends: list


class Network:
    """A multilayer perceptron with a loss on its outputs.

    Values and gradients are *sums over rows*, each row with its own weight: sums of
    blocks of rows add up to the sum of them all, wherever the blocks are evaluated.

    Outputs, deltas and weights are laid out column by column, that is, unit by unit
    (Fortran order): reductions over a handful of classes become a handful of passes along
    contiguous memory, and BLAS forms the gradient of X's weights up to 1.5 times as fast.

    Parameters
    ----------
    layer_sizes : sequence of int
        (n_features, hidden units..., n_outputs); two entries make it multinomial
        logistic regression.
    activation : str
        A key of `ACTIVATIONS`: nonlinearity of every hidden layer.
    loss : Loss
        A loss of `skmlp._losses`.
    """

    def __init__(self, layer_sizes, activation, loss=LOSSES["cross_entropy"]):
        self.layer_sizes = tuple(layer_sizes)
        self.activation = ACTIVATIONS[activation]
        self.output = loss
        self._names = activation, loss
        self.coef_shapes = list(pairwise(self.layer_sizes))
        sizes = [fan_in * fan_out for fan_in, fan_out in self.coef_shapes]
        ends = list(accumulate([0, *sizes, *self.layer_sizes[1:]]))
        self._slices = [slice(start, stop) for start, stop in pairwise(ends)]
        self.n_weights, self.n_parameters = sum(sizes), ends[-1]

    def with_features(self, n_features):
        """The same network of another number of features."""
        return Network((n_features, *self.layer_sizes[1:]), *self._names)

    def with_units(self, most):
        """The same network with at most so many units in a hidden layer."""
        first, *hidden, last = self.layer_sizes
        return Network((first, *(min(size, most) for size in hidden), last), *self._names)

    def first_units(self, vector, few):
        """Parameters of a network `few` of fewer units: the first ones of each layer.

        Weights from units grow by the root of how many times as many there were, so that
        at the start, a unit's sum over them has the same variance.
        """
        _, coefs, intercepts = self.parameters(vector)
        shapes = few.coef_shapes
        coefs = [
            W[:fan_in, :fan_out] * np.sqrt(len(W) / fan_in)
            for W, (fan_in, fan_out) in zip(coefs, shapes, strict=True)
        ]
        pairs = zip(intercepts, shapes, strict=True)
        intercepts = [b[:fan_out] for b, (_, fan_out) in pairs]
        return few.flatten(coefs, intercepts, vector.dtype)

    def with_first_units(self, vector, few):
        """Parameters of the function of a network `few`: other units have no weights."""
        whole = self.parameters(np.zeros(self.n_parameters, vector.dtype))
        _, coefs, intercepts = few.parameters(vector)
        for W, W_few in zip(whole.coefs, coefs, strict=True):
            W[: W_few.shape[0], : W_few.shape[1]] = W_few
        for b, b_few in zip(whole.intercepts, intercepts, strict=True):
            b[: b_few.size] = b_few
        return whole.vector

    def above_first_layer(self):
        """The network whose features are the outputs of this one's first hidden layer."""
        return Network(self.layer_sizes[1:], *self._names)

    def parameters(self, vector):
        """Views of a flat vector of shape (P,) as weights and biases."""
        views = [vector[piece] for piece in self._slices]
        n_layers = len(self.coef_shapes)
        coefs = [
            view.reshape(shape, order="F")
            for view, shape in zip(views[:n_layers], self.coef_shapes, strict=True)
        ]
        return Parameters(vector, coefs, views[n_layers:])

    def flatten(self, coefs, intercepts, dtype):
        """Flat vector of shape (P,), a copy of the given weights and biases."""
        pieces = [np.ravel(piece, order="F") for piece in (*coefs, *intercepts)]
        return np.concatenate(pieces, dtype=dtype, casting="same_kind")

    def initialize(self, random_state, dtype, standardized=False):
        """Random parameters, each layer's weights and biases uniform around 0.

        For standardised inputs they have the standard deviations of `_deviations`, else
        both are within +-sqrt(factor / (fan_in + fan_out)), with the activation's
        `glorot_factor`, and drawn in the order that scikit-learn's MLPClassifier draws
        them.

        Parameters
        ----------
        random_state : numpy.random.RandomState
        dtype : {float32, float64}
        standardized : bool, default=False
            Whether the parameters are in standardised coordinates.

        Returns
        -------
        vector : ndarray of shape (P,)

        References
        ----------
        X. Glorot, Y. Bengio, "Understanding the difficulty of training deep
        feedforward neural networks", AISTATS 2010, eq. 16.
        """
        coefs, intercepts = [], []
        for layer, (fan_in, fan_out) in enumerate(self.coef_shapes):
            if standardized:
                bounds = np.sqrt(3) * np.array(self._deviations(layer))
            else:
                factor = self.activation.glorot_factor
                bounds = np.full(2, np.sqrt(factor / (fan_in + fan_out)))
            coefs.append(random_state.uniform(-bounds[0], bounds[0], (fan_in, fan_out)))
            intercepts.append(random_state.uniform(-bounds[1], bounds[1], fan_out))
        return self.flatten(coefs, intercepts, dtype)

    def _deviations(self, layer):
        """Standard deviations of a layer's weights and biases: (43) and (44).

        Each layer's products with its centred inputs have variance one. The first hidden
        layer's biases are spread by half of that deviation, the others start at 0.

        References
        ----------
        Y. LeCun et al., "Efficient BackProp", 1998, section 4.6; K. He et al., "Delving
        deep into rectifiers", ICCV 2015, eq. 10, which is this one for relu.
        """
        fan_in = self.layer_sizes[layer]
        is_hidden = layer < len(self.coef_shapes) - 1
        if layer == 0:
            return 1 / np.sqrt(fan_in), _BIAS_SPREAD * is_hidden
        variance = 1 + _BIAS_SPREAD**2 if layer == 1 else 1.0
        return 1 / np.sqrt(fan_in * mean_square(self.activation, variance)), 0.0

    def workspace(self, n_rows, dtype):
        """Scratch memory for `n_rows` rows of data."""
        return Workspace(
            self._arrays(n_rows, dtype),
            self._arrays(n_rows, dtype)[:-1],
            np.ones(n_rows, dtype),
            None,
        )

    def linearization(self, n_rows, dtype):
        """Memory for the `Linearization` of `n_rows` rows."""
        outputs, deltas, slopes, bends = (self._arrays(n_rows, dtype) for _ in range(4))
        return Linearization(outputs, deltas, slopes[:-1], bends[:-1])

    def _arrays(self, n_rows, dtype):
        """One for each layer."""
        sizes = self.layer_sizes[1:]
        return [np.empty((n_rows, n_units), dtype, order="F") for n_units in sizes]

    def dropout(self, rate, n_rows, rng, dtype):
        """Draw a `Dropout` for `n_rows` rows."""
        masks = []
        for n_units in self.layer_sizes[1:-1]:
            kept = rng.random((n_units, n_rows), dtype=np.float32) >= rate
            masks.append(np.divide(kept.T, 1 - rate, dtype=dtype))
        return Dropout(rate, masks)

    def forward(self, parameters, X, outputs, map_two=None, dropout=None):
        """Outputs of every layer: (5) if hidden, the logits hV + d of (7) for the last.

        Parameters
        ----------
        parameters : Parameters
        X : {ndarray, CSR} of shape (n, d)
        outputs : list of ndarray of shape (n, n_units), in Fortran order
            One for each layer, overwritten.
        map_two : callable, optional
            See `Workspace`.
        dropout : Dropout, optional
            Multiplies the outputs of the hidden layers.
        """
        h = X
        layers = zip(parameters.coefs, parameters.intercepts, outputs, strict=True)
        for layer, (W, b, Z) in enumerate(layers):
            _matmul(h, W, Z, map_two)
            if Z is outputs[-1]:
                Z += b
            else:
                self.activation.forward(Z, b)
                if dropout is not None:
                    Z *= dropout.masks[layer]
            h = Z

    def activations(self, parameters, X, layer=-1):
        """Outputs of one layer for the rows of X: by default the logits.

        Parameters
        ----------
        parameters : Parameters
        X : {ndarray, CSR} of shape (n, d)
        layer : int

        Returns
        -------
        Z : ndarray of shape (n, n_units), in Fortran order
        """
        outputs = self._arrays(X.shape[0], parameters.coefs[0].dtype)
        self.forward(parameters, X, outputs)
        return outputs[layer]

    def loss(self, parameters, X, targets, weights, workspace, dropout=None):
        """Weighted sum over the rows of the loss; see `loss_gradient`.

        The logits' place in the workspace is taken by the weighted residuals.
        """
        self.forward(parameters, X, workspace.outputs, workspace.map_two, dropout)
        return self.output.residual(workspace.outputs[-1], targets, weights)

    def loss_gradient(
        self, parameters, X, targets, weights, gradient, workspace, dropout=None
    ):
        """Weighted sum over the rows of the loss, and of its gradient.

        With residual delta = y - t at the logits (18), the recursion of (14) and (20),
        ``delta_l = (delta_{l+1} W_{l+1}^T) * phi'(h_l)``, gives for each layer
        ``dW_l = h_{l-1}^T delta_l``, (16) and (20), and ``db_l``, the column sums of
        delta_l, (18) and (22). For one row and one hidden layer this is (23), with
        dV and dW in the shapes of V and W.

        Dropout replaces h_l by h_l * m_l, with masks m_l that do not depend on theta, and
        so, by the chain rule, ``delta_l`` by ``(delta_{l+1} W_{l+1}^T) * m_l * phi'(h_l)``.

        Parameters
        ----------
        parameters : Parameters
        X : {ndarray, CSR} of shape (n, d)
        targets : ndarray of shape (n,) of int, or of shape (n, K)
            Class index of each row, or with logistic outputs 1 for each of its labels.
        weights : float or ndarray of shape (n,)
            Factor of each row's loss.
        gradient : Parameters
            Overwritten with sum_i weights_i * d loss_i / d theta.
        workspace : Workspace
            For n rows.
        dropout : Dropout, optional
            For n rows.

        Returns
        -------
        loss : float
            sum_i weights_i * loss_i.
        """
        outputs, deltas, ones, map_two = workspace
        loss = self.loss(parameters, X, targets, weights, workspace, dropout)
        delta = outputs[-1]
        for layer in range(len(deltas), -1, -1):
            h = outputs[layer - 1] if layer else X
            _matmul(h.T, delta, gradient.coefs[layer], map_two)
            np.dot(ones, delta, out=gradient.intercepts[layer])
            if layer:
                below = deltas[layer - 1]
                _matmul(delta, parameters.coefs[layer].T, below, map_two)
                if dropout is not None:
                    below *= dropout.masks[layer - 1]
                    h *= 1 - dropout.rate  # without its mask again, or 0 where delta is
                self.activation.backward(h, below)
                delta = below
        return loss

    def linearize(self, parameters, X, targets, weights, at):
        """Write outputs, slopes and deltas of some rows to a `Linearization`.

        See `loss_gradient` for the other parameters.
        """
        self.forward(parameters, X, at.outputs)
        np.copyto(at.deltas[-1], at.outputs[-1])
        self.output.residual(at.deltas[-1], targets, weights)
        self.output.bent(at.outputs[-1], targets)
        for layer in range(len(at.slopes), 0, -1):
            h, delta, slope, bend = (arrays[layer - 1] for arrays in at)
            slope.fill(1)
            np.copyto(bend, h)
            self.activation.backward(bend, slope)
            _matmul(at.deltas[layer], parameters.coefs[layer].T, bend)
            np.multiply(bend, slope, out=delta)
            self.activation.bend(h, bend)

    def hessian_product(
        self,
        parameters,
        direction,
        X,
        weights,
        at,
        product,
        workspace,
        gauss_newton=False,
    ):
        """Weighted sum over the rows of the product of the loss's Hessian and a vector.

        The derivative R of everything in `loss_gradient` along the direction (U, c):
        forward, (56), ``Rh_l = phi' (Rh_{l-1} W_l + h_{l-1} U_l + c_l)``; at the logits,
        (57), ``Rdelta = (diag(y) - y y^T) Rz``; and backward, (58) and (59),
        ``Rdelta_l = phi' (Rdelta_{l+1} W_{l+1}^T + delta_{l+1} U_{l+1}^T) + bend_l Rh_l``
        and ``R dW_l = h_{l-1}^T Rdelta_l + Rh_{l-1}^T delta_l``.

        Without the terms that have a delta or a bend as a factor it is the product with the
        Gauss-Newton matrix, (60), which has no negative eigenvalue: where second
        derivatives of the loss may be negative, expected ones take their place.

        Parameters
        ----------
        parameters, direction : Parameters
        X : {ndarray, CSR} of shape (n, d)
        weights : float or ndarray of shape (n,)
            Factor of each row's loss.
        at : Linearization
            Of these rows, at the parameters.
        product : Parameters
            Overwritten with the product.
        workspace : Workspace
            For n rows.
        gauss_newton : bool, default=False

        References
        ----------
        B. A. Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6,
        1994; N. N. Schraudolph, "Fast curvature matrix-vector products for second-order
        gradient descent", Neural Computation 14, 2002, section 3.
        """
        tangents, below, ones, _ = workspace
        self._forward_tangents(parameters, direction, X, at, tangents)
        Rdelta = tangents[-1]
        curvature = (gauss_newton and self.output.fisher) or self.output.curvature
        curvature(at.outputs[-1], weights, Rdelta)
        for layer in range(len(below), -1, -1):
            h = at.outputs[layer - 1] if layer else X
            _matmul(h.T, Rdelta, product.coefs[layer])
            np.matmul(ones, Rdelta, out=product.intercepts[layer])
            if layer:
                above, Rdelta = Rdelta, below[layer - 1]
                _matmul(above, parameters.coefs[layer].T, Rdelta)
                if gauss_newton:
                    Rdelta *= at.slopes[layer - 1]
                    continue
                delta, Rh = at.deltas[layer], tangents[layer - 1]
                _add_matmul(Rh.T, delta, product.coefs[layer])
                _add_matmul(delta, direction.coefs[layer].T, Rdelta)
                Rdelta *= at.slopes[layer - 1]
                Rh *= at.bends[layer - 1]
                Rdelta += Rh

    def _forward_tangents(self, parameters, direction, X, at, tangents):
        """Derivatives of the outputs along the direction: (56)."""
        for layer, Rh in enumerate(tangents):
            h = at.outputs[layer - 1] if layer else X
            _matmul(h, direction.coefs[layer], Rh)
            if layer:
                _add_matmul(tangents[layer - 1], parameters.coefs[layer], Rh)
            Rh += direction.intercepts[layer]
            if Rh is not tangents[-1]:
                Rh *= at.slopes[layer]

    def input_gradient(self, parameters, X, jacobian, gradient):
        """Gradient of functions of the logits with respect to the features of each row.

        The recursion (27), started with the derivatives of each function with respect to
        the logits instead of the residual, and taken one layer further, to h_0 = x: (49).

        Parameters
        ----------
        parameters : Parameters
        X : {ndarray, CSR} of shape (n, d)
        jacobian : callable
            ``jacobian(Z)`` is of shape (n, T, K): for each row, the derivatives of T
            functions with respect to its K logits Z. Or of shape (1, T, K), if they are
            the same for every row.
        gradient : ndarray of shape (n, T, d), in C order
            Overwritten.

        References
        ----------
        C. M. Bishop, "Pattern recognition and machine learning", 2006, section 5.3.4.
        """
        coefs = parameters.coefs
        # in C order: the deltas of a row's T functions lie side by side, for one product
        sizes = self.layer_sizes[1:]
        outputs = [np.empty((X.shape[0], size), coefs[0].dtype) for size in sizes]
        self.forward(parameters, X, outputs)
        *hidden, Z = outputs
        above = _times_transposed(jacobian(Z), coefs[-1])
        for layer in range(len(hidden) - 1, -1, -1):
            slope = np.ones_like(hidden[layer])
            self.activation.backward(hidden[layer], slope)
            above = _pass_on(above, slope, coefs[layer], None if layer else gradient)
        if not hidden:
            gradient[...] = above


def _pass_on(above, slope, W, out=None):
    """Gradients with respect to a layer's inputs, given the ones at its outputs.

    Gradients that are the same for all rows are multiplied into the weights, (50), unless
    the product is larger than the result: this is up to twice as fast.

    Parameters
    ----------
    above : ndarray of shape (n, T, n_units) or (1, T, n_units)
    slope : ndarray of shape (n, n_units)
    W : ndarray of shape (fan_in, n_units)
    out : ndarray of shape (n, T, fan_in), in C order, optional

    Returns
    -------
    below : ndarray of shape (n, T, fan_in)
    """
    n_rows, n_units = slope.shape
    if len(above) > 1 or n_rows <= n_units:
        return _times_transposed(above * slope[:, np.newaxis], W, out)
    weights = above[0].T[:, :, np.newaxis] * W.T[:, np.newaxis]
    out = None if out is None else out.reshape(n_rows, -1)
    product = np.matmul(slope, weights.reshape(n_units, -1), out=out)
    return product.reshape(n_rows, *weights.shape[1:])


def _times_transposed(stack, W, out=None):
    """The product of a stack of matrices and W^T, as one."""
    out = None if out is None else out.reshape(-1, len(W))
    product = np.matmul(stack.reshape(-1, W.shape[1]), W.T, out=out)
    return product.reshape(*stack.shape[:-1], len(W))


def _add_matmul(A, B, out):
    """``out += A @ B`` in one pass, all in Fortran order or transposed."""
    gemm = get_blas_funcs("gemm", (out,))
    is_transposed = [not M.flags.f_contiguous for M in (A, B)]
    A, B = (M.T if flag else M for M, flag in zip((A, B), is_transposed, strict=True))
    gemm(1.0, A, B, 1.0, out, *is_transposed, overwrite_c=True)


def _matmul(A, B, out, map_two=None):
    """``out[...] = A @ B``, where A may be sparse (and then is never densified).

    With `map_two`, a large product is computed as two, each of a part of the larger factor:
    always, so that its bits do not depend on how many threads the map has.
    """
    if not isinstance(A, np.ndarray):
        _sparse_matmul(A, B, out)
        return
    A = _for_blas(A)
    size = A.nbytes * B.shape[1]
    if map_two is None or size < _LARGE_PRODUCT:
        np.matmul(A, B, out=out)
    else:
        by_columns = A.size < B.size
        n = out.shape[int(by_columns)]
        first = int(n * (size + _HAND_OVER) / (2 * size)) // _BLAS_LINES * _BLAS_LINES
        cuts = slice(first), slice(first, n)
        if by_columns:
            parts = [A, A], [B[:, cut] for cut in cuts], [out[:, cut] for cut in cuts]
        else:
            parts = [A[cut] for cut in cuts], [B, B], [out[cut] for cut in cuts]
        # a map may be lazy
        list(map_two(lambda A, B, out: np.matmul(A, B, out=out), *parts))


def _sparse_matmul(A, B, out):
    """``out[...] = A @ B``; few entries get along without passes over all of B or out.

    scipy copies B and the product to another order.
    """
    if A.nnz >= max(A.shape):
        out[...] = A @ B
    elif A.format == "csr":
        columns, A = _without_empty(A)
        out[...] = A @ B[columns]
    else:
        rows, transposed = _without_empty(A.T)
        out[...] = 0
        out[rows] = transposed.T @ B


def _without_empty(A):
    """Columns of a CSR matrix that have entries, and the matrix of these alone."""
    columns, indices = np.unique(A.indices, return_inverse=True)
    shape = A.shape[0], len(columns)
    return columns, sparse.csr_array((A.data, indices, A.indptr), shape=shape)


def _for_blas(A):
    """A, or a copy where BLAS can't read it, as it can't sliding windows or real parts.

    Before its version 2, numpy takes a loop of its own there, ten times as slow.
    """
    if A.flags.forc:
        return A
    rows, columns = (stride / A.itemsize for stride in A.strides)
    is_readable = (columns == 1 and rows >= A.shape[1]) or (
        rows == 1 and columns >= A.shape[0]
    )
    return A if is_readable else A.copy(order="K")  # bits depend on the order, too
