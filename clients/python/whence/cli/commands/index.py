"""``whence index``: a gradient index of a training corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whence.cli import console
from whence.cli.progress import index_progress
from whence.cli.render import findings
from whence.cli.render.index import index_table
from whence.options import DEFAULT_DAMPING_FACTOR


def index(
    model: Annotated[str, typer.Option(help="Model folder, export, GGUF file, 'smollm2', or hub name.")],
    factors: Annotated[Path, typer.Option(help="The factors that `whence fit` wrote.")],
    corpus: Annotated[Path, typer.Option(help="The corpus that `whence corpus` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder to write the index to. Killed? Run the same command again.")],
    bits: Annotated[int, typer.Option(help="Bits a value: 1, or 8 or 16 to compare with.")] = 1,
    values: Annotated[
        int,
        typer.Option(
            help="Values of a sketch, a multiple of 512: 15872 in one bit each, with their scales, are 2 KB a sequence."
        ),
    ] = 15872,
    keep: Annotated[
        float | None,
        typer.Option(
            help="Share of the gradient's coordinates that sketches are made of; unset: half, or fifty a value if that "
            "is less."
        ),
    ] = None,
    layer_groups: Annotated[
        int, typer.Option(min=1, help="Groups of neighbouring layers that can be searched by themselves.")
    ] = 4,
    damping_factor: Annotated[
        float, typer.Option(help="Damping to index with; queries may ask for another without a new index.")
    ] = DEFAULT_DAMPING_FACTOR,
    engine: Annotated[str, typer.Option(help="auto, pytorch, ort, or an installed engine.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="float32, bfloat16 or float64; for ort what was exported.")
    ] = "float32",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, max=4096, help="CPU threads of the engine.")] = None,
    batch_tokens: Annotated[int, typer.Option(min=1, help="Most tokens in a batch, padding included.")] = 4096,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Draws which coordinates are folded together.")] = 0,
    rank: Annotated[int, typer.Option(envvar="RANK", help="Which of the jobs this is; torchrun sets it.")] = 0,
    world_size: Annotated[
        int, typer.Option(envvar="WORLD_SIZE", min=1, help="How many jobs share the shards; torchrun sets it.")
    ] = 1,
) -> None:
    """Build a gradient index: with it, a query is answered without reading the whole corpus.

    Reads the corpus once, forward and backward. A killed job loses at most a block of a thousand sequences: the same
    command resumes and ends with the same bytes. Several jobs may share the folder, each with its rank: each takes
    whole shards, and the last to finish completes the index.

    Example: whence index --model smollm2 --factors factors/ --corpus corpus/ --out index/
    """
    from whence_backends.contract import EngineConfig
    from whence_backends.corpus import Corpus
    from whence_backends.ekfac.factors import Factors
    from whence_backends.engines import engine_for, load_engine
    from whence_backends.index import IndexConfig, build_index
    from whence_backends.inspection import Named, inspect
    from whence_backends.preflight import require

    inspected = inspect(Named(model=model, corpus=corpus, factors=factors))
    for finding in require(inspected.findings()):
        findings.show(finding)
    source = Corpus.open(corpus)
    opened = Factors.open(factors)
    loaded = load_engine(
        engine_for(engine, inspected.source),
        EngineConfig(model=model, factors=factors, device=device, precision=precision, threads=threads),
    )
    config = IndexConfig(
        model=model,
        out=out,
        damping_factor=damping_factor,
        keep=keep,
        width=values,
        bits=bits,
        layer_groups=layer_groups,
        seed=seed,
        batch_tokens=batch_tokens,
        rank=rank,
        world_size=world_size,
    )
    with index_progress() as show:
        built = build_index(config, loaded, opened, source, show)
    if built is None:
        console.stdout().print(f"rank {rank} of {world_size} is done; the last rank to finish completes the index")
    else:
        console.stdout().print(index_table(built))
