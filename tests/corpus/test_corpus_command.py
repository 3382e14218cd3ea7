"""``whence corpus`` as a user types it."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from whence.cli.corpus import corpus as corpus_command
from whence.errors import InvalidRequestError
from whence_backends.corpus import Corpus


@pytest.fixture
def whence_corpus(tmp_path, tiny_folder):
    """Run the command with the tiny model; errors come out as they are raised."""
    app = typer.Typer()
    app.command("corpus")(corpus_command)

    def run(*arguments):
        command = [*map(str, arguments), "--model", str(tiny_folder), "--out", str(tmp_path / "corpus")]
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, command, catch_exceptions=False)

    return run


def test_it_makes_a_corpus_and_says_what_is_in_it(jsonl, tmp_path, whence_corpus):
    data = jsonl([{"text": "The owl keeps", "source": "tales"}, {"text": "the light"}, "not json"])
    result = whence_corpus(data)
    corpus = Corpus.open(tmp_path / "corpus")
    assert result.exit_code == 0
    assert corpus.sequences == 2
    for fact in ("tales", corpus.digest, str(tmp_path / "corpus"), "data.jsonl, line 3 is not JSON"):
        assert fact in result.stdout


def test_again_it_says_that_the_corpus_is_there(jsonl, whence_corpus):
    data = jsonl([{"text": "The owl keeps"}])
    whence_corpus(data)
    assert "there already" in whence_corpus(data).stdout


def test_options_reach_the_policy_and_the_columns(jsonl, tmp_path, whence_corpus):
    data = jsonl([{"q": "Where is the owl?", "a": "At the light."}] * 2)
    whence_corpus(
        *(data, "--prompt-field", "q", "--completion-field", "a", "--packed", "--bos"),
        *("--max-tokens", "16", "--stride", "12", "--min-tokens", "4", "--shard-tokens", "20"),
    )
    properties = Corpus.open(tmp_path / "corpus").properties
    assert properties["policy"] == {
        "max_tokens": 16,
        "stride": 12,
        "boundary": "packed",
        "bos": True,
        "eos": True,
        "min_tokens": 4,
    }
    assert (properties["columns"]["prompt_field"], properties["shard_tokens"]) == ("q", 20)


def test_strict_raises_for_the_first_bad_row(jsonl, whence_corpus):
    with pytest.raises(InvalidRequestError, match="line 1 is not JSON"):
        whence_corpus(jsonl(["not json"]), "--strict")


def test_markup_in_the_data_is_printed_as_it_is(jsonl, whence_corpus):
    data = jsonl([{"text": "The owl", "source": "[red]tales[/red]"}])
    assert "[red]tales[/red]" in whence_corpus(data).stdout


def test_help_shows_an_example(whence_corpus):
    assert "whence corpus data/*.jsonl --model smollm2 --out corpus" in whence_corpus("--help").stdout
