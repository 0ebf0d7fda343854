"""A multilayer perceptron for scikit-learn, trained by closed-form gradients."""

from skmlp._classifier import MLPClassifierManual

__all__ = ["MLPClassifierManual"]
__version__ = "0.1.0"
