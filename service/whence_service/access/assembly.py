"""The gate that settings describe: one authenticator for each kind of credentials that is set up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from whence_service.access.credentials import Authenticator
from whence_service.access.gate import AccessGate
from whence_service.access.keys_file import KeyAuthenticator
from whence_service.rpc.gate import Gate, OpenGate


@dataclass(frozen=True, kw_only=True)
class AccessSettings:
    """Which credentials are known. Where no kind is set up, nobody is asked for any."""

    keys_file: Path | None = None
    open_reflection: bool = False

    @property
    def identifies(self) -> bool:
        """Whether callers are asked who they are."""
        return self.keys_file is not None


def build_gate(settings: AccessSettings) -> Gate:
    """Return the gate of a server. Raises :class:`~whence.errors.InvalidRequestError` (``INVALID_SETTINGS``)."""
    if not settings.identifies:
        return OpenGate()
    authenticators: list[Authenticator] = []
    if settings.keys_file is not None:
        authenticators.append(KeyAuthenticator(settings.keys_file))
    return AccessGate(authenticators, open_reflection=settings.open_reflection)
