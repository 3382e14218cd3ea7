"""Writes the README's tables of settings and the names in ``whence.environment``. With --check it only compares.

Both come from the settings' own fields.
"""

from __future__ import annotations

from enum import Enum

import generated_blocks
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from whence_backends.worker.config import WorkerSettings
from whence_service.frontend.config import FrontEndSettings


def settings_table(settings: type[BaseSettings]) -> str:
    """Return one row for each setting: its environment variable, its default and what it means."""
    described = zip(variables(settings), settings.model_fields.values(), strict=True)
    rows = [[f"`{name}`", default(field), field.description or ""] for name, field in described]
    return generated_blocks.table(["Variable", "Default", "Meaning"], rows)


def variables(settings: type[BaseSettings]) -> list[str]:
    """Return the environment variable of each setting."""
    return [f"{settings.model_config['env_prefix']}{name}".upper() for name in settings.model_fields]


def names(constant: str, settings: type[BaseSettings]) -> str:
    """Return the variables of settings as a constant of Python."""
    lines = "".join(f'    "{name}",\n' for name in variables(settings))
    return f"{constant}: Final = (\n{lines})\n"


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
    known = names("FRONT_END", FrontEndSettings) + names("WORKER", WorkerSettings)
    environment = generated_blocks.ROOT / "clients" / "python" / "whence" / "environment.py"
    generated_blocks.run(environment, {"settings": known})
