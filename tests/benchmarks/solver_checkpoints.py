"""Averages over the last checkpoints of training: of influences, and of gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import torch
from solver_methods import SERVED_DAMPING, Question
from solver_rows import Row
from torch import Tensor

# So many of the last epochs are averaged.
LAST: Final = (2, 3, 5, 8, 11, 12)

# Fewer of them, at equal distances, at the cost of fewer fits and scans.
SPREAD: Final = ((6, 12), (4, 8, 12), (3, 6, 9, 12), (2, 4, 6, 8, 10, 12))


def checkpoint_rows(checkpoints: Sequence[Path], ask: Callable[[Path], Question]) -> Iterator[Row]:
    """Average over the last epochs' models, the last one at the end of ``checkpoints``; ``ask`` fits and asks a model.

    Influences of each model through its own factors, alone and averaged; averaged through the factors of the last
    model; and gradients averaged before they are multiplied through the factors of the last model.
    """
    own = through = queries = training = torch.zeros(())
    last: Question | None = None
    for number, folder in enumerate(reversed(checkpoints), start=1):
        question = ask(folder)
        last = last or question
        alone = _scores(question, question.Q, question.T)
        yield _row(f"{folder.name} alone", alone, last)
        own, through = own + alone, through + _scores(last, question.Q, question.T)
        queries, training = queries + question.Q, training + question.T
        if number in LAST:
            yield _row(f"influences of the last {number}, own factors", own / number, last)
            yield _row(f"influences of the last {number}, last factors", through / number, last)
            averaged = _scores(last, queries / number, training / number)
            yield _row(f"gradients of the last {number}, last factors", averaged, last)


def spread_rows(rows: Sequence[Row]) -> list[Row]:
    """Return averages over few epochs, from the rows of :func:`checkpoint_rows`; none if an epoch is not there."""
    alone = {row.name: row.scores for row in rows}
    chosen = [[f"epoch-{epoch:02} alone" for epoch in epochs] for epochs in SPREAD]
    return [
        Row(name=f"influences of epochs {epochs}, own factors", scores=sum(alone[name] for name in names) / len(names))
        for epochs, names in zip((", ".join(map(str, epochs)) for epochs in SPREAD), chosen, strict=True)
        if alone.keys() >= set(names)
    ]


def _scores(factors: Question, queries: Tensor, training: Tensor) -> Tensor:
    """Return raw influences [Q, N] of gradients through the factors of one model."""
    return factors.subject.ekfac(SERVED_DAMPING)(queries) @ training.T


def _row(name: str, scores: Tensor, question: Question) -> Row:
    return Row(name=name, scores=scores.double().numpy() / question.subject.training_set_size)
