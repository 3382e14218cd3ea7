"""Nothing that a corpus, a server or a file says steers the terminal that it is printed on."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

import whence
from whence.cli import console
from whence.cli.checks.server import check_models
from whence.cli.render import attribution as render_attribution
from whence.cli.render import checks as render_doctor
from whence.cli.render import explanation as render_explain
from whence.cli.render import failure as render_failure
from whence.cli.render import groups as render_groups
from whence.cli.render import models as render_models
from whence.cli.render import scores as render_score
from whence.terminal import escaped, printable

HOSTILE = (
    "\x1b[31mred \x1b]0;title\x07 \x1b]8;;http://evil\x1b\\link \x9b2J \x9d8;;x\x9c \u202eesrever\u2066 \u200f \u061c "
    "\r\b\x7f \u2028 \t [red]markup[/red] [/] [link=http://evil]x[/link] :warning:"
)
QUESTION = {"prompt": "The capital of Durrow is", "completion": " Brelary"}


def spoilt(value):
    """Return results with the hostile text in place of every text, keys included."""
    if isinstance(value, str):
        return HOSTILE
    if dataclasses.is_dataclass(value):
        changed = {field.name: spoilt(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **changed)
    if isinstance(value, dict):
        return {f"{HOSTILE}{key}": spoilt(item) for key, item in value.items()}
    return type(value)(map(spoilt, value)) if isinstance(value, tuple | list) else value


def harmless(shown: str) -> bool:
    """Say whether there is nothing but text, lines and rich's own colours."""
    return set(re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\n", "")).isdisjoint(
        {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))} | set("\u2028\u202e\u2066\u200f\u061c")
    )


@pytest.fixture
def client(target):
    with whence.Client(target, timeout_s=20) as client:
        yield client


def answers(client):
    """Every kind of thing that is printed for people."""
    options = {"direction": "both", "include_layers": True, "include_tokens": True}
    ranking = spoilt(client.attribute(**QUESTION, **options))
    yield render_attribution.attribution(ranking, plain=True)
    yield render_attribution.attribution(ranking, plain=False, full_text=True)
    yield render_score.scores(spoilt(client.score(**QUESTION, texts=["a"], include_layers=True)))
    yield render_explain.explanation(spoilt(client.explain(**QUESTION, text="a b")), plain=False, width=100)
    model = spoilt(client.model())
    yield render_models.overview([model])
    yield render_models.details(model)
    yield from map(render_doctor.check, check_models([model]))
    group = whence.GroupInfluence(name=HOSTILE, sequences=1, influence=1.0, standard_error=0.1, sampled=1)
    about = {field.name: getattr(ranking, field.name) for field in dataclasses.fields(whence.results.Answer)}
    yield render_groups.group_influences(
        whence.GroupInfluences(**about, groups=(group,), total=group, log_likelihood=0.0)
    )
    yield render_attribution.self_influences(whence.SelfInfluences(**about, hits=ranking.positive), plain=True)
    error = whence.InvalidRequestError(HOSTILE, reason=HOSTILE, field=HOSTILE, key=HOSTILE)
    yield render_failure.failure(error, HOSTILE)


@pytest.mark.parametrize("colour", [False, True])
def test_every_answer_is_printed_harmlessly(client, capsys, monkeypatch, colour):
    monkeypatch.setenv("COLUMNS", "200")
    if colour:
        monkeypatch.setenv("FORCE_COLOR", "1")
    for rendered in answers(client):
        console.stdout().print(rendered)
        assert harmless(capsys.readouterr().out)


def test_what_forgets_to_be_careful_is_harmless_all_the_same(capsys, monkeypatch):
    """Broken by: a console without the hook; strings that rich reads as markup."""
    monkeypatch.setenv("COLUMNS", "400")
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    for careless in (HOSTILE, Text(HOSTILE), table):
        console.stdout().print(careless)
        shown = capsys.readouterr().out
        assert harmless(shown)
        assert "[red]markup[/red] [/] [link=http://evil]x[/link] :warning:" in shown
    console.stderr().print(HOSTILE)
    assert harmless(capsys.readouterr().err)


def test_bars_still_move(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Progress(TextColumn("{task.description}", markup=False), console=console.stderr()) as bars:
        bars.add_task("working on it", total=1)
        bars.console.print(HOSTILE)
    shown = capsys.readouterr().err
    assert "working on it" in shown
    assert "[red]markup" in shown
    assert "]0;title" in shown
    assert "\x1b]" not in shown


@given(st.text())
def test_escapes_are_the_same_json(text):
    import json

    written = escaped(json.dumps(text, ensure_ascii=False))
    assert json.loads(written) == text
    assert printable(written) == written
