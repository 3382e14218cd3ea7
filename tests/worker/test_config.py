"""Settings come from arguments, then the environment, then a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from whence import cli
from whence.errors import InvalidRequestError
from whence_backends.worker.config import WorkerSettings

GIVEN = {"model": "some/model", "factors": Path("factors"), "corpus": Path("corpus")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "worker.toml"
    numbers = "batch_tokens = 1\nmax_running = 1\nmax_waiting = 1\n"
    path.write_text('model = "from/file"\nfactors = "f"\ncorpus = "c"\n' + numbers)
    return path


def test_arguments_win_over_the_environment_and_that_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WHENCE_WORKER_BATCH_TOKENS", "2")
    monkeypatch.setenv("WHENCE_WORKER_MAX_RUNNING", "2")
    settings = WorkerSettings.load(file, batch_tokens=3)
    assert (settings.batch_tokens, settings.max_running, settings.max_waiting) == (3, 2, 1)


def test_what_was_not_given_comes_from_the_environment_or_the_file(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WHENCE_WORKER_CONFIG", str(file))
    settings = WorkerSettings.load(None, batch_tokens=None, max_running=2)
    assert (settings.model, settings.batch_tokens, settings.max_running) == ("from/file", 1, 2)


def test_shards_in_the_environment_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WHENCE_WORKER_SHARDS", "shard-00000, shard-00002")
    assert WorkerSettings.load(**GIVEN).shards == ("shard-00000", "shard-00002")


def test_every_wrong_or_missing_setting_is_named():
    with pytest.raises(InvalidRequestError) as caught:
        WorkerSettings.load(model="m", batch_tokens=0, no_such_setting=1)
    for name in ("factors", "corpus", "batch_tokens", "no_such_setting"):
        assert name in caught.value.message
    assert caught.value.reason == "INVALID_SETTINGS"


@pytest.mark.parametrize("content", ["model = ", "modle = 'typo'\nmodel = 'm'\nfactors = 'f'\ncorpus = 'c'\n"])
def test_a_file_that_cannot_be_read_or_has_an_unknown_name_is_refused(file: Path, content: str):
    file.write_text(content)
    with pytest.raises(InvalidRequestError):
        WorkerSettings.load(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(InvalidRequestError, match="does not exist"):
        WorkerSettings.load(tmp_path / "nothing.toml", **GIVEN)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:6379", "expected redis://host:port/0"),
        ("http://h:1", "expected redis://host:port/0"),
        ("redis:/h", "followed by no host"),
        ("redis://:secret@/0", "followed by no host"),
        ("unix://", "followed by no path"),
        ("redis://h:port/0", "ort could not be cast"),
        ("redis://h:0", "a port from 1"),
        ("redis://h:6379/cache", "a database that is a number"),
        ("redis://h:6379?socket_timeout=soon", "socket_timeout"),
    ],
)
def test_a_redis_url_that_redis_would_not_take_is_refused_at_start(url: str, says: str):
    with pytest.raises(InvalidRequestError, match=says) as caught:
        WorkerSettings.load(**GIVEN, redis_url=url)
    assert (caught.value.reason, caught.value.field) == ("INVALID_SETTINGS", "redis_url")
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "url", ["", "redis://h", "redis://u:p%2F@h:6379/1", "rediss://[::1]:1/0", "unix:///tmp/r.sock"]
)
def test_a_redis_url_that_it_takes_is_taken(url: str):
    assert WorkerSettings.load(**GIVEN, redis_url=url).redis_url == url


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("WHENCE_WORKER_ENGINE_OPTIONS", "engine_options"),
        ("WHENCE_WORKER_LOG_LEVEL", "log_level"),
        ("WHENCE_WORKER_ADDRESS", "not host:port"),
        ("WHENCE_WORKER_BATCH_TOKENS", "batch_tokens"),
        ("WHENCE_WORKER_DRAIN_S", "drain_s"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, says: str):
    monkeypatch.setenv(variable, "nonsense")
    with pytest.raises(InvalidRequestError, match=says) as caught:
        WorkerSettings.load(**GIVEN)
    assert caught.value.reason == "INVALID_SETTINGS"


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("WHENCE_WORKER_REDISURL", "WHENCE_WORKER_REDIS_URL"),
        ("WHENCE_REDIS_URL", "WHENCE_WORKER_REDIS_URL"),
        ("WHENCE_WROKER_MODEL", "WHENCE_WORKER_MODEL"),
        ("whence_worker_model_", "WHENCE_WORKER_MODEL"),
    ],
)
def test_a_misspelt_variable_is_refused_with_what_was_meant(monkeypatch: pytest.MonkeyPatch, variable: str, meant: str):
    monkeypatch.setenv(variable, "x")
    with pytest.raises(InvalidRequestError, match=rf"did you mean {meant}\?") as caught:
        WorkerSettings.load(**GIVEN)
    assert caught.value.reason == "UNKNOWN_VARIABLE"


@pytest.mark.parametrize("name", ["threads", "search_threads", "training_sequences"])
def test_a_number_that_nothing_could_hold_is_refused(name: str):
    with pytest.raises(InvalidRequestError, match=f"{name}: Input should be less than"):
        WorkerSettings.load(**GIVEN, **{name: 10**30})


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        WorkerSettings.load(**GIVEN).model = "another"


def test_every_setting_is_described():
    assert all(field.description for field in WorkerSettings.model_fields.values())


@pytest.mark.parametrize(
    ("model", "name"), [("some/Model-1.5B", "Model-1.5B"), ("/models/tiny/", "tiny"), ("smol.gguf", "smol")]
)
def test_the_served_name_is_the_last_part_of_the_model(model: str, name: str):
    assert WorkerSettings.load(**{**GIVEN, "model": model}).served_name == name
    assert WorkerSettings.load(**{**GIVEN, "model": model}, name="mine").served_name == "mine"


def test_the_size_of_the_training_set_comes_from_the_environment_or_either_command(monkeypatch: pytest.MonkeyPatch):
    """Broken by: a command that does not pass it on."""
    monkeypatch.setenv("WHENCE_WORKER_TRAINING_SEQUENCES", "5")
    assert WorkerSettings.load(**GIVEN).training_sequences == 5
    seen: list[WorkerSettings] = []

    async def embedded(_: object, settings: WorkerSettings) -> None:
        seen.append(settings)

    monkeypatch.setattr("whence_backends.worker.serving.server.run", seen.append)
    monkeypatch.setattr("whence_service.frontend.embedded.run_embedded", embedded)
    options = ["--model", "m", "--factors", "f", "--corpus", "c", "--training-sequences", "7"]
    for command in (["worker"], ["serve", "--embedded"]):
        done = CliRunner().invoke(cli.app, [*command, *options])
        assert done.exit_code == 0, done.output
    assert [settings.training_sequences for settings in seen] == [7, 7]
    with pytest.raises(InvalidRequestError, match="training_sequences"):
        WorkerSettings.load(**GIVEN, training_sequences=0)
