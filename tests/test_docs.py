"""Pages that are generated from the code are those of the code."""

import importlib.util
from pathlib import Path

from tests.families import FAMILIES

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_operators_is_current():
    spec = importlib.util.spec_from_file_location("write_operators", DOCS / "write_operators.py")
    write_operators = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(write_operators)
    assert (DOCS / "operators.md").read_text() == write_operators.page(), "run `make operators`"


def test_the_page_of_families_has_each_with_its_difference():
    lines = (DOCS / "families.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")][1:]
    assert [row[0] for row in cells] == list(FAMILIES), "run `make families`"
    assert all(float(row[-1]) < 1e-4 for row in cells)
