"""Write docs/families.md: every transformer family as a small random model, compiled and compared with itself.

Run with ``make families``; the numbers differ in their last digits from one machine to another.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

INTRODUCTION = """# Transformer families

Each line is one small model with random weights (hidden size 64), saved as a HuggingFace folder, compiled as it is,
saved and loaded as a plan, and run on the ideal target at batch 1 and 3, length 4 and 13, padded. The difference is the
largest over all outputs: max |plan - model| / max |model|.
`tests/compiler/frontends/test_families.py` holds it under 1e-4.

Written by `make families`, with transformers {transformers} and torch {torch}.

| family | class | layers | uses | attention products | parameters on tiles | in tables | digital | largest difference |
|---|---|---|---|---|---|---|---|---|
"""

REFUSED = """
Refused in one sentence, or not tried:

- Mamba and RWKV: their scan is a loop over tokens in Python, which a trace writes out for one length. Compile the
  module with inputs of that length.
- Mamba-2 from its config alone is traced for batches of two; with its weights it takes any.
- LLaVA puts image features in the places of tokens that it finds by their values: a trace has one batch.
- DBRX and EnCodec branch on values of their own.
- A UNet of diffusion was not tried: diffusers is a package of its own.
"""


def line(family: str) -> str:
    """The table's line of one family."""
    import tilewright
    from tests.families import FAMILIES, build, largest_difference
    from tilewright.compiler.report.summary import summarise

    model = build(family)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(Path(folder) / "model")
        tilewright.compile(Path(folder) / "model").save(Path(folder) / "plan")
        plan = tilewright.load(Path(folder) / "plan")
        difference = largest_difference(model, plan)
    report = summarise(plan)
    shares = [report.parameters_on_tiles, report.parameters_look_up, report.parameters_digital]
    cells = [
        family,
        f"`{FAMILIES[family][0]}`",
        len(report.layers),
        sum(layer.uses for layer in report.layers),
        len(report.matmuls),
        *(f"{share / report.parameters:.1%}" for share in shares),
        f"{difference:.1e}",
    ]
    return "| " + " | ".join(map(str, cells)) + " |\n"


def main() -> None:
    """Compile all families and write the page."""
    import torch
    import transformers

    from tests.families import FAMILIES

    transformers.logging.disable_progress_bar()
    path = DOCS / "families.md"
    lines = [line(family) for family in FAMILIES]
    heading = INTRODUCTION.format(transformers=transformers.__version__, torch=torch.__version__.split("+")[0])
    path.write_text(heading + "".join(lines) + REFUSED, encoding="utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
