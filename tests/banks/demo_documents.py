"""Writes the text of the bank `demo`: a thousand documents of the demo's invented world, and forty queries of it.

Among the documents are all those of the topics of twenty of the demo's questions. The queries are these questions, and
twenty documents that are held out, whole.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Final

from whence_backends import demo

DOCUMENTS: Final = 1000
QUESTIONS: Final = 20
HELD_OUT: Final = 20
SEED: Final = 15


def write(folder: Path) -> None:
    """Write `documents.jsonl` and `queries.jsonl`."""
    home, rng = Path(demo.__file__).parent, random.Random(SEED)
    lines = (home / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    questions = rng.sample(json.loads((home / "questions.json").read_text(encoding="utf-8")), QUESTIONS)
    sources = {name for question in questions for name in question["sources"]}
    topics = {row["topic"] for row in rows if row["id"] in sources}
    asked = [row for row in rows if row["topic"] in topics]
    others = rng.sample([row for row in rows if row["topic"] not in topics], DOCUMENTS - len(asked) + HELD_OUT)
    held_out, documents = others[:HELD_OUT], rng.sample(asked + others[HELD_OUT:], DOCUMENTS)
    with (folder / "documents.jsonl").open("w", encoding="utf-8") as file:
        for row in documents:
            file.write(json.dumps({key: row[key] for key in ("id", "source", "text")}) + "\n")
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as file:
        for row in questions:
            file.write(json.dumps({key: row[key] for key in ("id", "prompt", "completion")}) + "\n")
        for row in held_out:
            file.write(json.dumps({"id": row["id"], "prompt": "", "completion": row["text"]}) + "\n")
