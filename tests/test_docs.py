"""Pages that are generated from the code are those of the code."""

import json
import re
from pathlib import Path

import tilewright
from tests.families import FAMILIES
from tests.narrowing import analog, present
from tests.scripts import script
from tilewright.targets.loading import target_names

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_operators_is_current():
    assert (DOCS / "operators.md").read_text() == script("docs/write_operators.py").page(), "run `make operators`"


def test_the_page_of_the_command_line_is_current():
    page = script("docs/write_command_line.py").page()
    assert (DOCS / "command_line.md").read_text() == page, "run `make command-line`"


def test_links_between_pages_lead_somewhere():
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}, which is not there"


def test_paths_that_pages_name_are_there():
    folders = "compiler|runtime|targets|tests|docs|examples|benchmarks|src"
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for path in re.findall(rf"`((?:{folders})/[A-Za-z0-9_/.]+)`", page.read_text()):
            inside = DOCS.parent / "src/tilewright" / path  # where the source distribution has the three folders
            assert (DOCS.parent / path).exists() or inside.exists(), f"{page.name} names {path}, which is not there"


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
    (tmp_path / "my-pcm.yaml").write_text(present(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)).group(1))
    mine = analog(tmp_path / "my-pcm.yaml")
    assert present(mine.tile.adc).bits == 8
    assert mine.programming.name == "pairs-2"


def test_the_tables_of_performance_are_those_of_the_results():
    everything = script("benchmarks/everything.py")
    results = [json.loads(file.read_text()) for file in sorted(everything.RESULTS.glob("*.json"))]
    assert set().union(*results) == {"on", *everything.PARTS}
    page = everything.PAGE.read_text()
    assert "".join(everything.written(page, results)) == page, "run `make benchmarks`"
    assert page.count("<!-- table") == len(everything.TABLES)
