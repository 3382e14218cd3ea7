"""Rotary embeddings whose frequencies depend on the longest sequence of a batch (longrope, as in Phi-3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def rotary_bounds(config: Any) -> tuple[int, ...]:  # noqa: ANN401 - transformers' configurations have no common type
    """Return the numbers of inputs beyond which a model changes its rotary frequencies, ascending; usually none.

    The longest sequence of a batch decides for the whole batch. Sequences on different sides of a bound never share a
    batch, so that each is computed as it is alone. Frequencies that grow beyond ``max_position_embeddings`` (dynamic)
    need no bound, since longer sequences are refused.
    """
    try:
        text = config.get_text_config(decoder=True)
    except ValueError:  # several parts read or write text
        text = config
    parameters: Mapping[str, Any] = getattr(text, "rope_parameters", None) or {}
    kinds = [parameters, *(value for value in parameters.values() if isinstance(value, Mapping))]  # one a layer type
    bounds = {kind.get("original_max_position_embeddings") for kind in kinds if kind.get("rope_type") == "longrope"}
    return tuple(sorted(int(bound) for bound in bounds if bound))
