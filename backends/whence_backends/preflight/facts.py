"""The facts that decide whether a model, a corpus, factors, an index, a certificate and an engine belong together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """A model, before its weights are read or after. ``None`` or an empty string: not known.

    Token ids are below ``vocabulary_size``, and a sequence has at most ``max_tokens`` tokens, the last, which is only
    ever predicted, counted. ``unverified`` says why its tokenizer may not be the one that it was trained with, and
    ``layers`` names the tracked layers, with their sizes, where they are fixed, as in an export.
    """

    name: str
    digest: str
    tokenizer_digest: str = ""
    tokenizer_size: int | None = None
    vocabulary_size: int | None = None
    max_tokens: int | None = None
    unverified: str = ""
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CorpusFacts:
    """A corpus. ``trained_tokens`` are those that a model is trained to predict: their weight is not 0."""

    name: str
    digest: str
    tokenizer_digest: str
    sequences: int
    longest_sequence: int
    largest_token_id: int
    trained_tokens: int


@dataclass(frozen=True, kw_only=True)
class FactorsFacts:
    """Factors: what they were fitted on, their layers, and N, the number that influences are divided by."""

    name: str
    digest: str
    model_digest: str
    corpus_digest: str
    training_set_size: int
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class IndexFacts:
    """A gradient index: what it was built of."""

    name: str
    digest: str
    model_digest: str
    factors_digest: str
    corpus_digest: str


@dataclass(frozen=True, kw_only=True)
class CertificateFacts:
    """A certificate: the artefacts that were measured. Those of a ``proxy`` are not the served model and factors."""

    name: str
    proxy: bool
    model_digest: str
    factors_digest: str
    corpus_digest: str
    index_digest: str


class EngineFacts(Protocol):
    """An engine that has loaded its model and factors, as :class:`whence_backends.contract.EngineInfo` describes it.

    It knows the size of the embeddings and the longest sequence, which a model's configuration need not state.
    """

    @property
    def engine(self) -> str:
        """The engine's name."""
        ...

    @property
    def model_digest(self) -> str:
        """The digest of the loaded model."""
        ...

    @property
    def factors_digest(self) -> str:
        """The digest of the loaded factors."""
        ...

    @property
    def vocabulary_size(self) -> int:
        """The number of embeddings: token ids are below it."""
        ...

    @property
    def max_tokens(self) -> int:
        """The most tokens of a sequence, including the last, which is only predicted."""
        ...
