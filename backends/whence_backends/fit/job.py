"""The fit job: covariances, eigenbases, corrected eigenvalues, manifest. Each stage can be resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from whence.errors import InvalidRequestError, MismatchError, NotFoundError
from whence.reasons import Reason
from whence_backends.batching import apart, plan_batches, probe_sequences
from whence_backends.ekfac.batch import TokenBatch, collate, uniforms
from whence_backends.ekfac.factors import CORPUS, FIT, FORMAT, Factors, FactorsCard, basis_file, lambda_file
from whence_backends.ekfac.head import Targets
from whence_backends.ekfac.language_model import TrackedLanguageModel
from whence_backends.ekfac.self_check import check_model
from whence_backends.ekfac.statistics import CorrectedEigenvalues, Covariances, eigenbasis
from whence_backends.fit.checkpoint import Checkpoints, write_tensors
from whence_backends.fit.checkpoints import fit_checkpoints
from whence_backends.fit.config import LABELS, FitConfig, FitProgress, SequenceSource
from whence_backends.fit.sample import fitted_positions
from whence_backends.fit.soundness import dead_layers, require_finite, require_finite_sums
from whence_backends.models.facts import find_tokenizer, model_facts
from whence_backends.models.processor import slow_precision
from whence_backends.models.shape import ModelShape
from whence_backends.models.source import ModelSource, resolve_model
from whence_backends.models.torch_loading import load_causal_lm, torch_device
from whence_backends.models.tracked import coverage, track
from whence_backends.preflight import Finding, ModelFacts, preflight, require
from whence_backends.store import ArtefactWriter, alone_in

Progress = Callable[[FitProgress], None]
Stage = Literal["covariance", "lambda"]
# Labels of the two passes are drawn from different streams, so that Λ is not fitted to the sample of S.
_STREAM: Final[Mapping[Stage, int]] = {"covariance": 0, "lambda": 1}
_TRAINING_SET: Final = frozenset({"training_set_size", "training_set_source"})
_PACKAGES: Final = ("numpy", "torch", "transformers", "whence")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Work:
    """The inputs of every stage: the model, the data and the batches in order."""

    config: FitConfig
    model: TrackedLanguageModel
    source: SequenceSource
    batches: Sequence[Sequence[int]]
    lengths: Sequence[int]
    checkpoints: Checkpoints
    progress: Progress

    @property
    def wide(self) -> torch.dtype:
        """The type of the running sums."""
        return torch.float64 if self.model.dtype == torch.float64 else torch.float32


def fit(
    config: FitConfig,
    source: SequenceSource,
    progress: Progress = lambda _: None,
    *,
    warn: Callable[[Finding], None] = lambda _: None,
) -> Factors:
    """Fit EK-FAC factors of ``config.model`` on ``source`` and open them. Existing factors of the same fit are opened.

    Of several checkpoints each is fitted by itself (:mod:`whence_backends.fit.checkpoints`).

    ``warn`` receives the warnings of the preflight before the first batch. If the job was killed, the same call resumes
    it and ends with the same bytes.

    Raises :class:`~whence.errors.InvalidRequestError` for an invalid configuration,
    :class:`~whence.errors.MismatchError` if the corpus was not made for this model or the folder holds another fit, and
    :class:`~whence.errors.StorageError` if the disk is full or another job is writing there.
    """
    _check(config)
    model = resolve_model(config.model)
    facts = _preflight(config, source, model, warn)
    with alone_in(config.out):
        if model.checkpoints:
            return fit_checkpoints(config, model, lambda checkpoint: fit(checkpoint, source, progress, warn=warn))
        return _fit(config, source, progress, warn, model, facts)


def _fit(
    config: FitConfig,
    source: SequenceSource,
    progress: Progress,
    warn: Callable[[Finding], None],
    model_source: ModelSource,
    facts: ModelFacts,
) -> Factors:
    module = load_causal_lm(model_source, config.precision, config.device)
    shape = ModelShape.of(module)
    loaded = replace(facts, vocabulary_size=shape.vocabulary_size, max_tokens=shape.max_tokens)
    require(preflight(model=loaded, corpus=source.facts))
    layers = track(module, config.tracked)
    covered = coverage(module, layers)
    positions = fitted_positions(len(source.all_lengths()), config.max_sequences, config.seed)
    trained = int(source.trained_tokens()[positions].sum())
    if trained == 0:
        raise InvalidRequestError(
            f"none of the {len(positions):,} sequences that were drawn has a token that was trained on; draw more of "
            "them (max_sequences), or others (seed)",
            reason=Reason.MISSING_TRAINED_TOKENS,
            field="max_sequences",
        )
    lengths = source.all_lengths()[positions]
    card = FactorsCard(
        model=config.model,
        model_digest=model_source.digest,
        corpus_digest=source.digest,
        training_set_size=config.training_sequences or len(source.all_lengths()),
        training_set_source=FIT if config.training_sequences else CORPUS,
        fitted_sequences=len(positions),
        fitted_tokens=trained,
        labels=config.labels,
        seed=config.seed,
        precision=config.precision,
        tracked=config.tracked,
        layers=tuple(layer.spec for layer in layers),
        parameters=covered.parameters,
        unattributed=covered.unattributed,
        versions={package: version(package) for package in _PACKAGES},
    )
    done = _finished(config.out, card)
    if done is not None:
        return done
    model = TrackedLanguageModel(module, layers)
    check = check_model(model, probe_sequences(shape.vocabulary_size, shape.max_tokens))
    checkpoints = Checkpoints(config.out)
    checkpoints.claim({**card.as_properties(), "batch_tokens": config.batch_tokens})
    work = _Work(
        config=config,
        model=model,
        source=source,
        batches=_batches(positions, lengths, config.batch_tokens, model),
        lengths=source.all_lengths().tolist(),
        checkpoints=checkpoints,
        progress=progress,
    )
    _fit_eigenbases(work)
    _fit_corrected_eigenvalues(work, card.fitted_sequences)
    return _finish(work, replace(card, self_check=check), warn)


def _check(config: FitConfig) -> None:
    if config.labels not in LABELS:
        raise InvalidRequestError(
            f"labels {config.labels!r}; expected one of {', '.join(LABELS)}",
            reason=Reason.UNKNOWN_LABELS,
            field="labels",
        )
    if config.training_sequences is not None and config.training_sequences < 1:
        raise InvalidRequestError(
            f"a training set of {config.training_sequences} sequences; expected at least 1: how many the model was "
            "trained on",
            reason=Reason.INVALID_TRAINING_SEQUENCES,
            field="training_sequences",
        )


def _preflight(
    config: FitConfig, source: SequenceSource, model: ModelSource, warn: Callable[[Finding], None]
) -> ModelFacts:
    """Run the preflight before the weights are read, and return the facts about the model."""
    tokenizer = find_tokenizer(model) if source.facts.tokenizer_digest else None
    facts = model_facts(model, tokenizer)
    findings = preflight(model=facts, corpus=source.facts, training_sequences=config.training_sequences)
    slow = slow_precision(config.precision, torch_device(config.device).type)
    for finding in require([*findings, *slow]):
        warn(finding)
    return facts


def _finished(out: Path, card: FactorsCard) -> Factors | None:
    try:
        existing = Factors.open(out)
    except NotFoundError:
        return None
    # The name given for the model is not part of the fit's identity: its digest is.
    ours, theirs = _as_asked(card), _as_asked(existing.card)
    if ours != theirs:
        differing = [name for name, value in vars(ours).items() if value != getattr(theirs, name)]
        instead = ", or give the worker --training-sequences" if set(differing) <= _TRAINING_SET else ""
        raise MismatchError(
            f"{out} already holds the factors of another fit ({existing.digest}), with another {', '.join(differing)}; "
            f"choose another folder{instead}",
            reason=Reason.FACTORS_EXIST,
            path=out,
        )
    return existing


def _batches(
    positions: NDArray[np.int64], lengths: NDArray[np.int32], token_budget: int, model: TrackedLanguageModel
) -> list[list[int]]:
    """Return the positions of the sequences of each batch, in their order."""
    return [
        positions[part][batch].tolist()
        for part in apart(lengths, model.rotary_bounds)
        for batch in plan_batches(lengths[part], token_budget)
    ]


def _as_asked(card: FactorsCard) -> FactorsCard:
    """Return a card with only what was requested, without results and without the name given for the model."""
    return replace(card, model="", versions={}, dead_layers=None, self_check=None)


def _fit_eigenbases(work: _Work) -> None:
    """Write each layer's basis file: eigenvectors of A and S."""
    specs = work.model.specs
    missing = [index for index in range(len(specs)) if not (work.config.out / basis_file(index)).is_file()]
    if not missing:
        return
    sums = Covariances(specs, work.model.device, work.wide)
    tensors = {f"{kind}.{i}": tensor for kind in ("A", "S") for i, tensor in enumerate(getattr(sums, kind))}

    def consumer(batch: TokenBatch) -> Callable[[int, Tensor, Tensor], None]:
        return lambda index, a, s: sums.add(index, a, s, batch.valid)

    _accumulate(work, "covariance", tensors, consumer)
    for index, spec in enumerate(specs):
        require_finite_sums(spec.name, (sums.A[index], sums.S[index]), work.config.precision)
    for index in missing:
        work.progress(FitProgress(stage="eigenbasis", done=index, total=len(specs)))
        _write_basis(work, index, sums.A[index], sums.S[index])
    work.progress(FitProgress(stage="eigenbasis", done=len(specs), total=len(specs)))
    work.checkpoints.drop("covariance")


