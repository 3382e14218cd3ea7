"""What tenants are charged, given back and refused; counted in this process, and in a real Redis."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from whence.errors import DeadlineError, InvalidRequestError, OverloadedError, UnavailableError, WhenceError
from whence_service.quotas.assembly import build_quotas
from whence_service.quotas.quotas import Charge, Quotas
from whence_service.quotas.settings import QuotaSettings
from whence_service.rpc.identity import ANYONE, enter
from whence_service.rpc.records import QuotaFallbackRecord, QuotaRefusalRecord, QuotaUseRecord, Record, RejectionRecord

# A year's window: the tests do not take long enough for counts to fade.
LIMITS = 'calls = "4/year"\nsequences = "100/year"'
Make = Callable[..., Quotas]


@pytest.fixture
def tenant() -> str:
    """A tenant of whom Redis knows nothing."""
    return uuid.uuid4().hex


@pytest.fixture
def file(tmp_path: Path, tenant: str) -> Path:
    path = tmp_path / "quotas.toml"
    path.write_text(f"[tenants.{tenant}]\n{LIMITS}\n")
    return path


@pytest.fixture
async def make(file: Path) -> AsyncIterator[Make]:
    """Make the quotas of a front end."""
    made = []

    def build(observe: Callable[[Record], None] = lambda _: None, **settings: Any) -> Quotas:
        made.append(build_quotas(QuotaSettings(file=file, **{"timeout_s": 10.0, **settings}), observe))
        return made[-1]

    yield build
    for quotas in made:
        await quotas.close()


@pytest.fixture(params=["memory", "redis"])
def quotas(request: pytest.FixtureRequest, make: Make, redis_url: str) -> Quotas:
    return make(redis_url=redis_url if request.param == "redis" else "")


@asynccontextmanager
async def call(quotas: Quotas, tenant: str, sequences: int = 10) -> AsyncIterator[Charge]:
    """A call whose turn comes at once."""
    enter(replace(ANYONE, tenant=tenant))
    async with quotas.charged(lambda: sequences) as charge:
        charge.begin()
        yield charge


async def ask(quotas: Quotas, tenant: str, sequences: int = 10, scored: int | None = None) -> None:
    async with call(quotas, tenant, sequences) as charge:
        charge.report(sequences if scored is None else scored)
    await settled(quotas)


async def settled(quotas: Quotas) -> None:
    await asyncio.gather(*quotas._giving_back)


async def refusal(quotas: Quotas, tenant: str, sequences: int = 10) -> WhenceError:
    with pytest.raises(WhenceError) as caught:
        await ask(quotas, tenant, sequences)
    return caught.value


async def test_a_tenant_has_what_its_quota_says_and_no_more(quotas: Quotas, tenant: str):
    for _ in range(4):
        await ask(quotas, tenant)
    error = await refusal(quotas, tenant)
    assert isinstance(error, OverloadedError)
    assert error.reason == "QUOTA_EXCEEDED"
    assert error.details == {"quota": "calls", "limit": "4", "window_s": str(360 * 86400), "asked": "1", "used": "4"}
    assert 0 < error.retry_after_s <= 2 * 360 * 86400
    assert "has used 4 of its 4 calls in a year" in error.message


async def test_sequences_count_as_calls_do(quotas: Quotas, tenant: str):
    await ask(quotas, tenant, 70)
    error = await refusal(quotas, tenant, 31)
    assert (error.reason, error.details["quota"], error.details["used"]) == ("QUOTA_EXCEEDED", "sequences", "70")
    await ask(quotas, tenant, 30)


async def test_what_one_limit_refuses_no_other_limit_counts(quotas: Quotas, tenant: str):
    await ask(quotas, tenant, 100)
    for _ in range(5):
        assert (await refusal(quotas, tenant, 1)).details["quota"] == "sequences"
    for _ in range(3):
        await ask(quotas, tenant, 0)


async def test_what_was_not_scored_is_given_back(quotas: Quotas, tenant: str):
    for _ in range(3):
        await ask(quotas, tenant, 60, scored=20)
    assert (await refusal(quotas, tenant, 41)).details["used"] == "60"


async def test_a_call_whose_turn_does_not_come_costs_nothing(quotas: Quotas, tenant: str):
    enter(replace(ANYONE, tenant=tenant))
    refusals = [OverloadedError("full", reason="QUEUE_FULL"), DeadlineError("late", reason="DEADLINE_EXCEEDED")]
    for refused in refusals * 3:
        with pytest.raises(type(refused)):
            async with quotas.charged(lambda: 90):
                raise refused
        await settled(quotas)
    await ask(quotas, tenant, 100)


async def fail(quotas: Quotas, tenant: str, error: BaseException, sequences: int, scored: int | None = None) -> None:
    """Make a call whose turn comes, and which fails."""
    with pytest.raises(type(error)):  # noqa: PT012 - the call is what fails
        async with call(quotas, tenant, sequences) as charge:
            if scored is not None:
                charge.report(scored)
            raise error
    await settled(quotas)


async def test_a_failure_costs_a_call_and_no_sequences(quotas: Quotas, tenant: str):
    for _ in range(3):
        await fail(quotas, tenant, UnavailableError("gone", reason="WORKER_UNAVAILABLE"), 90)
    await ask(quotas, tenant, 100)
    assert (await refusal(quotas, tenant, 0)).details["quota"] == "calls"


async def test_a_call_out_of_time_pays_for_all_that_it_asked(quotas: Quotas, tenant: str):
    await fail(quotas, tenant, DeadlineError("late", reason="DEADLINE_EXCEEDED"), 60)
    assert (await refusal(quotas, tenant, 41)).details["used"] == "60"


async def test_a_call_that_is_cancelled_pays_for_what_was_scored_by_then(quotas: Quotas, tenant: str):
    await fail(quotas, tenant, asyncio.CancelledError(), 90, scored=25)
    assert (await refusal(quotas, tenant, 76)).details["used"] == "25"


async def test_a_call_that_never_fits_is_told_so(quotas: Quotas, tenant: str):
    error = await refusal(quotas, tenant, 101)
    assert isinstance(error, InvalidRequestError)
    assert error.reason == "TOO_LARGE_COST"
    assert "up to 101 sequences" in error.message
    assert "100 scored in a year: it can never be admitted" in error.message
    for _ in range(4):
        await ask(quotas, tenant, 0)  # it cost nothing


@pytest.fixture
def default_only(file: Path, make: Make) -> Quotas:
    file.write_text('[default]\ncalls = "1/year"')
    return make()


async def test_whoever_is_named_nowhere_has_the_default(default_only: Quotas, tenant: str):
    quotas = default_only
    for name in (tenant, "another", ""):
        await ask(quotas, name)
        assert (await refusal(quotas, name)).reason == "QUOTA_EXCEEDED"


async def test_front_ends_count_together_in_redis(make: Make, redis_url: str, tenant: str):
    first, second = make(redis_url=redis_url), make(redis_url=redis_url)
    for quotas in (first, second, first, second):
        await ask(quotas, tenant)
    for quotas in (first, second):
        assert (await refusal(quotas, tenant)).details["used"] == "4"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


@pytest.mark.parametrize("kind", ["absent", "silent"])
async def test_without_redis_each_front_end_grants_its_share(make: Make, silent: str, tenant: str, kind: str):
    url = silent if kind == "silent" else "redis://127.0.0.1:1/0"
    records: list[Record] = []
    quotas = make(records.append, redis_url=url, timeout_s=0.05, local_share=0.5)
    with structlog.testing.capture_logs() as logs:
        await ask(quotas, tenant)
        await ask(quotas, tenant)
        error = await refusal(quotas, tenant)
    assert (error.reason, error.details["limit"], error.details["used"]) == ("QUOTA_EXCEEDED", "2", "2")
    assert records.count(QuotaFallbackRecord()) == 3
    assert {line["event"] for line in logs} == {"quotas are counted by this process alone: Redis failed"}


async def test_a_redis_that_keeps_failing_is_not_asked(make: Make, tenant: str):
    quotas = make(redis_url="redis://127.0.0.1:1/0")
    for _ in range(4):
        await ask(quotas, tenant, 0)
    await refusal(quotas, tenant, 0)
    assert repr(quotas).endswith("<SharedCounts open>>")


async def test_a_changed_file_is_read_and_a_broken_one_is_not(make: Make, file: Path, tenant: str):
    quotas = make()
    await ask(quotas, tenant)

    def write(text: str) -> None:
        other = file.with_suffix(".new")
        other.write_text(text)
        os.replace(other, file)

    write(f'[tenants.{tenant}]\ncalls = "1/year"')
    await ask(quotas, tenant)
    assert (await refusal(quotas, tenant)).details["limit"] == "1"
    write("[tenants")
    with structlog.testing.capture_logs() as logs:
        assert (await refusal(quotas, tenant)).details["limit"] == "1"
    assert "is not TOML" in logs[0]["error"]


async def test_use_and_refusals_are_told_by_tenant(make: Make, tenant: str):
    records: list[Record] = []
    quotas = make(records.append)
    await ask(quotas, tenant, 90, scored=50)
    await ask(quotas, "a stranger", 7)
    await refusal(quotas, tenant, 51)
    assert records == [
        QuotaUseRecord(tenant=tenant, sequences=50),
        QuotaUseRecord(tenant="other", sequences=7),
        RejectionRecord(reason="QUOTA_EXCEEDED"),
        QuotaRefusalRecord(tenant=tenant, quota="sequences"),
    ]


def test_without_a_file_nothing_is_charged():
    assert "NoQuotas" in repr(build_quotas(None))
