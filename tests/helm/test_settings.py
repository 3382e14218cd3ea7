"""What the chart tells our processes exists: every variable, every command, every option."""

from __future__ import annotations

import json
from typing import Any

import pytest

from helm.chart import CHART, Object, Rendered, render, template, values_of, with_values
from whence.cli import COMMANDS
from whence.cli.lazy import load
from whence.explore.settings import ExploreSettings
from whence.settings import FRONT_END, WORKER
from whence_backends.worker.config import WorkerSettings
from whence_service.frontend.config import FrontEndSettings

SETTINGS = {setting.variable for setting in (*FRONT_END.values(), *WORKER.values())}
# Of the libraries, not ours.
FOREIGN = {"HOME"}


def command(name: str) -> Any:
    return load(next(entry for entry in COMMANDS if entry.name == name))


def ours(rendered: Rendered) -> list[tuple[str, Object]]:
    """Return the containers that run `whence`."""
    return [(name, container) for name, container in rendered.containers() if container.get("command") == ["whence"]]


def options(name: str) -> set[str]:
    return {text for option in command(name).params for text in (*option.opts, *option.secondary_opts)}


def variables(name: str) -> set[str]:
    return {option.envvar for option in command(name).params if option.envvar}


def test_every_variable_is_read_by_something(rendered: Rendered) -> None:
    for name, container in ours(rendered):
        known = SETTINGS | FOREIGN | variables(container["args"][0])
        assert set(rendered.environment(container)) <= known, name


def test_every_option_is_one_of_the_command(rendered: Rendered) -> None:
    for name, container in ours(rendered):
        subcommand, *rest = container["args"]
        assert {text for text in rest if text.startswith("--")} <= options(subcommand), name


def literal(rendered: Rendered, container: Object) -> dict[str, str]:
    """Return the variables whose value is known before a pod runs; a CPU limit counts as four."""
    return {
        name: value if isinstance(value, str) else "4"
        for name, value in rendered.environment(container).items()
        if name.startswith("WHENCE_")
    }


def test_the_settings_load_as_the_chart_writes_them(rendered: Rendered, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, container in ours(rendered):
        kinds: dict[str, tuple[type[FrontEndSettings | WorkerSettings | ExploreSettings], ...]] = {
            "serve": (FrontEndSettings, WorkerSettings) if "--embedded" in container["args"] else (FrontEndSettings,),
            "worker": (WorkerSettings,),
            "explore": (ExploreSettings,),
        }
        with monkeypatch.context() as patch:
            for variable, value in literal(rendered, container).items():
                patch.setenv(variable, value)
            for kind in kinds.get(container["args"][0], ()):
                assert kind.load(), name


def test_a_workers_settings_are_those_of_its_values(everything: Rendered, monkeypatch: pytest.MonkeyPatch) -> None:
    stateful = everything.named("StatefulSet", "llama-2026-11-1")
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    for variable, value in literal(everything, container).items():
        monkeypatch.setenv(variable, value)
    settings = WorkerSettings.load()
    assert settings.shards == ("shard-00002",)
    assert settings.device == "cuda"
    assert settings.engine_options == {"graph_optimization": "all"}
    assert settings.redis_ttl_s == 604_800
    assert str(settings.index) == "/data/llama/2026-11/index"
    assert settings.served_name == "llama"


def test_the_page_knows_the_names_of_its_service_and_lends_nobody_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    (container,) = page().named("Deployment", "explore")["spec"]["template"]["spec"]["containers"]
    variables = literal(page(), container)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    settings = ExploreSettings.load()
    assert {"w-whence-explore", "w-whence-explore.attribution.svc", "explore.example.com"} <= set(settings.hosts)
    assert not settings.is_local
    assert not settings.insecure
    assert not [name for name in variables if "TOKEN" in name or "CERTIFICATE" in name or "KEY" in name]


def test_a_page_whose_callers_would_call_by_its_certificate_is_refused() -> None:
    done = template(values_of("explore"), *with_values(tls__clients__requireCertificates=True))
    assert "explore has no certificate to show" in done.stderr


def page() -> Rendered:
    return render(values_of("explore"))


def test_ports_of_containers_are_those_that_the_settings_serve_at(rendered: Rendered) -> None:
    for name, container in ours(rendered):
        environment = rendered.environment(container)
        served = {
            environment[variable].rpartition(":")[2]
            for variable in (
                "WHENCE_ADDRESS",
                "WHENCE_METRICS_ADDRESS",
                "WHENCE_WORKER_ADDRESS",
                "WHENCE_WORKER_METRICS_ADDRESS",
                "WHENCE_EXPLORE_ADDRESS",
            )
            if variable in environment
        }
        assert {str(port["containerPort"]) for port in container.get("ports", ())} == served, name


def test_jobs_share_their_work_only_where_the_command_has_ranks(everything: Rendered) -> None:
    """The schema lets a job have ranks if its command has an option for them."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    limits = {
        branch["if"]["properties"]["command"]["const"]: "ranks" not in branch["then"]["properties"]
        for branch in schema["definitions"]["job"]["allOf"]
    }
    assert limits == {name: "--rank" in options(name) for name in ("corpus", "fit", "index", "export")}
    job = next(job for job in everything.of_kind("Job") if job["metadata"]["labels"]["whence/job"] == "index")
    environment = everything.environment(job["spec"]["template"]["spec"]["containers"][0])
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == int(environment["WORLD_SIZE"]) == 4
    assert "job-completion-index" in environment["RANK"]["fieldRef"]["fieldPath"]
