"""Who may ask, and with whose credentials."""

from __future__ import annotations

import pytest

from whence._tokens import BearerToken
from whence.errors import WhenceError
from whence.explore.identities import ServerCheck, check_own
from whence.explore.settings import ExploreSettings
from whence.explore.upstream import Server, Upstream
from whence.reasons import Reason

EVERYWHERE = {"host": "0.0.0.0"}


def own(token: str, target: str = "localhost:1") -> BearerToken:
    return BearerToken(token, target, encrypted=False, allow_insecure=False)


@pytest.fixture
async def guarded(start_front, worker, keys_file):
    """A front end that asks for keys."""
    return await start_front(worker, keys_file=keys_file)


async def models(page, **headers: str) -> int:
    return (await page.post("list-models", **headers)).status_code


async def test_on_the_loopback_calls_go_with_the_users_own_key(start_page, guarded, add_key):
    page = await start_page(guarded.address, server={"token": own(add_key().text)})
    assert await models(page) == 200
    assert (await page.http.get("/page/settings.json")).json()["needsToken"] is False


async def test_without_a_key_of_its_own_the_page_asks_for_one(start_page, guarded, add_key):
    page = await start_page(guarded.address)
    assert (await page.http.get("/page/settings.json")).json()["needsToken"] is True
    refused = await page.post("list-models")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert await models(page, Authorization=f"Bearer {add_key().text}") == 200


async def test_the_callers_key_goes_before_that_of_the_process(start_page, guarded, add_key):
    page = await start_page(guarded.address, server={"token": own(add_key().text)})
    assert await models(page, Authorization="Bearer whence_wrong") == 401


async def test_a_key_is_not_sent_on_unencrypted_to_another_machine(start_page):
    page = await start_page("192.0.2.1:50051")
    refused = await page.post("list-models", Authorization="Bearer key")
    assert refused.json()["details"][0]["reason"] == "UNEXPECTED_TOKEN"


@pytest.mark.parametrize("lent", [{"token": own("key")}, {"has_certificate": True}])
def test_at_other_addresses_the_process_lends_nobody_its_credentials(lent):
    check_own(Server(target="localhost:1", **lent), ExploreSettings())
    with pytest.raises(WhenceError, match="lent to whoever comes") as caught:
        check_own(Server(target="localhost:1", **lent), ExploreSettings(**EVERYWHERE))
    assert caught.value.reason == Reason.INVALID_SETTINGS


async def test_there_a_server_that_asks_nobody_is_refused(front, start_page):
    upstream = Upstream(Server(target=front.address))
    with pytest.raises(WhenceError, match="asks nobody who calls") as caught:
        await ServerCheck(upstream, ExploreSettings(**EVERYWHERE)).require()
    assert caught.value.reason == Reason.INVALID_SETTINGS
    await ServerCheck(upstream, ExploreSettings(**EVERYWHERE, insecure=True)).require()
    await upstream.close()


async def test_a_server_that_comes_later_is_asked_before_the_first_call(start_page, front):
    page = await start_page(front.address, **EVERYWHERE)
    assert (await page.post("list-models")).json()["details"][0]["reason"] == "INVALID_SETTINGS"


async def test_there_everyone_brings_a_key(start_page, guarded, add_key):
    page = await start_page(guarded.address, **EVERYWHERE)
    assert await models(page) == 401
    assert await models(page, Authorization=f"Bearer {add_key().text}") == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.0.2.1", "localhost@evil", "", "[::1"])
async def test_a_name_that_leads_here_by_rebinding_is_refused(page, host):
    refused = await page.http.get("/", headers={"Host": host})
    assert refused.status_code == 403
    assert refused.json()["details"][0]["reason"] == "UNKNOWN_HOST"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1:1", "[::1]:8090"])
async def test_the_names_of_the_loopback_are_known_whatever_the_port(page, host):
    assert (await page.http.get("/", headers={"Host": host})).status_code == 200


async def test_other_names_are_those_that_are_allowed(start_page, front):
    page = await start_page(front.address, **EVERYWHERE, hosts=("whence.example",), insecure=True)
    assert (await page.http.get("/", headers={"Host": "whence.example"})).status_code == 200
    assert (await page.http.get("/", headers={"Host": "10.1.2.3:8090"})).status_code == 200  # no name to rebind
    assert (await page.http.get("/", headers={"Host": "other.example"})).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
async def test_a_page_of_another_origin_may_not_ask(page, headers):
    refused = await page.http.post("/v1/list-models", json={}, headers=headers)
    assert refused.status_code == 403
    assert refused.json()["details"][0]["reason"] == "UNKNOWN_ORIGIN"


async def test_the_page_itself_may_ask(page):
    ours = {"Origin": f"http://127.0.0.1:{page.port}", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    assert (await page.http.post("/v1/list-models", json={}, headers=ours)).status_code == 200


async def test_a_link_to_the_page_may_be_followed(page):
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await page.http.get("/", headers=link)).status_code == 200
    assert (await page.http.get("/page/settings.json", headers={**link, "Sec-Fetch-Mode": "cors"})).status_code == 403


async def test_no_other_origin_is_told_that_it_may_read(page):
    asked = await page.http.options("/v1/attribute", headers={"Access-Control-Request-Method": "POST"})
    assert asked.status_code == 405
    assert not [name for name in asked.headers if name.startswith("access-control")]
