"""Models that do not exist for a caller: every call answers as if nobody served them."""

from __future__ import annotations

import re

import pytest

from access.calls import OURS, SERVICE, call
from whence.v1 import attribution_service_pb2 as messages
from whence_service.rpc.identity import Scope

NAMED = [method for method in OURS if method != "ListModels"]


@pytest.fixture
async def two(start_front, start_worker, keys_file):
    """A front end with the models ``open`` and ``acme-secret``."""
    workers = [await start_worker(model=model) for model in ("acme-secret", "open")]
    return await start_front(*workers, keys_file=keys_file)


@pytest.fixture
def insider(add_key):
    return add_key(scopes=tuple(Scope)).text


@pytest.fixture
def outsider(add_key):
    return add_key(scopes=tuple(Scope), models=("open", "none*")).text


def asking_for(method: str, model: str) -> bytes:
    request = type(OURS[method])()
    request.CopyFrom(OURS[method])
    setattr(request, "name" if method == "GetModel" else "model", model)
    return request.SerializeToString()


@pytest.mark.parametrize("method", NAMED)
async def test_a_hidden_model_is_not_there_in_the_same_words_as_one_that_is_nowhere(two, outsider, insider, method):
    path = f"{SERVICE}{method}"
    named = {"x-request-id": "r"}  # the id of a call is all else that differs
    hidden = await call(two.channel, path, outsider, data=asking_for(method, "acme-secret"), **named)
    nowhere = await call(two.channel, path, outsider, data=asking_for(method, "acme-absent"), **named)
    assert (hidden.code, hidden.reason) == ("NOT_FOUND", "MODEL_NOT_FOUND")
    assert hidden.text.replace("acme-secret", "") == nowhere.text.replace("acme-absent", "")
    assert "known: open" in hidden.text
    assert (await call(two.channel, path, insider, data=asking_for(method, "acme-secret"))).code != "NOT_FOUND"


@pytest.mark.parametrize("method", NAMED)
async def test_the_only_model_that_is_there_need_not_be_named(two, outsider, insider, method):
    path = f"{SERVICE}{method}"
    assert (await call(two.channel, path, outsider)).reason not in ("MISSING_MODEL", "MODEL_NOT_FOUND")
    assert (await call(two.channel, path, insider)).reason == "MISSING_MODEL"


async def test_lists_leave_hidden_models_out_and_count_them_nowhere(two, outsider, insider):
    for token, expected in ((outsider, ["open"]), (insider, ["acme-secret", "open"])):
        page = await call(two.channel, f"{SERVICE}ListModels", token)
        assert [model.name for model in messages.ListModelsResponse.FromString(page.answer).models] == expected
    first = messages.ListModelsRequest(page_size=1).SerializeToString()
    page = await call(two.channel, f"{SERVICE}ListModels", outsider, data=first)
    assert not messages.ListModelsResponse.FromString(page.answer).next_page_token


@pytest.mark.parametrize("method", NAMED)
@pytest.mark.parametrize("model", ["", "open", "nowhere"])
async def test_for_whom_there_is_no_model_every_name_is_unknown(two, add_key, method, model):
    nobody = add_key(scopes=tuple(Scope), models=()).text
    outcome = await call(two.channel, f"{SERVICE}{method}", nobody, data=asking_for(method, model))
    assert (outcome.code, outcome.reason) == ("NOT_FOUND", "MODEL_NOT_FOUND")
    assert not re.search("acme|known: open", outcome.text)


async def test_what_is_missing_of_a_hidden_model_is_hidden_too(start_front, start_worker, keys_file, outsider, insider):
    front = await start_front(
        await start_worker(shards=("a",), model="acme-secret"), await start_worker(model="open"), keys_file=keys_file
    )
    asked = asking_for("Attribute", "acme-secret")
    assert (await call(front.channel, f"{SERVICE}Attribute", insider, data=asked)).reason == "SHARD_UNAVAILABLE"
    assert (await call(front.channel, f"{SERVICE}Attribute", outsider, data=asked)).reason == "MODEL_NOT_FOUND"
