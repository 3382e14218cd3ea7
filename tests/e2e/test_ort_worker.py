"""The engine ort beside pytorch, on a trained model: the same answers, one cache, and no torch where it runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from distributions import needed_by
from e2e.harness import Artefacts, Launcher, Process, launcher
from whence import Client, Query
from whence_backends.batching import plan_batches
from whence_backends.contract import Engine, EngineConfig, TokenSequence
from whence_backends.corpus import Corpus
from whence_backends.demo.run import prepare
from whence_backends.demo.subjects import tiny
from whence_backends.engines import load_engine
from whence_backends.export import ExportConfig, export
from whence_backends.models import Tokenizer, resolve_model

ROOT = Path(__file__).parents[2]
SUBJECT = tiny()
TOP = 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass(frozen=True, kw_only=True)
class Engines:
    """The demo's artefacts, with its model as each engine takes it."""

    pytorch: Artefacts
    ort: Artefacts

    def load(self, name: str) -> Engine:
        artefacts: Artefacts = getattr(self, name)
        return load_engine(name, EngineConfig(model=str(artefacts.model), factors=artefacts.factors, device="cpu"))


@pytest.fixture(scope="session")
def export_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(ExportConfig(model=SUBJECT.model, out=tmp_path_factory.mktemp("export") / "export")).folder


@pytest.fixture(scope="module", params=[8, pytest.param(1, marks=pytest.mark.exhaustive)], ids="every-{}".format)
def engines(request: pytest.FixtureRequest, export_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Engines:
    """The demo, made of every eighth of its documents, or of all."""
    folder = tmp_path_factory.mktemp("demo")
    documents = folder / "documents.jsonl"
    rows = SUBJECT.documents.read_text(encoding="utf-8").splitlines(keepends=True)
    documents.write_text("".join(rows[:: request.param]), encoding="utf-8")
    prepared = prepare(replace(SUBJECT, documents=documents), folder, lambda _: None)
    pytorch = Artefacts(model=Path(SUBJECT.model), corpus=prepared.corpus, factors=prepared.factors.folder)
    return Engines(pytorch=pytorch, ort=replace(pytorch, model=export_folder))


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launcher]:
    with launcher(tmp_path) as starting:
        yield starting


def test_they_rank_the_whole_corpus_alike(engines: Engines) -> None:
    """The top 20 of several questions, and every influence of all sequences to 1e-4 of the largest."""
    corpus = Corpus.open(engines.ort.corpus)
    queries = [_tokens(question.prompt, question.completion) for question in SUBJECT.questions[::6]]
    ours, theirs = (_scan(engines.load(name), queries, corpus) for name in ("ort", "pytorch"))
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()
    assert _best(ours) == _best(theirs)


def _tokens(prompt: str, completion: str) -> TokenSequence:
    ids, start = Tokenizer.load(resolve_model(SUBJECT.model)).encode_query(prompt, completion, prefix_bos=True)
    weights = np.zeros(len(ids), np.float32)
    weights[start:] = 1
    return TokenSequence(token_ids=np.array(ids, np.int32), weights=weights)


def _scan(engine: Engine, queries: list[TokenSequence], corpus: Corpus) -> np.ndarray:
    prepared = engine.precondition(engine.query_gradients(queries), 0.1)
    found = np.zeros((len(queries), corpus.sequences))
    for batch in plan_batches(corpus.all_lengths(), 4096):
        found[:, batch] = engine.score(prepared, corpus.tokens_at(batch.tolist()))
    return found


def _best(influences: np.ndarray) -> list[list[int]]:
    return np.argsort(-influences, axis=1, kind="stable")[:, :TOP].tolist()


def _serve(launch: Launcher, worker: Process) -> Client:
    front = launch.front(worker)
    for process in (worker, front):
        process.wait_for("serving")
    return Client(front.address, retry=None, timeout_s=120)


