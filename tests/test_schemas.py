"""The published JSON Schemas are those of the code, and the files we write follow them."""

import json
from pathlib import Path

import jsonschema
import pytest

from tests.scripts import script
from tilewright.targets.loading import load_document, target_names

DOCS = Path(__file__).parents[1] / "docs"
write_schemas = script("docs/write_schemas.py")


@pytest.mark.parametrize("name", write_schemas.SCHEMAS)
def test_published_schemas_are_current(name):
    assert (DOCS / name).read_text() == write_schemas.schema_text(name), "run `make schema`"


def test_plans_follow_the_schema(small_plan_folder):
    schema = json.loads((DOCS / "plan.schema.json").read_text())
    plan = json.loads((small_plan_folder / "plan.json").read_text())
    jsonschema.validate(plan, schema)
    del plan["layers"][0]["tiles"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plan, schema)


@pytest.mark.parametrize("name", target_names())
def test_targets_follow_the_schema(name):
    schema = json.loads((DOCS / "target.schema.json").read_text())
    jsonschema.validate(load_document(name).model_dump(mode="json"), schema)
