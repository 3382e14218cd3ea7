"""A client's token: how it goes with a call, where it may be sent, and that nothing repeats it."""

from __future__ import annotations

import json
import logging
import traceback

import pytest
from typer.testing import CliRunner

from whence import AsyncClient, Client, InvalidRequestError, UnauthenticatedError, WhenceError, cli
from whence.cli.connection import Connection

SECRET = "wk_5f0c1a2b3c4d_hunter2"
AWAY = "whence.example.com:50051"


@pytest.fixture
def sent(service):
    """Return the authorization of every call that the server got and that had one."""
    return lambda: [str(pairs["authorization"]) for pairs in service.metadata if "authorization" in pairs]


def run(*arguments: str, **environment: str):
    return CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "200", **environment})


async def test_a_token_goes_with_every_call_of_both_clients(target, sent):
    with Client(target, token=SECRET) as client:
        client.model()
        list(client.attribute_stream(prompt="a", completion="b"))
    async with AsyncClient(target, token=f" {SECRET}\n") as client:
        await client.model()
    assert sent() == [f"Bearer {SECRET}"] * 3


def test_a_function_is_asked_for_each_call(target, sent):
    tokens = iter(["first", "second"])
    with Client(target, token=lambda: next(tokens)) as client:
        client.model()
        client.model()
    assert sent() == ["Bearer first", "Bearer second"]


def test_without_a_token_none_is_sent(target, sent, monkeypatch):
    monkeypatch.setenv("WHENCE_TOKEN", SECRET)
    with Client(target) as client:  # made by a program, which says itself what goes where
        client.model()
    assert sent() == []


@pytest.mark.parametrize(
    "target", ["localhost:1", "127.0.0.1:1", "[::1]:1", "unix:/run/whence.sock", "dns:///localhost:1"]
)
def test_a_token_may_be_sent_to_this_machine_without_tls(target):
    Client(target, token=SECRET).close()


@pytest.mark.parametrize("target", [AWAY, "10.0.0.1:1", "dns:///whence:1", "localhost.example.com:1"])
def test_a_token_is_not_sent_to_another_machine_without_tls(target):
    for token in (SECRET, lambda: SECRET):
        with pytest.raises(InvalidRequestError, match=r"without TLS.*--allow-insecure-token") as caught:
            Client(target, token=token)
        assert (caught.value.reason, caught.value.field) == ("UNEXPECTED_TOKEN", "token")
        assert SECRET not in repr(caught.value) + repr(caught.value.details)


def test_it_is_where_that_is_allowed():
    Client(AWAY, token=SECRET, allow_insecure_token=True).close()


@pytest.mark.parametrize(
    "token", ["", "  ", f"{SECRET} x", f"{SECRET}\n{SECRET}", f"{SECRET}é", f"{SECRET}\x00", None, 7]
)
def test_what_cannot_be_sent_is_refused_without_a_word_of_it(target, token):
    with pytest.raises(UnauthenticatedError) as caught, Client(target, token=lambda: token) as client:
        client.model()
    assert caught.value.reason == "INVALID_CREDENTIALS"
    assert SECRET not in repr(caught.value)


def test_nothing_repeats_a_token(target, service, caplog):
    caplog.set_level(logging.DEBUG)
    service.over.set()
    client = Client("localhost:1", token=SECRET, retry=None)
    with pytest.raises(WhenceError) as caught:
        client.model(timeout_s=2)
    written = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(client) + repr(client._token)
    assert SECRET not in written
    assert SECRET not in repr(Connection())


def test_the_command_line_takes_it_from_the_environment_or_a_file(target, sent, tmp_path):
    file = tmp_path / "token"
    file.write_text("of-the-file\n")
    assert run("models", WHENCE_SERVER=target, WHENCE_TOKEN=SECRET).exit_code == 0
    assert run("models", "--token-file", str(file), WHENCE_SERVER=target, WHENCE_TOKEN=SECRET).exit_code == 0
    assert run("models", WHENCE_SERVER=target, WHENCE_TOKEN_FILE=str(file)).exit_code == 0
    assert sent() == [f"Bearer {SECRET}", "Bearer of-the-file", "Bearer of-the-file"]


def test_the_command_line_refuses_to_send_it_without_tls(tmp_path):
    done = run("models", "--server", AWAY, "--json", WHENCE_TOKEN=SECRET)
    assert (done.exit_code, "UNEXPECTED_TOKEN" in done.stderr, SECRET in done.output) == (1, True, False)
    missing = run("models", "--token-file", str(tmp_path / "none"), "--json")
    assert "FILE_FAILED" in missing.stderr


def test_a_caller_whom_the_server_does_not_know_is_told_where_a_token_goes(target, service):
    service.failures = [UnauthenticatedError("who are you?", reason="MISSING_CREDENTIALS")]
    done = run("models", "--json", WHENCE_SERVER=target)
    assert (done.exit_code, "WHENCE_TOKEN" in json.loads(done.stderr)["hint"]) == (1, True)


def test_a_client_is_made_from_the_environment(target, sent, monkeypatch):
    monkeypatch.setenv("WHENCE_SERVER", target)
    monkeypatch.setenv("WHENCE_TOKEN", SECRET)
    with Client.from_environment() as client:
        client.model()
    with Client.from_environment(token="another") as client:
        client.model()
    assert sent() == [f"Bearer {SECRET}", "Bearer another"]


def test_a_switch_of_the_environment_is_on_or_off(monkeypatch):
    monkeypatch.setenv("WHENCE_TLS", "perhaps")
    with pytest.raises(InvalidRequestError, match="WHENCE_TLS is 'perhaps'") as caught:
        Client.from_environment()
    assert caught.value.reason == "INVALID_SETTINGS"
