"""What a worker is started with: read once from arguments, environment and file, then passed down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt
from pydantic_settings import SettingsConfigDict
from redis.asyncio.connection import parse_url

from whence_service.rpc import settings
from whence_service.rpc.bounds import RequestBounds
from whence_service.rpc.logging import LogFormat
from whence_service.rpc.settings import Address, Delay, LogLevel, MetricsAddress, Names, Seconds

_MEBIBYTE = 1024 * 1024


def _check_redis(url: str) -> str:
    """Refuse what redis would not take, or take for another server than was meant. A URL may hold a password."""
    if not url:
        return url
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("expected redis://host:port/0, rediss:// for TLS, or unix:///path/of.socket")
    if not (parts.path if parts.scheme == "unix" else parts.hostname):
        raise ValueError(f"{parts.scheme}:// is followed by no {'path' if parts.scheme == 'unix' else 'host'}")
    database = parts.path.strip("/")
    if parts.scheme != "unix" and (parts.port == 0 or (database and not database.isdigit())):
        raise ValueError("expected a port from 1 to 65535 and a database that is a number, as in redis://host:6379/0")
    parse_url(url)
    return url


_Threads = Annotated[int, Field(gt=0, le=4096)]
_Count = Annotated[int, Field(gt=0, lt=2**63)]  # what a message holds
RedisUrl = Annotated[str, AfterValidator(_check_redis)]


class WorkerSettings(settings.ServerSettings):
    """A worker's settings. Arguments win over ``WHENCE_WORKER_*`` variables, which win over the TOML file."""

    model_config = SettingsConfigDict(env_prefix="WHENCE_WORKER_")

    model: str = Field(description="The model: a folder, a GGUF file, 'smollm2' or a hub name; for ort an export.")
    factors: Path = Field(description="The folder that 'whence fit' wrote.")
    corpus: Path = Field(description="The folder that 'whence corpus' wrote.")
    index: Path | None = Field(
        None, description="The folder that 'whence index' wrote; unset: none, and every search is a scan."
    )
    name: str = Field("", description="The served model's name; empty: the last part of 'model'.")
    shards: Names = Field((), description="The corpus shards to hold, separated by commas; empty: all of them.")

    training_sequences: _Count | None = Field(
        None,
        description="N, the size of the training set that influences are divided by, where the corpus is a part of it; "
        "unset: as the factors say.",
    )

    engine: str = Field(
        "auto", description="The engine: pytorch, ort, fake or an installed one; auto: ort for an export, else pytorch."
    )
    device: str = Field("auto", description="Where the engine computes: auto, cpu, cuda, cuda:1, ...")
    precision: str = Field(
        "float32", description="What the engine computes in: float32, bfloat16 or float64; for ort what was exported."
    )
    threads: _Threads | None = Field(None, description="CPU threads of the engine; unset: the engine's choice.")
    search_threads: _Threads | None = Field(None, description="CPU threads that search the index; unset: one a core.")
    search_device: str = Field(
        "cpu", description="Where the index is searched: cpu, or a GPU whose memory then holds it (cuda; needs torch)."
    )
    query_rank: PositiveInt | None = Field(
        None, description="Largest rank of a stored query gradient; unset: stored without loss."
    )
    engine_options: dict[str, str] = Field(
        {}, description="The engine's own options, as JSON; docs/engines.md has those of ort."
    )

    address: Address = Field("127.0.0.1:50061", description="Where to serve: host:port, or unix:path.")
    metrics_address: MetricsAddress = Field(
        "", description="Where to serve /metrics and /healthz over HTTP: host:port; empty: nowhere."
    )
    max_running: PositiveInt = Field(4, description="Calls that run at once; each batch of theirs takes turns.")
    max_waiting: int = Field(16, ge=0, description="Calls that wait for their turn; more are refused at once.")
    drain_s: Delay = Field(5.0, description="Seconds to go on answering after health says NOT_SERVING on shutdown.")
    grace_s: Delay = Field(30.0, description="Seconds that calls in flight may then take to finish.")
    log_format: LogFormat = Field(LogFormat.JSON, description="How log lines look: json or console.")
    log_level: LogLevel = Field("INFO", description="The least severe log lines to write.")

    redis_url: RedisUrl = Field("", description="The shared gradient cache, redis://host:port/0; empty: none.")
    redis_timeout_s: Seconds = Field(0.05, description="Seconds that Redis has to answer.")
    redis_ttl_s: PositiveInt = Field(86_400, description="Seconds that a gradient is kept in Redis.")
    redis_max_value_bytes: PositiveInt = Field(64 * _MEBIBYTE, description="Largest gradient that is kept in Redis.")
    memory_cache_bytes: int = Field(1024 * _MEBIBYTE, ge=0, description="Query gradients to keep in this process.")
    preconditioned_cache_bytes: int = Field(
        512 * _MEBIBYTE, ge=0, description="Preconditioned queries to keep on the device between calls."
    )

    batch_tokens: PositiveInt = Field(4096, description="Most tokens, padding included, in one engine batch.")
    share_batches: bool = Field(
        True,
        description="Re-ranks that are under way at the same time share batches; their influences then differ from "
        "those of a call by itself in rounding.",
    )
    max_query_tokens: int = Field(0, ge=0, description="Longest query in tokens; 0: what the model takes.")
    max_request_bytes: PositiveInt = Field(
        24 * _MEBIBYTE,
        description="The largest request, in bytes; gRPC itself refuses larger ones unread. Front ends send sketches, "
        "and up to 16 MiB of rows of the index.",
    )
    max_text_bytes: PositiveInt = Field(
        RequestBounds.max_text_bytes,
        description="The longest query, and the longest text to score, in bytes; at most 32 for each token of the "
        "longest query are taken, but at least 64 KiB.",
    )
    max_filter_bytes: PositiveInt = Field(RequestBounds.max_filter_bytes, description="The largest filter, in bytes.")
    max_name_bytes: PositiveInt = Field(
        RequestBounds.max_name_bytes, description="The longest name or id in a request, in bytes."
    )
    max_fields: PositiveInt = Field(
        RequestBounds.max_fields, description="Most fields in one request, those of each message in a list counted."
    )
    default_damping_factor: PositiveFloat = Field(
        0.1, description="Damping, as a multiple of each layer's mean eigenvalue, where a request names none."
    )
    query_memory_bytes: PositiveInt = Field(
        8192 * _MEBIBYTE,
        description="Device memory that one request's queries may take, at 4 bytes (float64: 8) a tracked parameter "
        "each; it bounds the queries of a request. One is always allowed.",
    )
    verify_artefacts: bool = Field(True, description="Check every file against its digest at start.")

    @property
    def served_name(self) -> str:
        """The name that requests use."""
        return self.name or Path(self.model).name.removesuffix(".gguf") or self.model


def load_settings(file: Path | None = None, **given: Any) -> WorkerSettings:  # noqa: ANN401
    """Return the settings from what was ``given``, the environment and the TOML ``file``.

    Raises :class:`~whence.errors.InvalidRequestError` as :func:`whence_service.rpc.settings.load`.
    """
    return settings.load(WorkerSettings, "the worker", file, given)
