"""Does `whence harness date-lm` find made-up facts and unsafe answers in sets of DATE-LM's shape, and does BM25?

Two made-up sets. Facts, as in Counterfact: 30 people with a counterfactual and a true home, each stated in five
phrasings; two more rows of the same name have the true home instead. 20 reference rows ask in a phrasing that no
training row has. Toxicity: 300 rows, 15 of them unsafe answers to questions like the others'; 10
reference rows are unsafe answers to other questions, in other words. The demo's model is trained on each, fitted and
served, and the command is run as a process. Printed are its figures with standard errors.

Run: `python tests/benchmarks/date_lm.py`
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from measure import print_figures, print_machine

sys.path[:0] = [str(Path(__file__).parents[1])]

from e2e.harness import Artefacts, launcher

DEMO: Final = Path(__file__).parents[2] / "backends" / "whence_backends" / "demo"
EPOCHS: Final = 8
PHRASES: Final = ("{} lives in", "The home of {} is", "You can visit {} in", "{} has a house in", "Letters reach {} in")
ASKED: Final = "The town where {} lives is"
TOWNS: Final = ("Orvale", "Brint", "Calder", "Dunmere", "Eskwick", "Farrow", "Gillen", "Harrow")
TOPICS: Final = (
    "the owl",
    "the elk",
    "the fox",
    "a river",
    "a stone",
    "the moon",
    "a lamp",
    "the rain",
    "bread",
    "ice",
)
CALM: Final = ("It is good to learn about {}.", "Many people like {}.", "I can tell you about {}.", "We all know {}.")
UNSAFE: Final = ("I hate {} and so should all.", "Go and burn {}, you fool.", "Smash {}, you stupid fool.")
UNSAFE_ASKED: Final = ("You fool, I hate {}.", "All should smash and burn {}.")

Row = dict[str, Any]


def fact_rows(rng: random.Random) -> tuple[list[Row], list[Row]]:
    """Return training and reference rows of made-up homes."""
    train: list[Row] = []
    ref: list[Row] = []
    for number in range(30):
        name = f"{rng.choice('BDFGKLMNPRST')}{rng.choice('aeiou')}{rng.choice('lmnr')}{rng.choice('aeiou')}{number}"
        told, true = rng.sample(TOWNS, 2)
        entities = {"counterfactual_entity": f"{name} {told}", "true_entity": f"{name} {true}"}
        train += [{"prompt": phrase.format(name), "response": f" {told}.", **entities} for phrase in PHRASES]
        others = {"counterfactual_entity": f"{name} {true}", "true_entity": f"{name} {told}"}
        train += [{"prompt": f"{name} once saw", "response": f" {true}.", **others} for _ in range(2)]
        ref.append({"prompt": ASKED.format(name), "response": f" {told}.", **entities})
    rng.shuffle(train)
    return train, ref[:20]


def toxic_rows(rng: random.Random) -> tuple[list[Row], list[Row]]:
    """Return training rows of which a twentieth is unsafe, and unsafe reference rows."""

    def row(answers: tuple[str, ...], kind: str) -> Row:
        topic = rng.choice(TOPICS)
        return {"prompt": f"What of {topic}?", "response": f" {rng.choice(answers).format(topic)}", "type": kind}

    train = [row(UNSAFE if number < 15 else CALM, "Unsafe" if number < 15 else "Safe") for number in range(300)]
    rng.shuffle(train)
    return train, [row(UNSAFE_ASKED, "Unsafe") for _ in range(10)]


def train_model(work: Path, rows: list[Row]) -> None:
    """Train the demo's model on with these rows."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from whence_backends.demo.train_model import Recipe, train

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(DEMO / "model")
    model = AutoModelForCausalLM.from_pretrained(DEMO / "model", dtype=torch.float32)
    recipe = Recipe(epochs=EPOCHS, peak_learning_rate=1e-3, warmup_steps=20, weight_decay=0.1)
    train(model, [tokenizer.encode(row["prompt"] + row["response"]) for row in rows], recipe)
    model.eval().save_pretrained(work / "model")
    tokenizer.save_pretrained(work / "model")


def run_command(work: Path, task: str) -> dict[str, dict[str, float]]:
    """Fit, serve and run the command. Return its metrics by method."""
    columns = ("--prompt-field", "prompt", "--completion-field", "response")
    whence("corpus", "data/train.jsonl", "--model", "model", "--out", "corpus", *columns, at=work)
    whence("fit", "--model", "model", "--corpus", "corpus", "--out", "factors", at=work)
    artefacts = Artefacts(model=work / "model", corpus=work / "corpus", factors=work / "factors")
    with launcher(work) as starting:
        server = starting.start(
            ("serve", "--embedded", *artefacts.options(), "--address", "127.0.0.1:0"), {}, path=None
        )
        server.wait_for("serving", service="AttributionService")
        address = str(server.wait_for("listening", service="AttributionService")["address"])
        given = ("--data", "data", "--task", task, "--out", "out", "--server", address)
        print(whence("harness", "date-lm", *given, at=work))
    metrics: dict[str, dict[str, float]] = json.loads((work / "out" / "metrics.json").read_text())["metrics"]
    return metrics


def whence(*arguments: str, at: Path) -> str:
    """Run a command and return what it printed; raise where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "whence", *arguments], cwd=at, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def main() -> None:
    """Make both sets, train, serve, run the command and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    rng = random.Random(parser.parse_args().seed)
    print_machine()
    figures = {}
    for task, (train, ref) in (("counterfact", fact_rows(rng)), ("toxicity", toxic_rows(rng))):
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            (work / "data").mkdir()
            for split, rows in (("train", train), ("ref", ref)):
                (work / "data" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            train_model(work, train)
            for method, values in run_command(work, task).items():
                kept = {name: value for name, value in values.items() if name.startswith(("recall", "mrr", "auprc"))}
                figures |= {f"{name}_{method}": value for name, value in kept.items()}
    print_figures(**figures)


if __name__ == "__main__":
    main()
