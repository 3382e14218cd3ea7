"""The wheel that is published has the three packages with all that they read, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

NEEDED = (
    "whence/py.typed",
    "whence_service/py.typed",
    "whence_backends/py.typed",
    "whence/v1/attribution_service_pb2.py",
    "whence/v1/attribution_service_pb2.pyi",
    "whence/worker/v1/worker_service_pb2_grpc.py",
    "whence/explore/api/openapi.json",
    "whence/explore/page/index.html",
    "whence_service/frontend/server.py",
    "whence_backends/worker/serving/server.py",
    "whence_backends/demo/corpus.jsonl",
    "whence_backends/demo/questions.json",
    "whence_backends/demo/model/model.safetensors",
    "whence_backends/demo/model/tokenizer.json",
)


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def text_of(wheel: zipfile.ZipFile, end: str) -> str:
    (name,) = [name for name in wheel.namelist() if name.endswith(end)]
    return wheel.read(name).decode()


def test_it_holds_all_that_the_packages_read(wheel: zipfile.ZipFile) -> None:
    assert set(NEEDED) <= set(wheel.namelist())


def test_it_holds_the_page_whole(wheel: zipfile.ZipFile, root: Path) -> None:
    folder = root / "clients" / "python"
    page = [path.relative_to(folder).as_posix() for path in folder.glob("whence/explore/page/**/*") if path.is_file()]
    assert set(page) <= set(wheel.namelist())


def test_it_holds_the_three_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"whence", "whence_service", "whence_backends"}


def test_the_client_alone_needs_neither_torch_nor_numpy(wheel: zipfile.ZipFile) -> None:
    metadata = Parser().parsestr(text_of(wheel, ".dist-info/METADATA"))
    base = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(re.split("[<>=]", line)[0] for line in base) == [
        "googleapis-common-protos",
        "grpcio",
        "protobuf",
        "rich",
        "typer",
    ]


def test_it_installs_the_command_and_the_engines(wheel: zipfile.ZipFile) -> None:
    entry_points = text_of(wheel, ".dist-info/entry_points.txt")
    assert "whence = whence.cli:main" in entry_points
    assert "pytorch = whence_backends.engines.pytorch:create" in entry_points
