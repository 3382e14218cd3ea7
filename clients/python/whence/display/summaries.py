"""Results in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from whence.display.wording import number
from whence.terminal import printable

if TYPE_CHECKING:
    from whence.results import (
        Attribution,
        Explanation,
        GroupInfluences,
        Hit,
        Progress,
        ScoreTable,
        SelfInfluences,
        TextOverlaps,
    )

_TEXT_CHARACTERS: Final = 40


def hit(of: Hit) -> str:
    """Return a hit's rank, id, influence and the beginning of its text."""
    signal = "" if of.signal is None else f", signal {number(of.signal)}"
    return f"<Hit {of.rank}: {_name(of.sequence_id)} {number(of.influence)} nats{signal}, {_begin(of.text)!r}>"


def attribution(of: Attribution) -> str:
    """Return an answer's query, the number of its hits and the first one."""
    label = f" of {_name(of.query_id)}" if of.query_id else ""
    return f"<Attribution{label}: {_counted(of.hits)}, log-likelihood {of.log_likelihood:.3f} nats>"


def attributions(of: Sequence[Attribution]) -> str:
    """Return the number of rankings and of their hits."""
    return f"<Attributions: {len(of)} queries, {sum(len(ranking.hits) for ranking in of)} hits>"


def group_influences(of: GroupInfluences) -> str:
    """Return the number of groups and the first one."""
    first = f", first {_name(of.groups[0].name)} {number(of.groups[0].effect)}" if of.groups else ""
    return f"<GroupInfluences: {len(of)} groups{first}, all {number(of.total.effect)} nats>"


def text_overlaps(of: TextOverlaps) -> str:
    """Return the number of queries, and how many of them are in a training sequence as a whole."""
    whole = sum(overlap.share == 1 for overlap in of)
    return f"<TextOverlaps: {len(of)} queries, {whole} of them in a training sequence as a whole>"


def self_influences(of: SelfInfluences) -> str:
    """Return the number of hits and the first one."""
    return f"<SelfInfluences: {_counted(of.hits)}>"


def scores(of: ScoreTable) -> str:
    """Return the size of the table."""
    return f"<ScoreTable: {len(of.query_ids)} queries by {len(of.sequences)} sequences>"


def explanation(of: Explanation) -> str:
    """Return the sequence, its influence, and the numbers of layers and tokens."""
    name = of.sequence.sequence_id or "the given text"
    size = f"{len(of.layers)} layers by {len(of.tokens)} tokens"
    return f"<Explanation of {_name(name)}: {number(of.influence)} nats, {size}>"


def progress(of: Progress) -> str:
    """Return the number of sequences scored."""
    return f"<Progress: {of.sequences_scored:,} of {of.sequences_total:,} sequences>"


def _counted(hits: Sequence[Hit]) -> str:
    first = f", first {_name(hits[0].sequence_id)} {number(hits[0].influence)} nats" if hits else ""
    return f"{len(hits)} hit{'s' if len(hits) != 1 else ''}{first}"


def _name(text: str) -> str:
    return repr(_begin(text))


def _begin(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= _TEXT_CHARACTERS else f"{shown[: _TEXT_CHARACTERS - 1]}…"
