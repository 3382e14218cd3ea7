"""The options about removals that ``plan`` and ``run --proxy`` share, and the plan with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from whence.cli.stages import stage_progress, training_progress

if TYPE_CHECKING:
    from whence_backends.validation.bank import Bank
    from whence_backends.validation.proxy_bank import ProxyBank
    from whence_backends.validation.removals.planning import RemovalConfig
    from whence_backends.validation.removals.rankings import Rankings
    from whence_backends.validation.scoring import ScoringConfig

Removals = Annotated[
    list[str] | None,
    typer.Option(
        help="Also train without the first documents of a method for a query: so many (5), or a share of all (1%). May "
        "be repeated."
    ),
]
RemovalQueries = Annotated[int, typer.Option(min=1, help="Queries whose documents are removed, drawn at random.")]
RemovalMethods = Annotated[
    list[str] | None,
    typer.Option(
        "--removal-method",
        help="Whose first documents: 'EK-FAC, signal', EK-FAC, BM25 or 'dot product'. May be repeated. As many random "
        "documents are removed beside them.",
        show_default="'EK-FAC, signal' and BM25",
    ),
]
RemovalSeeds = Annotated[int, typer.Option(min=1, help="Models without each such set of documents.")]


def configuration(sizes: list[str] | None, queries: int, seeds: int, seed: int) -> RemovalConfig | None:
    """Return the configuration of removals, or ``None`` if there are to be none."""
    from whence_backends.validation.removals.planning import RemovalConfig

    return RemovalConfig(sizes=tuple(sizes), queries=queries, seeds=seeds, seed=seed) if sizes else None


def scored(bank: Bank, config: RemovalConfig, scoring: ScoringConfig, methods: list[str] | None) -> Rankings:
    """Return the rankings of a bank's queries, computed anew, with progress on stderr."""
    from whence_backends.validation.methods import BM25, SIGNAL
    from whence_backends.validation.queries import read_queries
    from whence_backends.validation.removals.scored import score_rankings

    queries = read_queries(bank.queries_file)
    chosen = set(config.chosen([query.id for query in queries]))
    with stage_progress() as show:
        return score_rankings(
            scoring, [query for query in queries if query.id in chosen], methods or [SIGNAL, BM25], show
        )


def extend(bank: Bank, config: RemovalConfig, rankings: Rankings) -> Bank:
    """Return the bank with the removals in its plan."""
    from whence_backends.validation.removals.planning import with_removals

    return bank.extended(with_removals(bank.plan, config, rankings))


def of_proxy(proxy: ProxyBank, config: RemovalConfig, methods: list[str] | None) -> Bank:
    """Return the bank of proxies with removals: the proxy itself is trained and fitted first, since it ranks."""
    from whence_backends.validation.reporting import proxy_scoring
    from whence_backends.validation.training import train_and_measure

    with training_progress() as show:
        train_and_measure(proxy.bank, proxy.trainer, proxy.measurement, runs=proxy.bank.plan.runs[:1], progress=show)
    with stage_progress() as stages:
        scoring = proxy_scoring(proxy.bank, stages)
    return extend(proxy.bank, config, scored(proxy.bank, config, scoring, methods))
