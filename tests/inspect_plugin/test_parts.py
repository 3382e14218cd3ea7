"""The parts of the plug-in by themselves: queries of messages, bounded scores, pauses, the hook's settings."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("inspect_ai")

from inspect_ai.log import EvalSample
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    ContentImage,
    ContentReasoning,
    ContentText,
    ModelOutput,
)
from inspect_ai.tool import ToolCall

from client.conftest import CannedService
from whence import Client, InvalidRequestError, Query, UnavailableError
from whence.harness.inspect.asking import FAILURES_BEFORE_PAUSE, PAUSE_S, Outage, Service, filter_of
from whence.harness.inspect.background import Background
from whence.harness.inspect.hook import WhenceHooks
from whence.harness.inspect.queries import query_of
from whence.harness.inspect.scorer import attribution
from whence.harness.inspect.scores import MAX_HITS, failure, score_of
from whence.harness.inspect.settings import HookSettings
from whence.harness.inspect.tables import MAX_CHARACTERS, markdown, plain

QUESTION = ChatMessageUser(content="Why?")
ANSWER = ChatMessageAssistant(content="Because.")


def test_a_conversation_keeps_reasoning_and_tool_calls_and_ends_with_the_last_output():
    call = ToolCall(id="c1", function="look", arguments={"at": "owls"})
    thought = ContentReasoning(reasoning="Hm.")
    messages = [
        ChatMessageSystem(content="Be brief."),
        QUESTION,
        ChatMessageAssistant(content=[thought, ContentText(text="I look.")], tool_calls=[call]),
        ChatMessageTool(content="An owl.", tool_call_id="c1", function="look"),
        ANSWER,
        ChatMessageUser(content="Go on."),
    ]
    tools = [{"type": "function", "function": {"name": "look"}}]
    expected = [
        ("system", "Be brief."),
        ("user", "Why?"),
        {
            "role": "assistant", "content": "I look.", "reasoning_content": "Hm.",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": {"at": "owls"}}}],
        },
        {"role": "tool", "content": "An owl.", "tool_call_id": "c1", "name": "look"},
        ("assistant", "Because."),
    ]  # fmt: skip
    assert query_of(messages, "chat", tools=tools, query_id="s") == Query.chat(expected, tools=tools, query_id="s")


def test_as_text_the_output_follows_the_other_texts():
    messages = [ChatMessageSystem(content="A."), QUESTION, ANSWER]
    assert query_of(messages, "text") == Query.text("A.\nWhy?", "Because.")


@pytest.mark.parametrize("prompt_format", ["chat", "text"])
@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([QUESTION], "EMPTY_CONVERSATION"),
        ([QUESTION, ChatMessageAssistant(content="")], "EMPTY_COMPLETION"),
        ([ChatMessageUser(content=[ContentImage(image="data:image/png;base64,AA")]), ANSWER], "INVALID_CONVERSATION"),
    ],
)
def test_what_is_no_text_is_refused(messages, reason, prompt_format):
    with pytest.raises(InvalidRequestError) as caught:
        query_of(messages, prompt_format)
    assert caught.value.reason == reason


def test_a_picture_is_refused_by_its_name():
    picture = ChatMessageUser(content=[ContentText(text="What?"), ContentImage(image="data:image/png;base64,AA")])
    with pytest.raises(InvalidRequestError, match="message 1, of the user, has a part of type 'image'"):
        query_of([picture, ANSWER], "chat")


def test_a_score_is_bounded_and_what_steers_terminals_is_not_in_it(target):
    with Client(target) as client:
        answer = client.attribute(Query.text("a", " b"), top_k=2)
    first = answer.positive[0]
    long = type(first)(**{**vars(first), "text": "\x1b" + "owl " * 10_000, "sequence_id": "x" * 5000, "signal": 0.5})
    many = type(answer)(**{**vars(answer), "positive": (long,) * 1000})
    score = score_of(many)
    assert score.value == 0.5
    assert len(score.metadata["hits"]) == MAX_HITS
    assert len(score.answer) == MAX_CHARACTERS
    assert len(score.model_dump_json()) < 60_000
    assert "\x1b" not in score.metadata["hits"][0]["excerpt"] + score.explanation
    assert score.explanation.endswith("… and 990 more")


def test_training_data_stays_text_in_a_table_of_markdown_and_agents_read_it_as_it_is(target):
    with Client(target) as client:
        answer = client.attribute(Query.text("a", " b"), top_k=2)
    hostile = "a | b\n![x](http://h/) <b>*c*</b> `d` $e$"
    hit = type(answer.positive[0])(**{**vars(answer.positive[0]), "text": hostile, "signal": 1.5, "significance": 0.97})
    short = type(answer)(**{**vars(answer), "positive": (hit,), "positive_significant": 1})
    certainty, heading, alignment, row = markdown(short).replace("\n\n", "\n").splitlines()
    assert certainty == "All of these are told from noise."
    assert heading.count(" | ") == alignment.count(" | ") == row.count(" | ") == 6
    assert row.endswith(r"a \| b↵!\[x\](http://h/) \<b\>\*c\*\</b\> \`d\` \$e\$ |")
    assert "![x](http://h/) <b>*c*</b> `d` $e$" in plain(short)


def test_without_hits_a_sample_is_unscored(target):
    with Client(target) as client:
        answer = client.attribute(Query.text("a", " b"))
    score = score_of(type(answer)(**{**vars(answer), "positive": ()}))
    assert (math.isnan(score.value), score.reason) == (True, "no_hits")


def test_after_failures_in_a_row_the_service_is_left_alone_for_a_while():
    now = 0.0
    outage = Outage(clock=lambda: now)
    down = UnavailableError("down", reason="GRPC_UNAVAILABLE")
    for _ in range(FAILURES_BEFORE_PAUSE - 1):
        outage.record(down)
    outage.record(InvalidRequestError("an answer too", reason="TOO_LONG_QUERY"))
    for _ in range(FAILURES_BEFORE_PAUSE):
        outage.check()
        outage.record(down)
    with pytest.raises(UnavailableError, match="not asked, for another 30 s"):
        outage.check()
    now = PAUSE_S
    outage.check()


async def test_a_bug_in_this_process_is_an_error_like_any_other():
    with pytest.raises(Exception, match="failed in this process") as caught:
        await Service(top_k=1).attribute("no query")
    assert failure(caught.value).metadata["error"]["reason"] == "INTERNAL"


@pytest.mark.parametrize(
    "arguments", [{"top_k": 0}, {"only": {"soures": []}}, {"prompt_format": "x"}, {"timeout_s": 0}]
)
def test_arguments_that_nobody_takes_are_refused_before_the_evaluation(arguments):
    with pytest.raises(InvalidRequestError):
        attribution(**arguments)


def test_no_filter_is_none():
    assert filter_of(None) is None


def sample(uuid: str, **fields: object) -> EvalSample:
    messages = [QUESTION, ANSWER]
    return EvalSample(id=uuid, epoch=1, input="Why?", target="x", messages=messages, uuid=uuid, **fields)


async def test_what_is_late_at_the_end_is_left_out_and_said(target, service: CannedService, monkeypatch):
    monkeypatch.setenv("WHENCE_SERVER", target)
    service.hold = True
    background = Background(HookSettings(wait_s=0.2))
    background.take("task", sample("s1"))
    scores = await background.finish("task")
    await background.close()
    assert scores["s1"].reason == "left_out"
    assert scores["s1"].explanation == "Left out: no answer within 0.2 s of the end."


async def test_samples_beyond_the_bound_are_left_out(monkeypatch, target):
    monkeypatch.setenv("WHENCE_SERVER", target)
    monkeypatch.setattr("whence.harness.inspect.background.MAX_WAITING", 1)
    background = Background(HookSettings())
    for uuid in ("s1", "s2"):
        background.take("task", sample(uuid))
    scores = await background.finish("task")
    await background.close()
    assert (scores["s1"].answer, scores["s2"].reason) == ("letters/durrow-1#0", "left_out")


async def test_the_hook_does_not_change_the_sample(monkeypatch, target):
    monkeypatch.setenv("WHENCE_SERVER", target)
    given = sample("s1", output=ModelOutput.from_content("m", "Because."))
    before = given.model_dump_json()
    background = Background(HookSettings())
    background.take("task", given)
    await background.finish("task")
    await background.close()
    assert given.model_dump_json() == before


@pytest.mark.parametrize(
    ("value", "enabled"), [("1", True), ("true", True), ("0", False), ("", False), ("maybe", False)]
)
def test_the_hook_is_on_where_its_variable_is(value, enabled, monkeypatch):
    monkeypatch.setenv("WHENCE_INSPECT_HOOK", value)
    assert WhenceHooks().enabled() is enabled


@pytest.mark.parametrize("name", ["TOP_K", "MAX_CALLS", "TIMEOUT_S", "WAIT_S", "PROMPT_FORMAT"])
def test_a_setting_that_is_none_is_refused(name):
    with pytest.raises(InvalidRequestError):
        HookSettings.from_environment({f"WHENCE_INSPECT_{name}": "much"})


def test_settings_come_from_the_environment():
    given = {"WHENCE_INSPECT_TOP_K": "7", "WHENCE_INSPECT_PROMPT_FORMAT": "text", "WHENCE_INSPECT_WAIT_S": "1.5"}
    assert HookSettings.from_environment(given) == HookSettings(top_k=7, prompt_format="text", wait_s=1.5)
