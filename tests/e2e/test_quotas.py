"""Two front ends that count in one Redis, as processes: what one grants, the other does not grant again."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.conftest import Service
from e2e.harness import QUERY, Launcher
from e2e.test_fairness import add_key
from whence import Client, InvalidRequestError, OverloadedError


@pytest.fixture
def clients(launch: Launcher, whole: Service, redis_url: str, tmp_path: Path) -> list[Client]:
    """A client of each of two front ends, with a key of a tenant that may have the corpus scanned twice a year."""
    sequences = whole.artefacts.open_corpus().sequences
    (tmp_path / "quotas.toml").write_text(
        f'[default]\ncalls = "4/year"\n[tenants.e2e]\nsequences = "{2 * sequences}/year"\n'
    )
    keys = tmp_path / "keys.json"
    token = add_key(keys, "e2e")
    settings = {"KEYS_FILE": str(keys), "QUOTAS_FILE": str(tmp_path / "quotas.toml"), "QUOTAS_TIMEOUT_S": "10"}
    fronts = [launch.front(whole.worker, QUOTAS_REDIS_URL=redis_url, **settings) for _ in range(2)]
    for front in fronts:
        front.wait_for("serving")
    metadata = [("authorization", f"Bearer {token}")]
    return [Client(front.address, retry=None, metadata=metadata, timeout_s=60) for front in fronts]


def test_front_ends_share_what_a_tenant_may_ask(clients: list[Client], whole: Service):
    first, second = clients
    scored = [client.attribute(QUERY).sequences_scored for client in clients]
    assert scored == [whole.artefacts.open_corpus().sequences] * 2
    with pytest.raises(OverloadedError, match=r"has used \d+ of its \d+ sequences in a year") as caught:
        second.attribute(QUERY)
    assert caught.value.reason == "QUOTA_EXCEEDED"
    known = whole.artefacts.open_corpus().record(0).sequence_id
    with pytest.raises(OverloadedError, match="sequences"):
        first.score(QUERY, sequence_ids=[known])


def test_a_scan_that_never_fits_is_not_tried_again(launch: Launcher, whole: Service, tmp_path: Path):
    (tmp_path / "quotas.toml").write_text('[default]\nsequences = "5/second"\n')
    front = launch.front(whole.worker, QUOTAS_FILE=str(tmp_path / "quotas.toml"))
    front.wait_for("serving")
    with pytest.raises(InvalidRequestError, match="it can never be admitted") as caught:
        Client(front.address).attribute(QUERY)
    assert caught.value.reason == "TOO_LARGE_COST"
