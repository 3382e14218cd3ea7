"""``whence doctor`` against servers in and out of order."""

from __future__ import annotations

import json
from concurrent import futures

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import HealthServicer
from typer.testing import CliRunner

from whence import cli
from whence.cli.checks import health
from whence.cli.checks.server import SERVICE
from whence.v1 import attribution_service_pb2_grpc

STATUS = health_pb2.HealthCheckResponse


@pytest.fixture
def healthy(service):
    """A server with a health service: its address and the health servicer."""
    server, reports = grpc.server(futures.ThreadPoolExecutor(4)), HealthServicer()
    attribution_service_pb2_grpc.add_AttributionServiceServicer_to_server(service, server)
    health_pb2_grpc.add_HealthServicer_to_server(reports, server)
    reports.set(SERVICE, STATUS.SERVING)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", reports
    server.stop(None).wait()


def doctor(server: str, *arguments: str):
    command = ["doctor", "--server", server, *arguments]
    return CliRunner().invoke(cli.app, command, env={"COLUMNS": "120"})


def test_a_server_in_order_passes(healthy):
    done = doctor(healthy[0])
    assert done.exit_code == 0
    assert "health: SERVING" in done.stdout
    assert "2 of 2 have a worker" in done.stdout
    assert "warning  toy: ATTENTION_NOT_ATTRIBUTED" in done.stdout
    assert "fail" not in done.stdout.replace("0 failed", "")


def test_a_server_that_is_not_serving_fails(healthy):
    address, reports = healthy
    reports.set(SERVICE, STATUS.NOT_SERVING)
    done = doctor(address)
    assert done.exit_code == 1
    assert "NOT_SERVING" in done.stdout


def test_a_shard_without_workers_fails(healthy, service):
    service.models[0].shards[1].replicas = 0
    done = doctor(healthy[0])
    assert done.exit_code == 1
    assert "no worker holds shard-1" in done.stdout


def test_a_server_without_models_fails(healthy, service):
    service.serve()
    done = doctor(healthy[0])
    assert done.exit_code == 1
    assert "none is served" in done.stdout


def test_a_server_without_health_reports_is_a_warning(target):
    done = doctor(target)
    assert done.exit_code == 0
    assert "does not report its health" in done.stdout


def test_a_server_that_is_not_there_fails():
    done = doctor("127.0.0.1:1", "--timeout", "0.3")
    assert done.exit_code == 1
    assert "127.0.0.1:1 does not answer" in done.stdout
    assert "whence serve" in done.stdout


def test_a_doctor_may_have_all_the_time_in_the_world(healthy):
    assert doctor(healthy[0], "--timeout", "inf").exit_code == 0


def test_json_has_every_check(healthy):
    document = json.loads(doctor(healthy[0], "--json").stdout)
    assert document["ok"] is True
    assert {check["outcome"] for check in document["checks"]} == {"ok", "warning"}


@pytest.mark.parametrize("status", ["SERVING", "NOT_SERVING", "SERVICE_UNKNOWN", "UNKNOWN"])
def test_the_health_messages_are_read_as_the_protocol_writes_them(status):
    assert health._status(STATUS(status=status).SerializeToString()) == status


@pytest.mark.parametrize("name", ["", SERVICE])
def test_the_health_request_is_the_protocols(name):
    assert health._request(name) == health_pb2.HealthCheckRequest(service=name).SerializeToString()
