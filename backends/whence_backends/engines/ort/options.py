"""The options of an ``ort`` engine: execution providers, fallback and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.contract import EngineConfig
from whence_backends.engines.checks import require_known_options

CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
# Providers whose arrays are in the memory of an NVIDIA GPU; those of other providers are in host memory.
_ON_CUDA: Final = (CUDA, "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider")
_GIBIBYTE: Final = 1 << 30
# Several sequences at a time, so that the queries are read from memory once for all of them; a GPU needs thousands of
# tokens.
_TRACE_BYTES: Final[Mapping[str, int]] = {"cpu": 1 * _GIBIBYTE, "cuda": 4 * _GIBIBYTE}
_NVIDIA_DRIVER: Final = Path("/proc/driver/nvidia/version")

_HELP: Final[Mapping[str, str]] = {
    "providers": "onnxruntime's execution providers, best first, separated by commas; wins over device",
    "fallback": "true: where a provider fails to load, go on with the next, and at last with the CPU",
    "trace_memory_bytes": "how much the inputs and gradients of the tracked layers may take; batches are cut to it",
    "device_memory_bytes": "the most that onnxruntime may take on a GPU",
}


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The placement of an engine: providers, best first, and the memory of its arrays."""

    providers: tuple[str, ...]
    memory: Literal["cpu", "cuda"]
    device_id: int = 0

    def __str__(self) -> str:
        return f"{self.memory}:{self.device_id}" if self.memory == "cuda" else "cpu"


@dataclass(frozen=True, kw_only=True)
class OrtOptions:
    """The options of an engine, read and checked."""

    placement: Placement
    fallback: bool
    trace_memory_bytes: int
    device_memory_bytes: int | None
    threads: int | None


def read_options(config: EngineConfig, available: Sequence[str]) -> OrtOptions:
    """Return the options; ``available`` are the providers of this build of onnxruntime.

    Raises :class:`~whence.errors.InvalidRequestError` for an unknown option, device or provider.
    """
    require_known_options("ort", config.options, _HELP)
    placement = _placement(config, available)
    return OrtOptions(
        placement=placement,
        fallback=_boolean(config.options, "fallback"),
        trace_memory_bytes=_positive(config.options, "trace_memory_bytes") or _TRACE_BYTES[placement.memory],
        device_memory_bytes=_positive(config.options, "device_memory_bytes"),
        threads=config.threads,
    )


def _placement(config: EngineConfig, available: Sequence[str]) -> Placement:
    device, _, number = config.device.partition(":")
    if device not in ("auto", "cpu", "cuda") or (number and not (device == "cuda" and number.isdecimal())):
        raise InvalidRequestError(
            f"device {config.device!r}; expected 'auto', 'cpu' or 'cuda[:N]', and any other by engine option providers",
            reason=Reason.UNKNOWN_DEVICE,
            field="device",
        )
    providers = tuple(name.strip() for name in config.options.get("providers", "").split(",") if name.strip())
    if not providers:
        wanted = device == "cuda" or (device == "auto" and CUDA in available and _NVIDIA_DRIVER.exists())
        providers = (CUDA,) if wanted else (CPU,)
    for provider in providers:
        if provider not in available:
            raise InvalidRequestError(
                f"this build of onnxruntime has no {provider}; it has {', '.join(available)}. For CUDA install "
                "whence[onnx-gpu] in place of whence[onnx]; for the CPU set device cpu",
                reason=Reason.UNKNOWN_PROVIDER,
                field="providers" if "providers" in config.options else "device",
                provider=provider,
            )
    return Placement(
        providers=providers, memory="cuda" if providers[0] in _ON_CUDA else "cpu", device_id=int(number or 0)
    )


def _boolean(options: Mapping[str, str], name: str) -> bool:
    value = options.get(name, "false").lower()
    if value not in ("true", "false"):
        raise _bad_option(f"engine option {name} is {value!r}; expected true or false")
    return value == "true"


def _positive(options: Mapping[str, str], name: str) -> int | None:
    value = options.get(name)
    if value is not None and not (value.isdecimal() and int(value) > 0):
        raise _bad_option(f"engine option {name} is {value!r}; expected a positive number of bytes")
    return int(value) if value is not None else None


def _bad_option(message: str) -> InvalidRequestError:
    return InvalidRequestError(message, reason=Reason.INVALID_ENGINE_OPTION, field="engine_options")
