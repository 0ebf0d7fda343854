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
estimator for Dask is by its `to_local()`. It needs the extra ``onnx``
(``pip install "skmlp[onnx]"``), and something that runs the result, such as onnxruntime.
"""

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
    guess_proto_type,
)

from skmlp import MLPClassifierManual, MLPRegressorManual
from skmlp._value_losses import largest_log

_OPERATORS = {
    "identity": "Identity",
    "logistic": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "softmax": "Softmax",
}


def _shapes(operator):
    """Types and shapes of the outputs: labels (n,) or (n, K), probabilities (n, K)."""
    model, X = operator.raw_operator, operator.inputs[0]
    kind, n = model._targets(), X.get_first_dimension()
    label_type = StringTensorType if _are_strings(kind.outputs) else Int64TensorType
    label_shape = [n, kind.n_outputs] if kind.loss.units == "logistic" else [n]
    zipmap = operator.scope_inst.get_options(model, {"zipmap": True})["zipmap"]
    # ONNX has dictionaries of float32 only
    proba_type = FloatTensorType if zipmap is True else _number_type(X)
    operator.outputs[0].set_type(label_type(label_shape))
    operator.outputs[1].set_type(proba_type([n, kind.n_outputs]))


def _shape_of_values(operator):
    """Type and shape of the output of a regressor: (n, K)."""
    X, kind = operator.inputs[0], operator.raw_operator._targets()
    shape = [X.get_first_dimension(), kind.n_predictions]
    operator.outputs[0].set_type(_number_type(X)(shape))


def _number_type(X):
    """Of what is computed from an input."""
    return DoubleTensorType if isinstance(X.type, DoubleTensorType) else FloatTensorType


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
        self.kind = operator.raw_operator._targets()
        self.outputs = [output.full_name for output in operator.outputs]
        self.output_types = [guess_proto_type(output.type) for output in operator.outputs]
        is_double = isinstance(operator.inputs[0].type, DoubleTensorType)
        self.number = TensorProto.DOUBLE if is_double else TensorProto.FLOAT

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

    def cast(self, values, place):
        """Make values an output of the estimator."""
        self.node("Cast", values, self.outputs[place], to=self.output_types[place])


def _convert(scope, operator, container):
    """The nodes of (5) to (7) for every layer, then of what the estimator returns."""
    graph, model = _Graph(scope, operator, container), operator.raw_operator
    h = graph.node("Cast", operator.inputs[0].full_name, to=graph.number)
    layers = list(zip(model.coefs_, model.intercepts_, strict=True))
    for i, (W, b) in enumerate(layers):
        product = graph.node("MatMul", [h, graph.constant("W", W)])
        z = graph.node("Add", [product, graph.constant("b", b)])
        if i < len(layers) - 1:
            h = graph.node(_OPERATORS[model.activation], z)
    options = operator.scope_inst.get_options(model, {"raw_scores": False}, fail=False)
    HEADS[graph.kind.loss.units](graph, z, bool(options and options["raw_scores"]))


def _labels(graph, z, raw):
    """Labels of the largest logits, and probabilities or their logarithms."""
    classes = graph.kind.outputs
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


def _indicators(graph, z, raw):
    """Whether each logit is positive, and probabilities or the logits."""
    graph.cast(z if raw else graph.node("Sigmoid", z), 1)
    zero = graph.constant("zero", np.zeros(1))
    graph.cast(graph.node("Greater", [z, zero], op_version=13), 0)


def _as_it_is(graph, z, raw):
    graph.cast(z, 0)


def _exponentials(graph, z, raw):
    """exp(z), of which the largest number stands for larger ones."""
    dtype = np.float64 if graph.number == TensorProto.DOUBLE else np.float32
    most = graph.constant("most", np.array([largest_log(np.dtype(dtype))]))
    graph.cast(graph.node("Exp", graph.node("Min", [z, most], op_version=13)), 0)


def _sorted(graph, z, raw):
    """The logits of a row in ascending order."""
    number = graph.constant("k", np.array([graph.kind.n_outputs]), TensorProto.INT64)
    outputs, options = [graph.name("sorted"), graph.name("places")], {"op_version": 11}
    graph.node("TopK", [z, number], outputs, axis=1, largest=0, sorted=1, **options)
    graph.cast(outputs[0], 0)


def _means(graph, z, raw):
    """The first half of the outputs."""
    columns = np.arange(graph.kind.n_predictions)
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

update_registered_converter(
    MLPClassifierManual,
    "SkmlpMLPClassifierManual",
    _shapes,
    _convert,
    # what skl2onnx asks of every classifier; it acts on them itself, but for raw scores
    options={
        "raw_scores": [False, True],
        "zipmap": [True, False, "columns"],
        "output_class_labels": [False, True],
        "nocl": [False, True],
    },
)
update_registered_converter(
    MLPRegressorManual, "SkmlpMLPRegressorManual", _shape_of_values, _convert
)
