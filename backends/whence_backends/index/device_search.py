"""Search on a GPU, whose memory holds the codes. The one module of the index that imports torch.

Some rows of codes at a time are unpacked to 1 and -1 and multiplied with the queries' levels, whole numbers of at most
15. The products are whole numbers below 2²⁴ for sketches of up to a million values, which float32
adds up exactly in any order: the estimates have the bits that the kernel for CPUs gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.ekfac.budgets import UNPACKED_CODES
from whence_backends.index.plan import Segment
from whence_backends.index.search import Float32Array, QueryLevels, Searcher
from whence_backends.index.storage import ShardRows


class DeviceSearcher(Searcher):
    """Searches the open shards of a one-bit index on a device of torch. Immutable, and safe to share.

    Raises :class:`~whence.errors.InvalidRequestError` (``SEARCH_DEVICE``) for an unknown device, for codes that do
    not fit into its memory, and for an index of more than one bit.
    """

    def __init__(self, shards: Mapping[str, ShardRows], segments: Sequence[Segment], *, device: str) -> None:
        self._device = _require_device(device)
        if 15 * max((segment.width for segment in segments), default=0) >= 1 << 24:
            raise _refused("a segment of the index is too wide for exact products in float32")
        self._held: dict[str, tuple[Tensor, Tensor]] = {}
        for name, rows in shards.items():
            if rows.codes.dtype != np.uint8:
                raise _refused(f"the index has {8 * rows.codes.dtype.itemsize} bits a value; {device} searches one")
            self._held[name] = self._place(rows)
        super().__init__(shards, segments, threads=1)

    def __repr__(self) -> str:
        return f"DeviceSearcher(shards={len(self._held)}, {self._device})"

    def _place(self, rows: ShardRows) -> tuple[Tensor, Tensor]:
        try:
            codes = torch.from_numpy(np.array(rows.codes)).to(self._device)
            return codes, torch.from_numpy(np.array(rows.scales)).to(self._device, torch.float64)
        except torch.OutOfMemoryError as error:
            raise _refused(
                f"the codes of shard {rows.info.name} do not fit into the memory of {self._device}; hold fewer shards"
            ) from error

    def _estimate(
        self, rows: ShardRows, start: int, stop: int, sketches: Float32Array, queries: QueryLevels
    ) -> Float32Array:
        codes, scales = self._held[rows.info.name]
        levels = torch.from_numpy(2 * queries.levels.astype(np.float32) - 15).to(self._device)  # in steps
        steps = torch.from_numpy(queries.steps).to(self._device, torch.float64)
        out = torch.empty(len(sketches), stop - start, dtype=torch.float32, device=self._device)
        at_once = UNPACKED_CODES.at_once(self._device.type, levels.shape[1])
        for low in range(start, stop, at_once):
            high = min(low + at_once, stop)
            total = torch.zeros(len(sketches), high - low, dtype=torch.float64, device=self._device)
            for number, segment in enumerate(self._segments):
                if not queries.steps[:, number].any():
                    continue
                signs = _signs(codes[low:high, segment.start // 8 : segment.stop // 8])
                # TensorFloat-32, if enabled, represents these numbers exactly too, and sums in float32.
                products = levels[:, segment.start : segment.stop] @ signs.T
                total += steps[:, number : number + 1] * scales[low:high, number] * products.double()
            out[:, low - start : high - start] = total.float()
        estimates: Float32Array = out.cpu().numpy()
        return estimates


def _signs(codes: Tensor) -> Tensor:
    """Return the bits of codes uint8 [rows, columns] as 1 and -1, float32 [rows, 8·columns]."""
    bits = (codes.unsqueeze(-1) >> torch.arange(8, dtype=torch.uint8, device=codes.device)) & 1
    return bits.flatten(1).to(torch.float32).mul_(2).sub_(1)


def _require_device(device: str) -> torch.device:
    try:
        checked = torch.device(device)
        torch.zeros(1, device=checked)
    except (RuntimeError, AssertionError) as error:
        raise _refused(f"torch {torch.__version__} has no device {device!r} here ({error})") from error
    return checked


def _refused(why: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{why}; or set search_device to cpu, where the index is searched in the host's memory",
        reason=Reason.INVALID_SEARCH_DEVICE,
        field="search_device",
    )
