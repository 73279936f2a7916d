"""The card without its rings: registers, reset, EEPROM, PHY, link, filters, interrupts, counters.

The idea: the card is three chips. The EEPROM knows who it is, and is read through `EERD`, or bit by
bit through the four wires of `EECD`. The PHY knows the link, and is reached through `MDIC`. The
rest are registers.

The rule that keeps it simple: to ask one of the other chips is always the same: write what you want
to know, poll for a bit that says done, read. Every poll is bounded.

The offsets and fields are the device's own declarations. Source: 8254x SDM 14.3 to 14.5, 5.3, 5.6,
13.4. Left out: writing the EEPROM, forced speed, wake-up.
"""

from __future__ import annotations

from collections.abc import Iterable

from virtlab.cpu import Cpu
from virtlab.devices.e1000.eeprom import CHECKSUM, COMMAND_BITS, READ, WORDS
from virtlab.devices.e1000.filters import ADDRESS_VALID, address_words, hash_of
from virtlab.devices.e1000.memories import COUNTERS, tables
from virtlab.devices.e1000.phy import ADDRESS as PHY_ADDRESS
from virtlab.devices.e1000.registers import CAUSES, General, Interrupts
from virtlab.devices.e1000.rings import ReceiveRing, TransmitRing
from virtlab.registers import Reg

POLLS = 20_000
"""Reads of a register after which the card counts as dead."""

NAP = 1_000_000
"""Nanoseconds that a poll lets pass, so that time goes on while we look."""

PHY_READ, PHY_WRITE = 2, 1
"""The operations of MDIC."""

ALL_CAUSES = 0xFFFF_FFFF

MTA, RA, VFTA = (tables()[name].offset for name in ("MTA", "RA", "VFTA"))
EXACT_ADDRESSES = 16
"""Addresses that the card compares with exactly."""


