"""Answers of the service. Influences are in nats: first-order effects of training sequences, estimates, no promises.

:mod:`whence.parsing` makes these values from messages.
"""

from whence.results.answers import Answer, AnswerWarning, Plain, Provenance
from whence.results.explanations import Explanation
from whence.results.groups import GroupInfluence, GroupInfluences
from whence.results.overlaps import TextOverlap, TextOverlaps
from whence.results.rankings import Attribution, Attributions, Noise, Progress, Recall, SelfInfluences
from whence.results.scores import ScoreTable
from whence.results.sequences import Hit, TokenInfluence, TrainingSequence

__all__ = [
    "Answer",
    "AnswerWarning",
    "Attribution",
    "Attributions",
    "Explanation",
    "GroupInfluence",
    "GroupInfluences",
    "Hit",
    "Noise",
    "Plain",
    "Progress",
    "Provenance",
    "Recall",
    "ScoreTable",
    "SelfInfluences",
    "TextOverlap",
    "TextOverlaps",
    "TokenInfluence",
    "TrainingSequence",
]
