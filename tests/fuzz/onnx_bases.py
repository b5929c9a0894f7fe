"""Small ONNX graphs of many operators: one of the products, then a few of fifty others, drawn at random."""

import numpy as np
from onnx import TensorProto, helper

from tests.onnx_models import model_of

UNARY = (
    "Relu", "Tanh", "Sigmoid", "Erf", "Sqrt", "Abs", "Exp", "Neg", "Softplus", "Identity", "Dropout", "Elu", "Selu",
    "LeakyRelu", "HardSigmoid", "HardSwish", "Floor", "Ceil", "Round", "Sign", "Reciprocal", "Softsign", "Sin", "Cos",
)  # fmt: skip
BINARY = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow")
COMPARED = ("Greater", "Less", "Equal", "GreaterOrEqual")
REDUCED = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceProd", "ReduceLogSumExp")


class Graph:
    """A chain of nodes whose last result is ``last``; constants get names of their own. rank: of its input."""

    def __init__(self, choose, rank):
        self.choose, self.nodes, self.constants, self.functions, self.last = choose, [], {}, [], "x"
        self.rank, self.opset = rank, choose.choice((13, 17, 17, 18, 21))
        self.random = np.random.default_rng(choose.randrange(2**32))

    def node(self, operator, *inputs, outputs=1, **attributes):
        """Append one; an input that is an array becomes a constant."""
        names = [item if isinstance(item, str) else self.constant(np.asarray(item)) for item in inputs]
        results = [f"v{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(operator, names, results, f"node{len(self.nodes)}", **attributes))
        self.last = results[0]
        return self.last

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants[name] = array
        return name

    def normal(self, *shape):
        return self.constant((self.random.standard_normal(shape) / 3).astype(np.float32))


def drawn(choose):
    """A model: rows [n, 8], pictures [n, 3, 8, 8], or tokens [n, 4, 8]."""
    kind = choose.choice(("rows", "rows", "pictures", "tokens"))
    shape = {"rows": ["n", 8], "pictures": ["n", 3, 8, 8], "tokens": ["n", 4, 8]}[kind]
    graph = Graph(choose, len(shape))
    if choose.random() < 0.15:
        shape[0] = 2
    before = choose.choice((0, 0, 1))
    for _ in range(before):
        choose.choice(STEPS)(graph)
    PRODUCTS[kind](graph)
    for _ in range(choose.choice((0, 1, 1, 2, 2, 3, 5))):
        choose.choice(STEPS)(graph)
    if kind == "pictures" and choose.random() < 0.5:
        graph.node(choose.choice(("GlobalAveragePool", "GlobalMaxPool")), graph.last)
        graph.node("Flatten", graph.last, axis=1)
        graph.node("Gemm", graph.last, graph.normal(4, 6), transB=0)
    inputs = {"x": (TensorProto.FLOAT, shape)}
    outputs = {graph.last: (TensorProto.FLOAT, None)}
    return model_of(graph.nodes, inputs, outputs, graph.constants, graph.opset, graph.functions)


def _real(*numbers):
    return np.array(numbers, np.float32)


def _whole(*numbers):
    return np.array(numbers, np.int64)


def _rows(graph):
    if graph.choose.random() < 0.5:
        graph.node("Gemm", graph.last, graph.normal(6, 8), graph.normal(6), transB=1)
    else:
        graph.node("MatMul", graph.last, graph.normal(8, 6))


def _tokens(graph):
    x = graph.last
    if graph.choose.random() < 0.5:
        graph.node("MatMul", x, graph.normal(8, 8))
        return
    query, key = graph.node("MatMul", x, graph.normal(8, 8)), graph.node("MatMul", x, graph.normal(8, 8))
    scores = graph.node("MatMul", query, graph.node("Transpose", key, perm=[0, 2, 1]))
    graph.node("MatMul", graph.node("Softmax", scores, axis=-1), x)


def _pictures(graph):
    pads = graph.choose.choice(({"pads": [1, 1, 1, 1]}, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "VALID"}, {}))
    more = graph.choose.choice(({}, {"strides": [2, 2]}, {"dilations": [2, 2]}))
    if graph.choose.random() < 0.2:
        graph.node("ConvTranspose", graph.last, graph.normal(3, 4, 3, 3), strides=[2, 2])
    else:
        graph.node("Conv", graph.last, graph.normal(4, 3, 3, 3), graph.normal(4), kernel_shape=[3, 3], **pads, **more)


PRODUCTS = {"rows": _rows, "tokens": _tokens, "pictures": _pictures}


def _unary(graph):
    graph.node(graph.choose.choice(UNARY), graph.last)


def _binary(graph):
    graph.node(graph.choose.choice(BINARY), graph.last, graph.choose.choice((graph.last, _real(2))))


def _soft(graph):
    graph.node(graph.choose.choice(("Softmax", "LogSoftmax")), graph.last, axis=graph.choose.choice((-1, 1)))


def _reduce(graph):
    graph.node(graph.choose.choice(REDUCED), graph.last, keepdims=1)


