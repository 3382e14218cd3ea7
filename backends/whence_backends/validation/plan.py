"""The plan of a validation: which models are trained, each on which documents and with which seed.

A plan is made by :func:`make_plan` from the ids of the corpus's documents; :mod:`.bank` writes it to ``plan.json``. It
never changes, but that removals may be added at its end. Runs that have the same name are trained on the same
documents, with different seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.corpus import Corpus
from whence_backends.store.artefact import digest_bytes

_FEWEST_DOCUMENTS: Final = 4


class RunKind(StrEnum):
    """What a model is trained on."""

    FULL = "full"  # all documents
    SUBSET = "subset"  # a random part of them
    WITHOUT = "without"  # all but those of one source
    REMOVAL = "removal"  # all but the first that a method finds for a query, or as many random ones


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training: its number, from 0, what it is trained on, and the seed of its trainer.

    ``name`` is ``full``, ``subset-07``, ``without-SOURCE`` or ``removal-007``.
    """

    number: int
    kind: RunKind
    name: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What the runs of a name lack: the first ``count`` documents that ``method`` finds for the query of this id."""

    name: str
    query: str
    method: str
    count: int


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """The configuration of a plan.

    ``subsets`` random parts have the share ``alpha`` of the documents each; the first ``repeats`` of them are trained
    with a second seed, and the whole corpus with ``full_seeds`` of them. ``without`` names sources, each of which is
    left out by ``without_seeds`` runs. ``seed`` draws the subsets and is the first trainer's seed.
    """

    subsets: int = 40
    alpha: float = 0.5
    repeats: int = 16
    full_seeds: int = 2
    without: tuple[str, ...] = ()
    without_seeds: int = 2
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A plan: the corpus and its documents, the runs, and the documents of each name of a run.

    ``queries_digest`` is that of the queries whose log-likelihoods are measured. ``documents_of`` has a mask over
    ``documents``, bool [documents], by name. ``removals`` can be added once, by :mod:`.removals.planning`; two of them
    that lack the same documents have one name.
    """

    corpus_digest: str
    queries_digest: str
    documents: tuple[str, ...]
    config: PlanConfig
    runs: tuple[Run, ...]
    documents_of: Mapping[str, NDArray[np.bool_]]
    removals: tuple[Removal, ...] = ()

    def ids(self, run: Run) -> list[str]:
        """Return the ids of the documents that a run is trained on, in the order of the corpus."""
        return [self.documents[place] for place in np.flatnonzero(self.documents_of[run.name])]

    def without_removals(self) -> Plan:
        """Return the plan as it was before removals were added to it."""
        names = {removal.name for removal in self.removals}
        return replace(
            self,
            runs=tuple(run for run in self.runs if run.kind is not RunKind.REMOVAL),
            documents_of={name: mask for name, mask in self.documents_of.items() if name not in names},
            removals=(),
        )


def make_plan(
    config: PlanConfig,
    *,
    documents: Sequence[str],
    sources: Sequence[str],
    corpus_digest: str,
    queries_digest: str,
) -> Plan:
    """Return the plan of ``config`` for the documents with these ids, each of its source. A function of its arguments.

    Raises :class:`~whence.errors.InvalidRequestError` for too few documents, for shares that leave a run without
    documents, for an unknown source, and for more repeats than subsets.
    """
    _require_sensible(config, documents, sources)
    total = len(documents)
    masks: dict[str, NDArray[np.bool_]] = {"full": np.ones(total, bool)}
    rng = np.random.Generator(np.random.PCG64(config.seed))
    size = round(config.alpha * total)
    names = [f"subset-{number:0{len(str(max(0, config.subsets - 1)))}}" for number in range(config.subsets)]
    for name in names:
        masks[name] = np.zeros(total, bool)
        masks[name][rng.permutation(total)[:size]] = True
    left_out = {f"without-{source}": source for source in config.without}
    for name, source in left_out.items():
        masks[name] = np.array([other != source for other in sources])
    wanted = [
        *((RunKind.FULL, "full", config.seed + number) for number in range(config.full_seeds)),
        *((RunKind.SUBSET, name, config.seed) for name in names),
        *((RunKind.SUBSET, name, config.seed + 1) for name in names[: config.repeats]),
        *((RunKind.WITHOUT, name, config.seed + number) for number in range(config.without_seeds) for name in left_out),
    ]
    return Plan(
        corpus_digest=corpus_digest,
        queries_digest=queries_digest,
        documents=tuple(documents),
        config=config,
        runs=tuple(
            Run(number=number, kind=kind, name=name, seed=seed) for number, (kind, name, seed) in enumerate(wanted)
        ),
        documents_of=masks,
    )


def plan_for_corpus(config: PlanConfig, corpus: Corpus, queries: bytes) -> Plan:
    """Return the plan for the documents of a corpus and a file of queries. Raises the errors of :func:`make_plan`."""
    table = document_table(corpus)
    return make_plan(
        config,
        documents=list(table),
        sources=list(table.values()),
        corpus_digest=corpus.digest,
        queries_digest=digest_bytes(queries),
    )


def document_table(corpus: Corpus) -> dict[str, str]:
    """Return the source of each document of a corpus by its id, in the order of the corpus."""
    records = (corpus.record(position) for position in range(corpus.sequences))
    return {record.document_id: record.source for record in records}


def _require_sensible(config: PlanConfig, documents: Sequence[str], sources: Sequence[str]) -> None:
    size = round(config.alpha * len(documents))
    problem = ""
    if len(documents) < _FEWEST_DOCUMENTS:
        problem = f"a corpus of {len(documents)} documents cannot be halved; give at least {_FEWEST_DOCUMENTS}"
    elif not 0 < config.alpha < 1 or not 0 < size < len(documents):
        problem = f"alpha is {config.alpha:g}: a subset of {size} of {len(documents)} documents says nothing; try 0.5"
    elif config.repeats > config.subsets:
        problem = f"{config.repeats} repeats of {config.subsets} subsets; give at most as many repeats as subsets"
    elif unknown := [source for source in config.without if source not in set(sources)]:
        known = ", ".join(sorted(set(sources)))
        problem = f"no document is of the source {unknown[0]!r}; the corpus has {known}"
    elif any(set(sources) == {source} for source in config.without):
        problem = f"without the source {config.without[0]!r} nothing is left to train on"
    if problem:
        raise InvalidRequestError(problem, reason=Reason.INVALID_PLAN, field="plan")
