"""The policy file: who the client certificates are, and which tenants a model is for."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_service.rpc.identity import Identity, Scope

_Name = Annotated[str, StringConstraints(min_length=1)]


class Certified(BaseModel):
    """A caller with a certificate that has this common name, or this alternative name (DNS, URI, ...)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    common_name: _Name | None = None
    alternative_name: _Name | None = None
    subject: str = ""
    tenant: _Name
    scopes: tuple[Scope, ...]
    models: tuple[str, ...] = ("*",)

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if (self.common_name is None) == (self.alternative_name is None):
            raise ValueError("set common_name or alternative_name, and not both")
        return self

    def identity(self, expires_at: float | None) -> Identity:
        """Return the caller."""
        return Identity(
            subject=self.subject or self.common_name or self.alternative_name or "",
            tenant=self.tenant,
            scopes=frozenset(self.scopes),
            models=self.models,
            expires_at=expires_at,
        )


class Policy(BaseModel):
    """``models`` has the tenants of model names and patterns: for all others, models that match do not exist."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    certificates: tuple[Certified, ...] = ()
    models: Mapping[str, tuple[_Name, ...]] = {}

    def certified(self, common_names: Collection[str], alternative_names: Collection[str]) -> Certified | None:
        """Return the first entry that a certificate with these names has."""
        for entry in self.certificates:
            if entry.common_name in common_names or entry.alternative_name in alternative_names:
                return entry
        return None

    def limit(self, identity: Identity) -> Identity:
        """Return the caller without the models of other tenants."""
        others = tuple(pattern for pattern, tenants in self.models.items() if identity.tenant not in tenants)
        return replace(identity, others_models=others)


def read_policy(path: Path) -> Policy:
    """Return the policy of a file. Raises ``InvalidRequestError`` (``INVALID_SETTINGS``)."""
    try:
        return Policy.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        problem = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
    except (OSError, ValueError) as error:
        problem = str(error)
    raise InvalidRequestError(
        f"the policy {path} is not valid: {problem}", reason=Reason.INVALID_SETTINGS, field="policy_file", path=path
    )
