"""Callers who may not read texts get ids and influences, and no way to ask for texts piece by piece."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from access.calls import OURS, QUERY, SERVICE, call
from frontend.indexed_stub import IndexedStub
from whence import tensors
from whence.v1 import attribution_pb2
from whence.v1 import attribution_service_pb2 as messages
from whence_service.access.texts import withhold_texts
from whence_service.frontend.request import permissions
from whence_service.rpc.identity import Scope

NUMBERS = set(range(1, 19)) - {9, 11, 12}  # every type of a field but texts, messages and bytes
RPCS = messages.DESCRIPTOR.services_by_name["AttributionService"].methods
ANSWERS = [*(rpc.output_type for rpc in RPCS), messages.PartialAttribution.DESCRIPTOR]
# Every text that an answer may have for a caller who may not read texts: ids, names that the operator chose, and what
# the caller sent. A new field of text has to be added here, or withheld.
NOT_TRAINING_DATA = {
    "Attribution.query_id",
    "Attribution.query_key",
    "GroupInfluence.name",  # a document's id: see the refusals of other groupings
    *(f"Certificate.{name}" for name in ("digest", "essence", "measured_model", "date", "method", "machine")),
    "Certificate.whence_version",
    *(f"CertificateSummary.{name}" for name in ("essence", "digest")),
    "Index.digest",
    "Layer.name",
    "ListModelsResponse.next_page_token",
    *(f"Model.{name}" for name in ("name", "model_digest", "factors_digest", "corpus_digest", "engine")),
    *(f"Model.{name}" for name in ("training_set_source", "dead_layers")),
    *(f"Provenance.{name}" for name in ("model", "model_digest", "factors_digest", "corpus_digest", "engine")),
    *(f"Provenance.{name}" for name in ("index_digest", "attributed_layers", "training_set_source")),
    *(f"ResponseMetadata.{name}" for name in ("request_id", "influence_unit", "layers", "unreachable_shards")),
    "ShardStatus.shard",
    "StageTiming.stage",
    "Tensor.data",
    "TextOverlap.query_id",
    "TrainingSequence.document_id",
    "TrainingSequence.sequence_id",
    "Warning.code",
    "Warning.message",
}


TEXT = {FieldDescriptor.TYPE_STRING: "secret", FieldDescriptor.TYPE_BYTES: b"secret"}


def fill(message: Message) -> Message:
    """Put something into every field of text, those of messages inside included."""
    for field in message.DESCRIPTOR.fields:
        repeated, value = field.default_value == [], getattr(message, field.name)
        if field.message_type is None:
            if field.type in TEXT and repeated:
                value.append(TEXT[field.type])
            elif field.type in TEXT:
                setattr(message, field.name, TEXT[field.type])
        elif field.message_type.full_name == "google.protobuf.Struct":
            value.update({"author": "secret"})
        else:
            fill(value.add() if repeated else value)
    return message


def texts(message: Message) -> Iterator[str]:
    """The names of the fields of text that have something in them."""
    for field, value in message.ListFields():
        name = f"{message.DESCRIPTOR.name}.{field.name}"
        if field.message_type is None or field.message_type.full_name == "google.protobuf.Struct":
            yield from [name] if field.type not in NUMBERS else []
        else:
            for part in (value,) if isinstance(value, Message) else value:
                yield from texts(part)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.name)
def test_no_answer_keeps_a_text_of_the_training_data(answer: Descriptor) -> None:
    message = fill(message_factory.GetMessageClass(answer)())
    before = set(texts(message))
    withhold_texts(message)
    assert set(texts(message)) <= NOT_TRAINING_DATA
    private = {f"TrainingSequence.{name}" for name in ("source", "text", "metadata")}
    assert before - set(texts(message)) == (private & before)


def test_every_answer_with_sequences_is_among_them() -> None:
    with_sequences = {
        "Attribute",
        "StreamAttribute",
        "BatchAttribute",
        "Score",
        "Explain",
        "SelfInfluence",
        "TextOverlap",
    }
    assert {
        rpc.name
        for rpc in RPCS
        if "TrainingSequence.text" in set(texts(fill(message_factory.GetMessageClass(rpc.output_type)())))
    } == with_sequences


def test_tokens_lie_nowhere_in_a_text_that_is_withheld() -> None:
    offsets = tensors.pack([0, 1, 1, 2, 2, 3], [3, 2])
    sequence = attribution_pb2.TrainingSequence(sequence_id="a", text="abc", token_count=3, token_offsets=offsets)
    withhold_texts(sequence)
    assert (sequence.text, sequence.token_count) == ("", 3)
    assert tensors.rows(sequence.token_offsets) == [[0, 0]] * 3


def test_what_the_request_brought_stays() -> None:
    sequence = attribution_pb2.TrainingSequence(text="mine", token_offsets=tensors.pack([0, 4], [1, 2]))
    withhold_texts(sequence)
    assert (sequence.text, tensors.rows(sequence.token_offsets)) == ("mine", [[0, 4]])


@pytest.fixture
async def guarded(start_front, worker, keys_file):
    """A front end that knows the keys of the file."""
    return await start_front(worker, keys_file=keys_file)


@pytest.fixture
def reader(add_key):
    return add_key(scopes=(Scope.ATTRIBUTE, Scope.READ_TEXTS)).text


@pytest.fixture
def other(add_key):
    return add_key(scopes=(Scope.ATTRIBUTE,)).text


@pytest.mark.parametrize("method", ["Attribute", "StreamAttribute", "BatchAttribute", "Score", "Explain"])
async def test_only_readers_see_texts(guarded, reader, other, method):
    seen = await whole_answer(guarded, method, reader)
    kept = await whole_answer(guarded, method, other)
    assert b"text of" in seen
    assert b"stub" in seen.replace(b"stub/float64", b"")  # the source
    assert b"text of" not in kept
    assert b"stub" not in kept.replace(b"stub/float64", b"")
    assert b"#0" in kept  # the id
    assert (b"TEXTS_WITHHELD" in seen, b"TEXTS_WITHHELD" in kept) == (False, True)


async def test_only_readers_see_the_sources_of_a_provisional_ranking(guarded, worker, reader, other):
    worker.stub.may_finish.clear()
    seen = []
    for key in (reader, other):
        call = guarded.stub.StreamAttribute(OURS["StreamAttribute"], metadata=[("authorization", f"Bearer {key}")])
        (hit,) = (await call.read()).partial.attribution.positive
        seen.append((hit.sequence.sequence_id, hit.sequence.document_id, hit.sequence.source, hit.sequence.text))
        call.cancel()
    assert seen == [("doc0#0", "doc0", "stub", ""), ("doc0#0", "doc0", "", "")]


async def whole_answer(front, method, token, request=None) -> bytes:
    """All that a call answers, as bytes."""
    request = OURS[method] if request is None else request
    started = front.channel.unary_stream(f"{SERVICE}{method}")(
        request.SerializeToString(), metadata=[("authorization", f"Bearer {token}")], timeout=20
    )
    return b"".join([answer async for answer in started])


def filtered(method, selection):
    request = type(OURS[method])()
    request.CopyFrom(OURS[method])
    (request.options if hasattr(request, "options") else request).filter.CopyFrom(selection)
    return request


BY_DATA = [
    attribution_pb2.Filter(sources=["stub"]),
    attribution_pb2.Filter(metadata={"author": "x"}),
    attribution_pb2.Filter(sources=["stub"], first_document_id="a"),
]
FILTERED = ("Attribute", "StreamAttribute", "BatchAttribute", "SelfInfluence", "GroupInfluence")


def asking() -> Iterator[tuple[str, str, Message]]:
    """Requests whose answers would tell what is in a text, with what they ask by."""
    for method in FILTERED:
        base = messages.SelfInfluenceRequest() if method == "SelfInfluence" else None
        for number, selection in enumerate(BY_DATA):
            request = base or filtered(method, selection)
            if base is not None:
                request.filter.CopyFrom(selection)
            elif method == "GroupInfluence":
                request.group_by = "document"
            yield f"{method} by filter {number}", method, request
    for group_by in ("", "source", "metadata.author"):
        yield f"groups by {group_by}", "GroupInfluence", messages.GroupInfluenceRequest(query=QUERY, group_by=group_by)
    for method in ("Attribute", "StreamAttribute", "BatchAttribute"):
        for search in (attribution_pb2.SEARCH_TFIDF_RERANK, attribution_pb2.SEARCH_UNION_RERANK):
            request = filtered(method, attribution_pb2.Filter())
            request.options.search = search
            yield f"{method} by tokens {search}", method, request
    yield "overlap with texts", "TextOverlap", OURS["TextOverlap"]


ASKING = {name: (method, request) for name, method, request in asking()}


@pytest.mark.parametrize("name", ASKING)
async def test_what_texts_and_metadata_say_cannot_be_asked_for_either(guarded, reader, other, name):
    method, request = ASKING[name]
    path, data = f"{SERVICE}{method}", request.SerializeToString()
    outcome = await call(guarded.channel, path, other, data=data)
    assert (outcome.code, outcome.reason) == ("PERMISSION_DENIED", "MISSING_SCOPE")
    assert "read-texts" in outcome.text
    assert (await call(guarded.channel, path, reader, data=data)).reason != "MISSING_SCOPE"


@pytest.mark.parametrize("method", FILTERED)
async def test_ids_may_be_asked_for(guarded, other, method):
    request = filtered(method, attribution_pb2.Filter(first_document_id="a"))
    if method == "SelfInfluence":
        del request.sequences[:]
    if method == "GroupInfluence":
        request.group_by = "document"
    outcome = await call(guarded.channel, f"{SERVICE}{method}", other, data=request.SerializeToString())
    assert outcome.code != "PERMISSION_DENIED"


async def test_the_search_that_a_server_chooses_compares_no_tokens_for_them(
    start_worker, start_front, keys_file, reader, other
):
    """Broken by: one default for all, which would say which sequences have the words of a query."""
    front = await start_front(await start_worker(kind=IndexedStub), keys_file=keys_file)
    found = {}
    for name, key in (("reader", reader), ("other", other)):
        answer = await front.stub.Attribute(OURS["Attribute"], metadata=[("authorization", f"Bearer {key}")])
        found[name] = answer.metadata.search
    assert found == {"reader": attribution_pb2.SEARCH_UNION_RERANK, "other": attribution_pb2.SEARCH_INDEX_RERANK}


def test_a_condition_that_is_new_needs_the_scope_until_it_is_known() -> None:
    known = {field.name for field in attribution_pb2.Filter.DESCRIPTOR.fields}
    assert known > permissions._CONDITIONS
    assert known - permissions._CONDITIONS == {"sources", "metadata"}
