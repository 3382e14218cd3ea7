"""The gate of a server with identities: it authenticates a call, then checks that the caller may make it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.message import Message

from whence.errors import UnauthenticatedError
from whence.reasons import Reason
from whence_service.access.credentials import Authenticator, presented
from whence_service.access.permissions import HEALTH, REFLECTION, check_method
from whence_service.access.policy import Policy
from whence_service.access.texts import withhold_texts
from whence_service.rpc.gate import Answer
from whence_service.rpc.identity import Identity, Scope, current_identity
from whence_service.rpc.watched_file import WatchedFile


class AccessGate:
    """Lets those through whom one of ``authenticators`` knows: the first that knows the kind of the credentials.

    For them the models of other tenants do not exist, by ``policy``. Health checks are open, and reflection is with
    ``open_reflection``.
    """

    def __init__(
        self,
        authenticators: Sequence[Authenticator],
        policy: WatchedFile[Policy] | None = None,
        *,
        open_reflection: bool = False,
    ) -> None:
        self._authenticators = tuple(authenticators)
        self._policy = policy
        self._open = (HEALTH, REFLECTION) if open_reflection else (HEALTH,)

    def guards(self, path: str) -> bool:
        """Return whether calls under this path are asked for credentials."""
        return not path.startswith(self._open)

    async def identify(self, path: str, context: grpc.aio.ServicerContext[Any, Any]) -> Identity:
        """Return the caller of a call, who may make it. Raises as :class:`~whence_service.rpc.gate.Gate` says."""
        credentials = presented(context)
        for authenticator in self._authenticators:
            identity = await authenticator.authenticate(credentials)
            if identity is not None:
                check_method(identity, path)
                return identity if self._policy is None else self._policy.content.limit(identity)
        raise UnauthenticatedError(
            "this server answers known callers only; send an API key or a token as 'authorization: Bearer …', or "
            "connect with a client certificate",
            reason=Reason.INVALID_CREDENTIALS if credentials.token else Reason.MISSING_CREDENTIALS,
        )

    def release(self, answer: Answer) -> Answer:
        """Return the answer, without training data where the caller may not read it."""
        if isinstance(answer, Message) and not current_identity().may(Scope.READ_TEXTS):
            withhold_texts(answer)
        return answer
