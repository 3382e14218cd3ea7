"""TLS, identities and their files: mounted where the settings say, to those who need them alone."""

from __future__ import annotations

import pytest

from helm.chart import Object, Rendered, render, template, values_of, with_values


def volumes(rendered: Rendered, kind: str, name: str) -> dict[str, Object]:
    return {volume["name"]: volume for volume in rendered.named(kind, name)["spec"]["template"]["spec"]["volumes"]}


def test_every_file_that_a_setting_names_is_mounted(rendered: Rendered) -> None:
    for name, pod in rendered.pods():
        present = {volume["name"] for volume in pod["spec"]["volumes"]}
        for container in pod["spec"]["containers"]:
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert set(mounts.values()) <= present, name
            values = [*rendered.environment(container).values(), *container.get("args", ())]
            paths = [value for value in values if isinstance(value, str) and value.startswith(("/etc/", "/data"))]
            assert not [path for path in paths if not any(path.startswith(f"{place}/") for place in mounts)], name


def test_files_follow_their_secret(rendered: Rendered) -> None:
    """A file that is mounted by subPath stays as it was when the container started."""
    for name, container in rendered.containers():
        assert not [mount for mount in container["volumeMounts"] if "subPath" in mount], name


def test_certificates_have_the_names_that_are_called(everything: Rendered) -> None:
    names = {thing["spec"]["secretName"]: thing["spec"]["dnsNames"] for thing in everything.of_kind("Certificate")}
    called = everything.named("ConfigMap", "front-end")["data"]["WHENCE_WORKERS"]
    assert called.removeprefix("dns:///").rpartition(":")[0] in names["w-whence-worker-tls"]
    address = everything.named("Pod", "test")["spec"]["containers"][0]["args"][1]
    assert address.rpartition(":")[0] in names["w-whence-front-end-tls"]
    assert "whence.example.com" in names["w-whence-front-end-tls"]


def test_each_side_has_its_own_key_between_front_end_and_workers(everything: Rendered) -> None:
    front, worker = volumes(everything, "Deployment", "front-end"), volumes(everything, "StatefulSet", "small-0")
    assert front["tls"]["secret"]["secretName"] == "w-whence-front-end-tls"
    assert front["worker-tls"]["secret"]["secretName"] == "w-whence-worker-client-tls"
    assert worker["tls"]["secret"]["secretName"] == "w-whence-worker-tls"
    assert "worker-tls" not in worker


