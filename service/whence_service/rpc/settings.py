"""The settings that processes share, and the one loader of settings."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from whence import environment
from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_service.rpc.addresses import check_serving, check_worker, host_and_port, is_local
from whence_service.rpc.bounds import RequestBounds
from whence_service.rpc.certificates import NamedFile, TlsFiles
from whence_service.rpc.hosting import HostSettings
from whence_service.rpc.logging import LogFormat
from whence_service.rpc.otlp import TracingSettings

S = TypeVar("S", bound="Settings")

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _metrics(address: str) -> str:
    if address:
        host_and_port(address)
    return address


def _collector(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or not parts.port or parts.username):
        raise ValueError("expected http://host:port or https://host:port, as in http://localhost:4317")
    return url


def _level(name: str) -> str:
    if name.upper() not in _LEVELS:
        raise ValueError(f"expected one of {', '.join(_LEVELS)}")
    return name.upper()


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Delay = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
WorkerAddresses = Annotated[tuple[Annotated[str, AfterValidator(check_worker)], ...], NoDecode, BeforeValidator(_split)]

# Settings of both processes that have different defaults.
Address = Annotated[
    str, AfterValidator(check_serving), Field(description="Where to serve gRPC: host:port or unix:path.")
]
MaxRunning = Annotated[Count, Field(description="Most calls that run at a time.")]
MaxWaiting = Annotated[int, Field(ge=0, description="Most calls that wait for their turn; more are refused at once.")]
MaxRequestBytes = Annotated[
    Count, Field(description="The largest request, in bytes; gRPC itself refuses larger ones unread.")
]


class Settings(BaseSettings):
    """The settings of a process, read once and never changed. Make them with :meth:`load`.

    Options override the environment, which overrides a TOML file. ``owner`` names the process in messages.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    owner: ClassVar[str]

    @classmethod
    def load(cls, file: Path | None = None, /, **given: Any) -> Self:  # noqa: ANN401 - each checked by its field
        """Return the settings from what was ``given`` (None: nothing), the environment and the TOML ``file``.

        The default of ``file`` is the one that ``<PREFIX>CONFIG`` names in the environment, if any. Raises
        :class:`~whence.errors.InvalidRequestError`: ``INVALID_SETTINGS``, naming every setting that is missing or
        wrong, and ``UNKNOWN_VARIABLE`` for a variable of the environment that nothing reads.
        """
        environment.check()
        prefix = str(cls.model_config["env_prefix"])
        variable = f"{prefix}CONFIG"
        named = os.environ.get(variable, "")
        file = file or (Path(named) if named else None)
        if file is not None:
            _require_toml(file, variable)
        options = {name: value for name, value in given.items() if value is not None}
        return _read(
            cls, file, options, f"Give them as options, as {prefix}<NAME> in the environment or in a TOML file"
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read options first, then the environment, then the TOML file that the class was made for."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


class HostingSettings(Settings):
    """The settings of every process that serves gRPC. ``protection`` is the advice to those that let anyone in."""

    protection: ClassVar[str]

    address: Address
    metrics_address: Annotated[str, AfterValidator(_metrics)] = Field(
        "", description="Where to serve /metrics and /healthz over HTTP: host:port. Empty: nowhere."
    )
    max_running: MaxRunning
    max_waiting: MaxWaiting
    max_request_bytes: MaxRequestBytes
    max_text_bytes: Count = Field(
        RequestBounds.max_text_bytes,
        description="The longest query, and the longest text to score, in bytes. A model takes at most 32 bytes for "
        "each token of its longest query, but at least 64 KiB.",
    )
    max_filter_bytes: Count = Field(RequestBounds.max_filter_bytes, description="The largest filter, in bytes.")
    max_name_bytes: Count = Field(
        RequestBounds.max_name_bytes, description="The longest name, id or pattern in a request, in bytes."
    )
    max_fields: Count = Field(
        RequestBounds.max_fields, description="Most fields in one request, those of each message in a list counted."
    )
    insecure: bool = Field(
        False, description="Serve at an address that other machines can reach although nobody is asked who calls."
    )
    drain_s: Delay = Field(5.0, description="Seconds to go on answering after health says NOT_SERVING on shutdown.")
    grace_s: Delay = Field(30.0, description="Seconds that calls in flight may then take before they are cancelled.")
    tls_certificate: Path | None = Field(
        None,
        description="The server's certificate and its chain, a PEM file. With it, and tls_key, gRPC is served over "
        "TLS.",
    )
    tls_key: Path | None = Field(None, description="The key of tls_certificate, a PEM file without a password.")
    tls_client_ca: Path | None = Field(
        None,
        description="A PEM file of authorities. With it clients must have a certificate of one of them (mutual TLS).",
    )
    tls_reload_s: Seconds = Field(
        10.0, description="Seconds between one look at the server's TLS files and the next; changed ones are taken."
    )
    log_format: LogFormat = Field(LogFormat.JSON, description="The format of log lines: json or console.")
    log_level: Annotated[str, AfterValidator(_level)] = Field("INFO", description="The least severe level to log.")

    otlp_endpoint: Annotated[str, AfterValidator(_collector)] = Field(
        "",
        description="The OpenTelemetry collector that traces are sent to over OTLP/gRPC: http://host:port, or https:// "
        "for TLS. Empty: that of OTEL_EXPORTER_OTLP_ENDPOINT, or none.",
    )
    trace_sampling: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="The share of traces to keep, from 0 to 1, of those that a caller did not begin. Unset: what "
        "OTEL_TRACES_SAMPLER says, or all.",
    )

    @property
    def tracing(self) -> TracingSettings:
        """Where traces go."""
        return TracingSettings(endpoint=self.otlp_endpoint, sampling=self.trace_sampling)

    @property
    def asks_who_calls(self) -> bool:
        """Whether callers need a client certificate, or other credentials."""
        return self.tls_client_ca is not None

    @model_validator(mode="after")
    def _check_protection(self) -> Self:
        if not (self.insecure or self.asks_who_calls or is_local(self.address)):
            raise ValueError(
                f"other machines can reach {self.address}, and nobody is asked who calls there: {self.protection}; "
                "or serve at 127.0.0.1 or unix:path; or say --insecure where the network itself is trusted"
            )
        return self

    @property
    def host(self) -> HostSettings:
        """The settings of the server."""
        return HostSettings(
            address=self.address,
            max_request_bytes=self.max_request_bytes,
            drain_s=self.drain_s,
            grace_s=self.grace_s,
            tls=self.tls,
            tls_reload_s=self.tls_reload_s,
        )

    @property
    def tls(self) -> TlsFiles | None:
        """The files of TLS for those who call this process; None: without TLS."""
        if self.tls_certificate is None:
            return None
        return TlsFiles(
            hop="server",
            certificate=named_file(self, "tls_certificate"),
            key=named_file(self, "tls_key"),
            authorities=named_file(self, "tls_client_ca"),
        )

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        require_all_or_none(self, "tls_certificate", "tls_key")
        require(self, "tls_client_ca", needs="tls_certificate")
        if self.tls_certificate is not None and self.address.startswith("unix:"):
            raise ValueError(
                f"tls_certificate is of no use at {self.address}, since a unix socket does not leave this machine: "
                "leave it out, or serve at host:port"
            )
        return self

    @property
    def bounds(self) -> RequestBounds:
        """The bounds of a request."""
        return RequestBounds(
            max_text_bytes=self.max_text_bytes,
            max_filter_bytes=self.max_filter_bytes,
            max_name_bytes=self.max_name_bytes,
            max_fields=self.max_fields,
        )


