"""ONNX models: read, checked, dequantised, and run as a torch module that torch.export can trace."""

from tilewright.compiler.frontends.onnx.frontend import trace_onnx

__all__ = ["trace_onnx"]
