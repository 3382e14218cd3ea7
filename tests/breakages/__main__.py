"""Break the code by hand, one law at a time, and see that law's test fail: a test that cannot fail shows nothing.

    python tests/breakages [NAME ...]
    python tests/breakages --list

Each breakage replaces a piece of the source in a copy of the tree and runs the tests that must notice. Many are bugs
that other implementations have shipped. Prints a line for each; exits with 1 where one went unnoticed. A breakage whose
tests are all skipped here, such as those in Node where there is none, is skipped with their reason. ``--list`` only
names them, and exits with 1 where the code no longer has the piece that one replaces.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import chart
import checks
import exports
import figures
import identities
import images
import inputs
import mathematics
import tenants
from breakage import Breakage
from outcomes import Outcome, outcome

import client
import explore
import frontend
import index
import rpc
import shrinkage
import worker

ROOT = Path(__file__).parents[2]
SOURCES = ("clients/python", "service", "backends")
PARTS = (
    mathematics,
    exports,
    index,
    inputs,
    rpc,
    frontend,
    worker,
    shrinkage,
    client,
    explore,
    tenants,
    identities,
    chart,
    images,
    figures,
    checks,
)
BREAKAGES = tuple(breakage for part in PARTS for breakage in part.BREAKAGES)


def tried(breakage: Breakage, tree: Path) -> Outcome:
    """Apply a breakage in ``tree``, run its tests, undo it, and return what came of it."""
    path = tree / breakage.file
    original = path.read_text(encoding="utf-8")
    if breakage.old not in original:
        raise SystemExit(f"{breakage.name}: {breakage.file} no longer has the piece to replace")
    path.write_text(original.replace(breakage.old, breakage.new), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "", breakage.tests]
    selected = ["-k", breakage.only] if breakage.only else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(tree / source) for source in SOURCES)}
    done = subprocess.run([*command, *selected], cwd=tree, env=environment, capture_output=True, text=True)
    path.write_text(original, encoding="utf-8")
    if done.returncode not in (0, 1):
        raise SystemExit(f"{breakage.name}: the tests did not run\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return outcome(done)


def stale() -> list[str]:
    """Return the breakages whose piece of the source is no longer there."""
    found = ((breakage, (ROOT / breakage.file).read_text(encoding="utf-8")) for breakage in BREAKAGES)
    return [breakage.name for breakage, source in found if breakage.old not in source]


def main() -> None:
    wanted = sys.argv[1:]
    if wanted == ["--list"]:
        print(*(breakage.name for breakage in BREAKAGES), sep="\n")
        sys.exit("no longer there: " + ", ".join(stale()) if stale() else 0)
    unnoticed = []
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary)
        folders = ("clients/typescript", "proto", "tests", "helm", "images", "compose", "dashboards")
        for name in (*SOURCES, *folders):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        for name in ("pyproject.toml", "buf.yaml", ".dockerignore"):
            shutil.copy(ROOT / name, tree)
        for breakage in BREAKAGES:
            if wanted and not any(word in breakage.name for word in wanted):
                continue
            result = tried(breakage, tree)
            print(result.line(breakage.name), flush=True)
            unnoticed += [breakage.name] if result.verdict == "UNNOTICED" else []
    sys.exit(1 if unnoticed else 0)


if __name__ == "__main__":
    main()
