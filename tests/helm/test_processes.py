"""The chart's containers run as processes: their arguments, their environment, and the script of `helm test`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from authority import Authority
from e2e.harness import QUERY, Artefacts, Launcher, environment, free_port, launcher, make_artefacts, whence
from helm.chart import CHART, Object, Rendered, render, values_of, with_values
from whence import Client

HEALTH = CHART / "files" / "health.py"


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    return make_artefacts(tmp_path_factory.mktemp("artefacts"))


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[Launcher]:
    with launcher(tmp_path) as launching:
        yield launching


def health(address: str, *files: Path, seconds: float = 30) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HEALTH), address, str(seconds), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Starts containers as processes of this machine: ports become free ones, mounted folders those of ``mounts``."""

    rendered: Rendered
    starting: Launcher
    mounts: dict[str, Path]
    ports: dict[tuple[str, str], int] = field(default_factory=dict)

    def port(self, pod: str, port: str) -> int:
        return self.ports.setdefault((pod, port), free_port())

    def start(self, kind: str, name: str, **more: str) -> None:
        (container,) = self.rendered.named(kind, name)["spec"]["template"]["spec"]["containers"]
        self.starting.start(container["args"], self._environment(name, container) | more)

    def _environment(self, pod: str, container: Object) -> dict[str, str]:
        return {
            variable: self._here(pod, value) if isinstance(value, str) else "1"
            for variable, value in self.rendered.environment(container).items()
            if variable.startswith("WHENCE_")
        }

    def _here(self, pod: str, value: str) -> str:
        value = re.sub(r"^0\.0\.0\.0:(\d+)$", lambda match: f"127.0.0.1:{self.port(pod, match[1])}", value)
        for mount, folder in self.mounts.items():
            value = re.sub(rf"^{mount}(?=/)", str(folder), value)
        return value


def model(artefacts: Artefacts, **more: object) -> Object:
    paths = {name: str(getattr(artefacts, name)) for name in ("model", "factors", "corpus")}
    return {"name": "tiny", "engine": "fake", "artefacts": paths, **more}


def test_an_embedded_pod_serves(artefacts: Artefacts, starting: Launcher) -> None:
    machine = Machine(
        rendered=render(values_of("embedded"), *with_values(models=[model(artefacts)])), starting=starting, mounts={}
    )
    machine.start("Deployment", "front-end")
    address = f"127.0.0.1:{machine.port('front-end', '50051')}"
    done = health(address)
    assert done.returncode == 0, done.stdout
    with Client(address) as client:
        assert client.attribute(QUERY).hits


def test_shard_groups_serve_under_mutual_tls(artefacts: Artefacts, starting: Launcher, tmp_path: Path) -> None:
    secrets = {name: f"{name}-tls" for name in ("front", "server", "client")}
    rendered = render(
        values_of("gpu-shards"),
        *with_values(
            models=[model(artefacts, shards={"total": 2, "perWorker": 1})],
            tls__clients={"enabled": True, "existingSecret": secrets["front"], "requireCertificates": True},
            tls__workers={"enabled": True, "serverSecret": secrets["server"], "clientSecret": secrets["client"]},
            redis={"mode": "none"},
        ),
    )
    called = rendered.named("ConfigMap", "front-end")["data"]["WHENCE_WORKERS"].removeprefix("dns:///")
    host = called.rpartition(":")[0]
    authorities = {name: Authority(tmp_path, name) for name in ("clients", "workers")}
    folders = {
        "front": _secret(tmp_path / "front", authorities["clients"], "localhost", "127.0.0.1"),
        "server": _secret(tmp_path / "server", authorities["workers"], host),
        "client": _secret(tmp_path / "client", authorities["workers"], "front-end"),
    }
    workers = Machine(rendered=rendered, starting=starting, mounts={"/etc/whence/tls": folders["server"]})
    for group in ("tiny-0", "tiny-1"):
        workers.start("StatefulSet", group)
    mounts = {"/etc/whence/tls": folders["front"], "/etc/whence/worker-tls": folders["client"]}
    front = Machine(rendered=rendered, starting=starting, mounts=mounts)
    addresses = ",".join(f"127.0.0.1:{workers.port(group, '50061')}" for group in ("tiny-0", "tiny-1"))
    # In a cluster the name comes from the address.
    front.start("Deployment", "front-end", WHENCE_WORKERS=addresses, WHENCE_WORKERS_TLS_NAME=host)
    address = f"127.0.0.1:{front.port('front-end', '50051')}"
    ours = authorities["clients"].issue("test")
    done = health(address, authorities["clients"].file, ours.certificate, ours.key)
    assert done.returncode == 0, done.stdout
    assert health(address, authorities["clients"].file, seconds=1).returncode == 1


def test_the_page_serves(artefacts: Artefacts, starting: Launcher) -> None:
    values = with_values(models=[model(artefacts)], explore={"enabled": True})
    machine = Machine(rendered=render(values_of("embedded"), *values), starting=starting, mounts={})
    machine.start("Deployment", "front-end")
    server = f"127.0.0.1:{machine.port('front-end', '50051')}"
    assert health(server).returncode == 0
    address = f"127.0.0.1:{free_port()}"
    (container,) = machine.rendered.named("Deployment", "explore")["spec"]["template"]["spec"]["containers"]
    variables = {name: str(value) for name, value in machine.rendered.environment(container).items()}
    here = {**variables, "WHENCE_SERVER": server, "WHENCE_EXPLORE_ADDRESS": address}
    command = [sys.executable, "-m", *container["command"], *container["args"]]
    with subprocess.Popen(command, env=environment(here, None), stdout=subprocess.PIPE) as page:
        assert page.stdout is not None
        assert address.encode() in page.stdout.readline()
        asked = httpx.post(f"http://{address}/v1/list-models", json={})
        assert [served["name"] for served in asked.json()["models"]] == ["tiny"]
        for probe in ("readinessProbe", "livenessProbe"):
            assert httpx.get(f"http://{address}{container[probe]['httpGet']['path']}").status_code == 200
        page.terminate()
    assert page.returncode == 0


def test_ranks_of_an_index_share_its_shards(artefacts: Artefacts, tmp_path: Path) -> None:
    paths = {name: str(getattr(artefacts, name)) for name in ("model", "factors", "corpus")}
    options = {"engine": "fake", "values": 512, "keep": 0.5, "layer-groups": 1}
    index = {"name": "index", "command": "index", "options": options, "ranks": 2, "waitFor": [str(artefacts.factors)]}
    jobs = [{**index, "artefacts": {**paths, "out": str(tmp_path / "index")}}]
    rendered = render(values_of("embedded"), *with_values(jobs=jobs))
    (job,) = rendered.of_kind("Job")
    pod = job["spec"]["template"]["spec"]
    wait, main = pod["initContainers"][0], pod["containers"][0]
    assert subprocess.run([sys.executable, "-c", *wait["args"]], check=False, timeout=30).returncode == 0
    for rank in range(job["spec"]["completions"]):
        world = rendered.environment(main)["WORLD_SIZE"]
        assert not Path(tmp_path / "index" / "manifest.json").exists()
        done = whence(*main["args"], RANK=str(rank), WORLD_SIZE=world)
        assert done.returncode == 0, done.stderr
    assert Path(tmp_path / "index" / "manifest.json").exists()


def test_a_job_waits_for_what_another_makes(artefacts: Artefacts, tmp_path: Path) -> None:
    values = with_values(
        jobs=[
            {
                "name": "corpus",
                "command": "corpus",
                "inputs": [str(artefacts.corpus.parent / "documents.jsonl")],
                "artefacts": {"model": str(artefacts.model), "out": str(tmp_path / "corpus")},
                "options": {"max-tokens": 40, "by-document": True},
                "waitFor": [str(tmp_path / "other")],
            }
        ]
    )
    (job,) = render(values_of("embedded"), *values).of_kind("Job")
    pod = job["spec"]["template"]["spec"]
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        subprocess.run([sys.executable, "-c", *pod["initContainers"][0]["args"]], capture_output=True, timeout=2)
    assert f"waiting for {tmp_path / 'other'}".encode() in (caught.value.stdout or b"")
    done = whence(*pod["containers"][0]["args"])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "corpus" / "manifest.json").exists()


def test_the_script_gives_up_where_nobody_serves() -> None:
    done = health(f"127.0.0.1:{free_port()}", seconds=0.1)
    assert done.returncode == 1
    assert "DEADLINE_EXCEEDED" in done.stdout or "UNAVAILABLE" in done.stdout


def _secret(folder: Path, authority: Authority, *hosts: str) -> Path:
    """Write what a Secret of type kubernetes.io/tls has, with ca.crt."""
    folder.mkdir()
    issued = authority.issue(hosts[0], *hosts)
    for name, file in (("tls.crt", issued.certificate), ("tls.key", issued.key), ("ca.crt", authority.file)):
        (folder / name).write_bytes(file.read_bytes())
    return folder
