"""Results to report on: answers of a server, tables of runs, and texts that nobody means well with."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import whence
from whence.bulk import attribute_file
from whence.results import Answer, Noise

QUESTION = {"prompt": "The capital of Durrow is", "completion": " Brelary"}
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)><style>*{display:none}</style> \"'&lt; </p></section></html>"
    "<a href='javascript:alert(3)'>x</a><meta http-equiv=refresh content='0;url=https://example.org'>"
    "\u202ereversed\u2066 \x1b[31m \x00 \u2028 👩‍👩‍👧‍👦 Z̷͓̽a̴l̵g̶o ]]> --> <!-- "
) + "y" * 3000
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Reads HTML and fails where tags do not fit together. ``text`` is what is seen, ``tags`` what there is."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.text, self.attributes, self.ids = [], set(), "", [], []
        self.feed(source)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


@pytest.fixture
def client(target):
    with whence.Client(target, timeout_s=20, retry=None) as client:
        yield client


@pytest.fixture
def results(client):
    """One result of each kind."""
    query = whence.Query.text(**QUESTION, query_id="capital")
    answer = client.attribute(query, direction="both", include_layers=True, include_tokens=True)
    noise = Noise(
        scale=1e-4, degrees_of_freedom=2.5, positive_threshold=8e-4, negative_threshold=None, sequences=40,
        positive_significant=1, negative_significant=0, sampled=8,
    )  # fmt: skip
    first, second = answer.positive
    hits = (replace(first, signal=first.influence, significance=0.97), replace(second, signal=1e-5, significance=0.6))
    recall = whence.Recall(recall=0.9, margin=1.0, candidates=20, reranked=10, stopped_early=True)
    sure = replace(
        answer, positive=hits, noise=noise, positive_significant=1, negative_significant=0, positive_recall=recall
    )
    about = {field.name: getattr(answer, field.name) for field in dataclasses.fields(Answer)}
    group = whence.GroupInfluence(
        name="letters", sequences=2, influence=0.5, standard_error=0.1, sampled=1, signal=0.4, signal_low=-0.1
    )
    groups = (group, replace(group, name="", signal=-0.2, signal_high=0.5, standard_error=0.0))
    return {
        "attribution": sure,
        "batch": client.attribute_batch([query, query], include_layers=True),
        "groups": whence.GroupInfluences(**about, groups=groups, total=group, log_likelihood=-1.25),
        "self": whence.SelfInfluences(**about, hits=answer.positive),
        "scores": client.score([query], sequence_ids=["letters/durrow-1#0"], texts=["Brelary"]),
        "explanation": client.explain(query, text="we saw Brelary"),
    }


@pytest.fixture
def table(client, tmp_path):
    """Return the function that writes a run's table: of these rows of queries, in this format."""

    def write(rows, name="hits.jsonl", **options):
        queries = tmp_path / "queries.jsonl"
        queries.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        attribute_file(client, queries, tmp_path / name, **{"top_k": 2, "direction": "both", **options})
        return tmp_path / name

    return write


def judged(task, correct, number):
    return {"id": f"{task}/{number}", **QUESTION, "task": task, "correct": correct, "answer": "Brelary"}
