"""The middle of columns with heavy tails, and one divisor for columns of one unit."""

from functools import lru_cache

import numpy as np
import pytest
from common import short_fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmlp._unit
from skmlp import MLPClassifierManual
from skmlp._coordinates import feature_moments
from skmlp._race import Race
from skmlp._rows import Rows
from skmlp._scaling import find_tails, merge_tails, scaling_of
from skmlp._unit import share_a_unit

N = 4000


def log_normals(rng, n):
    L = rng.normal(size=(n, 4))
    return np.exp(3 * L), L[:, 0] - L[:, 1]


def cauchys(rng, n):
    X = rng.standard_cauchy(size=(n, 4))
    return X, 3 * np.tanh(X[:, 0]) - 2 * np.tanh(X[:, 1])


def amounts(rng, n):
    """Zeros in nine rows of ten, else log-normal."""
    L = rng.normal(size=(n, 4))
    is_some = rng.random((n, 4)) < 0.1
    X = np.where(is_some, np.exp(6 + 2 * L), 0)
    return X, 2 * is_some[:, 0] * L[:, 0] + 4 * is_some[:, 1] - 1


def beside_an_outlier(rng, n):
    X = rng.normal(size=(n, 4))
    X[0] = 1e6
    return X, np.where(X[:, 0] * X[:, 1] > 0, 2, -2)


FAMILIES = [log_normals, cauchys, amounts, beside_an_outlier]


def sample(draw, seed, n=N):
    """X, the probabilities of the second class, and labels that are drawn with them."""
    rng = np.random.default_rng(seed)
    X, logit = draw(rng, n)
    p = 1 / (1 + np.exp(-logit))
    return X, p, (rng.random(n) < p).astype(int)


def tails_of(X, weights=None, saturates=True):
    rows = Rows(X, np.zeros(X.shape[0], int), weights, weights)
    return find_tails(feature_moments(X, weights), lambda: rows, saturates)


@lru_cache
def loss_of_scaled_mlp(draw):
    X, _, y = sample(draw, 0)
    X_test, _, y_test = sample(draw, 1)
    model = make_pipeline(StandardScaler(), MLPClassifier(random_state=0)).fit(X, y)
    return log_loss(y_test, model.predict_proba(X_test))


@short_fits
@pytest.mark.parametrize(
    ("draw", "activation"),
    [
        *((draw, "logistic") for draw in FAMILIES),
        *((draw, "tanh") for draw in FAMILIES[::2]),
        *((draw, "relu") for draw in FAMILIES[1::2]),
    ],
)
def test_heavy_tails_are_learnt(draw, activation):
    X, _, y = sample(draw, 0)
    X_test, p, y_test = sample(draw, 1)
    model = MLPClassifierManual(activation=activation)
    losses = [
        log_loss(
            y_test, model.set_params(random_state=seed).fit(X, y).predict_proba(X_test)
        )
        for seed in range(3)
    ]
    assert max(losses) < loss_of_scaled_mlp(draw) + 0.02
    if activation != "relu":
        best, constant = log_loss(y_test, p), log_loss(y_test, np.full(N, y.mean()))
        assert np.mean(losses) < 0.6 * best + 0.4 * constant


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_middle_of_columns(container):
    rng = np.random.default_rng(0)
    cauchy = rng.standard_cauchy(N)
    amount = np.where(rng.random(N) < 0.3, np.exp(3 * rng.normal(size=N)), 0)
    X = container(np.column_stack([5 + cauchy, amount, rng.normal(size=N)]))
    center, scale = tails_of(X)
    dense = X if container is np.asarray else X.toarray()
    median = np.quantile(dense[:, 0], 0.5, method="inverted_cdf")
    assert_array_equal(center, [median, 0, 0])
    far = np.abs(dense[:, 0] - median)
    expected = [
        np.quantile(far[far > 0], 0.9, method="inverted_cdf") / 1.645,
        np.quantile(amount[amount > 0], 0.9, method="inverted_cdf") / 1.645,
        0,
    ]
    assert_allclose(scale, expected, rtol=1e-12)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_weights_are_copies(container):
    rng = np.random.default_rng(0)
    X, times = rng.standard_cauchy(size=(500, 3)), rng.integers(0, 4, size=500)
    found = tails_of(container(X[times > 0]), times[times > 0].astype(float))
    expected = tails_of(container(np.repeat(X, times, axis=0)))
    assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_columns_without_heavy_tails(container):
    """Rare categories and words, too: far from the mean, but not from one another."""
    rng = np.random.default_rng(0)
    category = (rng.random(N) < 0.005).astype(float)
    word = category * rng.uniform(0.1, 0.6, size=N)
    count = category * rng.geometric(0.6, size=N)
    other = [rng.normal(size=N), rng.exponential(size=N), rng.uniform(size=N), np.ones(N)]
    X = container(np.column_stack([category, word, count, *other]))
    assert tails_of(X) is None


