"""The conversations with a machine behind sockets, with a test at the other end of the socket."""

from __future__ import annotations

import json
import socket

import pytest

from virtlab.hosts.qmp import Qmp, inputs
from virtlab.hosts.qtest import CHUNK, IrqChange, Qtest, SerialLine


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_command_is_a_line_and_its_answer_loses_the_ok(pair):
    ours, theirs = pair
    theirs.sendall(b"OK 0x0060\n")
    assert Qtest(ours, 1).command("inb 0x3fd") == "0x0060"
    assert theirs.recv(100) == b"inb 0x3fd\n"


def test_commands_that_travel_together_are_answered_in_order(pair):
    ours, theirs = pair
    theirs.sendall(b"OK 0x1\nOK\nOK 0x3\n")
    assert Qtest(ours, 1).commands(["inb 1", "outb 2 0", "inb 3"]) == ["0x1", "", "0x3"]
    assert theirs.recv(100) == b"inb 1\noutb 2 0\ninb 3\n"


def test_interrupts_between_replies_name_the_command_that_caused_them(pair):
    ours, theirs = pair
    qtest = Qtest(ours, 1)
    theirs.sendall(b"OK\nIRQ raise 4\nOK\nIRQ lower 4\nOK\n")
    qtest.commands(["a", "b", "c"])
    assert list(qtest.irqs) == [IrqChange(1, 4, True), IrqChange(2, 4, False)]
    assert qtest.answered == 3


def test_an_unknown_reply_names_the_command_and_the_reply_and_the_next_stays_in_step(pair):
    ours, theirs = pair
    qtest = Qtest(ours, 1)
    theirs.sendall(b"OK\nFAIL Unknown command 'b'\nOK\nOK 0x7\n")
    with pytest.raises(ValueError, match=r"FAIL Unknown command 'b'.*to the qtest command 'b'"):
        qtest.commands(["a", "b", "c"])
    assert qtest.command("d") == "0x7"


@pytest.mark.parametrize("line", ["", "  ", "a\nb"])
def test_a_command_is_one_line_with_a_word_in_it(pair, line):
    with pytest.raises(ValueError, match="one line"):
        Qtest(pair[0], 1).command(line)


def test_too_many_commands_at_once_are_refused(pair):
    with pytest.raises(ValueError, match=f"at most {CHUNK}"):
        Qtest(pair[0], 1).commands(["a"] * (CHUNK + 1))


def test_a_full_chunk_fits_the_buffers_of_both_directions(pair):
    """Nobody reads while it is sent, and the replies wait: neither side blocks."""
    ours, theirs = pair
    theirs.setblocking(False)
    for _ in range(CHUNK):
        theirs.send(b"OK 0xffffffffffffffff\n")
    assert (
        len(Qtest(ours, 1).commands(["writeq 0xfffffffffffff 0xffffffffffffffff"] * CHUNK)) == CHUNK
    )


def test_no_receive_waits_longer_than_the_timeout(pair):
    with pytest.raises(TimeoutError):
        Qtest(pair[0], 0.01).command("inb 1")


@pytest.mark.parametrize("last", [b"", b"OK half a line"])
def test_the_end_of_the_stream_is_a_connection_error(pair, last):
    ours, theirs = pair
    qtest = Qtest(ours, 1)
    theirs.sendall(last)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError, match="hung up"):
        qtest.command("inb 1")


# -- QMP


def test_qmp_greets_once_then_executes(pair):
    ours, theirs = pair
    qmp = Qmp(ours, 1)
    theirs.sendall(
        b'{"QMP": {}}\n{"return": {}}\n{"event": "RESET"}\n{"return": {"a": 1}}\n{"return": 2}\n'
    )
    qmp.begin()
    assert qmp.command("query-status", x=1) == {"a": 1}
    assert qmp.command("again") == 2
    assert list(qmp.events) == ["RESET"]
    sent = [json.loads(line) for line in theirs.recv(1000).splitlines()]
    assert [each["execute"] for each in sent] == ["qmp_capabilities", "query-status", "again"]
    assert sent[1]["arguments"] == {"x": 1}


def test_qmp_gives_the_reason_of_a_refusal(pair):
    ours, theirs = pair
    theirs.sendall(b'{"error": {"class": "G", "desc": "VM not running"}}\n')
    with pytest.raises(ValueError, match="'send-key': VM not running"):
        Qmp(ours, 1).command("send-key")


def test_keys_and_mouse_become_input_events():
    sent = []
    keyboard, mouse = inputs(lambda name, **arguments: sent.append((name, arguments["events"])))
    keyboard.press("ENTER")
    keyboard.release("A")
    mouse.move(3, 4)
    mouse.press(0b101)
    mouse.press(0b001)
    mouse.scroll(-1)
    mouse.scroll(1)
    assert {name for name, _ in sent} == {"input-send-event"}
    enter, a, moved, pressed, released, *wheel = (events for _, events in sent)
    assert enter == [
        {"type": "key", "data": {"down": True, "key": {"type": "qcode", "data": "ret"}}}
    ]
    assert a[0]["data"] == {"down": False, "key": {"type": "qcode", "data": "a"}}
    assert [event["data"] for event in moved] == [
        {"axis": "x", "value": 3},
        {"axis": "y", "value": -4},
    ]
    assert [event["data"] for event in pressed[2:]] == [
        {"button": "left", "down": True},
        {"button": "middle", "down": True},
    ]
    assert [event["data"] for event in released[2:]] == [{"button": "middle", "down": False}]
    assert [(event["data"]["button"], event["data"]["down"]) for (event,) in wheel] == [
        ("wheel-up", True),
        ("wheel-up", False),
        ("wheel-down", True),
        ("wheel-down", False),
    ]


# -- the serial line


def test_what_the_guest_sends_is_kept_as_a_terminal_keeps_it(pair):
    ours, theirs = pair
    line = SerialLine(ours, settle=lambda: None)
    theirs.sendall(b"login: ")
    assert line.sent() == b"login: "
    assert line.text == "login: "
    theirs.close()
    assert line.sent() == b"login: "


def test_typing_waits_until_it_has_arrived(pair):
    ours, theirs = pair
    settled = []
    SerialLine(ours, settle=lambda: settled.append(theirs.recv(10))).type("root")
    assert settled == [b"root"]


def test_typing_more_than_the_line_holds_is_an_error_and_does_not_block(pair):
    line = SerialLine(pair[0], settle=lambda: None)
    for _ in range(2):
        with pytest.raises(ValueError, match="the guest must read first"):
            line.type(b"x" * (16 << 20))
