"""Results in a notebook: one line, HTML that is safe and whole, tables of everything, plots."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import whence
from whence.results import Answer

QUESTION = {"prompt": "The capital of Durrow is", "completion": " Brelary"}
HOSTILE = "<script>alert(1)</script> \"'&lt; \u202ereversed \x1b[31m </td></table>"
VOID = {"br"}


@pytest.fixture
def client(target):
    with whence.Client(target) as client:
        yield client


@pytest.fixture
def results(client):
    query = whence.Query.text(**QUESTION, query_id="capital")
    everything = {"direction": "both", "include_layers": True, "include_tokens": True}
    *_, answer = client.attribute_stream(query, **everything)
    about = {field.name: getattr(answer, field.name) for field in dataclasses.fields(Answer)}
    group = whence.GroupInfluence(name="letters", sequences=2, influence=0.5, standard_error=0.1, sampled=1)
    told = replace(group, name="almanac", influence=-0.25, standard_error=0.0, signal=0.4, signal_low=-0.1)
    groups = (told, replace(told, name="letters", signal=0.2, signal_high=0.5))
    return {
        "attribution": answer,
        "batch": client.attribute_batch([query, query], **everything),
        "groups": whence.GroupInfluences(**about, groups=groups, total=told, log_likelihood=-1.25),
        "self": whence.SelfInfluences(**about, hits=answer.positive),
        "scores": client.score([query], sequence_ids=["letters/durrow-1#0"], texts=["Brelary"]),
        "overlaps": client.text_overlap([query, whence.Query.text("", " nowhere")]),
        "explanation": client.explain(query, text="we saw Brelary"),
    }


NAMES = ["attribution", "batch", "groups", "self", "scores", "overlaps", "explanation"]


class Page(HTMLParser):
    """Reads HTML and fails where tags do not fit together. ``text`` is what is seen, ``tags`` what there is."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.text, self.attributes = [], set(), "", []
        self.feed(source)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] != "style":
            self.text += data


@pytest.mark.parametrize("name", NAMES)
def test_a_result_is_one_short_line(results, name):
    shown = repr(results[name])
    assert len(shown) < 200
    assert "\n" not in shown
    assert type(results[name]).__name__ in shown


def test_hits_and_progress_are_short_too(client, results):
    assert len(repr(results["attribution"][0])) < 200
    progress, *_ = client.attribute_stream(**QUESTION)
    assert repr(progress) == "<Progress: 1 of 3 sequences>"


@pytest.mark.parametrize("name", NAMES)
def test_html_is_whole_and_needs_nothing_from_elsewhere(results, name):
    source = results[name]._repr_html_()
    page = Page(source)
    assert page.tags <= {"style", "div", "p", "b", "i", "br", "span", "table", "caption", "tr", "th", "td"}
    assert not {key for key, _ in page.attributes} - {"class", "style", "title"}
    assert not re.search(r"https?://|url\(|@import", source)
    assert "the corpus is small" in page.text


def test_html_has_every_hit_with_its_parts(results):
    answer = results["attribution"]
    page = Page(answer._repr_html_())
    titles = [value for key, value in page.attributes if key == "title"]
    for hit in answer:
        assert hit.sequence_id in page.text
        assert hit.text in page.text
        for token in hit.tokens:
            assert f"{token.influence:+.3g}" in titles


def test_texts_of_a_corpus_are_no_markup(results):
    answer = results["attribution"]
    hostile = replace(answer[0], text=HOSTILE, source=HOSTILE, sequence_id=HOSTILE, tokens=None)
    warned = whence.AnswerWarning(code="A", message=HOSTILE)
    for shown in (
        replace(answer, query_id=HOSTILE, positive=(hostile,), warnings=(warned,)),
        replace(results["groups"], groups=(replace(results["groups"].total, name=HOSTILE),)),
        replace(results["scores"], query_ids=(HOSTILE,)),
        replace(results["overlaps"], overlaps=(replace(results["overlaps"][0], query_id=HOSTILE, nearest=hostile),)),
    ):
        page = Page(shown._repr_html_())
        assert "script" not in page.tags
        assert "<script>alert(1)</script>" in page.text
        assert not {"\u202e", "\x1b"} & set(page.text)


def test_values_that_are_no_numbers_do_not_break_it(results):
    answer = results["attribution"]
    tokens = tuple(replace(token, influence=math.nan) for token in answer[0].tokens)
    broken = replace(answer[0], influence=math.inf, tokens=tokens, layer_influence={"a": math.nan})
    Page(replace(answer, positive=(broken,))._repr_html_())
    assert json.loads(replace(answer, positive=(broken,)).to_json())["positive"][0]["influence"] is None


@pytest.mark.parametrize("name", NAMES)
def test_every_result_is_plain_data(results, name):
    result = results[name]
    assert json.loads(result.to_json()) == json.loads(json.dumps(result.to_dict()))
    if name != "batch":
        assert result.to_dict() == {"kind": result.kind, "version": 1, **dataclasses.asdict(result)}


@pytest.mark.parametrize("name", NAMES)
def test_every_result_is_a_table(results, name):
    assert len(results[name].to_pandas())
    assert results[name].to_arrow().num_rows


def test_a_batch_is_one_table(results):
    batch = results["batch"]
    assert len(batch.to_pandas()) == batch.to_arrow().num_rows == sum(map(len, batch)) == 6
    table = batch.to_arrow().to_pylist()
    assert [row["influence"] for row in table] == [hit.influence for answer in batch for hit in answer]
    assert dict(table[0]["layer_influence"]) == batch[0][0].layer_influence


def test_parts_in_a_long_table_sum_to_the_influence(results):
    explanation = results["explanation"]
    rows = explanation.to_arrow().to_pylist()
    assert math.fsum(row["influence"] for row in rows) == pytest.approx(explanation.influence)
    assert [row["position"] for row in rows[:3]] == [0, 1, 2]


def test_hits_and_groups_are_found_by_place_and_name(results):
    answer, groups = results["attribution"], results["groups"]
    assert answer[0] is answer.positive[0]
    assert answer[-1] is answer.negative[-1]
    assert answer[:2] == answer.positive[:2]
    assert groups[groups.groups[0].name] is groups[0]
    with pytest.raises(KeyError):
        groups["no such source"]


def test_plots_are_pictures_that_show_themselves(results):
    answer = results["attribution"]
    for figure in (answer.plot_layers(), answer.plot_tokens(), answer.plot_tokens(3), results["explanation"].plot()):
        assert "</svg>" in figure._repr_svg_()
    [axes, _] = answer.plot_layers().axes
    assert axes.images[0].get_array().shape == (3, 3)  # two depths and the head


def test_what_a_plot_lacks_is_named(client, monkeypatch):
    answer = client.attribute(**QUESTION)
    with pytest.raises(whence.UnimplementedError, match="include_layers=True"):
        answer.plot_layers()
    with pytest.raises(whence.UnimplementedError, match="include_tokens=True"):
        answer.plot_tokens()
    with pytest.raises(whence.InvalidRequestError, match="counted from 1"):
        answer.plot_tokens(9)
    whole = client.attribute(**QUESTION, include_layers=True)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(whence.UnimplementedError, match=r"pip install 'whence\[notebook\]'"):
        whole.plot_layers()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(whence.UnimplementedError, match=r"pip install 'whence\[parquet\]'"):
        whole.to_arrow()
