"""DATE-LM, a benchmark of data attribution (arXiv 2507.09424): its metrics, of scores that any method gave.

The definitions are those of ``evaluation/evaluate_application.py`` of DataAttributionEval/DATE-LM at commit 95c9a6d.
"""

from whence.harness.date_lm.metrics import RECALL_DEPTH, FactMetrics, FilteringMetrics, fact_metrics, filtering_metrics
from whence.harness.date_lm.relevance import relevant_rows, unsafe_rows
from whence.harness.date_lm.run import evaluate
from whence.harness.date_lm.splits import Split, read_split

__all__ = [
    "RECALL_DEPTH",
    "FactMetrics",
    "FilteringMetrics",
    "Split",
    "evaluate",
    "fact_metrics",
    "filtering_metrics",
    "read_split",
    "relevant_rows",
    "unsafe_rows",
]
