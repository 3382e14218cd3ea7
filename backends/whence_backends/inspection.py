"""Inspecting a model, a corpus, factors, an index and a certificate for whether they belong together.

Manifests alone are read. Offline jobs do this before they read weights and arrays; ``whence doctor`` does only this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from whence_backends.certificates import Certificate
from whence_backends.corpus import Corpus
from whence_backends.ekfac.factors import Factors
from whence_backends.index import Index
from whence_backends.models.facts import find_tokenizer, model_facts
from whence_backends.models.source import ModelSource, resolve_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.preflight import CorpusFacts, EngineFacts, Finding, IndexFacts, ModelFacts, preflight


@dataclass(frozen=True, kw_only=True)
class Named:
    """The paths of artefacts that are to be used together. All but the model are folders and optional.

    ``shards`` are the wanted shards of the corpus, ``None`` for all; ``training_sequences`` is N, if given.
    """

    model: str
    corpus: Path | None = None
    factors: Path | None = None
    index: Path | None = None
    certificate: Path | None = None
    shards: Sequence[str] | None = None
    training_sequences: int | None = None


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """The artefacts, opened without their arrays. ``tokenizer`` is ``None`` where the model has none."""

    source: ModelSource
    tokenizer: Tokenizer | None
    model: ModelFacts
    corpus: CorpusFacts | None
    factors: Factors | None
    index: IndexFacts | None
    certificate: Certificate | None
    training_sequences: int | None

    def findings(self, engine: EngineFacts | None = None) -> Iterator[Finding]:
        """Yield the findings: errors that prevent their use together, and warnings.

        ``engine`` is one that has loaded the model and the factors.
        """
        return preflight(
            model=self.model,
            corpus=self.corpus,
            factors=None if self.factors is None else self.factors.facts,
            index=self.index,
            certificate=None if self.certificate is None else self.certificate.facts,
            engine=engine,
            training_sequences=self.training_sequences,
        )


def inspect(named: Named) -> Inspected:
    """Open the artefacts, the cheapest first. Raises the errors of opening them, for one that is missing or altered."""
    factors = None if named.factors is None else Factors.open(named.factors, verify=False)
    corpus = None if named.corpus is None else Corpus.open(named.corpus, verify=False, shards=named.shards)
    index = None if named.index is None else Index.open(named.index, verify=False, shards=named.shards)
    certificate = None if named.certificate is None else Certificate.open(named.certificate)
    source = resolve_model(named.model)
    tokenizer = find_tokenizer(source)
    return Inspected(
        source=source,
        tokenizer=tokenizer,
        model=model_facts(source, tokenizer),
        corpus=None if corpus is None else corpus.facts,
        factors=factors,
        index=None if index is None else index.facts,
        certificate=certificate,
        training_sequences=named.training_sequences,
    )
