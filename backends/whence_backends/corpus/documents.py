"""Documents, made from rows: which column is what, and what makes a row a bad one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from whence.errors import InvalidRequestError
from whence_backends.corpus.chunking import TokenizedDocument
from whence_backends.corpus.rows import Row
from whence_backends.models.tokenizer import Encoding, Tokenizer, completion_start


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column of the input is what; every other column is kept as metadata.

    Rows are texts, or (with ``prompt_field`` and ``completion_field``) a prompt and the completion that was
    trained on, or (with ``messages_field``) a conversation whose last message was trained on.
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
    """A text to learn from. Its first ``prompt_characters`` are context that the model was not trained on."""

    row: Row
    document_id: str
    source: str
    text: str
    metadata: Mapping[str, Any]
    prompt_characters: int = 0
    templated: bool = False


class BadRowError(ValueError):
    """A row that cannot become a document; the message says why, as in "line 3 <why>"."""


def document_from_row(row: Row, columns: Columns, tokenizer: Tokenizer) -> Document:
    """Return the row's document. Raises :class:`BadRowError` where it has none."""
    if row.columns is None:
        raise BadRowError(row.problem)
    if row.file.format == "text":
        columns = Columns()  # a plain text file has no columns to rename
    prompt, rest = _content(row.columns, columns, tokenizer)
    return Document(
        row=row,
        document_id=_document_id(row, columns.id_field),
        source=_source(row, columns.source_field),
        text=prompt + rest,
        metadata={
            _clean(name): _jsonable(value) for name, value in row.columns.items() if name not in columns.consumed
        },
        prompt_characters=len(prompt),
        templated=row.file.format != "text" and columns.messages_field is not None,
    )


def tokenize(documents: Sequence[Document], tokenizer: Tokenizer) -> list[TokenizedDocument]:
    """Return the documents with their tokens, using all cores. A token across the end of a prompt counts."""
    encodings = tokenizer.encode_batch([document.text for document in documents])
    return [_tokenized(document, encoding) for document, encoding in zip(documents, encodings, strict=True)]


def _tokenized(document: Document, encoding: Encoding) -> TokenizedDocument:
    weights = np.ones(len(encoding.ids), np.float32)
    if document.prompt_characters:
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


def _content(values: Mapping[str, Any], columns: Columns, tokenizer: Tokenizer) -> tuple[str, str]:
    """Return the row's context and the text that was trained on."""
    if columns.messages_field is not None:
        return _conversation(values.get(columns.messages_field), columns.messages_field, tokenizer)
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


def _conversation(messages: Any, name: str, tokenizer: Tokenizer) -> tuple[str, str]:  # noqa: ANN401
    if not isinstance(messages, list) or not messages:
        raise BadRowError(f"has no list of messages as {name!r}")
    if not all(isinstance(message, dict) for message in messages):
        raise BadRowError(f"has a message in {name!r} that is not an object with role and content")
    turns = [{key: _text(message, key, may_be_empty=True) for key in ("role", "content")} for message in messages]
    try:
        return tokenizer.render_chat(turns)
    except InvalidRequestError as error:
        raise BadRowError(f"cannot be rendered: {error}") from error


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
