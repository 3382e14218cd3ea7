"""``whence explore`` as a process, before real ones: it answers as they do, and ends when it is told to."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import status_pb2

from e2e.conftest import Service
from e2e.harness import WITHOUT_TORCH, environment, plain, until, whence
from e2e.test_hostile import public_requests
from whence.explore.api.methods import METHODS
from whence.status import DETAILS_KEY

SCAN = {"query": {"text": {"prompt": "the keeper", "completion": " lit"}}, "options": {"search": "SEARCH_FULL_SCAN"}}
ID = "the-same"


@dataclass(frozen=True, kw_only=True)
class Explore:
    """A running page."""

    process: subprocess.Popen[str]
    url: str

    @property
    def place(self) -> str:
        return self.url.removeprefix("http://").removesuffix("/")

    def connection(self) -> closing[http.client.HTTPConnection]:
        return closing(http.client.HTTPConnection(self.place, timeout=60))

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=20)


@contextmanager
def explore(log: Path, server: str, *options: str, **settings: str) -> Iterator[Explore]:
    """Run the command until the ``with`` ends."""
    command = [sys.executable, "-m", "whence", "explore", "--server", server, "--port", "0", *options]
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, env=environment(settings, WITHOUT_TORCH), stdout=subprocess.PIPE, stderr=stream, text=True
        )
    try:
        line = process.stdout.readline() if process.stdout else ""
        assert line, log.read_text()
        yield Explore(process=process, url=re.search(r"http://\S+/", line)[0])
    finally:
        process.kill()
        process.communicate()


def post(connection: http.client.HTTPConnection, path: str, body: Any, **headers: str) -> http.client.HTTPResponse:
    named = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request("POST", f"/v1/{path}", json.dumps(body), named)
    return connection.getresponse()


def over_grpc(channel: grpc.Channel, name: str, request: Message) -> bytes | status_pb2.Status:
    try:
        answer: bytes = channel.unary_unary(f"/whence.v1.AttributionService/{name}")(
            request.SerializeToString(), metadata=(("x-request-id", ID),)
        )
        return answer
    except grpc.RpcError as failure:
        return status_pb2.Status.FromString(dict(failure.trailing_metadata())[DETAILS_KEY])


def without_timings(answer: Message) -> Message:
    if "metadata" in answer.DESCRIPTOR.fields_by_name:
        answer.metadata.ClearField("timings")
    return answer


def test_odd_requests_are_answered_and_refused_as_over_grpc(indexed: Service, tmp_path: Path):
    methods = {method.name: method for method in METHODS}
    answered = 0
    address = indexed.front.address
    with explore(tmp_path / "log", address) as page, page.connection() as asked, grpc.insecure_channel(address) as rpc:
        for name, request in public_requests():
            expected, method = over_grpc(rpc, name, request), methods[name]
            response = post(
                asked, method.path.removeprefix("/v1/"), json_format.MessageToDict(request), X_Request_Id=ID
            )
            document = json.loads(response.read())
            if isinstance(expected, bytes):
                answered += 1
                assert response.status == 200, document
                got = json_format.ParseDict(document, method.response())
                assert without_timings(got) == without_timings(method.response.FromString(expected)), request
            else:
                assert document == json_format.MessageToDict(expected, always_print_fields_with_no_presence=True), (
                    request
                )
    assert answered > 10
    assert (tmp_path / "log").read_text() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_seconds_though_a_stream_runs(slow: Service, tmp_path: Path, number: signal.Signals):
    with explore(tmp_path / "log", slow.front.address) as page, page.connection() as asked:
        response = post(asked, "stream-attribute", SCAN)
        assert "partial" in json.loads(response.readline())["result"]
        assert page.end(number) == 0
        assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_browser_that_goes_away_ends_the_scan(slow: Service, tmp_path: Path):
    before = cancelled(slow)
    with explore(tmp_path / "log", slow.front.address) as page:
        with page.connection() as asked:
            post(asked, "stream-attribute", SCAN).readline()
        until(lambda: cancelled(slow) > before)


def cancelled(service: Service) -> float:
    return service.front.metrics().value("whence_rpc_errors_total", reason="CANCELLED")


def test_a_port_that_is_taken_is_a_typed_error(tmp_path: Path):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        done = whence("explore", "--port", port)
    assert done.returncode == 1
    assert "ADDRESS_UNAVAILABLE" in plain(done.stderr)
    assert "--port 0" in plain(done.stderr)


@pytest.mark.parametrize(
    ("options", "settings", "expected"),
    [
        (["--address", "0.0.0.0:0"], {"WHENCE_TOKEN": "key"}, "lent to whoever comes"),
        (["--address", "0.0.0.0:0", "--insecure"], {"WHENCE_TOKEN": "key"}, "lent to whoever comes"),
        (["--address", "0.0.0.0:0"], {}, "asks nobody who calls"),
        (["--address", "8090"], {}, "expected host:port"),
        ([], {"WHENCE_EXPLORE_LOG_LEVEL": "loud"}, "expected one of DEBUG"),
        ([], {"WHENCE_EXPLORE_ADRESS": "x"}, "did you mean WHENCE_EXPLORE_ADDRESS?"),
    ],
)
def test_what_it_must_not_do_is_a_typed_error(whole: Service, options, settings, expected):
    done = whence("explore", *options, server=whole.front.address, COLUMNS="500", **settings)
    assert done.returncode == 1
    assert expected in plain(done.stderr)


def test_without_its_packages_it_says_how_to_install_them(tmp_path: Path):
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError(\"No module named 'uvicorn'\", name='uvicorn')")
    done = whence("explore", path=tmp_path, COLUMNS="500")
    assert done.returncode == 1
    assert "pip install 'whence[explore]'" in plain(done.stderr)


def test_each_request_is_a_line_of_the_log_where_that_is_wanted(whole: Service, tmp_path: Path):
    log = tmp_path / "log"
    with explore(log, whole.front.address, WHENCE_EXPLORE_LOG_LEVEL="info") as page:
        with page.connection() as asked:
            post(asked, "list-models", {}, X_Request_Id=ID, Authorization="Bearer secret").read()
        assert page.end(signal.SIGTERM) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (line,) = [line for line in lines if line["event"] == "request"]
    assert (line["path"], line["status"], line["request_id"]) == ("/v1/list-models", 200, ID)
    assert "secret" not in log.read_text()
