"""The command line as a program: exit codes, what goes to which stream, what is imported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

ASK = ["--prompt", "The capital of Durrow is", "--completion", " Brelary"]


def whence(*arguments: str, server: str = "127.0.0.1:1", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "whence", *arguments],
        env={**os.environ, "WHENCE_SERVER": server, "COLUMNS": "100", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )


def test_help_lists_the_commands_and_imports_none_of_them():
    program = (
        "import sys, whence.cli\n"
        "try: whence.cli.app(['--help'])\n"
        "except SystemExit: pass\n"
        "names = [one.location.partition(':')[0] for one in whence.cli.COMMANDS]\n"
        "sys.exit(' '.join(name for name in [*names, 'torch', 'numpy', 'pyarrow'] if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.strip() == ""
    for command in (
        "attribute",
        "score",
        "explain",
        "models",
        "doctor",
        "demo",
        "fit",
        "export",
        "index",
        "worker",
        "serve",
    ):
        assert command in done.stdout


@pytest.mark.parametrize("command", ["attribute", "score", "explain", "models", "doctor"])
def test_every_command_has_help(command):
    done = whence(command, "--help")
    assert done.returncode == 0
    assert "--server" in done.stdout


def test_the_version_is_printed():
    done = whence("--version")
    assert (done.returncode, done.stdout) == (0, "whence 0.1.0\n")


def test_json_is_alone_on_stdout(target):
    done = whence("attribute", *ASK, "--json", server=target)
    assert json.loads(done.stdout)["positive"]
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", [["attribute", *ASK], ["explain", *ASK, "--text", "a b"], ["models"]])
def test_a_pipe_gets_no_colour_codes(target, command):
    done = whence(*command, server=target)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr


def test_a_terminal_of_another_encoding_gets_question_marks(target):
    done = whence("attribute", *ASK, server=target, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert "?Brelary?" in done.stdout


def test_an_unreachable_server_exits_with_1():
    done = whence("attribute", *ASK)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be reached" in done.stderr
    assert "whence doctor" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback():
    done = whence("models", WHENCE_DEBUG="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "UnavailableError" in done.stderr


def test_wrong_usage_exits_with_2():
    done = whence("attribute")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--completion" in done.stderr


def test_an_interruption_cancels_the_call_and_exits_with_130(target, service):
    service.hold = True
    # Whoever runs these tests in the background may have had the signal ignored, which processes inherit.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import whence.__main__"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "attribute", *ASK, "--server", target],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert service.called.wait(30)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted" in errors
    assert service.over.wait(10)


@pytest.mark.parametrize("options", ["attribute --completion x", "models --json"])
def test_a_reader_that_leaves_early_is_no_error(target, options):
    command = f"{sys.executable} -m whence {options} --server {target} | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a file that is always full")
@pytest.mark.parametrize("options", ["attribute --completion x", "models --json"])
def test_an_answer_that_cannot_be_written_is_an_error(target, options):
    command = f"{sys.executable} -m whence {options} --server {target} > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_bytes_that_are_not_utf_8_are_refused_by_name(target):
    done = subprocess.run(
        [sys.executable, "-m", "whence", "attribute", "--prompt", b"caf\xe9", "--completion", "x", "--server", target],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "query.text.prompt is 'caf\\udce9': that is not Unicode text" in done.stderr
    assert "bug" not in done.stderr
