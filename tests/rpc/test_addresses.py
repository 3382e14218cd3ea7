"""Addresses to serve at, and what is said where one cannot be bound: each cause by its own name."""

from __future__ import annotations

import os

import pytest

from whence.errors import UnavailableError
from whence_service.rpc.addresses import check_serving, check_worker, host_and_port
from whence_service.rpc.hosting import HostSettings, RpcHost


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:50051", ("::1", 50051)),
        ("worker-0.pool:65535", ("worker-0.pool", 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(address, parts):
    assert host_and_port(address) == parts


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":",
        "localhost",
        ":50051",
        "50051",
        "a:b",
        "a:65536",
        "a:-1",
        "::1:50051",
        "http://a:1",
        "a b:1",
        "a:1\n",
        "unix:",
    ],
)
def test_anything_else_is_none(address):
    with pytest.raises(ValueError, match=r"expected|such as|must be"):
        check_serving(address)


@pytest.mark.parametrize("address", ["dns:///workers:1", "a:1", "unix:/tmp/a"])
def test_a_worker_may_be_behind_a_name_of_several_addresses(address):
    assert check_worker(address) == address


def test_a_name_needs_a_port_too():
    with pytest.raises(ValueError, match="host:port"):
        check_worker("dns:///workers")


async def refusal(address: str) -> UnavailableError:
    host = RpcHost(HostSettings(address=address), [], [])
    with pytest.raises(UnavailableError) as caught:
        await host.start()
    assert (caught.value.reason, caught.value.details["address"]) == ("ADDRESS_UNAVAILABLE", address)
    return caught.value


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("192.0.2.1:50051", "no such address"),
        ("no-such-host.invalid:50051", "leads to no address"),
        ("[2001:db8::1]:50051", "no such address|version of IP"),
        ("unix:/no/such/folder/a.sock", "/no/such/folder is no folder"),
        (f"unix:/tmp/{'a' * 120}", "the path has 125 bytes"),
        (f"unix:{__file__}", "a file of that name"),
    ],
)
async def test_what_cannot_be_bound_says_why_and_not_that_another_process_has_it(address, says):
    error = await refusal(address)
    assert "another process" not in error.message
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(error.message)


async def test_an_address_in_use_says_so():
    first = RpcHost(HostSettings(address="127.0.0.1:0"), [], [])
    address = await first.start()
    try:
        assert "another process listens there" in (await refusal(address)).message
    finally:
        await first.server.stop(None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may bind every port and write everywhere")
async def test_a_port_or_a_folder_that_is_not_ours_says_so(tmp_path):
    assert "CAP_NET_BIND_SERVICE" in (await refusal("127.0.0.1:1")).message
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "may not write" in (await refusal(f"unix:{tmp_path}/closed/a.sock")).message
