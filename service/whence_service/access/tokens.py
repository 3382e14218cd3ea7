"""Bearer tokens of an OpenID Connect issuer (JWT, signed with a public key), and the identities in their claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from whence.errors import UnauthenticatedError
from whence.reasons import Reason
from whence_service.access.credentials import Credentials, expired, invalid
from whence_service.access.keys import PREFIX
from whence_service.access.signing_keys import SigningKeys
from whence_service.rpc.identity import Identity, Scope

_KIND: Final = "token"
_REQUIRED: Final = ("exp", "iss", "aud", "sub")


@dataclass(frozen=True, kw_only=True)
class Claims:
    """The tokens to accept, and where their claims have what makes an identity.

    ``scope_prefix`` is that of our scopes; ``models`` is the name of a claim, empty where every model exists for every
    caller. Times may be off by ``leeway_s``.
    """

    issuer: str
    audience: str
    tenant: str = "tenant"
    scope: str = "scope"
    scope_prefix: str = "whence:"
    models: str = ""
    leeway_s: float = 30.0

    def identity(self, claims: Mapping[str, Any]) -> Identity:
        """Return the caller that a valid token speaks of. Raises ``UnauthenticatedError`` where it names no tenant."""
        tenant = _claim(claims, self.tenant)
        if not isinstance(tenant, str) or not tenant:
            raise UnauthenticatedError(
                f"this token is valid, but its claim {self.tenant!r} names no tenant; ask its issuer for one that does",
                reason=Reason.INVALID_CREDENTIALS,
            )
        named = {name.removeprefix(self.scope_prefix) for name in _names(_claim(claims, self.scope), self.scope_prefix)}
        return Identity(
            subject=str(claims["sub"]),
            tenant=tenant,
            scopes=frozenset(scope for scope in Scope if scope in named),
            models=tuple(_names(_claim(claims, self.models))) if self.models else ("*",),
            expires_at=float(claims["exp"]) + self.leeway_s,
        )


class TokenAuthenticator:
    """Knows the tokens of one issuer."""

    def __init__(self, claims: Claims, keys: SigningKeys) -> None:
        self._claims = claims
        self._keys = keys

    async def authenticate(self, credentials: Credentials) -> Identity | None:
        """Return the caller that a token speaks of; None where the call has none.

        Raises :class:`~whence.errors.UnavailableError` (``ISSUER_UNAVAILABLE``) where the issuer's keys are not known.
        """
        token = credentials.token
        if not token or token.startswith(PREFIX):
            return None
        try:
            key_id = jwt.get_unverified_header(token).get("kid", "")
        except PyJWTError as error:
            raise invalid(_KIND) from error
        for key in await self._keys.find(str(key_id)):
            try:
                claims = self._decode(token, key.key, key.algorithms)
            except ExpiredSignatureError as error:
                raise expired(_KIND) from error
            except PyJWTError:
                continue
            return self._claims.identity(claims)
        raise invalid(_KIND)

    def _decode(self, token: str, key: Any, algorithms: tuple[str, ...]) -> dict[str, Any]:  # noqa: ANN401
        return jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            issuer=self._claims.issuer,
            audience=self._claims.audience,
            leeway=self._claims.leeway_s,
            options={"require": list(_REQUIRED)},
        )


def _claim(claims: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return the claim of that name or, for a.b, the field b of the claim a; None where there is none."""
    if name in claims:
        return claims[name]
    first, dot, rest = name.partition(".")
    inner = claims.get(first)
    return _claim(inner, rest) if dot and isinstance(inner, dict) else None


def _names(value: object, prefix: str = "") -> list[str]:
    """Return the names in a list, or in text with spaces between them, that have the prefix."""
    names = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    return [name for name in names if isinstance(name, str) and name.startswith(prefix)]
