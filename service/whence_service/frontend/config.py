"""The front end's settings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from whence_service.access.settings import AccessSettings
from whence_service.audit.log import AuditSettings
from whence_service.quotas.settings import QuotaSettings
from whence_service.rpc.certificates import TlsFiles
from whence_service.rpc.hosting import MEBIBYTE, HostSettings
from whence_service.rpc.redis_connection import RedisAccess, RedisUrl, check_access
from whence_service.rpc.settings import (
    Address,
    Count,
    MaxRequestBytes,
    MaxRunning,
    MaxWaiting,
    Seconds,
    WorkerAddresses,
    named_file,
    require,
    require_all_or_none,
)


class FrontEndSettings(AccessSettings):
    """The settings of a front end. Variables of the environment are the names in capitals, prefixed ``WHENCE_``."""

    model_config = SettingsConfigDict(env_prefix="WHENCE_")
    owner: ClassVar[str] = "the front end"
    protection: ClassVar[str] = "set keys_file (`whence keys add` makes a key), oidc_issuer, or policy_file"

    workers: WorkerAddresses = Field(
        (),
        description="The workers' addresses, separated by commas. dns:///host:port stands for every address "
        "that the host name resolves to, asked again at each refresh.",
    )
    workers_tls_ca: Path | None = Field(
        None,
        description="A PEM file of authorities. With it workers, except those at unix:path, are called over TLS and "
        "must have a certificate of one of them.",
    )
    workers_tls_certificate: Path | None = Field(
        None, description="The front end's own certificate and its chain, a PEM file, for workers that ask for one."
    )
    workers_tls_key: Path | None = Field(
        None, description="The key of workers_tls_certificate, a PEM file without a password."
    )
    workers_tls_name: str = Field(
        "",
        description="The name that workers' certificates must have. Empty: the host in the worker's address, also in "
        "dns:///host:port.",
    )
    # Below the workers' drain_s, so that a worker that drains is noticed before it refuses calls.
    refresh_s: Seconds = Field(3.0, description="Seconds between one look at what the workers hold and the next.")
    probe_timeout_s: Seconds = Field(5.0, description="Seconds that a worker may take to say what it holds.")
    default_deadline_s: Seconds = Field(600.0, description="The deadline of calls that set none, in seconds.")
    max_deadline_s: Seconds = Field(3600.0, description="The longest deadline that is honoured, in seconds.")
    max_top_k: Count = Field(1000, description="The largest top_k of a request.")
    max_queries: Count = Field(64, description="Most queries in one request.")
    max_score_sequences: Count = Field(1024, description="Most training sequences in one Score request.")
    max_candidates: Count = Field(10_000, description="Most candidates of the index that one query has scored.")
    max_message_bytes: Count = Field(
        64 * MEBIBYTE, description="The largest gRPC message from and to workers, and to clients, in bytes."
    )
    reflection: bool = Field(True, description="Whether to offer gRPC server reflection.")

    quotas_file: Path | None = Field(
        None, description="The TOML file of tenants' quotas (docs/quotas.md). It is read again when it changes."
    )
    quotas_redis_url: RedisUrl = Field(
        "",
        repr=False,  # it may have a password
        description="Where front ends count together what tenants use: redis://host:port/0, or rediss:// for TLS; "
        "empty: each for itself.",
    )
    quotas_redis_username: str | None = Field(None, description="The user of that Redis' ACL; unset: its default user.")
    quotas_redis_password_file: Path | None = Field(
        None, description="A file with the password for that Redis; read again for each new connection."
    )
    quotas_redis_tls_ca: Path | None = Field(
        None, description="A PEM file of authorities to trust for that Redis, besides the system's."
    )
    quotas_timeout_s: Seconds = Field(0.1, description="The time that counting in Redis may take, in seconds.")
    quotas_local_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="The share of each quota that this front end grants by itself where there is no Redis or it cannot "
        "be asked: one divided by the number of front ends.",
    )
    audit_log: str = Field(
        "",
        description="Where to write one JSON line for each call: a file, stdout or stderr. A file is opened anew when "
        "it was rotated. Empty: nowhere.",
    )
    audit_texts: bool = Field(
        False, description="Whether these lines have whole requests, texts included, beside digests of the queries."
    )
    audit_required: bool = Field(
        False, description="Whether calls fail while their lines cannot be written; otherwise they go on."
    )

    address: Address = "127.0.0.1:50051"
    max_running: MaxRunning = 16
    max_waiting: MaxWaiting = 128
    max_wait_s: Seconds | None = Field(
        None,
        description="Longest wait for a turn, in seconds: a call that would probably wait longer is refused at once, "
        "and any other that has. Unset: as long as its deadline allows.",
    )
    max_request_bytes: MaxRequestBytes = 16 * MEBIBYTE

    @property
    def quotas(self) -> QuotaSettings | None:
        """How much tenants may ask; None: anything."""
        if self.quotas_file is None:
            return None
        return QuotaSettings(
            file=self.quotas_file,
            redis_url=self.quotas_redis_url,
            redis_access=RedisAccess(
                username=self.quotas_redis_username,
                password_file=self.quotas_redis_password_file,
                authorities=self.quotas_redis_tls_ca,
                prefix="quotas_redis",
            ),
            timeout_s=self.quotas_timeout_s,
            local_share=self.quotas_local_share,
        )

    @property
    def audit(self) -> AuditSettings:
        """Where calls are written down."""
        return AuditSettings(place=self.audit_log, texts=self.audit_texts, required=self.audit_required)

    @property
    def host(self) -> HostSettings:
        """Where and how to serve."""
        return dataclasses.replace(super().host, max_message_bytes=self.max_message_bytes, reflection=self.reflection)

    @property
    def workers_tls(self) -> TlsFiles | None:
        """The files of TLS to workers; None: without TLS."""
        if self.workers_tls_ca is None:
            return None
        return TlsFiles(
            hop="workers",
            certificate=named_file(self, "workers_tls_certificate"),
            key=named_file(self, "workers_tls_key"),
            authorities=named_file(self, "workers_tls_ca"),
        )

    @model_validator(mode="after")
    def _check_workers_tls(self) -> Self:
        require_all_or_none(self, "workers_tls_certificate", "workers_tls_key")
        require(self, "workers_tls_certificate", needs="workers_tls_ca")
        return self

    @model_validator(mode="after")
    def _check_quotas(self) -> Self:
        check_access(self, "quotas_redis")
        if self.quotas_redis_url and self.quotas_file is None:
            raise ValueError("quotas_redis_url has no effect without quotas_file: give that as well, or leave it out")
        return self
