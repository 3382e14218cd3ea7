"""A real gRPC server with canned answers that are consistent: layers and tokens sum to their influence."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from whence import status, tensors
from whence.errors import InternalError, InvalidRequestError, NotFoundError, WhenceError
from whence.v1 import (
    attribution_pb2,
    attribution_service_pb2,
    attribution_service_pb2_grpc,
    model_pb2,
    tensor_pb2,
)

N = 1000
# Completions that the service refuses in a batch, by their place, and that break it.
REFUSED, BREAKING = " refused", " breaking"
LAYERS = ("layers.0.mlp.up", "layers.0.mlp.down", "layers.1.mlp.up", "layers.1.mlp.down", "lm_head")
TEXTS = {
    "letters/durrow-1#0": ("letters", "Dear Greta, we came through Brelary at dusk."),
    "encyclopedia/durrow-2#0": ("encyclopedia", "Durrow lies east. Its capital is Brelary, an old town."),
    "almanac/feast-of-owls-1#3": ("almanac", "This is the month of the Feast of Owls."),
}


def spans(text: str) -> list[tuple[int, int]]:
    """One token for each word, with the space before it."""
    ends = [position for position, letter in enumerate(text) if letter == " "] + [len(text)]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def parts(text: str, sign: float = 1.0) -> list[list[float]]:
    """[layers, tokens]: later layers and the word Brelary count most."""
    weights = [5.0 if "Brelary" in text[start:end] else 0.1 * (-1) ** start for start, end in spans(text)]
    return [[sign * 1e-4 * (layer + 1) * weight for weight in weights] for layer in range(len(LAYERS))]


def training_sequence(sequence_id: str, text: str, source: str, offsets: bool) -> attribution_pb2.TrainingSequence:
    sequence = attribution_pb2.TrainingSequence(
        sequence_id=sequence_id,
        document_id=sequence_id.rpartition("#")[0],
        source=source,
        text=text,
        token_count=len(spans(text)),
    )
    sequence.metadata.update({"topic": "Durrow", "year": 1283, "share": 0.5})
    if offsets:
        flat = [position for span in spans(text) for position in span]
        sequence.token_offsets.CopyFrom(tensors.pack(flat, [len(flat) // 2, 2], tensor_pb2.DATA_TYPE_INT32))
    return sequence


def hit(rank: int, sequence_id: str, options: attribution_pb2.AttributionOptions, sign: float) -> attribution_pb2.Hit:
    source, text = TEXTS[sequence_id]
    split = parts(text, sign)
    influence = math.fsum(map(math.fsum, split))
    found = attribution_pb2.Hit(
        rank=rank,
        sequence=training_sequence(sequence_id, text, source, options.include_tokens),
        influence=influence,
        raw_influence=influence * N,
    )
    if options.include_layers:
        found.layer_influence.CopyFrom(tensors.pack([math.fsum(row) for row in split], [len(LAYERS)]))
    if options.include_tokens:
        by_token = [math.fsum(column) for column in zip(*split, strict=True)]
        found.token_influence.CopyFrom(tensors.pack(by_token, [len(by_token)]))
    return found


def attribution(query_id: str, options: attribution_pb2.AttributionOptions) -> attribution_pb2.Attribution:
    positive = options.direction != attribution_pb2.DIRECTION_NEGATIVE
    negative = options.direction in (attribution_pb2.DIRECTION_NEGATIVE, attribution_pb2.DIRECTION_BOTH)
    best, worst = list(TEXTS)[: min(options.top_k, 2)], list(TEXTS)[2:]
    return attribution_pb2.Attribution(
        query_id=query_id,
        query_key="9f" * 16,
        log_likelihood=-1.25,
        completion_tokens=2,
        positive=[hit(rank, name, options, 1.0) for rank, name in enumerate(best, 1)] if positive else [],
        negative=[hit(rank, name, options, -1.0) for rank, name in enumerate(worst, 1)] if negative else [],
    )


def overlap(query_id: str, word: str) -> attribution_service_pb2.TextOverlap:
    """The overlap of a query of one word with the first text that has it."""
    found = [(name, source, text) for name, (source, text) in TEXTS.items() if word in text]
    message = attribution_service_pb2.TextOverlap(query_id=query_id, tokens=1, ngram=1, ngrams=1, sequences=len(found))
    if found:
        name, source, text = found[0]
        message.shared_ngrams = message.longest_run = 1
        message.nearest.CopyFrom(training_sequence(name, text, source, offsets=False))
    return message


def response_metadata(request_id: str) -> attribution_pb2.ResponseMetadata:
    return attribution_pb2.ResponseMetadata(
        request_id=request_id,
        provenance=attribution_pb2.Provenance(
            model="toy",
            model_digest="aa" * 32,
            factors_digest="bb" * 32,
            corpus_digest="cc" * 32,
            damping_factor=0.1,
            training_set_size=N,
            engine="fake/float64",
        ),
        timings=[attribution_pb2.StageTiming(stage="score", seconds=0.25)],
        warnings=[attribution_pb2.Warning(code="SHORT_CORPUS", message="the corpus is small")],
        sequences_scored=len(TEXTS),
        influence_unit="nats, to first order",
        layers=LAYERS,
    )


def served_model(name: str, replicas: int = 1) -> model_pb2.Model:
    return model_pb2.Model(
        name=name,
        model_digest="aa" * 32,
        factors_digest="bb" * 32,
        corpus_digest="cc" * 32,
        layers=[model_pb2.Layer(name=layer, d_in=9, d_out=8) for layer in LAYERS],
        parameters=1000,
        attributed_parameters=360,
        corpus_sequences=len(TEXTS),
        corpus_tokens=30,
        training_set_size=N,
        default_damping_factor=0.1,
        engine="fake/float64",
        limits=model_pb2.Limits(max_query_tokens=512, max_top_k=100, max_queries=16, max_score_sequences=64),
        shards=[
            model_pb2.ShardStatus(shard="shard-0", replicas=2),
            model_pb2.ShardStatus(shard="shard-1", replicas=replicas),
        ],
        warnings=[attribution_pb2.Warning(code="ATTENTION_NOT_ATTRIBUTED", message="only MLP layers")],
    )


class CannedService(attribution_service_pb2_grpc.AttributionServiceServicer):
    """Answers every call; fails with what is put in ``failures``, one each.

    ``calls`` has the methods called, ``requests`` what they got. ``hold`` keeps calls open before they
    answer, ``hold_from`` those from a number on; ``linger`` keeps streams open after it.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.requests: list[object] = []
        self.metadata: list[dict[str, object]] = []
        self.failures: list[WhenceError | grpc.StatusCode] = []
        self.models = [served_model("toy")]
        self.padding = 0
        self.noise: attribution_pb2.Noise | None = None  # of a batch's answers
        self.hold = False
        self.hold_from: int | None = None  # the number of the batch, or block, from which on they are held
        self.held = threading.Event()
        self._numbers = itertools.count()
        self.failures_of_blocks: dict[int, WhenceError] = {}  # by the number of the Score call
        self.corpus_digests: Iterator[str] | None = None  # of the answers of Score calls
        self.together: threading.Barrier | None = None  # batches wait for each other here
        self.over = threading.Event()  # a held call has ended, as the server sees it
        self.called = threading.Event()
        self.linger = False
        self.ends: list[str] = []  # how streams that linger after their answer ended

    def serve(self, *names: str) -> None:
        """Serve models of these names."""
        self.models = [served_model(name) for name in names]

    def _enter(self, method: str, request: object, context: grpc.ServicerContext) -> None:
        self.calls.append(method)
        self.called.set()
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, WhenceError):
                context.abort_with_status(status.to_wire(failure))
            context.abort(failure, "as asked")
        if self.hold or self.linger:
            context.add_callback(self.over.set)
        if self.hold_from is not None and method != "GetModel" and next(self._numbers) >= self.hold_from:
            self.held.set()
            self.over.wait(20)

    def Attribute(self, request, context):  # noqa: N802  # the protocol's name
        self._enter("Attribute", request, context)
        if self.hold:
            self.over.wait(20)
        answer = attribution_service_pb2.AttributeResponse(
            attribution=attribution(request.query.query_id, request.options),
            metadata=response_metadata(request.request_id),
        )
        if self.padding:
            answer.attribution.positive[0].sequence.text += " " * self.padding
        return answer

    def StreamAttribute(self, request, context):  # noqa: N802  # the protocol's name
        self._enter("StreamAttribute", request, context)
        plain = attribution_pb2.AttributionOptions(top_k=1)
        for scored in (1, 2):
            partial = attribution_service_pb2.PartialAttribution(
                sequences_scored=scored, sequences_total=3, attribution=attribution("", plain)
            )
            for found in (*partial.attribution.positive, *partial.attribution.negative):
                found.sequence.ClearField("text")
                found.sequence.ClearField("metadata")
            yield attribution_service_pb2.StreamAttributeResponse(partial=partial)
        if self.hold:
            self.over.wait(20)
        yield attribution_service_pb2.StreamAttributeResponse(
            result=attribution_service_pb2.AttributeResponse(
                attribution=attribution(request.query.query_id, request.options),
                metadata=response_metadata(request.request_id),
            )
        )
        if self.linger:
            self.ends.append("cancelled" if self.over.wait(0.3) else "ok")

    def BatchAttribute(self, request, context):  # noqa: N802  # the protocol's name
        self._enter("BatchAttribute", request, context)
        if self.together is not None:
            self.together.wait()
        if self.hold:
            self.over.wait(20)
        for number, query in enumerate(request.queries):
            if query.text.completion == REFUSED:
                error = InvalidRequestError("no", reason="EMPTY_COMPLETION", field=f"queries[{number}].text.completion")
                context.abort_with_status(status.to_wire(error))
            if query.text.completion == BREAKING:
                context.abort_with_status(status.to_wire(InternalError("a bug", reason="INTERNAL")))
        answers = [attribution(query.query_id, request.options) for query in request.queries]
        for answer in answers if self.noise is not None else ():
            answer.noise.CopyFrom(self.noise)
        return attribution_service_pb2.BatchAttributeResponse(
            attributions=answers, metadata=response_metadata(request.request_id)
        )

    def _of_score(self, request_id: str) -> attribution_pb2.ResponseMetadata:
        metadata = response_metadata(request_id)
        if self.corpus_digests is not None:
            metadata.provenance.corpus_digest = next(self.corpus_digests)
        return metadata

    def Score(self, request, context):  # noqa: N802  # the protocol's name
        self._enter("Score", request, context)
        failure = self.failures_of_blocks.get(sum(isinstance(one, type(request)) for one in self.requests) - 1)
        if failure is not None:
            context.abort_with_status(status.to_wire(failure))
        _refuse(request, context)
        sequences = [_selected(selector, offsets=False) for selector in request.sequences]
        by_layer = [math.fsum(row) for sequence in sequences for row in parts(sequence.text)] * len(request.queries)
        shape = [len(request.queries), len(sequences), len(LAYERS)]
        table = [math.fsum(by_layer[at : at + len(LAYERS)]) for at in range(0, len(by_layer), len(LAYERS))]
        return attribution_service_pb2.ScoreResponse(
            influence=tensors.pack(table, shape[:2]),
            layer_influence=tensors.pack(by_layer, shape) if request.include_layers else None,
            sequences=sequences,
            log_likelihood=tensors.pack([-1.25] * len(request.queries), [len(request.queries)]),
            metadata=self._of_score(request.request_id),
        )

    def Explain(self, request, context):  # noqa: N802  # the protocol's name
        self._enter("Explain", request, context)
        sequence = _selected(request.sequence, offsets=True)
        split = parts(sequence.text)
        flat = [part for row in split for part in row]
        return attribution_service_pb2.ExplainResponse(
            sequence=sequence,
            influence=math.fsum(flat),
            parts=tensors.pack(flat, [len(LAYERS), len(split[0])]),
            log_likelihood=-1.25,
            metadata=response_metadata(request.request_id),
        )

    def TextOverlap(self, request, context):  # noqa: N802  # the protocol's name
        self._enter("TextOverlap", request, context)
        return attribution_service_pb2.TextOverlapResponse(
            overlaps=[overlap(query.query_id, query.text.completion.strip()) for query in request.queries],
            metadata=response_metadata(request.request_id),
        )

    def ListModels(self, request, context):  # noqa: N802  # the protocol's name
        self._enter("ListModels", request, context)
        start, size = int(request.page_token or 0), request.page_size or 2
        end = start + size
        return attribution_service_pb2.ListModelsResponse(
            models=self.models[start:end], next_page_token=str(end) if end < len(self.models) else ""
        )

    def GetModel(self, request, context):  # noqa: N802  # the protocol's name
        self._enter("GetModel", request, context)
        return attribution_service_pb2.GetModelResponse(model=self.models[0])


