"""The README's own commands and its Python, run in their order on the demo's model and some of its documents."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest

import whence

DOCUMENTS = 100
SERVE_S = 60
# Processes side by side wait for each other's threads longer than these few documents take.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def commands(readme: str) -> list[str]:
    """The commands of the section on one's own model, in order."""
    section = readme[readme.index("## Your own model") : readme.index("## Features")]
    return re.findall(r"^whence .+$", "\n".join(re.findall(r"```sh\n(.*?)```", section, re.S)), re.M)


@pytest.fixture(scope="module")
def folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model and the data that the README speaks of."""
    folder = tmp_path_factory.mktemp("readme")
    demo = root / "backends" / "whence_backends" / "demo"
    (folder / "model").symlink_to(demo / "model")
    (folder / "data").mkdir()
    with (demo / "corpus.jsonl").open(encoding="utf-8") as lines:
        (folder / "data" / "documents.jsonl").write_text("".join(islice(lines, DOCUMENTS)), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def address(commands: list[str], folder: Path) -> Iterator[str]:
    """Where the README's service runs, its artefacts made as the README makes them."""
    making, serving = commands[:2], commands[2]
    address = f"127.0.0.1:{free_port()}"
    for command in making:
        done = subprocess.run(shell(command), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    with running(serving, folder, {"WHENCE_ADDRESS": address, "WHENCE_DRAIN_S": "0"}):
        wait_for(address)
        yield address


def test_the_section_goes_from_data_to_an_answer(commands: list[str]) -> None:
    assert [command.split()[1] for command in commands] == ["corpus", "fit", "serve", "attribute", "index", "serve"]


def test_the_command_line_answers(commands: list[str], address: str, folder: Path) -> None:
    environment = {**ENVIRONMENT, "WHENCE_SERVER": address}
    done = subprocess.run(shell(commands[3]), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Made the output more likely" in done.stdout
    assert len(re.findall(r"^ [123] +\(?[+-]", done.stdout, re.M)) == 3


def test_the_command_line_answers_with_an_index(commands: list[str], address: str, folder: Path) -> None:
    indexing, serving = commands[4:]
    done = subprocess.run(shell(indexing), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    indexed = f"127.0.0.1:{free_port()}"
    with running(serving, folder, {"WHENCE_ADDRESS": indexed, "WHENCE_DRAIN_S": "0"}):
        wait_for(indexed)
        environment = {**ENVIRONMENT, "WHENCE_SERVER": indexed}
        done = subprocess.run(shell(commands[3]), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "candidates were scored" in done.stdout


def test_the_python_answers(readme: str, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", readme, re.S)
    assert '"localhost:50051"' in program
    exec(program.replace("localhost:50051", address), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].endswith("100 sequences scored")
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]


def shell(command: str) -> list[str]:
    """Return the command as bash would run it, with this environment's ``whence``."""
    program = shlex.quote(str(Path(sys.executable).with_name("whence")))
    return ["bash", "-c", f"exec {program} {command.removeprefix('whence ')}"]


@contextmanager
def running(command: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    with (folder / "serve.log").open("w") as log:
        process = subprocess.Popen(
            shell(command), cwd=folder, env={**ENVIRONMENT, **environment}, stderr=log, stdout=log
        )
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(SERVE_S) == 0, (folder / "serve.log").read_text()


def wait_for(address: str) -> None:
    deadline = time.monotonic() + SERVE_S
    with whence.Client(address, retry=None, timeout_s=5) as client:
        while True:
            try:
                assert client.model().uncovered_shards == ()
                return
            except whence.UnavailableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
