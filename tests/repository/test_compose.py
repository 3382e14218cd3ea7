"""The compose file: valid, confined, and of settings that Whence has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from whence.environment import check
from whence_backends.worker.config import WorkerSettings
from whence_service.frontend.config import FrontEndSettings
from whence_service.rpc.settings import Settings

OURS = ("front-end", "worker", "jobs")  # as services and as targets of the Dockerfile
# What its networks let each service reach.
PEERS = {"front-end": {"worker", "prometheus"}, "worker": {"front-end", "redis", "prometheus"}, "redis": {"worker"}}


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    return root / "compose"


@pytest.fixture(scope="module")
def compose(folder: Path) -> dict[str, Any]:
    """The file with the defaults of its variables, once it was found valid."""
    return read(folder / "compose.yaml")


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(compose["services"])


def read(path: Path) -> dict[str, Any]:
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", path.read_text())
    read: dict[str, Any] = yaml.safe_load(text)
    assert PyCompose.from_json(json.dumps(read)).service_names() == list(read["services"])
    return read


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("enviroment", {}, "enviroment"),
        ("restart", "often", "unknown variant `often`"),
        ("stop_grace_period", "40 bananas", "not a valid duration unit"),
    ],
)
def test_a_file_that_is_not_valid_would_be_noticed(compose: dict[str, Any], key: str, value: Any, message: str):
    services = {**compose["services"], "worker": {**compose["services"]["worker"], key: value}}
    with pytest.raises(ValueError, match=message):
        PyCompose.from_json(json.dumps({**compose, "services": services}))


@pytest.mark.parametrize(("name", "settings"), [("front-end", FrontEndSettings), ("worker", WorkerSettings)])
def test_whence_takes_the_settings_of_a_service(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str, settings: type[Settings]
):
    given = services[name]["environment"]
    prefix = settings.model_config["env_prefix"]
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    check(given)
    loaded = settings.load().model_dump(exclude_unset=True)
    assert set(loaded) == {variable.removeprefix(prefix).lower() for variable in given}


def test_the_front_end_asks_for_the_keys_that_the_command_writes(services: dict[str, Any]):
    front_end, keys = services["front-end"], services["keys"]
    assert keys["entrypoint"] == ["whence", "keys"]
    assert front_end["environment"]["WHENCE_KEYS_FILE"] == keys["environment"]["WHENCE_KEYS_FILE"] == "/keys/keys.json"
    # The folder: a changed file is a new one in its place, which a mount of the file itself would not show.
    assert (front_end["volumes"], keys["volumes"]) == (["./keys:/keys:ro"], ["./keys:/keys"])


def test_every_container_is_confined(services: dict[str, Any]):
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"[1-9]\d*:\d+", service["user"]), name


def test_only_loopback_addresses_are_published(services: dict[str, Any]):
    published = {port for service in services.values() for port in service.get("ports", ())}
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_images_have_versions_and_ours_are_built_from_their_targets(root: Path, services: dict[str, Any]):
    version = re.search(r'^version = "(.+)"', (root / "pyproject.toml").read_text(), re.M)
    assert version
    for name, service in services.items():
        tag = service["image"].rpartition(":")[2]
        assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?(-\w+)?", tag), name
        if name in OURS:
            assert service["image"] == f"whence/{service['build']['target']}:{version[1]}"


def test_services_reach_no_others_than_they_must(services: dict[str, Any], compose: dict[str, Any]):
    inner = {name for name, network in compose["networks"].items() if network and network["internal"]}
    assert inner == set(compose["networks"]) - {"clients"}
    for name, peers in PEERS.items():
        networks = inner & set(services[name]["networks"])
        reached = {other for other in services if networks & set(services[other].get("networks", ()))} - {
            name,
            "grafana",
        }
        assert peers <= reached, name
    assert services["redis"]["networks"] == ["cache"]
    assert services["worker"]["networks"] == ["workers", "cache", "metrics"]


def test_containers_are_given_the_time_that_they_drain(services: dict[str, Any]):
    for name in ("front-end", "worker"):
        field = FrontEndSettings.model_fields
        needed = field["drain_s"].default + field["grace_s"].default
        assert float(services[name]["stop_grace_period"].removesuffix("s")) > needed, name


def test_every_file_that_is_mounted_exists(folder: Path, services: dict[str, Any]):
    sources = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())}
    files = {source for source in sources if source.startswith(".")} - {"./data", "./keys"}
    assert files
    assert not [source for source in files if not (folder / source).is_file()]


def test_prometheus_asks_each_service_where_it_serves_metrics(folder: Path, services: dict[str, Any]):
    jobs = yaml.safe_load((folder / "prometheus.yaml").read_text())["scrape_configs"]
    asked = {tuple(target["names"]): target["port"] for job in jobs for target in job["dns_sd_configs"]}
    front_end, worker = services["front-end"]["environment"], services["worker"]["environment"]
    assert asked == {
        ("front-end",): int(front_end["WHENCE_METRICS_ADDRESS"].rpartition(":")[2]),
        ("worker",): int(worker["WHENCE_WORKER_METRICS_ADDRESS"].rpartition(":")[2]),
    }


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool (Debian's package prometheus)")
def test_prometheus_takes_its_configuration(folder: Path):
    command = ["promtool", "check", "config", "--syntax-only", str(folder / "prometheus.yaml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_is_given_the_prometheus_that_the_file_runs(folder: Path, services: dict[str, Any]):
    (source,) = yaml.safe_load((folder / "grafana" / "datasources.yaml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load((folder / "grafana" / "dashboards.yaml").read_text())["providers"]
    home = Path(services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.parent == Path(provider["options"]["path"])
    assert f"../dashboards/whence.json:{home}:ro" in services["grafana"]["volumes"]


def test_the_overlay_for_gpus_changes_services_that_there_are(folder: Path, services: dict[str, Any]):
    overlay = yaml.safe_load((folder / "compose.gpu.yaml").read_text())["services"]
    assert set(overlay) == {"worker", "jobs"} <= set(services)
