"""Rankings of documents by method and query, best first: what removals remove the beginnings of.

A file has a JSON object a line, ``{"query": ID, "method": NAME, "documents": [ID, …]}``. An answer of
``client.attribute`` as JSON is taken too: it has ``query_id`` and, under ``positive``, hits with a ``document_id``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.contract import Float64Array
from whence_backends.validation.methods import EKFAC

# Ids of documents, best first, by method and query.
Rankings = Mapping[tuple[str, str], Sequence[str]]
_LINE: Final = '{"query": ID, "method": NAME, "documents": [ID, …]}'


def read_rankings(path: Path) -> Rankings:
    """Return the rankings of a file. Of a document that is named several times, the first place counts.

    Raises :class:`~whence.errors.InvalidRequestError` for a line of another form and for two rankings of a query by
    one method.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise invalid(f"{path} cannot be read ({error})", "rankings") from error
    rankings: dict[tuple[str, str], Sequence[str]] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            method, query, documents = _parsed(line, f"{path}:{number}")
            if (method, query) in rankings:
                raise invalid(f"{path}:{number} ranks for the query {query!r} by {method} a second time", "rankings")
            rankings[method, query] = documents
    if not rankings:
        raise invalid(f"{path} has no ranking; expected {_LINE} a line", "rankings")
    return rankings


def ranked_documents(scores: Float64Array, documents: Sequence[str]) -> list[str]:
    """Return the documents of sequences by the sum of their scores, float64 [N], best first; ties as in the corpus."""
    names = list(dict.fromkeys(documents))
    place = {name: number for number, name in enumerate(names)}
    sums = np.bincount([place[name] for name in documents], weights=scores, minlength=len(names))
    return [names[number] for number in np.argsort(-sums, kind="stable")]


def invalid(message: str, field: str) -> InvalidRequestError:
    """Return the error of removals that cannot be planned."""
    return InvalidRequestError(message, reason=Reason.INVALID_REMOVALS, field=field)


def _parsed(line: str, place: str) -> tuple[str, str, list[str]]:  # method, query, documents
    try:
        row: Any = json.loads(line)
        query = str(row["query"] if "query" in row else row["query_id"])
        documents = row["documents"] if "documents" in row else [hit["document_id"] for hit in row["positive"]]
        return str(row.get("method", EKFAC)), query, _texts(documents)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise invalid(f"{place} is no ranking ({error!r}); expected {_LINE}", "rankings") from error


def _texts(documents: Any) -> list[str]:  # noqa: ANN401 - any JSON value
    if not isinstance(documents, list) or not all(isinstance(document, str) for document in documents):
        raise TypeError("documents are a list of ids")
    return list(dict.fromkeys(documents))
