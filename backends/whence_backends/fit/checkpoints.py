"""The fit of several checkpoints: each by itself, then together one artefact with the layers of all."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from whence.errors import MismatchError, NotFoundError
from whence.reasons import Reason
from whence_backends.ekfac.averaged import of_checkpoint, require_alike, worst_check
from whence_backends.ekfac.factors import FORMAT, Factors, FactorsCard, basis_file, lambda_file
from whence_backends.fit.config import FitConfig
from whence_backends.models.facts import find_tokenizer
from whence_backends.models.source import ModelSource
from whence_backends.store import ArtefactWriter

FitOne = Callable[[FitConfig], Factors]


def require_one_tokenizer(source: ModelSource) -> None:
    """Raise ``MismatchError`` unless checkpoints that have a tokenizer have that of the last."""
    last = find_tokenizer(source.checkpoints[-1])
    for number, checkpoint in enumerate(source.checkpoints, start=1):
        tokenizer = find_tokenizer(checkpoint)
        if last is not None and tokenizer is not None and tokenizer.digest != last.digest:
            raise MismatchError(
                f"checkpoint {number}, {checkpoint.reference}, has another tokenizer than the last: expected "
                "checkpoints of one training",
                reason=Reason.CHECKPOINTS_MISMATCH,
                checkpoint=number,
            )


def fit_checkpoints(config: FitConfig, source: ModelSource, fit_one: FitOne) -> Factors:
    """Fit factors of each checkpoint in a folder of its own, and put them together in ``config.out``.

    An interrupted fit goes on with the checkpoint that it was at. Raises the errors of a fit.
    """
    require_one_tokenizer(source)
    folders = [config.out / f"checkpoint-{number:03}" for number in range(1, len(source.checkpoints) + 1)]
    done = _finished(config, source)
    if done is not None:
        return done
    fitted = [
        fit_one(replace(config, model=checkpoint.reference, out=folder))
        for checkpoint, folder in zip(source.checkpoints, folders, strict=True)
    ]
    factors = _together(config, source, fitted)
    for folder in folders:
        shutil.rmtree(folder)
    return factors


def _finished(config: FitConfig, source: ModelSource) -> Factors | None:
    """Return the factors that are there already, if they were asked for with this configuration."""
    try:
        existing = Factors.open(config.out)
    except NotFoundError:
        return None
    card = existing.card
    asked = (source.digest, config.tracked, config.labels, config.seed, config.precision)
    if asked != (card.model_digest, card.tracked, card.labels, card.seed, card.precision):
        raise MismatchError(
            f"{config.out} already holds the factors of another fit ({existing.digest}); choose another folder",
            reason=Reason.FACTORS_EXIST,
            path=config.out,
        )
    return existing


def _together(config: FitConfig, source: ModelSource, fitted: Sequence[Factors]) -> Factors:
    for number, factors in enumerate(fitted, start=1):
        require_alike(factors.card.layers, fitted[-1].card.layers, number)
    writer, files = ArtefactWriter(config.out, FORMAT), []
    index = 0
    for factors in fitted:
        for layer in range(len(factors.card.layers)):
            for name in (basis_file, lambda_file):
                _place(factors.folder / name(layer), config.out / name(index))
                files.append(writer.record(name(index)))
            index += 1
    writer.finish(files, _card(config, source, [factors.card for factors in fitted]).as_properties())
    return Factors.open(config.out, verify=False)


def _card(config: FitConfig, source: ModelSource, cards: Sequence[FactorsCard]) -> FactorsCard:
    numbered = list(enumerate(cards, start=1))
    unattributed: Counter[str] = Counter()
    for card in cards:
        unattributed.update(card.unattributed)
    return replace(
        cards[-1],
        model=config.model,
        model_digest=source.digest,
        layers=tuple(layer for number, card in numbered for layer in of_checkpoint(card.layers, number)),
        parameters=sum(card.parameters for card in cards),
        unattributed=dict(unattributed),
        dead_layers=tuple(f"{name}@{number}" for number, card in numbered for name in card.dead_layers or ()),
        self_check=worst_check([card.self_check for card in cards if card.self_check is not None]),
    )


def _place(file: Path, at: Path) -> None:
    """Put a file at another place too, without a copy where the disk can do that."""
    with suppress(FileNotFoundError):
        at.unlink()
    try:
        os.link(file, at)
    except OSError:
        shutil.copyfile(file, at)
