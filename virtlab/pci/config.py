"""Configuration space: 256 bytes, or 4096, in which a function says what it is and is told where.

    0x00  header: type 0 (a device) or type 1 (a bridge), 64 bytes
    0x40  capabilities, linked by offsets from the byte at 0x34     (PCI 3.0, 6.7)
    0x100 extended capabilities, linked from 0x100                  (PCI Express 3.0, 7.9)

The idea: every structure in it is a `RegisterFile`, declared once. The same declaration makes a
function of ours answer, decodes a dump of a real machine, and labels the picture. A function
differs from the next by `preset` (what it says) and `narrow` (which bits it lets be written).

The rule that keeps it simple: `ConfigSpace` is a `Device`. After each write it calls `written`
once, and the function looks at all its registers anew.

Source: PCI Local Bus 3.0, 6.1, 6.2; PCI-to-PCI Bridge 1.2, 3.2; PCI Express 3.0, 7.5, 7.9. Left
out: the type 2 header of CardBus bridges.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

from virtlab.bus import cycles
from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits, all_ones

CONVENTIONAL, EXPRESS = 256, 4096
"""Bytes of configuration space that a PCI function has, and a PCI Express function."""

HEADER_SIZE, EXTENDED = 0x40, 0x100
"""Where the capabilities may begin, and where the extended ones do begin."""

MAX_CAPABILITIES = 48
"""Capabilities that fit between 0x40 and 0x100: the longest list that is not a loop."""


class Header(RegisterFile):
    """What both header types have."""

    length = HEADER_SIZE
    VENDOR_ID = Reg(0x00, 2, spec="PCI 3.0 6.2.1", doc="Who made it. FFFFh: nobody is there.")
    DEVICE_ID = Reg(0x02, 2, spec="PCI 3.0 6.2.1", doc="Which device of that vendor.")
    COMMAND = Reg(
        0x04,
        2,
        rw=0x0547,
        fields={
            "IO_SPACE": Bits(0),
            "MEMORY_SPACE": Bits(1),
            "BUS_MASTER": Bits(2),
            "SPECIAL_CYCLES": Bits(3),
            "MEMORY_WRITE_INVALIDATE": Bits(4),
            "VGA_SNOOP": Bits(5),
            "PARITY_ERROR_RESPONSE": Bits(6),
            "SERR_ENABLE": Bits(8),
            "FAST_BACK_TO_BACK": Bits(9),
            "INTERRUPT_DISABLE": Bits(10),
        },
        spec="PCI 3.0 6.2.2",
        doc="What the function may do: answer in a space, master the bus, pull its pin.",
    )
    STATUS = Reg(
        0x06,
        2,
        w1c=0xF900,
        fields={
            "INTERRUPT_STATUS": Bits(3),
            "CAPABILITIES_LIST": Bits(4),
            "CAPABLE_66MHZ": Bits(5),
            "FAST_BACK_TO_BACK": Bits(7),
            "MASTER_DATA_PARITY_ERROR": Bits(8),
            "DEVSEL_TIMING": Bits(10, 9),
            "SIGNALED_TARGET_ABORT": Bits(11),
            "RECEIVED_TARGET_ABORT": Bits(12),
            "RECEIVED_MASTER_ABORT": Bits(13),
            "SIGNALED_SYSTEM_ERROR": Bits(14),
            "DETECTED_PARITY_ERROR": Bits(15),
        },
        spec="PCI 3.0 6.2.3",
        doc="What happened to it, and whether it has capabilities.",
    )
    REVISION_ID = Reg(0x08, 1, spec="PCI 3.0 6.2.1", doc="The vendor's number for a revision.")
    CLASS_CODE = Reg(
        0x09,
        3,
        fields={"INTERFACE": Bits(7, 0), "SUBCLASS": Bits(15, 8), "BASE_CLASS": Bits(23, 16)},
        spec="PCI 3.0 6.2.1",
        doc="What kind of thing it is, whoever made it.",
    )
    CACHE_LINE_SIZE = Reg(0x0C, 1, rw=0xFF, spec="PCI 3.0 6.2.4", doc="In units of 4 bytes.")
    LATENCY_TIMER = Reg(0x0D, 1, spec="PCI 3.0 6.2.4", doc="How long it may keep the bus.")
    HEADER_TYPE = Reg(
        0x0E,
        1,
        fields={"LAYOUT": Bits(6, 0), "MULTI_FUNCTION": Bits(7)},
        spec="PCI 3.0 6.2.1",
        doc="The layout of what follows, and whether the device has more functions.",
    )
    BIST = Reg(0x0F, 1, spec="PCI 3.0 6.2.4", doc="Built-in self test; 0: there is none.")
    CAPABILITIES = Reg(0x34, 1, spec="PCI 3.0 6.7", doc="Where the first capability is.")
    INTERRUPT_LINE = Reg(
        0x3C, 1, rw=0xFF, spec="PCI 3.0 6.2.4", doc="A note from firmware to the driver."
    )
    INTERRUPT_PIN = Reg(0x3D, 1, spec="PCI 3.0 6.2.4", doc="0: none, 1 to 4: INTA# to INTD#.")


def _bar(index: int) -> Reg:
    return Reg(
        0x10 + 4 * index,
        4,
        spec="PCI 3.0 6.2.5.1",
        doc="Where the function answers; its writable bits tell how many bytes it has.",
    )


BAR_FIELDS = {
    "port": {"IO": Bits(0), "ADDRESS": Bits(31, 2)},
    "memory": {
        "IO": Bits(0),
        "TYPE": Bits(2, 1),
        "PREFETCHABLE": Bits(3),
        "ADDRESS": Bits(31, 4),
    },
}
"""The bits of a base address register; its lowest bit says which of the two it is."""

ROM_FIELDS = {"ENABLE": Bits(0), "ADDRESS": Bits(31, 11)}


class Type0(Header):
    """The header of a device: six BARs."""

    length = HEADER_SIZE
    BAR0, BAR1, BAR2 = _bar(0), _bar(1), _bar(2)
    BAR3, BAR4, BAR5 = _bar(3), _bar(4), _bar(5)
    CARDBUS_CIS = Reg(0x28, 4, spec="PCI 3.0 6.2.4", doc="For CardBus cards.")
    SUBSYSTEM_VENDOR_ID = Reg(0x2C, 2, spec="PCI 3.0 6.2.4", doc="Who made the card.")
    SUBSYSTEM_ID = Reg(0x2E, 2, spec="PCI 3.0 6.2.4", doc="Which card.")
    EXPANSION_ROM = Reg(
        0x30, 4, fields=ROM_FIELDS, spec="PCI 3.0 6.2.5.2", doc="Where the card's ROM answers."
    )
    MIN_GNT = Reg(0x3E, 1, spec="PCI 3.0 6.2.4", doc="How long a burst it needs, in 250 ns.")
    MAX_LAT = Reg(0x3F, 1, spec="PCI 3.0 6.2.4", doc="How often it needs the bus, in 250 ns.")


class Type1(Header):
    """The header of a bridge: two BARs, three bus numbers, three windows."""

    length = HEADER_SIZE
    BAR0, BAR1 = _bar(0), _bar(1)
    PRIMARY_BUS = Reg(0x18, 1, rw=0xFF, spec="PCI bridge 1.2 3.2.5.2", doc="The bus above.")
    SECONDARY_BUS = Reg(0x19, 1, rw=0xFF, spec="PCI bridge 1.2 3.2.5.3", doc="The bus below.")
    SUBORDINATE_BUS = Reg(
        0x1A, 1, rw=0xFF, spec="PCI bridge 1.2 3.2.5.4", doc="The highest bus below."
    )
    SECONDARY_LATENCY_TIMER = Reg(
        0x1B, 1, spec="PCI bridge 1.2 3.2.5.5", doc="The latency timer on the bus below."
    )
    IO_BASE = Reg(
        0x1C,
        1,
        rw=0xF0,
        fields={"TYPE": Bits(3, 0), "ADDRESS": Bits(7, 4)},
        spec="PCI bridge 1.2 3.2.5.6",
        doc="Address bits 15 to 12 of the first port that goes down.",
    )
    IO_LIMIT = Reg(
        0x1D,
        1,
        rw=0xF0,
        fields={"TYPE": Bits(3, 0), "ADDRESS": Bits(7, 4)},
        spec="PCI bridge 1.2 3.2.5.6",
        doc="Address bits 15 to 12 of the last.",
    )
    SECONDARY_STATUS = Reg(
        0x1E,
        2,
        w1c=0xF900,
        fields={
            name: bits
            for name, bits in Header.STATUS.fields.items()
            if name not in ("INTERRUPT_STATUS", "CAPABILITIES_LIST", "SIGNALED_SYSTEM_ERROR")
        }
        | {"RECEIVED_SYSTEM_ERROR": Bits(14)},
        spec="PCI bridge 1.2 3.2.5.7",
        doc="What happened on the bus below.",
    )
    MEMORY_BASE = Reg(
        0x20, 2, rw=0xFFF0, spec="PCI bridge 1.2 3.2.5.8", doc="Bits 31 to 20 of the first byte."
    )
    MEMORY_LIMIT = Reg(
        0x22, 2, rw=0xFFF0, spec="PCI bridge 1.2 3.2.5.8", doc="Bits 31 to 20 of the last."
    )
    PREFETCHABLE_BASE = Reg(
        0x24,
        2,
        rw=0xFFF0,
        fields={"TYPE": Bits(3, 0), "ADDRESS": Bits(15, 4)},
        spec="PCI bridge 1.2 3.2.5.9",
        doc="The same for memory where reading ahead does no harm.",
    )
    PREFETCHABLE_LIMIT = Reg(
        0x26,
        2,
        rw=0xFFF0,
        fields={"TYPE": Bits(3, 0), "ADDRESS": Bits(15, 4)},
        spec="PCI bridge 1.2 3.2.5.9",
        doc="Its last mebibyte.",
    )
    PREFETCHABLE_BASE_UPPER = Reg(
        0x28, 4, rw=all_ones(4), spec="PCI bridge 1.2 3.2.5.10", doc="Bits 63 to 32."
    )
    PREFETCHABLE_LIMIT_UPPER = Reg(
        0x2C, 4, rw=all_ones(4), spec="PCI bridge 1.2 3.2.5.10", doc="Bits 63 to 32."
    )
    IO_BASE_UPPER = Reg(0x30, 2, spec="PCI bridge 1.2 3.2.5.11", doc="Port bits 31 to 16.")
    IO_LIMIT_UPPER = Reg(0x32, 2, spec="PCI bridge 1.2 3.2.5.11", doc="Port bits 31 to 16.")
    EXPANSION_ROM = Reg(
        0x38, 4, fields=ROM_FIELDS, spec="PCI bridge 1.2 3.2.5.13", doc="The bridge's own ROM."
    )
    BRIDGE_CONTROL = Reg(
        0x3E,
        2,
        rw=0x005F,
        fields={
            "PARITY_ERROR_RESPONSE": Bits(0),
            "SERR_ENABLE": Bits(1),
            "ISA_ENABLE": Bits(2),
            "VGA_ENABLE": Bits(3),
            "VGA_16BIT": Bits(4),
            "MASTER_ABORT_MODE": Bits(5),
            "SECONDARY_BUS_RESET": Bits(6),
            "FAST_BACK_TO_BACK": Bits(7),
            "PRIMARY_DISCARD_TIMER": Bits(8),
            "SECONDARY_DISCARD_TIMER": Bits(9),
            "DISCARD_TIMER_STATUS": Bits(10),
            "DISCARD_TIMER_SERR": Bits(11),
        },
        spec="PCI bridge 1.2 3.2.5.18",
        doc="Legacy addresses that go down too, and the reset of the bus below.",
    )


class Capability(RegisterFile):
    """The head that every capability has. A class of its own gives each its `id`."""

    id: ClassVar[int] = 0
    CAPABILITY_ID = Reg(0x00, 1, spec="PCI 3.0 6.7", doc="Which capability this is.")
    NEXT = Reg(0x01, 1, spec="PCI 3.0 6.7", doc="Where the next one is; 0 ends the list.")

    def __init__(self) -> None:
        super().__init__()
        self.preset(CAPABILITY_ID=self.id)


class ExtendedCapability(RegisterFile):
    """The head that every extended capability has."""

    id: ClassVar[int] = 0
    version: ClassVar[int] = 1
    HEADER = Reg(
        0x00,
        4,
        fields={"ID": Bits(15, 0), "VERSION": Bits(19, 16), "NEXT": Bits(31, 20)},
        spec="PCI Express 3.0 7.9.3",
        doc="Which capability this is, its version, and where the next one is.",
    )

    def __init__(self) -> None:
        super().__init__()
        fields = ExtendedCapability.HEADER
        self.preset(HEADER=fields.VERSION.put(self.id, self.version))


Part = TypeVar("Part", bound=RegisterFile)


class ConfigSpace:
    """The configuration space of one function: `header`, and whatever is placed behind it.

    It is a `Device`: `read(offset, size)` and `write(offset, size, value)`. Where nothing is
    placed, a read gives zero (PCI 3.0, 6.1). `express` gives it 4096 bytes. `written()` is called
    after each write.
    """

    def __init__(self, header: Header, express: bool = False) -> None:
        self.header = header
        self.size = EXPRESS if express else CONVENTIONAL
        self.parts: dict[int, RegisterFile] = {0: header}
        self.written: Callable[[], None] = lambda: None

    # -- making it

    def place(self, at: int, part: Part) -> Part:
        """Put registers at offset `at`. `ValueError` where something is, or outside the space."""
        end = at + part.length
        if at % 4 or not 0 <= at < end <= self.size:
            raise ValueError(
                f"{type(part).__name__} does not fit at {at:#x} of {self.size:#x} bytes"
            )
        for base, other in self.parts.items():
            if at < base + other.length and base < end:
                raise ValueError(f"{type(part).__name__} at {at:#x} overlaps the part at {base:#x}")
        self.parts[at] = part
        return part

    def add(self, capability: Part, at: int) -> Part:
        """Place a capability at `at` and link it behind the last one of its list."""
        if isinstance(capability, ExtendedCapability):
            chain = self.extended_capabilities()
            if bool(chain) == (at == EXTENDED):
                raise ValueError(f"the first extended capability is at 0x100, not {at:#x}")
            self.place(at, capability)
            if chain:
                last = list(chain.values())[-1]
                last.preset(HEADER=ExtendedCapability.HEADER.NEXT.put(last.HEADER, at))
        elif isinstance(capability, Capability):
            standard = self.capabilities()
            self.place(at, capability)
            status = Header.STATUS.CAPABILITIES_LIST
            self.header.preset(STATUS=self.header.STATUS | status.mask)
            if standard:
                list(standard.values())[-1].preset(NEXT=at)
            else:
                self.header.preset(CAPABILITIES=at)
        else:
            raise TypeError(f"{type(capability).__name__} is no capability")
        return capability

    # -- looking at it

    def capabilities(self) -> dict[int, Capability]:
        """The capabilities by offset, in the order of their list."""
        found: dict[int, Capability] = {}
        at = self.header.CAPABILITIES
        while at and isinstance(part := self.parts.get(at), Capability):
            found[at] = part
            at = part.NEXT
        return found

    def extended_capabilities(self) -> dict[int, ExtendedCapability]:
        """The extended capabilities by offset, in the order of their list."""
        found: dict[int, ExtendedCapability] = {}
        at = EXTENDED
        while isinstance(part := self.parts.get(at), ExtendedCapability):
            found[at] = part
            at = ExtendedCapability.HEADER.NEXT.get(part.HEADER)
        return found

    def find(self, kind: type[Part]) -> Part | None:
        """The part of class `kind`, or None."""
        return next((part for part in self.parts.values() if isinstance(part, kind)), None)

    def dump(self) -> bytes:
        """All bytes, as a driver reads them: what `lspci -xxxx` prints."""
        words = (self.read(offset, 4) for offset in range(0, self.size, 4))
        return b"".join(word.to_bytes(4, "little") for word in words)

    # -- the device's two verbs

    def read(self, offset: int, size: int) -> int:
        """`size` bytes at `offset`: zero in the holes, all ones past the end."""
        value = 0
        for at, n, shift in cycles(offset, size, 4):
            value |= self._read(at, n) << shift
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """A masked write to whatever registers lie there; then `written` is called."""
        for at, n, shift in cycles(offset, size, 4):
            part, inside = self._part(at)
            if part is not None:
                part.write(inside, n, value >> shift & all_ones(n))
        self.written()

    def reset(self) -> None:
        """Every register to its reset value."""
        for part in self.parts.values():
            part.reset()
        self.written()

    def _read(self, offset: int, size: int) -> int:
        if offset + size > self.size:
            return all_ones(size)
        part, inside = self._part(offset)
        return part.read(inside, size) if part is not None else 0

    def _part(self, offset: int) -> tuple[RegisterFile | None, int]:
        for at, part in self.parts.items():
            if at <= offset < at + part.length:
                return part, offset - at
        return None, 0
