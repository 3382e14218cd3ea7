"""A client that asks over TLS: which servers it takes, which certificate it shows, which files it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import HealthServicer
from typer.testing import CliRunner

from authority import Authority, Issued
from whence import AsyncClient, Client, InvalidRequestError, Tls, UnavailableError, cli
from whence.cli.checks.server import SERVICE
from whence.v1 import attribution_service_pb2_grpc


@dataclass(frozen=True, kw_only=True)
class Secure:
    """A server with TLS."""

    address: str
    authority: Authority
    server: grpc.Server

    @property
    def ca_file(self) -> Path:
        return self.authority.file


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def start(service, authority) -> Iterator:
    """Start a server with TLS, for hosts; ``mutual``: it wants a certificate of its authority."""
    running: list[grpc.Server] = []

    def start(*hosts: str, mutual: bool = False, days: tuple[float, float] = (-1, 60)) -> Secure:
        issued = authority.issue("server", *hosts, days=days)
        server, reports = grpc.server(futures.ThreadPoolExecutor(4)), HealthServicer()
        attribution_service_pb2_grpc.add_AttributionServiceServicer_to_server(service, server)
        health_pb2_grpc.add_HealthServicer_to_server(reports, server)
        reports.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        pair = (issued.key.read_bytes(), issued.certificate.read_bytes())
        credentials = grpc.ssl_server_credentials([pair], authority.file.read_bytes() if mutual else None, mutual)
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        running.append(server)
        return Secure(address=f"127.0.0.1:{port}", authority=authority, server=server)

    yield start
    for server in running:
        server.stop(None).wait()


def own(issued: Issued) -> dict[str, Path]:
    return {"certificate_file": issued.certificate, "key_file": issued.key}


def refusal(server: Secure, **tls) -> UnavailableError:
    with pytest.raises(UnavailableError) as caught, Client(server.address, tls=Tls(**tls), retry=None) as client:
        client.model()
    return caught.value


async def test_both_clients_ask_a_server_of_the_authority_that_they_trust(start):
    server = start()
    with Client(server.address, tls=Tls(ca_file=server.ca_file)) as client:
        assert client.model().name == "toy"
    async with AsyncClient(server.address, tls=Tls(ca_file=str(server.ca_file))) as client:
        assert (await client.model()).name == "toy"


def test_another_authority_another_host_and_an_expired_certificate_are_refused(start, tmp_path):
    stranger = Authority(tmp_path, "stranger")
    assert "unable to get local issuer certificate" in refusal(start(), ca_file=stranger.file).message
    elsewhere, expired = start("elsewhere"), start(days=(-2, -1))
    assert "Hostname Verification" in refusal(elsewhere, ca_file=elsewhere.ca_file).message
    assert "certificate has expired" in refusal(expired, ca_file=expired.ca_file).message


def test_the_name_in_the_certificate_may_be_another_than_in_the_target(start):
    server = start("whence.example.com")
    with Client(server.address, tls=Tls(ca_file=server.ca_file, server_name="whence.example.com")) as client:
        assert client.model().name == "toy"


def test_a_server_that_asks_for_a_certificate_is_shown_it(start, authority):
    server = start(mutual=True)
    with Client(server.address, tls=Tls(ca_file=server.ca_file, **own(authority.issue("client")))) as client:
        assert client.model().name == "toy"
    assert refusal(server, ca_file=server.ca_file)


def test_an_error_says_what_may_be_wrong_with_tls(start, target, tmp_path):
    server, mutual = start(), start(mutual=True)
    plain = Secure(address=target, authority=server.authority, server=server.server)
    assert "; check the CA file" in refusal(server, ca_file=Authority(tmp_path, "stranger").file).message
    assert "; it may want TLS, or a certificate" in refusal(mutual, ca_file=mutual.ca_file).message
    assert "; the server does not speak TLS" in refusal(plain, ca_file=server.ca_file).message
    with pytest.raises(UnavailableError, match="; it may want TLS"), Client(server.address, retry=None) as client:
        client.model()


def unusable(**tls) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        Client("localhost:1", tls=Tls(**tls))
    assert caught.value.reason == "UNREADABLE_CERTIFICATE"
    return caught.value


def test_a_file_that_cannot_be_used_is_named_when_the_client_is_made(authority, tmp_path):
    issued, other, text = authority.issue("client"), authority.issue("other"), tmp_path / "text.pem"
    text.write_text("hunter2")
    assert "ca_file: /nowhere does not exist" in unusable(ca_file="/nowhere").message
    assert "cannot be read: Is a directory" in unusable(ca_file=tmp_path).message
    for error in (unusable(ca_file=text), unusable(certificate_file=issued.certificate, key_file=text)):
        assert f"{text} is not what it should be, or not PEM" in error.message
        assert "hunter2" not in repr(error)
    mismatch = unusable(certificate_file=issued.certificate, key_file=other.key)
    assert (mismatch.field, f"{other.key} is not the key" in mismatch.message) == ("key_file", True)
    encrypted = authority.issue("client", password=b"hunter2")
    assert "is encrypted" in unusable(**own(encrypted)).message
    assert "key_file is missing" in unusable(certificate_file=issued.certificate).message


def test_tls_is_described_once():
    with pytest.raises(InvalidRequestError) as caught:
        Client("localhost:1", tls=Tls(), credentials=grpc.ssl_channel_credentials())
    assert caught.value.reason == "AMBIGUOUS_CREDENTIALS"


def run(*arguments: str, **environment: str):
    return CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "200", **environment})


def doctor(server: Secure, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit code of ``whence doctor`` and its checks by name."""
    done = run("doctor", "--server", server.address, "--timeout", "2", "--json", *arguments)
    assert done.stdout, done.stderr
    return done.exit_code, {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_every_option_has_its_variable(start, authority):
    server, issued = start("elsewhere", mutual=True), authority.issue("client")
    options = ["--ca-file", server.ca_file, "--client-certificate", issued.certificate, "--client-key", issued.key]
    done = run("models", "--server", server.address, *map(str, options), "--server-name", "elsewhere")
    assert (done.exit_code, "toy" in done.stdout) == (0, True), done.stderr
    variables = {
        "WHENCE_SERVER": server.address,
        "WHENCE_CA_FILE": str(server.ca_file),
        "WHENCE_CLIENT_CERTIFICATE": str(issued.certificate),
        "WHENCE_CLIENT_KEY": str(issued.key),
        "WHENCE_SERVER_NAME": "elsewhere",
    }
    assert run("models", **variables).exit_code == 0


def test_a_client_is_made_from_the_same_variables(start, monkeypatch):
    server = start()
    monkeypatch.setenv("WHENCE_SERVER", server.address)
    monkeypatch.setenv("WHENCE_CA_FILE", str(server.ca_file))
    with Client.from_environment(timeout_s=20) as client:
        assert client.model().name == "toy"


def test_the_doctor_says_when_the_certificate_ends(start):
    server = start()
    code, checks = doctor(server, "--ca-file", str(server.ca_file))
    assert (code, checks["tls"]["outcome"], checks["health"]["fact"]) == (0, "ok", "SERVING")
    assert checks["tls"]["fact"].startswith("TLSv1.3; the server's certificate ends at ")


def test_the_doctor_warns_of_a_certificate_that_ends_soon(start):
    server = start(days=(-1, 13))
    code, checks = doctor(server, "--ca-file", str(server.ca_file))
    assert (code, checks["tls"]["outcome"]) == (0, "warning")


def test_the_doctor_says_why_a_server_is_not_reached_over_tls(start, tmp_path, authority, target):
    stranger = Authority(tmp_path, "stranger")
    server, elsewhere, mutual = start(), start("elsewhere"), start(mutual=True)
    plain = Secure(address=target, authority=authority, server=server.server)
    trust, unknown = ["--ca-file", str(authority.file)], stranger.issue("client")
    shown = ["--client-certificate", str(unknown.certificate), "--client-key", str(unknown.key)]
    for asked, options, says in (
        (server, ["--ca-file", str(stranger.file)], "not trusted: unable to get local issuer certificate"),
        (elsewhere, trust, "not trusted: IP address mismatch"),
        (mutual, trust, "hangs up on who shows no certificate of its own"),
        (mutual, [*trust, *shown], "hangs up on who shows the certificate"),
        (server, [], "speaks TLS, and is asked without"),
        (plain, trust, "no TLS is spoken there"),
    ):
        code, checks = doctor(asked, *options)
        assert (code, checks["server"]["outcome"], checks["tls"]["outcome"]) == (1, "fail", "fail"), says
        assert says in checks["tls"]["fact"]
