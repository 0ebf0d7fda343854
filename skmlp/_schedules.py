"""Learning rates, each a function ``rate(n_samples, n_plateaus)``.

``n_samples`` counts the rows seen so far, ``n_plateaus`` how often progress has stalled.
A plateau ends the fit unless the schedule answers it with a smaller rate.
"""

import math

_ADAPTIVE_FACTOR = 5
_ADAPTIVE_FLOOR = 1e-6


def constant(init):
    """The same rate at every step."""
    return lambda n_samples, n_plateaus: init


def invscaling(init, power_t):
    """The initial rate over (n_samples + 1)^power_t."""
    return lambda n_samples, n_plateaus: init * math.exp(-power_t * math.log1p(n_samples))


def adaptive(init):
    """The initial rate, a fifth of it after each plateau, until it is at most 1e-6."""

    def rate(n_samples, n_plateaus):
        value = init
        while n_plateaus and value > _ADAPTIVE_FLOOR:
            value /= _ADAPTIVE_FACTOR
            n_plateaus -= 1
        return value

    return rate


def make_schedule(learning_rate, init, power_t):
    """The schedule that `learning_rate` names."""
    init = float(init)
    if learning_rate == "invscaling":
        return invscaling(init, power_t)
    return {"constant": constant, "adaptive": adaptive}[learning_rate](init)
