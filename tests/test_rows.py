"""Rows with weights: what a training asks of its data."""

import numpy as np
import pytest
from common import make_rows
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from skmlp._alpha import MOST_ROWS
from skmlp._coordinates import mean_and_scale, standard_coordinates
from skmlp._losses import LOSSES
from skmlp._network import Network
from skmlp._objective import Objective
from skmlp._relevance import telling_share
from skmlp._rows import Rows, check_total, weigh
from skmlp._value_losses import POISSON, SQUARED_ERROR

OF_LABELS = LOSSES["binary_cross_entropy"]


def test_of_many_rows_a_sample_is_drawn():
    weights = np.where(np.arange(8000) % 2, 1.0, 0.0)
    rows = make_rows(8000, weights)
    drawn = rows.sample(0, MOST_ROWS)
    assert MOST_ROWS * 0.4 < len(drawn.X) < MOST_ROWS * 0.6  # those that have a weight
    assert drawn.weights.all()
    rows = make_rows(8000)
    assert len(rows.sample(0, MOST_ROWS).X) == MOST_ROWS
    few = make_rows(50)
    assert few.sample(0, MOST_ROWS) is few


def test_of_many_copies_distinct_rows_are_drawn_with_their_weight():
    rows = make_rows(60)
    X, y = rows.X, rows.targets
    copies = np.random.default_rng(0).integers(50, 150, size=60)
    rows = Rows(np.repeat(X, copies, axis=0), np.repeat(y, copies))
    drawn = rows.sample(0, MOST_ROWS)
    assert len(drawn.X) == 60
    expected = {tuple(row): n for row, n in zip(X, copies, strict=True)}
    assert {
        tuple(row): n for row, n in zip(drawn.X, drawn.weights, strict=True)
    } == expected


WEIGHTS = np.array([0.5, 0.0, 2.0, 0.0, 1.0, 3.0])
X = np.arange(12.0).reshape(6, 2)
CLASSES = np.array([0, 1, 1, 2, 0, 1])
LABELS = np.array([[1, 0], [1, 1], [0, 0], [0, 1], [1, 0], [1, 1]], bool)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_counts_are_weights_of_classes_and_labels(weights):
    each = np.ones(6) if weights is None else weights
    counts = Rows(X, CLASSES, weights).target_totals(LOSSES["cross_entropy"], 4)
    assert counts.dtype == np.float64
    assert_allclose(counts, [each[k == CLASSES].sum() for k in range(4)])
    assert_allclose(
        Rows(X, LABELS, weights).target_totals(OF_LABELS, 2),
        (each[:, None] * LABELS).sum(0),
    )
    assert Rows(X, CLASSES, weights).total_weight == each.sum()


def test_total_weight_that_overflows_is_told():
    total = Rows(X, CLASSES, np.full(6, 1e308)).total_weight
    for bad in (total, 0.0, np.nan):
        with pytest.raises(ValueError, match=f"positive and finite, got {bad}"):
            check_total(bad)
    check_total(1e-300)


@pytest.mark.parametrize("targets", [CLASSES, LABELS])
def test_some_of_the_rows(targets):
    rows = Rows(X, targets, WEIGHTS, 2 * WEIGHTS)
    mask = np.array([True, False, True, False, False, True])
    for some in (rows.where(mask), rows.where(np.flatnonzero(mask))):
        assert_array_equal(some.X, X[mask])
        assert_array_equal(some.targets, targets[mask])
        assert_array_equal(some.weights, WEIGHTS[mask])
        assert_array_equal(some.sample_weight, 2 * WEIGHTS[mask])
        assert (some.n_rows, some.n_features, some.total_weight) == (3, 2, 5.5)
    assert rows.with_weight().total_weight == rows.total_weight
    assert_array_equal(rows.with_weight().X, X[WEIGHTS > 0])
    unweighted = Rows(X, targets)
    assert unweighted.with_weight() is unweighted
    assert unweighted.where(mask).weights is unweighted.where(mask).sample_weight is None


def test_strata_are_the_classes_but_not_the_labels():
    assert_array_equal(Rows(X, CLASSES).strata, CLASSES)
    assert_array_equal(Rows(X, LABELS).strata, np.zeros(6))


