"""The receiver: from the wire through the packet buffer into the host's memory.

    wire -> filter -> packet buffer -> one descriptor after another -> interrupt

The packet buffer is what makes a network card patient. A frame that finds no descriptor waits in
it, and goes on when the driver moves the tail. A frame that does not fit in it is lost, and that is
the one loss a driver is told of: MPC counts it, RXO interrupts.

The rule that keeps it simple: `take` decides about a frame and puts it into the buffer; `drain`
moves data from there to memory while the device has descriptors. A descriptor is read once.

Bounds: `drain` goes round the ring once at most; the packet buffer has RXA KiB. A `DmaFault` turns
the receiver off (RCTL.EN reads 0), and the frames in the buffer are counted as missed; the driver
has to turn it on again.

Source: 8254x SDM 3.2 (reception), 13.4.22 (RCTL), 13.7 (statistics).
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from virtlab.backends.network import BROADCAST, is_group
from virtlab.devices.e1000.checksum import ones_sum, verify
from virtlab.devices.e1000.delays import Delay, Later
from virtlab.devices.e1000.filters import INEXACT, Filters, is_tagged
from virtlab.devices.e1000.memories import Statistics
from virtlab.devices.e1000.registers import CAUSES, General
from virtlab.devices.e1000.rings import (
    DESCRIPTOR,
    RX_DESCRIPTOR,
    RX_ERRORS,
    RX_STATUS,
    ReceiveRing,
    buffer_size,
)
from virtlab.errors import DmaFault
from virtlab.memory import Dma

SHORTEST = 60
"""Bytes of the shortest frame without its CRC; a shorter one arrives padded with zeros."""

CRC = 4

LONGEST, LONGEST_LPE = 1522, 16384
"""Bytes of the longest packet with its CRC, and the same with RCTL.LPE (13.7.15)."""

WRITTEN_BACK = 8
"""Where in a descriptor the bytes begin that the device writes."""

RCTL = ReceiveRing.RCTL


class Arrived(NamedTuple):
    """A packet in the buffer: its bytes, and what the last descriptor will say of it."""

    data: bytes
    checksum: int
    status: int
    errors: int
    special: int


class Receiver:
    """Receives on the rings and filters of `receive`.

    `cause(bits)` reports to ICR, `later(ns, action)` calls again.
    """

    def __init__(
        self,
        receive: ReceiveRing,
        general: General,
        filters: Filters,
        dma: Dma,
        statistics: Statistics,
        cause: Callable[[int], None],
        later: Later,
    ) -> None:
        self.receive = receive
        self.general = general
        self.filters = filters
        self.dma = dma
        self.statistics = statistics
        self.cause = cause
        self.delay = Delay(later, lambda: cause(CAUSES["RXT0"].mask))
        self.faults = 0
        self.busy = False
        self.reset()

    def reset(self) -> None:
        """The packet buffer is empty, and no interrupt is under way."""
        self.delay.cancel()
        self._empty()

    def _empty(self) -> None:
        self.buffer: deque[Arrived] = deque()
        self.buffered = 0
        self.moved = 0

    @property
    def enabled(self) -> bool:
        """Whether RCTL.EN is set, and there is a link."""
        link = General.STATUS.LU.get(self.general.STATUS)
        return bool(link and self._rctl("EN"))

    def _rctl(self, field: str) -> int:
        return RCTL.fields[field].get(self.receive.RCTL)

    # -- from the wire into the buffer

    def take(self, frame: bytes) -> None:
        """A frame comes in from the wire."""
        frame = frame.ljust(SHORTEST, b"\0")
        if not self.enabled or (match := self.filters.match(frame)) is None:
            return
        if self._oversized(len(frame) + CRC):
            self.statistics.add("ROC")
            self.statistics.add("RLEC")
            if not self._rctl("SBP"):
                return
        packet = self._packet(frame, match)
        room = General.PBA.RXA.get(self.general.PBA) << 10
        if self.buffered + len(packet.data) > room:
            self._missed(1)
            return
        self._count(frame)
        self.buffer.append(packet)
        self.buffered += len(packet.data)
        if self.receive.RDH == self.receive.RDT:
            self.statistics.add("RNBC")
        self.drain()

    def _oversized(self, length: int) -> bool:
        return length > (LONGEST_LPE if self._rctl("LPE") else LONGEST)

    def _missed(self, packets: int) -> None:
        self.statistics.add("MPC", packets)
        self.cause(CAUSES["RXO"].mask)

    def _count(self, frame: bytes) -> None:
        """Lengths are from the destination address to the CRC, as on the wire (13.7.31)."""
        length = len(frame) + CRC
        for name in ("TPR", "GPRC"):
            self.statistics.add(name)
        for name in ("TOR", "GORC"):
            self.statistics.add(name, length)
        self.statistics.add_length("PRC", length)
        if is_group(frame[:6]):
            self.statistics.add("BPRC" if frame[:6] == BROADCAST else "MPRC")

    def _packet(self, frame: bytes, match: str) -> Arrived:
        """What will be in memory: the tag taken out (9.3), the CRC left in unless SECRC."""
        crc = b"" if self._rctl("SECRC") else zlib.crc32(frame).to_bytes(CRC, "little")
        status = RX_STATUS.PIF.put(0, match == INEXACT)
        special = 0
        if General.CTRL.VME.get(self.general.CTRL) and is_tagged(frame, self.general.VET):
            special = int.from_bytes(frame[14:16], "big")
            frame = frame[:12] + frame[16:]
            status |= RX_STATUS.VP.mask
        data = frame + crc
        checked, errors = self._checks(frame)
        start = ReceiveRing.RXCSUM.PCSS.get(self.receive.RXCSUM)
        return Arrived(data, ones_sum(data[start:]), status | checked, errors, special)

    def _checks(self, frame: bytes) -> tuple[int, int]:
        """Status and error bits of the checksum offload (3.2.9); IXSM where it does not look."""
        fields = ReceiveRing.RXCSUM.fields
        ip_wanted = fields["IPOFLD"].get(self.receive.RXCSUM)
        transport_wanted = fields["TUOFLD"].get(self.receive.RXCSUM)
        ip, transport = verify(frame) if ip_wanted or transport_wanted else (None, None)
        status = errors = 0
        if ip_wanted and ip is not None:
            status |= RX_STATUS.IPCS.mask
            errors = RX_ERRORS.IPE.put(errors, not ip)
        if transport_wanted and transport is not None:
            status |= RX_STATUS.TCPCS.mask
            errors = RX_ERRORS.TCPE.put(errors, not transport)
        return status or RX_STATUS.IXSM.mask, errors

    # -- from the buffer into memory

    def drain(self) -> None:
        """Fill descriptors while there are both: one turn of the ring at most.

        A buffer may lie in the card's own registers; so a drain inside a drain does nothing.
        """
        if self.busy:
            return
        ring = self.receive.RDLEN // DESCRIPTOR
        self.busy = True
        try:
            for _ in range(ring):
                if not self._ready(ring):
                    break
                self._fill(ring)
        except DmaFault:
            self.faults += 1
            self.receive.RCTL = RCTL.EN.put(self.receive.RCTL, 0)
            lost = len(self.buffer)
            self._empty()
            self._missed(lost)
        finally:
            self.busy = False

    def _ready(self, ring: int) -> bool:
        head, tail = self.receive.RDH, self.receive.RDT
        return bool(self.buffer) and self.enabled and head != tail and head < ring

    def _fill(self, ring: int) -> None:
        """Move as much of the first packet as the next descriptor's buffer takes."""
        head = self.receive.RDH
        at = (self.receive.RDBAH << 32 | self.receive.RDBAL) + DESCRIPTOR * head
        raw = self.dma.read(at, DESCRIPTOR)
        address, _, _, status, _, _ = np.frombuffer(raw, RX_DESCRIPTOR)[0].item()
        if address:
            self._store(at, address)
        else:  # all but DD stays as it was (3.2.5.2)
            done = (status | RX_STATUS.DD.mask).to_bytes(1, "little")
            self.dma.write(at + RX_STATUS.offset, done)
        self.receive.RDH = (head + 1) % ring
        if self.buffer and self.moved >= len(self.buffer[0].data):
            self._finish(ring)

    def _store(self, at: int, address: int) -> None:
        packet = self.buffer[0]
        piece = packet.data[self.moved : self.moved + buffer_size(self.receive.RCTL)]
        first, last = not self.moved, self.moved + len(piece) >= len(packet.data)
        self.dma.write(address, piece)
        status, errors, special = RX_STATUS.DD.mask, 0, 0
        if last:
            status |= packet.status | RX_STATUS.EOP.mask
            errors, special = packet.errors, packet.special
        checksum = packet.checksum if first else 0
        report = np.array([(address, len(piece), checksum, status, errors, special)], RX_DESCRIPTOR)
        self.dma.write(at + WRITTEN_BACK, report.tobytes()[WRITTEN_BACK:])
        if self.buffer and self.buffer[0] is packet:
            self.moved += len(piece)

    def _finish(self, ring: int) -> None:
        """A packet is complete in memory. Few descriptors left, or a small packet: interrupt now.

        Else when the delay is over (3.2.7).
        """
        size = len(self.buffer.popleft().data)
        self.buffered -= size
        self.moved = 0
        left = (self.receive.RDT - self.receive.RDH) % ring
        if left <= ring >> (self._rctl("RDMTS") + 1):
            self.cause(CAUSES["RXDMT0"].mask)
        if size <= self.receive.RSRPD:
            self.cause(CAUSES["SRPD"].mask)
        self.delay.packet(ReceiveRing.RDTR.DELAY.get(self.receive.RDTR), self.receive.RADV)
