"""Rows of persons, sites and so on: held out are groups that were not seen."""

import warnings

import numpy as np
import pandas as pd
import pytest
from common import parameters, short, short_fits
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmlp import MLPClassifierManual
from skmlp._rows import Rows


def searching(**params):
    """A short fit after a search for alpha, which holds out rows."""
    return short(**({"alpha": "auto"} | params))


def persons(n, seed=0):
    """Each has 40 nearly equal rows, and one label, which noise decides, too."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n, 10))
    labels = (centres[:, 0] + centres[:, 1] + rng.logistic(size=n) > 0).astype(int)
    person = np.repeat(np.arange(n), 40)
    return centres[person] + 0.05 * rng.normal(size=(40 * n, 10)), labels[person], person


@pytest.mark.parametrize("kind", [int, str, "objects"])
def test_alpha_is_chosen_for_new_persons(kind):
    X, y, person = persons(200)
    X_new, y_new, _ = persons(500, seed=1)
    groups = person.astype(object) if kind == "objects" else person.astype(kind)
    alone = MLPClassifierManual(20, random_state=0).fit(X, y)
    model = MLPClassifierManual(20, random_state=0).fit(X, y, groups=groups)
    assert log_loss(y_new, alone.predict_proba(X_new)) > 1.2
    assert log_loss(y_new, model.predict_proba(X_new)) < 0.62
    assert alone.alpha_ < 0.1 < 5 < model.alpha_


def test_early_stopping_stops_for_new_persons():
    X, y, person = persons(60)
    X_new, y_new, _ = persons(500, seed=1)
    settings = {"alpha": 0.01, "early_stopping": True, "validation_fraction": 0.3}
    losses = [
        log_loss(y_new, model.predict_proba(X_new))
        for groups in (None, person)
        for model in [
            MLPClassifierManual(20, random_state=0, **settings).fit(X, y, groups=groups)
        ]
    ]
    assert losses[1] < 1 < losses[0] - 0.5


@pytest.mark.parametrize(
    ("groups", "match"),
    [
        ([1, 2], "^groups has 2 entries, but X has 150 rows"),
        (np.r_[np.nan, np.arange(149)], "^groups contains nan: .* must be known"),
        ([None] + ["a"] * 149, "^groups contains None: .* must be known"),
        (np.zeros(150), "^groups has one group only: .* at least 2"),
        (np.zeros((150, 2)), "1d array"),
    ],
)
@pytest.mark.parametrize("params", [{}, {"alpha": 1.0, "early_stopping": True}])
def test_bad_groups(iris, groups, match, params):
    model = searching(**params)
    with pytest.raises(ValueError, match=match):
        model.fit(*iris, groups=groups)
    assert vars(model) == vars(searching(**params))


@short_fits
@pytest.mark.parametrize(
    ("params", "has_validation_set", "present"),
    [
        ({"alpha": 1.0}, False, "alpha=1.0 and early_stopping=False"),
        ({}, True, "X_val"),
        ({"alpha": 1.0, "early_stopping": True}, True, "X_val"),
    ],
)
def test_groups_without_effect_are_announced(iris, params, has_validation_set, present):
    X, y = iris
    validation = {"X_val": X, "y_val": y} if has_validation_set else {}
    match = f"^groups has no effect with {present}; it works with rows that are held out"
    with pytest.warns(UserWarning, match=match) as record:
        model = searching(**params).fit(X, y, groups=np.zeros(150), **validation)
    assert record[0].filename == __file__
    assert_array_equal(
        parameters(model),
        parameters(searching(**params).fit(X, y, **validation)),
    )


@short_fits
def test_groups_may_have_names_of_any_kind(iris):
    X, y = iris
    numbers = np.arange(150) % 30
    expected = searching().fit(X, y, groups=numbers).alpha_
    for same in (numbers.astype(float), numbers.astype(object), pd.Series(numbers)):
        assert searching().fit(X, y, groups=same).alpha_ == expected
    with pytest.raises(ValueError, match=r"groups contains (<NA>|nan)"):
        searching().fit(X, y, groups=pd.Series(numbers, dtype="Int64").where(numbers > 0))


@short_fits
def test_groups_through_a_grid_search_and_a_pipeline(iris, monkeypatch):
    X, y = iris
    groups = np.arange(150) % 30
    taken = []
    lots = Rows.lots

    def spy(rows):
        taken.append(len(np.unique(rows.groups)))
        return lots(rows)

    monkeypatch.setattr(Rows, "lots", spy)
    with config_context(enable_metadata_routing=True):
        net = searching().set_fit_request(groups=True)
        pipe = make_pipeline(StandardScaler(), net)
        grid = {"mlpclassifiermanual__hidden_layer_sizes": [3, 5]}
        search = GridSearchCV(pipe, grid, cv=GroupKFold(3))
        search.fit(X, y, groups=groups)
    assert taken == [20] * 6 + [30]


def test_a_truth_table_is_held_out_by_groups():
    table = np.array(np.meshgrid(*[[0.0, 1.0]] * 6)).reshape(6, -1).T
    parity = table.sum(axis=1) % 2
    whole = MLPClassifierManual(20, random_state=0).fit(table, parity)
    assert len(whole.alpha_search_["n_samples"]) > 0
    assert set(whole.alpha_search_["n_samples"]) == {64}
    model = MLPClassifierManual(20, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # parity of others is not seen
        model.fit(table, parity, groups=np.arange(64) % 4)
    assert set(model.alpha_search_["n_samples"]) == {48}
