"""The front end calls its workers over TLS and mutual TLS, also while certificates change on either side."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from authority import Authority, put
from whence.v1 import attribution_service_pb2
from whence_service.rpc.certificates import NamedFile, TlsFiles


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def files(issued, authority: Authority | None = None) -> TlsFiles:
    """A worker's files; with an authority it asks for certificates of front ends."""
    return TlsFiles(
        hop="server",
        certificate=NamedFile(setting="tls_certificate", path=issued.certificate),
        key=NamedFile(setting="tls_key", path=issued.key),
        authorities=NamedFile(setting="tls_client_ca", path=authority.file) if authority else None,
    )


def own(issued) -> dict[str, Path]:
    """A front end's settings for its own certificate."""
    return {"workers_tls_certificate": issued.certificate, "workers_tls_key": issued.key}


async def answer(front, ask) -> int:
    """Ask for an attribution, which makes calls of both kinds to the worker; return the number of its hits."""
    request = attribution_service_pb2.AttributeRequest(query=ask())
    return len((await front.stub.Attribute(request, timeout=20)).attribution.positive)


def unreachable(logs) -> str:
    """What the front end says of a worker that it does not reach."""
    (line,) = [line for line in logs if line["event"] == "worker unreachable"]
    return line["error"]


async def test_a_worker_with_tls_is_asked(start_worker, start_front, authority, ask):
    worker = await start_worker(tls=files(authority.issue("worker")))
    front = await start_front(worker, workers_tls_ca=authority.file)
    assert await answer(front, ask)


async def test_a_worker_that_asks_for_a_certificate_gets_it(start_worker, start_front, authority, ask):
    worker = await start_worker(tls=files(authority.issue("worker"), authority))
    front = await start_front(worker, workers_tls_ca=authority.file, **own(authority.issue("front")))
    assert await answer(front, ask)


async def test_a_worker_is_not_asked_without_the_certificate_that_it_wants(start_worker, start_front, authority, logs):
    worker = await start_worker(tls=files(authority.issue("worker"), authority))
    front = await start_front(worker, workers_tls_ca=authority.file)
    assert not await front.is_serving()
    assert "failed to connect" in unreachable(logs)


async def test_a_worker_of_an_authority_that_is_not_trusted_is_not_asked(
    start_worker, start_front, authority, tmp_path, logs
):
    worker = await start_worker(tls=files(Authority(tmp_path, "stranger").issue("worker")))
    front = await start_front(worker, workers_tls_ca=authority.file)
    assert not await front.is_serving()
    assert "unable to get local issuer certificate" in unreachable(logs)


async def test_a_worker_with_the_certificate_of_another_host_is_not_asked(start_worker, start_front, authority, logs):
    worker = await start_worker(tls=files(authority.issue("worker", "elsewhere")))
    front = await start_front(worker, workers_tls_ca=authority.file)
    assert not await front.is_serving()
    assert "Hostname Verification Check failed" in unreachable(logs)


async def test_a_worker_whose_certificate_expires_is_not_asked(start_worker, start_front, authority, logs):
    issued = authority.issue("worker", days=(-1, 3 / 86_400))
    worker = await start_worker(tls=files(issued))
    await asyncio.sleep(3)
    front = await start_front(worker, workers_tls_ca=authority.file)
    assert not await front.is_serving()
    assert "certificate has expired" in unreachable(logs)
    assert any(line["event"].startswith("certificates rejected") and "expired at" in line["error"] for line in logs)


async def test_a_worker_without_tls_is_not_asked_by_a_front_end_with_it(start_front, worker, authority, logs):
    front = await start_front(worker, workers_tls_ca=authority.file)
    assert not await front.is_serving()
    assert "WRONG_VERSION_NUMBER" in unreachable(logs)


async def test_a_worker_at_a_unix_socket_is_asked_without_tls(start_worker, start_front, authority, tmp_path, ask):
    worker = await start_worker(address=f"unix:{tmp_path}/worker.sock")
    front = await start_front(worker, workers_tls_ca=authority.file)
    assert await answer(front, ask)


@pytest.mark.parametrize("override", [False, True])
async def test_a_certificate_has_the_name_that_led_to_the_worker_not_its_address(
    start_worker, start_front, authority, ask, override
):
    name = "workers.internal" if override else "localhost"
    worker = await start_worker(tls=files(authority.issue("worker", name)))
    entry = f"dns:///localhost:{worker.address.rpartition(':')[2]}"
    front = await start_front(entry, workers_tls_ca=authority.file, workers_tls_name=name if override else "")
    assert await answer(front, ask)


async def test_no_call_fails_while_both_sides_change_their_certificates(
    start_worker, start_front, authority, tmp_path, ask, eventually
):
    """To another authority: first both sides trust it too, then the front end gets its certificate, then the worker."""
    worker_files, front_files = authority.issue("worker"), authority.issue("front")
    worker = await start_worker(tls=files(worker_files, authority))
    front = await start_front(worker, workers_tls_ca=authority.file, **own(front_files))
    count, stop, other = [], asyncio.Event(), Authority(tmp_path, "other")

    async def keep_asking() -> None:
        while not stop.is_set():
            count.append(await answer(front, ask))

    async def rotate(change) -> None:
        channels, before = dict(front.front.pool._channels), len(count)
        change()
        await eventually(lambda: front.front.pool._channels != channels)
        await eventually(lambda: len(count) > before + 5)

    async with asyncio.TaskGroup() as callers:
        for _ in range(4):
            callers.create_task(keep_asking())
        await rotate(lambda: put(authority.file, authority.file.read_bytes() + other.file.read_bytes()))
        await rotate(lambda: front_files.replace_with(other.issue("front")))
        worker_files.replace_with(other.issue("worker"))
        await rotate(lambda: put(authority.file, other.file.read_bytes()))
        stop.set()
    assert all(count)


async def test_a_connection_stays_until_the_new_certificates_are_taken(
    start_worker, start_front, authority, tmp_path, ask, logs, eventually
):
    """A front end that changes to an authority of which its worker has no certificate yet goes on as before."""
    trusted, other = tmp_path / "trusted.pem", Authority(tmp_path, "other")
    trusted.write_bytes(authority.file.read_bytes())
    worker_files = authority.issue("worker")
    worker = await start_worker(tls=files(worker_files))
    front = await start_front(worker, workers_tls_ca=trusted, probe_timeout_s=0.5)
    before = dict(front.front.pool._channels)
    put(trusted, other.file.read_bytes())
    await eventually(lambda: any("refuses the new certificates" in line["event"] for line in logs))
    assert await answer(front, ask)
    worker_files.replace_with(other.issue("worker"))
    await eventually(lambda: front.front.pool._channels != before)
    assert await answer(front, ask)


async def test_broken_files_keep_the_connections_and_say_so(start_worker, start_front, authority, ask, eventually):
    worker = await start_worker(tls=files(authority.issue("worker")))
    front = await start_front(worker, workers_tls_ca=authority.file)
    put(authority.file, b"nonsense")
    value = front.front._registry.get_sample_value
    await eventually(lambda: value("whence_certificates_rejected", {"hop": "workers"}) == 1)
    assert await answer(front, ask)
