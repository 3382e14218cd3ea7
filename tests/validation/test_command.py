"""``whence validate`` as a user runs it: plan, train with a command of one's own, measure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from validation.test_training import PLAN, RECIPE
from whence_backends.validation.bank import Bank
from whence_backends.validation.proxy_bank import ProxyBank, prepare_proxy_bank
from whence_backends.validation.training import train_and_measure


def whence(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "whence", "validate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> ProxyBank:
    """A bank of tiny proxies whose run 0 is measured."""
    folder = tmp_path_factory.mktemp("validate")
    rows = [{"id": f"d{number}", "source": "ab"[number % 2], "text": f"the {number} foxes ran"} for number in range(8)]
    (folder / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.jsonl").write_text('{"id": "q", "prompt": "the 3", "completion": " foxes"}\n')
    made = prepare_proxy_bank(folder / "documents.jsonl", folder / "queries.jsonl", folder / "bank", PLAN, RECIPE)
    train_and_measure(made.bank, made.trainer, made.measurement, runs=made.bank.plan.runs[:1])
    return made


def test_a_plan_is_trained_by_the_users_command(proxy: ProxyBank, tmp_path: Path):
    bank = tmp_path / "bank"
    planned = whence(
        "plan", "--corpus", proxy.corpus, "--queries", proxy.bank.queries_file, "--out", bank,
        "--subsets", 2, "--repeats", 1, "--without", "a",
    )  # fmt: skip
    assert planned.returncode == 0, planned.stderr
    assert "6 runs: 2 of all 8 documents, 3 of random parts of 50%" in " ".join(planned.stdout.split())
    assert (bank / "documents" / "run-0005.txt").read_text().split() == ["d1", "d3", "d5", "d7"]
    train = f"wc -l {{documents}} > lines-{{run}}; cp -r {proxy.model}/. {{checkpoint}}"
    options = ("--bank", bank, "--corpus", proxy.corpus, "--tokenizer", proxy.trainer.tokenizer)
    done = whence("run", *options, "--train-command", train.replace("lines", str(tmp_path / "lines")), "--last", 2)
    assert done.returncode == 0, done.stderr
    assert "3 of 6 runs are measured; 3 to go" in " ".join(done.stdout.split())
    assert (tmp_path / "lines-2").read_text().startswith("4 ")
    assert Bank.open(bank).measured(proxy.bank.plan.runs[0]).queries == pytest.approx(
        proxy.bank.measured(proxy.bank.plan.runs[0]).queries, abs=2e-4
    )


def test_log_likelihoods_of_the_users_are_taken(proxy: ProxyBank, tmp_path: Path):
    lines = [{"query": "q", "log_likelihood": -1.5}]
    lines += [{"sequence": f"d{number}#0", "log_likelihood": -number} for number in range(8)]
    file = tmp_path / "said.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = ("--bank", proxy.bank.folder, "--run", 1, "--corpus", proxy.corpus, "--log-likelihoods", file)
    done = whence("measure", *options)
    assert done.returncode == 0, done.stderr
    measured = proxy.bank.measured(proxy.bank.plan.runs[1])
    assert measured.queries.tolist() == [-1.5]
    assert measured.sequences.tolist() == [-number for number in range(8)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines[:-1]))
    lacking = whence("measure", *options)
    assert lacking.returncode == 1
    assert "lacks 1, such as 'd7#0'" in " ".join(lacking.stderr.split())


def test_a_command_without_a_trainer_is_wrong_usage(proxy: ProxyBank):
    done = whence("run", "--bank", proxy.bank.folder, "--corpus", proxy.corpus)
    assert done.returncode == 2
    assert "--train-command" in done.stderr
