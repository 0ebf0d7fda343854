"""Pictures of a fit, in the manner of scikit-learn's displays."""

import numpy as np
from sklearn.pipeline import Pipeline

from skmlp._labels import VERBATIM, fold, place_for
from skmlp._sklearn import check_matplotlib_support


class LossCurveDisplay:
    """Training and validation loss after each iteration, of one or several fits.

    It is best made by `from_estimator` or `from_estimators`. The training loss
    is the objective, penalty included; the validation loss is the loss alone (of a
    classifier the log-loss). A dot marks the iteration whose parameters were kept. Losses
    of a regressor are in units of its standardised y.

    Parameters
    ----------
    loss_curves : list of array-like of shape (n_iter,)
        Training loss of each fit.

    validation_loss_curves : list of (array-like of shape (n_iter,) or None), default=None
        Validation loss of each fit, None where there is none.

    best_iterations : list of (int or None), default=None
        Index into the curves of the parameters that were kept, None where they are the
        last.

    names : list of str, default=None
        Names of the fits, for the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where the curves are drawn.

    figure_ : matplotlib Figure
        The figure of the axes.

    line_ : list of matplotlib Line2D
        The training curves.

    validation_line_ : list of (matplotlib Line2D or None)
        The validation curves.

    best_ : list of (matplotlib Line2D or None)
        The dots at the best iterations.

    See Also
    --------
    MLPClassifierManual, MLPRegressorManual : The estimators that record the curves.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skmlp import LossCurveDisplay, MLPClassifierManual
    >>> X, y = load_iris(return_X_y=True)
    >>> models = {
    ...     f"alpha={alpha}": MLPClassifierManual(
    ...         solver="lbfgs", alpha=alpha, early_stopping=True, random_state=0
    ...     ).fit(X, y)
    ...     for alpha in (0.01, 1)
    ... }
    >>> display = LossCurveDisplay.from_estimators(models, log_scale=True)
    >>> display.ax_.get_ylabel()
    'loss'
    """

    def __init__(
        self, loss_curves, validation_loss_curves=None, best_iterations=None, names=None
    ):
        self.loss_curves = loss_curves
        self.validation_loss_curves = validation_loss_curves
        self.best_iterations = best_iterations
        self.names = names

    @classmethod
    def from_estimator(cls, estimator, *, name=None, ax=None, log_scale=False, **kwargs):
        """Draw the curves of a fitted estimator.

        Parameters
        ----------
        estimator : estimator or Pipeline
            A fitted `MLPClassifierManual` or `MLPRegressorManual`, or anything with a
            `loss_curve_`; or a pipeline that ends in one.

        name : str, default=None
            Name of the fit in the legend; None takes the name of the class.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        log_scale : bool, default=False
            Whether the loss is drawn on a logarithmic scale.

        **kwargs : dict
            Passed to matplotlib's ``Axes.plot``, for all curves.

        Returns
        -------
        display : LossCurveDisplay
            What is drawn.

        Raises
        ------
        ValueError
            If the estimator has no `loss_curve_`: it is not fitted, or of another kind.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skmlp import LossCurveDisplay, MLPClassifierManual
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifierManual(solver="lbfgs", tol=1e-2, random_state=0)
        >>> display = LossCurveDisplay.from_estimator(model.fit(X, y))
        >>> len(display.line_)
        1
        """
        name = type(_last_step(estimator)).__name__ if name is None else name
        return cls.from_estimators({name: estimator}, ax=ax, log_scale=log_scale, **kwargs)

    @classmethod
    def from_estimators(cls, estimators, *, ax=None, log_scale=False, **kwargs):
        """Draw the curves of several fitted estimators together.

        Parameters
        ----------
        estimators : dict of str to estimator
            Their names in the legend, and what `from_estimator` takes.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        log_scale : bool, default=False
            Whether the loss is drawn on a logarithmic scale.

        **kwargs : dict
            Passed to matplotlib's ``Axes.plot``, for all curves.

        Returns
        -------
        display : LossCurveDisplay
            What is drawn.

        Raises
        ------
        ValueError
            If an estimator has no `loss_curve_`: it is not fitted, or of another kind.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skmlp import LossCurveDisplay, MLPClassifierManual
        >>> X, y = load_iris(return_X_y=True)
        >>> models = {
        ...     f"{n} units": MLPClassifierManual(n, solver="lbfgs", tol=1e-2).fit(X, y)
        ...     for n in (2, 20)
        ... }
        >>> display = LossCurveDisplay.from_estimators(models)
        >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
        ['2 units', '20 units']
        """
        fitted = {name: _last_step(estimator) for name, estimator in estimators.items()}
        for name, estimator in fitted.items():
            if getattr(estimator, "loss_curve_", None) is None:
                raise ValueError(
                    f"{name!r} has no loss_curve_: this {type(estimator).__name__} is not "
                    "fitted yet, or does not record one."
                )

        def of_all(attribute):
            return [getattr(estimator, attribute, None) for estimator in fitted.values()]

        display = cls(
            of_all("loss_curve_"),
            of_all("validation_loss_curve_"),
            of_all("best_iteration_"),
            list(fitted),
        )
        return display.plot(ax=ax, log_scale=log_scale, **kwargs)

    def plot(self, ax=None, *, log_scale=False, **kwargs):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        log_scale : bool, default=False
            Whether the loss is drawn on a logarithmic scale.

        **kwargs : dict
            Passed to matplotlib's ``Axes.plot``, for all curves.

        Returns
        -------
        self : LossCurveDisplay
            With the attributes `ax_`, `figure_`, `line_` and so on.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from skmlp import LossCurveDisplay
        >>> display = LossCurveDisplay([[1.0, 0.5, 0.4]], names=["by hand"])
        >>> display.plot(log_scale=True).line_[0].get_ydata()
        array([1. , 0.5, 0.4])
        """
        check_matplotlib_support("LossCurveDisplay.plot")
        import matplotlib.pyplot as plt
        from matplotlib import cbook, lines

        kwargs = cbook.normalize_kwargs(kwargs, lines.Line2D)
        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        n_fits = len(self.loss_curves)
        validation_loss_curves = self.validation_loss_curves or [None] * n_fits
        best_iterations = self.best_iterations or [None] * n_fits
        names = self.names or [f"fit {i}" for i in range(n_fits)]
        self.ax_, self.figure_ = ax, ax.figure
        self.line_, self.validation_line_, self.best_ = [], [], []
        for name, losses, validation_losses, best in zip(
            names, self.loss_curves, validation_loss_curves, best_iterations, strict=True
        ):
            line = _draw(ax, losses, **({"label": name} | kwargs))
            dashed = dot = None
            if validation_losses is not None:
                style = kwargs | {"color": line.get_color(), "linestyle": "--", "label": ""}
                dashed = _draw(ax, validation_losses, **style)
            if best is not None:
                loss = (losses if validation_losses is None else validation_losses)[best]
                style = {"color": line.get_color(), "zorder": line.get_zorder() + 1}
                (dot,) = ax.plot(best + 1, loss, "o", **style)
            self.line_.append(line)
            self.validation_line_.append(dashed)
            self.best_.append(dot)
        ax.set(xlabel="iteration", ylabel="loss", yscale="log" if log_scale else "linear")
        self._add_legend()
        return self

    def _add_legend(self):
        """An entry for each fit, and one for each kind of line among them."""
        from matplotlib.lines import Line2D

        handles = list(self.line_)
        if any(self.validation_line_):
            handles.append(Line2D([], [], color="gray", ls="--", label="validation loss"))
        if any(self.best_):
            label = "parameters that are kept"
            handles.append(Line2D([], [], color="gray", ls="", marker="o", label=label))
        # matplotlib leaves out what begins with an underscore, so numbers stand in
        legend = self.ax_.legend(handles, range(len(handles)))
        place = place_for(self.ax_, max(len(handles), 1), legend.prop.get_size())
        for text, handle in zip(legend.get_texts(), handles, strict=True):
            text.set(text=fold(handle.get_label(), *place), **VERBATIM)


def _draw(ax, losses, **style):
    (line,) = ax.plot(np.arange(1, len(losses) + 1), losses, **style)
    return line


def _last_step(estimator):
    """The estimator itself, or the last one of a pipeline."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator
