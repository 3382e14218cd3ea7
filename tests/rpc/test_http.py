"""What is served over HTTP: readiness beside metrics."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry

from whence.errors import UnavailableError
from whence_service.rpc import http
from whence_service.rpc.health import HealthService, Readiness
from whence_service.rpc.http import start_metrics_server
from whence_service.rpc.metrics import Metrics
from whence_service.rpc.records import CallRecord


async def healthz(address: str, path: str = "healthz") -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        try:
            answer = urllib.request.urlopen(f"http://{address}/{path}", timeout=10)
        except urllib.error.HTTPError as refused:
            answer = refused
        with answer:
            return answer.status, json.load(answer)["status"]

    return await asyncio.to_thread(ask)


async def test_a_front_end_is_ready_while_it_serves_and_not_while_it_starts_or_drains(
    start_worker, start_front, tmp_path, eventually
):
    address = f"unix:{tmp_path}/worker.sock"
    front = await start_front(address, metrics_address="127.0.0.1:0", drain_s=0.0)
    where = front.front.metrics_address
    assert await healthz(where) == (503, "starting")
    worker = await start_worker(address=address)
    await eventually(front.is_serving)
    assert await healthz(where) == (200, "serving")
    await worker.stop()
    await front.front.pool.refresh()
    assert await healthz(where) == (503, "not serving")
    front.front.host.health.drain()
    assert await healthz(where) == (503, "draining")


async def test_a_front_end_without_workers_is_alive(start_front, tmp_path):
    front = await start_front(f"unix:{tmp_path}/nobody.sock", metrics_address="127.0.0.1:0")
    assert await healthz(front.front.metrics_address, "livez") == (200, "alive")


async def test_a_process_whose_event_loop_is_stuck_is_not_alive(monkeypatch):
    monkeypatch.setattr(http, "_PATIENCE_S", 0.05)
    loop = asyncio.new_event_loop()  # nobody runs it
    server = start_metrics_server(CollectorRegistry(), "127.0.0.1:0", lambda: Readiness.SERVING, loop=loop)
    assert await healthz(server.address, "livez") == (503, "stuck")
    loop.close()
    assert await healthz(server.address, "livez") == (503, "stuck")
    assert await healthz(server.address) == (200, "serving")
    await asyncio.to_thread(server.stop)


async def test_metrics_are_beside_it(start_front, worker):
    front = await start_front(worker, metrics_address="127.0.0.1:0")
    url = f"http://{front.front.metrics_address}/metrics"
    page = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=10).read())
    assert b"whence_models_served 1.0" in page


def test_readiness_is_that_of_every_service():
    health = HealthService(["a", "b"])
    health.set_serving("a", True)
    assert health.readiness is Readiness.STARTING
    health.set_serving("b", True)
    assert health.readiness is Readiness.SERVING
    health.set_serving("a", False)
    assert health.readiness is Readiness.NOT_SERVING


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "is taken"),
        ("127.0.0.1:99999", "from 0 to 65535"),
        ("9100", "not host:port"),
        ("no-such-host.invalid:1", "leads to no address"),
        ("192.0.2.1:9100", "no such address"),
    ],
)
def test_a_metrics_address_that_cannot_be_bound_is_an_error_that_says_why(address, says):
    first = start_metrics_server(CollectorRegistry(), "127.0.0.1:0", lambda: Readiness.SERVING)
    asked, says = (address, says) if address else (first.address, "another process listens there")
    try:
        with pytest.raises(UnavailableError, match=says) as caught:
            start_metrics_server(CollectorRegistry(), asked, lambda: Readiness.SERVING)
        assert (caught.value.reason, caught.value.details["address"]) == ("ADDRESS_UNAVAILABLE", asked)
    finally:
        first.stop()


@pytest.mark.parametrize(("accept", "linked"), [("application/openmetrics-text", True), ("text/plain", False)])
async def test_a_kept_trace_is_an_exemplar_of_its_calls_duration_in_the_format_that_has_them(accept, linked):
    registry = CollectorRegistry()
    observe = Metrics(registry)
    for trace_id, kept in (("ab" * 16, True), ("cd" * 16, False)):
        call = CallRecord(
            service="s",
            method="m",
            code="OK",
            duration_s=kept + 0.02,
            request_id="r",
            trace_id=trace_id,
            trace_kept=kept,
        )
        observe(call)
    server = start_metrics_server(registry, "127.0.0.1:0", lambda: Readiness.SERVING)
    request = urllib.request.Request(f"http://{server.address}/metrics", headers={"Accept": accept})
    page = (await asyncio.to_thread(urllib.request.urlopen, request)).read().decode()
    await asyncio.to_thread(server.stop)
    assert (f'# {{trace_id="{"ab" * 16}"}} 1.02' in page) == linked
    assert "cdcd" not in page
