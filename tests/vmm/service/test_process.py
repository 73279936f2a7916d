"""The process: it starts, it answers in time or is given up, and it always ends."""

import gc
import os
import signal
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vmm.service.rig import open_files
from virtlab.vmm.service import process
from virtlab.vmm.service.messages import Kind, Reply, Request, pack_reply
from virtlab.vmm.service.process import ServiceDied, ServiceProcess, why_not
from virtlab.vmm.service.shared import Bell, Mailbox


class Started:
    """A process, and what it was given."""

    def __init__(self, **greeting):
        self.bell, self.mailbox = Bell.new(), Mailbox()
        self.process = ServiceProcess(greeting, self.bell.write_fd, self.mailbox.fd, ())

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        self.process.end()
        self.bell.close()


def gone(pid):
    """Whether there is no such process any more, not even as a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_it_starts_answers_and_ends_without_a_trace():
    gc.collect()
    before = open_files()
    started = Started(kind="uart")
    with started as service:
        assert service.alive
        assert service.ask(Request(Kind.READ, size=1, offset=5)).value == 0x60
        assert service.ask(Request(Kind.POST, size=1, value=65)) == Reply(2)
        assert service.ask(Request(Kind.PRINTED)).data == b"A"
        pid = service.pid
    assert gone(pid)
    assert not service.alive
    service.end()
    with pytest.raises(ServiceDied, match="hung up"):
        service.ask(Request(Kind.TIME))
    del started, service
    gc.collect()
    assert open_files() == before


def test_killed_it_has_hung_up():
    with Started(kind="uart") as service:
        service.kill()
        assert gone(service.pid)
        with pytest.raises(ServiceDied, match="hung up"):
            service.ask(Request(Kind.TIME))


def test_one_that_hangs_is_given_up_and_ends_all_the_same(monkeypatch):
    monkeypatch.setattr(process, "ANSWER", 0.05)
    monkeypatch.setattr(process, "GRACE", 0.05)
    with Started(kind="uart") as service:
        os.kill(service.pid, signal.SIGSTOP)
        with pytest.raises(ServiceDied, match=r"no answer in 0.05 s"):
            service.ask(Request(Kind.TIME))
    assert gone(service.pid)


def test_one_that_does_not_start_is_an_os_error_and_leaves_nothing(capfd):
    with Bell.new() as bell:
        mailbox = Mailbox()
        before = open_files()
        with pytest.raises(OSError, match="did not start") as caught:
            ServiceProcess({"kind": "nvme"}, bell.write_fd, mailbox.fd, ())
        assert open_files() == before, "not even while somebody still looks at the error"
        del caught
    assert "cannot be placed" in capfd.readouterr().err


def test_forgotten_it_ends_with_its_object():
    started = Started(kind="pic")
    pid = started.process.pid
    started.bell.close()
    del started
    gc.collect()
    assert gone(pid)


@pytest.mark.parametrize(("name", "platform"), [("nt", "win32"), ("posix", "emscripten")])
def test_where_there_are_no_processes_it_says_so(name, platform, monkeypatch):
    assert why_not() == ""
    monkeypatch.setattr(process.os, "name", name)
    monkeypatch.setattr(process.sys, "platform", platform)
    with pytest.raises(OSError, match=f"can be started on {platform}"):
        ServiceProcess({}, 0, 0, ())


def answered(data):
    """What the VMM makes of a service that answers request 1 with `data`, and hangs up."""
    ours, theirs = socket.socketpair()
    service = ServiceProcess.__new__(ServiceProcess)
    service.sock, service._sequence = ours, 0
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        return service.ask(Request(Kind.READ))


@settings(deadline=None)
@given(st.binary(max_size=70))
def test_whatever_it_answers_is_a_reply_or_one_exception(data):
    try:
        reply = answered(data)
    except ServiceDied:
        return
    assert data.startswith(b"\1\0\0\0")
    assert reply.sequence == 1


def test_a_late_answer_to_another_request_is_no_answer():
    assert answered(pack_reply(Reply(1, 5))).value == 5
    with pytest.raises(ServiceDied, match="no reply"):
        answered(pack_reply(Reply(2, 5)))
    with pytest.raises(ServiceDied, match="no reply"):
        answered(pack_reply(Reply(1, 5))[:-1])
