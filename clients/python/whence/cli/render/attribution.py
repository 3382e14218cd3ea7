"""Rankings: a table with a row for each hit, then the lines under every answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from whence.cli.render import answer
from whence.cli.render.text import marked, strip
from whence.display import wording
from whence.display.passages import Excerpt, excerpt
from whence.display.wording import number
from whence.linear_range import is_above_certainty, is_outside
from whence.results import Attribution, Hit, Noise, Recall, SelfInfluences
from whence.significance import is_significant
from whence.terminal import printable

# A smaller recall is highlighted.
_NOTABLE_RECALL: Final = 0.9
_OUTSIDE: Final = "In brackets: too large to be read as nats; only the order means something."
_MARKS_PLAIN: Final = "«Tokens» raise it most, ‹tokens› lower it."  # noqa: RUF001  # marks, not quotation
_MARKS_COLOUR: Final = "Green tokens raise it most, red ones lower it."


def attribution(result: Attribution, *, plain: bool, full_text: bool = False) -> RenderableType:
    """Return the requested rankings. ``plain`` marks tokens with brackets, for output without colours."""
    parts: list[RenderableType] = [_measured(result)]
    outside = [hit for hit in result.hits if is_outside(hit.influence, result.log_likelihood)]
    if result.positive or result.positive_recall:
        parts.append(_table("Made the output more likely", result.positive, plain, full_text, outside=outside))
        parts.extend(_completeness(result.positive_recall, "most positive"))
        parts.extend(_told(result.positive, result.positive_significant, result.noise, sign=1))
        parts.extend(_together(result))
    if result.negative or result.negative_recall:
        doubt = "" if wording.negative_is_validated(result) else " (not validated)"
        parts.append(_table(f"Made the output less likely{doubt}", result.negative, plain, full_text, outside=outside))
        parts.extend(_completeness(result.negative_recall, "most negative"))
        parts.extend(_told(result.negative, result.negative_significant, result.noise, sign=-1))
    if len(parts) == 1:
        parts.append(Text("Influence of the requested sign: no sequence"))
    parts.append(_noise(result.noise))
    note = f" {_OUTSIDE}" if outside else ""
    parts.append(Text(legend(result.hits, result.influence_unit, plain=plain) + note, style="dim"))
    return Group(*parts, *answer.about(result))


def _together(result: Attribution) -> list[Text]:
    total = math.fsum(hit.influence for hit in result.positive)
    if not is_above_certainty(total, result.log_likelihood):
        return []
    line = (
        f"Together these hits promise {number(total)} nats, where {-result.log_likelihood:.3g} would make the output "
        "certain: first-order effects do not add up."
    )
    return [Text(line, style="yellow")]


def _completeness(recall: Recall | None, kind: str) -> list[Text]:
    if recall is None:
        return []
    scored = f"{recall.reranked:,}" + (f" of {recall.candidates:,}" if recall.reranked < recall.candidates else "")
    enough = ", and no more were needed" if recall.stopped_early else ""
    line = f"About {recall.recall:.0%} of the truly {kind} are here: {scored} candidates were scored{enough}."
    return [Text(line, style="yellow" if recall.recall < _NOTABLE_RECALL else "dim")]


def _told(hits: Sequence[Hit], significant: int | None, noise: Noise | None, *, sign: int) -> list[Text]:
    """Return the line that says after which rank nothing is told from noise."""
    if significant is None or noise is None or not hits:
        return []
    everywhere = noise.positive_significant if sign > 0 else noise.negative_significant
    if not significant:
        return [Text("None of these is told from noise.", style="yellow")]
    if significant < len(hits):
        return [Text(f"After rank {significant} nothing is told from noise.", style="yellow")]
    return [
        Text(f"All of these are told from noise, of about {max(everywhere, significant):,.0f} that are.", style="dim")
    ]


def _noise(noise: Noise | None) -> Text:
    return Text(wording.noise(noise), style="dim")


def self_influences(result: SelfInfluences, *, plain: bool, full_text: bool = False) -> RenderableType:
    """Return the sequences that influence themselves most."""
    note = Text(
        "How much its presence in the training set raises a sequence's own log-likelihood. "
        + legend((), result.influence_unit, plain=plain),
        style="dim",
    )
    table = _table("Influence themselves most", result.hits, plain, full_text)
    return Group(table, note, *answer.about(result))


def legend(hits: Sequence[Hit], unit: str, *, plain: bool) -> str:
    """Return the meaning of the numbers and marks in the table."""
    lines = [f"Influence is in {printable(unit) or 'nats'}."]
    if any(hit.layer_influence for hit in hits):
        lines.append("Blocks: share of the influence by layer, first to last.")
    if any(hit.tokens for hit in hits):
        lines.append(_MARKS_PLAIN if plain else _MARKS_COLOUR)
    return " ".join(lines)


def _measured(result: Attribution) -> Text:
    return Text(printable(wording.measured(result)))


def _table(
    title: str, hits: Sequence[Hit], plain: bool, full_text: bool, *, outside: Sequence[Hit] = ()
) -> RenderableType:
    if not hits:
        return Text(f"{title}: no sequence")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, expand=False)
    table.add_column("#", justify="right", style="dim", no_wrap=True)
    table.add_column("influence", justify="right", no_wrap=True)
    with_signal = any(hit.signal is not None for hit in hits)
    if with_signal:
        table.add_column("signal", justify="right", no_wrap=True)
    table.add_column("source, id", overflow="fold", max_width=30)
    table.add_column("text", ratio=1, overflow="fold")
    for hit in hits:
        signal = [_signal(hit)] if with_signal else []
        table.add_row(
            str(hit.rank), _influence(hit, outside=hit in outside), *signal, _origin(hit), _text(hit, plain, full_text)
        )
    return table


def _influence(hit: Hit, *, outside: bool) -> Text:
    shown = f"({number(hit.influence)})" if outside else number(hit.influence)
    value = Text(shown, style="green" if hit.influence >= 0 else "red")
    if hit.layer_influence:
        value.append("\n" + strip(hit.layer_influence), style="cyan")
    return value


def _signal(hit: Hit) -> Text:
    if hit.signal is None or hit.significance is None:
        return Text()
    return Text(
        f"{number(hit.signal)}\n{wording.percent(hit.significance)}",
        style="" if is_significant(hit.significance) else "dim",
    )


def _origin(hit: Hit) -> Text:
    return Text.assemble((printable(hit.source), "bold"), "\n", (printable(hit.sequence_id), "dim"))


def _text(hit: Hit, plain: bool, full_text: bool) -> Text:
    window = Excerpt(0, len(hit.text)) if full_text else excerpt(hit.text, hit.tokens)
    return marked(hit.text, hit.tokens, plain=plain, window=window)
