"""Write docs/operators.md from the code: what ONNX models may hold, and what plans may call."""

from __future__ import annotations

from pathlib import Path

import onnx

from tilewright.compiler.frontends.onnx.dequantise import QUANTISED
from tilewright.compiler.frontends.onnx.network import CONTROL
from tilewright.compiler.frontends.onnx.operators import OPERATORS
from tilewright.compiler.frontends.onnx.reading import OLDEST_OPSET
from tilewright.runtime.plan.operators import allowed_functions

PATH = Path(__file__).with_name("operators.md")


def page() -> str:
    """The page as Markdown."""
    lines = [
        "# Supported operators\n",
        "Generated from the code by `make operators`; a test compares them.\n",
        "## ONNX\n",
        f"Opsets {OLDEST_OPSET} and later as they are, older ones through onnx's version converter. Functions of the",
        "model, and operators that ONNX itself defines by others, are inlined. Shape arithmetic may be of any of these",
        "operators and stays symbolic. `If` and `Loop` are written out where they depend on constants or sizes alone;",
        "a size that counts steps is fixed. Floating-point types other than float32 are computed in float32.\n",
        "| operator | what is supported |",
        "|---|---|",
        *(f"| {name} | {operator.description or 'all of it'} |" for name, operator in sorted(OPERATORS.items())),
        "",
        "Quantised operators are replaced by full-precision ones before tracing, and the plan says so: "
        + ", ".join(f"`{name}`" for name in sorted(QUANTISED))
        + ". Stored integers become the numbers they stand for; activations are not rounded, but kept in range.\n",
        "Not supported, by name and with the nearest that is: " + ", ".join(f"`{name}`" for name in _missing()) + ".\n",
        "## Plans\n",
        "A plan's graph may call these functions of ATen and Python, and its own layers and units. All are pure.\n",
        *(f"- `{name}`" for name in sorted(allowed_functions())),
    ]
    return "\n".join(lines) + "\n"


def _missing() -> list[str]:
    """ONNX's operators that are neither computed nor replaced nor defined by others."""
    found = set()
    for schema in onnx.defs.get_all_schemas():
        inlined = schema.has_function or schema.has_context_dependent_function
        if schema.domain == "" and not schema.deprecated and not inlined:
            found.add(schema.name)
    return sorted(found - set(OPERATORS) - set(QUANTISED) - set(CONTROL))


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
    print(f"wrote {PATH}")
