"""Writes the README's tables of settings, ``whence/settings.py`` and the chart's schema of settings.

With --check it only compares. All come from the settings' own fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

import chart_documents
import generated_blocks
from pydantic.fields import FieldInfo

from whence_backends.worker.config import WorkerSettings
from whence_service.frontend.config import FrontEndSettings
from whence_service.rpc.settings import HostingSettings


class Row(NamedTuple):
    """A setting: its name, its variable in the environment, its default as written there, and its meaning."""

    name: str
    variable: str
    default: str
    description: str


def rows(settings: type[HostingSettings]) -> Iterator[Row]:
    """Yield the settings of a process: its own, then those that every process has."""
    prefix = settings.model_config["env_prefix"]
    shared = HostingSettings.model_fields
    for name in sorted(settings.model_fields, key=lambda name: name in shared):
        field = settings.model_fields[name]
        yield Row(name, f"{prefix}{name}".upper(), default(field), field.description or "")


def default(field: FieldInfo) -> str:
    """Return a field's default as it would be written in the environment, or ``required``."""
    if field.is_required():
        return "required"
    value = field.default.value if isinstance(field.default, Enum) else field.default
    if value in (None, "", (), {}):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def table(settings: type[HostingSettings]) -> str:
    """Return the README's table."""
    cells = [[f"`{row.variable}`", _code(row.default), row.description] for row in rows(settings)]
    return generated_blocks.table(["Variable", "Default", "Meaning"], cells)


def constant(name: str, settings: type[HostingSettings]) -> str:
    """Return the settings as a constant of Python."""
    return f"{name}: Final = {{\n{''.join(map(_entry, rows(settings)))}}}\n"


def _entry(row: Row) -> str:
    default = "" if row.default == "required" else row.default
    arguments = ", ".join(map(_text, (row.variable, row.description, default)))
    return f"    {_text(row.name)}: Setting({arguments}),\n"


def _code(default: str) -> str:
    return default if default in ("", "required") else f"`{default}`"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    blocks = {"front end": table(FrontEndSettings), "worker": table(WorkerSettings)}
    generated_blocks.run(generated_blocks.ROOT / "README.md", blocks)
    known = constant("FRONT_END", FrontEndSettings) + constant("WORKER", WorkerSettings)
    generated_blocks.run(generated_blocks.ROOT / "clients" / "python" / "whence" / "settings.py", {"settings": known})
    generated_blocks.write(chart_documents.SCHEMA, chart_documents.schema())
