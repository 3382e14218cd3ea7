"""The policy file: who the certificates are, and which tenants a model is for."""

from __future__ import annotations

import pytest

from whence.errors import InvalidRequestError
from whence_service.access.policy import read_policy
from whence_service.rpc.identity import Identity, Scope

POLICY = """
[[certificates]]
common_name = "reports.example"
tenant = "analysts"
scopes = ["attribute", "read-texts"]

[[certificates]]
alternative_name = "spiffe://cluster/ns/jobs/sa/nightly"
subject = "nightly"
tenant = "jobs"
scopes = ["attribute"]
models = ["small-*"]

[models]
"acme-*" = ["acme"]
"shared" = ["acme", "globex"]
"""


@pytest.fixture
def write(tmp_path):
    path = tmp_path / "policy.toml"

    def write(text):
        path.write_text(text)
        return path

    return write


def test_certificates_are_known_by_one_of_their_names(write):
    policy = read_policy(write(POLICY))
    reports = policy.certified(["reports.example"], []).identity(9.0)
    assert (reports.subject, reports.tenant, reports.expires_at) == ("reports.example", "analysts", 9.0)
    nightly = policy.certified(["x"], ["dns.example", "spiffe://cluster/ns/jobs/sa/nightly"]).identity(None)
    assert (nightly.subject, nightly.scopes, nightly.models) == ("nightly", {Scope.ATTRIBUTE}, ("small-*",))


@pytest.mark.parametrize(
    ("common", "alternative"),
    [((), ()), (("spiffe://cluster/ns/jobs/sa/nightly",), ()), ((), ("reports.example",)), (("REPORTS.EXAMPLE",), ())],
)
def test_a_name_of_the_other_kind_or_a_similar_one_is_nobodys(write, common, alternative):
    assert read_policy(write(POLICY)).certified(common, alternative) is None


@pytest.mark.parametrize(
    ("tenant", "seen"), [("acme", {"open", "acme-1", "shared"}), ("globex", {"open", "shared"}), ("other", {"open"})]
)
def test_models_with_tenants_exist_for_them_alone(write, tenant, seen):
    everyone = Identity(subject="s", tenant=tenant, scopes=frozenset())
    limited = read_policy(write(POLICY)).limit(everyone)
    assert {model for model in ("open", "acme-1", "shared") if limited.sees(model)} == seen


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[certificates]]\ntenant = 't'\nscopes = []", "common_name or alternative_name"),
        ("[[certificates]]\ncommon_name = ''\ntenant = 't'\nscopes = []", "common_name"),
        ("[[certificates]]\ncommon_name = 'a'\nalternative_name = 'b'\ntenant = 't'\nscopes = []", "not both"),
        ("[[certificates]]\ncommon_name = 'a'\ntenant = 't'\nscopes = ['everything']", "scopes"),
        ("[[certificates]]\ncommon_name = 'a'\nscopes = []", "tenant"),
        ("[model]\na = ['b']", "model: Extra"),
        ("[models]\na = 'b'", "models.a"),
        ("= 1", "not valid"),
    ],
)
def test_another_policy_is_refused(write, text, says):
    with pytest.raises(InvalidRequestError, match=says) as caught:
        read_policy(write(text))
    assert (caught.value.reason, caught.value.field) == ("INVALID_SETTINGS", "policy_file")


def test_a_policy_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InvalidRequestError, match=r"none\.toml"):
        read_policy(tmp_path / "none.toml")
