"""Equal rows: observations that chance made equal, or copies of one."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.preprocessing import OneHotEncoder

from skmlp._repeats import Repeats, common_divisor, values_of
from skmlp._rows import Rows

rng = np.random.default_rng(0)


def one_hot(C):
    return OneHotEncoder(sparse_output=False).fit_transform(C)


def repeats_of(X, y, weights=None):
    return Rows(np.asarray(X, float), np.asarray(y), weights, weights).identity.repeats


GRID = np.indices((4, 4, 4)).reshape(3, -1).T
PURE = rng.integers(2, size=64)
DRAWN = rng.integers(64, size=3200)
NOISY = (rng.random(3200) < np.where(PURE[DRAWN], 0.9, 0.1)).astype(int)
AGE = np.column_stack([rng.integers(18, 90, size=5000), rng.random(5000) < 0.005])
ZIP = rng.integers(500, size=20_000)
RARE = (rng.random(5000) < 0.002).astype(int)
CANCER, MALIGNANT = load_breast_cancer(return_X_y=True)
NORMAL = rng.normal(size=(1000, 5))


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (GRID[DRAWN], NOISY),
        (one_hot(GRID[DRAWN]), NOISY),
        (GRID[DRAWN], PURE[DRAWN]),
        (one_hot(GRID[DRAWN]), PURE[DRAWN]),
        (np.tile(GRID, (50, 1)), np.tile(PURE, 50)),  # a design
        (np.tile(GRID, (50, 1)), np.arange(3200) // 64 % 2),
        (AGE, RARE),
        (AGE[:, :1], rng.integers(2, size=5000)),
        (np.column_stack([ZIP, ZIP // 10]), (ZIP % 7 < 3).astype(int)),  # one from another
    ],
)
def test_what_chance_made_equal_are_observations(X, y):
    assert repeats_of(X, y) == Repeats(True, 1.0)
    assert Rows(np.asarray(X, float), np.asarray(y)).n_observations() == len(y)


def bootstrap(X, y):
    drawn = rng.integers(len(X), size=len(X))
    return X[drawn], y[drawn]


def oversampled(X, y):
    drawn = np.r_[np.arange(len(X)), rng.choice(np.flatnonzero(y == 0), size=5000)]
    return X[drawn], y[drawn]


def copied_often(X, y):
    copies = rng.integers(10, 40, size=len(X))
    return np.repeat(X, copies, axis=0), np.repeat(y, copies)


def ten_times(X, y):
    return np.repeat(X, 10, axis=0), np.repeat(y, 10)


@pytest.mark.parametrize("copy", [bootstrap, oversampled, copied_often, ten_times])
@pytest.mark.parametrize(
    ("X", "y"),
    [
        (CANCER, MALIGNANT),
        (NORMAL, (NORMAL[:, 0] > 0).astype(int)),
        (rng.integers(4, size=(1000, 60)), rng.integers(2, size=1000)),
    ],
)
def test_what_somebody_copied_are_copies(copy, X, y):
    X_copied, y_copied = copy(X, y)
    assert repeats_of(X_copied, y_copied) == Repeats(False)
    rows = Rows(np.asarray(X_copied, float), y_copied)
    assert rows.n_observations() == len(np.unique(X_copied, axis=0))
    stored = Rows(sparse.csr_array(rows.X), y_copied)
    assert stored.identity.repeats == Repeats(False)


@pytest.mark.parametrize("copies", [5, 20])
def test_rows_of_few_values_that_are_all_repeated_are_copies(copies):
    X, y = load_iris(return_X_y=True)
    X, first = np.unique(X, axis=0, return_index=True)
    repeats = repeats_of(np.tile(X, (copies, 1)), np.tile(y[first], copies))
    assert repeats == Repeats(False)


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1 / 3200, 190_000.0])
def test_frequencies_are_as_good_as_observations(scale):
    """However they are spread over the rows, and in whatever unit."""
    cells, counts = np.unique(np.column_stack([DRAWN, NOISY]), axis=0, return_counts=True)
    table = GRID[cells[:, 0]], cells[:, 1], counts * scale
    half = counts // 2 * scale
    two = tuple(np.concatenate(pair) for pair in zip(table, table, strict=True))
    two = (*two[:2], np.concatenate([half, table[2] - half]))
    two = tuple(array[two[2] > 0] for array in two)
    for X, y, weights in (table, two):
        repeats = repeats_of(X, y, weights)
        assert repeats.are_observations
        assert repeats.weight_of_one == pytest.approx(scale, rel=1e-9)
        assert Rows(X.astype(float), y, weights, weights).n_observations() == 3200
    many = 10.0**6 * scale * counts
    assert repeats_of(*table[:2], many).weight_of_one == pytest.approx(
        10**6 * scale, rel=1e-9
    )


def test_all_rows_ten_times_count_once():
    repeats = repeats_of(*ten_times(GRID[DRAWN], NOISY))
    assert repeats == Repeats(True, 10.0)


def test_a_table_without_a_divisor_has_its_smallest_weight():
    X, y = np.tile(GRID, (2, 1)), np.repeat([0, 1], 64)
    weights = rng.lognormal(size=128)
    assert repeats_of(X, y, weights) == Repeats(True, weights.min())


def test_weights_of_a_survey_are_no_frequencies():
    for weights in (rng.lognormal(size=3200), rng.integers(10_000, 10**6, size=3200)):
        repeats = repeats_of(GRID[DRAWN], NOISY, weights.astype(float))
        assert repeats == Repeats(True, None)


@pytest.mark.parametrize("n", [40, 4000, "1000 times each"])
def test_a_truth_table_has_its_rows(n):
    X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    drawn = np.tile(np.arange(4), 1000) if isinstance(n, str) else rng.integers(4, size=n)
    repeats = repeats_of(X[drawn], y[drawn])  # four numbers may be even by chance
    assert repeats in (Repeats(True, 1.0, True), Repeats(True, 2.0, True))
    assert Rows(X[drawn].astype(float), y[drawn]).n_observations() == 4


def test_parts_of_rows_do_not_judge_again():
    rows = Rows(GRID[DRAWN].astype(float), NOISY)
    assert rows.identity.repeats.are_observations
    few = np.unique(DRAWN, return_index=True)[1]  # each cell once
    assert not Rows(rows.X[few], NOISY[few]).identity.repeats.are_observations
    for same in (rows.where(few), rows.where(few).astype(np.float32), rows.sample(0, 100)):
        assert same.identity.repeats == rows.identity.repeats


@pytest.mark.parametrize(
    ("weights", "divisor"),
    [
        ([6, 15, 9], 3),
        ([0.5, 0.75], 0.25),
        ([1 / 7, 1 / 7], 1 / 7),
        ([3e-5, 70.0], 1e-5),
        ([1e5, 1e9 + 1], 1),
        ([1.0, np.pi], None),
    ],
)
def test_common_divisor(weights, divisor):
    assert common_divisor(np.array(weights, float)) == (
        None if divisor is None else pytest.approx(divisor, rel=1e-6)
    )


def test_distinct_values_are_sorted():
    assert_array_equal(values_of(np.array([3, 1, 3, 2, 1])), [1, 2, 3])
    assert_array_equal(values_of(np.array([])), [])
