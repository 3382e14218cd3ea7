"""Writes the real text of the bank `python`: paragraphs of Python's reference topics and docstrings (PSF licence).

The installed Python's documentation is read, 3.11 for what is committed. `documents.jsonl` are those to train on, each
of the module or topic that it is from; `queries.jsonl` are held out: every other one whole, of the others the last
third.
"""

from __future__ import annotations

import importlib
import inspect
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

MODULES: Final = (
    "asyncio", "argparse", "codecs", "configparser", "decimal", "difflib", "doctest", "email.message", "http.client",
    "inspect", "ipaddress", "json", "logging", "multiprocessing", "optparse", "os", "shutil", "ssl", "statistics",
    "subprocess", "tarfile", "threading", "tkinter", "turtle", "typing", "unittest", "unittest.mock", "urllib.request",
)  # fmt: skip
DOCUMENTS: Final = 1000
QUERIES: Final = 40
# A topic or module with fewer paragraphs is of the source `other`.
FEWEST: Final = 28
SHORTEST, LONGEST = 120, 330  # characters
SEED: Final = 15


def paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs that are prose, of bounded length, in single spaces."""
    for block in re.split(r"\n\s*\n", text):
        paragraph = " ".join(block.split())
        letters = sum(map(str.isalpha, paragraph))
        if SHORTEST <= len(paragraph) <= LONGEST and paragraph.count(" ") > 15 and letters > 0.7 * len(paragraph):
            yield paragraph


def docstrings(module: ModuleType) -> Iterator[str]:
    """Yield the docstrings of a module, its classes and functions, and their methods."""
    package, seen = module.__name__.split(".")[0], set[int]()

    def walk(thing: object, depth: int) -> Iterator[str]:
        yield inspect.getdoc(thing) or ""
        for name, member in getattr(thing, "__dict__", {}).items():
            home = (getattr(member, "__module__", "") or package).split(".")[0]
            documented = inspect.isclass(member) or inspect.isroutine(member) or isinstance(member, property)
            if depth and documented and home == package and not name.startswith("__") and id(member) not in seen:
                seen.add(id(member))
                yield from walk(member, depth - 1)

    return walk(module, 2)


def gather() -> dict[str, str]:
    """Return the source of each paragraph, which is in one source alone."""
    from pydoc_data.topics import topics

    sources: dict[str, str] = {}
    for topic in sorted(topics, key=lambda topic: (-len(topics[topic]), topic)):
        for paragraph in paragraphs(topics[topic]):
            sources.setdefault(paragraph, topic)
    for name in MODULES:
        for text in docstrings(importlib.import_module(name)):
            for paragraph in paragraphs(text):
                sources.setdefault(paragraph, name.split(".")[0])
    sizes = Counter(sources.values())
    return {text: source if sizes[source] >= FEWEST else "other" for text, source in sources.items()}


def query(text: str, number: int) -> dict[str, str]:
    """Return the query of a held-out paragraph: the whole of it, or its last third after the rest."""
    words = text.split()
    start = 0 if number % 2 else len(words) * 2 // 3
    prompt, completion = " ".join(words[:start]), " ".join(words[start:])
    return {
        "id": f"{'whole' if not start else 'end'}-{number:02}",
        "prompt": prompt,
        "completion": f" {completion}" if start else completion,
    }


def write(folder: Path) -> None:
    """Write both files."""
    sources, rng = gather(), random.Random(SEED)
    texts = rng.sample(sorted(sources), DOCUMENTS + QUERIES)
    with (folder / "documents.jsonl").open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts[:DOCUMENTS]):
            file.write(json.dumps({"id": f"p{number:04}", "source": sources[text], "text": text}) + "\n")
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts[DOCUMENTS:]):
            file.write(json.dumps(query(text, number)) + "\n")
