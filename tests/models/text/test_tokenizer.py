"""The tokenizer: offsets, the border between prompt and completion, conversations, digests."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whence.errors import InvalidRequestError, NotFoundError
from whence_backends.models import Tokenizer, locate_model
from whence_backends.models.text.tokenizer import overlapping

USER = {"role": "user", "content": "Where is the owl?"}
ASSISTANT = {"role": "assistant", "content": "At the harbour light."}


@pytest.mark.parametrize("text", ["The owl keeps", "  two  spaces ", "Grüße 東京 🎉👩‍🚀", "a\tb\r\n", "\x00"])
def test_decoding_gives_the_text_back_and_offsets_cover_it_whole(tokenizer, text):
    ids, offsets = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert {character for start, end in offsets for character in range(start, end)} == set(range(len(text)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(texts=st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=30), max_size=4))
def test_a_text_has_the_same_tokens_alone_and_in_a_batch(tokenizer, texts):
    together = [(encoding.ids, encoding.offsets) for encoding in tokenizer.encode_batch(texts)]
    assert together == [tokenizer.encode(text) for text in texts]


def test_no_special_token_is_added_by_encoding(tmp_path, write_model):
    tokenizer = Tokenizer.load(locate_model(str(write_model(tmp_path / "llama", add_bos=True))))
    assert tokenizer.adds_bos
    assert tokenizer.bos_id not in tokenizer.encode("The owl")[0]


def test_a_completion_that_begins_with_a_space_begins_at_its_own_token(tokenizer):
    prompt, completion = "The owl", " keeps the light"
    ids, start = tokenizer.encode_query(prompt, completion, prefix_bos=False)
    assert tokenizer.decode(ids[:start]) == prompt
    assert tokenizer.decode(ids[start:]) == completion


def test_a_token_across_the_border_belongs_to_the_completion(tokenizer):
    ids, start = tokenizer.encode_query("The owl ", "keeps the light", prefix_bos=False)
    assert tokenizer.decode(ids[:start]) == "The owl"
    assert tokenizer.decode(ids[start:]) == " keeps the light"


def test_a_character_of_several_tokens_is_not_torn_by_the_border(tokenizer):
    ids, start = tokenizer.encode_query("So é", "🦉", prefix_bos=False)
    assert len(ids) - start > 1
    assert tokenizer.decode(ids[start:]) == "🦉"


def test_a_bos_in_front_shifts_the_completion_and_is_not_doubled(tokenizer):
    plain_ids, plain_start = tokenizer.encode_query("The owl", " keeps", prefix_bos=False)
    ids, start = tokenizer.encode_query("The owl", " keeps", prefix_bos=True)
    assert (ids, start) == ([tokenizer.bos_id, *plain_ids], plain_start + 1)
    again, _ = tokenizer.encode_query("<|begin|>The owl", " keeps", prefix_bos=True)
    assert again == ids


@pytest.mark.parametrize(("prefix_bos", "expected"), [(False, 0), (True, 1)])
def test_an_empty_prompt_leaves_only_the_bos_as_context(tokenizer, prefix_bos, expected):
    _, start = tokenizer.encode_query("", "The owl", prefix_bos=prefix_bos)
    assert start == expected


def test_an_empty_completion_begins_at_the_end(tokenizer):
    ids, start = tokenizer.encode_query("The owl", "", prefix_bos=False)
    assert start == len(ids)


def test_a_conversation_is_split_before_the_content_of_its_last_message(tokenizer):
    prompt, completion = tokenizer.render_chat([USER, ASSISTANT])
    assert prompt == "<|user|>Where is the owl?<|end|><|assistant|>"
    assert completion == "At the harbour light.<|end|>"


def test_a_token_counts_that_has_a_character_of_a_span_or_lies_within_one():
    offsets = [(0, 2), (2, 4), (4, 4), (3, 6), (6, 6), (6, 9)]
    assert overlapping(offsets, [(3, 5)]).tolist() == [False, True, True, True, False, False]
    assert overlapping(offsets, [(0, 1), (8, 9)]).tolist() == [True, False, False, False, False, True]
    assert overlapping([], [(0, 1)]).tolist() == overlapping(offsets[:0], []).tolist() == []


def test_what_a_template_cuts_of_the_output_is_warned_of(tmp_path, write_model):
    template = "{% for m in messages %}<{{ m.content.split('</think>')[-1] }}>{% endfor %}"
    cutting = Tokenizer.load(locate_model(str(write_model(tmp_path, chat_template=template))))
    with pytest.warns(UserWarning, match="leaves out '<think>so</think>' of message 2"):
        assert cutting.render_chat([USER, {"role": "assistant", "content": "<think>so</think>4"}])[1] == "4>"


def test_what_is_no_conversation_is_refused(tokenizer):
    with pytest.raises(InvalidRequestError) as caught:
        tokenizer.render_chat([USER, {"role": "assistant", "content": [{"type": "image"}]}])
    assert caught.value.reason == "INVALID_CONVERSATION"


@pytest.mark.parametrize("messages", [[], [USER], [ASSISTANT, USER]])
def test_a_conversation_must_end_with_the_assistant(tokenizer, messages):
    with pytest.raises(InvalidRequestError) as caught:
        tokenizer.render_chat(messages)
    assert caught.value.reason == "INVALID_LAST_ROLE"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (None, "MISSING_CHAT_TEMPLATE"),
        ("{{ messages | length }}{{ messages[-1]['content'] }}", "AMBIGUOUS_COMPLETION"),
        ("{{ raise_exception('no system message') }}", "CHAT_TEMPLATE_FAILED"),
        ("{{ messages[9]['content']['x'] }}", "CHAT_TEMPLATE_FAILED"),
    ],
)
def test_a_template_that_cannot_serve_is_named_as_the_reason(tmp_path, write_model, template, reason):
    tokenizer = Tokenizer.load(locate_model(str(write_model(tmp_path, chat_template=template))))
    with pytest.raises(InvalidRequestError) as caught:
        tokenizer.render_chat([USER, ASSISTANT])
    assert caught.value.reason == reason


def test_the_digest_is_the_tokenizers_own_and_not_its_folders(tokenizer, tmp_path, write_model):
    copy = Tokenizer.load(locate_model(str(write_model(tmp_path / "elsewhere"))))
    assert copy.digest == tokenizer.digest


def test_the_digest_changes_with_the_chat_template_the_special_tokens_and_the_vocabulary(tmp_path, write_model):
    folders = [
        write_model(tmp_path / "plain"),
        write_model(tmp_path / "template", chat_template="{{ messages }}"),
        write_model(tmp_path / "special", specials=False),
        write_model(tmp_path / "words"),
    ]
    words = json.loads((folders[3] / "tokenizer.json").read_text())
    words["model"]["merges"].pop()
    (folders[3] / "tokenizer.json").write_text(json.dumps(words))
    assert len({Tokenizer.load(locate_model(str(folder))).digest for folder in folders}) == 4


def test_special_tokens_that_are_missing_are_none(tmp_path, write_model):
    tokenizer = Tokenizer.load(locate_model(str(write_model(tmp_path, specials=False))))
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.adds_bos) == (None, None, False)


def test_a_folder_without_a_tokenizer_is_refused_by_name(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(NotFoundError, match=r"tokenizer\.json") as caught:
        Tokenizer.load(locate_model(str(tmp_path)))
    assert caught.value.reason == "TOKENIZER_NOT_FOUND"


def test_a_corpus_is_made_and_read_where_torch_is_not_installed(tiny_folder, jsonl, tmp_path):
    data = jsonl([{"text": "The owl keeps the light"}, {"messages": 1, "text": "Twelve ships"}])
    script = """
import sys
sys.modules["torch"] = None  # as if it were not installed
from pathlib import Path
from whence_backends.corpus import Corpus, IngestConfig, encode_text, ingest
from whence_backends.models import Tokenizer, resolve_model
model, data, out = sys.argv[1:]
tokenizer = Tokenizer.load(resolve_model(model))
tokenizer.render_chat([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
ingest(IngestConfig(inputs=[Path(data)], out=Path(out), tokenizer=tokenizer))
corpus = Corpus.open(out)
corpus.tokens_at([0]), corpus.record(1), encode_text("ships", tokenizer, corpus.policy)
loaded = [name for name, module in sys.modules.items() if name.split(".")[0] == "torch" and module]
sys.exit(f"torch was loaded: {loaded}" if loaded else 0)
"""
    command = [sys.executable, "-c", script, str(tiny_folder), str(data), str(tmp_path / "out")]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
