"""One of two cards, ours or QEMU's, with a ring in each direction and no driver.

`both(sides, act)` does the same to both, and gives both answers.
"""

from __future__ import annotations

import time

import numpy as np

from tests.devices.e1000.bench import RS
from tests.devices.e1000.packets import PEER
from virtlab.devices.e1000 import DEFAULT_MAC
from virtlab.devices.e1000.rings import (
    DESCRIPTOR,
    RX_DESCRIPTOR,
    TX_DESCRIPTOR,
    ReceiveRing,
    TransmitRing,
)
from virtlab.guest.e1000 import Card

RING_SIZE = 32
TX_RING, RX_RING, TX_AT, RX_AT = 0x1_0000, 0x1_1000, 0x2_0000, 0x4_0000
GROUP = bytes.fromhex("01005e000001")


class Side(Card):
    """One of the two cards, with a ring in each direction and no driver."""

    def __init__(self, world):
        super().__init__(world.cpu, world.base)
        self.world = world
        self.reset()

    def transmit(self, **tctl):
        """An empty transmit ring, switched on."""
        self.tail, self.free = 0, TX_AT
        self.cpu.write(TX_RING, bytes(DESCRIPTOR * RING_SIZE))
        self._ring(TransmitRing, "TD", TX_RING)
        self.put(TransmitRing.TCTL, TransmitRing.TCTL.EN.mask)

    def receive(self, **rctl):
        """A receive ring, all given to the card but one descriptor, switched on."""
        self._ring(ReceiveRing, "RD", RX_RING)
        self.cpu.write(RX_AT, bytes(2048 * RING_SIZE))
        for index in range(RING_SIZE):
            self.give(index, RX_AT + 2048 * index)
        self.put(ReceiveRing.RDT, RING_SIZE - 1)
        word = 0
        for name, value in {"EN": 1, "BAM": 1, **rctl}.items():
            word = ReceiveRing.RCTL.fields[name].put(word, value)
        self.put(ReceiveRing.RCTL, word)

    def _ring(self, registers, prefix, base):
        for name, value in (
            ("BAL", base),
            ("BAH", 0),
            ("LEN", DESCRIPTOR * RING_SIZE),
            ("H", 0),
            ("T", 0),
        ):
            self.put(getattr(registers, prefix + name), value)

    def give(self, index, address):
        fields = np.array([(address, 0, 0, 0, 0, 0)], RX_DESCRIPTOR)
        self.cpu.write(RX_RING + DESCRIPTOR * (index % RING_SIZE), fields.tobytes())

    def descriptor(self, data, command, options=0, special=0):
        """A transmit descriptor at the tail, and its data."""
        self.cpu.write(self.free, data or b"\0")
        fields = np.array([(self.free, command | len(data), 0, options, special)], TX_DESCRIPTOR)
        self.raw(fields.tobytes())
        self.free = TX_AT + (self.free - TX_AT + len(data)) % 0x1_0000

    def raw(self, descriptor):
        self.cpu.write(TX_RING + DESCRIPTOR * self.tail, descriptor)
        self.tail = (self.tail + 1) % RING_SIZE

    def kick(self):
        """The doorbell: what came out, the ring as it is then, and TDH."""
        self.put(TransmitRing.TDT, self.tail)
        ring = self.cpu.read(TX_RING, DESCRIPTOR * RING_SIZE)
        return self.world.sent(), ring, self.get(TransmitRing.TDH)


def both(sides, act):
    """Do the same to both cards; their answers."""
    return [act(side) for side in sides]


def context_bytes(context):
    """The descriptor, with a report."""
    raw = int.from_bytes(context.encode(), "little") | RS << 64
    return raw.to_bytes(DESCRIPTOR, "little")


def wait_for_qemu(sides):
    """QEMU lets nothing in for a second after a write to RCTL: send frames until one is in."""
    deadline = time.monotonic() + 20
    probe = DEFAULT_MAC + PEER + b"\x88\xb5" + bytes(50)
    both(sides, lambda side: side.world.arrive(probe))
    while not sides[1].get(ReceiveRing.RDH) and time.monotonic() < deadline:
        sides[1].cpu.settle()
    assert both(sides, lambda side: side.get(ReceiveRing.RDH)) == [1, 1]
    for side in sides:
        side.give(0, RX_AT)
        side.put(ReceiveRing.RDT, 0)


def read_rx(side, index):
    raw = side.cpu.read(RX_RING + DESCRIPTOR * index, DESCRIPTOR)
    return dict(zip(RX_DESCRIPTOR.names, np.frombuffer(raw, RX_DESCRIPTOR)[0].item(), strict=True))
