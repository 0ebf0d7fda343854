"""Conversion to ONNX: importing this module registers a converter with skl2onnx.

>>> import numpy as np
>>> from sklearn.datasets import load_iris
>>> from skl2onnx import to_onnx
>>> import skmlp.onnx
>>> from skmlp import MLPClassifierManual
>>> X, y = load_iris(return_X_y=True)
>>> model = MLPClassifierManual(solver="lbfgs", tol=1e-2, random_state=0).fit(X, y)
>>> onnx_model = to_onnx(model, X[:1].astype(np.float32), options={"zipmap": False})
>>> [output.name for output in onnx_model.graph.output]
['label', 'probabilities']

A regressor has one output, ``variable``, of shape (n, K): a column for each column of y,
or for each quantile, also where `predict` has one dimension. With ``loss="gaussian"`` these
are the means alone.

Pipelines that end in the estimator are converted likewise, for opset 13 and later; an
estimator for Dask is by its `to_local()`. `PiecewiseLinearEncoder` has a converter, too.

`TabularMLPClassifier` and `TabularMLPRegressor` are converted as a whole. Their inputs are
the columns of the table, which `input_types` declares:

>>> import pandas as pd
>>> from skmlp import TabularMLPClassifier
>>> table = pd.DataFrame({"size": [1.0, 4.0, None, 2.0] * 9, "kind": list("abca") * 9})
>>> model = TabularMLPClassifier(alpha=1.0, random_state=0).fit(table, [0, 1, 1, 0] * 9)
>>> types = skmlp.onnx.input_types(model)
>>> onnx_model = to_onnx(model, initial_types=types, options={"zipmap": False})
>>> [column.name for column in onnx_model.graph.input]
['size', 'kind']

Each input is an array of shape (n, 1), and is found by its name. Where all columns are of
one type, one input of shape (n, d) will do: ``to_onnx(model, X[:1])``. A missing number is
NaN. A missing string is ``""``; ``"nan"``, ``"None"`` and ``"<NA>"``, to which onnxruntime
converts NaN, None and pandas.NA in an array of objects, are missing as well, unless they
are categories. Convert the estimator, and not its `pipeline_`, whose parts have no
converters of their own.

It needs the extra ``onnx`` (``pip install "skmlp[onnx]"``), and something that runs the
result, such as onnxruntime.
"""

from numbers import Number
from typing import NamedTuple

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int32TensorType,
    Int64TensorType,
    StringTensorType,
    guess_proto_type,
)
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.validation import check_is_fitted

from skmlp import (
    MLPClassifierManual,
    MLPRegressorManual,
    TabularMLPClassifier,
    TabularMLPRegressor,
)
from skmlp._value_losses import largest_log
from skmlp.preprocessing import PiecewiseLinearEncoder

_OPERATORS = {
    "identity": "Identity",
    "logistic": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "softmax": "Softmax",
}
# What is a number; numpy's booleans are none of Python's
_NUMBERS = (Number, np.bool_)
# Strings that are missing values, unless they are categories
_MISSING = ("", "nan", "None", "<NA>")


def input_types(model, dtype=np.float32):
    """List names and types of the columns of a table, for `to_onnx`.

    Parameters
    ----------
    model : TabularMLPClassifier or TabularMLPRegressor
        A fitted estimator.

    dtype : {numpy.float32, numpy.float64}, default=numpy.float32
        The type of numbers: what is computed is as precise.

    Returns
    -------
    types : list of (str, type of skl2onnx)
        The argument ``initial_types`` of `to_onnx`: an input of shape (n, 1) for each
        column. Columns without names are x0, x1, ...
    """
    check_is_fitted(model)
    number = DoubleTensorType if np.dtype(dtype) == np.float64 else FloatTensorType
    types = [number] * model.n_features_in_
    for _, encoder, columns in _encoders(model.encoder_):
        if isinstance(encoder, OneHotEncoder):
            for column, categories in zip(columns, encoder.categories_, strict=True):
                if any(isinstance(category, str) for category in categories):
                    types[column] = StringTensorType
    return [
        (str(name), of_column([None, 1]))
        for name, of_column in zip(_column_names(model), types, strict=True)
    ]


