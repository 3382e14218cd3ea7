"""Training the runs of a plan: real processes, real models, and what happens when one fails or is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from whence.errors import InvalidRequestError
from whence_backends.corpus import Corpus
from whence_backends.validation.plan import PlanConfig
from whence_backends.validation.proxy import Recipe
from whence_backends.validation.proxy_bank import ProxyBank, prepare_proxy_bank
from whence_backends.validation.training import CommandTrainer, EntryPointTrainer, TrainingRun, train_and_measure

RECIPE = Recipe(layers=1, width=16, heads=2, feed_forward=16, vocabulary=300, epochs=1)
PLAN = PlanConfig(subsets=2, repeats=1, full_seeds=1)


def documents_and_queries(tmp_path: Path) -> tuple[Path, Path]:
    """Return the files of twelve documents of two sources and of two queries."""
    documents, queries = tmp_path / "documents.jsonl", tmp_path / "queries.jsonl"
    texts = [
        f"the {color} fox saw the {place}"
        for color in ("red", "old", "sly")
        for place in ("sea", "hill", "mill", "well")
    ]
    rows = [{"id": f"d{number}", "source": "ab"[number % 2], "text": text} for number, text in enumerate(texts)]
    documents.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [{"prompt": "the red fox saw the", "completion": " sea"}, {"prompt": "", "completion": "the old mill"}]
    queries.write_text("".join(json.dumps(row) + "\n" for row in asked))
    return documents, queries


@pytest.fixture
def proxy(tmp_path: Path) -> ProxyBank:
    """A bank of tiny proxies of twelve documents and two queries, with four runs."""
    return prepare_proxy_bank(*documents_and_queries(tmp_path), tmp_path / "bank", PLAN, RECIPE)


def test_a_bank_of_proxies_is_trained_and_measured(proxy: ProxyBank):
    seen: list[tuple[int, int]] = []
    train_and_measure(
        proxy.bank, proxy.trainer, proxy.measurement, parallel=2, progress=lambda at: seen.append((at.done, at.total))
    )
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    corpus = Corpus.open(proxy.corpus)
    outcomes = proxy.bank.outcomes([corpus.record(place).document_id for place in range(corpus.sequences)])
    assert outcomes.queries.shape == (4, 2)
    assert outcomes.members.sum(axis=1).tolist() == [12, 6, 6, 6]
    assert (outcomes.queries < 0).all()
    assert (outcomes.queries[1] != outcomes.queries[3]).all(), "another seed gives another model"
    assert (proxy.model / "config.json").exists()
    assert [path.name for path in proxy.model.parent.iterdir()] == ["run-0000"]
    again = proxy.measurement.measure(proxy.model)
    np.testing.assert_allclose(again.queries, outcomes.queries[0], atol=2e-4)


def test_what_is_measured_is_not_trained_again(proxy: ProxyBank):
    train_and_measure(proxy.bank, proxy.trainer, proxy.measurement)
    files = {path: path.stat().st_mtime_ns for path in (proxy.bank.folder / "runs").iterdir()}
    train_and_measure(proxy.bank, EntryPointTrainer(entry_point="nowhere:nothing"), proxy.measurement)
    assert files == {path: path.stat().st_mtime_ns for path in (proxy.bank.folder / "runs").iterdir()}


def test_a_seed_gives_the_same_model_again(proxy: ProxyBank):
    runs = [proxy.bank.plan.runs[2]]
    train_and_measure(proxy.bank, proxy.trainer, proxy.measurement, runs=runs)
    file = proxy.bank.folder / "runs" / "run-0002.json"
    first = file.read_bytes()
    file.unlink()
    train_and_measure(proxy.bank, proxy.trainer, proxy.measurement, runs=runs)
    assert file.read_bytes() == first


def test_a_command_that_fails_is_told_with_its_log(proxy: ProxyBank):
    trainer = CommandTrainer(command="echo no GPU here >&2; test -s {documents} && false {checkpoint}")
    with pytest.raises(
        InvalidRequestError, match=r"run 0 \(full\) failed: the command ended with exit code 1"
    ) as caught:
        train_and_measure(proxy.bank, trainer, proxy.measurement)
    assert "no GPU here" in (proxy.bank.folder / "logs" / "run-0000.log").read_text()
    assert caught.value.reason == "TRAINING_FAILED"
    assert len(proxy.bank.missing()) == 4


def test_a_command_that_leaves_no_model_is_told(proxy: ProxyBank):
    with pytest.raises(InvalidRequestError, match="it left nothing in"):
        train_and_measure(proxy.bank, CommandTrainer(command="true {documents} {checkpoint}"), proxy.measurement)


def test_a_command_gets_its_documents_and_seed(tmp_path: Path):
    run = TrainingRun(
        number=3, name="it's", seed=5, documents_file=tmp_path / "a b.txt", checkpoint=tmp_path, log=tmp_path / "log"
    )
    CommandTrainer(command="echo {documents} {seed} {run} {name} > {checkpoint}/got").train(run)
    assert (tmp_path / "got").read_text() == f"{tmp_path}/a b.txt 5 3 it's\n"


@pytest.mark.parametrize(
    "command", ["train {documents}", "train {checkpoint}", "x {documents} {checkpoint} {gpu}", "{"]
)
def test_a_command_that_cannot_be_filled_in_is_refused(command: str):
    with pytest.raises(InvalidRequestError, match="train command"):
        CommandTrainer(command=command)


def train_by_hand(run: TrainingRun) -> None:
    """What a user's own module may have: here it copies the model of another run."""
    import shutil

    shutil.copytree(os.environ["TRAINED"], run.checkpoint, dirs_exist_ok=True)


