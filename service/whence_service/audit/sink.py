"""Where lines go: a file, which may be rotated at any time, or a standard stream."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Protocol

from whence.errors import UnavailableError
from whence.reasons import Reason

STREAMS: Final = {"stdout": 1, "stderr": 2}
# Nobody but the owner: the lines say who asked for what.
_MODE: Final = 0o600


class Sink(Protocol):
    """Takes whole lines. Used by one thread."""

    def write(self, line: bytes) -> None:
        """Write a line, or raise ``OSError``."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class StreamSink:
    """Writes to a file descriptor, which stays open."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._torn = False

    def write(self, line: bytes) -> None:
        """Write a line, on a line of its own even where the last one broke off; raises ``OSError``."""
        rest = memoryview(b"\n" + line if self._torn else line)
        self._torn = True
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._torn = False

    def close(self) -> None:
        """Leave the stream open."""


class FileSink:
    """Appends to a file, and opens it anew once another file, or none, is at its path: after a rotation."""

    def __init__(self, path: Path) -> None:
        """Open the file; raises ``OSError``."""
        self._path = path
        self._file = _append(path)
        self._stream = StreamSink(self._file)

    def write(self, line: bytes) -> None:
        """Write a line; raises ``OSError``."""
        if self._was_moved():
            renewed = _append(self._path)
            self.close()
            self._file, self._stream = renewed, StreamSink(renewed)
        self._stream.write(line)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _was_moved(self) -> bool:
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except FileNotFoundError:
            return True


def open_sink(place: str) -> Sink:
    """Return the sink of a setting: ``stdout``, ``stderr`` or the path of a file.

    Raises :class:`~whence.errors.UnavailableError` (``AUDIT_UNAVAILABLE``) for a file that cannot be opened.
    """
    if place in STREAMS:
        return StreamSink(STREAMS[place])
    try:
        return FileSink(Path(place))
    except OSError as error:
        raise UnavailableError(
            f"the audit log {place} cannot be opened: {error.strerror}; name a file that this process may append to, "
            "stdout or stderr",
            reason=Reason.AUDIT_UNAVAILABLE,
            path=place,
        ) from error


def _append(path: Path) -> int:
    # Appending, a line is one write: replicas may share a file.
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
