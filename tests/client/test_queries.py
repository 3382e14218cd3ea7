"""What a query is, and which ones are refused before anything is sent."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence import InvalidRequestError, Query, TrainingExample, _inputs, requests
from whence.v1 import query_pb2

CHAT = [{"role": "user", "content": "Capital of Durrow?"}, {"role": "assistant", "content": "Brelary"}]


@given(st.text(), st.text(min_size=1), st.text())
def test_text_is_sent_as_it_is(prompt, completion, query_id):
    sent = query_pb2.Query.FromString(Query.text(prompt, completion, query_id=query_id).to_proto().SerializeToString())
    assert (sent.text.prompt, sent.text.completion, sent.query_id) == (prompt, completion, query_id)


def test_a_conversation_is_mappings_or_pairs():
    pairs = [(message["role"], message["content"]) for message in CHAT]
    assert Query.chat(CHAT) == Query.chat(pairs)
    assert [message.role for message in Query.chat(CHAT).to_proto().chat.messages] == ["user", "assistant"]


def test_whatever_else_a_message_holds_is_sent_as_json():
    call = {"type": "function", "function": {"name": "weather", "arguments": {"town": "Marrford", "days": 2}}}
    asks = {"role": "assistant", "content": None, "tool_calls": [call]}
    parts = {"role": "user", "content": [{"type": "text", "text": "Weather?"}]}
    query = Query.chat([parts, asks], tools=[{"name": "weather"}], date="2026-02-03", strict=True)
    chat = query.to_proto().chat
    assert [json.loads(message.fields_json) for message in chat.messages] == [
        {"content": parts["content"]},
        {"content": None, "tool_calls": [call]},
    ]
    assert (json.loads(chat.tools_json), chat.date, chat.strict) == ([{"name": "weather"}], "2026-02-03", True)


def test_training_examples_say_what_counts():
    chat = TrainingExample.chat([*CHAT, {"role": "assistant", "content": "Or so.", "trained_on": False}])
    sent = [one.to_proto() for one in (TrainingExample.text("a"), TrainingExample.completion("a", "b"), chat)]
    assert [one.WhichOneof("selector") for one in sent] == ["text", "completion", "chat"]
    assert [message.HasField("trained_on") for message in sent[2].chat.messages] == [False, False, True]
    assert _inputs.selectors(["x#0"], ["a"], [chat])[2] == _inputs.one_selector(None, None, chat)


def test_tokens_may_be_anything_that_counts():
    import numpy as np

    sent = Query.tokens(np.array([5, 6, 7]), 2).to_proto()
    assert (list(sent.tokens.ids), sent.tokens.completion_start) == ([5, 6, 7], 2)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Query.text("a prompt", ""), "EMPTY_COMPLETION"),
        (lambda: Query.chat([]), "EMPTY_CONVERSATION"),
        (lambda: Query.chat(CHAT[:1]), "INVALID_LAST_ROLE"),
        (lambda: Query.chat([{"role": "assistant"}]), "INVALID_CONVERSATION"),
        (lambda: Query.chat(["assistant"]), "INVALID_CONVERSATION"),
        (lambda: Query.chat([{"role": "assistant", "content": 3}]), "INVALID_CONVERSATION"),
        (lambda: Query.chat([{"role": "assistant", "content": None}]), "INVALID_CONVERSATION"),
        (lambda: Query.chat([{**CHAT[1], "trained_on": 1}]), "INVALID_CONVERSATION"),
        (lambda: Query.chat(CHAT, tools=[{"name": {1, 2}}]), "INVALID_CONVERSATION"),
        (lambda: TrainingExample.chat([]), "EMPTY_CONVERSATION"),
        (lambda: _inputs.one_selector(None, "a", TrainingExample.text("a")), "MISSING_SEQUENCES"),
        (lambda: Query.tokens([1, 2], 0), "INVALID_COMPLETION_START"),
        (lambda: Query.tokens([1, 2], 2), "INVALID_COMPLETION_START"),
        (lambda: Query.tokens([1, -2], 1), "INVALID_TOKEN_ID"),
        (lambda: Query.tokens([1, 2**32], 1), "INVALID_TOKEN_ID"),
        (lambda: _inputs.one_query(None, "a prompt", None), "MISSING_QUERY_INPUT"),
        (lambda: _inputs.one_query(Query.text("a", "b"), "", "c"), "MISSING_QUERY_INPUT"),
        (lambda: _inputs.one_or_more_queries([]), "MISSING_QUERIES"),
        (lambda: _inputs.selectors([], []), "MISSING_SEQUENCES"),
        (lambda: _inputs.selectors("letters#0", []), "INVALID_SEQUENCES"),
        (lambda: _inputs.one_selector(None, None), "MISSING_SEQUENCES"),
        (lambda: _inputs.one_selector("letters#0", "text"), "MISSING_SEQUENCES"),
    ],
)
def test_what_can_never_be_answered_is_refused(make, reason):
    with pytest.raises(InvalidRequestError) as caught:
        make()
    assert caught.value.reason == reason
    assert caught.value.field


def options(**changes):
    return requests.batch([Query.text("a", "b")], changes, model="", request_id="").options


@pytest.mark.parametrize("changes", [{"top_k": 0}, {"direction": "up"}, {"search": "index"}, {"query_rank": -1}])
def test_unknown_options_are_refused(changes):
    with pytest.raises(InvalidRequestError, match="must be"):
        options(**changes)


def test_an_unknown_direction_names_the_known_ones():
    with pytest.raises(InvalidRequestError, match="positive, negative, both"):
        options(direction="up")


def test_one_layer_is_not_mistaken_for_the_letters_of_its_name():
    with pytest.raises(InvalidRequestError, match="it is a list"):
        options(layers="lm_head")
