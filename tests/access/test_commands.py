"""``whence keys``: what it prints, what it writes, and what servers make of it."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from whence.errors import UnauthenticatedError
from whence_service.access.keys import identify
from whence_service.access.keys_file import read_keys


@pytest.fixture
def whence(tmp_path):
    """Run ``whence keys`` on a file that is not there yet."""
    path = tmp_path / "new.json"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "whence", "keys", *arguments, "--file", str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    run.path = path
    return run


ADD = ("add", "--subject", "ada", "--tenant", "acme")


def caller(path, key: str, *, later: timedelta = timedelta(0)):
    return identify(read_keys(path), key, now=datetime.now(UTC) + later)


def test_the_key_that_is_printed_is_the_key_that_was_added(whence):
    made = whence(*ADD, "--scope", "attribute", "--scope", "read-texts", "--model", "a*", "--days", "1")
    identity = caller(whence.path, made.stdout.strip())
    assert (identity.subject, identity.tenant, identity.models) == ("ada", "acme", ("a*",))
    assert identity.scopes == {"attribute", "read-texts"}
    assert "shown this once" in made.stderr
    assert stat.S_IMODE(whence.path.stat().st_mode) == 0o600
    with pytest.raises(UnauthenticatedError, match="expired"):
        caller(whence.path, made.stdout.strip(), later=timedelta(days=1))


def test_a_key_may_ask_for_influences_alone_unless_more_is_said(whence):
    assert caller(whence.path, whence(*ADD).stdout.strip()).scopes == {"attribute"}


def test_the_list_has_every_key_and_no_secret(whence):
    keys = [whence(*ADD).stdout.strip() for _ in range(2)]
    listed = whence("list").stdout + whence("list", "--json").stdout
    for key, stored in zip(keys, read_keys(whence.path).values(), strict=True):
        assert stored.id in listed
        assert not [secret for secret in (key, key.split("_", 2)[2], stored.hash, stored.salt) if secret in listed]


def test_a_revoked_key_is_refused_and_stays_in_the_list(whence):
    key = json.loads(whence(*ADD, "--json").stdout)
    assert whence("revoke", key["id"]).returncode == 0
    with pytest.raises(UnauthenticatedError, match="not valid"):
        caller(whence.path, key["key"])
    assert "revoked" in whence("list").stdout
    again = whence("rotate", key["id"])
    assert (again.returncode, "KEY_NOT_FOUND" in again.stderr) == (1, True)


def test_a_rotated_key_overlaps_with_the_new_one_of_the_same_caller(whence):
    old = json.loads(whence(*ADD, "--model", "m", "--days", "90", "--json").stdout)
    new = whence("rotate", old["id"], "--overlap-hours", "1").stdout.strip()
    before, after = caller(whence.path, old["key"]), caller(whence.path, new)
    assert (before.subject, before.models, before.scopes) == (after.subject, after.models, after.scopes)
    with pytest.raises(UnauthenticatedError, match="expired"):
        caller(whence.path, old["key"], later=timedelta(hours=1))
    assert caller(whence.path, new, later=timedelta(days=89)).subject == "ada"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((*ADD, "--scope", "everything"), "choose from attribute, read-texts, administer"),
        (("revoke", "abc"), "whence keys list"),
        (("list",), "whence keys add"),
    ],
)
def test_a_wrong_command_says_what_to_do(whence, arguments, says):
    done = whence(*arguments)
    assert done.returncode == 1
    assert says in " ".join(done.stderr.split())
