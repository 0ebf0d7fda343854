"""What y of a regressor is: how it is checked, standardised, and predicted."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import DataConversionWarning

from skmlp._network import Network
from skmlp._value_losses import LEAST_VARIANCE, LOG_UNIT
from skmlp._values import FAMILIES, RealValues, Values, check_range, quantiles_of

REAL = ["squared_error", "absolute_error", "quantile", "gaussian"]
POSITIVE = ["poisson", "gamma"]


def settings_of(loss, quantile=0.8):
    return SimpleNamespace(loss=loss, quantile=quantile)


def draw_y(loss, n=200, n_columns=1, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.gamma(2.0, 3.0, size=(n, n_columns))
    if loss in REAL:
        y -= rng.normal(7.0, size=y.shape)
    return y[:, 0] if n_columns == 1 else y


def read(loss, y, weights=None, quantile=0.8):
    return Values.of(y, settings_of(loss, quantile), weights)


@pytest.mark.parametrize("n_columns", [1, 3])
@pytest.mark.parametrize("loss", FAMILIES)
def test_standardised_and_back(loss, n_columns):
    y = draw_y(loss, n_columns=n_columns)
    targets = read(loss, y)
    T = targets.encode(y)
    assert T.shape == (200, n_columns)
    assert T.dtype == np.float64
    again = targets.decode(T)
    assert again.shape == y.shape
    assert_allclose(again, y, atol=2e-7 * targets.scale.max())  # half of the grid
    assert targets.n_outputs == n_columns * (2 if loss == "gaussian" else 1)


def test_what_targets_are_measured_by():
    y = draw_y("squared_error", n_columns=2)
    for loss in ("squared_error", "gaussian"):
        targets = read(loss, y)
        assert_allclose(targets.center, y.mean(axis=0))
        assert_allclose(targets.scale, y.std(axis=0))
    for loss in ("absolute_error", "quantile"):
        targets = read(loss, y[:199])
        assert_allclose(targets.center, np.median(y[:199], axis=0))
        far = np.abs(targets.encode(y[:199])) > 1.645
        assert_allclose(far.mean(axis=0), 0.1, atol=0.01)
    for loss in POSITIVE:
        counts = draw_y(loss, n_columns=2)
        targets = read(loss, counts)
        assert_array_equal(targets.center, 0)
        assert_allclose(targets.scale, counts.mean(axis=0))


@pytest.mark.parametrize("loss", REAL)
def test_a_value_far_out_leaves_robust_scales(loss):
    y = draw_y(loss)
    before = read(loss, y).scale
    y[3] = 1e9
    after = read(loss, y).scale
    if loss in ("absolute_error", "quantile"):
        assert_allclose(after, before, rtol=0.1)
    else:
        assert after > 1e7 * before


@pytest.mark.parametrize("n_columns", [1, 3])
@pytest.mark.parametrize("loss", FAMILIES)
def test_attributes_tell_what_y_was(loss, n_columns):
    y = draw_y(loss, n_columns=n_columns)
    targets = read(loss, y)
    attributes = Values.attributes(targets)
    again = Values.of_fitted(SimpleNamespace(**attributes))
    assert isinstance(again, RealValues)
    assert_array_equal(attributes["target_mean_"], targets.center)
    assert_array_equal(attributes["target_scale_"], targets.scale)
    assert attributes["out_activation_"] == targets.loss.units == again.loss.units
    assert_array_equal(again.encode(y), targets.encode(y))
    assert_array_equal(again.decode(targets.encode(y)), targets.decode(targets.encode(y)))
    Z = np.random.default_rng(0).normal(size=(5, targets.n_outputs))
    assert_array_equal(again.predict(Z.copy()), targets.predict(Z.copy()))
    T = targets.encode(y)
    totals = (kind.loss.totals(T, None, kind.n_outputs) for kind in (targets, again))
    assert_array_equal(*totals)


def test_units_of_outputs():
    units = {loss: read(loss, draw_y(loss)).loss.units for loss in FAMILIES}
    assert units == {
        "squared_error": "identity",
        "poisson": "exp",
        "gamma": "exp",
        "absolute_error": "identity",
        "quantile": "identity",
        "gaussian": "normal",
    }
    three = read("quantile", draw_y("quantile"), quantile=[0.1, 0.5, 0.9])
    assert three.loss.units == "sorted"
    assert three.n_outputs == 3


@pytest.mark.parametrize("n_columns", [1, 2])
@pytest.mark.parametrize("loss", FAMILIES)
def test_weights_and_biases_in_units_of_y(loss, n_columns):
    """Logits of the raw ones are what is predicted; and the way back."""
    y = draw_y(loss, n_columns=n_columns)
    targets = read(loss, y)
    network = Network((4, 3, targets.n_outputs), "tanh", targets.loss)
    theta = np.random.default_rng(0).normal(size=network.n_parameters)
    parameters = network.parameters(theta.copy())
    X = np.random.default_rng(1).normal(size=(6, 4))
    Z = np.array(network.activations(parameters, X), order="F")
    raw = targets.to_raw(parameters.coefs, parameters.intercepts)
    flat = network.flatten(*raw, np.float64)
    raw_Z = np.array(network.activations(network.parameters(flat), X), order="F")

    mean = Z.copy(order="F")
    if loss == "gaussian":
        variance = np.exp(LOG_UNIT * Z[:, n_columns:]) + LEAST_VARIANCE
        expected = np.sqrt(variance) * targets.scale
        deviation = targets.deviation(raw_Z.copy())
        assert_allclose(deviation, expected[:, 0] if n_columns == 1 else expected)
        mean = mean[:, :n_columns]
    targets.loss.mean(mean)
    assert_allclose(targets.predict(raw_Z.copy(order="F")), targets.decode(mean))

    back = network.parameters(flat)
    targets.from_raw(back)
    assert_allclose(back.vector, theta, rtol=1e-12, atol=1e-12)


def test_shape_of_predictions():
    Z = np.zeros((5, 1))
    flat, two = draw_y("squared_error"), draw_y("squared_error", n_columns=2)
    assert read("squared_error", flat).predict(Z).shape == (5,)
    assert read("squared_error", two).predict(np.zeros((5, 2))).shape == (5, 2)
    assert read("gaussian", flat).predict(np.zeros((5, 2))).shape == (5,)
    assert read("gaussian", flat).deviation(np.zeros((5, 2))).shape == (5,)
    assert read("gaussian", two).predict(np.zeros((5, 4))).shape == (5, 2)
    assert read("gaussian", two).deviation(np.zeros((5, 4))).shape == (5, 2)
    assert read("quantile", flat).predict(Z).shape == (5,)
    several = read("quantile", flat, quantile=[0.2, 0.7])
    assert several.predict(np.zeros((5, 2))).shape == (5, 2)
    one = read("quantile", flat, quantile=[0.2])
    assert one.predict(Z).shape == (5,)


def test_a_deviation_is_finite_whatever_the_logits_and_the_unit():
    for unit in (1e-300, 1.0, 1e300):
        targets = read("gaussian", unit * draw_y("gaussian"))
        least = np.sqrt(LEAST_VARIANCE) * targets.scale
        found = targets.deviation(np.array([[0.0, -1e30], [0.0, 1e30]]))
        assert_allclose(found[0], least[0], rtol=1e-9)
        assert np.isfinite(found).all()
        assert found[1] > found[0]


def measures_of(loss):
    """What the encoding and the loss depend on."""
    of_quantiles = ("constant", "width") if FAMILIES[loss].loss is None else ()
    return ("center", "scale", *of_quantiles)


@pytest.mark.parametrize("loss", FAMILIES)
def test_weights_are_copies(loss):
    y = draw_y(loss, n=60, n_columns=2)
    copies = np.random.default_rng(0).integers(4, size=60)
    weighted = read(loss, y, copies.astype(float))
    repeated = read(loss, np.repeat(y, copies, axis=0))
    for name in measures_of(loss):
        assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-9)


@pytest.mark.parametrize("loss", FAMILIES)
def test_a_row_without_weight_is_as_if_it_were_not_there(loss):
    y = draw_y(loss, n=60)
    weights = np.r_[0.0, np.ones(59)]
    y[0] = 1e200
    with_it, without = read(loss, y, weights), read(loss, y[1:])
    for name in measures_of(loss):
        assert_allclose(getattr(with_it, name), getattr(without, name), rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-300, 1e-6, 1e6, 1e300])
@pytest.mark.parametrize("loss", FAMILIES)
def test_targets_have_no_unit(loss, unit):
    y = draw_y(loss, n_columns=2)
    plain, scaled = read(loss, y), read(loss, unit * y)
    assert_allclose(scaled.encode(unit * y), plain.encode(y), rtol=1e-12, atol=1e-12)
    assert_allclose(scaled.scale, unit * plain.scale, rtol=1e-12)
    assert_allclose(scaled.constant, plain.constant, rtol=1e-9)
    again = scaled.decode(scaled.encode(unit * y))
    assert_allclose(again, unit * y, atol=2e-7 * scaled.scale.max())


@pytest.mark.parametrize("loss", REAL)
def test_targets_have_no_origin(loss):
    y = draw_y(loss, n_columns=2)
    plain, moved = read(loss, y), read(loss, y + 1e6)
    assert_allclose(moved.encode(y + 1e6), plain.encode(y), atol=1e-8)
    assert_allclose(moved.scale, plain.scale, rtol=1e-9)


def test_single_precision_keeps_its_digits():
    """An average of float32 would be as rough as they are."""
    y = (1e6 + np.random.default_rng(0).choice([-1, 1], size=20_000)).astype(np.float32)
    checked = Values.checked(y)
    assert checked.dtype == np.float64
    targets = read("squared_error", checked)
    assert_allclose(targets.center, np.mean(y, dtype=np.float64), rtol=1e-14)
    assert_allclose(np.abs(targets.encode(checked)), 1, atol=0.05)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e300, 1e-300, 12345.678])
@pytest.mark.parametrize("loss", FAMILIES)
def test_constant_y(loss, value):
    if loss in POSITIVE:
        value = abs(value) or (1.0 if loss == "gamma" else 0.0)
    for n in (1, 7, 1000):
        y = np.full(n, value)
        targets = read(loss, y)
        T = targets.encode(y)
        assert np.isfinite(T).all()
        assert_allclose(targets.decode(T), y, rtol=1e-12)
        assert (targets.scale > 0).all()
        totals = targets.loss.totals(T, None, targets.n_outputs)
        constant = np.atleast_2d(targets.loss.constant(totals / n))
        assert np.isfinite(constant).all()


def test_one_of_two_columns_is_constant():
    y = np.c_[np.full(50, 0.1), draw_y("squared_error", n=50)]
    for loss in REAL:
        targets = read(loss, y)
        again = targets.decode(targets.encode(y))
        assert_allclose(again[:, 0], 0.1, rtol=1e-12)
        # rounding of a mean is no deviation
        assert_allclose(targets.encode(y)[:, 0], 0, atol=1e-3)


def test_quantiles_of_weighted_values():
    y = np.array([[3.0, 0.0], [1.0, 5.0], [2.0, 1.0], [4.0, 2.0]])
    assert_array_equal(quantiles_of(y, None, 0.5), [2, 1])
    assert_array_equal(quantiles_of(y, None, 0.51), [3, 2])
    assert_array_equal(quantiles_of(y, np.array([5.0, 1.0, 1.0, 1.0]), 0.5), [3, 0])
    assert_array_equal(quantiles_of(y, np.array([0.0, 0.0, 1.0, 0.0]), 0.01), [2, 1])
    rng = np.random.default_rng(0)
    many = rng.normal(size=(101, 3))
    for level in (0.01, 0.25, 0.5, 0.99):
        expected = np.quantile(many, level, axis=0, method="inverted_cdf")
        assert_array_equal(quantiles_of(many, None, level), expected)


@pytest.mark.parametrize(
    ("loss", "y", "match"),
    [
        ("poisson", [1.0, -0.5], "loss='poisson' is for y that are at least 0; .* -0.5"),
        ("gamma", [1.0, 0.0], "loss='gamma' is for y that are positive; .* 0"),
        ("gamma", [1.0, -3.0], "loss='gamma' is for y that are positive; .* -3"),
    ],
)
def test_values_out_of_range(loss, y, match):
    with pytest.raises(ValueError, match=match):
        check_range(np.array(y), loss)
    with pytest.raises(ValueError, match=match):
        read(loss, np.array(y))
    targets = read(loss, np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match=match):
        targets.check(np.array(y))


def test_values_in_range():
    check_range(np.array([0.0, 3.0]), "poisson")
    check_range(np.array([1e-300, 3.0]), "gamma")
    for loss in REAL:
        check_range(np.array([-1e300, 0.0]), loss)


@pytest.mark.parametrize(
    ("y", "n_columns"), [(np.ones(3), 2), (np.ones((3, 1)), 2), (np.ones((3, 2)), 1)]
)
def test_another_number_of_columns(y, n_columns):
    targets = read("squared_error", draw_y("squared_error", n_columns=n_columns))
    given = 1 if y.ndim == 1 else y.shape[1]
    match = f"y has {given} columns, but {n_columns} are expected"
    with pytest.raises(ValueError, match=match):
        targets.check(y)


@pytest.mark.parametrize(
    ("quantile", "match"),
    [
        (0.0, "between 0 and 1, got 0.0"),
        (1.0, "between 0 and 1, got 1.0"),
        (-0.1, "between 0 and 1"),
        (np.nan, "between 0 and 1, got nan"),
        ([], r"between 0 and 1, got \[\]"),
        ([[0.1, 0.9]], r"between 0 and 1, got \[\[0.1, 0.9\]\]"),
        ([0.1, 1.5], "between 0 and 1"),
        ([0.9, 0.1], r"quantile should ascend, got \[0.9, 0.1\]"),
        ([0.5, 0.5], "quantile should ascend"),
    ],
)
def test_bad_quantiles(quantile, match):
    with pytest.raises(ValueError, match=match):
        read("quantile", draw_y("quantile"), quantile=quantile)


def test_several_quantiles_are_of_one_column():
    y = draw_y("quantile", n_columns=2)
    with pytest.raises(ValueError, match="need y of one column, got 2"):
        read("quantile", y, quantile=[0.1, 0.9])
    assert read("quantile", y, quantile=[0.1]).n_outputs == 2
    assert read("quantile", y, quantile=0.1).n_outputs == 2


@pytest.mark.parametrize("loss", [loss for loss in FAMILIES if loss != "quantile"])
def test_quantile_matters_to_its_own_loss_alone(loss):
    y = draw_y(loss, n_columns=2)
    one, other = (read(loss, y, quantile=q) for q in (0.5, "nonsense"))
    assert_array_equal(one.encode(y), other.encode(y))


def test_absolute_error_is_the_median_with_twice_its_loss():
    y = draw_y("quantile")
    absolute, median = read("absolute_error", y), read("quantile", y, quantile=0.5)
    T = absolute.encode(y)
    assert_array_equal(T, median.encode(y))
    Z = np.zeros((len(y), 1))
    values = [kind.loss.residual(Z.copy(), T, 1.0) for kind in (absolute, median)]
    assert_allclose(values[0], 2 * values[1])
    assert_allclose(values[0], np.abs(T).sum(), rtol=0.01)


def test_smoothing_vanishes_with_the_rows():
    widths = [read("quantile", draw_y("quantile", n)).width for n in (100, 10_000, 10**6)]
    assert 0.5 > widths[0] > 5 * widths[1] > 25 * widths[2] > 0


def test_y_is_dense_numbers():
    assert Values.options(np.ones(3)) == {"multi_output": True, "y_numeric": True}
    with pytest.raises(TypeError, match=r"y is sparse, .* a dense one: y.toarray\(\)"):
        Values.options(sparse.csr_array(np.ones((3, 2))))


def test_a_column_is_flat_with_a_warning():
    y = draw_y("squared_error")
    with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
        found = Values.checked(y[:, np.newaxis])
    assert_array_equal(found, y)
    assert Values.checked(y) is y
    assert Values.checked(np.arange(3)).dtype == np.float64


def test_groups_and_tokens_of_rows():
    T = np.array([[0.5, 1.0], [0.5, 2.0], [0.5, 1.0], [3.0, 1.0]])
    assert_array_equal(RealValues.strata(T), [0, 0, 0, 0])
    tokens, prints = RealValues.tokens(T), RealValues.prints(T)
    for found in (tokens, prints):
        assert found[0] == found[2]
        assert len(set(found.tolist())) == 3
    assert_array_equal(RealValues.prints(T[1:]), prints[1:])


def test_a_fit_goes_on_in_the_units_of_before():
    before = read("squared_error", draw_y("squared_error"))
    now = read("squared_error", 10 * draw_y("squared_error", seed=1))
    assert Values.going_on(before, now) is before
    for other in (
        read("gaussian", draw_y("gaussian")),
        read("squared_error", draw_y("squared_error", n_columns=2)),
    ):
        with pytest.raises(
            ValueError, match=r"(loss|columns of y) has changed: warm_start"
        ):
            Values.going_on(before, other)


def test_another_quantile_is_another_loss():
    y = draw_y("quantile")
    before, now = (read("quantile", y, quantile=q) for q in (0.1, 0.9))
    with pytest.raises(ValueError, match="warm_start"):
        Values.going_on(before, now)


# --- units of which the first rows of a stream tell nothing ---------------------------


def test_no_positive_value_is_rounded_to_zero():
    y = np.logspace(-12, 12, 50)
    targets = read("gamma", y)
    assert_allclose(targets.decode(targets.encode(y)), y, rtol=3e-7)


@pytest.mark.parametrize("loss", ["absolute_error", "quantile"])
def test_rows_one_by_one_have_a_scale(loss):
    y = draw_y(loss)
    targets = read(loss, y[:1])
    for row in y[1:]:
        targets = targets.following(read(loss, np.array([row])))
    assert_allclose(targets.scale, read(loss, y).scale, rtol=0.5)


def test_smoothing_vanishes_with_the_rows_of_a_stream():
    y = draw_y("quantile", n=1000)
    targets = read("quantile", y[:10])
    for start in range(10, 1000, 10):
        targets = targets.following(read("quantile", y[start : start + 10]))
    assert_allclose(targets.width, read("quantile", y).width, rtol=1e-6)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_a_fit_with_other_units_does_not_go_on_in_the_old_ones(factor):
    y = draw_y("squared_error")
    before = read("squared_error", y)
    assert Values.going_on(before, read("squared_error", 2 * y)) is before
    targets = Values.going_on(before, read("squared_error", factor * y))
    assert_array_equal(targets.is_new, True)
    assert_allclose(targets.scale, factor * before.scale)


def test_origin_of_densities_counts_the_targets_that_vary():
    rng = np.random.default_rng(0)
    y = np.column_stack([rng.normal(size=100), np.full(100, 5.0)])
    targets = read("gaussian", y)
    T, weights, loss = targets.encode(y), np.ones(100), targets.loss
    means = loss.totals(T, weights, 4) / 100
    assert_allclose(loss.floor(means) - loss.origin(means), 0.5, rtol=1e-5)
    assert not targets.is_met_by_constant(loss.floor(means) - loss.origin(means))