def _write_basis(work: _Work, index: int, A: Tensor, S: Tensor) -> None:
    eigenvalues_A, Q_A = eigenbasis(A)
    eigenvalues_S, Q_S = eigenbasis(S)
    named = {"Q_A": Q_A, "Q_S": Q_S, "eigenvalues_A": eigenvalues_A, "eigenvalues_S": eigenvalues_S}
    tensors = {name: tensor.to(work.wide).cpu() for name, tensor in named.items()}
    ArtefactWriter(work.config.out, FORMAT).add(basis_file(index), partial(write_tensors, tensors=tensors))


def _fit_corrected_eigenvalues(work: _Work, sequences: int) -> None:
    """Write each layer's Λ file: mean squared rotated gradients of sequences."""
    specs, out = work.model.specs, work.config.out
    if all((out / lambda_file(index)).is_file() for index in range(len(specs))):
        return
    bases = [load_file(out / basis_file(index), device=str(work.model.device)) for index in range(len(specs))]
    dtype = work.model.dtype
    Q_A, Q_S = ([basis[name].to(dtype) for basis in bases] for name in ("Q_A", "Q_S"))
    corrected = CorrectedEigenvalues(specs, Q_A, Q_S, work.wide)
    tensors = {f"Lambda.{index}": total for index, total in enumerate(corrected.sums)}
    _accumulate(work, "lambda", tensors, lambda _batch: corrected.add)
    writer = ArtefactWriter(out, FORMAT)
    for index, total in enumerate(corrected.sums):
        require_finite_sums(specs[index].name, (total,), work.config.precision)
        Lambda = {"Lambda": (total / sequences).cpu()}
        writer.add(lambda_file(index), partial(write_tensors, tensors=Lambda))


