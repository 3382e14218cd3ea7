"""The front end as a process: what it imports, how it is started and stopped."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "transformers", "pyarrow", "whence_backends")


def test_the_front_end_imports_nothing_heavy():
    code = (
        "import json, sys; import whence_service.frontend.server, whence_service.frontend.embedded;"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert json.loads(loaded.stdout) == []


async def whence(*arguments):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from whence.cli import main; main()",
        *arguments,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_the_command_serves_until_it_is_told_to_stop_and_logs_json(worker):
    process = await whence(
        "serve",
        "--worker",
        worker.address,
        "--address",
        "127.0.0.1:0",
        "--drain-s",
        "0",
        "--log-format",
        "json",
    )
    lines = []
    async with asyncio.timeout(30):
        while not lines or lines[-1]["event"] != "serving":
            lines.append(json.loads(await process.stderr.readline()))
        process.send_signal(signal.SIGTERM)
        rest = await process.stderr.read()
    assert await process.wait() == 0
    events = [line["event"] for line in lines] + [json.loads(line)["event"] for line in rest.splitlines()]
    assert events == ["listening", "worker reachable", "serving", "draining", "stopped"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "no workers"),
        (("--worker", "a:1", "--model", "m"), "--embedded"),
        (("--worker", "a:1", "--max-running", "0"), "max_running"),
    ],
)
async def test_a_wrong_command_line_says_what_to_change(arguments, says):
    process = await whence("serve", *arguments)
    _, stderr = await process.communicate()
    assert process.returncode == 1
    assert says in stderr.decode()
