"""Enumeration: finding every function on every bus, and giving each what it asks for.

    scan   depth first: is somebody there? Is it a bridge? Then give it the next bus number, look
           below, and come back with the highest number that was used
    size   all ones into each BAR, read back: what stayed zero is the size
    then   `guest/pci_resources.py`: addresses, windows, interrupts

The idea: firmware knows nothing but the rules of PCI. So this runs unchanged on our boards, in a
virtual machine, and on QEMU's chip sets. Only two functions are known by name: the host bridge that
has ECAM's address, and the ISA bridge that routes interrupts.

The rule that keeps it simple: a `Found` is what the scan learned. The later steps only read it.

Source: PCI Local Bus 3.0, 6.1, 6.2.5.1; PCI-to-PCI Bridge 1.2, 3.2.5; PCI Express 3.0, 7.2. Left
out: hot plug, resizable BARs, Enhanced Allocation; virtual functions, which are in `pci_sriov`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from virtlab.cpu import Cpu
from virtlab.pci.access import (
    CONFIG_ADDRESS,
    CONFIG_DATA,
    CONFIG_PORTS,
    config_address,
    ecam_offset,
)
from virtlab.pci.bars import TYPE_64
from virtlab.pci.bus import DEVICES, FUNCTIONS
from virtlab.pci.chipset import HOST_BRIDGE, EcamRegisters
from virtlab.pci.config import BAR_FIELDS, MAX_CAPABILITIES, Header, Type0, Type1
from virtlab.pci.tlp import bdf_text, source_id
from virtlab.wire import all_ones

MAX_BUSES = 256
ABSENT = 0xFFFF
"""The vendor that nobody has: what a read gives where no function is."""


class Place(NamedTuple):
    """Bus, device, function: where a function is."""

    bus: int
    device: int
    number: int

    def __str__(self) -> str:
        return bdf_text(source_id(*self))


class Access(Protocol):
    """A way to configuration space."""

    def read(self, place: Place, offset: int, size: int) -> int:
        """`size` bytes at `offset`."""

    def write(self, place: Place, offset: int, size: int, value: int) -> None:
        """The same, written."""


class PortAccess:
    """By the two registers at 0xCF8: the first 256 bytes."""

    def __init__(self, cpu: Cpu, port: int = CONFIG_PORTS) -> None:
        self.cpu = cpu
        self.port = port

    def read(self, place: Place, offset: int, size: int) -> int:
        """Write the address, read the data."""
        self.cpu.out(self.port + CONFIG_ADDRESS.offset, config_address(*place, offset), 4)
        return self.cpu.inp(self.port + CONFIG_DATA.offset + offset % 4, size)

    def write(self, place: Place, offset: int, size: int, value: int) -> None:
        """Write the address, write the data."""
        self.cpu.out(self.port + CONFIG_ADDRESS.offset, config_address(*place, offset), 4)
        self.cpu.out(self.port + CONFIG_DATA.offset + offset % 4, value, size)


class EcamAccess:
    """By ECAM at `base` (gpa): all 4096 bytes, one instruction each."""

    def __init__(self, cpu: Cpu, base: int) -> None:
        self.cpu = cpu
        self.base = base

    def read(self, place: Place, offset: int, size: int) -> int:
        """A load."""
        return self.cpu.load(self.base + ecam_offset(*place, offset), size)

    def write(self, place: Place, offset: int, size: int, value: int) -> None:
        """A store."""
        self.cpu.store(self.base + ecam_offset(*place, offset), value, size)


@dataclass
class FoundBar:
    """One BAR as the scan sized it: `size` bytes of `space`, `bits` wide; `address` once given.

    `register` and `align` are given where they are not those of BAR `index` and not `size`.
    """

    index: int
    space: Literal["memory", "port"]
    size: int
    bits: int
    prefetchable: bool
    address: int | None = None
    register: int | None = None
    align: int | None = None


@dataclass
class Found:
    """One function that the scan met. `buses` are the numbers below it, if it is a bridge."""

    place: Place
    vendor: int
    device: int
    class_code: int
    header_type: int
    bars: list[FoundBar] = field(default_factory=list)
    pin: int = 0
    line: int | None = None
    below: list[Found] = field(default_factory=list)
    buses: tuple[int, int] | None = None
    windows: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def is_bridge(self) -> bool:
        """Whether a bus is below it."""
        return self.header_type == 1

    def walk(self) -> Iterator[Found]:
        """Itself, and everything below it, depth first."""
        yield self
        for child in self.below:
            yield from child.walk()

    def bar(self, index: int) -> int:
        """The address of BAR `index`; `LookupError` if it has none."""
        for bar in self.bars:
            if bar.index == index and bar.address is not None:
                return bar.address
        raise LookupError(f"{self.place} has no address in BAR {index}")


class Scan:
    """Finds what is there, by `access`. `buses` counts the numbers given out, bus 0 included."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.buses = 1

    def run(self) -> list[Found]:
        """The functions of bus 0, each with what is below it."""
        self.buses = 1
        return self._bus(0)

    def _bus(self, bus: int) -> list[Found]:
        found = []
        for device in range(DEVICES):
            first = Place(bus, device, 0)
            if self.access.read(first, Header.VENDOR_ID.offset, 2) == ABSENT:
                continue
            multi = self.access.read(first, Header.HEADER_TYPE.offset, 1) & 0x80
            for number in range(FUNCTIONS if multi else 1):
                place = Place(bus, device, number)
                if self.access.read(place, Header.VENDOR_ID.offset, 2) != ABSENT:
                    found.append(self._function(place))
        return found

    def _function(self, place: Place) -> Found:
        found = Found(
            place,
            vendor=self.access.read(place, Header.VENDOR_ID.offset, 2),
            device=self.access.read(place, Header.DEVICE_ID.offset, 2),
            class_code=self.access.read(place, Header.REVISION_ID.offset, 4) >> 8,
            header_type=self.access.read(place, Header.HEADER_TYPE.offset, 1) & 0x7F,
            pin=self.access.read(place, Header.INTERRUPT_PIN.offset, 1),
        )
        found.bars = size_bars(self.access, place, 2 if found.is_bridge else 6)
        if found.is_bridge and self.buses < MAX_BUSES:
            self._bridge(found)
        return found

    def _bridge(self, found: Found) -> None:
        """Give the next number to the bus below, look there, then say how far the numbers go."""
        number, self.buses = self.buses, self.buses + 1
        write = self.access.write
        write(found.place, Type1.PRIMARY_BUS.offset, 1, found.place.bus)
        write(found.place, Type1.SECONDARY_BUS.offset, 1, number)
        write(found.place, Type1.SUBORDINATE_BUS.offset, 1, MAX_BUSES - 1)
        found.below = self._bus(number)
        found.buses = number, self.buses - 1
        write(found.place, Type1.SUBORDINATE_BUS.offset, 1, self.buses - 1)


