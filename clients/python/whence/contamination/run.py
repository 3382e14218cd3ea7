"""A run over the items of a benchmark: evidence is gathered, set against clean items, tabled and reported."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Unpack

from whence.bulk import BulkReport, RunOptions
from whence.bulk.entries import Entries
from whence.bulk.journaled import Asking, ask_all, refusals_of, run_journal, settings_of
from whence.bulk.options import DEFAULTS
from whence.bulk.tables import OwnColumns, check_table, write_table
from whence.client import Client
from whence.contamination.evidence import HITS, Evidence, Gathering, provenance
from whence.contamination.items import open_items
from whence.contamination.reports import ContaminationReport, Tally
from whence.contamination.rows import TABLE, evidence_row, with_tails
from whence.contamination.scores import Scores
from whence.errors import InvalidRequestError
from whence.options import BatchOptions
from whence.reasons import Reason

DEFAULT_LEVEL: Final = 0.05


def contamination_file(
    client: Client,
    queries: Path,
    out: Path,
    run: RunOptions = DEFAULTS,
    *,
    clean: Path | None = None,
    clean_column: str = "clean",
    ngram: int | None = None,
    level: float = DEFAULT_LEVEL,
    **options: Unpack[BatchOptions],
) -> ContaminationReport:
    """Look for the items of ``queries``, prompts with their gold answers, in the training text; table them at ``out``.

    For each item there is the training text that shares the most n-grams of ``ngram`` tokens (None: 8) with it, and the
    influences on its gold answer. Its scores set these against the items that are known to be clean: those of the file
    ``clean``, and those whose ``clean_column`` is true. Without any there are no scores. The report counts those of at
    most ``level``. Files, going on after an interruption and the other arguments are those of
    :func:`whence.bulk.attribute_file`.

    Raises :class:`~whence.errors.ForbiddenError` (``MISSING_SCOPE``) for callers who may not read training texts,
    ``InvalidRequestError`` (``INVALID_LEVEL``), and what ``attribute_file`` raises.
    """
    check_table(out, overwrite=run.overwrite)
    _check_level(level)
    asked: BatchOptions = {**options, "top_k": HITS, "direction": "positive"}
    source = open_items(queries, clean, clean_column, strict=run.strict)
    began, settings = time.monotonic(), {**settings_of(source, run, asked), "ngram": ngram}
    gathering = Gathering(client=client, ngram=ngram, run=run, options=asked)
    asking = Asking[Evidence](
        ask=gathering.gather, rows=lambda row, evidence: [evidence_row(row, evidence)], provenance=provenance
    )
    with run_journal(out, source, settings, "items") as kept:
        resumed = ask_all(source, kept, run, asking)
        return _finish(kept, out, {**settings, "level": level}, resumed, began)


def _finish(kept: Entries, out: Path, settings: dict[str, Any], resumed: int, began: float) -> ContaminationReport:
    """Score what was gathered, write the table and return the report."""
    scores, own = Scores(_rows(kept)), OwnColumns(TABLE)
    tally = Tally(scores, settings["level"])
    for row in _rows(kept):
        own.see([row])
        tally.see(with_tails(row, scores.of(row)))
    provenances = kept.provenances()
    about = {"provenance": provenances, "settings": settings, "clean_items": scores.clean}
    write_table(out, lambda: (with_tails(row, scores.of(row)) for row in _rows(kept)), own, about, TABLE)
    refused, refusals = refusals_of(kept)
    run = BulkReport(
        table=out,
        queries=kept.answered,
        hits=0,
        refused=refused,
        resumed=resumed,
        seconds=time.monotonic() - began,
        provenances=len(provenances),
        refusals=refusals,
    )
    return tally.report(run, provenances[0]["provenance"] if provenances else {})


def _rows(kept: Entries) -> Iterator[dict[str, Any]]:
    return (row for entry in kept.entries() for row in entry.rows)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InvalidRequestError(
            f"level is {level:g}; expected a share above 0 and below 1, such as {DEFAULT_LEVEL:g}",
            reason=Reason.INVALID_LEVEL,
            field="level",
        )
