# ruff: noqa: T201  (a script that reports on its terminal)
"""Trains the demo's tokenizer and language model on `corpus.jsonl`; reports the facts that the model learned.

A training sequence is one document between two `<|endoftext|>` tokens.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from whence_backends.small_models.optimization import adamw, rise_and_fall
from whence_backends.small_models.tokenizer import END, byte_level_tokenizer

VOCABULARY = 2048
LONGEST = 256
IGNORED = -100  # the label of padding


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hyperparameters of the training; the defaults are those of the committed model."""

    epochs: int = 18
    documents_per_batch: int = 16
    peak_learning_rate: float = 3e-3
    warmup_steps: int = 100
    weight_decay: float = 0.2
    clip_norm: float = 1.0
    seed: int = 7


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The model's answer to one question; `log_probability` is that of the whole completion, in nats."""

    question: str
    log_probability: float
    greedy: bool


def train_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """The tokenizer of the demo's model."""
    return byte_level_tokenizer(texts, vocabulary=VOCABULARY, max_tokens=LONGEST)


def make_model(end: int) -> LlamaForCausalLM:
    """A Llama-shaped model of about a million weights; `end` is the id of `<|endoftext|>`."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=384,
        tie_word_embeddings=True,
        max_position_embeddings=LONGEST,
        bos_token_id=end,
        eos_token_id=end,
    )
    return LlamaForCausalLM(config)


def train(model: LlamaForCausalLM, sequences: Sequence[list[int]], recipe: Recipe) -> float:
    """Trains in place and returns the mean loss of the last epoch, in nats per token."""
    rng = random.Random(recipe.seed)
    steps = recipe.epochs * math.ceil(len(sequences) / recipe.documents_per_batch)
    optimizer = adamw(model, peak_learning_rate=recipe.peak_learning_rate, weight_decay=recipe.weight_decay)
    schedule = rise_and_fall(optimizer, steps=steps, warmup_steps=recipe.warmup_steps)
    model.train()
    loss = math.nan
    for epoch in range(recipe.epochs):
        started = time.monotonic()
        loss = _train_epoch(model, _batches(sequences, recipe.documents_per_batch, rng), optimizer, schedule, recipe)
        print(f"epoch {epoch + 1}: loss {loss:.3f}, {time.monotonic() - started:.0f} s", flush=True)
    return loss


@torch.no_grad()
def answer(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, question: dict[str, str]) -> Answer:
    """Scores the completion of a question after its prompt."""
    prompt = [tokenizer.bos_token_id, *tokenizer.encode(question["prompt"])]
    completion = torch.tensor(tokenizer.encode(question["completion"]))  # [T]
    logits = model(torch.tensor([[*prompt, *completion.tolist()]])).logits[0, len(prompt) - 1 : -1]  # [T, V]
    log_probability = -cross_entropy(logits, completion, reduction="sum").item()
    greedy = bool((logits.argmax(dim=-1) == completion).all())
    return Answer(question=question["id"], log_probability=log_probability, greedy=greedy)


@torch.no_grad()
def mean_loss(model: LlamaForCausalLM, sequences: Sequence[list[int]]) -> float:
    """The loss over all sequences, in nats per token."""
    total, tokens = 0.0, 0
    for batch in _batches(sequences, 64, random.Random(0)):
        count = int((batch[:, 1:] != IGNORED).sum())
        total, tokens = total + _loss(model, batch).item() * count, tokens + count
    return total / tokens


def _train_epoch(
    model: LlamaForCausalLM,
    batches: Iterator[Tensor],
    optimizer: torch.optim.AdamW,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    recipe: Recipe,
) -> float:
    losses = []
    for batch in batches:
        loss = _loss(model, batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


def _batches(sequences: Sequence[list[int]], size: int, rng: random.Random) -> Iterator[Tensor]:
    """All sequences in random batches [B, T], padded with `IGNORED`; lengths in a batch are similar."""
    order = sorted(range(len(sequences)), key=lambda i: (len(sequences[i]) // 8, rng.random()))
    groups = [order[start : start + size] for start in range(0, len(order), size)]
    for group in rng.sample(groups, len(groups)):
        longest = max(len(sequences[i]) for i in group)
        yield torch.tensor([sequences[i] + [IGNORED] * (longest - len(sequences[i])) for i in group])


def _loss(model: LlamaForCausalLM, batch: Tensor) -> Tensor:
    """Mean next-token loss; padding comes last, where causal attention hides it from real tokens."""
    logits = model(batch.clamp(min=0)).logits[:, :-1]  # [B, T-1, V]
    return cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), ignore_index=IGNORED)


def main() -> None:
    """Trains on the corpus beside this script and writes the model to `--out`, by default `model/` here."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=here / "model")
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    arguments = parser.parse_args()
    recipe = Recipe(epochs=arguments.epochs)
    torch.set_num_threads(2)
    torch.manual_seed(recipe.seed)

    texts = [json.loads(line)["text"] for line in (here / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    tokenizer = train_tokenizer(texts)
    end = tokenizer.convert_tokens_to_ids(END)
    sequences = [[end, *tokenizer.encode(text), end] for text in texts]
    model = make_model(end)
    print(f"{len(sequences)} sequences, {sum(map(len, sequences))} tokens, {model.num_parameters()} weights")
    train(model, sequences, recipe)
    model.eval()
    model.save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)
    _report(model, tokenizer, sequences, json.loads((here / "questions.json").read_text(encoding="utf-8")))


def _report(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    sequences: Sequence[list[int]],
    questions: Sequence[dict[str, str]],
) -> None:
    answers = [answer(model, tokenizer, question) for question in questions]
    for given in answers:
        print(f"{given.question:32} log p {given.log_probability:7.2f}  {'right' if given.greedy else 'wrong'}")
    right = sum(given.greedy for given in answers)
    print(f"loss {mean_loss(model, sequences):.3f} nats a token, {right} of {len(answers)} facts right")


if __name__ == "__main__":
    main()
