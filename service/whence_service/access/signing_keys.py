"""The public keys of a token issuer (a JWKS), of a file or fetched from a URL.

Tokens name their key by an id. One that is not known may be new, so that the URL is asked again; but not more often
than every :data:`LEAST_INTERVAL_S`, or tokens with invented ids would make this server flood the issuer.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from whence.errors import InvalidRequestError, UnavailableError
from whence.reasons import Reason
from whence_service.rpc.watched_file import WatchedFile

LEAST_INTERVAL_S: Final = 30.0
REFRESH_S: Final = 600.0
_TIMEOUT_S: Final = 5.0
_MOST_BYTES: Final = 1 << 20
_THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")
_DISCOVERY: Final = "/.well-known/openid-configuration"
# Signatures with public keys alone: with a shared secret, whoever can check a token could also make one.
ALGORITHMS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {  # by type and curve
    ("RSA", ""): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
_LEAST_RSA_BITS: Final = 2048

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """A public key, and the algorithms of signatures that it may check."""

    id: str
    key: Any  # of the library cryptography
    algorithms: tuple[str, ...]


class SigningKeys(Protocol):
    """Where the keys of an issuer are."""

    async def find(self, key_id: str) -> Sequence[SigningKey]:
        """Return the keys of that id, all of them where it is empty.

        Raises :class:`~whence.errors.UnavailableError` (``ISSUER_UNAVAILABLE``) where that cannot be known now.
        """
        ...


def parse_keys(document: object) -> tuple[SigningKey, ...]:
    """Return the keys of a JWKS that check signatures. Raises ``ValueError`` where there is none."""
    entries = document.get("keys") if isinstance(document, dict) else None
    parsed = [key for entry in entries or () if isinstance(entry, dict) for key in _parse_key(entry)]
    if not parsed:
        raise ValueError("it has no public key for signatures of RSA, an elliptic curve or EdDSA")
    return tuple(parsed)


def _parse_key(entry: dict[str, Any]) -> list[SigningKey]:
    algorithms = ALGORITHMS.get((str(entry.get("kty")), str(entry.get("crv", ""))), ())
    if "alg" in entry:
        algorithms = tuple(name for name in algorithms if name == entry["alg"])
    if not algorithms or entry.get("use", "sig") != "sig" or "d" in entry:  # "d" is of private keys
        return []
    try:
        key = PyJWK(entry).key
    except PyJWTError:
        return []
    if isinstance(key, RSAPublicKey) and key.key_size < _LEAST_RSA_BITS:
        return []
    return [SigningKey(id=str(entry.get("kid", "")), key=key, algorithms=algorithms)]


def _select(keys: Sequence[SigningKey], key_id: str) -> list[SigningKey]:
    return [key for key in keys if not key_id or key.id == key_id]


def read_signing_keys(path: Path) -> tuple[SigningKey, ...]:
    """Return the keys of a JWKS file. Raises ``InvalidRequestError`` (``INVALID_SETTINGS``)."""
    try:
        return parse_keys(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise InvalidRequestError(
            f"the issuer's keys {path} cannot be used: {error}; give a JWKS",
            reason=Reason.INVALID_SETTINGS,
            field="oidc_jwks",
            path=path,
        ) from error


class FileKeys:
    """The keys of a file, which is read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._keys: WatchedFile[tuple[SigningKey, ...]] = WatchedFile(path, read_signing_keys)

    async def find(self, key_id: str) -> Sequence[SigningKey]:
        """Return the keys of that id, all of them where it is empty."""
        return _select(self._keys.content, key_id)


class UrlKeys:
    """The keys that an issuer publishes. Where asking for them fails, the last ones stay in force, and it is logged.

    State: the keys, when the issuer was last asked and whether it answered, and the request under way, which all who
    need it wait for and none of them can cancel. Owner: the event loop.
    """

    def __init__(self, fetch: Callable[[], object], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: tuple[SigningKey, ...] = ()
        self._asked_at = -math.inf
        self._failed = False
        self._request: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<UrlKeys {[key.id for key in self._keys]} failed={self._failed}>"

    async def find(self, key_id: str) -> Sequence[SigningKey]:
        """Return the keys of that id. If it is not known, the issuer is asked first; if the keys are old, meanwhile."""
        known = _select(self._keys, key_id)
        due_s = REFRESH_S if known and not self._failed else LEAST_INTERVAL_S
        if self._request is None and self._clock() - self._asked_at >= due_s:
            self._asked_at = self._clock()
            self._request = asyncio.create_task(self._ask())
        if self._request is not None and not known:
            await asyncio.shield(self._request)
            known = _select(self._keys, key_id)
        if not known and self._failed:
            raise UnavailableError(
                "the issuer of tokens does not answer, and its keys are not known; call again later",
                reason=Reason.ISSUER_UNAVAILABLE,
            )
        return known

    async def _ask(self) -> None:
        try:
            self._keys = parse_keys(await asyncio.to_thread(self._fetch))
            self._failed = False
        except (OSError, ValueError, HTTPException) as error:
            self._failed = True
            _log.error("the issuer's keys cannot be fetched; the last ones stay in force", error=str(error))
        finally:
            self._request = None


def published_by(issuer: str, jwks: str) -> Callable[[], object]:
    """Return the function that fetches the JWKS at the URL ``jwks``, or at the one that the issuer's document names."""

    def fetch() -> object:
        if jwks:
            return fetch_json(jwks)
        document = fetch_json(issuer.rstrip("/") + _DISCOVERY)
        if not isinstance(document, dict) or document.get("issuer") != issuer:
            raise ValueError(f"the discovery document is not of the issuer {issuer}")
        return fetch_json(str(document.get("jwks_uri")))

    return fetch


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def check_url(url: str) -> None:
    """Raise ``ValueError`` unless keys can be fetched from a URL without anyone changing them on their way."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _THIS_MACHINE):
        raise ValueError(f"{url!r} is no https URL; keys of an issuer come over https, or from a file (oidc_jwks)")


def fetch_json(url: str) -> object:
    """Return the JSON document at a URL. Raises ``OSError`` and ``ValueError``."""
    check_url(url)
    with urllib.request.build_opener(_NoRedirects).open(url, timeout=_TIMEOUT_S) as answer:
        data = answer.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{url!r} has more than {_MOST_BYTES} bytes")
    return json.loads(data)
