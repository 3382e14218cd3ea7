"""The installed command line: every subcommand explains itself, and the README uses only what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from whence.cli import COMMANDS

NAMES = [command.name for command in COMMANDS]


def whence(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("whence"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"COLUMNS": "200", "TERM": "dumb"})


def test_help_lists_every_command() -> None:
    done = whence("--help")
    assert done.returncode == 0, done.stderr
    assert all(re.search(rf"^\W*{name}\s", done.stdout, re.M) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(name: str) -> None:
    done = whence(name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"Usage: whence {name}" in done.stdout


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "docs/operations.md",
        "docs/deployment.md",
        "docs/truth.md",
        "docs/harnesses.md",
        "docs/http.md",
        "docs/contamination.md",
        "docs/findings.md",
    ],
)
def test_a_document_uses_only_options_that_exist(root: Path, document: str) -> None:
    text = (root / document).read_text()
    text = text.replace("\\\n", " ")
    text = re.sub(r"docker compose run --rm (?:jobs|(keys))", r"whence \1", text).replace("whence  ", "whence ")
    commands = re.findall(r"^`*whence ((?:harness |keys |study |validate )?[\w-]+)([^`\n]*)", text, re.M)
    commands += re.findall(r"`whence ((?:harness |keys |study |validate )?[\w-]+)([^`\n]*)`", text)
    for name in {name for name, _ in commands}:
        used = {option for other, rest in commands if other == name for option in re.findall(r"--[\w-]+", rest)}
        known = set(re.findall(r"--[\w-]+", whence(*name.split(), "--help").stdout))
        assert used <= known, name
