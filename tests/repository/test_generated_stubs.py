"""The committed stubs are what the protocol generates, and the check of that notices when they are not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROTO = "proto/whence/v1/tensor.proto"


@pytest.fixture(scope="module")
def environment(root: Path) -> str:
    """The generator's virtual environment, which the script makes at its first use."""
    done = generate(root, "--check")
    made = root / ".venv-generate" / ".installed"
    if not made.exists():
        pytest.skip(f"the generator's environment could not be made: {done.stderr[-500:]}")
    return str(made.parent)


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """A checkout with what generating needs, to be altered."""
    for folder in ("proto", "scripts", "clients/python/whence/v1", "clients/python/whence/worker"):
        shutil.copytree(root / folder, tmp_path / folder)
    return tmp_path


def generate(checkout: Path, *arguments: str, environment: str = ".venv-generate") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "scripts" / "generate.sh", *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, "GENERATE_ENVIRONMENT": environment},
    )  # fmt: skip


def test_the_committed_stubs_are_what_the_protocol_generates(root: Path, environment: str) -> None:
    done = generate(root, "--check", environment=environment)
    assert done.returncode == 0, done.stderr


def test_a_changed_message_is_noticed_and_generated(copy: Path, environment: str) -> None:
    proto = copy / PROTO
    proto.write_text(proto.read_text().replace("bytes data = 3;", "bytes data = 3;\n  // More.\n  string more = 4;"))
    noticed = generate(copy, "--check", environment=environment)
    assert noticed.returncode == 1
    assert "clients/python/whence/v1/tensor_pb2.py is not what proto/ generates" in noticed.stderr
    assert generate(copy, environment=environment).returncode == 0
    assert generate(copy, "--check", environment=environment).returncode == 0


def test_a_stub_without_a_message_is_noticed(copy: Path, environment: str) -> None:
    (copy / "clients/python/whence/v1/forgotten_pb2.py").touch()
    assert "forgotten_pb2.py" in generate(copy, "--check", environment=environment).stderr
