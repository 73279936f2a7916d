"""The card itself: what a write to each register does.

The rule that keeps it simple: the interrupt line follows from ICR and IMS alone, in `settle`. With
ITR it rises no sooner than the interval after it last rose. All else is somebody's: the wires of
the EEPROM, the PHY's link, the receiver's ring, the transmitter's.

Source: 8254x SDM 13.4. Choices where it is silent: an access of one or two bytes reads and writes
just these bytes; a software reset keeps the PHY, the EEPROM and PBA. Left out: pause frames,
wake-up, and forcing speed or link by CTRL; these registers remember what is written.
"""

from __future__ import annotations

from virtlab.backends.network import Link, LinkEnd
from virtlab.bus import cycles
from virtlab.clock import Clock, Timer
from virtlab.devices.e1000.eeprom import WORDS, Eeprom, image
from virtlab.devices.e1000.filters import Filters, address_words
from virtlab.devices.e1000.memories import Statistics, Table, tables
from virtlab.devices.e1000.phy import ADDRESS, Phy
from virtlab.devices.e1000.receive import Receiver
from virtlab.devices.e1000.registers import CAUSES, General, Interrupts, WakeUp
from virtlab.devices.e1000.rings import ReceiveRing, TransmitRing
from virtlab.devices.e1000.transmit import Transmitter
from virtlab.interrupts import IrqLine
from virtlab.memory import Dma
from virtlab.registers import Reg
from virtlab.wire import all_ones

DEFAULT_MAC = bytes.fromhex("525400123456")

ITR_UNIT = 256
"""Virtual ns of one unit of ITR (13.4.18)."""

WRITE, READ = 1, 2
"""The operations of MDIC."""

PACKET_BUFFER = 64
"""KiB of the packet buffer, for both directions (13.4.16)."""


