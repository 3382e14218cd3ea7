"""Requests with their answers, as the page keeps them, are results too."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format

import whence
from client.conftest import attribution, response_metadata
from client.report.test_page import check
from whence import parsing, report
from whence.v1 import attribution_pb2
from whence.v1 import attribution_service_pb2 as service

QUERIES = [
    whence.Query.text("The capital of Durrow is", " Brelary", query_id="capital"),
    whence.Query.chat(
        [("user", "Which?"), {"role": "assistant", "content": "!", "tool_calls": [1]}], tools=[{"a": 1}], strict=True
    ),
    whence.Query.tokens([1, 2, 3], 1),
]


def kept(query):
    """Return a request and its answer as JSON has them, and the answer itself."""
    options = attribution_pb2.AttributionOptions(top_k=2, direction="DIRECTION_BOTH", include_tokens=True)
    request = service.AttributeRequest(query=query.to_proto(), options=options)
    answer = service.AttributeResponse(attribution=attribution("", options), metadata=response_metadata("r"))
    document = {"request": json_format.MessageToDict(request), "answer": json_format.MessageToDict(answer)}
    return document, parsing.attribution(answer)


@pytest.mark.parametrize("query", QUERIES)
def test_a_request_with_its_answer_is_the_result_with_what_was_asked(query):
    document, result = kept(query)
    read = report.exchange(document)
    assert read.result == result
    assert read.asked.query == query
    assert read.asked.options == {"top_k": 2, "direction": "both", "include_tokens": True}


@pytest.mark.parametrize("several", [False, True])
def test_a_file_of_them_is_reported(tmp_path, several):
    document, _ = kept(QUERIES[0])
    (tmp_path / "kept.json").write_text(json.dumps([document, document] if several else document))
    inputs = report.read([tmp_path / "kept.json"])
    assert len(inputs.results) == 1 + several
    assert "The capital of Durrow is" in check(report.html(inputs.results)).text


@pytest.mark.parametrize("answer", [{}, {"attribution": 5}, {"attribution": {"positive": [{"rank": "first"}]}}])
def test_what_is_no_answer_is_refused(answer):
    with pytest.raises(whence.InvalidRequestError) as caught:
        report.exchange({"request": {}, "answer": answer}, "kept.json")
    assert caught.value.reason == "UNREADABLE_RESULT"
    assert "kept.json" in str(caught.value)
