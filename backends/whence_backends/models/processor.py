"""What the processor computes quickly."""

from __future__ import annotations

from collections.abc import Iterator

from whence.reasons import WarningCode
from whence_backends.preflight import Finding
from whence_backends.preflight.findings import warning


def slow_precision(precision: str, device: str) -> Iterator[Finding]:
    """Yield a warning where torch computes in this precision on this device one number after the other.

    ``device`` is where torch computes, such as ``cpu``.
    """
    if precision == "bfloat16" and device == "cpu" and not computes_bfloat16():
        yield warning(
            WarningCode.SLOW_PRECISION,
            "this processor has no instructions for bfloat16, in which it is some seventy times slower than in "
            "float32; give --precision float32, or compute on another device",
        )


def computes_bfloat16() -> bool:
    """Whether the processor has instructions that multiply matrices in bfloat16."""
    import torch  # an engine without it has no such precision

    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
