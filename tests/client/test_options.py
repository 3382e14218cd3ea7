"""A query's options are declared once: clients, protocol, command line and documentation have the same."""

from __future__ import annotations

import inspect
from typing import get_args

import pytest

import whence
from whence import options
from whence.cli.commands import attribute as command
from whence.v1 import attribution_pb2

KINDS = {
    "attribute": whence.AttributionOptions,
    "attribute_stream": whence.AttributionOptions,
    "attribute_batch": whence.BatchOptions,
    "attribute_many": whence.BatchOptions,
    "group_influence": whence.GroupOptions,
}


@pytest.mark.parametrize("client", [whence.Client, whence.AsyncClient])
@pytest.mark.parametrize(("method", "kind"), KINDS.items())
def test_the_signature_and_the_help_of_a_method_have_every_option(client, method, kind):
    parameters = inspect.signature(getattr(client, method)).parameters
    for name, option in options.declared(kind).items():
        assert parameters[name].default == option.default
        assert f"{name}: {option.description}" in getattr(client, method).__doc__
    assert "options" not in parameters


def test_the_protocol_has_the_options_that_the_clients_have():
    fields = set(attribution_pb2.AttributionOptions.DESCRIPTOR.fields_by_name)
    assert set(options.declared(whence.BatchOptions)) - {"only"} == fields - {"filter"}


def test_the_command_line_has_the_values_that_the_clients_take():
    assert [choice.name for choice in command.SearchChoice] == list(get_args(options.Search))
    assert [choice.name for choice in command.DirectionChoice] == list(get_args(options.Direction))


def test_an_option_that_a_call_does_not_have_is_refused_as_python_does():
    with whence.Client("localhost:1") as client, pytest.raises(TypeError, match="'query_rank'"):
        client.attribute(prompt="a", completion="b", query_rank=1)


@pytest.mark.parametrize(
    ("changes", "field"), [({"top_k": 0}, "options.top_k"), ({"damping_factor": -0.1}, "options.damping_factor")]
)
def test_a_number_out_of_its_declared_bounds_is_refused_before_anything_is_sent(changes, field):
    with (
        whence.Client("localhost:1") as client,
        pytest.raises(whence.InvalidRequestError, match="at least") as caught,
    ):
        client.attribute(prompt="a", completion="b", **changes)
    assert caught.value.field == field