def test_the_test_sees_the_front_ends_authority_and_not_its_key(everything: Rendered) -> None:
    (ca,) = [volume for volume in everything.named("Pod", "test")["spec"]["volumes"] if volume["name"] == "ca"]
    assert ca["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]


def test_with_a_token_the_test_asks_for_models_too(everything: Rendered) -> None:
    health, models = everything.named("Pod", "test")["spec"]["containers"]
    variables = everything.environment(models)
    assert variables["WHENCE_SERVER"] == health["args"][1]
    assert variables["WHENCE_TOKEN_FILE"] == "/etc/whence/token/token"
    assert "WHENCE_ALLOW_INSECURE_TOKEN" not in variables


def test_probes_ask_over_http_where_grpc_speaks_tls(everything: Rendered) -> None:
    for kind, name in (("Deployment", "front-end"), ("StatefulSet", "small-0")):
        (container,) = everything.named(kind, name)["spec"]["template"]["spec"]["containers"]
        asked = {probe: container[f"{probe}Probe"]["httpGet"] for probe in ("startup", "readiness", "liveness")}
        assert asked["readiness"] == {"port": "metrics", "path": "/healthz"}
        assert asked["liveness"] == {"port": "metrics", "path": "/livez"}
        assert asked["startup"]["path"] == {"Deployment": "/livez", "StatefulSet": "/healthz"}[kind]


@pytest.mark.parametrize(("case", "insecure"), [("gpu-shards", True), ("everything", False)])
def test_workers_ask_nobody_who_calls_only_without_certificates(rendered: Rendered, insecure: bool) -> None:
    for worker in rendered.of_kind("StatefulSet"):
        (container,) = worker["spec"]["template"]["spec"]["containers"]
        variables = rendered.environment(container)
        assert ("WHENCE_WORKER_INSECURE" in variables) is insecure
        assert ("WHENCE_WORKER_TLS_CLIENT_CA" in variables) is not insecure


def test_a_password_reaches_redis_and_those_who_ask_it_alone(everything: Rendered) -> None:
    readers = {
        name
        for name, pod in everything.pods()
        for volume in pod["spec"]["volumes"]
        if volume.get("secret", {}).get("secretName") == "redis-password"
    }
    workers = {f"StatefulSet {thing['metadata']['name']}" for thing in everything.of_kind("StatefulSet")}
    assert readers == workers | {"Deployment w-whence-front-end"}  # which counts quotas there
    (redis,) = everything.named("Deployment", "redis")["spec"]["template"]["spec"]["containers"]
    assert redis["args"][-2:] == ["--requirepass", "$(REDIS_PASSWORD)"]
    assert redis["env"][0]["valueFrom"]["secretKeyRef"] == {"name": "redis-password", "key": "password"}


def test_front_ends_count_together_where_workers_keep_gradients(everything: Rendered) -> None:
    (container,) = everything.named("Deployment", "front-end")["spec"]["template"]["spec"]["containers"]
    variables = everything.environment(container)
    assert variables["WHENCE_QUOTAS_FILE"] == "/etc/whence/quotas/quotas.toml"
    assert variables["WHENCE_QUOTAS_REDIS_URL"] == "redis://w-whence-redis.attribution.svc:6379/0"
    assert variables["WHENCE_QUOTAS_REDIS_PASSWORD_FILE"] == "/etc/whence/redis/password"
    assert float(variables["WHENCE_QUOTAS_LOCAL_SHARE"]) == pytest.approx(1 / 12)


def test_counting_together_needs_a_place_to_count() -> None:
    done = template(values_of("torch-free"), *with_values(quotas={"existingConfigMap": "q", "countTogether": True}))
    assert "quotas.countTogether needs a Redis" in done.stderr


def test_an_external_redis_is_asked_over_tls_as_a_user() -> None:
    external = {"url": "rediss://redis.example.com:6379/0", "username": "whence", "caConfigMap": "redis-ca"}
    values = with_values(
        redis={"mode": "external", "existingSecret": "redis-password", "external": external},
        networkPolicy__workerEgress=[{"ports": [{"port": 6379}]}],
    )
    rendered = render(values_of("torch-free"), *values)
    data = rendered.named("ConfigMap", "demo-0")["data"]
    assert data["WHENCE_WORKER_REDIS_URL"] == external["url"]
    assert data["WHENCE_WORKER_REDIS_USERNAME"] == "whence"
    assert data["WHENCE_WORKER_REDIS_TLS_CA"] == "/etc/whence/redis-ca/ca.crt"
    assert data["WHENCE_WORKER_REDIS_PASSWORD_FILE"] == "/etc/whence/redis/password"
    assert volumes(rendered, "StatefulSet", "demo-0")["redis-ca"]["configMap"]["name"] == "redis-ca"
    assert not [thing for thing in rendered.objects if thing["metadata"]["name"].endswith("-redis")]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"auth__insecure": False}, "who may call?"),
        ({"auth__keys__existingSecret": "keys"}, "not both"),
        ({"auth__insecure": False, "auth__policy__existingConfigMap": "policy"}, "who may call?"),
        (
            {"auth__insecure": False, "auth__oidc__issuer": "https://a"},
            "auth.oidc.issuer and auth.oidc.audience belong",
        ),
        ({"tls__clients__requireCertificates": True}, "needs tls.clients.enabled"),
        ({"tls__clients__enabled": True}, "tls.clients has no certificate"),
        ({"tls__workers": {"enabled": True, "serverSecret": "a"}}, "tls.workers has no certificates"),
        ({"certificates__enabled": True}, "name the Issuers"),
        ({"redis": {"mode": "bundled"}}, "redis.existingSecret names the Secret with the password"),
    ],
)
def test_half_of_what_identifies_is_refused(values: dict[str, object], words: str) -> None:
    done = template(values_of("torch-free"), *with_values(**values))
    assert done.returncode != 0
    assert words in done.stderr


def test_certificates_with_a_policy_are_identities() -> None:
    values = with_values(
        auth={"insecure": False, "policy": {"existingConfigMap": "policy"}},
        tls__clients={"enabled": True, "existingSecret": "tls", "requireCertificates": True},
    )
    data = render(values_of("torch-free"), *values).named("ConfigMap", "front-end")["data"]
    assert data["WHENCE_POLICY_FILE"] == "/etc/whence/policy/policy.toml"
    assert data["WHENCE_TLS_CLIENT_CA"] == "/etc/whence/tls/ca.crt"
    assert "WHENCE_INSECURE" not in data
