"""Write the published JSON Schemas from the code: docs/plan.schema.json and docs/target.schema.json."""

from __future__ import annotations

import json
from pathlib import Path

from tilewright.runtime.plan import PlanDocument
from tilewright.targets.spec import Target

FOLDER = Path(__file__).parent
SCHEMAS = {"plan.schema.json": PlanDocument, "target.schema.json": Target}


def schema_text(name: str) -> str:
    """The schema file of that name, as it should be."""
    schema = SCHEMAS[name].model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in SCHEMAS:
        (FOLDER / name).write_text(schema_text(name), encoding="utf-8")
        print(f"wrote {FOLDER / name}")
