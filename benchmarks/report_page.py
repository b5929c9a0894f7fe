"""Time that a report's page takes: to make, to open in Chromium, and to answer. Needs the extra browser.

    python benchmarks/report_page.py PLAN [--runs 5]

Prints JSON: the page's size, and minima and medians over runs in milliseconds. Runs are interleaved: each makes, opens
and uses the page once. Answers are counted until the browser has drawn again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

import tilewright
from tilewright.compiler.report.html import report_page

DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
ACTIONS = {
    "sort": "() => document.querySelector('#layer-table button[data-key=energy_nj]').click()",
    "filter": "() => { const f = document.getElementById('layer-search'); f.value = 'dense'; "
    "f.dispatchEvent(new Event('input')); }",
    "colour the map": "() => { const f = document.getElementById('map-colour'); f.value = 'utilisation'; "
    "f.dispatchEvent(new Event('input')); }",
    "move on the map": "() => document.getElementById('map-canvas').dispatchEvent(new KeyboardEvent('keydown', "
    "{ key: 'ArrowRight' }))",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    plan = tilewright.load(options.plan)
    times: dict[str, list[float]] = {}

    def timed(name: str, started: float) -> None:
        times.setdefault(name, []).append(1e3 * (time.perf_counter() - started))

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox"]
        )
        for _ in range(options.runs):
            started = time.perf_counter()
            file.write_text(report_page(tilewright.summarise(plan)), encoding="utf-8")
            timed("make the page", started)
            page = browser.new_page()
            started = time.perf_counter()
            page.goto(file.as_uri())
            page.evaluate(DRAWN)
            timed("open it", started)
            for name, action in ACTIONS.items():
                started = time.perf_counter()
                page.evaluate(action)
                page.evaluate(DRAWN)
                timed(name, started)
            page.close()
        size = file.stat().st_size
        browser.close()
    figures = {
        name: {"minimum": round(min(found), 1), "median": round(median(found), 1)} for name, found in times.items()
    }
    print(json.dumps({"tiles": plan.document.placement.tiles, "bytes": size, "milliseconds": figures}, indent=1))


if __name__ == "__main__":
    main()
