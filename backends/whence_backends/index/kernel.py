"""The search kernel for few queries: it counts differing bits, about as fast as memory is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# Rows that are compared with one query before the next: they stay in the L2 cache.
_ROWS: Final = 64
_LINE: Final = 64  # bytes of a cache line
_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)


@intrinsic  # type: ignore[untyped-decorator]
def _ones(typing_context: Any, word: Any) -> Any:  # noqa: ANN401 - numba's own types
    """Return the number of set bits of a word."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch(typing_context: Any, address: Any) -> Any:  # noqa: ANN401
    """Prefetch the cache line at an address, which need not be valid."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        name = "llvm.prefetch.p0i8"
        call = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, number, number, number]), name
        )
        builder.call(call, [builder.inttoptr(arguments[0], byte), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(types.uintp), generate


@njit(inline="always")  # type: ignore[untyped-decorator]
def _differing(code: Any, plane_0: Any, plane_1: Any, plane_2: Any, plane_3: Any) -> Any:  # noqa: ANN401
    """Return Σ_p 2^p · (bits in which ``code`` and plane p differ). Each array is contiguous, so this is vectorized."""
    count_0, count_1, count_2, count_3 = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    for index in range(code.shape[0]):
        word = code[index]
        count_0 += _ones(word ^ plane_0[index])
        count_1 += _ones(word ^ plane_1[index])
        count_2 += _ones(word ^ plane_2[index])
        count_3 += _ones(word ^ plane_3[index])
    return np.int64(count_0 + (count_1 << _1) + (count_2 << _2) + (count_3 << _3))


def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compile at the first call, and cache the machine code on disk if a folder is writable."""
    try:
        compiled: Callable[..., None] = njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba finds no writable folder for its cache
        compiled = njit(nogil=True)(function)
    return compiled


@compiled
def estimate_one_bit(codes: Any, scales: Any, planes: Any, steps: Any, starts: Any, out: Any) -> None:  # noqa: ANN401
    """Write Σ_segments scale · ⟨query, code⟩ into ``out`` float32 [Q, N].

    codes uint64 [N, W], scales float32 [N, S], planes uint64 [Q, 4, W], steps float32 [Q, S], starts int64 [S + 1]:
    the first word of each segment. Reads N·(8·W + 4·S) bytes once per query, from memory only the first time.
    """
    codes_at, row_bytes = np.uintp(codes.ctypes.data), np.uintp(8 * codes.shape[1])
    for first in range(0, codes.shape[0], _ROWS):
        for query in range(planes.shape[0]):
            for row in range(first, min(codes.shape[0], first + _ROWS)):
                total = 0.0
                for segment in range(steps.shape[1]):
                    step = steps[query, segment]
                    if step == 0:
                        continue
                    start, stop = starts[segment], starts[segment + 1]
                    if query == 0:  # prefetches the next row while this one is counted
                        following = codes_at + np.uintp(row + 1) * row_bytes
                        for offset in range(8 * start, 8 * stop, _LINE):
                            _prefetch(following + np.uintp(offset))
                    differing = _differing(
                        codes[row, start:stop],
                        planes[query, 0, start:stop],
                        planes[query, 1, start:stop],
                        planes[query, 2, start:stop],
                        planes[query, 3, start:stop],
                    )
                    # Σ_p 2^p · (equal - differing) over the 64·words bits of the segment.
                    product = 15 * 64 * (stop - start) - 2 * differing
                    total += np.float64(step) * np.float64(scales[row, segment]) * product
                out[query, row] = total
