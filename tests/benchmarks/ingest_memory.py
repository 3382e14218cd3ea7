"""The memory that ingesting takes, and its speed: a plain text of 200 MB, one row of 60 MB, ordinary JSON Lines.

    python tests/benchmarks/ingest_memory.py [--mebibytes 200] [--model FOLDER]

Each input is made into a corpus by a process of its own, whose largest resident memory is printed beside the seconds
taken. Without a model, a tokenizer of GPT-2's kind is trained on the words of the input, so that nothing is fetched.
The text must take less than 500 MB.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPT = """
import sys, time
sys.modules["torch"] = None  # not needed, and large
from pathlib import Path
from whence_backends.corpus import BadRowLimit, IngestConfig, ingest
from whence_backends.models import Tokenizer, locate_model
model, data, out = sys.argv[1:]
tokenizer = Tokenizer.load(locate_model(model, weights=False))
def peak():  # not getrusage's, which a child inherits
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) >> 10
before = peak()
began = time.monotonic()
report = ingest(IngestConfig(inputs=[Path(data)], out=Path(out), tokenizer=tokenizer))
took_s = time.monotonic() - began
print(f"{report.tokens:,} tokens in {took_s:.0f} s, {peak():,} MiB resident at most ({before} before)")
"""
WORDS = (
    *("the", "owl", "keeps", "light", "harbour", "ships", "came", "home", "before", "winter", "storms", "keeper"),
    *("and", "one", "did", "not", "Grüße", "東京", "of"),
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--mebibytes", type=int, default=200, help="size of the plain text")
    options.add_argument("--model", help="a folder with a tokenizer; unset: one is trained")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = asked.model or str(train_tokenizer(folder / "model"))
        for title, data in inputs(folder, asked.mebibytes):
            command = [sys.executable, "-c", SCRIPT, model, str(data), str(folder / f"{data.name}.corpus")]
            print(f"{title} ({data.stat().st_size / 2**20:.0f} MiB): ", end="", flush=True)
            print(subprocess.check_output(command, text=True).strip(), flush=True)


def inputs(folder: Path, mebibytes: int):
    page = pages()
    path = folder / "text.txt"
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < mebibytes << 20:
            file.write(next(page))
    yield "one plain text", path
    path = folder / "row.jsonl"
    path.write_text(json.dumps({"text": "".join(next(page) for _ in range(60 << 10))}, ensure_ascii=False) + "\n")
    yield "one row", path
    path = folder / "rows.jsonl"
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < mebibytes << 18:
            file.write(json.dumps({"text": next(page), "year": 1908}) + "\n")
    yield "rows of a page each", path


def pages():
    """Yield pages of about a kilobyte."""
    chance = random.Random(0)
    while True:
        yield " ".join(chance.choices(WORDS, k=190)) + ".\n"


def train_tokenizer(folder: Path) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    page = pages()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    backend.train_from_iterator([next(page) for _ in range(10)], trainer)
    folder.mkdir()
    backend.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return folder


if __name__ == "__main__":
    main()
