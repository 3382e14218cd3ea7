"""The name of a query's gradient in the cache: a digest of everything that the gradient depends on.

The damping factor is not in it, since gradients are cached before they are divided by Λ + λ.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from blake3 import blake3

from whence.v1 import query_pb2
from whence_backends.contract import TokenSequence
from whence_backends.worker.gradients.source import NamedQuery

COMPLETION_LOG_LIKELIHOOD = query_pb2.Measurement.Name(query_pb2.MEASUREMENT_COMPLETION_LOG_LIKELIHOOD)


@dataclass(frozen=True, kw_only=True)
class GradientNamer:
    """Names the gradients of one engine: all that a key depends on except the query itself."""

    model_digest: str
    factors_digest: str
    precision: str
    query_rank: int | None
    measurement: str = COMPLETION_LOG_LIKELIHOOD

    def name(self, tokens: TokenSequence) -> NamedQuery:
        """Return the query with the key of its gradient."""
        material = key_material(
            self.model_digest, self.factors_digest, self.measurement, tokens, self.precision, self.query_rank
        )
        return NamedQuery(tokens=tokens, key=key_of(material), material=material)


def key_of(material: bytes) -> str:
    """Return the key of encoded key material."""
    return f"wq2:{blake3(material).hexdigest()}"


def key_material(
    model_digest: str,
    factors_digest: str,
    measurement: str,
    tokens: TokenSequence,
    precision: str,
    query_rank: int | None,
) -> bytes:
    """Return bytes that differ wherever an argument differs: each part follows its length."""
    parts = (
        b"whence.query/2",
        model_digest.encode(),
        factors_digest.encode(),
        measurement.encode(),
        precision.encode(),
        b"lossless" if query_rank is None else str(query_rank).encode(),
        np.ascontiguousarray(tokens.token_ids, dtype="<i4").tobytes(),
        np.ascontiguousarray(tokens.weights, dtype="<f8").tobytes(),
    )
    return b"".join(struct.pack("<Q", len(part)) + part for part in parts)
