"""An exported model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from whence_backends.models.exported import Export


def export_table(exported: Export) -> Table:
    """Return a table of the export's card."""
    card, checked = exported.card, exported.card.verification
    table = Table(title="Export", show_header=False)
    table.add_row("folder", str(exported.folder))
    table.add_row("digest", exported.digest)
    table.add_row("model", f"{card.model} ({card.model_digest})")
    table.add_row("layers", f"{len(card.layers)} ({card.tracked})")
    table.add_row("precision, opset", f"{card.precision}, {card.opset}")
    table.add_row("size", f"{exported.size_bytes / 1e6:,.1f} MB")
    table.add_row("longest sequence", f"{card.max_tokens:,} tokens")
    table.add_row(
        "largest relative error",
        f"log p {checked.log_p:.1e}, inputs {checked.inputs:.1e}, gradients {checked.gradients:.1e} "
        f"on {checked.tokens} random tokens",
    )
    return table
