"""The influence of groups: a row with a bar for each, most positive first."""

from __future__ import annotations

from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from whence.cli.render import answer
from whence.display.wording import negative_is_validated, number
from whence.results import GroupInfluence, GroupInfluences
from whence.terminal import printable

_BAR: Final = 24
_SHOWN: Final = 50
_NO_NAME: Final = "(none)"
# Behind a negative sum that nobody has shown to mean anything.
_DOUBT: Final = "?"
# An influence within so many standard errors of 0 is dim.
_SURE: Final = 2.0


def group_influences(result: GroupInfluences) -> RenderableType:
    """Return a table with a bar for each group. Of more than 50 groups it has the first and the last 25."""
    table = Table(
        title=f"log-likelihood of the output {result.log_likelihood:.3f} nats",
        title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    table.add_column("group", overflow="fold", max_width=40)
    table.add_column("sequences", justify="right", no_wrap=True)
    table.add_column("influence", justify="right", no_wrap=True)
    table.add_column("± error", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    validated = negative_is_validated(result)
    largest = max((abs(group.influence) for group in result), default=0.0)
    half = _SHOWN // 2
    for place, group in enumerate(result.groups):
        if len(result) > _SHOWN and place == half:
            table.add_row(Text(f"… {len(result) - 2 * half:,} more, in --json", style="dim"))
        if len(result) <= _SHOWN or place < half or place >= len(result) - half:
            table.add_row(*_cells(group, largest, validated))
    table.add_section()
    table.add_row(*_cells(result.total, 0.0, validated, name="all"))
    unit = printable(result.influence_unit) or "nats"
    note = Text(
        f"Influence is summed over a group's sequences, in {unit}; "
        f"estimated from {result.sequences_scored:,} that were scored exactly; dim is within {_SURE:g} errors of 0.",
        style="dim",
    )
    notes = [note, *_no_value(result), *_not_validated(result, validated)]
    return Group(table, *notes, *answer.about(result))


def _no_value(result: GroupInfluences) -> list[Text]:
    if all(group.name for group in result):
        return []
    return [Text(f"{_NO_NAME}: sequences without a value, which --where NAME= selects.", style="dim")]


def _not_validated(result: GroupInfluences, validated: bool) -> list[Text]:
    if validated or all(group.influence >= 0 for group in (*result.groups, result.total)):
        return []
    return [Text(f"{_DOUBT}: negative influence is not validated for this model.", style="dim")]


def _cells(group: GroupInfluence, largest: float, validated: bool, *, name: str = _NO_NAME) -> tuple[Text, ...]:
    style = "green" if group.influence >= 0 else "red"
    unsure = abs(group.influence) < _SURE * group.standard_error
    doubt = _DOUBT if group.influence < 0 and not validated else ""
    length = round(_BAR * abs(group.influence) / largest) if largest else 0
    return (
        Text(printable(group.name) or name, style="bold"),
        Text(f"{group.sequences:,}"),
        Text(number(group.influence) + doubt, style="dim" if unsure else style),
        Text(number(group.standard_error).lstrip("+") if group.standard_error else "exact", style="dim"),
        Text("█" * length, style="dim" if unsure else style),
    )
