"""Documents, made from rows: the roles of columns, and the conditions under which a row is bad."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

import numpy as np

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.corpus.chats import ChatRows, ChatText, columns_beside, without_nulls
from whence_backends.corpus.chunking import TokenizedDocument
from whence_backends.corpus.ingestion.rows import BadCell, LongText, Row
from whence_backends.corpus.metadata import clean, metadata_of
from whence_backends.corpus.windows import EncodedText, encode_long, encode_pieces
from whence_backends.models.text.conversation import ConversationError
from whence_backends.models.text.tokenizer import Encoding, Offset, Tokenizer, completion_start, overlapping

IdScope = Literal["corpus", "source"]
ID_SCOPES: Final = ("corpus", "source")
LONG_CHARACTERS: Final = 1 << 20  # longer texts are encoded window by window
_COLUMNS_SHOWN: Final = 20


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The roles of the input's columns. All other columns are kept as metadata.

    A row is a text, a prompt with the completion that was trained on (``prompt_field`` and ``completion_field``), or a
    conversation (``messages_field``). Prompt and completion may also be lists of messages. Ids are unique within the
    corpus or, with the ``id_scope`` ``source``, within each source, which then prefixes them.
    """

    text_field: str = "text"
    id_field: str = "id"
    source_field: str = "source"
    prompt_field: str | None = None
    completion_field: str | None = None
    messages_field: str | None = None
    id_scope: IdScope = "corpus"

    def __post_init__(self) -> None:
        if (self.prompt_field is None) != (self.completion_field is None):
            raise InvalidRequestError(
                "prompt_field and completion_field belong together; give both or neither",
                reason=Reason.INVALID_CORPUS_COLUMNS,
                field="prompt_field",
            )
        if self.prompt_field is not None and self.messages_field is not None:
            raise InvalidRequestError(
                "rows are either prompt and completion or messages; give only one of the two",
                reason=Reason.INVALID_CORPUS_COLUMNS,
                field="messages_field",
            )
        if self.id_scope not in ID_SCOPES:
            raise InvalidRequestError(
                f"id_scope is {self.id_scope!r}; expected {' or '.join(map(repr, ID_SCOPES))}",
                reason=Reason.UNKNOWN_ID_SCOPE,
                field="id_scope",
            )

    @property
    def consumed(self) -> frozenset[str]:
        """The columns that are not metadata."""
        if self.messages_field is not None:
            content: tuple[str | None, ...] = (self.messages_field,)
        elif self.prompt_field is not None:
            content = (self.prompt_field, self.completion_field)
        else:
            content = (self.text_field,)
        return frozenset(name for name in (self.id_field, self.source_field, *content) if name)

    def to_json(self) -> dict[str, str | None]:
        """Return the columns as JSON, for a manifest."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document. Its first ``prompt_characters`` are context, which the model was not trained on.

    In a conversation exactly the characters in ``spans`` were trained on; ``notices`` are remarks on it. ``bad_cells``
    maps columns that lost something in the conversion to metadata to the reason.
    """

    row: Row
    document_id: str
    source: str
    text: str | LongText
    metadata: Mapping[str, Any]
    bad_cells: Mapping[str, str] = field(default_factory=dict)
    prompt_characters: int = 0
    templated: bool = False
    spans: tuple[Offset, ...] | None = None
    notices: Mapping[str, str] = field(default_factory=dict)


class BadRowError(ValueError):
    """A row that cannot become a document. The message completes a sentence such as "line 3 has no text"."""


def document_from_row(row: Row, columns: Columns, chats: ChatRows) -> Document:
    """Return the document of a row. Raises :class:`BadRowError` for a bad row."""
    if row.columns is None:
        raise BadRowError(row.problem)
    if row.file.format == "text":
        columns = Columns()  # the row of a plain text file has the default columns
    chat = _conversation(row, columns, chats)
    consumed = columns.consumed if chat is None else columns.consumed.union(columns_beside(_messages(row, columns)))
    metadata = metadata_of(row.columns, consumed)
    source = _source(row, columns.source_field)
    prompt, text = _content(row.columns, columns) if chat is None else ("", chat.text)
    return Document(
        row=row,
        document_id=_document_id(row, columns, source),
        source=source,
        text=prompt + text if isinstance(text, str) else text,
        metadata=metadata.values,
        bad_cells=metadata.problems,
        prompt_characters=len(prompt),
        templated=chat is not None,
        spans=None if chat is None else chat.spans,
        notices={} if chat is None else chat.notices,
    )


def tokenize(documents: Sequence[Document], tokenizer: Tokenizer) -> Iterator[TokenizedDocument]:
    """Tokenize documents on all cores. A token that crosses the end of a prompt counts as trained on.

    A :class:`LongText` yields several consecutive parts.
    """
    texts = [document.text for document in documents if isinstance(document.text, str)]
    encodings = iter(tokenizer.encode_batch([text for text in texts if len(text) <= LONG_CHARACTERS]))
    for document in documents:
        text = document.text
        if isinstance(text, LongText):
            yield from _parts(document, text, tokenizer)
        elif len(text) <= LONG_CHARACTERS:
            yield _tokenized(document, text, next(encodings))
        else:
            yield _tokenized(document, text, encode_long(text, tokenizer))


