"""What end-to-end tests share: artefacts on disk, processes with their logs, metrics pages, brute force."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from conformance.characters import CHARACTERS, write_tokenizer
from whence import Attribution, Client, Hit, Query
from whence_backends.contract import EngineConfig
from whence_backends.corpus import ChunkPolicy, Corpus, IngestConfig, ingest
from whence_backends.ekfac.factors import Factors
from whence_backends.engines import load_engine
from whence_backends.engines.fake import FakeModel, fit_fake
from whence_backends.index import IndexConfig, build_index
from whence_backends.models.source import resolve_model
from whence_backends.models.text.tokenizer import Tokenizer

WITHOUT_TORCH = Path(__file__).parent / "site"
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
QUERY = Query.text("the keeper lit ", "the lamp")
STARTUP_S = 60


@dataclass(frozen=True, kw_only=True)
class Artefacts:
    """A model, its corpus and its factors on disk."""

    model: Path
    corpus: Path
    factors: Path
    index: Path | None = None
    certificate: Path | None = None

    def options(self) -> list[str]:
        """Return the options of ``whence worker`` and ``whence serve --embedded``."""
        given = ["--model", str(self.model), "--factors", str(self.factors), "--corpus", str(self.corpus)]
        optional = {"--index": self.index, "--certificate": self.certificate}
        return [*given, *(text for name, path in optional.items() if path is not None for text in (name, str(path)))]

    def open_corpus(self) -> Corpus:
        return Corpus.open(self.corpus)


def make_artefacts(root: Path, *, documents: int = 60, seed: int = 0, **tokenizer: Any) -> Artefacts:
    """A fake model with a tokenizer of characters, a corpus of two shards, factors fitted on it."""
    model = root / "model"
    FakeModel.random(len(CHARACTERS), seed=seed).save(model)
    write_tokenizer(model, **tokenizer)
    corpus = make_corpus(root, model, documents=documents)
    fit_fake(model, Corpus.open(corpus), root / "factors")
    return Artefacts(model=model, corpus=corpus, factors=root / "factors")


def make_index(artefacts: Artefacts, folder: Path, **options: Any) -> Artefacts:
    """Index the corpus with the fake engine; small sketches, so that its estimates are rough."""
    config = EngineConfig(model=str(artefacts.model), factors=artefacts.factors)
    small = {"width": 512, "keep": 0.5, "layer_groups": 1, **options}
    build_index(
        IndexConfig(model=str(artefacts.model), out=folder, **small),
        load_engine("fake", config),
        Factors.open(artefacts.factors),
        artefacts.open_corpus(),
    )
    return replace(artefacts, index=folder)


def make_corpus(root: Path, model: Path, *, documents: int = 60) -> Path:
    """Documents of one to eleven words, cut into sequences of at most 40 characters."""
    rows, random = root / "documents.jsonl", np.random.default_rng(1)
    with rows.open("w") as file:
        for number in range(documents):
            text = " ".join(random.choice(WORDS, random.integers(1, 12)))
            source = "log" if number % 2 else "tale"
            row = {"id": f"doc{number}", "source": source, "text": text, "year": 1900 + number}
            row["tags"] = ["yarnspun", f"by {number % 3}"]
            file.write(json.dumps(row) + "\n")
    tokenizer = Tokenizer.load(resolve_model(str(model)))
    policy = ChunkPolicy(max_tokens=40)
    shard_tokens = documents * 20  # more than half of them
    config = IngestConfig(
        inputs=[rows], out=root / "corpus", tokenizer=tokenizer, policy=policy, shard_tokens=shard_tokens
    )
    assert ingest(config).shards == 2
    return config.out


@dataclass(kw_only=True)
class Process:
    """A ``whence`` process that logs JSON lines to a file."""

    process: subprocess.Popen[bytes]
    log: Path
    metrics_address: str
    arguments: tuple[str, ...]

    def wait_for(self, event: str, *, service: str = "") -> dict[str, Any]:
        """Return the first log line of that event (and service); fails with the log where the process ends instead."""

        def logged() -> dict[str, Any] | None:
            found = next((line for line in self.lines() if line["event"] == event and service in str(line)), None)
            assert found or self.process.poll() is None, f"ended without {event!r}: {self.log.read_text()}"
            return found

        return until(logged, timeout_s=STARTUP_S)

    @property
    def address(self) -> str:
        return str(self.wait_for("listening")["address"])

    def lines(self) -> list[dict[str, Any]]:
        """Return the complete lines logged so far."""
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def metrics(self) -> Metrics:
        return Metrics(self.page())

    def page(self, accept: str = "text/plain") -> str:
        """Return the page of metrics in a format."""
        request = urllib.request.Request(f"http://{self.metrics_address}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=10) as page:
            return page.read().decode()

    def libraries(self) -> str:
        """Return the paths of everything that is mapped into its memory."""
        return Path(f"/proc/{self.process.pid}/maps").read_text()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def exit_code(self) -> int:
        return self.process.wait(timeout=30)


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """Starts processes and kills those that are left at the end. ``folder`` holds their logs."""

    folder: Path
    processes: list[Process] = field(default_factory=list)

    def worker(
        self,
        artefacts: Artefacts,
        *options: str,
        engine: str = "fake",
        address: str = "127.0.0.1:0",
        **environment: str,
    ) -> Process:
        """Start a worker; ``environment`` is its settings in capitals, without the prefix."""
        settings = {f"WHENCE_WORKER_{name}": value for name, value in {"DRAIN_S": "0", **environment}.items()}
        arguments = (
            "worker",
            *artefacts.options(),
            "--name",
            "tiny",
            "--engine",
            engine,
            "--address",
            address,
            *options,
        )
        return self.start(arguments, settings)

    def front(self, *workers: Process | str, **environment: str) -> Process:
        """Start a front end for running workers."""
        addresses = [worker if isinstance(worker, str) else worker.address for worker in workers]
        quick = {"DRAIN_S": "0", "REFRESH_S": "0.5", **environment}
        settings = {f"WHENCE_{name}": value for name, value in quick.items()}
        named = [option for address in addresses for option in ("--worker", address)]
        return self.start(("serve", *named, "--address", "127.0.0.1:0"), settings)

    def start(
        self,
        arguments: Sequence[str],
        settings: Mapping[str, str],
        *,
        path: Path | None = WITHOUT_TORCH,
        python: str = sys.executable,
    ) -> Process:
        """Start a command in the environment that ``python`` belongs to."""
        log, metrics = self.folder / f"{len(self.processes)}.log", f"127.0.0.1:{free_port()}"
        whole = (*arguments, "--metrics-address", metrics, "--log-format", "json")
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [python, "-m", "whence", *whole], env=environment(settings, path), stderr=stream, stdout=stream
            )
        started = Process(process=process, log=log, metrics_address=metrics, arguments=whole)
        self.processes.append(started)
        return started

    def stop(self) -> None:
        for process in self.processes:
            process.kill()


@contextmanager
def launcher(folder: Path) -> Iterator[Launcher]:
    """Give a launcher whose processes end with the ``with``."""
    starting = Launcher(folder=folder)
    try:
        yield starting
    finally:
        starting.stop()


class Metrics:
    """A parsed page of metrics."""

    def __init__(self, page: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(page)}

    def value(self, sample: str, **labels: str) -> float:
        """Return the sum of the samples of that name whose labels include ``labels``."""
        found = [one for family in self.families.values() for one in family.samples if one.name == sample]
        return sum(one.value for one in found if labels.items() <= one.labels.items())

    def labels(self, family: str, label: str) -> set[str]:
        """Return the values that a label takes."""
        return {one.labels[label] for one in self.families[family].samples if label in one.labels}


def environment(settings: Mapping[str, str], path: Path | None) -> dict[str, str]:
    """Return the environment of a process, in which nothing of this one's configures Whence."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WHENCE_")}
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    others = os.environ.get("PYTHONPATH")
    found = {"PYTHONPATH": os.pathsep.join(filter(None, (str(path), others)))} if path else {}
    return {**kept, **quiet, **found, **settings}


