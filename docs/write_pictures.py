"""Write docs/pictures/report.png: the report's page of a plan, as a browser shows it. Needs the extra browser.

python docs/write_pictures.py PLAN
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import tilewright
from tilewright.compiler.report.html import report_page

PATH = Path(__file__).with_name("pictures") / "report.png"


def main() -> None:
    """The summary and the map, and how targets were chosen."""
    page_text = report_page(tilewright.summarise(tilewright.load(sys.argv[1])))
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        file.write_text(page_text, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1180, "height": 760})
        page.goto(file.as_uri())
        page.screenshot(path=PATH)
        browser.close()
    print(f"wrote {PATH}")


if __name__ == "__main__":
    main()
