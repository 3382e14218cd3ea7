"""An answer in parts ends when the credentials of its caller do."""

import asyncio
import time

import pytest

from whence.errors import UnauthenticatedError
from whence_service.rpc import expiry


async def numbers(ended):
    try:
        yield 1
        yield 2
        await asyncio.sleep(60)
    finally:
        ended.set()


async def test_without_an_end_everything_is_passed_on():
    async def three():
        for number in range(3):
            yield number

    assert [number async for number in expiry.until(None, three())] == [0, 1, 2]
    assert [number async for number in expiry.until(time.time() + 60, three())] == [0, 1, 2]


async def test_a_wait_for_the_next_part_is_cut_off():
    ended = asyncio.Event()
    timely = expiry.until(time.time() + 0.1, numbers(ended))
    assert [await anext(timely), await anext(timely)] == [1, 2]
    with pytest.raises(UnauthenticatedError) as caught:
        await anext(timely)
    assert caught.value.reason == "CREDENTIALS_EXPIRED"
    assert ended.is_set()


async def test_nothing_is_passed_on_after_the_end():
    with pytest.raises(UnauthenticatedError):
        await anext(expiry.until(time.time() - 1, numbers(asyncio.Event())))


async def test_a_time_that_ran_out_elsewhere_is_not_taken_for_it():
    async def slow():
        raise TimeoutError("elsewhere")
        yield

    with pytest.raises(TimeoutError, match="elsewhere"):
        await anext(expiry.until(time.time() + 60, slow()))
