"""docs/protocol.md says what protocol, server and client do."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest

from whence import _channel, _retries, status, tensors
from whence.errors import ERRORS, OverloadedError
from whence.reasons import Reason
from whence.v1 import attribution_pb2, attribution_service_pb2, model_pb2, query_pb2, tensor_pb2
from whence_service.frontend.config import FrontEndSettings
from whence_service.rpc.reflection import SERVICE_V1
from whence_service.rpc.request_ids import METADATA_KEY

SERVICE = attribution_service_pb2.DESCRIPTOR.services_by_name["AttributionService"]
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20}


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "docs" / "protocol.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def prose(text: str) -> str:
    """The text with its lines joined."""
    return " ".join(text.split())


def rows(text: str, section: str, columns: int) -> list[list[str]]:
    """Return the cells of the tables of a section that have so many columns, without their heads."""
    part = re.split(r"^## ", text.partition(f"\n## {section}\n")[2], flags=re.M)[0]
    lines = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in part.splitlines() if line.startswith("|")]
    found = [cells for cells in lines if len(cells) == columns and cells[0] != "---"]
    assert found
    return found[1:]


def test_every_call_is_described_and_said_to_be_unary_or_a_stream(text: str) -> None:
    described = [(cells[0].strip("`"), cells[1]) for cells in rows(text, "Calls", 3)]
    kinds = {False: "one message", True: "a stream"}
    assert described == [(method.name, kinds[method.server_streaming]) for method in SERVICE.methods]
    assert not any(method.client_streaming for method in SERVICE.methods)


def test_the_names_of_services_and_metadata_are_those_of_the_server(text: str) -> None:
    for name in (SERVICE.full_name, SERVICE_V1, METADATA_KEY, status.DETAILS_KEY, "grpc.health.v1.Health"):
        assert f"`{name}`" in text


def test_every_code_of_an_error_is_explained(text: str) -> None:
    explained = [cells[0].strip("`") for cells in rows(text, "Errors", 2) if cells[0] != "Code"]
    assert sorted(explained) == sorted({error.code.name for error in ERRORS})


def test_every_reason_and_value_that_it_names_exists(text: str) -> None:
    files = (attribution_pb2, model_pb2, query_pb2, tensor_pb2)
    enums = [enum for module in files for enum in module.DESCRIPTOR.enum_types_by_name.values()]
    known = {
        *Reason,
        *(code.name for code in grpc.StatusCode),
        *(name for enum in enums for name in enum.values_by_name),
    }
    assert set(re.findall(r"`([A-Z]+(?:_[A-Z0-9]+)+)`", text)) <= known


def test_what_may_be_made_again_is_what_the_client_makes_again(text: str, prose: str) -> None:
    again = {cells[0].strip("`"): cells[1].split()[0].strip(",") for cells in rows(text, "Retries", 2)}
    assert again.pop("all others") == "no"
    (policy,) = _channel.service_config(_retries.DEFAULT_RETRY)["methodConfig"]
    by_grpc = {code for code in again if again[code] == "yes"}
    assert by_grpc == set(policy["retryPolicy"]["retryableStatusCodes"])
    by_wait = {
        error.code.name
        for error in ERRORS
        if _retries.wait_s(error("", reason=Reason.INTERNAL), _retries.Deadline(60), retry_overload=True) is not None
    }
    assert by_wait == {OverloadedError.code.name} == {code for code in again if again[code] == "only"}
    streams = {method.name for method in SERVICE.methods} - {name["method"] for name in policy["name"]}
    assert streams == {"StreamAttribute"}
    assert "for all calls but `StreamAttribute`" in prose


def test_the_numbers_of_retries_and_pings_are_those_of_the_client(prose: str) -> None:
    retry = _retries.DEFAULT_RETRY
    attempts = f"{retry.max_attempts} attempts, waits of at most {retry.initial_backoff_s} s"
    assert f"{attempts}, then twice as long each time up to {retry.max_backoff_s:g} s" in prose
    assert retry.multiplier == 2
    assert _retries.SPREAD == 0.25
    assert "up to a quarter more" in prose
    assert f"more than {_retries.LONGEST_WAIT_FOR_QUOTA_S:g} s" in prose
    assert f"every {_channel.KEEPALIVE_TIME_MS // 1000} s" in prose
    assert f"at most {status.MAX_DETAILS} |" in prose


def test_the_defaults_that_it_states_are_those_of_the_settings(text: str) -> None:
    stated = re.findall(r"`(\w+)` \((\d+)(?: (\w+))?\)", text)
    assert len(stated) > 6
    for name, number, unit in stated:
        assert FrontEndSettings.model_fields[name].default == int(number) * UNITS[unit], name


def test_every_limit_of_a_model_is_listed(text: str) -> None:
    assert set(re.findall(r"`Limits\.(\w+)`", text)) == set(model_pb2.Limits.DESCRIPTOR.fields_by_name)


def test_the_types_of_tensors_are_those_that_the_client_reads(text: str) -> None:
    listed = {cells[0].strip("`"): int(cells[2]) for cells in rows(text, "Tensors", 3)}
    types = tensor_pb2.DataType.DESCRIPTOR.values_by_name
    assert {*listed, "DATA_TYPE_UNSPECIFIED"} == set(types)
    for name, size in listed.items():
        assert len(tensors.pack([1], [1], types[name].number).data) == size
    assert f"`{tensors.pack([1.0, -2.5], [2]).data.hex(' ')}`" in text
