"""Does `whence contamination` find what was in the training data, and does it matter?

The demo's model is trained on, for a few epochs, on documents of its world and on half of a small quiz: a quarter of
the quiz word for word, a quarter with the questions in other words (`contamination_quiz.py`). Of the other half one
part is given to the command as known to be clean; the rest it has to tell from what was in the corpus. The model is
served, and the command run as a process. Printed is the AUROC, each part against the clean items, by influence, by
n-grams and by the scores of both, and by the gold answer's likelihood, with standard errors by a bootstrap over items;
and by n-grams of other lengths.

A second model is trained on the same without these items. What gold answers gain between the two is what contamination
did: `rho_*` is Spearman's correlation of that gain with the evidence, over the items that were in the corpus.

Run: `python tests/benchmarks/contamination.py [--work FOLDER] [--per-part 60]`
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from contamination_quiz import Item, Part, make_quiz
from measure import print_figures, print_machine
from numpy.typing import NDArray
from scipy.stats import spearmanr

sys.path[:0] = [str(Path(__file__).parents[1])]

from e2e.harness import Artefacts, launcher
from whence import Client, Query

DEMO: Final = Path(__file__).parents[2] / "backends" / "whence_backends" / "demo"
DOCUMENTS: Final = 600
EPOCHS: Final = 8
OTHER_NGRAMS: Final = (3, 5, 13)
BOOTSTRAPS: Final = 2000
# The values that the command's scores are scores of: their order is the scores', without ties among the smallest.
VALUES: Final = {
    "influence": "influence_score",
    "influence_nats": "top_influence",
    "ngram": "overlap",
    "likelihood": "token_log_likelihood",
}
EVIDENCE: Final = {
    "influence": "influence_score",
    "influence_nats": "top_influence",
    "nearest": "nearest_score",
    "nearest_nats": "nearest_influence",
    "overlap": "overlap",
}
IN_CORPUS: Final[tuple[Part, ...]] = ("verbatim", "paraphrased")

Floats = NDArray[np.float64]


def train_models(work: Path, items: list[Item]) -> None:
    """Train on with the quiz and without it, from the demo's model, and write both models and the corpus."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from whence_backends.demo.train_model import Recipe, train

    lines = (DEMO / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    documents = [json.loads(line) for line in random.Random(1).sample(lines, DOCUMENTS)]
    rows = [{"id": row["id"], "source": row["source"], "text": row["text"]} for row in documents]
    rows += [{"id": item.item_id, "source": item.part, "text": item.text} for item in items if item.text]
    (work / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer = AutoTokenizer.from_pretrained(DEMO / "model")
    end = tokenizer.bos_token_id
    for name, texts in (
        ("with", [row["text"] for row in rows]),
        ("without", [row["text"] for row in rows if row["source"] not in IN_CORPUS]),
    ):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_pretrained(DEMO / "model", dtype=torch.float32)
        recipe = Recipe(epochs=EPOCHS, peak_learning_rate=1e-3, warmup_steps=20, weight_decay=0.1)
        train(model, [[end, *tokenizer.encode(text), end] for text in texts], recipe)
        model.eval().save_pretrained(work / name)
        tokenizer.save_pretrained(work / name)


def gains(work: Path, items: Sequence[Item]) -> dict[str, float]:
    """Return what the gold answer of each item gains by the quiz in the training data, in nats, by the item's id."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from whence_backends.demo.train_model import answer

    tokenizer = AutoTokenizer.from_pretrained(work / "with")
    known = []
    for name in ("with", "without"):
        model = AutoModelForCausalLM.from_pretrained(work / name).eval()
        questions = ({"id": item.item_id, "prompt": item.prompt, "completion": item.gold} for item in items)
        known.append(
            {given.question: given.log_probability for given in (answer(model, tokenizer, q) for q in questions)}
        )
    return {item_id: value - known[1][item_id] for item_id, value in known[0].items()}


def run_command(work: Path, items: Sequence[Item]) -> tuple[list[dict[str, Any]], dict[int, list[float]]]:
    """Fit, serve and run the command. Return its table, and the overlap of each item by n-grams of other lengths."""
    artefacts = Artefacts(model=work / "with", corpus=work / "corpus", factors=work / "factors")
    if not artefacts.factors.exists():
        cut = ("--max-tokens", "256", "--bos", "--eos")
        whence("corpus", "corpus.jsonl", "--model", "with", "--out", "corpus", *cut, at=work)
        whence("fit", "--model", "with", "--corpus", "corpus", "--out", "factors", at=work)
    for name, parts in (("items", ("verbatim", "paraphrased", "clean")), ("written-later", ("reference",))):
        rows = [
            {"id": item.item_id, "prompt": item.prompt, "completion": item.gold} for item in items if item.part in parts
        ]
        (work / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with launcher(work) as starting:
        server = starting.start(
            ("serve", "--embedded", *artefacts.options(), "--address", "127.0.0.1:0"), {}, path=None
        )
        server.wait_for("serving", service="AttributionService")
        address = str(server.wait_for("listening", service="AttributionService")["address"])
        command = [
            "contamination",
            "--queries",
            "items.jsonl",
            "--clean",
            "written-later.jsonl",
            "--out",
            "table.jsonl",
        ]
        print(whence(*command, "--overwrite", "--server", address, at=work))
        with Client(address, timeout_s=600) as client:
            shares = {ngram: overlaps(client, items, ngram) for ngram in OTHER_NGRAMS}
    return [json.loads(line) for line in (work / "table.jsonl").read_text().splitlines()], shares


def overlaps(client: Client, items: Sequence[Item], ngram: int) -> list[float]:
    """Return the share of each item's n-grams that its nearest training text has."""
    queries = [Query.text(item.prompt, item.gold) for item in items]
    groups = (queries[at : at + 16] for at in range(0, len(queries), 16))
    return [overlap.share for group in groups for overlap in client.text_overlap(group, ngram=ngram)]


def whence(*arguments: str, at: Path) -> str:
    """Run a command and return what it printed; raise where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "whence", *arguments], cwd=at, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def auroc(positive: Floats, negative: Floats) -> float:
    """Return the probability that one of ``positive`` is larger than one of ``negative``, ties counted half."""
    larger, same = positive[:, None] > negative, positive[:, None] == negative
    return float(larger.mean() + same.mean() / 2)


def bootstrapped(statistic: Callable[..., float], *samples: Floats) -> float:
    """Return the standard error of a statistic by drawing each sample anew, arrays [n, ...] by their first axis."""
    rng = np.random.default_rng(0)
    draws = [
        statistic(*(sample[rng.integers(len(sample), size=len(sample))] for sample in samples))
        for _ in range(BOOTSTRAPS)
    ]
    return float(np.std([draw for draw in draws if not np.isnan(draw)] or [np.nan]))


def rho(pairs: Floats) -> float:
    """Return Spearman's correlation of the two columns of pairs, [n, 2]; NaN where one of them has a single value."""
    if (pairs == pairs[0]).all(axis=0).any():
        return float("nan")
    return float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic)


def figures_of(part: Part, values: dict[str, dict[Part, Floats]], gained: Floats, evidence: dict[str, Floats]) -> None:
    """Print the figures of a part, with standard errors."""
    figures = {}
    for name, by_part in values.items():
        figures[f"auroc_{name}"] = auroc(by_part[part], by_part["clean"])
        figures[f"auroc_{name}_se"] = bootstrapped(auroc, by_part[part], by_part["clean"])
    for name, known in evidence.items():
        pairs = np.stack([known, gained], axis=1)
        figures[f"rho_{name}"], figures[f"rho_{name}_se"] = rho(pairs), bootstrapped(rho, pairs)
    print(f"# {part}: gold answers gained {gained.mean():.2f} nats in the mean, {np.median(gained):.2f} in the median")
    print_figures(**{f"{part}_{name}": value for name, value in figures.items()})


def main() -> None:
    """Train, serve, run the command and print the figures of both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="keep what is made in this folder, and use what is there")
    parser.add_argument("--per-part", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        items = make_quiz(arguments.per_part, seed=arguments.seed)
        if not (work / "without").exists():
            train_models(work, items)
        rows, shares = run_command(work, items)
        gain = gains(work, items)
    gained = np.array([gain[item.item_id] for item in items if item.part == "clean"])
    print(f"# clean: gold answers gained {gained.mean():.2f} nats in the mean, {np.median(gained):.2f} in the median")
    table = {row["query_id"]: row for row in rows}
    of_part = {part: [item.item_id for item in items if item.part == part] for part in (*IN_CORPUS, "clean")}

    def by_part(value: Callable[[str], float]) -> dict[Any, Floats]:
        return {part: np.array([value(name) for name in names]) for part, names in of_part.items()}

    values = {name: by_part(lambda item, column=column: table[item][column]) for name, column in VALUES.items()}
    # Fisher's sum of both, which the command does not report: see decision 0052.
    values["both"] = by_part(lambda item: -math.log(table[item]["overlap_p"] * table[item]["influence_p"]))
    for ngram, known in shares.items():
        share = dict(zip((item.item_id for item in items), known, strict=True))
        values[f"ngram{ngram}"] = by_part(share.__getitem__)
    for part in IN_CORPUS:
        evidence = {
            name: np.array([table[item][column] for item in of_part[part]]) for name, column in EVIDENCE.items()
        }
        figures_of(part, values, np.array([gain[item] for item in of_part[part]]), evidence)


if __name__ == "__main__":
    main()
