"""Checks of artefacts on this machine: whether they belong together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whence.cli.checks.check import Check, Outcome
from whence.errors import WhenceError

if TYPE_CHECKING:
    from whence_backends.inspection import Inspected


def check_artefacts(model: str, **others: Path | int | None) -> Iterator[Check]:
    """Yield the facts of a model and of the given corpus, factors and index, and whether they belong together."""
    from whence_backends.inspection import Named, inspect

    named: dict[str, Any] = others
    try:
        inspected = inspect(Named(model=model, **named))
    except WhenceError as error:
        yield Check(name="artefacts", outcome=Outcome.FAIL, fact=error.message, advice=f"reason {error.reason}")
        return
    yield from _described(inspected)
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


def _ok(name: str, fact: str) -> Check:
    return Check(name=name, outcome=Outcome.OK, fact=fact)
