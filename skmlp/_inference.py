"""What a fitted network makes of rows: the outputs of a layer, block by block."""

import numpy as np

from skmlp._memory_map import give_back, memory_map
from skmlp._network import Network, Parameters
from skmlp._objective import row_blocks
from skmlp._parallel import row_threads


def fitted_network(estimator, loss):
    """The network of an estimator that has the attributes of a fit, and its parameters."""
    sizes = [*(len(W) for W in estimator.coefs_), estimator.n_outputs_]
    network = Network(sizes, estimator.activation, loss)
    return network, Parameters(None, estimator.coefs_, estimator.intercepts_)


def layer_outputs(estimator, loss, X, layer=-1, finish=None):
    """Outputs of a layer, and whether the rows are finite.

    Parameters
    ----------
    estimator : estimator
        With the attributes of a fitted network.
    loss : Loss
        That of the network.
    X : {ndarray, CSR} of shape (n, d)
        Validated, but perhaps for its values: those are looked at while a block is in
        cache, where it is cheap.
    layer : int, default=-1
        The logits, or a hidden layer.
    finish : {'mean', 'log_mean'}, optional
        What the logits are turned into.

    Returns
    -------
    outputs : ndarray of shape (n, n_units)
    is_finite : bool
    """
    network, parameters = fitted_network(estimator, loss)
    finish = finish and getattr(network.output, finish)
    outputs = np.empty((X.shape[0], network.layer_sizes[1:][layer]), X.dtype)
    mapped = memory_map(X)

    def evaluate(rows):
        block = X[rows]
        Z = network.activations(parameters, block, layer)
        if finish is not None:
            finish(Z)
        outputs[rows] = Z
        is_finite = np.isfinite(block.sum())
        give_back(mapped)
        return is_finite

    blocks = row_blocks(X, network)
    largest_product = X.shape[0] * max(W.size for W in parameters.coefs)
    with row_threads(len(blocks), largest_product) as map_rows:
        return outputs, all(map_rows(evaluate, blocks))
