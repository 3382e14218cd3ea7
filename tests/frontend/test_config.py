"""Where settings come from, and how wrong ones are refused."""

from __future__ import annotations

import pytest

from whence.errors import InvalidRequestError
from whence_service.frontend.config import FrontEndSettings, load_settings


def test_flags_win_over_the_environment_and_it_over_the_file(tmp_path, monkeypatch):
    file = tmp_path / "whence.toml"
    file.write_text('workers = ["a:1", "b:2"]\nmax_top_k = 1\nmax_queries = 1\nmax_running = 1\n')
    monkeypatch.setenv("WHENCE_MAX_QUERIES", "2")
    monkeypatch.setenv("WHENCE_MAX_RUNNING", "2")
    settings = load_settings(file, max_running=3, max_waiting=None)
    assert settings.workers == ("a:1", "b:2")
    assert (settings.max_top_k, settings.max_queries, settings.max_running) == (1, 2, 3)
    assert settings.max_waiting == FrontEndSettings().max_waiting


def test_workers_in_the_environment_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("WHENCE_WORKERS", "a:1, dns:///workers:2,")
    assert load_settings().workers == ("a:1", "dns:///workers:2")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("max_top_k = 0", "max_top_k"),
        ("drain_s = nan", "drain_s"),
        ("maxtopk = 1", "maxtopk"),
        ("= 1", "TOML"),
    ],
)
def test_a_wrong_file_names_what_is_wrong(tmp_path, text, named):
    file = tmp_path / "whence.toml"
    file.write_text(text)
    with pytest.raises(InvalidRequestError, match=named) as caught:
        load_settings(file)
    assert caught.value.reason == "BAD_SETTINGS"


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InvalidRequestError, match="does not exist"):
        load_settings(tmp_path / "none.toml")


def test_every_setting_says_what_it_is_for():
    assert all(field.description for field in FrontEndSettings.model_fields.values())


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        FrontEndSettings().address = "x"
