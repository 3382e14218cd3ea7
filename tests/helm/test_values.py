"""What the schema and the checks refuse, and what they say."""

from __future__ import annotations

import pytest

from helm.chart import render, template, values_of, with_values

MODEL = {"name": "demo", "artefacts": {"model": "m", "factors": "f", "corpus": "c"}}
JOB = {"name": "j", "command": "fit", "artefacts": {"model": "m", "corpus": "c", "out": "o"}}


def refusal(case: str, **values: object) -> str:
    done = template(values_of(case), *with_values(**values))
    assert done.returncode != 0, done.stdout
    return done.stderr


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"frontend": {"replicas": 1}}, "frontend is not allowed"),
        ({"frontEnd__replica": 1}, "replica is not allowed"),
        ({"frontEnd__replicas": "2"}, "Expected: integer, given: string"),
        ({"frontEnd__settings": {"max_runing": 1}}, "max_runing is not allowed"),
        ({"frontEnd__settings": {"address": "0.0.0.0:1"}}, "address is not allowed"),
        ({"frontEnd__settings": {"max_running": 0}}, "Must be greater than or equal to 1"),
        ({"worker__settings": {"redis_url": "redis://a"}}, "redis_url is not allowed"),
        ({"images__worker__tag": "latest"}, "images.worker.tag"),
        ({"images__worker__digest": "sha256:12"}, "images.worker.digest"),
        ({"redis__mode": "cluster"}, "redis.mode"),
        ({"redis__external__url": "redis://user:secret@host:6379"}, "redis.external.url"),
        ({"models": [{"name": "demo"}]}, "artefacts is required"),
        ({"models": [{**MODEL, "name": "Demo/7B"}]}, "models.0.name"),
        ({"models": [{**MODEL, "shards": {"perWorker": 2}}]}, "total is required"),
        ({"jobs": [{**JOB, "ranks": 2}]}, "jobs.0.ranks"),
        ({"jobs": [{**JOB, "options": {"max-sequence": 2}}]}, "max-sequence is not allowed"),
        ({"jobs": [{**JOB, "command": "corpus"}]}, "inputs is required"),
        ({"jobs": [{**JOB, "inputs": ["a"]}]}, "jobs.0"),
        ({"jobs": [{**JOB, "command": "serve"}]}, "jobs.0.command"),
        ({"networkPolicy__dns": []}, "networkPolicy.dns"),
        ({"monitoring__interval": "30"}, "monitoring.interval"),
        ({"artefacts__mountPath": "data"}, "artefacts.mountPath"),
    ],
)
def test_the_schema_refuses(values: dict[str, object], words: str) -> None:
    assert words in refusal("embedded", **values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"models": []}, "models is empty"),
        ({"models": [MODEL, {**MODEL, "name": "other"}]}, "embedded serves one model, and models has 2"),
        ({"models": [{**MODEL, "shards": {"total": 2}}]}, "embedded serves a whole corpus"),
        ({"embedded": False, "models": [MODEL, MODEL]}, "models has two entries called demo"),
        ({"embedded": False, "worker__autoscaling__enabled": True}, "give worker.autoscaling.prometheusAddress"),
        ({"artefacts__claim__existing": ""}, "one of claim, download and volume, and 0 are given"),
        ({"artefacts__download__source": "store:bucket"}, "one of claim, download and volume, and 2 are given"),
        ({"redis__mode": "external"}, "redis.external.url is empty"),
        ({"ingress__enabled": True}, "ingress.host is empty"),
        (
            {"frontEnd__autoscaling": {"minReplicas": 9}},
            "frontEnd.autoscaling.minReplicas is 9, more than maxReplicas, 8",
        ),
        ({"worker__autoscaling__minReplicas": 5}, "autoscaling.minReplicas of model demo is 5"),
        ({"frontEnd": {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": ""}}}}, "requests.cpu"),
        ({"grpcRoute__enabled": True}, "grpcRoute.parentRefs is empty"),
        (
            {
                "fullnameOverride": "a" * 24,
                "embedded": False,
                "models": [{**MODEL, "name": "b" * 20, "generation": "c" * 12}],
            },
            "is too long",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(values: dict[str, object], words: str) -> None:
    assert words in refusal("embedded", **values)


def test_workers_are_not_left_to_strangers() -> None:
    values: dict[str, object] = {"auth": {"insecure": False, "keys": {"existingSecret": "keys"}}}
    assert "anyone in the cluster reaches the workers" in refusal("torch-free", networkPolicy__enabled=False, **values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"networkPolicy__storeEgress": []}, "the object store of artefacts.download (storeEgress)"),
        ({"redis": {"mode": "external", "external": {"url": "redis://h:1/0"}}}, "the external Redis (workerEgress)"),
        ({"auth": {"insecure": False, "oidc": {"issuer": "https://a", "audience": "b"}}}, "the issuer of auth.oidc"),
        ({"tracing__endpoint": "http://c:4317"}, "collector of tracing.endpoint (frontEndEgress), the collector of"),
    ],
)
def test_what_the_policies_would_keep_out_is_named(values: dict[str, object], words: str) -> None:
    assert words in refusal("torch-free", **values)


def test_without_policies_nothing_is_kept_out() -> None:
    values = with_values(tracing__endpoint="http://c:4317", networkPolicy__enabled=False)
    assert template(values_of("torch-free"), *values).returncode == 0


def test_jobs_do_not_write_into_a_copy() -> None:
    assert "a copy of artefacts.download is lost" in refusal("torch-free", jobs=[JOB])


def test_text_that_yaml_would_read_otherwise_stays_as_it_is() -> None:
    odd = {"url": "redis://h:1/0", "username": "007", "caConfigMap": "1e3"}
    rendered = render(
        values_of("torch-free"),
        *with_values(
            auth={"insecure": False, "oidc": {"issuer": "https://a", "audience": 'yes: "no" # {}'}},
            redis={"mode": "external", "existingSecret": "123", "passwordKey": "0x1F", "external": odd},
            worker__priorityClassName="on",
            networkPolicy__frontEndEgress=[{}],
            networkPolicy__workerEgress=[{}],
        ),
    )
    data = rendered.named("ConfigMap", "demo-0")["data"]
    assert data["WHENCE_WORKER_REDIS_USERNAME"] == "007"
    assert data["WHENCE_WORKER_REDIS_PASSWORD_FILE"] == "/etc/whence/redis/0x1F"
    assert rendered.named("ConfigMap", "front-end")["data"]["WHENCE_OIDC_AUDIENCE"] == 'yes: "no" # {}'
    pod = rendered.named("StatefulSet", "demo-0")["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["redis"]["secret"]["secretName"] == "123"
    assert volumes["redis-ca"]["configMap"]["name"] == "1e3"
    assert pod["priorityClassName"] == "on"


def test_without_values_the_chart_says_what_it_needs() -> None:
    done = template()
    assert done.returncode != 0
    assert "who may call? Give auth.keys.existingSecret" in done.stderr
