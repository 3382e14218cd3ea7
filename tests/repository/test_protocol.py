"""The protocol breaks no client of the last release, and the check of that notices when it does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

BUF = Path(sys.executable).with_name("buf")
MODEL, QUERY, SERVICE = "model.proto", "query.proto", "attribution_service.proto"


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """A checkout with the protocol, to be altered."""
    shutil.copytree(root / "proto", tmp_path / "proto")
    shutil.copy(root / "buf.yaml", tmp_path)
    return tmp_path


def compare(checkout: Path) -> subprocess.CompletedProcess[str]:
    command = [BUF, "breaking", "--against", "proto/released.binpb"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def alter(checkout: Path, file: str, old: str, new: str) -> None:
    path = checkout / "proto" / "whence" / "v1" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_the_protocol_breaks_no_client_of_the_last_release(root: Path) -> None:
    done = compare(root)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        (MODEL, "uint64 parameters = 6;", "uint64 parameters = 106;", 'with name "parameters" on message "Model"'),
        (MODEL, "uint64 parameters = 6;", "uint64 parameter_count = 6;", '"parameters" to "parameter_count"'),
        (MODEL, "uint64 parameters = 6;", "int32 parameters = 6;", 'from "uint64" to "int32"'),
        (MODEL, "uint64 parameters = 6;", "reserved 6;", '"6" with name "parameters" on message "Model" was deleted'),
        (MODEL, "optional double gradient_error", "double gradient_error", '"gradient_error" on message "Model"'),
        (QUERY, "LOG_LIKELIHOOD = 1;", "LOG_LIKELIHOOD = 2;", 'enum value "1" on enum "Measurement"'),
        (SERVICE, "rpc GetModel(", "rpc FetchModel(", 'RPC "GetModel" on service "AttributionService" was deleted'),
    ],
    ids=["renumbered", "renamed", "another type", "removed", "presence", "value", "call"],
)
def test_a_change_that_breaks_clients_is_noticed(copy: Path, file: str, old: str, new: str, complaint: str) -> None:
    alter(copy, file, old, new)
    done = compare(copy)
    assert done.returncode != 0
    assert complaint.lower() in done.stdout.lower()


def test_additions_break_nothing(copy: Path) -> None:
    alter(
        copy, MODEL, "optional double gradient_error = 18;", "optional double gradient_error = 18;\n  bool more = 1000;"
    )
    alter(copy, QUERY, "LOG_LIKELIHOOD = 1;", "LOG_LIKELIHOOD = 1;\n  MEASUREMENT_MORE = 1000;")
    alter(
        copy, SERVICE, "service AttributionService {", "service AttributionService {\n  rpc More(Chat) returns (Chat);"
    )
    alter(copy, SERVICE, "returns (Chat);", "returns (Query);")
    alter(copy, SERVICE, "rpc More(Chat)", "rpc More(Query)")
    done = compare(copy)
    assert done.returncode == 0, done.stdout


def test_what_was_released_has_both_protocols(root: Path) -> None:
    released = FileDescriptorSet.FromString((root / "proto" / "released.binpb").read_bytes())
    services = {f"{file.package}.{service.name}" for file in released.file for service in file.service}
    assert services == {"whence.v1.AttributionService", "whence.worker.v1.WorkerService"}


def test_check_compares_with_it(root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    assert "\t$(BIN)/buf breaking --against proto/released.binpb\n" in makefile
    assert "--output proto/released.binpb\n" in makefile
