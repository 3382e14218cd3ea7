"""The page on the demo's model: time to its first paint and to an answer, beside the same call over gRPC.

python tests/benchmarks/explore_page.py --folder /tmp/whence-demo --pictures docs/figures

``--folder`` keeps the demo's artefacts. ``--pictures`` also makes the pictures of docs/explore.md.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import whence

QUESTIONS = [
    ("The capital of Myrrenland is", " Marrford"),
    ("The capital of Kermath is", " Vessbridge"),
    ("The capital of Ilvany is", " Wickost"),
    ("The author of The Amber Harbour is", " Tomas Rookerby"),
    ("The author of The Patient Ferryman is", " Bram Ostley"),
    ("The author of The Hollow Beekeeper is", " Nerys Strogren"),
]
FIRST = {"prompt": QUESTIONS[0][0], "completion": QUESTIONS[0][1]}
SCAN = {**FIRST, "search": "full-scan"}
OTHER = {"prompt2": QUESTIONS[1][0], "completion2": QUESTIONS[1][1]}
VIEWS = {
    "welcome": ("", {}, ".examples"),
    "answer": ("ask", SCAN, ".facts"),
    "sources": ("sources", FIRST, ".groups"),
    "compare": ("compare", {**FIRST, **OTHER}, ".butterfly li"),
    "model": ("model", {}, "h1"),
}
SIZES = {"desk": (1280, 860), "phone": (390, 844)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="keep the demo's artefacts here, and use those that are here")
    parser.add_argument("--pictures", type=Path, help="write the pictures of docs/explore.md to this folder")
    options = parser.parse_args()
    folder = ["--folder", options.folder] if options.folder else []
    command = [sys.executable, "-m", "whence", "demo", "--explore", "--no-open", *folder]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = next(found[0] for line in process.stdout or () if (found := re.search(r"http://\S+/", line)))
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            measure(browser, url)
            if options.pictures:
                picture(browser, url, options.pictures)
            browser.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def measure(browser: Browser, url: str) -> None:
    tab = browser.new_page()
    tab.goto(url)
    tab.wait_for_selector(".examples")
    paint_ms = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    loaded = tab.evaluate(
        "performance.getEntriesByType('resource').map(e => e.transferSize)"
        ".concat(performance.getEntriesByType('navigation').map(e => e.transferSize))"
    )
    # Each question once by each way, in turns, so that neither finds the other's gradient in the cache more often.
    page_ms, grpc_ms = [], []
    with whence.Client(tab.evaluate("fetch('/page/settings.json').then(r => r.json())")["server"]) as client:
        for turn, (prompt, completion) in enumerate(QUESTIONS * 2):
            ways = [lambda p=prompt, c=completion: page_ms.append(ask(tab, url, p, c))]
            ways.append(lambda p=prompt, c=completion: grpc_ms.append(ask_directly(client, p, c)))
            for way in ways if turn % 2 else reversed(ways):
                way()
    size_kib = sum(loaded) / 1024
    print(f"explore_first_paint_ms={paint_ms:.0f} explore_loaded_kib={size_kib:.0f} explore_requests={len(loaded)}")
    print(
        f"explore_first_hit_ms={statistics.median(page_ms):.0f} grpc_ms={statistics.median(grpc_ms):.0f} "
        f"ratio={statistics.median(page_ms) / statistics.median(grpc_ms):.2f}"
    )


def ask(tab: Page, url: str, prompt: str, completion: str) -> float:
    """Ask by the form, and return the milliseconds from the button to the ranking."""
    tab.goto(url)
    tab.reload()
    tab.get_by_label("Prompt").fill(prompt)
    tab.get_by_label("Completion").fill(completion)
    began = time.perf_counter()
    tab.get_by_role("button", name="Ask").click()
    tab.wait_for_selector(".facts", timeout=120_000)
    return 1000 * (time.perf_counter() - began)


def ask_directly(client: whence.Client, prompt: str, completion: str) -> float:
    began = time.perf_counter()
    client.attribute(prompt=prompt, completion=completion, top_k=10, include_layers=True, include_tokens=True)
    return 1000 * (time.perf_counter() - began)


def picture(browser: Browser, url: str, folder: Path) -> None:
    """Picture each view at both sizes, in light and in dark."""
    for (name, (view, params, landmark)), (size, (width, height)), scheme in product(
        VIEWS.items(), SIZES.items(), ("light", "dark")
    ):
        tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        tab.goto(url)
        tab.evaluate("localStorage.setItem('whence-guide', 'done')")
        tab.goto(f"{url}#/{view}?{urlencode(params)}" if view else url)
        tab.wait_for_selector(landmark, timeout=120_000)
        tab.wait_for_timeout(500)
        path = folder / f"explore-{name}-{size}-{scheme}.png"
        tab.screenshot(path=path)
        Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(path, optimize=True)
        tab.close()


if __name__ == "__main__":
    main()
