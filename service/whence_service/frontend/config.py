"""The front end's configuration, read once: flags win over the environment, the environment over the file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from whence.errors import InvalidRequestError
from whence_service.rpc.bounds import RequestBounds
from whence_service.rpc.hosting import MEBIBYTE
from whence_service.rpc.logging import LogFormat

CONFIG_VARIABLE: Final = "WHENCE_CONFIG"

_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Delay = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=1)]


class FrontEndSettings(BaseSettings):
    """How one front end serves. Environment variables: the names in capitals, with the prefix ``WHENCE_``."""

    model_config = SettingsConfigDict(env_prefix="WHENCE_", frozen=True, extra="forbid")

    address: str = Field("127.0.0.1:50051", description="Where to serve gRPC: host:port or unix:path.")
    metrics_address: str = Field(
        "", description="Where to serve /metrics and /healthz over HTTP: host:port. Empty: nowhere."
    )
    workers: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="The workers' addresses, separated by commas. dns:///host:port stands for every address "
        "that the host name resolves to, asked again at each refresh.",
    )
    refresh_s: _Seconds = Field(5.0, description="How often to ask the workers what they hold, in seconds.")
    probe_timeout_s: _Seconds = Field(5.0, description="How long a worker may take to say what it holds.")
    max_running: _Count = Field(16, description="How many requests are worked on at a time.")
    max_waiting: Annotated[int, Field(ge=0)] = Field(128, description="How many more may wait; others are refused.")
    default_deadline_s: _Seconds = Field(600.0, description="The deadline of calls that set none, in seconds.")
    max_deadline_s: _Seconds = Field(3600.0, description="The longest deadline that is honoured, in seconds.")
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
    drain_s: _Delay = Field(5.0, description="How long to go on answering after health says NOT_SERVING.")
    grace_s: _Delay = Field(30.0, description="How long calls in flight may then take before they are cancelled.")
    reflection: bool = Field(True, description="Whether to offer gRPC server reflection.")
    log_format: LogFormat = Field(LogFormat.JSON, description="How log lines look: json or console.")
    log_level: str = Field("INFO", description="The least severe level that is logged.")

    @field_validator("workers", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read flags first, then the environment, then the TOML file that the class was made for."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(file: Path | None = None, **flags: Any) -> FrontEndSettings:  # noqa: ANN401
    """Return the settings from ``flags`` (``None``: not given), the environment and the TOML ``file``.

    Raises :class:`~whence.errors.InvalidRequestError` (``BAD_SETTINGS``) naming every setting that is wrong.
    """
    if file is not None and not file.is_file():
        raise InvalidRequestError(
            f"the settings file {file} does not exist; create it, or leave out --config and {CONFIG_VARIABLE}",
            reason="BAD_SETTINGS",
            field="config",
            path=file,
        )

    class Settings(FrontEndSettings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        field = ".".join(map(str, error.errors()[0]["loc"]))
        raise InvalidRequestError(_explain(error), reason="BAD_SETTINGS", field=field) from error
    except tomllib.TOMLDecodeError as error:
        message = f"the settings file {file} is not TOML: {error}"
        raise InvalidRequestError(message, reason="BAD_SETTINGS", field="config") from error


def _explain(error: ValidationError) -> str:
    problems = (
        f"{'.'.join(map(str, problem['loc']))}: {problem['msg']} (got {problem['input']!r})"
        for problem in error.errors(include_url=False)
    )
    return (
        f"the front end's settings are not valid: {'; '.join(problems)}. Give them as options, as "
        "WHENCE_<NAME> in the environment or in the settings file"
    )
