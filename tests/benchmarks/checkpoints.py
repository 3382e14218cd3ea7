"""What a few checkpoints of training are worth as one model: with the code that serves, on the banks.

    python tests/benchmarks/checkpoints.py [--bank python] [--work DIR]

Each bank's model is trained once more with its seed, and checkpoints of it are named in a file, as a user would. That
is fitted and scored as any model is, with its factors on the whole corpus. Printed are the LDS of influences and of
signals, less those of the last checkpoint alone, and the seconds of fit and scan beside those of the model alone.
The last line has the means over the banks of the gains of three checkpoints, or of those chosen last.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine
from solver_training import retrain
from truth import BANKS, Ground, measured_lds, read, value, written

from whence_backends.corpus import Corpus
from whence_backends.validation.bank import Bank
from whence_backends.validation.methods import denoise
from whence_backends.validation.proxy import Recipe
from whence_backends.validation.proxy_bank import MODEL, make_corpus

# Epochs of twelve: at equal distances, and all.
EPOCHS: Final = {"4, 8, 12": (4, 8, 12), "all 12": tuple(range(1, 13))}
SERVED: Final = "4, 8, 12"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", action="append", choices=["python", "demo"])
    parser.add_argument("--only", action="append", choices=list(EPOCHS))
    parser.add_argument("--work", type=Path, help="Keep checkpoints, factors and scores here, for another run.")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        gains = [
            report(name, (arguments.work or Path(folder)) / name, arguments.only or list(EPOCHS))
            for name in arguments.bank or ("python", "demo")
        ]
    influence, signal = np.mean(gains, axis=0)
    print_figures(gain_influence=influence, gain_signal=signal, models=len(gains))


def report(name: str, work: Path, chosen: list[str]) -> tuple[float, float]:
    """Print the rows of a bank, and return what three checkpoints gain: of influences and of signals."""
    folders = epochs_of(name, work)
    began = time.perf_counter()
    alone = read(name, work / "alone", all_linear=False)
    seconds = time.perf_counter() - began
    influence, signal = lds_of(alone)
    print(f"{'checkpoints':12} {'influence':>16} {'':>16} {'signal':>16} {'':>16} {'times':>6}")
    print(f"{'the last':12} {written(influence.estimate()):>16} {'':>16} {written(signal.estimate()):>16}")
    gains = (float("nan"), float("nan"))
    for label in chosen:
        named = work / f"{len(EPOCHS[label])}-epochs.json"
        named.write_text(json.dumps({"checkpoints": [str(folders[epoch - 1]) for epoch in EPOCHS[label]]}))
        began = time.perf_counter()
        together = lds_of(read(name, work / named.stem, all_linear=False, model=str(named)))
        times = (time.perf_counter() - began) / seconds
        pairs = [(mine, mine.minus(base)) for mine, base in zip(together, (influence, signal), strict=True)]
        cells = " ".join(f"{written(mine.estimate()):>16} {written(gain, signed=True):>16}" for mine, gain in pairs)
        print(f"{label:12} {cells} {times:6.1f}", flush=True)
        if label == SERVED or SERVED not in chosen:
            gains = (value(pairs[0][1]), value(pairs[1][1]))
    return gains


def epochs_of(name: str, work: Path) -> tuple[Path, ...]:
    """Return the models after each epoch of the bank's training, which is done again if they are not there."""
    folder = BANKS / name
    bank = Bank.open(folder)
    make_corpus(folder / "documents.jsonl", folder / "tokenizer", work / "corpus")
    recipe = Recipe()
    corpus = Corpus.open(work / "corpus")
    again = retrain(bank, corpus, folder / "tokenizer", folder / MODEL, work / "retrained", recipe, recipe.epochs)
    print(f"\n# {name}: trained again, the weights differ by {again.difference:.1e} of their norm", flush=True)
    return again.checkpoints


def lds_of(ground: Ground):
    influence = ground.scores.influence
    return measured_lds(ground, influence), measured_lds(ground, denoise(influence).signal)


if __name__ == "__main__":
    main()
