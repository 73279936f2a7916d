"""The service's loop: each request does what it says, and anything else makes it hang up."""

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vmm.service.rig import in_a_thread
from virtlab.clock import SECOND
from virtlab.devices.edu import FACTORIAL_TIME, IDENTITY
from virtlab.memory import PAGE
from virtlab.vmm.service.__main__ import main
from virtlab.vmm.service.messages import Kind, Malformed, Request
from virtlab.vmm.service.server import Server
from virtlab.vmm.service.shared import Bell, DiskFile, Mailbox, SharedMemory


def test_a_uart_is_read_written_typed_at_and_printed():
    with in_a_thread() as client:
        assert client.greet(kind="uart").due is None
        assert client.ask(Kind.READ, offset=5, size=1).value == 0x60
        for byte in b"hello, world, hello, world, hello":
            client.ask(Kind.WRITE, offset=0, size=1, value=byte)
        assert client.ask(Kind.PRINTED).data == b"hello, world, hello, world, hell"
        assert client.ask(Kind.PRINTED, offset=32).data == b"o"
        client.ask(Kind.TYPE, data=b"k")
        assert client.ask(Kind.READ, size=1).value == ord("k")


def test_a_line_that_changes_is_counted_and_rings_the_bell_before_the_reply():
    with in_a_thread() as client:
        client.greet(kind="uart")
        client.ask(Kind.WRITE, offset=1, size=1, value=1)
        assert not client.bell.heard()
        client.ask(Kind.TYPE, data=b"k")
        assert (client.bell.heard(), client.mailbox.changes) == (True, 1)
        client.ask(Kind.READ, size=1)
        assert (client.bell.heard(), client.mailbox.changes) == (True, 2)
        client.ask(Kind.READ, size=1)
        assert not client.bell.heard()


def test_time_comes_with_the_requests_and_the_next_timer_with_the_replies():
    with in_a_thread() as client:
        client.greet(kind="edu")
        assert client.ask(Kind.READ, offset=0, size=4).value == IDENTITY
        due = client.ask(Kind.WRITE, offset=8, size=4, value=5, time=1000).due
        assert due == 1000 + FACTORIAL_TIME
        assert client.ask(Kind.TIME, time=due - 1).due == due
        assert client.ask(Kind.TIME, time=due).due is None
        assert client.ask(Kind.READ, offset=8, size=4, time=0).value == 120


def test_dma_goes_to_the_frames_of_the_memory_that_was_passed():
    memory = SharedMemory(0x100000, 4 * PAGE)
    frames = [0x102000, 0x100000]
    table = {"fd": memory.fd, "start": 0x100000, "size": 4 * PAGE}
    memory.write(0x100010, b"from the guest")
    with in_a_thread() as client:
        client.greet(kind="edu", memory=table | {"regions": [[0, 2 * PAGE]], "frames": frames})
        for offset, value in ((0x80, PAGE + 0x10), (0x88, 0x40000), (0x90, 14), (0x98, 1)):
            client.ask(Kind.WRITE, offset=offset, size=8, value=value)
        client.ask(Kind.TIME, time=SECOND)
        for offset, value in ((0x80, 0x40000), (0x88, 0x20), (0x90, 14), (0x98, 3)):
            client.ask(Kind.WRITE, offset=offset, size=8, value=value, time=SECOND)
        client.ask(Kind.TIME, time=2 * SECOND)
        assert client.mailbox.bytes_moved == (14, 14)
    assert memory.read(0x102020, 14) == b"from the guest"


def test_without_memory_dma_faults_in_the_device_only():
    with in_a_thread() as client:
        client.greet(kind="edu")
        for offset, value in ((0x88, 0x40000), (0x90, 8), (0x98, 1)):
            client.ask(Kind.WRITE, offset=offset, size=8, value=value)
        assert client.ask(Kind.TIME, time=SECOND).due is None
        assert client.mailbox.bytes_moved == (0, 0)


def test_a_disk_is_the_file_that_was_passed():
    file = DiskFile(b"\x5a" * 1024)
    with in_a_thread() as client:
        client.greet(kind="ata", disk={"fd": file.fd, "size": file.size})
        client.ask(Kind.WRITE, offset=6, size=1, value=0x40)
        client.ask(Kind.WRITE, offset=2, size=1, value=1)
        client.ask(Kind.WRITE, offset=3, size=1, value=1)
        client.ask(Kind.WRITE, offset=7, size=1, value=0x20)
        assert client.ask(Kind.READ, offset=0, size=2).value == 0x5A5A


def test_a_controller_is_driven_and_acknowledged():
    with in_a_thread() as client:
        client.greet(kind="pic")
        client.ask(Kind.WRITE, offset=0, size=1, value=0x11)
        for value in (0x20, 0x04, 0x01, 0xFE):
            client.ask(Kind.WRITE, offset=1, size=1, value=value)
        client.ask(Kind.LINE, offset=0, value=1)
        assert client.bell.heard()
        assert client.ask(Kind.ACKNOWLEDGE).value == 0x20


def test_a_posted_write_has_no_reply_and_keeps_its_place():
    with in_a_thread() as client:
        client.greet(kind="uart")
        for byte in b"abc":
            client.send(Kind.POST, offset=0, size=1, value=byte)
        assert client.ask(Kind.PRINTED).data == b"abc"


@pytest.mark.parametrize(
    ("kind", "request_"),
    [
        ("uart", {"kind": Kind.READ, "part": 1}),
        ("uart", {"kind": Kind.WRITE, "part": 9}),
        ("uart", {"kind": Kind.LINE}),
        ("uart", {"kind": Kind.ACKNOWLEDGE}),
        ("pic", {"kind": Kind.LINE, "offset": 16}),
    ],
)
def test_what_the_device_has_not_makes_it_hang_up(kind, request_):
    with in_a_thread() as client:
        client.greet(kind=kind)
        client.send(**request_)
        assert client.hung_up()


@pytest.mark.parametrize("data", [b"\0" * 64, b"\1" * 63, b"\xff" * 64])
def test_what_is_no_request_makes_it_hang_up(data):
    with in_a_thread() as client:
        client.greet(kind="uart")
        client.sock.sendall(data)
        client.sock.shutdown(socket.SHUT_WR)
        assert client.hung_up()


def test_what_is_no_greeting_makes_it_hang_up():
    with in_a_thread() as client:
        client.sock.sendall(b"\xff" * 4)
        assert client.hung_up()


requests = st.builds(
    Request,
    st.sampled_from(list(Kind)),
    part=st.integers(0, 4),
    size=st.sampled_from([1, 2, 4, 8]),
    offset=st.integers(0, 255),
    value=st.integers(0, 2**64 - 1),
    time=st.integers(0, 10 * SECOND),
    data=st.binary(max_size=32),
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["uart", "edu", "pic", "pic+uart"]), st.lists(requests, max_size=30))
def test_any_request_is_answered_or_malformed(kind, asked):
    """No request makes the service fail in any other way: a guest's numbers are in them."""
    with Bell.new() as bell:
        server = Server({"kind": kind}, bell, Mailbox())
        for request in asked:
            try:
                reply = server.answer(request)
            except Malformed:
                continue
            assert reply.due is None or reply.due > server.clock.now
            assert 0 <= reply.value < 1 << 64


def test_the_command_line_has_three_descriptors():
    ours, theirs = socket.socketpair()
    mailbox = Mailbox()
    with ours, Bell.new() as bell:
        ours.shutdown(socket.SHUT_WR)
        main([str(theirs.detach()), str(bell.write_fd), str(mailbox.fd)])
        assert ours.recv(1) == b""