@pytest.mark.parametrize("order", [("pytorch", "ort"), ("ort", "pytorch")], ids="-then-".join)
def test_a_gradient_that_one_engine_computed_serves_the_other(
    engines: Engines, launch: Launcher, redis_url: str, order: tuple[str, str]
) -> None:
    settings = {"REDIS_URL": redis_url, "REDIS_TIMEOUT_S": "10"}
    workers = [
        launch.start(
            ("worker", *getattr(engines, name).options(), "--engine", name, "--address", "127.0.0.1:0"),
            {f"WHENCE_WORKER_{key}": value for key, value in {"DRAIN_S": "0", **settings}.items()},
            path=None,
        )
        for name in order
    ]
    query = Query.text("The river of Myrrenland is", f" {order[0]}")  # of this case alone
    texts = ["The capital of Myrrenland is Marrford.", "A river."]
    tables = []
    for worker in workers:
        with _serve(launch, worker) as client:
            tables.append(client.score(query, texts=texts))
    counts = [
        worker.metrics().value("whence_engine_job_duration_seconds_count", stage="forward_backward")
        for worker in workers
    ]
    assert counts == [1, 0]
    assert tables[0].log_likelihood == tables[1].log_likelihood
    np.testing.assert_allclose(tables[1].influence, tables[0].influence, rtol=1e-3)


def _installed(folder: Path) -> None:
    """Install whence[onnx] with pip, from the index, in the versions of constraints.txt."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    subprocess.run([*pip, "install", "--constraint", ROOT / "constraints.txt", f"{ROOT}[onnx]"], check=True)


def _linked(folder: Path) -> None:
    """Link what whence[onnx] asks for, and what that asks for, to where it is installed here."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    for distribution in needed_by("whence", "onnx"):
        for path in distribution.files or ():
            top = path.parts[0]
            if top not in ("..", "__pycache__") and not top.endswith(".pth") and not (packages / top).exists():
                (packages / top).symlink_to(distribution.locate_file(top))
    sources = (str(ROOT / folder) for folder in ("clients/python", "service", "backends"))
    (packages / "whence.pth").write_text("\n".join(sources))


@pytest.fixture(scope="module", params=[_linked, pytest.param(_installed, marks=pytest.mark.exhaustive)])
def bare(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The python of a new environment with whence[onnx] and nothing else."""
    folder = tmp_path_factory.mktemp("bare") / "environment"
    request.param(folder)
    return str(folder / "bin" / "python")


def _packages(python: str) -> set[str]:
    names = "from importlib.metadata import distributions as d; print(*{one.name.lower() for one in d()})"
    return set(subprocess.run([python, "-c", names], capture_output=True, text=True, check=True).stdout.split())


def test_a_worker_answers_over_grpc_from_an_environment_without_torch(
    engines: Engines, launch: Launcher, bare: str
) -> None:
    installed = _packages(bare)
    assert {"onnxruntime", "whence"} <= installed
    assert not {"torch", "gguf"} & installed
    # No --engine: an export is for ort.
    arguments = ("worker", *engines.ort.options(), "--name", "tiny", "--address", "127.0.0.1:0")
    worker = launch.start(arguments, {"WHENCE_WORKER_DRAIN_S": "0"}, path=None, python=bare)
    question = SUBJECT.questions[0]
    with _serve(launch, worker) as client:
        answer = client.attribute(Query.text(question.prompt, question.completion), top_k=TOP, include_tokens=True)
    assert answer.provenance.engine == "ort/float32"
    assert answer.sequences_scored == Corpus.open(engines.ort.corpus).sequences
    theirs = _scan(
        engines.load("pytorch"), [_tokens(question.prompt, question.completion)], Corpus.open(engines.pytorch.corpus)
    )
    corpus = Corpus.open(engines.pytorch.corpus)
    assert [hit.sequence_id for hit in answer.positive] == [corpus.record(i).sequence_id for i in _best(theirs)[0]]


def test_a_command_that_needs_torch_says_how_to_get_it_there(bare: str, tmp_path: Path) -> None:
    command = [bare, "-m", "whence", "export", "--model", SUBJECT.model, "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "whence[export]" in done.stderr
