"""Real text for benchmarks: the source of Python's own library, which every Python carries, and a model trained on it.

    python tests/benchmarks/realtext.py FOLDER [--sequences 20000]

The model has the shape of the demo's (4 layers, width 128, a million weights). Sequences of 128 tokens are cut from the
files in their order; the last ones are held out, as queries. What is in the folder already is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from e2e.harness import Artefacts

TOKENS = 128
HELD_OUT = 64


@dataclass(frozen=True)
class RealText:
    """A model folder, and token ids [sequences, 128] and texts of the corpus and of what is held out."""

    model: Path
    corpus: np.ndarray
    held_out: np.ndarray
    texts: list[str]
    held_out_texts: list[str]


def prepare(folder: Path, *, sequences: int, epochs: int = 1) -> RealText:
    """Make tokenizer, sequences and model in ``folder``, unless they are there."""
    import torch

    from whence_backends.demo.train_model import END, Recipe, make_model, train, train_tokenizer

    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model" / "model.safetensors").exists():
        torch.manual_seed(0)
        texts = library()
        tokenizer = train_tokenizer(texts[:200])
        ids = [token for text in texts for token in tokenizer.encode(text)]
        count = min(sequences + HELD_OUT, len(ids) // TOKENS)
        cut = np.array(ids[: count * TOKENS], np.int32).reshape(count, TOKENS)
        # Held out at random, so that queries are of the same kind as the corpus.
        order = np.random.default_rng(0).permutation(count)
        chosen, kept = np.sort(order[:HELD_OUT]), np.sort(order[HELD_OUT:])
        np.save(folder / "corpus.npy", cut[kept])
        np.save(folder / "held_out.npy", cut[chosen])
        for name, rows in (("texts", cut[kept]), ("held_out_texts", cut[chosen])):
            (folder / f"{name}.json").write_text(json.dumps([tokenizer.decode(row) for row in rows]))
        model = make_model(tokenizer.convert_tokens_to_ids(END))
        train(model, cut[kept].tolist(), Recipe(epochs=epochs, documents_per_batch=16))
        tokenizer.save_pretrained(folder / "model")
        model.eval().save_pretrained(folder / "model")
    return RealText(
        model=folder / "model",
        corpus=np.load(folder / "corpus.npy"),
        held_out=np.load(folder / "held_out.npy"),
        texts=json.loads((folder / "texts.json").read_text()),
        held_out_texts=json.loads((folder / "held_out_texts.json").read_text()),
    )


def make_artefacts(text: RealText, folder: Path, count: int) -> Artefacts:
    """Make corpus, factors and index of the first ``count`` sequences."""
    from whence_backends.contract import EngineConfig
    from whence_backends.corpus import ChunkPolicy, Corpus, IngestConfig, ingest
    from whence_backends.engines import load_engine
    from whence_backends.fit import FitConfig, fit
    from whence_backends.index import IndexConfig, build_index
    from whence_backends.models import Tokenizer, resolve_model

    model = str(text.model)
    rows = folder / "documents.jsonl"
    with rows.open("w") as file:
        for number, content in enumerate(text.texts[:count]):
            file.write(json.dumps({"id": f"part{number}", "text": content}) + "\n")
    tokenizer = Tokenizer.load(resolve_model(model))
    policy = ChunkPolicy(max_tokens=160, bos=False, eos=False)
    ingest(IngestConfig(inputs=[rows], out=folder / "corpus", tokenizer=tokenizer, policy=policy))
    corpus = Corpus.open(folder / "corpus")
    factors = fit(FitConfig(model=model, out=folder / "factors", max_sequences=1000, device="cpu"), corpus)
    engine = load_engine("pytorch", EngineConfig(model=model, factors=factors.folder, device="cpu"))
    build_index(IndexConfig(model=model, out=folder / "index"), engine, factors, corpus)
    engine.close()
    return Artefacts(model=text.model, corpus=folder / "corpus", factors=folder / "factors", index=folder / "index")


def library() -> list[str]:
    """Return the files of the standard library, but for its tests, by name."""
    root = Path(sysconfig.get_path("stdlib"))
    skipped = {"test", "tests", "idlelib", "site-packages", "lib2to3", "__pycache__"}
    paths = [path for path in sorted(root.rglob("*.py")) if not skipped & set(path.relative_to(root).parts)]
    return [path.read_text(encoding="utf-8", errors="replace") for path in paths]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sequences", type=int, default=20_000)
    given = parser.parse_args()
    made = prepare(given.folder, sequences=given.sequences)
    print(f"{len(made.corpus)} sequences of {TOKENS} tokens, {len(made.held_out)} held out")
