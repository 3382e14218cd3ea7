"""Of the Helm chart, and of what its probes ask."""

from __future__ import annotations

from breakage import Breakage

TEMPLATES = "helm/whence/templates"

BREAKAGES = (
    Breakage(
        name="a pod with a token of the cluster",
        file=f"{TEMPLATES}/_pods.tpl",
        old="automountServiceAccountToken: false",
        new="automountServiceAccountToken: true",
        tests="tests/helm/test_pods.py",
        only="token_of_the_cluster",
    ),
    Breakage(
        name="a container that keeps its capabilities",
        file=f"{TEMPLATES}/_pods.tpl",
        old="  capabilities: {drop: [ALL]}\n",
        new="",
        tests="tests/helm/test_pods.py",
        only="restricted_standard",
    ),
    Breakage(
        name="a pod that is killed while calls are in flight",
        file=f"{TEMPLATES}/_pods.tpl",
        old="(ceil (addf $drain $grace)) 15",
        new="(ceil $drain) 15",
        tests="tests/helm/test_pods.py",
        only="time_that_their_drain_takes",
    ),
    Breakage(
        name="a policy that lets everyone reach workers",
        file=f"{TEMPLATES}/network/worker.yaml",
        old="""    - from:
        {{- include "whence.peer" (dict "root" $ "component" "front-end") | nindent 8 }}
      ports:
        - {port: 50061""",
        new="    - ports:\n        - {port: 50061",
        tests="tests/helm/test_network.py",
        only="nothing_is_reached",
    ),
    Breakage(
        name="numbers in the form in which Helm reads them",
        file=f"{TEMPLATES}/_pods.tpl",
        old='{{ printf "%.0f" . }}',
        new="{{ . }}",
        tests="tests/helm/test_workers.py",
        only="large_numbers",
    ),
    Breakage(
        name="a last group of shards that the corpus does not have",
        file=f"{TEMPLATES}/_models.tpl",
        old="(int (min $model.total (mul (add1 .group) $model.perWorker)))",
        new="(int (mul (add1 .group) $model.perWorker))",
        tests="tests/helm/test_workers.py",
        only="shards_that_are_left",
    ),
    Breakage(
        name="a worker that asks nobody who calls, although it has certificates",
        file=f"{TEMPLATES}/_access.tpl",
        old="tls_client_ca: /etc/whence/tls/ca.crt\n{{- else if",
        new="insecure: true\n{{- else if",
        tests="tests/helm/test_access.py",
        only="ask_nobody",
    ),
    Breakage(
        name="probes of gRPC where it speaks TLS",
        file=f"{TEMPLATES}/_pods.tpl",
        old="{{- if .tls -}}",
        new="{{- if false -}}",
        tests="tests/helm/test_access.py",
        only="probes_ask_over_http",
    ),
    Breakage(
        name="a Job of one name whatever it does",
        file=f"{TEMPLATES}/jobs/job.yaml",
        old="($template | sha256sum | trunc 8)",
        new='"0"',
        tests="tests/helm/test_workers.py",
        only="changed_job",
    ),
    Breakage(
        name="settings that restart nobody",
        file=f"{TEMPLATES}/worker/statefulset.yaml",
        old="{{ toJson $settings | sha256sum }}",
        new="same",
        tests="tests/helm/test_pods.py",
        only="changed_setting",
    ),
    Breakage(
        name="a new chart that restarts every pod",
        file=f"{TEMPLATES}/_pods.tpl",
        old="app.kubernetes.io/part-of: whence\n",
        new="app.kubernetes.io/part-of: whence\nchart: {{ .root.Chart.Version }}\n",
        tests="tests/helm/test_workers.py",
        only="upgrade",
    ),
    Breakage(
        name="a stuck process that is said to be alive",
        file="service/whence_service/rpc/http.py",
        old="return turned.wait(_PATIENCE_S)",
        new="return True",
        tests="tests/rpc/test_http.py",
        only="stuck",
    ),
)
