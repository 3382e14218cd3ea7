"""Requests that mean harm, or nothing at all: each is refused with a typed error that tells no secret."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from explore import raw
from whence.explore import connections

# What no caller is to see: tracebacks, and paths of this machine.
INTERNAL = re.compile(r"Traceback|\.py\b|site-packages|/work/|/home/|/tmp/|\bFile \"")
JSON = {"Content-Type": "application/json"}
DEEP = "[" * 100_000
DIGITS = "9" * 100_000
QUERY = {"text": {"prompt": "p", "completion": "abc"}}


def reason(document: Any) -> str:
    assert not INTERNAL.search(json.dumps(document))
    return str(document["details"][0]["reason"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", None),
        ("  \n", None),
        ("{", "INVALID_JSON"),
        ("nonsense", "INVALID_JSON"),
        ("null", "INVALID_JSON"),
        ("[]", "INVALID_JSON"),
        ('"text"', "INVALID_JSON"),
        ('{"name": NaN}', "INVALID_JSON"),
        ('{"name": -Infinity}', "INVALID_JSON"),
        ('{"name": "a", "name": "b"}', "INVALID_JSON"),
        ('{"name": "a"} {}', "INVALID_JSON"),
        (f'{{"name": {DIGITS}}}', "INVALID_JSON"),
        (DEEP, "TOO_DEEP_INPUT"),
        ('{"name":' * 50_000, "TOO_DEEP_INPUT"),
        (b'{"name": "\xff\xfe"}', "INVALID_TEXT"),
        (b"\xff\xfe{\x00}\x00", "INVALID_TEXT"),
        ('{"name": "\\ud800"}', "INVALID_FIELD"),
        ('{"name": 5}', "INVALID_FIELD"),
        ('{"name": ["a"]}', "INVALID_FIELD"),
        ('{"name": {"a": 1}}', "INVALID_FIELD"),
        ('{"nome": 5}', "UNKNOWN_FIELD"),
        ('{"__proto__": {}}', "UNKNOWN_FIELD"),
        ('{"\\u0000": 1}', "UNKNOWN_FIELD"),
        (f'{{"{"x" * 100_000}": 1}}', "UNKNOWN_FIELD"),
        ('{"name": [' + "{}," * 2_000_000 + "{}]}", "TOO_MANY_FIELDS"),
        ('{"name": [' + "1," * 2_000_000 + "1]}", "TOO_MANY_FIELDS"),
        (json.dumps({"nest": json.loads("[" * 300 + "]" * 300)}), "UNKNOWN_FIELD"),
    ],
    ids=range(27),
)
async def test_a_body_that_is_no_message_is_refused(page, body, expected):
    response = await page.http.post("/v1/get-model", content=body, headers=JSON)
    assert response.status_code == (200 if expected is None else 400)
    assert expected is None or reason(response.json()) == expected
    assert len(response.content) < 5000


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"topK": -1}, "options.top_k"),
        ({"topK": 2**32}, "options.top_k"),
        ({"topK": 1e300}, "options.top_k"),
        ({"topK": 1.5}, "options.top_k"),
        ({"topK": "many"}, "options.top_k"),
        ({"topK": True}, "options.top_k"),
        ({"dampingFactor": "much"}, "options.damping_factor"),
        ({"dampingFactor": []}, "options.damping_factor"),
        ({"search": "SEARCH_NONE"}, "options.search"),
        ({"search": 2**40}, "options.search"),
        ({"layers": "all"}, "options.layers"),
        ({"layers": [1]}, "options.layers"),
        ({"layers": [None]}, "options.layers"),
        ({"filter": {"metadata": {"year": 5}}}, "options.filter.metadata"),
        ({"filter": {"metadata": []}}, "options.filter.metadata"),
        ({"filter": []}, "options.filter"),
        ({"filter": 5}, "options.filter"),
        ({"layers": {}}, "options.layers"),
        ({"filter": {"sauces": []}}, "options.filter.sauces"),
        ({"topK": 1, "top_k": 1}, "options.top_k"),
    ],
    ids=str,
)
async def test_a_wrong_value_is_refused_and_its_field_named(page, options, field):
    response = await page.post("attribute", {"query": QUERY, "options": options})
    document = response.json()
    assert (response.status_code, reason(document)) in [(400, "INVALID_FIELD"), (400, "UNKNOWN_FIELD")]
    assert document["details"][1]["fieldViolations"][0]["field"] == field


async def test_two_of_one_choice_are_refused(page):
    both = {**QUERY, "tokens": {"ids": [1, 2], "completionStart": 1}}
    document = (await page.post("batch-attribute", {"queries": [QUERY, both]})).json()
    assert reason(document) == "INVALID_FIELD"
    assert document["details"][1]["fieldViolations"][0]["field"] == "queries[1].tokens"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"},
     {**JSON, "Content-Encoding": "gzip"}],
    ids=str,
)  # fmt: skip
async def test_only_plain_json_is_taken(page, headers):
    response = await page.http.post("/v1/list-models", content=b"{}", headers=headers)
    assert (response.status_code, reason(response.json())) == (415, "UNSUPPORTED_CONTENT_TYPE")


async def test_a_large_body_is_refused_before_it_is_read(page):
    reply = await raw.send(page.port, f"{raw.HEAD}Content-Length: 99999999999999999999\r\n\r\n")
    assert (reply.statuses, reason(reply.body)) == ([413], "TOO_LARGE_MESSAGE")


async def test_a_body_without_a_length_is_refused_once_it_is_too_large(start_page, front):
    page = await start_page(front.address, max_body_bytes=1000)
    chunk = "1f4\r\n" + " " * 500 + "\r\n"
    reply = await raw.send(page.port, f"{raw.HEAD}Transfer-Encoding: chunked\r\n\r\n", chunk, chunk, chunk)
    assert (reply.statuses, reason(reply.body)) == ([413], "TOO_LARGE_MESSAGE")


async def test_a_body_of_the_largest_size_is_taken(start_page, front):
    page = await start_page(front.address, max_body_bytes=1000)
    answers = [await page.http.post("/v1/list-models", content=b" " * size, headers=JSON) for size in (1000, 1001)]
    assert [answer.status_code for answer in answers] == [200, 413]


async def test_a_body_that_is_too_slow_is_refused(start_page, front):
    page = await start_page(front.address, body_timeout_s=0.2)
    reply = await raw.send(page.port, f"{raw.HEAD}Content-Length: 10\r\n\r\n", "{")
    assert (reply.statuses, reason(reply.body)) == ([408], "DEADLINE_EXCEEDED")


async def test_a_head_that_is_too_slow_ends_the_connection(page, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.2)
    assert (await raw.send(page.port, "POST /v1/list-models HTTP/1.1\r\nHost: ")).raw == b""
    whole = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert (await raw.send(page.port, whole, "GET /")).statuses == [200]


async def test_more_connections_than_there_may_be_are_closed(page, monkeypatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 5)
    opened = [await asyncio.open_connection("127.0.0.1", page.port) for _ in range(5)]
    assert (await raw.send(page.port)).raw == b""
    for _, writer in opened:
        writer.close()


async def test_more_calls_than_there_may_be_are_refused_at_once(start_page, front, worker, eventually):
    page = await start_page(front.address, max_calls=1)
    worker.stub.may_finish.clear()
    async with page.http.stream("POST", "/v1/stream-attribute", json={"query": QUERY}):
        refused = await page.post("list-models")
        assert (await page.http.get("/healthz")).status_code == 200
    assert (refused.status_code, reason(refused.json())) == (429, "QUEUE_FULL")
    assert refused.headers["retry-after"] == "1"

    async def is_answered() -> bool:
        return (await page.post("list-models")).status_code == 200

    await eventually(is_answered)


@pytest.mark.parametrize(
    "request_",
    [
        "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "Content-Length: 2, 3\r\n\r\n{}",
        "Content-Length: +2\r\n\r\n{}",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        "Content-Length : 2\r\n\r\n{}",
        "X: a\r\n folded: b\r\nContent-Length: 2\r\nContent-Length: 0\r\n\r\n{}",
        "X: a\rContent-Length: 2\r\n\r\n{}",
        "X: \x00\r\nContent-Length: 2\r\n\r\n{}",
        "Host: other\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_a_length_that_can_be_read_in_two_ways_is_refused_and_the_connection_closed(page, request_):
    hidden = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    reply = await raw.send(page.port, raw.HEAD + request_ + hidden)
    assert len(reply.statuses) == 1, reply.raw
    assert 400 <= reply.statuses[0] < 502
    assert reason(reply.body)


@pytest.mark.parametrize("line", ["", "GET", "GET /\x00 HTTP/1.1", "\x16\x03\x01\x02"])
async def test_what_is_not_http_is_refused(page, line):
    reply = await raw.send(page.port, f"{line}\r\nHost: localhost\r\n\r\n" if line else "\r\n\r\n\r\n\x00\r\n\r\n")
    assert reply.statuses == [400]
    assert reason(reply.body) == "INVALID_HEADERS"


async def test_a_head_without_end_is_refused(page):
    reply = await raw.send(page.port, "GET / HTTP/1.1\r\nHost: localhost\r\n" + "X-Long: " + "x" * 200_000)
    assert reply.statuses in ([400], [])  # the connection may be reset before the answer is read


@pytest.mark.parametrize(
    "path",
    ["/page/../settings.py", "/page/..%2fsettings.py", "/page/%2e%2e/server.py", "/page//etc/passwd", "/page/",
     "/page/\\..\\server.py", "/..//..//etc/passwd", "/v1/", "/v1/attribute/", "/V1/attribute", "/v2/attribute"],
)  # fmt: skip
async def test_there_is_nothing_at_other_paths(page, path):
    reply = await raw.send(page.port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert reply.statuses == [404]
    assert reply.body["details"][0]["reason"] == "UNKNOWN_PATH"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "NONSENSE"])
async def test_another_http_method_is_refused(page, method):
    response = await page.http.request(method, "/v1/attribute")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert reason(response.json()) == "UNSUPPORTED_METHOD"


@pytest.mark.parametrize("header", ["X-Request-Id", "Authorization", "Grpc-Timeout", "traceparent"])
@pytest.mark.parametrize("value", [b"\xff\xfe", b"x" * 9000, b"a\tb"])
async def test_a_header_that_cannot_be_passed_on_is_refused_or_left_out(page, header, value):
    response = await page.http.post("/v1/list-models", content=b"{}", headers={**JSON, header: value})
    assert response.status_code in (200, 400, 401)
    assert response.status_code == 200 or reason(response.json()).startswith("INVALID_")


async def test_an_error_of_ours_tells_nothing(page, monkeypatch, caplog):
    monkeypatch.setattr("whence.explore.api.transcoding.to_json", lambda message: Path("/tmp/secret").read_text())
    response = await page.post("list-models")
    assert (response.status_code, reason(response.json())) == (500, "INTERNAL")
    assert "secret" not in response.text
    assert "Traceback" in caplog.text
