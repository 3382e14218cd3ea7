"""The export job: load, trace, write, verify, manifest. It leaves a complete folder or none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

import onnx_ir

from whence.errors import InvalidRequestError, MismatchError, NotFoundError
from whence.reasons import Reason
from whence_backends.batching import probe_sequences
from whence_backends.contract import SelfCheck
from whence_backends.ekfac.language_model import TrackedLanguageModel
from whence_backends.ekfac.rotary import rotary_bounds
from whence_backends.ekfac.self_check import check_model, gradient_norms
from whence_backends.export.graph import OPSET, TracedModel, trace_model
from whence_backends.export.verify import verify
from whence_backends.models.exported import FORMAT, GRAPH, Export, ExportCard
from whence_backends.models.facts import find_tokenizer
from whence_backends.models.shape import ModelShape, text_config
from whence_backends.models.source import ModelLocation, ModelSource, resolve_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.models.torch_loading import load_causal_lm
from whence_backends.models.tracked import coverage, track
from whence_backends.store import ArtefactWriter, FileRecord, alone_in, storage_error

Stage = Literal["load", "trace", "write", "verify"]
# bfloat16 is missing: onnxruntime's CPU provider cannot compute it, so that the graph could not be verified here.
PRECISIONS: Final = ("float32", "float16", "float64")
_PACKAGES: Final = ("onnx", "onnxruntime", "onnxscript", "torch", "transformers", "whence")
_STAGING: Final = ".staging"


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """The configuration of an export: the model, the layers to trace (as for a fit), the precision, and the folder."""

    model: str
    out: Path
    tracked: str = "mlp"
    precision: str = "float32"


@dataclass(frozen=True, kw_only=True)
class ExportProgress:
    """The stage that begins."""

    stage: Stage


def export(config: ExportConfig, progress: Callable[[ExportProgress], None] = lambda _: None) -> Export:
    """Export ``config.model`` and open the export. An existing export of the same configuration is opened instead.

    Raises :class:`~whence.errors.InvalidRequestError` for an invalid configuration or a model that cannot be exported,
    :class:`~whence.errors.MismatchError` for a graph that differs from the model or a folder that holds another export,
    and :class:`~whence.errors.StorageError` if the disk is full or another job is writing there.
    """
    if config.precision not in PRECISIONS:
        raise InvalidRequestError(
            f"unknown precision {config.precision!r}; expected one of {', '.join(PRECISIONS)}",
            reason=Reason.UNKNOWN_PRECISION,
            field="precision",
        )
    progress(ExportProgress(stage="load"))
    source = resolve_model(config.model)
    done = _finished(config, source)
    if done is not None:
        return done
    tokenizer = find_tokenizer(source)
    module = load_causal_lm(source, config.precision, "cpu", for_export=True)
    model = TrackedLanguageModel(module, track(module, config.tracked))
    shape = ModelShape.of(module)
    check = check_model(model, probe_sequences(shape.vocabulary_size, shape.max_tokens))
    progress(ExportProgress(stage="trace"))
    traced = trace_model(model)
    with alone_in(config.out):
        ready = _Ready(source=source, model=model, shape=shape, check=check, traced=traced, tokenizer=tokenizer)
        return _finished(config, source) or _finish(config, ready, progress)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ready:
    """A model that passed its self-check and was traced: all that an export is written from."""

    source: ModelSource
    model: TrackedLanguageModel
    shape: ModelShape
    check: SelfCheck
    traced: TracedModel
    tokenizer: Tokenizer | None


def _finish(config: ExportConfig, ready: _Ready, progress: Callable[[ExportProgress], None]) -> Export:
    """Write a traced model, compare it with the model, and complete the export."""
    source, model, traced, tokenizer = ready.source, ready.model, ready.traced, ready.tokenizer
    progress(ExportProgress(stage="write"))
    writer = ArtefactWriter(config.out, FORMAT)
    files = _write(writer, traced.onnx, tokenizer)
    progress(ExportProgress(stage="verify"))
    _require_same_tokenizer(config.out, tokenizer)
    max_tokens = _max_tokens(model.model, ready.shape)
    card = ExportCard(
        model=source.reference,
        model_digest=source.digest,
        tokenizer_digest=tokenizer.digest if tokenizer else "",
        precision=config.precision,
        tracked=config.tracked,
        layers=model.specs,
        inputs=traced.inputs,
        parameters=coverage(model.model, list(model.layers)).parameters,
        max_tokens=max_tokens,
        vocabulary_size=ready.shape.vocabulary_size,
        opset=OPSET,
        verification=verify(model, config.out / GRAPH, traced.inputs, config.precision, max_tokens),
        versions={package: version(package) for package in _PACKAGES},
        self_check=ready.check,
        probe_norms=gradient_norms(model, probe_sequences(ready.shape.vocabulary_size, max_tokens)),
    )
    writer.finish(files, card.as_properties())
    return Export.open(config.out, verify=False)


def _finished(config: ExportConfig, source: ModelSource) -> Export | None:
    try:
        existing = Export.open(config.out)
    except NotFoundError:
        return None
    asked, card = (source.digest, config.tracked, config.precision), existing.card
    if (card.model_digest, card.tracked, card.precision) != asked:
        raise MismatchError(
            f"{config.out} already holds another export: of {card.model} ({card.model_digest}), layers "
            f"{card.tracked!r}, {card.precision}; choose another folder",
            reason=Reason.EXPORT_EXISTS,
            path=config.out,
        )
    return existing


def _write(writer: ArtefactWriter, onnx: Any, tokenizer: Tokenizer | None) -> list[FileRecord]:  # noqa: ANN401
    """Write graph, weights and the tokenizer's files, each under a temporary name first. Return their records."""
    staging = writer.folder / _STAGING
    shutil.rmtree(staging, ignore_errors=True)  # of a job that was killed
    try:
        staging.mkdir(parents=True)
        onnx_ir.save(onnx, staging / GRAPH, external_data=f"{GRAPH}.data")
        if tokenizer is not None:
            tokenizer.save(staging)
        return [writer.add(path.name, _moved_from(path)) for path in sorted(staging.iterdir())]
    except OSError as error:
        raise storage_error(staging, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _moved_from(staged: Path) -> Callable[[Path], None]:
    def move(path: Path) -> None:
        staged.replace(path)

    return move


def _require_same_tokenizer(folder: Path, tokenizer: Tokenizer | None) -> None:
    if tokenizer is None:
        return
    saved = Tokenizer.load(ModelLocation(reference=str(folder), path=folder, kind="export"))
    if saved.digest != tokenizer.digest:
        raise MismatchError(
            f"the tokenizer that was saved in {folder} is another ({saved.digest}) than the model's "
            f"({tokenizer.digest}); put the model's own tokenizer.json into its folder and export again",
            reason=Reason.EXPORT_MODEL_MISMATCH,
        )


def _max_tokens(module: Any, shape: ModelShape) -> int:  # noqa: ANN401 - transformers' models have no common type
    """Return the longest sequence of the export: the model's limit, within its attention window and rotary bounds.

    Up to its window, sliding-window attention is plain causal attention, which is what the graph computes. Beyond a
    rotary bound, frequencies would depend on the batch.
    """
    limits = [
        shape.max_tokens,
        *(bound + 1 for bound in rotary_bounds(module.config)),
    ]  # the last token is only a target
    window = getattr(text_config(module.config), "sliding_window", None)
    return min(*limits, int(window)) if window else min(limits)
