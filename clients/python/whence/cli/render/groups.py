"""The signal and the influence of groups: a row with a bar for each, most positive first."""

from __future__ import annotations

from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from whence.cli.render import answer
from whence.display.wording import interval, negative_is_validated, number
from whence.results import GroupInfluence, GroupInfluences
from whence.terminal import printable

_BAR: Final = 24
# Where signals and their intervals stand beside it, so that 80 columns do.
_SHORT_BAR: Final = 12
_SHOWN: Final = 50
_NO_NAME: Final = "(none)"
# Behind a negative sum that nobody has shown to mean anything.
_DOUBT: Final = "?"
# An influence within so many standard errors of 0 is dim, where signals are unknown.
_SURE: Final = 2.0


def group_influences(result: GroupInfluences) -> RenderableType:
    """Return a table with a bar for each group. Of more than 50 groups it has the first and the last 25."""
    table = Table(
        title=f"log-likelihood of the output {result.log_likelihood:.3f} nats",
        title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    known = result.total.signal is not None
    table.add_column("group", overflow="fold", min_width=8, max_width=40)
    for column in ("sequences", *(("signal", "95 %", "influence") if known else ("influence", "± error"))):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    validated = negative_is_validated(result)
    largest = max((abs(group.effect) for group in result), default=0.0)
    half = _SHOWN // 2
    for place, group in enumerate(result.groups):
        if len(result) > _SHOWN and place == half:
            table.add_row(Text(f"… {len(result) - 2 * half:,} more, in --json", style="dim"))
        if len(result) <= _SHOWN or place < half or place >= len(result) - half:
            table.add_row(*_cells(group, largest, validated))
    table.add_section()
    table.add_row(*_cells(result.total, 0.0, validated, name="all"))
    notes = [*_explained(result, known), *_no_value(result), *_not_validated(result, validated)]
    return Group(table, *notes, *answer.about(result))


def _explained(result: GroupInfluences, known: bool) -> list[Text]:
    unit = printable(result.influence_unit) or "nats"
    scored = f"estimated from {result.sequences_scored:,} sequences that were scored exactly"
    if not known:
        lines = [
            f"Influence is summed over a group's sequences, noise and all, in {unit}; {scored}.",
            f"Signal and noise are not told apart; dim is within {_SURE:g} errors of 0.",
        ]
    else:
        lines = [
            f"Signal is summed over a group's sequences, in {unit}; {scored}. Influence is the sum with its noise.",
            "95 %: where what is lost without the group is expected; dim has 0 in it. Without an upper end, the group "
            "has most of the signal, and may take more with it than the sum.",
        ]
    return [Text(line, style="dim") for line in lines]


def _no_value(result: GroupInfluences) -> list[Text]:
    if all(group.name for group in result):
        return []
    return [Text(f"{_NO_NAME}: sequences without a value, which --where NAME= selects.", style="dim")]


def _not_validated(result: GroupInfluences, validated: bool) -> list[Text]:
    if validated or all(group.effect >= 0 for group in (*result.groups, result.total)):
        return []
    return [Text(f"{_DOUBT}: negative influence is not validated for this model.", style="dim")]


def _cells(group: GroupInfluence, largest: float, validated: bool, *, name: str = _NO_NAME) -> tuple[Text, ...]:
    style = "dim" if _unsure(group) else "green" if group.effect >= 0 else "red"
    doubt = _DOUBT if group.effect < 0 and not validated else ""
    bar = _BAR if group.signal is None else _SHORT_BAR
    length = round(bar * abs(group.effect) / largest) if largest else 0
    effect = [Text(number(group.effect) + doubt, style=style)]
    if group.signal is None:
        effect.append(Text(number(group.standard_error).lstrip("+") if group.standard_error else "exact", style="dim"))
    else:
        effect += [Text(interval(group), style="dim"), Text(number(group.influence), style="dim")]
    return (
        Text(printable(group.name) or name, style="bold"),
        Text(f"{group.sequences:,}"),
        *effect,
        Text("█" * length, style=style),
    )


def _unsure(group: GroupInfluence) -> bool:
    """Whether the effect may be 0."""
    if group.signal is None or group.signal_low is None:
        return abs(group.influence) < _SURE * group.standard_error
    return group.signal_low <= 0 and (group.signal_high is None or group.signal_high >= 0)
