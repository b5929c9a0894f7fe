"""ONNX's own test cases, one operator each: what is computed is right, what is not is refused in one sentence."""

from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases

from tilewright.compiler.frontends.onnx.dequantise import is_quantised
from tilewright.compiler.frontends.onnx.network import OnnxNetwork
from tilewright.compiler.frontends.onnx.reading import read_model
from tilewright.targets.errors import InputError

LEAST_COMPUTED = 1250
"""Cases of onnx 1.23 that are computed; fewer would mean that operators were lost."""
ROUNDED = {"test_averagepool_2d_ceil_last_window_starts_on_pad", "test_gridsample_bicubic"}
"""Cases whose expected outputs are written with four digits."""
PLAIN = {np.dtype(name) for name in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")}


def tensor(array):
    value = torch.from_numpy(np.array(array))
    return value.to(torch.float32) if value.is_floating_point() else value


def compute(case, inputs):
    """The outputs; inputs that must be known while tracing become constants in a second attempt."""
    for constant in (False, True):
        model = onnx.ModelProto()
        model.CopyFrom(case.model)
        given = dict(zip((value.name for value in model.graph.input), inputs, strict=False))
        if constant:
            later = list(given)[1:]
            model.graph.initializer.extend(numpy_helper.from_array(given.pop(name), name) for name in later)
        try:
            source = read_model(model)
            if is_quantised(source.model.graph):
                source.dequantise()
            network = OnnxNetwork(source.model, ".")
            plain = {own: name for name, own in network.input_names.items()}
            return list(network({plain[name]: tensor(value) for name, value in given.items()}).values())
        except InputError as error:
            if constant or not any(word in str(error) for word in ("depend on the data", "is computed")):
                raise
    return None


def arrays(values):
    found = [numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value) for value in values]
    return found if all(array.dtype in PLAIN for array in found) else None


def test_the_suite():
    counts: Counter[str] = Counter()
    for case in collect_testcases(None):
        try:
            inputs, expected = (arrays(values) for values in case.data_sets[0])
        except (TypeError, ValueError):  # sequences and optional values
            continue
        if inputs is None or expected is None:  # 4- and 8-bit types that numpy does not have
            continue
        try:
            outputs = compute(case, inputs)
        except InputError as error:
            counts["refused"] += 1
            assert "\n" not in str(error), case.name
            continue
        counts["computed"] += 1
        is_coarse = case.name in ROUNDED or any(array.dtype == np.float16 for array in inputs + expected)
        for output, exact in zip(outputs, expected, strict=False):
            assert tuple(output.shape) == exact.shape, case.name
            if not is_quantised(case.model.graph):
                np.testing.assert_allclose(
                    output.numpy().astype(np.float64),
                    exact.astype(np.float64),
                    rtol=2e-3 if is_coarse else 1e-4,
                    atol=1e-4 if is_coarse else 1e-5,
                    err_msg=case.name,
                )
    assert counts["computed"] >= LEAST_COMPUTED, counts


@pytest.mark.parametrize("name", ["Scan", "Det", "NonMaxSuppression", "Unique"])
def test_operators_that_are_not_supported_are_named(name):
    case = next(case for case in collect_testcases(None) if case.model.graph.node[0].op_type == name)
    with pytest.raises(InputError, match=f"operator {name} .* is not supported"):
        compute(case, arrays(case.data_sets[0][0]) or [])
