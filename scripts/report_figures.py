"""Takes the pictures of docs/report.md: a report in Chromium, on a desk in light and on a phone in dark.

    python scripts/report_figures.py answer answer.json explanation.json
    python scripts/report_figures.py run hits.parquet

makes docs/figures/report-answer-desk.png, report-answer-phone.png and so on.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from whence import report

FIGURES: Final = Path(__file__).parents[1] / "docs" / "figures"
_COLOURS: Final = 128
# Name, width and height in pixels, colour scheme.
_SCREENS: Final = (("desk", 1280, 1500, "light"), ("phone", 390, 1500, "dark"))


def main() -> None:
    """Make the report and take its pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="what the pictures are called after")
    parser.add_argument("results", nargs="+", type=Path, help="what `whence report` takes")
    parser.add_argument("--from", dest="start", default="", help="a CSS selector of what the pictures begin with")
    arguments = parser.parse_args()
    html = report.html(report.read(arguments.results).results)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page = Path(folder, "report.html")
        page.write_bytes(html.encode("utf-8", "replace"))
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for screen in _SCREENS:
            _picture(browser, page, arguments.name, arguments.start, *screen)


def _picture(
    browser: Browser, page: Path, name: str, start: str, screen: str, width: int, height: int, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    opened = context.new_page()
    opened.goto(page.as_uri())
    if start:
        opened.locator(start).first.evaluate("part => window.scrollTo(0, part.getBoundingClientRect().top - 16)")
    file = FIGURES / f"report-{name}-{screen}.png"
    drawn = Image.open(io.BytesIO(opened.screenshot()))
    drawn.convert("RGB").quantize(_COLOURS).save(file, optimize=True)
    context.close()


if __name__ == "__main__":
    main()
