"""The front end's configuration, read once: flags win over the environment, the environment over the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from whence_service.rpc import settings
from whence_service.rpc.bounds import RequestBounds
from whence_service.rpc.hosting import MEBIBYTE
from whence_service.rpc.logging import LogFormat
from whence_service.rpc.settings import Address, Delay, LogLevel, MetricsAddress, Seconds, WorkerAddresses

_Count = Annotated[int, Field(ge=1)]


class FrontEndSettings(settings.ServerSettings):
    """How one front end serves. Environment variables: the names in capitals, with the prefix ``WHENCE_``."""

    model_config = SettingsConfigDict(env_prefix="WHENCE_")

    address: Address = Field("127.0.0.1:50051", description="Where to serve gRPC: host:port or unix:path.")
    metrics_address: MetricsAddress = Field(
        "", description="Where to serve /metrics and /healthz over HTTP: host:port. Empty: nowhere."
    )
    workers: WorkerAddresses = Field(
        (),
        description="The workers' addresses, separated by commas. dns:///host:port stands for every address "
        "that the host name resolves to, asked again at each refresh.",
    )
    refresh_s: Seconds = Field(5.0, description="How often to ask the workers what they hold, in seconds.")
    probe_timeout_s: Seconds = Field(5.0, description="How long a worker may take to say what it holds.")
    max_running: _Count = Field(16, description="How many requests are worked on at a time.")
    max_waiting: Annotated[int, Field(ge=0)] = Field(128, description="How many more may wait; others are refused.")
    default_deadline_s: Seconds = Field(600.0, description="The deadline of calls that set none, in seconds.")
    max_deadline_s: Seconds = Field(3600.0, description="The longest deadline that is honoured, in seconds.")
    max_top_k: _Count = Field(1000, description="The largest top_k of a request.")
    max_queries: _Count = Field(64, description="Most queries in one request.")
    max_score_sequences: _Count = Field(1024, description="Most training sequences in one Score request.")
    max_candidates: _Count = Field(10_000, description="Most candidates of the index that one query has scored.")
    max_message_bytes: _Count = Field(
        64 * MEBIBYTE, description="The largest gRPC message from and to workers, and to clients, in bytes."
    )
    max_request_bytes: _Count = Field(
        16 * MEBIBYTE, description="The largest request of a client, in bytes; gRPC itself refuses larger ones unread."
    )
    max_text_bytes: _Count = Field(
        RequestBounds.max_text_bytes,
        description="The longest query, and the longest text to score, in bytes; a model may take less.",
    )
    max_filter_bytes: _Count = Field(RequestBounds.max_filter_bytes, description="The largest filter, in bytes.")
    max_name_bytes: _Count = Field(
        RequestBounds.max_name_bytes, description="The longest name, id or pattern in a request, in bytes."
    )
    max_fields: _Count = Field(
        RequestBounds.max_fields, description="Most fields in one request, those of each message in a list counted."
    )
    drain_s: Delay = Field(5.0, description="How long to go on answering after health says NOT_SERVING.")
    grace_s: Delay = Field(30.0, description="How long calls in flight may then take before they are cancelled.")
    reflection: bool = Field(True, description="Whether to offer gRPC server reflection.")
    log_format: LogFormat = Field(LogFormat.JSON, description="How log lines look: json or console.")
    log_level: LogLevel = Field("INFO", description="The least severe level that is logged.")


def load_settings(file: Path | None = None, **flags: Any) -> FrontEndSettings:  # noqa: ANN401
    """Return the settings from ``flags`` (``None``: not given), the environment and the TOML ``file``.

    Raises :class:`~whence.errors.InvalidRequestError` as :func:`whence_service.rpc.settings.load`.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    return settings.load(FrontEndSettings, "the front end", file, given)
