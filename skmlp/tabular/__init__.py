"""Nets for tables: numbers of any scale, categories and gaps, as they are."""

from skmlp.tabular._classifier import TabularMLPClassifier
from skmlp.tabular._regressor import TabularMLPRegressor

__all__ = ["TabularMLPClassifier", "TabularMLPRegressor"]
