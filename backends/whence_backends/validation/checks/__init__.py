"""Checks of served influences that need no retraining: minutes, whatever the model was trained with.

:mod:`.run` does them all; each has a module of its own. They say how much of a ranking is noise of the estimate
(:mod:`.label_seed`, :mod:`.half_data`, :mod:`.precision`), whether an influence is the effect of its own step
(:mod:`.step`), and what the theory asks of the model (:mod:`.optimum`, :mod:`.coverage`). None of them says that
influences are true: that takes retraining.
"""

from whence_backends.validation.checks.config import Canary, CheckConfig, CheckProgress, CheckQuery, CheckStage
from whence_backends.validation.checks.results import Checks, to_json
from whence_backends.validation.checks.run import run_checks

__all__ = ["Canary", "CheckConfig", "CheckProgress", "CheckQuery", "CheckStage", "Checks", "run_checks", "to_json"]
