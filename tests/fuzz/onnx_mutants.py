"""ONNX models with changed graphs, tensors, files and bytes, through compile and one run."""

import contextlib
import random

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from onnx import TensorProto, helper

import tilewright
from tests.fuzz import hostile, trees
from tests.fuzz.child import caught_output
from tests.fuzz.onnx_bases import drawn
from tests.fuzz.program import refused
from tilewright.targets.errors import InputError

INT64 = (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_ENUM)
OPERATORS = (
    "Relu", "Conv", "Foo", "MatMul", "Reshape", "Slice", "Gather", "Concat", "Softmax", "Expand", "Loop", "If", "Range",
    "Tile", "Pad", "ConstantOfShape", "Resize", "Split", "Where", "Gemm", "Scan", "NonZero", "OneHot", "Trilu",
    "EyeLike", "ConvTranspose", "LSTM", "Attention", "RandomNormal", "SequenceAt", "StringNormalizer", "DFT",
    "GridSample",
)  # fmt: skip


def warm():
    with caught_output():
        for seed in range(3):
            try:
                _compile(drawn(random.Random(seed)))
            except InputError:
                continue


def run(seed, folder):
    choose = random.Random(f"onnx {seed}")
    model = drawn(choose)
    source = folder / "model.onnx"
    unchanged = choose.random() < 0.15
    for _ in range(0 if unchanged else choose.choice((1, 1, 1, 2, 3))):
        choose.choices(list(CHANGES), list(CHANGES.values()))[0](model, choose)
    if not unchanged and choose.random() < 0.1:
        _outside(model, choose)
    content = model.SerializeToString()
    source.write_bytes(trees.damage(content, choose) if not unchanged and choose.random() < 0.12 else content)
    (folder / "weights.bin").write_bytes(bytes(256))
    try:
        return _compile(source)
    except InputError as error:
        refused(error)
        return "refused"


def _compile(source):
    plan = tilewright.compile(source, "ideal")
    document = plan.document
    sizes = {name: min(max(limits.minimum, 2), limits.maximum or 2) for name, limits in document.dimensions.items()}
    inputs = {}
    for record in document.inputs:
        shape = [sizes.get(size, 2) if isinstance(size, str) else size for size in record.shape]
        if np.prod(shape, dtype=float) > 10**6:
            return "compiled"
        inputs[record.name] = np.ones(shape, np.float32 if "float" in record.dtype else np.int64)
    try:
        tilewright.Session(plan, seed=0).run(inputs)
    except InputError as error:
        refused(error)
        return "compiled"
    return "ran"


def _any_field(model, choose):
    """One field of the protobuf message, at any depth, set, cleared, or one of its items changed."""
    message = model
    while True:
        fields = [field for field, _ in message.ListFields()]
        inner = [field for field in fields if field.type == FieldDescriptor.TYPE_MESSAGE]
        if not fields:
            return None
        if not inner or choose.random() < 0.25:
            return _set(message, choose.choice(fields), choose)
        field = choose.choice(inner)
        value = getattr(message, field.name)
        message = choose.choice(list(value)) if _repeated(field) else value


def _repeated(field):
    return field.is_repeated if hasattr(field, "is_repeated") else field.label == FieldDescriptor.LABEL_REPEATED


def _set(message, field, choose):
    if choose.random() < 0.15:
        message.ClearField(field.name)
    elif _repeated(field):
        items = getattr(message, field.name)
        place = choose.randrange(len(items))
        if choose.random() < 0.3:
            del items[place]
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            items.add().CopyFrom(items[place])
        else:
            items[place] = _value(field, choose)
    elif field.type != FieldDescriptor.TYPE_MESSAGE:
        with contextlib.suppress(ValueError):  # some enumerations take no other numbers
            setattr(message, field.name, _value(field, choose))


def _value(field, choose):
    if field.type in INT64:
        small = field.type in (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_ENUM)
        numbers = [0, 1, 2, 3, 7, 16, 2**20, 2**31 - 1] + ([] if small else [2**31, 2**40, 2**62, 2**63 - 1])
        negative = [] if field.type == FieldDescriptor.TYPE_UINT64 else [-1, -2, -7]
        return choose.choice(numbers + negative)
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return choose.choice((0.0, -1.0, 0.5, 1e30, float("nan"), float("inf")))
    text = hostile.text(choose).encode("utf-8", "replace")
    return text.decode() if field.type == FieldDescriptor.TYPE_STRING else text


def _node(model, choose):
    nodes = model.graph.node
    if not nodes:
        return
    node = choose.choice(nodes)
    known = [t.name for t in model.graph.initializer] + [out for other in nodes for out in other.output] + ["x", ""]
    match choose.randrange(5):
        case 0:
            node.op_type = choose.choice(OPERATORS)
        case 1:
            nodes.remove(node)
        case 2 if node.input:
            node.input[choose.randrange(len(node.input))] = choose.choice(known)
        case 3:
            node.input.append(choose.choice(known))
        case _:
            other = choose.choice(nodes)
            kept = onnx.NodeProto()
            kept.CopyFrom(node)
            node.CopyFrom(other)
            other.CopyFrom(kept)