def _accumulate(
    work: _Work,
    stage: Stage,
    tensors: Mapping[str, Tensor],
    consumer: Callable[[TokenBatch], Callable[[int, Tensor, Tensor], None]],
) -> None:
    """Run every batch that ``tensors`` lack through the model, saving them periodically and at the end."""
    first = work.checkpoints.load(stage, tensors)
    total = sum(work.lengths[position] for batch in work.batches for position in batch)
    done = sum(work.lengths[position] for batch in work.batches[:first] for position in batch)
    saver = _Saver(work, stage, tensors)
    for number, positions in enumerate(work.batches[first:], start=first + 1):
        work.progress(FitProgress(stage=stage, done=done, total=total))
        batch = collate(work.source.tokens_at(positions), work.model.device)
        log_p = work.model.trace(batch, _targets(work, stage, batch, positions), consumer(batch))
        require_finite(log_p, stage, work.config.precision)
        done += sum(work.lengths[position] for position in positions)
        saver.after(number, last=number == len(work.batches))
    work.progress(FitProgress(stage=stage, done=total, total=total))


def _targets(work: _Work, stage: Stage, batch: TokenBatch, positions: Sequence[int]) -> Targets:
    if work.config.labels == "empirical":
        return work.model.data_targets(batch)
    drawn = uniforms(work.config.seed, _STREAM[stage], positions, batch.inputs.shape[1])
    return work.model.sampled_targets(batch, drawn)


class _Saver:
    """Saves the running sums at an interval, in at most a twentieth of the time."""

    def __init__(self, work: _Work, stage: Stage, tensors: Mapping[str, Tensor]) -> None:
        self._work, self._stage, self._tensors = work, stage, tensors
        self._next_s = time.monotonic() + work.config.checkpoint_every_s

    def after(self, batches: int, *, last: bool) -> None:
        if not last and time.monotonic() < self._next_s:
            return
        started_s = time.monotonic()
        self._work.checkpoints.save(self._stage, self._tensors, batches)
        took_s = time.monotonic() - started_s
        self._next_s = started_s + max(self._work.config.checkpoint_every_s, 20 * took_s)


def _finish(work: _Work, card: FactorsCard, warn: Callable[[Finding], None]) -> Factors:
    card = replace(card, dead_layers=dead_layers(card, work.config.out, warn))
    writer = ArtefactWriter(work.config.out, FORMAT)
    layers = range(len(card.layers))
    files = [writer.record(name(index)) for index in layers for name in (basis_file, lambda_file)]
    writer.finish(files, card.as_properties())
    work.checkpoints.release()
    return Factors.open(work.config.out, verify=False)
