"""The audit log of a process: lines are made and written by a thread of its own, so that no call waits for a disk."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final

import structlog

from whence.errors import UnavailableError, WhenceError
from whence.reasons import Reason
from whence_service.audit.line import audit_line
from whence_service.audit.sink import Sink, open_sink
from whence_service.rpc.audit import Audit, Unaudited
from whence_service.rpc.records import AuditRecord, CallRecord, Observer

# The most that waits for a sink that does not take it, in bytes of requests and answers. Further lines are dropped.
MOST_WAITING_BYTES: Final = 64 * 1024 * 1024
# What a line takes beside its request.
_LINE_BYTES: Final = 1024
_ID_BYTES: Final = 64
# The time that the last lines of a process may take.
CLOSE_S: Final = 5.0

_log: Final = structlog.get_logger(__name__)
_Written = asyncio.Future[WhenceError | None]


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """Where lines go (empty: nowhere), whether they have whole requests, and whether calls fail without them."""

    place: str = ""
    texts: bool = False
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class _Line:
    record: CallRecord
    size_bytes: int
    written: _Written | None


class AuditLog:
    """Writes a line for every call that it is given.

    While the sink fails, calls go on, and lines are lost, counted and logged; with ``required`` the calls fail.
    State, under a lock: the bytes that wait, and the number of lines lost since one was written.
    """

    kept = True

    def __init__(self, sink: Sink, observe: Observer, *, texts: bool = False, required: bool = False) -> None:
        self._sink = sink
        self._observe = observe
        self._texts = texts
        self._required = required
        self._lines: SimpleQueue[_Line | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting_bytes = 0
        self._lost = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<AuditLog waiting_bytes={self._waiting_bytes} lost={self._lost}>"

    def require(self) -> None:
        """Raise :class:`~whence.errors.UnavailableError` if lines are required and the last could not be written.

        The line of the call that is refused is the next attempt.
        """
        if self._required and self._lost:
            raise _unavailable()

    def note(self, record: CallRecord) -> _Written | None:
        """Have a line written; where lines are required, return the future of its error."""
        written: _Written | None = asyncio.get_running_loop().create_future() if self._required else None
        line = _Line(record=record, size_bytes=_size_bytes(record), written=written)
        with self._lock:
            fits = self._waiting_bytes + line.size_bytes <= MOST_WAITING_BYTES
            self._waiting_bytes += line.size_bytes if fits else 0
        if fits:
            self._lines.put(line)
        else:
            self._lose(line, "dropped", "too much waits for the sink")
        return written

    async def close(self) -> None:
        """Write what waits, for at most :data:`CLOSE_S`."""
        if self._closed:
            return
        self._closed = True
        self._lines.put(None)
        await asyncio.to_thread(self._thread.join, CLOSE_S)
        if self._thread.is_alive():
            _log.error("the audit log was closed before its last lines were written")
        else:
            self._sink.close()

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._sink.write(audit_line(line.record, texts=self._texts))
            except Exception as error:  # no error may end the thread
                self._lose(line, "failed", str(error))
            else:
                self._succeed(line)
            with self._lock:
                self._waiting_bytes -= line.size_bytes

    def _succeed(self, line: _Line) -> None:
        with self._lock:
            lost, self._lost = self._lost, 0
        if lost:
            _log.warning("the audit log is written again", lost=lost)
        self._observe(AuditRecord(outcome="written"))
        _settle(line.written, None)

    def _lose(self, line: _Line, outcome: str, problem: str) -> None:
        with self._lock:
            self._lost += 1
            first = self._lost == 1
        if first:
            _log.error("the audit log cannot be written", problem=problem, request_id=line.record.request_id)
        self._observe(AuditRecord(outcome=outcome))
        _settle(line.written, _unavailable())


def open_audit(settings: AuditSettings, observe: Observer) -> Audit:
    """Return the audit log that settings describe.

    Raises :class:`~whence.errors.UnavailableError` (``AUDIT_UNAVAILABLE``) for a file that cannot be opened.
    """
    if not settings.place:
        return Unaudited()
    return AuditLog(open_sink(settings.place), observe, texts=settings.texts, required=settings.required)


def _unavailable() -> UnavailableError:
    return UnavailableError(
        "the audit log cannot be written, and this server answers no call that is not in it; whoever runs the server "
        "finds the cause in its log",
        reason=Reason.AUDIT_UNAVAILABLE,
    )


def _settle(written: _Written | None, error: WhenceError | None) -> None:
    if written is None:
        return

    def settle() -> None:
        if not written.done():
            written.set_result(error)

    with contextlib.suppress(RuntimeError):  # the loop has ended
        written.get_loop().call_soon_threadsafe(settle)


def _size_bytes(record: CallRecord) -> int:
    facts = record.facts
    if facts is None:
        return _LINE_BYTES
    request_bytes = facts.request.ByteSize() if facts.request is not None else 0
    return _LINE_BYTES + request_bytes + _ID_BYTES * len(facts.returned)
