"""Dropout: in training only."""

import numpy as np
import pytest
from common import STOCHASTIC, parameters, short, short_fits
from numpy.testing import assert_array_equal

from skmlp import MLPClassifierManual


@short_fits
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_dropout_acts_in_training_only(digits, solver):
    X, y = digits
    X, y = X[:400], y[:400]
    settings = {"solver": solver, "hidden_layer_sizes": (30, 20)}
    model = short(dropout=0.5, **settings).fit(X, y)
    assert_array_equal(
        parameters(model),
        parameters(short(dropout=0.5, **settings).fit(X, y)),
    )
    assert (parameters(model) != parameters(short(**settings).fit(X, y))).any()
    assert_array_equal(model.predict_proba(X), model.predict_proba(X))
    # whatever the batch: one of all rows drops units, too
    whole = short(dropout=0.5, batch_size=400, **settings).fit(X, y)
    assert (
        parameters(whole) != parameters(short(batch_size=400, **settings).fit(X, y))
    ).any()


@short_fits
def test_dropout_regularises(digits):
    X, y = digits
    X = X + np.random.default_rng(0).normal(scale=0.5, size=X.shape)
    held_out = {}
    for dropout in (0.0, 0.5):
        model = MLPClassifierManual(
            solver="adam",
            dropout=dropout,
            alpha=1e-4,
            learning_rate_init=0.01,
            max_iter=60,
            tol=0,
            random_state=0,
        ).fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
        held_out[dropout] = model.validation_loss_curve_[-1]
    assert held_out[0.5] < 0.9 * held_out[0.0]


def test_dropout_with_lbfgs_is_an_error(iris):
    with pytest.raises(ValueError, match=r"dropout=0.1 works with solver='sgd' and 'adam'"):
        short(solver="lbfgs", dropout=0.1).fit(*iris)
