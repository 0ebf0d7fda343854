"""Learning rates as functions of how far the training is."""

import math
from collections.abc import Callable
from numbers import Real
from typing import NamedTuple

_ADAPTIVE_FACTOR = 5
_ADAPTIVE_FLOOR = 1e-6

# One-cycle: share of the training in which the rate rises, and where it starts and ends
# relative to the peak (the values of PyTorch's OneCycleLR)
_WARM_UP = 0.3
_START_FACTOR = 1 / 25
_END_FACTOR = 1e-4 / 25


class Schedule(NamedTuple):
    """A learning rate for every step.

    Attributes
    ----------
    rate : callable
        ``rate(epoch, n_samples, n_plateaus)``: epoch counts the passes over the data so
        far, as a real number that grows with every step; n_samples the rows of all
        finished epochs, n_plateaus how often progress has stalled.
    n_reductions : int or inf
        How many plateaus are answered by a smaller rate; the next one ends the fit.
    is_planned : bool
        Whether the end of training is known beforehand, so that it is no failure.
    """

    rate: Callable[[float, int, int], float]
    n_reductions: int = 0
    is_planned: bool = False


def constant(init, power_t):
    """The same rate at every step."""
    return Schedule(lambda epoch, n_samples, n_plateaus: init)


def invscaling(init, power_t):
    """The initial rate over (n_samples + 1)^power_t."""
    return Schedule(
        lambda epoch, n_samples, n_plateaus: (
            init * math.exp(-power_t * math.log1p(n_samples))
        )
    )


def adaptive(init, power_t):
    """The initial rate, a fifth of it after each plateau, until it is at most 1e-6."""
    rates = [init]
    while rates[-1] > _ADAPTIVE_FLOOR:
        rates.append(rates[-1] / _ADAPTIVE_FACTOR)
    last = len(rates) - 1
    return Schedule(
        lambda epoch, n_samples, n_plateaus: rates[min(n_plateaus, last)],
        n_reductions=last,
    )


def cosine(init):
    """Half a cosine from the initial rate down to 0, over the fraction of training.

    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts",
    ICLR 2017, eq. 5 with eta_min = 0.
    """
    return lambda fraction: _anneal(init, 0.0, fraction)


def one_cycle(peak):
    """Up to the peak in the first 30% of training, then down to almost 0.

    L. N. Smith, N. Topin, "Super-convergence: very fast training of neural networks using
    large learning rates", 2019 (arXiv:1708.07120), with half cosines for its lines.
    """

    def rate(fraction):
        if fraction < _WARM_UP:
            return _anneal(peak * _START_FACTOR, peak, fraction / _WARM_UP)
        return _anneal(peak, peak * _END_FACTOR, (fraction - _WARM_UP) / (1 - _WARM_UP))

    return rate


def _anneal(start, end, fraction):
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


def _over_training(rate, first_epoch, n_epochs):
    """A function of the fraction of training as one of the epoch; it starts over at 1."""

    def rate_of_epoch(epoch, n_samples, n_plateaus):
        fraction = (epoch - first_epoch) / n_epochs % 1
        value = rate(fraction)
        if not (isinstance(value, Real) and 0 <= value < math.inf):
            raise ValueError(
                "learning_rate must return a number of at least 0, but returned "
                f"{value!r} for the fraction {fraction} of training."
            )
        return value

    return Schedule(rate_of_epoch, is_planned=True)


_REACTING = {"constant": constant, "invscaling": invscaling, "adaptive": adaptive}
_PLANNED = {"cosine": cosine, "one_cycle": one_cycle}
SCHEDULES = {*_REACTING, *_PLANNED}


def make_schedule(learning_rate, init, power_t, first_epoch, n_epochs):
    """The schedule that `learning_rate` names, or is.

    Parameters
    ----------
    learning_rate : str or callable
    init, power_t : float
    first_epoch, n_epochs : int
        What the fraction of training, in [0, 1), is measured by.
    """
    if not callable(learning_rate):
        if learning_rate in _REACTING:
            return _REACTING[learning_rate](float(init), power_t)
        learning_rate = _PLANNED[learning_rate](float(init))
    return _over_training(learning_rate, first_epoch, n_epochs)
