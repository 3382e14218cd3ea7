"""Would more exact solvers than EK-FAC be truer? Those that were tried, on the banks of retrained models.

Each solver gives other influences of every training sequence; the table has their LDS, as they are and denoised as
answers are, and the paired differences from EK-FAC's as it is served. Residuals are ‖(Ĝ + λ) x − ∇f‖ / ‖∇f‖, the mean
over queries. Sections, of which ``--only`` names some:

``fisher``       conjugate gradients, preconditioned by EK-FAC, with the Fisher matrix of 4 draws of the model's own
                 labels for each sequence, of all sequences and of a quarter; the same solved exactly; and solved with
                 the empirical Fisher matrix
``gauss-newton`` conjugate gradients with the exact Gauss-Newton matrix, whose products are far dearer; ``--exact`` says
                 of which sample, how many iterations and at which damping
``checkpoints``  averages over the models of the last epochs: run 0 of the bank is trained again with its seed
``adam``         the metric of the optimizer: Adam's second moments, from that training

Run: ``python tests/benchmarks/solvers.py [--bank python] [--only fisher] [--work FOLDER] [--threads 1]``
Rows are kept in the work folder, so that a killed run goes on, and a finished one is printed at once.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import torch
from measure import print_machine
from solver_checkpoints import LAST, checkpoint_rows, spread_rows
from solver_curvature import Product
from solver_methods import (
    ITERATIONS,
    SAMPLES,
    SERVED_DAMPING,
    Question,
    empirical_rows,
    fisher_rows,
    gauss_newton_rows,
    metric_rows,
    served,
)
from solver_rows import Kept, Row, print_rows
from solver_subject import Subject
from solver_training import Retrained, retrain
from torch import Tensor
from transformers.utils.logging import disable_progress_bar
from truth import BANKS

from whence_backends.corpus import Corpus
from whence_backends.fit import FitConfig, fit
from whence_backends.validation.bank import Bank
from whence_backends.validation.outcomes import Outcomes
from whence_backends.validation.plan import RunKind
from whence_backends.validation.proxy import Recipe
from whence_backends.validation.proxy_bank import MODEL, make_corpus
from whence_backends.validation.queries import read_queries

# The exact solves: of which sample, how many iterations, at which damping.
EXACT: Final = ("a quarter:3:0.1", "all:3:0.1")
SECTIONS: Final = ("fisher", "gauss-newton", "checkpoints", "adam")


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """A bank, its corpus, and the folder that keeps what is made of them."""

    bank: Bank
    corpus: Corpus
    work: Path
    recipe: Recipe

    @classmethod
    def open(cls, folder: Path, work: Path, recipe: Recipe | None = None) -> Bench:
        """Open a bank, and make its corpus."""
        make_corpus(folder / "documents.jsonl", folder / "tokenizer", work / "corpus", recipe)
        corpus = Corpus.open(work / "corpus")
        return cls(bank=Bank.open(folder), corpus=corpus, work=work, recipe=recipe or Recipe())

    def halves(self) -> Outcomes:
        """Return what the models of the halves say, seeds averaged."""
        documents = [self.corpus.record(position).document_id for position in range(self.corpus.sequences)]
        return self.bank.outcomes(documents).of(RunKind.SUBSET).averaged()

    def ask(self, model: Path, share: int = 1) -> Question:
        """Fit the factors of a model, on one of ``share`` sequences, and compute the gradients."""
        out, most = self.work / f"factors-{model.name}-{share}", self.corpus.sequences // share
        config = FitConfig(model=str(model), out=out, device="cpu", max_sequences=most)
        factors = fit(config, self.corpus)
        return Question.of(Subject.open(model, factors, self.corpus, read_queries(self.bank.queries_file)))

    def asked(self) -> Question:
        """Return the bank's own model, with its gradients."""
        return self.ask(self.bank.folder / MODEL)


def main() -> None:
    """Print the tables of each bank, and which solvers pass the bar on all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", action="append", choices=["python", "demo"])
    parser.add_argument("--only", action="append", choices=SECTIONS)
    parser.add_argument("--work", type=Path, help="Keep factors, checkpoints and rows here, for another run.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--exact", action="append", metavar="SAMPLE:ITERATIONS:DAMPING", help="See gauss-newton.")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    disable_progress_bar()
    print_machine()
    passed: list[set[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in given.bank or ("python", "demo"):
            bench = Bench.open(BANKS / name, (given.work or Path(folder)) / name)
            print(f"\n# {name}", flush=True)
            passed.append(report(bench, given.only or SECTIONS, given.exact or EXACT))
    common = set.intersection(*passed)
    print(f"\npassed={len(common)} banks={len(passed)} " + "; ".join(sorted(common)))


def report(bench: Bench, sections: Sequence[str], exact: Sequence[str]) -> set[str]:
    """Compute the rows of sections, print them, and return the names of those that pass the bar."""
    kept, question = Kept(bench.work / "rows"), bench.asked()
    rows: list[Row] = []
    if "fisher" in sections:
        for sample in SAMPLES:
            rows += kept.section(f"fisher-{sample}", partial(fisher_rows, question, sample))
        rows += kept.section("empirical", partial(empirical_rows, question))
    if "gauss-newton" in sections:
        for wanted in exact:
            sample, iterations, damping = wanted.split(":")
            keep = [number for number in ITERATIONS if number <= int(iterations)]
            of = partial(gauss_newton_rows, question, sample, float(damping) / SERVED_DAMPING, keep, timed)
            rows += kept.section(f"gauss-newton-{wanted.replace(':', '-')}", of)
    if "checkpoints" in sections or "adam" in sections:
        again = trained_again(bench)
        print(f"# trained again, the weights differ by {again.difference:.1e} of their norm", flush=True)
    if "checkpoints" in sections:
        of_epochs = kept.section(
            "checkpoints", partial(checkpoint_rows, again.checkpoints, partial(bench.ask, share=4))
        )
        rows += of_epochs + spread_rows(of_epochs)
    if "adam" in sections:
        rows += kept.section("adam", partial(metric_rows, question, packed(question, again)))
    return set(print_rows(bench.halves(), served(question), rows))


def trained_again(bench: Bench) -> Retrained:
    """Return the training of the bank's own model, once more."""
    folder = bench.bank.folder
    out, keep = bench.work / "retrained", min(max(LAST), bench.recipe.epochs)
    return retrain(bench.bank, bench.corpus, folder / "tokenizer", folder / MODEL, out, bench.recipe, keep)


def packed(question: Question, again: Retrained) -> Tensor:
    """Return Adam's second moments of the tracked weights, [P]."""
    moments = again.second_moments()
    return torch.cat([moments[f"{spec.name}.weight"].reshape(-1) for spec in question.subject.weights.specs])


def timed(product: Product) -> Product:
    """Return a product that says on the terminal how long it took for all vectors together."""

    def watched(vectors: Tensor) -> Tensor:
        started = time.perf_counter()
        result = product(vectors)
        print(f"# {len(vectors)} products: {time.perf_counter() - started:.1f} s", flush=True)
        return result

    return watched


if __name__ == "__main__":
    main()
