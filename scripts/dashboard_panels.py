"""The rows and panels of the dashboard: which metrics they show, and by which expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

# Every expression selects the jobs and instances that are chosen at the top of the dashboard.
CHOSEN: Final = 'job=~"$job",instance=~"$instance"'
_FRONT: Final = 'method=~"whence.v1.*"'
_WORKER: Final = 'method=~"whence.worker.*"'
_SHORT_METHOD: Final = "{{method}}"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel: pairs of a legend and an expression. ``unit`` is Grafana's, empty where the metric's name has it.

    ``note`` comes before the meanings of its metrics. With ``stat`` it shows the last value, as a number.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = ""
    note: str = ""
    stat: bool = False

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The families in its expressions, in the order of their first use."""
        return tuple(dict.fromkeys(name for _, expression in self.queries for name in metrics_of(expression)))


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


def metrics_of(expression: str) -> list[str]:
    """Return the families of ours and of the process in an expression, without suffixes such as ``_bucket``."""
    names = re.findall(r"(?<![:\w])(?:whence|process)_\w+", expression)
    return [re.sub(r"_(bucket|sum|count)$", "", name) for name in names]


def rate(metric: str, by: str = "", where: str = "") -> str:
    """Return the rate per second of a counter, or of a histogram's ``_sum`` or ``_count``, summed."""
    return f"sum{_by(by)} (rate({_selected(metric, where)}[$__rate_interval]))"


