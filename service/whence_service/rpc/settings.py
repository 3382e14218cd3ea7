"""How settings are read, the front end's and a worker's alike: the types they share, and what is said of wrong ones.

Options win over the environment, the environment over a TOML file.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
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
from whence_service.rpc.addresses import check_serving, check_worker, host_and_port

S = TypeVar("S", bound="ServerSettings")

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _metrics(address: str) -> str:
    if address:
        host_and_port(address)
    return address


def _level(name: str) -> str:
    if name.upper() not in _LEVELS:
        raise ValueError(f"expected one of {', '.join(_LEVELS)}")
    return name.upper()


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Delay = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Address = Annotated[str, AfterValidator(check_serving)]
MetricsAddress = Annotated[str, AfterValidator(_metrics)]
WorkerAddresses = Annotated[tuple[Annotated[str, AfterValidator(check_worker)], ...], NoDecode, BeforeValidator(_split)]
LogLevel = Annotated[str, AfterValidator(_level)]


class ServerSettings(BaseSettings):
    """Settings that are read once and never change. Make them with :func:`load`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

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


def load(kind: type[S], owner: str, file: Path | None, given: dict[str, Any]) -> S:
    """Return the settings of ``owner`` from what was ``given``, the environment and the TOML ``file``.

    Raises :class:`~whence.errors.InvalidRequestError`: ``BAD_SETTINGS``, naming every setting that is missing or wrong,
    and ``UNKNOWN_VARIABLE`` for a variable of the environment that nothing reads.
    """
    environment.check()
    prefix = str(kind.model_config["env_prefix"])
    settings = type(
        kind.__name__, (kind,), {"model_config": SettingsConfigDict(toml_file=file), "__module__": __name__}
    )
    try:
        if file is not None:
            _require_toml(file)
        made: S = settings(**given)
    except SettingsError as error:  # a variable whose JSON is none
        raise _bad(f"{owner}'s settings are not valid: {error}: {error.__cause__}", prefix, "") from error
    except ValidationError as error:
        problems = "; ".join(_told(problem, kind) for problem in error.errors(include_url=False))
        field = ".".join(map(str, error.errors()[0]["loc"]))
        raise _bad(f"{owner}'s settings are not valid: {problems}", prefix, field) from error
    return made


def _told(problem: Any, kind: type[BaseSettings]) -> str:  # noqa: ANN401 - pydantic's own dictionary
    name = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        return f"{name}: there is no such setting{environment.nearest(name, kind.model_fields)}"
    got = "" if "url" in name or problem["type"] == "missing" else f" (got {problem['input']!r})"
    return f"{name}: {problem['msg'].removeprefix('Value error, ')}{got}"


def _bad(message: str, prefix: str, field: str) -> InvalidRequestError:
    advice = f"Give them as options, as {prefix}<NAME> in the environment or in the settings file"
    return InvalidRequestError(f"{message}. {advice}", reason="BAD_SETTINGS", field=field)


def _require_toml(file: Path) -> None:
    try:
        tomllib.loads(file.read_text(encoding="utf-8"))
        return
    except FileNotFoundError:
        problem = "does not exist; create it, or leave out --config and WHENCE_CONFIG"
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text: {error.reason} at byte {error.start}"
    except tomllib.TOMLDecodeError as error:
        problem = f"is not TOML: {error}"
    raise InvalidRequestError(f"the settings file {file} {problem}", reason="BAD_SETTINGS", field="config", path=file)
