"""Two rings, as a driver sees them: sending, and receiving.

    send      write the frame into a buffer, a descriptor into the ring, the tail into TDT;
              the card sets DD in the descriptor when it has the frame
    receive   a descriptor with DD has a frame in its buffer; take it, and give the descriptor
              back by RDT

The idea: neither side ever waits for a lock. The card owns the descriptors from head to tail, the
driver owns the others. One descriptor always stays the driver's, since head equal to tail means
that the card owns none.

The rule that keeps it simple: descriptor `i` has buffer `i`. Whoever owns the one owns the other.

Source: 8254x SDM 3.2, 3.3, 14.4, 14.5. Left out: delayed interrupts and prefetch thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from virtlab.devices.e1000.rings import (
    DESCRIPTOR,
    RX_DESCRIPTOR,
    RX_STATUS,
    TX_DATA,
    TX_DESCRIPTOR,
    TX_LEGACY,
    TX_STATUS,
    ReceiveRing,
    TransmitRing,
)
from virtlab.devices.e1000.transmit import MAX_PACKET
from virtlab.guest.e1000.card import NAP, POLLS, Card
from virtlab.guest.e1000.offload import Offload
from virtlab.registers import Reg

BUFFER = 2048
"""Bytes of a buffer; RCTL.BSIZE 0 says so to the card. A longer frame takes several."""

GRANULE = 8
"""A ring has a multiple of so many descriptors: 128 bytes (13.4.27)."""

MAX_DESCRIPTORS = 4096

SHORTEST = 14
"""Bytes of an Ethernet header: no frame is shorter."""

GAPS = 10 | 8 << 10 | 6 << 20
"""TIPG for copper (13.4.34)."""

COLLISIONS = {"CT": 0x0F, "COLD": 0x40}
"""TCTL for full duplex (14.5)."""

Piece = tuple[int, int]
"""Bytes in memory: `(gpa, length)`."""


class Queue:
    """`size` descriptors at `ring` (gpa), and as many buffers from `buffers` on."""

    def __init__(self, card: Card, ring: int, size: int, buffers: int) -> None:
        if size % GRANULE or not GRANULE <= size <= MAX_DESCRIPTORS or ring % DESCRIPTOR:
            raise ValueError(
                f"a ring has a multiple of {GRANULE} descriptors, up to {MAX_DESCRIPTORS}, and "
                f"begins at a multiple of {DESCRIPTOR}; not {size} at {ring:#x}"
            )
        self.card = card
        self.cpu = card.cpu
        self.ring = ring
        self.size = size
        self.buffers = buffers

    def buffer(self, index: int) -> int:
        """The gpa of a buffer."""
        return self.buffers + BUFFER * (index % self.size)

    def descriptor(self, index: int) -> int:
        """The gpa of a descriptor."""
        return self.ring + DESCRIPTOR * (index % self.size)

    def _place(self, low: Reg, high: Reg, length: Reg, head: Reg, tail: Reg) -> None:
        """Tell the card where the ring is; it is the driver's as a whole."""
        self.cpu.write(self.ring, bytes(DESCRIPTOR * self.size))
        self.card.put(low, self.ring & 0xFFFF_FFFF)
        self.card.put(high, self.ring >> 32)
        self.card.put(length, DESCRIPTOR * self.size)
        self.card.put(head, 0)
        self.card.put(tail, 0)