def _column_names(model):
    names = getattr(model, "feature_names_in_", None)
    return [f"x{i}" for i in range(model.n_features_in_)] if names is None else list(names)


def _encoders(columns):
    """Name, transformer and columns of the parts of a column transformer in use."""
    return [part for part in columns.transformers_ if len(part[2]) and part[1] != "drop"]


def _shapes(operator):
    """Types and shapes of the outputs: labels (n,) or (n, K), probabilities (n, K)."""
    model, X = operator.raw_operator, operator.inputs[0]
    kind, n = model._targets(), X.get_first_dimension()
    label_type = StringTensorType if _are_strings(kind.outputs) else Int64TensorType
    label_shape = [n, kind.n_outputs] if kind.loss.units == "logistic" else [n]
    zipmap = operator.scope_inst.get_options(model, {"zipmap": True})["zipmap"]
    # ONNX has dictionaries of float32 only
    proba_type = FloatTensorType if zipmap is True else _number_type(operator)
    operator.outputs[0].set_type(label_type(label_shape))
    operator.outputs[1].set_type(proba_type([n, kind.n_outputs]))


def _shape_of_values(operator):
    """Type and shape of the output of a regressor: (n, K)."""
    X, kind = operator.inputs[0], operator.raw_operator._targets()
    shape = [X.get_first_dimension(), kind.n_predictions]
    operator.outputs[0].set_type(_number_type(operator)(shape))


def _shape_of_features(operator):
    """Type and shape of the output of an encoder."""
    shape = [operator.inputs[0].get_first_dimension(), len(operator.raw_operator.columns_)]
    operator.outputs[0].set_type(_number_type(operator)(shape))


def _number_type(operator):
    """Of what is computed from the inputs: in a table, integers are doubles."""
    doubles = DoubleTensorType
    if isinstance(operator.raw_operator, TabularMLPClassifier | TabularMLPRegressor):
        doubles = (DoubleTensorType, Int32TensorType, Int64TensorType)
    is_double = any(isinstance(X.type, doubles) for X in operator.inputs)
    return DoubleTensorType if is_double else FloatTensorType


def _are_strings(classes):
    """Whether labels are strings; else they are integers, as all that ONNX has."""
    if classes.dtype.kind in "OSU":
        return True
    if (classes != classes.astype(np.int64)).any():
        raise ValueError(f"ONNX labels are strings or integers, and can't be {classes}.")
    return False


class _Graph:
    """Where nodes go, and what numbers are, in the conversion of one estimator."""

    def __init__(self, scope, operator, container):
        self._scope, self._container = scope, container
        self.outputs = [output.full_name for output in operator.outputs]
        self.output_types = [guess_proto_type(output.type) for output in operator.outputs]
        is_double = _number_type(operator) is DoubleTensorType
        self.number = TensorProto.DOUBLE if is_double else TensorProto.FLOAT
        self.dtype = np.dtype(np.float64 if is_double else np.float32)

    def name(self, what):
        """A name of a value that no other has."""
        return self._scope.get_unique_variable_name(what)

    def constant(self, name, values, proto_type=None):
        """Name of a constant, in the precision of the graph by default."""
        full_name = self.name(name)
        proto_type = proto_type or self.number
        self._container.add_initializer(full_name, proto_type, values.shape, values.ravel())
        return full_name

    def node(self, operation, inputs, output=None, **attributes):
        """Name of the output of a new node; or the names that were given for several."""
        if output is None:
            output = self.name(operation.lower())
        name = self._scope.get_unique_operator_name(operation)
        self._container.add_node(operation, inputs, output, name=name, **attributes)
        return output

    def numbers(self, values):
        """Name of values, cast to the precision of the graph."""
        return self.node("Cast", values, to=self.number)

    def concat(self, values):
        """Name of values beside one another."""
        return self.node("Concat", values, axis=1, op_version=13)

    def column(self, X, place):
        """Name of a column of X."""
        place = self.constant("place", np.array([place]), TensorProto.INT64)
        return self.node("Gather", [X, place], axis=1, op_version=13)

    def cast(self, values, place):
        """Make values an output of the estimator."""
        self.node("Cast", values, self.outputs[place], to=self.output_types[place])


