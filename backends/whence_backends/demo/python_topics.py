"""Text for the demo on a real model: the reference topics of Python's ``help()`` (PSF licence)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

# Prompt, completion, and the topic whose text states the fact.
QUESTIONS: Final = (
    (
        "In Python, the statement that is used for simple debugging assertions in a program is",
        " assert",
        "assert",
    ),
    (
        "In Python, when a null operation is needed because a statement is required syntactically, use",
        " pass",
        "pass",
    ),
    (
        "In Python, the statement that terminates the nearest enclosing loop, skipping the optional else clause, is",
        " break",
        "break",
    ),
    (
        "In Python, a function which uses yield expressions is called a generator function, and calling it returns",
        " an iterator",
        "yield",
    ),
    (
        "In Python, to find an attribute that is not found in the usual places, the class should define",
        " __getattr__",
        "attribute-access",
    ),
    (
        "In Python, the with statement is used to wrap the execution of a block with methods defined by",
        " a context manager",
        "with",
    ),
    (
        "In Python, the names in this statement refer to previously bound variables in the nearest enclosing scope:",
        " nonlocal",
        "nonlocal",
    ),
    ("In Python, integer literals in base sixteen begin with the prefix", " 0x", "integers"),
)


def write(path: Path) -> None:
    """Write one document per topic, as JSONL with ``id``, ``source`` and ``text``."""
    from pydoc_data.topics import topics

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for name in sorted(topics):
            row = {"id": name, "source": "python-reference", "text": topics[name].strip()}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
