"""The samples of EleutherAI's lm-evaluation-harness (lm_eval): the model's answers, attributed."""

from whence.harness.lm_eval.report import AnswersReport, LmEvalReport, SourceLead, TaskReport
from whence.harness.lm_eval.rows import Which
from whence.harness.lm_eval.run import attribute

__all__ = ["AnswersReport", "LmEvalReport", "SourceLead", "TaskReport", "Which", "attribute"]
