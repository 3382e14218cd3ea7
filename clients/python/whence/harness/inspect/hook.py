"""The hook: with ``WHENCE_INSPECT_HOOK=1`` every evaluation's samples are attributed as they end."""

from __future__ import annotations

import asyncio
import math
import os
import tempfile
from collections.abc import Mapping
from logging import getLogger
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from inspect_ai import score_async
from inspect_ai.hooks import Hooks, RunEnd, RunStart, SampleEnd, TaskEnd, hooks
from inspect_ai.log import EvalLog, read_eval_log_async, write_eval_log_async
from inspect_ai.scorer import Score

from whence import _variables
from whence.errors import InvalidRequestError
from whence.harness.inspect.background import Background, left_out
from whence.harness.inspect.scorer import KNOWN, NAME, attribution
from whence.harness.inspect.settings import HookSettings

_log = getLogger(__name__)


@hooks(name="attribution_hook", description="Attributes samples to training sequences as they end (Whence).")
class WhenceHooks(Hooks):
    """Attributes the samples of every task and appends the scores to the task's log when it has ended.

    It owns ``_runs``: the calls in flight of each run, from its start to its end.
    """

    def __init__(self) -> None:
        self._runs: dict[str, Background] = {}
        self._refused = ""

    def enabled(self) -> bool:
        """Return whether ``WHENCE_INSPECT_HOOK`` is on. A value that is neither on nor off is said once, and is off."""
        try:
            return _variables.switch(_variables.INSPECT_HOOK)
        except InvalidRequestError as error:
            if self._refused != error.message:
                self._refused = error.message
                _log.warning("the hook of Whence is off: %s", error.message)
            return False

    async def on_run_start(self, data: RunStart) -> None:
        """Read the settings."""
        self._runs[data.run_id] = Background(HookSettings.from_environment())

    async def on_sample_end(self, data: SampleEnd) -> None:
        """Begin to attribute the sample, and wait for nothing."""
        run = self._runs.get(data.run_id)
        if run is not None:
            run.take(data.eval_id, data.sample)

    async def on_task_end(self, data: TaskEnd) -> None:
        """Wait for the answers that are missing, not for long, and append the scores to the log."""
        run = self._runs.get(data.run_id)
        scores = await run.finish(data.eval_id) if run is not None else {}
        if not scores:
            return
        unscored = [score for score in scores.values() if isinstance(score.value, float) and math.isnan(score.value)]
        if unscored:
            _log.warning(
                "Whence left %d of %d samples unscored (%s); this asks again: inspect score %s --scorer whence/%s "
                "--action append", len(unscored), len(scores), unscored[0].explanation, data.log.location, NAME
            )  # fmt: skip
        # A task of its own, so that what scoring sets in its context ends with it.
        await asyncio.create_task(_append(data.log.location, scores))

    async def on_run_end(self, data: RunEnd) -> None:
        """End what is still in flight."""
        run = self._runs.pop(data.run_id, None)
        if run is not None:
            await run.close()


async def _append(location: str, scores: Mapping[str, Score]) -> None:
    log = await read_eval_log_async(location)
    if not log.samples:
        return
    rest = left_out("the sample ended with an error, or has a score already")
    KNOWN.set({sample.uuid: scores.get(sample.uuid, rest) for sample in log.samples if sample.uuid is not None})
    # The scorer asks no model, and needs not load the evaluation's again.
    scored = await score_async(log, [attribution()], model="none/none", action="append", display="none", copy=False)
    await _replace(location, scored)


async def _replace(location: str, log: EvalLog) -> None:
    """Write the log in the place of another. A local one is replaced whole or not at all."""
    url = urlparse(location)
    if url.scheme not in ("", "file"):
        await write_eval_log_async(log, location)
        return
    path = Path(url2pathname(url.path) if url.scheme else location)
    with tempfile.TemporaryDirectory(prefix=".whence-", dir=path.parent) as folder:
        await write_eval_log_async(log, Path(folder) / path.name)
        os.replace(Path(folder) / path.name, path)
