"""What the API server checks beyond its schemas: names, labels, references; and that other files say the same."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

import yaml

from helm.chart import CHART, ROOT, Object, Rendered, helm, template

LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
LABEL_NAME = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def labels(thing: Object) -> Iterator[tuple[str, str]]:
    yield from thing["metadata"].get("labels", {}).items()
    yield from thing.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {}).items()


def test_names_and_labels_are_written_as_they_may_be(rendered: Rendered) -> None:
    for thing in rendered.objects:
        name = thing["metadata"]["name"]
        assert DNS_LABEL.fullmatch(name), name
        assert len(name) <= {"StatefulSet": 52, "CronJob": 52}.get(thing["kind"], 63), name
        for key, value in labels(thing):
            assert LABEL_NAME.fullmatch(key), (name, key)
            assert LABEL.fullmatch(value), (name, key, value)


def test_the_longest_release_has_names_that_fit() -> None:
    done = helm("template", "a" * 53, ".", "--values=ci/everything-values.yaml")
    names = [thing["metadata"]["name"] for thing in yaml.safe_load_all(done.stdout) if thing]
    assert names
    assert not [name for name in names if not DNS_LABEL.fullmatch(name)]


def test_selectors_choose_the_pods_of_their_own_template(rendered: Rendered) -> None:
    for thing in rendered.of_kind("Deployment", "StatefulSet"):
        chosen = thing["spec"]["selector"]["matchLabels"].items()
        assert chosen <= thing["spec"]["template"]["metadata"]["labels"].items(), thing["metadata"]["name"]


def test_no_two_controllers_choose_the_same_pods(rendered: Rendered) -> None:
    things = rendered.of_kind("Deployment", "StatefulSet")
    for thing in things:
        chosen = thing["spec"]["selector"]["matchLabels"].items()
        pods = [other for other in things if chosen <= other["spec"]["template"]["metadata"]["labels"].items()]
        assert pods == [thing], thing["metadata"]["name"]


def test_containers_mount_volumes_that_there_are_each_at_a_place_of_its_own(rendered: Rendered) -> None:
    for name, pod in rendered.pods():
        spec = pod["spec"]
        volumes = [volume["name"] for volume in spec["volumes"]]
        assert len(volumes) == len(set(volumes)), name
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            places = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert len(places) == len(set(places)), name
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes), name


def test_services_lead_to_ports_that_containers_name(rendered: Rendered) -> None:
    for service in rendered.of_kind("Service"):
        chosen = service["spec"]["selector"].items()
        for _, pod in rendered.pods():
            if chosen <= pod["metadata"]["labels"].items():
                named = {port["name"] for part in pod["spec"]["containers"] for port in part.get("ports", ())}
                assert {port["targetPort"] for port in service["spec"]["ports"]} <= named


def test_what_is_referred_to_is_made_or_given(rendered: Rendered) -> None:
    made = {(thing["kind"], thing["metadata"]["name"]) for thing in rendered.objects}
    for thing in rendered.of_kind("ScaledObject", "HorizontalPodAutoscaler"):
        target = thing["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) in made
    for name, container in rendered.containers():
        for source in container.get("envFrom", ()):
            reference = source.get("configMapRef", {}).get("name", "")
            assert not reference.startswith("w-") or ("ConfigMap", reference) in made, name


def test_the_chart_is_of_the_version_that_it_runs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == project["version"]


def test_images_are_those_that_are_built_and_run_as_their_user() -> None:
    built = (ROOT / "images" / "Dockerfile").read_text(encoding="utf-8")
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    ours = {values["images"][role]["repository"] for role in ("frontEnd", "worker", "workerOnnx", "jobs")}
    assert ours == {f"whence/{target}" for target in re.findall(r"^FROM runtime AS (\S+)$", built, re.MULTILINE)}
    assert re.findall(r"^USER (\d+):(\d+)$", built, re.MULTILINE) == [(str(values["runAsUser"]),) * 2]


def test_redis_is_that_of_the_compose_file() -> None:
    compose = yaml.safe_load((ROOT / "compose" / "compose.yaml").read_text(encoding="utf-8"))
    redis = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["images"]["redis"]
    assert compose["services"]["redis"]["image"] == f"{redis['repository']}:{redis['tag']}"


def test_a_package_has_all_that_templates_read(tmp_path: object) -> None:
    done = helm("package", ".", "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (package,) = [word for word in done.stdout.split() if word.endswith(".tgz")]
    packed = helm("template", "w", package, "--namespace", "attribution", "--values=ci/everything-values.yaml")
    assert packed.stdout == template("--values=ci/everything-values.yaml").stdout
