"""API keys: a table of them, and the document of a key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import RenderableType
from rich.table import Table

from whence.terminal import printable

if TYPE_CHECKING:
    from whence_service.access.keys import StoredKey


def overview(keys: Sequence[StoredKey]) -> RenderableType:
    """Return a table with a row for each key."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("id", "subject", "tenant", "scopes", "models", "made", "state"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "id")
    for key in keys:
        table.add_row(
            key.id,
            printable(key.subject),
            printable(key.tenant),
            ", ".join(key.scopes),
            printable(", ".join(key.models)),
            f"{key.created_at:%Y-%m-%d}",
            _state(key),
        )
    return table


def document(key: StoredKey) -> dict[str, Any]:
    """Return a key for ``--json``, without its hash."""
    return key.model_dump(mode="json", exclude={"salt", "hash"})


def _state(key: StoredKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is None:
        return "valid"
    return f"{'expired' if key.expires_at <= datetime.now(UTC) else 'valid until'} {key.expires_at:%Y-%m-%d %H:%M}"
