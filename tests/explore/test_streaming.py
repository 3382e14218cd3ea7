"""Streams as lines of JSON: each is sent at once, a failure is the last, and a caller who leaves ends the call."""

from __future__ import annotations

import asyncio
import json

import pytest

from whence.errors import InternalError

QUERY = {"text": {"prompt": "p", "completion": "abc"}}
FULL_SCAN = {"query": QUERY, "options": {"search": "SEARCH_FULL_SCAN"}}


async def test_a_line_arrives_as_soon_as_there_is_progress(page, worker):
    worker.stub.may_finish.clear()
    async with page.http.stream("POST", "/v1/stream-attribute", json=FULL_SCAN) as response:
        lines = response.aiter_lines()
        assert json.loads(await anext(lines))["result"]["partial"]["sequencesScored"] == "1"
        worker.stub.may_finish.set()
        rest = [json.loads(line) async for line in lines]
    assert response.headers["content-type"] == "application/x-ndjson"
    assert "result" in rest[-1]["result"]


async def test_it_is_not_compressed_because_lines_would_be_held_back(page):
    response = await page.post("stream-attribute", FULL_SCAN, Accept_Encoding="gzip")
    assert "content-encoding" not in response.headers


async def test_a_failure_before_the_first_message_is_an_ordinary_response(page):
    response = await page.post("stream-attribute", {})
    assert response.status_code == 400
    assert response.json()["details"][0]["reason"] == "MISSING_QUERY_INPUT"


async def test_a_failure_after_it_is_the_last_line(page, worker):
    worker.stub.failure = InternalError("broken", reason="WORKER_FAILED")
    response = await page.post("stream-attribute", FULL_SCAN)
    first, *_, last = [json.loads(line) for line in response.text.splitlines()]
    assert response.status_code == 200
    assert "partial" in first["result"]
    assert last["error"]["code"] == 13
    assert last["error"]["details"][0]["reason"] == "WORKER_FAILED"


@pytest.mark.parametrize("path", ["stream-attribute", "attribute"])
async def test_a_caller_who_leaves_ends_the_call(page, worker, path):
    worker.stub.may_finish.clear()
    asking = asyncio.create_task(page.http.post(f"/v1/{path}", json=FULL_SCAN))
    await worker.stub.scanning.wait()
    asking.cancel()
    await asyncio.wait_for(worker.stub.cancelled.wait(), 10)


async def test_a_caller_who_leaves_between_two_lines_ends_the_call(page, worker):
    worker.stub.may_finish.clear()
    async with page.http.stream("POST", "/v1/stream-attribute", json=FULL_SCAN) as response:
        await anext(response.aiter_lines())
    await asyncio.wait_for(worker.stub.cancelled.wait(), 10)


async def test_a_page_that_stops_ends_its_streams_with_a_last_line(page, worker):
    worker.stub.may_finish.clear()
    async with page.http.stream("POST", "/v1/stream-attribute", json=FULL_SCAN) as response:
        lines = response.aiter_lines()
        await anext(lines)
        page.server.should_exit = True
        (last,) = [json.loads(line) async for line in lines]
    assert last["error"]["details"][0]["reason"] == "PAGE_UNAVAILABLE"


async def test_a_deadline_that_passes_after_a_line_is_the_last_line(page, worker):
    worker.stub.may_finish.clear()
    response = await page.post("stream-attribute", FULL_SCAN, Grpc_Timeout="300m")
    last = json.loads(response.text.splitlines()[-1])
    assert last["error"]["code"] == 4
