"""``whence fit``: EK-FAC factors of a model on its training corpus, as a job that resumes if it was killed."""

from whence_backends.fit.config import FitConfig, FitProgress, SequenceSource
from whence_backends.fit.job import fit

__all__ = ["FitConfig", "FitProgress", "SequenceSource", "fit"]
