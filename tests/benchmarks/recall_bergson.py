"""Scores of bergson's TrackStar for the recall benchmark's corpus, by the Python of an environment that has bergson.

    python -m venv other && other/bin/pip install bergson==2.5.1
    other/bin/python tests/benchmarks/recall_bergson.py FOLDER
    python tests/benchmarks/recall.py --folder FOLDER --bergson FOLDER/bergson.npz

FOLDER is the recall benchmark's, which holds the model and the tokens. Gradients of the layers that the benchmark
tracks are projected on both sides (9 x 9 values for each of 12 layers, sixteen bits each: 1,944 bytes a sequence), with
bergson's damped autocorrelation of the corpus as the Hessian; queries are the summed loss of the last 32 tokens, the
labels before masked. Written are scores [queries, sequences] in two ways: ``unit norm``, TrackStar's, halves the
inverse between both sides and normalizes them; ``inner product`` puts it on the query's side alone. There is no
optimizer state that gradients could be normalized with.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from bergson import GradientProcessor, InMemoryCollector
from bergson.collector.collector import CollectorComputer
from bergson.config.config import IndexConfig
from bergson.hessians.preconditioner import DensePreconditioner
from datasets import Dataset
from transformers import AutoModelForCausalLM

SIDE = 9
COMPLETION = 32
MASKED = -100
BATCH = 32
Gradients = dict[str, torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sequences", type=int, help="all that are in the folder")
    parser.add_argument("--queries", type=int, default=24)
    parser.add_argument("--out", type=Path, help="FOLDER/bergson.npz")
    given = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(given.folder / "model", dtype=torch.float32)
    corpus = np.load(given.folder / "corpus.npy")[: given.sequences]
    asked = np.load(given.folder / "held_out.npy")[: given.queries]
    masked = asked.copy()
    masked[:, :-COMPLETION] = MASKED
    processor = GradientProcessor(projection_dim=SIDE)
    sequences = collect(model, processor, corpus, corpus, skip_hessians=False)
    # The same projections: bergson draws them by the layer's name.
    queries = collect(model, GradientProcessor(projection_dim=SIDE), asked, masked, skip_hessians=True)
    print(f"{sum(2 * values.shape[1] for values in sequences.values())} bytes a sequence")
    scores = {
        "bergson, inner product": inner_products(
            DensePreconditioner.from_processor(processor, power=-1.0).apply(queries), rounded(sequences)
        ),
        "bergson, unit norm": cosines(DensePreconditioner.from_processor(processor, power=-0.5), queries, sequences),
    }
    np.savez(given.out or given.folder / "bergson.npz", **scores)


def collect(
    model: torch.nn.Module, processor: GradientProcessor, rows: np.ndarray, labels: np.ndarray, *, skip_hessians: bool
) -> Gradients:
    """Return the projected gradients [rows, 81] of each layer; the corpus's autocorrelation goes to ``processor``."""
    data = Dataset.from_dict({"input_ids": rows.tolist(), "labels": labels.tolist()})
    batches = [list(range(start, min(start + BATCH, len(rows)))) for start in range(0, len(rows), BATCH)]
    layers = {name for name, _ in model.base_model.named_modules() if ".mlp." in name and name.endswith("_proj")}
    with tempfile.TemporaryDirectory() as folder:
        config = IndexConfig(run_path=str(Path(folder) / "run"), projection_dim=SIDE)
        config.partial_run_path.mkdir()
        collector = InMemoryCollector(
            model=model.base_model,
            cfg=config,
            processor=processor,
            target_modules=layers,
            data=data,
            skip_hessians=skip_hessians,
        )
        CollectorComputer(
            model=model, data=data, collector=collector, batches=batches, cfg=config
        ).run_with_collector_hooks()
    return collector.gradients


def inner_products(queries: Gradients, sequences: Gradients) -> np.ndarray:
    return sum(queries[name].double() @ sequences[name].double().T for name in sequences).numpy()


def cosines(half_inverse: DensePreconditioner, queries: Gradients, sequences: Gradients) -> np.ndarray:
    return inner_products(unit(half_inverse.apply(queries)), rounded(unit(half_inverse.apply(sequences))))


def unit(gradients: Gradients) -> Gradients:
    norms = sum(values.square().sum(1, keepdim=True) for values in gradients.values()).sqrt()
    return {name: values / norms for name, values in gradients.items()}


def rounded(gradients: Gradients) -> Gradients:
    """Return the gradients rounded to sixteen bits, scaled so that none overflows."""
    scale = max(float(values.abs().max()) for values in gradients.values())
    return {name: (values / scale).half().float() * scale for name, values in gradients.items()}


if __name__ == "__main__":
    main()
