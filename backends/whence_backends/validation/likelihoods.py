"""Log-likelihoods of token sequences under a trained model: one forward pass."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.batching import plan_batches
from whence_backends.contract import TokenSequence
from whence_backends.corpus import Corpus
from whence_backends.ekfac.batch import collate
from whence_backends.models.shape import ModelShape
from whence_backends.models.source import locate_model, resolve_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.models.torch_loading import load_causal_lm
from whence_backends.validation.bank import Measured
from whence_backends.validation.outcomes import FloatArray
from whence_backends.validation.queries import read_queries, tokenize

_BATCH_TOKENS: Final = 4096


@torch.no_grad()
def log_likelihoods(
    model: Any,  # noqa: ANN401 - a causal language model of transformers
    sequences: Sequence[TokenSequence],
    *,
    batch_tokens: int = _BATCH_TOKENS,
    on_batch: Callable[[int], None] = lambda _: None,
) -> FloatArray:
    """Return Σ_t weights[t] · log p(token_t | tokens < t) of each sequence, float64 [n], in nats.

    ``on_batch`` is called with the number of sequences of each batch that is done.
    """
    result = np.zeros(len(sequences))
    for rows in plan_batches([len(sequence.token_ids) for sequence in sequences], batch_tokens):
        batch = collate([sequences[row] for row in rows], model.device)
        logits = model(batch.inputs, use_cache=False).logits  # [B, T, V]
        wide = logits if logits.dtype == torch.float64 else logits.float()
        log_p = wide.log_softmax(dim=-1).gather(2, batch.labels.unsqueeze(2)).squeeze(2)
        result[rows] = (log_p.double() * batch.weights).sum(dim=1).cpu().numpy()
        on_batch(len(rows))
    return result


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What is measured of each trained model: the queries of a file, and every sequence of a corpus.

    The corpus was made with the tokenizer of ``tokenizer``, a model's folder.
    """

    queries: Path
    corpus: Path
    tokenizer: str
    device: str = "auto"
    precision: str = "float32"

    def measure(self, checkpoint: Path | str) -> Measured:
        """Return the log-likelihoods under a checkpoint. Raises the errors of loading a model and of a query."""
        model = load_causal_lm(resolve_model(str(checkpoint)), self.precision, self.device)
        corpus, shape = Corpus.open(self.corpus, verify=False), ModelShape.of(model)
        queries = tokenize(
            read_queries(self.queries),
            Tokenizer.load(locate_model(self.tokenizer, weights=False)),
            corpus,
            max_tokens=shape.max_tokens,
            vocabulary_size=shape.vocabulary_size,
        )
        return Measured(
            queries=log_likelihoods(model, queries),
            sequences=log_likelihoods(model, corpus.tokens_at(range(corpus.sequences))),
        )


def read_log_likelihoods(file: Path, queries: Path, corpus: Path) -> Measured:
    """Return the log-likelihoods that a JSONL file has, made by the user's own code.

    A line is ``{"query": ID, "log_likelihood": X}`` or ``{"sequence": ID, "log_likelihood": X}``. Raises
    :class:`~whence.errors.InvalidRequestError` for a line of another form, and for a query or sequence that is missing
    or unknown: nothing is filled in.
    """
    given: dict[str, dict[str, float]] = {"query": {}, "sequence": {}}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            kind, name, value = _parsed(line, f"{file}:{number}")
            given[kind][name] = value
    opened = Corpus.open(corpus, verify=False)
    wanted = {
        "query": [query.id for query in read_queries(queries)],
        "sequence": [opened.record(place).sequence_id for place in range(opened.sequences)],
    }
    for kind, names in wanted.items():
        missing, unknown = sorted(set(names) - set(given[kind])), sorted(set(given[kind]) - set(names))
        if missing or unknown:
            lack = f"lacks {len(missing)}, such as {missing[0]!r}" if missing else f"has the unknown {unknown[0]!r}"
            raise _invalid(f"{file} {lack}, of the {len(names)} of kind {kind!r} that the plan and the corpus have")
    return Measured(
        queries=np.array([given["query"][name] for name in wanted["query"]]),
        sequences=np.array([given["sequence"][name] for name in wanted["sequence"]]),
    )


def _parsed(line: str, place: str) -> tuple[str, str, float]:  # kind, id, nats
    try:
        row: Any = json.loads(line)
        kind = "query" if "query" in row else "sequence"
        return kind, str(row[kind]), float(row["log_likelihood"])
    except (ValueError, TypeError, KeyError) as error:
        raise _invalid(
            f'{place} is no log-likelihood ({error!r}); expected {{"query": ID, "log_likelihood": X}} or '
            '{"sequence": ID, "log_likelihood": X}'
        ) from error


def _invalid(message: str) -> InvalidRequestError:
    return InvalidRequestError(message, reason=Reason.INVALID_LOG_LIKELIHOODS, field="log_likelihoods")
