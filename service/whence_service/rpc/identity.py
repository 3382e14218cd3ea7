"""Who makes the call being served, and what they may do.

An authenticator finds the identity from a call's credentials; the interceptor sets it for the task of the call, and all
other code reads :func:`current_identity`. Where no authenticator is configured, every caller is :data:`ANYONE`.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final


class Scope(StrEnum):
    """A permission."""

    ATTRIBUTE = "attribute"
    """Ask for influences, and see the models that there are."""
    READ_TEXTS = "read-texts"
    """See training data: texts, token strings and metadata. Without it hits have ids and influences only."""
    ADMINISTER = "administer"
    """Call what is for operators."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A caller. ``subject`` names them in logs; quotas and fairness count by ``tenant``.

    ``models`` are patterns of the model names that exist for them, such as ``smollm-*``, except those that match a
    pattern of ``others_models``. ``expires_at`` is when the credentials end, in seconds since the epoch; None: never.
    """

    subject: str
    tenant: str
    scopes: frozenset[Scope]
    models: tuple[str, ...] = ("*",)
    others_models: tuple[str, ...] = ()
    expires_at: float | None = None

    def may(self, scope: Scope) -> bool:
        """Return whether the caller has that permission."""
        return scope in self.scopes

    def sees(self, model: str) -> bool:
        """Return whether a model of that name exists for the caller."""
        return _matches(model, self.models) and not _matches(model, self.others_models)


def _matches(model: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in patterns)


ANYONE: Final = Identity(subject="", tenant="", scopes=frozenset(Scope))

# Set by the interceptor in the task of each call; tasks inherit it, so that calls are independent.
_current: ContextVar[Identity] = ContextVar("whence_identity", default=ANYONE)


def current_identity() -> Identity:
    """Return the caller of the call being served."""
    return _current.get()


def enter(identity: Identity) -> None:
    """Set ``identity`` as the current one for the rest of this task."""
    _current.set(identity)
