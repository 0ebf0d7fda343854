"""Pictures of contributions, in the manner of scikit-learn's displays."""

from numbers import Integral, Number

import numpy as np
from scipy import sparse
from sklearn.utils import check_array, check_scalar

from skmlp._labels import LINE_HEIGHT, MOST_LINES, VERBATIM, fold, place_for
from skmlp._sklearn import check_matplotlib_support, count_samples
from skmlp._tabular._gaps import is_missing
from skmlp.inspection._attributions import attributions
from skmlp.inspection._fitted import unwrap
from skmlp.inspection._responses import method_of

_KINDS = ("bar", "strip", "waterfall")
_OUTPUTS = {
    "logits": "logit",
    "decision_function": "decision function",
    "predict_proba": "probability",
    "predict": "prediction",
}
_UP, _DOWN = "#D55E00", "#0072B2"
# Of dots whose feature has no number
_NO_LEVEL = "darkgray"
# Letters of a category
_VALUE_LETTERS = 20
_REST = "other features"
# Inches of a new figure: its width, and its height at least, and for each feature and each
# point of the font's size
_WIDTH, _LEAST_HEIGHT, _HEIGHT_OF_FEATURE = 6.4, 4.0, 0.028
# Letters beside the axes, and in a line of the label below, in units of a name's most
_BELOW = 2.25
# Width of a strip, in units of the distance between two
_STRIP_WIDTH = 0.8
# Of all contributions' range, what dots that lie side by side may differ by
_DOT_SHARE = 1 / 80


