"""Alpha of many rows: chosen on more and more of them, from whose ends the fit goes on."""

from types import SimpleNamespace

import numpy as np
import pytest
from common import KnownSplit, make_rows, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import skmlp._alpha
from skmlp import MLPClassifierManual
from skmlp._alpha import _climb, draw_rows, search_alpha, steepened
from skmlp._iteration import Result
from skmlp._race import Race, Rules
from skmlp._rows import Rows
from skmlp._settings import Settings
from skmlp._targets import ClassLabels


def drawn(data, validation=None):
    """Sizes of the stages, and the rows of each split: to train on, and held out."""
    network = SimpleNamespace(output=ClassLabels.loss)
    problem = SimpleNamespace(
        data=data, validation=validation, network=network, telling=lambda rows: 1.0
    )
    splits, stages, _ = draw_rows(problem, seed=0)
    return [train.n_rows for train, _ in stages], [*splits, *stages]


def numbers(rows):
    """Of rows whose first feature tells them."""
    return set(rows.X[:, 0].astype(int))


def numbered(n):
    return Rows(np.arange(float(n)).reshape(-1, 1), np.arange(n) % 2)


@pytest.mark.parametrize(
    ("n", "sizes"),
    [
        (4998, []),
        (5000, [4000]),
        (12_500, [10_000]),
        (18_900, [4781, 15_120]),
        (20_000, [5059, 16_000]),
        (48_000, [12_143, 38_400]),
        (300_000, [12_143, 38_400]),
        (700_000, [8749, 27_669, 87_500]),
    ],
)
def test_sizes_of_stages(n, sizes):
    found, splits = drawn(numbered(n))
    assert found == sizes
    if sizes:
        (search, held_out), *_, (last, _) = splits
        assert search.n_rows == 2400
        assert held_out.n_rows == min(4800, last.n_rows // 4)


def test_stages_take_so_much_memory(monkeypatch):
    monkeypatch.setattr("skmlp._alpha._STAGE_BYTES", 7000 * 8)
    assert drawn(numbered(20_000))[0] == [7000]
    monkeypatch.setattr("skmlp._alpha._STAGE_BYTES", 3000 * 8)
    sizes, ((search, _), (train, held_out)) = drawn(numbered(20_000))
    assert sizes == [4800]  # which are always taken
    assert (search.n_rows, train.n_rows, held_out.n_rows) == (2400, 4800, 1200)


@pytest.mark.parametrize("kind", ["memory", "map", "validation set"])
def test_stages_are_nested_and_hold_out_the_same_rows(tmp_path, kind):
    data, validation = numbered(60_000), None
    if kind == "map":
        X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", shape=data.X.shape)
        X[...] = data.X
        data = Rows(X, data.targets)
    if kind == "validation set":
        data, validation = (
            data.where(data.X[:, 0] < 50_000),
            data.where(slice(50_000, None)),
        )
    sizes, splits = drawn(data, validation)
    assert sizes == [12_143, 38_400]
    trained = [numbers(train) for train, _ in splits]
    assert trained[0] < trained[1] < trained[2]
    assert [len(rows) for rows in trained] == [2400, *sizes]
    held_out = [numbers(rows) for _, rows in splits]
    assert held_out[1] == held_out[2] >= held_out[0]
    assert len(held_out[0]) == 4800
    assert not trained[2] & held_out[2]
    if validation is not None:
        assert held_out[2] <= numbers(validation)
    for train, rows in splits:
        for part in (train, rows):
            assert np.bincount(part.targets).min() > 0.45 * part.n_rows


def test_a_truth_table_is_held_out_and_trained_on():
    X = np.indices((2,) * 5).reshape(5, -1).T.astype(float)
    table = Rows(np.tile(X, (300, 1)), np.tile(X.sum(axis=1) % 2, 300).astype(int))
    sizes, ((train, held_out),) = drawn(table)
    assert sizes == []
    assert train is held_out
    assert (train.n_rows, train.total_weight) == (32, 9600)


@pytest.mark.filterwarnings("ignore:The fit is no better than a constant")  # as it should
def test_a_search_that_has_seen_nothing_is_made_with_more_rows(races):
    """Of those between the rows to train on and the first stage."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4800, 3)), rng.integers(2, size=4800)
    MLPClassifierManual(5, random_state=0).fit(X, y)
    sizes = [(s.data.n_rows, s.validation.n_rows) for race in races for s in race.splits]
    assert_allclose([sizes[0], sizes[-1]], [(2400, 2400), (4320, 480)], atol=3)
    for race in races:
        (split,) = race.splits
        rows = [set(part.X[:, 0]) for part in (split.data, split.validation)]
        assert not rows[0] & rows[1]
    races.clear()
    MLPClassifierManual(5, random_state=0).fit(X[:2800], y[:2800])
    assert {s.data.n_rows // 10 for race in races for s in race.splits} == {224}


def tossed(n_cells, n=20_000):
    """Observations in some cells, whose labels are those of coins."""
    rng = np.random.default_rng(0)
    return Rows(rng.integers(n_cells, size=(n, 1)) + 0.0, rng.integers(2, size=n))


def test_equal_observations_are_many_although_their_rows_are_few():
    """All that are added up to few rows are taken, in one more stage or at once."""
    sizes, ((search, _), (train, held_out)) = drawn(tossed(1500))
    assert sizes == [train.n_rows]
    assert 2950 < train.n_rows <= 3000
    weights = [rows.total_weight for rows in (search, train, held_out)]
    assert_allclose(weights, [2400, 16_000, 4000], rtol=0.02)
    sizes, ((train, held_out),) = drawn(tossed(60))
    assert sizes == []
    assert train.n_rows == held_out.n_rows == 120
    assert_allclose([train.total_weight, held_out.total_weight], [16_000, 4000], rtol=0.02)
    assert drawn(tossed(60, 5000))[0] == []


class Chain(KnownSplit):
    """Losses around a best candidate; fits tell the rows and candidate of their start."""

    def __init__(self, best, n_rows, starts):
        super().__init__(None, 10**6, n_rows=n_rows)
        self.best, self.starts = best, starts

    def rough_objective(self, alpha, map=None):
        objective = super().rough_objective(alpha, map)
        objective.n_rows = self.data.n_rows
        return objective

    def rough_held_out_objective(self):
        def loss(theta):
            before, candidate, n_rows = theta[:2], theta[2], theta[3]
            self.starts[int(n_rows), round(candidate, 6)] = tuple(before)
            return 0.2 + 0.1 * abs(candidate - self.best)

        return SimpleNamespace(loss=loss, total_weight=1.0)


def test_each_stage_goes_on_from_the_one_before():
    """Its fits start where the same penalty for a row has ended."""
    starts = {}

    def end(objective, theta, monitor):
        before = np.round(theta[2:])
        return Result(
            np.array([*before, objective.candidate, objective.n_rows]), 0.0, 1, True
        )

    rules = Rules(end, lambda: None, 1.0, 1.0, 1.0)
    theta = np.full(4, -9.0)
    race, _ = search_alpha(rules, [Chain(0, 1000, starts)], theta)
    problem = SimpleNamespace(
        data=SimpleNamespace(total_weight=1e6),
        part=lambda split: SimpleNamespace(in_row_space=lambda: split),
    )
    # as many rows again as make half a decade, then a decade
    stages = [(Chain(1, 3162, starts),), (Chain(2, 31_623, starts),)]
    choice = _climb(problem, rules, race, theta, stages)
    # the same alpha, the same penalty for a row, and the neighbours of the best
    assert {c for n, c in starts if n == 3162} == {0, 1, 2}
    assert {c for n, c in starts if n == 31_623} == {1, 2, 3, 2.5}
    assert {starts[1000, c] for n, c in starts if n == 1000} == {(-9, -9)}
    assert {c for n, c in starts if n == 1000} == {2, 0, -1, -2}
    assert starts[3162, 0] == (-1, 1000)
    assert starts[3162, 1] == (0, 1000)
    assert starts[3162, 2] == (0, 1000)  # 1 has not been tried
    assert starts[31_623, 1] == starts[31_623, 2] == (0, 3162)
    assert starts[31_623, 3] == (1, 3162)
    assert choice.alpha == pytest.approx(10)
    assert [n for n, _, _ in choice.table] == sorted(n for n, _ in starts)
    # three half decades more rows: a penalty for a row that is 2 - 3 = -1
    assert choice.found[2:].tolist() == [1, 31_623]
    assert choice.is_stage


def weak(n, seed=0):
    """Fifty features that each tell little."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 50))
    w = 0.08 * np.random.default_rng(99).normal(size=50)
    return X, (rng.random(n) < 1 / (1 + np.exp(-X @ w))).astype(int)


@pytest.fixture
def races(monkeypatch):
    """The races of a fit."""
    seen = []

    class Spied(Race):
        def __init__(self, rules, splits, *args, **options):
            super().__init__(rules, splits, *args, **options)
            self.splits = splits
            seen.append(self)

    monkeypatch.setattr(skmlp._alpha, "Race", Spied)
    return seen


@short_fits
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_fit_trains_no_candidate_on_what_it_holds_out(races, early_stopping, monkeypatch):
    drawn = []
    split = Rows.split

    def spy(rows, *args):
        drawn.append(split(rows, *args))
        return drawn[-1]

    monkeypatch.setattr(Rows, "split", spy)
    X, y = weak(12_000)
    X[:, 0] = np.arange(12_000)  # numbers that survive
    MLPClassifierManual(
        5, early_stopping=early_stopping, standardize=False, max_iter=2, random_state=0
    ).fit(X, y)
    held_out = [numbers(s.validation) for race in races for s in race.splits]
    trained = [numbers(s.data) for race in races for s in race.splits]
    assert len(races) >= 2
    assert all(rows == held_out[-1] for rows in held_out if len(rows) >= 2400)
    assert not set().union(*trained) & set().union(*held_out)
    if early_stopping:
        ((train, validation),) = drawn
        assert held_out[-1] == numbers(validation)
        assert set().union(*trained) <= numbers(train)


def test_alpha_rises_with_the_rows_where_features_tell_little():
    X, y = weak(12_000)
    X_new, y_new = weak(20_000, seed=1)
    model = MLPClassifierManual(20, random_state=0).fit(X, y)
    assert np.unique(model.alpha_search_["n_samples"]).tolist() == [2400, 9600]
    plain = LogisticRegression().fit(X, y)
    losses = [log_loss(y_new, m.predict_proba(X_new)) for m in (model, plain)]
    assert losses[0] < losses[1] + 0.01
    alphas = [
        MLPClassifierManual(20, random_state=0).fit(X[:n], y[:n]).alpha_
        for n in (200, 1200)
    ]
    assert alphas[0] < alphas[1] <= model.alpha_


def test_more_rows_are_not_worse():
    X, y = weak(24_000)
    X_new, y_new = weak(20_000, seed=1)
    losses = [
        log_loss(y_new, model.predict_proba(X_new))
        for n in (6000, 24_000)
        for model in [MLPClassifierManual(20, random_state=0).fit(X[:n], y[:n])]
    ]
    assert losses[1] < losses[0]


def waves(n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    y = np.sin(3 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.3 * rng.normal(size=n) > 0
    return X, y.astype(int)


@pytest.mark.parametrize("seed", range(3))
def test_a_fit_from_a_stage_ends_as_low_as_a_plain_one(seed):
    """Where there is one minimum; a net has others, which may be a little higher."""
    X, y = make_moons(8000, noise=0.25, random_state=seed)
    model = MLPClassifierManual((), random_state=seed).fit(X, y)
    plain = MLPClassifierManual((), alpha=model.alpha_, random_state=seed).fit(X, y)
    assert model.loss_ < plain.loss_ + 2e-4


@pytest.mark.parametrize("seed", range(3))
def test_a_fit_from_a_stage_is_short(seed):
    X, y = make_moons(8000, noise=0.25, random_state=seed)
    model = MLPClassifierManual(30, random_state=seed).fit(X, y)
    plain = MLPClassifierManual(30, alpha=model.alpha_, random_state=seed).fit(X, y)
    assert model.loss_curve_[0] < model.loss_ + 0.02 < plain.loss_curve_[0]
    assert model.n_iter_ < 0.6 * plain.n_iter_


def test_a_fit_from_parts_ends_as_low_as_a_plain_one(monkeypatch):
    X, y = waves(8000)
    plain = MLPClassifierManual(30, alpha=1.0, random_state=0).fit(X, y)
    monkeypatch.setattr("skmlp._growing._MANY_ROWS", 8000)
    monkeypatch.setattr("skmlp._growing._FEWEST_ROWS", 250)
    model = MLPClassifierManual(30, alpha=1.0, random_state=0).fit(X, y)
    assert model.loss_ < plain.loss_ + 2e-4
    assert model.loss_curve_[0] < plain.loss_curve_[0] - 0.1


@short_fits
@pytest.mark.parametrize(
    ("params", "goes_on"),
    [
        ({}, True),
        ({"solver": "newton-cg"}, True),
        ({"early_stopping": True}, False),
        ({"solver": "adam", "max_iter": 2}, False),
        ({"coefs_init": True}, False),
    ],
)
def test_what_starts_where_a_stage_has_ended(params, goes_on, monkeypatch):
    found = []
    choose = skmlp._alpha.choose_alpha

    def spy(*args, **options):
        choice = choose(*args, **options)
        found.append(choice._replace(theta=choice.theta.copy()))  # steps are in place
        return choice

    monkeypatch.setattr("skmlp._choices.choose_alpha", spy)
    starts = []
    solve = skmlp._training._solve

    def spy_on_start(fit, progress, theta, *args):
        starts.append(theta.copy())
        return solve(fit, progress, theta, *args)

    monkeypatch.setattr("skmlp._training._solve", spy_on_start)
    X, y = waves(8000)
    initial = {}
    if params.pop("coefs_init", False):
        initial = {"coefs_init": [np.ones((4, 5)), np.ones((5, 2))]}
        initial["coefs_init"][0][:, 2:] = 0.5
    MLPClassifierManual(5, random_state=0, **params).fit(X, y, **initial)
    ((choice,), (start,)) = found, starts
    assert choice.is_stage
    assert (choice.found == start).all() == goes_on
    assert (choice.theta == start).all() != goes_on


def test_lines_and_record_agree_in_stages(capsys):
    X, y = weak(8000)
    model = MLPClassifierManual(5, verbose=True, random_state=0).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    record = list(zip(*model.alpha_search_.values(), strict=True))
    expected = [
        f"{n_rows} rows, alpha = {alpha:.6g}: held-out loss = {loss:.6f}"
        for n_rows, alpha, loss in record
    ]
    assert lines[: len(record)] == expected
    assert lines[len(record)].startswith(f"alpha = {model.alpha_:.6g}, chosen")
    assert list(model.alpha_search_) == ["n_samples", "alpha", "held_out_loss"]
    n_samples, alpha, loss = model.alpha_search_.values()
    assert np.unique(n_samples).tolist() == [2400, 6400]
    assert model.alpha_ in alpha[n_samples == 6400]
    for n in (2400, 6400):
        assert (np.diff(alpha[n_samples == n]) < 0).all()
    assert (loss > 0.6).all()
    assert loss[n_samples == 6400].min() < np.log(2)


@short_fits
def test_there_is_no_record_of_an_alpha_that_was_given(iris):
    model = MLPClassifierManual(5, alpha=1.0, random_state=0).fit(*iris)
    assert model.alpha_search_ is None
    model = MLPClassifierManual(5, random_state=0, max_iter=3, warm_start=True).fit(*iris)
    record = model.alpha_search_
    assert model.fit(*iris).alpha_search_ is record  # it is the one of the alpha in use
    assert model.set_params(alpha=2.0).fit(*iris).alpha_search_ is None


def test_ctrl_c_in_a_stage_keeps_the_best_of_the_stage_before(monkeypatch):
    run = Race.run

    def interrupted(race, candidates, split=0):
        if race.training_weight > 2400:
            raise KeyboardInterrupt
        run(race, candidates, split)

    monkeypatch.setattr(Race, "run", interrupted)
    model = MLPClassifierManual(5, random_state=0)
    with pytest.raises(KeyboardInterrupt, match="before its iterations on all rows"):
        model.fit(*weak(6000))
    n_samples, alpha, loss = model.alpha_search_.values()
    assert (n_samples == 2400).all()
    assert model.alpha_ == alpha[loss.argmin()]
    whole = MLPClassifierManual(5, alpha=model.alpha_, random_state=0).fit(*weak(2400))
    assert model.score(*weak(6000)) > whole.score(*weak(6000)) - 0.05


def test_a_steeper_start_has_a_steeper_first_layer():
    network = Settings(MLPClassifierManual((5, 4))).network(4, ClassLabels(np.arange(3)))
    theta = network.initialize(np.random.RandomState(0), np.float64, False)
    before = theta.copy()
    coefs, intercepts = network.parameters(steepened(network, theta, 4))[1:]
    old_coefs, old_intercepts = network.parameters(theta)[1:]
    assert_array_equal(theta, before)
    for new, old in ((coefs, old_coefs), (intercepts, old_intercepts)):
        assert np.abs(old[0]).min() > 0
        assert_array_equal(new[0], 4 * old[0])
        for one, other in zip(new[1:], old[1:], strict=True):
            assert_array_equal(one, other)


@short_fits
@pytest.mark.parametrize("n", [2000, 3000])
def test_a_checkerboard_is_learnt(n):
    def board(n, seed):
        X = 8 * np.random.default_rng(seed).random((n, 2))
        return X, np.floor(X).sum(axis=1).astype(int) % 2

    X_new, y_new = board(5000, 1)
    model = MLPClassifierManual(random_state=0).fit(*board(n, 0))
    assert log_loss(y_new, model.predict_proba(X_new)) < 0.4


@pytest.mark.parametrize("kind", ["once", "light", "50 times each"])
@pytest.mark.parametrize("n_bits", [5, 6, 8])
def test_parity_is_reproduced(n_bits, kind):
    X = np.indices((2,) * n_bits).reshape(n_bits, -1).T.astype(float)
    y = X.sum(axis=1) % 2
    weights = np.full(len(X), 1e-3) if kind == "light" else None
    n_copies = 50 if kind == "50 times each" else 1
    model = MLPClassifierManual(random_state=0)
    model.fit(np.tile(X, (n_copies, 1)), np.tile(y, n_copies), weights)
    assert model.score(X, y) == 1


def test_stages_of_make_rows_have_all_classes():
    _, splits = drawn(make_rows(7000))
    for train, held_out in splits:
        assert_array_equal(np.unique(train.targets), range(3))
        assert_array_equal(np.unique(held_out.targets), range(3))
