"""Loading a Hugging Face causal language model into torch: from a folder, a hub name or a GGUF file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Final

import torch

from whence.errors import InvalidRequestError, WhenceError
from whence.reasons import Reason
from whence_backends.models.architecture import auto_class, require_known_architecture
from whence_backends.models.files import stored_numbers
from whence_backends.models.gguf_file import numbers_in_gguf, require_all_tensors, require_whole_gguf
from whence_backends.models.source import ModelSource
from whence_backends.models.weights import require_as_large, require_finite, require_same_keys

# The precisions of statistics and influences.
PRECISIONS: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}
# Further precisions of exports: the range of their gradients is too small for fitting factors.
_EXPORTED: Final = {"float16": torch.float16}


def torch_dtype(precision: str) -> torch.dtype:
    """Return the torch type of a named precision. An unknown name is refused with the list of known ones."""
    if precision not in PRECISIONS:
        raise InvalidRequestError(
            f"unknown precision {precision!r}; expected one of {', '.join(PRECISIONS)}",
            reason=Reason.UNKNOWN_PRECISION,
            field="precision",
        )
    return PRECISIONS[precision]


def torch_device(device: str) -> torch.device:
    """Return the named device; ``auto`` is CUDA if it is available."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise InvalidRequestError(
            f"device {device!r} cannot be used ({str(error).splitlines()[0]}); expected 'auto', 'cpu' or 'cuda[:N]'",
            reason=Reason.UNKNOWN_DEVICE,
            field="device",
        ) from error
    return chosen


def ask_for_reproducible_arithmetic() -> None:
    """Request bit-reproducible results from MKL and cuBLAS, unless the environment sets their variables already.

    Otherwise MKL may sum in another order from one run to the next, and cuBLAS from one stream to the next. Both read
    these variables at their first call, so this must precede any arithmetic.
    """
    os.environ.setdefault("MKL_CBWR", "AUTO")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def load_causal_lm(source: ModelSource, precision: str, device: str, *, for_export: bool = False) -> Any:  # noqa: ANN401
    """Load the model completely, frozen and in evaluation mode, on the device and in the precision given.

    Raises :class:`~whence.errors.InvalidRequestError` if transformers cannot load it as a causal language model, and
    the errors of :mod:`~whence_backends.models.architecture`, :mod:`~whence_backends.models.gguf_file` and
    :mod:`~whence_backends.models.weights`.
    """
    ask_for_reproducible_arithmetic()
    if source.checkpoints:
        raise InvalidRequestError(
            f"{source.reference} names {len(source.checkpoints)} checkpoints, and this takes one model; name the one "
            "that is meant",
            reason=Reason.MODEL_NOT_LOADABLE,
            field="model",
        )
    if source.kind == "export":
        raise InvalidRequestError(
            f"{source.reference} is an export, a graph without a model that torch could load; name the model that it "
            "was made from, or serve it with --engine ort",
            reason=Reason.MODEL_NOT_LOADABLE,
            field="model",
        )
    dtype = _EXPORTED[precision] if for_export and precision in _EXPORTED else torch_dtype(precision)
    with _quietly():
        model, report = _load(source, dtype)
    require_same_keys(model, report, source)
    if source.kind == "gguf":
        require_all_tensors(model, source.path)
    require_finite(model, source.reference, precision)
    if dtype == torch.float64 and model._can_set_experts_implementation():
        model.set_experts_implementation("eager")  # the grouped products of a mixture do not support float64
    for part in model.modules():
        if hasattr(part, "config"):
            part.config.return_dict = True  # whatever its file says: outputs are read by name
    return model.to(torch_device(device)).eval().requires_grad_(False)


def _load(source: ModelSource, dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
    """Load a model with transformers. Return it and the report of mismatched keys."""
    from transformers import AutoConfig

    folder, file, options = _how(source)
    # Code shipped with the weights is never run, and the user is never asked to allow it.
    common: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False, **file}
    try:
        config = AutoConfig.from_pretrained(folder, **common)
        factory = auto_class(config, source.reference)
        with torch.device("meta"):
            require_as_large(factory.from_config(config), _stored(source), source.reference)
        return factory.from_pretrained(  # type: ignore[no-any-return]
            folder,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported by require_same_keys
            **common,
            **options,
        )
    except WhenceError:
        raise
    except Exception as error:  # transformers raises the errors of all its parts
        raise InvalidRequestError(
            f"{source.reference} cannot be loaded as a causal language model: {type(error).__name__}: {error}",
            reason=Reason.MODEL_NOT_LOADABLE,
            field="model",
        ) from error


def _stored(source: ModelSource) -> int:
    return numbers_in_gguf(source.path) if source.kind == "gguf" else stored_numbers(source.path)


def _how(source: ModelSource) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the folder and the arguments of from_pretrained for the file and its type, after checking both."""
    from transformers import GgufConfig

    if source.kind == "folder":
        require_known_architecture(source.path)
        return str(source.path), {}, {}
    require_whole_gguf(source.path)
    # The absolute path, since a file of the same name in the working folder would take precedence. Dequantized, since
    # gradients are those of the dense layers.
    path = source.path.absolute()
    return str(path.parent), {"gguf_file": str(path)}, {"quantization_config": GgufConfig(dequantize=True)}


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Hide transformers' progress bars and its report of mismatched keys, which become an error."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