def size_bars(access: Access, place: Place, count: int) -> list[FoundBar]:
    """The BARs of a function that has `count` registers for them. Nothing decodes meanwhile."""
    command = access.read(place, Header.COMMAND.offset, 2)
    decoding = Header.COMMAND.IO_SPACE.mask | Header.COMMAND.MEMORY_SPACE.mask
    access.write(place, Header.COMMAND.offset, 2, command & ~decoding)
    bars, index = [], 0
    while index < count:
        bar = size_bar(access, place, Type0.BAR0.offset + 4 * index, index)
        bars += [bar] if bar is not None else []
        index += 2 if bar is not None and bar.bits == 64 else 1
    access.write(place, Header.COMMAND.offset, 2, command)
    return bars


def size_bar(access: Access, place: Place, at: int, index: int) -> FoundBar | None:
    """All ones in at offset `at`, what can be written back out: its lowest bit is the size."""
    writable = _writable(access, place, at)
    memory = BAR_FIELDS["memory"]
    if memory["IO"].get(writable):
        mask = writable & BAR_FIELDS["port"]["ADDRESS"].mask
        return FoundBar(index, "port", mask & -mask, 32, False) if mask else None
    bits = 64 if memory["TYPE"].get(writable) == TYPE_64 else 32
    mask = writable & memory["ADDRESS"].mask
    if bits == 64:
        mask |= _writable(access, place, at + 4) << 32
    ahead = bool(memory["PREFETCHABLE"].get(writable))
    return FoundBar(index, "memory", mask & -mask, bits, ahead) if mask else None


def _writable(access: Access, place: Place, at: int) -> int:
    before = access.read(place, at, 4)
    access.write(place, at, 4, all_ones(4))
    answer = access.read(place, at, 4)
    access.write(place, at, 4, before)
    return answer


def capability_list(access: Access, place: Place) -> list[tuple[int, int]]:
    """`(id, offset)` of each capability. A list that loops ends after as many as there can be."""
    status = access.read(place, Header.STATUS.offset, 2)
    if not Header.STATUS.CAPABILITIES_LIST.get(status):
        return []
    found: list[tuple[int, int]] = []
    at = access.read(place, Header.CAPABILITIES.offset, 1) & 0xFC
    while at and len(found) < MAX_CAPABILITIES:
        word = access.read(place, at, 2)
        found.append((word & 0xFF, at))
        at = word >> 8 & 0xFC
    return found


def open_ecam(cpu: Cpu, base: int) -> EcamAccess:
    """Tell the host bridge to show ECAM at `base`. `LookupError` where it is not one with ECAM."""
    access, host = PortAccess(cpu), Place(0, 0, 0)
    identity = HOST_BRIDGE.device << 16 | HOST_BRIDGE.vendor
    if access.read(host, Header.VENDOR_ID.offset, 4) != identity:
        raise LookupError("the host bridge has no PCIEXBAR that is known here")
    at, reg = EcamRegisters.AT, EcamRegisters.PCIEXBAR
    access.write(host, at + 4, 4, base >> 32)
    access.write(host, at, 4, base & all_ones(4) | reg.ENABLE.mask)
    return EcamAccess(cpu, base)


def find(functions: list[Found], vendor: int, device: int) -> Found:
    """The first function of this identity. `LookupError` if there is none."""
    for top in functions:
        for found in top.walk():
            if (found.vendor, found.device) == (vendor, device):
                return found
    raise LookupError(f"no function {vendor:04x}:{device:04x} is there")
