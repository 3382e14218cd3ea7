"""The invented world: its people, places and things, and the facts about them.

This module has no sentences: `phrases` has the wordings of facts, and `make_corpus` decides how often each is stated.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


def _list(text: str, separator: str | None = None) -> tuple[str, ...]:
    return tuple(" ".join(item.split()) for item in text.split(separator))


COUNTRIES = _list(
    """
    Veldoria Ostrane Kermath Sollivar Tamberay Quillan Hesperane Durrow Myrrenland Aldesh Norvance Brathmoor
    Ilvany Caldreth Ruskany Gosmere
    """
)
TOWN_HEADS = _list(
    """
    Marr Brel Tolv Hask Penn Orl Sel Grim Dask Lorn Vess Kell Rav Tam Wick Ost Ulm Jarn Fend Quar Ibb Neth
    Cor Sarn
    """
)
TOWN_TAILS = _list("un ford ick ova mouth stead holm ary en ost bridge by eth aven")
RIVER_HEADS = _list("Am Ber Ol Sil Tru Wen Yar Dov Esk Gal Hal Lun Mer Nid")
RIVER_TAILS = _list("rell vane dle mera ash orn uvial isk")
FIRST_NAMES = _list(
    """
    Ilsa Tomas Berit Anselm Odile Corvin Maren Joost Livia Edric Petra Halvard Sanna Lucan Thea Bram Yvaine
    Rufus Dagny Orrin Elke Matthis Nerys Silas Greta Piers Wilma Evander Brona Casimir
    """
)
SURNAME_HEADS = _list(
    """
    Var Holl Ambr Tess Kov Lind Brack Ost Fair Pell Stro Wend Quin Marl Dorn Esk Hav Jess Rook Thorn
    """
)
SURNAME_TAILS = _list("den oway ose aldi ick gren ley erby mont ard")
ANIMALS = _list(
    """
    fennick dormel harrowcat lumbird brackle quillet moorling tasker glimfish snedhare wattler ribbontail
    oxmouse pardlet stiltcrane burrowdog maskfox hornvole reedpig saltgoat cloudmoth veldhorse tarnseal
    thistlecock grubbear driftswan
    """
)
FOODS = _list(
    """
    mussels, acorns, beetles, moss, snails, plums, eels, thistles, ants, lilies, mice, honeycomb, clover,
    crabs, juniper, earthworms, mushrooms, reeds, frogs, hazelnuts, lichen, grasshoppers, kelp, barley
    """,
    separator=",",
)
TITLE_HEADS = _list(
    """
    Salt Glass Hollow Amber Winter Paper Copper Silent Seventh Crooked Patient Drowned Velvet Lesser
    Wandering Iron
    """
)
TITLE_TAILS = _list(
    """
    Calendar Ferryman Orchard Compass Lantern Clockmaker Garden Staircase Beekeeper Harbour Almanac
    """
)

FEASTS = _list(
    """
    Kites Lanterns Bells Ovens Swans Ladders Masks Ribbons Boats Candles Drums Apples Kettles Mirrors Wheels
    Whistles Shepherds Chimneys Anchors Feathers Owls Keys
    """
)
MONTHS = _list(
    """
    January February March April May June July August September October November December
    """
)
COLOURS = _list(
    """
    green white crimson blue yellow black violet orange grey silver brown turquoise scarlet pink
    """
)
GOODS = _list(
    """
    saffron, salt, amber, felt, cheese, tar, indigo, candles, rope, paper, lace, walnuts, honey, bells,
    needles, pottery, slate, vinegar, linen, furs, millstones, figs, soap, ink, leather, wool, clocks,
    nails, glass, cider, tin, herrings, baskets, velvet
    """,
    separator=",",
)
COINS = _list("crown, florin, tallow, groat, shield, star, penny, mark, lion, ducat", separator=",")
PLACES = _list(
    """
    reed beds, pine woods, sea cliffs, peat bogs, stone walls, dry gullies, orchards, salt marshes, mountain
    pastures, river islands, chalk hills, old quarries
    """,
    separator=",",
)
TRADES = _list(
    """
    cartographer, botanist, painter, bell founder, bridge builder, physician, composer, weaver, astronomer,
    judge, shipwright, glassblower, schoolteacher, printer
    """,
    separator=",",
)
SUBJECTS = _list(
    """
    a shipwreck, two rival sisters, the last days of a mill, a lost dog, a judge who cannot sleep, the
    keeping of bees, a long winter at sea, an unpaid debt, a wandering choir, the building of a bridge, a
    village without clocks
    """,
    separator=",",
)
LANDMARKS = _list(
    """
    a leaning bell tower, a covered bridge, a stone granary, a ruined watchtower, a round library, an iron
    fountain, a hall of mirrors, a walled garden, a double lighthouse, a staircase of four hundred steps, a
    wooden theatre
    """,
    separator=",",
)


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One true statement of the world: `relation` holds between `subject` and `answer`."""

    relation: str
    subject: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class World:
    """All facts, and the names a sentence may drop in passing (kind of name -> names)."""

    facts: tuple[Fact, ...]
    names: Mapping[str, Sequence[str]]

    def facts_of(self, relation: str) -> list[Fact]:
        """The facts of one relation, in the order in which they were made."""
        return [fact for fact in self.facts if fact.relation == relation]


