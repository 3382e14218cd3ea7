"""A bank of proxies: from documents and queries to everything that :func:`.training.train_and_measure` takes.

The folder gets ``tokenizer/``, ``corpus/`` and the plan; ``checkpoints/run-0000`` becomes the proxy itself, the model
that is fitted and asked.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from whence_backends.corpus import ChunkPolicy, Corpus, IngestConfig, ingest
from whence_backends.models.source import locate_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.store.artefact import write_atomically
from whence_backends.validation.bank import Bank
from whence_backends.validation.likelihoods import Measurement
from whence_backends.validation.plan import PlanConfig, plan_for_corpus
from whence_backends.validation.proxy import ProxyTrainer, Recipe, make_model, train_tokenizer
from whence_backends.validation.queries import json_lines

MODEL: Final = "checkpoints/run-0000"
_ORIGIN: Final = "drawn-from.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class ProxyBank:
    """A bank whose models are proxies, their trainer, and the measurement of each."""

    bank: Bank
    trainer: ProxyTrainer
    measurement: Measurement

    @property
    def model(self) -> Path:
        """The folder of the proxy, once run 0 was trained."""
        return self.bank.folder / MODEL

    @property
    def corpus(self) -> Path:
        """The folder of the proxy's corpus."""
        return self.trainer.corpus


def prepare_proxy_bank(
    documents: Path, queries: Path, folder: Path, plan: PlanConfig, recipe: Recipe | None = None
) -> ProxyBank:
    """Return the bank of proxies of a JSONL file of documents. Calling it again opens what is there.

    Raises the errors of ingestion, of a plan, and of queries.
    """
    recipe = recipe or Recipe()
    tokenizer = folder / "tokenizer"
    if not (tokenizer / "tokenizer.json").exists():
        lines = documents.read_text(encoding="utf-8").splitlines()
        trained = train_tokenizer([json.loads(line)["text"] for line in lines if line.strip()], recipe)
        trained.save_pretrained(tokenizer)
        make_model(recipe, trained.eos_token_id).config.save_pretrained(tokenizer)
    make_corpus(documents, tokenizer, folder / "corpus", recipe)
    return open_proxy_bank(folder, plan, json_lines(queries), recipe)


def original_corpus(folder: Path) -> str:
    """Return the digest of the corpus that the documents of a bank were drawn from; empty where it is not recorded."""
    try:
        return str(json.loads((folder / _ORIGIN).read_bytes())["corpus_digest"])
    except FileNotFoundError:
        return ""


def write_documents(corpus: Corpus, folder: Path, *, most: int, seed: int) -> Path:
    """Write up to ``most`` documents of a corpus, drawn with ``seed``, as JSONL, once; return the file.

    A document is put together from its sequences' texts, in their order; of overlapping ones it has parts twice.
    """
    out = folder / "documents.jsonl"
    if out.exists():
        return out
    texts: dict[str, list[str]] = {}
    sources: dict[str, str] = {}
    for position in range(corpus.sequences):
        record = corpus.record(position)
        texts.setdefault(record.document_id, []).append(record.text)
        sources[record.document_id] = record.source
    chosen = set(random.Random(seed).sample(sorted(texts), min(most, len(texts))))
    rows = [
        {"id": name, "source": sources[name], "text": "".join(parts)} for name, parts in texts.items() if name in chosen
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomically(folder / _ORIGIN, lambda path: _write(path, json.dumps({"corpus_digest": corpus.digest})))
    write_atomically(out, lambda path: _write(path, lines))
    return out


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def make_corpus(documents: Path, tokenizer: Path, out: Path, recipe: Recipe | None = None) -> None:
    """Make the corpus of a proxy; one that is there is kept. Raises the errors of ingestion."""
    ingest(
        IngestConfig(
            inputs=(documents,),
            out=out,
            tokenizer=Tokenizer.load(locate_model(str(tokenizer), weights=False)),
            policy=ChunkPolicy(max_tokens=(recipe or Recipe()).max_tokens, bos=True, eos=True),
        )
    )


def open_proxy_bank(folder: Path, config: PlanConfig, queries: bytes, recipe: Recipe | None = None) -> ProxyBank:
    """Return the bank of proxies in a folder that has its tokenizer and corpus; the plan is written if it is new."""
    corpus = Corpus.open(folder / "corpus", verify=False)
    plan = plan_for_corpus(config, corpus, queries)
    bank = Bank.create(folder, plan, queries)
    return ProxyBank(
        bank=bank,
        trainer=ProxyTrainer(corpus=corpus.path, tokenizer=folder / "tokenizer", recipe=recipe or Recipe()),
        measurement=Measurement(
            queries=bank.queries_file, corpus=corpus.path, tokenizer=str(folder / "tokenizer"), device="cpu"
        ),
    )
