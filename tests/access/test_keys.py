"""API keys: what is kept of them, and that a wrong one teaches nothing."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest

from whence.errors import UnauthenticatedError
from whence_service.access import keys
from whence_service.access.keys import NewKey, identify, make_key
from whence_service.rpc.identity import Scope

NOW = datetime.now(UTC)
SCOPES = (Scope.ATTRIBUTE, Scope.READ_TEXTS)


def make(**given: object) -> NewKey:
    return make_key(**{"subject": "ada", "tenant": "acme", "scopes": SCOPES, "models": ("m*",), **given})


KEY, OTHER = make(), make()
EXPIRED = make(expires_at=NOW - timedelta(seconds=1))
REVOKED_TEXT, REVOKED = (gone := make()).text, gone.stored.model_copy(update={"revoked_at": NOW})
KNOWN = {key.id: key for key in (KEY.stored, OTHER.stored, EXPIRED.stored, REVOKED)}
INVALID = {
    "empty": "",
    "a prefix alone": keys.PREFIX,
    "no secret": f"whence_{KEY.stored.id}",
    "a wrong secret": KEY.text[:-1] + ("A" if KEY.text[-1] != "A" else "B"),
    "more than the secret": KEY.text + "A",
    "the secret of another": f"whence_{KEY.stored.id}_{OTHER.text.split('_', 2)[2]}",
    "an unknown id": f"whence_{'0' * 12}_{KEY.text.split('_', 2)[2]}",
    "not ASCII": f"whence_{KEY.stored.id}_é",
    "the hash": f"whence_{KEY.stored.id}_{KEY.stored.hash}",
    "revoked": REVOKED_TEXT,
}


def test_a_key_stands_for_what_it_was_made_for() -> None:
    caller = identify(KNOWN, KEY.text, now=NOW)
    assert (caller.subject, caller.tenant, caller.scopes, caller.models) == ("ada", "acme", set(SCOPES), ("m*",))


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
def test_every_key_that_is_not_valid_gets_one_answer(text: str) -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        identify(KNOWN, text, now=NOW)
    expected = "this API key is not valid here; check that it is complete and meant for this server, or get another"
    assert (caught.value.reason, caught.value.message) == ("INVALID_CREDENTIALS", expected)
    assert not caught.value.details


def test_only_who_holds_the_whole_key_learns_that_it_expired() -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        identify(KNOWN, EXPIRED.text, now=NOW)
    assert caught.value.reason == "CREDENTIALS_EXPIRED"
    with pytest.raises(UnauthenticatedError) as caught:
        identify(KNOWN, EXPIRED.text + "A", now=NOW)
    assert caught.value.reason == "INVALID_CREDENTIALS"


@pytest.mark.parametrize("text", [KEY.text, *INVALID.values()], ids=["valid", *INVALID])
def test_every_check_is_one_hash_and_one_comparison_in_constant_time(text: str, monkeypatch) -> None:
    done: list[str] = []
    hash_, compare = keys.hmac.new, keys.hmac.compare_digest
    monkeypatch.setattr(keys.hmac, "new", lambda *given: done.append("hash") or hash_(*given))
    monkeypatch.setattr(keys.hmac, "compare_digest", lambda *given: done.append("compare") or compare(*given))
    with nullcontext() if text == KEY.text else pytest.raises(UnauthenticatedError):
        identify(KNOWN, text, now=NOW)
    assert done == ["hash", "compare"]


def test_neither_the_key_nor_its_secret_is_kept() -> None:
    kept = KEY.stored.model_dump_json()
    assert KEY.text not in kept
    assert KEY.text.split("_", 2)[2] not in kept


def test_keys_with_one_secret_would_have_different_hashes() -> None:
    assert len({key.salt for key in KNOWN.values()}) == len(KNOWN)
