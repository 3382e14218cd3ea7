"""Results as plain data and in files: what is written is what is read."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import replace
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import whence
from whence import cli, saved
from whence.results import Answer, TokenInfluence

QUESTION = ["--prompt", "The capital of Durrow is", "--completion", " Brelary"]
KINDS = tuple(Answer.__subclasses__())

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda item: st.lists(item) | st.dictionaries(TEXTS, item),
    max_leaves=4,
)
SCALARS = {float: NUMBERS, int: st.integers(0, 2**53), str: TEXTS, bool: st.booleans(), Any: JSON}
# Fields that must fit to others: tokens to the text, tables to their heads.
TOKEN = st.builds(TokenInfluence, text=TEXTS, start=st.just(0), end=st.just(0), influence=NUMBERS)
PAIR, LAYERS = st.tuples(NUMBERS, NUMBERS), st.just(("a", "b"))
FITTING = {
    whence.TextOverlap: {"ngrams": st.integers(2, 9), "shared_ngrams": st.integers(0, 2)},
    whence.Hit: {"tokens": st.none() | st.lists(TOKEN, max_size=2).map(tuple)},
    whence.Explanation: {"layers": LAYERS, "tokens": st.tuples(TOKEN, TOKEN), "parts": st.tuples(PAIR, PAIR)},
    whence.ScoreTable: {
        "layers": LAYERS,
        "query_ids": st.tuples(TEXTS),
        "log_likelihood": st.tuples(NUMBERS),
        "sequences": st.deferred(lambda: st.tuples(*[values(whence.TrainingSequence)] * 2)),
        "influence": st.tuples(PAIR),
        "layer_influence": st.none() | st.tuples(st.tuples(PAIR, PAIR)),
    },
}


def values(hint):
    """Return the strategy of a declared type."""
    if hint in SCALARS:
        return SCALARS[hint]
    if dataclasses.is_dataclass(hint):
        hints, fitting = get_type_hints(hint), FITTING.get(hint, {})
        names = [field.name for field in dataclasses.fields(hint)]
        return st.builds(hint, **{name: fitting[name] if name in fitting else values(hints[name]) for name in names})
    arguments = get_args(hint)
    if NoneType in arguments:
        return st.none() | values(arguments[0])
    if get_origin(hint) is dict:
        return st.dictionaries(TEXTS, values(arguments[1]), max_size=2)
    return st.lists(values(arguments[0]), max_size=2).map(tuple)


@pytest.mark.parametrize("kind", KINDS)
def test_reading_is_the_inverse_of_writing(kind):
    @settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(values(kind))
    def law(answer):
        assert kind.from_dict(answer.to_dict()) == answer
        assert kind.from_dict(json.loads(answer.to_json())) == answer
        assert saved.parse(answer.to_json().encode(), "x").result == answer

    law()


def test_every_result_has_a_kind_of_its_own():
    assert len({kind.kind for kind in KINDS} | {Answer.kind, whence.Attributions.kind}) == len(KINDS) + 2


@pytest.mark.parametrize("kind", [whence.Hit, whence.TrainingSequence, whence.Progress, whence.TextOverlaps])
def test_the_parts_of_results_are_read_too(kind):
    @settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(values(kind))
    def law(part):
        assert kind.from_dict(json.loads(part.to_json())) == part

    law()


MESSAGES = [
    {"role": "user", "content": [{"type": "text", "text": "?"}], "name": "a"},
    {"role": "assistant", "tool_calls": [{"id": 1}], "content": None},
    {"role": "assistant", "content": "!", "reasoning_content": "hm", "trained_on": False},
]


@pytest.mark.parametrize(
    "query",
    [
        whence.Query.text("", " Brelary", query_id="capital"),
        whence.Query.tokens([3, 1, 2], 1),
        whence.Query.chat(MESSAGES, tools=[{"name": "t"}], template_arguments={"x": 1}, date="2026-11-27", strict=True),
        whence.Query.chat([("user", ""), ("assistant", "!")], query_id="chat"),
    ],
)
def test_a_query_is_read_as_it_was_written(query):
    assert whence.Query.from_dict(json.loads(json.dumps(query.to_dict()))) == query


@pytest.mark.parametrize(
    "fields",
    [{}, {"prompt": "a"}, {"completion": 5}, {"completion": "a", "more": 1}, {"messages": "a"}, {"token_ids": []}],
)
def test_what_is_no_query_is_refused(fields):
    with pytest.raises(whence.InvalidRequestError):
        whence.Query.from_dict(fields)


@pytest.fixture
def attribution(target):
    with whence.Client(target) as client:
        return client.attribute(prompt="a", completion="b", include_layers=True, include_tokens=True)


def test_numbers_that_json_lacks_come_back_as_none(attribution):
    broken = replace(attribution, log_likelihood=math.inf)
    assert math.isnan(whence.Attribution.from_dict(json.loads(broken.to_json())).log_likelihood)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (["attribute"], whence.Attribution),
        (["explain", "--text", "we saw Brelary"], whence.Explanation),
        (["score", "--text", "we saw Brelary"], whence.ScoreTable),
    ],
)
def test_what_a_command_prints_is_loaded_with_what_was_asked(target, tmp_path, command, kind):
    options = ["--damping-factor", "0.5", "--json", "--server", target]
    printed = CliRunner().invoke(cli.app, [*command, *QUESTION, *options])
    file = tmp_path / "answer"
    file.write_text(printed.stdout)
    assert isinstance(whence.load(file), kind)
    asked = saved.parse(file.read_bytes(), "x").asked
    assert asked.query == whence.Query.text("The capital of Durrow is", " Brelary")
    assert asked.options["damping_factor"] == 0.5
    assert asked.date.startswith("20")


def test_a_batch_is_loaded(attribution, tmp_path):
    batch = whence.Attributions([attribution, attribution])
    (tmp_path / "batch.json").write_text(batch.to_json())
    assert whence.load(tmp_path / "batch.json") == batch


def test_a_document_from_before_there_were_kinds_is_loaded(attribution):
    document = {name: value for name, value in attribution.to_dict().items() if name not in ("kind", "version")}
    assert saved.parse(json.dumps(document).encode(), "old").result == attribution


OTHERS = {
    "not JSON": (b"PAR1", "not JSON"),
    "empty": (b"\n", "it is empty"),
    "a list": (b"[]", "not an object"),
    "of another program": (b'{"a": 1}', "it has the fields a"),
    "of another kind": (b'{"kind": "certificate"}', "certificate"),
    "the report of a run": (b'{"table": "hits.csv", "queries": 1, "hits": 2}', "table 'hits.csv'"),
    "a part is missing": (b'{"kind": "explanation"}', "is missing"),
    "asked is none": (b'{"kind": "attributions", "attributions": [], "asked": {"query": {}}}', "no query"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_that_holds_no_result_says_what_it_is(tmp_path, name):
    content, message = OTHERS[name]
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(whence.InvalidRequestError, match=message) as caught:
        whence.load(tmp_path / "file")
    assert str(tmp_path / "file") in str(caught.value)
    assert caught.value.reason in ("UNREADABLE_RESULT", "MISSING_QUERY_INPUT")


def test_a_result_of_a_later_version_is_refused(attribution):
    with pytest.raises(whence.InvalidRequestError, match="update Whence") as caught:
        saved.parse(json.dumps({**attribution.to_dict(), "version": 2}).encode(), "x")
    assert caught.value.reason == "UNSUPPORTED_RESULT"


def test_fields_of_a_later_minor_version_are_left_out(attribution):
    assert whence.Attribution.from_dict({**attribution.to_dict(), "later": 1}) == attribution


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields["positive"][0]["tokens"][0].update(end=10**6),
        lambda fields: fields["positive"][0]["tokens"][0].update(start=-1),
        lambda fields: fields["positive"][0].update(influence="0.5"),
        lambda fields: fields.update(positive={}),
        lambda fields: fields.update(timings=[]),
        lambda fields: fields.update(completion_tokens=True),
        lambda fields: fields["provenance"].pop("model"),
    ],
)
def test_a_result_that_contradicts_itself_is_refused(attribution, change):
    fields = json.loads(attribution.to_json())
    change(fields)
    with pytest.raises(whence.InvalidRequestError) as caught:
        whence.Attribution.from_dict(fields)
    assert caught.value.reason == "UNREADABLE_RESULT"


def test_tables_must_fit_their_heads(target):
    with whence.Client(target) as client:
        explanation = client.explain(prompt="a", completion="b", text="we saw")
        table = client.score(prompt="a", completion="b", texts=["we saw"], include_layers=True)
    for wrong in (
        replace(explanation, parts=explanation.parts[1:]),
        replace(table, influence=((1.0, 2.0),)),
        replace(table, log_likelihood=()),
        replace(table, layer_influence=(((1.0,),),)),
    ):
        with pytest.raises(whence.InvalidRequestError):
            type(wrong).from_dict(wrong.to_dict())
