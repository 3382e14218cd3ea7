"""The queries of a validation: a JSONL file of outputs, tokenized as the worker tokenizes them.

A line has ``prompt`` and ``completion``, or ``messages`` that end with the assistant's; ``id`` is optional.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whence.errors import InvalidRequestError
from whence.queries import Query
from whence.reasons import Reason
from whence_backends.contract import TokenSequence
from whence_backends.corpus import Corpus
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.worker.requests.tokenization import QueryLimits, QueryTokenizer


@dataclass(frozen=True, kw_only=True)
class ValidationQuery:
    """A query, its id, and its words, for lexical methods."""

    id: str
    query: Query
    text: str


def read_queries(path: Path) -> list[ValidationQuery]:
    """Return the queries of a JSONL file. A line without an id has its number for one.

    Raises :class:`~whence.errors.InvalidRequestError` for a line that is no query, for ids that occur twice, and for a
    file without a query.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(f"{path} cannot be read ({error})") from error
    queries = [_parse(line, f"{path}:{number}", number) for number, line in enumerate(lines, 1) if line.strip()]
    ids = [query.id for query in queries]
    if twice := next((name for name in ids if ids.count(name) > 1), None):
        raise _invalid(f"{path} has the id {twice!r} twice; give each query its own")
    if not queries:
        raise _invalid(f'{path} has no query; write one JSON object a line, {{"prompt": …, "completion": …}}')
    return queries


def tokenize(
    queries: Sequence[ValidationQuery], tokenizer: Tokenizer, corpus: Corpus, *, max_tokens: int, vocabulary_size: int
) -> list[TokenSequence]:
    """Return the tokens of queries, as a worker with this corpus takes them. Raises the errors of a request."""
    limits = QueryLimits(max_tokens=max_tokens, vocabulary_size=vocabulary_size)
    worker = QueryTokenizer(tokenizer, limits, prefix_bos=corpus.policy.bos or tokenizer.adds_bos, chat=corpus.chat)
    return [worker.tokenize(query.query.to_proto(), f"queries[{query.id}]").tokens for query in queries]


def _parse(line: str, place: str, number: int) -> ValidationQuery:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise _invalid(f"{place} is not JSON ({error})") from error
    name = str(row.get("id", number)) if isinstance(row, dict) else ""
    if isinstance(row, dict) and isinstance(row.get("completion"), str) and isinstance(row.get("prompt", ""), str):
        prompt = row.get("prompt", "")
        query = Query.text(prompt, row["completion"], query_id=name)
        return ValidationQuery(id=name, query=query, text=prompt + row["completion"])
    if isinstance(row, dict) and isinstance(row.get("messages"), list):
        query = Query.chat(row["messages"], query_id=name)
        words = [str(message.get("content") or "") for message in row["messages"] if isinstance(message, dict)]
        return ValidationQuery(id=name, query=query, text="\n".join(words))
    raise _invalid(f'{place} is no query; expected {{"prompt": "…", "completion": "…"}} or {{"messages": […]}}')


def _invalid(message: str) -> InvalidRequestError:
    return InvalidRequestError(message, reason=Reason.INVALID_QUERIES, field="queries")
