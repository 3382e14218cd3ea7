"""The queries of a validation: files of outputs, as :mod:`whence.bulk` reads them, tokenized as the worker does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from whence.bulk.files import read_rows
from whence.bulk.rows import QueryRow, query_rows
from whence.conversations import ChatInput
from whence.errors import InvalidRequestError
from whence.queries import Query, TextInput, TokenInput
from whence.reasons import Reason
from whence_backends.contract import TokenSequence
from whence_backends.corpus import Corpus
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.worker.requests.tokenization import QueryLimits, QueryTokenizer

_JSON_LINES: Final = (".jsonl", ".ndjson")


@dataclass(frozen=True, kw_only=True)
class ValidationQuery:
    """A query, its id, and the other columns of its row."""

    id: str
    query: Query
    columns: Mapping[str, Any]

    def text(self, tokenizer: Tokenizer) -> str:
        """Return its words, for lexical methods: of prompt and output, of all messages, or of its tokens."""
        match self.query.input:
            case TextInput(prompt=prompt, completion=completion):
                return prompt + completion
            case ChatInput(messages=messages):
                return "\n".join(message.content for message in messages)
            case TokenInput(ids=ids):
                return tokenizer.decode(ids)


def read_queries(path: Path) -> list[ValidationQuery]:
    """Return the queries of a file (docs/many.md says which there are). A row without an id has its number for one.

    Raises :class:`~whence.errors.InvalidRequestError` for a row that is no query, for ids that occur twice, and for a
    file that cannot be read or has no query.
    """
    queries = [_query(path, row) for row in query_rows(read_rows(path))]
    names = Counter(query.id for query in queries)
    if twice := next((name for name, times in names.items() if times > 1), None):
        raise _invalid(f"{path} has the id {twice!r} twice; give each query its own")
    if not queries:
        raise _invalid(f"{path} has no query; a row is one, with prompt and completion, messages, or token_ids")
    return queries


def json_lines(path: Path) -> bytes:
    """Return the queries of a file as JSON Lines: those of a file of this format as they are, others row by row.

    Raises what :func:`read_queries` raises.
    """
    queries = read_queries(path)
    if path.suffix.lower() in _JSON_LINES:
        return path.read_bytes()
    return "".join(f"{json.dumps(query.query.to_dict())}\n" for query in queries).encode()


def tokenize(
    queries: Sequence[ValidationQuery], tokenizer: Tokenizer, corpus: Corpus, *, max_tokens: int, vocabulary_size: int
) -> list[TokenSequence]:
    """Return the tokens of queries, as a worker with this corpus takes them. Raises the errors of a request."""
    limits = QueryLimits(max_tokens=max_tokens, vocabulary_size=vocabulary_size)
    worker = QueryTokenizer(tokenizer, limits, prefix_bos=corpus.policy.bos or tokenizer.adds_bos, chat=corpus.chat)
    return [worker.tokenize(query.query.to_proto(), f"queries[{query.id}]").tokens for query in queries]


def _query(path: Path, row: QueryRow) -> ValidationQuery:
    if row.query is None:
        assert row.error is not None
        field = row.error.field if isinstance(row.error, InvalidRequestError) else ""
        raise InvalidRequestError(
            f"{path}: {row.error.message}", reason=row.error.reason, field=field, row=row.number
        ) from row.error
    return ValidationQuery(id=row.query_id, query=row.query, columns=row.columns)


def _invalid(message: str) -> InvalidRequestError:
    return InvalidRequestError(message, reason=Reason.INVALID_QUERIES, field="queries")
