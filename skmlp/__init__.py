"""A multilayer perceptron for scikit-learn, trained by closed-form gradients."""

from skmlp._classifier import MLPClassifierManual
from skmlp._display import LossCurveDisplay

__all__ = ["LossCurveDisplay", "MLPClassifierManual"]
__version__ = "0.2.0"
