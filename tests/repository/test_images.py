"""The Dockerfile: a stage for each role, pinned, without rights, with nothing but what the role needs."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from whence.cli import COMMANDS
from whence_backends.worker.config import WorkerSettings
from whence_service.frontend.config import FrontEndSettings

EXTRAS = {
    "front-end": {"service", "tracing", "explore"},
    "worker": {"torch", "tracing"},
    "worker-onnx": {"onnx", "tracing"},
    "jobs": {"export"},
}
PORTS = {"front-end": FrontEndSettings, "worker": WorkerSettings, "worker-onnx": WorkerSettings}
TITLE, LICENSE = "org.opencontainers.image.title", "org.opencontainers.image.licenses"


@dataclass(frozen=True)
class Stage:
    """A stage of the Dockerfile: what it is made of, and its instructions."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        return [value for name, value in self.instructions if name == keyword]


@pytest.fixture(scope="module")
def dockerfile(root: Path) -> str:
    return (root / "images" / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def stages(dockerfile: str) -> dict[str, Stage]:
    return {stage.name: stage for stage in parse(dockerfile)}


def parse(dockerfile: str) -> Iterator[Stage]:
    lines = re.sub(r"^#.*\n", "", dockerfile, flags=re.M).replace("\\\n", " ").splitlines()
    instructions = [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line.strip()]
    starts = [number for number, (keyword, _) in enumerate(instructions) if keyword == "FROM"]
    for start, end in zip(starts, [*starts[1:], len(instructions)], strict=True):
        base, _, name = instructions[start][1].split()
        yield Stage(name, base, instructions[start + 1 : end])


def inherited(stages: Mapping[str, Stage], role: str, keyword: str) -> list[str]:
    """Return the values of an instruction, from the first stage that the role's is made of to its own."""
    stage = stages[role]
    before = inherited(stages, stage.base, keyword) if stage.base in stages else []
    return [*before, *stage.all(keyword)]


@pytest.mark.parametrize("role", EXTRAS)
def test_a_role_runs_as_a_numbered_user_without_rights(stages: dict[str, Stage], role: str):
    user, group = inherited(stages, role, "USER")[-1].split(":")
    assert int(user) >= 10_000
    assert int(group) >= 10_000


@pytest.mark.parametrize("role", EXTRAS)
def test_a_role_starts_whence_without_a_shell(stages: dict[str, Stage], role: str):
    assert json.loads(inherited(stages, role, "ENTRYPOINT")[-1]) == ["whence"]
    (command,) = json.loads(inherited(stages, role, "CMD")[-1])
    assert command in {"--help", *(known.name for known in COMMANDS)}


@pytest.mark.parametrize("role", EXTRAS)
def test_a_role_only_takes_files_from_other_stages(stages: dict[str, Stage], role: str):
    assert not inherited(stages, role, "RUN")
    assert not inherited(stages, role, "ADD")
    assert all(source.startswith("--from=") for source in inherited(stages, role, "COPY"))
    assert stages[stages[role].base].base == "scratch"


@pytest.mark.parametrize(("role", "extras"), EXTRAS.items())
def test_a_role_has_the_packages_of_its_extras(root: Path, stages: dict[str, Stage], role: str, extras: set[str]):
    assert f"--from={role}-dependencies /opt/whence /opt/whence" in stages[role].all("COPY")
    dependencies = stages[f"{role}-dependencies"]
    (run,) = dependencies.all("RUN")
    for name, default in re.findall(r"(\w+)=(.*)", "\n".join(dependencies.all("ARG"))):
        run = run.replace(f"${{{name}}}", default)
    (installed,) = re.findall(r"['\"]\.\[(.+?)\]['\"]", run)
    assert set(installed.split(",")) == extras
    assert extras <= set(tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"])


def test_every_package_is_pinned(stages: dict[str, Stage]):
    assert any("PIP_CONSTRAINT=/source/constraints.txt" in value for value in stages["builder"].all("ENV"))
    assert stages["builder"].all("COPY") == ["pyproject.toml constraints.txt ./"]
    installing = [stage for stage in stages.values() if any(" install " in run for run in stage.all("RUN"))]
    assert {stage.name for stage in installing} == {*(f"{role}-dependencies" for role in EXTRAS), "code"}
    assert {stage.base for stage in installing} == {"builder"}


def test_the_base_image_is_an_argument_with_a_version(dockerfile: str, stages: dict[str, Stage]):
    (image,) = re.findall(r"^ARG BASE_IMAGE=(\S+)", dockerfile, re.M)
    assert re.fullmatch(r"\S+/python:3\.\d+-slim-\w+", image)
    assert {stage.base for stage in stages.values()} - set(stages) == {"${BASE_IMAGE}", "scratch"}


@pytest.mark.parametrize("role", EXTRAS)
def test_a_role_is_labelled(stages: dict[str, Stage], role: str):
    labels = dict(re.findall(r'([\w.]+)="([^"]*)"', " ".join(inherited(stages, role, "LABEL"))))
    assert (labels[TITLE], labels[LICENSE]) == (f"whence-{role}", "Apache-2.0")
    assert labels["org.opencontainers.image.description"]


@pytest.mark.parametrize(("role", "settings"), PORTS.items())
def test_a_server_names_its_default_port(
    stages: dict[str, Stage], role: str, settings: type[FrontEndSettings | WorkerSettings]
):
    port = settings.model_fields["address"].default.rpartition(":")[2]
    assert stages[role].all("EXPOSE")[0].split()[0] == port


def test_the_build_sees_no_other_files_than_it_copies(root: Path, stages: dict[str, Stage]):
    copies = [value for stage in stages.values() for value in stage.all("COPY") if not value.startswith("--from=")]
    copied = {source for value in copies for source in value.split()[:-1]}
    lines = [line for line in (root / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == copied
    assert "**/__pycache__" in lines
