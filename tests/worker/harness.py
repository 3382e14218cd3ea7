"""What worker tests share: an engine small enough to check by hand, artefacts on disk, and a client."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from whence import status
from whence.errors import WhenceError
from whence.v1 import attribution_pb2, query_pb2
from whence.worker.v1 import worker_service_pb2 as pb
from whence.worker.v1 import worker_service_pb2_grpc as stubs
from whence_backends.contract import (
    Detail,
    EngineInfo,
    LayerGradient,
    LayerSpec,
    QueryGradient,
    TokenSequence,
)
from whence_backends.ekfac.factors import FORMAT, FactorsCard
from whence_backends.models.source import resolve_model
from whence_backends.store import ArtefactWriter
from whence_backends.worker.config import WorkerSettings
from whence_backends.worker.runtime.records import CacheOutcome, CacheRecord, WorkerRecord
from whence_backends.worker.serving.server import Worker

CHARACTERS = "<^> abcdefghijklmnopqrstuvwxyz.,!"
VOCABULARY = len(CHARACTERS)
LAYERS = (
    LayerSpec(name="up", d_in=3, d_out=4, bias=True),
    LayerSpec(name="down", d_in=4, d_out=2, bias=False),
)
N = 1000
CHAT_TEMPLATE = "{% for m in messages %}<{{ m.content }}>{% endfor %}{% if add_generation_prompt %}<{% endif %}"
WORDS = [
    "owl",
    "ship",
    "light",
    "storm",
    "keeper",
    "harbour",
    "night",
    "sea",
    "lamp",
    "oil",
    "gull",
    "rope",
    "salt",
    "wind",
    "fog",
    "bell",
]


class StubEngine:
    """An engine in float64: token t of a layer adds weights[t+1] · s[id_t] a[id_t]ᵀ to the gradient.

    Its bases are the identity. ``before`` runs at the start of every call, on the engine's thread.
    """

    def __init__(self, model_digest: str, factors_digest: str) -> None:
        random = np.random.default_rng(0)
        self.a = [random.normal(size=(VOCABULARY, layer.d_in)) for layer in LAYERS]
        self.s = [random.normal(size=(VOCABULARY, layer.d_out)) for layer in LAYERS]
        self.Lambda = [random.uniform(0.5, 2.0, (layer.d_out, layer.d_in)) for layer in LAYERS]
        self.calls: list[str] = []
        self.batches: list[list[bytes]] = []
        self.before: Callable[[str], None] = lambda _: None
        self.poisoned_token: int | None = None
        self.info = EngineInfo(
            engine="stub",
            precision="float64",
            device="cpu",
            layers=LAYERS,
            max_tokens=64,
            vocabulary_size=VOCABULARY,
            parameters=40,
            model_digest=model_digest,
            factors_digest=factors_digest,
        )

    def query_gradients(self, queries: Sequence[TokenSequence]) -> list[QueryGradient]:
        self._enter("query_gradients")
        return [self._gradient(query) for query in queries]

    def precondition(self, gradients: Sequence[QueryGradient], damping_factor: float) -> Any:
        self._enter("precondition")
        dampings = [damping_factor * Lambda.mean() for Lambda in self.Lambda]
        return [
            [
                layer.left.T @ layer.right / (Lambda + damping)
                for layer, Lambda, damping in zip(gradient.layers, self.Lambda, dampings, strict=True)
            ]
            for gradient in gradients
        ]

    def score(
        self, preconditioned: Any, sequences: Sequence[TokenSequence], detail: Detail = Detail.TOTAL
    ) -> np.ndarray:
        self._enter("score")
        self.batches.append([sequence.token_ids.tobytes() for sequence in sequences])
        return pad([self._parts(preconditioned, sequence, detail) for sequence in sequences])

    def device_memory_bytes(self) -> int:
        return 1 << 20

    def close(self) -> None:
        self._enter("close")

    def count(self, call: str) -> int:
        return self.calls.count(call)

    def _enter(self, call: str) -> None:
        self.calls.append(call)
        self.before(call)

    def _parts(self, preconditioned: Any, sequence: TokenSequence, detail: Detail) -> np.ndarray:
        """One sequence's influences [Q, L, T], summed as ``detail`` says; without padding."""
        parts = np.zeros((len(preconditioned), len(LAYERS), len(sequence.token_ids)))
        for layer, (gradient, by_query) in enumerate(
            zip(self._gradient(sequence).layers, zip(*preconditioned, strict=True), strict=True)
        ):
            for query, V in enumerate(by_query):
                parts[query, layer, :-1] = np.einsum("to,oi,ti->t", gradient.left, V, gradient.right)
        if detail is Detail.LAYERS_TOKENS:
            return parts
        return parts.sum(axis=2) if detail is Detail.LAYERS else parts.sum(axis=(1, 2))

    def _gradient(self, sequence: TokenSequence) -> QueryGradient:
        inputs, weights = sequence.token_ids[:-1], sequence.weights[1:].astype(np.float64)
        layers = tuple(
            LayerGradient(left=s[inputs] * weights[:, None], right=a[inputs])
            for a, s in zip(self.a, self.s, strict=True)
        )
        if self.poisoned_token in sequence.token_ids.tolist():
            layers[0].left[0] = np.nan
        return QueryGradient(layers=layers, log_likelihood=-float((sequence.token_ids * sequence.weights).sum()) / 7)


