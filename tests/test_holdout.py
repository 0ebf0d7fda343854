"""Rows that are held out: by class, by weight, one by one or all copies of one together."""

import numpy as np
import pytest
from common import make_rows, short, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from skmlp import MLPClassifierManual
from skmlp._holdout import folds, hold_out
from skmlp._rows import Rows


def held_out_rows(X, y, weights=None, **params):
    """What an early-stopping fit validates on."""
    seen = []

    def spy(estimator, X, y, sample_weight=None):
        seen.append(X if isinstance(X, np.ndarray) else X.toarray())
        return 0.0

    model = MLPClassifierManual(early_stopping=True, scoring=spy, max_iter=1, **params)
    model.fit(X, y, weights)
    return seen[0]


@short_fits
def test_validation_set_is_drawn_by_class_and_random_state(iris):
    X, y = iris
    X, first = np.unique(X, axis=0, return_index=True)
    y = y[first]
    draws = [held_out_rows(X, y, random_state=seed) for seed in (0, 0, 1)]
    assert_array_equal(draws[0], draws[1])
    assert draws[0].shape != draws[2].shape or (draws[0] != draws[2]).any()
    rare = np.r_[y[:-3] * 0, [1, 1, 1]]
    for seed in range(5):
        drawn = held_out_rows(X, rare, random_state=seed)
        rows = [np.flatnonzero((x == X).all(axis=1)) for x in drawn]
        assert set(rare[np.concatenate(rows)]) == {0, 1}
        assert len(drawn) == np.ceil(0.1 * (len(X) - 3)) + 1


@short_fits
def test_equal_rows_are_never_on_both_sides(iris):
    """Each row five times; held out are whole groups of copies."""
    X, y = iris
    unique, first = np.unique(X, axis=0, return_index=True)
    drawn = held_out_rows(np.tile(unique, (5, 1)), np.tile(y[first], 5), random_state=0)
    held_out, counts = np.unique(drawn, axis=0, return_counts=True)
    assert set(counts) == {5}
    assert 0.1 * len(unique) <= len(held_out) < 0.1 * len(unique) + 3
    # but for a class of one distinct row, which is in both
    X = np.vstack([unique, np.full((4, 4), 9.0)])
    y = np.r_[y[first], [3] * 4]
    drawn = held_out_rows(X, y, random_state=0)
    assert (drawn == 9).all(axis=1).sum() == 4


@short_fits
@pytest.mark.parametrize("scale", [1.0, 1 / 150, 1e-41, 1e300])
def test_validation_set_does_not_depend_on_storage_or_scale(iris, scale):
    X, y = iris
    X = np.maximum(X, 0)
    expected = held_out_rows(X, y, random_state=0)
    stored = sparse.csr_array(X)
    wide = sparse.csr_array(
        (stored.data, stored.indices.astype(np.int64), stored.indptr.astype(np.int64)),
        shape=X.shape,
    )
    explicit = sparse.csr_array(np.where(X == 0, 7.0, X))
    explicit.data[explicit.data == 7] = 0
    for same in (stored, wide, explicit, np.where(X == 0, -0.0, X), np.asfortranarray(X)):
        weights = np.full(len(y), scale)
        drawn = held_out_rows(same, y, weights, random_state=0)
        assert_array_equal(drawn, expected)


@short_fits
def test_class_weights_do_not_make_one_row_two(iris):
    """A row that is alone in its class is not held out, however heavy the class."""
    X, y = iris
    rows = np.r_[np.flatnonzero(y < 2), np.flatnonzero(y == 2)[:1]]
    for class_weight in (None, "balanced", {2: 50}):
        model = short(class_weight=class_weight, early_stopping=True)
        with pytest.warns(UserWarning, match=r"no sample of class \[2\]"):
            model.fit(X[rows], y[rows])


