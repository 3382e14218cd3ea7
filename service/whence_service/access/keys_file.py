"""The file of API keys: JSON, written whole and at once, by one writer at a time, for its owner's eyes."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_service.access.credentials import Credentials
from whence_service.access.keys import PREFIX, StoredKey, identify
from whence_service.rpc.identity import Identity
from whence_service.rpc.watched_file import WatchedFile

Keys = Mapping[str, StoredKey]


class _Document(BaseModel):
    """The file's content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    keys: tuple[StoredKey, ...] = ()


def read_keys(path: Path) -> Keys:
    """Return the keys of a file by id. Raises ``InvalidRequestError`` (``INVALID_SETTINGS``)."""
    try:
        document = _Document.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise _refuse(path, "does not exist; make it with 'whence keys add'") from error
    except OSError as error:
        raise _refuse(path, f"cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        # Neither the input nor the context of a problem is repeated: they may hold what is secret.
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise _refuse(path, f"is not a list of keys as 'whence keys' writes it: {problems}") from error
    keys = {key.id: key for key in document.keys}
    if len(keys) < len(document.keys):
        raise _refuse(path, "has two keys with one id; remove one of them")
    return keys


def change_keys(path: Path, change: Callable[[Keys], Keys]) -> None:
    """Replace the keys of a file, which may not exist yet, by what ``change`` makes of them.

    Readers see the old file or the new one; writers wait for each other. The file is its owner's alone (mode 0600).
    """
    with _locked(path):
        keys = change(read_keys(path) if path.exists() else {})
        _write(path, _Document(keys=tuple(keys.values())).model_dump_json(indent=1))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # Not the file itself, which is replaced.
    try:
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise _refuse(path, f"cannot be written: {error.strerror or error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # of mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _refuse(path: Path, problem: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"the keys file {path} {problem}", reason=Reason.INVALID_SETTINGS, field="keys_file", path=path
    )


class KeyAuthenticator:
    """Knows the API keys of a file, which is read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._keys: WatchedFile[Keys] = WatchedFile(path, read_keys)

    async def authenticate(self, credentials: Credentials) -> Identity | None:
        """Return the caller that an API key stands for; None where the call has none."""
        if not credentials.token.startswith(PREFIX):
            return None
        return identify(self._keys.content, credentials.token, now=datetime.now(UTC))
