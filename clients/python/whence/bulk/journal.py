"""The journal of a run: what is done so far, in lines of JSON, beside the table that it will become."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from whence.errors import CorruptArtefactError, MismatchError, StorageError
from whence.reasons import Reason

_VERSION: Final = 1


class Journal:
    """A journal, open for more. It survives a kill at any moment: a line is there or it is not."""

    def __init__(self, path: Path, file: TextIO, *, begun: bool) -> None:
        self.path = path
        self.begun = begun
        self._file = file

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the lines after the first, in the order of writing."""
        return itertools.islice(_lines(self.path), 1, None)

    def write(self, line: dict[str, Any]) -> None:
        """Write a line."""
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        self.begun = True


@contextmanager
def journal(path: Path, settings: dict[str, Any]) -> Iterator[Journal]:
    """Open the journal at ``path``, or begin one. What a kill left of a last line is cut off.

    One in which nothing was written is removed in the end: there is nothing to go on from, with whatever options.
    Raises :class:`~whence.errors.MismatchError` (``JOB_MISMATCH``) where it was begun with other settings.
    """
    with _alone(path):
        begun = _begin_or_resume(path, settings)
        with path.open("a", encoding="utf-8") as file:
            kept = Journal(path, file, begun=begun)
            try:
                yield kept
            finally:
                if not kept.begun:
                    path.unlink(missing_ok=True)


def _begin_or_resume(path: Path, settings: dict[str, Any]) -> bool:
    """Write the first line of a journal, or check the one that is there. Return whether more lines follow."""
    header = {"whence_journal": _VERSION, "settings": settings}
    if not _cut_torn_line(path):
        path.write_text(json.dumps(header) + "\n", encoding="utf-8")
        return False
    lines = _lines(path)
    before = next(lines)
    if before != json.loads(json.dumps(header)):
        raise _of_another_run(path, before, header)
    return next(lines, None) is not None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Admit one run at a time; where the operating system cannot, all of them."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(
                f"another run writes {path}: wait until it has ended, or write to another file",
                reason=Reason.TABLE_IN_USE,
                journal=path,
            ) from error
        yield


def _cut_torn_line(path: Path) -> int:
    """Cut off what follows the last complete line. Return the number of bytes that are left."""
    with path.open("r+b") as file:
        end = file.seek(0, 2)
        while end:
            begin = max(0, end - (1 << 16))
            file.seek(begin)
            newline = file.read(end - begin).rfind(b"\n")
            if newline >= 0:
                end = begin + newline + 1
                break
            end = begin
        file.truncate(end)
    return end


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                content = json.loads(line)
            except ValueError as error:
                raise CorruptArtefactError(
                    f"line {number} of {path} is damaged ({error}): remove the file to begin anew",
                    reason=Reason.CORRUPT_ARTEFACT,
                    file=path,
                ) from error
            yield content


def _of_another_run(path: Path, begun: dict[str, Any], wanted: dict[str, Any]) -> MismatchError:
    before, now = begun.get("settings", {}), wanted["settings"]
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    changed = ", ".join(f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in names)
    return MismatchError(
        f"{path} is the journal of another run ({changed or 'by another version'}): finish that with its own options, "
        "remove the journal, or write to another file",
        reason=Reason.JOB_MISMATCH,
        journal=path,
    )
