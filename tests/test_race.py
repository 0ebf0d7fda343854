"""A race between strengths of the penalty, whose held-out losses a test knows."""

import math
from collections import defaultdict

import numpy as np
import pytest
from common import KnownSplit, known_rules
from numpy.testing import assert_array_equal

from skmlp._race import STRONGEST, WEAKEST, Race

START = np.zeros(2)


def race_of(losses, n_held_out=10**9, *, slack=0.0, floor=1.0, **options):
    """A race of a single split, in which the candidates with a loss have run."""
    split = KnownSplit(lambda candidate, start: losses[candidate], n_held_out, **options)
    race = Race(known_rules(floor=floor), [split], lambda candidate: START, slack=slack)
    race.run(losses)
    return race


@pytest.mark.parametrize("unit", [1.0, 0.01, 190_000.0])
def test_candidates_are_half_decades_of_the_unit(unit):
    split = KnownSplit(lambda candidate, start: abs(candidate), unit=unit)
    race = Race(known_rules(unit=unit), [split], lambda candidate: START)
    race.run([-2, 0, 3])
    assert race.losses == {-2: [2], 0: [0], 3: [3]}
    for candidate in (WEAKEST, 0, STRONGEST):
        assert race.alpha(candidate) == unit * 10 ** (candidate / 2)
    assert (STRONGEST, WEAKEST) == (6, -6)
    assert race.training_weight == 100 * unit
    expected = [(100, race.alpha(c), loss) for c, loss in ((3, 3), (0, 0), (-2, 2))]
    assert race.table() == expected


def test_densities_may_be_better_than_what_is_taken_for_perfect():
    """Their losses have no least value: the slack is never negative."""
    split = KnownSplit(lambda candidate, start: -3.0 - candidate)
    rules = known_rules(floor=1.0, origin=0.5)
    race = Race(rules, [split], lambda candidate: START, slack=0.005)
    race.run([0, 1, 2])
    assert race.best() == 2


def test_each_candidate_runs_once_in_a_split_after_those_before():
    trained = defaultdict(list)

    def split(number):
        def loss(candidate, start):
            trained[number].append(candidate)
            return candidate**2 + number

        return KnownSplit(loss, n_held_out=(100, 300)[number])

    race = Race(known_rules(), [split(0), split(1)], lambda candidate: START)
    race.run([2, 0, -2])
    race.run([0, -2, -4])
    assert trained[0] == [-2, 0, 2, -4]  # what takes longest first
    race.run([0, 2], 1)
    race.run([0, 2], 1)
    assert trained[1] == [0, 2]
    assert race.losses == {-2: [4], 0: [0, 1], 2: [4, 5], -4: [16]}
    # by the weight of the held-out rows
    assert (race.mean(0), race.mean(2), race.mean(-4)) == (0.75, 4.75, 16)
    assert race.best() == 0  # of those that have seen all splits
    assert race.trained[2][1] == 2


def test_starts_and_where_fits_end():
    split = KnownSplit(lambda candidate, start: start)
    race = Race(known_rules(), [split], lambda candidate: np.array([candidate + 0.5, 0]))
    race.run([0, 2])
    assert race.losses == {0: [0.5], 2: [2.5]}
    assert_array_equal(race.trained[2], [2.5, 2])


def test_parameters_are_those_of_the_whole_problem():
    class Narrow(KnownSplit):
        def reduce(self, theta):
            return theta[1:]

        def expand(self, theta):
            return np.concatenate([[7.0], theta])

    split = Narrow(lambda candidate, start: start)
    race = Race(known_rules(), [split], lambda candidate: np.array([7.0, 3.0, 5.0]))
    race.run([0])
    assert race.losses == {0: [3]}
    assert_array_equal(race.trained[0], [7, 3, 0])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_worse_than_any_number(bad):
    race = race_of({2: bad, 0: 0.5, -2: 0.6})
    assert race.losses[2] == [math.inf]
    assert race.best() == 0
    assert race.contenders() == {0}
    nothing = race_of({2: bad, 0: bad})
    assert nothing.is_plateau(nothing.best())


@pytest.mark.parametrize(("n_rows", "asks_threads"), [(999, False), (1000, True)])
def test_threads_share_candidates_or_the_rows_of_one(n_rows, asks_threads):
    shared, maps = [], []

    def spy(function, items):
        shared.append(list(items))
        return map(function, items)

    class Spied(KnownSplit):
        def rough_objective(self, alpha, map_rows=None):
            maps.append(map_rows is spy)
            return super().rough_objective(alpha, map_rows)

    split = Spied(lambda candidate, start: 1.0, n_rows=n_rows)
    race = Race(known_rules(map_fits=spy), [split], lambda candidate: START)
    race.run([0, 2])
    race.run([4])
    assert shared == ([[0, 2]] if asks_threads else [])
    assert maps == [False, False, asks_threads]
    # of long nets, one at a time: their vectors take memory
    split.network.n_parameters = 2_000_000
    race.run([1, 3])
    assert len(shared) == asks_threads
    assert maps[3:] == [asks_threads, asks_threads]


