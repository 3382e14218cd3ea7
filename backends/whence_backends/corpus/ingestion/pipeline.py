"""From input files to training sequences: rows → documents → tokens → sequences, as one stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from whence.errors import InvalidRequestError
from whence.reasons import WarningCode
from whence_backends.corpus.chats import ChatRows
from whence_backends.corpus.chunking import (
    ChunkedSequence,
    ChunkPolicy,
    TokenizedDocument,
    chunk,
    frame,
    is_worth_keeping,
)
from whence_backends.corpus.encode import special_tokens
from whence_backends.corpus.ingestion.config import IngestConfig
from whence_backends.corpus.ingestion.documents import BadRowError, Document, document_from_row, tokenize
from whence_backends.corpus.ingestion.formats import read_rows
from whence_backends.corpus.ingestion.report import IngestProgress, Tally
from whence_backends.corpus.ingestion.rows import InputFile, LongText, Row

# Enough text to keep all cores of the tokenizer busy, in little memory.
_BATCH_DOCUMENTS: Final = 512
_BATCH_CHARACTERS: Final = 1 << 20


class Pipeline:
    """One pass over the input. State: the tally, the ids seen, and the reader's progress."""

    def __init__(
        self,
        config: IngestConfig,
        files: Sequence[InputFile],
        progress: Callable[[IngestProgress], None],
    ) -> None:
        self._config = config
        self._specials = special_tokens(config.tokenizer, config.policy)
        self._chats = ChatRows(config.chat, config.tokenizer)
        self._progress = progress
        self.tally = Tally()
        self._seen_ids: set[str] = set()
        self._files = files
        self._reader = _Reader(files, config.max_row_bytes, self._give_up)

    def __repr__(self) -> str:
        return f"<ingest {self._reader.file} {self.tally!r}>"

    def sequences(self) -> Iterator[ChunkedSequence]:
        """Yield the sequences of the corpus, once. A strict run raises at the first bad row."""
        for sequence in chunk(self._tokenized(), self._config.policy):
            if is_worth_keeping(sequence, self._config.policy):
                self.tally.add_sequence(sequence)
                yield sequence
            else:
                self.tally.add_dropped_sequence()
        self._report_progress()

    def _tokenized(self) -> Iterator[TokenizedDocument]:
        for batch in _batches(self._documents()):
            rows = {document.document_id: document.row for document in batch}
            for tokens in tokenize(batch, self._config.tokenizer):
                framed = frame(tokens, **self._specials)
                problem = _lacks_tokens(framed, self._config.policy)
                if problem:
                    self._refuse(rows[framed.document_id], problem)
                else:
                    self.tally.add_document(framed)
                    yield framed
                if framed.continued:
                    self._report_progress()
            self._report_progress()

    def _documents(self) -> Iterator[Document]:
        for row in self._reader.rows():
            try:
                document = document_from_row(row, self._config.columns, self._chats)
            except BadRowError as error:
                self._refuse(row, str(error))
                continue
            if document.document_id in self._seen_ids:
                self.tally.repeated_ids += 1
                self._refuse(row, f"has the id {document.document_id!r} of an earlier row")
                continue
            self._seen_ids.add(document.document_id)
            self.tally.add_bad_cells(document)
            self._notice(document)
            yield document

    def _notice(self, document: Document) -> None:
        """Count the remarks on a document; a strict run raises if something was lost."""
        for kind, what in document.notices.items():
            seen = self.tally.add_notice(document.row, kind, what)
            if self._config.strict and kind == WarningCode.LOST_TURNS:
                raise seen.to_error()

    def _refuse(self, row: Row, reason: str) -> None:
        bad = self.tally.add_bad_row(row, reason)
        if self._config.strict:
            raise bad.to_error()
        self._check_number()

    def _give_up(self, file: InputFile, row: int, rows: int, error: InvalidRequestError) -> None:
        """Count a file of which the rest cannot be read."""
        if self._config.strict:
            raise error
        self.tally.add_unreadable(file, row, rows, str(error.__cause__ or error))
        self._check_number()

    def _check_number(self) -> None:
        """Raise once a limit given as a number is exceeded; a share is checked at the end."""
        if self._config.max_bad_rows.rows is not None:
            self._config.max_bad_rows.check(self.tally, self._files)

    def _report_progress(self) -> None:
        self._progress(
            IngestProgress(
                file=self._reader.file,
                bytes_read=self._reader.bytes_read,
                bytes_total=self._reader.bytes_total,
                documents=self.tally.documents,
                sequences=self.tally.sequences,
                tokens=self.tally.tokens,
                bad_rows=self.tally.bad_rows,
            )
        )


class _Reader:
    """Reads the files one after the other. State: the current file, and the number of bytes read."""

    def __init__(
        self,
        files: Sequence[InputFile],
        max_row_bytes: int,
        give_up: Callable[[InputFile, int, int, InvalidRequestError], None],
    ) -> None:
        self._files = files
        self._max_row_bytes = max_row_bytes
        self._give_up = give_up
        self.file = ""
        self.bytes_read = 0
        self.bytes_total = sum(file.size_bytes for file in files)

    def rows(self) -> Iterator[Row]:
        finished_bytes = 0
        for file in self._files:
            self.file = file.name
            for row in self._rows_of(file):
                self.bytes_read = finished_bytes + int(row.read_fraction * file.size_bytes)
                yield row
            finished_bytes += file.size_bytes
            self.bytes_read = finished_bytes

    def _rows_of(self, file: InputFile) -> Iterator[Row]:
        """Yield the rows of a file up to the first place that cannot be read."""
        line = rows = 0
        try:
            for row in read_rows(file, self._max_row_bytes):
                line, rows = row.line, rows + 1
                yield row
        except InvalidRequestError as error:
            self._give_up(file, line, rows, error)


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += _BATCH_CHARACTERS if isinstance(document.text, LongText) else len(document.text)
        if len(batch) == _BATCH_DOCUMENTS or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _lacks_tokens(document: TokenizedDocument, policy: ChunkPolicy) -> str:
    """Return the reason why a document makes no sequence, or an empty string. A document in parts is long enough."""
    if document.continues or document.continued:
        return ""
    tokens = len(document.token_ids)
    least = (
        policy.min_tokens if policy.boundary == "document" else 1
    )  # packed with other documents, one token is enough
    if tokens < least:
        return f"has {tokens} tokens; a training sequence has at least {least}"
    if policy.boundary == "document" and not document.weights[1:].any():
        return "has no token that the model was trained to predict"
    return ""
