"""Redis behind TLS, with users of its ACL whose passwords are in files: a real redis-server behind a real TLS end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from authority import Authority
from whence.errors import InvalidRequestError
from whence_backends.worker.config import WorkerSettings
from whence_backends.worker.gradients.redis_cache import RedisCache
from whence_backends.worker.runtime.records import CacheOutcome, CacheRecord
from whence_service.rpc.redis_connection import RedisAccess
from worker.harness import RedisServer, Serve, ask

SECRET = "hunter2-and-more"
RULES = ["on", f">{SECRET}", "resetkeys", "~whence:*", "nocommands", "+get", "+set", "+strlen"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def guarded(redis_server: RedisServer) -> AsyncIterator[Redis]:
    """The server, which lets in a user of the name whence, and an administrator, and nobody else."""
    admin = Redis.from_url(redis_server.url, protocol=2)
    await admin.execute_command("ACL", "SETUSER", "whence", *RULES)
    await admin.execute_command("ACL", "SETUSER", "default", "resetpass", ">administrator")
    yield admin
    await admin.aclose()


@pytest.fixture
async def tls_url(redis_server: RedisServer, authority: Authority) -> AsyncIterator[str]:
    """The server's URL over TLS."""
    issued = authority.issue("redis")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.certificate, issued.key)
    connections: set[asyncio.Task] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        behind = await asyncio.open_unix_connection(redis_server.url.removeprefix("unix://"))
        pumps = [asyncio.create_task(pump(*pair)) for pair in ((reader, behind[1]), (behind[0], writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for moving in pumps:
                moving.cancel()
            for end in (writer, behind[1]):
                end.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield f"rediss://localhost:{server.sockets[0].getsockname()[1]}"
    server.close()
    for connection in connections:
        connection.cancel()
    await asyncio.gather(*connections, return_exceptions=True)
    await asyncio.sleep(0)  # the transports are closed by the loop's next turn


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{SECRET}\n")
    return path


@pytest.fixture
async def make() -> AsyncIterator:
    """Make a cache, whose records are in its ``records``."""
    made: list[RedisCache] = []

    def make(url: str, access: RedisAccess) -> RedisCache:
        records: list[CacheRecord] = []
        cache = RedisCache(url, access, timeout_s=10, ttl_s=60, max_value_bytes=1 << 20, observe=records.append)
        cache.records = records
        made.append(cache)
        return cache

    yield make
    for cache in made:
        await cache.close()


async def test_a_value_is_kept_over_tls_by_a_user_of_the_acl(make, tls_url, guarded, authority, password):
    cache = make(tls_url, RedisAccess(username="whence", password_file=password, authorities=authority.file))
    await cache.put("a", b"value")
    assert await cache.get("a") == b"value"


async def test_a_server_of_another_authority_is_not_asked(make, tls_url, tmp_path):
    cache = make(tls_url, RedisAccess(authorities=Authority(tmp_path, "stranger").file))
    assert await cache.get("a") is None
    assert "CERTIFICATE_VERIFY_FAILED" in cache.records[0].why


async def test_a_password_may_be_replaced_while_the_worker_runs(make, redis_server, guarded, password):
    cache = make(redis_server.url, RedisAccess(username="whence", password_file=password))
    await cache.put("a", b"value")
    await guarded.execute_command("ACL", "SETUSER", "whence", "resetpass", ">another")
    password.write_text("another")
    await guarded.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    answers = [await cache.get("a") for _ in range(2)]  # the first may find its connection closed
    assert answers[-1] == b"value"


async def test_a_wrong_password_opens_nothing_and_is_not_repeated(make, redis_server, guarded, password):
    password.write_text("letmein")
    cache = make(redis_server.url, RedisAccess(username="whence", password_file=password))
    assert await cache.get("a") is None
    assert "invalid username-password pair" in cache.records[0].why
    assert "letmein" not in repr(cache.records)


async def test_a_password_file_that_goes_away_is_named(make, redis_server, guarded, password):
    password.unlink()
    cache = make(redis_server.url, RedisAccess(username="whence", password_file=password))
    assert await cache.get("a") is None
    assert f"{password} does not exist" in cache.records[0].why


async def test_a_worker_shares_gradients_over_tls(serve: Serve, tls_url, guarded, authority, password):
    access = {"redis_username": "whence", "redis_password_file": password, "redis_tls_ca": authority.file}
    async with serve(redis_url=tls_url, redis_timeout_s=5, **access) as first:
        await first.prepare(ask())
    async with serve(redis_url=tls_url, redis_timeout_s=5, **access) as second:
        await second.prepare(ask())
        assert second.outcomes("redis") == [CacheOutcome.HIT]


@pytest.mark.parametrize("content", [None, "", "\n"])
async def test_a_worker_does_not_start_without_the_password(serve: Serve, redis_server, password, content):
    password.unlink() if content is None else password.write_text(content)
    with pytest.raises(InvalidRequestError, match=r"redis_password_file: .*password") as caught:
        async with serve(redis_url=redis_server.url, redis_password_file=password):
            pass
    assert (caught.value.reason, caught.value.field) == ("INVALID_SETTINGS", "redis_password_file")


async def test_a_worker_does_not_start_with_broken_authorities(serve: Serve, password):
    with pytest.raises(InvalidRequestError, match=r"redis_tls_ca: .*no certificate") as caught:
        async with serve(redis_url="rediss://localhost:1", redis_tls_ca=password):
            pass
    assert caught.value.reason == "UNREADABLE_CERTIFICATE"
    assert SECRET not in caught.value.message


GIVEN = {"model": "m", "factors": "f", "corpus": "c"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"redis_password_file": "p"}, "redis_password_file has no effect without redis_url"),
        ({"redis_url": "redis://h", "redis_username": "u"}, "redis_username has no effect without redis_password_file"),
        ({"redis_url": "redis://:secret@h", "redis_password_file": "p"}, "both say who asks Redis"),
        ({"redis_url": "redis://:secret@h", "redis_tls_ca": "ca"}, "write rediss://"),
    ],
)
def test_settings_of_redis_that_contradict_each_other_are_refused(given, says):
    with pytest.raises(InvalidRequestError) as caught:
        WorkerSettings.load(**GIVEN, **given)
    assert says in caught.value.message
    assert "secret" not in repr(caught.value)


def test_a_password_in_the_url_is_not_in_the_settings_repr():
    assert "secret" not in repr(WorkerSettings.load(**GIVEN, redis_url="redis://:secret@h"))
