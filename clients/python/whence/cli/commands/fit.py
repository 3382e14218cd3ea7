"""``whence fit``: EK-FAC factors of a model on its training corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whence.cli import console
from whence.cli.progress import fit_progress
from whence.cli.render import findings
from whence.cli.render.factors import factors_table


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
    batch_tokens: Annotated[int, typer.Option(min=1, help="Most tokens in a batch, padding included.")] = 4096,
    max_sequences: Annotated[
        int | None,
        typer.Option(min=1, help="Fit on a random sample of this many sequences; 100,000 are enough."),
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

    Reads the corpus twice, forward and backward. A killed fit loses at most a minute: the same command resumes and
    ends with the same bytes.

    Example: whence fit --model smollm2 --corpus corpus/ --out factors/ --precision bfloat16 --max-sequences 2000
    """
    from whence_backends.corpus import Corpus
    from whence_backends.fit import FitConfig
    from whence_backends.fit import fit as run

    config = FitConfig(
        model=model,
        out=out,
        tracked=layers,
        labels=labels,  # type: ignore[arg-type]  # fit() refuses other values
        precision=precision,
        device=device,
        batch_tokens=batch_tokens,
        max_sequences=max_sequences,
        training_sequences=training_sequences,
        seed=seed,
    )
    with fit_progress() as show:
        factors = run(config, Corpus.open(corpus), show, warn=findings.show)
    console.stdout().print(factors_table(factors))
