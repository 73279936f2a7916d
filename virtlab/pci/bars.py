"""A base address register: where software says a piece of the device is.

    31                        12        4  3   2 1  0
    [ address, writable ......][ zeros  ][P][type][0]     memory of 4 KiB
    [ address, writable ............. ][ 2 zeros ][0 1]   ports

The idea: a BAR's size is hidden in which of its bits can be written. Software writes all ones,
reads back, and the lowest address bit that took the 1 is the size. `Bar.place` narrows the register
to the bits at or above the size, and presets the type bits, which software cannot change.

The rule that keeps it simple: a `Bar` is also the device's data path. It cuts what is wider than
`width`, and never lets an access run off its end.

Source: PCI Local Bus 3.0, 6.2.5.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from virtlab.bus import SIZES, Device, cycles
from virtlab.pci.config import BAR_FIELDS, Header
from virtlab.wire import all_ones

Space = Literal["memory", "port"]

MIN_MEMORY, MIN_PORTS, MAX_PORTS = 16, 4, 256
"""Bytes that a BAR has at least; ports at most (PCI 3.0, 6.2.5.1)."""

MIN_ROM, MAX_ROM = 1 << 11, 1 << 24
"""The same for an expansion ROM, whose address has bits 31 to 11 (PCI 3.0, 6.2.5.2)."""

TYPE_64 = 2
"""The value of a memory BAR's type field that makes it 64 bits wide."""

ROM_REGISTER = "EXPANSION_ROM"


class Bar(NamedTuple):
    """`size` bytes of `device`, at the address that register `register` of the header holds.

    `bits` is 32 or 64; `width` is the widest access that the device takes, in bytes.
    """

    register: str
    space: Space
    device: Device
    size: int
    bits: int = 32
    prefetchable: bool = False
    width: int = 4

    @property
    def upper(self) -> str:
        """The register that has address bits 63 to 32, or nothing."""
        return f"BAR{int(self.register[3:]) + 1}" if self.bits == 64 else ""

    @property
    def flags(self) -> int:
        """The type bits of its register, which software cannot change."""
        if self.space == "port":
            return 1
        fields = BAR_FIELDS["memory"]
        flags = fields["PREFETCHABLE"].put(0, self.prefetchable)
        return fields["TYPE"].put(flags, TYPE_64 if self.bits == 64 else 0)

    def place(self, header: Header) -> None:
        """Let the register in `header` have the writable bits of this size, and its type bits."""
        mask = all_ones(self.bits // 8) & ~(self.size - 1)
        if self.register == ROM_REGISTER:
            header.narrow(EXPANSION_ROM=mask | 1)
            return
        header.preset(**{self.register: self.flags})
        header.narrow(**{self.register: mask & all_ones(4)})
        if self.upper:
            header.narrow(**{self.upper: mask >> 32})

    def address(self, header: Header) -> int:
        """Where software has put it."""
        word = header.values[self.register]
        if self.register == ROM_REGISTER:
            return word & ~(self.size - 1)
        low = word & ~(0x3 if self.space == "port" else 0xF)
        return low | (header.values[self.upper] << 32 if self.upper else 0)

    def enabled(self, header: Header) -> bool:
        """Whether the command register (and a ROM's own enable bit) lets it answer."""
        command = Header.COMMAND.IO_SPACE if self.space == "port" else Header.COMMAND.MEMORY_SPACE
        own = self.register != ROM_REGISTER or header.values[self.register] & 1
        return bool(command.get(header.COMMAND) and own)

    def read(self, offset: int, size: int) -> int:
        """`size` bytes at `offset`, in accesses that the device can take."""
        value = 0
        for at, n, shift in cycles(offset, size, self.width):
            value |= (self.device.read(at, n) & all_ones(n)) << shift
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """The low `size` bytes of `value` to `offset`, in accesses that the device can take."""
        for at, n, shift in cycles(offset, size, self.width):
            self.device.write(at, n, value >> shift & all_ones(n))


class Share(Protocol):
    """What a virtual function has instead of BARs of its own (`sriov_functions`)."""

    @property
    def source_id(self) -> int:
        """Where the physical function's registers put it."""

    @property
    def awake(self) -> bool:
        """Whether the physical function is."""

    def decodes(self, bar: Bar) -> bool:
        """Whether the memory behind `bar` answers."""

    def address(self, bar: Bar) -> int:
        """Where it does."""


def check(bar: Bar, header: Header) -> None:
    """`ValueError` where the header has no such register, or the size is none that a BAR has."""
    smallest, largest = MIN_MEMORY, 1 << bar.bits - 1
    if bar.space == "port":
        smallest, largest = MIN_PORTS, MAX_PORTS
    if bar.register == ROM_REGISTER:
        smallest, largest = MIN_ROM, MAX_ROM
    if bar.size & (bar.size - 1) or not smallest <= bar.size <= largest:
        raise ValueError(f"{bar.register} cannot have {bar.size:#x} bytes of {bar.space}")
    if bar.bits not in (32, 64) or (bar.bits == 64 and bar.space == "port"):
        raise ValueError(f"{bar.register} cannot be {bar.bits} bits wide in {bar.space} space")
    if bar.width not in SIZES:
        raise ValueError(f"a data path is 1, 2, 4 or 8 bytes wide, not {bar.width}")
    for name in filter(None, (bar.register, bar.upper)):
        if name not in header.values:
            raise ValueError(f"{type(header).__name__} has no {name}")
