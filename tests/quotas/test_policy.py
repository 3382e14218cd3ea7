"""The file of quotas."""

from __future__ import annotations

from pathlib import Path

import pytest

from whence.errors import InvalidRequestError
from whence_service.quotas.policy import QuotaPolicy, read_policy


def policy(text: str, folder: Path) -> QuotaPolicy:
    file = folder / "quotas.toml"
    file.write_text(text)
    return read_policy(file)


WHOLE = """
[default]
calls = "20/second; 300 per 5 minutes"
sequences = "1000/minute"

[tenants.acme]
sequences = "unlimited"

[tenants.ada]
calls = "1/hour"
"""


@pytest.mark.parametrize(
    ("tenant", "limits"),
    [
        ("acme", [("calls", 20, 1), ("calls", 300, 300)]),
        ("ada", [("calls", 1, 3600), ("sequences", 1000, 60)]),
        ("anyone", [("calls", 20, 1), ("calls", 300, 300), ("sequences", 1000, 60)]),
    ],
)
def test_a_tenant_has_its_own_limits_and_those_of_the_default_that_it_does_not_replace(
    tmp_path: Path, tenant: str, limits: list[tuple[str, int, int]]
):
    demands = policy(WHOLE, tmp_path).demands(tenant, 7)
    assert [(demand.quota, demand.limit.amount, demand.window_s) for demand in demands] == limits
    assert {demand.amount for demand in demands} == {1 if demand.quota == "calls" else 7 for demand in demands}


def test_a_call_that_scores_nothing_asks_nothing_of_sequences(tmp_path: Path):
    assert {demand.quota for demand in policy(WHOLE, tmp_path).demands("ada", 0)} == {"calls"}


def test_a_file_without_limits_limits_nothing(tmp_path: Path):
    assert policy("", tmp_path).demands("ada", 10**9) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[default]\ncalls = 5", "default.calls: expected limits as a string"),
        ('[default]\ncalls = "5 a day"', 'default.calls: expected limits such as "20/second'),
        ('[tenants.acme]\nsequences = "0/day"', "tenants.acme.sequences: expected numbers of at least 1"),
        ('[tenants.acme]\nsequence = "1/day"', "tenants.acme.sequence: Extra inputs"),
        ("[default", "is not TOML"),
    ],
)
def test_what_ails_a_file_is_said_by_place(tmp_path: Path, text: str, said: str):
    with pytest.raises(InvalidRequestError, match="quotas file") as caught:
        policy(text, tmp_path)
    assert said in caught.value.message
    assert caught.value.reason == "INVALID_SETTINGS"


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(InvalidRequestError, match=r"quotas\.toml cannot be read: No such file"):
        read_policy(tmp_path / "quotas.toml")


def test_tenants_without_a_table_share_one_label(tmp_path: Path):
    read = policy(WHOLE, tmp_path)
    assert [read.label(tenant) for tenant in ("acme", "stranger", "")] == ["acme", "other", "other"]
