"""A physical function in the VMM's hands, while a VM has it.

    PhysicalFunction   identity, capabilities     what the VM's own function will say of itself
                       set_master, reset          what the guest may ask for, done at the function
                       set_vector, set_msi        what the guest may not write itself

The idea: the VMM reaches the function as any kernel does, by configuration requests and by its
BARs. The guest reaches only what the VMM has put before it. Where the function is on the host's
buses, which addresses its BARs have, and what its messages say, stay the host's affair.

The rule that keeps it simple: after a reset its BARs are as the host had them, and Bus Master
Enable is 0. A VF's header has no BARs: its memory is where the physical function's registers say. A
VF that has vanished meanwhile needs no reset: it comes back as after one (SR-IOV 1.1, 2.2).

Source: PCI 3.0, 6.2, 6.8; PCI Express 3.0, 6.6.2; SR-IOV 1.1, 3.4.1. Linux: `vfio_pci_core.c`.
"""

from __future__ import annotations

from virtlab.bus import AddressSpace
from virtlab.guest.msi import MsiDriver
from virtlab.guest.pci import Access, Found, FoundBar, capability_list
from virtlab.guest.pci_express import find_extended, reset_function
from virtlab.guest.pci_sriov import exists
from virtlab.interrupts import Msi as Message
from virtlab.pci.capabilities import Express, Msi, Msix
from virtlab.pci.config import Header, Type0
from virtlab.pci.extended import SrIov
from virtlab.pci.function import Identity
from virtlab.pci.msix import ALIGN, ENTRY, Vector
from virtlab.pci.tlp import source_id
from virtlab.registers import Reg
from virtlab.wire import all_ones

COMMAND = Header.COMMAND


