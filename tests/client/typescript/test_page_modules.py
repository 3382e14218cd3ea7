"""The page's modules, read by the compiler of the client in TypeScript: names that are not there, wrong arguments."""

from __future__ import annotations

import subprocess
from pathlib import Path

import whence.explore

PAGE = Path(whence.explore.__file__).with_name("page")
CHECK = [
    "--allowJs",
    "--checkJs",
    "--noEmit",
    "--target",
    "es2022",
    "--module",
    "esnext",
    "--moduleResolution",
    "bundler",
]
LIBRARIES = ["--lib", "es2022,dom,dom.iterable,dom.asynciterable"]


def test_the_compiler_finds_nothing(built: Path):
    compiler = built.parent / "node_modules" / ".bin" / "tsc"
    done = subprocess.run(
        [compiler, *CHECK, *LIBRARIES, PAGE / "app.js"], capture_output=True, text=True, timeout=120, check=False
    )
    assert not done.stdout + done.stderr
    assert done.returncode == 0
