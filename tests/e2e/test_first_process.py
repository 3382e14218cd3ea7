"""As the first process of a container, Whence ends on SIGTERM: the kernel gives such a process no default handler."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from e2e.harness import WITHOUT_TORCH, Artefacts, environment, until

NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child")
Start = Callable[..., "FirstProcess"]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode != 0,
    reason="needs the right to make a namespace of process ids, which root has",
)


class FirstProcess:
    """A ``whence`` command that is process 1 of its own namespace."""

    def __init__(self, parent: subprocess.Popen[bytes], log: Path) -> None:
        self.parent, self.log = parent, log

    def terminate(self) -> int:
        """Send SIGTERM, which has no effect unless it is handled, and return the exit code."""
        children = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        return self.parent.wait(timeout=20)


@contextmanager
def first_process(log: Path, *arguments: str, **settings: str) -> Iterator[FirstProcess]:
    command = [*NAMESPACE, sys.executable, "-m", "whence", *arguments]
    given = environment({"PYTHONUNBUFFERED": "1", **settings}, WITHOUT_TORCH)
    with log.open("wb") as stream:
        parent = subprocess.Popen(command, env=given, stdout=stream, stderr=stream)
    try:
        yield FirstProcess(parent, log)
    finally:
        parent.kill()
        parent.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda *arguments, **settings: stack.enter_context(
            first_process(tmp_path / "log", *arguments, **settings)
        )


def test_a_front_end_drains_on_sigterm(start: Start):
    front = start("serve", "--worker", "127.0.0.1:9", "--address", "127.0.0.1:0", "--drain-s", "0.1")
    until(lambda: '"listening"' in front.log.read_text())
    assert front.terminate() == 0
    assert ['"draining"' in front.log.read_text(), '"stopped"' in front.log.read_text()] == [True, True]


def test_a_worker_drains_on_sigterm(start: Start, artefacts: Artefacts):
    worker = start(
        "worker", *artefacts.options(), "--engine", "fake", "--address", "127.0.0.1:0", WHENCE_WORKER_DRAIN_S="0.1"
    )
    until(lambda: '"serving"' in worker.log.read_text())
    assert worker.terminate() == 0
    assert ['"draining"' in worker.log.read_text(), '"stopped"' in worker.log.read_text()] == [True, True]


def test_a_command_that_does_not_serve_yet_ends_on_sigterm(start: Start, tmp_path: Path):
    settings = tmp_path / "settings.toml"
    os.mkfifo(settings)
    starting = start("serve", "--config", str(settings))
    # Opened for writing once the command reads it, and left open, so that it waits for more.
    with settings.open("wb"):
        assert starting.terminate() == 128 + signal.SIGTERM
