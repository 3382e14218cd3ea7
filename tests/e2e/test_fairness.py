"""Real processes, one engine, two tenants: long scans of one, and a small call of the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2e.conftest import start_slow
from e2e.harness import QUERY, Artefacts, Launcher, until
from whence import Client
from whence_service.access.keys import make_key
from whence_service.access.keys_file import change_keys
from whence_service.rpc.identity import Scope


def add_key(file: Path, tenant: str) -> str:
    """Add a key of a tenant to a file, and return its text."""
    key = make_key(subject=f"somebody of {tenant}", tenant=tenant, scopes=tuple(Scope))
    change_keys(file, lambda keys: {**keys, key.stored.id: key.stored})
    return key.text


@pytest.mark.timeout(120)
def test_sixteen_scans_of_one_tenant_do_not_make_another_ones_small_call_time_out(
    launch: Launcher, artefacts: Artefacts, tmp_path: Path
):
    tokens = [add_key(tmp_path / "keys.json", tenant) for tenant in ("busy", "other")]
    worker = start_slow(launch, artefacts)  # a scan alone takes more than a second, and all of them half a minute
    front = launch.front(worker, KEYS_FILE=str(tmp_path / "keys.json"))
    front.wait_for("serving")
    given = {"retry": None, "retry_overload": False, "timeout_s": 60}
    busy, other = (Client(front.address, metadata=[("authorization", f"Bearer {token}")], **given) for token in tokens)
    first = artefacts.open_corpus().record(0).sequence_id
    with busy, other, ThreadPoolExecutor(16) as pool:
        scans = [pool.submit(busy.attribute, QUERY) for _ in range(16)]
        until(lambda: front.metrics().value("whence_queue_running") == 12)
        until(lambda: worker.metrics().value("whence_queue_running") == 3)
        try:
            assert other.score(QUERY, sequence_ids=[first], timeout_s=10).influence
            assert not any(scan.done() for scan in scans)
        finally:
            worker.kill()