def _normalise(graph):
    if graph.choose.random() < 0.5:
        graph.node("LayerNormalization", graph.last, _real(1.5), axis=-1)
    else:
        graph.node("BatchNormalization", graph.last, *(np.ones(4, np.float32) for _ in range(4)))


def _pool(graph):
    kind = graph.choose.choice(("MaxPool", "AveragePool"))
    more = graph.choose.choice(
        ({}, {"strides": [2, 2]}, {"ceil_mode": 1}, {"auto_pad": "SAME_LOWER"}, {"pads": [1] * 4})
    )
    graph.node(kind, graph.last, kernel_shape=[2, 2], **more)


def _reshape(graph):
    graph.node("Reshape", graph.last, graph.choose.choice((_whole(0, -1), _whole(-1, 2), _whole(0, 2, -1))))


def _by_shape(graph):
    x = graph.last
    shape = graph.node("Shape", x)
    first = graph.node("Slice", shape, _whole(0), _whole(1), _whole(0))
    graph.node("Reshape", x, graph.node("Concat", first, _whole(-1), axis=0))


def _expand(graph):
    x = graph.last
    graph.node("Add", x, graph.node("Expand", np.full((1, 1), 0.5, np.float32), graph.node("Shape", x)))


def _filled(graph):
    x = graph.last
    graph.node("Add", x, graph.node("ConstantOfShape", graph.node("Shape", x)))


def _slice(graph):
    graph.node("Slice", graph.last, _whole(0), _whole(2), _whole(-1), _whole(1))


def _gather(graph):
    graph.node("Gather", graph.last, _whole(0, 1, -1), axis=graph.choose.choice((1, -1)))


def _concat(graph):
    graph.node("Concat", graph.last, graph.last, axis=graph.choose.choice((1, -1)))


def _split(graph):
    x = graph.last
    left = graph.node("Split", x, outputs=2, axis=-1)
    graph.node("Add", left, left.replace("_0", "_1"))


def _transposed(graph):
    graph.node("Transpose", graph.last)
    graph.node("Transpose", graph.last)


def _squeezed(graph):
    graph.node("Unsqueeze", graph.last, _whole(1))
    graph.node("Squeeze", graph.last, _whole(1))


def _where(graph):
    x = graph.last
    graph.node("Where", graph.node(graph.choose.choice(COMPARED), x, _real(0)), x, _real(-1))


def _cast(graph):
    to = graph.choose.choice((TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.BOOL))
    graph.node("Cast", graph.node("Cast", graph.last, to=to), to=TensorProto.FLOAT)


def _clip(graph):
    graph.node("Clip", graph.last, np.float32(-1), np.float32(1))


def _pad(graph):
    x = graph.last
    graph.node("Pad", x, _whole(*[0] * (2 * graph.rank - 1), graph.choose.choice((1, 2, -1))))


def _tile(graph):
    graph.node("Tile", graph.last, _whole(*[1] * (graph.rank - 1), 2))


def _chosen(graph):
    x = graph.last
    graph.node("TopK", x, _whole(2), outputs=2, axis=-1)
    if graph.choose.random() < 0.3:
        graph.node("Cast", graph.node("ArgMax", x, axis=-1), to=TensorProto.FLOAT)


def _summed(graph):
    graph.node("CumSum", graph.last, np.int64(1))


def _einsum(graph):
    graph.node("Einsum", graph.last, graph.last, equation=graph.choose.choice(("bi,bj->bij", "...i,...i->...i")))


def _resized(graph):
    scales = np.array([1, 1, 2, 1.5][: graph.rank], np.float32)
    graph.node("Resize", graph.last, "", scales, mode=graph.choose.choice(("nearest", "linear")))


def _quantised(graph):
    scale, zero = np.float32(0.1), np.int8(0)
    graph.node("DequantizeLinear", graph.node("QuantizeLinear", graph.last, scale, zero), scale, zero)


def _if(graph):
    x = graph.last
    ends = [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    branches = [helper.make_graph([helper.make_node(op, [x], ["out"])], op, [], ends) for op in ("Relu", "Neg")]
    sizes = graph.node("Gather", graph.node("Shape", x), np.int64(1), axis=0)
    condition = graph.node("Greater", sizes, np.int64(3))
    graph.node("If", condition, then_branch=branches[0], else_branch=branches[1])


def _function(graph):
    body = [helper.make_node("Relu", ["a"], ["r"]), helper.make_node("Add", ["r", "a"], ["b"])]
    if not graph.functions:
        graph.functions.append(
            helper.make_function("local", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", graph.opset)])
        )
    graph.node("Twice", graph.last, domain="local")


def _constant(graph):
    x = graph.last
    value = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.25])
    graph.node("Mul", x, graph.node("Constant", value=value))


STEPS = (
    _unary, _unary, _unary, _binary, _soft, _reduce, _normalise, _pool, _reshape, _by_shape, _expand, _filled, _slice,
    _gather, _concat, _split, _transposed, _squeezed, _where, _cast, _clip, _pad, _tile, _chosen, _summed, _einsum,
    _resized, _quantised, _if, _function, _constant,
)  # fmt: skip
