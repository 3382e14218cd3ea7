"""An issuer of tokens for tests: keys, tokens signed with them, and an HTTP server that publishes the public ones."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER, AUDIENCE = "https://issuer.example", "whence"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def key_of(algorithm: str, name: str = "") -> Key:
    """A private key for an algorithm, the same for the same name."""
    return _make(algorithm, name)


@cache
def _make(algorithm: str, name: str) -> Key:
    match algorithm[:2]:
        case "ES":
            return ec.generate_private_key({"256": ec.SECP256R1(), "384": ec.SECP384R1()}[algorithm[2:]])
        case "Ed":
            return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048)


def public(key: Key, **more: str) -> dict[str, Any]:
    """The public half of a key as an entry of a JWKS."""
    kinds = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    algorithm = next((kind for of, kind in kinds.items() if isinstance(key, of)), OKPAlgorithm)
    return {**json.loads(algorithm.to_jwk(key.public_key())), **more}


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a valid token, with changes; None leaves a claim out."""
    now = int(time.time())
    given = {"iss": ISSUER, "aud": AUDIENCE, "sub": "grace", "iat": now, "exp": now + 600, "tenant": "acme"}
    given["scope"] = "openid whence:attribute whence:read-texts profile"
    return {name: value for name, value in (given | changes).items() if value is not None}


def token(algorithm: str = "ES256", *, name: str = "", kid: str | None = "k1", key: Any = None, **changes: Any) -> str:
    """A signed token."""
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), key or key_of(algorithm, name), algorithm, headers=headers)


@dataclass
class Published:
    """What an HTTP server answers, by path; a missing path is 404. ``asked`` are the paths of its requests."""

    documents: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def published(documents: dict[str, bytes]) -> Iterator[Published]:
    """Run an HTTP server of this machine."""
    state = Published(documents=documents)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            body = state.documents.get(self.path)
            self.send_response(302 if self.path in state.redirects else 404 if body is None else 200)
            if self.path in state.redirects:
                self.send_header("Location", state.redirects[self.path])
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        yield state
        server.shutdown()
