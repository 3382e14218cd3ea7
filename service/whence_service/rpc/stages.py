"""The time of a call, by stage."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from whence.v1 import attribution_pb2
from whence_service.rpc.records import Observer, StageRecord, ignore
from whence_service.rpc.tracing import UNTRACED, StageTrace, within


class Stage(AbstractContextManager[None]):
    """A stage under way: for the length of a ``with``, or from where it is made to :meth:`end`.

    A class of its own takes a third of the time of a generator: a call has many stages.
    """

    def __init__(self, stopwatch: Stopwatch, name: str) -> None:
        self._stopwatch = stopwatch
        self._name = name
        self._span = stopwatch.trace.begin(name)
        self._current: AbstractContextManager[Any] | None = None
        self._began_s = time.perf_counter()

    def __enter__(self) -> None:
        if self._span is not None:
            self._current = within(self._span)
            self._current.__enter__()

    def __exit__(self, *error: Any) -> None:  # noqa: ANN401 - the three of an exception
        if self._current is not None:
            self._current.__exit__(*error)
        self.end()

    def current(self) -> AbstractContextManager[Any]:
        """Trace what begins inside the ``with``, tasks included, as a part of this stage, which goes on after it."""
        return within(self._span)

    def end(self) -> None:
        """Count the stage."""
        duration_s = time.perf_counter() - self._began_s
        if self._span is None:
            self._stopwatch.add(self._name, duration_s)
        else:
            self._span.end()
            self._stopwatch.count(self._name, duration_s)


class Stopwatch:
    """Adds up the seconds of each stage of one call, on the monotonic clock of this process, and traces the stages."""

    def __init__(self, observe: Observer = ignore, trace: StageTrace = UNTRACED) -> None:
        self.trace = trace
        self._observe = observe
        self._seconds: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Stopwatch {self._seconds}>"

    def stage(self, name: str) -> Stage:
        """Add the duration of the ``with`` body to the stage ``name``, even if it raises."""
        return Stage(self, name)

    def add(self, name: str, duration_s: float, *, ended_s: float | None = None) -> None:
        """Add seconds to a stage that were measured elsewhere in this process.

        The stage ended at ``ended_s`` of ``time.perf_counter``; ``None``: now.
        """
        self.trace.lap(name, duration_s, ended_s)
        self.count(name, duration_s)

    def count(self, name: str, duration_s: float) -> None:
        """Add seconds to a stage that is in the trace already, or need not be."""
        self._observe(StageRecord(stage=name, duration_s=duration_s))
        self._seconds[name] = self._seconds.get(name, 0.0) + duration_s

    def merge(self, timings: Iterable[attribution_pb2.StageTiming]) -> None:
        """Add the timings of another process's answer. They are not observed: that process has them in its metrics."""
        for timing in timings:
            self._seconds[timing.stage] = self._seconds.get(timing.stage, 0.0) + timing.seconds

    def timings(self) -> list[attribution_pb2.StageTiming]:
        """Return the stages in the order in which they first ended."""
        return [attribution_pb2.StageTiming(stage=name, seconds=value) for name, value in self._seconds.items()]
