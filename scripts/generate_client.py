"""Writes ``whence/client.py``, the synchronous client, from ``whence/aio.py``. With --check it only compares."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[1] / "clients" / "python" / "whence"
# What differs between the two, in the order in which it is replaced. Each pattern must match.
REPLACEMENTS: Final = (
    # Sentences that are true of one client alone.
    (
        r"The client for asyncio\. ``client\.py`` is generated from this file: after a change run ``make generate``\.",
        "The synchronous client. Generated from ``aio.py``: change that file and run ``make generate``.",
    ),
    (r"Use it on one event loop\.", "Threads may share it."),
    (r"Return the served models by name\. Iterate .*?list\.\n", "Yield the served models by name.\n"),
    # Generators, and what has no counterpart.
    (r"import AsyncGenerator, Iterable, Sequence", "import Generator, Iterable, Iterator, Sequence"),
    (r"AsyncGenerator\[([^\[\]]*), None\]", r"Generator[\1, None, None]"),
    (r"from whence\._served_models import ServedModels\n", ""),
    (r"-> ServedModels:", "-> Iterator[Model]:"),
    (r"ServedModels\((.*)\)\n", r"\1\n"),
    # Words.
    (r"import grpc\.aio\n", ""),
    (r"\bgrpc\.aio\.", "grpc."),
    (r"\basyncio\b", "time"),
    (r"\baclosing\b", "closing"),
    (r"\basync_in_order\b", "in_order"),
    (r"\bAsync(Client|Transport)\b", r"\1"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\b(async|await) ", ""),
    (r"\[table for table in (.*)\]\n", r"list(\1)\n"),
    (r"for answer in answers:\n\s+yield answer\n", "yield from answers\n"),
)


def synchronous(source: str) -> str:
    """Return the synchronous form of ``aio.py``. Raises ``ValueError`` for a pattern that matches nothing."""
    for pattern, replacement in REPLACEMENTS:
        source, count = re.subn(pattern, replacement, source)
        if not count:
            raise ValueError(f"nothing in aio.py matches {pattern!r}")
    return formatted(source)


def formatted(source: str) -> str:
    """Return ``source`` as ruff formats it: shorter lines may be joined."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(FOLDER / "client.py"), "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True, encoding="utf-8").stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where client.py is out of date")
    check = parser.parse_args().check
    generated = synchronous((FOLDER / "aio.py").read_text(encoding="utf-8"))
    if check and (FOLDER / "client.py").read_text(encoding="utf-8") != generated:
        sys.exit("clients/python/whence/client.py is not what aio.py generates; run: make generate")
    if not check:
        (FOLDER / "client.py").write_text(generated, encoding="utf-8")
