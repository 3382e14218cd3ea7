"""Texts that nobody means well with, from the corpus to the page, and answers of a size that could slow it."""

from __future__ import annotations

import base64
import json
import random
import struct
import time
from typing import Any

import pytest

from conformance.characters import CHARACTERS, write_tokenizer
from e2e.conftest import serve
from e2e.harness import Artefacts, Launcher
from e2e.test_explore import explore
from page.conftest import ASKED, OpenTab, Tab
from whence_backends.corpus import ChunkPolicy, Corpus, IngestConfig, ingest
from whence_backends.engines.fake import FakeModel, fit_fake
from whence_backends.models.source import resolve_model
from whence_backends.models.text.tokenizer import Tokenizer

HOSTILE = [
    "<script>document.title = 'mine'</script>",
    "<img src=x onerror=\"document.title = 'mine'\">",
    "</span></li><h1>the keeper</h1><style>*{display:none}</style>",
    "<a href='javascript:alert(1)'>the lamp</a><iframe src='https://example.org'></iframe>",
    "\u202ethe keeper lit the lamp\u2066\u2069 \u200f",
    "the lamp 👩‍👩‍👧‍👦 Z̷͓̽a̴l̵g̶o لَمْبَة 灯",
    "x" * 3000,
    "the\x1b[31m lamp\x00\x07",
    "&lt;b&gt;{{constructor.constructor('alert(1)')()}}${alert(1)}",
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    """A corpus whose texts, sources, ids and metadata are all of that kind."""
    root = tmp_path_factory.mktemp("hostile")
    model, rows = root / "model", root / "documents.jsonl"
    FakeModel.random(len(CHARACTERS), seed=0).save(model)
    write_tokenizer(model)
    with rows.open("w") as file:
        for number, text in enumerate(HOSTILE):
            odd = text.replace("\x00", "")[:80]
            file.write(json.dumps({"id": f"{number}-{odd}", "source": odd, "text": text, odd: odd, "note": odd}) + "\n")
    tokenizer = Tokenizer.load(resolve_model(str(model)))
    ingest(IngestConfig(inputs=[rows], out=root / "corpus", tokenizer=tokenizer, policy=ChunkPolicy(max_tokens=4000)))
    fit_fake(model, Corpus.open(root / "corpus"), root / "factors")
    return Artefacts(model=model, corpus=root / "corpus", factors=root / "factors")


def test_a_hostile_corpus_is_shown_unharmed(open_tab: OpenTab, launch: Launcher, hostile: Artefacts, tmp_path):
    service = serve(hostile, [worker := launch.worker(hostile)], [launch.front(worker)])
    with explore(tmp_path / "log", service.front.address) as running:
        tab = open_tab(running.url).answered(direction="both", k=20, prompt="<b>the</b> keeper ")
        rows = tab.page.locator(".hit")
        assert rows.count() >= len(HOSTILE) - 1
        for row in rows.all():
            row.click()
        assert "<script>" in tab.text(".rankings, .results")
        assert "<b>the</b>" in tab.text(".output")
        tab.page.get_by_text("Map of sequences").click()
        assert tab.page.title() != "mine"
        assert tab.page.locator("main script, main iframe, main style, .hits h1, .hits img").count() == 0
        assert not {"\u202e", "\u2066", "\x1b"} & set(tab.text("main"))
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def tensor(values: list[float], *shape: int) -> dict[str, Any]:
    data = base64.b64encode(struct.pack(f"<{len(values)}d", *values)).decode()
    return {"dataType": "DATA_TYPE_FLOAT64", "shape": [str(size) for size in shape], "data": data}


def long_answer(hits: int, tokens: int, layers: int) -> dict[str, Any]:
    """An answer of a given size, in the form of the API."""
    draw = random.Random(0)
    words = [draw.choice(["owl ", "ship ", "light ", "storm "]) for _ in range(tokens)]
    ends = [sum(map(len, words[: i + 1])) for i in range(min(tokens, 200))]
    while len(ends) < tokens:
        ends.append(ends[-1] + len(words[len(ends)]))
    spans = [place for i, end in enumerate(ends) for place in (end - len(words[i]), end)]
    offsets = base64.b64encode(struct.pack(f"<{len(spans)}i", *spans)).decode()
    sequence = {
        "documentId": "d", "source": "tale", "text": "".join(words), "metadata": {}, "tokenCount": tokens,
        "tokenOffsets": {"dataType": "DATA_TYPE_INT32", "shape": [str(tokens), "2"], "data": offsets},
    }  # fmt: skip
    positive = [
        {
            "rank": rank,
            "sequence": {**sequence, "sequenceId": f"d#{rank}"},
            "influence": 1 / rank,
            "rawInfluence": 100 / rank,
            "layerInfluence": tensor([draw.gauss(0, 1) for _ in range(layers)], layers),
            "tokenInfluence": tensor([draw.gauss(0, 1) for _ in range(tokens)], tokens),
            "signal": 0.9 / rank,
            "significance": max(0.5, 1 - 0.001 * rank),
        }
        for rank in range(1, hits + 1)
    ]
    return {"positive": positive, "layers": [f"model.layers.{i // 3}.mlp.{'abc'[i % 3]}" for i in range(layers)]}


@pytest.mark.parametrize(("hits", "tokens", "layers"), [(1000, 60, 96), (1, 10_000, 288)])
def test_a_large_answer_can_be_used(tab: Tab, hits: int, tokens: int, layers: int):
    large = long_answer(hits, tokens, layers)

    def enlarged(route) -> None:
        *_, line = route.fetch().text().splitlines()
        document = json.loads(line)
        answer = document["result"]["result"]
        answer["attribution"]["positive"] = large["positive"]
        answer["metadata"]["layers"] = large["layers"]
        route.fulfill(body=json.dumps(document), content_type="application/x-ndjson")

    tab.page.route("**/v1/stream-attribute", enlarged)
    tab.go("ask", **ASKED)
    began = time.monotonic()
    tab.page.wait_for_selector(".facts", timeout=60_000)
    shown_s = time.monotonic() - began
    assert tab.page.locator(".hit").count() == hits
    tab.page.locator(".hit").last.click()
    began = time.monotonic()
    # Not by a place on the screen: blocks of a long text take their own height when they come into view.
    tab.page.get_by_text("By layer (").evaluate("summary => summary.click()")
    tab.page.wait_for_selector(".layers li")
    clicked_s = time.monotonic() - began
    print(f"{hits} hits of {tokens} tokens and {layers} layers: {shown_s:.2f} s, a click {clicked_s:.2f} s")
    if tokens >= 10_000:
        assert tab.page.locator(".reader .block").count() > 1
