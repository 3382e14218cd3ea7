"""Documents, made from rows: which column is what, and what makes a row a bad one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from whence.errors import InvalidRequestError
from whence_backends.corpus.chats import ChatRows, ChatText, columns_beside, without_nulls
from whence_backends.corpus.chunking import TokenizedDocument
from whence_backends.corpus.rows import Row
from whence_backends.models.conversation import ConversationError
from whence_backends.models.tokenizer import Encoding, Offset, Tokenizer, completion_start, overlapping


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column of the input is what; every other column is kept as metadata.

    Rows are texts, or (with ``prompt_field`` and ``completion_field``) a prompt and the completion that was
    trained on, or (with ``messages_field``) a conversation. Prompt and completion may be lists of messages too.
    """

    text_field: str = "text"
    id_field: str = "id"
    source_field: str = "source"
    prompt_field: str | None = None
    completion_field: str | None = None
    messages_field: str | None = None

    def __post_init__(self) -> None:
        if (self.prompt_field is None) != (self.completion_field is None):
            raise InvalidRequestError(
                "prompt_field and completion_field belong together; give both or neither",
                reason="BAD_CORPUS_COLUMNS",
                field="prompt_field",
            )
        if self.prompt_field is not None and self.messages_field is not None:
            raise InvalidRequestError(
                "rows are either prompt and completion or messages; give only one of the two",
                reason="BAD_CORPUS_COLUMNS",
                field="messages_field",
            )

    @property
    def consumed(self) -> frozenset[str]:
        """The columns that do not become metadata."""
        if self.messages_field is not None:
            content: tuple[str | None, ...] = (self.messages_field,)
        elif self.prompt_field is not None:
            content = (self.prompt_field, self.completion_field)
        else:
            content = (self.text_field,)
        return frozenset(name for name in (self.id_field, self.source_field, *content) if name)

    def to_json(self) -> dict[str, str | None]:
        """Return the columns as they stand in a manifest."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text to learn from. Its first ``prompt_characters`` are context that the model was not trained on.

    Of a conversation the characters in ``spans`` were trained on, and nothing else; ``notices`` are what to say of it.
    """

    row: Row
    document_id: str
    source: str
    text: str
    metadata: Mapping[str, Any]
    prompt_characters: int = 0
    templated: bool = False
    spans: tuple[Offset, ...] | None = None
    notices: Mapping[str, str] = field(default_factory=dict)


class BadRowError(ValueError):
    """A row that cannot become a document; the message says why, as in "line 3 <why>"."""


def document_from_row(row: Row, columns: Columns, chats: ChatRows) -> Document:
    """Return the row's document. Raises :class:`BadRowError` where it has none."""
    if row.columns is None:
        raise BadRowError(row.problem)
    if row.file.format == "text":
        columns = Columns()  # a plain text file has no columns to rename
    chat = _conversation(row, columns, chats)
    prompt, rest = _content(row.columns, columns) if chat is None else ("", chat.text)
    consumed = columns.consumed if chat is None else columns.consumed.union(columns_beside(_messages(row, columns)))
    return Document(
        row=row,
        document_id=_document_id(row, columns.id_field),
        source=_source(row, columns.source_field),
        text=prompt + rest,
        metadata={_clean(name): _jsonable(value) for name, value in row.columns.items() if name not in consumed},
        prompt_characters=len(prompt),
        templated=chat is not None,
        spans=None if chat is None else chat.spans,
        notices={} if chat is None else chat.notices,
    )


def tokenize(documents: Sequence[Document], tokenizer: Tokenizer) -> list[TokenizedDocument]:
    """Return the documents with their tokens, using all cores. A token across the end of a prompt counts."""
    encodings = tokenizer.encode_batch([document.text for document in documents])
    return [_tokenized(document, encoding) for document, encoding in zip(documents, encodings, strict=True)]


def _tokenized(document: Document, encoding: Encoding) -> TokenizedDocument:
    weights = np.ones(len(encoding.ids), np.float32)
    if document.spans is not None:
        weights = overlapping(encoding.offsets, document.spans).astype(np.float32)
    elif document.prompt_characters:
        weights[: completion_start(encoding.offsets, document.prompt_characters)] = 0.0
    return TokenizedDocument(
        document_id=document.document_id,
        source=document.source,
        text=document.text,
        metadata=document.metadata,
        token_ids=np.array(encoding.ids, np.int32),
        offsets=np.array(encoding.offsets, np.int32).reshape(-1, 2),
        weights=weights,
        templated=document.templated,
    )


def _content(values: Mapping[str, Any], columns: Columns) -> tuple[str, str]:
    """Return the row's context and the text that was trained on."""
    if columns.prompt_field is not None and columns.completion_field is not None:
        prompt = _text(values, columns.prompt_field, may_be_empty=True)
        return prompt, _text(values, columns.completion_field)
    return "", _text(values, columns.text_field)


def _text(values: Mapping[str, Any], name: str, *, may_be_empty: bool = False) -> str:
    if name not in values:
        raise BadRowError(f"has no column {name!r} (it has {', '.join(values) or 'none'})")
    value = values[name]
    if not isinstance(value, str):
        raise BadRowError(f"has a {type(value).__name__} as {name!r}; expected text")
    if not may_be_empty and not value.strip():
        raise BadRowError(f"has an empty {name!r}")
    if _clean(value) != value:
        raise BadRowError(f"has half a surrogate pair in {name!r}, which is not text")
    return value


def _conversation(row: Row, columns: Columns, chats: ChatRows) -> ChatText | None:
    """Return the row's conversation, rendered, or ``None``: it is no conversation."""
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


def _document_id(row: Row, id_field: str) -> str:
    value = (row.columns or {}).get(id_field)
    if value is None or value == "":
        return f"{row.file.name}:{row.line}"
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRowError(f"has a {type(value).__name__} as {id_field!r}; expected text or a whole number")
    return _clean(str(value))


def _source(row: Row, source_field: str) -> str:
    value = (row.columns or {}).get(source_field)
    return row.file.source if value is None or value == "" else _clean(str(value))


def _clean(text: str) -> str:
    """Return the text without halves of surrogate pairs, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _jsonable(value: Any) -> Any:  # noqa: ANN401 - whatever a table can hold
    """Return the nearest value that JSON has: no NaN, no bytes, no dates."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return {_clean(str(key)): _jsonable(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [_jsonable(item) for item in value]
    return _clean(str(value))
