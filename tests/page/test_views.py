"""The other views, and the parts of an answer: reader, maps, exports."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import whence
from e2e.conftest import serve
from e2e.harness import make_artefacts
from e2e.test_explore import explore
from page.conftest import ASKED, Tab
from whence import Query
from whence.results import Hit


def test_the_line_where_noise_begins_is_in_the_ranking(tab: Tab, indexed):
    tab.answered(search="full-scan")
    answer = indexed.client.attribute(Query.text(**ASKED), search="full_scan")
    told = answer.positive_significant
    edge = f"After rank {told} nothing" if told else "Nothing here"
    assert edge in tab.text(".edge")
    rows = tab.page.locator(".hits > li").evaluate_all("rows => rows.map(row => row.className)")
    assert rows.index("edge") == told


def test_the_reader_has_the_whole_text_its_tokens_and_layers(tab: Tab, indexed):
    tab.answered()
    hit = indexed.client.attribute(Query.text(**ASKED), include_layers=True, include_tokens=True).positive[0]
    assert tab.text(".reader .passage") == hit.text
    assert tab.page.locator(".reader mark").count() > 0
    tab.page.get_by_text("By layer (").click()
    assert len(tab.texts(".layers li")) == len(hit.layer_influence)
    tab.page.get_by_text("By layer and token").click()
    tab.page.wait_for_selector(".reader canvas")
    tab.page.locator(".reader canvas").press("ArrowRight")
    assert "nats: " in tab.texts(".reader .readout")[-1]


def test_the_map_of_sequences_and_layers_reads_out_its_cells(tab: Tab):
    tab.answered()
    tab.page.get_by_text("Map of sequences and layers").click()
    tab.page.locator(".sheet canvas").hover()
    assert "nats: " in tab.text(".sheet .readout")
    assert len(tab.texts(".sheet tbody tr")) == 10


def test_groups_are_those_of_the_client(tab: Tab, indexed):
    tab.go("sources", **ASKED)
    tab.page.wait_for_selector(".groups")
    expected = indexed.client.group_influence(Query.text(**ASKED))
    assert tab.texts(".groups tbody th") == [*[group.name for group in expected], "all"]
    tab.page.get_by_role("link", name=expected.groups[0].name, exact=True).click()
    tab.page.wait_for_selector(".facts")
    assert expected.groups[0].name in tab.text(".chip")


def test_two_outputs_are_compared_by_exact_influences_on_both(tab: Tab, indexed):
    other = {"prompt": "the keeper lit ", "completion": "the oil"}
    tab.go("compare", **ASKED, prompt2=other["prompt"], completion2=other["completion"])
    tab.page.wait_for_selector(".butterfly li")
    first = tab.page.locator(".butterfly li").first
    sequence = first.locator(".middle .small").inner_text().split()[-1]
    table = indexed.client.score([Query.text(**ASKED), Query.text(**other)], sequence_ids=[sequence])
    shown = [first.locator(f".{side} .numbers").inner_text() for side in ("left", "right")]
    expected = [tab.module("numbers", "m.signed(x)", row[0]) for row in table.influence]
    assert shown == expected
    assert "unknown" not in tab.text(".butterfly")


def test_two_models_are_compared_on_one_output(open_tab, launch, artefacts, tmp_path):
    other = make_artefacts(tmp_path, seed=1)
    workers = [launch.worker(artefacts), launch.worker(other, "--name", "other")]
    service = serve(artefacts, workers, [launch.front(*workers)])
    with explore(tmp_path / "log", service.front.address) as running:
        both = {"prompt2": ASKED["prompt"], "completion2": ASKED["completion"], "model": "tiny", "model2": "other"}
        tab = open_tab(running.url).go("compare", **ASKED, **both)
        tab.page.wait_for_selector(".butterfly li")
        assert tab.texts(".compared .a-ink") == ["A · tiny", "B · other"]
        known = {hit.sequence_id for name in ("tiny", "other") for hit in ranked(service.client, name)}
        assert {row.split()[-1] for row in tab.texts(".butterfly .middle .small")} == known
        assert tab.page.get_by_label("Model of B").input_value() == "other"


def ranked(client: whence.Client, model: str) -> tuple[Hit, ...]:
    return client.attribute(Query.text(**ASKED), model=model).positive


def test_the_facts_are_in_plain_view_and_open_to_sentences(tab: Tab):
    tab.answered()
    facts = tab.texts(".fact summary")
    for fact in ("probability", "told from noise", "recall about", "truth: not validated", "sequences searched"):
        assert any(fact in line for line in facts), (fact, facts)
    tab.page.get_by_text("recall about").click()
    assert "Only candidates were scored exactly" in tab.text(".facts")


def test_the_model_says_that_it_was_not_validated_and_what_it_is_made_from(tab: Tab, indexed):
    tab.go("model")
    tab.page.wait_for_selector("h1")
    served = indexed.client.model()
    assert "Not validated" in tab.text("main")
    assert served.factors_digest in tab.text("main")


def test_a_certificate_is_on_the_models_page_and_at_every_answer(tab: Tab):
    certificate = {
        "kind": "CERTIFICATE_KIND_PROXY", "essence": "LDS 0.52 of 0.80; valid to rank 10", "digest": "blake3:1",
        "lds": 0.5, "ldsStandardError": 0.02, "ldsCeiling": 0.8, "ldsSignal": 0.58, "ldsBm25": 0.4,
        "measuredModel": "small", "method": "retraining", "date": "2026-11-20", "validToRank": 10, "queries": 8,
        "subsets": 20, "negativeValidated": False, "dampingFactor": 0.1,
    }  # fmt: skip

    def certified(route) -> None:
        answer = route.fetch()
        document = answer.json()
        document["models"][0]["certificate"] = certificate
        route.fulfill(json=document)

    tab.page.route("**/v1/list-models", certified)
    tab.go("model")
    tab.page.wait_for_selector("h1")
    assert "LDS 0.52 of 0.80" in tab.text("main")
    assert "a small model in the served one's place" in tab.text("main")
    assert "BM25: shared words" in tab.text("main")


def test_exports_are_what_was_answered(tab: Tab, indexed, tmp_path: Path):
    tab.answered(k=4)
    files = {}
    for name in ("JSON", "CSV", "Report"):
        with tab.page.expect_download() as download:
            tab.page.get_by_role("button", name=name, exact=True).click()
        files[name] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[name])
    expected = indexed.client.attribute(Query.text(**ASKED), top_k=4)
    rows = list(csv.DictReader(files["CSV"].read_text().splitlines()))
    assert [row["sequence_id"] for row in rows] == [hit.sequence_id for hit in expected.positive]
    assert [float(row["influence"]) for row in rows] == pytest.approx([hit.influence for hit in expected.positive])
    kept = json.loads(files["JSON"].read_text())
    assert kept["answer"]["attribution"]["positive"][0]["influence"] == pytest.approx(expected.positive[0].influence)
    assert expected.positive[0].sequence_id in files["Report"].read_text()
    assert "<script" not in files["Report"].read_text()


def test_the_theme_is_kept(tab: Tab, url: str):
    tab.go()
    tab.page.wait_for_selector(".theme")
    tab.page.locator(".theme").click()
    tab.page.locator(".theme").click()
    tab.page.reload()
    tab.page.wait_for_selector(".theme")
    assert tab.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert whence.__version__ in tab.page.evaluate("fetch('/page/settings.json').then(r => r.text())")
