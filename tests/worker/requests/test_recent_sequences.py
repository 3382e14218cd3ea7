"""Sequences of the corpus that are kept in memory."""

from __future__ import annotations

import pytest

from whence.errors import NotFoundError
from whence.worker.v1.worker_service_pb2 import SequenceReference
from whence_backends.corpus import ChunkPolicy, Corpus, SequenceEncoder
from whence_backends.models.source import resolve_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.worker.requests.recent_sequences import RecentSequences
from whence_backends.worker.requests.sequences import SequenceResolver


class CountedResolver(SequenceResolver):
    calls = 0

    def resolve(self, *arguments, **options):
        self.calls += 1
        return super().resolve(*arguments, **options)


@pytest.fixture
def resolver(artefacts) -> CountedResolver:
    tokenizer = Tokenizer.load(resolve_model(str(artefacts.model)))
    corpus, encoder = Corpus.open(artefacts.corpus), SequenceEncoder(tokenizer, ChunkPolicy(max_tokens=40))
    return CountedResolver(corpus, encoder, max_text_bytes=1000)


def at(*positions: int) -> list[SequenceReference]:
    return [SequenceReference(position=position) for position in positions]


async def test_sequences_that_were_read_are_not_read_again_in_whatever_order(resolver):
    recent = RecentSequences(resolver)
    first = await recent.resolve(at(0, 1, 2), skip_unknown=False)
    again = await recent.resolve(at(2, 0), skip_unknown=False)
    assert resolver.calls == 1
    assert [sequence.index for sequence in again] == [0, 1]
    assert [sequence.description for sequence in again] == [first[2].description, first[0].description]


async def test_a_request_with_one_sequence_that_is_not_kept_is_read(resolver):
    recent = RecentSequences(resolver)
    await recent.resolve(at(0), skip_unknown=False)
    assert [sequence.record.position for sequence in await recent.resolve(at(0, 3), skip_unknown=False)] == [0, 3]
    assert resolver.calls == 2


async def test_an_id_that_looks_like_a_position_is_an_id(resolver):
    recent = RecentSequences(resolver)
    await recent.resolve(at(1), skip_unknown=False)
    with pytest.raises(NotFoundError):
        await recent.resolve([SequenceReference(sequence_id="1")], skip_unknown=False)


async def test_unknown_sequences_are_skipped_and_texts_are_not_kept(resolver):
    recent = RecentSequences(resolver)
    references = [SequenceReference(sequence_id="nobody"), SequenceReference(text="the keeper"), *at(4)]
    for _ in range(2):
        resolved = await recent.resolve(references, skip_unknown=True)
        assert [sequence.index for sequence in resolved] == [1, 2]
    assert resolver.calls == 2
    assert repr(recent).startswith("RecentSequences(1 values")
