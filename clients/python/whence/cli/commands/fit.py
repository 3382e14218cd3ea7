"""``whence fit``: EK-FAC factors of a model on its training corpus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from whence.cli import console
from whence.cli.render import findings

if TYPE_CHECKING:
    from whence_backends.ekfac.factors import Factors
    from whence_backends.fit import FitProgress

_STAGES = {
    "covariance": "covariances (tokens)",
    "eigenbasis": "eigenbases (layers)",
    "lambda": "eigenvalues (tokens)",
}


def fit(
    model: Annotated[str, typer.Option(help="Model folder, GGUF file, 'smollm2', or hub name.")],
    corpus: Annotated[Path, typer.Option(help="The corpus that `whence corpus` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder to write the factors to. Killed? Run the same command again.")],
    layers: Annotated[
        str,
        typer.Option(help="Layers to attribute through: 'mlp' (as in the paper), 'all-linear', or a pattern."),
    ] = "mlp",
    labels: Annotated[
        str,
        typer.Option(help="'sampled' from the model (the recipe) or 'empirical' from the data (deterministic)."),
    ] = "sampled",
    precision: Annotated[str, typer.Option(help="float32, bfloat16 (sums stay in float32) or float64.")] = "float32",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_tokens: Annotated[int, typer.Option(min=1, help="Padded tokens a batch holds at most.")] = 4096,
    max_sequences: Annotated[
        int | None,
        typer.Option(min=1, help="Fit on a random sample of this many sequences; 100,000 is plenty."),
    ] = None,
    training_sequences: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2**63 - 1,
            help="N, by which influences are divided: how many sequences the model was trained on, where the corpus is "
            "a part of them.",
            show_default="those of the corpus",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Draws the sample and the labels.")] = 0,
) -> None:
    """Fit EK-FAC factors: covariances, eigenbases, corrected eigenvalues.

    Reads the corpus twice, forward and backward. A kill at any point loses at most a minute: the same command goes on
    and ends with the same bytes.

    Example: whence fit --model smollm2 --corpus corpus/ --out factors/ --precision bfloat16 --max-sequences 2000
    """
    from whence_backends.corpus import Corpus
    from whence_backends.fit import FitConfig
    from whence_backends.fit import fit as run

    config = FitConfig(
        model=model,
        out=out,
        tracked=layers,
        labels=labels,  # type: ignore[arg-type]  # fit() refuses any other, naming the two
        precision=precision,
        device=device,
        batch_tokens=batch_tokens,
        max_sequences=max_sequences,
        training_sequences=training_sequences,
        seed=seed,
    )
    with progress_bars() as show:
        factors = run(config, Corpus.open(corpus), show, warn=findings.show)
    console.stdout().print(summary(factors))


class progress_bars:  # noqa: N801 - a context manager, used as a function
    """Shows one bar a stage, with time left, on stderr."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description:24}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), console=console.stderr(),
        )  # fmt: skip
        self._tasks = {stage: self._bars.add_task(text, total=None, visible=False) for stage, text in _STAGES.items()}

    def __enter__(self) -> Callable[[FitProgress], None]:
        self._bars.start()
        return self._show

    def _show(self, at: FitProgress) -> None:
        self._bars.update(self._tasks[at.stage], completed=at.done, total=at.total, visible=True)

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


def summary(factors: Factors) -> Table:
    """Return what was fitted, as a table."""
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