def test_a_function_of_the_users_trains(proxy: ProxyBank, monkeypatch: pytest.MonkeyPatch):
    train_and_measure(proxy.bank, proxy.trainer, proxy.measurement, runs=proxy.bank.plan.runs[:1])
    monkeypatch.setenv("TRAINED", str(proxy.model))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    train_and_measure(proxy.bank, EntryPointTrainer(entry_point="test_training:train_by_hand"), proxy.measurement)
    assert not proxy.bank.missing()
    first, second = (proxy.bank.measured(run) for run in proxy.bank.plan.runs[:2])
    np.testing.assert_array_equal(first.queries, second.queries)


@pytest.mark.parametrize("name", ["nowhere:nothing", "os:nothing", ""])
def test_a_function_that_is_not_there_is_told(proxy: ProxyBank, name: str):
    with pytest.raises(InvalidRequestError, match="there is no trainer"):
        train_and_measure(proxy.bank, EntryPointTrainer(entry_point=name), proxy.measurement)


KILLED = """
import sys
from pathlib import Path
from whence_backends.validation.bank import Bank
from whence_backends.validation.likelihoods import Measurement
from whence_backends.validation.training import CommandTrainer, train_and_measure
folder = Path(sys.argv[1])
bank = Bank.open(folder)
tokenizer = str(folder / "tokenizer")
measurement = Measurement(queries=bank.queries_file, corpus=folder / "corpus", tokenizer=tokenizer)
copied = f"cp -r {folder}/checkpoints/run-0000/. {{checkpoint}}"
trainer = CommandTrainer(command="echo {documents}; sleep 600; " + copied)
train_and_measure(bank, trainer, measurement)
"""


def test_a_killed_validation_goes_on(proxy: ProxyBank):
    bank = proxy.bank
    train_and_measure(bank, proxy.trainer, proxy.measurement, runs=bank.plan.runs[:1])
    command = [sys.executable, "-c", KILLED, str(bank.folder)]
    with subprocess.Popen(command, start_new_session=True) as process:
        until = time.monotonic() + 60
        while not (bank.folder / "logs" / "run-0001.log").exists() and time.monotonic() < until:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    assert [run.number for run in bank.missing()] == [1, 2, 3]
    train_and_measure(bank, proxy.trainer, proxy.measurement)
    assert not bank.missing()