def _convert(scope, operator, container):
    """The nodes of a net."""
    graph = _Graph(scope, operator, container)
    _add_net(graph, operator, graph.numbers(operator.inputs[0].full_name))


def _add_net(graph, operator, h):
    """The nodes of (5) to (7) for every layer, then of what the estimator returns."""
    model = operator.raw_operator
    layers = list(zip(model.coefs_, model.intercepts_, strict=True))
    for i, (W, b) in enumerate(layers):
        product = graph.node("MatMul", [h, graph.constant("W", W)])
        z = graph.node("Add", [product, graph.constant("b", b)])
        if i < len(layers) - 1:
            h = graph.node(_OPERATORS[model.activation], z)
    options = operator.scope_inst.get_options(model, {"raw_scores": False}, fail=False)
    kind = model._targets()
    HEADS[kind.loss.units](graph, kind, z, bool(options and options["raw_scores"]))


def _convert_encoder(scope, operator, container):
    """The nodes of a `PiecewiseLinearEncoder`."""
    graph = _Graph(scope, operator, container)
    X = graph.concat([graph.numbers(X.full_name) for X in operator.inputs])
    graph.cast(_add_ramps(graph, operator.raw_operator, X), 0)


def _add_ramps(graph, encoder, X):
    """Features of numbers, as `PiecewiseLinearEncoder.transform` makes them."""
    numbers = np.finfo(graph.dtype)
    limited = np.clip(encoder.ramps_.astype(np.float64), numbers.min, numbers.max)
    if not (limited[1].astype(graph.dtype) > 0).all():
        raise ValueError(f"{graph.dtype} can't have bins as narrow as those of {encoder}.")
    names = ("start", "width", "least", "most", "of_gap")
    constants = zip(names, limited[:, np.newaxis], strict=True)
    start, width, least, most, of_gap = (graph.constant(*pair) for pair in constants)
    columns = graph.constant("columns", encoder.columns_, TensorProto.INT64)
    x = graph.node("Gather", [X, columns], axis=1, op_version=13)
    passed = graph.node("Div", [graph.node("Sub", [x, start]), width])
    passed = graph.node("Min", [passed, most], op_version=13)
    passed = graph.node("Max", [passed, least], op_version=13)
    gaps = graph.node("IsNaN", x, op_version=13)
    return graph.node("Where", [gaps, of_gap, passed], op_version=9)


def _convert_table(scope, operator, container):
    """The nodes of an estimator of tables: the parts of its encoder, then its net."""
    graph = _Graph(scope, operator, container)
    columns = _columns(graph, operator)
    features = []
    for name, encoder, places in _encoders(operator.raw_operator.encoder_):
        convert = next((PARTS[kind] for kind in PARTS if isinstance(encoder, kind)), None)
        if convert is None:
            raise NotImplementedError(f"The part {name!r}, {encoder}, has no converter.")
        features.append(convert(graph, encoder, [columns[i] for i in places]))
    _add_net(graph, operator, graph.concat(features))


class _Column(NamedTuple):
    """A column of a table: its name, its value, of shape (n, 1), and its type."""

    name: str
    value: str
    type: object

    @property
    def is_string(self):
        return isinstance(self.type, StringTensorType)


def _columns(graph, operator):
    """The columns of a table, in the order of `fit`."""
    model, inputs = operator.raw_operator, operator.inputs
    names = _column_names(model)
    if len(inputs) == 1:
        (X,) = inputs
        _check_width(X, len(names))
        values = [graph.column(X.full_name, i) for i in range(len(names))]
        return [_Column(*pair, X.type) for pair in zip(names, values, strict=True)]
    given = {str(X.raw_name): X for X in inputs}
    if set(given) != set(map(str, names)):
        raise ValueError(
            f"The inputs should be one, or named as the columns of {type(model).__name__}: "
            f"{names}, got {list(given)}. See skmlp.onnx.input_types."
        )
    found = [given[str(name)] for name in names]
    for X in found:
        _check_width(X, 1)
    return [_Column(str(X.raw_name), X.full_name, X.type) for X in found]


