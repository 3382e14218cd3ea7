"""Real evaluations by ``inspect``, their logs read back with inspect's own reader."""

from __future__ import annotations

import math
from pathlib import Path

from inspect_plugin.conftest import EXAMPLE, NOWHERE
from whence import InvalidRequestError

FIRST = "letters/durrow-1#0"
AGENT = """
import sys
sys.path.insert(0, "{folder}")
from inspect_ai.model import ModelOutput, get_model
from inspect_ai import task
import inspect_task

@task
def scripted():
    call = ModelOutput.for_tool_call
    outputs = [
        call("mockllm/model", "training_sequences", {{"prompt": "The capital is", "completion": " Brelary"}}),
        call("mockllm/model", "submit", {{"answer": "{answer}"}}),
    ]
    agent = inspect_task.researcher()
    agent.model = get_model("mockllm/model", custom_outputs=outputs)
    return agent
"""


def test_the_example_names_the_training_sequences_of_each_sample(run, the_log, target, service):
    done = run("eval", f"{EXAMPLE}@capitals", "--model", "mockllm/model", server=target)
    log = the_log()
    assert log.status == "success"
    assert "attribution" in done.stdout
    for sample in log.samples:
        score = sample.scores["attribution"]
        assert score.answer == FIRST
        assert score.value > 0
        assert "| letters | letters/durrow-1#0 | Dear Greta" in score.explanation
        assert [hit["id"] for hit in score.metadata["hits"]] == [FIRST, "encyclopedia/durrow-2#0"]
        assert score.metadata["provenance"]["corpus_digest"] == "cc" * 32
        assert score.metadata["warnings"] == ["SHORT_CORPUS: the corpus is small"]
    (result,) = [score for score in log.results.scores if score.name == "attribution"]
    assert result.metrics["mean"].value == log.samples[0].scores["attribution"].value
    asked = [[(turn.role, turn.content) for turn in request.query.chat.messages] for request in service.requests]
    assert [  # samples end in any order
        ("user", "The capital of Durrow is"),
        ("assistant", "Default output from mockllm/model"),
    ] in asked


def test_without_a_service_samples_are_unscored_and_can_be_scored_later(run, the_log, target, service, tmp_path):
    run("eval", f"{EXAMPLE}@capitals", "--model", "mockllm/model", server=NOWHERE)
    log = the_log()
    assert log.status == "success"
    for sample in log.samples:
        assert math.isnan(sample.scores["attribution"].value)
        assert sample.scores["attribution"].reason == "scoring_failed"
        assert sample.scores["attribution"].metadata["error"]["reason"] == "GRPC_UNAVAILABLE"
        assert sample.scores["includes"].value == "I"
    (result,) = [score for score in log.results.scores if score.name == "attribution"]
    assert (result.scored_samples, result.unscored_samples) == (0, 2)

    options = ["--scorer", "whence/attribution", "-S", "top_k=1", "-S", "prompt_format=text"]
    only = ["-S", 'only={"sources": ["letters"]}']
    run("score", log.location, *options, *only, "--action", "append", "--overwrite", server=target)
    for sample in the_log().samples:
        (added,) = [score for name, score in sample.scores.items() if name not in ("attribution", "includes")]
        assert (added.answer, len(added.metadata["hits"])) == (FIRST, 1)
    asked = service.requests[0]
    assert asked.query.text.completion == "Default output from mockllm/model"
    assert list(asked.options.filter.sources) == ["letters"]


def test_an_agent_asks_and_a_service_that_refuses_is_its_tools_error(run, the_log, target, service, tmp_path):
    (tmp_path / "agents.py").write_text(AGENT.format(folder=EXAMPLE.parent, answer=FIRST))
    run("eval", "agents.py@scripted", server=target)
    (sample,) = the_log().samples
    (answer,) = [message for message in sample.messages if message.role == "tool" and message.function != "submit"]
    assert answer.function == "training_sequences"
    assert FIRST in answer.text
    assert sample.scores["includes"].value == "C"
    assert service.requests[0].query.text.completion == " Brelary"


def test_an_agents_tool_fails_alone_where_the_service_refuses(run, the_log, target, service, tmp_path):
    service.failures = [InvalidRequestError("too long", reason="TOO_LONG_QUERY")]
    (tmp_path / "agents.py").write_text(AGENT.format(folder=EXAMPLE.parent, answer="I cannot tell"))
    run("eval", "agents.py@scripted", server=target)
    log = the_log()
    (answer,) = [m for m in log.samples[0].messages if m.role == "tool" and m.function != "submit"]
    assert log.status == "success"
    assert answer.error.message == "not attributed: too long"


def test_the_hook_appends_scores_to_tasks_that_have_none(run, the_log, target, tmp_path):
    (tmp_path / "plain.py").write_text(PLAIN)
    run("eval", "plain.py", "--model", "mockllm/model", "--epochs", "2", server=target, WHENCE_INSPECT_HOOK="1")
    log = the_log()
    assert (log.status, len(log.samples)) == ("success", 4)
    assert {sample.scores["attribution"].answer for sample in log.samples} == {FIRST}
    assert {score.name for score in log.results.scores} == {"includes", "attribution"}
    assert [path.name for path in (tmp_path / "logs").iterdir()] == [Path(log.location).name]


def test_the_hook_leaves_the_evaluation_alone_where_there_is_no_service(run, the_log, tmp_path):
    (tmp_path / "plain.py").write_text(PLAIN)
    done = run("eval", "plain.py", "--model", "mockllm/model", WHENCE_INSPECT_HOOK="1")
    log = the_log()
    assert log.status == "success"
    assert all(math.isnan(sample.scores["attribution"].value) for sample in log.samples)
    assert "Whence left 2 of 2 samples unscored" in done.stdout + done.stderr


PLAIN = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes

@task
def plain():
    return Task(dataset=[Sample(input="a", target="b"), Sample(input="c", target="d")], scorer=includes())
"""