def test_a_few_values_tell_nothing():
    X = np.zeros((N, 1))
    X[:15, 0] = 10.0 ** np.arange(15)
    assert tails_of(X) is None


def test_units_that_do_not_saturate_heed_the_deviation():
    X = np.random.default_rng(0).standard_cauchy(size=(N, 2))
    center, scale = tails_of(X)
    center_of_others, scale_of_others = tails_of(X, saturates=False)
    assert_array_equal(center_of_others, center)
    assert_allclose(scale_of_others, np.sqrt(scale * X.std(axis=0)), rtol=1e-12)


def test_merging_the_middles():
    one = np.array([[1.0, 2, 0]]).repeat(2, axis=0)
    other = np.array([[5.0, 0, 3]]).repeat(2, axis=0)
    merged = merge_tails(tuple(one), tuple(other), 0.25)
    assert_array_equal(merged, [[2, 2, 3]] * 2)
    assert merge_tails(None, None, 0.5) is None
    assert_array_equal(merge_tails(tuple(one), None, 0.5), one)
    assert_array_equal(merge_tails(None, tuple(other), 0.5), other)


def test_a_stream_keeps_the_middle():
    X, _, y = sample(cauchys, 0)
    model = MLPClassifierManual(random_state=0).fit(X, y)
    scale, output = model.feature_scale_, model.predict_proba(X[:9])
    for row in range(50):
        model.partial_fit(X[row : row + 1], y[row : row + 1])
    assert_allclose(model.feature_scale_, scale, rtol=0.2)
    assert_allclose(model.predict_proba(X[:9]), output, atol=0.1)


def test_a_stream_finds_the_middle():
    X, _, y = sample(cauchys, 0)
    model = MLPClassifierManual(random_state=0)
    for start in range(0, N, 400):
        rows = slice(start, start + 400)
        model.partial_fit(X[rows], y[rows], classes=[0, 1])
    assert_allclose(model.feature_scale_, tails_of(X)[1], rtol=0.3)


def pixels(rng, n, noisy):
    """40 columns that tell, and 30 that vary by a twentieth of these."""
    X = rng.uniform(size=(n, 70))
    X[:, 40:] = 0.5 + (X[:, 40:] - 0.5) / 20
    told = X[:, :40] if noisy else X[:, 40:] * 20
    center = told[:, :8].mean(axis=0)
    return X, 6 * ((told[:, :8] - center) @ np.ones(8))


@pytest.mark.parametrize(("noisy", "is_common"), [(True, True), (False, False)])
def test_held_out_rows_say_whether_there_is_one_divisor(noisy, is_common):
    def draw(rng, n):
        return pixels(rng, n, noisy)

    X, _, y = sample(draw, 0, 400)
    assert share_a_unit(feature_moments(X, None))
    model = MLPClassifierManual(20, random_state=0).fit(X, y)
    scale = model.feature_scale_
    assert (np.ptp(scale) == 0) == is_common
    if not is_common:
        assert_allclose(scale, X.std(axis=0), rtol=1e-6)
    assert model.standardize_ in (("common", "wide") if is_common else (True,))
    # in any unit
    again = MLPClassifierManual(20, random_state=0).fit(X * 256, y)
    assert_allclose(again.feature_scale_, scale * 256, rtol=1e-6)


