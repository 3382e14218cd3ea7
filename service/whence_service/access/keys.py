"""API keys: their text, what is kept of them, and the check of one.

A key reads ``whence_ID_SECRET``. The id is public and names the key in lists and logs. The secret is 256 random bits,
of which the file keeps HMAC-SHA256 under a salt of the key's own. A slow hash such as scrypt protects secrets that can
be guessed; nobody guesses 256 bits, and a fast one costs a call some microseconds and gives a flood of wrong keys
nothing to hold the server up with.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

from whence_service.access.credentials import expired, invalid
from whence_service.rpc.identity import Identity, Scope

PREFIX: Final = "whence_"
_KIND: Final = "API key"
_ID_BYTES, _SALT_BYTES, _SECRET_BYTES = 6, 16, 32
_Hex = StringConstraints(pattern=r"^([0-9a-f]{2})+$")


class StoredKey(BaseModel):
    """What is kept of a key. ``hash`` is HMAC-SHA256 of the secret under ``salt``; both are hexadecimal.

    A key that was revoked stays in the list, so that its id is not given again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
    salt: Annotated[str, StringConstraints(min_length=2 * _SALT_BYTES), _Hex]
    hash: Annotated[str, StringConstraints(min_length=64, max_length=64), _Hex]
    subject: Annotated[str, StringConstraints(min_length=1)]
    tenant: Annotated[str, StringConstraints(min_length=1)]
    scopes: tuple[Scope, ...]
    models: tuple[str, ...] = ("*",)
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None

    @property
    def identity(self) -> Identity:
        """The caller that the key stands for."""
        return Identity(
            subject=self.subject,
            tenant=self.tenant,
            scopes=frozenset(self.scopes),
            models=self.models,
            expires_at=None if self.expires_at is None else self.expires_at.timestamp(),
        )


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A key whose text is known, once: ``text`` is given to the caller, ``stored`` is kept."""

    text: str
    stored: StoredKey


def make_key(
    *,
    subject: str,
    tenant: str,
    scopes: tuple[Scope, ...],
    models: tuple[str, ...] = ("*",),
    expires_at: datetime | None = None,
) -> NewKey:
    """Return a new random key."""
    key_id, secret, salt = (
        secrets.token_hex(_ID_BYTES),
        secrets.token_urlsafe(_SECRET_BYTES),
        secrets.token_hex(_SALT_BYTES),
    )
    stored = StoredKey(
        id=key_id,
        salt=salt,
        hash=_digest(salt, secret),
        subject=subject,
        tenant=tenant,
        scopes=scopes,
        models=models,
        created_at=datetime.now(UTC),
        expires_at=expires_at,
    )
    return NewKey(text=f"{PREFIX}{key_id}_{secret}", stored=stored)


def _digest(salt: str, secret: str) -> str:
    return hmac.new(bytes.fromhex(salt), secret.encode(), hashlib.sha256).hexdigest()


# Compared with where no key has the id that was sent, so that an unknown id takes the same work as a wrong secret.
_DECOY: Final = make_key(subject="nobody", tenant="nobody", scopes=()).stored


def identify(keys: Mapping[str, StoredKey], text: str, *, now: datetime) -> Identity:
    """Return the caller that the key ``text`` stands for.

    Raises :class:`~whence.errors.UnauthenticatedError`: ``CREDENTIALS_EXPIRED`` for a key that was valid, and
    ``INVALID_CREDENTIALS`` for every other, after one hash and one comparison in constant time, whether the text is
    malformed, the id unknown, the secret wrong or the key revoked.
    """
    key_id, _, secret = text.removeprefix(PREFIX).partition("_")
    key = keys.get(key_id, _DECOY)
    matches = hmac.compare_digest(_digest(key.salt, secret), key.hash)
    if not matches or key is _DECOY or key.revoked_at is not None:
        raise invalid(_KIND)
    if key.expires_at is not None and key.expires_at <= now:
        raise expired(_KIND)
    return key.identity