def test_the_fewer_rows_the_more_it_takes_to_leave_the_usual_strength():
    """0.3 nats, over all rows, times the squared number of half decades from -1."""
    losses = {3: 0.55, 1: 0.62, -1: 0.65, -3: 0.7}
    assert race_of(losses, 3000).best() == 3
    assert race_of(losses, 30).best() == -1
    pull = 0.3 * 16 / 0.1  # rows for which a gain of 0.1 is as much
    for far in (3, -5):
        losses = {far: 0.55, -1: 0.65}
        assert race_of(losses, math.ceil(pull) + 1).best() == far
        assert race_of(losses, math.floor(pull) - 1).best() == -1
    # equal losses
    assert race_of(dict.fromkeys(range(-6, 7), 0.5), 100).best() == -1
    assert race_of({0: 0.5, -2: 0.5, 4: 0.5}, 100).best() == 0


def test_the_rows_of_all_splits_count_as_seen():
    losses = {3: 0.55, -1: 0.65}
    splits = [KnownSplit(lambda candidate, start: losses[candidate], 30)] * 2
    race = Race(known_rules(), splits, lambda candidate: START)
    race.run(losses)
    assert race.best() == -1
    assert race.noise() == 0.5 / math.sqrt(30)
    race.run(losses, 1)
    assert race.best() == 3
    assert race.noise() == 0.5 / math.sqrt(60)


def test_slack_prefers_the_strongest():
    losses = {4: 0.5041, 2: 0.5024, 0: 0.5, -2: 0.5024}
    assert race_of(losses).best() == 0
    assert race_of(losses, slack=0.005).best() == 2
    assert race_of(losses, slack=0.009).best() == 4
    # where little was learnt, it is a share of that
    losses = {4: 0.9802, 2: 0.98009, 0: 0.98}
    assert race_of(losses, slack=0.005).best() == 2


def test_of_what_has_learnt_nothing_the_strongest_is_taken():
    assert race_of({2: 0.9951, 0: 0.995}).best() == 2
    assert race_of({2: 0.9965, 0: 0.995}).best() == 0
    assert race_of({2: 0.9801, 0: 0.98}).best() == 0  # which has learnt something


def test_contenders_are_those_that_are_not_clearly_worse():
    """Differences have to exceed half the floor over the root of the number of rows."""
    losses = {2: 0.66, 0: 0.6, -2: 0.64, -4: 0.71}
    race = race_of(losses, 100)
    assert race.noise() == 0.05
    assert race.contenders() == {0, -2}
    assert race_of(losses, 400).contenders() == {0}
    assert race_of(losses, 400, floor=2.5).contenders() == {0, -2, 2}
    assert race_of(losses, 16).contenders() == set(losses)


def test_few_rows_rule_nothing_out():
    losses = {2: 0.71, 0: 0.6, -2: 0.64}
    assert race_of(losses, 99).survivors() == set(losses)
    assert race_of(losses, 100).survivors() == {0, -2}
    assert race_of(losses, 400).survivors() == {0}
    # rows of a group are alike
    assert race_of(losses, 400, n_independent=100).survivors() == {0, -2}
    assert race_of(losses, 400, n_independent=99).survivors() == set(losses)


def test_nothing_is_ruled_out_by_few_observations_that_tell():
    losses = {2: 0.71, 0: 0.6, -2: 0.69}
    split = KnownSplit(lambda candidate, start: losses[candidate], 400)
    for telling, survivors in [(1.0, {0}), (15 / 400, {0}), (14 / 400, set(losses))]:
        race = Race(known_rules(telling=telling), [split], lambda candidate: START)
        race.run(losses)
        assert race.survivors() == survivors


@pytest.mark.parametrize(
    ("losses", "stronger"),
    [
        ({2: 1.0, 0: 1.2}, 4),
        ({2: 1.2, 0: 1.0}, None),
        ({2: 0.9, 0: 1.2}, None),
        ({6: 1.0, 0: 1.2}, None),
    ],
)
def test_stronger_penalties_than_the_strongest_on_a_plateau(losses, stronger):
    assert race_of(losses).stronger_on_plateau() == stronger


def test_a_race_beats_another_if_it_is_clearly_better():
    old = race_of({0: 0.6, -2: 0.7}, 100)
    assert race_of({0: 0.8, -2: 0.54}, 100).beats(old)
    assert not race_of({0: 0.8, -2: 0.56}, 100).beats(old)


def test_a_plateau_is_within_a_hundredth_of_the_entropy():
    race = race_of({2: 0.99, 0: 0.989, -2: 1.3}, floor=1.0)
    assert [race.is_plateau(candidate) for candidate in (2, 0, -2)] == [True, False, True]


