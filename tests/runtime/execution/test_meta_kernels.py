"""Kernels for shapes run without torch's compiler, and are as they were afterwards."""

import subprocess
import sys

SCRIPT = """
import sys, torch
from tilewright.runtime.execution.meta_kernels import ASKED, _wrapped_kernels, without_compiler

aten, meta = torch.ops.aten, torch.device("meta")
x, mask = torch.empty(2, 8, device=meta), torch.empty(2, 8, device=meta, dtype=torch.bool)
with without_compiler():
    assert aten.gelu(x).shape == aten.add(x, x).shape == aten.clamp(x, 0, 1).shape == x.shape
    for name in ("relu", "silu", "elu", "mish", "leaky_relu", "hardtanh", "softplus", "log_sigmoid", "tanh", "exp"):
        assert getattr(aten, name)(x).shape == x.shape
    assert aten.cat([x, x]).shape == (4, 8) and aten.logsumexp(x, [1]).shape == (2,)
    assert aten.where(mask, x, x).shape == x.shape and aten.logical_not(mask).dtype == torch.bool
    assert aten.layer_norm(x, [8]).shape == x.shape and aten.floor_divide(x, 2).shape == x.shape
assert "torch._dynamo" not in sys.modules, "torch wraps its kernels in another way than before"
assert len(_wrapped_kernels()) > 50
assert not any(hasattr(kernel, ASKED) for kernel in _wrapped_kernels())
aten.gelu(x)
assert "torch._dynamo" in sys.modules
with without_compiler():
    assert aten.mish(x).shape == x.shape
    assert not any(getattr(kernel, ASKED, None) is kernel for kernel in _wrapped_kernels())
"""


def test_shapes_need_no_compiler():
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
