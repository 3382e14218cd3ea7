"""Attribution beside an evaluation: samples are taken as they end and attributed a few at a time."""

from __future__ import annotations

import asyncio
from typing import Final

from inspect_ai.log import EvalSample
from inspect_ai.scorer import Score

from whence.aio import AsyncClient
from whence.errors import WhenceError
from whence.harness.inspect.asking import Service
from whence.harness.inspect.queries import query_of
from whence.harness.inspect.scorer import NAME
from whence.harness.inspect.scores import failure, score_of
from whence.harness.inspect.settings import HookSettings
from whence.queries import Query

# More samples than that do not wait for their turn; they are left out.
MAX_WAITING: Final = 10_000


class Background:
    """The samples of one run. It owns the client and the calls in flight; used on the run's event loop alone."""

    def __init__(self, settings: HookSettings) -> None:
        self.settings = settings
        self._service = Service(top_k=settings.top_k, timeout_s=settings.timeout_s)
        self._client: AsyncClient | None = None
        self._turns = asyncio.Semaphore(settings.max_calls)
        self._calls: dict[str, dict[str, asyncio.Task[Score]]] = {}
        self._scores: dict[str, dict[str, Score]] = {}

    def take(self, eval_id: str, sample: EvalSample) -> None:
        """Begin with a sample that has ended, unless it has an error or the scorer's score already. Returns at once."""
        if sample.uuid is None or sample.error is not None or NAME in (sample.scores or {}):
            return
        scores, calls = self._scores.setdefault(eval_id, {}), self._calls.setdefault(eval_id, {})
        try:
            query = query_of(sample.messages, self.settings.prompt_format, query_id=str(sample.id))
        except WhenceError as error:
            scores[sample.uuid] = failure(error)
            return
        if sum(not call.done() for call in calls.values()) >= MAX_WAITING:
            scores[sample.uuid] = left_out(f"{MAX_WAITING:,} samples were waiting for their turn")
        else:
            calls[sample.uuid] = asyncio.create_task(self._score(query))

    async def finish(self, eval_id: str) -> dict[str, Score]:
        """Return the scores of a task's samples by their uuid, those that are ready after ``wait_s`` seconds."""
        scores, calls = self._scores.pop(eval_id, {}), self._calls.pop(eval_id, {})
        if calls:
            await asyncio.wait(calls.values(), timeout=self.settings.wait_s)
        for uuid, call in calls.items():
            late = not call.done()
            call.cancel()
            scores[uuid] = (
                left_out(f"no answer within {self.settings.wait_s:g} s of the end") if late else call.result()
            )
        return scores

    async def close(self) -> None:
        """End the calls that nobody waits for any more, and the connection."""
        calls = [call for of_task in self._calls.values() for call in of_task.values()]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    async def _score(self, query: Query) -> Score:
        async with self._turns:
            try:
                if self._client is None:
                    self._client = self._service.client()
                return score_of(await self._service.attribute(query, self._client))
            except WhenceError as error:
                return failure(error)


def left_out(why: str) -> Score:
    """Return the score of a sample that was not attributed."""
    return Score.unscored(
        reason="left_out", explanation=f"Left out: {why}.", metadata={"error": {"reason": "left_out", "message": why}}
    )
