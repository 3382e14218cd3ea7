"""Models, shard groups and generations become StatefulSets; artefacts and caches reach them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from prometheus_client import CollectorRegistry

from helm.chart import CHART, Rendered, helm, render, values_of, with_values
from whence_service.rpc.metrics import Metrics


def names(rendered: Rendered, kind: str) -> list[str]:
    return sorted(thing["metadata"]["name"].removeprefix("w-whence-") for thing in rendered.of_kind(kind))


def shards(rendered: Rendered, name: str) -> str:
    return str(rendered.named("ConfigMap", name)["data"].get("WHENCE_WORKER_SHARDS", ""))


def test_each_group_of_shards_has_its_workers(gpu: Rendered) -> None:
    groups = [f"llama-{group}" for group in range(4)]
    assert names(gpu, "StatefulSet") == groups
    assert [shards(gpu, group) for group in groups] == [
        f"shard-0000{first},shard-0000{first + 1}" for first in (0, 2, 4, 6)
    ]
    assert {stateful["spec"]["replicas"] for stateful in gpu.of_kind("StatefulSet")} == {2}


def test_the_last_group_holds_the_shards_that_are_left(everything: Rendered) -> None:
    assert shards(everything, "llama-2026-11-0") == "shard-00000,shard-00001"
    assert shards(everything, "llama-2026-11-1") == "shard-00002"
    assert shards(everything, "small-0") == ""


def test_two_generations_of_a_model_stand_beside_each_other(everything: Rendered) -> None:
    assert names(everything, "StatefulSet") == ["llama-2026-10-0", "llama-2026-11-0", "llama-2026-11-1", "small-0"]
    old, new = (everything.named("ConfigMap", f"llama-{month}-0")["data"] for month in ("2026-10", "2026-11"))
    assert old["WHENCE_WORKER_NAME"] == new["WHENCE_WORKER_NAME"] == "llama"
    assert old["WHENCE_WORKER_FACTORS"] != new["WHENCE_WORKER_FACTORS"]


def test_the_front_end_asks_the_headless_service_for_all_workers(gpu: Rendered) -> None:
    service = gpu.named("Service", "worker")
    assert service["spec"]["clusterIP"] == "None"
    variables = gpu.named("ConfigMap", "front-end")["data"]
    assert variables["WHENCE_WORKERS"] == "dns:///w-whence-worker.attribution.svc:50061"
    assert {stateful["spec"]["serviceName"] for stateful in gpu.of_kind("StatefulSet")} == {"w-whence-worker"}


def test_a_gpu_is_a_limit_and_the_engine_must_find_it(gpu: Rendered) -> None:
    spec = gpu.named("StatefulSet", "llama-0")["spec"]["template"]["spec"]
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in spec["containers"][0]["resources"]["requests"]
    assert spec["runtimeClassName"] == "nvidia"
    assert gpu.named("ConfigMap", "llama-0")["data"]["WHENCE_WORKER_DEVICE"] == "cuda"


def test_large_numbers_keep_their_digits(gpu: Rendered) -> None:
    assert gpu.named("ConfigMap", "llama-0")["data"]["WHENCE_WORKER_QUERY_MEMORY_BYTES"] == "34359738368"


def test_the_engine_decides_the_image(torch_free: Rendered, gpu: Rendered) -> None:
    images = [rendered.of_kind("StatefulSet")[0] for rendered in (torch_free, gpu)]
    names = [stateful["spec"]["template"]["spec"]["containers"][0]["image"] for stateful in images]
    assert names == ["whence/worker-onnx:0.1.0", "registry.example.com/whence/worker:0.1.0"]


def test_artefacts_are_copied_before_a_worker_starts(torch_free: Rendered) -> None:
    spec = torch_free.named("StatefulSet", "demo-0")["spec"]["template"]["spec"]
    (download,) = spec["initContainers"]
    assert download["args"][:3] == ["copy", "store:bucket/whence", "/data"]
    assert [argument for argument in download["args"] if argument.startswith("--include")] == [
        f"--include=/demo/{name}{below}"
        for name in ("corpus", "export", "factors", "index")
        for below in ("", "/**")  # a model may be one file
    ]
    assert download["envFrom"] == [{"secretRef": {"name": "store-credentials"}}]
    (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "artefacts"]
    assert volume["emptyDir"] == {"sizeLimit": "20Gi"}


def test_a_copy_may_be_on_a_volume_of_its_own() -> None:
    rendered = render(values_of("torch-free"), *with_values(artefacts__download__storageClassName="local"))
    spec = rendered.named("StatefulSet", "demo-0")["spec"]["template"]["spec"]
    (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "artefacts"]
    claim = volume["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert claim["storageClassName"] == "local"
    assert claim["resources"]["requests"]["storage"] == "20Gi"


def test_any_volume_of_kubernetes_may_hold_artefacts() -> None:
    bucket = {"csi": {"driver": "s3.csi.example.com", "readOnly": True}}
    values = with_values(artefacts={"claim": {"existing": ""}, "volume": bucket})
    spec = render(values_of("embedded"), *values).named("Deployment", "front-end")["spec"]["template"]["spec"]
    assert {"name": "artefacts", **bucket} in spec["volumes"]


def test_workers_read_artefacts_and_jobs_write_them(everything: Rendered) -> None:
    for name, container in everything.containers():
        for mount in container["volumeMounts"]:
            if mount["name"] == "artefacts" and "wait" not in name:
                assert mount["readOnly"] is not name.startswith("Job"), name


def test_the_claim_outlives_the_release(everything: Rendered) -> None:
    (claim,) = everything.of_kind("PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_what_scales_has_no_number_of_replicas(everything: Rendered) -> None:
    assert "replicas" not in everything.named("Deployment", "front-end")["spec"]
    assert "replicas" not in everything.named("StatefulSet", "llama-2026-11-0")["spec"]
    assert everything.named("StatefulSet", "small-0")["spec"]["replicas"] == 3
    assert names(everything, "ScaledObject") == ["llama-2026-10-0", "llama-2026-11-0", "llama-2026-11-1"]


def test_workers_scale_by_a_metric_that_they_have(everything: Rendered) -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    families = {family.name for family in registry.collect()}
    (trigger,) = everything.named("ScaledObject", "llama-2026-11-0")["spec"]["triggers"]
    assert "whence_queue_depth" in families
    assert trigger["metadata"]["query"] == (
        'sum(whence_queue_depth{namespace="attribution",pod=~"w-whence-llama-2026-11-0-[0-9]+"})'
    )


def test_an_embedded_worker_has_no_workers_beside_it(embedded: Rendered) -> None:
    assert not embedded.of_kind("StatefulSet")
    variables = embedded.named("ConfigMap", "front-end")["data"]
    assert "WHENCE_WORKERS" not in variables
    assert variables["WHENCE_WORKER_MODEL"] == "/data/demo/model"


def test_a_changed_job_is_another_job() -> None:
    def job(**options: object) -> str:
        entry = {"name": "fit", "command": "fit", "artefacts": {"model": "m", "corpus": "c", "out": "o"}}
        rendered = render(values_of("embedded"), *with_values(jobs=[{**entry, "options": options}]))
        (made,) = rendered.of_kind("Job")
        return str(made["metadata"]["name"])

    assert job(seed=1) == job(seed=1) != job(seed=2)


def test_a_new_generation_leaves_the_workers_of_the_old_one_as_they_are() -> None:
    old = {"name": "demo", "artefacts": {"model": "m", "factors": "f", "corpus": "c"}}
    new = {**old, "generation": "2026-11", "artefacts": {"model": "m", "factors": "f2", "corpus": "c"}}
    before = render(values_of("gpu-shards"), *with_values(models=[old]))
    after = render(values_of("gpu-shards"), *with_values(models=[old, new]))
    assert not [thing for thing in before.objects if thing not in after.objects]
    assert names(after, "StatefulSet") == ["demo-0", "demo-2026-11-0"]


def test_an_upgrade_of_the_chart_alone_restarts_no_pod(tmp_path: Path) -> None:
    newer = tmp_path / "whence"
    shutil.copytree(CHART, newer)
    text = (newer / "Chart.yaml").read_text(encoding="utf-8")
    (newer / "Chart.yaml").write_text(re.sub(r"^version: .*$", "version: 9.9.9", text, flags=re.MULTILINE))
    done = helm("template", "w", str(newer), "--namespace", "attribution", values_of("everything"))
    upgraded = Rendered(text=done.stdout)
    current = render(values_of("everything"))
    assert upgraded.objects != current.objects
    # The pod of `helm test` is made anew each time.
    before, after = (
        {name: pod for name, pod in rendered.pods() if not name.startswith("Pod")} for rendered in (current, upgraded)
    )
    assert after == before
