"""A gradient index that was built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from whence_backends.index import Index


def index_table(built: Index) -> Table:
    """Return a table of the index's card."""
    card = built.card
    table = Table(title="Gradient index", show_header=False)
    table.add_row("folder", str(built.folder))
    table.add_row("digest", built.digest)
    table.add_row("sequences", f"{card.sequences:,} in {len(card.shards):,} shards")
    table.add_row("bytes a sequence", f"{card.bytes_per_sequence:,}: {card.width:,} values of {card.bits} bit")
    table.add_row("coordinates kept", f"{card.keep:.3%}, at damping factor {card.damping_factor}")
    table.add_row("layer groups", "\n".join(_named(segment.layers) for segment in card.segments))
    table.add_row("made with", f"{card.engine}/{card.precision}")
    return table


def _named(layers: tuple[str, ...]) -> str:
    return layers[0] if len(layers) == 1 else f"{layers[0]} … {layers[-1]} ({len(layers)})"
