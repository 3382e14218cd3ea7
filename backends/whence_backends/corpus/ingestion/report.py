"""The counts of an ingest run: progress while it runs, a report at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.corpus.chats import NOTICES
from whence_backends.corpus.chunking import ChunkedSequence, TokenizedDocument
from whence_backends.corpus.ingestion.documents import Document
from whence_backends.corpus.ingestion.rows import InputFile, Row
from whence_backends.corpus.ingestion.sources import SkippedFile
from whence_backends.store.artefact import Manifest

BAD_ROWS_KEPT: Final = 20
NOTICED_ROWS_KEPT: Final = 3


@dataclass(frozen=True, kw_only=True)
class BadRow:
    """A row that is left out: its place, and the reason, which completes a sentence such as "line 3 is not JSON"."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line} {self.reason}"

    def to_error(self) -> InvalidRequestError:
        """Return the error with which a strict run ends."""
        return InvalidRequestError(
            f"{self}; mend it, or run without strict to leave such rows out and have them counted",
            reason=Reason.INVALID_CORPUS_ROW,
            file=self.file,
            line=self.line,
        )


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A remark on ``rows`` rows that are in the corpus, with the ``first`` of them."""

    kind: str
    rows: int
    first: tuple[BadRow, ...]

    def __str__(self) -> str:
        return f"{self.rows:,} conversations {NOTICES.get(self.kind, self.kind)}"


@dataclass(frozen=True, kw_only=True)
class BadCell:
    """A value that is missing from the metadata, or incomplete: its place, and the reason."""

    file: str
    line: int
    column: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}, column {self.column!r} {self.reason}"


@dataclass(frozen=True, kw_only=True)
class UnreadableFile:
    """A file of which only the first ``rows`` rows could be read, and the reason."""

    file: str
    rows: int
    size_bytes: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file} {f'after {self.rows:,} rows' if self.rows else 'as a whole'}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class IngestProgress:
    """The progress of a run: ``bytes_read`` of ``bytes_total`` of the input, and the counts so far."""

    file: str
    bytes_read: int
    bytes_total: int
    documents: int
    sequences: int
    tokens: int
    bad_rows: int


@dataclass(frozen=True, kw_only=True)
class SourceCounts:
    """The size of one source of a corpus. A packed sequence counts for the source of its first document."""

    documents: int
    sequences: int
    tokens: int


@dataclass(frozen=True, kw_only=True)
class IngestReport:
    """The contents of a corpus. ``first_bad_rows`` are the first :data:`BAD_ROWS_KEPT` of ``bad_rows``.

    ``bad_cells`` are values of metadata that were lost while their rows were kept; the first of them are listed too.
    Each of ``unreadable_files`` counts as one bad row; ``skipped_files`` were not read. ``dropped_sequences`` were too
    short or had no token that counts. ``already_there`` is true if the same corpus existed and nothing was done.
    ``trained_tokens`` is the number of tokens that the model was trained to predict, ``largest_token_id`` the largest
    id; both are unknown for corpora of earlier versions.
    """

    path: Path
    digest: str
    documents: int
    sequences: int
    tokens: int
    longest_sequence: int
    dropped_sequences: int
    bad_rows: int
    first_bad_rows: tuple[BadRow, ...]
    sources: Mapping[str, SourceCounts]
    shards: int
    already_there: bool
    trained_tokens: int | None = None
    largest_token_id: int | None = None
    notices: tuple[Notice, ...] = ()
    bad_cells: int = 0
    first_bad_cells: tuple[BadCell, ...] = ()
    unreadable_files: tuple[UnreadableFile, ...] = ()
    skipped_files: tuple[SkippedFile, ...] = ()

    @classmethod
    def of(
        cls, path: Path, manifest: Manifest, *, already_there: bool, skipped_files: Sequence[SkippedFile] = ()
    ) -> IngestReport:
        """Return the report stored in a finished corpus's manifest, together with the files that were skipped now."""
        properties = manifest.properties
        return cls(
            path=path,
            digest=manifest.digest,
            first_bad_rows=tuple(BadRow(**row) for row in properties["first_bad_rows"]),
            first_bad_cells=tuple(BadCell(**cell) for cell in properties.get("first_bad_cells", ())),
            unreadable_files=tuple(UnreadableFile(**file) for file in properties.get("unreadable_files", ())),
            skipped_files=tuple(skipped_files),
            sources={name: SourceCounts(**counts) for name, counts in properties["sources"].items()},
            shards=len(properties["shards"]),
            notices=tuple(
                Notice(kind=kind, rows=notice["rows"], first=tuple(BadRow(**row) for row in notice["first"]))
                for kind, notice in properties.get("notices", {}).items()
            ),
            already_there=already_there,
            **properties["counts"],
        )