def test_groups_are_what_is_independent():
    assert Rows(X, CLASSES).n_independent() == 6
    groups = np.array([3, 3, 3, 1, 1, 9], np.uint64)
    assert Rows(X, CLASSES, groups=groups).n_independent() == 3


def test_few_rows_with_large_residuals_tell():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(100_000, 1))
    normal = Rows(np.zeros_like(y), y)
    assert_allclose(telling_share(normal, SQUARED_ERROR, np.zeros(1)), 1 / 3, rtol=0.05)
    # a shift of the constant, the weights' unit and copies change nothing
    y = np.array([[3.0], [-1.0], [-1.0], [-1.0]])
    rare = Rows(np.zeros_like(y), y)
    expected = 12**2 / (4 * 84)
    assert_allclose(telling_share(rare, SQUARED_ERROR, np.zeros(1)), expected)
    shifted = Rows(np.zeros_like(y), y + 5)
    assert_allclose(telling_share(shifted, SQUARED_ERROR, np.full(1, 5.0)), expected)
    weighted = Rows(np.zeros((2, 1)), y[:2], 0.01 * np.array([1.0, 3.0]))
    assert_allclose(telling_share(weighted, SQUARED_ERROR, np.zeros(1)), expected)
    # counts by the residuals of their mean
    counts = Rows(np.zeros_like(y), y + 1)
    assert_allclose(telling_share(counts, POISSON, np.zeros(1)), expected)
    constant = Rows(np.zeros_like(y), np.ones_like(y))
    assert telling_share(constant, SQUARED_ERROR, np.ones(1)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_split_keeps_copies_together_and_has_each_class_in_both_parts(seed):
    few = make_rows(40)
    copies = np.random.default_rng(seed).integers(4, size=40)
    copies[:3] = 1
    weights = np.repeat(np.where(np.arange(40) % 7, 1.5, 0.0), copies)
    rows = Rows(np.repeat(few.X, copies, axis=0), np.repeat(few.targets, copies), weights)
    parts = rows.split(0.3, seed, np.arange(3))
    train, held_out = (set(map(tuple, part.X)) for part in parts)
    assert not train & held_out
    assert train | held_out == set(map(tuple, rows.X[weights > 0]))
    assert sum(part.n_rows for part in parts) == (weights > 0).sum()
    for part in parts:
        assert_array_equal(np.unique(part.targets), [0, 1, 2])
        assert (part.weights == 1.5).all()


def test_class_weights_multiply_but_for_scores():
    rows = weigh(X, CLASSES, WEIGHTS, np.array([1.0, 10.0, 0.0]))
    kept = WEIGHTS > 0
    assert_array_equal(rows.X, X[kept])
    assert_array_equal(rows.weights, (WEIGHTS * [1, 10, 10, 0, 1, 10])[kept])
    assert_array_equal(rows.sample_weight, WEIGHTS[kept])
    rows = weigh(X, CLASSES, None, np.array([1.0, 10.0, 0.0]))
    assert_array_equal(rows.weights, [1, 10, 10, 1, 10])
    assert rows.sample_weight is None
    rows = weigh(X, CLASSES, None, None)
    assert rows.X is X
    assert rows.weights is None


def test_objectives_of_parts_add_up_and_the_rough_one_is_close():
    rows = make_rows(50, np.random.default_rng(1).uniform(size=50))
    network = Network((4, 5, 3), "tanh")
    coordinates = standard_coordinates(network, *mean_and_scale(rows.moments()), float)
    theta = network.initialize(np.random.RandomState(0), np.float64)
    whole = Objective(
        network, rows.X, rows.targets, rows.weights, 0.7, coordinates=coordinates
    )
    assert rows.objective(network, coordinates, 0.7).loss(theta) == whole.loss(theta)
    parts = [
        rows.where(indices).objective(
            network, coordinates, alpha, total_weight=rows.total_weight
        )
        for indices, alpha in ((np.arange(20), 0.7), (np.arange(20, 50), 0.0))
    ]
    assert_allclose(sum(part.loss(theta) for part in parts), whole.loss(theta), rtol=1e-12)
    rough = rows.objective(network, coordinates, 0.7).in_single_precision()
    assert rough.dtype == np.float32
    assert_allclose(rough.loss(theta), whole.loss(theta), rtol=1e-5)


def test_equal_rows_with_other_labels_are_not_copies():
    rng = np.random.default_rng(0)
    X, T = rng.integers(3, size=(6000, 4)).astype(float), rng.random((6000, 2)) < 0.3
    rows = Rows(X, T)
    assert rows.n_distinct() == 4 * 81
    drawn = rows.sample(0, 4800)
    assert drawn.n_rows == 4 * 81
    assert_allclose(drawn.target_totals(OF_LABELS, 2), T.sum(axis=0))


def test_of_many_observations_some_are_drawn_in_proportion():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(1000, 0.5))
    cell = rng.choice(1000, p=p, size=50_000)
    X = np.column_stack([cell % 10, cell // 10 % 10, cell // 100]).astype(float)
    y = rng.integers(2, size=50_000)
    rows = Rows(X, y)
    drawn = rows.sample(0, 1000)
    assert drawn.weights.sum() == drawn.n_observations() == 1000
    of_cell = np.bincount((drawn.X @ [1, 10, 100]).astype(int), drawn.weights, 1000)
    n = np.bincount(cell, minlength=1000)
    heavy = n > 200
    deviation = (of_cell - n / 50)[heavy] / np.sqrt(n[heavy] / 50)
    assert heavy.sum() > 30
    assert 0.6 < np.std(deviation) < 1.4
    more = rows.sample(0, 1500)  # of which the smaller sample is a part
    weights = dict(zip(more.prints, more.weights, strict=True))
    assert all(weights[i] >= w for i, w in zip(drawn.prints, drawn.weights, strict=True))
    whole = rows.sample(0, 4800)
    assert whole.n_rows == len(set(zip(cell, y, strict=True)))
    assert_allclose(whole.target_totals(OF_LABELS, 2), rows.target_totals(OF_LABELS, 2))
    assert whole.n_observations() == rows.n_observations() == 50_000


def test_a_sample_of_weighted_cells_is_one_of_their_rows():
    rng = np.random.default_rng(0)
    X, y = rng.integers(9, size=(20_000, 3)).astype(float), rng.integers(2, size=20_000)
    rows = Rows(X, y)
    table = rows.sample(0, 4800)
    once = table.sample(1, 200)
    again = rows.sample(1, 200)
    order, same = np.argsort(once.prints), np.argsort(again.prints)
    assert_array_equal(once.X[order], again.X[same])
    assert_allclose(once.weights[order], again.weights[same])


def test_a_survey_of_cells_is_drawn_by_rows():
    rng = np.random.default_rng(0)
    X, y = rng.integers(3, size=(8000, 3)).astype(float), rng.integers(2, size=8000)
    weights = rng.lognormal(size=8000)
    drawn = Rows(X, y, weights, weights).sample(0, 1000)
    assert drawn.n_rows == drawn.n_observations() == 1000
    assert set(drawn.weights) <= set(weights)


def test_shares_of_rows():
    shares = np.array([1.0, 0.0, 0.25, 0.0, 0.0, 1.0])
    part = Rows(X, CLASSES, 2 * WEIGHTS, WEIGHTS).part(shares)
    assert_array_equal(part.X, X[[0, 2, 5]])
    assert_array_equal(part.sample_weight, [0.5, 0.5, 3.0])
    assert_array_equal(part.weights, [1.0, 1.0, 6.0])
    assert_array_equal(Rows(X, CLASSES).part(shares).weights, [1, 0.25, 1])
    assert Rows(X, CLASSES).part(np.ceil(shares)).weights is None


def test_groups_go_with_their_rows():
    rows = make_rows(8000)
    groups = np.repeat(np.arange(800), 10).astype(np.uint64)
    rows = Rows(rows.X, rows.targets, groups=groups)
    of_row = dict(zip(map(tuple, rows.X), groups, strict=True))
    for some in (rows.sample(0, 500), rows.where(groups < 9), rows.astype(np.float64)):
        assert list(map(of_row.get, map(tuple, some.X))) == list(some.groups)
    X, y = np.repeat(rows.X[:50], 2, axis=0), np.repeat(rows.targets[:50], 2)
    rows = Rows(X, y, groups=np.arange(100, dtype=np.uint64))  # two persons may be equal
    assert set(rows.sample(0, 90).groups) <= set(range(100))
    assert rows.sample(0, 90).total_weight == 90


def grid(*n_values):
    return np.indices(n_values).reshape(len(n_values), -1).T.astype(float)


def test_whether_features_tell():
    y = np.arange(800) % 2
    rng = np.random.default_rng(0)
    assert Rows(rng.normal(size=(800, 3)), y).features_tell(1e-3)  # each row is alone
    assert not Rows(np.ones((800, 2)), y).features_tell(1e-3)
    assert not Rows(np.ones((800, 2)), np.zeros(800, int)).features_tell(1e-3)
    half = (np.arange(800) // 2 % 2).reshape(-1, 1).astype(float)
    assert not Rows(half, y).features_tell(1e-3)  # half of each are of a class
    for n_moved, tell in ((10, False), (40, True)):
        moved = half.copy()
        moved[np.flatnonzero(y)[:n_moved]] = 1
        taken = Rows(moved, y)
        assert taken.features_tell(1e-3) == tell
        assert not taken.features_tell(0.1)
    # what has a weight
    weights = np.where(y == half[:, 0], 3.0, 1.0)
    assert Rows(half, y, weights, weights).features_tell(1e-3)
    labels = np.column_stack([half[:, 0] > 0, np.ones(800, bool)])
    assert Rows(half, labels).features_tell(1e-3)
    assert not Rows(np.ones((800, 1)), labels).features_tell(1e-3)


def test_whether_rows_are_all_combinations():
    for X in (grid(2, 2, 2), grid(2, 3, 4), np.tile(grid(2, 2, 2), (5, 1))):
        assert Rows(X, np.arange(len(X)) % 2).is_complete()
    contradicting = np.tile(grid(2, 2, 2), (5, 1))
    labels = np.r_[np.arange(39) % 2, 0]
    assert not Rows(contradicting, labels).is_complete()
    for X in (
        grid(2, 2, 2)[1:],
        grid(2, 5),
        np.random.default_rng(0).normal(size=(50, 2)),
        np.zeros((10, 21)),
        sparse.csr_array(grid(2, 2, 2)),
    ):
        assert not Rows(X, np.arange(X.shape[0]) % 2).is_complete()


def test_equal_observations_are_added_up():
    rng = np.random.default_rng(0)
    cells = grid(3, 3, 3)
    cell, y = rng.integers(27, size=2000), rng.integers(2, size=2000)
    persons = Rows(cells[cell], y)
    entries, counts = np.unique(2 * cell + y, return_counts=True)
    counts = counts.astype(float)
    table = Rows(cells[entries // 2], entries % 2, counts, counts)
    order = rng.permutation(2000)
    added = [r.added_up() for r in (persons, persons.where(order), table)]
    for rows in added:
        assert_array_equal(rows.X, added[0].X)
        assert_array_equal(rows.targets, added[0].targets)
        assert_array_equal(rows.weights, added[0].weights)
        assert rows.n_rows == 54
        assert rows.total_weight == 2000
    assert [rows.n_given for rows in added] == [2000, 2000, 54]
    assert added[0].replaced(added[0].X).n_given == 2000
    of_classes = weigh(cells[cell], y, None, np.array([1.0, 7.0])).added_up()
    factors = np.array([1.0, 7.0])[added[0].targets]
    assert_array_equal(of_classes.weights, factors * added[0].weights)


def test_what_is_no_observation_is_not_added_up(tmp_path, monkeypatch):
    rows = make_rows(100)
    copied = Rows(np.tile(rows.X, (3, 1)), np.tile(rows.targets, 3))
    assert rows.added_up() is rows
    assert copied.added_up() is copied
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", shape=(500, 1))
    X[:] = 1
    mapped = Rows(X, np.arange(500) % 2)
    assert mapped.added_up().n_rows == 2
    monkeypatch.setattr("skmlp._memory_map._most_bytes", lambda: 0)
    assert mapped.added_up() is mapped
