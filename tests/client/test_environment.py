"""Which variables of the environment are refused as misspelt."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from whence import cli, environment
from whence.errors import InvalidRequestError
from whence.settings import FRONT_END, WORKER


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WHENCE_SEVER", "WHENCE_SERVER"),
        ("WHENCE_CAFILE", "WHENCE_CA_FILE"),
        ("WHENCE_ADRESS", "WHENCE_ADDRESS"),
        ("WHENCE_WORKER", "WHENCE_WORKERS"),
        ("whence_debugg", "WHENCE_DEBUG"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_nearest(name, meant):
    with pytest.raises(InvalidRequestError, match=rf"{name.upper()} .*did you mean {meant}\?") as caught:
        environment.check({name: "x", "PATH": "x"})
    assert (caught.value.reason, caught.value.field) == ("UNKNOWN_VARIABLE", name.upper())


def test_one_that_is_like_nothing_is_refused_without_a_guess_and_all_are_named():
    with pytest.raises(InvalidRequestError, match=r"WHENCE_QQQQ.*WHENCE_XYZZY") as caught:
        environment.check(dict.fromkeys(["WHENCE_XYZZY", "WHENCE_QQQQ"], ""))
    assert "did you mean" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WHENCE_SERVER", "a:1"),
        ("WHENCE_WORKER_MODEL", "m"),
        ("WHENCE_MAX_TOP_K", "5"),
        ("WHENCE_SERVICE_HOST", "10.0.0.1"),
        ("WHENCE_SERVICE_PORT_GRPC", "50051"),
        ("WHENCE_FRONT_END_PORT_50051_TCP_ADDR", "10.0.0.1"),
        ("WHENCE_WORKER_PORT", "tcp://10.0.0.1:50061"),
        ("WHENCER", "x"),
        ("MY_WHENCE_THING", "x"),
    ],
)
def test_what_some_part_reads_or_kubernetes_sets_passes(name, value):
    environment.check({name: value})


def test_a_variable_is_of_one_process_alone():
    front, worker = ({setting.variable for setting in settings.values()} for settings in (FRONT_END, WORKER))
    assert front.isdisjoint(worker)  # they may share an environment


def test_a_port_of_ones_own_is_none_of_kubernetes():
    with pytest.raises(InvalidRequestError, match="WHENCE_PORT"):
        environment.check({"WHENCE_PORT": "50051"})


def test_every_command_looks(target):
    done = CliRunner().invoke(cli.app, ["models", "--server", target], env={"WHENCE_TIMEOUT": "5"})
    assert (done.exit_code, done.stdout) == (1, "")
    assert "WHENCE_TIMEOUT" in done.stderr
    assert "UNKNOWN_VARIABLE" in done.stderr