def named_file(settings: Settings, name: str) -> NamedFile | None:
    """Return the file that a setting names, if it does."""
    path = getattr(settings, name)
    return None if path is None else NamedFile(setting=name, path=path)


def require_all_or_none(settings: Settings, *names: str) -> None:
    """Raise ``ValueError`` where some of the settings are given and others are not."""
    missing = [name for name in names if getattr(settings, name) is None]
    if missing and len(missing) < len(names):
        raise ValueError(f"{' and '.join(names)} belong together, and {', '.join(missing)} is missing: give it as well")


def require(settings: Settings, name: str, *, needs: str) -> None:
    """Raise ``ValueError`` for a setting that is given without another one that it needs."""
    if getattr(settings, name) is not None and getattr(settings, needs) is None:
        raise ValueError(f"{name} has no effect without {needs}: give that as well, or leave {name} out")


def _read(kind: type[S], file: Path | None, options: dict[str, Any], advice: str) -> S:
    """Read settings with pydantic, and map its errors to Whence's."""
    from_file = type(
        kind.__name__, (kind,), {"model_config": SettingsConfigDict(toml_file=file), "__module__": __name__}
    )
    try:
        settings: S = from_file(**options)
    except SettingsError as error:  # a variable that is not valid JSON
        message = f"{kind.owner}'s settings are not valid: {error}: {error.__cause__}. {advice}"
        raise InvalidRequestError(message, reason=Reason.INVALID_SETTINGS, field="") from error
    except ValidationError as error:
        problems = "; ".join(_problem(problem, kind) for problem in error.errors(include_url=False))
        message = f"{kind.owner}'s settings are not valid: {problems}. {advice}"
        field = ".".join(map(str, error.errors()[0]["loc"]))
        raise InvalidRequestError(message, reason=Reason.INVALID_SETTINGS, field=field) from error
    return settings


def _problem(problem: Any, kind: type[BaseSettings]) -> str:  # noqa: ANN401 - pydantic's own dictionary
    name = ".".join(map(str, problem["loc"]))
    if not name:  # of all settings together, which are not to be repeated
        return str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"{name}: there is no such setting{environment.nearest(name, kind.model_fields)}"
    message: str = problem["msg"].removeprefix("Value error, ")
    if not name:  # of several settings together, which the message names
        return message
    # URLs may hold passwords.
    unsaid = problem["type"] == "missing" or any(word in name for word in ("url", "endpoint"))
    got = "" if unsaid else f" (got {problem['input']!r})"
    return f"{name}: {message}{got}"


def _require_toml(file: Path, variable: str) -> None:
    try:
        tomllib.loads(file.read_text(encoding="utf-8"))
        return
    except FileNotFoundError:
        problem = f"does not exist; create it, or leave out --config and {variable}"
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text: {error.reason} at byte {error.start}"
    except tomllib.TOMLDecodeError as error:
        problem = f"is not TOML: {error}"
    raise InvalidRequestError(
        f"the settings file {file} {problem}", reason=Reason.INVALID_SETTINGS, field="config", path=file
    )
