"""A case of `stress_data.py`, and what became of it."""

import warnings
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skmlp import MLPClassifierManual


class Verdict(NamedTuple):
    """What a case gave: it is right if ours is at most the limit.

    Attributes
    ----------
    measure : str
        What ours and the limit are.
    ours, limit : float
    beside : dict
        What the limit was made of.
    """

    measure: str
    ours: float
    limit: float
    beside: dict


class Case(NamedTuple):
    """One question, and who answers it.

    Attributes
    ----------
    group, name : str
    seed : int
    judge : callable
        ``judge(rng, seed)`` returns a `Verdict`.
    """

    group: str
    name: str
    seed: int
    judge: Callable


def measure(case):
    """What a case gave, as a dict."""
    about = {"group": case.group, "name": case.name, "seed": case.seed}
    rng = np.random.default_rng([zlib.crc32(case.name.encode()), case.seed])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            verdict = case.judge(rng, case.seed)
    except Exception as error:  # an error is an answer, too
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        return about | {"error": said, "right": False}
    right = bool(verdict.ours <= verdict.limit)
    return about | verdict._asdict() | {"error": "", "right": right}


def net(seed, **params):
    return MLPClassifierManual(random_state=seed, **params)
