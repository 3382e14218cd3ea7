"""The training of a bank's model once more, with what only its trainer has: checkpoints, and Adam's second moments.

Run 0 of a bank is the model that is asked. It is trained again with its seed; the weights of the last epochs are
written as models, each with the optimizer's running mean of squared gradients, ``exp_avg_sq``, beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from whence_backends.corpus import Corpus
from whence_backends.validation.bank import Bank
from whence_backends.validation.proxy import Recipe, train_proxy

MOMENTS: Final = "second-moments.safetensors"


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """The models of the last epochs, the last one at the end, and how far that one is from the bank's.

    ``difference`` is the norm of the difference of all weights, relative to the norm of the bank's.
    """

    checkpoints: tuple[Path, ...]
    difference: float

    def second_moments(self) -> dict[str, Tensor]:
        """Return Adam's running means of squared gradients at the end of training, by the names of the weights."""
        return load_file(self.checkpoints[-1] / MOMENTS)


def retrain(
    bank: Bank, corpus: Corpus, tokenizer: Path, model: Path, out: Path, recipe: Recipe, keep: int
) -> Retrained:
    """Train run 0 of ``bank`` again, and write the models of the last ``keep`` epochs to ``out``, once.

    ``model`` is the bank's own model of that run.
    """
    checkpoints = tuple(out / f"epoch-{epoch:02}" for epoch in range(recipe.epochs - keep + 1, recipe.epochs + 1))
    if not all((checkpoint / MOMENTS).exists() for checkpoint in checkpoints):
        _train(bank, corpus, tokenizer, checkpoints, recipe)
    again, before = (load_file(folder / "model.safetensors") for folder in (checkpoints[-1], model))
    return Retrained(checkpoints=checkpoints, difference=_distance(again, before))


def _train(bank: Bank, corpus: Corpus, tokenizer: Path, checkpoints: tuple[Path, ...], recipe: Recipe) -> None:
    run = bank.plan.runs[0]
    words = PreTrainedTokenizerFast.from_pretrained(tokenizer)
    chosen = set(bank.plan.ids(run))
    positions = [place for place in range(corpus.sequences) if corpus.record(place).document_id in chosen]
    first = recipe.epochs - len(checkpoints) + 1

    def write(epoch: int, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer) -> None:
        if epoch >= first:
            folder = checkpoints[epoch - first]
            model.save_pretrained(folder)
            words.save_pretrained(folder)
            names = {id(weight): name for name, weight in model.named_parameters()}
            moments = {names[id(weight)]: state["exp_avg_sq"].clone() for weight, state in optimizer.state.items()}
            save_file(moments, folder / MOMENTS)

    train_proxy(corpus.tokens_at(positions), recipe, seed=run.seed, end=words.eos_token_id, on_epoch=write)


def _distance(weights: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> float:
    square = sum(float((weights[name] - other).double().square().sum()) for name, other in others.items())
    return (square / sum(float(other.double().square().sum()) for other in others.values())) ** 0.5
