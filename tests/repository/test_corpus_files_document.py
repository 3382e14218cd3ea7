"""The examples of docs/corpus.md on files, columns and sequences, run as they stand there."""

from __future__ import annotations

import gzip
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from whence.cli import app
from whence_backends.corpus import Corpus
from whence_backends.corpus.ingestion.config import DEFAULT_MAX_ROW_BYTES
from whence_backends.corpus.ingestion.file_kinds import KNOWN
from whence_backends.corpus.ingestion.report import BAD_ROWS_KEPT

ROWS = b"".join(b'{"text": "The owl keeps light %d.", "year": 1908}\n' % number for number in range(50))


@pytest.fixture(scope="module")
def document(root: Path) -> str:
    text = (root / "docs" / "corpus.md").read_text(encoding="utf-8")
    return text[: text.index("## Conversations")]


@pytest.fixture(scope="module")
def ran(document: str, root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """What each command prints, in a folder with the model and the data that the document speaks of."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "model").symlink_to(root / "backends" / "whence_backends" / "demo" / "model")
    (folder / "data").mkdir()
    torn = gzip.compress(ROWS[:200])[:10]
    files = {
        "rows.jsonl": ROWS,
        "README.md": b"About.",
        "notes.txt": b"A note.",
        "weights.bin": b"",
        "torn.jsonl.gz": torn,
    }
    for name, content in files.items():
        (folder / "data" / name).write_bytes(content)
    for name in ("tales", "letters"):
        (folder / f"{name}.csv").write_text(f"id,body\n1,The owl of the {name}\n2,The light\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        commands = [
            shlex.split(line)[1:] for line in "".join(re.findall(r"```sh\n(.*?)```", document, re.S)).splitlines()
        ]
        done = [CliRunner(env={"COLUMNS": "200"}).invoke(app, command) for command in commands]
    assert [result.exit_code for result in done] == [0] * len(commands), [result.output for result in done]
    return folder, [result.output for result in done]


def test_what_is_not_read_is_listed_as_it_says(ran: tuple[Path, list[str]], document: str) -> None:
    (listed,) = re.findall(r"```text\n(.*?)```", document, re.S)
    printed = " ".join(ran[1][0].split())
    assert [line for line in listed.splitlines() if line not in printed] == []


def test_ids_have_their_source_in_front(ran: tuple[Path, list[str]]) -> None:
    corpus = Corpus.open(ran[0] / "named")
    ids = [corpus.record(position).document_id for position in range(corpus.sequences)]
    assert ids == ["tales/1", "tales/2", "letters/1", "letters/2"]


def test_packed_sequences_are_as_long_as_it_says(ran: tuple[Path, list[str]]) -> None:
    assert Corpus.open(ran[0] / "packed").record(0).sequence_id == "rows.jsonl:1#0"
    assert len(Corpus.open(ran[0] / "packed").record(0).token_ids) == 64


def test_it_names_every_format_and_compression(document: str) -> None:
    named = set(re.findall(r"`(\.\w+)`", document))
    assert set(re.findall(r"\.\w+", KNOWN.replace(".jsonl.gz", ""))) <= named


def test_its_numbers_are_the_programs_own(document: str) -> None:
    assert f"`--max-row-bytes`, {DEFAULT_MAX_ROW_BYTES >> 20} MiB" in document
    assert BAD_ROWS_KEPT == 20
    assert "the first twenty are printed" in document.replace("\n", " ")
