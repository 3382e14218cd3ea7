"""The demo: make a corpus, fit factors, serve both on a real socket, and attribute answers over gRPC."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from whence import Attribution, Client, Query
from whence_backends.corpus import Corpus, IngestConfig, ingest
from whence_backends.demo.lexical import bm25_rankings
from whence_backends.demo.subjects import Question, Subject
from whence_backends.ekfac.factors import Factors
from whence_backends.fit import FitConfig, FitProgress, fit
from whence_backends.models import Tokenizer, resolve_model
from whence_backends.worker.config import WorkerSettings
from whence_service.frontend.config import FrontEndSettings
from whence_service.frontend.embedded import embedded

# Number of sequences in a ranking, among which sources are looked up.
DEPTH: Final = 100
# Enough for a scan of real text on two cores.
_PATIENCE_S: Final = 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The artefacts of a subject. ``index`` is ``None`` where every search is to be a scan."""

    corpus: Path
    factors: Factors
    index: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A question with its attribution, and the ranks of its sources by influence and by BM25, from 1.

    A rank is ``None`` if the source is not among the first :data:`DEPTH`.
    """

    question: Question
    attribution: Attribution
    ranks: tuple[int | None, ...]
    bm25_ranks: tuple[int | None, ...]


def prepare(subject: Subject, folder: Path, progress: Callable[[FitProgress], None]) -> Prepared:
    """Make the corpus and fit the factors in ``folder``. Existing artefacts are reused."""
    corpus = folder / "corpus"
    ingest(
        IngestConfig(
            inputs=(subject.documents,),
            out=corpus,
            tokenizer=Tokenizer.load(resolve_model(subject.model)),
            policy=subject.policy,
        )
    )
    config = FitConfig(
        model=subject.model,
        out=folder / "factors",
        precision=subject.precision,
        max_sequences=subject.max_sequences,
        batch_tokens=2048,
    )
    return Prepared(corpus=corpus, factors=fit(config, Corpus.open(corpus), progress))


@contextmanager
def serving(subject: Subject, prepared: Prepared, address: str = "127.0.0.1:0") -> Iterator[str]:
    """Serve the subject for the duration of the context; yield the address, whose port is chosen where it is 0."""
    front = FrontEndSettings.load(address=address, max_deadline_s=_PATIENCE_S, drain_s=0.0, log_level="WARNING")
    worker = WorkerSettings.load(
        name=subject.name,
        model=subject.model,
        factors=prepared.factors.folder,
        corpus=prepared.corpus,
        index=prepared.index,
        precision=subject.precision,
        batch_tokens=2048,
        log_level="WARNING",
    )
    server = _Server(front, worker)
    try:
        yield server.start()
    finally:
        server.stop()


def ask(client: Client, subject: Subject, prepared: Prepared) -> Iterator[Answered]:
    """Attribute every question in one pass over the corpus, and compare with BM25."""
    queries = [Query.text(q.prompt, q.completion, query_id=q.id) for q in subject.questions]
    attributions = client.attribute_batch(queries, top_k=DEPTH, timeout_s=_PATIENCE_S)
    lexical = bm25_rankings(Corpus.open(prepared.corpus, verify=False), subject.questions, DEPTH)
    for question, attribution, ranking in zip(subject.questions, attributions, lexical, strict=True):
        yield Answered(
            question=question,
            attribution=attribution,
            ranks=ranks_of(question.sources, [hit.document_id for hit in attribution.positive]),
            bm25_ranks=ranks_of(question.sources, ranking),
        )


def in_detail(client: Client, answered: Answered, count: int) -> Attribution:
    """Return the attribution with its ``count`` best hits, split by layer and token."""
    question, hits = answered.question, []
    for hit in answered.attribution.positive[:count]:
        parts = client.explain(
            prompt=question.prompt,
            completion=question.completion,
            sequence_id=hit.sequence_id,
            timeout_s=_PATIENCE_S,
        )
        hits.append(replace(hit, layer_influence=parts.layer_influence, tokens=parts.tokens))
    return replace(answered.attribution, positive=tuple(hits))


def ranks_of(sources: Sequence[str], ranking: Sequence[str]) -> tuple[int | None, ...]:
    """Return the rank of each source's best sequence, best source first; ``None`` for sources that are missing."""
    ranks = sorted(ranking.index(source) + 1 for source in sources if source in ranking)
    return (*ranks, *[None] * (len(sources) - len(ranks)))


def mean_reciprocal_rank(ranks: Sequence[tuple[int | None, ...]]) -> float:
    """Return the mean over questions of 1 / rank of the best-ranked source, 0 if none is ranked."""
    return sum(1 / best[0] if best and best[0] else 0.0 for best in ranks) / max(1, len(ranks))


class _Server:
    """Front end and worker on an event loop in a separate thread, controlled by :meth:`start` and :meth:`stop`."""

    def __init__(self, front: FrontEndSettings, worker: WorkerSettings) -> None:
        self._front, self._worker = front, worker
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._address = ""
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="whence-demo-server")

    def start(self) -> str:
        """Start the server and return its address once the model is served. Raises the server's own error."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self._address

    def stop(self) -> None:
        """Drain the server and wait for its end."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # raised in the thread that called start
            self._failure = error
        finally:
            self._loop.close()
            self._ready.set()

    async def _serve(self) -> None:
        async with embedded(self._front, self._worker) as front_end:
            self._address = await front_end.start()
            self._ready.set()
            await self._stopping.wait()
            await front_end.stop()
