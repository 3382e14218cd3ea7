"""The queries and canaries of the checks, read from files and tokenized as a worker tokenizes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.corpus import Corpus
from whence_backends.models.facts import model_facts
from whence_backends.models.source import resolve_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.validation.checks.config import Canary, CheckConfig, CheckQuery
from whence_backends.validation.queries import ValidationQuery, read_queries, tokenize

# Where the model says nothing of them; the engine refuses what is too long or unknown once it is loaded.
_UNBOUNDED: Final = 2**31 - 1


class Questions:
    """Reads files for the model and the corpus of a configuration."""

    def __init__(self, config: CheckConfig) -> None:
        source = resolve_model(config.model)
        self._tokenizer = Tokenizer.load(source)
        self._facts = model_facts(source, self._tokenizer)
        self._corpus = Corpus.open(config.corpus, verify=False)

    def queries(self, path: Path) -> list[CheckQuery]:
        """Return the queries of a file, or raise what :func:`~whence_backends.validation.queries.read_queries` does."""
        return self._tokenized(read_queries(path))

    def canaries(self, path: Path) -> list[Canary]:
        """Return the canaries of a file: queries that have ``documents`` beside their own fields.

        Raises the errors of :meth:`queries`, and :class:`~whence.errors.InvalidRequestError` (``INVALID_QUERIES``) for
        a row without documents.
        """
        queries = read_queries(path)
        return [
            Canary(query=tokenized, documents=_documents(query.columns.get("documents"), path, query.id))
            for query, tokenized in zip(queries, self._tokenized(queries), strict=True)
        ]

    def _tokenized(self, queries: Sequence[ValidationQuery]) -> list[CheckQuery]:
        tokens = tokenize(
            queries,
            self._tokenizer,
            self._corpus,
            max_tokens=self._facts.max_tokens or _UNBOUNDED,
            vocabulary_size=self._facts.vocabulary_size or _UNBOUNDED,
        )
        return [
            CheckQuery(id=query.id, tokens=sequence, text=query.text(self._tokenizer))
            for query, sequence in zip(queries, tokens, strict=True)
        ]


def _documents(given: object, path: Path, name: str) -> tuple[str, ...]:
    """Return the ids of a canary's documents: a list or, as CSV files have it, its JSON."""
    documents = given
    if isinstance(given, str):
        with suppress(ValueError):
            documents = json.loads(given)
    if not isinstance(documents, list) or not documents or not all(isinstance(item, str) for item in documents):
        raise InvalidRequestError(
            f'the canary {name!r} of {path} names no documents; expected {{"prompt": …, "completion": …, "documents": '
            '["id", …]}, with the ids that must be on top',
            reason=Reason.INVALID_QUERIES,
            field="canaries",
        )
    return tuple(documents)