class TransmitQueue(Queue):
    """What goes out. `tail` is the next free descriptor, `oldest` the first not yet taken back."""

    def start(self) -> None:
        """Set up the ring and switch the transmitter on; short frames are padded (14.5)."""
        self.tail = self.oldest = 0
        self._place(*(getattr(TransmitRing, f"TD{name}") for name in _RING))
        self.card.put(TransmitRing.TIPG, GAPS)
        tctl = TransmitRing.TCTL
        word = tctl.EN.mask | tctl.PSP.mask
        for name, value in COLLISIONS.items():
            word = tctl.fields[name].put(word, value)
        self.card.put(tctl, word)

    # -- sending

    def send(self, *frames: bytes) -> None:
        """Send `frames`, in order; return when the card has taken them all."""
        for frame in frames:
            self.queue(frame)
        self.ring_doorbell()
        self.flush()

    def queue(self, frame: bytes, offload: Offload | None = None) -> None:
        """Copy one frame into buffers, and describe them. The card hears of it by the doorbell."""
        if len(frame) < SHORTEST:
            raise ValueError(f"a frame has a header of {SHORTEST} bytes, not {len(frame)} bytes")
        parts = [frame[at : at + BUFFER] for at in range(0, len(frame), BUFFER)]
        self._check(len(parts), len(frame), offload)
        self.make_room(len(parts) + (offload is not None))
        first = self.tail + (offload is not None)
        pieces = [(self.buffer(first + n), len(part)) for n, part in enumerate(parts)]
        for (gpa, _), part in zip(pieces, parts, strict=True):
            self.cpu.write(gpa, part)
        self.post(pieces, offload)

    def post(self, pieces: Sequence[Piece], offload: Offload | None = None) -> None:
        """Describe one frame that lies in memory, in `pieces`: scatter-gather, no copy.

        The pieces may be reused once `flush` has returned.
        """
        self._check(len(pieces), sum(length for _, length in pieces), offload)
        self.make_room(len(pieces) + (offload is not None))
        if offload is not None:
            self._put(offload.context.encode(), TX_LEGACY.RS.mask)
        for number, (gpa, length) in enumerate(pieces):
            command = offload.command | length if offload else length
            if number == len(pieces) - 1:
                command |= TX_LEGACY.EOP.mask | TX_LEGACY.IFCS.mask
            options = offload.options if offload else 0
            fields = np.array([(gpa, command, 0, options, 0)], TX_DESCRIPTOR)
            self._put(fields.tobytes(), TX_LEGACY.RS.mask)

    def ring_doorbell(self) -> None:
        """Move the card's tail: all that was described is the card's now."""
        self.card.put(TransmitRing.TDT, self.tail)

    def _put(self, descriptor: bytes, command: int) -> None:
        """Write one descriptor at the tail, with more bits for its command."""
        raw = int.from_bytes(descriptor, "little") | command << 8 * TX_LEGACY.offset
        self.cpu.write(self.descriptor(self.tail), raw.to_bytes(DESCRIPTOR, "little"))
        self.tail = (self.tail + 1) % self.size

    def _check(self, pieces: int, length: int, offload: Offload | None) -> None:
        limit = TX_DATA.DTALEN.mask if offload and offload.context.tse else MAX_PACKET
        if not 1 <= pieces < self.size - 1 or length > limit:
            raise ValueError(
                f"a packet has 1 to {self.size - 2} pieces and up to {limit} bytes, "
                f"not {pieces} and {length}"
            )

    # -- taking descriptors back

    @property
    def free(self) -> int:
        """Descriptors that are the driver's, but for the one that always stays."""
        return (self.oldest - self.tail - 1) % self.size

    def reap(self) -> None:
        """Take back the descriptors that the card has marked as done."""
        while self.oldest != self.tail and self._done(self.oldest):
            self.oldest = (self.oldest + 1) % self.size

    def _done(self, index: int) -> bool:
        status = self.cpu.load(self.descriptor(index) + TX_STATUS.offset, 1)
        return bool(TX_STATUS.DD.get(status))

    def make_room(self, descriptors: int) -> None:
        """Wait until so many are free; what is described goes to the card first."""
        if self.free < descriptors:
            self.ring_doorbell()
            self._wait(descriptors)

    def flush(self) -> None:
        """Wait until the card has taken everything. `TimeoutError` if it does not."""
        self._wait(self.size - 1)

    def _wait(self, descriptors: int) -> None:
        for _ in range(POLLS):
            self.reap()
            if self.free >= descriptors:
                return
            self.cpu.wait(NAP)
        raise TimeoutError(f"descriptor {self.oldest} was not sent after {POLLS} looks")


class Received(NamedTuple):
    """A frame without its CRC. `status` and `errors` are those of its last descriptor.

    `checksum` is the card's sum over the packet, `vlan` the tag that it took out, or None.
    """

    frame: bytes
    status: int
    errors: int
    checksum: int
    vlan: int | None


class ReceiveQueue(Queue):
    """What comes in. `next` is the descriptor that will have DD next."""

    def start(self, **rctl: int) -> None:
        """Give the card every buffer but one, and switch the receiver on (14.4).

        `rctl` are fields of RCTL to set beside EN, BAM and SECRC: `UPE=1` for all stations.
        """
        self.next = 0
        self._begin()
        self._place(*(getattr(ReceiveRing, f"RD{name}") for name in _RING))
        for index in range(self.size):
            self._give(index)
        self.card.put(ReceiveRing.RDT, self.size - 1)
        word = 0
        for name, value in {"EN": 1, "BAM": 1, "SECRC": 1, **rctl}.items():
            word = ReceiveRing.RCTL.fields[name].put(word, value)
        self.card.put(ReceiveRing.RCTL, word)

    def _begin(self) -> None:
        """The next descriptor is the first of a frame."""
        self.parts = bytearray()
        self.checksum = 0

    def _give(self, index: int) -> None:
        fields = np.array([(self.buffer(index), 0, 0, 0, 0, 0)], RX_DESCRIPTOR)
        self.cpu.write(self.descriptor(index), fields.tobytes())

    def receive(self) -> Received | None:
        """The next frame, if there is a whole one. Looks at one turn of the ring at most."""
        for _ in range(self.size):
            raw = self.cpu.read(self.descriptor(self.next), DESCRIPTOR)
            _, length, checksum, status, errors, special = np.frombuffer(raw, RX_DESCRIPTOR)[
                0
            ].item()
            if not RX_STATUS.DD.get(status):
                return None
            if not self.parts:
                self.checksum = checksum
            self.parts += self.cpu.read(self.buffer(self.next), min(length, BUFFER))
            self._give_back()
            if RX_STATUS.EOP.get(status):
                vlan = special if RX_STATUS.VP.get(status) else None
                got = Received(bytes(self.parts), status, errors, self.checksum, vlan)
                self._begin()
                return got
        return None

    def _give_back(self) -> None:
        """The descriptor just read is the card's again: it becomes the one that RDT stops at."""
        self._give(self.next)
        self.card.put(ReceiveRing.RDT, self.next)
        self.next = (self.next + 1) % self.size


_RING = ("BAL", "BAH", "LEN", "H", "T")
"""The registers of a ring, after TD or RD."""
