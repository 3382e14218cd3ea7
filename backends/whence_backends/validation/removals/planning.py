"""Adding removals to a plan: runs without the first documents of each ranking, and without as many drawn at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whence_backends.validation.methods import RANDOM
from whence_backends.validation.plan import Plan, Removal, Run, RunKind
from whence_backends.validation.removals.rankings import Rankings, invalid


@dataclass(frozen=True, kw_only=True)
class RemovalConfig:
    """Which removals are planned.

    ``sizes`` are numbers of documents (``"5"``) or shares of them (``"1%"``). ``queries`` of the queries that have
    rankings are drawn with ``seed``, which also draws the random documents; each set of documents is left out by
    ``seeds`` runs, with the seeds of the plan's runs on everything.
    """

    sizes: tuple[str, ...]
    queries: int = 10
    seeds: int = 1
    seed: int = 0

    def counts(self, documents: int) -> tuple[int, ...]:
        """Return the sizes in documents, ascending. Raises :class:`~whence.errors.InvalidRequestError`."""
        return tuple(sorted({_count(size, documents) for size in self.sizes}))

    def chosen(self, queries: Sequence[str]) -> list[str]:
        """Return the queries whose hits are removed, in their order."""
        if self.queries < 1 or self.seeds < 1:
            raise invalid(f"{self.queries} queries and {self.seeds} seeds; give 1 or more", "removal_queries")
        drawn = np.random.default_rng(self.seed).permutation(len(queries))[: self.queries]
        return [queries[place] for place in sorted(drawn.tolist())]


def with_removals(plan: Plan, config: RemovalConfig, rankings: Rankings) -> Plan:
    """Return the plan with runs for these removals at its end, in the place of others. A function of its arguments.

    The same documents, by whichever method, are left out once. Raises :class:`~whence.errors.InvalidRequestError` for
    sizes that take nothing or more than half, and for rankings that are too short, lack a query or name a document that
    the plan has not.
    """
    plan = plan.without_removals()
    counts, methods = config.counts(len(plan.documents)), list(dict.fromkeys(method for method, _ in rankings))
    chosen = config.chosen([query for method, query in rankings if method == methods[0]])
    place = {document: number for number, document in enumerate(plan.documents)}
    rng = np.random.default_rng([config.seed, 1])  # another stream than that which draws the queries
    names: dict[bytes, str] = {}
    masks, removals = dict[str, NDArray[np.bool_]](), list[Removal]()
    for query in chosen:
        ordered = {method: _places(rankings, method, query, place, counts[-1]) for method in methods}
        ordered[RANDOM] = rng.permutation(len(place))
        for method, places in ordered.items():
            for count in counts:
                mask = np.ones(len(place), bool)
                mask[places[:count]] = False
                name = names.setdefault(mask.tobytes(), f"removal-{len(names):03}")
                masks[name] = mask
                removals.append(Removal(name=name, query=query, method=method, count=count))
    return _added(plan, masks, removals, config.seeds)


def _added(plan: Plan, masks: Mapping[str, NDArray[np.bool_]], removals: Sequence[Removal], seeds: int) -> Plan:
    wanted = [(name, plan.config.seed + number) for number in range(seeds) for name in masks]
    runs = [
        Run(number=number, kind=RunKind.REMOVAL, name=name, seed=seed)
        for number, (name, seed) in enumerate(wanted, len(plan.runs))
    ]
    return replace(
        plan,
        runs=(*plan.runs, *runs),
        documents_of={**plan.documents_of, **masks},
        removals=tuple(removals),
    )


def _places(rankings: Rankings, method: str, query: str, place: Mapping[str, int], needed: int) -> NDArray[np.intp]:
    if (method, query) not in rankings:
        raise invalid(
            f"there is no ranking by {method} for the query {query!r}, which other methods rank for", "rankings"
        )
    documents = rankings[method, query]
    if unknown := [document for document in documents if document not in place]:
        raise invalid(
            f"{method} ranks {unknown[0]!r} for the query {query!r}, which is no document of the plan", "rankings"
        )
    if len(documents) < needed:
        raise invalid(
            f"{method} ranks {len(documents)} documents for the query {query!r}, and {needed} are to be removed; ask "
            "for more hits, or remove fewer",
            "rankings",
        )
    return np.array([place[document] for document in documents], np.intp)


def _count(size: str, documents: int) -> int:
    try:
        count = max(1, round(float(size.removesuffix("%")) / 100 * documents)) if size.endswith("%") else int(size)
    except (ValueError, OverflowError) as error:
        raise invalid(
            f"{size!r} is no size of a removal; give a number of documents, or a share such as 1%", "removals"
        ) from error
    if not 0 < count <= documents // 2 or (size.endswith("%") and not float(size[:-1]) > 0):
        raise invalid(
            f"a removal of {size} of {documents} documents; give 1 or more, and no more than half of them", "removals"
        )
    return count
