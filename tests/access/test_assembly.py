"""The gate that settings describe."""

from __future__ import annotations

import json

import pytest

from access.issuer import AUDIENCE, ISSUER, key_of, public
from authority import Authority
from whence.errors import InvalidRequestError
from whence_service.access.assembly import build_gate
from whence_service.access.gate import AccessGate
from whence_service.frontend.config import FrontEndSettings
from whence_service.rpc.gate import OpenGate

EVERYWHERE = "0.0.0.0:1"


def test_nobody_is_asked_unless_something_is_set_up():
    assert isinstance(build_gate(FrontEndSettings()), OpenGate)
    assert isinstance(build_gate(FrontEndSettings(address=EVERYWHERE, insecure=True)), OpenGate)


def test_insecure_does_not_open_what_asks_who_calls(keys_file):
    gate = build_gate(FrontEndSettings(address=EVERYWHERE, insecure=True, keys_file=keys_file))
    assert isinstance(gate, AccessGate)


@pytest.mark.parametrize("name", ["keys_file", "policy_file", "oidc_jwks"])
def test_a_file_that_is_not_there_is_noticed_before_anyone_calls(tmp_path, name):
    issuer = {"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE} if name == "oidc_jwks" else {}
    with pytest.raises(InvalidRequestError, match="none") as caught:
        build_gate(FrontEndSettings(**{name: str(tmp_path / "none")}, **issuer))
    assert (caught.value.reason, caught.value.field) == ("INVALID_SETTINGS", name)


def test_credentials_that_arrive_unencrypted_are_warned_of(keys_file, tmp_path, logs):
    own = Authority(tmp_path).issue("server")
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [public(key_of("ES256"))]}))
    tokens = {"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, "oidc_jwks": str(jwks)}
    build_gate(FrontEndSettings(keys_file=keys_file))
    encrypted = {"tls_certificate": own.certificate, "tls_key": own.key}
    build_gate(FrontEndSettings(address=EVERYWHERE, keys_file=keys_file, **encrypted))
    assert not logs
    build_gate(FrontEndSettings(address=EVERYWHERE, **tokens))
    assert ["unencrypted" in line["event"] for line in logs] == [True]
