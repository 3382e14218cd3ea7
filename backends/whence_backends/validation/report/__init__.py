"""The report of a validation: :mod:`.build` makes it of outcomes and scores, :mod:`.storage` writes it, with plots.

``report.json`` has every figure, ``report.html`` needs nothing but itself, and each plot is an SVG file as well.
"""

from whence_backends.validation.report.build import build_report
from whence_backends.validation.report.inputs import Claims
from whence_backends.validation.report.report import Report
from whence_backends.validation.report.storage import write_report

__all__ = ["Claims", "Report", "build_report", "write_report"]
