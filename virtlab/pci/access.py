"""Two ways from an instruction to a configuration register.

    ports 0xCF8, 0xCFC    write an address, then move the data: 256 bytes a function
    ECAM                  4096 bytes of memory a function, one function after another

The idea: both only unpack an address into bus, device, function and register. The root complex
does the rest. A driver packs with the same declarations.

Source: PCI Local Bus 3.0, 3.2.2.3.2; PCI Express 3.0, 7.2.2.
"""

from __future__ import annotations

from typing import Protocol

from virtlab.registers import Reg
from virtlab.wire import Bits, all_ones

CONFIG_ADDRESS = Reg(
    0,
    4,
    rw=0x80FFFFFC,
    name="CONFIG_ADDRESS",
    fields={
        "REGISTER": Bits(7, 2),
        "FUNCTION": Bits(10, 8),
        "DEVICE": Bits(15, 11),
        "BUS": Bits(23, 16),
        "ENABLE": Bits(31),
    },
    spec="PCI 3.0 3.2.2.3.2",
    doc="Which register the next access to CONFIG_DATA means.",
)
CONFIG_DATA = Reg(
    4, 4, rw=all_ones(4), name="CONFIG_DATA", spec="PCI 3.0 3.2.2.3.2", doc="The register itself."
)
CONFIG_PORTS = 0xCF8
"""Where a PC has them."""

ECAM_OFFSET = Reg(
    0,
    4,
    name="ECAM offset",
    fields={
        "REGISTER": Bits(11, 0),
        "FUNCTION": Bits(14, 12),
        "DEVICE": Bits(19, 15),
        "BUS": Bits(27, 20),
    },
    spec="PCI Express 3.0 7.2.2",
    doc="What the bits of an address inside ECAM mean.",
)
ECAM_SIZE = 256 << 20
"""Bytes of ECAM for 256 buses."""


def config_address(bus: int, device: int, number: int, offset: int) -> int:
    """The word for CONFIG_ADDRESS.

    >>> hex(config_address(2, 3, 1, 0x10))
    '0x80021910'
    """
    fields = CONFIG_ADDRESS.fields
    word = fields["ENABLE"].mask | fields["BUS"].put(0, bus) | fields["DEVICE"].put(0, device)
    return word | fields["FUNCTION"].put(0, number) | offset & fields["REGISTER"].mask


def ecam_offset(bus: int, device: int, number: int, offset: int) -> int:
    """Where in ECAM a register is.

    >>> hex(ecam_offset(2, 3, 1, 0x10))
    '0x219010'
    """
    fields = ECAM_OFFSET.fields
    word = fields["BUS"].put(0, bus) | fields["DEVICE"].put(0, device)
    return word | fields["FUNCTION"].put(0, number) | offset & fields["REGISTER"].mask


class Configurable(Protocol):
    """Whoever turns a configuration access into a request: the root complex."""

    def config_read(self, bus: int, device: int, number: int, offset: int, size: int) -> int:
        """`size` bytes at `offset` of a function's configuration space."""

    def config_write(
        self, bus: int, device: int, number: int, offset: int, size: int, value: int
    ) -> None:
        """The same, written."""


class ConfigPorts:
    """CONFIG_ADDRESS and CONFIG_DATA: eight ports with a path of 4 bytes."""

    def __init__(self, root: Configurable) -> None:
        self.root = root
        self.address = 0

    def read(self, offset: int, size: int) -> int:
        """The address only as 4 bytes; the data in any size."""
        if offset < CONFIG_DATA.offset:
            return self.address if size == 4 else all_ones(size)
        if not CONFIG_ADDRESS.ENABLE.get(self.address):
            return all_ones(size)
        return self.root.config_read(*self._place(offset), size)

    def write(self, offset: int, size: int, value: int) -> None:
        """The same, written. A smaller write to the address is none (PCI 3.0, 3.2.2.3.2)."""
        if offset < CONFIG_DATA.offset:
            if size == 4:
                self.address = value & CONFIG_ADDRESS.rw
        elif CONFIG_ADDRESS.ENABLE.get(self.address):
            self.root.config_write(*self._place(offset), size, value)

    def _place(self, offset: int) -> tuple[int, int, int, int]:
        fields = CONFIG_ADDRESS.decode(self.address)
        register = fields["REGISTER"] << 2 | offset & 3
        return fields["BUS"], fields["DEVICE"], fields["FUNCTION"], register


class Ecam:
    """The memory region in which every function has its 4096 bytes. A path of 4 bytes."""

    def __init__(self, root: Configurable) -> None:
        self.root = root

    def read(self, offset: int, size: int) -> int:
        """A load is a configuration read."""
        return self.root.config_read(*self._place(offset), size)

    def write(self, offset: int, size: int, value: int) -> None:
        """A store is a configuration write."""
        self.root.config_write(*self._place(offset), size, value)

    def _place(self, offset: int) -> tuple[int, int, int, int]:
        fields = ECAM_OFFSET.decode(offset)
        return fields["BUS"], fields["DEVICE"], fields["FUNCTION"], fields["REGISTER"]
