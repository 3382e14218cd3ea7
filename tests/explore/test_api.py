"""Each method over HTTP gives the answer that it gives over gRPC."""

from __future__ import annotations

import json

from whence.v1.attribution_pb2 import AttributionOptions
from whence.v1.attribution_service_pb2 import AttributeRequest

QUERY = {"text": {"prompt": "p", "completion": "abc"}}


async def test_an_answer_is_that_of_the_call(page, front, ask):
    answer = (await page.post("attribute", {"query": QUERY, "options": {"topK": 3}})).json()
    request = AttributeRequest(query=ask("abc"), options=AttributionOptions(top_k=3))
    expected = (await front.stub.Attribute(request)).attribution
    ids = [hit["sequence"]["sequenceId"] for hit in answer["attribution"]["positive"]]
    assert ids == [hit.sequence.sequence_id for hit in expected.positive] != []


async def test_a_stream_is_lines_of_results_of_which_the_last_is_the_answer(page):
    response = await page.post("stream-attribute", {"query": QUERY, "options": {"top_k": 3}})
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert response.headers["content-type"] == "application/x-ndjson"
    assert "result" in lines[-1]["result"]


async def test_a_wrong_request_is_refused_with_the_status_of_the_server(page):
    response = await page.post("attribute", {"query": QUERY, "options": {"topK": 5000}})
    assert response.status_code == 400
    assert response.json()["details"][0]["reason"] == "TOO_LARGE_TOP_K"


async def test_an_unknown_field_is_named(page):
    response = await page.post("attribute", {"query": {"text": {"prompt": "p", "compleition": "abc"}}})
    assert response.json()["details"][0]["reason"] == "UNKNOWN_FIELD"
    assert response.json()["details"][1]["fieldViolations"][0]["field"] == "query.text.compleition"


async def test_the_page_and_its_settings_are_served(page, front):
    assert (await page.http.get("/")).headers["content-type"] == "text/html; charset=utf-8"
    assert (await page.http.get("/page/settings.json")).json()["server"] == front.address
    assert (await page.http.get("/page/settings.json")).json()["needsToken"] is False
