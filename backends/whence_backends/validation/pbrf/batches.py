"""Batches of a language model's sequences, and the model as a network of free weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from whence_backends.batching import plan_batches
from whence_backends.contract import TokenSequence
from whence_backends.ekfac.batch import collate
from whence_backends.validation.pbrf.objective import Batch, Network


def token_batch(sequences: Sequence[TokenSequence], device: torch.device, dtype: torch.dtype) -> Batch:
    """Return sequences as one batch, whose rows are the positions whose next token counts."""
    tokens = collate(sequences, device)
    rows = tokens.valid.reshape(-1).nonzero().squeeze(1)
    return Batch(
        inputs=tokens.inputs,
        rows=rows,
        targets=tokens.labels.reshape(-1)[rows],
        weights=tokens.weights.reshape(-1)[rows].to(dtype),
        owners=rows // tokens.inputs.shape[1],
        sequences=len(sequences),
    )


def token_batches(
    sequences: Sequence[TokenSequence], batch_tokens: int, device: torch.device, dtype: torch.dtype
) -> list[Batch]:
    """Return sequences as batches of at most ``batch_tokens`` padded tokens, not in their order."""
    plan = plan_batches([len(sequence.token_ids) for sequence in sequences], batch_tokens)
    return [token_batch([sequences[place] for place in places], device, dtype) for places in plan]


def language_model(model: nn.Module) -> Network:
    """Return a causal language model of transformers as a network: logits [R, V] of the rows that count."""

    def network(parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        output = functional_call(model, dict(parameters), (), {"input_ids": batch.inputs, "use_cache": False})
        rows: Tensor = output.logits.reshape(-1, output.logits.shape[-1])[batch.rows]
        return rows

    return network
