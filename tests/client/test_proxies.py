"""HTTP proxies in the environment: this machine is reached without, and a failure elsewhere tells of them."""

from __future__ import annotations

import pytest

from whence import Client, UnavailableError, _proxies

NOWHERE = "http://someone:secret@127.0.0.1:9"


@pytest.fixture(params=["http_proxy", "https_proxy", "grpc_proxy"])
def proxy(request, monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(request.param, NOWHERE)
    return request.param


def test_a_server_on_this_machine_is_reached_without_a_proxy(proxy, target):
    with Client(target, retry=None) as client:
        assert client.model().name == "toy"


@pytest.mark.parametrize(
    ("target", "here"),
    [
        ("localhost:1", True),
        ("LOCALHOST:1", True),
        ("a.localhost:1", True),
        ("127.0.0.1:1", True),
        ("127.8.8.8:1", True),
        ("[::1]:1", True),
        ("0.0.0.0:1", True),
        ("dns:///localhost:1", True),
        ("ipv4:127.0.0.1:1", True),
        ("ipv6:[::1]:1", True),
        ("unix:/tmp/a.sock", True),
        ("localhost.evil.org:1", False),
        ("10.0.0.1:1", False),
        ("[2001:db8::1]:1", False),
        ("worker-0:50061", False),
        ("dns://8.8.8.8/worker:1", False),
    ],
)
def test_which_targets_are_on_this_machine(target, here):
    assert _proxies.is_here(target) is here
    assert _proxies.options(target) == ([("grpc.enable_http_proxy", 0)] if here else [])


def test_a_server_that_is_not_reached_through_a_proxy_is_an_error_that_names_it(proxy):
    with Client("whence.invalid:1", retry=None, timeout_s=5) as client, pytest.raises(UnavailableError) as caught:
        client.model()
    assert f"the proxy 127.0.0.1:9 for it, since {proxy} is set: add whence.invalid to no_proxy" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("exempt", ["whence.invalid", "other, invalid", ".invalid"])
def test_no_proxy_is_blamed_where_none_is_asked(proxy, exempt, monkeypatch):
    monkeypatch.setenv("no_proxy", exempt)
    assert _proxies.hint("whence.invalid:1") == ""
    assert _proxies.hint("localhost:1") == ""
    monkeypatch.delenv(proxy)
    assert _proxies.hint("elsewhere:1") == ""
