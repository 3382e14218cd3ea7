"""No process serves at an address that others can reach without asking who calls, unless it is told to."""

from __future__ import annotations

import pytest

from whence.errors import InvalidRequestError
from whence_backends.worker.config import WorkerSettings
from whence_service.frontend.config import FrontEndSettings

WORKER = {"model": "m", "factors": "f", "corpus": "c"}
LOCAL = ("127.0.0.1:1", "127.8.8.8:1", "localhost:1", "[::1]:1", "unix:/tmp/x", "unix:x")
REACHABLE = ("0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1", "localhost.example.org:1", "[::ffff:10.0.0.1]:1")


@pytest.mark.parametrize(("kind", "needed"), [(FrontEndSettings, {}), (WorkerSettings, WORKER)])
class TestEitherProcess:
    @pytest.mark.parametrize("address", REACHABLE)
    def test_refuses_an_address_that_others_reach(self, kind, needed, address):
        with pytest.raises(InvalidRequestError, match=r"--insecure") as caught:
            kind.load(address=address, **needed)
        assert caught.value.reason == "INVALID_SETTINGS"
        assert address in caught.value.message

    @pytest.mark.parametrize("address", LOCAL)
    def test_takes_an_address_of_this_machine_alone(self, kind, needed, address):
        assert kind.load(address=address, **needed).address == address

    @pytest.mark.parametrize("address", REACHABLE)
    def test_takes_any_where_it_is_told_that_the_network_is_trusted(self, kind, needed, address):
        assert kind.load(address=address, insecure=True, **needed).address == address


@pytest.mark.parametrize(("kind", "needed"), [(FrontEndSettings, {}), (WorkerSettings, WORKER)])
def test_either_that_wants_certificates_of_its_callers_serves_anywhere(kind, needed, tmp_path):
    tls = {"tls_certificate": tmp_path / "c", "tls_key": tmp_path / "k", "tls_client_ca": tmp_path / "ca"}
    assert kind.load(address="0.0.0.0:1", **tls, **needed).asks_who_calls


def test_a_front_end_that_asks_who_calls_serves_anywhere(tmp_path):
    assert FrontEndSettings.load(address="0.0.0.0:1", keys_file=tmp_path / "keys.json").asks_who_calls


def test_a_refusal_of_all_settings_together_repeats_none_of_them(monkeypatch):
    monkeypatch.setenv("WHENCE_WORKER_REDIS_URL", "redis://:secret@host/0")
    with pytest.raises(InvalidRequestError) as caught:
        WorkerSettings.load(address="0.0.0.0:1", **WORKER)
    assert "secret" not in caught.value.message
