"""A function of our machine that is somewhere else: what QEMU's `vfio-user-pci` is to QEMU.

    processor --> BAR -----------> RemoteBar --> REGION_READ, REGION_WRITE --> a server
    processor --> configuration -> RemoteConfig: BARs are here, all else is asked for there
    interrupt controller <-- pin or message <-- eventfds <------------------- a server

The idea: addresses belong to the machine, so the BARs, and the addresses in MSI and MSI-X, are this
end's. The server has the device. So this is a `Function` like any other: it can be plugged into any
bus, stand behind a bridge or a remapping unit, and every driver takes it for the device itself.

The rule that keeps it simple: what is written to configuration space is written on both sides; what
is read comes from the server, but for the BARs. Which interrupts are heard follows from that.

While somebody waits, a virtual millisecond takes a real one: the device lives in real time.
Source: vfio-user.rst, "VFIO Device Model"; QEMU, hw/vfio/pci.c for who emulates what. Left out: the
function's own power management, the expansion ROM, a BAR that is mapped.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress

from virtlab.bus import Device
from virtlab.clock import MILLISECOND, Clock
from virtlab.hosts.vfio_user.client import Client
from virtlab.hosts.vfio_user.layouts import IrqIndex, RegionIndex
from virtlab.hosts.vfio_user.messages import Refused
from virtlab.hosts.vfio_user.remote_registers import Overlaid, RemoteBar, RemoteConfig
from virtlab.memory import GuestMemory
from virtlab.pci import capabilities
from virtlab.pci.bars import TYPE_64
from virtlab.pci.config import BAR_FIELDS, Type0
from virtlab.pci.function import Function, Identity
from virtlab.pci.msi import msi_layout
from virtlab.pci.msix import MsixTable

MOST_MSI = 32
"""Vectors that MSI has, at most (PCI 3.0 6.8.1.3)."""

TURN = MILLISECOND
"""How often we look whether an interrupt has come, while somebody waits."""


class RemoteFunction(Function):
    """The function at the other end of `client`. Its DMA reaches `ram`; `clock` is the machine's.

    `ram` may have an `fd`, as `FileRam` does: then the server maps it. Any other memory it asks for
    piece by piece, and `dma` answers, as for a function that is here. `ConnectionError` if what the
    server says cannot be a function.
    """

    def __init__(
        self, client: Client, ram: GuestMemory, clock: Clock, name: str = "remote"
    ) -> None:
        self.client, self.clock = client, clock
        raw = Type0()
        first = client.read(RegionIndex.CONFIG, 0, Type0.length)
        for reg in (Type0.VENDOR_ID, Type0.DEVICE_ID, Type0.CLASS_CODE, Type0.REVISION_ID):
            raw.values[reg.name] = _number(first, reg.offset, reg.width)
        pin = _number(first, Type0.INTERRUPT_PIN.offset, 1)
        identity = Identity(raw.VENDOR_ID, raw.DEVICE_ID, raw.CLASS_CODE, raw.REVISION_ID)
        super().__init__(identity, name=name, pin=pin)
        _, size = client.region_info(RegionIndex.CONFIG)
        self.config = RemoteConfig(self.header, client, size)
        try:
            self._add_capabilities(first)
            for index in range(RegionIndex.BAR5 + 1):
                self._add_bar(index, _number(first, Type0.BAR0.offset + 4 * index, 4))
        except ValueError as error:
            client.close()
            raise ConnectionError(f"the server has no PCI function: {error}") from None
        self._kind: IrqIndex | None = None
        self._events: dict[int, int] = {}
        self._poll = select.poll()
        self._poll.register(client.wire, select.POLLIN)
        client.dma = self.dma
        for region in ram.regions:
            client.map(region.start, region.size, getattr(ram, "fd", None), region.offset)
        self.config.written = self.update
        self.update()
        self.clock.after(TURN, self._turn)

    def close(self) -> None:
        """Hang up. The function is of no use any more."""
        with suppress(ConnectionError):  # the server may have gone first
            self._listen_to(None)
        self.client.close()

    # -- making it

    def _add_capabilities(self, first: bytes) -> None:
        """MSI and MSI-X are here too: their addresses are this machine's."""
        at, self.table, self._table_bar = first[Type0.CAPABILITIES.offset], None, -1
        seen = {0}
        while at not in seen:
            seen.add(at)
            kind, following = self.client.read(RegionIndex.CONFIG, at, 2)
            control = _number(self.client.read(RegionIndex.CONFIG, at + 2, 2), 0, 2)
            if kind == capabilities.Msi.id:
                self.config.place(at, _msi(control))
            elif kind == capabilities.Msix.id:
                where = _number(self.client.read(RegionIndex.CONFIG, at + 4, 4), 0, 4)
                self.table = MsixTable((control & 0x7FF) + 1, self.send)
                self._table_bar, self._table_at = where & 7, where & ~7
                found = capabilities.Msix(self.table, self._table_bar, self._table_at)
                self.config.place(at, found)
            at = following

    def _add_bar(self, index: int, word: int) -> None:
        _, size = self.client.region_info(index)
        if not size:
            return
        device: Device = RemoteBar(self.client, index, self._looked)
        if self.table is not None and index == self._table_bar:
            device = Overlaid(self.table, self._table_at, device)
        fields = BAR_FIELDS["memory"]
        if word & 1:
            self.port_bar(index, device, size)
        else:
            bits = 64 if fields["TYPE"].get(word) == TYPE_64 else 32
            ahead = bool(fields["PREFETCHABLE"].get(word))
            self.memory_bar(index, device, size, bits=bits, prefetchable=ahead, width=8)

    # -- interrupts

    def update(self) -> None:
        """Look at all registers again, and at which interrupts the guest wants to hear."""
        super().update()
        msix, msi = self.config.find(capabilities.Msix), self.config.find(capabilities.Msi)
        if msix is not None and msix.enabled:
            self._listen_to(IrqIndex.MSIX)
        elif msi is not None and msi.enabled:
            self._listen_to(IrqIndex.MSI)
        else:
            self._listen_to(IrqIndex.INTX if self.header.INTERRUPT_PIN else None)

    def _listen_to(self, kind: IrqIndex | None) -> None:
        """Hear the interrupts of this kind, and no others."""
        if kind == self._kind:
            return
        self._drop()
        before, self._kind = self._kind, kind
        try:
            if before is not None:
                self.client.ignore(before)
            if kind is not None:
                self._hear(kind)
        except (Refused, OSError) as error:
            self._drop()
            raise ConnectionError(f"no interrupts of the server's: {error}") from None

    def _hear(self, kind: IrqIndex) -> None:
        # The server may say any number: no more are heard than this end has.
        most = self.table.vectors if kind == IrqIndex.MSIX and self.table else MOST_MSI
        for number in range(min(self.client.irq_info(kind)[1], most)):
            fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._events[fd] = number
            self._poll.register(fd, select.POLLIN)
        self.client.listen_to(kind, 0, list(self._events))

    def _drop(self) -> None:
        for fd in self._events:
            self._poll.unregister(fd)
            os.close(fd)
        self._events.clear()

    def _turn(self) -> None:
        """Wait a moment for what comes from the other end."""
        self.clock.after(TURN, self._turn)
        self.look(TURN / MILLISECOND)

    def look(self, milliseconds: float = 0) -> None:
        """Take what has come: interrupts, and what the server asks."""
        for fd, _ in self._poll.poll(milliseconds):
            if fd not in self._events:
                self.client.listen()
                continue
            number = self._events[fd]
            os.eventfd_read(fd)
            if self._kind == IrqIndex.INTX:
                self.irq.set(True)
            else:
                self.notify(number)

    def _looked(self) -> None:
        """The guest has accessed the device: if its pin is still up there, we shall hear."""
        if self.irq.level:
            self.irq.set(False)
            with suppress(Refused):
                self.client.unmask()
        self.look()

    def reset(self) -> None:
        """As after the bus was reset, here and there."""
        with suppress(Refused):  # some cannot be
            self.client.reset()
        super().reset()


def _number(raw: bytes, at: int, size: int) -> int:
    return int.from_bytes(raw[at : at + size], "little")


def _msi(control: int) -> capabilities.Msi:
    """The MSI capability of which `control` is the Message Control."""
    fields = capabilities.Msi.CONTROL
    vectors = 1 << fields.MULTIPLE_MESSAGE_CAPABLE.get(control)
    maskable = bool(fields.PER_VECTOR_MASKING.get(control))
    return msi_layout(control)(vectors, bool(fields.ADDRESS_64.get(control)), maskable)
