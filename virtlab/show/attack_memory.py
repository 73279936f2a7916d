"""A host process in one array: a guest's memory, and all that a guest must never see.

    0x0000  another VM's memory
    0x1000  this guest's memory: gpa 0 is here        host = 0x1000 + gpa
    0x9000  the device's configuration, the key of the disks, the doorbell's handlers
    0xA000  this guest's disk, 8 sectors
    0xB000  another VM's disk, 8 sectors

The idea: a VMM is a process, and its guests' memory is a part of its own. What keeps a guest inside
of its part is code. Here all of it is one small array, so a leak is seen as bytes.

The rule that keeps it simple: nothing outside of the array can be reached. There the process would
die, so here it is a `Crash`. What would never end is `Stuck` after `STEPS` steps.

Left out: pages and their protection. In a real process gaps lie between such things; an attacker
who may choose an address chooses one without a gap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from virtlab.memory import Bytes, GuestMemory
from virtlab.virtio.blk_layouts import CONFIG, SECTOR
from virtlab.virtio.chain import ADDRESSES

STEPS = 4000
"""Descriptors that a device may read for one attack before it counts as stuck."""

HEAP = 16 << 20
"""Bytes that the process can allocate at once."""

HANDLER = 0x0000_5601_2000_4000
"""Where the code is that a doorbell leads to."""


class Crash(Exception):
    """The process dies, and every VM and device in it: why."""


class Stuck(Exception):
    """The device would go on for ever: why that is certain."""


class Span(NamedTuple):
    """`size` bytes from `start` in the array. `mine`: the guest may see and change them."""

    name: str
    start: int
    size: int
    mine: bool

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.start + self.size


OTHER_RAM = Span("another VM's memory", 0x0000, 0x1000, False)
RAM = Span("this guest's memory", 0x1000, 0x8000, True)
SETTINGS = Span("the device's configuration", 0x9000, 0x80, False)
KEY = Span("the key of the disks", 0x9080, 0x20, False)
HANDLERS = Span("the doorbell's handlers", 0x90A0, 0x20, False)
HEAP_REST = Span("the rest of the VMM", 0x90C0, 0xF40, False)
DISK = Span("this guest's disk", 0xA000, 0x1000, True)
OTHER_DISK = Span("another VM's disk", 0xB000, 0x1000, False)
SPANS = (OTHER_RAM, RAM, SETTINGS, KEY, HANDLERS, HEAP_REST, DISK, OTHER_DISK)
"""Everything in the array, low to high, without a gap."""

SIZE = SPANS[-1].end
SECTORS = DISK.size // SECTOR

SECRETS = {
    OTHER_RAM: b"VM 2 logs in with the password tulip-1637",
    KEY: b"DISK KEY 6f1c9a04be7735d281f0c3a",
    HANDLERS: HANDLER.to_bytes(8, "little") * 4,
    OTHER_DISK: b"VM 2's payroll: Ada 5100, Alan 4900, Grace 5200",
}
"""What the guest must not learn, by where it is; `OTHER_RAM` has it in its last bytes."""


class Process:
    """The array, and what a device did in it that it should not: `touched` has verb and span."""

    def __init__(self) -> None:
        self.bytes: Bytes = np.zeros(SIZE, np.uint8)
        self.touched: dict[tuple[str, Span], int] = {}
        self.steps = 0
        for span, secret in SECRETS.items():
            self._put(_secret_at(span), secret)
        self._put(SETTINGS.start, settings())
        self._put(DISK.start, b"VM 1's disk")

    def _put(self, offset: int, data: bytes) -> None:
        self.bytes[offset : offset + len(data)] = np.frombuffer(data, np.uint8)

    def guest_memory(self) -> GuestMemory:
        """The guest's part, as guest memory from gpa 0 on; no copy."""
        return GuestMemory(RAM.size, self.bytes[RAM.start : RAM.end])

    # -- what code without checks does

    def read(self, offset: int, length: int, own: bool = False) -> bytes:
        """The bytes, wherever they are in the process. `Crash` where it has none.

        `own` is for what the device looks up in its own tables.
        """
        start = self._touch("" if own else "read", offset, length)
        return self.bytes[start : start + length].tobytes()

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` there. `Crash` where the process has no memory."""
        self._put(self._touch("write", offset, len(data)), data)

    def allocate(self, length: int) -> None:
        """Ask for `length` bytes. `Crash` if they are too many."""
        if length > HEAP:
            raise Crash(f"it allocates {length:,} bytes, and has no such room")

    def step(self) -> None:
        """One more descriptor. `Stuck` after `STEPS`."""
        self.steps += 1
        if self.steps > STEPS:
            raise Stuck(f"after {STEPS:,} descriptors it still goes on")

    def _touch(self, verb: str, offset: int, length: int) -> int:
        """Where the access begins: an address in C is a number modulo 2**64. `verb` is noted."""
        start = offset % ADDRESSES
        if start + length > SIZE:
            raise Crash(f"a segmentation fault: {length:,} bytes at {start:#x} of the process")
        for span in SPANS:
            count = min(start + length, span.end) - max(start, span.start)
            if verb and count > 0 and not span.mine:
                self.touched[verb, span] = self.touched.get((verb, span), 0) + count
        return start


def settings() -> bytes:
    """The bytes of the configuration: `capacity` first."""
    return SECTORS.to_bytes(8, "little") + bytes(CONFIG.itemsize - 8)


def _secret_at(span: Span) -> int:
    if span == OTHER_RAM:
        return span.end - len(SECRETS[span])
    return span.start


def window_at(span: Span) -> int:
    """Where in the array that begins which is worth seeing in `span`: its secret, if it has one."""
    return _secret_at(span) if span in SECRETS else span.start


def window(span: Span, memory: bytes, length: int = 16) -> bytes:
    """The first `length` bytes of what is worth seeing in `span`."""
    start = window_at(span)
    return memory[start : start + length]


def leaked(memory: bytes) -> tuple[Span, ...]:
    """Whose secret stands where this guest can read it, 8 bytes of it or more."""
    mine = b"|".join(memory[span.start : span.end] for span in SPANS if span.mine)
    return tuple(span for span in SECRETS if any(part in mine for part in pieces(span)))


def pieces(span: Span) -> list[bytes]:
    """The secret of `span`, 8 bytes at a time."""
    secret = SECRETS[span]
    return [secret[i : i + 8] for i in range(0, len(secret) - 7, 8)]


def damaged(before: bytes, after: bytes) -> tuple[Span, ...]:
    """What is not the guest's, and has other bytes than before."""
    return tuple(
        span
        for span in SPANS
        if not span.mine and before[span.start : span.end] != after[span.start : span.end]
    )
