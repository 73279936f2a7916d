"""QEMU's test protocol, and the far end of its serial port.

The protocol lets somebody else play QEMU's processor. A line of text is one access, and a line
answers it. A round trip costs some 70 us; lines that travel together cost 2 us each.

    we send   outb 0x3f8 0x41        QEMU answers   OK
    we send   inb 0x3fd              QEMU answers   OK 0x0060

The rule that keeps it simple: every receive is bounded in time. After a `TimeoutError` or a
`ConnectionError` a conversation is over, since nobody knows any more which reply answers what.

Follows QEMU's docs/devel/testing/qtest. Leaves out `clock_step` and the calls of other buses.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from virtlab.backends import Terminal
from virtlab.trace import Access
from virtlab.wire import all_ones

MAX_LINE = 1 << 20
"""Bytes that one reply may have."""

CHUNK = 128
"""Commands sent before their replies are read: both directions then fit a socket's buffer."""

KEPT = 1000
"""Events that a conversation keeps; the oldest go first."""


class Lines:
    """Lines of text over `sock`. No receive takes longer than `timeout` seconds."""

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        sock.settimeout(timeout)
        self.sock = sock
        self._file = sock.makefile("rb")

    def send(self, text: str) -> None:
        """Send `text`, which ends its own lines."""
        self.sock.sendall(text.encode("ascii"))

    def receive(self) -> str:
        """The next line, without its end. `ConnectionError` if the other side has hung up."""
        line = self._file.readline(MAX_LINE)
        if not line.endswith(b"\n"):
            raise ConnectionError("the other side hung up")
        return line.decode("utf-8", "replace").strip()


class IrqChange(NamedTuple):
    """Interrupt input `line` went to `level` while command number `command` was carried out."""

    command: int
    line: int
    level: bool


class Qtest:
    """QEMU's test protocol.

    `answered` counts the commands that QEMU has answered. `irqs` holds what QEMU tells between
    replies, once the command `irq_intercept_in ioapic` has asked for it.
    """

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        self._lines = Lines(sock, timeout)
        self.answered = 0
        self.irqs: deque[IrqChange] = deque(maxlen=KEPT)

    def command(self, line: str) -> str:
        """What QEMU answers to one command, without its `OK`."""
        if not line.strip() or "\n" in line:
            raise ValueError(f"a command is one line with a word in it, not {line!r}")
        return self.commands([line])[0]

    def commands(self, lines: Sequence[str]) -> list[str]:
        """The answers to at most `CHUNK` commands, which travel together.

        `ValueError` names the first command that QEMU refused; the others were carried out.
        """
        if len(lines) > CHUNK:
            raise ValueError(f"at most {CHUNK} commands travel together, not {len(lines)}")
        self._lines.send("".join(f"{line}\n" for line in lines))
        replies = [self._reply() for _ in lines]
        for line, reply in zip(lines, replies, strict=True):
            if not reply.startswith("OK"):
                raise ValueError(f"QEMU answered {reply!r} to the qtest command {line!r}")
        return [reply[3:] for reply in replies]

    def _reply(self) -> str:
        while (line := self._lines.receive()).startswith("IRQ "):
            _, change, number = line.split()
            self.irqs.append(IrqChange(self.answered, int(number), change == "raise"))
        self.answered += 1
        return line


class Space(NamedTuple):
    """What the test protocol calls the accesses of a space, and which ones there are."""

    read: str
    write: str
    sizes: dict[int, str]
    bits: int


SPACES = {
    "port": Space("in", "out", {1: "b", 2: "w", 4: "l"}, 16),
    "memory": Space("read", "write", {1: "b", 2: "w", 4: "l", 8: "q"}, 52),
}


def command_of(access: Access) -> str | None:
    """The command that is `access`, or None where no processor can send such a thing."""
    space = SPACES.get(access.region)
    if space is None:
        raise ValueError(f"an access is to port or memory, not to {access.region!r}")
    size = access.size
    if size not in space.sizes or not 0 <= access.address <= (1 << space.bits) - size:
        return None
    verb = (space.write if access.write else space.read) + space.sizes[size]
    value = f" {access.value & all_ones(size):#x}" if access.write else ""
    return f"{verb} {access.address:#x}{value}"


def nobody(access: Access) -> int:
    """What our bus says where nobody answers: all ones."""
    return all_ones(min(max(access.size, 0), max(SPACES[access.region].sizes)))


class SerialLine(Terminal):
    """The far end of a remote serial port: a `Terminal`, like the one our own UART ends in.

    `settle` is called after typing, so that the bytes have arrived when `type` returns. The
    modem lines cannot be driven: QEMU reports CTS, DSR and DCD as on for ever.
    """

    def __init__(self, sock: socket.socket, settle: Callable[[], None]) -> None:
        super().__init__()
        sock.setblocking(False)
        self._sock = sock
        self._settle = settle
        self.listener = self._send

    def drain(self) -> None:
        """Take over what the guest has sent. A full socket would hold up the remote UART."""
        try:
            while data := self._sock.recv(4096):
                for byte in data:
                    self.receive(byte)
        except BlockingIOError:
            pass

    def sent(self) -> bytes:
        """All that the guest has sent so far."""
        self.drain()
        return bytes(self.output)

    def _send(self, data: bytes) -> None:
        try:
            taken = self._sock.send(data)
        except BlockingIOError:
            taken = 0
        if taken < len(data):
            raise ValueError(
                f"the line took {taken} of {len(data)} bytes: the guest must read first"
            )
        self._settle()
