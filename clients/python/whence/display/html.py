"""Results as HTML for notebooks: no script, nothing from elsewhere, readable on a light and on a dark ground.

Every text of a corpus or server is escaped, and without characters that change the direction of writing.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from whence.display import wording
from whence.display.passages import Excerpt, by_depth, excerpt
from whence.display.wording import influence_on, number
from whence.results import (
    Answer,
    Attribution,
    Explanation,
    GroupInfluence,
    GroupInfluences,
    Hit,
    ScoreTable,
    SelfInfluences,
    TextOverlaps,
    TokenInfluence,
    TrainingSequence,
)
from whence.significance import is_significant
from whence.terminal import printable

# Grounds are translucent, and letters keep the notebook's own colour.
_STYLE: Final = """<style>
.whence{font-size:13px;line-height:1.5;overflow-x:auto}
.whence table{border-collapse:collapse;margin:.4em 0 .8em}
.whence caption{text-align:left;font-weight:600;padding:.2em 0}
.whence th,.whence td{text-align:left;vertical-align:top;padding:.25em .7em}
.whence th,.whence td{border-bottom:1px solid rgba(128,128,128,.3)}
.whence td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.whence td.t{white-space:pre-wrap;overflow-wrap:anywhere;max-width:60em}
.whence td.c{padding:0;min-width:6px}
.whence .dim{opacity:.65}
.whence .unsure{opacity:.55}
.whence .warning{border-left:3px solid rgba(220,160,0,.9);padding-left:.6em;margin:.3em 0}
.whence .layers{display:flex;gap:1px;height:14px;margin-top:3px}
.whence .layers span{flex:0 0 5px;border:1px solid rgba(128,128,128,.25)}
.whence .bar{display:inline-block;height:.8em}
</style>"""
_POSITIVE, _NEGATIVE = "46,160,92", "214,72,72"
_FAINTEST: Final = 0.08
_STRONGEST: Final = 0.75
_BAR_EM: Final = 12
_GROUPS_SHOWN: Final = 50
_CELLS: Final = 20_000


def attribution(result: Attribution) -> str:
    """Return the rankings, with tokens and layers coloured by their part where the answer has them."""
    return _document([*_ranked(result), _dim(wording.noise(result.noise)), *_about(result)])


def attributions(results: Sequence[Attribution]) -> str:
    """Return the rankings of a batch, each under its query, and what they share once."""
    parts = [part for result in results for part in _ranked(result)]
    return _document([*parts, *(_about(results[0]) if results else ())])


def self_influences(result: SelfInfluences) -> str:
    """Return the sequences that influence themselves most."""
    return _document([_hits("Influence themselves most", result.hits), *_about(result)])


def group_influences(result: GroupInfluences) -> str:
    """Return a row with a bar for each group, most positive first. Of more than fifty, the first and last 25."""
    largest = max((abs(group.effect) for group in result), default=0.0)
    groups, half = list(result.groups), _GROUPS_SHOWN // 2
    left_out = max(0, len(groups) - _GROUPS_SHOWN)
    shown = [*groups[:half], *groups[-half:]] if left_out else groups
    rows = [_group(group, largest) for group in shown]
    if left_out:
        rows.insert(half, f'<tr><td class="dim">… {left_out:,} more</td></tr>')
    rows.append(_group(result.total, 0.0, name="all"))
    title = f"log-likelihood of the output {result.log_likelihood:.3f} nats"
    known = result.total.signal is not None
    heads = ("group", "sequences", *(("signal", "95 %") if known else ()), "influence", "± error", "")
    return _document([_table(title, heads, rows), *_about(result)])


def text_overlaps(result: TextOverlaps) -> str:
    """Return a row for each query: what it shares with the nearest sequence, and that sequence."""
    rows = []
    for overlap in result:
        near = overlap.nearest
        text = "" if near is None else _marked(near.text, None, excerpt(near.text, None))
        rows.append(
            f'<tr><td>{_text(overlap.query_id) or "<i>query</i>"}</td><td class="n">{overlap.share:.0%}</td>'
            f'<td class="n">{overlap.longest_run}</td><td class="n">{overlap.sequences:,}</td>'
            f'<td>{"" if near is None else _origin(near)}</td><td class="t">{text}</td></tr>'
        )
    heads = ("query", "n-grams shared", "longest run", "sequences", "source, id", "nearest text")
    return _document([_table("Overlap, in tokens", heads, rows), *_warnings(result), *map(_dim, wording.facts(result))])


def scores(result: ScoreTable) -> str:
    """Return a row for each query and a column for each sequence."""
    names = [_text(name) for name in result.sequence_names]
    heads = ("query", *names)
    rows = []
    for query_id, values, log_likelihood in zip(result.query_ids, result.influence, result.log_likelihood, strict=True):
        cells = "".join(
            f'<td class="n" style="{_ground(value, _largest(values))}">{influence_on(value, log_likelihood)}</td>'
            for value in values
        )
        rows.append(f"<tr><td>{_text(query_id) or '<i>query</i>'}</td>{cells}</tr>")
    return _document([_table("Influence, in nats", heads, rows, escape=False), *_about(result)])


def explanation(result: Explanation) -> str:
    """Return the marked text, and a map with a row for each layer and a cell for each token."""
    sequence = result.sequence
    name = _text(f"{sequence.source} {sequence.sequence_id}".strip()) or "the given text"
    head = (
        f"<p><b>{name}</b>: influence {influence_on(result.influence, result.log_likelihood)} nats, log-likelihood of "
        f"the output {result.log_likelihood:.3f} nats</p>"
    )
    whole = Excerpt(0, len(sequence.text))
    text = f'<p style="white-space:pre-wrap">{_marked(sequence.text, result.tokens, whole)}</p>'
    return _document([head, text, _map(result), *_about(result)])


def _ranked(result: Attribution) -> list[str]:
    parts = [f"<p>{_text(wording.measured(result))}</p>"]
    doubt = "" if wording.negative_is_validated(result) else " (not validated)"
    for title, hits in (
        ("Made the output more likely", result.positive),
        (f"Made it less likely{doubt}", result.negative),
    ):
        if hits:
            parts.append(_hits(title, hits, result.log_likelihood))
    if not result.hits:
        parts.append("<p>Influence of the requested sign: no sequence</p>")
    for recall, kind in ((result.positive_recall, "most positive"), (result.negative_recall, "most negative")):
        if recall is not None:
            parts.append(_dim(f"About {recall.recall:.0%} of the truly {kind} are here."))
    return parts


def _hits(title: str, hits: Sequence[Hit], log_likelihood: float = -math.inf) -> str:
    with_signal = any(hit.signal is not None for hit in hits)
    heads = ("#", "influence", *(["signal"] if with_signal else []), "source, id", "text")
    rows = []
    for hit in hits:
        signal = f'<td class="n">{_signal(hit)}</td>' if with_signal else ""
        layers = _layers(hit.layer_influence) if hit.layer_influence else ""
        rows.append(
            f'<tr><td class="n dim">{hit.rank}</td>'
            f'<td class="n">{influence_on(hit.influence, log_likelihood)}{layers}</td>{signal}'
            f"<td>{_origin(hit)}</td>"
            f'<td class="t">{_marked(hit.text, hit.tokens, excerpt(hit.text, hit.tokens))}</td></tr>'
        )
    return _table(title, heads, rows)


def _signal(hit: Hit) -> str:
    if hit.signal is None or hit.significance is None:
        return ""
    sure = "" if is_significant(hit.significance) else ' class="unsure"'
    return f"<span{sure}>{number(hit.signal)}<br>{html.escape(wording.percent(hit.significance))}</span>"


def _origin(sequence: TrainingSequence) -> str:
    return f'<b>{_text(sequence.source)}</b><br><span class="dim">{_text(sequence.sequence_id)}</span>'


def _layers(layers: Mapping[str, float]) -> str:
    depths = by_depth(layers)
    largest = _largest(depths.values())
    cells = "".join(
        f'<span title="{_text(depth)}: {number(value)}" style="{_ground(value, largest)}"></span>'
        for depth, value in depths.items()
    )
    return f'<div class="layers">{cells}</div>'


def _marked(text: str, tokens: Sequence[TokenInfluence] | None, window: Excerpt) -> str:
    """Return the text between two places, its tokens on grounds as strong as their influence."""
    strongest = _largest(token.influence for token in tokens or ())
    parts, position = ["…" if window.start else ""], window.start
    for token in tokens or ():
        start, end = max(token.start, position), min(token.end, window.end)
        if start < end:
            parts.append(_text(text[position:start]))
            ground = _ground(token.influence, strongest)
            parts.append(f'<span title="{number(token.influence)}" style="{ground}">{_text(text[start:end])}</span>')
            position = end
    parts.append(_text(text[position : window.end]))
    return "".join([*parts, "…" if window.end < len(text) else ""])


def _map(result: Explanation) -> str:
    if len(result.layers) * len(result.tokens) > _CELLS:
        return _dim("Too many layers and tokens for a map here: see to_pandas() and plot().")
    largest = _largest(value for row in result.parts for value in row)
    rows = []
    for layer, row in zip(result.layers, result.parts, strict=True):
        cells = "".join(
            f'<td class="c" title="{_text(token.text)}: {number(value)}" style="{_ground(value, largest)}">&nbsp;</td>'
            for token, value in zip(result.tokens, row, strict=True)
        )
        rows.append(f'<tr><td class="n dim" style="padding:0 .7em 0 0">{_text(layer)}</td>{cells}</tr>')
    return _table("By layer and token", (), rows)


def _group(group: GroupInfluence, largest: float, *, name: str = "(none)") -> str:
    width = _BAR_EM * abs(group.effect) / largest if largest else 0.0
    colour = _POSITIVE if group.effect >= 0 else _NEGATIVE
    signal = ""
    if group.signal is not None:
        signal = f'<td class="n">{number(group.signal)}</td><td class="n dim">{wording.interval(group)}</td>'
    error = number(group.standard_error).lstrip("+") if group.standard_error else "exact"
    return (
        f'<tr><td><b>{_text(group.name) or name}</b></td><td class="n">{group.sequences:,}</td>'
        f'{signal}<td class="n">{number(group.influence)}</td><td class="n dim">{error}</td>'
        f'<td><span class="bar" style="width:{width:.2f}em;background:rgba({colour},.6)"></span></td></tr>'
    )


def _about(answer: Answer) -> list[str]:
    unit = answer.influence_unit or "nats"
    legend = _dim(f"Influence is in {unit}. Green raises the output's likelihood, red lowers it; hover for values.")
    return [*_warnings(answer), legend, *map(_dim, wording.facts(answer))]


def _warnings(answer: Answer) -> list[str]:
    return [
        f'<div class="warning">{_text(warning.message)} <span class="dim">{_text(warning.code)}</span></div>'
        for warning in answer.warnings
    ]


def _table(title: str, heads: Sequence[str], rows: Sequence[str], *, escape: bool = True) -> str:
    row = "".join(f"<th>{html.escape(head) if escape else head}</th>" for head in heads)
    return f"<table><caption>{_text(title)}</caption>{f'<tr>{row}</tr>' if row else ''}{''.join(rows)}</table>"


def _document(parts: Sequence[str]) -> str:
    return f'{_STYLE}<div class="whence">{"".join(parts)}</div>'


def _dim(line: str) -> str:
    return f'<div class="dim">{_text(line)}</div>'


def _text(text: str) -> str:
    """Return a text as HTML, safe between tags and in an attribute. Line breaks stay."""
    return "\n".join(html.escape(printable(line)) for line in text.split("\n"))


def _ground(value: float, largest: float) -> str:
    """Return the style of a ground as strong as a value's share of the largest; none for what is hardly there."""
    share = abs(value) / largest if largest and math.isfinite(value) else 0.0
    if not share >= _FAINTEST:
        return ""
    return f"background:rgba({_POSITIVE if value > 0 else _NEGATIVE},{_STRONGEST * share:.2f})"


def _largest(values: Iterable[float]) -> float:
    return max((abs(value) for value in values if math.isfinite(value)), default=0.0)
