"""Checks of artefacts on this machine: whether they belong together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whence.cli.checks.check import Check, Outcome
from whence.errors import WhenceError

if TYPE_CHECKING:
    from whence_backends.certificates import Certificate
    from whence_backends.inspection import Inspected, Named


def check_artefacts(model: str, **others: Path | int | None) -> Iterator[Check]:
    """Yield the facts of a model and of the given other artefacts, and whether they belong together."""
    from whence_backends.inspection import Named, inspect

    named: dict[str, Any] = others
    try:
        inspected = inspect(Named(model=model, **named))
    except WhenceError as error:
        yield Check(name="artefacts", outcome=Outcome.FAIL, fact=error.message, advice=f"reason {error.reason}")
        return
    yield from _described(inspected)
    if inspected.factors is not None:
        yield _memory(Named(model=model, **named))
    for finding in inspected.findings():
        outcome = Outcome.WARNING if finding.error is None else Outcome.FAIL
        yield Check(name=finding.reason, outcome=outcome, fact=finding.message)


def _described(inspected: Inspected) -> Iterator[Check]:
    model, corpus, factors, index = inspected.model, inspected.corpus, inspected.factors, inspected.index
    size = f"{model.vocabulary_size:,} tokens" if model.vocabulary_size else "an unknown number of tokens"
    longest = f"{model.max_tokens:,}" if model.max_tokens else "an unknown number"
    yield _ok("model", f"{model.name} knows {size}, and takes {longest} at once, as far as its configuration says")
    if corpus is not None:
        size = f"{corpus.sequences:,} sequences of up to {corpus.longest_sequence:,} tokens"
        yield _ok("corpus", f"{size}, {corpus.trained_tokens:,} tokens trained on")
    if factors is not None:
        N = inspected.training_sequences or factors.card.training_set_size
        yield _ok("factors", f"{factors.folder}, N = {N:,}")
    if index is not None:
        yield _ok("index", index.name)
    if inspected.certificate is not None:
        yield _validation(inspected.certificate)


def _validation(certificate: Certificate) -> Check:
    """Return the essence of a certificate as a check; that of a proxy is no more than a warning."""
    from whence_backends.certificates import essence

    outcome = Outcome.WARNING if certificate.is_proxy else Outcome.OK
    return Check(name="validation", outcome=outcome, fact=f"{certificate.making.date}: {essence(certificate)}")


def _memory(named: Named) -> Check:
    """Return the memory that a worker of these artefacts takes in float32, by its parts, as a check that passes."""
    from whence_backends.sizing import Place, worker_parts

    parts = {part.name: part for part in worker_parts(named)}
    query = parts.pop("one query")
    sums = [
        f"{_size(sum(part.size_bytes for part in group))} {place.value} "
        f"({', '.join(f'{part.name} {_size(part.size_bytes)}' for part in group)})"
        for place in Place
        if (group := [part for part in parts.values() if part.place is place])
    ]
    more = f"and {_size(query.size_bytes)} for each query at work"
    return _ok("memory", f"a worker in float32 takes {', '.join(sums)}, {more}; docs/operations.md adds the rest")


def _size(size_bytes: int) -> str:
    """Return a size in binary units, to three digits."""
    size, unit = float(size_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.3g} {unit}"


def _ok(name: str, fact: str) -> Check:
    return Check(name=name, outcome=Outcome.OK, fact=fact)
