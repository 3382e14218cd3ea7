"""Identities: what a caller may do, and which models exist for them."""

import asyncio

import pytest

from whence_service.rpc import identity
from whence_service.rpc.identity import ANYONE, Identity, Scope, current_identity


def caller(**changes) -> Identity:
    given = {"subject": "ada", "tenant": "analysts", "scopes": frozenset({Scope.ATTRIBUTE})}
    return Identity(**(given | changes))


def test_a_caller_has_the_permissions_that_were_given_and_no_others():
    assert caller().may(Scope.ATTRIBUTE)
    assert not caller().may(Scope.READ_TEXTS)


@pytest.mark.parametrize(
    ("patterns", "seen"),
    [(("*",), True), (("smollm-*",), True), (("smollm",), False), ((), False), (("SMOLLM-*",), False)],
)
def test_models_are_seen_by_patterns_of_their_names(patterns, seen):
    assert caller(models=patterns).sees("smollm-135m") is seen


def test_whoever_is_not_authenticated_may_everything():
    assert all(ANYONE.may(scope) for scope in Scope)
    assert ANYONE.sees("any")


async def test_calls_have_identities_of_their_own():
    async def call(subject: str) -> str:
        identity.enter(caller(subject=subject))
        await asyncio.sleep(0)
        return current_identity().subject

    before = current_identity()
    assert await asyncio.gather(call("ada"), call("grace")) == ["ada", "grace"]
    assert current_identity() is before


def test_models_of_others_do_not_exist_even_if_a_pattern_has_them():
    restricted = caller(models=("*",), others_models=("acme-*", "secret"))
    assert [restricted.sees(model) for model in ("open", "acme-1", "secret")] == [True, False, False]
