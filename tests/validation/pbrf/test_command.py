"""``whence validate pbrf`` as a user runs it, and what it prints."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

from rich.console import Console

from e2e.harness import environment
from validation.pbrf.conftest import COPIES
from whence.cli.render.response_agreement import response_agreement
from whence_backends.validation.pbrf.config import PbrfConfig
from whence_backends.validation.pbrf.result import PbrfResult


def whence(config: PbrfConfig, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "whence", "validate", "pbrf", "--model", config.model, "--factors", config.factors,
        "--corpus", config.corpus, "--queries", config.queries, "--device", "cpu", *arguments,
    ]  # fmt: skip
    settings = environment({"COLUMNS": "160", "TERM": "dumb"}, None)
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=600, env=settings
    )


def printed(document: dict[str, Any]) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(response_agreement(document))
    return " ".join(out.getvalue().split())


def test_the_command_prints_a_table_and_writes_the_json(config: PbrfConfig, tmp_path: Any) -> None:
    out = tmp_path / "new" / "pbrf.json"
    done = whence(
        config, "--points", 3, "--sequences", 4, "--columns", 20, "--copies", 0.01, "--damping-factor", 10, "--out", out
    )
    assert done.returncode == 0, done.stderr
    for words in ("EK-FAC, as it is served", "damped Gauss-Newton matrix", "to 0.01 copies", "not what retraining"):
        assert words in " ".join(done.stdout.split())
    assert "responses" in done.stderr or "minimizing" in done.stderr
    document = json.loads(out.read_text())
    assert (document["format"], document["config"]["sequences"], len(document["points"])) == ("whence.pbrf/1", 4, 3)


def test_every_figure_of_the_result_is_printed(result: PbrfResult) -> None:
    document = json.loads(json.dumps(result.as_json()))
    text = printed(document)
    for row in document["agreements"]:
        assert "{value:.3f} ({low:.3f} to {high:.3f})".format(**row["pearson"]) in text
    for copies in COPIES:
        assert f"to {copies:g} copies 3 of 3" in text
    assert all(" ".join(remark.split()) in text for remark in result.remarks)


def test_what_did_not_converge_has_no_row(result: PbrfResult) -> None:
    document = replace(result, agreements=()).as_json()
    assert "too few converged for figures" in printed(document)
    assert "EK-FAC" not in printed(document)


def test_wrong_input_is_refused_in_a_sentence(config: PbrfConfig) -> None:
    done = whence(config, "--points", 2)
    assert done.returncode == 1
    assert "2 points of 64 sequences; expected 3 or more" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
