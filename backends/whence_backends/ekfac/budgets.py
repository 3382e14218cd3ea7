"""The memory budgets of the mathematics, in array elements. No torch.

Work that would need a large intermediate array is cut into chunks that fit a budget. On a CPU a chunk should fit its
caches; on a GPU it should be large enough to occupy every core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The most elements of one intermediate array, on a CPU (or any device that is not CUDA's) and on a CUDA GPU."""

    cpu: int
    cuda: int

    def at_once(self, device: str, elements: int) -> int:
        """Return the number of items of ``elements`` elements each that fit on a ``device``, at least 1."""
        return max(1, (self.cuda if device == "cuda" else self.cpu) // max(1, elements))


# Gradients of sequences, [D_out, D_in] each.
GRADIENTS: Final = Budget(cpu=1 << 22, cuda=1 << 27)
# The same where each is rotated, whitened and folded as well: more arrays share the caches.
SKETCHED_GRADIENTS: Final = Budget(cpu=1 << 20, cuda=1 << 27)
# Preconditioned queries of a bounded rank, multiplied out to [D_out, D_in] each.
QUERIES: Final = Budget(cpu=1 << 26, cuda=1 << 28)
# Rows of logits, [V] each.
LOGITS: Final = Budget(cpu=1 << 25, cuda=1 << 28)
# Rows of an index's one-bit codes, unpacked to float32 for a product.
UNPACKED_CODES: Final = Budget(cpu=1 << 24, cuda=1 << 29)
