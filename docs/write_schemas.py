"""Write the published JSON Schemas from the code: docs/plan.schema.json and docs/target.schema.json."""

from __future__ import annotations

import json
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from tilewright.runtime.plan.records import PlanDocument
from tilewright.targets.loading import KINDS

FOLDER = Path(__file__).parent
ANY_TARGET: Any = Annotated[reduce(or_, KINDS.values()), Field(discriminator="kind")]
SCHEMAS: dict[str, Any] = {
    "plan.schema.json": TypeAdapter(PlanDocument),
    "target.schema.json": TypeAdapter(ANY_TARGET),
}


def schema_text(name: str) -> str:
    """The schema file of that name, as it should be."""
    schema = SCHEMAS[name].json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in SCHEMAS:
        (FOLDER / name).write_text(schema_text(name), encoding="utf-8")
        print(f"wrote {FOLDER / name}")
