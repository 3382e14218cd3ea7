"""A small language model of a corpus: what is trained over and over where the user's own model cannot be.

It validates the method and the corpus, not the user's model. Its tokenizer is trained on the same documents.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from whence_backends.batching import plan_batches
from whence_backends.contract import TokenSequence
from whence_backends.corpus import Corpus
from whence_backends.ekfac.batch import TokenBatch, collate
from whence_backends.small_models.optimization import adamw, rise_and_fall
from whence_backends.small_models.tokenizer import byte_level_tokenizer
from whence_backends.validation.training import TrainingRun


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The hyperparameters of a proxy. ``warmup`` is the share of steps in which the learning rate rises."""

    layers: int = 3
    width: int = 64
    heads: int = 4
    feed_forward: int = 192
    vocabulary: int = 1024
    max_tokens: int = 256
    epochs: int = 12
    batch_tokens: int = 512
    peak_learning_rate: float = 3e-3
    warmup: float = 0.05
    weight_decay: float = 0.1
    clip_norm: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ProxyTrainer:
    """Trains a proxy for each run of a plan: a :class:`~whence_backends.validation.training.Trainer`.

    ``corpus`` was made with the tokenizer in the folder ``tokenizer``.
    """

    corpus: Path
    tokenizer: Path
    recipe: Recipe = field(default_factory=Recipe)

    def train(self, run: TrainingRun) -> Path:
        """Train the model of a run and write it to the run's checkpoint."""
        corpus = Corpus.open(self.corpus, verify=False)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(self.tokenizer)
        chosen = set(run.documents_file.read_text(encoding="utf-8").splitlines())
        positions = [place for place in range(corpus.sequences) if corpus.record(place).document_id in chosen]
        model = train_proxy(corpus.tokens_at(positions), self.recipe, seed=run.seed, end=tokenizer.eos_token_id)
        disable_progress_bar()  # of the writing of a megabyte, on the terminal of several trainings
        model.save_pretrained(run.checkpoint)
        tokenizer.save_pretrained(run.checkpoint)
        return run.checkpoint


def train_tokenizer(texts: Sequence[str], recipe: Recipe) -> PreTrainedTokenizerFast:
    """Return the tokenizer of the texts that a proxy reads."""
    return byte_level_tokenizer(texts, vocabulary=recipe.vocabulary, max_tokens=recipe.max_tokens)


def train_proxy(
    sequences: Sequence[TokenSequence],
    recipe: Recipe,
    *,
    seed: int,
    end: int,
    on_epoch: Callable[[int, LlamaForCausalLM, torch.optim.Optimizer], None] = lambda *_: None,
) -> LlamaForCausalLM:
    """Return a Llama-shaped model trained on the sequences with AdamW, the learning rate falling as a cosine.

    ``seed`` draws the first weights and the order of the batches; ``end`` is the id of the end of text. ``on_epoch`` is
    called after each epoch with its number, from 1, the model and the optimizer.
    """
    torch.manual_seed(seed)
    model, rng = make_model(recipe, end), random.Random(seed)
    batches = [[sequences[row] for row in rows] for rows in _batches(sequences, recipe, random.Random(seed))]
    steps = recipe.epochs * len(batches)
    optimizer = adamw(model, peak_learning_rate=recipe.peak_learning_rate, weight_decay=recipe.weight_decay, fused=True)
    schedule = rise_and_fall(optimizer, steps=steps, warmup_steps=max(1, round(recipe.warmup * steps)))
    model.train()
    for epoch in range(1, recipe.epochs + 1):
        for batch in _collated(rng.sample(batches, len(batches))):
            optimizer.zero_grad()
            mean_loss(model, batch).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
            optimizer.step()
            schedule.step()
        on_epoch(epoch, model, optimizer)
    return model.eval()


def make_model(recipe: Recipe, end: int) -> LlamaForCausalLM:
    """Return a model with random weights, from torch's generator."""
    config = LlamaConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        intermediate_size=recipe.feed_forward,
        tie_word_embeddings=True,
        max_position_embeddings=recipe.max_tokens,
        bos_token_id=end,
        eos_token_id=end,
    )
    return LlamaForCausalLM(config)


def mean_loss(model: LlamaForCausalLM, batch: TokenBatch) -> Tensor:
    """Return the mean over the batch's trained tokens of -log p, in nats."""
    logits = model(batch.inputs, use_cache=False).logits  # [B, T, V]
    losses = cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), reduction="none")
    weights = batch.weights.flatten().to(losses.dtype)
    return (losses * weights).sum() / weights.sum()


def _batches(sequences: Sequence[TokenSequence], recipe: Recipe, rng: random.Random) -> list[list[int]]:
    """Return batches of sequences of similar length, ties in random order."""
    order = rng.sample(range(len(sequences)), len(sequences))
    lengths = [len(sequences[row].token_ids) for row in order]
    return [[order[place] for place in rows] for rows in plan_batches(lengths, recipe.batch_tokens)]


def _collated(batches: Sequence[Sequence[TokenSequence]]) -> Iterator[TokenBatch]:
    for batch in batches:
        yield collate(batch, torch.device("cpu"))
