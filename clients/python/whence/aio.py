"""The client for asyncio. ``client.py`` is generated from this file: after a change run ``make generate``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Self, TypeVar

import grpc
import grpc.aio

from whence import parsing, requests
from whence._channel import DEFAULT_TARGET, Message, check_metadata, check_size
from whence._failures import explain_failure, require_answer
from whence._retries import DEFAULT_RETRY, Deadline, RetryPolicy, wait_s
from whence._served_models import ServedModels
from whence._transport import AsyncTransport
from whence.examples import TrainingExample
from whence.filters import Filter
from whence.models import Model
from whence.queries import Query
from whence.requests import Direction, Search
from whence.results import Attribution, Explanation, GroupInfluences, Progress, ScoreTable, SelfInfluences
from whence.v1 import attribution_service_pb2

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response")


class AsyncClient:
    """Asks a Whence service which training sequences an output came from. Use it on one event loop.

    ``target`` is ``host:port`` or any gRPC target; nothing is sent before the first call. ``credentials``
    switch TLS on (``grpc.ssl_channel_credentials()``), ``metadata`` goes with every call. ``timeout_s``
    bounds each call with all its attempts and may be set for one call. ``retry`` says how calls to an
    unavailable server are repeated (None: not at all); ``retry_overload`` also repeats those refused for
    load, after the wait that the server asks for.

    Every method raises :class:`whence.WhenceError`; its details name the ``request_id``.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout_s: float = 600.0,
        retry: RetryPolicy | None = DEFAULT_RETRY,
        retry_overload: bool = True,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.target = target
        self._timeout_s = timeout_s
        self._retry_overload = retry_overload
        self._metadata = check_metadata(metadata)
        self._transport = AsyncTransport(target, credentials, retry)

    async def attribute(
        self,
        query: Query | None = None,
        *,
        prompt: str = "",
        completion: str | None = None,
        top_k: int = 10,
        direction: Direction = "positive",
        damping_factor: float | None = None,
        include_layers: bool = False,
        include_tokens: bool = False,
        search: Search = "auto",
        candidates: int | None = None,
        only: Filter | None = None,
        layers: Sequence[str] = (),
        return_partial_success: bool = False,
        model: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> Attribution:
        """Return the ``top_k`` most influential training sequences of one output, in each asked direction.

        The output is ``completion`` after ``prompt``, or a ``query``. ``damping_factor`` is a multiple of
        each layer's mean corrected eigenvalue (None: the model's). ``include_layers`` and ``include_tokens``
        split each hit's influence. ``search`` is how they are found: ``"full_scan"`` scores the whole corpus,
        ``"index_rerank"`` the best ``candidates`` of the gradient index (None: the server's choice) and tells
        how many of the true ``top_k`` it expects to have found, ``"index_only"`` none; ``"tfidf_rerank"`` scores the
        sequences that share the most telling tokens with the query; ``"auto"`` is the second where the server has an
        index, else the first. ``only`` says which sequences count, and ``layers`` through
        which layers: names, or patterns such as ``"model.layers.3.*"`` (none: all). Where shards of the corpus
        cannot be reached the call fails, unless ``return_partial_success``: then the answer names them in
        ``unreachable_shards``. ``model`` may be empty where only one is served.
        """
        chosen = requests.options(
            top_k=top_k,
            direction=direction,
            damping_factor=damping_factor,
            include_layers=include_layers,
            include_tokens=include_tokens,
            search=search,
            candidates=candidates,
            only=only,
            layers=layers,
            return_partial_success=return_partial_success,
        )
        asked = requests.one_query(query, prompt, completion)
        request = requests.attribute(asked, chosen, model=model, request_id=request_id)
        return parsing.attribution(await self._call(self._transport.stub.Attribute, request, timeout_s))

    def attribute_stream(
        self,
        query: Query | None = None,
        *,
        prompt: str = "",
        completion: str | None = None,
        top_k: int = 10,
        direction: Direction = "positive",
        damping_factor: float | None = None,
        include_layers: bool = False,
        include_tokens: bool = False,
        search: Search = "auto",
        candidates: int | None = None,
        only: Filter | None = None,
        layers: Sequence[str] = (),
        return_partial_success: bool = False,
        model: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> AsyncGenerator[Progress | Attribution, None]:
        """Yield :class:`Progress`, maybe none, then the :class:`Attribution`. Arguments: :meth:`attribute`.

        The call starts with the first item. Closing the iterator, or dropping it, cancels the call.
        """
        chosen = requests.options(
            top_k=top_k,
            direction=direction,
            damping_factor=damping_factor,
            include_layers=include_layers,
            include_tokens=include_tokens,
            search=search,
            candidates=candidates,
            only=only,
            layers=layers,
            return_partial_success=return_partial_success,
        )
        asked = requests.one_query(query, prompt, completion)
        request = requests.stream(asked, chosen, model=model, request_id=request_id)
        return self._stream(request, timeout_s)

    async def attribute_batch(
        self,
        queries: Sequence[Query],
        *,
        top_k: int = 10,
        direction: Direction = "positive",
        damping_factor: float | None = None,
        include_layers: bool = False,
        include_tokens: bool = False,
        search: Search = "auto",
        candidates: int | None = None,
        only: Filter | None = None,
        layers: Sequence[str] = (),
        return_partial_success: bool = False,
        query_rank: int | None = None,
        model: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> tuple[Attribution, ...]:
        """Return one ranking for each query, in their order, from one pass over the corpus.

        Arguments: :meth:`attribute`. ``query_rank`` is the rank that each layer's preconditioned query gradient is kept
        in: 0 is whole, None is whole unless the queries are more than the model's ``limits.max_queries``, and then 32.
        What that cost an answer is its ``truncation_error``.
        """
        chosen = requests.options(
            top_k=top_k,
            direction=direction,
            damping_factor=damping_factor,
            include_layers=include_layers,
            include_tokens=include_tokens,
            search=search,
            candidates=candidates,
            only=only,
            layers=layers,
            return_partial_success=return_partial_success,
            query_rank=query_rank,
        )
        asked = requests.one_or_more_queries(queries)
        request = requests.batch(asked, chosen, model=model, request_id=request_id)
        return parsing.attributions(
            await self._call(self._transport.stub.BatchAttribute, request, timeout_s), len(asked)
        )

    async def self_influence(
        self,
        *,
        top_k: int | None = None,
        only: Filter | None = None,
        sequence_ids: Sequence[str] = (),
        texts: Sequence[str] = (),
        examples: Sequence[TrainingExample] = (),
        damping_factor: float | None = None,
        model: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> SelfInfluences:
        """Return the training sequences that influence themselves most.

        Such sequences are unlike the others: outliers, or learnt by heart. They are the ``top_k`` (None: 10) of the
        whole corpus, or of what ``only`` lets through, as the server's index has it; or, of the sequences that
        ``sequence_ids`` name and ``texts`` and ``examples`` are, the ``top_k`` (None: all), computed with
        ``damping_factor`` (None: the model's) and without an index.
        """
        request = requests.self_influence(
            top_k=top_k,
            only=only,
            sequence_ids=sequence_ids,
            texts=texts,
            examples=examples,
            damping_factor=damping_factor,
            model=model,
            request_id=request_id,
        )
        return parsing.self_influences(await self._call(self._transport.stub.SelfInfluence, request, timeout_s))

    async def group_influence(
        self,
        query: Query | None = None,
        *,
        prompt: str = "",
        completion: str | None = None,
        group_by: str = "source",
        samples: int | None = None,
        seed: int = 0,
        only: Filter | None = None,
        layers: Sequence[str] = (),
        damping_factor: float | None = None,
        model: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> GroupInfluences:
        """Return how much of one output comes from each group of training sequences, with standard errors.

        ``group_by`` is ``"source"``, ``"document"`` or ``"metadata.NAME"``. The index's estimates are summed over every
        sequence and corrected by the exact influence of ``samples`` of them (None: the server's choice): more samples
        make the standard errors smaller, and as many as there are sequences make the sums exact. ``seed`` chooses the
        sample. The server needs an index. Other arguments: :meth:`attribute`.
        """
        asked = requests.one_query(query, prompt, completion)
        request = requests.group_influence(
            asked,
            group_by=group_by,
            samples=samples,
            seed=seed,
            only=only,
            layers=layers,
            damping_factor=damping_factor,
            model=model,
            request_id=request_id,
        )
        return parsing.group_influences(await self._call(self._transport.stub.GroupInfluence, request, timeout_s))

    async def score(
        self,
        queries: Query | Sequence[Query] | None = None,
        *,
        prompt: str = "",
        completion: str | None = None,
        sequence_ids: Sequence[str] = (),
        texts: Sequence[str] = (),
        examples: Sequence[TrainingExample] = (),
        damping_factor: float | None = None,
        include_layers: bool = False,
        model: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> ScoreTable:
        """Return the influence of given sequences on given queries, in nats per added copy.

        ``sequence_ids`` name sequences of the corpus; ``texts`` are any text, and ``examples`` prompts with completions
        or conversations, scored as if they were training sequences. The table has them in this order.
        """
        asked = requests.one_or_more_queries(queries, prompt, completion)
        request = requests.score(
            asked,
            requests.selectors(sequence_ids, texts, examples),
            model=model,
            damping_factor=damping_factor,
            include_layers=include_layers,
            request_id=request_id,
        )
        response = await self._call(self._transport.stub.Score, request, timeout_s)
        return parsing.score_table(response, [query.query_id for query in asked])

    async def explain(
        self,
        query: Query | None = None,
        *,
        prompt: str = "",
        completion: str | None = None,
        sequence_id: str | None = None,
        text: str | None = None,
        example: TrainingExample | None = None,
        damping_factor: float | None = None,
        model: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> Explanation:
        """Return the influence of one sequence, ``text`` or ``example``, split over layers and tokens."""
        request = requests.explain(
            requests.one_query(query, prompt, completion),
            requests.one_selector(sequence_id, text, example),
            model=model,
            damping_factor=damping_factor,
            request_id=request_id,
        )
        return parsing.explanation(await self._call(self._transport.stub.Explain, request, timeout_s))

    def models(self, *, page_size: int = 0, timeout_s: float | None = None) -> ServedModels:
        """Return the served models by name. Iterate with ``async for``, or await a list.

        They are requested a page at a time, as they are needed; ``timeout_s`` bounds the call for a page.
        """
        return ServedModels(self._models(page_size, timeout_s))

    async def _models(self, page_size: int, timeout_s: float | None) -> AsyncGenerator[Model, None]:
        page_token = ""
        while True:
            request = requests.models_page(page_size, page_token)
            page = await self._call(self._transport.stub.ListModels, request, timeout_s)
            for message in page.models:
                yield parsing.model(message)
            page_token = page.next_page_token
            if not page_token:
                return

    async def model(self, name: str = "", *, timeout_s: float | None = None) -> Model:
        """Return one served model; the name may be empty where only one is served."""
        request = requests.model(name)
        response = await self._call(self._transport.stub.GetModel, request, timeout_s)
        return parsing.model(response.model)

    async def close(self) -> None:
        """Close the connection and cancel what is under way."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.target!r})"

    async def _call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout_s: float | None,
    ) -> Response:
        deadline = self._deadline(request, timeout_s)
        while True:
            try:
                return await method(request, timeout=deadline.left_s(), metadata=self._metadata)
            except grpc.RpcError as failure:
                await self._wait_or_raise(failure, request, deadline)

    async def _stream(
        self, request: attribution_service_pb2.StreamAttributeRequest, timeout_s: float | None
    ) -> AsyncGenerator[Progress | Attribution, None]:
        deadline = self._deadline(request, timeout_s)
        while True:
            answer: Attribution | None = None
            call = self._transport.stub.StreamAttribute(request, timeout=deadline.left_s(), metadata=self._metadata)
            try:
                async for message in call:
                    event = parsing.event(message)
                    if isinstance(event, Progress):
                        yield event
                    answer = event if isinstance(event, Attribution) else answer
            except grpc.RpcError as failure:
                await self._wait_or_raise(failure, request, deadline)
            else:
                # Only now: a caller who stops at the answer must not cancel a call that succeeded.
                yield require_answer(answer)
                return
            finally:
                call.cancel()

    def _deadline(self, request: Message, timeout_s: float | None) -> Deadline:
        check_size(request)
        return Deadline(self._timeout_s if timeout_s is None else timeout_s)

    async def _wait_or_raise(self, failure: grpc.RpcError, request: Message, deadline: Deadline) -> None:
        error = explain_failure(failure, request, self.target)
        wait = wait_s(error, deadline, retry_overload=self._retry_overload)
        if wait is None:
            raise error from failure
        await asyncio.sleep(wait)
