"""The inputs of the checks, opened: they belong together, and an engine computes with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from whence.errors import InvalidRequestError, NotFoundError
from whence.reasons import Reason
from whence_backends.contract import EngineConfig
from whence_backends.corpus import Corpus
from whence_backends.corpus.filters import SequenceFilter
from whence_backends.ekfac.factors import Factors, FactorsCard
from whence_backends.engines import pytorch
from whence_backends.engines.pytorch import PytorchEngine
from whence_backends.inspection import Named, inspect
from whence_backends.preflight import Finding, require
from whence_backends.store.artefact import canonical_json, digest_bytes
from whence_backends.validation.checks.config import Canary, CheckConfig, CheckQuery


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """The configuration, the queries, the canaries, the corpus, and the served factors."""

    config: CheckConfig
    queries: tuple[CheckQuery, ...]
    canaries: tuple[Canary, ...]
    corpus: Corpus
    factors: Factors

    @property
    def card(self) -> FactorsCard:
        """The card of the served factors."""
        return self.factors.card

    def identity(self) -> dict[str, Any]:
        """Return the values that results depend on: digests, queries, and the configuration without its paths."""
        asked = [*self.queries, *(canary.query for canary in self.canaries)]
        rows = [
            (query.id, query.text, query.tokens.token_ids.tolist(), query.tokens.weights.tolist()) for query in asked
        ]
        config = asdict(self.config)
        for place in ("model", "factors", "corpus", "out"):
            del config[place]
        return {
            **config,
            "model": self.card.model_digest,
            "factors": self.factors.digest,
            "corpus": self.corpus.digest,
            "queries": digest_bytes(canonical_json(rows)),
            "canaries": [list(canary.documents) for canary in self.canaries],
        }

    def positions_of(self, document: str) -> list[int]:
        """Return the positions of a document's sequences, or raise :class:`~whence.errors.NotFoundError`."""
        wanted = SequenceFilter(first_document_id=document, last_document_id=document)
        positions = [
            int(row) + shard.first_position
            for shard in self.corpus.shards
            for row in self.corpus.matching(shard.name, wanted).nonzero()[0]
        ]
        if not positions:
            raise NotFoundError(
                f"the corpus has no document {document!r}, which a canary names; give ids as `whence corpus` took them",
                reason=Reason.DOCUMENT_NOT_FOUND,
                document_id=document,
            )
        return positions

    @contextmanager
    def engine(self, precision: str) -> Iterator[PytorchEngine]:
        """Load the model and the served factors for the duration of the context."""
        config = self.config
        engine = pytorch.create(
            EngineConfig(model=config.model, factors=config.factors, device=config.device, precision=precision)
        )
        try:
            yield engine
        finally:
            engine.close()


def open_inputs(
    config: CheckConfig, queries: Sequence[CheckQuery], canaries: Sequence[Canary], warn: Callable[[Finding], None]
) -> Inputs:
    """Open corpus and factors, after checking that they belong to the model. ``warn`` receives the warnings.

    Raises the errors of opening them and of the preflight, and :class:`~whence.errors.InvalidRequestError`
    (``MISSING_QUERIES``) if there is no query.
    """
    if not queries:
        raise InvalidRequestError(
            "there are no queries; give at least one output to attribute, better twenty",
            reason=Reason.MISSING_QUERIES,
            field="queries",
        )
    inspected = inspect(Named(model=config.model, corpus=config.corpus, factors=config.factors))
    for finding in require(inspected.findings()):
        warn(finding)
    assert inspected.factors is not None
    return Inputs(
        config=config,
        queries=tuple(queries),
        canaries=tuple(canaries),
        corpus=Corpus.open(config.corpus, verify=False),
        factors=inspected.factors,
    )
