"""A front end before stub workers, with a file of API keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from frontend.conftest import ask, eventually, failure_of, front, logs, start_front, start_worker, worker
from whence_service.access.keys import NewKey, make_key
from whence_service.access.keys_file import change_keys
from whence_service.rpc.identity import Scope

__all__ = ["ask", "eventually", "failure_of", "front", "logs", "start_front", "start_worker", "worker"]

HOUR = timedelta(hours=1)


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    """A file of keys, without any."""
    path = tmp_path / "keys.json"
    change_keys(path, lambda keys: keys)
    return path


@pytest.fixture
def add_key(keys_file: Path) -> Callable[..., NewKey]:
    """Add a key to the file; takes what :func:`make_key` takes, and ``revoked``, ``expires_in``."""

    def add(*, revoked: bool = False, expires_in: timedelta | None = None, **given: object) -> NewKey:
        expires_at = None if expires_in is None else datetime.now(UTC) + expires_in
        key = make_key(
            **{"subject": "lovelace", "tenant": "acme", "scopes": (Scope.ATTRIBUTE,), **given, "expires_at": expires_at}
        )
        stored = key.stored.model_copy(update={"revoked_at": datetime.now(UTC) if revoked else None})
        change_keys(keys_file, lambda keys: {**keys, stored.id: stored})
        return key

    return add
