"""What rows tell: whether their features matter, and how many of them judge a fit."""

import numpy as np

from skmlp._activations import mean_square

# A squared z-score that a single test reaches by chance less than once in a million times
_SIGNIFICANT = 25.0


def features_matter(network, objective, theta, target_means, squared_shares):
    """Rao's score test of the prediction that is the same for all rows [1]_.

    At that prediction, if the features tell nothing, the derivative of the mean loss with
    respect to a weight of the output layer is a weighted mean of independent residuals
    times hidden outputs: it has mean 0 and variance ``E (h - center)^2 v / n``, where v is
    the variance of the residual, p (1 - p) of a class, and n, of observations of equal
    weight, is their number, and else ``(sum_i s_i)^2 / sum_i s_i^2`` [2]_.

    Parameters
    ----------
    network : Network
    objective : Objective
        In standardised coordinates, or with inputs of about unit variance.
    theta : ndarray of shape (P,)
        Of `Network.initialize`: its hidden layers' outputs are looked at. Changed in place.
    target_means : ndarray of shape (S,)
        See `Problem`.
    squared_shares : float
        1 / n: the sum of the squares of the observations' shares in the weight.

    Returns
    -------
    matter : bool

    References
    ----------
    .. [1] C. R. Rao, "Large sample tests of statistical hypotheses concerning several
       parameters", Proc. Cambridge Philosophical Society 44 (1948).
    .. [2] L. Kish, "Survey Sampling", Wiley 1965, section 11.7.
    """
    parameters = network.parameters(theta)
    residual_variance = network.output.spread(target_means)
    varies = residual_variance > 0
    parameters.coefs[-1][...] = 0
    parameters.intercepts[-1][...] = network.output.constant(target_means)
    _, gradient = objective.loss_gradient(theta)
    slopes = network.parameters(gradient).coefs[-1][:, varies]
    spread = mean_square(network.activation, 1.0) if len(network.coef_shapes) > 1 else 1.0
    variance = spread * residual_variance[varies] * squared_shares
    return bool((slopes**2 > _SIGNIFICANT * variance).any())


def telling_share(rows, loss, constant):
    """Share of effective observations, by their residuals of a constant prediction.

    Few with large residuals tell whether one fit is better than another. Kish's effective
    sample size [1]_, with squared residuals for weights: a third of the observations if
    the residuals are normal.

    Parameters
    ----------
    rows : Rows
    loss : Loss
    constant : ndarray of shape (K,)
        The logits of the prediction.

    Returns
    -------
    share : float in (0, 1]

    References
    ----------
    .. [1] L. Kish, "Survey Sampling", Wiley 1965, section 11.7.
    """
    Z = np.tile(constant.astype(float), (rows.n_rows, 1))
    loss.residual(Z, rows.targets, 1.0)
    squares = np.einsum("ik,ik->i", Z, Z)
    weights = np.ones(rows.n_rows) if rows.weights is None else rows.weights
    total = weights @ squares**2
    return float((weights @ squares) ** 2 / (rows.total_weight * total)) if total else 1.0
