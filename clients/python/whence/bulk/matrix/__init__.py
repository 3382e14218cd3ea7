"""The matrix of scores of files: each query against each sequence, going on where it was interrupted."""

from whence.bulk.matrix.reports import MatrixRefusal, MatrixReport
from whence.bulk.matrix.run import score_files

__all__ = ["MatrixRefusal", "MatrixReport", "score_files"]