def deal(X, k, weights=None, n_folds=5):
    """Share of each row that is in each fold."""
    lots = Rows(X, k, weights, weights).lots()
    fold = folds(lots, n_folds=n_folds, seed=3)
    return np.array([lots.shares(fold == i) for i in range(n_folds)])


def test_folds_know_weights_from_rows():
    rows = make_rows(60)
    X, y = rows.X, rows.targets
    weights = np.random.default_rng(1).integers(1, 5, size=60)
    shares = deal(X, y, weights)
    assert_array_equal(shares.sum(axis=0), 1)
    assert set(shares.ravel()) == {0, 1}
    again = deal(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    assert_array_equal(np.repeat(shares, weights, axis=1), again)
    assert_allclose(shares @ weights / weights.sum(), 0.2, atol=0.06)


def draw_shares(X, k, weights=None, *, names=None, fraction=0.2, seed=0):
    """Shares of each row to train on, and to hold out."""
    lots = Rows(X, k, weights, weights).lots()
    train, held_out = hold_out(lots, names=names, fraction=fraction, seed=seed)
    return lots.shares(train, are_last=True), lots.shares(held_out)


def draw(*args, **options):
    """The same of rows none of which is divided."""
    shares = draw_shares(*args, **options)
    assert set(np.unique(shares)) <= {0, 1}
    return [share > 0 for share in shares]


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_weight_is_as_good_as_copies(fraction, seed):
    rows = make_rows(60)
    X, k = rows.X, rows.targets
    weights = np.random.default_rng(seed).integers(2, 5, size=60)
    weighted = draw(X, k, weights, fraction=fraction, seed=seed)
    copied = draw(
        np.repeat(X, weights, axis=0), np.repeat(k, weights), fraction=fraction, seed=seed
    )
    for mask, of_copies in zip(weighted, copied, strict=True):
        assert_array_equal(np.repeat(mask, weights), of_copies)


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5])
def test_of_each_class_just_the_fraction_of_its_weight_is_held_out(fraction):
    weights = np.random.default_rng(0).uniform(0.5, 1.5, size=300)
    rows = make_rows(300)
    train, held_out = draw(rows.X, rows.targets, weights, fraction=fraction)
    assert_array_equal(train, ~held_out)
    for k in range(3):
        weight = weights[held_out & (rows.targets == k)].sum()
        least = fraction * weights[rows.targets == k].sum()
        assert least <= weight < least + 1.5  # the heaviest row that could be too much


def test_order_and_storage_of_the_rows_do_not_matter():
    rows = make_rows(50)
    X, k = np.maximum(rows.X, 0), rows.targets
    _, held_out = draw(X, k)
    order = np.random.default_rng(0).permutation(50)
    assert_array_equal(draw(X[order], k[order])[1], held_out[order])
    assert_array_equal(draw(sparse.csr_array(X), k)[1], held_out)
    assert (draw(X, k, seed=1)[1] != held_out).any()


def test_copies_of_the_only_row_of_a_class_are_on_both_sides():
    rows = make_rows(30)
    X, k = np.vstack([rows.X, np.ones((2, 4))]), np.r_[rows.targets, 3, 3]
    train, held_out = draw(X, k)
    assert train[30:].all()
    assert held_out[30:].all()
    assert not (train & held_out)[:30].any()
    # and so is a single row that weighs as much as two
    train, held_out = draw(X[:31], k[:31], np.r_[np.ones(30), 2.0])
    assert train[30]
    assert held_out[30]


def test_the_only_row_of_a_class_is_trained_on():
    rows = make_rows(30)
    X, k = np.vstack([rows.X, np.ones((1, 4))]), np.r_[rows.targets, 3]
    with pytest.warns(UserWarning, match=r"no sample of class \['d'\], of which .* only 1"):
        train, held_out = draw(X, k, names=np.array(list("abcd")))
    assert train[30]
    assert not held_out[30]
    assert_array_equal(train, draw(X, k)[0])  # without names there is nobody to warn


