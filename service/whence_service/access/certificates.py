"""Callers that are known by their client certificate, whose issuer the TLS handshake has verified."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Final

from cryptography import x509

from whence_service.access.credentials import Credentials, expired, invalid
from whence_service.access.policy import Policy
from whence_service.rpc.identity import Identity
from whence_service.rpc.watched_file import WatchedFile

_KIND: Final = "client certificate"


class CertificateAuthenticator:
    """Knows the certificates that a policy names."""

    def __init__(self, policy: WatchedFile[Policy]) -> None:
        self._policy = policy

    async def authenticate(self, credentials: Credentials) -> Identity | None:
        """Return the caller that a certificate is of; None where the connection has none, or the call a token.

        A connection outlives the handshake, so that the end of the certificate is looked at with each call.
        """
        if credentials.token or not credentials.certificate:
            return None
        expires_at = _expiry(credentials.certificate)
        entry = self._policy.content.certified(credentials.common_names, credentials.alternative_names)
        if entry is None:
            raise invalid(_KIND)
        if expires_at <= time.time():
            raise expired(_KIND)
        return entry.identity(expires_at)


@lru_cache(maxsize=1024)
def _expiry(certificate: bytes) -> float:
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()
