"""Real processes that trust nobody without a certificate, and one pair that talks over unix sockets alone."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from authority import Authority, Issued, put
from e2e.conftest import Service
from e2e.harness import Artefacts, Launcher, Process, until, whence
from e2e.traffic import CALLS, answers, traffic
from whence import Client, Tls

# Those that need no index.
ASK = {name: call for name, call in CALLS.items() if name != "self-influence"}


@dataclass(frozen=True, kw_only=True)
class Secured:
    """A worker and a front end with mutual TLS on both hops, and everyone's files; all trust who is in ``trusted``."""

    authority: Authority
    trusted: Path
    worker: Process
    front: Process
    of_worker: Issued
    of_front: Issued
    to_workers: Issued
    of_client: Issued

    @property
    def tls(self) -> Tls:
        certificate = {"certificate_file": self.of_client.certificate, "key_file": self.of_client.key}
        return Tls(ca_file=self.trusted, **certificate)

    def client(self) -> Client:
        return Client(self.front.address, tls=self.tls, retry=None, timeout_s=60)

    def reloads(self) -> list[float]:
        """Return how often the worker, and the front end on either hop, have taken new files."""
        hops = ((self.worker, "server"), (self.front, "server"), (self.front, "workers"))
        return [process.metrics().value("whence_certificate_reloads_total", hop=hop) for process, hop in hops]

    def rotate(self, change: Callable[[], None]) -> None:
        """Change files of all three, and wait until they have taken them."""
        before = self.reloads()
        change()
        until(lambda: all(now > then for now, then in zip(self.reloads(), before, strict=True)))

    def renew(self, authority: Authority) -> None:
        for end in (self.of_worker, self.of_front, self.to_workers):
            end.replace_with(authority.issue("renewed"))

    def peer(self) -> dict[str, str]:
        """Return the issuer and the subject of the certificate that a new connection to the front end sees."""
        host, _, port = self.front.address.rpartition(":")
        context = self.tls.context()
        with (
            socket.create_connection((host, int(port))) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            certificate = secure.getpeercert()
        return {field: certificate[field][0][0][1] for field in ("issuer", "subject")}


@pytest.fixture(scope="module")
def secured(shared: Launcher, artefacts: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> Secured:
    folder = tmp_path_factory.mktemp("certificates")
    authority, trusted = Authority(folder), folder / "trusted.pem"
    trusted.write_bytes(authority.file.read_bytes())
    names = ("of_worker", "of_front", "to_workers", "of_client")
    ends = {name: authority.issue(name.replace("_", "-")) for name in names}

    def serving(end: Issued) -> dict[str, str]:
        files = {"TLS_CERTIFICATE": end.certificate, "TLS_KEY": end.key, "TLS_CLIENT_CA": trusted}
        return {name: str(path) for name, path in files.items()} | {"TLS_RELOAD_S": "0.1"}

    calling = {"CA": trusted, "CERTIFICATE": ends["to_workers"].certificate, "KEY": ends["to_workers"].key}
    to_workers = {f"WORKERS_TLS_{name}": str(path) for name, path in calling.items()}
    worker = shared.worker(artefacts, BATCH_TOKENS="256", **serving(ends["of_worker"]))
    front = shared.front(worker, **serving(ends["of_front"]), **to_workers, REFRESH_S="0.2")
    for process in (worker, front):
        process.wait_for("serving")
    return Secured(authority=authority, trusted=trusted, worker=worker, front=front, **ends)


def test_answers_over_mutual_tls_are_those_without(secured: Secured, whole: Service):
    with secured.client() as client:
        assert answers(client, ASK) == answers(whole.client, ASK)


def test_no_call_fails_while_every_certificate_and_its_authority_are_replaced(secured: Secured, tmp_path: Path):
    other = Authority(tmp_path, "other")
    with secured.client() as first, secured.client() as second, traffic([first, second], ASK) as running:
        secured.rotate(lambda: secured.renew(secured.authority))
        assert running.more(20)
        assert secured.peer() == {"issuer": "authority", "subject": "renewed"}
        secured.rotate(lambda: put(secured.trusted, secured.trusted.read_bytes() + other.file.read_bytes()))
        secured.rotate(lambda: secured.renew(other))
        assert running.more(20)
        assert secured.peer() == {"issuer": "other", "subject": "renewed"}
        with secured.client() as third:  # whose certificate is still of the authority before
            assert answers(third, ASK) == answers(first, ASK)
    assert not running.failures


def test_commands_show_their_certificate(secured: Secured):
    variables = {
        "WHENCE_CA_FILE": str(secured.trusted),
        "WHENCE_CLIENT_CERTIFICATE": str(secured.of_client.certificate),
        "WHENCE_CLIENT_KEY": str(secured.of_client.key),
    }
    examined = whence("doctor", server=secured.front.address, **variables)
    assert examined.returncode == 0, examined.stdout
    assert "tls: TLSv1.3" in examined.stdout
    refused = whence("doctor", "--timeout", "2", server=secured.front.address, WHENCE_CA_FILE=str(secured.trusted))
    assert refused.returncode == 1
    assert "hangs up on who shows no certificate of its own" in " ".join(refused.stdout.split())


def test_a_server_does_not_start_with_a_key_of_another_certificate(launch: Launcher, tmp_path: Path):
    authority = Authority(tmp_path)
    server, other = authority.issue("server"), authority.issue("other")
    files = ("--tls-certificate", str(server.certificate), "--tls-key", str(other.key))
    done = whence("serve", "--worker", "localhost:1", "--address", "127.0.0.1:0", *files)
    assert done.returncode == 1
    assert "is not the key of" in " ".join(done.stderr.split())


def test_both_hops_go_over_unix_sockets(launch: Launcher, artefacts: Artefacts, whole: Service, tmp_path: Path):
    worker = launch.worker(artefacts, address=f"unix:{tmp_path}/w.sock", BATCH_TOKENS="256")
    arguments = ("serve", "--worker", worker.address, "--address", f"unix:{tmp_path}/f.sock")
    front = launch.start(arguments, {"WHENCE_REFRESH_S": "0.2"})
    front.wait_for("serving")
    with Client(front.address, token="a-key") as client:
        assert answers(client, ASK) == answers(whole.client, ASK)
