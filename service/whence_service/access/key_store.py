"""The administration of API keys: what `whence keys` does to their file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from whence.errors import NotFoundError
from whence.reasons import Reason
from whence_service.access.keys import NewKey, StoredKey, make_key
from whence_service.access.keys_file import Keys, change_keys, read_keys
from whence_service.rpc.identity import Scope


@dataclass(frozen=True, kw_only=True)
class KeyStore:
    """The keys of one file. Every change is written before its method returns; a server notices it at its next call."""

    path: Path

    def add(
        self,
        *,
        subject: str,
        tenant: str,
        scopes: tuple[Scope, ...],
        models: tuple[str, ...] = ("*",),
        lifetime: timedelta | None = None,
    ) -> NewKey:
        """Make a key that is valid for ``lifetime`` (None: for ever), and the file where there is none yet."""
        expires_at = None if lifetime is None else datetime.now(UTC) + lifetime
        new = make_key(subject=subject, tenant=tenant, scopes=scopes, models=models, expires_at=expires_at)
        change_keys(self.path, lambda keys: {**keys, new.stored.id: new.stored})
        return new

    def list(self) -> tuple[StoredKey, ...]:
        """Return all keys, the oldest first."""
        return tuple(sorted(read_keys(self.path).values(), key=lambda key: key.created_at))

    def revoke(self, key_id: str) -> None:
        """End a key at once. Raises :class:`~whence.errors.NotFoundError` (``KEY_NOT_FOUND``)."""

        def revoked(keys: Keys) -> Keys:
            key = self._in_force(keys, key_id)
            return {**keys, key_id: key.model_copy(update={"revoked_at": datetime.now(UTC)})}

        change_keys(self.path, revoked)

    def rotate(self, key_id: str, *, overlap: timedelta) -> NewKey:
        """Make a new key for the caller of another, which ends after ``overlap`` at the latest.

        The new one is valid for as long as the other was meant to be. Raises
        :class:`~whence.errors.NotFoundError` (``KEY_NOT_FOUND``).
        """
        made: list[NewKey] = []

        def rotated(keys: Keys) -> Keys:
            old, now = self._in_force(keys, key_id), datetime.now(UTC)
            new = make_key(
                subject=old.subject,
                tenant=old.tenant,
                scopes=old.scopes,
                models=old.models,
                expires_at=None if old.expires_at is None else now + (old.expires_at - old.created_at),
            )
            made.append(new)
            end = min(now + overlap, old.expires_at or datetime.max.replace(tzinfo=UTC))
            return {**keys, key_id: old.model_copy(update={"expires_at": end}), new.stored.id: new.stored}

        change_keys(self.path, rotated)
        return made[0]

    def _in_force(self, keys: Keys, key_id: str) -> StoredKey:
        key = keys.get(key_id)
        if key is None or key.revoked_at is not None:
            raise NotFoundError(
                f"{self.path} has no key {key_id!r} that is not revoked; `whence keys list` shows what it has",
                reason=Reason.KEY_NOT_FOUND,
                key=key_id,
            )
        return key
