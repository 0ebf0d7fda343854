"""The outputs of the hidden layers, as features."""

import numpy as np
import pytest
from common import short, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from skmlp import MLPClassifierManual


@short_fits
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hidden_activations(digits, container, dtype):
    X, y = digits
    X = X.astype(dtype)
    model = short(hidden_layer_sizes=(8, 5)).fit(container(X), y)

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    first = sigmoid(X @ model.coefs_[0] + model.intercepts_[0])
    second = sigmoid(first @ model.coefs_[1] + model.intercepts_[1])
    for layer, expected in ((0, first), (1, second), (-1, second), (-2, first)):
        found = model.hidden_activations(container(X), layer=layer)
        assert found.dtype == dtype
        assert_allclose(found, expected, rtol=1e-5 if dtype == np.float32 else 1e-12)
    assert_array_equal(
        model.transform(container(X)), model.hidden_activations(container(X))
    )
    for layer in (2, -3, "first", 0.0):
        with pytest.raises(ValueError, match=f"layer={layer!r} is not one of the 2 hidden"):
            model.hidden_activations(X, layer)


@short_fits
def test_hidden_layer_feeds_another_estimator(digits):
    X, y = digits
    net = MLPClassifierManual(
        15, solver="adam", learning_rate_init=0.01, max_iter=30, random_state=0
    )
    pipe = make_pipeline(net, HistGradientBoostingClassifier(max_iter=10))
    assert pipe.fit(X[:500], y[:500]).score(X[500:], y[500:]) > 0.7
    names = [f"mlpclassifiermanual{i}" for i in range(15)]
    assert list(pipe[:-1].get_feature_names_out()) == names
    frame = clone(net).set_output(transform="pandas").fit(X, y).transform(X)
    assert list(frame.columns) == names


@short_fits
def test_no_hidden_layer_to_look_at(iris):
    model = short(hidden_layer_sizes=()).fit(*iris)
    assert_array_equal(model.transform(iris[0]), iris[0])
    assert len(model.get_feature_names_out()) == 4
    with pytest.raises(ValueError, match="layer=-1 is not one of the 0 hidden layers"):
        model.hidden_activations(iris[0])
    with pytest.raises(NotFittedError):
        short().hidden_activations(iris[0])
