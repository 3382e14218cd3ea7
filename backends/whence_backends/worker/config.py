"""A worker's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from pydantic_settings import SettingsConfigDict

from whence.options import DEFAULT_DAMPING_FACTOR
from whence_service.rpc.hosting import MEBIBYTE
from whence_service.rpc.redis_connection import RedisUrl, check_access
from whence_service.rpc.settings import (
    Address,
    HostingSettings,
    MaxRequestBytes,
    MaxRunning,
    MaxWaiting,
    Names,
    Seconds,
)

_Threads = Annotated[int, Field(gt=0, le=4096)]
_Count = Annotated[int, Field(gt=0, lt=2**63)]  # the range of the message's field


class WorkerSettings(HostingSettings):
    """The settings of a worker. Variables of the environment have the prefix ``WHENCE_WORKER_``."""

    model_config = SettingsConfigDict(env_prefix="WHENCE_WORKER_")
    owner: ClassVar[str] = "the worker"
    protection: ClassVar[str] = "set tls_client_ca, so that only who has a certificate of yours is served"

    model: str = Field(description="The model: a folder, a GGUF file, 'smollm2' or a hub name; for ort an export.")
    factors: Path = Field(description="The folder that 'whence fit' wrote.")
    corpus: Path = Field(description="The folder that 'whence corpus' wrote.")
    index: Path | None = Field(
        None, description="The folder that 'whence index' wrote; unset: none, and every search is a scan."
    )
    certificate: Path | None = Field(
        None, description="The certificate that 'whence validate' made of these; unset: none, and answers say so."
    )
    name: str = Field("", description="The served model's name; empty: the last part of 'model'.")
    shards: Names = Field((), description="The corpus shards to hold, separated by commas; empty: all of them.")

    training_sequences: _Count | None = Field(
        None,
        description="N, the size of the training set, by which influences are divided; for a corpus that is a part of "
        "the training set. Unset: that of the factors.",
    )

    engine: str = Field(
        "auto", description="The engine: pytorch, ort, fake or an installed one; auto: ort for an export, else pytorch."
    )
    device: str = Field("auto", description="Where the engine computes: auto, cpu, cuda, cuda:1, ...")
    precision: str = Field(
        "float32", description="What the engine computes in: float32, bfloat16 or float64; for ort what was exported."
    )
    threads: _Threads | None = Field(None, description="CPU threads of the engine; unset: the engine's choice.")
    search_threads: _Threads | None = Field(None, description="CPU threads that search the index; unset: one per core.")
    search_device: str = Field(
        "cpu", description="Where the index is searched: cpu, or a GPU whose memory then holds it (cuda; needs torch)."
    )
    query_rank: PositiveInt | None = Field(
        None, description="Largest rank of a stored query gradient; unset: stored without loss."
    )
    engine_options: dict[str, str] = Field(
        {}, description="The engine's own options, as JSON; docs/engines.md has those of ort."
    )

    redis_url: RedisUrl = Field(
        "",
        repr=False,  # it may have a password
        description="The shared gradient cache, redis://host:port/0, or rediss:// for TLS; empty: none.",
    )
    redis_username: str | None = Field(None, description="The user of Redis' ACL; unset: Redis' default user.")
    redis_password_file: Path | None = Field(
        None, description="A file with the password for Redis; read again for each new connection."
    )
    redis_tls_ca: Path | None = Field(
        None, description="A PEM file of authorities to trust for rediss://, besides the system's."
    )
    redis_timeout_s: Seconds = Field(0.05, description="The timeout of Redis, in seconds.")
    redis_ttl_s: PositiveInt = Field(86_400, description="How long Redis keeps a gradient, in seconds.")
    redis_max_value_bytes: PositiveInt = Field(64 * MEBIBYTE, description="Largest gradient that is kept in Redis.")
    memory_cache_bytes: int = Field(1024 * MEBIBYTE, ge=0, description="Query gradients to keep in this process.")
    preconditioned_cache_bytes: int = Field(
        512 * MEBIBYTE, ge=0, description="Preconditioned queries to keep on the device between calls."
    )

    batch_tokens: PositiveInt = Field(4096, description="Most tokens, padding included, in one engine batch.")
    share_batches: bool = Field(
        True,
        description="Whether concurrent re-ranks share batches; their influences then differ from those of a call by "
        "itself in rounding.",
    )
    max_query_tokens: int = Field(0, ge=0, description="Longest query in tokens; 0: what the model takes.")
    default_damping_factor: PositiveFloat = Field(
        DEFAULT_DAMPING_FACTOR,
        description="Damping, as a multiple of each layer's mean eigenvalue, where a request names none.",
    )
    query_memory_bytes: PositiveInt = Field(
        8192 * MEBIBYTE,
        description="Device memory that one request's queries may take, at 4 bytes (float64: 8) for each tracked "
        "parameter and query; it bounds the queries of a request. A single query is always allowed.",
    )
    verify_artefacts: bool = Field(True, description="Check every file against its digest at start.")

    address: Address = "127.0.0.1:50061"
    max_running: MaxRunning = 4
    max_waiting: MaxWaiting = 16
    # Front ends send sketches, and up to 16 MiB of rows of the index.
    max_request_bytes: MaxRequestBytes = 24 * MEBIBYTE

    @property
    def served_name(self) -> str:
        """The name that requests use."""
        return self.name or Path(self.model).name.removesuffix(".gguf") or self.model

    @model_validator(mode="after")
    def _check_access_to_redis(self) -> Self:
        check_access(self, "redis")
        return self
