"""Where settings come from, and how wrong ones are refused."""

from __future__ import annotations

import pytest

from whence.errors import InvalidRequestError
from whence_service.frontend.config import FrontEndSettings


def test_flags_win_over_the_environment_and_it_over_the_file(tmp_path, monkeypatch):
    file = tmp_path / "whence.toml"
    file.write_text('workers = ["a:1", "b:2"]\nmax_top_k = 1\nmax_queries = 1\nmax_running = 1\n')
    monkeypatch.setenv("WHENCE_MAX_QUERIES", "2")
    monkeypatch.setenv("WHENCE_MAX_RUNNING", "2")
    settings = FrontEndSettings.load(file, max_running=3, max_waiting=None)
    assert settings.workers == ("a:1", "b:2")
    assert (settings.max_top_k, settings.max_queries, settings.max_running) == (1, 2, 3)
    assert settings.max_waiting == FrontEndSettings().max_waiting


def test_a_file_may_be_named_by_the_environment_unless_one_is_given(tmp_path, monkeypatch):
    named, given = tmp_path / "named.toml", tmp_path / "given.toml"
    named.write_text("max_top_k = 1\n")
    given.write_text("max_top_k = 2\n")
    monkeypatch.setenv("WHENCE_CONFIG", str(named))
    assert FrontEndSettings.load().max_top_k == 1
    assert FrontEndSettings.load(given).max_top_k == 2


def test_the_file_that_the_environment_names_must_be_there(tmp_path, monkeypatch):
    monkeypatch.setenv("WHENCE_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(InvalidRequestError, match=r"none\.toml does not exist.*WHENCE_CONFIG"):
        FrontEndSettings.load()


def test_workers_in_the_environment_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("WHENCE_WORKERS", "a:1, dns:///workers:2,")
    assert FrontEndSettings.load().workers == ("a:1", "dns:///workers:2")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tls_certificate": "c.pem"}, "tls_certificate and tls_key belong together, and tls_key is missing"),
        ({"tls_key": "k.pem"}, "tls_certificate is missing"),
        ({"tls_client_ca": "ca.pem"}, "tls_client_ca has no effect without tls_certificate"),
        (
            {"address": "unix:/run/whence.sock", "tls_certificate": "c.pem", "tls_key": "k.pem"},
            "tls_certificate is of no use at unix:/run/whence.sock",
        ),
        ({"workers_tls_ca": "ca.pem", "workers_tls_key": "k.pem"}, "workers_tls_certificate is missing"),
        (
            {"workers_tls_certificate": "c.pem", "workers_tls_key": "k.pem"},
            "workers_tls_certificate has no effect without workers_tls_ca",
        ),
    ],
)
def test_settings_of_tls_that_need_another_one_name_it(given, says):
    with pytest.raises(InvalidRequestError) as caught:
        FrontEndSettings.load(**given)
    assert says in caught.value.message
    assert caught.value.reason == "INVALID_SETTINGS"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("max_top_k = 0", "max_top_k"),
        ("drain_s = nan", "drain_s"),
        ("maxtopk = 1", r"maxtopk: there is no such setting; did you mean max_top_k\?"),
        ("[front_end]\nmax_top_k = 1", "front_end: there is no such setting"),
        ("= 1", "TOML"),
        ("caf\xe9 = 1", "not UTF-8"),
        ('workers = ["dns:///workers"]', "host:port"),
        ('address = "50051"', "not host:port"),
        ('metrics_address = "a:99999"', "from 0 to 65535"),
        ('log_level = "LOUD"', "log_level: expected one of DEBUG"),
    ],
)
def test_a_wrong_file_names_what_is_wrong(tmp_path, text, named):
    file = tmp_path / "whence.toml"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(InvalidRequestError, match=named) as caught:
        FrontEndSettings.load(file)
    assert caught.value.reason == "INVALID_SETTINGS"


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InvalidRequestError, match="does not exist"):
        FrontEndSettings.load(tmp_path / "none.toml")


def test_so_is_a_folder_in_its_place(tmp_path):
    with pytest.raises(InvalidRequestError, match="cannot be read: Is a directory"):
        FrontEndSettings.load(tmp_path)


def test_a_misspelt_variable_is_refused_with_what_was_meant(monkeypatch):
    monkeypatch.setenv("WHENCE_MAX_TOPK", "5")
    with pytest.raises(InvalidRequestError, match=r"WHENCE_MAX_TOPK .*did you mean WHENCE_MAX_TOP_K\?") as caught:
        FrontEndSettings.load()
    assert (caught.value.reason, caught.value.field) == ("UNKNOWN_VARIABLE", "WHENCE_MAX_TOPK")


def test_what_other_parts_of_whence_read_passes(monkeypatch):
    monkeypatch.setenv("WHENCE_WORKER_MODEL", "m")
    monkeypatch.setenv("WHENCE_SERVER", "a:1")
    assert FrontEndSettings.load().address == FrontEndSettings().address


def test_every_setting_says_what_it_is_for():
    assert all(field.description for field in FrontEndSettings.model_fields.values())


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        FrontEndSettings().address = "x"
