"""The gate that settings describe: one authenticator for each kind of credentials that is set up."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import structlog

from whence_service.access.certificates import CertificateAuthenticator
from whence_service.access.credentials import Authenticator
from whence_service.access.gate import AccessGate
from whence_service.access.keys_file import KeyAuthenticator
from whence_service.access.policy import read_policy
from whence_service.access.settings import AccessSettings
from whence_service.access.signing_keys import FileKeys, SigningKeys, UrlKeys, published_by
from whence_service.access.tokens import Claims, TokenAuthenticator
from whence_service.rpc.addresses import is_local
from whence_service.rpc.gate import Gate, OpenGate
from whence_service.rpc.watched_file import WatchedFile

_log: Final = structlog.get_logger(__name__)


def build_gate(settings: AccessSettings) -> Gate:
    """Return the gate of a server. Raises :class:`~whence.errors.InvalidRequestError` (``INVALID_SETTINGS``)."""
    if not settings.asks_who_calls:
        return OpenGate()
    if settings.tls is None and not is_local(settings.address):
        _log.warning("credentials arrive unencrypted unless something before this server ends TLS: set tls_certificate")
    policy = None if settings.policy_file is None else WatchedFile(settings.policy_file, read_policy)
    authenticators: list[Authenticator] = []
    if settings.keys_file is not None:
        authenticators.append(KeyAuthenticator(settings.keys_file))
    if settings.oidc_issuer:
        authenticators.append(TokenAuthenticator(_claims(settings), _signing_keys(settings)))
    if policy is not None:
        authenticators.append(CertificateAuthenticator(policy))
    return AccessGate(authenticators, policy, open_reflection=settings.open_reflection)


def _claims(settings: AccessSettings) -> Claims:
    return Claims(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        tenant=settings.oidc_tenant_claim,
        scope=settings.oidc_scope_claim,
        scope_prefix=settings.oidc_scope_prefix,
        models=settings.oidc_models_claim,
        leeway_s=settings.oidc_leeway_s,
    )


def _signing_keys(settings: AccessSettings) -> SigningKeys:
    jwks = settings.oidc_jwks
    if jwks and "://" not in jwks:
        return FileKeys(Path(jwks))
    return UrlKeys(published_by(settings.oidc_issuer, jwks))
