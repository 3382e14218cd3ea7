"""Which items of a benchmark are in the training text, and whether that text influences their gold answers."""

from whence.contamination.reports import ContaminationReport, ItemScores
from whence.contamination.run import contamination_file

__all__ = ["ContaminationReport", "ItemScores", "contamination_file"]