def whence(*arguments: str, server: str = "", path: Path | None = WITHOUT_TORCH, **settings: str) -> Any:
    """Run a command to its end; its output is captured as text."""
    given = {"WHENCE_SERVER": server, **settings} if server else settings
    return subprocess.run(
        [sys.executable, "-m", "whence", *arguments],
        env=environment(given, path), capture_output=True, text=True, encoding="utf-8", timeout=60,
    )  # fmt: skip


def free_port() -> int:
    """Return a port that is free at the moment, of those that the kernel gives to nobody who asks for any."""
    while True:
        port = random.randrange(20_000, 32_768)
        with closing(socket.socket()) as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def until(condition: Callable[[], Any], *, timeout_s: float = 20) -> Any:
    """Wait until a condition holds in another process, and return what it gave."""
    give_up = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.02)
    return found


def influences(client: Client, artefacts: Artefacts, query: Query = QUERY) -> dict[str, float]:
    """Return the influence of every sequence by its id, each asked for by its name."""
    corpus = artefacts.open_corpus()
    ids = [corpus.record(position).sequence_id for position in range(corpus.sequences)]
    return dict(zip(ids, client.score(query, sequence_ids=ids).influence[0], strict=True))


def ranked(hits: Sequence[Hit]) -> list[tuple[str, float]]:
    """Return a ranking as ids and raw influences, to the last bit."""
    return [(hit.sequence_id, hit.raw_influence) for hit in hits]


def told(answer: Attribution) -> Attribution:
    """Return all of an answer but what differs from call to call."""
    return replace(answer, timings={}, request_id="")


def plain(text: str) -> str:
    """Return terminal output without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
