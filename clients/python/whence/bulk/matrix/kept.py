"""What is done of a matrix: its blocks, in a journal, and the queries and sequences that were refused."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from whence._plain import from_plain
from whence.bulk.journal import Journal
from whence.bulk.matrix.blocks import Grid, ScoredBlock
from whence.bulk.matrix.sides import Field
from whence.certificates import NONE
from whence.errors import MismatchError
from whence.reasons import Reason
from whence.results import AnswerWarning, Provenance


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The reason and the message of a refusal by the server."""

    reason: str
    message: str


class Kept:
    """The state of a run, which is that of its journal: blocks that are done, refusals, the provenance of all scores.

    Its ``grid`` is that of the journal, or the given one where that has no block. The threads that ask for blocks share
    this state, under a lock.
    """

    def __init__(self, journal: Journal, grid: Grid) -> None:
        self.journal = journal
        self.grid = grid
        self._lock = threading.Lock()
        self._provenance: dict[str, Any] | None = None
        self._refused: dict[tuple[Field, int], Refused] = {}
        self._blocks: set[int] = set()
        for line in journal.lines():
            if "grid" in line:
                self.grid = from_plain(Grid, line["grid"])
            elif "provenance" in line:
                self._provenance = line["provenance"]
            elif "refused" in line:
                refused = Refused(reason=line["reason"], message=line["message"])
                self._refused[line["refused"], line["place"]] = refused
            elif "block" in line:
                self._blocks.add(line["block"])
        self._scores = sum(map(self.grid.scores, self._blocks))

    @property
    def scores(self) -> int:
        """The number of scores that are done, those of what was refused included."""
        with self._lock:
            return self._scores

    @property
    def done(self) -> frozenset[int]:
        """The numbers of the blocks that are done."""
        with self._lock:
            return frozenset(self._blocks)

    @property
    def refused(self) -> Mapping[tuple[Field, int], Refused]:
        """The queries and sequences that the server refused, by side and place."""
        with self._lock:
            return dict(self._refused)

    @property
    def has_scores(self) -> bool:
        """Whether a block has scores: not all of it was refused."""
        return self._provenance is not None

    @property
    def provenance(self) -> Provenance:
        """The provenance of all scores."""
        return from_plain(Provenance, self.plain_provenance)

    @property
    def plain_provenance(self) -> dict[str, Any]:
        """The provenance as plain data."""
        assert self._provenance is not None, "a matrix has a block with scores"
        return self._provenance

    def refuse(self, field: Field, place: int, refused: Refused) -> None:
        """Keep a refusal, once."""
        with self._lock:
            if (field, place) not in self._refused:
                self._refused[field, place] = refused
                self.journal.write({"refused": field, "place": place, **dataclasses.asdict(refused)})

    def add(self, block: ScoredBlock, provenance: Provenance | None) -> None:
        """Keep a block and what its scores were computed with, None where it has none.

        Raises :class:`~whence.errors.MismatchError` (``JOB_MISMATCH``) where that differs from the blocks before.
        """
        with self._lock:
            if not self._blocks:
                self.journal.write({"grid": dataclasses.asdict(self.grid)})
            if provenance is not None:
                self._agree(provenance)
            self.journal.write(dataclasses.asdict(block))
            self._blocks.add(block.block)
            self._scores += self.grid.scores(block.block)

    def blocks(self) -> Iterator[ScoredBlock]:
        """Yield the blocks that are done, in the order in which they were."""
        for line in self.journal.lines():
            if "block" in line:
                warnings = [AnswerWarning(**warning) for warning in line["warnings"]]
                yield ScoredBlock(**{**line, "warnings": warnings})

    def _agree(self, provenance: Provenance) -> None:
        # A certificate may be added to a model, which changes no score.
        served = dataclasses.asdict(dataclasses.replace(provenance, certificate=NONE))
        if self._provenance is None:
            self._provenance = json.loads(json.dumps(dataclasses.asdict(provenance)))
            self.journal.write({"provenance": self._provenance})
            return
        before = dataclasses.asdict(dataclasses.replace(self.provenance, certificate=NONE))
        changed = [name for name, value in before.items() if served[name] != value]
        if changed:
            what = ", ".join(f"{name} was {before[name]!r} and is {served[name]!r}" for name in changed)
            raise MismatchError(
                f"what is served changed since {self.journal.path} was begun ({what}), and a matrix is of one model: "
                "serve what was served, or remove the journal to begin anew",
                reason=Reason.JOB_MISMATCH,
                journal=self.journal.path,
            )