def test_of_few_rows_two_are_held_out_or_it_is_an_error():
    rows = make_rows(5, n_classes=1)
    with pytest.warns(UserWarning, match=r"fraction=0.1 of 5 samples .*: there are 2"):
        train, held_out = draw(rows.X, rows.targets, fraction=0.1)
    assert (train.sum(), held_out.sum()) == (3, 2)
    for n, n_classes in ((2, 1), (3, 3)):
        rows = make_rows(n, n_classes=n_classes)
        with pytest.raises(ValueError, match=f"too small: of {n} samples, early stopping"):
            draw(rows.X, rows.targets)


def cells(n=4000, n_cells=27, seed=0):
    """Rows of few cells, most of which have both labels."""
    rng = np.random.default_rng(seed)
    X = rng.integers(3, size=(n, 3)).astype(float)
    cell = (X @ [1, 3, 9]).astype(int)
    k = (rng.random(n) < np.where(cell % 2, 0.9, 0.1)).astype(int)
    return X, k, 2 * cell + k


def test_labels_of_a_cell_are_held_out_in_proportion():
    """But for the noise of a draw, which tells how much noise a fit has to forget."""
    X, k, entry = cells()
    train, held_out = draw(X, k)
    assert_array_equal(train, ~held_out)
    for label in (0, 1):
        assert held_out[k == label].sum() == np.ceil(0.2 * (k == label).sum())
    n, n_out = np.bincount(entry), np.bincount(entry, held_out)
    deviation = (n_out - 0.2 * n) / np.sqrt(0.2 * 0.8 * n)
    assert 0.5 < np.std(deviation) < 1.5
    assert np.abs(deviation).max() < 4
    shares = deal(X, k)
    assert_allclose(shares.sum(axis=1), 800, atol=2)
    n_out = np.array([np.bincount(entry, share) for share in shares])
    assert_array_equal(n_out.sum(axis=0), n)  # whichever of equal rows they are
    assert 0.5 < np.std((n_out - 0.2 * n) / np.sqrt(0.2 * 0.8 * n)) < 1.5


@pytest.mark.parametrize("scale", [1.0, 1e-6, 190_000.0])
def test_a_table_with_frequencies_is_divided_as_its_rows_are(scale):
    X, k, entry = cells()
    entries, first, counts = np.unique(entry, return_index=True, return_counts=True)
    of_rows = draw_shares(X, k)
    of_table = draw_shares(X[first], k[first], counts * scale)
    for rows, table in zip(of_rows, of_table, strict=True):
        expected = np.bincount(entry, rows)[entries]
        assert_allclose(table * counts, expected, atol=1e-4)
    assert ((of_table[1] > 0) & (of_table[1] < 1)).any()
    assert_allclose(sum(of_table), 1, atol=1e-6)


def test_more_observations_than_can_be_told_apart_are_still_divided():
    X, k, entry = cells()
    _, first, counts = np.unique(entry, return_index=True, return_counts=True)
    lots = Rows(X[first], k[first], None, counts * 1e5 + 1).lots()
    assert 0.9e6 < lots.count.sum() < 1.1e6
    train, held_out = draw_shares(X[first], k[first], counts * 1e5 + 1)
    assert_allclose(train + held_out, 1, atol=1e-6)
    assert held_out @ counts == pytest.approx(0.2 * counts.sum(), rel=1e-3)


def test_rows_of_a_survey_are_held_out_whole_and_one_by_one():
    X, k, _ = cells()
    weights = np.random.default_rng(1).lognormal(size=4000)
    train, held_out = draw(X, k, weights)
    assert_array_equal(train, ~held_out)
    order = np.random.default_rng(2).permutation(4000)
    assert_array_equal(draw(X[order], k[order], weights[order])[1], held_out[order])
    for label in (0, 1):
        share = weights[held_out & (k == label)].sum() / weights[k == label].sum()
        assert 0.2 <= share < 0.22


