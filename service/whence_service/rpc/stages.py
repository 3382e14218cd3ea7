"""The time of a call, by stage."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager

from whence.v1 import attribution_pb2
from whence_service.rpc.records import Observer, StageRecord, ignore


class _Stage(AbstractContextManager[None]):
    """A stage under way. A class of its own takes a third of the time of a generator: a call has many stages."""

    def __init__(self, stopwatch: Stopwatch, name: str) -> None:
        self._stopwatch = stopwatch
        self._name = name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._stopwatch.add(self._name, time.perf_counter() - self._started)


class Stopwatch:
    """Adds up the seconds of each stage of one call, on the monotonic clock of this process."""

    def __init__(self, observe: Observer = ignore) -> None:
        self._observe = observe
        self._seconds: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Stopwatch {self._seconds}>"

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Add the duration of the ``with`` body to the stage ``name``, even if it raises."""
        return _Stage(self, name)

    def add(self, name: str, duration_s: float) -> None:
        """Add seconds to a stage that were measured elsewhere in this process."""
        self._observe(StageRecord(stage=name, duration_s=duration_s))
        self._seconds[name] = self._seconds.get(name, 0.0) + duration_s

    def merge(self, timings: Iterable[attribution_pb2.StageTiming]) -> None:
        """Add the timings of another process's answer. They are not observed: that process has them in its metrics."""
        for timing in timings:
            self._seconds[timing.stage] = self._seconds.get(timing.stage, 0.0) + timing.seconds

    def timings(self) -> list[attribution_pb2.StageTiming]:
        """Return the stages in the order in which they first ended."""
        return [attribution_pb2.StageTiming(stage=name, seconds=value) for name, value in self._seconds.items()]