def test_other_divisors_are_tried_with_the_best_strength(monkeypatch):
    tried = []

    class Spy(Race):
        def run(self, candidates, split=0):
            tried.append((split, list(candidates)))
            super().run(candidates, split)

    monkeypatch.setattr(skmlp._unit, "Race", Spy)
    monkeypatch.setattr(
        Spy, "best", lambda race: sorted(race.losses)[len(race.losses) // 2]
    )
    X, _, y = sample(lambda rng, n: pixels(rng, n, True), 0, 900)
    model = MLPClassifierManual(random_state=0).fit(X, y)
    # a third of a feature takes weights three times as large, whose squares are 9 times
    assert [candidates for split, candidates in tried if split == 0] == [
        [2, 0, -2],
        [0],
        [-2],
    ]
    assert model.best_params_ == {"alpha": model.alpha_, "standardize": model.standardize_}


def test_one_divisor_of_digits_goes_on_in_a_stream():
    X, y = load_digits(return_X_y=True)
    model = MLPClassifierManual(activation="relu", random_state=0).fit(X[:900], y[:900])
    varies = np.ptp(X[:900], axis=0) > 0
    assert np.ptp(model.feature_scale_[varies]) == 0
    scale = model.feature_scale_[varies]
    model.partial_fit(X[900:], y[900:])
    assert_allclose(model.feature_scale_[varies], scale, rtol=0.1)


def test_which_columns_share_a_unit():
    rng = np.random.default_rng(0)
    image = load_digits().data
    squeezed = rng.uniform(size=(N, 20)) / np.repeat([1, 10], 10)
    tables = {
        "units of their own": rng.normal(size=(N, 20)) * 10.0 ** np.arange(20),
        "equal deviations": rng.normal(size=(N, 20)),
        "categories": (rng.random((N, 40)) < 0.1 * rng.random(40)).astype(float),
        "words": (rng.random((N, 40)) < 0.01) * rng.uniform(size=(N, 40)),
        "few columns": image[:, 10:20],
        "mostly categories": np.hstack([image, rng.random((1797, 99)) < 0.2]),
        "constants": np.ones((N, 20)),
    }
    for name, X in tables.items():
        assert not share_a_unit(feature_moments(X.astype(float), None)), name
    for X in (image, 1e-200 * image, 1e200 * image, squeezed):
        assert share_a_unit(feature_moments(X, None))


def test_a_given_penalty_divides_each_column_by_its_own_deviation():
    X, _, y = sample(lambda rng, n: pixels(rng, n, True), 0, 400)
    model = MLPClassifierManual(alpha=1.0, random_state=0).fit(X, y)
    assert_allclose(model.feature_scale_, X.std(axis=0), rtol=1e-6)
    assert_allclose(model.feature_mean_, X.mean(axis=0), rtol=1e-6)
    model = MLPClassifierManual(alpha=1.0, standardize=False, random_state=0).fit(X, y)
    assert model.feature_scale_ is None
    assert model.feature_mean_ is None
    assert model.standardize_ is False


@pytest.mark.parametrize(("standardize", "factor"), [("common", 1), ("wide", 3)])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_one_divisor_can_be_asked_for(standardize, factor, container):
    X, _, y = sample(lambda rng, n: pixels(rng, n, True), 0, 400)
    X[:, 5] = 7.0  # constants count for nothing
    model = MLPClassifierManual(alpha=1.0, standardize=standardize, random_state=0)
    model.fit(container(X), y)
    varies = np.arange(70) != 5
    root = np.sqrt(X[:, varies].var(axis=0).mean())
    assert_allclose(model.feature_scale_[varies], factor * root, rtol=1e-6)
    assert model.standardize_ == standardize
    # of a convex objective there is one minimum
    model.set_params(hidden_layer_sizes=(), tol=1e-9, max_iter=999).fit(container(X), y)
    by_hand = clone(model).set_params(standardize=False)
    by_hand.fit((X - X.mean(axis=0)) / (factor * root), y)
    assert_allclose(model.loss_, by_hand.loss_, rtol=1e-6)


@pytest.mark.parametrize("standardize", ["common", "wide"])
@pytest.mark.parametrize("unit", [1e-170, 1e160])
def test_one_divisor_of_columns_of_any_unit(standardize, unit):
    X, _, _ = sample(lambda rng, n: pixels(rng, n, True), 0, 200)
    scales = [
        scaling_of(feature_moments(x, None), np.float64, unit=standardize)[1]
        for x in (X, X * unit)
    ]
    assert_allclose(scales[1], scales[0] * unit, rtol=1e-9)


@short_fits
def test_one_divisor_is_for_columns_without_heavy_tails():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 20))
    y = (X[:, 0] > 0).astype(int)
    X[3, 5] = 1e6
    model = MLPClassifierManual(5, standardize="common", tol=1e-2, random_state=0)
    assert model.fit(X, y).score(X, y) > 0.98
    others = np.arange(20) != 5
    assert_allclose(
        model.feature_scale_[others], np.sqrt(X[:, others].var(axis=0).mean()), rtol=1e-6
    )


def test_one_divisor_of_constants_is_one():
    moments = feature_moments(np.ones((4, 3)), None)
    assert_array_equal(scaling_of(moments, np.float64, unit="common")[1], 1)


@pytest.mark.parametrize("value", [1e20, 1e45, -1e200])
@pytest.mark.parametrize("params", [{}, {"activation": "tanh"}, {"solver": "adam"}])
def test_values_beyond_single_precision_do_not_end_a_fit(value, params):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 20))  # of Adam: so many that its batches are in float32
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    X[::300, 5] = value
    model = MLPClassifierManual(tol=1e-3, random_state=0, alpha=1.0).set_params(**params)
    assert model.fit(X, y).score(X, y) > 0.95


def test_scales_of_features_with_heavy_tails_and_others():
    X, _, _ = sample(cauchys, 0)
    X[:, 3] = np.random.default_rng(0).normal(size=N)
    moments, tails = feature_moments(X, None), tails_of(X)
    mean, scale = scaling_of(moments, np.float64, tails)
    assert_array_equal(mean[:3], tails[0][:3])
    assert_array_equal(scale[:3], tails[1][:3])
    assert_allclose([mean[3], scale[3]], [X[:, 3].mean(), X[:, 3].std()], rtol=1e-12)
