"""Laws of cutting: every token is there, counts once, and knows where it stands in the text."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence.errors import InvalidRequestError
from whence_backends.corpus.chunking import ChunkPolicy, TokenizedDocument, chunk, frame, is_worth_keeping

BOS, EOS = 1001, 1002


def document(tokens: int, name: str = "d", first_id: int = 0) -> TokenizedDocument:
    """A document of two-character tokens (token 7 reads "7 "), so that text and ids can be compared."""
    pieces = [f"{token % 10} " for token in range(tokens)]
    return TokenizedDocument(
        document_id=name,
        source="s",
        text="".join(pieces),
        metadata={"of": name},
        token_ids=np.arange(first_id, first_id + tokens, dtype=np.int32),
        offsets=np.array([(2 * token, 2 * token + 2) for token in range(tokens)], np.int32).reshape(-1, 2),
        weights=np.ones(tokens, np.float32),
    )


@st.composite
def policies(draw, boundary="document"):
    max_tokens = draw(st.integers(2, 12))
    stride = draw(st.none() | st.integers(1, max_tokens))
    return ChunkPolicy(max_tokens=max_tokens, stride=stride, boundary=boundary, eos=boundary == "packed")


def counted_ids(sequences):
    return [int(token) for s in sequences for token in s.token_ids[s.weights > 0]]


@given(tokens=st.integers(0, 60), policy=policies())
def test_every_token_counts_at_most_once_and_only_the_first_of_a_sequence_is_lost(tokens, policy):
    sequences = list(chunk([document(tokens)], policy))
    counted = counted_ids(sequences)
    without_context = set(range(0, tokens, policy.step)) if policy.overlap == 0 else {0}
    assert counted == [token for token in range(tokens) if token not in without_context]


@given(tokens=st.integers(1, 60), policy=policies())
def test_sequences_cover_a_document_without_gaps_and_never_exceed_the_limit(tokens, policy):
    sequences = list(chunk([document(tokens)], policy))
    assert sequences[0].token_ids[0] == 0
    assert sequences[-1].token_ids[-1] == tokens - 1
    assert all(len(s.token_ids) <= policy.max_tokens for s in sequences)
    assert all(b.token_ids[0] - a.token_ids[0] == policy.step for a, b in pairwise(sequences))
    assert all(b.token_ids[-1] > a.token_ids[-1] for a, b in pairwise(sequences))


@given(lengths=st.lists(st.integers(0, 20), max_size=6), policy=policies("packed"))
def test_a_packed_corpus_counts_every_token_of_every_document_once(lengths, policy):
    documents = [frame(document(n, f"d{i}", first_id=100 * i), bos_id=None, eos_id=EOS) for i, n in enumerate(lengths)]
    stream = [int(token) for d in documents for token in d.token_ids]
    sequences = list(chunk(documents, policy))
    covered = [int(t) for k, s in enumerate(sequences) for t in s.token_ids[policy.overlap if k else 0 :]]
    assert covered == stream
    lost = set(range(0, len(stream), policy.step)) if policy.overlap == 0 else {0}
    assert counted_ids(sequences) == [token for i, token in enumerate(stream) if i not in lost]


@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=5), policy=policies("packed"))
def test_offsets_slice_back_to_the_text_of_each_token(lengths, policy):
    documents = [frame(document(n, f"d{i}"), bos_id=BOS, eos_id=EOS) for i, n in enumerate(lengths)]
    for sequence in chunk(documents, policy):
        for token, (start, stop) in zip(sequence.token_ids, sequence.offsets, strict=True):
            expected = "" if token in (BOS, EOS) else f"{token % 10} "
            assert sequence.text[start:stop] == expected


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=5), policy=policies("packed"))
def test_sequence_ids_are_unique(lengths, policy):
    documents = [frame(document(n, f"d{i}"), bos_id=None, eos_id=EOS) for i, n in enumerate(lengths)]
    names = [sequence.sequence_id for sequence in chunk(documents, policy)]
    assert len(set(names)) == len(names)


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=5), policy=policies())
def test_without_packing_a_sequence_never_crosses_a_document(lengths, policy):
    documents = [document(n, f"d{i}", first_id=100 * i) for i, n in enumerate(lengths)]
    together = list(chunk(documents, policy))
    alone = [sequence for one in documents for sequence in chunk([one], policy)]
    assert [s.sequence_id for s in together] == [s.sequence_id for s in alone]
    assert [s.token_ids.tolist() for s in together] == [s.token_ids.tolist() for s in alone]


def test_bos_opens_the_first_sequence_and_eos_closes_the_last():
    framed = frame(document(5), bos_id=BOS, eos_id=EOS)
    ids = [s.token_ids.tolist() for s in chunk([framed], ChunkPolicy(max_tokens=4))]
    assert ids == [[BOS, 0, 1, 2], [3, 4, EOS]]
    assert framed.offsets[0].tolist() == [0, 0]
    assert framed.offsets[-1].tolist() == [10, 10]


def test_special_tokens_are_not_put_in_twice_or_into_a_rendered_conversation():
    once = frame(document(3), bos_id=BOS, eos_id=EOS)
    assert frame(once, bos_id=BOS, eos_id=EOS).token_ids.tolist() == [BOS, 0, 1, 2, EOS]
    rendered = TokenizedDocument(**{**vars(document(3)), "templated": True})
    assert frame(rendered, bos_id=BOS, eos_id=EOS).token_ids.tolist() == [0, 1, 2]


def test_a_bos_before_a_masked_prompt_is_masked_too():
    masked = TokenizedDocument(**{**vars(document(3)), "weights": np.array([0, 0, 1], np.float32)})
    assert frame(masked, bos_id=BOS, eos_id=EOS).weights.tolist() == [0, 0, 0, 1, 1]


def test_a_packed_sequence_is_named_after_its_first_document_and_lists_all():
    documents = [frame(document(n, name), bos_id=None, eos_id=EOS) for n, name in [(2, "a"), (1, "b"), (2, "c")]]
    first, second = chunk(documents, ChunkPolicy(max_tokens=5, boundary="packed", eos=True))
    assert (first.sequence_id, first.document_id) == ("a#0", "a")
    assert first.metadata == {"of": "a", "packed_documents": ["a", "b"]}
    assert first.text == "0 1 \n\n0 "
    assert (second.sequence_id, second.metadata) == ("c#0", {"of": "c"})


def test_a_sequence_is_left_out_if_it_is_short_or_nothing_in_it_counts():
    policy = ChunkPolicy(max_tokens=4, min_tokens=3)
    sequences = list(chunk([document(6)], policy))
    assert [is_worth_keeping(s, policy) for s in sequences] == [True, False]
    masked = TokenizedDocument(**{**vars(document(4)), "weights": np.zeros(4, np.float32)})
    assert not is_worth_keeping(next(chunk([masked], policy)), policy)


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ({"max_tokens": 1}, "max_tokens"),
        ({"stride": 0}, "stride"),
        ({"stride": 513}, "stride"),
        ({"min_tokens": 0}, "min_tokens"),
        ({"boundary": "page"}, "boundary"),
        ({"boundary": "packed"}, "eos"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_field(setting, field):
    with pytest.raises(InvalidRequestError) as caught:
        ChunkPolicy(**setting)
    assert (caught.value.reason, caught.value.field) == ("INVALID_CHUNK_POLICY", field)
