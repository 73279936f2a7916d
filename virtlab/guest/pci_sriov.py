"""Virtual functions, from the driver's side: room for them, then on, then off.

    SriovScan   at power-on: numbers for the buses that VFs may be on, and addresses for TotalVFs
    Sriov       later: NumVFs, read offset and stride, VF Enable and VF MSE, wait, look

The idea: a VF cannot be found by a scan, for its vendor id is FFFFh. Software computes where it is:
routing id = PF + First VF Offset + n x VF Stride. It computes its addresses as well, and takes its
vendor from the PF and its device id from the PF's capability.

The rule that keeps it simple: room is made for all VFs that there can be, before anybody wants one.
A bus number or an address cannot be found later without moving what is already there.

Source: SR-IOV 1.1, 2.1 (discovery), 3.3; PCI Express 3.0, 6.13, 7.23. Linux does the same in
`drivers/pci/iov.c`. Left out: several PFs that depend on each other, VF migration.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.guest.pci import Access, Found, FoundBar, Place, Scan, size_bar
from virtlab.guest.pci_express import find_extended, forward_ari
from virtlab.pci.config import Header
from virtlab.pci.extended import Ari, SrIov
from virtlab.pci.routing_ids import Placement
from virtlab.pci.tlp import SOURCE_ID, source_id
from virtlab.registers import Reg
from virtlab.wire import all_ones

VF_BARS, FIRST_INDEX = 6, 7
"""VF BARs of a function, and the index of the first in `Found.bars`, as Linux numbers resources."""

SETTLE, LEAVE = 100_000_000, 1_000_000_000
"""Nanoseconds in which VFs must not be asked after VF Enable was set, and in which it must not be
set again after it was cleared (SR-IOV 1.1, 3.3.3.1)."""

POLLS = 1000
"""How often a VF is looked for after that."""


class SriovFailed(Exception):
    """The device does not do what SR-IOV promises."""


class Sriov:
    """The capability of the physical function `found`. `LookupError` if it has none.

    `pause` lets nanoseconds pass. Hardware needs them; QEMU's devices and ours answer at once.
    """

    def __init__(
        self, access: Access, found: Found, pause: Callable[[int], None] | None = None
    ) -> None:
        at = find_extended(access, found.place, SrIov)
        if at is None:
            raise LookupError(f"{found.place} has no SR-IOV capability")
        self.access = access
        self.found = found
        self.pause = pause or (lambda ns: None)
        self.at = at
        self.total = self.get(SrIov.TOTAL_VFS)

    # -- registers

    def get(self, reg: Reg) -> int:
        """A register of the capability."""
        return self.access.read(self.found.place, self.at + reg.offset, reg.width)

    def put(self, reg: Reg, value: int) -> None:
        """The same, written."""
        self.access.write(self.found.place, self.at + reg.offset, reg.width, value)

    # -- room

    def size_bars(self) -> list[FoundBar]:
        """The VF BARs, each with the size of one VF's part."""
        bars, index = [], 0
        while index < VF_BARS:
            at = self.at + SrIov.VF_BAR0.offset + 4 * index
            bar = size_bar(self.access, self.found.place, at, FIRST_INDEX + index)
            if bar is not None:
                bar.register = at
                bars.append(bar)
            index += 2 if bar is not None and bar.bits == 64 else 1
        return bars

    def room(self) -> list[FoundBar]:
        """The same for all VFs that there can be, one after the other."""
        bars = self.size_bars()
        for bar in bars:
            bar.align, bar.size = bar.size, bar.size * self.total
        return bars

    def placement(self, count: int) -> Placement:
        """Where `count` VFs would be: the device says so once it knows the number (3.3.9)."""
        self.put(SrIov.NUM_VFS, count)
        return Placement(self.get(SrIov.FIRST_VF_OFFSET), self.get(SrIov.VF_STRIDE))

    def last_bus(self) -> int:
        """The highest bus number that any number of VFs needs."""
        buses = [self._last_bus(count) for count in range(1, self.total + 1)]
        self.put(SrIov.NUM_VFS, 0)
        return max(buses, default=self.found.place.bus)

    def _last_bus(self, count: int) -> int:
        return self.placement(count).last_bus(source_id(*self.found.place), count)

    # -- on and off

    @property
    def enabled(self) -> bool:
        """Whether there are VFs."""
        return bool(SrIov.CONTROL.VF_ENABLE.get(self.get(SrIov.CONTROL)))

    def enable(self, count: int) -> list[Found]:
        """Make `count` VFs, wait for them, and say what each is.

        `ValueError` for a number that it cannot have, or while there are some already.
        `SriovFailed` if a VF does not appear.
        """
        if not 1 <= count <= self.total or self.enabled:
            raise ValueError(f"{self.found.place}: {count} VFs of {self.total} cannot be made now")
        placement = self.placement(count)
        control = self.get(SrIov.CONTROL) | SrIov.CONTROL.VF_ENABLE.mask
        self.put(SrIov.CONTROL, control | SrIov.CONTROL.VF_MSE.mask)
        self.pause(SETTLE)
        first = source_id(*self.found.place)
        places = [place_of(placement.routing_id(first, index)) for index in range(count)]
        return [self._virtual(place, index) for index, place in enumerate(places)]

    def disable(self) -> None:
        """Let all VFs vanish."""
        off = SrIov.CONTROL.VF_ENABLE.mask | SrIov.CONTROL.VF_MSE.mask
        self.put(SrIov.CONTROL, self.get(SrIov.CONTROL) & ~off)
        self.pause(LEAVE)
        self.put(SrIov.NUM_VFS, 0)

    def _virtual(self, place: Place, index: int) -> Found:
        for _ in range(POLLS):
            if exists(self.access, place):
                break
        else:
            raise SriovFailed(f"{place}, VF {index + 1} of {self.found.place}, does not appear")
        found = Found(
            place,
            vendor=self.found.vendor,
            device=self.get(SrIov.VF_DEVICE_ID),
            class_code=self.access.read(place, Header.REVISION_ID.offset, 4) >> 8,
            header_type=self.access.read(place, Header.HEADER_TYPE.offset, 1) & 0x7F,
        )
        for bar in self.found.bars:
            if bar.index >= FIRST_INDEX and bar.address is not None:
                found.bars.append(self._slice(bar, index))
        return found

    def _slice(self, bar: FoundBar, index: int) -> FoundBar:
        """A VF's part of what was reserved for all."""
        assert bar.address is not None
        size = bar.size // self.total
        at = bar.address + index * size
        number = bar.index - FIRST_INDEX
        return FoundBar(number, bar.space, size, bar.bits, bar.prefetchable, at)


