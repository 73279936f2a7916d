"""Where a function answers, as its registers say: BARs, the ROM, a bridge's windows.

    BAR 0    fe000004   memory, 64 bits, the lower half      | one region
    BAR 1    00000038   its upper half                       |
    BAR 2    0000c001   ports
    BAR 3    00000000   none

The rule that keeps it simple: registers in, regions out. Nothing is sized here, for that takes
writes, and a dump cannot be written.

As `lspci` does: a BAR that reads 0 or all ones is none, and a window whose limit is below its base
is closed. Where `lspci -F` prints the upper half of a 64-bit BAR as a region of its own, we do not.

Source: PCI Local Bus 3.0, 6.2.5; PCI-to-PCI Bridge 1.2, 3.2.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from virtlab.pci.bars import TYPE_64
from virtlab.pci.config import BAR_FIELDS, ROM_FIELDS, Type1
from virtlab.pci.fields import Registers
from virtlab.wire import Bits, all_ones


@dataclass(frozen=True)
class DecodedBar:
    """A region: `width` is 32 or 64. Address 0 means: not assigned yet."""

    index: int
    kind: Literal["memory", "io"]
    address: int
    prefetchable: bool
    width: int
    enabled: bool


class DecodedRom(NamedTuple):
    """The expansion ROM."""

    address: int
    enabled: bool


class Window(NamedTuple):
    """What a bridge passes down: the first and the last address, of `width` bits."""

    kind: Literal["memory", "io", "prefetchable"]
    base: int
    limit: int
    width: int

    @property
    def open(self) -> bool:
        """Whether it passes anything at all."""
        return self.base <= self.limit


def decode_bars(words: Sequence[int], memory: bool, ports: bool) -> Iterator[DecodedBar]:
    """The regions that the words of consecutive BARs mean (PCI 3.0, 6.2.5.1).

    `memory` and `ports` say whether the function answers in those spaces. A 64-bit BAR in the last
    register has no upper half: it is given with the lower one alone.
    """
    upper = False
    for index, (word, above) in enumerate(zip(words, [*words[1:], 0], strict=True)):
        if upper:
            upper = False
        elif word not in (0, all_ones(4)):
            bar = _bar(index, word, above, memory, ports)
            upper = bar.width == 64
            yield bar


def _bar(index: int, word: int, above: int, memory: bool, ports: bool) -> DecodedBar:
    fields = BAR_FIELDS["port"]
    if fields["IO"].get(word):
        return DecodedBar(index, "io", word & fields["ADDRESS"].mask, False, 32, ports)
    fields = BAR_FIELDS["memory"]
    width = 64 if fields["TYPE"].get(word) == TYPE_64 else 32
    address = word & fields["ADDRESS"].mask | (above << 32 if width == 64 else 0)
    return DecodedBar(
        index, "memory", address, bool(fields["PREFETCHABLE"].get(word)), width, memory
    )


def decode_rom(word: int, memory: bool) -> DecodedRom | None:
    """The ROM that the word means, if there is one (PCI 3.0, 6.2.5.2)."""
    if word in (0, all_ones(4)):
        return None
    return DecodedRom(
        word & ROM_FIELDS["ADDRESS"].mask, bool(memory and ROM_FIELDS["ENABLE"].get(word))
    )


WIDE = 1
"""The value of a window's type field that says: there is an upper half of the address."""

_PORTS, _MEGABYTE, _PAGE = 12, 20, 12
"""Address bits below a window's ends: 4 KiB of ports, 1 MiB of memory, 4 KiB for CardBus."""


def _window(
    kind: Literal["memory", "io", "prefetchable"], ends: tuple[int, int], below: int, width: int
) -> Window:
    """A window from its two ends, whose lowest `below` bits are not in the registers."""
    rest = (1 << below) - 1
    return Window(kind, ends[0] & ~rest, ends[1] | rest, width)


def bridge_windows(header: Registers) -> tuple[Window, ...]:
    """The three windows of a type 1 header (PCI-to-PCI Bridge 1.2, 3.2.5.6 to 3.2.5.11)."""
    value = header.value
    io = value(Type1.IO_BASE) << 8, value(Type1.IO_LIMIT) << 8
    wide_io = Type1.IO_BASE.TYPE.get(value(Type1.IO_BASE)) == WIDE
    if wide_io:
        io = (
            io[0] | value(Type1.IO_BASE_UPPER) << 16,
            io[1] | value(Type1.IO_LIMIT_UPPER) << 16,
        )
    ahead = value(Type1.PREFETCHABLE_BASE) << 16, value(Type1.PREFETCHABLE_LIMIT) << 16
    wide = Type1.PREFETCHABLE_BASE.TYPE.get(value(Type1.PREFETCHABLE_BASE)) == WIDE
    if wide:
        ahead = (
            ahead[0] | value(Type1.PREFETCHABLE_BASE_UPPER) << 32,
            ahead[1] | value(Type1.PREFETCHABLE_LIMIT_UPPER) << 32,
        )
    memory = value(Type1.MEMORY_BASE) << 16, value(Type1.MEMORY_LIMIT) << 16
    return (
        _window("io", io, _PORTS, 32 if wide_io else 16),
        _window("memory", memory, _MEGABYTE, 32),
        _window("prefetchable", ahead, _MEGABYTE, 64 if wide else 32),
    )


def cardbus_windows(header: Registers) -> tuple[Window, ...]:
    """The four windows of a CardBus bridge: two of memory, two of ports."""
    windows = []
    for number in (0, 1):
        ends = header.value(f"MEMORY_BASE_{number}"), header.value(f"MEMORY_LIMIT_{number}")
        windows.append(_window("memory", ends, _PAGE, 32))
    for number in (0, 1):
        base, limit = header.value(f"IO_BASE_{number}"), header.value(f"IO_LIMIT_{number}")
        width = 32 if base & WIDE else 16
        mask = Bits(width - 1, 0).mask
        windows.append(_window("io", (base & mask, limit & mask), 2, width))
    return tuple(windows)
