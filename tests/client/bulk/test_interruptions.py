"""Runs that end before all is done: the error names the journal, what is done, and how to go on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

import whence
from client.conftest import wait_for
from whence.bulk import RunOptions, attribute_file
from whence.errors import InvalidRequestError, UnauthenticatedError, UnavailableError, WhenceError


@pytest.fixture
def client(target):
    with whence.Client(target, timeout_s=20, retry=None) as client:
        yield client


@pytest.fixture
def queries(tmp_path):
    path = tmp_path / "queries.jsonl"
    path.write_text("".join(json.dumps({"completion": f" owl {n}"}) + "\n" for n in range(8)))
    return path


def after(done, raised):
    """Return options of a run that ends once so many queries are done."""

    def end(at):
        if at.done == done:
            raise raised

    return RunOptions(batch_size=2, concurrency=1, progress=end)


@pytest.mark.parametrize(
    "failure",
    [UnavailableError("gone", reason="GRPC_UNAVAILABLE"), UnauthenticatedError("expired", reason="INVALID_TOKEN")],
)
def test_an_error_says_what_is_done_and_that_the_same_command_goes_on(client, queries, tmp_path, failure):
    with pytest.raises(type(failure), match=r"4 of 8 queries are done.*the same command again goes on") as raised:
        attribute_file(client, queries, tmp_path / "hits.csv", after(4, failure))
    assert raised.value.details["journal"] == str(tmp_path / "hits.csv.journal")
    assert (raised.value.details["done"], raised.value.reason) == ("4", failure.reason)
    assert attribute_file(client, queries, tmp_path / "hits.csv").resumed == 4


def test_an_error_that_the_same_command_meets_again_does_not_say_so(client, queries, tmp_path):
    queries.write_text(queries.read_text() + "{\n")
    with pytest.raises(InvalidRequestError, match=r"^row 9 is not JSON[^.]*$"):
        attribute_file(client, queries, tmp_path / "hits.csv", RunOptions(strict=True))
    assert (tmp_path / "hits.csv.journal").exists()


def test_a_run_without_an_answer_leaves_no_journal_that_other_options_would_meet(client, service, queries, tmp_path):
    service.failures.append(UnavailableError("gone", reason="WORKERS_UNAVAILABLE"))
    with pytest.raises(WhenceError, match=r"^gone$"):
        attribute_file(client, queries, tmp_path / "hits.csv", top_k=3)
    assert not (tmp_path / "hits.csv.journal").exists()
    assert attribute_file(client, queries, tmp_path / "hits.csv", top_k=2).queries == 8


def run(target, *arguments):
    command = [sys.executable, "-m", "whence", *map(str, arguments), "--server", target]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_ends_the_command_with_130_and_the_way_on(target, service, queries, tmp_path):
    service.hold_from = 2  # the third batch and those behind it
    options = ("--batch-size", 2, "--concurrency", 1)  # one after the other, so that the third is the third to arrive
    process = run(target, "attribute", "--queries", queries, "--out", tmp_path / "hits.csv", *options)
    assert service.held.wait(20)
    wait_for(tmp_path / "hits.csv.journal", '"rows"', 4)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Interrupted. 4 of 8 queries are done" in said.replace("\n", " ")
    assert "hits.csv.journal" in said.replace("\n", "")


def test_a_deadline_ends_the_command_with_1_and_the_way_on(target, service, queries, tmp_path):
    service.hold_from = 1
    given = ["--queries", queries, "--out", tmp_path / "hits.csv", "--timeout", 2, "--json"]
    process = run(target, "attribute", *given, "--batch-size", 2, "--concurrency", 1)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    error = json.loads(said)
    assert (error["code"], error["details"]["done"]) == ("DEADLINE_EXCEEDED", "2")
    assert "the same command again goes on" in error["message"]