@pytest.mark.parametrize(
    ("losses", "is_flat"),
    [
        ({2: 0.9, 0: 0.6, -2: 0.62, -4: 0.64}, True),
        ({2: 0.9, 0: 0.6, -2: 0.62, -4: 0.66}, False),  # one is clearly worse
        ({2: 0.9, 0: 0.8, -2: 0.6}, True),  # the weakest is the best
        ({2: 0.5, 0: 0.09, -2: 0.1, -4: 0.1}, False),  # nothing is left to learn
        ({2: 1.0, 0: 1.0, -2: 1.0}, True),
    ],
)
def test_a_flat_loss_is_far_from_0_and_no_weaker_penalty_is_clearly_worse(losses, is_flat):
    assert race_of(losses, 100).is_flat() == is_flat


@pytest.mark.parametrize(
    ("losses", "beyond"),
    [
        ({2: 0.1, 0: 0.2, -2: 0.3}, 4),
        ({4: 0.2, 2: 0.1, 0: 0.2}, None),
        ({0: 0.3, -2: 0.2, -4: 0.1}, -6),
        ({2: 0.3, 0: 0.1}, -2),
        ({6: 0.1, 4: 0.2}, None),
        ({-4: 0.2, -6: 0.1}, None),
    ],
)
def test_the_decade_beyond_an_edge(losses, beyond):
    assert race_of(losses).edge() == beyond


@pytest.mark.parametrize(
    ("losses", "between"),
    [
        ({2: 0.2, 0: 0.1, -2: 0.3}, 1),
        ({2: 0.3, 0: 0.1, -2: 0.2}, -1),
        ({6: 0.1, 4: 0.2}, 5),
        ({-4: 0.2, -6: 0.1}, -5),
    ],
)
def test_between_the_best_and_its_better_neighbour(losses, between):
    assert race_of(losses).between() == between
    halves = {candidate / 2: loss for candidate, loss in losses.items()}
    if max(halves) < 3:
        assert race_of(halves).quarter() == between / 2


@pytest.mark.parametrize(
    ("losses", "neighbour"),
    [
        ({0: 0.5}, -1),
        ({0: 0.5, -1: 0.55}, 1),
        ({0: 0.5, -1: 0.5011}, None),  # so near that the other side is left alone
        ({0: 0.5, 1: 0.5011}, None),
        ({0: 0.5, -1: 0.5029}, 1),
        ({0: 0.5, -1: 0.5019}, None),
        ({0: 0.5, 1: 0.55}, -1),
        ({0: 0.5, 1: 0.55, -1: 0.55}, None),
        ({6: 0.5, 5: 0.55}, None),
        ({-6: 0.5, -5: 0.55}, None),
        # on a plateau weaker ones, until one overfits, then a decade of stronger ones
        ({0: 1.0}, -1),
        ({0: 1.0, -1: 1.001}, -2),
        ({0: 1.0, -1: 1.001, 1: 1.001, -2: 1.049}, -3),
        ({0: 1.0, -1: 1.001, -2: 1.051}, 1),
        ({0: 1.0, -1: 1.001, -2: 1.051, 1: 1.001}, 2),
        ({0: 1.0, -1: 1.001, -2: 1.051, 1: 1.001, 2: 1.001}, None),
        ({0: 1.0} | dict.fromkeys(range(-6, 0), 1.001), 1),
        ({6: 1.0, 5: 1.001}, 4),
        ({-6: 1.0, -5: 1.002, -4: 1.002}, None),
    ],
)
def test_the_next_neighbour_that_is_worth_a_fit(losses, neighbour):
    race = race_of(losses)
    assert race.best() == min(losses, key=losses.get)
    assert race.next_neighbour() == neighbour
    is_plateau = min(losses.values()) == 1
    assert race.next_on_plateau() == (neighbour if is_plateau else None)


def test_a_start_is_the_end_of_the_nearest_candidate_unless_that_learnt_nothing():
    race = race_of({4: 1.0, 0: 0.5, -1: 0.6})
    elsewhere = np.full(2, 9.0)
    for candidate, nearest in ((0, 0), (1, 0), (-3, -1), (-0.5, -1)):
        found = race.start_for(candidate, otherwise=elsewhere)
        assert_array_equal(found, race.trained[nearest])
    assert race.start_for(3, otherwise=elsewhere) is elsewhere


def test_a_start_has_learnt_no_noise():
    """Held-out rows confirm at least half of what it has learnt."""
    ends = {2: 0.59, 0: 0.61, -2: 0.19, -4: 0.21}
    split = KnownSplit(
        lambda candidate, start: {2: 0.8, 0: 0.8, -2: 0.6, -4: 0.6}[candidate],
        objective_of=ends.get,
    )
    race = Race(known_rules(), [split, split], lambda candidate: START)
    race.run(ends)
    elsewhere = np.full(2, 9.0)
    confirmed = [race.start_for(c, otherwise=elsewhere) is not elsewhere for c in ends]
    assert confirmed == [False, True, False, True]


def test_ends_are_those_of_the_first_split():
    starts = iter([1.0, 2.0])
    split = KnownSplit(lambda candidate, start: 0.5)
    race = Race(
        known_rules(), [split, split], lambda candidate: np.array([next(starts), 0])
    )
    race.run([0])
    race.run([0], 1)
    assert race.trained[0][0] == 1
