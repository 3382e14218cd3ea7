"""ONNX Runtime sessions on the requested provider, and their runs over device arrays."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import onnxruntime
from onnxruntime import InferenceSession
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from whence.errors import InvalidRequestError, UnimplementedError
from whence.reasons import Reason
from whence_backends.engines.ort.arrays import DeviceArray
from whence_backends.engines.ort.options import CPU, CUDA, OrtOptions, Placement

_QUIET: Final = 3  # errors only
_LOADING_FAILURES: Final = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NotImplemented,
    failures.EPFail,
    failures.RuntimeException,
)


class Session:
    """A loaded graph. Inputs and outputs are arrays of the device; nothing is copied to the host."""

    def __init__(self, session: InferenceSession, placement: Placement) -> None:
        self._session = session
        self._placement = placement
        self.output_names: tuple[str, ...] = tuple(output.name for output in session.get_outputs())

    def run(
        self, inputs: Mapping[str, DeviceArray], into: Mapping[str, DeviceArray] | None = None
    ) -> dict[str, DeviceArray]:
        """Return every output by name; those in ``into`` are written there."""
        binding = self._session.io_binding()
        for name, array in inputs.items():
            array.bind_input(binding, name)
        given = into or {}
        for name in self.output_names:
            if name in given:
                given[name].bind_output(binding, name)
            else:
                binding.bind_output(name, self._placement.memory, self._placement.device_id)
        binding.synchronize_inputs()
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        outputs = zip(self.output_names, binding.get_outputs(), strict=True)
        return {
            name: given[name] if name in given else DeviceArray.wrap(value, self._placement) for name, value in outputs
        }


class SessionOpener:
    """Opens the sessions of one engine, all in the same place.

    ``placement`` has the provider that was loaded: the first one or, if the options allow a fallback, the first that
    loads. onnxruntime itself would silently fall back to the CPU.
    """

    def __init__(self, options: OrtOptions) -> None:
        self._options = options
        self.placement = options.placement
        if CUDA in options.placement.providers:
            with contextlib.redirect_stdout(sys.stderr):  # it prints missing libraries
                onnxruntime.preload_dlls()  # CUDA and cuDNN, if installed by pip

    def open(self, graph: Path | bytes) -> Session:
        """Load a graph.

        Raises :class:`~whence.errors.InvalidRequestError` (``PROVIDER_FAILED``) if no permitted provider
        loads, and :class:`~whence.errors.UnimplementedError` (``UNSUPPORTED_GRAPH``) for a graph that this
        onnxruntime or provider cannot run.
        """
        tried = self.placement.providers
        while True:
            provider, *rest = tried
            session = self._try(graph, tried)
            if provider == CPU or provider in session.get_providers():
                break
            if not self._options.fallback:
                raise _not_loaded(provider)
            tried = tuple(rest) or (CPU,)
        memory = self.placement.memory if tried == self.placement.providers else _memory_of(tried)
        self.placement = Placement(providers=tried, memory=memory, device_id=self.placement.device_id)
        return Session(session, self.placement)

    def _try(self, graph: Path | bytes, providers: Sequence[str]) -> InferenceSession:
        source = str(graph) if isinstance(graph, Path) else graph
        chain = [*providers, *((CPU,) if CPU not in providers else ())]
        try:
            return InferenceSession(
                source, self._session_options(), [(name, self._provider_options(name)) for name in chain]
            )
        except _LOADING_FAILURES as error:
            raise _not_supported(graph, chain[0], error) from error

    def _session_options(self) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _QUIET
        options.intra_op_num_threads = self._options.threads or 0  # 0: all cores
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.enable_mem_pattern = False  # it keeps memory for every shape, and batches have many
        # Each session has its own threads, which must not spin while another session computes.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        return options

    def _provider_options(self, provider: str) -> dict[str, Any]:
        if provider != CUDA:
            return {}
        options: dict[str, Any] = {
            "device_id": self.placement.device_id,
            # Batches differ in shape: doubling the arena would waste memory.
            "arena_extend_strategy": "kSameAsRequested",
        }
        if self._options.device_memory_bytes is not None:
            options["gpu_mem_limit"] = self._options.device_memory_bytes
        return options


def _memory_of(providers: Sequence[str]) -> Any:  # noqa: ANN401 - a literal
    return "cuda" if providers[0] == CUDA else "cpu"


def _not_loaded(provider: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"onnxruntime {onnxruntime.__version__} has {provider}, but it does not load here (no device, no driver or not "
        "the CUDA and cuDNN that it was built for; onnxruntime's log says which). Mend that, set device cpu, or allow "
        "the next provider with engine option fallback=true",
        reason=Reason.PROVIDER_FAILED,
        field="device",
        provider=provider,
    )


def _not_supported(graph: Path | bytes, provider: str, error: Exception) -> UnimplementedError:
    reason = re.sub(
        r"/onnxruntime_src/.*?\) (?=[A-Z])", "", re.sub(r"\s+", " ", str(error))
    )  # the location in its source
    reason = reason.removeprefix("[ONNXRuntimeError] : ")[:400]
    name = graph if isinstance(graph, Path) else "a graph of the engine's own"
    return UnimplementedError(
        f"onnxruntime {onnxruntime.__version__} with {provider} cannot run {name}: {reason}. Try a newer onnxruntime, "
        "an export in another precision, or --engine pytorch",
        reason=Reason.UNSUPPORTED_GRAPH,
        provider=provider,
    )