def _parts(document: Document, text: LongText, tokenizer: Tokenizer) -> Iterator[TokenizedDocument]:
    """Yield a long text in parts, holding two of them, so that each part knows whether others precede and follow."""
    continues = False
    for piece, is_last in _with_last(encode_pieces((piece for piece, _ in text.pieces()), tokenizer)):
        yield replace(_tokenized(document, piece.text, piece), continues=continues, continued=not is_last)
        continues = True


def _with_last(pieces: Iterable[EncodedText]) -> Iterator[tuple[EncodedText, bool]]:
    """Yield each piece with whether it is the last."""
    held: EncodedText | None = None
    for piece in pieces:
        if held is not None:
            yield held, False
        held = piece
    if held is not None:
        yield held, True


def _tokenized(document: Document, text: str, encoding: Encoding | EncodedText) -> TokenizedDocument:
    weights = np.ones(len(encoding.ids), np.float32)
    if document.spans is not None:
        weights = overlapping(encoding.offsets, document.spans).astype(np.float32)
    elif document.prompt_characters:
        weights[: completion_start(encoding.offsets, document.prompt_characters)] = 0.0
    return TokenizedDocument(
        document_id=document.document_id,
        source=document.source,
        text=text,
        metadata=document.metadata,
        token_ids=np.array(encoding.ids, np.int32),
        offsets=np.array(encoding.offsets, np.int32).reshape(-1, 2),
        weights=weights,
        templated=document.templated,
    )


def _content(values: Mapping[str, Any], columns: Columns) -> tuple[str, str | LongText]:
    """Return the row's prompt and the text that was trained on."""
    whole = values.get(columns.text_field)
    if isinstance(whole, LongText):  # only from a plain text file
        return "", whole
    if columns.prompt_field is not None and columns.completion_field is not None:
        prompt = _text(values, columns.prompt_field, may_be_empty=True)
        return prompt, _text(values, columns.completion_field)
    return "", _text(values, columns.text_field)


def _text(values: Mapping[str, Any], name: str, *, may_be_empty: bool = False) -> str:
    if name not in values:
        chat = next((column for column in ("messages", "conversations") if isinstance(values.get(column), list)), "")
        hint = f"; --messages-field {chat} reads conversations" if chat else ""
        raise BadRowError(f"has no column {name!r} (it has {_listed(values)}){hint}")
    value = values[name]
    if isinstance(value, BadCell):
        raise BadRowError(f"has a {name!r} that {value.problem}")
    if isinstance(value, bytes):
        value = _decoded(value, name)
    if not isinstance(value, str):
        raise BadRowError(f"has a {type(value).__name__} as {name!r}; expected text")
    if not may_be_empty and not value.strip():
        raise BadRowError(f"has an empty {name!r}")
    if clean(value) != value:
        raise BadRowError(f"has {_unencodable(value)} in {name!r}, which is not text")
    return value


def _unencodable(value: str) -> str:
    """Describe why a text cannot be encoded in UTF-8: undecodable bytes, or a lone surrogate from a JSON escape."""
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "half a surrogate pair"
    return "bytes that are not UTF-8"


def _decoded(value: bytes, name: str) -> str:
    """Decode text from a binary column of a table."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRowError(f"has bytes that are not UTF-8 in {name!r}") from None


def _listed(values: Mapping[str, Any]) -> str:
    names = [clean(name) for name in list(values)[:_COLUMNS_SHOWN]]
    more = [f"and {len(values) - len(names)} more"] if len(values) > len(names) else []
    return ", ".join(names + more) or "none"


def _conversation(row: Row, columns: Columns, chats: ChatRows) -> ChatText | None:
    """Return the row's rendered conversation, or ``None`` if the row is not a conversation."""
    values = row.columns or {}
    if row.file.format in ("parquet", "arrow"):
        values = {name: without_nulls(value) for name, value in values.items()}
    try:
        if columns.messages_field is not None:
            return chats.of_messages(values, columns.messages_field)
        if columns.prompt_field is not None and columns.completion_field is not None:
            return chats.of_prompt_and_completion(values, columns.prompt_field, columns.completion_field)
    except ConversationError as error:
        raise BadRowError(str(error)) from error
    return None


def _messages(row: Row, columns: Columns) -> Any:  # noqa: ANN401
    return (row.columns or {}).get(columns.messages_field or columns.prompt_field or "")


def _document_id(row: Row, columns: Columns, source: str) -> str:
    """Return the row's id, or file and line for a row without one."""
    value = _plain((row.columns or {}).get(columns.id_field), columns.id_field)
    if value is None or value == "":
        return f"{row.file.name}:{row.line}"
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRowError(f"has a {type(value).__name__} as {columns.id_field!r}; expected text or a whole number")
    return clean(f"{source}/{value}" if columns.id_scope == "source" and row.file.format != "text" else str(value))


def _source(row: Row, source_field: str) -> str:
    value = _plain((row.columns or {}).get(source_field), source_field)
    return row.file.source if value is None or value == "" else clean(str(value))


def _plain(value: Any, name: str) -> Any:  # noqa: ANN401 - whatever a table can hold
    """Return an id or a source as text or an integer, converting integral floats (1.0, in columns with nulls)."""
    if isinstance(value, BadCell):
        raise BadRowError(f"has a {name!r} that {value.problem}")
    if isinstance(value, bytes):
        return _decoded(value, name)
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, float | Decimal) and value == value // 1:
        return int(value)
    return str(value) if isinstance(value, UUID) else value
