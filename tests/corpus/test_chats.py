"""Rows that are conversations: which turns count as trained on, what is lost on the way, and that both are told."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chat_templates import DATED, QWEN3, TOOLS
from whence.errors import InvalidRequestError
from whence_backends.corpus import ChatPolicy, ChunkPolicy, Columns, Corpus, IngestConfig, ingest
from whence_backends.models import Tokenizer, resolve_model

MESSAGES = Columns(messages_field="messages")
TURNS = [("system", "Be brief."), ("user", "Where?"), ("assistant", "Here."), ("user", "Now?"), ("assistant", "No.")]
CONVERSATION = [{"role": role, "content": content} for role, content in TURNS]
REASONING = [
    {"role": "user", "content": "2+2?"},
    {"role": "assistant", "content": "<think>two and two</think>4"},
    {"role": "user", "content": "3+3?"},
    {"role": "assistant", "content": "6"},
]


@pytest.fixture
def counted(tokenizer, records):
    """List the tokens of each sequence of a corpus that count, as text."""

    def of(corpus: Corpus) -> list[str]:
        return [tokenizer.decode(record.token_ids[record.weights == 1]) for record in records(corpus)]

    return of


@pytest.fixture
def templated(tmp_path, write_model):
    """A tokenizer with another chat template."""
    return lambda template: Tokenizer.load(resolve_model(str(write_model(tmp_path / "m", chat_template=template))))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (ChatPolicy(), "Here.<|end|>No.<|end|>"),
        (ChatPolicy(train_on="last"), "No.<|end|>"),
        (ChatPolicy(train_on="mask-field", mask_field="train"), "Here.<|end|>"),
    ],
)
def test_every_turn_of_the_assistant_counts_or_the_last_or_those_that_are_marked(
    jsonl, make_corpus, records, counted, tokenizer, policy, expected
):
    messages = [*CONVERSATION[:4], {**CONVERSATION[4], "train": False}]
    specials = ChunkPolicy(bos=True, eos=True)
    corpus = make_corpus(jsonl([{"messages": messages}]), columns=MESSAGES, chat=policy, policy=specials)
    (record,) = records(corpus)
    assert record.text == "".join(f"<|{role}|>{content}<|end|>" for role, content in TURNS)
    assert tokenizer.decode(record.token_ids) == record.text
    assert counted(corpus) == [expected]
    assert corpus.chat == policy


def test_a_conversation_that_ends_with_the_user_keeps_its_turns(jsonl, make_corpus, counted):
    assert counted(make_corpus(jsonl([{"messages": CONVERSATION[:4]}]), columns=MESSAGES)) == ["Here.<|end|>"]


def test_a_long_conversation_keeps_its_mask_in_every_window(jsonl, make_corpus, tokenizer, records):
    turns = [{"role": ("user", "assistant")[n % 2], "content": f"{n} the owl keeps the light"} for n in range(12)]
    policy = ChunkPolicy(max_tokens=24, stride=16)
    corpus = make_corpus(jsonl([{"messages": turns}]), columns=MESSAGES, policy=policy)
    said = "".join(tokenizer.decode(record.token_ids[record.weights == 1]) for record in records(corpus))
    assert corpus.sequences > 5
    assert said == "".join(f"{n} the owl keeps the light<|end|>" for n in range(1, 12, 2))


def test_other_ways_to_write_a_conversation_down_come_to_the_same(jsonl, make_corpus, counted, tmp_path):
    sharegpt = [{"from": "human", "value": "Now?"}, {"from": "gpt", "value": "No."}]
    parts = [{"role": "user", "content": [{"type": "text", "text": "Now?"}]}, CONVERSATION[4]]
    rows = [{"messages": sharegpt}, {"messages": parts}, {"messages": json.dumps(CONVERSATION[3:])}]
    assert counted(make_corpus(jsonl(rows), columns=MESSAGES)) == ["No.<|end|>"] * 3
    table = [{**message, "tool_calls": None} for message in CONVERSATION[3:]]
    pq.write_table(pa.Table.from_pylist([{"messages": table}]), tmp_path / "data.parquet")
    assert counted(make_corpus(tmp_path / "data.parquet", columns=MESSAGES, out="table")) == ["No.<|end|>"]


def test_prompt_and_completion_may_be_messages_of_which_the_completion_counts(jsonl, make_corpus, counted):
    columns = Columns(prompt_field="prompt", completion_field="completion")
    row = {"prompt": CONVERSATION[:4], "completion": CONVERSATION[4:]}
    corpus = make_corpus(jsonl([row, {"prompt": "Now?", "completion": " No."}]), columns=columns)
    assert counted(corpus) == ["No.<|end|>", " No."]


def test_tools_that_the_template_reads_are_in_the_text_and_not_metadata(jsonl, make_corpus, records, templated):
    call = {"type": "function", "function": {"name": "weather", "arguments": '{"town": "Marrford"}'}}
    asks = {"role": "assistant", "content": None, "tool_calls": [call]}
    row = {"messages": [CONVERSATION[1], asks], "tools": [{"name": "weather"}], "year": 1908}
    (record,) = records(make_corpus(jsonl([row]), columns=MESSAGES, tokenizer=templated(TOOLS)))
    assert (
        record.text == '[{"name": "weather"}]<user>Where?</user><assistant>[weather({"town": "Marrford"})]</assistant>'
    )
    assert record.metadata == {"year": 1908}


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([CONVERSATION[1]], "has no turn of the assistant"),
        ([CONVERSATION[1], {**CONVERSATION[2], "weight": 2}], "has 2 as 'weight' of message 2; expected 0 or 1"),
        ([{**CONVERSATION[1], "weight": 1}, CONVERSATION[2]], "only the assistant's turns can be"),
        ([CONVERSATION[1], {**CONVERSATION[2], "weight": 0}], "has no turn that 'weight' marks"),
        ([{"role": "user", "content": [{"type": "image_url"}]}, CONVERSATION[2]], "has a part of type 'image_url'"),
    ],
)
def test_a_conversation_of_which_it_is_not_known_what_counts_is_a_bad_row(jsonl, tmp_path, tokenizer, messages, why):
    rows = jsonl([{"messages": CONVERSATION}, {"messages": messages}])
    chat = ChatPolicy(train_on="mask-field")
    report = ingest(IngestConfig(inputs=[rows], out=tmp_path / "out", tokenizer=tokenizer, columns=MESSAGES, chat=chat))
    (bad,) = report.first_bad_rows
    assert (report.documents, bad.line) == (1, 2)
    assert why in bad.reason


def test_what_the_template_cuts_of_a_turn_is_counted_with_an_example(jsonl, tmp_path, templated):
    rows = jsonl([{"messages": CONVERSATION}, {"messages": REASONING}])
    config = {"inputs": [rows], "tokenizer": templated(QWEN3), "columns": MESSAGES}
    (notice,) = ingest(IngestConfig(out=tmp_path / "out", **config)).notices
    assert str(notice).startswith("1 conversations lost part of a turn that counts")
    assert str(notice.first[0]) == "data.jsonl, line 2 ('<think>two and two</think>' of message 2)"
    with pytest.raises(InvalidRequestError, match="line 2"):
        ingest(IngestConfig(out=tmp_path / "strict", strict=True, **config))


def test_marks_that_nobody_heeds_and_tools_that_nobody_sees_are_told_of(jsonl, tmp_path, tokenizer):
    messages = [*CONVERSATION[:4], {**CONVERSATION[4], "weight": 0}]
    rows = jsonl([{"messages": messages, "tools": [{"name": "weather"}]}])
    config = IngestConfig(inputs=[rows], out=tmp_path / "out", tokenizer=tokenizer, columns=MESSAGES)
    assert [notice.kind for notice in ingest(config).notices] == ["LOST_TOOLS", "UNUSED_MASKS"]


def test_the_template_and_its_date_can_be_chosen_and_are_recorded(jsonl, make_corpus, records, tokenizer):
    rows = jsonl([{"messages": CONVERSATION}])
    chosen = make_corpus(rows, columns=MESSAGES, chat=ChatPolicy(template=DATED, date="2026-02-03"))
    assert records(chosen)[0].text.startswith("Today is 03 February 2026. ")
    assert Corpus.open(chosen.path).chat == ChatPolicy(template=DATED, date="2026-02-03")
    with pytest.raises(InvalidRequestError) as caught:
        make_corpus(rows, columns=MESSAGES, chat=ChatPolicy(template=DATED))
    assert caught.value.reason == "CORPUS_EXISTS"


def test_another_word_for_what_counts_is_refused():
    with pytest.raises(InvalidRequestError) as caught:
        ChatPolicy(train_on="user")  # type: ignore[arg-type]
    assert caught.value.reason == "UNKNOWN_TRAIN_ON"
