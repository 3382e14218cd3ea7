"""A run that keeps a journal: each row is asked once, whatever interrupts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from whence._many import FailedQuery
from whence.bulk.entries import Entries, Entry
from whence.bulk.interruptions import resumable, writing
from whence.bulk.journal import journal
from whence.bulk.options import RunOptions
from whence.bulk.pairs import with_answers
from whence.bulk.reports import BulkProgress, Refusal, Source
from whence.bulk.rows import QueryRow
from whence.errors import MismatchError, WhenceError
from whence.options import BatchOptions, complete
from whence.queries import Query
from whence.reasons import Reason

A = TypeVar("A")
# So many refusals are kept for the report; the table has all.
_SHOWN: Final = 20


@dataclass(frozen=True, kw_only=True)
class Asking(Generic[A]):
    """How the queries of a run are asked, and what is kept of an answer: its rows, and its provenance.

    ``ask`` is given queries that it reads as it needs them, and returns a generator of their answers, in order.
    """

    ask: Callable[[Iterator[Query]], Iterator[A | FailedQuery]]
    rows: Callable[[QueryRow, A | WhenceError], list[dict[str, Any]]]
    provenance: Callable[[A], dict[str, Any]]


def settings_of(source: Source, run: RunOptions, options: BatchOptions) -> dict[str, Any]:
    """Return the settings that a journal is known again by. A run with other settings is another run."""
    values = complete(BatchOptions, options).items()
    known = {name: value if isinstance(value, str | int | float | None) else repr(value) for name, value in values}
    return {**source.settings, "model": run.model, "strict": run.strict, "options": known}


@contextmanager
def run_journal(out: Path, source: Source, settings: dict[str, Any], unit: str) -> Iterator[Entries]:
    """Open the journal of the table at ``out``, and remove it once the ``with`` ends without an error.

    An error says how many, in ``unit`` (such as ``queries``), are done, and how to go on. Raises
    :class:`~whence.errors.StorageError` (``WRITE_FAILED``) where something cannot be written, and as
    :func:`~whence.bulk.journal.journal` does.
    """
    path = out.with_name(f"{out.name}.journal")
    with writing(path), journal(path, settings) as lines:
        kept = Entries(lines)
        with resumable(path, lambda: kept.answered, source.total, unit):
            yield kept
    path.unlink(missing_ok=True)


def ask_all(source: Source, kept: Entries, run: RunOptions, asking: Asking[A]) -> int:
    """Ask what the journal lacks, into the journal. Return the number of rows that it had.

    Raises :class:`~whence.errors.MismatchError` (``JOB_MISMATCH``) where the rows are not those of the journal.
    """
    rows, resumed = iter(source.rows), kept.answered
    refused = _skip(rows, kept, source.name)

    def show() -> None:
        run.progress(BulkProgress(done=kept.answered, total=source.total, resumed=resumed, refused=refused))

    show()
    for row, answer in with_answers(rows, asking.ask):
        if run.strict and isinstance(answer, WhenceError):
            raise answer
        refusal = isinstance(answer, WhenceError)
        refused += refusal
        entry = Entry(number=row.number, digest=row.digest, rows=asking.rows(row, answer), refused=refusal)
        kept.add(entry, None if isinstance(answer, WhenceError) else asking.provenance(answer))
        show()
    return resumed


def refusals_of(kept: Entries) -> tuple[int, tuple[Refusal, ...]]:
    """Return the number of rows that were refused, and the first of them."""
    count, shown = 0, list[Refusal]()
    for entry in kept.entries():
        count += entry.refused
        if entry.refused and len(shown) < _SHOWN:
            reason, _, message = entry.rows[0]["error"].partition(": ")
            shown.append(Refusal(row=entry.number, query_id=entry.rows[0]["query_id"], reason=reason, message=message))
    return count, tuple(shown)


def _skip(rows: Iterator[QueryRow], kept: Entries, name: str) -> int:
    """Pass over the rows that the journal has. Return the number of them that were refused."""
    refused = 0
    for entry in kept.entries():
        row = next(rows, None)
        if row is None or (row.number, row.digest) != (entry.number, entry.digest):
            what = "has ended" if row is None else "has changed"
            raise MismatchError(
                f"{name} {what} at row {entry.number} since the run began that {kept.journal.path} is the journal of: "
                "give the same queries, or remove the journal to begin anew",
                reason=Reason.JOB_MISMATCH,
                journal=kept.journal.path,
            )
        refused += entry.refused
    return refused
