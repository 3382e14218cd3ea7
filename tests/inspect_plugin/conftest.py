"""``inspect`` as a program, in an environment where Whence is installed as its wheel, beside a canned service."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from client.conftest import service, target  # noqa: F401 - fixtures
from e2e.harness import environment

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "inspect_task.py"
OFFLINE = Path(__file__).parent / "offline"
PROGRAM = "import sys; from inspect_ai._cli.main import main; sys.exit(main())"  # inspect, as its command runs it
NOWHERE = "127.0.0.1:1"  # refuses connections
Run = Callable[..., Any]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with Whence and its entry points, as pip installs them."""
    pytest.importorskip("inspect_ai")
    folder = tmp_path_factory.mktemp("installed") / "site-packages"
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-index"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run(site: Path, tmp_path: Path) -> Run:
    """Run ``inspect`` with arguments in the test's folder; variables come in as keywords."""

    def run(*arguments: object, server: str = NOWHERE, **variables: str) -> subprocess.CompletedProcess[str]:
        given = {
            "WHENCE_SERVER": server,
            "PYTHONPATH": f"{OFFLINE}{os.pathsep}{site}",
            "INSPECT_DISPLAY": "plain",
            **variables,
        }
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, arguments)],
            cwd=tmp_path, env=_without_home(environment(given, None), tmp_path), capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def the_log(tmp_path: Path) -> Callable[[], Any]:
    """Read the one log of the test's folder."""
    from inspect_ai.log import read_eval_log

    def read() -> Any:
        (path,) = (tmp_path / "logs").glob("*.eval")
        return read_eval_log(path)

    return read


def _without_home(variables: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Keep the traces and caches that inspect writes to the user's folders in the test's."""
    own = {name: str(folder / "home") for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    return {**variables, **own}
