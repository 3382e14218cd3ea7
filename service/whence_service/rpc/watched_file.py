"""A file that is read again when it changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

import structlog

from whence.errors import WhenceError

_log: Final = structlog.get_logger(__name__)

Content = TypeVar("Content")
_Stamp = tuple[int, int, int] | None


class WatchedFile(Generic[Content]):
    """The content of a file, read again by ``read`` when the file has changed.

    A version that ``read`` refuses with a :class:`~whence.errors.WhenceError` is logged, and the last good one stays.
    State: the content, and the file's stamp when it was read. Owner: the event loop.
    """

    def __init__(self, path: Path, read: Callable[[Path], Content]) -> None:
        """Read the file for the first time, and raise what ``read`` raises."""
        self._path = path
        self._read = read
        self._stamp = _stamp_of(path)
        self._content = read(path)

    def __repr__(self) -> str:
        return f"<WatchedFile {self._path}>"

    @property
    def content(self) -> Content:
        """The content now, at the cost of one look at the file's entry in its folder."""
        stamp = _stamp_of(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._content = self._read(self._path)
                _log.info("read a changed file", path=str(self._path))
            except WhenceError as error:
                _log.error(
                    "a changed file is not valid; the last valid one stays in force",
                    path=str(self._path),
                    error=error.message,
                    reason=error.reason,
                )
        return self._content


def _stamp_of(path: Path) -> _Stamp:
    """Return numbers of which one changes with the file, links followed; ``None`` where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
