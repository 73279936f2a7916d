"""A bridge: a function with a bus below it, and three windows that say what goes down.

             primary side (above)
    [ registers of type 1: primary, secondary, subordinate; windows ]
             secondary side (below): a bus

The idea: a bridge needs no list of what is below it. It has a range of bus numbers for
configuration requests, a range of ports and two ranges of memory. What is inside a range goes down.
A memory request from below goes up if it is *outside* all of them.

Source: PCI-to-PCI Bridge 1.2, 3.2.5 and 4. Left out: VGA palette snooping, delayed transactions.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.pci.bars import Space
from virtlab.pci.bus import Bus, Kind
from virtlab.pci.config import Header, Type1
from virtlab.pci.extended import Acs
from virtlab.pci.function import Function, Identity
from virtlab.pci.pcie import Express
from virtlab.pci.tlp import source_id

MEBIBYTE, PORTS_4K = 20, 12
"""Memory windows are in units of 1 MiB, port windows of 4096 ports: the bits below."""

VGA_MEMORY = range(0xA0000, 0xC0000)
VGA_PORTS = (range(0x3B0, 0x3BC), range(0x3C0, 0x3E0))
"""What goes down with VGA Enable, whatever the windows say (PCI bridge 1.2, 3.2.5.18)."""


class Window(NamedTuple):
    """`name` is io, memory or prefetchable; the addresses from `base` to `limit`, both included."""

    name: str
    space: Space
    base: int
    limit: int

    @property
    def open(self) -> bool:
        """A base above the limit closes a window."""
        return self.base <= self.limit

    def has(self, address: int, size: int) -> bool:
        """Whether the whole access is inside."""
        return self.base <= address and address + size - 1 <= self.limit


class Bridge(Function):
    """A bridge to a bus of `kind`. `express`: it is a port of a root complex or a switch."""

    header: Type1

    def __init__(
        self, identity: Identity, kind: Kind, *, name: str = "", express: bool = False, pin: int = 0
    ) -> None:
        super().__init__(identity, name=name, pin=pin, express=express, header=Type1())
        self.header.preset(HEADER_TYPE=1, PREFETCHABLE_BASE=1, PREFETCHABLE_LIMIT=1)
        self.below: Bus = Bus(kind, self)
        self._was_reset = False

    # -- the registers, read

    @property
    def secondary(self) -> int:
        """The number of the bus below."""
        return self.header.SECONDARY_BUS

    @property
    def windows(self) -> tuple[Window, Window, Window]:
        """The three windows as software has set them."""
        return windows(self.header.values)

    @property
    def may_request(self) -> bool:
        """Whether it passes requests up."""
        return bool(Header.COMMAND.BUS_MASTER.get(self.header.COMMAND))

    # -- routing

    def forwards(self, space: Space, address: int, size: int) -> bool:
        """Whether the access goes down: inside an open window of a space that is enabled.

        A port in D3hot takes configuration requests only (PCI Express 3.0, 5.3.1.4.1).
        """
        command = Header.COMMAND.IO_SPACE if space == "port" else Header.COMMAND.MEMORY_SPACE
        if not command.get(self.header.COMMAND) or not self.awake:
            return False
        if self._legacy(space, address, size):
            return True
        inside = any(w.space == space and w.has(address, size) for w in self.windows)
        return inside and not (space == "port" and self._isa_hole(address))

    def memory_spans(self) -> list[tuple[int, int]]:
        """See `Function.memory_spans`. Windows count whether they are enabled or not."""
        spans = [(w.base, w.limit + 1 - w.base) for w in self.windows if w.space == "memory"]
        if Type1.BRIDGE_CONTROL.VGA_ENABLE.get(self.header.BRIDGE_CONTROL):
            spans.append((VGA_MEMORY.start, len(VGA_MEMORY)))
        return super().memory_spans() + [span for span in spans if span[1] > 0]

    def _legacy(self, space: Space, address: int, size: int) -> bool:
        if not Type1.BRIDGE_CONTROL.VGA_ENABLE.get(self.header.BRIDGE_CONTROL):
            return False
        spans = (VGA_MEMORY,) if space == "memory" else VGA_PORTS
        return any(address in span and address + size - 1 in span for span in spans)

    def _isa_hole(self, port: int) -> bool:
        """With ISA Enable the upper 768 of every 1024 ports below 64 KiB stay above."""
        enabled = Type1.BRIDGE_CONTROL.ISA_ENABLE.get(self.header.BRIDGE_CONTROL)
        return bool(enabled) and port & 0x300 != 0

    def forwards_bus(self, number: int) -> bool:
        """Whether a configuration request for bus `number` goes down."""
        return self.header.SECONDARY_BUS <= number <= self.header.SUBORDINATE_BUS

    def requester_for(self, requester: int) -> int:
        """The source id that a request from below has above. A conventional bus has none.

        A bridge from conventional PCI answers for its devices with its own (VT-d 3.4.1).
        """
        return self.source_id if self.below.kind == "conventional" else requester

    @property
    def redirects(self) -> bool:
        """Whether ACS sends peer requests up to the root (PCI Express 3.0, 6.12.1.1)."""
        acs = self.config.find(Acs)
        return acs is not None and acs.redirects

    @property
    def returns(self) -> bool:
        """Whether ACS sends up what is addressed to its own bus below (Upstream Forwarding)."""
        acs = self.config.find(Acs)
        return acs is not None and acs.forwards

    def admits(self, requester: int) -> bool:
        """Whether a request from below may carry this source id (ACS Source Validation)."""
        acs = self.config.find(Acs)
        return acs is None or not acs.validates or self.forwards_bus(requester >> 8)

    @property
    def forwards_ari(self) -> bool:
        """Whether it passes configuration requests for any device number (6.13). Ports can."""
        express = self.config.find(Express)
        bit = Express.DEVICE_CONTROL_2.ARI_FORWARDING
        return express is not None and bool(bit.get(express.DEVICE_CONTROL_2))

    # -- reset

    def update(self) -> None:
        """As a function, and: Secondary Bus Reset resets what is below, once it is set."""
        super().update()
        resets = bool(Type1.BRIDGE_CONTROL.SECONDARY_BUS_RESET.get(self.header.BRIDGE_CONTROL))
        if resets and not self._was_reset:
            for function in self.below.walk():
                function.reset()
        self._was_reset = resets


class PciBridge(Bridge):
    """A bridge between two conventional buses."""

    def __init__(self, name: str = "PCI-PCI bridge") -> None:
        super().__init__(Identity(0x1011, 0x0026, 0x060400, 5), "conventional", name=name)


def windows(registers: dict[str, int]) -> tuple[Window, Window, Window]:
    """The windows that the values of a type 1 header mean, by register name."""
    fields = Type1.IO_BASE
    io = [
        fields.ADDRESS.get(registers[f"IO_{end}"]) << PORTS_4K
        | (registers[f"IO_{end}_UPPER"] << 16 if fields.TYPE.get(registers["IO_BASE"]) else 0)
        for end in ("BASE", "LIMIT")
    ]
    memory = [registers[f"MEMORY_{end}"] >> 4 << MEBIBYTE for end in ("BASE", "LIMIT")]
    ahead = [
        registers[f"PREFETCHABLE_{end}_UPPER"] << 32
        | Type1.PREFETCHABLE_BASE.ADDRESS.get(registers[f"PREFETCHABLE_{end}"]) << MEBIBYTE
        for end in ("BASE", "LIMIT")
    ]
    return (
        Window("io", "port", io[0], io[1] | (1 << PORTS_4K) - 1),
        Window("memory", "memory", memory[0], memory[1] | (1 << MEBIBYTE) - 1),
        Window("prefetchable", "memory", ahead[0], ahead[1] | (1 << MEBIBYTE) - 1),
    )


def of_source(bus: int) -> int:
    """The source id of device 0, function 0 on `bus`."""
    return source_id(bus, 0, 0)
