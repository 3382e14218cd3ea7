"""When an influence is told from noise: the rule that the service and what prints its answers share."""

from __future__ import annotations

from typing import Final

# The smallest probability of its sign from which an influence is told from noise. 0.5 is chance.
SIGNIFICANT: Final = 0.95


def is_significant(significance: float | None) -> bool:
    """Whether an influence of this significance is told from noise; not where the noise is unknown."""
    return significance is not None and significance >= SIGNIFICANT
