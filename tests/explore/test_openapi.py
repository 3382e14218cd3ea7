"""The OpenAPI document is valid, and says what the protocol says."""

from __future__ import annotations

import json

import jsonschema
import pytest
from google.protobuf import json_format
from openapi_spec_validator import validate

from access.calls import OURS
from whence.explore.api import openapi
from whence.explore.api.methods import METHODS

DOCUMENT = json.loads(openapi.DOCUMENT.read_text())


def test_it_is_valid():
    validate(DOCUMENT)


def test_it_has_a_path_for_each_method():
    assert [path for path in DOCUMENT["paths"] if path.startswith("/v1/")] == [method.path for method in METHODS]


def test_every_part_is_described_as_in_the_protocol():
    schemas = DOCUMENT["components"]["schemas"]
    fields = [field for schema in schemas.values() for field in schema.get("properties", {}).values()]
    assert all("description" in part for part in (*schemas.values(), *fields))
    assert schemas["Tensor"]["description"] == (
        "A dense array, stored as raw bytes: row-major, elements little-endian."
    )


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_requests_are_of_its_schemas(method):
    schema = {**DOCUMENT, "$ref": f"#/components/schemas/{method.request.DESCRIPTOR.name}"}
    jsonschema.Draft202012Validator(schema).validate(json_format.MessageToDict(OURS[method.name]))


async def test_it_is_served(page):
    response = await page.http.get("/openapi.json")
    assert response.json() == DOCUMENT
    assert response.headers["content-type"] == "application/json"
