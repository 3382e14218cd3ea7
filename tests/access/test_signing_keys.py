"""The keys of an issuer: which are used, and how often it is asked for them."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from access.issuer import key_of, public, published
from whence.errors import InvalidRequestError, UnavailableError
from whence_service.access.signing_keys import (
    LEAST_INTERVAL_S,
    REFRESH_S,
    FileKeys,
    UrlKeys,
    fetch_json,
    parse_keys,
    published_by,
)

ELLIPTIC, RSA = public(key_of("ES256")), public(key_of("RS256"))
SHORT = public(rsa.generate_private_key(65537, 1024))
PRIVATE = json.loads(RSAAlgorithm.to_jwk(key_of("RS256")))
USELESS = {
    "a secret": {"kty": "oct", "k": "c2VjcmV0"},
    "for encryption": {**RSA, "use": "enc"},
    "private": PRIVATE,
    "too short": SHORT,
    "of another algorithm": {**ELLIPTIC, "alg": "RS256"},
    "with a secret's algorithm": {**RSA, "alg": "HS256"},
    "of an unknown curve": {**ELLIPTIC, "crv": "secp256k1"},
    "without its numbers": {"kty": "RSA"},
    "no object": "x",
}


def jwks(*names: str) -> dict:
    return {"keys": [{**ELLIPTIC, "kid": name} for name in names]}


@pytest.mark.parametrize("entry", USELESS.values(), ids=USELESS)
def test_only_public_keys_for_signatures_are_used(entry):
    (key,) = parse_keys({"keys": [entry, {**RSA, "kid": "good"}]})
    assert key.id == "good"


@pytest.mark.parametrize("document", [None, [], {}, {"keys": []}, {"keys": [USELESS["a secret"]]}, {"keys": None}])
def test_a_document_without_any_is_refused(document):
    with pytest.raises(ValueError, match="no public key"):
        parse_keys(document)


def test_a_key_that_names_its_algorithm_is_for_no_other():
    assert parse_keys({"keys": [{**RSA, "alg": "PS256"}]})[0].algorithms == ("PS256",)
    assert set(parse_keys({"keys": [RSA]})[0].algorithms) == {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


async def test_a_file_is_read_again_when_it_changes(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(jwks("a")))
    keys = FileKeys(path)
    assert [key.id for key in await keys.find("a")] == ["a"]
    path.write_text(json.dumps(jwks("a", "b")))
    assert [key.id for key in await keys.find("b")] == ["b"]
    assert [key.id for key in await keys.find("")] == ["a", "b"]


def test_a_file_without_keys_is_refused_from_the_start(tmp_path):
    (tmp_path / "jwks.json").write_text("{}")
    for name in ("jwks.json", "none.json"):
        with pytest.raises(InvalidRequestError, match="give a JWKS"):
            FileKeys(tmp_path / name)


class Issuer:
    """An issuer with a clock that the test moves."""

    def __init__(self, *names: str) -> None:
        self.answer: object = jwks(*names)
        self.asked = 0
        self.now = 0.0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.keys = UrlKeys(self.fetch, clock=lambda: self.now)

    def fetch(self) -> object:
        self.asked += 1
        self.may_answer.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def has(self, name: str) -> bool:
        return bool(await self.keys.find(name))


async def test_an_issuer_is_asked_once_for_what_it_said_lately():
    issuer = Issuer("a")
    assert [await issuer.has("a") for _ in range(3)] == [True] * 3
    assert issuer.asked == 1


async def test_a_new_key_is_asked_for_and_invented_ones_not_more_often_than_that():
    issuer = Issuer("a")
    assert await issuer.has("a")
    issuer.answer = jwks("a", "b")
    assert not await issuer.has("b")  # the issuer was asked a moment ago
    issuer.now += LEAST_INTERVAL_S
    assert await issuer.has("b")
    assert [await issuer.has(f"invented{n}") for n in range(50)] == [False] * 50
    assert issuer.asked == 2


async def test_all_who_wait_share_one_request_and_none_of_them_can_end_it():
    issuer = Issuer("a")
    issuer.may_answer.clear()
    waiting = [asyncio.ensure_future(issuer.has("a")) for _ in range(5)]
    await asyncio.sleep(0.05)
    waiting[0].cancel()
    issuer.may_answer.set()
    assert await asyncio.gather(*waiting[1:]) == [True] * 4
    assert issuer.asked == 1


async def test_old_keys_are_renewed_while_calls_go_on(eventually):
    issuer = Issuer("a")
    assert await issuer.has("a")
    issuer.now += REFRESH_S
    issuer.answer = jwks("b")
    issuer.may_answer.clear()
    assert await issuer.has("a")
    issuer.may_answer.set()
    await eventually(lambda: "'b'" in repr(issuer.keys))
    assert not await issuer.has("a")  # withdrawn


@pytest.mark.parametrize("failure", [OSError("refused"), ValueError("no JSON"), {"keys": []}])
async def test_an_issuer_that_fails_leaves_its_last_keys_in_force_and_it_is_logged(failure, logs, eventually):
    issuer = Issuer("a")
    assert await issuer.has("a")
    issuer.answer, issuer.now = failure, REFRESH_S
    assert await issuer.has("a")
    await eventually(lambda: [line["log_level"] for line in logs] == ["error"])
    assert await issuer.has("a")
    with pytest.raises(UnavailableError):  # it may be a key that the issuer has made since
        await issuer.has("b")


async def test_an_issuer_that_never_answered_makes_calls_wait_for_better_times():
    issuer = Issuer()
    issuer.answer = OSError("refused")
    for _ in range(2):
        with pytest.raises(UnavailableError) as caught:
            await issuer.has("a")
        assert caught.value.reason == "ISSUER_UNAVAILABLE"
    assert issuer.asked == 1
    issuer.answer, issuer.now = jwks("a"), LEAST_INTERVAL_S
    assert await issuer.has("a")


def test_keys_are_fetched_from_where_the_issuer_says():
    with published({}) as server:
        discovery = {"issuer": server.url, "jwks_uri": f"{server.url}/keys"}
        server.documents |= {
            "/.well-known/openid-configuration": json.dumps(discovery).encode(),
            "/keys": json.dumps(jwks("a")).encode(),
        }
        assert parse_keys(published_by(server.url, "")())[0].id == "a"
        assert parse_keys(published_by("https://other.example", f"{server.url}/keys")())[0].id == "a"
        server.documents["/.well-known/openid-configuration"] = json.dumps({**discovery, "issuer": "x"}).encode()
        with pytest.raises(ValueError, match="not of the issuer"):
            published_by(server.url, "")()


@pytest.mark.parametrize("url", ["http://issuer.example/keys", "ftp://a/b", "file:///etc/passwd", "x", "None"])
def test_keys_come_over_https_alone(url):
    with pytest.raises(ValueError, match="https"):
        fetch_json(url)


def test_no_redirect_is_followed_and_no_endless_answer_read():
    with published({"/large": b" " * (1 << 20) + b"{}", "/elsewhere": b"{}"}) as server:
        server.redirects["/moved"] = f"{server.url}/elsewhere"
        with pytest.raises(OSError, match="302"):
            fetch_json(f"{server.url}/moved")
        with pytest.raises(ValueError, match="more than"):
            fetch_json(f"{server.url}/large")
    assert "/elsewhere" not in server.asked