def pad(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Join the influences [Q, ...] of sequences to [Q, B, ...], with zeros beyond the end of the shorter."""
    longest = max(part.shape[-1] for part in parts) if parts[0].ndim == 3 else 0
    padded = [np.pad(part, [(0, 0), (0, 0), (0, longest - part.shape[2])]) if longest else part for part in parts]
    return np.stack(padded, axis=1)


@dataclass(frozen=True, kw_only=True)
class Artefacts:
    """A model, its corpus and its factors on disk."""

    model: Path
    corpus: Path
    factors: Path

    def settings(self, **changes: Any) -> WorkerSettings:
        given: dict[str, Any] = {
            "model": str(self.model),
            "corpus": self.corpus,
            "factors": self.factors,
            "name": "tiny",
            "address": "127.0.0.1:0",
            "precision": "float64",
            "batch_tokens": 256,
            "drain_s": 0,
            "grace_s": 2,
            "redis_timeout_s": 10,
        }
        return WorkerSettings(**{**given, **changes})


@dataclass(kw_only=True)
class Running:
    """A worker that serves, what it does inside, and a client for it."""

    worker: Worker
    engine: StubEngine
    records: list[WorkerRecord]
    address: str
    stub: stubs.WorkerServiceAsyncStub
    channel: grpc.aio.Channel
    generation: pb.Generation = field(default_factory=pb.Generation)

    def is_idle(self) -> bool:
        """Whether no call waits for the engine."""
        return self.worker._thread.waiting == 0

    async def info(self) -> pb.GetInfoResponse:
        return await self.stub.GetInfo(pb.GetInfoRequest())

    async def prepare(self, *queries: query_pb2.Query) -> pb.PrepareQueriesResponse:
        request = pb.PrepareQueriesRequest(generation=self.generation, queries=queries)
        return await self.stub.PrepareQueries(request)

    def scan_request(self, *queries: query_pb2.Query, **changes: Any) -> pb.ScanRequest:
        given: dict[str, Any] = {
            "generation": self.generation,
            "queries": queries,
            "shards": [shard.shard for shard in self.shards],
            "top_k": 5,
            "direction": attribution_pb2.DIRECTION_BOTH,
            "preconditioning": pb.Preconditioning(damping_factor=0.1),
        }
        return pb.ScanRequest(**{**given, **changes})

    async def scan(self, *queries: query_pb2.Query, **changes: Any) -> pb.ScanResponse:
        responses = [response async for response in self.stub.Scan(self.scan_request(*queries, **changes))]
        assert responses[-1].done
        return responses[-1]

    async def score(self, **request: Any) -> pb.ScoreSequencesResponse:
        how = pb.Preconditioning(damping_factor=0.1)
        given = {"generation": self.generation, "preconditioning": how, "detail": pb.DETAIL_TOTAL}
        return await self.stub.ScoreSequences(pb.ScoreSequencesRequest(**{**given, **request}))

    def outcomes(self, layer: str, operation: str = "get") -> list[CacheOutcome]:
        caches = [record for record in self.records if isinstance(record, CacheRecord)]
        return [record.outcome for record in caches if (record.layer, record.operation) == (layer, operation)]

    @property
    def shards(self) -> Sequence[pb.CorpusShard]:
        return self._shards

    async def connect(self) -> None:
        info = await self.info()
        model = info.model
        self._shards = list(info.shards)
        self.generation = pb.Generation(
            model_digest=model.model_digest,
            factors_digest=model.factors_digest,
            corpus_digest=model.corpus_digest,
        )


Serve = Callable[..., AbstractAsyncContextManager[Running]]


@dataclass(kw_only=True)
class RedisServer:
    """A real redis-server on a unix socket."""

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def make_engine(artefacts: Artefacts) -> StubEngine:
    manifest = json.loads((artefacts.factors / "manifest.json").read_text())
    return StubEngine(manifest["properties"]["model_digest"], manifest["digest"])


def write_model(folder: Path) -> Path:
    """A model folder whose tokenizer has one token for each character, and whose weights nobody runs."""
    vocabulary = {character: number for number, character in enumerate(CHARACTERS)}
    backend = Backend(models.WordLevel(vocabulary, unk_token="!"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    backend.decoder = decoders.Fuse()
    folder.mkdir(parents=True)
    backend.save(str(folder / "tokenizer.json"))
    names = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "^", "chat_template": CHAT_TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    save_file({"weight": np.arange(8, dtype=np.float32)}, folder / "model.safetensors")
    return folder


def write_factors(folder: Path, model: Path, **changes: Any) -> Path:
    """Write a manifest without arrays; an unnamed corpus raises no warning that it is another."""
    card = FactorsCard(
        model=str(model), model_digest=resolve_model(str(model)).digest, corpus_digest="", training_set_size=N,
        fitted_sequences=N, fitted_tokens=N, labels="sampled", seed=0, precision="float32", tracked="mlp",
        layers=LAYERS, parameters=0, unattributed={}, versions={},
    )  # fmt: skip
    ArtefactWriter(folder, FORMAT).finish([], {**card.as_properties(), **changes})
    return folder


def make_documents(count: int) -> list[dict[str, Any]]:
    random = np.random.default_rng(1)
    return [
        {
            "id": f"doc{i}",
            "source": "log" if i % 2 else "tale",
            "text": " ".join(random.choice(WORDS, random.integers(1, 12))),
            "year": 1900 + i,
        }
        for i in range(count)
    ]


def ask(prompt: str = "the keeper lit ", completion: str = "the lamp", query_id: str = "") -> query_pb2.Query:
    text = query_pb2.PromptCompletion(prompt=prompt, completion=completion)
    return query_pb2.Query(query_id=query_id, text=text)


async def failure(call: Any) -> WhenceError:
    """Await a call (or read a stream to its end) that must fail, and return its error as clients see it."""
    with pytest.raises(grpc.RpcError) as caught:
        await (drain(call) if hasattr(call, "__aiter__") else call)
    return status.from_call(caught.value)


async def drain(stream: Any) -> list[Any]:
    """Read a stream to its end."""
    return [response async for response in stream]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens on another thread or in another process."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)
