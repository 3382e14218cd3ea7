"""The scope that each method needs. A method that is not in the table is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from whence.errors import ForbiddenError
from whence.reasons import Reason
from whence_service.rpc.identity import Identity, Scope

HEALTH: Final = "/grpc.health.v1.Health/"
REFLECTION: Final = "/grpc.reflection."

_SERVICE: Final = "/whence.v1.AttributionService"
SCOPES: Final[Mapping[str, Scope]] = {
    f"{_SERVICE}/Attribute": Scope.ATTRIBUTE,
    f"{_SERVICE}/StreamAttribute": Scope.ATTRIBUTE,
    f"{_SERVICE}/BatchAttribute": Scope.ATTRIBUTE,
    f"{_SERVICE}/Score": Scope.ATTRIBUTE,
    f"{_SERVICE}/Explain": Scope.ATTRIBUTE,
    f"{_SERVICE}/SelfInfluence": Scope.ATTRIBUTE,
    f"{_SERVICE}/GroupInfluence": Scope.ATTRIBUTE,
    f"{_SERVICE}/TextOverlap": Scope.ATTRIBUTE,
    f"{_SERVICE}/ListModels": Scope.ATTRIBUTE,
    f"{_SERVICE}/GetModel": Scope.ATTRIBUTE,
}


def check_method(identity: Identity, path: str) -> None:
    """Raise :class:`~whence.errors.ForbiddenError` (``MISSING_SCOPE``) where the caller may not call this method.

    Reflection is for every known caller.
    """
    if path.startswith(REFLECTION):
        return
    scope = SCOPES.get(path)
    if scope is None:
        raise ForbiddenError(
            "no scope gives access to this method; call another", reason=Reason.MISSING_SCOPE, scope="none"
        )
    if not identity.may(scope):
        raise missing(scope, "this call")


def missing(scope: Scope, what: str) -> ForbiddenError:
    """Return the error for ``what`` the caller lacks the scope for."""
    return ForbiddenError(
        f"{what} needs the scope {scope.value!r}, which these credentials lack; ask whoever runs the server for it",
        reason=Reason.MISSING_SCOPE,
        scope=scope.value,
    )
