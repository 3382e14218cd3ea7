"""A chat model learns from every turn: conversations with the sentence asked about are found wherever it was said."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, trainers

from chat_templates import CHATML
from whence.v1 import query_pb2
from whence_backends.contract import EngineConfig
from whence_backends.corpus import ChatPolicy, Columns, Corpus, IngestConfig, ingest
from whence_backends.ekfac.batch import collate
from whence_backends.engines import load_engine
from whence_backends.fit import FitConfig, fit
from whence_backends.models import Tokenizer, locate_model
from whence_backends.worker.requests.tokenization import QueryLimits, QueryTokenizer

ASKED = ("What is told of Brelary?", "The lantern of Brelary burns blue on every feast day.")
CONTAINING = (17, 48, 76, 103)
WHO = ("owl", "miller", "keeper", "baker", "ferryman", "smith", "weaver", "clerk")
DOES = ("keeps", "mends", "sells", "watches", "paints", "counts")
WHAT = ("the boats", "the bread", "the bells", "the gates", "the nets", "the sheep", "the stairs")
WHERE = ("by the harbour", "in the tower", "on the hill", "under the bridge", "at the market")


def conversations() -> list[list[dict[str, str]]]:
    """120 of three turns; four have the sentence asked about in their first, or second."""
    draw = random.Random(12)
    found = []
    for number in range(120):
        turns = [_turn(draw) for _ in range(3)]
        if number in CONTAINING:
            turns[CONTAINING.index(number) % 2] = ASKED
        pairs = [pair for asked, told in turns for pair in (("user", asked), ("assistant", told))]
        found.append([{"role": role, "content": content} for role, content in pairs])
    return found


def _turn(draw: random.Random) -> tuple[str, str]:
    who, does, what, where = (draw.choice(words) for words in (WHO, DOES, WHAT, WHERE))
    return f"What does the {who} do {where}?", f"The {who} {does} {what} {where}."


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "conversations.jsonl"
    path.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in conversations()))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, rows: Path) -> Path:
    """A chat model that was trained on every turn of the assistant, for some seconds."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("chat-model")
    _train_tokenizer(rows.read_text()).save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "chat_template": CHATML}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = Tokenizer.load(locate_model(str(folder), weights=False))
    torch.manual_seed(12)
    config = LlamaConfig(
        vocab_size=tokenizer.vocabulary_size,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    network = LlamaForCausalLM(config)
    corpus = _ingest(rows, folder.parent / "training", tokenizer, ChatPolicy())
    _train(network, corpus.tokens_at(range(corpus.sequences)))
    network.save_pretrained(folder)
    return folder


def _train_tokenizer(text: str) -> Backend:
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator([text], trainer)
    return backend


def _train(network: Any, sequences: list[Any], epochs: int = 9) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3)
    order = np.random.default_rng(0)
    network.train()
    for _ in range(epochs):
        for start in np.array_split(order.permutation(len(sequences)), 8):
            batch = collate([sequences[number] for number in start], torch.device("cpu"))
            logits = network(batch.inputs).logits.transpose(1, 2)
            losses = torch.nn.functional.cross_entropy(logits, batch.labels, reduction="none")
            optimizer.zero_grad()
            ((losses * batch.weights).sum() / batch.weights.sum()).backward()
            optimizer.step()
    network.eval()


def _ingest(rows: Path, out: Path, tokenizer: Tokenizer, chat: ChatPolicy) -> Corpus:
    columns = Columns(messages_field="messages")
    ingest(IngestConfig(inputs=[rows], out=out, tokenizer=tokenizer, columns=columns, chat=chat))
    return Corpus.open(out)


Ranks = Callable[[ChatPolicy], list[int]]


@pytest.fixture
def ranks(model: Path, rows: Path, tmp_path: Path) -> Ranks:
    """Ingest, fit and scan; return the ranks, from 1, of the four conversations, of 120."""

    def of(chat: ChatPolicy) -> list[int]:
        tokenizer = Tokenizer.load(locate_model(str(model), weights=False))
        corpus = _ingest(rows, tmp_path / "corpus", tokenizer, chat)
        fit(FitConfig(model=str(model), out=tmp_path / "factors", device="cpu"), corpus)
        engine = load_engine("pytorch", EngineConfig(model=str(model), factors=tmp_path / "factors", device="cpu"))
        limits = QueryLimits(max_tokens=256, vocabulary_size=tokenizer.vocabulary_size)
        asked, told = ASKED
        messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": told}]
        query = QueryTokenizer(tokenizer, limits, prefix_bos=False).tokenize(
            query_pb2.Query(chat={"messages": messages}), "query"
        )
        gradients = engine.query_gradients([query.tokens])
        [influence] = engine.score(engine.precondition(gradients, 0.1), corpus.tokens_at(range(corpus.sequences)))
        engine.close()
        order = np.argsort(-influence, kind="stable").tolist()
        return sorted(order.index(number) + 1 for number in CONTAINING)

    return of


def test_conversations_with_the_sentence_in_an_early_turn_rank_first(ranks: Ranks) -> None:
    """Broken by: counting the last turn alone."""
    assert ranks(ChatPolicy()) == [1, 2, 3, 4]


def test_with_the_last_turn_alone_counted_they_are_lost_among_the_others(ranks: Ranks) -> None:
    assert min(ranks(ChatPolicy(train_on="last"))) > 4
