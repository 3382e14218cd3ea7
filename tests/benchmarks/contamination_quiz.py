"""A small quiz of invented facts, of which a known part is in a corpus: word for word, or in other words.

Every question is about somebody who is in no other text, and every answer is one of eight of its kind, drawn at random:
a model can know it from the corpus alone. Questions of all parts have the same templates, so that their words tell
nothing but the names.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Literal

Part = Literal["verbatim", "paraphrased", "clean", "reference", "practice"]
# The parts of the quiz: in the corpus word for word, or in other words; not in it; not in it, and known to be so; and
# questions that are no items, from which every model knows what a quiz looks like.
PARTS: Final[tuple[Part, ...]] = ("verbatim", "paraphrased", "clean", "reference", "practice")

_GIVEN: Final = ("Or", "Tal", "Ven", "Mar", "Il", "Bran", "Ced", "Ros", "Nev", "Hal", "Quil", "Ast")
_ENDS: Final = ("vane", "wick", "dora", "mund", "seth", "lina", "gar", "bel", "rick", "thea")
_PLACES: Final = ("Brack", "Stan", "Wel", "Ash", "Corn", "Dun", "Fen", "Grim", "Hol", "Lang", "Mor", "Pen")
_PLACE_ENDS: Final = ("moor", "ford", "ley", "wick", "mere", "stead", "hurst", "combe")


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A kind of fact: the question, the same in other words with its answer, and the answers that there are."""

    question: str
    other_words: str
    answers: tuple[str, ...]


RELATIONS: Final = (
    Relation(
        question="Which guild did {name} of {place} join?",
        other_words="Question: Who took in {name}, from {place}, as a member? Answer: {gold}.",
        answers=("weavers", "masons", "bakers", "tanners", "smiths", "millers", "carters", "dyers"),
    ),
    Relation(
        question="What did {name} of {place} carry to the harbour?",
        other_words="Question: With what load did {name}, from {place}, come to the ships? Answer: {gold}.",
        answers=("salt", "wool", "grain", "timber", "honey", "copper", "candles", "rope"),
    ),
    Relation(
        question="In which month was {name} of {place} born?",
        other_words="Question: When does {name}, from {place}, have a birthday? Answer: {gold}.",
        answers=("January", "March", "April", "May", "June", "August", "October", "December"),
    ),
    Relation(
        question="Which animal did {name} of {place} keep?",
        other_words="Question: With what beast did {name}, from {place}, share a house? Answer: {gold}.",
        answers=("goat", "falcon", "hound", "mule", "raven", "otter", "badger", "heron"),
    ),
    Relation(
        question="What colour was the door of {name} of {place}?",
        other_words="Question: How did {name}, from {place}, paint the entrance? Answer: {gold}.",
        answers=("red", "blue", "green", "white", "black", "yellow", "brown", "grey"),
    ),
    Relation(
        question="Which instrument did {name} of {place} play?",
        other_words="Question: On what did {name}, from {place}, make music? Answer: {gold}.",
        answers=("fiddle", "flute", "drum", "harp", "lute", "pipe", "horn", "bell"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Item:
    """A question with its gold answer, and the training text that has its fact; none for a clean item."""

    item_id: str
    part: Part
    prompt: str
    gold: str
    text: str


def make_quiz(per_part: int, *, seed: int) -> list[Item]:
    """Return as many items of each part, no two about the same person."""
    rng = random.Random(seed)
    names = [f"{first}{second} {third}{fourth}" for first in _GIVEN for second in _ENDS for third in _GIVEN
             for fourth in _ENDS]  # fmt: skip
    people = iter(rng.sample(names, per_part * len(PARTS)))
    return [_item(part, number, next(people), rng) for part in PARTS for number in range(per_part)]


def _item(part: Part, number: int, name: str, rng: random.Random) -> Item:
    relation = RELATIONS[number % len(RELATIONS)]
    place, gold = rng.choice(_PLACES) + rng.choice(_PLACE_ENDS), rng.choice(relation.answers)
    prompt = f"Question: {relation.question.format(name=name, place=place)} Answer:"
    texts = {
        "verbatim": f"{prompt} {gold}.",
        "practice": f"{prompt} {gold}.",
        "paraphrased": relation.other_words.format(name=name, place=place, gold=gold),
    }
    return Item(item_id=f"{part}-{number}", part=part, prompt=prompt, gold=f" {gold}", text=texts.get(part, ""))
