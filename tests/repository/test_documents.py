"""The documents say what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CODE = ("proto", "clients", "service", "backends")
DOCUMENTS = (
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "docs",
    "helm/whence/README.md",
    "clients/typescript/README.md",
)


@pytest.mark.parametrize(
    "script", ["chart_documents", "configuration_table", "dashboard", "error_reasons", "openapi", "option_table"]
)
def test_what_is_generated_is_up_to_date(root: Path, script: str) -> None:
    command = [sys.executable, root / "scripts" / f"{script}.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_document_that_is_out_of_date_is_noticed(root: Path, tmp_path: Path) -> None:
    for folder in ("scripts", "docs", "clients", "service", "backends"):
        (tmp_path / folder).mkdir()
    for script in (root / "scripts").glob("*.py"):
        (tmp_path / "scripts" / script.name).write_text(script.read_text())
    (tmp_path / "docs" / "errors.md").write_text((root / "docs" / "errors.md").read_text())
    command = [sys.executable, tmp_path / "scripts" / "error_reasons.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "docs/errors.md is out of date; run: make docs" in done.stderr


def test_every_link_to_a_file_leads_to_one(root: Path) -> None:
    links = [
        (path, link)
        for name in DOCUMENTS
        for path in _markdown(root / name)
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())
    ]
    broken = [f"{path.relative_to(root)}: {link}" for path, link in links if not (path.parent / link).exists()]
    assert links
    assert not broken


def test_every_decision_is_in_the_list(root: Path) -> None:
    folder = root / "docs" / "decisions"
    listed = re.findall(r"\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text())
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


def test_every_path_that_the_architecture_names_exists(root: Path) -> None:
    text = (root / "ARCHITECTURE.md").read_text()
    for path in re.findall(
        r"\b((?:whence|whence_service|whence_backends|frontend|rpc|worker|fit|ekfac)/[\w/]+\.py)\b", text
    ):
        assert any(root.glob(f"*/**/{path}")), path


def test_every_metric_stage_is_in_the_code(root: Path) -> None:
    text = (root / "docs" / "metrics.md").read_text()
    named = set(re.findall(r"`(\w+)`", text[text.index("## Stages") : text.index("An answer's")]))
    code = "".join(path.read_text() for package in ("service", "backends") for path in (root / package).rglob("*.py"))
    used = set(re.findall(r"""(?:stage\(|stage=|(?:watch|stopwatch)\.(?:add|count)\()"(\w+)\"""", code))
    job_stages = {"covariance", "eigenbasis", "lambda", "trace", "write", "verify", "other"}  # of fit and export
    assert named == used - job_stages


def test_every_term_of_the_glossary_is_in_use(root: Path) -> None:
    glossary = root / "docs" / "glossary.md"
    terms = re.findall(r"^\| ([^|]+?) \|", glossary.read_text(), re.M)
    terms = [term for term in terms if term not in {"Term", "---"}]
    assert not [term for term in sorted(set(terms)) if terms.count(term) > 1]
    documents = [path for name in DOCUMENTS for path in _markdown(root / name) if path != glossary]
    code = [path for folder in CODE for path in sorted((root / folder).rglob("*")) if path.suffix in {".py", ".proto"}]
    # Joined by single spaces, so that a term may be broken over two lines, of comments too.
    prose = re.sub(r"[\s#/_]+", " ", " ".join(path.read_text() for path in documents + code)).lower()
    assert not [term for term in terms if term.lower() not in prose]


def _markdown(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.md"))
