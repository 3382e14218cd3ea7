"""Making a corpus: a stream of sequences, written to shards in bounded memory, and a manifest at the end.

Only the ids of documents are all held in memory, to reject duplicates. An interrupted run leaves no manifest; the same
command starts over and ends with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from whence.errors import CorruptArtefactError, InvalidRequestError
from whence.reasons import Reason
from whence_backends.corpus.chats import ChatPolicy
from whence_backends.corpus.encode import special_tokens
from whence_backends.corpus.ingestion.config import IngestConfig
from whence_backends.corpus.ingestion.filling import fill_shards
from whence_backends.corpus.ingestion.pipeline import Pipeline
from whence_backends.corpus.ingestion.report import IngestProgress, IngestReport, Tally
from whence_backends.corpus.ingestion.rows import InputFile
from whence_backends.corpus.ingestion.sources import Selection, find_files
from whence_backends.corpus.reader import CORPUS_FORMAT, EARLIER_FORMATS
from whence_backends.store.artefact import (
    MANIFEST,
    ArtefactWriter,
    Manifest,
    canonical_json,
    digest_bytes,
    digest_file,
    read_manifest,
    verify_files,
)
from whence_backends.store.lock import alone_in


def ingest(config: IngestConfig, progress: Callable[[IngestProgress], None] = lambda _: None) -> IngestReport:
    """Make a corpus and return its report. If ``out`` already holds the same corpus, verify that instead.

    ``progress`` is called after every batch of documents. Raises :class:`~whence.errors.InvalidRequestError` for input
    that makes no corpus, and with reason ``CORPUS_EXISTS`` if ``out`` holds another one.
    """
    selection = inputs_of(config)
    with alone_in(config.out):
        settings = _settings(config, selection.files)
        existing = _existing(config, settings, selection)
        if existing is not None:
            return IngestReport.of(config.out, existing, already_there=True, skipped_files=selection.skipped)
        _clear(config.out)
        try:
            manifest = _write(config, selection, progress, settings)
        except BaseException:
            _clear(config.out)
            raise
        return IngestReport.of(config.out, manifest, already_there=False, skipped_files=selection.skipped)


def inputs_of(config: IngestConfig) -> Selection:
    """Check the configuration and return the files to read. Raises the errors of :func:`ingest`."""
    _require_usable(config)
    return find_files(config.inputs, out=config.out)


def _write(
    config: IngestConfig,
    selection: Selection,
    progress: Callable[[IngestProgress], None],
    settings: dict[str, Any],
) -> Manifest:
    pipeline = Pipeline(config, selection.files, progress)
    writer = ArtefactWriter(config.out, CORPUS_FORMAT)
    files, shards = fill_shards(writer, pipeline.sequences(), config.shard_tokens)
    if not shards and not pipeline.tally.unreadable_files:
        raise _empty_corpus(pipeline.tally)
    config.max_bad_rows.check(pipeline.tally, selection.files)
    if not shards:
        raise _empty_corpus(pipeline.tally)
    table = [asdict(shard) for shard in shards]
    return writer.finish(files, {**settings, **pipeline.tally.to_json(), "shards": table})


def _settings(config: IngestConfig, files: Sequence[InputFile]) -> dict[str, Any]:
    """Return all settings that determine the bytes of the corpus."""
    columns = config.columns
    is_chat = (
        columns.messages_field or columns.prompt_field or config.chat != ChatPolicy()
    )  # workers render with it, too
    return {
        **({"chat": config.chat.to_json()} if is_chat else {}),
        "tokenizer_digest": config.tokenizer.digest,
        "vocabulary_size": config.tokenizer.vocabulary_size,
        "policy": config.policy.to_json(),
        "columns": config.columns.to_json(),
        "shard_tokens": config.shard_tokens,
        "max_row_bytes": config.max_row_bytes,
        "inputs": {
            "files": len(files),
            "size_bytes": sum(file.size_bytes for file in files),
            "digest": digest_bytes(canonical_json([[file.name, file.source, _digest(file)] for file in files])),
        },
    }


def _digest(file: InputFile) -> str:
    try:
        return digest_file(file.path)
    except OSError:
        return ""  # the reader reports the reason


def _existing(config: IngestConfig, settings: dict[str, Any], selection: Selection) -> Manifest | None:
    """Return the manifest of the corpus at ``out`` if it is complete and the requested one."""
    if not (config.out / MANIFEST).exists():
        return None
    try:
        manifest = read_manifest(config.out, CORPUS_FORMAT, *EARLIER_FORMATS)  # refuses other kinds of artefact
    except CorruptArtefactError:
        if config.overwrite:
            return None
        raise
    if config.overwrite:
        return None
    if any(manifest.properties.get(name) != value for name, value in settings.items()):
        raise InvalidRequestError(
            f"{config.out} holds a corpus of other inputs or settings ({manifest.digest}); give another "
            "folder, or overwrite it",
            reason=Reason.CORPUS_EXISTS,
            field="out",
        )
    _require_few_bad_rows(config, manifest, selection)
    try:
        verify_files(config.out, manifest.files)
    except CorruptArtefactError:
        return None  # to be made again
    return manifest


def _require_few_bad_rows(config: IngestConfig, manifest: Manifest, selection: Selection) -> None:
    """Refuse an existing corpus that has more bad rows than are now allowed."""
    tally = Tally.of(manifest.properties)
    if config.strict and tally.first_bad_rows:
        raise tally.first_bad_rows[0].to_error()
    config.max_bad_rows.check(tally, selection.files)


def _clear(folder: Path) -> None:
    """Remove the files of an earlier run, the manifest first, so that the rest is never taken for a corpus."""
    for pattern in (MANIFEST, "shard-*.arrow", "shard-*.arrow.partial"):
        for path in folder.glob(pattern):
            path.unlink()


def _require_usable(config: IngestConfig) -> None:
    if config.out.exists() and not config.out.is_dir():
        raise InvalidRequestError(
            f"{config.out} is a file; expected a folder to write the corpus to, or a name that is free",
            reason=Reason.INVALID_FOLDER,
            field="out",
        )
    has_template = config.tokenizer.has_chat_template or config.chat.template is not None
    if config.columns.messages_field is not None and not has_template:
        raise InvalidRequestError(
            "the input is conversations, but the model's tokenizer has no chat template to render them with; "
            "give one with --chat-template, or prompt and completion columns instead",
            reason=Reason.MISSING_CHAT_TEMPLATE,
            field="messages_field",
        )
    if has_template:
        config.chat.renderer(config.tokenizer)  # raises for an invalid template or date
    special_tokens(config.tokenizer, config.policy)  # raises if the tokenizer lacks one


def _empty_corpus(tally: Tally) -> InvalidRequestError:
    rows = "; ".join(str(row) for row in tally.first_bad_rows[:3])
    return InvalidRequestError(
        f"no training sequence came of the input: {tally.bad_rows} bad rows" + (f" ({rows})" if rows else ""),
        reason=Reason.EMPTY_CORPUS,
    )
