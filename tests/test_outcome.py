"""What goes on from call to call, also from an earlier version."""

import operator
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skmlp._iteration import State
from skmlp._monitor import Monitor
from skmlp._outcome import Outcome, Progress, upgrade
from skmlp._passes import weight_seen

PUBLIC = {
    "coefs_": [np.ones((4, 3))],
    "intercepts_": [np.zeros(3)],
    "alpha_": 0.5,
    "alpha_search_": {"alpha": np.ones(2)},
    "t_": 150,
    "best_loss_": 0.25,
}
HIDDEN = {
    "seed": 3,
    "moments": (np.zeros(4), np.ones(4), 150.0, -np.ones(4), np.ones(4)),
    "plain_mean": (np.zeros(4), 150.0),
    "scaling": (np.zeros(4), np.ones(4)),
    "tails": None,
    "unit": None,
    "n_stalled": 1,
    "optimizer": {
        "solver": "sgd",
        "theta": np.ones(15),
        "averages": [],
        "n_steps": 9,
        "n_epochs": 7,
        "plan_epoch": 5,
        "n_plateaus": 2,
    },
    "passes": (150.0, ((7, 30, 20.0),), 0, 0.0, 20.0, 30.0),
    "chosen_for": 1.0,
    "widening": 0.0,
}


def test_progress_goes_through_the_attributes():
    progress = Progress.of(SimpleNamespace(**PUBLIC, _progress=HIDDEN))
    assert progress.hidden() == HIDDEN
    assert progress.coefs is PUBLIC["coefs_"]
    assert progress.intercepts is PUBLIC["intercepts_"]
    assert progress.alpha_search is PUBLIC["alpha_search_"]
    assert (progress.alpha, progress.n_samples, progress.best_loss) == (0.5, 150, 0.25)


def test_hidden_is_what_no_public_attribute_tells():
    new = Progress(3)
    assert new.hidden().keys() == HIDDEN.keys()
    public = dict.fromkeys(PUBLIC) | {"t_": 0}
    assert Progress.of(SimpleNamespace(**public, _progress=new.hidden())) == new


def test_other_parameters_go_on_with_the_plan_but_without_averages():
    state = State(**HIDDEN["optimizer"]).without_averages()
    assert state == State(n_epochs=7, plan_epoch=5, n_plateaus=2)


@pytest.mark.parametrize("n_attributes", [8, 3])
def test_attributes_of_version_0_2_0(n_attributes):
    """Each of the hidden ones was an attribute; models without momentum have fewer."""
    theta = HIDDEN["optimizer"]["theta"]
    moments = {"solver": "sgd", "theta": theta, "n_steps": 9, "vectors": []}
    old = dict(
        zip(
            [
                *("_seed_", "_moments_", "_feature_scaling_", "_feature_moments_"),
                *("_n_stalled_", "_n_epochs_", "_plan_epoch_", "_n_plateaus_"),
            ],
            [
                *(HIDDEN["seed"], moments, HIDDEN["scaling"]),
                *(HIDDEN["moments"], 1, 7, 5, 2),
            ],
            strict=True,
        )
    )
    old = dict(list(old.items())[:n_attributes])
    state = {"solver": "sgd", "_sklearn_version": "1.7", "note_": 1, **PUBLIC}
    del state["alpha_search_"]  # which is newer
    upgraded = upgrade(state | old)
    newer = {"_progress", "alpha_search_", "feature_mean_", "feature_scale_"}
    newer |= {"standardize_"}
    assert upgraded.keys() == state.keys() | newer
    assert upgraded["alpha_search_"] is None
    assert all(upgraded[name] is state[name] for name in state)
    hidden = upgraded["_progress"]
    assert hidden["optimizer"]["theta"] is theta
    assert hidden["seed"] == 3
    assert upgraded["feature_mean_"] is HIDDEN["scaling"][0]
    assert upgraded["feature_scale_"] is HIDDEN["scaling"][1]
    assert weight_seen(hidden["passes"]) == 150
    if n_attributes == 8:
        new = ("passes", "chosen_for", "plain_mean")
        not_recorded = {name: hidden[name] for name in new}
        assert hidden == HIDDEN | not_recorded
    else:
        assert hidden["moments"] is None
        assert hidden["optimizer"]["n_epochs"] == 0
    assert upgrade(upgraded) == upgraded
    found = upgraded | {"alpha_search_": {"alpha": np.ones(2)}}
    assert upgrade(found)["alpha_search_"] is found["alpha_search_"]
    assert upgrade({"solver": "sgd"}) == {"solver": "sgd"}  # not fitted


@pytest.mark.parametrize(
    ("alpha", "of_fit", "weight", "was_chosen"),
    [
        # a fit of 150 rows, after a search
        (
            "auto",
            {"alpha_search_": {"alpha": np.ones(2)}, "t_": 600, "n_iter_": 4},
            150,
            True,
        ),
        # 50 calls of 3 rows
        ("auto", {"t_": 150, "n_iter_": 1, "_n_epochs_": 50}, 3, False),
        # epochs of a fit, then a call; moments know all
        (0.5, {"t_": 603, "_n_epochs_": 5, "_plan_epoch_": 4}, 153, False),
    ],
)
def test_what_version_0_2_0_did_not_record(alpha, of_fit, weight, was_chosen):
    moments = (*HIDDEN["moments"][:2], 153.0, *HIDDEN["moments"][3:])
    old = {"_seed_": 3, "_feature_moments_": moments if "_plan_epoch_" in of_fit else None}
    hidden = upgrade({"alpha": alpha, **PUBLIC, "alpha_search_": None, **old, **of_fit})[
        "_progress"
    ]
    assert weight_seen(hidden["passes"]) == weight
    assert (hidden["chosen_for"] is not None) == was_chosen


def make_outcome(losses, scores=None):
    """Of iterations with these losses, and perhaps these scores."""
    held_out = iter([(-score, score) for score in scores or ()])
    validate = (lambda theta: next(held_out)) if scores else None
    monitor = Monitor(0.0, np.inf, validate, watches_score=bool(scores))
    for loss in losses:
        monitor(np.zeros(1), loss)
    progress = Progress(0, coefs=PUBLIC["coefs_"], intercepts=PUBLIC["intercepts_"])
    return Outcome(progress, monitor, losses[-1])


def test_curves_go_on_where_they_ended():
    first = make_outcome([3.0, 2.0]).attributes({})
    assert first["validation_scores_"] is first["best_iteration_"] is None
    curve = first["loss_curve_"]
    second = make_outcome([1.5, 1.0, 0.5], [0.1, 0.9, 0.2]).attributes(first)
    assert second["loss_curve_"] == [3.0, 2.0, 1.5, 1.0, 0.5]
    assert_array_equal(second["validation_scores_"], [np.nan, np.nan, 0.1, 0.9, 0.2])
    assert_array_equal(second["validation_loss_curve_"][2:], [-0.1, -0.9, -0.2])
    assert second["best_iteration_"] == 3
    assert second["best_validation_score_"] == 0.9
    assert (second["n_iter_"], second["n_layers_"], second["n_outputs_"]) == (3, 2, 3)
    assert curve == [3.0, 2.0]
    joined = make_outcome([1.0]).attributes(first, operator.iadd)
    assert joined["loss_curve_"] is curve
    assert curve == [3.0, 2.0, 1.0]