class AttributionDisplay:
    """Contributions of the features to an output: bars, strips of dots, or a waterfall.

    It is best made by `from_estimator`.

    Parameters
    ----------
    contributions : array-like of shape (n_samples, n_features)
        What each feature adds to the output of each row.

    features : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        Values of the features, which are written beside a waterfall and colour the dots:
        grey where a value is missing, and of features that are categories.

    base_value : float, default=0.0
        The output that the contributions are added to.

    feature_names : array-like of shape (n_features,), default=None
        Names of the features; None makes them x0, x1 and so on. They are written as they
        are, not read as mathematics; long ones take several lines, or lack their middle.

    output_name : str, default="output"
        What the contributions add up to.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.

    figure_ : matplotlib Figure
        The figure of the axes.

    bars_ : matplotlib BarContainer or None
        The bars, also of a waterfall.

    dots_ : matplotlib PathCollection or None
        The dots of the strips.

    feature_order_ : ndarray of shape (n_shown,)
        Indices of the features that are shown, largest contributions first.

    See Also
    --------
    attributions : Computes contributions.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skmlp import MLPClassifierManual
    >>> from skmlp.inspection import AttributionDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = MLPClassifierManual(solver="lbfgs", tol=1e-2, random_state=0).fit(X, y)
    >>> display = AttributionDisplay.from_estimator(model, X, target=2, kind="strip")
    >>> display.ax_.get_xlabel()
    'contribution to logit of 2'
    """

    def __init__(
        self,
        contributions,
        features=None,
        base_value=0.0,
        feature_names=None,
        output_name="output",
    ):
        self.contributions = contributions
        self.features = features
        self.base_value = base_value
        self.feature_names = feature_names
        self.output_name = output_name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        kind="bar",
        baseline=None,
        target=None,
        response_method="auto",
        row=0,
        max_features=10,
        ax=None,
        **kwargs,
    ):
        """Compute contributions, and draw them.

        Parameters
        ----------
        estimator : MLPClassifierManual, MLPRegressorManual, TabularMLPClassifier, \
                TabularMLPRegressor, Pipeline or search
            As `attributions` takes it.

        X : {DataFrame, array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to explain.

        kind : {'bar', 'strip', 'waterfall'}, default='bar'
            What to draw, see `plot`.

        baseline : array-like of shape (n_features,) or (n_baselines, n_features), \
                default=None
            What the rows are compared with, as in `attributions`; None is the mean of the
            features in training.

        target : name of an output, default=None
            The output that is explained, as in `attributions`. None is ``classes_[1]`` of
            two classes, and of a regressor with one column of y the value itself, or its
            mean; of more outputs, one has to be named.

        response_method : {'auto', 'logits', 'decision_function', 'predict_proba', \
                'predict'}, default='auto'
            Which outputs are explained, as in `attributions`.

        row : int, default=0
            The row of a waterfall.

        max_features : int, default=10
            Most features to show.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure, as high as the names need.

        **kwargs : dict
            Passed to matplotlib's ``Axes.barh``, or for strips ``Axes.scatter``.

        Returns
        -------
        display : AttributionDisplay
            What is drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError, ValueError
            As of `attributions`; and if `kind` is none of the three, there is no such row,
            or `target` is missing or not a single one.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skmlp import MLPClassifierManual
        >>> from skmlp.inspection import AttributionDisplay
        >>> X, y = load_iris(return_X_y=True, as_frame=True)
        >>> model = MLPClassifierManual(solver="lbfgs", tol=1e-2, random_state=0).fit(X, y)
        >>> display = AttributionDisplay.from_estimator(model, X, target=2)
        >>> len(display.bars_)
        4
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        _check_kind(kind)
        of_model = unwrap(estimator)[1]._targets()
        method = method_of(response_method, of_model.loss.units)
        target = _one_target(target, of_model)
        if kind == "waterfall":
            _check_row(row, count_samples(X))
        result = attributions(
            estimator,
            X,
            baseline=baseline,
            target=target,
            response_method=method,
        )
        display = cls(
            result.contributions,
            result.features,
            result.base_values,
            result.feature_names,
            f"{_OUTPUTS[method]} of {of_model.title(target)}",
        )
        return display.plot(ax, kind=kind, row=row, max_features=max_features, **kwargs)

    def plot(self, ax=None, *, kind="bar", row=0, max_features=10, **kwargs):
        """Draw the contributions.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure, as high as the names need.

        kind : {'bar', 'strip', 'waterfall'}, default='bar'
            - 'bar': the mean over the rows of a contribution's absolute value;
            - 'strip': for each feature a dot a row, at its contribution, coloured by the
              value of the feature, which is grey where it is no number;
            - 'waterfall': of one row, how the contributions lead from the base value to
              the output, the largest first, those that are not shown together at the end.

        row : int, default=0
            The row of a waterfall.

        max_features : int, default=10
            Most features to show.

        **kwargs : dict
            Passed to matplotlib's ``Axes.barh``, or for strips ``Axes.scatter``.

        Returns
        -------
        self : AttributionDisplay
            With the attributes `ax_`, `figure_` and so on.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `kind` is none of the three, there is no such row, or the contributions are
            of several targets.

        Examples
        --------
        >>> from skmlp.inspection import AttributionDisplay
        >>> display = AttributionDisplay([[1.0, -3.0], [2.0, 1.0]])
        >>> display.plot().bars_.datavalues
        array([2. , 1.5])
        """
        check_matplotlib_support("AttributionDisplay.plot")
        import matplotlib.pyplot as plt

        _check_kind(kind)
        contributions = check_array(self.contributions, input_name="contributions")
        check_scalar(max_features, "max_features", Integral, min_val=1)
        self.bars_ = self.dots_ = None
        if kind == "waterfall":
            contributions = contributions[[_check_row(row, len(contributions))]]
        importance = np.abs(contributions).mean(axis=0)
        self.feature_order_ = np.argsort(-importance, kind="stable")[:max_features]
        is_new = ax is None
        if is_new:
            size = (_WIDTH, _LEAST_HEIGHT)
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        if kind == "bar":
            labels = self._draw_bars(importance, **kwargs)
        elif kind == "strip":
            labels = self._draw_strips(contributions, **kwargs)
        else:
            labels = self._draw_waterfall(contributions[0], row, **kwargs)
        self._label(*labels, can_grow=is_new)
        return self

    def _names(self):
        """Names of the features that are shown."""
        if self.feature_names is None:
            return [f"x{i}" for i in self.feature_order_]
        return [str(self.feature_names[i]) for i in self.feature_order_]

    def _values(self, rows):
        """Values of the features that are shown, of some rows."""
        if sparse.issparse(self.features):
            return self.features[rows][:, self.feature_order_].toarray()
        return np.asarray(self.features)[rows][:, self.feature_order_]

    def _label(self, names, ends, xlabel, can_grow):
        """Names from top to bottom, and as much height for them as they need."""
        ax, places = self.ax_, range(len(names))
        ax.set_yticks(places)
        font_size = ax.get_yticklabels()[0].get_fontsize()
        n_letters, n_lines = place_for(ax, len(names), font_size)
        if can_grow:
            n_lines = MOST_LINES
        texts = [
            fold(name, n_letters, n_lines, end)
            for name, end in zip(names, ends, strict=True)
        ]
        ax.set_yticks(places, texts, **VERBATIM)
        ax.set_ylim(len(names) - 0.5, -0.5)
        longest = max(len(line) for text in texts for line in text.split("\n"))
        below = fold(xlabel, int(_BELOW * n_letters) - longest, MOST_LINES)
        ax.set_xlabel(below, **VERBATIM)
        if can_grow:
            self.figure_.set_figheight(_height([*texts, below], font_size))

    def _draw_bars(self, importance, **kwargs):
        widths = importance[self.feature_order_]
        self.bars_ = self.ax_.barh(range(len(widths)), widths, **kwargs)
        names = self._names()
        xlabel = f"mean |contribution| to {self.output_name}"
        return names, [""] * len(names), xlabel

    def _draw_strips(self, contributions, **kwargs):
        from matplotlib import cbook, collections

        kwargs = cbook.normalize_kwargs(kwargs, collections.PathCollection)
        shown = contributions[:, self.feature_order_]
        places = np.arange(shown.shape[1]) + _side_by_side(shown)
        style = {"s": 9, "linewidth": 0}
        if self.features is not None and not {"color", "facecolor", "c"} & set(kwargs):
            levels = _levels(self._values(slice(None))).ravel()
            if np.isnan(levels).all():
                style["color"] = _NO_LEVEL
            else:
                style |= {"c": levels, "cmap": "viridis", "plotnonfinite": True}
        self.ax_.axvline(0, color="gray", linewidth=0.8, zorder=0)
        self.dots_ = self.ax_.scatter(shown.ravel(), places.ravel(), **(style | kwargs))
        if "c" in style:
            self._draw_color_bar(np.isnan(levels).any())
        names = self._names()
        return names, [""] * len(names), f"contribution to {self.output_name}"

    def _draw_color_bar(self, has_gray):
        dots, label = self.dots_, "value of the feature, by rank"
        dots.set_cmap(dots.get_cmap().with_extremes(bad=_NO_LEVEL))
        bar = self.figure_.colorbar(dots, ax=self.ax_, ticks=[0, 1])
        bar.ax.set_yticklabels(["low", "high"])
        bar.set_label(f"{label} (grey: no number)" if has_gray else label)

    def _draw_waterfall(self, contributions, row, **kwargs):
        steps, names = contributions[self.feature_order_], self._names()
        ends = [""] * len(names)
        if self.features is not None:
            ends = [f" = {_as_text(value)}" for value in self._values([row])[0]]
        n_rest = len(contributions) - len(steps)
        if n_rest:
            steps = np.append(steps, contributions.sum() - steps.sum())
            names.append(f"{n_rest} {_REST}")
            ends.append("")
        stops = self.base_value + np.cumsum(steps)
        style = {"color": [_UP if step > 0 else _DOWN for step in steps]} | kwargs
        self.bars_ = self.ax_.barh(range(len(steps)), steps, left=stops - steps, **style)
        self.ax_.use_sticky_edges = False  # where a bar begins is not where the axes end
        self.ax_.axvline(self.base_value, color="gray", linewidth=0.8, linestyle=":")
        self.ax_.axvline(stops[-1], color="gray", linewidth=0.8)
        # what raises the output is orange, what lowers it blue
        self.ax_.set_title(f"from {self.base_value:.3g} (dotted) to {stops[-1]:.3g}")
        return names, ends, self.output_name


def _height(texts, font_size):
    """Of a new figure, in inches, with names of features and a label below them."""
    *names, below = (text.count("\n") * LINE_HEIGHT * font_size / 72 for text in texts)
    of_name = _HEIGHT_OF_FEATURE * font_size + max(names)
    return max(of_name * len(names), _LEAST_HEIGHT) + below


def _check_kind(kind):
    if kind not in _KINDS:
        raise ValueError(f"kind should be one of {_KINDS}, got {kind!r}.")


def _one_target(target, kind):
    """Name of the output to explain: the main one, if there is one and none is named."""
    if target is not None and np.ndim(target):
        raise ValueError(f"target should be a single class or output, got {target!r}.")
    if target is not None:
        return target
    if kind.main is not None:
        return kind.outputs[kind.main]
    raise ValueError(
        f"target should be one of {kind.outputs.tolist()}: name one. It has a default only "
        "for two classes, and for one value a row."
    )


def _check_row(row, n_rows):
    if not (isinstance(row, Integral) and -n_rows <= row < n_rows):
        raise ValueError(f"row={row!r} is not one of the {n_rows} rows.")
    return row


def _as_text(value):
    """A value of a feature, as it is written beside its name."""
    if is_missing(value):
        return "missing"
    if isinstance(value, Number) and not isinstance(value, bool):
        return f"{value:.3g}"
    return fold(str(value), _VALUE_LETTERS, 1)


def _levels(values):
    """Ranks of each column's numbers, from 0 to 1; the same for equal ones.

    NaN where a value is missing, and of columns that are no numbers.
    """
    levels = np.full(values.shape, np.nan)
    for level, column in zip(levels.T, values.T, strict=True):
        numbers = _as_numbers(column)
        is_known = ~np.isnan(numbers)
        distinct, ranks = np.unique(numbers[is_known], return_inverse=True)
        level[is_known] = ranks / max(len(distinct) - 1, 1)
    return levels


def _as_numbers(column):
    """Values of a feature, NaN where one is missing, or all of them if one is no number."""
    if column.dtype.kind in "biuf":
        return column.astype(float)
    are_known = [not is_missing(value) for value in column]
    known, numbers = column[are_known], np.full(len(column), np.nan)
    if all(isinstance(value, Number | np.bool_) for value in known):
        numbers[are_known] = known.astype(float)
    return numbers


def _side_by_side(shown):
    """How far each dot is moved aside, so that dots of a strip do not cover each other.

    Dots of a strip that are close together are moved alternately to either side, the
    more the more there are; the widest strip fills its place.

    Parameters
    ----------
    shown : ndarray of shape (n, n_shown)

    Returns
    -------
    offsets : ndarray of shape (n, n_shown)
    """
    width = max(np.ptp(shown) * _DOT_SHARE, np.finfo(float).tiny)
    offsets = np.zeros(shown.shape)
    for offset, column in zip(offsets.T, shown.T, strict=True):
        _, place = np.unique(np.floor(column / width), return_inverse=True)
        order = np.argsort(place, kind="stable")
        starts = np.searchsorted(place[order], place[order])
        number = np.arange(len(order)) - starts
        offset[order] = (number + 1) // 2 * np.where(number % 2, 1, -1)
    return offsets * _STRIP_WIDTH / 2 / max(np.abs(offsets).max(), 1)
