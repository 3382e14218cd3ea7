"""Factors that were fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from whence_backends.ekfac.factors import Factors


def factors_table(factors: Factors) -> Table:
    """Return a table of the factors' card."""
    card = factors.card
    attributed = card.attributed_parameters
    table = Table(title="EK-FAC factors", show_header=False)
    table.add_row("folder", str(factors.folder))
    table.add_row("digest", factors.digest)
    table.add_row("layers", str(len(card.layers)))
    table.add_row(
        "parameters attributed", f"{attributed:,} of {card.parameters:,} ({attributed / card.parameters:.0%})"
    )
    table.add_row(
        "fitted on", f"{card.fitted_sequences:,} sequences, {card.fitted_tokens:,} tokens that were trained on"
    )
    given = ", as given" if card.training_set_source == "fit" else ", those of the corpus"
    table.add_row("training set", f"{card.training_set_size:,} sequences{given}")
    table.add_row("labels, precision", f"{card.labels}, {card.precision}")
    if card.self_check is not None:
        table.add_row(
            "gradients", f"within {card.self_check.gradient_error:.0e} of autograd's ({card.self_check.layer})"
        )
    for name in (card.dead_layers or ())[:4]:
        table.add_row("no gradients", name, style="yellow")
    for kind, count in sorted(card.unattributed.items(), key=lambda item: -item[1])[:4]:
        table.add_row("not attributed", f"{kind}: {count:,}", style="yellow")
    return table
