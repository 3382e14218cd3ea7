"""Writes the README's tables of settings from the settings' own fields. With --check it only compares."""

from __future__ import annotations

from enum import Enum

import generated_blocks
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from whence_backends.worker.config import WorkerSettings
from whence_service.frontend.config import FrontEndSettings


def settings_table(settings: type[BaseSettings]) -> str:
    """Return one row for each setting: its environment variable, its default and what it means."""
    prefix = settings.model_config["env_prefix"]
    rows = [
        [f"`{prefix}{name.upper()}`", default(field), field.description or ""]
        for name, field in settings.model_fields.items()
    ]
    return generated_blocks.table(["Variable", "Default", "Meaning"], rows)


def default(field: FieldInfo) -> str:
    """Return a field's default as it would be written in the environment."""
    if field.is_required():
        return "required"
    value = field.default
    if value in (None, "", (), {}):
        return ""
    if isinstance(value, Enum):
        value = value.value
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    blocks = {"front end": settings_table(FrontEndSettings), "worker": settings_table(WorkerSettings)}
    generated_blocks.run(generated_blocks.ROOT / "README.md", blocks)
