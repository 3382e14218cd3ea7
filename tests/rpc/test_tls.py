"""A front end that serves TLS and mutual TLS, over real sockets, while its files change."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authority import Authority, put
from whence.errors import InvalidRequestError
from whence.v1 import attribution_service_pb2, attribution_service_pb2_grpc


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(authority: Authority):
    """The front end's certificate."""
    return authority.issue("server")


@pytest.fixture
async def secure(start_front, worker, server):
    """A front end with TLS."""
    return await start_front(worker, tls_certificate=server.certificate, tls_key=server.key, tls_reload_s=0.05)


@pytest.fixture
async def mutual(start_front, worker, server, authority):
    """A front end with mutual TLS."""
    return await start_front(
        worker, tls_certificate=server.certificate, tls_key=server.key, tls_client_ca=authority.file, tls_reload_s=0.05
    )


def channel(address: str, authority: Authority, issued=None, **options) -> grpc.aio.Channel:
    own = (issued.key.read_bytes(), issued.certificate.read_bytes()) if issued else ()
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes(), *own)
    given = [("grpc.use_local_subchannel_pool", 1), *((f"grpc.{name}", value) for name, value in options.items())]
    return grpc.aio.secure_channel(address, credentials, options=given)


async def models(opened: grpc.aio.Channel) -> list[str]:
    async with opened:
        stub = attribution_service_pb2_grpc.AttributionServiceStub(opened)
        answer = await stub.ListModels(attribution_service_pb2.ListModelsRequest(), timeout=10)
    return [model.name for model in answer.models]


async def refused(opened: grpc.aio.Channel) -> bool:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await models(opened)
    return caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def version(address: str, authority: Authority, highest: ssl.TLSVersion) -> str:
    """Return the version that a client agrees on with the server, which speaks at most ``highest``."""
    context = ssl.create_default_context(cafile=str(authority.file))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = highest
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    agreed = writer.get_extra_info("ssl_object").version()
    writer.close()
    return agreed


async def peer(address: str, authority: Authority) -> str:
    """Return the common name in the certificate that a new connection sees."""
    context = ssl.create_default_context(cafile=str(authority.file))
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    subject = writer.get_extra_info("peercert")["subject"]
    writer.close()
    return subject[0][0][1]


def metric(front, name: str, **labels: str) -> float | None:
    return front.front._registry.get_sample_value(name, labels)


async def test_a_client_that_trusts_the_authority_is_answered(secure, authority):
    assert await models(channel(secure.address, authority)) == ["tiny"]


async def test_health_is_checked_over_tls_too(secure, authority):
    async with channel(secure.address, authority) as opened:
        answer = await health_pb2_grpc.HealthStub(opened).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_client_of_another_authority_is_refused(secure, tmp_path):
    assert await refused(channel(secure.address, Authority(tmp_path, "stranger")))


async def test_a_client_without_tls_is_refused(secure):
    assert await refused(grpc.aio.insecure_channel(secure.address))


async def test_a_certificate_of_another_host_is_refused(start_front, worker, authority):
    elsewhere = authority.issue("server", "whence.example.com")
    front = await start_front(worker, tls_certificate=elsewhere.certificate, tls_key=elsewhere.key)
    assert await refused(channel(front.address, authority))
    assert await models(channel(front.address, authority, default_authority="whence.example.com")) == ["tiny"]


async def test_versions_before_1_2_are_refused(secure, authority):
    assert await version(secure.address, authority, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    assert await version(secure.address, authority, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    with pytest.raises(OSError):  # noqa: PT011 - gRPC hangs up, before or after an alert
        await version(secure.address, authority, ssl.TLSVersion.TLSv1_1)


async def test_mutual_tls_takes_a_certificate_of_its_authority_and_no_other(mutual, authority, tmp_path):
    assert await models(channel(mutual.address, authority, authority.issue("client"))) == ["tiny"]
    assert await refused(channel(mutual.address, authority))
    assert await refused(channel(mutual.address, authority, Authority(tmp_path, "stranger").issue("client")))
    assert await refused(channel(mutual.address, authority, authority.issue("client", days=(-2, -1))))


async def test_a_rotated_certificate_is_seen_by_new_connections(secure, authority, server, eventually):
    assert await peer(secure.address, authority) == "server"
    server.replace_with(authority.issue("renewed", days=(-1, 5)))
    ends = metric(secure, "whence_certificate_expiry_timestamp_seconds", setting="tls_certificate")

    async def renewed() -> bool:
        return await peer(secure.address, authority) == "renewed"

    await eventually(renewed)
    assert metric(secure, "whence_certificate_reloads_total", hop="server") == 1
    assert metric(secure, "whence_certificate_expiry_timestamp_seconds", setting="tls_certificate") > ends + 3 * 86_400


async def test_authorities_of_clients_are_rotated_too(mutual, authority, tmp_path, eventually):
    other = Authority(tmp_path, "other")
    client = other.issue("client")
    assert await refused(channel(mutual.address, authority, client))
    put(authority.file, authority.file.read_bytes() + other.file.read_bytes())
    await eventually(lambda: metric(mutual, "whence_certificate_reloads_total", hop="server") == 1)
    assert await models(channel(mutual.address, authority, client)) == ["tiny"]


@pytest.mark.parametrize("content", [b"", b"nonsense"])
async def test_a_broken_file_keeps_the_old_certificate_and_says_so(
    secure, authority, server, eventually, logs, content
):
    good = server.certificate.read_bytes()
    put(server.certificate, content)
    await eventually(lambda: metric(secure, "whence_certificates_rejected", hop="server") == 1)
    assert await models(channel(secure.address, authority)) == ["tiny"]
    (line,) = [line for line in logs if line["event"].startswith("certificates rejected")]
    assert str(server.certificate) in line["error"]
    put(server.certificate, good)
    await eventually(lambda: metric(secure, "whence_certificates_rejected", hop="server") == 0)


async def test_calls_go_on_while_certificates_are_rotated(secure, authority, server, eventually):
    """Callers with a connection each, and callers that connect anew for every call."""
    done, stop = [], asyncio.Event()

    async def keep_calling(connect) -> None:
        while not stop.is_set():
            done.append(await models(connect()))

    async def keep_a_connection() -> None:
        async with channel(secure.address, authority) as opened:
            stub = attribution_service_pb2_grpc.AttributionServiceStub(opened)
            while not stop.is_set():
                done.append(
                    [m.name for m in (await stub.ListModels(attribution_service_pb2.ListModelsRequest())).models]
                )

    async def rotate(number: int) -> None:
        before = len(done)
        server.replace_with(authority.issue(f"server{number}"))
        await eventually(lambda: metric(secure, "whence_certificate_reloads_total", hop="server") >= number)
        await eventually(lambda: len(done) > before + 20)

    async with asyncio.TaskGroup() as callers:
        for _ in range(2):
            callers.create_task(keep_calling(lambda: channel(secure.address, authority)))
            callers.create_task(keep_a_connection())
        for number in range(1, 6):
            await rotate(number)
        stop.set()
    assert all(names == ["tiny"] for names in done)
    assert await peer(secure.address, authority) == "server5"


async def test_files_that_cannot_be_used_keep_a_front_end_from_starting(start_front, worker, server, tmp_path):
    with pytest.raises(InvalidRequestError, match=r"tls_key: .*nowhere does not exist") as caught:
        await start_front(worker, tls_certificate=server.certificate, tls_key=tmp_path / "nowhere")
    assert (caught.value.reason, caught.value.field) == ("UNREADABLE_CERTIFICATE", "tls_key")
