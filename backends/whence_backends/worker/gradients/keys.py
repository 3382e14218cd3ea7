"""The key of a query's gradient in the cache: a digest of everything that the gradient depends on.

The damping factor is not part of it: gradients are cached before they are divided by Λ + λ.

The key carries a version, which is raised whenever an engine would store other numbers for the same query. Version 2:
log-likelihoods are finite however improbable a completion is. Version 3: the truncation error of a gradient of bounded
rank is relative to norms in float64, in every engine.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from blake3 import blake3

from whence.v1 import query_pb2
from whence_backends.contract import TokenSequence
from whence_backends.worker.gradients.source import NamedQuery

COMPLETION_LOG_LIKELIHOOD = query_pb2.Measurement.Name(query_pb2.MEASUREMENT_COMPLETION_LOG_LIKELIHOOD)
_VERSION: Final = 3
_PREFIX: Final = f"wq{_VERSION}"


@dataclass(frozen=True, kw_only=True)
class GradientNamer:
    """Everything that the keys of one engine's gradients depend on, except the query."""

    model_digest: str
    factors_digest: str
    precision: str
    query_rank: int | None
    measurement: str = COMPLETION_LOG_LIKELIHOOD

    def name(self, tokens: TokenSequence) -> NamedQuery:
        """Return the query with the key of its gradient, ``wq3:<hex>``, and the key material."""
        parts = (
            f"whence.query/{_VERSION}".encode(),
            self.model_digest.encode(),
            self.factors_digest.encode(),
            self.measurement.encode(),
            self.precision.encode(),
            b"lossless" if self.query_rank is None else str(self.query_rank).encode(),
            np.ascontiguousarray(tokens.token_ids, dtype="<i4").tobytes(),
            np.ascontiguousarray(tokens.weights, dtype="<f8").tobytes(),
        )
        # Each part is preceded by its length: no two different queries have the same material.
        material = b"".join(struct.pack("<Q", len(part)) + part for part in parts)
        return NamedQuery(tokens=tokens, key=f"{_PREFIX}:{blake3(material).hexdigest()}", material=material)
