"""Options that commands share. Those of a connection are in :mod:`whence.cli.connection`."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from whence.options import AttributionOptions, declared
from whence.settings import Setting


def setting_option(setting: Setting, *names: str, panel: str | None = None) -> Any:  # noqa: ANN401 - typer's own type
    """Return the option for a setting, called by ``names`` or as the setting is."""
    return typer.Option(*names, help=setting.description, show_default=setting.default or False, rich_help_panel=panel)


def query_option(
    kind: type, name: str, *names: str, repeated: bool = False, show_default: str = "", panel: str | None = None
) -> Any:  # noqa: ANN401 - typer's own type
    """Return the option for one of a query's options, called by ``names`` or as it is.

    The command line spells values with hyphens, and repeats the option for a list.
    """
    declaration = declared(kind)[name]
    description = re.sub(r"'[a-z]+_[a-z_]+'", lambda value: value[0].replace("_", "-"), declaration.description)
    return typer.Option(
        *names,
        help=f"{description} May be repeated." if repeated else description,
        min=declaration.minimum,
        max=declaration.maximum,
        show_default=show_default or declaration.unset or True,
        rich_help_panel=panel,
    )


class SearchChoice(StrEnum):
    """The values of ``--search``: those of :data:`whence.options.Search`, spelt with hyphens."""

    auto = "auto"
    full_scan = "full-scan"
    index_rerank = "index-rerank"
    index_only = "index-only"
    tfidf_rerank = "tfidf-rerank"
    union_rerank = "union-rerank"


ModelName = Annotated[str, typer.Option("--model", help="The model; needed where several are served.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document instead: the answer on stdout, or an error on stderr.")
]
Prompt = Annotated[str | None, typer.Option(help="The context before the output.")]
PromptFile = Annotated[Path | None, typer.Option(help="Read the context from a file; - is the standard input.")]
Completion = Annotated[str | None, typer.Option(help="The output to attribute; many begin with a space.")]
Chat = Annotated[
    Path | None,
    typer.Option(
        help="A JSON file with a list of messages with role and content, or an object with messages and tools. The "
        "last message is the output."
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Refuse the query, instead of a warning, where the chat template drops a part of the output."
    ),
]
Examples = Annotated[
    list[Path] | None,
    typer.Option(
        "--example",
        help='A JSON file with a training example: {"prompt": …, "completion": …}, where the completion is trained on, '
        'or {"messages": …}. May be repeated.',
    ),
]
DampingFactor = Annotated[float | None, query_option(AttributionOptions, "damping_factor")]

Sources = Annotated[list[str] | None, typer.Option("--source", help="Only sequences of this source. May be repeated.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        help="Only sequences with this metadata, such as year=1908 or meta.lang=en, or without a value (year=). May be "
        "repeated; every condition must hold.",
        metavar="NAME=VALUE",
    ),
]
Document = Annotated[str | None, typer.Option("--document", help="Only sequences of the document with this id.")]
Layers = Annotated[list[str] | None, query_option(AttributionOptions, "layers", "--layer", repeated=True)]
FullText = Annotated[bool, typer.Option("--full-text", help="Print whole sequences, not their strongest passage.")]
