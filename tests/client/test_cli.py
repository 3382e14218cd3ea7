"""The commands, in process, against a real server."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

import whence
from whence import cli
from whence.cli import lazy
from whence.errors import ERRORS

ASK = ["--prompt", "The capital of Durrow is", "--completion", " Brelary"]


@pytest.fixture
def run(target):
    def invoke(*arguments: str, **options):
        environment = {"WHENCE_SERVER": target, "COLUMNS": "120"}
        return CliRunner().invoke(cli.app, list(arguments), env=environment, **options)

    return invoke


def test_attribute_prints_a_table(run):
    done = run("attribute", *ASK, "--direction", "both")
    assert done.exit_code == 0
    assert "letters/durrow-1#0" in done.stdout
    assert "«Brelary»" in done.stdout
    assert "Warning: the corpus is small" in done.stdout


def test_attribute_prints_json_with_everything(run, target):
    done = run("attribute", *ASK, "-k", "1", "--json")
    document = json.loads(done.stdout)
    with whence.Client(target) as client:
        result = client.attribute(prompt=ASK[1], completion=ASK[3], top_k=1, include_layers=True, include_tokens=True)
    (hit,) = document["positive"]
    assert hit["influence"] == result.positive[0].influence
    assert hit["layer_influence"] == result.positive[0].layer_influence
    assert hit["tokens"][5]["text"] == " Brelary"
    assert document["provenance"]["training_set_size"] == 1000
    assert document["provenance"]["certificate"] == {"essence": "not validated", "digest": "", "kind": ""}


def test_the_keys_of_the_json_are_stable(run):
    document = json.loads(run("attribute", *ASK, "--json").stdout)
    assert sorted(document) == [
        "asked",
        "completion_tokens",
        "corpus_share",
        "influence_unit",
        "kind",
        "layers",
        "log_likelihood",
        "negative",
        "negative_recall",
        "negative_significant",
        "noise",
        "positive",
        "positive_recall",
        "positive_significant",
        "provenance",
        "query_id",
        "query_key",
        "request_id",
        "search",
        "sequences_scored",
        "sequences_searched",
        "timings",
        "truncation_error",
        "unreachable_shards",
        "version",
        "warnings",
    ]


def test_options_reach_the_server(run, service):
    run(
        "attribute",
        *ASK,
        "--damping-factor",
        "0.5",
        "--no-layers",
        "--no-tokens",
        "--model",
        "toy",
        "-k",
        "7",
    )
    (request,) = service.requests
    assert (request.model, request.options.top_k, request.options.damping_factor) == ("toy", 7, 0.5)
    assert not request.options.include_layers
    assert not request.options.include_tokens


def test_no_sample_is_another_wish_than_none(run, service):
    """Broken by: a 0 that is taken for an option that was left out."""
    run("attribute", *ASK)
    run("attribute", *ASK, "--noise-sample", "0")
    run("attribute", *ASK, "--noise-sample", "32")
    options = [request.options for request in service.requests]
    assert [one.noise_sample if one.HasField("noise_sample") else None for one in options] == [None, 0, 32]


def test_conditions_become_a_filter(run, service):
    run("attribute", *ASK, "--source", "web", "--where", "meta.year=1908", "--where", "a=b=c", "--document", "d1")
    wanted = service.requests[0].options.filter
    assert (list(wanted.sources), dict(wanted.metadata)) == (["web"], {"meta.year": "1908", "a": "b=c"})
    assert (wanted.first_document_id, wanted.last_document_id) == ("d1", "d1")


def test_a_conversation_comes_from_a_file(run, service, tmp_path):
    messages = [{"role": "user", "content": "Capital?"}, {"role": "assistant", "content": "Brelary"}]
    for document in (messages, {"messages": messages}):
        (tmp_path / "chat.json").write_text(json.dumps(document))
        assert run("attribute", "--chat", str(tmp_path / "chat.json")).exit_code == 0
    assert [request.query.chat.messages[-1].content for request in service.requests] == ["Brelary"] * 2


def test_training_examples_come_from_files(run, service, tmp_path):
    messages = [{"role": "user", "content": "Capital?"}, {"role": "assistant", "content": "Brelary"}]
    given = ["a text", {"prompt": "a", "completion": "b"}, {"messages": messages}, messages]
    paths = [tmp_path / f"{place}.json" for place in range(len(given))]
    for path, document in zip(paths, given, strict=True):
        path.write_text(json.dumps(document))
    run("score", *ASK, *(word for path in paths for word in ("--example", str(path))))
    run("explain", *ASK, "--example", str(paths[2]))
    scored, explained = service.requests
    assert [one.WhichOneof("selector") for one in scored.sequences] == ["text", "completion", "chat", "chat"]
    assert explained.sequence == scored.sequences[2]


@pytest.mark.parametrize("content", ["not json", '{"other": 1}', '[{"role": "assistant"}]', "[" * 100_000, "9" * 5000])
def test_a_file_without_a_conversation_is_an_error(run, tmp_path, content):
    (tmp_path / "chat.json").write_text(content)
    done = run("attribute", "--chat", str(tmp_path / "chat.json"))
    assert done.exit_code == 1
    assert re.search(r"INVALID_JSON|INVALID_CONVERSATION|MISSING_MESSAGES", done.stderr)


def test_a_prompt_comes_from_a_file_or_the_standard_input(run, service, tmp_path):
    (tmp_path / "prompt.txt").write_text("from a file")
    run("attribute", "--prompt-file", str(tmp_path / "prompt.txt"), "--completion", "x")
    run("attribute", "--prompt-file", "-", "--completion", "x", input="from a pipe")
    assert [request.query.text.prompt for request in service.requests] == ["from a file", "from a pipe"]


def test_a_file_is_read_as_it_is_but_for_a_byte_order_mark(run, service, tmp_path):
    (tmp_path / "prompt.txt").write_bytes("\ufeffGrüße\r\n".encode())
    run("attribute", "--prompt-file", str(tmp_path / "prompt.txt"), "--completion", "x")
    assert service.requests[0].query.text.prompt == "Grüße\r\n"


@pytest.mark.parametrize("option", ["--prompt-file", "--chat"])
@pytest.mark.parametrize("standard_input", [False, True])
def test_a_file_that_is_not_utf_8_says_where(run, service, tmp_path, option, standard_input):
    path, content = tmp_path / "latin-1", '{"messages": "caf\xe9"}'.encode("latin-1")
    path.write_bytes(content)
    rest = ["--completion", "x"] if option == "--prompt-file" else []
    done = run("attribute", option, "-" if standard_input else str(path), *rest, input=content)
    assert (done.exit_code, service.calls) == (1, [])
    assert "its byte 17 is 0xe9" in " ".join(done.stderr.split())
    assert "INVALID_TEXT" in done.stderr


def test_a_missing_file_is_an_error_without_a_traceback(run):
    done = run("attribute", "--prompt-file", "/no/such/file", "--completion", "x")
    assert done.exit_code == 1
    assert "No such file or directory: /no/such/file" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["attribute"],
        ["attribute", "--prompt", "only"],
        ["attribute", *ASK, "--chat", "chat.json"],
        ["attribute", *ASK, "--prompt-file", "-"],
        ["attribute", *ASK, "--top-k", "0"],
        ["attribute", *ASK, "--direction", "up"],
        ["attribute", *ASK, "--where", "tags=sea", "--where", "tags=land"],
        ["score", *ASK],
        ["explain", *ASK],
        ["explain", *ASK, "--sequence-id", "a", "--text", "b"],
        ["no-such-command"],
        ["models", "--no-such-option"],
    ],
)
def test_wrong_usage_exits_with_2_and_asks_nothing(run, service, arguments):
    done = run(*arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert service.calls == []


def test_a_mistyped_command_is_guessed(run):
    assert "Did you mean 'attribute'" in run("atribute").stderr


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if kind is not whence.OverloadedError])
def test_each_error_is_a_message_on_stderr(run, service, kind):
    service.failures = [kind("what, and what to try", reason="SOME_REASON")] * 5
    done = run("score", *ASK, "--text", "x")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "Error: what, and what to try" in done.stderr
    assert "SOME_REASON" in done.stderr
    assert "Traceback" not in done.stderr


ASKING_JSON = {
    "attribute": ASK,
    "score": [*ASK, "--text", "x"],
    "explain": [*ASK, "--text", "x"],
    "models": [],
}


@pytest.mark.parametrize("command", ASKING_JSON)
def test_with_json_an_error_is_json_on_stderr(run, service, command):
    error = whence.InvalidRequestError("what\x1b[0m, and what to try", reason="SOME_REASON", field="query", model="m")
    service.failures = [error] * 5
    done = run(command, *ASKING_JSON[command], "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "\x1b" not in done.stderr
    document = json.loads(done.stderr)
    assert sorted(document) == ["code", "details", "field", "hint", "message", "reason", "retry_after_s"]
    assert (document["reason"], document["code"], document["field"]) == ("SOME_REASON", "INVALID_ARGUMENT", "query")
    assert (document["message"], document["details"]["model"]) == (error.message, "m")


def test_json_of_an_error_has_what_to_try_and_when(run, service):
    service.failures = [whence.OverloadedError("full", reason="QUEUE_FULL", retry_after_s=90)]
    document = json.loads(run("models", "--json", "--timeout", "5").stderr)
    assert (document["retry_after_s"], document["hint"]) == (90.0, "Try again in 90 s.")


@pytest.mark.parametrize(
    "arguments",
    [["attribute"], ["models", "--no-such-option"], ["attribute", *ASK, "-k", "0"], ["outliers", "-k", "x"]],
)
def test_so_is_wrong_usage(run, service, arguments):
    done = run(*arguments, "--json")
    assert (done.exit_code, done.stdout, service.calls) == (2, "", [])
    document = json.loads(done.stderr)
    assert (document["reason"], document["code"]) == ("INVALID_USAGE", "INVALID_ARGUMENT")


def test_a_doctor_that_cannot_begin_says_so_in_json_too(run):
    done = run("doctor", "--ca-file", "/no/such/file", "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert json.loads(done.stderr)["reason"] == "UNREADABLE_CERTIFICATE"


def test_an_overloaded_server_says_when_to_try_again(run, service):
    service.failures = [whence.OverloadedError("the queue is full", reason="QUEUE_FULL", retry_after_s=90)]
    assert "Try again in 90 s." in run("attribute", *ASK, "--timeout", "5").stderr


def test_debug_lets_the_error_through(run, service):
    service.failures = [whence.NotFoundError("no such model", reason="MODEL_NOT_FOUND")]
    done = run("--debug", "models", "other")
    assert isinstance(done.exception, whence.NotFoundError)


def test_score_and_explain_print_tables_and_json(run):
    assert "text 1" in run("score", *ASK, "--text", "to Brelary").stdout
    assert "lm_head" in run("explain", *ASK, "--text", "to Brelary").stdout
    scores = json.loads(run("score", *ASK, "--text", "a", "--text", "b", "--json").stdout)
    assert len(scores["influence"][0]) == 2
    explanation = json.loads(run("explain", *ASK, "--text", "to Brelary", "--json").stdout)
    assert sum(map(sum, explanation["parts"])) == pytest.approx(explanation["influence"])


def test_models_lists_and_shows(run, service):
    service.serve("one", "two", "three")
    assert all(name in run("models").stdout for name in ("one", "two", "three"))
    assert "layers.*.mlp.up" in run("models", "one").stdout
    assert [model["name"] for model in json.loads(run("models", "--json").stdout)["models"]] == [
        "one",
        "two",
        "three",
    ]
    assert json.loads(run("models", "one", "--json").stdout)["attributed_share"] == pytest.approx(0.36)


def test_numbers_that_json_lacks_become_null(run, service):
    service.models[0].default_damping_factor = float("nan")
    assert json.loads(run("models", "toy", "--json").stdout)["default_damping_factor"] is None


class Broken:
    """Commands that do not work."""

    @staticmethod
    def needs_a_package() -> None:
        import no_such_package  # noqa: F401

    @staticmethod
    def has_a_bug() -> None:
        raise RuntimeError("a slip")

    @staticmethod
    def finds_nothing() -> None:
        raise whence.NotFoundError("nowhere does not exist", reason="ARTEFACT_NOT_FOUND")

    @staticmethod
    def is_interrupted() -> None:
        raise KeyboardInterrupt


@pytest.fixture
def broken(monkeypatch, run):
    def use(name: str):
        monkeypatch.setattr(lazy, "load", lambda subcommand: lazy._command(getattr(Broken, name), subcommand.name))
        return run("fit")

    return use


def test_a_missing_dependency_names_the_extra(broken):
    done = broken("needs_a_package")
    assert done.exit_code == 1
    assert "no_such_package" in done.stderr
    assert "pip install 'whence[torch]'" in done.stderr


def test_a_bug_is_a_message_that_tells_how_to_see_more(broken):
    done = broken("has_a_bug")
    assert done.exit_code == 1
    assert "RuntimeError: a slip" in done.stderr
    assert "--debug" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_that_asks_no_server_gives_no_advice_about_one(broken):
    done = broken("finds_nothing")
    assert "nowhere does not exist" in done.stderr
    assert "whence models" not in done.stderr


def test_an_interruption_exits_with_130(broken):
    done = broken("is_interrupted")
    assert done.exit_code == 130
    assert "Interrupted" in done.stderr


def test_every_command_is_named_after_its_function():
    for subcommand in cli.COMMANDS:
        assert subcommand.location == f"whence.cli.commands.{subcommand.name}:{subcommand.name}"
