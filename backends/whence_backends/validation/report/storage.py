"""The files of a report: ``report.json``, ``report.html`` and a plot in each ``*.svg``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from whence_backends.store.artefact import write_atomically
from whence_backends.validation.report.page import page
from whence_backends.validation.report.plots import plots
from whence_backends.validation.report.report import Report, to_json

JSON_FILE: Final = "report.json"
HTML_FILE: Final = "report.html"


def write_report(report: Report, folder: Path) -> dict[str, Any]:
    """Write the report's files to a folder, which is made if need be, in the place of older ones.

    Returns the report as it is in ``report.json``.
    """
    document, drawn = to_json(report), plots(report)
    folder.mkdir(parents=True, exist_ok=True)
    for name, svg in drawn.items():
        _write(folder / f"{name}.svg", svg)
    _write(folder / HTML_FILE, page(document, drawn))
    # Last: a folder that has it has all.
    _write(folder / JSON_FILE, json.dumps(document, indent=1, allow_nan=False) + "\n")
    return document


def _write(path: Path, text: str) -> None:
    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write)
