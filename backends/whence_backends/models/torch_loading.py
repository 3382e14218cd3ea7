"""Loading a Hugging Face causal language model into torch: from a folder, a hub name or a GGUF file."""

from __future__ import annotations

import os
from typing import Any, Final

import torch

from whence.errors import InvalidRequestError
from whence_backends.models.source import ModelSource

# What statistics and influences are computed in here.
PRECISIONS: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}
# What an export may be in besides: its gradients have too small a range to fit factors with.
_EXPORTED: Final = {"float16": torch.float16}


def torch_dtype(precision: str) -> torch.dtype:
    """Return the torch type of a precision's name; an unknown one is refused with the list of the known."""
    if precision not in PRECISIONS:
        raise InvalidRequestError(
            f"unknown precision {precision!r}; expected one of {', '.join(PRECISIONS)}",
            reason="UNKNOWN_PRECISION",
            field="precision",
        )
    return PRECISIONS[precision]


def torch_device(device: str) -> torch.device:
    """Return the device of a name: ``auto`` is CUDA where there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        raise InvalidRequestError(
            f"device {device!r} cannot be used ({str(error).splitlines()[0]}); expected 'auto', 'cpu' or 'cuda[:N]'",
            reason="UNKNOWN_DEVICE",
            field="device",
        ) from error
    return found


def ask_for_reproducible_arithmetic() -> None:
    """Ask the CPU's and the GPU's libraries to give the same bits run after run, unless the environment says else.

    Without this MKL may add up in another order from one run to the next, and cuBLAS from one stream to the next. Both
    read these variables at their first call, so this comes before any arithmetic.
    """
    os.environ.setdefault("MKL_CBWR", "AUTO")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def load_causal_lm(source: ModelSource, precision: str, device: str, *, for_export: bool = False) -> Any:  # noqa: ANN401
    """Return the model, frozen, in evaluation mode, on the device, in the precision.

    Raises :class:`~whence.errors.InvalidRequestError` where transformers cannot load it as a causal language model.
    """
    from transformers import AutoModelForCausalLM, GgufConfig
    from transformers.utils import logging

    ask_for_reproducible_arithmetic()
    if source.kind == "export":
        raise InvalidRequestError(
            f"{source.reference} is an export, a graph without a model that torch could load; name the model that it "
            "was made from, or serve it with --engine ort",
            reason="MODEL_NOT_LOADABLE",
            field="model",
        )
    dtype = _EXPORTED[precision] if for_export and precision in _EXPORTED else torch_dtype(precision)
    logging.disable_progress_bar()
    where = str(source.path)
    arguments: dict[str, Any] = {}
    if source.kind == "gguf":
        # Unpacked: gradients are those of the dense layers that the quantized weights stand for.
        unpacked = GgufConfig(dequantize=True)
        where = str(source.path.parent)
        arguments = {"gguf_file": source.path.name, "quantization_config": unpacked}
    try:
        model = AutoModelForCausalLM.from_pretrained(where, dtype=dtype, **arguments)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise InvalidRequestError(
            f"{source.reference} cannot be loaded as a causal language model: {error}",
            reason="MODEL_NOT_LOADABLE",
            field="model",
        ) from error
    return model.to(torch_device(device)).eval().requires_grad_(False)