class E1000(General, Interrupts, WakeUp, ReceiveRing, TransmitRing):
    """An 82540EM with the address `mac`, its socket plugged into `wire`.

    It answers 128 KiB of memory space. `receiver` and `transmitter` count what they drop.
    """

    length = 0x20000

    def __init__(
        self,
        irq: IrqLine,
        dma: Dma,
        clock: Clock | None = None,
        wire: LinkEnd | None = None,
        mac: bytes = DEFAULT_MAC,
    ) -> None:
        super().__init__()
        self.irq = irq
        self.clock = clock if clock is not None else Clock()
        self.wire = wire if wire is not None else Link().a
        self.mac = mac
        self.eeprom = Eeprom(image(mac))
        self.statistics = Statistics()
        self.tables = tables()
        self.phy = Phy(self.clock, self.wire, self._link_changed)
        filters = Filters(self, self, self.tables)
        later = self.clock.after
        self.receiver = Receiver(self, self, filters, dma, self.statistics, self.cause, later)
        self.transmitter = Transmitter(
            self, self, dma, self.statistics, self._send, self.cause, later
        )
        self.wire.listener = self._arrived
        self.waiting: Timer | None = None
        self._reset_mac()

    def reset(self) -> None:
        """As after power-on."""
        self.phy.power_on()
        self.eeprom.reset()
        self._reset_mac()

    def _reset_mac(self) -> None:
        """All but the PHY and the EEPROM."""
        super().reset()
        for table in self.tables.values():
            table.reset()
        self.tables["RA"].words[:2] = address_words(self.mac)
        self.statistics.reset()
        self.receiver.reset()
        self.transmitter.reset()
        self.STATUS = General.STATUS.LU.put(self.STATUS, self.phy.link)
        self.quiet_until = 0
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None
        self.settle()

    # -- the bus

    def read(self, offset: int, size: int) -> int:
        """Any bytes of the register space; holes are 0."""
        value = 0
        for at, n, shift in cycles(offset, size, 4):
            part = self._window(at)
            if part is None:
                value |= super().read(at, n) << shift
            else:
                value |= part.read(at - part.offset, n) << shift
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """Any bytes of the register space."""
        for at, n, shift in cycles(offset, size, 4):
            piece = value >> shift & all_ones(n)
            part = self._window(at)
            if part is None:
                super().write(at, n, piece)
            else:
                part.write(at - part.offset, n, piece)

    def _window(self, offset: int) -> Table | Statistics | None:
        """The table, or the counters, that have this offset."""
        if Statistics.offset <= offset < Statistics.end:
            return self.statistics
        for table in self.tables.values():
            if table.offset <= offset < table.end:
                return table
        return None

    def _overlapping(self, offset: int, size: int) -> list[tuple[Reg, int]]:
        """Every register is a dword, so the offset finds it."""
        reg = _BY_OFFSET.get(offset & ~3)
        return [] if reg is None else [(reg, 8 * (reg.offset - offset))]

    # -- interrupts

    def cause(self, bits: int) -> None:
        """Something happened."""
        self.ICR |= bits
        self.settle()

    def settle(self) -> None:
        """Drive the line: high while an unmasked cause is set (13.4.17), at ITR's pace."""
        if not self.ICR & self.IMS:
            self.irq.set(False)
        elif not self.irq.level:
            if self.clock.now >= self.quiet_until:
                self.quiet_until = self.clock.now + self.ITR * ITR_UNIT
                self.irq.set(True)
            elif self.waiting is None:
                delay = self.quiet_until - self.clock.now
                self.waiting = self.clock.after(delay, self._again)

    def _again(self) -> None:
        self.waiting = None
        self.settle()

    def read_ICR(self) -> int:
        """The causes; reading acknowledges them all."""
        causes, self.ICR = self.ICR, 0
        self.settle()
        return causes

    def write_ICR(self, old: int, new: int) -> None:
        """The causes written as 1 are gone."""
        self.settle()

    def read_ICS(self) -> int:
        """As ICR, without acknowledging."""
        return self.ICR

    def write_ICS(self, old: int, new: int) -> None:
        """Let the causes written as 1 happen."""
        self.ICS = 0
        self.cause(new)

    def write_IMS(self, old: int, new: int) -> None:
        """Add to the mask."""
        self.IMS = old | new
        self.settle()

    def read_IMC(self) -> int:
        """Write-only."""
        return 0

    def write_IMC(self, old: int, new: int) -> None:
        """Take out of the mask."""
        self.IMC = 0
        self.IMS &= ~new
        self.settle()

    # -- the device

    def write_CTRL(self, old: int, new: int) -> None:
        """RST resets all but PHY and EEPROM, and clears itself; PHY_RST, when it rises, the PHY."""
        ctrl = General.CTRL
        if ctrl.RST.get(new):
            buffers = self.PBA
            self._reset_mac()
            self.PBA = buffers
        elif ctrl.PHY_RST.get(new) and not ctrl.PHY_RST.get(old):
            self.phy.reset()

    def write_PBA(self, old: int, new: int) -> None:
        """What receiving does not get, transmitting does."""
        rest = max(0, PACKET_BUFFER - General.PBA.RXA.get(new))
        self.PBA = General.PBA.TXA.put(new, rest)

    def write_EECD(self, old: int, new: int) -> None:
        """Drive the wires of the EEPROM."""
        self.eeprom.drive(new)

    def read_EECD(self) -> int:
        """The wires; a request is granted at once."""
        eecd = General.EECD
        value = eecd.EE_GNT.put(self.EECD, eecd.EE_REQ.get(self.EECD))
        return eecd.EE_PRES.mask | eecd.DO.put(value, self.eeprom.data_out)

    def write_EERD(self, old: int, new: int) -> None:
        """START reads the word at ADDR; beyond the EEPROM there is none."""
        eerd = General.EERD
        address = eerd.ADDR.get(new)
        self.EERD = eerd.ADDR.put(0, address)
        if eerd.START.get(new):
            word = self.eeprom.words[address] if address < WORDS else 0
            self.EERD = eerd.DONE.mask | eerd.DATA.put(self.EERD, word)

    def write_MDIC(self, old: int, new: int) -> None:
        """Do it at once: R is set, and E if the PHY has no such register to read or to write."""
        mdic = General.MDIC
        number, operation = mdic.REGADD.get(new), mdic.OP.get(new)
        failed = mdic.PHYADD.get(new) != ADDRESS
        if not failed and operation == READ:
            value = self.phy.read(number)
            failed = value is None
            new = new if value is None else mdic.DATA.put(new, value)
        elif not failed and operation == WRITE:
            failed = not self.phy.write(number, mdic.DATA.get(new))
        self.MDIC = mdic.R.mask | mdic.E.put(new, failed)
        if mdic.I.get(new):
            self.cause(CAUSES["MDAC"].mask)

    # -- the rings

    def write_RCTL(self, old: int, new: int) -> None:
        """Switched on, the receiver looks for descriptors."""
        self.receiver.drain()

    def write_RDT(self, old: int, new: int) -> None:
        """The driver gave descriptors."""
        self.receiver.drain()

    def write_RDTR(self, old: int, new: int) -> None:
        """FPD ends the delay at once, and interrupts; it reads as 0."""
        fpd = ReceiveRing.RDTR.FPD
        self.RDTR = fpd.put(new, 0)
        if fpd.get(new):
            self.receiver.delay.expire()

    def write_TCTL(self, old: int, new: int) -> None:
        """Switched on, the transmitter looks for packets."""
        self.transmitter.kick()

    def write_TDT(self, old: int, new: int) -> None:
        """The driver has packets."""
        self.transmitter.kick()

    # -- the wire

    def _send(self, frame: bytes) -> None:
        if self.phy.has("LOOPBACK"):
            self.receiver.take(frame)
        else:
            self.wire.send(frame)

    def _arrived(self, frame: bytes) -> None:
        """A PHY in loopback does not hear the wire (802.3 22.2.4.1.2)."""
        if not self.phy.has("LOOPBACK"):
            self.receiver.take(frame)

    def _link_changed(self) -> None:
        self.STATUS = General.STATUS.LU.put(self.STATUS, self.phy.link)
        self.cause(CAUSES["LSC"].mask)
        self.transmitter.kick()
        self.receiver.drain()


_BY_OFFSET = {reg.offset: reg for reg in E1000.registers}
