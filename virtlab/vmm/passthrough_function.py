"""The VM's function that stands for a physical one: its own configuration space, the same device.

    what the guest sees           where it is
    ids, class, sizes of BARs     here, read once from the physical function
    Command, BARs                 here; Bus Master Enable is also set at the physical function
    PCI Express                   here: an endpoint inside the root complex; its reset is real
    MSI, MSI-X and its table      here; the VMM makes entries of it (`passthrough_interrupts`)
    a vendor's capabilities       there: each access is made again at the physical function
    anything else                 nowhere: the guest does not see it

The idea: a driver looks for its device by configuration space. So a VM gets a configuration space
like the physical one, in which it may write what it likes. Whatever would reach further than the
device itself is kept here, and the VMM does what is allowed of it.

The rule that keeps it simple: after each write `update` looks at all of it again, as for any other
function. What has not changed is not done again.

Source: PCI 3.0, 6.1, 6.2, 6.8; SR-IOV 1.1, 3.4.1. QEMU: `hw/vfio/pci.c`. Left out: INTx, option
ROMs, extended capabilities, masks in MSI.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

from virtlab.bus import Device
from virtlab.interrupts import Msi as Message
from virtlab.memory import PAGE
from virtlab.pci.capabilities import Express, Msi, Msix, Vendor
from virtlab.pci.config import Header
from virtlab.pci.function import Function
from virtlab.pci.msix import ENTRY, MsixTable
from virtlab.registers import Reg, RegisterFile
from virtlab.vmm.forwarded import Forwarded
from virtlab.vmm.passthrough_interrupts import VectorRoutes
from virtlab.vmm.passthrough_pages import Piece
from virtlab.vmm.passthrough_physical import PhysicalFunction

WHOLE_MSI = -1
"""What all vectors of MSI together are called among the routes. Those of MSI-X have a number."""

PORT_WIDTH, MEMORY_WIDTH = 4, 8
"""Bytes that a forwarded access may have."""


class PassedHead(Vendor):
    """The first four bytes of a vendor's capability. The list it stands in is the VM's own."""

    length = 4
    TYPE = Reg(0x03, 1, spec="PCI 3.0 appendix H", doc="The vendor's own; virtio has a type here.")


class PassedWord(RegisterFile):
    """Four bytes at offset `at` that are the physical function's."""

    length: ClassVar[int] = 4

    def __init__(self, physical: PhysicalFunction, at: int) -> None:
        super().__init__()
        self.physical, self.at = physical, at

    def read(self, offset: int, size: int) -> int:
        """What is there."""
        return self.physical.get(self.at + offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Written there."""
        self.physical.put(self.at + offset, size, value)


class TrappedTable(MsixTable):
    """The MSI-X table as the guest has it. What it means, the VMM writes into the physical one."""

    def __init__(self, physical: PhysicalFunction, routes: VectorRoutes) -> None:
        self.physical, self.routes = physical, routes
        super().__init__(physical.vectors, lambda message: None)
        self.routed: list[Message | None] = [None] * self.vectors

    def read(self, offset: int, size: int) -> int:
        """The guest's entries; the pending bits are the physical function's."""
        self.pending = self.physical.pending() if offset + size > self.pba_offset else 0
        return super().read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Keep it, then do what it means."""
        super().write(offset, size, value)
        self._settle(range(offset // ENTRY, min((offset + size - 1) // ENTRY + 1, self.vectors)))

    def set_mask(self, masked: bool) -> None:
        """The whole function is masked, or is no longer."""
        super().set_mask(masked)
        self._settle(range(self.vectors))

    def reset(self) -> None:
        """Everything is masked."""
        super().reset()
        self._settle(range(self.vectors))

    def _settle(self, vectors: range) -> None:
        for n in vectors:
            wanted = None if self.held(n) else self.entries[n].message
            if wanted == self.routed[n]:
                continue
            self.routed[n] = wanted
            self.physical.set_vector(n, None)
            if wanted is None:
                self.routes.drop(n)
            elif (message := self.routes.route(n, [wanted])) is not None:
                self.physical.set_vector(n, message)


class TableBar:
    """The BAR with the MSI-X table in it, from `at` on. The rest is the physical function's."""

    def __init__(self, table: TrappedTable, at: int, rest: Device) -> None:
        self.table, self.at, self.rest = table, at, rest

    def _place(self, offset: int) -> tuple[Device, int]:
        inside = 0 <= offset - self.at < self.table.length
        return (self.table, offset - self.at) if inside else (self.rest, offset)

    def read(self, offset: int, size: int) -> int:
        """An entry, or a register."""
        device, at = self._place(offset)
        return device.read(at, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """The same, written."""
        device, at = self._place(offset)
        device.write(at, size, value)


class AssignedFunction(Function):
    """The function of a VM that is `physical`. `changed` is called when its pages may be others."""

    def __init__(
        self, physical: PhysicalFunction, routes: VectorRoutes, changed: Callable[[], None]
    ) -> None:
        name = f"{physical.found.place}, assigned"
        super().__init__(physical.identity, name=name, express=True)
        self.physical, self.routes, self.changed = physical, routes, changed
        self._master = False
        self._msix = False
        self._messages: list[Message] = []
        for id, at in physical.capabilities:
            self._add_capability(id, at)
        for bar in physical.bars:
            if bar.space == "port":
                device = Forwarded(physical.ports, physical.found.bar(bar.index))
                self.port_bar(bar.index, device, bar.size, width=PORT_WIDTH)
                continue
            self.memory_bar(
                bar.index,
                self._behind(bar.index),
                bar.size,
                bits=bar.bits,
                prefetchable=bar.prefetchable,
                width=MEMORY_WIDTH,
            )

    # -- making it

    def _add_capability(self, id: int, at: int) -> None:
        """Show it, if it is one that a guest may have."""
        physical = self.physical
        if id == Express.id:
            self.config.add(Express("root complex integrated endpoint"), at)
        elif id == Msi.id:
            assert physical.msi is not None
            self.config.add(Msi(physical.msi.vectors, bits64=physical.msi.wide), at)
        elif id == Msix.id:
            table = TrappedTable(physical, self.routes)
            self.config.add(Msix.for_table(table, physical.table_bar, physical.table_at), at)
        elif id == Vendor.id:
            head = PassedHead()
            length = physical.get(at + Vendor.LENGTH.offset, 1)
            head.preset(LENGTH=length, TYPE=physical.get(at + PassedHead.TYPE.offset, 1))
            self.config.add(head, at)
            for word in range(at + head.length, at + length, PassedWord.length):
                self.config.place(word, PassedWord(physical, word))

    def _behind(self, index: int) -> Device:
        """What answers where a memory BAR traps."""
        physical = self.physical
        rest = Forwarded(physical.memory, physical.found.bar(index))
        msix = self.config.find(Msix)
        if msix is None or index != physical.table_bar:
            return rest
        assert isinstance(msix.table, TrappedTable)
        return TableBar(msix.table, physical.table_at, rest)

    # -- what it leads to

    def pieces(self) -> Iterator[Piece]:
        """Its memory that the guest may reach directly: whole pages, without the MSI-X table."""
        for found, bar in zip(self.physical.bars, self.bars, strict=True):
            if bar.space != "memory" or not self.decodes(bar) or not self.awake:
                continue
            gpa, hpa = self.address(bar), self.physical.found.bar(found.index)
            if (gpa | hpa | bar.size) % PAGE:
                continue
            for start, end in self._open(found.index, bar.size):
                yield Piece(gpa + start, hpa + start, end - start)

    def _open(self, index: int, size: int) -> list[tuple[int, int]]:
        """The parts of a BAR, from and to, that share no page with the MSI-X table."""
        msix = self.config.find(Msix)
        if msix is None or index != self.physical.table_bar:
            return [(0, size)]
        first = self.physical.table_at & -PAGE
        last = -(-(self.physical.table_at + msix.table.length) // PAGE) * PAGE
        return [(start, end) for start, end in ((0, first), (last, size)) if start < end]

    # -- state

    def update(self) -> None:
        """Look at all registers again, and let what follows from them be so."""
        super().update()
        master = bool(Header.COMMAND.BUS_MASTER.get(self.header.COMMAND))
        if master != self._master:
            self._master = master
            self.physical.set_master(master)
        self._switch_messages()
        self.changed()

    def _switch_messages(self) -> None:
        """MSI as a whole; of MSI-X only whether it is on."""
        msix = self.config.find(Msix)
        if msix is not None and msix.enabled != self._msix:
            self._msix = msix.enabled
            self.physical.set_msix(msix.enabled)
        msi = self.config.find(Msi)
        if msi is None:
            return
        wanted = [msi.message(n) for n in range(msi.vectors)] if msi.enabled else []
        if wanted == self._messages:
            return
        self._messages = wanted
        self.physical.set_msi(None)
        self.routes.drop(WHOLE_MSI)
        if wanted and (message := self.routes.route(WHOLE_MSI, wanted)) is not None:
            self.physical.set_msi(message, len(wanted))

    def reset(self) -> None:
        """The physical function is reset too: a guest that resets its function means it."""
        self.physical.reset()
        self._master = self._msix = False
        self._messages = []
        self.routes.drop_all()
        super().reset()