def _attribute(model, choose):
    """Another number in an attribute, or an attribute more."""
    if not model.graph.node:
        return
    node = choose.choice(model.graph.node)
    if node.attribute and choose.random() < 0.7:
        _any_field(choose.choice(node.attribute), choose)
        return
    name = choose.choice(
        ("axis", "axes", "kernel_shape", "pads", "strides", "group", "to", "alpha", "mode", "perm", "k")
    )
    value = choose.choice(
        (0, 1, -1, 7, 2**40, 1.5, [], [0, 1], [1, 1, 1, 1], [-1], [2**40] * 2, "constant", "nonsense")
    )
    if value != []:
        node.attribute.append(helper.make_attribute(name, value))


def _tensor(model, choose):
    """An initializer of other sizes, type or numbers."""
    if not model.graph.initializer:
        return
    tensor = choose.choice(model.graph.initializer)
    match choose.randrange(4):
        case 0 if tensor.dims:
            tensor.dims[choose.randrange(len(tensor.dims))] = choose.choice((0, 1, 2, 3, 5, -1, 2**31, 2**40))
        case 1:
            tensor.data_type = choose.choice((0, 1, 2, 6, 7, 8, 9, 10, 11, 14, 16, 17, 22, 23, 99))
        case 2 if tensor.data_type == TensorProto.INT64:
            numbers = np.array(
                [choose.choice((0, 1, 2, -1, 5, 2**20, 2**40, -(2**63))) for _ in range(max(tensor.dims, default=1))]
            )
            tensor.raw_data = numbers.astype(np.int64).tobytes()
        case _:
            values = np.frombuffer(tensor.raw_data[: len(tensor.raw_data) // 4 * 4], np.float32).copy()
            if len(values):
                values[choose.randrange(len(values))] = choose.choice((np.nan, np.inf, 0, 1e38, -1e-38))
                tensor.raw_data = values.tobytes()


def _sizes(model, choose):
    """Inputs and outputs declared otherwise."""
    value = choose.choice([*model.graph.input, *model.graph.output])
    kind = value.type.tensor_type
    if choose.random() < 0.3:
        kind.elem_type = choose.choice((0, 1, 6, 7, 8, 9, 10, 11, 14, 99))
    elif kind.shape.dim:
        size = choose.choice(kind.shape.dim)
        size.Clear()
        if choose.random() < 0.4:
            size.dim_param = choose.choice(
                ("m", "n", "batch", "torch", hostile.text(choose).encode("utf-8", "replace").decode())
            )
        else:
            size.dim_value = choose.choice((0, 1, 2, 3, 5, 7, 9, -1, 2**20, 2**31, 2**40, 2**62))


def _growing(model, choose):
    """Nodes that each double or multiply what the one before made."""
    last = model.graph.output[0].name if model.graph.output else "x"
    count = choose.choice((2, 12, 40))
    for number in range(count):
        model.graph.node.append(helper.make_node("Concat", [last] * choose.choice((2, 8)), [f"g{number}"], axis=-1))
        last = f"g{number}"
    if model.graph.output:
        model.graph.output[0].name = last


def _nested(model, choose):
    """Functions that call one another twice each, or in a circle."""
    depth, circle = choose.choice((3, 12, 25)), choose.random() < 0.2
    for number in range(depth):
        if number == 0 and not circle:
            body = [helper.make_node("Relu", ["a"], ["b"])]
        else:
            inner = f"F{(number or depth) - 1}"
            body = [
                helper.make_node(inner, ["a"], ["m"], domain="local"),
                helper.make_node(inner, ["m"], ["b"], domain="local"),
            ]
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
        model.functions.append(helper.make_function("local", f"F{number}", ["a"], ["b"], body, imports))
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.graph.node.append(helper.make_node(f"F{depth - 1}", ["x"], ["deep"], domain="local"))
    model.graph.output.add(name="deep").type.tensor_type.elem_type = 1


def _outside(model, choose):
    """A tensor in another file, which may be elsewhere, too short or not there."""
    if not model.graph.initializer:
        return
    tensor = choose.choice(model.graph.initializer)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    places = ("weights.bin", "../weights.bin", "/etc/passwd", "nothing", ".", "", "/dev/zero", hostile.text(choose))
    entries = {
        "location": choose.choice(places).encode("utf-8", "replace").decode(),
        "offset": str(choose.choice((0, 4, -1, 10**6, 2**63, 10**30, "x"))),
        "length": str(choose.choice((0, 4, 256, -1, 2**40, 10**30, "x"))),
    }
    for key in choose.sample(list(entries), choose.choice((1, 2, 3))):
        tensor.external_data.add(key=key, value=entries[key])


CHANGES = {_any_field: 35, _node: 20, _attribute: 15, _tensor: 12, _sizes: 10, _growing: 3, _nested: 3}
