"""Calls under way at a time: a signal ends the wait for them."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from whence._window import in_order


class SignalledError(Exception):
    pass


@pytest.fixture
def signalled():
    """Raise from SIGUSR1 as Ctrl-C does from SIGINT."""

    def handle(*_):
        raise SignalledError

    before = signal.signal(signal.SIGUSR1, handle)
    yield
    signal.signal(signal.SIGUSR1, before)


def test_a_signal_that_does_not_wake_the_main_thread_ends_its_wait(signalled):
    hold, ended = threading.Event(), []

    def ask(part):
        time.sleep(0.2)  # until the main thread waits; it is not woken by a signal that another thread takes
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        hold.wait(10)
        ended.append(part)
        return [part]

    with pytest.raises(SignalledError):
        list(in_order(ask, [1, 2], 2))
    assert not ended
    hold.set()
