"""A tiny model with a corpus on disk, factors in float64, and queries: what the checks are tried on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import data
import tiny_models
from conformance.characters import text_of, write_tokenizer
from whence_backends.contract import TokenSequence
from whence_backends.corpus import ChunkPolicy, Corpus, IngestConfig, ingest
from whence_backends.ekfac.factors import Factors
from whence_backends.fit import FitConfig, fit
from whence_backends.models import Tokenizer, resolve_model
from whence_backends.validation.checks.config import Canary, CheckConfig, CheckQuery
from whence_backends.validation.checks.inputs import Inputs, open_inputs

SEQUENCES = 40
# So large that the step of a sequence is one of the first order: its effects are of up to some hundredths of a nat.
N = 20_000


@dataclass(frozen=True)
class Subject:
    model: Path
    corpus: Path
    factors: Path

    def config(self, out: Path, **options: Any) -> CheckConfig:
        small = {"fit_sequences": 24, "scan_sequences": SEQUENCES, "precision_sequences": 30, "optimum_sequences": 30}
        common = {"device": "cpu", "batch_tokens": 64, "step_hits": 2, **small, **options}
        return CheckConfig(
            model=str(self.model), corpus=self.corpus, factors=self.factors, out=out, **common
        )  # fmt: skip

    def inputs(self, out: Path, **options: Any) -> Inputs:
        return open_inputs(self.config(out, **options), queries(), [], lambda _: None)


def query(name: str, tokens: TokenSequence) -> CheckQuery:
    return CheckQuery(id=name, tokens=tokens, text=text_of(tokens.token_ids))


def queries(count: int = 4) -> list[CheckQuery]:
    """Queries of 12 tokens, 4 of which are the prompt."""
    return [query(f"q{number}", data.sequence(12, 500 + number, masked=4)) for number in range(count)]


def canary(*documents: str) -> Canary:
    """A canary whose query is the 7th training sequence itself."""
    return Canary(query=query("the seventh", training()[7]), documents=documents)


def training(count: int = SEQUENCES) -> list[TokenSequence]:
    return [data.sequence(8 + number % 9, number) for number in range(count)]


def write_corpus(folder: Path, model: Path, count: int = SEQUENCES) -> Path:
    """A corpus of random characters, with a document for each sequence, named by its number."""
    folder.mkdir(parents=True)
    rows = [{"id": str(number), "text": text_of(item.token_ids)} for number, item in enumerate(training(count))]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    policy = ChunkPolicy(max_tokens=64)
    tokenizer = Tokenizer.load(resolve_model(str(model)))
    ingest(IngestConfig(inputs=[folder / "rows.jsonl"], out=folder / "corpus", tokenizer=tokenizer, policy=policy))
    return folder / "corpus"


def make(folder: Path, build: Callable[[], Any] = tiny_models.llama, **options: Any) -> Subject:
    """Make a subject in ``folder``; the options are those of its fit."""
    model = tiny_models.save(build(), folder / "model")
    write_tokenizer(model)
    subject = Subject(model=model, corpus=write_corpus(folder / "data", model), factors=folder / "factors")
    refit(subject, subject.factors, **options)
    return subject


def refit(subject: Subject, out: Path, **options: Any) -> Subject:
    """Fit other factors of the same model, and return the subject that has them."""
    common = {"precision": "float64", "device": "cpu", "batch_tokens": 64, "training_sequences": N, **options}
    factors = fit(FitConfig(model=str(subject.model), out=out, **common), Corpus.open(subject.corpus))
    assert isinstance(factors, Factors)
    return replace(subject, factors=out)
