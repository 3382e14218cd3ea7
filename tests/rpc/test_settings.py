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


TLS = {"tls_certificate": "c.pem", "tls_key": "k.pem", "tls_client_ca": "ca.pem"}
ISSUER = {"oidc_issuer": "https://issuer.example", "oidc_audience": "whence"}


@pytest.mark.parametrize("known", [{"keys_file": "keys.json"}, ISSUER, {"policy_file": "p.toml", **TLS}])
def test_a_front_end_that_asks_who_calls_serves_anywhere(known):
    assert FrontEndSettings.load(address="0.0.0.0:1", **known).asks_who_calls


def test_a_front_end_has_to_know_whose_certificates_they_are():
    with pytest.raises(InvalidRequestError, match="policy_file"):
        FrontEndSettings.load(address="0.0.0.0:1", **TLS)


def test_a_worker_that_asks_for_certificates_serves_anywhere():
    assert WorkerSettings.load(address="0.0.0.0:1", **WORKER, **TLS).asks_who_calls


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"oidc_issuer": "https://issuer.example"}, "belong together"),
        ({"oidc_audience": "whence"}, "belong together"),
        ({**ISSUER, "oidc_issuer": "http://issuer.example"}, "no https URL"),
        ({**ISSUER, "oidc_jwks": "http://issuer.example/keys"}, "no https URL"),
        ({**ISSUER, "oidc_leeway_s": -1}, "oidc_leeway_s"),
    ],
)
def test_an_issuer_whose_tokens_could_not_be_trusted_is_refused(given, says):
    with pytest.raises(InvalidRequestError, match=says):
        FrontEndSettings.load(**given)


def test_keys_in_a_file_are_of_an_issuer_of_any_name():
    assert FrontEndSettings.load(**{**ISSUER, "oidc_issuer": "us", "oidc_jwks": "jwks.json"}).asks_who_calls


def test_a_refusal_of_all_settings_together_repeats_none_of_them(monkeypatch):
    monkeypatch.setenv("WHENCE_WORKER_REDIS_URL", "redis://:secret@host/0")
    with pytest.raises(InvalidRequestError) as caught:
        WorkerSettings.load(address="0.0.0.0:1", **WORKER)
    assert "secret" not in caught.value.message