class Card:
    """The card whose BAR 0 is at `base` (gpa), through `cpu`."""

    def __init__(self, cpu: Cpu, base: int) -> None:
        self.cpu = cpu
        self.base = base

    # -- the registers

    def get(self, reg: Reg) -> int:
        """A register."""
        return self.cpu.load(self.base + reg.offset, 4)

    def put(self, reg: Reg, value: int) -> None:
        """The same, written."""
        self.cpu.store(self.base + reg.offset, value, 4)

    def poll(self, reg: Reg, bit: int, level: bool = True) -> int:
        """Read `reg` until `bit` of it is set (or clear): its value. `TimeoutError` if it never is.

        Time passes between two reads.
        """
        for _ in range(POLLS):
            value = self.get(reg)
            if bool(value & bit) == level:
                return value
            self.cpu.wait(NAP)
        raise TimeoutError(f"{reg.name} stayed {value:#x} for {POLLS} reads")

    # -- beginning

    def reset(self) -> None:
        """Stop both directions, reset, and let no interrupt through (14.3, 14.4)."""
        self.put(Interrupts.IMC, ALL_CAUSES)
        self.put(ReceiveRing.RCTL, 0)
        self.put(TransmitRing.TCTL, 0)
        reset = General.CTRL.RST.mask
        self.put(General.CTRL, self.get(General.CTRL) | reset)
        self.poll(General.CTRL, reset, level=False)
        self.put(Interrupts.IMC, ALL_CAUSES)
        self.causes()

    # -- the EEPROM

    def eeprom(self, word: int) -> int:
        """Word 0 to 63 of the EEPROM, by EERD (13.4.4)."""
        eerd = General.EERD
        self.put(eerd, eerd.START.mask | eerd.ADDR.put(0, _word(word)))
        return eerd.DATA.get(self.poll(eerd, eerd.DONE.mask))

    def eeprom_by_wires(self, word: int) -> int:
        """The same, bit by bit: nine bits of command and address out, sixteen in (5.3)."""
        eecd = General.EECD
        idle = eecd.EE_REQ.mask
        self.put(eecd, idle)
        self.poll(eecd, eecd.EE_GNT.mask)
        self.put(eecd, idle | eecd.CS.mask)
        self._clock(READ << 6 | _word(word), COMMAND_BITS)
        value = self._clock(0, 16)
        self.put(eecd, idle)
        self.put(eecd, 0)
        return value

    def _clock(self, out: int, bits: int) -> int:
        """`bits` turns of the clock: the bits of `out` on DI, highest first, and those of DO."""
        eecd, came = General.EECD, 0
        for at in reversed(range(bits)):
            pins = eecd.EE_REQ.mask | eecd.CS.mask | eecd.DI.put(0, out >> at)
            self.put(eecd, pins)
            self.put(eecd, pins | eecd.SK.mask)
            came = came << 1 | eecd.DO.get(self.get(eecd))
            self.put(eecd, pins)
        return came

    def eeprom_valid(self) -> bool:
        """Whether all words add up to BABAh (5.6.35)."""
        return sum(map(self.eeprom, range(WORDS))) & 0xFFFF == CHECKSUM

    def mac(self) -> bytes:
        """The card's own address: the first three words."""
        return b"".join(self.eeprom(word).to_bytes(2, "little") for word in range(3))

    # -- the PHY and the link

    def phy_read(self, number: int) -> int:
        """Register `number` of the PHY. `LookupError` if it has none."""
        return General.MDIC.DATA.get(self._phy(PHY_READ, number, 0))

    def phy_write(self, number: int, value: int) -> None:
        """The same, written."""
        self._phy(PHY_WRITE, number, value)

    def _phy(self, operation: int, number: int, value: int) -> int:
        mdic, word = General.MDIC, 0
        fields = {"DATA": value, "REGADD": number, "PHYADD": PHY_ADDRESS, "OP": operation}
        for name, part in fields.items():
            word = mdic.fields[name].put(word, part)
        self.put(mdic, word)
        answer = self.poll(mdic, mdic.R.mask)
        if mdic.E.get(answer):
            raise LookupError(f"the PHY has no such register {number}")
        return answer

    @property
    def link(self) -> bool:
        """Whether there is a link."""
        return bool(General.STATUS.LU.get(self.get(General.STATUS)))

    def link_up(self) -> None:
        """Let the PHY find the speed, and wait for the link. `TimeoutError` if none comes."""
        ctrl = General.CTRL
        self.put(ctrl, self.get(ctrl) | ctrl.SLU.mask | ctrl.ASDE.mask)
        self.poll(General.STATUS, General.STATUS.LU.mask)

    # -- who may come in

    def set_address(self, index: int, address: bytes | None) -> None:
        """Exact filter `index`, 0 to 15: let frames to `address` in; None switches it off."""
        if not 0 <= index < EXACT_ADDRESSES:
            raise ValueError(f"the card has {EXACT_ADDRESSES} exact filters, not a number {index}")
        low, high = (0, 0) if address is None else address_words(_address(address))
        at = self.base + RA + 8 * index
        self.cpu.store(at + 4, high & ~ADDRESS_VALID, 4)  # never a half-written address
        self.cpu.store(at, low, 4)
        self.cpu.store(at + 4, high, 4)

    def add_group(self, address: bytes) -> None:
        """Let a group address in: set the bit that it picks in the table (13.5.1)."""
        offset = ReceiveRing.RCTL.MO.get(self.get(ReceiveRing.RCTL))
        self._set_bit(MTA, hash_of(_address(address), offset))

    def add_vlan(self, number: int) -> None:
        """Let frames of a VLAN in, where RCTL.VFE asks (13.5.4)."""
        if not 0 <= number <= 0xFFF:
            raise ValueError(f"a VLAN has a number of 12 bits, not {number}")
        self._set_bit(VFTA, number)

    def _set_bit(self, table: int, bit: int) -> None:
        at = self.base + table + 4 * (bit >> 5)
        self.cpu.store(at, self.cpu.load(at, 4) | 1 << (bit & 31), 4)

    def clear_tables(self) -> None:
        """Nobody comes in by the tables for groups and VLANs."""
        for table in (MTA, VFTA):
            for at in range(table, table + 512, 4):
                self.cpu.store(self.base + at, 0, 4)

    # -- interrupts

    def unmask(self, *names: str) -> None:
        """Let the causes of these names (`"RXT0"`) interrupt."""
        self.put(Interrupts.IMS, _bits(names))

    def mask(self, *names: str) -> None:
        """Let them interrupt no more."""
        self.put(Interrupts.IMC, _bits(names))

    def causes(self) -> list[str]:
        """What happened since the last look. Reading acknowledges it (13.4.17)."""
        word = self.get(Interrupts.ICR)
        return [name for name, bits in CAUSES.items() if bits.get(word)]

    # -- counters

    def statistics(self, *names: str) -> dict[str, int]:
        """Counters by name, all if none is named. Reading clears them (13.7)."""
        return {name: self._counter(COUNTERS[name]) for name in names or COUNTERS}

    def _counter(self, reg: Reg) -> int:
        """The lower half first: reading the upper one clears both."""
        at = self.base + reg.offset
        return sum(self.cpu.load(at + half, 4) << 8 * half for half in range(0, reg.width, 4))


def _word(word: int) -> int:
    if not 0 <= word < WORDS:
        raise ValueError(f"the EEPROM has words 0 to {WORDS - 1}, not {word}")
    return word


def _address(address: bytes) -> bytes:
    if len(address) != 6:
        raise ValueError(f"an Ethernet address has 6 bytes, not {len(address)}")
    return address


def _bits(names: Iterable[str]) -> int:
    return sum(CAUSES[name].mask for name in dict.fromkeys(names))
