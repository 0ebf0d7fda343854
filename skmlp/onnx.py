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

Pipelines that end in the estimator are converted likewise, for opset 13 and later; a
`DaskMLPClassifierManual` is by its `to_local()`. It needs the extra ``onnx``
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

from skmlp import MLPClassifierManual

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
    n, K = X.get_first_dimension(), len(model.classes_)
    label_type = StringTensorType if _labels_are_strings(model) else Int64TensorType
    label_shape = [n, K] if model.out_activation_ == "logistic" else [n]
    zipmap = operator.scope_inst.get_options(model, {"zipmap": True})["zipmap"]
    # ONNX has dictionaries of float32 only
    is_double = isinstance(X.type, DoubleTensorType) and zipmap is not True
    proba_type = DoubleTensorType if is_double else FloatTensorType
    operator.outputs[0].set_type(label_type(label_shape))
    operator.outputs[1].set_type(proba_type([n, K]))


def _labels_are_strings(model):
    """Whether labels are strings; else they are integers, as all that ONNX has."""
    if model.classes_.dtype.kind in "OSU":
        return True
    if (model.classes_ != model.classes_.astype(np.int64)).any():
        raise ValueError(
            f"ONNX labels are strings or integers, and can't be {model.classes_}."
        )
    return False


def _convert(scope, operator, container):
    """The nodes of (5) to (8) for every layer, then of the label."""
    model = operator.raw_operator
    label, proba = (output.full_name for output in operator.outputs)
    number = guess_proto_type(operator.inputs[0].type)
    number = TensorProto.DOUBLE if number == TensorProto.DOUBLE else TensorProto.FLOAT
    proba_type = guess_proto_type(operator.outputs[1].type)

    def constant(name, values, proto_type=number):
        full_name = scope.get_unique_variable_name(name)
        container.add_initializer(full_name, proto_type, values.shape, values.ravel())
        return full_name

    def node(operation, inputs, output=None, **attributes):
        if output is None:
            output = scope.get_unique_variable_name(operation.lower())
        name = scope.get_unique_operator_name(operation)
        container.add_node(operation, inputs, output, name=name, **attributes)
        return output

    h = node("Cast", operator.inputs[0].full_name, to=number)
    layers = list(zip(model.coefs_, model.intercepts_, strict=True))
    for i, (W, b) in enumerate(layers):
        z = node("Add", [node("MatMul", [h, constant("W", W)]), constant("b", b)])
        if i < len(layers) - 1:
            h = node(_OPERATORS[model.activation], z)
    raw = operator.scope_inst.get_options(model, {"raw_scores": False})["raw_scores"]
    if model.out_activation_ == "logistic":
        node("Cast", z if raw else node("Sigmoid", z), proba, to=proba_type)
        is_positive = node("Greater", [z, constant("zero", np.zeros(1))], op_version=13)
        node("Cast", is_positive, label, to=TensorProto.INT64)
        return
    if raw and len(model.classes_) == 2:
        # the log-odds of either class, as `decision_function` has it of the second
        scores = node("MatMul", [z, constant("signs", np.array([[1.0, -1], [-1, 1]]))])
    else:
        operation = "LogSoftmax" if raw else "Softmax"
        scores = node(operation, z, axis=1, op_version=13)
    node("Cast", scores, proba, to=proba_type)
    k = node("ArgMax", z, axis=1, keepdims=0, op_version=13)
    if _labels_are_strings(model):
        classes = np.array([str(label).encode() for label in model.classes_])
        classes = constant("classes", classes, TensorProto.STRING)
    else:
        classes = constant("classes", model.classes_.astype(np.int64), TensorProto.INT64)
    node("Gather", [classes, k], label, axis=0, op_version=13)


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