def _check_width(X, n_columns):
    if X.type.shape[1] not in (None, n_columns):
        raise ValueError(
            f"The input {X.raw_name!r} should be of shape (n, {n_columns}), got "
            f"{X.type.shape}."
        )


def _numbers(graph, encoder, columns):
    """Features of the columns of numbers."""
    for column in columns:
        if column.is_string:
            raise ValueError(
                f"Column {column.name!r} holds numbers: its input can't be strings."
            )
    X = graph.concat([graph.numbers(column.value) for column in columns])
    return _add_ramps(graph, encoder, X)


def _categories(graph, encoder, columns):
    """Indicators of the categories of all columns."""
    if encoder.drop is not None or encoder.handle_unknown != "infrequent_if_exist":
        raise NotImplementedError(f"{encoder} has no converter.")
    infrequent = getattr(encoder, "infrequent_categories_", [None] * len(columns))
    of_columns = zip(columns, encoder.categories_, infrequent, strict=True)
    return graph.concat([_one_hot(graph, *of_column) for of_column in of_columns])


def _one_hot(graph, column, categories, infrequent):
    """Indicators of frequent categories, and one of all others if some are infrequent."""
    known = [category for category in categories if not _is_missing(category)]
    are_strings = all(isinstance(category, str) for category in known)
    if not are_strings and not all(isinstance(category, _NUMBERS) for category in known):
        raise NotImplementedError(
            f"The categories of column {column.name!r} are neither strings nor numbers."
        )
    if known and are_strings != column.is_string:
        kind = "strings" if are_strings else "numbers"
        raise ValueError(
            f"The categories of column {column.name!r} are {kind}, and so should be its "
            "input. See skmlp.onnx.input_types."
        )
    equal = _equal_strings if column.is_string else _equal_numbers
    indicators = equal(graph, column, categories, known)
    if infrequent is None:
        return indicators
    are_frequent = ~np.isin(categories.astype(str), infrequent.astype(str))
    # a row without any of the frequent categories has the last one
    columns = np.eye(len(categories) + 1)[:-1, np.r_[are_frequent, True]]
    columns[:, -1] = -columns[:, :-1].sum(axis=1)
    product = graph.node("MatMul", [indicators, graph.constant("frequent", columns)])
    last = np.eye(1, columns.shape[1], columns.shape[1] - 1)
    return graph.node("Add", [product, graph.constant("others", last)])


def _is_missing(category):
    # NaN differs from itself
    return category is None or category != category


def _equal_strings(graph, column, categories, known):
    """Which of the categories a string is; those that are missing are the last ones."""
    places = {str(category): k for k, category in enumerate(categories)}
    if len(places) < len(categories):
        raise ValueError(
            f"In column {column.name!r}, ONNX can't tell missing values from the category "
            f"{next(name for name in known if name in _MISSING)!r}: rename it."
        )
    if len(known) < len(categories):
        places = dict.fromkeys(_MISSING, len(categories) - 1) | places
    code = graph.node(
        "LabelEncoder",
        column.value,
        op_domain="ai.onnx.ml",
        op_version=2,
        keys_strings=[name.encode() for name in places],
        values_int64s=list(places.values()),
        default_int64=-1,
    )
    every = graph.constant("codes", np.arange(len(categories)), TensorProto.INT64)
    return graph.numbers(graph.node("Equal", [code, every], op_version=13))


