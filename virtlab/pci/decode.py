"""Decoding: from the bytes of a function to what they say, with the declarations we run on.

    bytes -> header -> BARs, ROM, a bridge's windows               `regions`
          -> list from 0x34 -> capabilities
          -> list from 0x100 -> extended capabilities -> SR-IOV

The idea: `Registers.at` reads any declared structure out of bytes. There is no second layout here.

The rule that keeps it simple: a dump is never wrong, only odd. A list that loops or leaves the
space ends there, and a note says so. Each list is bounded, for no offset is visited twice.

As `lspci` does, extended capabilities are looked for only in a function that has a PCI Express or
a PCI-X capability.

Source: PCI Local Bus 3.0, 6.1 to 6.7; PCI Express 3.0, 7.9; SR-IOV 1.1, 3.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from virtlab.pci.bars import ROM_REGISTER
from virtlab.pci.capabilities import SubsystemId
from virtlab.pci.config import (
    EXTENDED,
    HEADER_SIZE,
    Capability,
    ExtendedCapability,
    Header,
    Type0,
    Type1,
)
from virtlab.pci.dump import DumpedFunction
from virtlab.pci.extended import SrIov
from virtlab.pci.fields import Registers, number
from virtlab.pci.layouts import EXTENDED_CAPABILITIES, PciX, Type2, layout_of
from virtlab.pci.names import capability_name, extended_capability_name
from virtlab.pci.pcie import Express
from virtlab.pci.regions import (
    DecodedBar,
    DecodedRom,
    Window,
    bridge_windows,
    cardbus_windows,
    decode_bars,
    decode_rom,
)
from virtlab.wire import all_ones

BRIDGE = 1
"""The header type of a PCI-PCI bridge."""

HEADERS: dict[int, type[Header]] = {0: Type0, BRIDGE: Type1, 2: Type2}
"""The layouts of a header, by its type."""


class DecodedBridge(NamedTuple):
    """The buses of a bridge, and its windows."""

    primary: int
    secondary: int
    subordinate: int
    windows: tuple[Window, ...]


class DecodedSriov(NamedTuple):
    """What a physical function says of its virtual ones."""

    total_vfs: int
    initial_vfs: int
    num_vfs: int
    first_vf_offset: int
    vf_stride: int
    vf_enable: bool
    vf_device: int
    bars: tuple[DecodedBar, ...]


class DecodedCapability(NamedTuple):
    """A capability. `version` is that of an extended one, else None."""

    id: int
    offset: int
    name: str
    registers: Registers
    version: int | None = None


@dataclass
class DecodedFunction:
    """All that the bytes of a function say. `notes` are what is odd about them."""

    source: DumpedFunction
    header: Registers
    bars: list[DecodedBar] = field(default_factory=list)
    rom: DecodedRom | None = None
    capabilities: list[DecodedCapability] = field(default_factory=list)
    extended: list[DecodedCapability] = field(default_factory=list)
    bridge: DecodedBridge | None = None
    sriov: DecodedSriov | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def bdf(self) -> str:
        """Where it is."""
        return self.source.bdf

    @property
    def present(self) -> bool:
        """Whether anybody answered: all ones is nobody (PCI 3.0, 6.1)."""
        return any(byte != 0xFF for byte in self.source.data[:HEADER_SIZE])

    @property
    def vendor(self) -> int:
        """The vendor id. A virtual function has FFFFh (SR-IOV 1.1, 3.4.1.1)."""
        return self.header.value(Header.VENDOR_ID)

    @property
    def device(self) -> int:
        """The device id."""
        return self.header.value(Header.DEVICE_ID)

    @property
    def class_code(self) -> int:
        """Class, subclass, interface: 24 bits."""
        return self.header.value(Header.CLASS_CODE)

    @property
    def revision(self) -> int:
        """The revision."""
        return self.header.value(Header.REVISION_ID)

    @property
    def header_type(self) -> int:
        """0 a device, 1 a bridge, 2 a CardBus bridge."""
        return Header.HEADER_TYPE.LAYOUT.get(self.header.value(Header.HEADER_TYPE))

    @property
    def multi_function(self) -> bool:
        """Whether the device says that it has more functions."""
        return bool(Header.HEADER_TYPE.MULTI_FUNCTION.get(self.header.value(Header.HEADER_TYPE)))

    @property
    def subsystem(self) -> tuple[int, int] | None:
        """Vendor and device of the card, if it says so.

        A bridge says it in a capability (PCI Express 6.3, 7.9.23).
        """
        said = self.header
        if self.header_type == BRIDGE:
            found = self.find(SubsystemId)
            said = found.registers if found else Registers()
        vendor = said.value(Type0.SUBSYSTEM_VENDOR_ID)
        known = vendor not in (0, all_ones(2))
        return (vendor, said.value(Type0.SUBSYSTEM_ID)) if known else None

    def find(self, kind: type[Capability] | type[ExtendedCapability]) -> DecodedCapability | None:
        """The first capability with the id of `kind`, in the list that `kind` belongs to."""
        extended = issubclass(kind, ExtendedCapability)
        chain = self.extended if extended else self.capabilities
        return next((each for each in chain if each.id == kind.id), None)


def decode(source: DumpedFunction) -> DecodedFunction:
    """What the bytes of one function say. `ValueError` where they are fewer than a header has."""
    data = source.data
    if len(data) < HEADER_SIZE:
        raise ValueError(f"{source.bdf}: {len(data)} bytes; a header has {HEADER_SIZE}")
    kind = HEADERS.get(data[Header.HEADER_TYPE.offset] & Header.HEADER_TYPE.LAYOUT.mask, Header)
    function = DecodedFunction(source, Registers.at(kind, data, 0))
    if not function.present:
        function.notes.append("all ones: nobody answered")
        return function
    if kind is Header:
        function.notes.append(f"header type {function.header_type:#x} is not known")
        return function
    command = function.header.value(Header.COMMAND)
    memory = bool(Header.COMMAND.MEMORY_SPACE.get(command))
    ports = bool(Header.COMMAND.IO_SPACE.get(command))
    words = [each.value for each in function.header if each.name.startswith("BAR")]
    function.bars = list(decode_bars(words, memory, ports))
    function.rom = decode_rom(function.header.value(ROM_REGISTER), memory)
    function.bridge = _bridge(function)
    function.capabilities = list(_capabilities(function))
    if function.find(Express) or function.find(PciX):
        function.extended = list(_extended(function))
    function.sriov = _sriov(function)
    return function


def _bridge(function: DecodedFunction) -> DecodedBridge | None:
    if function.header_type == 0:
        return None
    header = function.header
    return DecodedBridge(
        header.value(Type1.PRIMARY_BUS),
        header.value(Type1.SECONDARY_BUS),
        header.value(Type1.SUBORDINATE_BUS),
        bridge_windows(header) if function.header_type == BRIDGE else cardbus_windows(header),
    )


def _sriov(function: DecodedFunction) -> DecodedSriov | None:
    found = function.find(SrIov)
    if found is None or len(found.registers) < len(SrIov.registers):
        return None
    value = found.registers.value
    control = value(SrIov.CONTROL)
    answers = bool(SrIov.CONTROL.VF_MSE.get(control))
    words = [each.value for each in found.registers if each.name.startswith("VF_BAR")]
    return DecodedSriov(
        total_vfs=value(SrIov.TOTAL_VFS),
        initial_vfs=value(SrIov.INITIAL_VFS),
        num_vfs=value(SrIov.NUM_VFS),
        first_vf_offset=value(SrIov.FIRST_VF_OFFSET),
        vf_stride=value(SrIov.VF_STRIDE),
        vf_enable=bool(SrIov.CONTROL.VF_ENABLE.get(control)),
        vf_device=value(SrIov.VF_DEVICE_ID),
        bars=tuple(decode_bars(words, answers, False)),
    )


# -- the two lists


def _capabilities(function: DecodedFunction) -> Iterator[DecodedCapability]:
    """Follow the list from the header, never to one place twice (PCI 3.0, 6.7)."""
    if not Header.STATUS.CAPABILITIES_LIST.get(function.header.value(Header.STATUS)):
        return
    data, seen = function.source.data, set[int]()
    at = function.header.value(Header.CAPABILITIES) & ~3
    while at:
        if why := _stop(function, at, seen, HEADER_SIZE):
            function.notes.append(f"the capability list {why}")
            return
        head = number(data, at, 4)
        if head & 0xFF == 0xFF:
            function.notes.append(f"the capability list breaks at {at:#04x}: all ones")
            return
        seen.add(at)
        kind, length = layout_of(head)
        registers = Registers.at(kind, data, at, length)
        yield DecodedCapability(head & 0xFF, at, capability_name(head & 0xFF), registers)
        at = head >> 8 & 0xFC


def _extended(function: DecodedFunction) -> Iterator[DecodedCapability]:
    """Follow the list from 0x100 (PCI Express 3.0, 7.9.1)."""
    data, seen, fields = function.source.data, set[int](), ExtendedCapability.HEADER
    at = EXTENDED
    while at and len(data) > EXTENDED:
        if why := _stop(function, at, seen, EXTENDED):
            function.notes.append(f"the list of extended capabilities {why}")
            return
        head = number(data, at, 4)
        if head in (0, all_ones(4)):
            return
        seen.add(at)
        id_ = fields.ID.get(head)
        kind = EXTENDED_CAPABILITIES.get(id_, ExtendedCapability)
        yield DecodedCapability(
            id_,
            at,
            extended_capability_name(id_),
            Registers.at(kind, data, at),
            fields.VERSION.get(head),
        )
        at = fields.NEXT.get(head) & ~3


def _stop(function: DecodedFunction, at: int, seen: set[int], first: int) -> str:
    """Why a list cannot go on at `at`; empty if it can."""
    have = len(function.source.data)
    if at in seen:
        return f"loops: it comes back to {at:#04x}"
    if at < first:
        return f"points to {at:#04x}, before {first:#04x}"
    if at + 4 > have:
        return f"goes on at {at:#04x}, and the dump has {have} bytes (sudo lspci -xxxx shows all)"
    return ""
