"""What every response says to browsers, and what requests say to the server."""

from __future__ import annotations

import gzip
import uuid

import pytest

QUERY = {"text": {"prompt": "p", "completion": "abc"}}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/healthz"), ("GET", "/nowhere"), ("GET", "/v1/attribute"), ("POST", "/v1/attribute"),
     ("POST", "/v1/stream-attribute"), ("GET", "/page/settings.json"), ("POST", "/csp-report")],
)  # fmt: skip
async def test_every_response_has_the_policy(page, method, path):
    response = await page.http.request(method, path)
    assert response.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cross-origin-opener-policy"] == "same-origin"
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in response.headers


@pytest.mark.parametrize("headers", [{}, {"Host": "other"}, {"Origin": "http://other"}])
async def test_every_response_of_the_api_has_an_id(page, headers):
    responses = [await page.http.post(path, json={}, headers=headers) for path in ("/v1/list-models", "/v1/nothing")]
    assert all(uuid.UUID(response.headers["x-request-id"]) for response in responses)


async def test_answers_are_kept_by_no_cache_and_files_are_asked_about_again(page):
    assert (await page.post("attribute", {"query": QUERY})).headers["cache-control"] == "no-store"
    document = await page.http.get("/")
    assert document.headers["cache-control"] == "no-cache"
    known = await page.http.get("/", headers={"If-None-Match": document.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")


async def test_large_answers_are_compressed_where_the_caller_takes_that(page):
    body = {"query": QUERY, "options": {"topK": 12, "includeTokens": True}}
    async with page.http.stream("POST", "/v1/attribute", json=body, headers={"Accept-Encoding": "gzip"}) as response:
        raw = b"".join([piece async for piece in response.aiter_raw()])
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw).startswith(b'{"attribution":')


async def test_a_violation_of_the_policy_is_counted_and_logged(page, caplog):
    report = {"csp-report": {"effective-directive": "script-src", "blocked-uri": "https://evil.example/\x1b[2J"}}
    sent = await page.http.post("/csp-report", json=report, headers={"Content-Type": "application/csp-report"})
    assert sent.status_code == 204
    assert "evil.example" in caplog.text
    assert "\x1b" not in caplog.text
    assert (await page.http.get("/healthz")).json()["cspViolations"] == 1


async def test_the_requests_id_is_that_of_the_body_the_header_or_a_new_one(page, worker):
    async def ask(**more: str) -> str:
        answer = await page.post("attribute", {"query": QUERY, **more.pop("body", {})}, **more)
        assert answer.json()["metadata"]["requestId"] == answer.headers["x-request-id"] == worker.stub.request_ids[-1]
        return answer.headers["x-request-id"]

    assert await ask(X_Request_Id="of-the-header") == "of-the-header"
    assert await ask(X_Request_Id="of-the-header", body={"requestId": "of-the-body"}) == "of-the-body"
    assert uuid.UUID(await ask())


@pytest.mark.parametrize(
    ("header", "least", "most"), [("2S", 1, 3), ("1M", 50, 61), ("1H", 3000, 3601), (None, 500, 601)]
)
async def test_the_deadline_is_that_of_the_header_or_the_default(page, worker, header, least, most):
    await page.post("attribute", {"query": QUERY}, **({} if header is None else {"Grpc_Timeout": header}))
    assert least < worker.stub.remaining_s[-1] <= most


@pytest.mark.parametrize("value", ["5", "S", "0S", "-1S", "1s", "999999999S", "1e3S"])
async def test_a_deadline_that_is_none_is_refused(page, value):
    refused = await page.post("list-models", Grpc_Timeout=value)
    assert refused.json()["details"][0]["reason"] == "INVALID_TIMEOUT"


async def test_a_deadline_that_passes_is_504(page, worker):
    worker.stub.may_finish.clear()
    refused = await page.post("attribute", {"query": QUERY}, Grpc_Timeout="300m")
    assert (refused.status_code, refused.json()["code"]) == (504, 4)


async def test_a_request_that_is_refused_for_load_says_when_to_come_back(start_page, start_front, worker):
    front = await start_front(worker, max_running=1, max_waiting=0)
    page = await start_page(front.address)
    worker.stub.may_finish.clear()
    async with page.http.stream("POST", "/v1/stream-attribute", json={"query": QUERY}):
        refused = await page.post("attribute", {"query": QUERY})
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["details"][0]["reason"] == "QUEUE_FULL"


async def test_a_server_that_is_not_there_is_503(start_page):
    page = await start_page("127.0.0.1:1")
    refused = await page.post("get-model", Grpc_Timeout="2S")
    assert refused.status_code == 503
    assert refused.json()["details"][0]["reason"] == "GRPC_UNAVAILABLE"
    assert (await page.http.get("/page/settings.json")).json()["needsToken"] is False
