"""A checked request has everything that its call asks for, with defaults and the caller's names of the fields."""

from __future__ import annotations

import dataclasses

import pytest

from whence.errors import InvalidRequestError
from whence.v1 import attribution_pb2, query_pb2
from whence.v1 import attribution_service_pb2 as messages
from whence_service.frontend.request.fields import fields_of_caller
from whence_service.frontend.request.layers import choose_layers
from whence_service.frontend.request.limits import RequestLimits
from whence_service.frontend.request.validation import (
    check_attribute,
    check_group_influence,
    check_self_influence,
    check_text_overlap,
)

QUERY = query_pb2.Query(text=query_pb2.PromptCompletion(prompt="p", completion="c"))
LIMITS = RequestLimits(max_top_k=100, max_queries=4, max_score_sequences=8)
BACKWARDS = attribution_pb2.Filter(first_document_id="b", last_document_id="a")


def test_a_checked_request_is_frozen_and_has_its_defaults():
    checked = check_attribute(messages.AttributeRequest(query=QUERY, model="m"), LIMITS)
    assert (checked.model, checked.query_fields, checked.layers_field) == ("m", ("query",), "options.layers")
    assert (checked.options.top_k, checked.options.candidates, checked.options.filter) == (10, 400, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        checked.model = "other"


def test_a_batch_names_each_of_its_queries():
    checked = check_attribute(messages.BatchAttributeRequest(queries=[QUERY, QUERY]), LIMITS)
    assert checked.query_fields == ("queries[0]", "queries[1]")


@pytest.mark.parametrize(
    ("check", "request_", "field"),
    [
        (check_attribute, messages.AttributeRequest(query=QUERY, options={"filter": BACKWARDS}), "options.filter"),
        (check_group_influence, messages.GroupInfluenceRequest(query=QUERY, filter=BACKWARDS), "filter"),
        (check_self_influence, messages.SelfInfluenceRequest(filter=BACKWARDS), "filter"),
        (check_self_influence, messages.SelfInfluenceRequest(top_k=101), "top_k"),
        (check_text_overlap, messages.TextOverlapRequest(queries=[QUERY], ngram=1), "ngram"),
        (check_text_overlap, messages.TextOverlapRequest(queries=[QUERY], ngram=65), "ngram"),
        (check_text_overlap, messages.TextOverlapRequest(queries=[QUERY, query_pb2.Query()]), "queries[1].input"),
    ],
)
def test_an_error_names_the_field_where_its_own_call_has_it(check, request_, field):
    with pytest.raises(InvalidRequestError) as caught:
        check(request_, LIMITS)
    assert caught.value.field == field


def test_the_layers_of_groups_are_named_at_the_top():
    checked = check_group_influence(messages.GroupInfluenceRequest(query=QUERY, layers=["x"]), LIMITS)
    with pytest.raises(InvalidRequestError) as caught:
        choose_layers(checked.layers, ["a"], checked.layers_field)
    assert caught.value.field == "layers[0]"


def test_an_error_of_a_worker_is_raised_anew_under_the_callers_field():
    theirs = InvalidRequestError("too long", reason="TOO_LONG_QUERY", field="queries[1].text", most="7")
    with pytest.raises(InvalidRequestError) as caught, fields_of_caller("queries", ["queries[4]", "queries[9]"]):
        raise theirs
    assert (caught.value.field, theirs.field) == ("queries[9].text", "queries[1].text")
    assert (caught.value.message, caught.value.details) == (theirs.message, theirs.details)
