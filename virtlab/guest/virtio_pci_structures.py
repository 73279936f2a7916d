"""Where a modern virtio-pci device keeps its structures, and two ways to reach one.

    capability list -> the first capability of each type -> BAR + offset    Structure
                                                            through PCI_CFG  Window

The idea: no offset is known beforehand. A capability names a BAR, an offset in it and a length. The
BAR is in memory or among the ports. And before any BAR is mapped, the device itself makes the
access, through a window of four bytes in configuration space. Firmware uses that.

The rule that keeps it simple: a structure is read and written by offset and size, whichever way.

Source: virtio 1.3 4.1.2 (ids), 4.1.4 and 4.1.4.1 (capabilities), 4.1.4.9 (the window).
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.cpu import Cpu
from virtlab.guest.pci import Access, Found, Place, capability_list
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.pci.capabilities import Msix
from virtlab.virtio.pci_layouts import (
    MODERN_BASE,
    TRANSITIONAL,
    VENDOR,
    CfgType,
    PciCfgCap,
    VirtioCap,
)
from virtlab.virtio.status import NO_VECTOR

BARS = 6
"""BARs of a function; a capability that names another one is to be ignored (4.1.4.1)."""


class CapabilityFound(NamedTuple):
    """A virtio capability in configuration space: what it says, and its own offset `at`."""

    at: int
    type: CfgType
    bar: int
    offset: int
    length: int


def virtio_capabilities(access: Access, place: Place) -> dict[CfgType, CapabilityFound]:
    """The first capability of each type that a driver may use; the reserved ones are passed over.

    Empty for a legacy device (4.1.5.1.1).
    """
    found: dict[CfgType, CapabilityFound] = {}
    for ident, at in capability_list(access, place):
        kind = access.read(place, at + VirtioCap.CFG_TYPE.offset, 1)
        bar = access.read(place, at + VirtioCap.BAR.offset, 1)
        if ident != VirtioCap.id or kind not in set(CfgType) or bar >= BARS:
            continue
        offset = access.read(place, at + VirtioCap.OFFSET.offset, 4)
        length = access.read(place, at + VirtioCap.STRUCTURE_LENGTH.offset, 4)
        capability = CapabilityFound(at, CfgType(kind), bar, offset, length)
        found.setdefault(capability.type, capability)
    return found


class Structure:
    """A structure of `length` bytes at `base`, in memory or among the ports."""

    def __init__(self, cpu: Cpu, space: str, base: int, length: int) -> None:
        self.cpu = cpu
        self.base = base
        self.length = length
        self.ports = space == "port"

    def read(self, offset: int, size: int) -> int:
        """`size` bytes at `offset`, 1, 2 or 4. `VirtioFailed` past the end."""
        at = self._at(offset, size)
        return self.cpu.inp(at, size) if self.ports else self.cpu.load(at, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """The same, written."""
        at = self._at(offset, size)
        if self.ports:
            self.cpu.out(at, value, size)
        else:
            self.cpu.store(at, value, size)

    def _at(self, offset: int, size: int) -> int:
        if offset + size > self.length:
            raise VirtioFailed(f"the structure has {self.length} bytes, none at {offset:#x}")
        return self.base + offset


class Window(Structure):
    """The same structure, reached through configuration space: no BAR has to be mapped (4.1.4.9).

    `through` is the capability of type PCI_CFG, `to` the one that names the structure.
    """

    def __init__(
        self, access: Access, place: Place, through: CapabilityFound, to: CapabilityFound
    ) -> None:
        self.access = access
        self.place = place
        self.through = through
        self.bar, self.base, self.length = to.bar, to.offset, to.length

    def read(self, offset: int, size: int) -> int:
        """Aim the window, then read its data."""
        self._aim(self._at(offset, size), size)
        return self.access.read(self.place, self._data, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Aim the window, then write its data."""
        self._aim(self._at(offset, size), size)
        self.access.write(self.place, self._data, size, value)

    def _aim(self, offset: int, size: int) -> None:
        fields = (PciCfgCap.BAR, self.bar), (PciCfgCap.STRUCTURE_LENGTH, size)
        for reg, value in (*fields, (PciCfgCap.OFFSET, offset)):
            self.access.write(self.place, self.through.at + reg.offset, reg.width, value)

    @property
    def _data(self) -> int:
        return self.through.at + PciCfgCap.PCI_CFG_DATA.offset


def check_vector(access: Access, place: Place, vector: int) -> None:
    """`VirtioFailed` if `vector` is not in the function's MSI-X table, and no NO_VECTOR."""
    at = dict(capability_list(access, place)).get(Msix.id)
    count = 0
    if at is not None:
        control = access.read(place, at + Msix.CONTROL.offset, Msix.CONTROL.width)
        count = Msix.CONTROL.TABLE_SIZE.get(control) + 1
    # The driver MUST NOT attempt to map an event to a vector outside the table (4.1.5.1.2.2).
    if vector != NO_VECTOR and not 0 <= vector < count:
        raise VirtioFailed(f"{place} has {count} MSI-X vectors, and no vector {vector}")


def device_id_of(function: Found) -> int:
    """Which virtio device a PCI function is; 0 if it is none (4.1.2)."""
    if function.vendor != VENDOR:
        return 0
    if function.device in TRANSITIONAL:
        return TRANSITIONAL[function.device]
    return max(function.device - MODERN_BASE, 0) if function.device < MODERN_BASE + 0x40 else 0
