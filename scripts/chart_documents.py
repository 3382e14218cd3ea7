"""Writes what the Helm chart repeats from the code and from its own values. With --check it only compares.

Into ``helm/whence/values.schema.json`` the settings and the options of jobs, so that Helm refuses those that there are
not; into the chart's README the tables of values; and into ``helm/whence/dashboards`` what ``dashboards`` has, because
Helm reads no files beside the chart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import generated_blocks

from whence.cli import COMMANDS
from whence.cli.lazy import load
from whence_backends.worker.config import WorkerSettings
from whence_service.frontend.config import FrontEndSettings
from whence_service.rpc.settings import HostingSettings

CHART: Final = generated_blocks.ROOT / "helm" / "whence"
SCHEMA: Final = CHART / "values.schema.json"
DASHBOARDS: Final = ("alerts.yaml", "whence.json")
# What the templates decide, from other values.
OF_BOTH: Final = {"address", "insecure", "metrics_address", "otlp_endpoint", "trace_sampling"} | {
    *("tls_certificate", "tls_key", "tls_client_ca"),
}
OF_FRONT_END: Final = OF_BOTH | {
    *("keys_file", "oidc_audience", "oidc_issuer", "oidc_jwks", "policy_file", "workers"),
    *("quotas_file", "quotas_redis_password_file", "quotas_redis_tls_ca", "quotas_redis_url", "quotas_redis_username"),
    *("workers_tls_ca", "workers_tls_certificate", "workers_tls_key", "workers_tls_name"),
}
OF_WORKERS: Final = OF_BOTH | {
    *("certificate", "corpus", "factors", "index", "model", "name", "shards"),
    *("redis_password_file", "redis_tls_ca", "redis_url", "redis_username"),
}
# What jobs take as `artefacts` and `ranks`.
OF_JOBS: Final = {"model", "corpus", "factors", "out", "rank", "world-size", "help", "preview"}

Schema = dict[str, Any]


class Value(NamedTuple):
    """A value of the chart: its path, its default as YAML, and the comment before it."""

    path: str
    default: str
    comment: str


def settings(kind: type[HostingSettings], decided: set[str]) -> Schema:
    """Return the schema of a process's settings, without those that the chart decides."""
    fields = kind.model_json_schema()
    properties = {
        name: _plain(field, fields.get("$defs", {}))
        for name, field in sorted(fields["properties"].items())
        if name not in decided
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def options(command: str) -> Schema:
    """Return the schema of a command's options, without those that a job has values of its own for."""
    subcommand = next(entry for entry in COMMANDS if entry.name == command)
    properties = {
        name.removeprefix("--"): _option(parameter)
        for parameter in load(subcommand).params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--") and name.removeprefix("--") not in OF_JOBS
    }
    return {"type": "object", "additionalProperties": False, "properties": dict(sorted(properties.items()))}


def values() -> Iterator[Value]:
    """Yield the values of ``values.yaml`` in its order; those that have parts are not values themselves."""
    lines = (CHART / "values.yaml").read_text(encoding="utf-8").splitlines()
    path: list[str] = []
    comment: list[str] = []
    for number, line in enumerate(lines):
        match = re.match(r"( *)(\w+):(?: (.*))?$", line)
        if line.lstrip().startswith("# "):
            comment.append(line.strip().removeprefix("# "))
        elif not line.strip():
            comment = []
        elif match:
            path = [*path[: len(match[1]) // 2], match[2]]
            listed = number + 1 < len(lines) and lines[number + 1].lstrip().startswith("- ")
            if match[3] or listed:
                yield Value(".".join(path), match[3] or "(values.yaml)", " ".join(comment))
            comment = []


def entries(definition: str) -> str:
    """Return the table of what an entry of a list takes, from its descriptions in the schema."""
    entry = json.loads(SCHEMA.read_text(encoding="utf-8"))["definitions"][definition]
    required = entry["required"]
    rows = [
        [f"`{name}`" + (" (required)" if name in required else ""), field["description"]]
        for name, field in entry["properties"].items()
    ]
    return generated_blocks.table(["Value", "Meaning"], rows)


def schema() -> str:
    """Return ``values.schema.json`` with its generated definitions."""
    document = json.loads(SCHEMA.read_text(encoding="utf-8"))
    document["definitions"] |= {
        "frontEndSettings": settings(FrontEndSettings, OF_FRONT_END),
        "workerSettings": settings(WorkerSettings, OF_WORKERS),
        **{f"{command}Options": options(command) for command in ("corpus", "fit", "index", "export")},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _option(parameter: Any) -> Schema:  # noqa: ANN401 - of whichever click typer uses
    """Return the schema of a command's option; a flag is given or left out."""
    return {"const": True} if getattr(parameter, "is_flag", False) else {"type": ["string", "number"]}


def _plain(field: Schema, definitions: Schema) -> Schema:
    """Return a field's schema without titles, defaults and references."""
    if "$ref" in field:
        named = definitions[field["$ref"].rpartition("/")[2]]
        field = {**named, **{key: value for key, value in field.items() if key != "$ref"}}
    plain = {key: value for key, value in field.items() if key not in ("title", "default", "format")}
    if "anyOf" in plain:
        plain["anyOf"] = [_plain(choice, definitions) for choice in plain["anyOf"] if choice != {"type": "null"}]
    return plain


if __name__ == "__main__":
    for name in DASHBOARDS:
        generated_blocks.write(CHART / "dashboards" / name, (generated_blocks.ROOT / "dashboards" / name).read_text())
    generated_blocks.write(SCHEMA, schema())
    rows = [[f"`{value.path}`", f"`{value.default}`", value.comment] for value in values()]
    blocks = {
        "values": generated_blocks.table(["Value", "Default", "Meaning"], rows),
        "models": entries("model"),
        "jobs": entries("job"),
    }
    generated_blocks.run(CHART / "README.md", blocks)