def place_of(routing_id: int) -> Place:
    """Bus, device and function of a routing id."""
    fields = SOURCE_ID.decode(routing_id)
    return Place(fields["BUS"], fields["DEVICE"], fields["FUNCTION"])


def exists(access: Access, place: Place) -> bool:
    """Whether a function is there, a VF included: its class is not all ones."""
    return access.read(place, Header.REVISION_ID.offset, 4) != all_ones(4)


def let_master(access: Access, virtual: Found) -> None:
    """Let a VF make requests. A real one has no other bit; QEMU's asks for memory too."""
    bits = Header.COMMAND.BUS_MASTER.mask | Header.COMMAND.MEMORY_SPACE.mask
    command = access.read(virtual.place, Header.COMMAND.offset, 2)
    access.write(virtual.place, Header.COMMAND.offset, 2, command | bits)


class SriovScan(Scan):
    """A scan that also makes room for virtual functions. `access` reaches all 4096 bytes.

    With `ari` it lets ports forward ARI where port and device can. Then more VFs fit on the
    device's own bus. `physical` are the functions with VFs, in the order in which they were met.
    `pause` is for them.
    """

    def __init__(
        self, access: Access, ari: bool = True, pause: Callable[[int], None] | None = None
    ) -> None:
        super().__init__(access)
        self.ari, self.pause = ari, pause
        self.physical: list[Sriov] = []
        self._above: dict[int, Place] = {}

    def _bridge(self, found: Found) -> None:
        self._above[self.buses] = found.place
        super()._bridge(found)

    def _bus(self, bus: int) -> list[Found]:
        """As any scan, and the next bus below gets a number above those of the VFs here."""
        found = super()._bus(bus)
        for sriov in self.physical:
            if sriov.found.place.bus == bus:
                self.buses = max(self.buses, sriov.last_bus() + 1)
        return found

    def _function(self, place: Place) -> Found:
        found = super()._function(place)
        if not found.is_bridge and find_extended(self.access, place, SrIov) is not None:
            sriov = Sriov(self.access, found, self.pause)
            self._use_ari(sriov)
            found.bars += sriov.room()
            self.physical.append(sriov)
        return found

    def _use_ari(self, sriov: Sriov) -> None:
        """Port first, then the device (PCI Express 3.0, 6.13)."""
        place = sriov.found.place
        port = self._above.get(place.bus)
        able = port is not None and find_extended(self.access, place, Ari) is not None
        forwards = bool(self.ari and able and port and forward_ari(self.access, port))
        bit = SrIov.CONTROL.ARI_HIERARCHY
        sriov.put(SrIov.CONTROL, bit.put(sriov.get(SrIov.CONTROL), forwards))
