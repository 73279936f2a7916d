"""A choice of how a virtqueue lies in memory, and of the interface by which a device learns of it.

    legacy    one page number: table, available ring, padding, used ring, all from there
    split     three addresses: the same parts, anywhere
    packed    three addresses: one ring of descriptors, and two words

The idea: a choice is a frozen `Vring`, and every control of a widget is a function from choice to
choice. Wrong choices can be made too: what a device says to them, `vring_setup` finds out.

The rule that keeps it simple: the parts lie one behind the other. Only where the used ring begins
can be chosen, by its alignment.

Source: virtio 1.3 2.7, 2.7.2 (legacy), 2.8 (packed), 4.1.5.1.3.1 (a legacy device on PCI has the
size that it has, and an alignment of 4096).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from virtlab.memory import PAGE
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.packed_layouts import PackedRings
from virtlab.wire import all_ones

Bus = Literal["PCI", "MMIO"]
Layout = Literal["legacy", "split", "packed"]

BUSES: tuple[Bus, ...] = ("PCI", "MMIO")
LAYOUTS: tuple[Layout, ...] = ("legacy", "split", "packed")

LARGEST = 256
"""The largest size that the device allows, where the driver chooses."""

RAM = 1 << 20
"""Bytes of the guest's memory, from 0."""

POWERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SIZES = (1, 2, 3, 4, 5, 8, 16, 32, 64, 100, 128, 256, 300, 512)
"""Sizes to choose from: where the device has made them, and where the driver may err."""

LEGACY_ALIGNS = (2, 3, 64, 256, 4096, 8192)
SPLIT_ALIGNS = (2, 4, 16, 64, 4096)
"""Alignments of the used ring to choose from, wrong ones among them."""


@dataclass(frozen=True, slots=True)
class Vring:
    """A choice. `place` is a page number where `layout` is legacy, else the address of the table.

    `align` is where the used ring begins: at a multiple of it.
    """

    bus: Bus = "PCI"
    layout: Layout = "legacy"
    size: int = 8
    place: int = 0x21
    align: int = PAGE

    @property
    def legacy(self) -> bool:
        """Whether one page number says it all."""
        return self.layout == "legacy"

    @property
    def base(self) -> int:
        """The address of the descriptors."""
        return self.place * PAGE if self.legacy else self.place

    @property
    def rings(self) -> SplitRings | PackedRings:
        """Where the three parts lie."""
        if self.layout == "packed":
            return PackedRings.placed(self.base, self.size)
        return SplitRings.placed(self.base, self.size, self.align)

    @property
    def fixed(self) -> bool:
        """Whether the size is the device's, and the alignment the specification's."""
        return self.legacy and self.bus == "PCI"


START = Vring()


# -- what can be chosen


def sizes(vring: Vring) -> tuple[int, ...]:
    """The sizes to choose from, wrong ones among them. A legacy device on PCI has powers of two."""
    return POWERS if vring.fixed else SIZES


def aligns(vring: Vring) -> tuple[int, ...]:
    """The alignments of the used ring to choose from, wrong ones among them; none if it is set."""
    if vring.fixed or vring.layout == "packed":
        return ()
    return LEGACY_ALIGNS if vring.legacy else SPLIT_ALIGNS


def most(vring: Vring) -> int:
    """The largest number that `place` can be: what the registers hold."""
    return all_ones(4 if vring.legacy else 8)


def chosen(vring: Vring, bus: Bus, layout: Layout) -> Vring:
    """The same queue by another interface; what it cannot have becomes the nearest that it can."""
    now = replace(vring, bus=bus, layout=layout)
    size = max(each for each in sizes(now) if each <= vring.size)
    if now.legacy == vring.legacy:
        align = vring.align if vring.align in aligns(now) else _usual(now)
        return replace(now, size=size, align=align)
    place = min(vring.base // PAGE, most(now)) if now.legacy else vring.base
    return replace(now, size=size, place=place, align=_usual(now))


def _usual(vring: Vring) -> int:
    """The alignment of the used ring that a driver would choose."""
    return PAGE if vring.legacy else 16


def moved(vring: Vring, place: int) -> Vring:
    """Somewhere else. `ValueError` for a number that the registers do not hold."""
    if not 0 <= place <= most(vring):
        kind = "a page number" if vring.legacy else "an address"
        raise ValueError(f"{kind} has {32 if vring.legacy else 64} bits")
    return replace(vring, place=place)


def mistakes(vring: Vring) -> dict[str, Vring]:
    """Wrong choices by name, for this interface."""
    step = 1 if vring.legacy else PAGE
    found = {"where no memory is": replace(vring, place=RAM // PAGE * step)}
    if vring.legacy:
        found["page number 0"] = replace(vring, place=0)
        found["the last page number"] = replace(vring, place=most(vring))
    else:
        found["the table 8 bytes off"] = replace(vring, place=vring.place // 16 * 16 + 8)
    if vring.layout == "split":
        found["the used ring 2 bytes off"] = replace(vring, size=8, align=2)
    if not vring.fixed:
        found["larger than the device allows"] = replace(vring, size=512)
        if vring.layout != "packed":
            found["no power of two"] = replace(vring, size=100)
    if vring.legacy and not vring.fixed:
        found["an alignment of 3"] = replace(vring, align=3)
    return found
