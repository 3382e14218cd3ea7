"""The checks that need no retraining: a row for each, with its figures in words."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from whence.cli.render.text import share
from whence.terminal import printable

if TYPE_CHECKING:
    from whence_backends.validation.checks import Checks
    from whence_backends.validation.checks.agreement import Agreement
    from whence_backends.validation.checks.baselines import Baseline
    from whence_backends.validation.checks.step import Band

# Below this mean overlap of the first ten, a ranking is as much noise as it is signal.
_ENOUGH: Final = 0.8
_BASELINES: Final = {"bm25": "against BM25", "dot_product": "against dot product"}


class Row(NamedTuple):
    """A check, its figures, and whether they ask for caution."""

    check: str
    figures: str
    caution: bool = False


def checks_table(result: Checks) -> RenderableType:
    """Return the table of the checks. What asks for caution is yellow, and marked."""
    table = Table(
        title=f"{result.queries} queries, {result.scanned:,} of {result.sequences:,} sequences, damping "
        f"{result.damping_factor:g}",
        title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("figures", overflow="fold")
    for row in rows(result):
        table.add_row(row.check, "!" if row.caution else "", row.figures, style="yellow" if row.caution else None)
    note = (
        "None of this says that influences are true, only what they are worth at most; whence validate run measures it."
    )
    return Group(table, Text(note, style="dim"))


def rows(result: Checks) -> Iterator[Row]:
    """Yield the row of each check."""
    seed, half, precision = result.label_seed, result.half_data, result.precision
    drawn = "other labels" if seed.sampled else "the labels of the data, which no seed changes"
    yield _stability("label seed", f"two fits on {seed.fitted_sequences:,} sequences, {drawn}", seed.agreement)
    yield _stability("smaller fit", "those against the served factors", seed.with_served)
    yield _stability("half the data", f"two fits on {half.fitted_sequences:,} other sequences", half.agreement)
    yield Row(
        f"{precision.other}",
        f"against {precision.served}: {_agreement(precision.agreement)}; "
        + ("within" if precision.within_noise else "more than")
        + f" the noise of another fit ({_agreement(precision.yardstick)})",
        not precision.within_noise,
    )
    yield from _steps(result)
    optimum = result.optimum
    yield Row(
        "optimum",
        f"the mean gradient is {optimum.gradient:.1%} of the mean norm ({optimum.by_chance:.1%} by chance at an "
        f"optimum); influences cancel to {optimum.influence:.0%}",
        optimum.gradient > 3 * optimum.by_chance and optimum.gradient > 0.1,
    )
    for other in result.baselines:
        yield _baseline(other)
    yield _coverage(result)
    yield from _canaries(result)


def _stability(name: str, what: str, agreement: Agreement) -> Row:
    return Row(name, f"{what}: {_agreement(agreement)}", agreement.overlap.mean < _ENOUGH)


def _agreement(agreement: Agreement) -> str:
    overlap, spearman = agreement.overlap, agreement.spearman
    return (
        f"top {agreement.top_k} {overlap.mean:.0%} the same (worst {overlap.worst:.0%}), rank correlation "
        f"{spearman.median:.2f} (worst {spearman.worst:.2f}), first hit another in {agreement.first_changed} of "
        f"{len(agreement.overlaps)}"
    )


def _steps(result: Checks) -> Iterator[Row]:
    steps = result.steps
    bands = "; ".join(_band(band) for band in steps.bands if band.slope is not None) or "none that could be measured"
    small = steps.bands[0].slope
    yield Row(
        "step",
        f"measured / predicted change of {steps.steps} steps: {bands}; {steps.own_raised:.0%} raise their own sequence",
        steps.own_raised < 0.9 or (small is not None and not 0.5 < small < 2),
    )
    yield Row(
        "size",
        f"{steps.promising_hits} of {steps.hits} first hits, and the first ten together in {steps.promising_queries} "
        f"of {result.queries} queries, promise a probability above 1",
        steps.promising_hits > 0,
    )


def _band(band: Band) -> str:
    size = f"{band.at_least:g} and more" if band.below is None else f"{band.at_least:g} to {band.below:g}"
    signs = f", {band.right_signs:.0%} right signs" if band.right_signs is not None else ""
    return f"{band.slope:.2f} at {size} nats{signs}"


def _baseline(other: Baseline) -> Row:
    return Row(
        _BASELINES.get(other.name, other.name),
        f"top {other.agreement.top_k} {other.agreement.overlap.mean:.0%} the same, rank correlation "
        f"{other.agreement.spearman.median:.2f}; the first hit has rank {median(other.ranks_of_first):g} there, and "
        f"its first hit rank {median(other.ranks_of_its_first):g} here (medians)",
    )


def _coverage(result: Checks) -> Row:
    coverage = result.coverage
    dead = f", no gradient reaches {len(coverage.dead_layers)} layers" if coverage.dead_layers else ""
    error = (
        f"gradients within {coverage.gradient_error:.0e} of autograd's"
        if coverage.gradient_error is not None
        else "gradients were not compared with autograd's"
    )
    return Row(
        "coverage",
        f"{share(coverage.attributed, coverage.parameters)} of {coverage.parameters:,} parameters{dead}; {error}",
        bool(coverage.dead_layers) or coverage.gradient_error is None,
    )


def _canaries(result: Checks) -> Iterator[Row]:
    if not result.canaries:
        return
    on_top = sum(canary.on_top for canary in result.canaries)
    yield Row("canaries", f"{on_top} of {len(result.canaries)} have all their documents on top", False)
    for canary in result.canaries:
        if not canary.on_top:
            ranks = ", ".join(f"{document.document} has rank {document.rank}" for document in canary.documents)
            yield Row("", printable(f"{canary.id}: {ranks}"), True)
