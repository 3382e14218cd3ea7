"""A subject behind client, front end and worker, over real sockets; its training sequences are a real corpus."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from conformance.characters import text_of
from conformance.subjects import Case, InProcess
from whence import Client, Query
from whence_backends.contract import Detail, TokenSequence
from whence_backends.corpus import ChunkPolicy, Columns, IngestConfig, ingest
from whence_backends.ekfac.factors import Factors
from whence_backends.models.source import resolve_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.worker.config import WorkerSettings
from whence_service.frontend.config import FrontEndSettings
from whence_service.frontend.embedded import embedded


@dataclass(frozen=True, kw_only=True)
class OverTheWire:
    """Score for totals and layers, Explain for layers × tokens; influence · N is the raw influence.

    A sequence of the corpus is named by its id, any other is sent as text. Queries are sent as token ids, so their
    weights must be those of a completion: 0, then 1 from some token to the end.
    """

    case: Case
    factors: Factors
    model: Path
    items: list[TokenSequence]
    client: Client
    ids: dict[bytes, str] = field(repr=False)

    def influences(
        self,
        queries: list[TokenSequence],
        items: list[TokenSequence],
        *,
        detail: Detail = Detail.TOTAL,
        damping_factor: float = 0.1,
    ) -> np.ndarray:
        N = self.factors.card.training_set_size
        if detail is Detail.LAYERS_TOKENS:
            return N * self._explained(queries, items, damping_factor)
        by_id = [item for item in items if _key(item) in self.ids]
        by_text = [item for item in items if _key(item) not in self.ids]
        table = self.client.score(
            [as_query(query) for query in queries],
            sequence_ids=[self.ids[_key(item)] for item in by_id],
            texts=[as_text(item) for item in by_text],
            damping_factor=damping_factor,
            include_layers=detail is Detail.LAYERS,
        )
        order = [_place(item, by_id + by_text) for item in items]
        return N * np.array(table.influence if detail is Detail.TOTAL else table.layer_influence)[:, order]

    def log_likelihoods(self, queries: list[TokenSequence]) -> list[float]:
        asked = [as_query(query) for query in queries]
        return list(self.client.score(asked, sequence_ids=[next(iter(self.ids.values()))]).log_likelihood)

    def _explained(self, queries: list[TokenSequence], items: list[TokenSequence], damping_factor: float) -> np.ndarray:
        layers, longest = len(self.factors.card.layers), max(len(item.token_ids) for item in items)
        parts = np.zeros((len(queries), len(items), layers, longest))
        for q, query in enumerate(queries):
            for b, item in enumerate(items):
                known = self.ids.get(_key(item))
                named = {"sequence_id": known} if known else {"text": as_text(item)}
                answer = self.client.explain(as_query(query), **named, damping_factor=damping_factor)
                parts[q, b, :, : len(item.token_ids)] = answer.parts
        return parts


def as_query(query: TokenSequence) -> Query:
    """Return the query over the wire; its measured tokens must be its last ones."""
    start = int(np.flatnonzero(query.weights)[0])
    assert set(query.weights[start:].tolist()) == {1.0}, "only a completion can be asked for over the wire"
    return Query.tokens(query.token_ids.tolist(), start)


def as_text(item: TokenSequence) -> str:
    """Return the text of a training sequence all of whose tokens count."""
    assert item.weights[1:].all(), "a text has no masked prompt"
    return text_of(item.token_ids)


@contextmanager
def over_the_wire(subject: InProcess, folder: Path) -> Iterator[OverTheWire]:
    """Serve what ``subject`` is made of, by a front end and a worker of their own."""
    model = Path(subject.config.model)
    corpus = write_corpus(subject.items, folder, model)
    worker = WorkerSettings(
        model=str(model), factors=subject.factors.folder, corpus=corpus, engine=subject.case.engine,
        precision=subject.case.precision, device="cpu", batch_tokens=64,
    )  # fmt: skip
    with serving(worker) as address, Client(address, timeout_s=60) as client:
        ids = {_key(item): f"{number}#0" for number, item in enumerate(subject.items)}
        yield OverTheWire(
            case=subject.case, factors=subject.factors, model=subject.model, items=subject.items, client=client, ids=ids
        )


def write_corpus(items: Sequence[TokenSequence], folder: Path, model: Path) -> Path:
    """Ingest the sequences as texts, a masked prompt as the prompt; two shards."""
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps(_row(number, item)) + "\n" for number, item in enumerate(items)))
    tokenizer = Tokenizer.load(resolve_model(str(model)))
    columns = Columns(prompt_field="prompt", completion_field="completion")
    half = sum(len(item.token_ids) for item in items) // 2
    config = IngestConfig(
        inputs=[rows], out=folder / "corpus", tokenizer=tokenizer, policy=ChunkPolicy(max_tokens=64),
        columns=columns, shard_tokens=half + 20, strict=True,
    )  # fmt: skip
    report = ingest(config)
    assert report.sequences == len(items)
    return config.out


def _row(number: int, item: TokenSequence) -> dict[str, str]:
    start = int(np.flatnonzero(item.weights)[0])
    text, prompt = text_of(item.token_ids), start if start > 1 else 0
    return {"id": str(number), "prompt": text[:prompt], "completion": text[prompt:]}


@contextmanager
def serving(worker: WorkerSettings) -> Iterator[str]:
    """Run a front end with its worker on the event loop of a thread; give the front end's address."""
    front = FrontEndSettings(address="127.0.0.1:0", drain_s=0.0, grace_s=1.0, reflection=False)
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        told = asyncio.Event()
        async with embedded(front, worker, CollectorRegistry()) as front_end:
            started.set_result((await front_end.start(), asyncio.get_running_loop(), told))
            await told.wait()
            await front_end.stop()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        address, loop, told = started.result(timeout=60)
        try:
            yield address
        finally:
            loop.call_soon_threadsafe(told.set)
    finally:
        thread.join()


def _key(item: TokenSequence) -> bytes:
    return item.token_ids.tobytes() + item.weights.tobytes()


def _place(item: TokenSequence, among: Sequence[TokenSequence]) -> int:
    return next(place for place, other in enumerate(among) if other is item)
