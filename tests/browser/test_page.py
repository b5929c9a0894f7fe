"""The report's page in a real browser, Debian's Chromium, driven by playwright: `make test-browser`."""

import shutil

import pytest
import torch
from torch import nn

import tilewright
from tests.conftest import padded_batch
from tilewright.compiler.report.difference import difference
from tilewright.compiler.report.html import comparison_page, report_page
from tilewright.compiler.report.summary import summarise
from tilewright.targets.loading import load_target

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; `make test-browser` does")
axe_api = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; Debian's package is called chromium")
WIDTHS = (360, 800, 1400)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def plans(small_bert_folder):
    """A plan as compiled, and one that was assigned and evaluated."""
    plan = tilewright.compile(small_bert_folder, "pcm-512-mixed", name="<script>alert('x')</script> & co")
    found = tilewright.measure_sensitivity(plan, ["gradient"], inputs=padded_batch(4, 12), repeats=2)
    return plan, tilewright.assign(plan, found, fixed={"*.layer.0.*": "pcm-512"}).plan


@pytest.fixture(scope="module")
def page_file(plans, tmp_path_factory):
    report = summarise(plans[1])
    points = [
        {"time": time, "seconds": seconds, "values": [], "mean": mean, "standard_error": 0.4}
        for time, seconds, mean in (("1s", 1.0, 91.0), ("1d", 86400.0, 88.5), ("1mo", 2592000.0, 86.0))
    ]
    evaluation = {"task": "stsb", "metric": "Spearman correlation x 100", "examples": 500, "seed": 0, "repeats": 5,
                  "drift_compensation": True, "digital": 92.5, "points": points}  # fmt: skip
    report.evaluations.append(evaluation)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report_page(report))
    return path


@pytest.fixture
def open_page(browser):
    """Open a file; fails at the end if the page said anything on the console or asked for anything."""
    heard, pages = [], []

    def dismiss(dialog):
        heard.append("a dialog")
        dialog.dismiss()

    def note(request):
        if not request.url.startswith(("file:", "data:")):
            heard.append(request.url)

    def open_page(path, width=1200, dark=False):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", dismiss)
        page.on("request", note)
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert heard == []


def names(page):
    return page.locator("#layer-table tbody tr:visible td:first-child").all_text_contents()


def test_tables_sort_and_filter(open_page, page_file, plans):
    page = open_page(page_file)
    layers = [layer.name for layer in plans[1].document.layers]
    assert names(page) == layers
    page.click("#layer-table button[data-key=inputs]")
    inputs = [int(text) for text in page.locator("#layer-table tbody tr td:nth-child(2)").all_text_contents()]
    assert inputs == sorted(inputs)
    assert page.get_attribute("#layer-table th:nth-child(2)", "aria-sort") == "ascending"
    page.click("#layer-table button[data-key=inputs]")
    assert page.get_attribute("#layer-table th:nth-child(2)", "aria-sort") == "descending"
    page.click("#layer-table button[data-key=name]")
    assert names(page) == sorted(layers)
    page.fill("#layer-search", "pooler")
    assert names(page) == ["pooler.dense"]
    assert page.text_content("#layer-count") == f"1 of {len(layers)} layers"
    page.fill("#layer-search", "")
    target = plans[1].document.layers[0].target
    page.select_option("#layer-target", target)
    assert len(names(page)) == sum(layer.target == target for layer in plans[1].document.layers)


def test_the_map_tells_what_tiles_hold(open_page, page_file, plans):
    page = open_page(page_file)
    canvas = page.locator("#map-canvas")
    canvas.hover(position={"x": 3, "y": 3})
    first = next(layer for layer in plans[1].document.layers if layer.tiles)
    assert f"Tile 0, 0 of chip 1: {first.name} on pcm-512" in page.text_content("#map-detail")
    canvas.focus()
    for _ in range(30):
        page.keyboard.press("ArrowDown")
    assert "Tile 23, 0 of chip 1: free" in page.text_content("#map-detail")
    for value in ("target", "utilisation", "layer"):
        page.select_option("#map-colour", value)
    page.fill("#map-find", "pooler")
    pixel = "() => [...document.getElementById('map-canvas').getContext('2d').getImageData(5, 5, 1, 1).data]"
    assert page.evaluate(pixel)[3] > 0


def test_decisions_open_with_what_was_rejected(open_page, page_file):
    page = open_page(page_file)
    page.fill("#decision-search", "pooler")
    assert page.locator("#decision-list details:visible").count() == 1
    page.click("#decision-list details:visible summary")
    page.wait_for_selector("#decision-list details[open] h3")
    text = page.text_content("#decision-list details[open]")
    assert "assign_targets: " in text
    assert "rejected: " in text
    assert "losses are by the criterion gradient" in text


def test_names_from_the_model_are_text(open_page, page_file):
    page = open_page(page_file)
    assert "<script>alert('x')</script> & co" in page.text_content("h1")
    assert page.locator("script").count() == 2, "the data and the page's own"


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_accessible(open_page, page_file, dark):
    page = open_page(page_file, dark=dark)
    assert page.evaluate("document.documentElement.dataset.theme") == ("dark" if dark else "light")
    results = axe_api.Axe().run(page).response
    violations = [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in results["violations"]]
    assert violations == []
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == ("light" if dark else "dark")


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_its_window(open_page, page_file, width, tmp_path):
    page = open_page(page_file, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture = page.screenshot(full_page=True, path=tmp_path / "page.png")
    assert len(picture) > 20_000


def test_every_control_is_reached_by_the_keyboard(open_page, page_file):
    page = open_page(page_file)
    reached = set()
    where = "(e => e.id || e.dataset.key || e.tagName)(document.activeElement)"
    for _ in range(120):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(where))
    assert {"theme", "map-canvas", "map-colour", "layer-search", "layer-target", "energy_nj", "SUMMARY"} <= reached


def test_two_plans_side_by_side(open_page, plans, tmp_path):
    path = tmp_path / "two.html"
    path.write_text(comparison_page(summarise(plans[0]), summarise(plans[1]), difference(*plans)))
    page = open_page(path)
    pairs = zip(*(plan.document.layers for plan in plans), strict=True)
    moved = [one.name for one, other in pairs if one.target != other.target]
    page.select_option("#layer-target", "changed")
    assert names(page) == moved
    assert moved
    assert "first" in page.text_content("thead")
    assert axe_api.Axe().run(page).response["violations"] == []


def test_ten_thousand_tiles(open_page, tmp_path):
    """Ten thousand tiles are all there, and the map and the table answer."""
    changes = {"tile.rows": 8, "tile.columns": 8, "chip.mesh_rows": 100, "chip.mesh_columns": 100}
    plan = tilewright.compile(nn.Linear(800, 800), load_target("pcm-512", changes), example_inputs=torch.randn(8, 800))
    path = tmp_path / "large.html"
    path.write_text(report_page(summarise(plan)))
    assert plan.document.placement.tiles == 10_000
    assert path.stat().st_size < 5_000_000
    page = open_page(path)
    canvas = page.locator("#map-canvas")
    box = canvas.bounding_box()
    canvas.hover(position={"x": box["width"] - 3, "y": 3})
    assert "Tile 0, 99 of chip 1" in page.text_content("#map-detail")
    assert "free" not in page.text_content("#map-detail")
    page.fill("#layer-search", "nothing")
    assert names(page) == []
