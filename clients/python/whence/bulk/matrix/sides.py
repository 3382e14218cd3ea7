"""The two sides of a matrix, read from files: its queries and its sequences."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, TypeVar

from whence.bulk.files import Row, invalid_row, read_rows
from whence.bulk.rows import query_rows
from whence.errors import InvalidRequestError, WhenceError
from whence.examples import TrainingExample
from whence.queries import Query
from whence.reasons import Reason

Field = Literal["queries", "sequences"]
Asked = TypeVar("Asked")


@dataclass(frozen=True, kw_only=True)
class SequenceChoice:
    """A training sequence by its id, a text, or a training example. Its ``repr`` is digested, and has no example."""

    sequence_id: str = ""
    text: str = ""
    example: TrainingExample | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Item(Generic[Asked]):
    """A query or a sequence: the row of its file, its name in the table, and what is asked or why that cannot be."""

    row: int
    name: str
    asked: Asked | None
    error: WhenceError | None = None


@dataclass(frozen=True, kw_only=True)
class Side(Generic[Asked]):
    """All queries or all sequences, those that cannot be asked included. ``digest`` is of what the file says."""

    field: Field
    file: str
    items: Sequence[Item[Asked]]
    digest: str

    @property
    def errors(self) -> int:
        """The number of items that cannot be asked."""
        return sum(item.error is not None for item in self.items)

    def asked(self, places: Iterable[int]) -> list[Asked]:
        """Return the queries or sequences at these places, without those that cannot be asked."""
        return [asked for place in places if (asked := self.items[place].asked) is not None]

    def check(self, *, strict: bool) -> None:
        """Raise the first error of an item where nothing else is left or ``strict`` is given, and for no item."""
        if not self.items:
            raise InvalidRequestError(
                f"{self.file} has no {'query' if self.field == 'queries' else 'sequence'}",
                reason=Reason.INVALID_QUERIES,
                field=self.field,
            )
        errors = [item.error for item in self.items if item.error is not None]
        if errors and (strict or len(errors) == len(self.items)):
            raise errors[0]


def read_queries(path: Path, *, strict: bool) -> Side[Query]:
    """Return the queries of a file. ``strict`` refuses conversations that the chat template shows only in part."""
    rows = list(query_rows(read_rows(path), strict=strict))
    items = [Item(row=row.number, name=row.query_id, asked=row.query, error=row.error) for row in rows]
    return Side(field="queries", file=str(path), items=items, digest=_digest(row.digest for row in rows))


def read_sequences(path: Path) -> Side[SequenceChoice]:
    """Return the sequences of a file, each once: those with ``sequence_id``, then those with ``text`` alone.

    A table of hits has both columns, and is read by its ids.
    """
    chosen: dict[object, Item[SequenceChoice]] = {}
    for row in read_rows(path):
        item = _item(path, row)
        if item is not None:
            chosen.setdefault(item.asked or f"row {row.number}", item)
    items = sorted(chosen.values(), key=lambda item: item.asked is not None and not item.asked.sequence_id)
    named = list(_named(items))
    said = (f"{item.asked or item.error}" for item in named)
    return Side(field="sequences", file=str(path), items=named, digest=_digest(said))


def _item(path: Path, row: Row) -> Item[SequenceChoice] | None:
    if row.error is not None:
        return Item(row=row.number, name=f"row {row.number}", asked=None, error=row.error)
    name, text = row.fields.get("sequence_id"), row.fields.get("text")
    if isinstance(name, str) and name:
        return Item(row=row.number, name=name, asked=SequenceChoice(sequence_id=name))
    if isinstance(text, str) and text:
        return Item(row=row.number, name="", asked=SequenceChoice(text=text))
    if "sequence_id" in row.fields and "row" in row.fields:
        return None  # a table's row of a query without hits
    error = invalid_row(row.number, f"of {path} has neither sequence_id nor text", field="sequences")
    return Item(row=row.number, name=f"row {row.number}", asked=None, error=error)


def _named(items: Iterable[Item[SequenceChoice]]) -> Iterator[Item[SequenceChoice]]:
    """Yield the items, those of texts with the names of :attr:`whence.results.ScoreTable.sequence_names`."""
    texts = 0
    for item in items:
        texts += not item.name
        yield item if item.name else Item(row=item.row, name=f"text {texts}", asked=item.asked)


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode(errors="surrogatepass"))
    return digest.hexdigest()[:16]
