"""From the guest's idea of a message to an interrupt-remapping entry, and back to the guest.

    guest writes       address, data: vector 0x41 of my processor          never reaches the device
    VMM writes IRTE    posted:  vector 0x41, the VM's descriptor           no exit, no handler
                       else:    vector 0x85 of the host's processor        an exit, then `deliver`
    VMM writes device  the request that names this entry

The idea: a message is an interrupt of the machine, so the guest may not choose what a device sends.
It chooses among its own vectors. The VMM keeps that, and gives the device an entry for it. The unit
lets the entry be used by that device's source id, and by no other.

The rules that keep it simple:

1. `VectorRoutes.route` takes away what was there, then makes it anew. So nothing is left over.
2. Where no entry or no host vector is free, the vector stays masked, and the trace says so.
3. What cannot be posted (an NMI, say) goes by the host, as KVM does it.

Source: VT-d 3.0, 5.1, 5.2; PCI 3.0, 6.8. Linux: `vfio_pci_intrs.c`, KVM `posted_intr.c`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol, Self

from virtlab.devices.lapic import ApicBus, Lapic, LapicRegisters
from virtlab.devices.lapic.vectors import LOWEST
from virtlab.guest.vtd_interrupts import InterruptTable, message
from virtlab.interrupts import INTERRUPT_RANGE, Delivery, Interrupt, Msi
from virtlab.trace import Trace
from virtlab.vmm.interrupt_target import NOTIFY, WAKE, InterruptTarget

FIRST, LAST = 0x80, 0xEF
"""The host's vectors that are for VMs. Those of the host's own devices are lower."""

ROUND = 4096
"""Vectors that are served in one go: a device that interrupts without end cannot hold the host."""


class Board(Protocol):
    """What is needed of the host: its local APIC, and to be told that something came to it."""

    lapic: Lapic
    interrupted: Callable[[], None]


class HostVectors:
    """The vectors of the host's processor that are for VMs, each with the VM that has it.

    `targets` are the VMs that may have something posted.
    """

    def __init__(self, host: Board) -> None:
        self.lapic = host.lapic
        self.owners: dict[int, InterruptTarget] = {}
        self.targets: list[InterruptTarget] = []
        host.interrupted = self.serve

    @classmethod
    def of(cls, host: Board) -> Self:
        """Those of this host: there is one such handler, whoever gives devices away."""
        owner = getattr(host.interrupted, "__self__", None)
        return owner if isinstance(owner, cls) else cls(host)

    def take(self, target: InterruptTarget, deliver: Callable[[], object]) -> int | None:
        """A free vector for `target`, whose handler calls `deliver`. None if all are taken."""
        for vector in range(FIRST, LAST + 1):
            if vector not in self.owners:
                self.owners[vector] = target
                target.deliver[vector] = deliver
                return vector
        return None

    def release(self, vector: int) -> None:
        """Nobody has it any more. What has come for it already is for nobody."""
        del self.owners.pop(vector).deliver[vector]
        self.lapic.vectors.irr &= ~(1 << vector)

    def serve(self) -> None:
        """Take whatever is for a VM. What is the host's own waits for `wait` of its processor."""
        for _ in range(ROUND):
            vector = self.lapic.wanted()
            if vector in (NOTIFY, WAKE):
                self.lapic.acknowledge()
                self.lapic.write(LapicRegisters.EOI.offset, 4, 0)
                for target in self.targets:
                    if target.descriptor.outstanding:
                        target.glance()
            elif vector in self.owners:
                self.lapic.acknowledge()
                self.owners[vector].meet(vector)
            else:
                return


class Route(NamedTuple):
    """The `entries` of the table for one message or more, and the host's vectors they use."""

    entries: range
    vectors: tuple[int, ...]


class VectorRoutes:
    """The messages of one function: `routes` by the first vector of each.

    `source_id` is the function's. `target` is the VM, `apics` are its local APICs, `posted` whether
    its interrupts shall be posted.
    """

    def __init__(
        self,
        source_id: int,
        table: InterruptTable,
        host: HostVectors,
        target: InterruptTarget,
        apics: ApicBus,
        posted: bool,
        trace: Trace,
    ) -> None:
        self.source_id, self.table, self.host = source_id, table, host
        self.target, self.apics, self.posted = target, apics, posted
        self.trace = trace
        self.routes: dict[int, Route] = {}

    def route(self, first: int, messages: Sequence[Msi]) -> Msi | None:
        """Let vectors `first` and on mean `messages` to the guest, a power of two of them.

        Gives what the device shall send. None: nothing, as the guest named no interrupt, or as
        there is no entry or no vector free.
        """
        self.drop(first)
        if any(each.address not in INTERRUPT_RANGE for each in messages):
            self._lost("the guest's message is no interrupt")
            return None
        try:
            index = self.table.take(len(messages))
        except ValueError as error:
            self._lost(str(error))
            return None
        entries = range(index, index + len(messages))
        vectors: list[int] = []
        for n, each in zip(entries, messages, strict=True):
            entry = self._entry(each, vectors)
            if entry is None:
                self._free(Route(entries, tuple(vectors)))
                self._lost("no vector of the host is free")
                return None
            self.table.put(n, entry)
        self.routes[first] = Route(entries, tuple(vectors))
        return message(index, several=len(messages) > 1)

    def drop(self, first: int) -> None:
        """Take away what `first` and on mean, if they mean anything."""
        if first in self.routes:
            self._free(self.routes.pop(first))

    def drop_all(self) -> None:
        """No entry is for this function any more."""
        for first in list(self.routes):
            self.drop(first)

    def _entry(self, msi: Msi, vectors: list[int]) -> int | None:
        """The entry for one message; a host vector that it needs is added to `vectors`."""
        interrupt = Interrupt.of(msi)
        if self.posted and self._postable(interrupt):
            gpa = self.target.descriptor.gpa
            return self.table.posted_entry(self.source_id, interrupt.vector, gpa)
        vector = self.host.take(self.target, partial(self.apics.message, msi))
        if vector is None:
            return None
        vectors.append(vector)
        physical = Interrupt(vector, destination=self.host.lapic.number)
        return self.table.entry(self.source_id, physical)

    def _postable(self, interrupt: Interrupt) -> bool:
        """A descriptor holds vectors of one processor, and nothing else."""
        fixed = interrupt.mode in (Delivery.FIXED, Delivery.LOWEST_PRIORITY)
        mine = self.target.lapic.matches(interrupt)
        return fixed and mine and interrupt.vector >= LOWEST and not interrupt.level

    def _free(self, route: Route) -> None:
        for index in route.entries:
            self.table.drop(index)
        for vector in route.vectors:
            self.host.release(vector)

    def _lost(self, why: str) -> None:
        self.trace.emit("lost", self.target.vm.name, value=self.source_id, note=f"masked: {why}")
