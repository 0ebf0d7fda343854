"""A multilayer perceptron for scikit-learn, trained by closed-form gradients."""

from skmlp._classifier import MLPClassifierManual
from skmlp._display import LossCurveDisplay
from skmlp._regressor import MLPRegressorManual
from skmlp._tabular import TabularMLPClassifier, TabularMLPRegressor

__all__ = [
    "LossCurveDisplay",
    "MLPClassifierManual",
    "MLPRegressorManual",
    "TabularMLPClassifier",
    "TabularMLPRegressor",
]
__version__ = "0.2.0"
