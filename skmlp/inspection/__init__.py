"""What a fitted network looks at, and where its fit ended.

Exact input gradients, contributions of features, and the curvature of the objective.

Functions of a fitted `MLPClassifierManual` or `MLPRegressorManual`, of a net for tables
(`TabularMLPClassifier`, `TabularMLPRegressor`), of a pipeline that ends in one, or of a
search whose best estimator is one of these.
"""

from skmlp.inspection._attributions import attributions
from skmlp.inspection._curvature import loss_curvature
from skmlp.inspection._display import AttributionDisplay
from skmlp.inspection._gradients import input_gradients

__all__ = ["AttributionDisplay", "attributions", "input_gradients", "loss_curvature"]
