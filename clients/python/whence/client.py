"""The synchronous client. Generated from ``aio.py``: change that file and run ``make generate``."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc

from whence import parsing, requests
from whence._channel import DEFAULT_TARGET, Metadata, RequestMessage, check_metadata, check_size
from whence._failures import explain_failure, require_answer
from whence._inputs import one_or_more_queries, one_query, one_selector, selectors
from whence._many import REFUSALS, Batch, FailedQuery, batches, check_numbers
from whence._matrix import Block, blocks, joined
from whence._retries import DEFAULT_RETRY, Deadline, RetryPolicy, wait_s
from whence._tokens import BearerToken, TokenSource
from whence._tracing import with_trace
from whence._transport import Transport
from whence._variables import client_arguments
from whence._window import in_order
from whence.errors import WhenceError
from whence.examples import TrainingExample
from whence.filters import Filter
from whence.models import Model
from whence.options import AttributionOptions, BatchOptions, GroupOptions, complete, takes
from whence.queries import Query
from whence.results import (
    Attribution,
    Attributions,
    Explanation,
    GroupInfluences,
    Progress,
    ScoreTable,
    SelfInfluences,
    TextOverlaps,
)
from whence.tls import Tls, encryption
from whence.v1 import attribution_service_pb2

Request = TypeVar("Request", bound=RequestMessage)
Response = TypeVar("Response")


class Client:
    """A client of a Whence service. Threads may share it.

    ``target`` is ``host:port`` or any gRPC target; the first call connects to it. ``tls`` switches TLS on; so do gRPC's
    own ``credentials``. ``token`` (an API key, a token of an identity provider, or a function that returns it for each
    call) goes with every call, as do ``metadata`` and the context of OpenTelemetry's current span. Without TLS a token
    is sent to this machine alone, unless ``allow_insecure_token``. ``timeout_s`` bounds a call with all its attempts;
    methods take another value for one call. ``retry`` is the policy for calls to an unavailable server (None: no
    retries). With ``retry_overload`` calls that were refused for load are made again after the wait that the server
    asks for.

    Every method raises :class:`whence.WhenceError`, whose details have the ``request_id``.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout_s: float = 600.0,
        retry: RetryPolicy | None = DEFAULT_RETRY,
        retry_overload: bool = True,
        tls: Tls | None = None,
        token: TokenSource | None = None,
        allow_insecure_token: bool = False,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.target = target
        self._timeout_s = timeout_s
        self._retry_overload = retry_overload
        self._metadata = check_metadata(metadata)
        secure = encryption(tls, credentials)
        self._transport = Transport(target, secure, retry)
        self._token = BearerToken(token, target, encrypted=secure is not None, allow_insecure=allow_insecure_token)

    @classmethod
    def from_environment(cls, **others: Any) -> Self:  # noqa: ANN401 - arguments of the class
        """Return a client as the variables of the environment say: ``WHENCE_SERVER``, ``WHENCE_TOKEN`` and the like.

        They are those of the command line. ``others`` are arguments of the client, which override them.
        """
        return cls(**{**client_arguments(), **others})

    @takes(AttributionOptions)
    def attribute(
        self,
        query: Query | None = None,
        *,
        prompt: str = "",
        completion: str | None = None,
        model: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
        **options: Unpack[AttributionOptions],
    ) -> Attribution:
        """Return the ``top_k`` most influential training sequences of one output, in each direction asked for.

        The output is ``completion`` after ``prompt``, or a ``query``. Options: :class:`whence.AttributionOptions`. A
        search that scores candidates estimates its recall: the share of the true ``top_k`` that it found. The call
        fails where shards of the corpus cannot be reached, unless ``return_partial_success``; then the answer names
        them in ``unreachable_shards``. ``model`` may be empty where only one is served.
        """
        query = one_query(query, prompt, completion)
        request = requests.attribute(query, options, model=model, request_id=request_id)
        return parsing.attribution(self._call(self._transport.stub.Attribute, request, timeout_s))

    @takes(AttributionOptions)
    def attribute_stream(
        self,
        query: Query | None = None,
        *,
        prompt: str = "",
        completion: str | None = None,
        model: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
        **options: Unpack[AttributionOptions],
    ) -> Generator[Progress | Attribution, None, None]:
        """Yield :class:`Progress`, perhaps several times or never, then the :class:`Attribution` of :meth:`attribute`.

        The call starts with the first item. Closing the iterator, or dropping it, cancels the call.
        """
        query = one_query(query, prompt, completion)
        request = requests.stream(query, options, model=model, request_id=request_id)
        return self._stream(request, timeout_s)

    @takes(BatchOptions)
    def attribute_batch(
        self,
        queries: Sequence[Query],
        *,
        model: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
        **options: Unpack[BatchOptions],
    ) -> Attributions:
        """Return a ranking for each query, in their order, from one pass over the corpus: a tuple, and one table.

        Options: :class:`whence.BatchOptions`. Other arguments: :meth:`attribute`.
        """
        queries = one_or_more_queries(queries)
        request = requests.batch(queries, options, model=model, request_id=request_id)
        response = self._call(self._transport.stub.BatchAttribute, request, timeout_s)
        return parsing.attributions(response, len(queries))

    @takes(BatchOptions)
    def attribute_many(
        self,
        queries: Iterable[Query],
        *,
        batch_size: int | None = None,
        concurrency: int = 2,
        model: str = "",
        timeout_s: float | None = None,
        **options: Unpack[BatchOptions],
    ) -> Generator[Attribution | FailedQuery, None, None]:
        """Yield the ranking of each of any number of queries, in their order, or why it was refused.

        They are asked in batches of ``batch_size`` (None: as many as the model takes with whole gradients), of which
        ``concurrency`` are under way at a time, each with ``timeout_s`` of its own. Queries are read as they are
        needed. One that is refused is yielded as :class:`whence.FailedQuery`, and the others of its batch are asked
        without it. Any other failure is raised after all answers before it: what was yielded is complete, and asking
        again may begin behind it. Options: :class:`whence.BatchOptions`.
        """
        complete(BatchOptions, options)
        check_numbers(batch_size, concurrency)
        return self._many(queries, batch_size, concurrency, model, timeout_s, options)

    def self_influence(
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
        """Return the training sequences with the largest self-influence: outliers, and memorized sequences.

        They are the ``top_k`` (None: 10) of the whole corpus, or of the sequences that ``only`` lets through, as the
        server's index has them; or the ``top_k`` (None: all) of the given ``sequence_ids``, ``texts`` and
        ``examples``, computed with ``damping_factor`` (None: the model's) and without an index.
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
        return parsing.self_influences(self._call(self._transport.stub.SelfInfluence, request, timeout_s))

    @takes(GroupOptions)
    def group_influence(
        self,
        query: Query | None = None,
        *,
        prompt: str = "",
        completion: str | None = None,
        model: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
        **options: Unpack[GroupOptions],
    ) -> GroupInfluences:
        """Return the signal and the influence of groups of training sequences on one output, with intervals.

        A sample of ``samples`` sequences is scored exactly: as many as there are sequences make the sums exact. The
        server needs an index. Options: :class:`whence.GroupOptions`. Other arguments: :meth:`attribute`.
        """
        query = one_query(query, prompt, completion)
        request = requests.group_influence(query, options, model=model, request_id=request_id)
        return parsing.group_influences(self._call(self._transport.stub.GroupInfluence, request, timeout_s))

    def score(
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
        """Return the influence of given sequences on given queries, in nats.

        ``sequence_ids`` name sequences of the corpus; ``texts`` are any text, and ``examples`` prompts with completions
        or conversations, scored as if they were training sequences. The table has them in this order.
        """
        queries = one_or_more_queries(queries, prompt, completion)
        request = requests.score(
            queries,
            selectors(sequence_ids, texts, examples),
            model=model,
            damping_factor=damping_factor,
            include_layers=include_layers,
            request_id=request_id,
        )
        response = self._call(self._transport.stub.Score, request, timeout_s)
        return parsing.score_table(response, [query.query_id for query in queries])

    def score_matrix(
        self,
        queries: Sequence[Query],
        *,
        sequence_ids: Sequence[str] = (),
        texts: Sequence[str] = (),
        examples: Sequence[TrainingExample] = (),
        damping_factor: float | None = None,
        include_layers: bool = False,
        concurrency: int = 2,
        model: str = "",
        timeout_s: float | None = None,
    ) -> ScoreTable:
        """Return the influence of any number of sequences on any number of queries, as :meth:`score` does.

        It is asked in blocks of what the model takes, ``concurrency`` of them at a time, each with ``timeout_s`` of its
        own. Raises :class:`~whence.errors.MismatchError` where what is served changed between them.
        """
        queries, given = one_or_more_queries(queries), selectors(sequence_ids, texts, examples)
        check_numbers(None, concurrency)
        limits = (self.model(model)).limits

        def ask(block: Block) -> list[ScoreTable]:
            request = requests.score(
                block.queries,
                block.sequences,
                model=model,
                damping_factor=damping_factor,
                include_layers=include_layers,
                request_id="",
            )
            try:
                response = self._call(self._transport.stub.Score, request, timeout_s)
            except WhenceError as error:
                raise block.explained(error) from error.__cause__
            return [block.placed(parsing.score_table(response, [query.query_id for query in block.queries]))]

        tables = list(in_order(ask, blocks(queries, given, limits), concurrency))
        return joined(tables, columns=-(-len(given) // (limits.max_score_sequences or len(given))))

    def explain(
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
            one_query(query, prompt, completion),
            one_selector(sequence_id, text, example),
            model=model,
            damping_factor=damping_factor,
            request_id=request_id,
        )
        return parsing.explanation(self._call(self._transport.stub.Explain, request, timeout_s))

    def text_overlap(
        self,
        queries: Query | Sequence[Query] | None = None,
        *,
        prompt: str = "",
        completion: str | None = None,
        ngram: int | None = None,
        model: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> TextOverlaps:
        """Return for each query the training sequence that has the most of its n-grams, wherever it is.

        An n-gram is ``ngram`` tokens in a row (None: 8), of the prompt and the completion together. Every sequence is
        compared, so a verbatim copy is found, unless a border between sequences cuts it. Needs the scope
        ``read-texts``.
        """
        queries = one_or_more_queries(queries, prompt, completion)
        request = requests.text_overlap(queries, ngram=ngram, model=model, request_id=request_id)
        response = self._call(self._transport.stub.TextOverlap, request, timeout_s)
        return parsing.text_overlaps(response, len(queries))

    def models(self, *, page_size: int = 0, timeout_s: float | None = None) -> Iterator[Model]:
        """Yield the served models by name.

        They are requested a page at a time, as they are needed; ``timeout_s`` bounds the call for a page.
        """
        return self._models(page_size, timeout_s)

    def _models(self, page_size: int, timeout_s: float | None) -> Generator[Model, None, None]:
        page_token = ""
        while True:
            request = requests.models_page(page_size, page_token)
            page = self._call(self._transport.stub.ListModels, request, timeout_s)
            for message in page.models:
                yield parsing.model(message)
            page_token = page.next_page_token
            if not page_token:
                return

    def model(self, name: str = "", *, timeout_s: float | None = None) -> Model:
        """Return one served model; the name may be empty where only one is served."""
        request = requests.model(name)
        response = self._call(self._transport.stub.GetModel, request, timeout_s)
        return parsing.model(response.model)

    def close(self) -> None:
        """Close the connection and cancel what is under way."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.target!r})"

    def _many(
        self,
        queries: Iterable[Query],
        batch_size: int | None,
        concurrency: int,
        model: str,
        timeout_s: float | None,
        options: BatchOptions,
    ) -> Generator[Attribution | FailedQuery, None, None]:
        size = batch_size or max(1, (self.model(model)).limits.max_queries)

        def ask(queries: list[Query]) -> list[Attribution | FailedQuery]:
            batch = Batch(queries)
            while batch.next:
                try:
                    batch.answered(self.attribute_batch(batch.next, model=model, timeout_s=timeout_s, **options))
                except REFUSALS as error:
                    batch.refused(error)
            return batch.answers

        with closing(in_order(ask, batches(queries, size), concurrency)) as answers:
            yield from answers

    def _call(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout_s: float | None,
    ) -> Response:
        deadline = self._deadline(request, timeout_s)
        while True:
            try:
                return method(request, timeout=deadline.left_s(), metadata=self._of_call())
            except grpc.RpcError as failure:
                self._wait_or_raise(failure, request, deadline)

    def _stream(
        self, request: attribution_service_pb2.StreamAttributeRequest, timeout_s: float | None
    ) -> Generator[Progress | Attribution, None, None]:
        deadline = self._deadline(request, timeout_s)
        while True:
            answer: Attribution | None = None
            call = self._transport.stub.StreamAttribute(request, timeout=deadline.left_s(), metadata=self._of_call())
            try:
                for message in call:
                    event = parsing.event(message)
                    if isinstance(event, Progress):
                        yield event
                    answer = event if isinstance(event, Attribution) else answer
            except grpc.RpcError as failure:
                self._wait_or_raise(failure, request, deadline)
            else:
                # Only now: a caller who stops at the answer must not cancel a call that succeeded.
                yield require_answer(answer)
                return
            finally:
                call.cancel()

    def _of_call(self) -> Metadata:
        return with_trace((*self._metadata, *self._token.metadata()))

    def _deadline(self, request: RequestMessage, timeout_s: float | None) -> Deadline:
        check_size(request)
        return Deadline(self._timeout_s if timeout_s is None else timeout_s)

    def _wait_or_raise(self, failure: grpc.RpcError, request: RequestMessage, deadline: Deadline) -> None:
        error = explain_failure(failure, request, self.target)
        wait = wait_s(error, deadline, retry_overload=self._retry_overload)
        if wait is None:
            raise error from failure
        time.sleep(wait)
