"""An SR-IOV capability on paper, for task 5 of problem set 6: its bytes, and what they mean.

    Paper     fields --> 64 bytes of the capability, 24 bytes that sizing gave
    listed    the VFs that these bytes make: routing id, configuration space, memory
    reserved  what firmware keeps for them: the last bus number, bytes for each BAR

The idea: a driver meets a device's registers as bytes. So a case is bytes, and what is right is
read from the same bytes through the library's declarations of the registers.

The rule that keeps it simple: one `Paper` serves both questions of the task.

Source: SR-IOV 1.1, 2.1.2, 3.3; PCI Express 3.0, 7.2.2 (ECAM); PCI 3.0, 6.2.5.1 (sizing).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from virtlab.cards import ECAM
from virtlab.memory import PAGE
from virtlab.pci.bars import TYPE_64
from virtlab.pci.config import BAR_FIELDS, EXPRESS
from virtlab.pci.extended import SrIov
from virtlab.pci.routing_ids import Placement
from virtlab.pci.sriov import REQUIRED_PAGES
from virtlab.pci.tlp import source_id
from virtlab.registers import Reg
from virtlab.wire import all_ones

ON = SrIov.CONTROL.VF_ENABLE.mask | SrIov.CONTROL.VF_MSE.mask
BARS = 6

BarKind = tuple[int, int, int]
"""Address, bytes, and 32 or 64 bits."""
Bars = Mapping[int, BarKind]
"""VF BARs by the register that they begin in."""
Function = tuple[int, int, list[tuple[int, int]]]
"""Routing id, address of the configuration space, and memory as `(address, bytes)`."""

ONE_BAR: Bars = MappingProxyType({0: (0xE000_0000, 0x4000, 32)})


class Paper(NamedTuple):
    """A physical function at `place` with `number` VFs of `total`; `page` is System Page Size."""

    place: tuple[int, int, int] = (3, 0, 0)
    number: int = 4
    total: int = 8
    offset: int = 1
    stride: int = 1
    bars: Bars = ONE_BAR
    control: int = ON
    page: int = 1
    ecam: int = ECAM

    @property
    def capability(self) -> bytes:
        """The capability as it lies in configuration space."""
        words = {
            SrIov.CAPABILITIES: 1 << 1,
            SrIov.CONTROL: self.control,
            SrIov.INITIAL_VFS: self.total,
            SrIov.TOTAL_VFS: self.total,
            SrIov.NUM_VFS: self.number,
            SrIov.FIRST_VF_OFFSET: self.offset,
            SrIov.VF_STRIDE: self.stride,
            SrIov.VF_DEVICE_ID: 0x10CA,
            SrIov.SUPPORTED_PAGE_SIZES: REQUIRED_PAGES,
            SrIov.SYSTEM_PAGE_SIZE: self.page,
        }
        data = bytearray(SrIov.length)
        data[:4] = (SrIov.id | 1 << 16).to_bytes(4, "little")
        for reg, value in words.items():
            data[reg.offset : reg.offset + reg.width] = value.to_bytes(reg.width, "little")
        at = SrIov.VF_BAR0.offset
        data[at : at + 4 * BARS] = self._registers(lambda address, size, bits: address)
        return bytes(data)

    @property
    def sized(self) -> bytes:
        """What the VF BARs held after all ones were written to them, at power-on."""
        return self._registers(lambda address, size, bits: all_ones(bits // 8) & ~(size - 1))

    def _registers(self, value: Callable[[int, int, int], int]) -> bytes:
        """The six registers, each BAR with its type bits."""
        data = bytearray(4 * BARS)
        for index, (address, size, bits) in self.bars.items():
            number = value(address, size, bits) | _flags(size, bits)
            data[4 * index : 4 * index + bits // 8] = number.to_bytes(bits // 8, "little")
        return bytes(data)

    def __str__(self) -> str:
        bus, device, function = self.place
        bars = ", ".join(
            f"BAR{index} {bits} bits {size:#x} @{address:#x}"
            for index, (address, size, bits) in self.bars.items()
        )
        return (
            f"PF {bus:02x}:{device:02x}.{function}, Control {self.control:#06x}, NumVFs "
            f"{self.number} of {self.total}, offset {self.offset:#x}, stride {self.stride:#x}, "
            f"page size {self.page:#x}; {bars or 'no BAR'}; ecam {self.ecam:#x}"
        )


def _flags(size: int, bits: int) -> int:
    """The type bits of a VF BAR. Memory of more than 16 KiB is prefetchable, whatever its width."""
    fields = BAR_FIELDS["memory"]
    flags = fields["PREFETCHABLE"].put(0, size > 0x4000)
    return fields["TYPE"].put(flags, TYPE_64 if bits == 64 else 0)


# -- what the bytes mean


class Bytes(NamedTuple):
    """A capability, and what sizing gave; fields by the library's declarations."""

    capability: bytes
    sized: bytes

    def field(self, reg: Reg) -> int:
        """The value of a register."""
        return int.from_bytes(self.capability[reg.offset : reg.offset + reg.width], "little")

    def ids(self, place: tuple[int, int, int], count: int) -> list[int] | None:
        """Routing ids of so many VFs; None where two functions would have the same."""
        placement = Placement(self.field(SrIov.FIRST_VF_OFFSET), self.field(SrIov.VF_STRIDE))
        physical = source_id(*place)
        found = [placement.routing_id(physical, index) for index in range(count)]
        return found if len({physical, *found}) == count + 1 else None

    def bars(self) -> list[tuple[int, int]]:
        """Address of the first VF's, and bytes from one VF to the next, of each BAR."""
        found, index, fields = [], 0, BAR_FIELDS["memory"]
        page = self.field(SrIov.SYSTEM_PAGE_SIZE) * PAGE
        while index < BARS:
            wide = fields["TYPE"].get(self._word(self.sized, index, 1)) == TYPE_64 and index < 5
            at = SrIov.VF_BAR0.offset // 4 + index
            mask = self._word(self.sized, index, 1 + wide) & ~0xF
            if mask:
                address = self._word(self.capability, at, 1 + wide) & ~0xF
                found.append((address, max(mask & -mask, page)))
            index += 1 + wide
        return found

    @staticmethod
    def _word(data: bytes, index: int, count: int) -> int:
        return int.from_bytes(data[4 * index : 4 * (index + count)], "little")

    def listed(self, place: tuple[int, int, int], ecam: int) -> list[Function] | str:
        """What `virtual_functions` answers."""
        control = self.field(SrIov.CONTROL)
        if not SrIov.CONTROL.VF_ENABLE.get(control):
            return []
        count = min(self.field(SrIov.NUM_VFS), self.field(SrIov.TOTAL_VFS))
        ids = self.ids(place, count)
        if ids is None:
            return "broken"
        bars = self.bars() if SrIov.CONTROL.VF_MSE.get(control) else []
        return [
            (each, ecam + EXPRESS * each, [(at + n * size, size) for at, size in bars])
            for n, each in enumerate(ids)
        ]

    def reserved(self, place: tuple[int, int, int]) -> tuple[int, list[int]] | str:
        """What `room_for_all` answers."""
        total = self.field(SrIov.TOTAL_VFS)
        ids = self.ids(place, total)
        if ids is None:
            return "broken"
        last = max(source_id(*place), *ids) if ids else source_id(*place)
        return last >> 8, [size * total for _, size in self.bars()]
