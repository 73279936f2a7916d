"""Giving PCI functions what they ask for: addresses, bridge windows, interrupts.

    plan     what is on a bus, largest first, each at its own alignment; a bridge is one piece with
             everything below it, rounded up to what its window can say
    program  write the BARs and the windows
    route    which interrupt each pin ends at, through the swizzle of every bridge
    enable   decode, and master the bus

The idea: a plan depends on no address. It is offsets from a base that is aligned for its largest
piece. So a bridge's plan is made once, and moves with the bridge.

The rule that keeps it simple: three kinds of addresses (io, memory, prefetchable), the same code
for each.

Source: PCI Local Bus 3.0, 6.2.5; PCI-to-PCI Bridge 1.2, 3.2.5 and 9.1; Intel ICH9, 13.1.17; Intel
PIIX3, 4.1.10. Left out: moving what does not fit, hot-plug reserves, VGA and ISA enables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from virtlab.cpu import Cpu
from virtlab.guest.pci import (
    Access,
    Found,
    FoundBar,
    Place,
    PortAccess,
    Scan,
)
from virtlab.pci.bridge import MEBIBYTE, PORTS_4K
from virtlab.pci.bus import swizzle
from virtlab.pci.chipset import ISA_BRIDGE, PirqRegisters, pirq_of
from virtlab.pci.config import Header, Type0, Type1
from virtlab.wire import all_ones

Kind = Literal["io", "memory", "prefetchable"]
KINDS: tuple[Kind, ...] = ("io", "memory", "prefetchable")

GRAIN = {"io": 1 << PORTS_4K, "memory": 1 << MEBIBYTE, "prefetchable": 1 << MEBIBYTE}
"""What a bridge's window can be aligned to, and be a multiple of."""

IRQS = (10, 9, 5, 10)
"""ISA interrupts that a PC has free for PCI pins; the fourth pin shares with the first."""

ELCR = 0x4D0
"""Two ports, a bit for each ISA interrupt: 1 is level (PIIX3, 4.3)."""


class Windows(NamedTuple):
    """Addresses that a board keeps for PCI: `(base, length)` for each kind."""

    io: tuple[int, int] = (0x1000, 0xF000)
    memory: tuple[int, int] = (0xC000_0000, 0x3E00_0000)
    prefetchable: tuple[int, int] = (0x8_0000_0000, 0x8_0000_0000)


class Plan(NamedTuple):
    """`size` bytes at a multiple of `align`, and what lies at which offset in them."""

    kind: Kind
    size: int
    align: int
    pieces: tuple[Piece, ...]


class Piece(NamedTuple):
    """At `offset`: a BAR, or the window of a bridge with its own plan."""

    offset: int
    bar: FoundBar | None = None
    bridge: Found | None = None
    plan: Plan | None = None


def plan(functions: Iterable[Found], kind: Kind) -> Plan:
    """Where everything of `kind` on one bus goes, what is below its bridges included."""
    pieces = [Piece(0, bar=bar) for f in functions for bar in f.bars if kind_of(bar) == kind]
    for function in functions:
        inner = plan(function.below, kind) if function.is_bridge else None
        if inner is not None and inner.size:
            grain = GRAIN[kind]
            rounded = inner._replace(size=_up(inner.size, grain), align=max(inner.align, grain))
            pieces.append(Piece(0, bridge=function, plan=rounded))
    return _stack(kind, pieces)


def _stack(kind: Kind, pieces: list[Piece]) -> Plan:
    """One after another, the largest alignment first."""
    placed, end, largest = [], 0, 1
    for piece in sorted(pieces, key=lambda piece: -_extent(piece)[1]):
        size, align = _extent(piece)
        offset = _up(end, align)
        placed.append(piece._replace(offset=offset))
        end, largest = offset + size, max(largest, align)
    return Plan(kind, end, largest, tuple(placed))


def _extent(piece: Piece) -> tuple[int, int]:
    """Bytes, and alignment."""
    if piece.plan is not None:
        return piece.plan.size, piece.plan.align
    assert piece.bar is not None
    return piece.bar.size, piece.bar.align or piece.bar.size


def kind_of(bar: FoundBar) -> Kind:
    """The window that a BAR belongs into. Only 64-bit prefetchable memory may go above 4 GiB."""
    if bar.space == "port":
        return "io"
    return "prefetchable" if bar.prefetchable and bar.bits == 64 else "memory"


def settle(plan: Plan, base: int) -> None:
    """Say it: from here on every BAR of the plan has an address, every bridge a window."""
    for piece in plan.pieces:
        at = base + piece.offset
        if piece.bar is not None:
            piece.bar.address = at
        elif piece.bridge is not None and piece.plan is not None:
            piece.bridge.windows[plan.kind] = at, at + piece.plan.size - 1
            settle(piece.plan, at)


def assign(functions: list[Found], windows: Windows) -> None:
    """Give every BAR an address. `ValueError` where the board has too few."""
    for kind in KINDS:
        base, length = getattr(windows, kind)
        whole = plan(functions, kind)
        start = _up(base, whole.align)
        if start + whole.size > base + length:
            raise ValueError(f"{kind}: {whole.size:#x} bytes are wanted, {length:#x} are free")
        settle(whole, start)


