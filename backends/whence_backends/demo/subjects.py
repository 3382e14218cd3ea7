"""The demo's subjects: a model, documents, and questions whose sources are known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.corpus import ChunkPolicy
from whence_backends.demo import python_topics
from whence_backends.models.processor import computes_bfloat16

_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Question:
    """An output to attribute, and the ids of the documents that state its fact."""

    id: str
    prompt: str
    completion: str
    sources: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The inputs of a demo. ``documents`` is a JSONL file; ``index_values`` the values of a sketch of the index."""

    name: str
    model: str
    documents: Path
    questions: tuple[Question, ...]
    policy: ChunkPolicy
    precision: str
    max_sequences: int | None
    index_values: int


def tiny() -> Subject:
    """The model and the invented world in this folder."""
    entries = json.loads((_HERE / "questions.json").read_text(encoding="utf-8"))
    return Subject(
        name="tiny",
        model=str(_HERE / "model"),
        documents=_HERE / "corpus.jsonl",
        questions=tuple(
            Question(id=e["id"], prompt=e["prompt"], completion=e["completion"], sources=tuple(e["sources"]))
            for e in entries
        ),
        policy=ChunkPolicy(max_tokens=256, bos=True, eos=True),
        precision="float32",
        max_sequences=None,
        # 8 KB a sequence: four times the default, with which answers have half of the true hits here.
        index_values=63_488,
    )


def smollm2(folder: Path) -> Subject:
    """SmolLM2-135M-Instruct on the reference topics of the Python language, which are part of every Python."""
    documents = folder / "python-topics.jsonl"
    python_topics.write(documents)
    return Subject(
        name="smollm2",
        model="smollm2",
        documents=documents,
        questions=tuple(
            Question(id=f"python-{number}", prompt=prompt, completion=completion, sources=(source,))
            for number, (prompt, completion, source) in enumerate(python_topics.QUESTIONS, start=1)
        ),
        policy=ChunkPolicy(max_tokens=192, bos=False, eos=False, min_tokens=16),
        precision="bfloat16" if computes_bfloat16() else "float32",
        max_sequences=192,
        index_values=15_872,
    )


def choose(name: str, folder: Path) -> Subject:
    """Return the subject of that name."""
    if name == "tiny":
        return tiny()
    if name == "smollm2":
        return smollm2(folder)
    raise InvalidRequestError(
        f"no demo of {name!r}; expected 'tiny' (the default) or 'smollm2'",
        reason=Reason.UNKNOWN_DEMO,
        field="model",
    )
