"""A card on a bench: RAM, a clock, a wire with somebody at its end, its registers by name.

`Bench` knows no driver. It writes registers and descriptors by hand, from the declarations.
"""

from __future__ import annotations

import numpy as np

from virtlab.backends.network import Link
from virtlab.clock import Clock
from virtlab.devices.e1000 import DEFAULT_MAC, E1000
from virtlab.devices.e1000.memories import COUNTERS
from virtlab.devices.e1000.registers import CAUSES, General, Interrupts
from virtlab.devices.e1000.rings import (
    DESCRIPTOR,
    RX_DESCRIPTOR,
    TX_DATA,
    TX_DESCRIPTOR,
    TX_LEGACY,
    ReceiveRing,
    TransmitRing,
)
from virtlab.interrupts import IrqLine
from virtlab.memory import GuestMemory

RAM = 1 << 20
TX_RING, RX_RING, TX_DATA_AT, RX_DATA_AT = 0x1000, 0x2000, 0x10000, 0x80000
RING = 16
"""Descriptors of each ring."""

BUFFER = 2048
PEER = bytes.fromhex("02aabbccddee")
"""The station at the other end."""

EOP, RS, IC, VLE, TSE = (
    TX_LEGACY.EOP.mask,
    TX_LEGACY.RS.mask,
    TX_LEGACY.IC.mask,
    TX_LEGACY.VLE.mask,
    TX_DATA.TSE.mask,
)
DATA = TX_LEGACY.DEXT.mask | TX_DATA.DTYP.put(0, 1)
"""Command of a data descriptor."""


def frame(length=60, to=DEFAULT_MAC, kind=b"\x88\xb5", fill=0x5A):
    """A frame of `length` bytes without CRC."""
    return (to + PEER + kind).ljust(length, bytes([fill]))


class Bench:
    """The card, what it sent in `sent`, and the interrupts it raised in `edges`."""

    def __init__(self, dma=None, wire=None):
        self.ram = GuestMemory(RAM)
        self.clock = Clock()
        self.link = Link()
        self.edges = []
        self.irq = IrqLine("e1000", lambda level: self.edges.append((self.clock.now, level)))
        self.card = E1000(self.irq, dma or self.ram, self.clock, wire or self.link.a)
        self.sent = []
        self.link.b.listener = self.sent.append

    # -- registers

    def get(self, reg):
        return self.card.read(reg.offset, reg.width)

    def put(self, reg, value):
        self.card.write(reg.offset, reg.width, value)

    def causes(self):
        """What ICR says, by name; it is clear then."""
        word = self.get(Interrupts.ICR)
        return {name for name, bits in CAUSES.items() if bits.get(word)}

    def counter(self, name):
        """A counter, without clearing it."""
        return self.card.statistics.values[name]

    def counters(self):
        """Every counter that is not zero."""
        return {name: self.counter(name) for name in COUNTERS if self.counter(name)}

    def phy(self, number, value=None):
        """Read or write a register of the PHY; MDIC afterwards."""
        mdic = General.MDIC
        word = mdic.PHYADD.put(mdic.REGADD.put(0, number), 1)
        operation = 2 if value is None else 1
        self.put(mdic, mdic.OP.put(word | (value or 0), operation))
        return mdic.decode(self.get(mdic))

    # -- the receiver

    def receive_into(self, buffers=None, tail=None, **rctl):
        """Give it a ring whose descriptors point at `buffers`, and switch it on."""
        buffers = [RX_DATA_AT + BUFFER * n for n in range(RING)] if buffers is None else buffers
        for index, address in enumerate(buffers):
            self.put_rx(index, address)
        self.put(ReceiveRing.RDBAL, RX_RING)
        self.put(ReceiveRing.RDLEN, DESCRIPTOR * RING)
        self.put(ReceiveRing.RDT, len(buffers) - 1 if tail is None else tail)
        word = 0
        for name, value in {"EN": 1, "BAM": 1, **rctl}.items():
            word = ReceiveRing.RCTL.fields[name].put(word, value)
        self.put(ReceiveRing.RCTL, word)

    def put_rx(self, index, address, status=0):
        fields = np.array([(address, 0, 0, status, 0, 0)], RX_DESCRIPTOR)
        self.ram.write(RX_RING + DESCRIPTOR * index, fields.tobytes())

    def rx(self, index):
        """A receive descriptor, by field."""
        raw = self.ram.read(RX_RING + DESCRIPTOR * index, DESCRIPTOR)
        return dict(
            zip(RX_DESCRIPTOR.names, np.frombuffer(raw, RX_DESCRIPTOR)[0].item(), strict=True)
        )

    def arrive(self, data):
        """A frame comes from the other end."""
        assert self.link.b.send(data)

    # -- the transmitter

    def transmit_from(self, *, pad=False, on=True):
        """Give it an empty ring, and switch it on."""
        self.put(TransmitRing.TDBAL, TX_RING)
        self.put(TransmitRing.TDLEN, DESCRIPTOR * RING)
        self.put(TransmitRing.TDH, 0)
        self.put(TransmitRing.TDT, 0)
        tctl = TransmitRing.TCTL
        self.put(tctl, tctl.PSP.put(tctl.EN.put(0, on), pad))
        self.tail = 0
        self.free = TX_DATA_AT

    def describe(self, data, command, options=0, special=0):
        """Put `data` into memory, and a legacy or data descriptor for it into the ring."""
        self.ram.write(self.free, data)
        self.put_tx(self.free, command | len(data), options, special)
        self.free += len(data)

    def put_tx(self, address, command, options=0, special=0):
        fields = np.array([(address, command, 0, options, special)], TX_DESCRIPTOR)
        self.put_raw(fields.tobytes())

    def put_raw(self, raw):
        self.ram.write(TX_RING + DESCRIPTOR * self.tail, raw)
        self.tail = (self.tail + 1) % RING

    def put_context(self, context, report=True):
        raw = int.from_bytes(context.encode(), "little") | report * RS << 64
        self.put_raw(raw.to_bytes(DESCRIPTOR, "little"))

    def kick(self):
        """The doorbell; what came out since the last one."""
        self.sent.clear()
        self.put(TransmitRing.TDT, self.tail)
        return list(self.sent)

    def done(self, index):
        """The status byte of a transmit descriptor."""
        return self.ram.load(TX_RING + DESCRIPTOR * index + 12, 1)
