"""What the schema and the checks refuse, and what they say."""

from __future__ import annotations

import pytest

from helm.chart import template, values_of, with_values

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
        ({"auth__insecure": False}, "who may call?"),
        ({"auth__keys__existingSecret": "keys"}, "not both"),
        ({"redis__mode": "external"}, "redis.external.url is empty"),
        ({"ingress__enabled": True}, "ingress.host is empty"),
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
    assert "anyone in the cluster reaches the workers" in refusal("everything", networkPolicy__enabled=False)


def test_jobs_do_not_write_into_a_copy() -> None:
    assert "a copy of artefacts.download is lost" in refusal("torch-free", jobs=[JOB])
