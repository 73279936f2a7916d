"""The transmitter: descriptors become packets.

    legacy    data at an address; the card may insert one checksum
    context   no data: where the checksums of the following packets are, how they are cut
    data      data at an address, and which of the context's services to use

A packet is the data of one or more descriptors, up to the one with EOP.

The rule that keeps it simple: a packet is collected whole, then finished (checksums, VLAN tag,
padding), then sent. Each descriptor is read once, and decoded from that copy.

Bounds: a doorbell goes round the ring once at most, and moves about `BURST` bytes; what is left
goes on a moment later, by the clock. A packet has at most `MAX_PACKET` bytes (`MAX_PAYLOAD` and a
header where it is cut by the card); a longer one is dropped and counted in `dropped`. A `DmaFault`
turns the transmitter off (TCTL.EN reads 0) with the head at the descriptor that caused it.

Source: 8254x SDM 3.3 to 3.6, 9.2, 13.4.33. Left out: the thresholds of TXDCTL, and IFCS: frames on
our wires carry no CRC.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from virtlab.backends.network import BROADCAST, is_group
from virtlab.clock import Timer
from virtlab.devices.e1000.checksum import insert
from virtlab.devices.e1000.delays import Delay, Later
from virtlab.devices.e1000.memories import Statistics
from virtlab.devices.e1000.receive import CRC, SHORTEST
from virtlab.devices.e1000.registers import CAUSES, General
from virtlab.devices.e1000.rings import (
    CONTEXT_TYPE,
    DATA_TYPE,
    DESCRIPTOR,
    TX_DATA,
    TX_DESCRIPTOR,
    TX_LEGACY,
    TX_STATUS,
    TransmitRing,
)
from virtlab.devices.e1000.segmentation import Context, checksums, segments
from virtlab.errors import DmaFault
from virtlab.memory import Dma

MAX_PACKET = 16288
"""Bytes of a packet without CRC (3.3.3)."""

MAX_PAYLOAD = (1 << 20) - 1
"""Bytes of payload that a context can name: PAYLEN has 20 bits (3.3.6)."""

BURST = 4 << 20
"""Bytes moved for one doorbell, read and sent; a read or a frame counts as `LEAST` at least."""

LEAST = 1024

PAUSE = 1_000
"""Virtual ns after which a burst goes on."""

TCTL = TransmitRing.TCTL


class Transmitter:
    """Sends from the ring of `transmit`.

    `send(frame)` puts a frame on the wire, `cause(bits)` reports to ICR, `later(ns, action)` calls
    again.
    """

    def __init__(
        self,
        transmit: TransmitRing,
        general: General,
        dma: Dma,
        statistics: Statistics,
        send: Callable[[bytes], None],
        cause: Callable[[int], None],
        later: Later,
    ) -> None:
        self.transmit = transmit
        self.general = general
        self.dma = dma
        self.statistics = statistics
        self.send = send
        self.cause = cause
        self.later = later
        self.delay = Delay(later, lambda: cause(CAUSES["TXDW"].mask))
        self.dropped = self.faults = 0
        self.busy = False
        self.pause: Timer | None = None
        self.reset()

    def reset(self) -> None:
        """No packet begun, no context known, nothing that goes on later."""
        self.context = Context()
        self.tso_context = Context()
        self.left = self.moved = self.causes = 0
        self.delay.cancel()
        if self.pause is not None:
            self.pause.cancel()
            self.pause = None
        self._begin()

    def _begin(self) -> None:
        """The next descriptor is the first of a packet."""
        self.packet = bytearray()
        self.first: tuple[int, int, int] | None = None
        self.too_long = False

    # -- the ring

    @property
    def enabled(self) -> bool:
        """Whether TCTL.EN is set, and there is a link to send to."""
        return bool(TCTL.EN.get(self.transmit.TCTL) and General.STATUS.LU.get(self.general.STATUS))

    def kick(self) -> None:
        """The doorbell: process the descriptors from head to tail."""
        if not self.busy:
            self.left = self.transmit.TDLEN // DESCRIPTOR
            self._go()

    def _go_on(self) -> None:
        self.pause = None
        self._go()

    def _go(self) -> None:
        if not self.enabled:
            return
        self.busy, self.moved, self.causes = True, 0, 0
        try:
            self._run()
        except DmaFault:
            self.faults += 1
            self._begin()
            self.transmit.TCTL = TCTL.EN.put(self.transmit.TCTL, 0)
        finally:
            self.busy = False
        if self.causes:
            self.cause(self.causes)

    def _run(self) -> None:
        """What was written back may have been the card's own registers: look at them each time."""
        regs = self.transmit
        while self.left and self.enabled and regs.TDH != regs.TDT:
            ring = regs.TDLEN // DESCRIPTOR
            if regs.TDH >= ring:
                break
            if self.moved >= BURST:
                self.pause = self.pause or self.later(PAUSE, self._go_on)
                break
            at = (regs.TDBAH << 32 | regs.TDBAL) + DESCRIPTOR * regs.TDH
            self._process(at, self.dma.read(at, DESCRIPTOR))
            regs.TDH = (regs.TDH + 1) % ring
            self.left -= 1
            if regs.TDH == regs.TDT:
                self.causes |= CAUSES["TXQE"].mask

    def _process(self, at: int, raw: bytes) -> None:
        """One descriptor; where RS asks for it the status is written back."""
        command = int.from_bytes(raw[8:12], "little")
        kind = TX_DATA.DTYP.get(command)
        if not TX_LEGACY.DEXT.get(command):
            self._data(raw, TX_LEGACY.LENGTH.get(command), tso=False)
        elif kind == CONTEXT_TYPE:
            self._learn(Context.decode(raw))
        elif kind == DATA_TYPE:
            self._data(raw, TX_DATA.DTALEN.get(command), tso=bool(TX_DATA.TSE.get(command)))
        if TX_LEGACY.RS.get(command):
            self.dma.write(at + TX_STATUS.offset, TX_STATUS.DD.mask.to_bytes(1, "little"))
            self._report(bool(TX_LEGACY.IDE.get(command)))

    def _report(self, delayed: bool) -> None:
        """A descriptor was written back: interrupt now, or with IDE when the delay is over."""
        if delayed and self.transmit.TIDV:
            self.delay.packet(self.transmit.TIDV, self.transmit.TADV)
        else:
            self.delay.cancel()
            self.causes |= CAUSES["TXDW"].mask

    def _learn(self, context: Context) -> None:
        """A context stays until the next; there is one for cut packets and one for others (3.5)."""
        if context.tse:
            self.tso_context = context
        else:
            self.context = context

    # -- a packet

    def _data(self, raw: bytes, length: int, tso: bool) -> None:
        """Add the data of a legacy or data descriptor; with EOP the packet is complete."""
        address, command, _, options, special = np.frombuffer(raw, TX_DESCRIPTOR)[0].item()
        if self.first is None:
            self.first = command, options, special
        if address:
            self._collect(address, length, tso)
        if not TX_LEGACY.EOP.get(command):
            return
        packet, first, too_long = self.packet, self.first, self.too_long
        self._begin()
        if too_long:
            self.dropped += 1
        elif tso:
            self._cut(bytes(packet), *first)
        elif packet:
            self._whole(packet, (command, options, special), first)

    def _collect(self, address: int, length: int, tso: bool) -> None:
        limit = self.tso_context.hdrlen + MAX_PAYLOAD if tso else MAX_PACKET
        if len(self.packet) + length > limit:
            self.too_long = True
        if not self.too_long:
            self.moved += max(LEAST, length)
            self.packet += self.dma.read(address, length)

    def _whole(
        self, packet: bytearray, last: tuple[int, int, int], first: tuple[int, int, int]
    ) -> None:
        """Send it in one piece. IC, VLE and the tag are the last descriptor's (3.3.3.1)."""
        command, _, special = last
        if TX_LEGACY.DEXT.get(command):
            checksums(packet, self.context, first[1])
        elif TX_LEGACY.IC.get(command):
            insert(packet, first[1], TX_LEGACY.CSO.get(first[0]))
        self._emit(packet, command, special)

    def _cut(self, data: bytes, command: int, options: int, special: int) -> None:
        """Send it in segments. VLE and the tag are the first descriptor's (3.3.7.1)."""
        context = self.tso_context
        if not context.possible or len(data) < context.hdrlen:
            self.dropped += 1
            self.statistics.add("TSCTFC")
            return
        for packet in segments(data, context, options):
            self._emit(packet, command, special)
        complete = len(data) == context.hdrlen + context.paylen
        self.statistics.add("TSCTC" if complete else "TSCTFC")

    def _emit(self, packet: bytearray, command: int, special: int) -> None:
        """Tag, pad, count, send. Padding and tag are no part of any checksum."""
        if len(packet) > MAX_PACKET:
            self.dropped += 1
            return
        if TX_LEGACY.VLE.get(command) and General.CTRL.VME.get(self.general.CTRL):
            vet = self.general.VET & 0xFFFF
            packet[12:12] = vet.to_bytes(2, "big") + special.to_bytes(2, "big")
        if TCTL.PSP.get(self.transmit.TCTL):
            packet = packet.ljust(SHORTEST, b"\0")
        self._count(packet)
        self.moved += max(LEAST, len(packet))
        self.send(bytes(packet))

    def _count(self, packet: bytearray) -> None:
        """A packet is good from 64 bytes on (13.7.30)."""
        length = len(packet) + CRC
        self.statistics.add("TPT")
        self.statistics.add("TOT", length)
        if length >= SHORTEST + CRC:
            self.statistics.add("GPTC")
            self.statistics.add("GOTC", length)
        self.statistics.add_length("PTC", length)
        if is_group(bytes(packet[:6]) or b"\0"):
            self.statistics.add("BPTC" if packet[:6] == BROADCAST else "MPTC")
