"""The settings that say who may call."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from whence_service.access.signing_keys import check_url
from whence_service.rpc.settings import Delay, HostingSettings


class AccessSettings(HostingSettings):
    """The settings of a process that asks who calls. Where no kind of credentials is set up, nobody is asked."""

    open_reflection: bool = Field(
        False, description="Whether reflection needs no credentials where other calls do. Health checks never do."
    )
    keys_file: Path | None = Field(
        None, description="The file of API keys, which `whence keys` writes. It is read again when it changes."
    )
    policy_file: Path | None = Field(
        None,
        description="A TOML file that says who the client certificates are and which tenants a model is for "
        "(docs/security.md). It is read again when it changes.",
    )
    oidc_issuer: str = Field(
        "", description="The issuer of tokens (JWT) to accept, as their iss names it. Needs oidc_audience."
    )
    oidc_audience: str = Field("", description="The audience that tokens must be for: their aud.")
    oidc_jwks: str = Field(
        "", description="The issuer's keys: a URL or a file. Empty: the URL that the issuer's discovery document names."
    )
    oidc_tenant_claim: str = Field("tenant", description="The claim that names the tenant; a.b is b of the object a.")
    oidc_scope_claim: str = Field(
        "scope", description="The claim with the scopes: a list, or text with spaces between them."
    )
    oidc_scope_prefix: str = Field(
        "whence:", description="The prefix of our scopes in that claim, as in whence:attribute; others are ignored."
    )
    oidc_models_claim: str = Field(
        "", description="The claim with the models that exist for the caller, as patterns. Empty: all of them."
    )
    oidc_leeway_s: Delay = Field(30.0, description="Seconds that the issuer's clock may differ from this one.")

    @property
    def asks_who_calls(self) -> bool:
        """Whether callers need credentials."""
        return self.keys_file is not None or self.policy_file is not None or bool(self.oidc_issuer)

    @model_validator(mode="after")
    def _check_issuer(self) -> Self:
        if bool(self.oidc_issuer) != bool(self.oidc_audience):
            raise ValueError(
                "oidc_issuer and oidc_audience belong together: a token of an issuer that is meant for another "
                "audience must not be accepted here; set both, or neither"
            )
        url = self.oidc_jwks or self.oidc_issuer
        if "://" in url or (url and not self.oidc_jwks):
            check_url(url)
        return self
