"""Nets for tables: numbers of any scale, categories and gaps, as they are."""

from skmlp._tabular._classifier import TabularMLPClassifier
from skmlp._tabular._regressor import TabularMLPRegressor

__all__ = ["TabularMLPClassifier", "TabularMLPRegressor"]