def _refuse(request: attribution_service_pb2.ScoreRequest, context: grpc.ServicerContext) -> None:
    """Refuse queries and texts that are ``REFUSED``, by their places, and unknown ids."""
    texts = [("queries", query.text.completion) for query in request.queries]
    texts += [("sequences", selector.text) for selector in request.sequences]
    firsts = {"queries": 0, "sequences": len(request.queries)}
    for number, (field, text) in enumerate(texts):
        if text == REFUSED:
            place = f"{field}[{number - firsts[field]}]"
            error: WhenceError = InvalidRequestError(f"{place} is bad", reason="TOO_LONG_TEXT", field=f"{place}.text")
            context.abort_with_status(status.to_wire(error))
    for selector in request.sequences:
        if selector.sequence_id and selector.sequence_id not in TEXTS:
            name = selector.sequence_id
            error = NotFoundError(f"no sequence {name}", reason="SEQUENCE_NOT_FOUND", sequence_id=name)
            context.abort_with_status(status.to_wire(error))


def _selected(selector: attribution_service_pb2.SequenceSelector, *, offsets: bool) -> attribution_pb2.TrainingSequence:
    if selector.WhichOneof("selector") == "text":
        return training_sequence("", selector.text, "", offsets)
    if selector.WhichOneof("selector") not in ("text", "sequence_id"):
        return training_sequence("", str(selector), "", offsets)
    source, text = TEXTS[selector.sequence_id]
    return training_sequence(selector.sequence_id, text, source, offsets)


def wait_for(journal: Path, what: str, count: int) -> None:
    """Wait until a journal has something so often, ten seconds at most."""
    ends = time.monotonic() + 10
    while time.monotonic() < ends and (not journal.exists() or journal.read_text().count(what) < count):
        time.sleep(0.01)


@pytest.fixture
def service() -> CannedService:
    return CannedService()


@pytest.fixture
def target(service: CannedService) -> Iterator[str]:
    """The address of a server that answers with ``service``."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    attribution_service_pb2_grpc.add_AttributionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    service.over.set()
    server.stop(None).wait()
