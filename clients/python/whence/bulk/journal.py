"""The journal of a run: what was answered so far, a line for each query, beside the table that it will become."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from whence.errors import CorruptArtefactError, MismatchError, StorageError
from whence.reasons import Reason

_VERSION: Final = 1


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A query that was answered or refused: its row's number and digest, and the rows of the table."""

    number: int
    digest: str
    rows: list[dict[str, Any]]
    refused: bool


class Journal:
    """A journal, open for more. It survives a kill at any moment: a line is there or it is not."""

    def __init__(self, path: Path, file: TextIO, answered: int) -> None:
        self.path = path
        self.answered = answered
        self._file = file
        self._provenance: dict[str, Any] | None = None

    def entries(self) -> Iterator[Entry]:
        """Yield the entries, in the order of the rows."""
        for line in _lines(self.path):
            if "rows" in line:
                yield Entry(**line)

    def provenances(self) -> list[dict[str, Any]]:
        """Return the provenance of the answers; several, with their first rows, where it changed under the run."""
        distinct: list[dict[str, Any]] = []
        for line in _lines(self.path):
            if "provenance" in line and not any(line["provenance"] == known["provenance"] for known in distinct):
                distinct.append(line)
        return distinct

    def add(self, entry: Entry, provenance: dict[str, Any] | None) -> None:
        """Write an entry, after the provenance of its answer if that is new."""
        if provenance is not None and provenance != self._provenance:
            self._write({"provenance": provenance, "first_row": entry.number})
            self._provenance = provenance
        self._write({
            "number": entry.number, "digest": entry.digest, "refused": entry.refused, "rows": entry.rows
        })  # fmt: skip
        self.answered += 1

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


@contextmanager
def journal(path: Path, settings: dict[str, Any]) -> Iterator[Journal]:
    """Open the journal at ``path``, or begin one. What a kill left of a last line is cut off.

    One without an answer is removed in the end: there is nothing to go on from, with whatever options.
    Raises :class:`~whence.errors.MismatchError` (``JOB_MISMATCH``) where it was begun with other settings.
    """
    with _alone(path):
        answered = _begin_or_resume(path, settings)
        with path.open("a", encoding="utf-8") as file:
            kept = Journal(path, file, answered)
            try:
                yield kept
            finally:
                if not kept.answered:
                    path.unlink(missing_ok=True)


def _begin_or_resume(path: Path, settings: dict[str, Any]) -> int:
    """Write the first line of a journal, or check the one that is there. Return the number of its answers."""
    header = {"whence_journal": _VERSION, "settings": settings}
    if not _cut_torn_line(path):
        path.write_text(json.dumps(header) + "\n", encoding="utf-8")
        return 0
    lines = _lines(path)
    begun = next(lines)
    if begun != json.loads(json.dumps(header)):
        raise _of_another_run(path, begun, header)
    return sum(1 for line in lines if "rows" in line)


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
