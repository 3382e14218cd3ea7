"""Callers that are known by their client certificate, over mutual TLS."""

from __future__ import annotations

import grpc
import pytest

from access.calls import OURS, SERVICE, call
from authority import Authority
from whence_service.access import certificates

POLICY = """
[[certificates]]
common_name = "reports"
tenant = "acme"
scopes = ["attribute"]

[[certificates]]
alternative_name = "jobs.example"
tenant = "globex"
scopes = ["read-texts"]

[models]
tiny = ["acme"]
"""


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return path


@pytest.fixture
async def mutual(start_front, worker, authority, policy, keys_file):
    """A front end with mutual TLS that knows certificates and API keys."""
    own = authority.issue("server")
    return await start_front(
        worker,
        tls_certificate=own.certificate,
        tls_key=own.key,
        tls_client_ca=authority.file,
        policy_file=policy,
        keys_file=keys_file,
    )


@pytest.fixture
async def connect(mutual, authority):
    """Connect with a certificate."""
    opened = []

    def connect(issued):
        credentials = grpc.ssl_channel_credentials(
            authority.file.read_bytes(), issued.key.read_bytes(), issued.certificate.read_bytes()
        )
        opened.append(
            grpc.aio.secure_channel(mutual.address, credentials, options=[("grpc.use_local_subchannel_pool", 1)])
        )
        return opened[-1]

    yield connect
    for channel in opened:
        await channel.close()


async def test_a_certificate_that_the_policy_names_is_a_caller(connect, authority):
    assert (await call(connect(authority.issue("reports")), f"{SERVICE}GetModel")).code == "OK"


async def test_its_scopes_are_those_of_the_policy(connect, authority):
    outcome = await call(connect(authority.issue("x", "jobs.example")), f"{SERVICE}GetModel")
    assert outcome.reason == "MISSING_SCOPE"


@pytest.mark.parametrize("method", OURS)
async def test_any_other_certificate_of_the_authority_is_nobodys(connect, authority, method):
    # The names of others are in it, each as a name of the other kind.
    outcome = await call(connect(authority.issue("jobs.example", "reports")), f"{SERVICE}{method}")
    assert (outcome.code, outcome.reason) == ("UNAUTHENTICATED", "INVALID_CREDENTIALS")


async def test_a_token_counts_before_the_certificate(connect, authority, add_key):
    channel = connect(authority.issue("reports"))
    assert (await call(channel, f"{SERVICE}GetModel", "whence_wrong")).reason == "INVALID_CREDENTIALS"
    others = add_key(tenant="globex").text
    assert (await call(channel, f"{SERVICE}GetModel", others)).reason == "MODEL_NOT_FOUND"


async def test_a_certificate_expires_on_a_connection_that_lasts_longer(connect, authority, monkeypatch):
    channel = connect(authority.issue("reports", days=(-1, 1)))
    assert (await call(channel, f"{SERVICE}GetModel")).code == "OK"
    now = certificates.time.time()
    monkeypatch.setattr(certificates.time, "time", lambda: now + 86_400)
    assert (await call(channel, f"{SERVICE}GetModel")).reason == "CREDENTIALS_EXPIRED"


async def test_a_policy_that_changes_is_in_force_at_the_next_call(connect, authority, policy):
    channel = connect(authority.issue("reports"))
    assert (await call(channel, f"{SERVICE}GetModel")).code == "OK"
    policy.write_text(POLICY.replace('"reports"', '"others"'))
    assert (await call(channel, f"{SERVICE}GetModel")).reason == "INVALID_CREDENTIALS"


async def test_names_in_metadata_are_no_certificate(start_front, worker, policy):
    front = await start_front(worker, policy_file=policy)
    outcome = await call(front.channel, f"{SERVICE}GetModel", x509_common_name="reports")
    assert outcome.reason == "MISSING_CREDENTIALS"
