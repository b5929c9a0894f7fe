"""Pages that are generated from the code are those of the code."""

import importlib.util
import json
import re
from pathlib import Path

import tilewright
from tests.families import FAMILIES
from tilewright.targets import load_target, target_names

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_operators_is_current():
    spec = importlib.util.spec_from_file_location("write_operators", DOCS / "write_operators.py")
    write_operators = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(write_operators)
    assert (DOCS / "operators.md").read_text() == write_operators.page(), "run `make operators`"


def test_the_page_of_the_command_line_is_current():
    spec = importlib.util.spec_from_file_location("write_command_line", DOCS / "write_command_line.py")
    write_command_line = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(write_command_line)
    assert (DOCS / "command_line.md").read_text() == write_command_line.page(), "run `make command-line`"


def test_links_between_pages_lead_somewhere():
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}, which is not there"


def test_the_page_of_families_has_each_with_its_difference():
    lines = (DOCS / "families.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")][1:]
    assert [row[0] for row in cells] == list(FAMILIES), "run `make families`"
    assert all(float(row[-1]) < 1e-4 for row in cells)


def test_the_page_of_python_names_all():
    text = (DOCS / "python.md").read_text()
    for name in tilewright.__all__:
        assert re.search(rf"`[^`]*\b{name}\b[^`]*`", text), f"{name} is not in docs/python.md"


def test_the_page_of_targets_names_all_and_its_example_loads(tmp_path):
    text = (DOCS / "targets.md").read_text()
    for name in target_names():
        assert f"`{name}`" in text, f"{name} is not in docs/targets.md"
    (tmp_path / "my-pcm.yaml").write_text(re.search(r"```yaml\n(.*?)```", text, re.DOTALL).group(1))
    mine = load_target(tmp_path / "my-pcm.yaml")
    assert mine.tile.adc.bits == 8 and mine.programming.name == "pairs-2"


def test_the_tables_of_performance_are_those_of_the_results():
    spec = importlib.util.spec_from_file_location("everything", DOCS.parent / "benchmarks" / "everything.py")
    everything = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(everything)
    results = json.loads(everything.RESULTS.read_text())
    assert set(results) == set(everything.PARTS)
    page = everything.PAGE.read_text()
    assert "".join(everything.written(page, results)) == page, "run `make benchmarks`"
    assert page.count("<!-- table") == len(everything.TABLES)