def test_labels_of_a_copied_row_are_not_separated():
    rows = make_rows(300)
    copies = np.random.default_rng(0).integers(1, 6, size=300)
    X, k = np.repeat(rows.X, copies, axis=0), np.repeat(rows.targets, copies)
    ends = np.cumsum(copies)[copies > 3][:5]
    k[ends - 1] = (k[ends - 1] + 1) % 3  # somebody mistyped a few labels
    train, held_out = draw(X, k)
    assert_array_equal(train, ~held_out)
    of_row = np.repeat(np.arange(300), copies)
    share = np.bincount(of_row, held_out) / copies
    assert set(share) == {0, 1}
    assert set(np.unique(deal(X, k) @ np.eye(300)[of_row] / copies)) == {0, 1}


def test_rows_that_are_held_out_one_by_one_stay_rows():
    """A weighted row for all of a cell would make few, and odd, mini-batches."""
    X, k, _ = cells()
    for unit in (0.1, 1 / 3):  # whose sums are rounded
        train, held_out = draw(X, k, np.full(4000, unit))
        assert_array_equal(train, ~held_out)
    train, held_out = Rows(X, k).split(0.2, 0, None)
    assert train.n_rows + held_out.n_rows == 4000
    assert 800 <= held_out.n_rows <= 802
    assert train.weights is held_out.weights is train.sample_weight is None


@pytest.mark.parametrize("label_of", ["group", "row"])
@pytest.mark.parametrize("seed", range(3))
def test_groups_are_never_on_both_sides(label_of, seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(30, size=600).astype(np.uint64)
    k = (groups % 3 if label_of == "group" else rng.integers(3, size=600)).astype(int)
    rows = Rows(rng.normal(size=(600, 2)), k, groups=groups)
    parts = rows.split(0.2, seed, np.arange(3))
    train, held_out = (set(part.groups) for part in parts)
    assert not train & held_out
    assert train | held_out == set(groups)
    for part in parts:
        assert set(part.targets) == {0, 1, 2}
    lots = rows.lots()
    fold = folds(lots, n_folds=5, seed=seed)
    assert set(np.bincount(fold)) == {6}
    shares = np.array([lots.shares(fold == i) for i in range(5)])
    assert all(len(set(groups[shares[i] > 0])) == 6 for i in range(5))
    assert_array_equal(shares.sum(axis=0), 1)


def test_two_groups_of_a_class_each_are_parted():
    """And a class that one group has alone is trained on, if there are others."""
    X, k = np.random.default_rng(0).normal(size=(40, 2)), np.repeat([0, 1], 20)
    for part in Rows(X, k, groups=k.astype(np.uint64)).split(0.1, 0, None):
        assert part.n_rows == 20
    groups = np.r_[np.arange(20) % 4, np.full(20, 9)].astype(np.uint64)
    train, held_out = Rows(X, k, groups=groups).split(0.1, 0, np.arange(2))
    assert set(held_out.targets) == {0}
    assert (train.targets == 1).sum() == 20


@pytest.mark.parametrize("n_rows", [2, 4, 9])
def test_no_fold_is_empty_because_classes_are_rare(n_rows):
    rows = make_rows(n_rows * 400, n_classes=400)
    fold = folds(rows.lots(), n_folds=10, seed=0)
    sizes = np.bincount(fold, minlength=10)
    assert len(sizes) == 10
    assert sizes.min() > 0.5 * sizes.mean()


def test_the_first_fold_of_groups_is_the_lightest():
    sizes = np.array([500, 90, 60, 50, 40, 30])
    groups = np.repeat(np.arange(6), sizes).astype(np.uint64)
    rows = Rows(np.arange(770.0)[:, np.newaxis], np.arange(770) % 2, groups=groups)
    for seed in range(5):
        fold = folds(rows.lots(), n_folds=3, seed=seed)
        weights = np.bincount(fold, rows.lots().weight)
        assert_array_equal(weights, [130, 140, 500])
    assert len(np.bincount(folds(rows.lots(), n_folds=10, seed=0))) == 6
