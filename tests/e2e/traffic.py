"""Callers that ask one after another without a pause, and keep every answer: traffic during a rollout."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from e2e.harness import QUERY, told, until
from whence import Attribution, Client, Query

Call = Callable[[Client], Any]
GULL = Query.text("a gull ", "at sea")
IDS = ["doc1#0", "doc8#0", "doc30#0", "doc59#0"]


def _streamed(client: Client) -> Attribution:
    *_, last = client.attribute_stream(QUERY, top_k=9)
    assert isinstance(last, Attribution)
    return last


# Each answer is the same to the last bit, however the shards are spread.
CALLS: dict[str, Call] = {
    "scan": lambda client: client.attribute(QUERY, top_k=7, direction="both", search="full_scan"),
    "batch": lambda client: client.attribute_batch([QUERY, GULL], top_k=5),
    "stream": _streamed,
    "by tokens": lambda client: client.attribute(GULL, search="tfidf_rerank", candidates=20),
    "score": lambda client: client.score(GULL, sequence_ids=IDS),
    "explain": lambda client: client.explain(GULL, sequence_id=IDS[2]),
    "self-influence": lambda client: client.self_influence(top_k=9),
}
WITH_INDEX: dict[str, Call] = {
    "re-rank": lambda client: client.attribute(QUERY, search="index_rerank", top_k=7, candidates=40),
    "index only": lambda client: client.attribute(GULL, search="index_only", top_k=7),
}


def answer(client: Client, call: Call) -> str:
    """Return all of an answer, its provenance too, but what differs from call to call."""
    given = call(client)
    return "\n".join(told(part).to_json() for part in (given if isinstance(given, tuple) else [given]))


def answers(client: Client, calls: Mapping[str, Call]) -> dict[str, str]:
    return {name: answer(client, call) for name, call in calls.items()}


@dataclass(kw_only=True)
class Traffic:
    """The answers so far, in the order in which they came, and the failures. Threads append; lists allow that."""

    answers: list[tuple[str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def ask(self, client: Client, calls: Mapping[str, Call]) -> None:
        for name in itertools.cycle(calls):
            if self.stopping.is_set():
                return
            try:
                self.answers.append((name, answer(client, calls[name])))
            except Exception as error:  # whatever it is, the test shows it
                self.failures.append(f"{name}: {error!r}")

    def more(self, count: int) -> list[tuple[str, str]]:
        """Wait until that many calls have ended that began after now, and return their answers."""
        skipped = len(self.answers) + threading.active_count()
        until(lambda: self.failures or len(self.answers) >= skipped + count, timeout_s=60)
        assert not self.failures
        return self.answers[skipped:]


@contextmanager
def traffic(clients: Sequence[Client], calls: Mapping[str, Call], *, callers: int = 1) -> Iterator[Traffic]:
    """Have each client ask in ``callers`` threads, none of which begins with the same call, during the ``with``."""
    running = Traffic()
    threads = []
    for number, client in enumerate(clients * callers):
        names = list(calls)[number:] + list(calls)[:number]
        threads.append(threading.Thread(target=running.ask, args=(client, {name: calls[name] for name in names})))
    for thread in threads:
        thread.start()
    try:
        yield running
    finally:
        running.stopping.set()
        for thread in threads:
            thread.join()
