"""Callers with API keys, at real processes: what those see who may not read texts, by every command and call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from access.calls import OURS, SERVICE
from e2e.harness import QUERY, Artefacts, Process, launcher, make_artefacts, make_index, plain, ranked, whence
from whence import Client
from whence.v1 import attribution_service_pb2 as messages

ASK = ("--prompt", "the keeper lit ", "--completion", "the lamp")
COMMANDS = {
    "attribute": ("attribute", *ASK),
    "attribute --full-text": ("attribute", *ASK, "--full-text"),
    "score": ("score", *ASK, "--sequence-id", "doc3#0"),
    "explain": ("explain", *ASK, "--sequence-id", "doc3#0"),
    "outliers": ("outliers",),
    "groups": ("groups", *ASK, "--by", "document"),
}

# Of these, an answer to a reader has training data.
WITH_TEXTS = ("Attribute", "StreamAttribute", "BatchAttribute", "Score", "Explain", "SelfInfluence")


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """A front end that asks who calls, its worker, and the keys of two callers."""

    artefacts: Artefacts
    processes: tuple[Process, ...]
    address: str
    reader: str
    other: str

    @property
    def texts(self) -> set[str]:
        """The texts of the corpus that nothing but the corpus would have."""
        corpus = self.artefacts.open_corpus()
        return {text for n in range(corpus.sequences) if len(text := corpus.record(n).text) > 12}

    def client(self, key: str) -> Client:
        return Client(self.address, token=key, timeout_s=60)


def add_key(path: Path, *options: str) -> str:
    done = whence("keys", "add", "--file", str(path), "--subject", "s", "--tenant", "t", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    root = tmp_path_factory.mktemp("guarded")
    artefacts = make_index(make_artefacts(root), root / "index")
    keys = root / "keys.json"
    reader = add_key(keys, "--scope", "attribute", "--scope", "read-texts")
    other = add_key(keys)
    with launcher(root) as starting:
        worker = starting.worker(artefacts)
        front = starting.front(worker, KEYS_FILE=str(keys))
        for process in (worker, front):
            process.wait_for("serving")
        yield Guarded(artefacts=artefacts, processes=(worker, front), address=front.address, reader=reader, other=other)


def test_rankings_are_the_same_with_and_without_texts(guarded):
    with guarded.client(guarded.reader) as reader, guarded.client(guarded.other) as other:
        seen = reader.attribute(QUERY, include_tokens=True)
        kept = other.attribute(QUERY, include_tokens=True)
    assert ranked(seen.positive) == ranked(kept.positive)
    assert all(hit.text and hit.source and hit.metadata for hit in seen.positive)
    assert not any(hit.text or hit.source or hit.metadata for hit in kept.positive)
    for before, after in zip(seen.positive, kept.positive, strict=True):
        assert [token.influence for token in before.tokens] == [token.influence for token in after.tokens]
        assert {(token.text, token.start, token.end) for token in after.tokens} == {("", 0, 0)}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("form", ["", "--json"])
def test_every_command_does_without_texts(guarded, command, form):
    arguments = (*COMMANDS[command], *([form] if form else []))
    done = whence(*arguments, server=guarded.address, WHENCE_TOKEN=guarded.other)
    assert done.returncode == 0, done.stderr
    printed = " ".join(plain(done.stdout).split())
    assert "doc" in printed  # the id
    assert not [text for text in guarded.texts if " ".join(text.split()) in printed]


@pytest.mark.parametrize("method", OURS)
def test_no_byte_of_a_text_is_in_an_answer(guarded, method):
    asked = type(OURS[method])()
    asked.CopyFrom(OURS[method])
    if method == "GroupInfluence":
        asked.group_by = "document"
    if method == "TextOverlap":
        with pytest.raises(grpc.RpcError, match="read-texts"):
            answer(guarded.address, method, asked, guarded.other)
        return
    seen, kept = (answer(guarded.address, method, asked, key) for key in (guarded.reader, guarded.other))
    private = [text.encode() for text in guarded.texts] + [b"tale", b"yarnspun", b"year"]
    assert any(text in seen for text in private) is (method in WITH_TEXTS)
    assert not [text for text in private if text in kept]


def answer(address: str, method: str, request, key: str) -> bytes:
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_stream(f"{SERVICE}{method}")
        metadata = [("authorization", f"Bearer {key}")]
        return b"".join(call(request.SerializeToString(), metadata=metadata, timeout=60))


def test_a_benchmark_is_looked_for_in_texts_by_those_alone_who_may_read_them(guarded, tmp_path):
    items = tmp_path / "items.jsonl"
    items.write_text('{"prompt": "the keeper ", "completion": "lit the lamp"}\n')
    command = ("contamination", "--queries", str(items), "--out", str(tmp_path / "table.csv"))
    refused = whence(*command, server=guarded.address, WHENCE_TOKEN=guarded.other)
    assert refused.returncode == 1
    assert "read-texts" in refused.stderr
    done = whence(*command, server=guarded.address, WHENCE_TOKEN=guarded.reader)
    assert done.returncode == 0, done.stderr


def test_without_a_key_a_command_says_how_to_give_one(guarded):
    done = whence("models", server=guarded.address)
    assert done.returncode == 1
    assert "MISSING_CREDENTIALS" in done.stderr
    assert "WHENCE_TOKEN" in done.stderr


def test_doctor_works_with_a_key_and_without_one_says_what_is_missing(guarded):
    known = whence("doctor", server=guarded.address, WHENCE_TOKEN=guarded.other)
    assert "tiny" in known.stdout, known.stdout + known.stderr
    unknown = whence("doctor", server=guarded.address)
    assert "tiny" not in unknown.stdout
    assert "key" in plain(unknown.stdout + unknown.stderr)


def test_no_process_writes_a_key_into_its_log_or_its_metrics(guarded):
    wrong = guarded.reader[:-4] + "AAAA"
    with Client(guarded.address, token=wrong) as client, pytest.raises(Exception, match="not valid"):
        client.attribute(QUERY)
    for process in guarded.processes:
        written = process.log.read_text() + process.page()
        for key in (guarded.reader, guarded.other, wrong):
            assert key.split("_", 2)[2] not in written
    assert json.loads(guarded.processes[1].log.read_text().splitlines()[-1])


def test_the_service_is_the_one_of_the_table() -> None:
    methods = messages.DESCRIPTOR.services_by_name["AttributionService"].methods
    assert {method.name for method in methods} == set(OURS)
