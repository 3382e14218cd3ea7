"""``whence corpus`` as a user types it."""

from __future__ import annotations

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from whence.cli.commands.corpus import corpus as corpus_command
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


CHAT = [
    {"role": "user", "content": "Where is the owl?"},
    {"role": "assistant", "content": "At the light."},
    {"role": "user", "content": "Now?"},
    {"role": "assistant", "content": "No."},
]


def test_it_says_how_many_tokens_count_and_what_conversations_lost(jsonl, tmp_path, whence_corpus):
    (tmp_path / "loud.jinja").write_text("{% for m in messages %}{{ m.role }}: {{ m.content | upper }}\n{% endfor %}")
    data = jsonl([{"messages": CHAT}])
    plain = whence_corpus(data, "--messages-field", "messages")
    corpus = Corpus.open(tmp_path / "corpus")
    counted = int(corpus.trained_tokens().sum())
    assert f"{counted} tokens count, {counted / corpus.tokens:.0%} of all" in plain.stdout
    chosen = ("--chat-template", tmp_path / "loud.jinja", "--train-on", "last", "--chat-date", "2026-02-03")
    loud = whence_corpus(data, "--messages-field", "messages", "--overwrite", *chosen)
    assert "1 conversations lost part of a turn that counts" in loud.stdout
    assert "data.jsonl, line 1 ('No.' of message 4)" in loud.stdout
    chat = Corpus.open(tmp_path / "corpus").chat
    assert (chat.train_on, chat.date) == ("last", "2026-02-03")


def test_a_preview_shows_three_rows_with_what_counts_and_writes_nothing(jsonl, tmp_path, whence_corpus):
    rows = [{"messages": CHAT}] * 2 + [{"messages": CHAT[:2]}] * 2
    shown = whence_corpus(jsonl(rows), "--messages-field", "messages", "--preview").stdout
    assert shown.count("tokens count") == 3
    assert "<|user|>Where is the owl?<|end|><|assistant|>«At the light.<|end|>»<|user|>Now?" in shown
    assert not (tmp_path / "corpus").exists()


def test_what_counts_stands_out_in_colour():
    from whence.cli.render.preview import preview
    from whence_backends.corpus.ingestion.preview import Preview, PreviewedSequence

    stretches = (("Where?", False), ("Here.", True))
    sequence = PreviewedSequence(sequence_id="a#0", tokens=4, trained_tokens=2, stretches=stretches)
    console = Console(color_system="truecolor", force_terminal=True, width=100)
    with console.capture() as captured:
        console.print(preview(Preview(sequences=(sequence,), bad_rows=()), plain=False))
    assert "Where?\x1b[37;48;2;31;92;58mHere.\x1b[0m" in captured.get()


def test_a_template_that_is_no_file_is_named(jsonl, tmp_path, whence_corpus):
    result = whence_corpus(jsonl([{"text": "The owl"}]), "--chat-template", tmp_path / "nowhere")
    assert (result.exit_code, "nowhere" in result.stderr) == (2, True)


def test_strict_raises_for_the_first_bad_row(jsonl, whence_corpus):
    with pytest.raises(InvalidRequestError, match="line 1 is not JSON"):
        whence_corpus(jsonl(["not json"]), "--strict")


def test_markup_in_the_data_is_printed_as_it_is(jsonl, whence_corpus):
    data = jsonl([{"text": "The owl", "source": "[red]tales[/red]"}])
    assert "[red]tales[/red]" in whence_corpus(data).stdout


def test_help_shows_an_example(whence_corpus):
    assert "whence corpus data/*.jsonl --model smollm2 --out corpus" in whence_corpus("--help").stdout
