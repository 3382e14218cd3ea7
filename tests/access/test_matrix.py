"""Every kind of credentials crossed with every method that a front end serves, over real sockets."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2

from access import issuer
from access.calls import HEALTH, OURS, REFLECTION, REQUESTS, SERVICE, Outcome, call
from whence_service.access.permissions import SCOPES
from whence_service.rpc.identity import Scope

LIST = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def unauthenticated(reason):
    return ("UNAUTHENTICATED", reason)


# By kind of credentials: the tokens of the call, made by `keys`, and what every method that is not open answers.
REFUSED = {
    "none": unauthenticated("MISSING_CREDENTIALS"),
    "wrong": unauthenticated("INVALID_CREDENTIALS"),
    "unknown": unauthenticated("INVALID_CREDENTIALS"),
    "of another kind": unauthenticated("INVALID_CREDENTIALS"),
    "two": unauthenticated("INVALID_CREDENTIALS"),
    "expired": unauthenticated("CREDENTIALS_EXPIRED"),
    "revoked": unauthenticated("INVALID_CREDENTIALS"),
    "a wrong token": unauthenticated("INVALID_CREDENTIALS"),
    "an expired token": unauthenticated("CREDENTIALS_EXPIRED"),
}


@pytest.fixture
def tokens(add_key):
    """The tokens of a call, by kind of credentials."""
    valid = add_key(subject="valid-subject", scopes=tuple(Scope)).text
    return {
        "none": (),
        "wrong": (valid[:-1] + ("A" if valid[-1] != "A" else "B"),),
        "unknown": (f"whence_{'0' * 12}_{valid.split('_', 2)[2]}",),
        "of another kind": ("nobodys-token",),
        "two": (valid, valid),
        "expired": (add_key(expires_in=timedelta(seconds=-1)).text,),
        "revoked": (add_key(revoked=True).text,),
        "a wrong token": (issuer.token(name="other"),),
        "an expired token": (issuer.token(exp=int(time.time()) - 600),),
        "a token without the scope": (issuer.token(scope="whence:read-texts"),),
        "a valid token": (issuer.token(),),
        "of another tenant": (add_key(scopes=tuple(Scope), tenant="globex").text,),
        "a token of another tenant": (issuer.token(tenant="globex"),),
        "without the scope": (add_key(scopes=(Scope.READ_TEXTS, Scope.ADMINISTER)).text,),
        "valid": (valid,),
    }


@pytest.fixture
async def guarded(start_front, worker, keys_file, tokens, tmp_path):
    """A front end that knows the keys of the file and the tokens of the issuer, with a model for one tenant alone."""
    jwks, policy = tmp_path / "jwks.json", tmp_path / "policy.toml"
    jwks.write_text(json.dumps({"keys": [issuer.public(issuer.key_of("ES256"), kid="k1")]}))
    policy.write_text('[models]\ntiny = ["acme"]\n')
    return await start_front(
        worker,
        keys_file=keys_file,
        policy_file=policy,
        oidc_issuer=issuer.ISSUER,
        oidc_audience=issuer.AUDIENCE,
        oidc_jwks=str(jwks),
        reflection=True,
    )


async def everywhere(front, tokens, **more) -> dict[str, Outcome]:
    return {path: await call(front.channel, path, *tokens, **more) for path in REQUESTS}


async def test_the_table_has_every_method_that_is_served(guarded, tokens):
    (answer,) = [await call(guarded.channel, LIST, *tokens["valid"])]
    listed = reflection_pb2.ServerReflectionResponse.FromString(answer.answer).list_services_response.service
    services = {service.name for service in listed} - {"grpc.reflection.v1.ServerReflection"}
    pool = descriptor_pool.Default()
    served = {f"/{name}/{method.name}" for name in services for method in pool.FindServiceByName(name).methods}
    assert {path for path in REQUESTS if ".v1.ServerReflection" not in path} == served


async def test_every_method_of_ours_needs_a_scope():
    assert set(SCOPES) == {f"{SERVICE}{method}" for method in OURS}


@pytest.mark.parametrize("kind", REFUSED)
async def test_without_valid_credentials_nothing_answers_but_health(guarded, tokens, kind):
    outcomes = await everywhere(guarded, tokens[kind])
    for path, outcome in outcomes.items():
        expected = ("OK", "") if path in HEALTH else REFUSED[kind]
        assert (outcome.code, outcome.reason) == expected, path


@pytest.mark.parametrize("kind", ["without the scope", "a token without the scope"])
async def test_without_the_scope_only_health_and_reflection_answer(guarded, tokens, kind):
    outcomes = await everywhere(guarded, tokens[kind])
    for path, outcome in outcomes.items():
        expected = ("OK", "") if path in HEALTH | REFLECTION else ("PERMISSION_DENIED", "MISSING_SCOPE")
        assert (outcome.code, outcome.reason) == expected, path


@pytest.mark.parametrize("kind", ["of another tenant", "a token of another tenant"])
async def test_for_another_tenant_the_model_is_nowhere(guarded, tokens, kind):
    outcomes = await everywhere(guarded, tokens[kind])
    for path, outcome in outcomes.items():
        is_open = path in HEALTH | REFLECTION or path == f"{SERVICE}ListModels"
        assert (outcome.code, outcome.reason) == (("OK", "") if is_open else ("NOT_FOUND", "MODEL_NOT_FOUND")), path
    assert not outcomes[f"{SERVICE}ListModels"].answer


@pytest.mark.parametrize("kind", ["valid", "a valid token"])
async def test_valid_credentials_pass_everywhere(guarded, tokens, kind):
    outcomes = await everywhere(guarded, tokens[kind])
    # The stub worker has no index, and does not know the self-influence of given sequences.
    beyond_the_stub = {f"{SERVICE}GroupInfluence", f"{SERVICE}SelfInfluence"}
    for path, outcome in outcomes.items():
        expected = ("FAILED_PRECONDITION", "INTERNAL") if path in beyond_the_stub else ("OK",)
        assert outcome.code in expected, (path, outcome.text)


@pytest.mark.parametrize("kind", [*REFUSED, "without the scope", "a token without the scope"])
async def test_a_refusal_says_nothing_of_keys_callers_models_or_workers(guarded, tokens, kind, worker):
    sent = [token for given in tokens.values() for token in given]
    secrets = [*sent, *(part for key in sent if key.startswith("whence_") for part in key.split("_", 2)[1:])]
    private = {*secrets, issuer.ISSUER, "grace", "globex", "lovelace", "valid-subject", "acme", "tiny", worker.address}
    for path, outcome in (await everywhere(guarded, tokens[kind])).items():
        assert not [text for text in private if text in outcome.text], path


@pytest.mark.parametrize("kind", [*REFUSED, "without the scope", "a token without the scope"])
async def test_a_request_that_is_refused_is_not_read(guarded, tokens, kind):
    for method in OURS:
        refused = await call(guarded.channel, f"{SERVICE}{method}", *tokens[kind], data=b"\xff")
        assert refused.code in ("UNAUTHENTICATED", "PERMISSION_DENIED")
        assert (await call(guarded.channel, f"{SERVICE}{method}", *tokens["valid"], data=b"\xff")).reason == (
            "INVALID_MESSAGE"
        )


async def test_reflection_can_be_open_or_off(start_front, worker, keys_file):
    open_ = await start_front(worker, keys_file=keys_file, reflection=True, open_reflection=True)
    assert (await call(open_.channel, LIST)).code == "OK"
    off = await start_front(worker, keys_file=keys_file, reflection=False, open_reflection=True)
    assert (await call(off.channel, LIST)).code == "UNIMPLEMENTED"


async def test_a_method_without_a_scope_is_refused_to_everyone(guarded, tokens, monkeypatch):
    monkeypatch.delitem(SCOPES, f"{SERVICE}GetModel")
    outcome = await call(guarded.channel, f"{SERVICE}GetModel", *tokens["valid"])
    assert (outcome.code, outcome.reason) == ("PERMISSION_DENIED", "MISSING_SCOPE")


async def test_a_key_that_is_revoked_is_refused_at_the_next_call(guarded, tokens, keys_file):
    assert (await call(guarded.channel, f"{SERVICE}GetModel", *tokens["valid"])).code == "OK"
    keys_file.write_text('{"version": 1, "keys": []}')
    outcome = await call(guarded.channel, f"{SERVICE}GetModel", *tokens["valid"])
    assert outcome.reason == "INVALID_CREDENTIALS"


async def test_a_broken_file_of_keys_leaves_the_last_good_one_in_force(guarded, tokens, keys_file, logs):
    keys_file.write_text("{")
    assert (await call(guarded.channel, f"{SERVICE}GetModel", *tokens["valid"])).code == "OK"
    assert (await call(guarded.channel, f"{SERVICE}GetModel")).reason == "MISSING_CREDENTIALS"
    assert [line["path"] for line in logs if line["log_level"] == "error"] == [str(keys_file)]


async def test_nobody_is_asked_where_no_identities_are_set_up(front):
    outcomes = await everywhere(front, ())
    assert {outcome.code for outcome in outcomes.values()} & {"UNAUTHENTICATED", "PERMISSION_DENIED"} == set()
