"""The examples of docs/corpus.md on conversations, run as they stand there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import whence
from chat_templates import CHATML
from whence.cli import app
from whence_backends.corpus import Corpus

SECTION = "## Conversations"


@pytest.fixture(scope="module")
def section(root: Path) -> str:
    document = (root / "docs" / "corpus.md").read_text(encoding="utf-8")
    return document[document.index(SECTION) :].split("\n## ")[0]


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", section, re.S)


@pytest.fixture
def ran(section: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What each command prints, in a folder with the model, the rows and the template that the document speaks of."""
    demo = root / "backends" / "whence_backends" / "demo" / "model"
    (tmp_path / "model").mkdir()
    for file in demo.iterdir():
        (tmp_path / "model" / file.name).symlink_to(file)
    settings = json.loads((demo / "tokenizer_config.json").read_text())
    (tmp_path / "model" / "tokenizer_config.json").unlink()
    (tmp_path / "model" / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": CHATML}))
    (tmp_path / "chats.jsonl").write_text(blocks(section, "json")[0])
    (tmp_path / "chat.jinja").write_text("{{ strftime_now('%d.%m.%Y') }} " + CHATML)
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(line)[1:] for line in "".join(blocks(section, "sh")).splitlines()]
    done = [CliRunner(env={"COLUMNS": "200"}).invoke(app, command) for command in commands]
    assert [result.exit_code for result in done] == [0] * len(commands), done[0].output
    return [result.output for result in done]


def test_its_commands_make_what_it_says(ran: list[str], section: str, tmp_path: Path) -> None:
    preview, masked, _ = ran
    assert all(line.strip() in preview for line in blocks(section, "text")[0].splitlines())
    assert not (tmp_path / "corpus").exists()
    assert "Corpus made" in masked
    assert Corpus.open(tmp_path / "masked").chat.train_on == "mask-field"
    assert Corpus.open(tmp_path / "other").record(0).text.startswith("03.02.2026 <|im_start|>user")


def test_its_python_makes_a_query_and_examples(section: str) -> None:
    made: dict[str, object] = {}
    exec(blocks(section, "python")[0], made)
    assert isinstance(made["query"], whence.Query)
    assert len(made["examples"]) == 3
