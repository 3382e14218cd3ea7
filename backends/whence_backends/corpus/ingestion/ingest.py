"""Making a corpus: a stream of sequences into shards, in constant memory, and a manifest at the end.

(The ids of the documents are held, so that no two are the same.) An interrupted run leaves no manifest; the
same command starts it again and ends with the same bytes.
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
    """Make a corpus and return what it holds; where the same one is there already, only check it.

    ``progress`` is called after every batch of documents. Raises :class:`~whence.errors.InvalidRequestError`
    for input that makes no corpus, and with reason ``CORPUS_EXISTS`` where ``out`` holds another one.
    """
    found = inputs_of(config)
    with alone_in(config.out):
        settings = _settings(config, found.files)
        existing = _existing(config, settings, found)
        if existing is not None:
            return IngestReport.of(config.out, existing, already_there=True, skipped_files=found.skipped)
        _clear(config.out)
        try:
            manifest = _write(config, found, progress, settings)
        except BaseException:
            _clear(config.out)
            raise
        return IngestReport.of(config.out, manifest, already_there=False, skipped_files=found.skipped)


def inputs_of(config: IngestConfig) -> Selection:
    """Return the files to read, once it is clear that a corpus can come of them; raises as :func:`ingest` does."""
    _require_usable(config)
    return find_files(config.inputs, out=config.out)


def _write(
    config: IngestConfig,
    found: Selection,
    progress: Callable[[IngestProgress], None],
    settings: dict[str, Any],
) -> Manifest:
    pipeline = Pipeline(config, found.files, progress)
    writer = ArtefactWriter(config.out, CORPUS_FORMAT)
    files, shards = fill_shards(writer, pipeline.sequences(), config.shard_tokens)
    if not shards and not pipeline.tally.unreadable_files:
        raise _empty_corpus(pipeline.tally)
    config.max_bad_rows.check(pipeline.tally, found.files)
    if not shards:
        raise _empty_corpus(pipeline.tally)
    table = [asdict(shard) for shard in shards]
    return writer.finish(files, {**settings, **pipeline.tally.to_json(), "shards": table})


def _settings(config: IngestConfig, files: Sequence[InputFile]) -> dict[str, Any]:
    """Return all that decides which bytes come out."""
    columns = config.columns
    is_chat = columns.messages_field or columns.prompt_field or config.chat != ChatPolicy()  # workers render by it, too
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
        return ""  # the reader says why


def _existing(config: IngestConfig, settings: dict[str, Any], found: Selection) -> Manifest | None:
    """Return the corpus at ``out`` where it is whole and the one asked for."""
    if not (config.out / MANIFEST).exists():
        return None
    try:
        manifest = read_manifest(config.out, CORPUS_FORMAT, *EARLIER_FORMATS)  # refuses any other kind of artefact
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
    _require_few_bad_rows(config, manifest, found)
    try:
        verify_files(config.out, manifest.files)
    except CorruptArtefactError:
        return None  # making it again mends it
    return manifest


def _require_few_bad_rows(config: IngestConfig, manifest: Manifest, found: Selection) -> None:
    """Refuse a corpus that was made with more left out than is allowed now."""
    tally = Tally.of(manifest.properties)
    if config.strict and tally.first_bad_rows:
        raise tally.first_bad_rows[0].to_error()
    config.max_bad_rows.check(tally, found.files)


def _clear(folder: Path) -> None:
    """Remove what an earlier run left; the manifest first: without it, the rest is nobody's corpus."""
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
        config.chat.renderer(config.tokenizer)  # raises for a template or a date that is none
    special_tokens(config.tokenizer, config.policy)  # raises where the tokenizer lacks one


def _empty_corpus(tally: Tally) -> InvalidRequestError:
    rows = "; ".join(str(row) for row in tally.first_bad_rows[:3])
    return InvalidRequestError(
        f"no training sequence came of the input: {tally.bad_rows} bad rows" + (f" ({rows})" if rows else ""),
        reason=Reason.EMPTY_CORPUS,
    )