class Tally:
    """The counts of a run so far. Owned by one run; only its methods change it."""

    def __init__(self) -> None:
        self.documents = self.sequences = self.tokens = self.bad_rows = 0
        self.repeated_ids = self._bad_cells = 0
        self._longest_sequence = self._dropped_sequences = self._trained_tokens = 0
        self._largest_token_id = -1
        self.first_bad_rows: list[BadRow] = []
        self._first_bad_cells: list[BadCell] = []
        self.unreadable_files: list[UnreadableFile] = []
        self._notices: dict[str, Notice] = {}
        self._sources: dict[str, dict[str, int]] = {}

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> Tally:
        """Return the counts of what was left out of a finished corpus."""
        tally = cls()
        tally.documents, tally.bad_rows = properties["counts"]["documents"], properties["counts"]["bad_rows"]
        tally.first_bad_rows = [BadRow(**row) for row in properties["first_bad_rows"]]
        tally.unreadable_files = [UnreadableFile(**file) for file in properties.get("unreadable_files", ())]
        return tally

    def __repr__(self) -> str:
        return f"<Tally {self.documents} documents, {self.sequences} sequences, {self.bad_rows} bad rows>"

    def add_bad_row(self, row: Row, reason: str) -> BadRow:
        """Count a row that is left out."""
        bad = BadRow(file=row.file.name, line=row.line, reason=reason)
        self.bad_rows += 1
        if len(self.first_bad_rows) < BAD_ROWS_KEPT:
            self.first_bad_rows.append(bad)
        return bad

    def add_notice(self, row: Row, kind: str, what: str) -> BadRow:
        """Count a row that is in the corpus and has a remark."""
        seen = BadRow(file=row.file.name, line=row.line, reason=f"({what})")
        before = self._notices.get(kind, Notice(kind=kind, rows=0, first=()))
        self._notices[kind] = Notice(kind=kind, rows=before.rows + 1, first=(*before.first, seen)[:NOTICED_ROWS_KEPT])
        return seen

    def add_unreadable(self, file: InputFile, row: int, rows: int, reason: str) -> BadRow:
        """Count a file that cannot be read beyond ``row``; ``rows`` of it were read."""
        self.unreadable_files.append(
            UnreadableFile(file=file.name, rows=rows, size_bytes=file.size_bytes, reason=reason)
        )
        where = Row(file=file, line=row + 1, columns=None)
        return self.add_bad_row(where, f"and what follows cannot be read: {reason}")

    def add_bad_cells(self, document: Document) -> None:
        """Count the values that a document's metadata lost."""
        for column, reason in document.bad_cells.items():
            self._bad_cells += 1
            if len(self._first_bad_cells) < BAD_ROWS_KEPT:
                cell = BadCell(file=document.row.file.name, line=document.row.line, column=column, reason=reason)
                self._first_bad_cells.append(cell)

    def add_document(self, document: TokenizedDocument) -> None:
        """Count a document, once for all of its parts."""
        if document.continues:
            return
        self.documents += 1
        self._source(document.source)["documents"] += 1

    def add_sequence(self, sequence: ChunkedSequence) -> None:
        """Count a sequence that is kept."""
        tokens = len(sequence.token_ids)
        self.sequences += 1
        self.tokens += tokens
        self._longest_sequence = max(self._longest_sequence, tokens)
        self._trained_tokens += int(np.count_nonzero(sequence.weights[1:]))
        self._largest_token_id = max(self._largest_token_id, int(sequence.token_ids.max(initial=-1)))
        source = self._source(sequence.source)
        source["sequences"] += 1
        source["tokens"] += tokens

    def add_dropped_sequence(self) -> None:
        """Count a sequence that is left out."""
        self._dropped_sequences += 1

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON, for a manifest."""
        counts = {
            "documents": self.documents,
            "sequences": self.sequences,
            "tokens": self.tokens,
            "trained_tokens": self._trained_tokens,
            "longest_sequence": self._longest_sequence,
            "largest_token_id": self._largest_token_id,
            "dropped_sequences": self._dropped_sequences,
            "bad_rows": self.bad_rows,
            "bad_cells": self._bad_cells,
        }
        notices = {
            kind: {"rows": notice.rows, "first": [asdict(row) for row in notice.first]}
            for kind, notice in sorted(self._notices.items())
        }
        return {
            "counts": counts,
            "first_bad_rows": [asdict(row) for row in self.first_bad_rows],
            "first_bad_cells": [asdict(cell) for cell in self._first_bad_cells],
            "unreadable_files": [asdict(file) for file in self.unreadable_files],
            "notices": notices,
            "sources": dict(sorted(self._sources.items())),
        }

    def _source(self, name: str) -> dict[str, int]:
        return self._sources.setdefault(name, {"documents": 0, "sequences": 0, "tokens": 0})
