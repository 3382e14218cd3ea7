"""Preparation: each query's gradient is computed and cached by the worker that its hash selects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from whence.errors import InternalError, UnavailableError
from whence.reasons import Reason
from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.request.fields import fields_of_caller
from whence_service.frontend.workers.tasks import run_all
from whence_service.rpc.canonical import canonical_bytes


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The prepared queries, in the order of the request, and the warnings about them."""

    queries: tuple[worker_service_pb2.PreparedQuery, ...]
    warnings: tuple[attribution_pb2.Warning, ...]


async def prepare(context: RequestContext[object], *, sketch: bool = False) -> Prepared:
    """Compute every query's gradient, with one call per worker for all of its queries.

    With ``sketch`` the answers include sketches, for a search of the index.
    """
    parts = _by_worker(context, range(len(context.request.queries)))
    with context.watch.stage("prepare"):
        answered = await run_all(_ask_some(context, worker, numbers, sketch=sketch) for worker, numbers in parts)
    answers = [answer for part in answered for answer in part]
    prepared: dict[int, worker_service_pb2.PreparedQuery] = {}
    for numbers, answer in answers:
        prepared.update(zip(numbers, answer.queries, strict=True))
    warnings = (warning for _, answer in answers for warning in answer.warnings)
    return Prepared(
        queries=tuple(prepared[number] for number in range(len(context.request.queries))),
        warnings=distinct(warnings),
    )


def distinct(warnings: Iterable[attribution_pb2.Warning]) -> tuple[attribution_pb2.Warning, ...]:
    """Return the warnings without repetitions, in order."""
    by_text = {(warning.code, warning.message): warning for warning in warnings}
    return tuple(by_text.values())


def _by_worker(context: RequestContext[object], numbers: Iterable[int]) -> list[tuple[str, list[int]]]:
    """Return each worker with the numbers of its queries."""
    by_worker: dict[str, list[int]] = {}
    for number in numbers:
        by_worker.setdefault(
            context.replicas.preparer(number, canonical_bytes(context.request.queries[number])), []
        ).append(number)
    return list(by_worker.items())


async def _ask_some(
    context: RequestContext[object], worker: str, numbers: Sequence[int], *, sketch: bool
) -> list[tuple[Sequence[int], worker_service_pb2.PrepareQueriesResponse]]:
    """Return the worker's answer or, if it is lost, those of others. Any worker can prepare a query."""
    try:
        return [(numbers, await _ask(context, worker, numbers, sketch=sketch))]
    except UnavailableError:
        context.replicas.lose(worker)
        if not context.replicas.workers or (context.replicas.lost and not context.request.partial):
            raise
    moved = await run_all(
        _ask_some(context, other, part, sketch=sketch) for other, part in _by_worker(context, numbers)
    )
    return [answered for part in moved for answered in part]


async def _ask(
    context: RequestContext[object], worker: str, numbers: Sequence[int], *, sketch: bool
) -> worker_service_pb2.PrepareQueriesResponse:
    request = worker_service_pb2.PrepareQueriesRequest(
        queries=[context.request.queries[number] for number in numbers],
        sketch=sketch,
        preconditioning=context.preconditioning,
    )
    with fields_of_caller("queries", [context.request.query_fields[number] for number in numbers]):
        answer = await context.workers.ask(worker, lambda stub: stub.PrepareQueries, request)
    if len(answer.queries) != len(numbers):
        raise InternalError(
            f"the worker {worker} answered for {len(answer.queries)} of {len(numbers)} queries",
            reason=Reason.ANSWER_INCOMPLETE,
            worker=worker,
        )
    return answer