def program(access: Access, functions: Iterable[Found]) -> None:
    """Write the addresses and the windows into the registers, then let everything decode."""
    for top in functions:
        for found in top.walk():
            for bar in found.bars:
                _write_bar(access, found.place, bar)
            if found.is_bridge:
                _write_windows(access, found)
            _enable(access, found)


def _write_bar(access: Access, place: Place, bar: FoundBar) -> None:
    at = Type0.BAR0.offset + 4 * bar.index if bar.register is None else bar.register
    if bar.address is not None:
        access.write(place, at, 4, bar.address & all_ones(4))
        if bar.bits == 64:
            access.write(place, at + 4, 4, bar.address >> 32)


def _write_windows(access: Access, bridge: Found) -> None:
    """Each window by its base and its limit; a base above the limit closes it."""
    io = bridge.windows.get("io", (0xF000, 0x0FFF))
    access.write(bridge.place, Type1.IO_BASE.offset, 1, io[0] >> 8 & 0xF0)
    access.write(bridge.place, Type1.IO_LIMIT.offset, 1, io[1] >> 8 & 0xF0)
    closed = 0xFFF0_0000, 0x000F_FFFF
    memory = bridge.windows.get("memory", closed)
    access.write(bridge.place, Type1.MEMORY_BASE.offset, 2, memory[0] >> 16 & 0xFFF0)
    access.write(bridge.place, Type1.MEMORY_LIMIT.offset, 2, memory[1] >> 16 & 0xFFF0)
    ahead = bridge.windows.get("prefetchable", closed)
    access.write(bridge.place, Type1.PREFETCHABLE_BASE.offset, 2, ahead[0] >> 16 & 0xFFF0)
    access.write(bridge.place, Type1.PREFETCHABLE_LIMIT.offset, 2, ahead[1] >> 16 & 0xFFF0)
    access.write(bridge.place, Type1.PREFETCHABLE_BASE_UPPER.offset, 4, ahead[0] >> 32)
    access.write(bridge.place, Type1.PREFETCHABLE_LIMIT_UPPER.offset, 4, ahead[1] >> 32)


def _enable(access: Access, found: Found) -> None:
    fields = Header.COMMAND
    wanted = fields.BUS_MASTER.mask
    spaces = {bar.space for bar in found.bars}
    if found.is_bridge or "port" in spaces:
        wanted |= fields.IO_SPACE.mask
    if found.is_bridge or "memory" in spaces:
        wanted |= fields.MEMORY_SPACE.mask
    command = access.read(found.place, Header.COMMAND.offset, 2)
    access.write(found.place, Header.COMMAND.offset, 2, command | wanted)


# -- interrupts


def pins(functions: Iterable[Found]) -> Iterator[tuple[Found, int, int]]:
    """Every function with a pin, with the device on bus 0 and the pin there that it ends at."""
    for found in functions:
        if found.pin:
            yield found, found.place.device, found.pin
        for child, device, pin in pins(found.below):
            yield child, found.place.device, swizzle(device, pin)


def route(cpu: Cpu, access: Access, functions: list[Found]) -> None:
    """Program the ISA bridge, note each interrupt in Interrupt Line, make them level-triggered.

    Where no known ISA bridge is, nothing is routed.
    """
    bridge = next((f for f in functions if (f.vendor, f.device) in ROUTERS), None)
    if bridge is None:
        return
    router = ROUTERS[bridge.vendor, bridge.device]
    for pirq, at in enumerate(router.registers):
        access.write(bridge.place, at, 1, IRQS[pirq % 4])
    for found, device, pin in pins(functions):
        found.line = IRQS[router.pirq(device, pin) % 4]
        access.write(found.place, Header.INTERRUPT_LINE.offset, 1, found.line)
    for byte in (0, 1):
        level = sum(1 << irq - 8 * byte for irq in set(IRQS) if irq // 8 == byte)
        cpu.out(ELCR + byte, cpu.inp(ELCR + byte) | level)


class Router(NamedTuple):
    """An ISA bridge: its routing registers, and the device whose pin A is the first of them."""

    registers: tuple[int, ...]
    first: int | None

    def pirq(self, device: int, pin: int) -> int:
        """Which routing register decides about a pin of a device on bus 0."""
        if self.first is None:
            return pirq_of(device, pin)
        return (device - self.first + pin - 1) % 4


_ICH9 = tuple(bank + index for bank in PirqRegisters.AT for index in range(4))
ROUTERS = {
    (ISA_BRIDGE.vendor, ISA_BRIDGE.device): Router(_ICH9, None),
    (0x8086, 0x7000): Router((0x60, 0x61, 0x62, 0x63), 1),
}
"""By vendor and device: the ICH9, as on our boards and q35, and the PIIX3 of older PCs."""


def enumerate_pci(
    cpu: Cpu,
    access: Access | None = None,
    windows: Windows | None = None,
    scan: Scan | None = None,
) -> list[Found]:
    """All of it, as firmware does it at power-on: the functions of bus 0 and what is below.

    `scan` is one that finds more, by the same `access`.
    """
    way = access or PortAccess(cpu)
    functions = (scan or Scan(way)).run()
    assign(functions, windows or Windows())
    program(way, functions)
    route(cpu, way, functions)
    return functions


def _up(value: int, align: int) -> int:
    return -(-value // align) * align
