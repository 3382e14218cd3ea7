# ruff: noqa: T201  (a script that reports on its terminal)
"""Writes the demo's `corpus.jsonl` and `questions.json`; the same seed writes the same bytes.

Each document states at most one fact of the world. For every asked fact the generator records the documents that
state it (the sources of the question), adds documents that share its key words without stating it, and rejects
any other document in which subject and answer meet by chance.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from whence_backends.demo import phrases
from whence_backends.demo.phrases import Phrase
from whence_backends.demo.world import Fact, World, make_world

SEED = 20
DOCUMENTS = 4000
ASKED_PER_RELATION = 3
STATEMENTS_OF_ASKED = (5, 6, 6)
CO_MENTIONS_OF_ASKED = (2, 3, 4)
STATEMENTS_OF_OTHERS = (2, 3, 4, 5)
CO_MENTIONS_OF_OTHERS = (0, 1, 1)
ECHOED = 0.4  # share of the other facts that get an echo
YEARS = (1180, 1320)

SECOND = 0.8  # share of the phrases about a fact that are followed by a second one
SHORTEST = 110  # characters, about 25 tokens

CHOICE = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{(\w+)\}")
A_BEFORE_VOWEL = re.compile(r"\b([Aa]) (?=[aeiou])")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A document before it has an id; `states` is the fact that it states, if any."""

    source: str
    topic: str
    text: str
    states: Fact | None = None


