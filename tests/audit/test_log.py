"""What becomes of lines, and of calls, while a sink fails or takes nothing; and files that are rotated."""

from __future__ import annotations

import json
import os
import threading

import pytest

from audit.conftest import lines_of
from whence.errors import UnavailableError
from whence.v1 import attribution_service_pb2 as messages
from whence_service.audit.line import audit_line
from whence_service.audit.log import MOST_WAITING_BYTES, AuditLog, AuditSettings, open_audit
from whence_service.audit.sink import FileSink, open_sink
from whence_service.rpc.audit import CallNotes
from whence_service.rpc.records import CallRecord


def record(number: int = 1, **more) -> CallRecord:
    return CallRecord(service="s", method="m", code="OK", duration_s=0.5, request_id=f"r{number}", **more)


class MemorySink:
    """Keeps lines; fails while ``failing``, and takes none before ``taking`` is set."""

    def __init__(self):
        self.lines, self.failing, self.taking = [], False, threading.Event()
        self.taking.set()

    def write(self, line: bytes) -> None:
        self.taking.wait(10)
        if self.failing:
            raise OSError(28, "No space left on device")
        self.lines.append(json.loads(line)["request_id"])

    def close(self) -> None:
        self.taking.set()


async def test_calls_go_on_while_the_sink_fails_and_the_loss_is_counted_and_said(logs, eventually):
    sink, seen = MemorySink(), []
    log = AuditLog(sink, seen.append)
    sink.failing = True
    for number in range(3):
        assert log.note(record(number)) is None
        log.require()
    await eventually(lambda: len(seen) == 3)
    sink.failing = False
    log.note(record(9))
    await log.close()
    assert sink.lines == ["r9"]
    assert [line.outcome for line in seen] == ["failed", "failed", "failed", "written"]
    said = [line for line in logs if "audit log" in line["event"]]
    assert [line["log_level"] for line in said] == ["error", "warning"]
    assert (said[0]["request_id"], said[1]["lost"]) == ("r0", 3)


async def test_where_lines_are_required_calls_fail_until_one_is_written_again():
    sink = MemorySink()
    log = AuditLog(sink, lambda _: None, required=True)
    assert await log.note(record()) is None
    sink.failing = True
    error = await log.note(record())
    assert isinstance(error, UnavailableError)
    assert error.reason == "AUDIT_UNAVAILABLE"
    with pytest.raises(UnavailableError, match="audit log"):
        log.require()
    sink.failing = False
    assert await log.note(record()) is None  # that of the call that was refused
    log.require()
    await log.close()


async def test_a_sink_that_takes_nothing_delays_nobody_and_what_waits_is_bounded():
    sink, seen = MemorySink(), []
    sink.taking.clear()
    log = AuditLog(sink, seen.append)
    notes = CallNotes("")
    notes.asked(messages.ListModelsRequest(page_token="x" * (MOST_WAITING_BYTES // 4)))
    for number in range(5):
        log.note(record(number, facts=notes.facts()))
    assert [line.outcome for line in seen] == ["dropped", "dropped"]
    sink.taking.set()
    await log.close()
    assert sink.lines == ["r0", "r1", "r2"]


@pytest.mark.parametrize("rotate", [os.replace, lambda old, _: os.unlink(old), lambda old, _: os.truncate(old, 0)])
def test_a_file_that_was_rotated_is_opened_anew(tmp_path, rotate):
    path = tmp_path / "audit.jsonl"
    sink = FileSink(path)
    sink.write(b"first\n")
    rotate(path, tmp_path / "audit.jsonl.1")
    sink.write(b"second\n")
    sink.close()
    assert path.read_bytes() == b"second\n"


def test_a_file_is_its_owners_alone_and_grows(tmp_path):
    path = tmp_path / "audit.jsonl"
    for line in (b"first\n", b"second\n"):
        sink = open_sink(str(path))
        sink.write(line)
        sink.close()
    assert path.read_bytes() == b"first\nsecond\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_line_after_one_that_broke_off_begins_on_a_line_of_its_own(tmp_path, monkeypatch):
    path, write = tmp_path / "audit.jsonl", os.write
    sink = FileSink(path)

    def full(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", full_now)
        return write(descriptor, data[:3])

    def full_now(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        sink.write(b"first\n")
    monkeypatch.setattr(os, "write", write)
    sink.write(b"second\n")
    assert path.read_bytes() == b"fir\nsecond\n"


def test_a_file_that_cannot_be_opened_is_said_at_the_start(tmp_path):
    settings = AuditSettings(place=str(tmp_path / "none" / "audit.jsonl"))
    with pytest.raises(UnavailableError, match="cannot be opened: No such file") as caught:
        open_audit(settings, lambda _: None)
    assert caught.value.reason == "AUDIT_UNAVAILABLE"


def test_whatever_a_caller_sends_its_line_is_one_line():
    line = audit_line(record(trace_id="a\nb\u2028"), texts=True)
    assert line.count(b"\n") == 1
    assert line.isascii()


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "NOT_FOUND"])
def test_a_call_that_was_turned_down_is_refused_and_no_failure(code):
    refused = CallRecord(service="s", method="m", code=code, duration_s=0, request_id="r", reason="R")
    assert json.loads(audit_line(refused, texts=False))["decision"] == "refused"


async def test_the_process_serves_on_without_its_disk_and_with_required_lines_it_does_not(
    start_front, worker, ask, failure_of, eventually
):
    request = messages.AttributeRequest(query=ask())
    careless = await start_front(worker, audit_log="/dev/full")
    await careless.stub.Attribute(request)
    strict = await start_front(worker, audit_log="/dev/full", audit_required=True)
    for _ in range(2):  # after the work, and from then on before it
        error = await failure_of(strict.stub.Attribute(request))
        assert error.reason == "AUDIT_UNAVAILABLE"
    assert len(worker.stub.scanned) == 2
    assert await strict.is_serving()


async def test_lines_of_the_last_calls_are_written_before_the_process_ends(start_front, worker, audit_file, ask):
    front = await start_front(worker, audit_log=str(audit_file))
    for _ in range(20):
        await front.stub.Attribute(messages.AttributeRequest(query=ask()))
    await front.front.stop()
    assert len(lines_of(audit_file)) == 20
