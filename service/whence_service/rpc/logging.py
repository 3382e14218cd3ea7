"""Log lines as JSON or for a console, with the request id of their call; the standard library's as well."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from enum import StrEnum
from typing import Any, Final, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor

from whence.terminal import escaped, printable
from whence_service.rpc.records import CallRecord, Record

# The methods that every front end calls on every worker every few seconds.
_POLLED: Final = ("GetInfo",)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, default=repr)


class LogFormat(StrEnum):
    """The form of log lines."""

    JSON = "json"
    CONSOLE = "console"


def configure_logging(format: LogFormat | str, *, level: str = "INFO", stream: TextIO | None = None) -> None:  # noqa: A002
    """Set up logging for the whole process, once, from its entry point. ``stream`` defaults to stderr.

    Whence's own lines are written directly: through the standard library each would take twice as long.
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers = _renderers(LogFormat(format))
    structlog.configure(
        processors=[*shared, *renderers],
        logger_factory=lambda *name: _LineWriter(stream, *name),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


class _LineWriter(structlog.WriteLogger):
    """Writes lines to a stream. A log that cannot be written, such as one on a full disk, never fails a call."""

    def __init__(self, stream: TextIO, name: str = "whence") -> None:
        super().__init__(stream)
        self.name = name

    def msg(self, message: str) -> None:
        """Write one line."""
        with contextlib.suppress(OSError, ValueError):
            super().msg(message)

    debug = info = warning = error = critical = msg


def _renderers(format: LogFormat) -> list[Processor]:  # noqa: A002
    # Tracebacks without local variables, which hold users' texts.
    if format is LogFormat.JSON:
        tracebacks = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
        return [tracebacks, _json]
    plain = structlog.dev.plain_traceback
    return [_neutral, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]


def _json(_: Any, __: str, line: EventDict) -> str:  # noqa: ANN401 - the logger
    return escaped(_ENCODER.encode(line))


def _neutral(_: Any, __: str, line: EventDict) -> EventDict:  # noqa: ANN401 - the logger
    """Keep texts of callers and of other servers from steering the terminal that shows the log."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in line.items()}


def log_calls(record: Record) -> None:
    """Observe calls by writing one line for each: the access log. Polls that succeed are debug lines."""
    if isinstance(record, CallRecord):
        polled = record.method in _POLLED and record.code == "OK"
        structlog.get_logger("whence.calls").log(
            logging.DEBUG if polled else logging.INFO,
            "call",
            service=record.service,
            method=record.method,
            code=record.code,
            reason=record.reason,
            duration_s=round(record.duration_s, 6),
            request_id=record.request_id,
        )