def _equal_numbers(graph, column, categories, known):
    """Which of the categories a number is; NaN is the last of those that are missing."""
    x = graph.numbers(column.value)
    values = np.array(known, dtype=graph.dtype)
    if len(np.unique(values)) < len(values):
        raise ValueError(
            f"{graph.dtype} can't tell the categories of column {column.name!r} apart."
        )
    n_missing = len(categories) - len(known)
    # nothing is equal to NaN
    values = np.r_[values, np.full(n_missing, np.nan)].astype(graph.dtype)
    equal = graph.node("Equal", [x, graph.constant("values", values)], op_version=13)
    if n_missing:
        last = graph.constant(
            "last", np.arange(len(values)) == len(values) - 1, TensorProto.BOOL
        )
        gaps = graph.node(
            "And", [graph.node("IsNaN", x, op_version=13), last], op_version=7
        )
        equal = graph.node("Or", [equal, gaps], op_version=7)
    return graph.numbers(equal)


# What makes features of columns, for each part of an encoder
PARTS = {PiecewiseLinearEncoder: _numbers, OneHotEncoder: _categories}


def _labels(graph, kind, z, raw):
    """Labels of the largest logits, and probabilities or their logarithms."""
    classes = kind.outputs
    if raw and len(classes) == 2:
        # the log-odds of either class, as `decision_function` has it of the second
        signs = graph.constant("signs", np.array([[1.0, -1], [-1, 1]]))
        scores = graph.node("MatMul", [z, signs])
    else:
        operation = "LogSoftmax" if raw else "Softmax"
        scores = graph.node(operation, z, axis=1, op_version=13)
    graph.cast(scores, 1)
    k = graph.node("ArgMax", z, axis=1, keepdims=0, op_version=13)
    if _are_strings(classes):
        classes = np.array([str(label).encode() for label in classes])
        classes = graph.constant("classes", classes, TensorProto.STRING)
    else:
        classes = graph.constant("classes", classes.astype(np.int64), TensorProto.INT64)
    graph.node("Gather", [classes, k], graph.outputs[0], axis=0, op_version=13)


def _indicators(graph, kind, z, raw):
    """Whether each logit is positive, and probabilities or the logits."""
    graph.cast(z if raw else graph.node("Sigmoid", z), 1)
    zero = graph.constant("zero", np.zeros(1))
    graph.cast(graph.node("Greater", [z, zero], op_version=13), 0)


def _as_it_is(graph, kind, z, raw):
    graph.cast(z, 0)


def _exponentials(graph, kind, z, raw):
    """exp(z), of which the largest number stands for larger ones."""
    most = graph.constant("most", np.array([largest_log(graph.dtype)]))
    graph.cast(graph.node("Exp", graph.node("Min", [z, most], op_version=13)), 0)


def _sorted(graph, kind, z, raw):
    """The logits of a row in ascending order."""
    number = graph.constant("k", np.array([kind.n_outputs]), TensorProto.INT64)
    outputs, options = [graph.name("sorted"), graph.name("places")], {"op_version": 11}
    graph.node("TopK", [z, number], outputs, axis=1, largest=0, sorted=1, **options)
    graph.cast(outputs[0], 0)


def _means(graph, kind, z, raw):
    """The first half of the outputs."""
    columns = np.arange(kind.n_predictions)
    columns = graph.constant("columns", columns, TensorProto.INT64)
    graph.cast(graph.node("Gather", [z, columns], axis=1, op_version=13), 0)


# What follows the last layer, for each kind of output units
HEADS = {
    "softmax": _labels,
    "logistic": _indicators,
    "identity": _as_it_is,
    "exp": _exponentials,
    "sorted": _sorted,
    "normal": _means,
}

# What skl2onnx asks of every classifier; it acts on them itself, but for raw scores
_OPTIONS = {
    "raw_scores": [False, True],
    "zipmap": [True, False, "columns"],
    "output_class_labels": [False, True],
    "nocl": [False, True],
}


def _register(estimator, shapes, convert, options=None):
    name = f"Skmlp{estimator.__name__}"
    update_registered_converter(estimator, name, shapes, convert, options=options)


_register(MLPClassifierManual, _shapes, _convert, _OPTIONS)
_register(MLPRegressorManual, _shape_of_values, _convert)
_register(TabularMLPClassifier, _shapes, _convert_table, _OPTIONS)
_register(TabularMLPRegressor, _shape_of_values, _convert_table)
_register(PiecewiseLinearEncoder, _shape_of_features, _convert_encoder)
