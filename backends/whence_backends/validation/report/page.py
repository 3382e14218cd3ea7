"""The page of a report: one HTML file that needs nothing else, with the plots in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined


def page(document: Mapping[str, Any], plots: Mapping[str, str]) -> str:
    """Return the page of a report, which is given as JSON, with these SVG documents."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"figure": _figure, "nats": _nats, "share": _share}
    environment.tests["unknown"] = lambda value: "reason" in value
    template = environment.from_string((files(__package__) / "page.html.jinja").read_text(encoding="utf-8"))
    return template.render(report=document, plots={name: _inline(svg) for name, svg in plots.items()})


def _figure(value: Mapping[str, Any], form: str = "+.3f") -> str:
    if "reason" in value:
        return "-"
    return f"{value['value']:{form}} ± {value['standard_error']:{form.lstrip('+')}}"


def _nats(value: Mapping[str, Any]) -> str:
    return _figure(value, "+.3g")


def _share(value: Mapping[str, Any]) -> str:
    return "-" if "reason" in value else f"{value['value']:.2f} ({value['low']:.2f} to {value['high']:.2f})"


def _inline(svg: str) -> str:
    """Return an SVG document without what stands before its root element, and without its metadata."""
    return re.sub(r"^.*?(?=<svg)|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
