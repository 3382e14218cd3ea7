"""A text of the caller's own becomes the sequence that it would be in the corpus."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whence.errors import InvalidRequestError
from whence_backends.corpus import ChunkPolicy, encode_text

TEXT = "The owl 🦉 keeps the light of 東京."


@pytest.mark.parametrize("specials", [{}, {"bos": True}, {"eos": True}, {"bos": True, "eos": True}])
def test_a_text_is_encoded_as_the_corpus_holds_it(jsonl, make_corpus, tokenizer, specials):
    policy = ChunkPolicy(max_tokens=64, **specials)
    held = make_corpus(jsonl([{"text": TEXT}]), policy=policy).record(0)
    encoded = encode_text(TEXT, tokenizer, policy)
    assert encoded.token_ids.tolist() == held.token_ids.tolist()
    assert encoded.weights.tolist() == held.weights.tolist()
    assert encoded.offsets.tolist() == held.offsets.tolist()
    assert (encoded.text, encoded.position, encoded.sequence_id) == (TEXT, -1, "")


def test_a_text_of_a_packed_corpus_is_framed_as_its_documents_are(tokenizer):
    encoded = encode_text(TEXT, tokenizer, ChunkPolicy(max_tokens=64, boundary="packed", eos=True))
    assert encoded.token_ids[-1] == tokenizer.eos_id
    assert encoded.tokens.weights.sum() == len(encoded.token_ids) - 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(text=st.text(alphabet=st.characters(codec="utf-8"), min_size=2, max_size=40))
def test_the_text_may_hold_any_characters(tokenizer, text):
    encoded = encode_text(text, tokenizer, ChunkPolicy(max_tokens=512, bos=True))
    assert encoded.text == text
    assert tokenizer.decode(encoded.token_ids[1:]) == text


def test_a_text_that_the_corpus_would_have_cut_is_refused(tokenizer):
    tokens = len(tokenizer.encode(TEXT)[0])
    encode_text(TEXT, tokenizer, ChunkPolicy(max_tokens=tokens))
    with pytest.raises(InvalidRequestError, match=f"has {tokens} tokens.*at most {tokens - 1}") as caught:
        encode_text(TEXT, tokenizer, ChunkPolicy(max_tokens=tokens - 1))
    assert (caught.value.reason, caught.value.field) == ("TOO_LONG_SEQUENCE", "text")


@pytest.mark.parametrize("text", ["", "x"])
def test_a_text_with_nothing_to_learn_is_refused(tokenizer, text):
    with pytest.raises(InvalidRequestError) as caught:
        encode_text(text, tokenizer, ChunkPolicy())
    assert caught.value.reason == "TOO_SHORT_SEQUENCE"