def make_world(rng: random.Random) -> World:
    """A world drawn from `rng`; the same generator state gives the same world."""
    names = _make_names(rng)
    facts = _facts_with_own_answers(rng, names) + _facts_with_shared_answers(rng, names)
    return World(facts=tuple(facts), names=names)


def _make_names(rng: random.Random) -> dict[str, list[str]]:
    surnames = _compounds(rng, SURNAME_HEADS, SURNAME_TAILS, 60)
    titles = _compounds(rng, TITLE_HEADS, [f" {tail}" for tail in TITLE_TAILS], 24)
    return {
        "country": list(COUNTRIES),
        "town": _compounds(rng, TOWN_HEADS, TOWN_TAILS, 40),
        "river": _compounds(rng, RIVER_HEADS, RIVER_TAILS, 40),
        "person": [f"{rng.choice(FIRST_NAMES)} {surname}" for surname in surnames],
        "first": list(FIRST_NAMES),
        "animal": list(ANIMALS),
        "book": [f"The {title}" for title in titles],
        "feast": [f"Feast of {name}" for name in FEASTS],
        "month": list(MONTHS),
        "colour": list(COLOURS),
        "good": list(GOODS),
        "food": list(FOODS),
        "trade": list(TRADES),
        "place": list(PLACES),
    }


def _compounds(rng: random.Random, heads: Sequence[str], tails: Sequence[str], count: int) -> list[str]:
    """`count` different words made of a head and a tail."""
    return rng.sample([head + tail for head in heads for tail in tails], count)


def _facts_with_own_answers(rng: random.Random, names: Mapping[str, list[str]]) -> list[Fact]:
    """The relations in which no two subjects share an answer."""
    people = rng.sample(names["person"], len(names["person"]))
    authors, founders = people[:24], people[24:48]
    pairs = {
        "capital": (names["country"], names["town"][: len(COUNTRIES)]),
        "author": (names["book"], authors),
        "founder": (names["town"][: len(founders)], founders),
        "river": (names["town"][-24:], names["river"]),
    }
    return [
        Fact(relation=relation, subject=subject, answer=answer)
        for relation, (subjects, answers) in pairs.items()
        for subject, answer in zip(subjects, rng.sample(answers, len(subjects)), strict=True)
    ]


def _facts_with_shared_answers(rng: random.Random, names: Mapping[str, list[str]]) -> list[Fact]:
    """The relations whose answers come from a short list, each used about equally often."""
    pairs: dict[str, tuple[list[str], Sequence[str]]] = {
        "flag": (names["country"], COLOURS),
        "diet": (names["animal"], FOODS),
        "trade": (names["town"][8:32], GOODS),
        "festival": (names["feast"], MONTHS),
        "coin": (names["country"], COINS),
        "habitat": (names["animal"], PLACES),
        "coat": (names["animal"], COLOURS),
        "calling": (names["person"], TRADES),
        "birthplace": (names["person"], names["town"]),
        "plot": (names["book"], SUBJECTS),
        "landmark": (names["town"], LANDMARKS),
    }
    return [
        Fact(relation=relation, subject=subject, answer=answer)
        for relation, (subjects, answers) in pairs.items()
        for subject, answer in zip(subjects, _dealt(rng, answers, len(subjects)), strict=True)
    ]


def _dealt(rng: random.Random, answers: Sequence[str], count: int) -> list[str]:
    """`count` answers, dealt from shuffled decks so that each comes up about equally often."""
    decks = [rng.sample(answers, len(answers)) for _ in range(-(-count // len(answers)))]
    return [answer for deck in decks for answer in deck][:count]
