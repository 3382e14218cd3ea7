"""Served models, with their layers, limits and corpus shards."""

from __future__ import annotations

from dataclasses import dataclass

from whence.certificates import NOT_VALIDATED, Certificate
from whence.results import AnswerWarning


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A tracked linear layer. ``d_in`` is one more than the number of its inputs where it has a bias."""

    name: str
    d_in: int
    d_out: int

    @property
    def parameters(self) -> int:
        """The number of its parameters."""
        return self.d_in * self.d_out


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of requests to a model."""

    max_query_tokens: int
    max_top_k: int
    max_queries: int
    max_score_sequences: int
    max_batch_queries: int = 0


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A part of the corpus, and the number of reachable workers that hold it."""

    name: str
    replicas: int


@dataclass(frozen=True, kw_only=True)
class Index:
    """A gradient index: sketches of ``values`` values with ``bits`` bits, made of the share ``kept`` of coordinates."""

    digest: str
    values: int
    bits: int
    bytes_per_sequence: int
    damping_factor: float
    kept: float


@dataclass(frozen=True, kw_only=True)
class Model:
    """A served language model with its factors and corpus. Without an ``index`` every search is a scan.

    ``gradient_error`` is the largest error of a tracked layer's gradient against autograd's, relative to its norm, when
    the workers loaded the model; None where their engine does not measure it. ``dead_layers`` have no influence.
    Without a ``certificate`` nobody has measured how true its influences are.
    """

    name: str
    model_digest: str
    factors_digest: str
    corpus_digest: str
    layers: tuple[Layer, ...]
    parameters: int
    attributed_parameters: int
    corpus_sequences: int
    corpus_tokens: int
    training_set_size: int
    default_damping_factor: float
    engine: str
    limits: Limits
    shards: tuple[Shard, ...]
    warnings: tuple[AnswerWarning, ...]
    index: Index | None = None
    training_set_source: str = ""
    gradient_error: float | None = None
    dead_layers: tuple[str, ...] = ()
    certificate: Certificate | None = None

    @property
    def attributed_share(self) -> float:
        """The share of the parameters through which influence is computed, from 0 to 1."""
        return self.attributed_parameters / self.parameters if self.parameters else 0.0

    @property
    def validation(self) -> str:
        """The essence of its certificate; ``not validated`` where there is none."""
        return NOT_VALIDATED if self.certificate is None else self.certificate.essence

    @property
    def uncovered_shards(self) -> tuple[str, ...]:
        """The shards that no reachable worker holds. While there are any, attributions are refused."""
        return tuple(shard.name for shard in self.shards if not shard.replicas)