def quantile(q: float, metric: str, by: str = "", where: str = "") -> str:
    """Return a quantile of a histogram, for each value of the labels ``by``."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, {rate(f'{metric}_bucket', labels, where)})"


def total(metric: str, by: str = "", where: str = "", function: str = "sum") -> str:
    """Return the sum, or another aggregation, of a gauge."""
    return f"{function}{_by(by)} ({_selected(metric, where)})"


def quantiles(metric: str, by: str = "", where: str = "") -> tuple[tuple[str, str], ...]:
    """Return the median and the 99th percentile as queries of a panel."""
    suffix = " {{" + by + "}}" if by else ""
    return tuple((f"{name}{suffix}", quantile(q, metric, by, where)) for name, q in (("p50", 0.5), ("p99", 0.99)))


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


def _selected(metric: str, where: str) -> str:
    return f"{metric}{{{','.join(filter(None, (where, CHOSEN)))}}}"


_FAILED: Final = 'code=~"INTERNAL|UNKNOWN|DATA_LOSS|UNAVAILABLE"'
_CALLS: Final = "whence_rpc_requests_total"
_CACHE: Final = "whence_cache_operations_total"

ROWS: Final = (
    Row(
        title="Now",
        panels=(
            Panel(title="Models served", queries=(("", total("whence_models_served", function="min")),), stat=True),
            Panel(
                title="Models incomplete", queries=(("", total("whence_models_incomplete", function="max")),), stat=True
            ),
            Panel(
                title="Workers unreachable",
                queries=(("", total("whence_workers", where='state="unreachable"', function="max")),),
                stat=True,
            ),
            Panel(title="Calls", queries=(("", rate(_CALLS, where=_FRONT)),), unit="reqps", stat=True),
            Panel(
                title="Share of calls that failed",
                queries=(("", f"{rate(_CALLS, where=f'{_FRONT},{_FAILED}')} / {rate(_CALLS, where=_FRONT)}"),),
                unit="percentunit",
                note="By the service's fault: INTERNAL, UNKNOWN, DATA_LOSS or UNAVAILABLE.",
                stat=True,
            ),
            Panel(title="Calls that wait", queries=(("", total("whence_queue_depth", function="max")),), stat=True),
        ),
    ),
    Row(
        title="Traffic and errors",
        panels=(
            Panel(title="Calls by method", queries=((_SHORT_METHOD, rate(_CALLS, "method", _FRONT)),), unit="reqps"),
            Panel(title="Calls by code", queries=(("{{code}}", rate(_CALLS, "code", _FRONT)),), unit="reqps"),
            Panel(
                title="Failures by reason", queries=(("{{reason}}", rate("whence_rpc_errors_total", "reason", _FRONT)),)
            ),
            Panel(
                title="Refused before any work",
                queries=(("{{job}}: {{reason}}", rate("whence_rejections_total", "job, reason")),),
            ),
            Panel(
                title="Failures in workers by reason",
                queries=(("{{reason}}", rate("whence_rpc_errors_total", "reason", _WORKER)),),
            ),
            Panel(
                title="Workers lost during calls",
                queries=(
                    ("went on with replicas", rate("whence_failovers_total")),
                    ("began anew", rate("whence_calls_begun_anew_total")),
                ),
            ),
        ),
    ),
    Row(
        title="Latency",
        panels=(
            Panel(
                title="Median by method",
                queries=((_SHORT_METHOD, quantile(0.5, "whence_rpc_duration_seconds", "method", _FRONT)),),
            ),
            Panel(
                title="99th percentile by method",
                queries=((_SHORT_METHOD, quantile(0.99, "whence_rpc_duration_seconds", "method", _FRONT)),),
            ),
            Panel(
                title="99th percentile of calls to workers",
                queries=((_SHORT_METHOD, quantile(0.99, "whence_rpc_duration_seconds", "method", _WORKER)),),
            ),
        ),
    ),
    Row(
        title="Queue",
        panels=(
            Panel(title="Running", queries=(("{{instance}}", total("whence_queue_running", "instance")),)),
            Panel(title="Waiting", queries=(("{{instance}}", total("whence_queue_depth", "instance")),)),
            Panel(title="Time in the queue", queries=quantiles("whence_queue_wait_seconds", "job")),
        ),
    ),
    Row(
        title="Quotas and audit",
        panels=(
            Panel(
                title="Used by tenant",
                queries=(("{{tenant}}: {{quota}}", rate("whence_quota_used_total", "tenant, quota")),),
            ),
            Panel(
                title="Refused by tenant",
                queries=(("{{tenant}}: {{quota}}", rate("whence_quota_refusals_total", "tenant, quota")),),
            ),
            Panel(
                title="Decided without Redis",
                queries=(("{{instance}}", rate("whence_quota_fallbacks_total", "instance")),),
            ),
            Panel(
                title="Lines of the audit log", queries=(("{{outcome}}", rate("whence_audit_lines_total", "outcome")),)
            ),
        ),
    ),
    Row(
        title="Stages",
        panels=(
            Panel(
                title="Median",
                queries=(("{{job}}: {{stage}}", quantile(0.5, "whence_stage_duration_seconds", "job, stage")),),
            ),
            Panel(
                title="99th percentile",
                queries=(("{{job}}: {{stage}}", quantile(0.99, "whence_stage_duration_seconds", "job, stage")),),
            ),
            Panel(
                title="Where the time goes",
                queries=(("{{job}}: {{stage}}", rate("whence_stage_duration_seconds_sum", "job, stage")),),
                note="Seconds that calls spent in each stage, per second. Stages overlap.",
            ),
        ),
    ),
    Row(
        title="Cache of gradients",
        panels=(
            Panel(
                title="Hits among look-ups",
                queries=(
                    (
                        "{{layer}}",
                        f"""{rate(_CACHE, "layer", 'operation="get",outcome="hit"')}"""
                        f""" / {rate(_CACHE, "layer", 'operation="get"')}""",
                    ),
                ),
                unit="percentunit",
            ),
            Panel(
                title="Operations by outcome",
                queries=(("{{layer}} {{operation}}: {{outcome}}", rate(_CACHE, "layer, operation, outcome")),),
                unit="ops",
            ),
            Panel(title="Redis", queries=quantiles("whence_cache_duration_seconds", "operation")),
        ),
    ),
    Row(
        title="Workers and shards",
        panels=(
            Panel(
                title="Workers as front ends see them",
                queries=(("{{instance}}: {{state}}", total("whence_workers", "instance, state")),),
            ),
            Panel(
                title="Models",
                queries=(
                    ("{{instance}}: served", total("whence_models_served", "instance")),
                    ("{{instance}}: incomplete", total("whence_models_incomplete", "instance")),
                ),
            ),
            Panel(
                title="Workers by generation",
                queries=(
                    (
                        "{{model}}: factors {{factors_digest}}, corpus {{corpus_digest}}",
                        total(
                            "whence_artefacts_loaded_info",
                            "model, model_digest, factors_digest, corpus_digest",
                            function="count",
                        ),
                    ),
                ),
                note="During a rollout the workers of two generations run side by side.",
            ),
        ),
    ),
    Row(
        title="Engine",
        panels=(
            Panel(
                title="99th percentile of jobs",
                queries=(("{{stage}}", quantile(0.99, "whence_engine_job_duration_seconds", "stage")),),
            ),
            Panel(
                title="Share of time at work",
                queries=(("{{instance}}", rate("whence_engine_job_duration_seconds_sum", "instance")),),
                unit="percentunit",
                note="An engine has one thread: at 1 it is always busy.",
            ),
            Panel(title="Wait for the engine", queries=quantiles("whence_engine_job_wait_seconds")),
            Panel(
                title="Callers that wait for the engine",
                queries=(("{{instance}}", total("whence_engine_queue_depth", "instance")),),
            ),
            Panel(
                title="Sequences scored", queries=(("{{instance}}", rate("whence_sequences_scored_total", "instance")),)
            ),
            Panel(
                title="Fill of batches",
                queries=(
                    (
                        "{{instance}}",
                        f"{rate('whence_tokens_scored_total', 'instance')}"
                        f" / {rate('whence_batch_tokens_sum', 'instance')}",
                    ),
                ),
                unit="percentunit",
                note="Tokens without padding, as a share of all.",
            ),
        ),
    ),
    Row(
        title="Index search",
        panels=(
            Panel(title="Duration of a pass", queries=quantiles("whence_search_pass_duration_seconds")),
            Panel(title="Queries that share a pass", queries=quantiles("whence_search_pass_queries"), unit="short"),
            Panel(
                title="Sequences compared",
                queries=(("{{instance}}", rate("whence_sequences_searched_total", "instance")),),
            ),
        ),
    ),
    Row(
        title="Memory and processes",
        panels=(
            Panel(
                title="Resident memory",
                queries=(("{{instance}}", total("process_resident_memory_bytes", "instance")),),
            ),
            Panel(
                title="Device memory",
                queries=(("{{instance}}", total("whence_device_memory_used_bytes", "instance")),),
            ),
            Panel(title="Sequences held", queries=(("{{instance}}", total("whence_sequences_held", "instance")),)),
            Panel(
                title="CPU",
                queries=(("{{instance}}", rate("process_cpu_seconds_total", "instance")),),
                unit="short",
                note="Cores in use.",
            ),
            Panel(title="Open files", queries=(("{{instance}}", total("process_open_fds", "instance")),)),
            Panel(
                title="Drains under way",
                queries=(
                    ("{{instance}}", f"({total('whence_drain_end_timestamp_seconds', 'instance')} > 0) - time()"),
                ),
                note="The time that calls in flight still have.",
            ),
            Panel(
                title="Starts in the last hour",
                queries=(("{{instance}}", f"changes({_selected('process_start_time_seconds', '')}[1h])"),),
                unit="short",
            ),
        ),
    ),
    Row(
        title="Certificates",
        panels=(
            Panel(
                title="Time until they expire",
                queries=(
                    (
                        "{{instance}}: {{setting}}",
                        total("whence_certificate_expiry_timestamp_seconds", "instance, setting", function="min")
                        + " - time()",
                    ),
                ),
            ),
            Panel(
                title="Files that cannot be used",
                queries=(("{{instance}}: {{hop}}", total("whence_certificates_rejected", "instance, hop")),),
            ),
            Panel(
                title="Certificates taken into use",
                queries=(("{{instance}}: {{hop}}", rate("whence_certificate_reloads_total", "instance, hop")),),
            ),
        ),
    ),
)
