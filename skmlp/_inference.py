"""What a fitted network makes of rows: the outputs of a layer, block by block."""

import numpy as np

from skmlp._memory_map import give_back, memory_map
from skmlp._network import Network, Parameters
from skmlp._objective import row_blocks
from skmlp._parallel import row_threads


def fitted_network(estimator):
    """The network of an estimator that has the attributes of a fit, and its parameters."""
    sizes = [*(len(W) for W in estimator.coefs_), estimator.n_outputs_]
    network = Network(sizes, estimator.activation, estimator._targets().loss)
    return network, Parameters(None, estimator.coefs_, estimator.intercepts_)


def each_block(X, network, evaluate, row_numbers=None, largest_product=np.inf):
    """Call a function with the slice of each block of rows, on threads.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n, d)
        A memory map is given back block by block.
    network : Network
    evaluate : callable
    row_numbers : int, optional
        See `row_blocks`.
    largest_product : int, optional
        See `row_threads`.

    Returns
    -------
    results : list
        What the function returned for each block.
    """
    mapped, blocks = memory_map(X), row_blocks(X, network, row_numbers)

    def evaluate_and_give_back(rows):
        result = evaluate(rows)
        give_back(mapped)
        return result

    with row_threads(len(blocks), largest_product) as map_rows:
        return map_rows(evaluate_and_give_back, blocks)


def layer_outputs(network, parameters, X, layer=-1, finish=None):
    """Outputs of a layer, and whether the rows are finite.

    Parameters
    ----------
    network : Network
    parameters : Parameters
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
    finish = finish and getattr(network.output, finish)
    outputs = np.empty((X.shape[0], network.layer_sizes[1:][layer]), X.dtype)

    def evaluate(rows):
        block = X[rows]
        Z = network.activations(parameters, block, layer)
        if finish is not None:
            finish(Z)
        outputs[rows] = Z
        return np.isfinite(block.sum())

    largest_product = X.shape[0] * max(W.size for W in parameters.coefs)
    are_finite = each_block(X, network, evaluate, largest_product=largest_product)
    return outputs, all(are_finite)