class Writer:
    """Turns phrases into documents. Owns the random state: the text depends on the order of calls."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._names = world.names
        self._rng = rng

    def statement(self, fact: Fact, phrase: Phrase) -> Draft:
        """A document that states `fact`, once or twice."""
        source, text = phrase
        texts = [text, *self._second(phrases.REMINDERS.get(fact.relation, ()))]
        self._rng.shuffle(texts)
        return Draft(source=source, topic=fact.subject, text=self._about(fact, source, texts), states=fact)

    def co_mention(self, fact: Fact, phrase: Phrase) -> Draft:
        """A document that names subject and answer and does not state `fact`."""
        source, text = phrase
        texts = [text, *self._second(phrases.ASIDES[fact.relation])]
        return Draft(source=source, topic=fact.subject, text=self._about(fact, source, texts))

    def echo(self, fact: Fact, phrase: Phrase) -> Draft:
        """A document that sounds like `fact` and lacks the answer."""
        source, text = phrase
        return Draft(source=source, topic=fact.subject, text=self._about(fact, source, [text]))

    def of_scene(self, topic: str, phrase: Phrase) -> Draft:
        """A document of background."""
        source, text = phrase
        return Draft(source=source, topic=topic, text=self._framed(source, [text]))

    def _about(self, fact: Fact, source: str, texts: Sequence[str]) -> str:
        named = [text.replace("{s}", fact.subject).replace("{o}", fact.answer) for text in texts]
        return self._framed(source, named)

    def _second(self, choices: Sequence[str]) -> list[str]:
        return self._rng.sample(choices, 1) if choices and self._rng.random() < SECOND else []

    def _framed(self, source: str, texts: list[str]) -> str:
        """The texts between sentences that suit the source, at least `SHORTEST` characters in all."""
        before = [self._rng.choice(phrases.OPENERS[source])] if self._rng.random() < 0.4 else []
        after = self._rng.sample(phrases.CLOSERS[source], len(phrases.CLOSERS[source]))
        sentences = [self._finished(sentence) for sentence in (*before, *texts, *after)]
        wanted = len(before) + len(texts) + self._rng.choice((0, 0, 1, 1, 2))
        while len(" ".join(sentences[:wanted])) < SHORTEST and wanted < len(sentences):
            wanted += 1
        return " ".join(sentences[:wanted])

    def _finished(self, text: str) -> str:
        """The sentence with its alternatives chosen and its slots filled."""
        while CHOICE.search(text):
            text = CHOICE.sub(lambda match: self._rng.choice(match[1].split("|")), text)
        text = SLOT.sub(lambda match: self._slot(match[1]), text)
        text = A_BEFORE_VOWEL.sub(r"\1n ", text)
        return text[:1].upper() + text[1:]

    def _slot(self, kind: str) -> str:
        if kind == "n":
            return str(self._rng.randint(2, 60))
        if kind == "year":
            return str(self._rng.randint(*YEARS))
        return self._rng.choice(self._names[kind])


def asked_facts(world: World, rng: random.Random) -> list[Fact]:
    """The facts that become questions; no two of a relation have the same answer."""
    return [fact for relation in phrases.PROMPTS for fact in _differing(world.facts_of(relation), rng)]


def write_drafts(world: World, asked: list[Fact], rng: random.Random) -> list[Draft]:
    """`DOCUMENTS` different drafts in random order."""
    writer = Writer(world, rng)
    written = [*_drafts_of_asked(writer, asked, rng), *_drafts_of_others(writer, world, asked, rng)]
    drafts = {draft.text: draft for draft in written}
    scenes = _scenes(writer, asked, rng)
    while len(drafts) < DOCUMENTS:
        scene = next(scenes)
        drafts.setdefault(scene.text, scene)
    return rng.sample(list(drafts.values()), len(drafts))


def documents(drafts: Iterable[Draft], rng: random.Random) -> Iterator[tuple[Draft, dict[str, object]]]:
    """Each draft with its line in `corpus.jsonl`."""
    seen: Counter[str] = Counter()
    for draft in drafts:
        stem = f"{draft.source}/{_slug(draft.topic)}"
        seen[stem] += 1
        yield (
            draft,
            {
                "id": f"{stem}-{seen[stem]}",
                "source": draft.source,
                "topic": draft.topic,
                "year": rng.randint(*YEARS),
                "text": draft.text,
            },
        )


def question(fact: Fact, sources: list[str]) -> dict[str, object]:
    """The entry of an asked fact in `questions.json`."""
    return {
        "id": f"{fact.relation}-{_slug(fact.subject)}",
        "prompt": phrases.PROMPTS[fact.relation].format(s=fact.subject),
        "completion": f" {fact.answer}",
        "sources": sources,
        "note": f"{fact.relation}; stated by {len(sources)} documents",
    }


def _differing(facts: list[Fact], rng: random.Random) -> list[Fact]:
    """`ASKED_PER_RELATION` random facts, no two with the same answer."""
    by_answer = {fact.answer: fact for fact in rng.sample(facts, len(facts))}
    return list(by_answer.values())[:ASKED_PER_RELATION]


def _drafts_of_asked(writer: Writer, asked: list[Fact], rng: random.Random) -> Iterator[Draft]:
    for fact in asked:
        for phrase in rng.sample(phrases.STATEMENTS[fact.relation], rng.choice(STATEMENTS_OF_ASKED)):
            yield writer.statement(fact, phrase)
        for phrase in rng.sample(phrases.CO_MENTIONS[fact.relation], rng.choice(CO_MENTIONS_OF_ASKED)):
            yield writer.co_mention(fact, phrase)
        for phrase in phrases.ECHOES[fact.relation]:
            yield writer.echo(fact, phrase)


def _drafts_of_others(writer: Writer, world: World, asked: list[Fact], rng: random.Random) -> Iterator[Draft]:
    for fact in world.facts:
        if fact not in asked:
            drafts = _drafts_of_other(writer, fact, rng)
            yield from (draft for draft in drafts if not _gives_away(draft, asked))


def _drafts_of_other(writer: Writer, fact: Fact, rng: random.Random) -> Iterator[Draft]:
    statements = phrases.STATEMENTS[fact.relation]
    for phrase in rng.sample(statements, min(rng.choice(STATEMENTS_OF_OTHERS), len(statements))):
        yield writer.statement(fact, phrase)
    if fact.relation in phrases.PROMPTS:
        for phrase in rng.sample(phrases.CO_MENTIONS[fact.relation], rng.choice(CO_MENTIONS_OF_OTHERS)):
            yield writer.co_mention(fact, phrase)
        if rng.random() < ECHOED:
            yield writer.echo(fact, rng.choice(phrases.ECHOES[fact.relation]))


def _scenes(writer: Writer, asked: list[Fact], rng: random.Random) -> Iterator[Draft]:
    """An endless stream of background documents."""
    scenes = [(topic, phrase) for topic, choices in phrases.SCENES.items() for phrase in choices]
    while True:
        draft = writer.of_scene(*rng.choice(scenes))
        if not _gives_away(draft, asked):
            yield draft


def _gives_away(draft: Draft, asked: list[Fact]) -> bool:
    """Whether subject and answer of an asked fact meet in the draft."""
    text = draft.text.lower()
    return any(fact.subject.lower() in text and fact.answer.lower() in text for fact in asked)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def main() -> None:
    """Writes both files into the folder given by `--out`, by default the folder of this script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    out = parser.parse_args().out
    rng = random.Random(SEED)
    world = make_world(rng)
    asked = asked_facts(world, rng)
    sources: dict[Fact, list[str]] = {fact: [] for fact in asked}
    lines = []
    for draft, line in documents(write_drafts(world, asked, rng), rng):
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
        if draft.states in sources:
            sources[draft.states].append(str(line["id"]))
    questions = [question(fact, sorted(ids)) for fact, ids in sources.items()]
    (out / "corpus.jsonl").write_text("".join(lines), encoding="utf-8")
    (out / "questions.json").write_text(json.dumps(questions, indent=2) + "\n", encoding="utf-8")
    print(f"{len(lines)} documents, {len(questions)} questions, {sum(map(len, sources.values()))} sources")


if __name__ == "__main__":
    main()
