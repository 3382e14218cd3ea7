"""Tokens of an issuer: which are accepted, and the callers that they speak of."""

from __future__ import annotations

import base64
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from access.issuer import AUDIENCE, ISSUER, claims, key_of, public, token
from whence.errors import UnauthenticatedError
from whence_service.access.credentials import Credentials
from whence_service.access.signing_keys import FileKeys
from whence_service.access.tokens import Claims, TokenAuthenticator
from whence_service.rpc.identity import Scope

ALGORITHMS = ("RS256", "PS512", "ES256", "ES384", "EdDSA")


@pytest.fixture
def jwks(tmp_path):
    """A file of the issuer's keys: one for each algorithm, of that name, and the one of most tests."""
    path = tmp_path / "jwks.json"
    keys = [public(key_of("ES256"), kid="k1"), *(public(key_of(name, name), kid=name) for name in ALGORITHMS)]
    path.write_text(json.dumps({"keys": keys}))
    return path


@pytest.fixture
def identify(jwks):
    """Find the caller of a token."""

    async def find(text: str, **more):
        accepted = Claims(issuer=ISSUER, audience=AUDIENCE, **more)
        return await TokenAuthenticator(accepted, FileKeys(jwks)).authenticate(Credentials(token=text))

    return find


async def test_a_token_speaks_of_a_caller(identify):
    expires = int(time.time()) + 100
    caller = await identify(token(exp=expires), leeway_s=5)
    assert (caller.subject, caller.tenant, caller.models) == ("grace", "acme", ("*",))
    assert caller.scopes == {Scope.ATTRIBUTE, Scope.READ_TEXTS}
    assert caller.expires_at == expires + 5


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_signatures_with_public_keys_are_accepted(identify, algorithm):
    assert (await identify(token(algorithm, name=algorithm, kid=algorithm))).subject == "grace"


async def test_a_token_that_names_no_key_is_tried_with_all(identify):
    assert (await identify(token(kid=None))).subject == "grace"


def unsigned() -> str:
    return jwt.encode(claims(), None, "none", headers={"kid": "k1"})


def encoded(part: object) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed_with_the_public_key() -> str:
    secret = key_of("RS256", "RS256").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signing = f"{encoded({'alg': 'HS256', 'kid': 'RS256'})}.{encoded(claims())}"
    return f"{signing}.{encoded(hmac.digest(secret, signing.encode(), 'sha256'))}"


def tampered() -> str:
    head, _, signature = token().split(".")
    return f"{head}.{encoded(claims(tenant='globex'))}.{signature}"


INVALID = {
    "no token": lambda: "abc",
    "not text": lambda: "é.é.é",
    "unsigned": unsigned,
    "signed with the public key as a secret": signed_with_the_public_key,
    "tampered with": tampered,
    "of another key": lambda: token(name="other"),
    "of an unknown key": lambda: token(kid="unknown"),
    "of the key of another algorithm": lambda: token(kid="RS256"),
    "of another issuer": lambda: token(iss="https://other.example"),
    "for another audience": lambda: token(aud="other"),
    "for no audience": lambda: token(aud=None),
    "without an end": lambda: token(exp=None),
    "without a subject": lambda: token(sub=None),
    "not valid yet": lambda: token(nbf=int(time.time()) + 600),
    "made in the future": lambda: token(iat=int(time.time()) + 600),
}


@pytest.mark.parametrize("make", INVALID.values(), ids=INVALID)
async def test_every_other_token_is_refused_in_the_same_words(identify, make):
    with pytest.raises(UnauthenticatedError) as caught:
        await identify(make())
    expected = "this token is not valid here; check that it is complete and meant for this server, or get another"
    assert (caught.value.reason, caught.value.message) == ("INVALID_CREDENTIALS", expected)


async def test_clocks_may_differ_by_the_leeway(identify):
    ended = token(exp=int(time.time()) - 10)
    assert await identify(ended, leeway_s=60)
    with pytest.raises(UnauthenticatedError) as caught:
        await identify(ended, leeway_s=1)
    assert caught.value.reason == "CREDENTIALS_EXPIRED"
    with pytest.raises(UnauthenticatedError) as caught:
        await identify(token(name="other", exp=int(time.time()) - 10), leeway_s=1)
    assert caught.value.reason == "INVALID_CREDENTIALS"


@pytest.mark.parametrize(
    ("more", "given", "scopes"),
    [
        ({}, {"scope": "attribute whence:administer"}, {"administer"}),
        ({}, {"scope": ["whence:attribute"]}, {"attribute"}),
        ({}, {"scope": None}, set()),
        ({}, {"scope": 7}, set()),
        ({"scope_prefix": ""}, {"scope": "attribute whence:administer"}, {"attribute"}),
        ({"scope": "realm_access.roles"}, {"realm_access": {"roles": ["whence:read-texts", 1]}}, {"read-texts"}),
        ({"scope": "https://a.b/scopes"}, {"https://a.b/scopes": ["whence:attribute"]}, {"attribute"}),
        ({"scope": "a.b.c"}, {"a": "x"}, set()),
    ],
)
async def test_settings_say_where_the_scopes_are(identify, more, given, scopes):
    assert (await identify(token(**given), **more)).scopes == scopes


async def test_models_are_all_or_those_of_a_claim(identify):
    assert (await identify(token(models=["a"]))).models == ("*",)
    assert (await identify(token(models=["a", "b-*"]), models="models")).models == ("a", "b-*")
    assert (await identify(token(), models="models")).models == ()


@pytest.mark.parametrize("tenant", [None, "", 7, ["acme"]])
async def test_a_token_without_a_tenant_is_refused(identify, tenant):
    with pytest.raises(UnauthenticatedError, match="names no tenant"):
        await identify(token(tenant=tenant))


async def test_an_api_key_is_not_taken_for_a_token(identify):
    assert await identify("whence_abc") is None
    assert await identify("") is None
