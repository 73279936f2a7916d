"""Protected memory: two regions that DMA may not touch, before there are tables and beside them.

    PLMBASE .. PLMLIMIT    below 4 GiB          PHMBASE .. PHMLIMIT    anywhere

The idea: software that starts a machine wants its own memory safe before it has built a table. Two
regions in registers do that, with `PMEN.EPM`.

The rule that keeps it simple: they count for requests that are not translated: all of them while
translation is off, those of pass-through devices, and those a device has translated itself. Where
tables decide, the tables decide alone. A base above its limit protects nothing.

Source: VT-d 3.0, 10.4.16 to 10.4.20.
"""

from __future__ import annotations

from collections.abc import Iterator

from virtlab.iommu.registers import VtdRegisters

GRANULE = 1 << 21
"""Bytes that base and limit are multiples of."""


class Protection:
    """The regions that `registers` name."""

    def __init__(self, registers: VtdRegisters) -> None:
        self.registers = registers

    @property
    def regions(self) -> Iterator[tuple[int, int]]:
        """First byte of each region that counts now, and the byte after it."""
        names = self.registers
        if VtdRegisters.PMEN.PRS.get(names.PMEN):
            spans = (names.PLMBASE, names.PLMLIMIT), (names.PHMBASE, names.PHMLIMIT)
            for base, limit in spans:
                if base <= limit:
                    yield base, limit + GRANULE

    def covers(self, gpa: int, length: int) -> bool:
        """Whether any of `length` bytes at `gpa` is protected."""
        return any(base < gpa + length and gpa < end for base, end in self.regions)