class PhysicalFunction:
    """The function `found`. `memory` and `ports` are the host's spaces; `access` reaches its bus.

    `capabilities` are pairs `(id, offset)`. `table_bar`, `table_at` and `vectors` say where its
    MSI-X table is; without MSI-X there are 0 vectors. `msi` drives its MSI, if it has that.
    """

    def __init__(
        self, found: Found, access: Access, memory: AddressSpace, ports: AddressSpace
    ) -> None:
        self.found, self.access = found, access
        self.memory, self.ports = memory, ports
        self.source_id = source_id(*found.place)
        self._command = self.get(COMMAND.offset, COMMAND.width)
        self.capabilities = capability_list(access, found.place)
        self.bars: list[FoundBar] = [
            bar for bar in found.bars if bar.index < 6 and bar.address is not None
        ]
        self.msi = MsiDriver(access, found.place) if self.find(Msi.id) is not None else None
        self.vectors = self.table_bar = self.table_at = 0
        if (at := self.find(Msix.id)) is not None:
            self._find_table(at)

    # -- what it is

    def get(self, at: int, size: int) -> int:
        """`size` bytes of its configuration space."""
        return self.access.read(self.found.place, at, size)

    def put(self, at: int, size: int, value: int) -> None:
        """The same, written."""
        self.access.write(self.found.place, at, size, value)

    def find(self, id: int) -> int | None:
        """The offset of the first capability `id`, or None."""
        return next((at for id_, at in self.capabilities if id_ == id), None)

    @property
    def identity(self) -> Identity:
        """Who it is. A VF's own ids read FFFFh; `found` has what they mean (SR-IOV 1.1, 3.4.1)."""
        return Identity(
            self.found.vendor,
            self.found.device,
            self.found.class_code,
            self.get(Header.REVISION_ID.offset, 1),
            self.get(Type0.SUBSYSTEM_VENDOR_ID.offset, 2),
            self.get(Type0.SUBSYSTEM_ID.offset, 2),
        )

    def objection(self) -> str:
        """Why it cannot be given to a VM, whoever asks; empty if it can."""
        place = self.found.place
        if self.found.is_bridge:
            return f"{place} is a bridge, and stays with the host"
        if find_extended(self.access, place, SrIov) is not None:
            return f"{place} makes virtual functions, and stays with the host: give one of those"
        if not self._resets():
            return f"{place} has no function level reset: it could not be made to forget"
        table = self._table_end()
        if self.vectors and (table is None or self._pba() != (self.table_bar, table)):
            return f"{place} has its MSI-X table and pending bits apart"
        return ""

    def _resets(self) -> bool:
        at = self.find(Express.id)
        can = Express.DEVICE_CAPABILITIES
        return at is not None and bool(can.FLR.get(self.get(at + can.offset, can.width)))

    # -- what the guest asks for

    def set_master(self, on: bool) -> None:
        """Let it make requests, or not. Its pin stays silent, its BARs stay on."""
        bits = COMMAND.MEMORY_SPACE.mask | COMMAND.INTERRUPT_DISABLE.mask
        bits |= COMMAND.IO_SPACE.mask if any(bar.space == "port" for bar in self.bars) else 0
        self.put(COMMAND.offset, COMMAND.width, COMMAND.BUS_MASTER.put(bits, on))

    def reset(self) -> None:
        """A function level reset; then its BARs as the host had them, and it answers there."""
        if not exists(self.access, self.found.place):
            return
        reset_function(self.access, self.found.place)
        for bar in self.bars:
            assert bar.address is not None
            at = Type0.BAR0.offset + 4 * bar.index
            self.put(at, 4, bar.address & all_ones(4))
            if bar.bits == 64:
                self.put(at + 4, 4, bar.address >> 32)
        self.set_master(False)

    def give_back(self) -> None:
        """Command is as the host had it before, its pin too; but it makes no requests."""
        self.put(COMMAND.offset, COMMAND.width, COMMAND.BUS_MASTER.put(self._command, 0))

    # -- its messages, which only the VMM writes

    def set_msi(self, message: Message | None, vectors: int = 1) -> None:
        """Let it send `message` for its first vector, and on from there; None: no messages."""
        assert self.msi is not None
        if message is None:
            self.msi.disable()
        else:
            self.msi.enable(*message, vectors)

    def set_msix(self, on: bool) -> None:
        """Switch MSI-X on or off. Each vector has its own mask besides."""
        at = self.find(Msix.id)
        assert at is not None
        self.put(at + Msix.CONTROL.offset, 2, Msix.CONTROL.ENABLE.put(0, on))

    def set_vector(self, n: int, message: Message | None) -> None:
        """Let MSI-X vector `n` send `message`; None masks it."""
        if message is None:
            self._store(n, Vector.CONTROL, Vector.CONTROL.MASK.mask)
            return
        self._store(n, Vector.ADDRESS, message.address & all_ones(4))
        self._store(n, Vector.ADDRESS_UPPER, message.address >> 32)
        self._store(n, Vector.DATA, message.data)
        self._store(n, Vector.CONTROL, 0)

    def pending(self) -> int:
        """The MSI-X vectors that are held back and want to go, a bit each."""
        base = self._table + (self._table_end() or 0) - self.table_at
        words = range(0, -(-self.vectors // 32))
        return sum(self.memory.read(base + 4 * n, 4) << 32 * n for n in words)

    def _store(self, n: int, reg: Reg, value: int) -> None:
        self.memory.write(self._table + n * ENTRY + reg.offset, reg.width, value)

    @property
    def _table(self) -> int:
        """Where the table is (hpa)."""
        return self.found.bar(self.table_bar) + self.table_at

    def _find_table(self, at: int) -> None:
        table = self.get(at + Msix.TABLE.offset, 4)
        self.table_bar = Msix.TABLE.BIR.get(table)
        self.table_at = table & Msix.TABLE.OFFSET.mask
        control = self.get(at + Msix.CONTROL.offset, 2)
        self.vectors = Msix.CONTROL.TABLE_SIZE.get(control) + 1

    def _table_end(self) -> int | None:
        """Where in the BAR the pending bits of a table like ours are. None: it is too small."""
        size = next((bar.size for bar in self.bars if bar.index == self.table_bar), 0)
        end = self.table_at + -(-self.vectors * ENTRY // ALIGN) * ALIGN
        return end if end + ALIGN <= size else None

    def _pba(self) -> tuple[int, int]:
        """The BAR and the offset in it where its pending bits are."""
        at = self.find(Msix.id)
        assert at is not None
        pba = self.get(at + Msix.PBA.offset, 4)
        return Msix.PBA.BIR.get(pba), pba & Msix.PBA.OFFSET.mask
