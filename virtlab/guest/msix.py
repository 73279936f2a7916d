"""Switching on MSI-X: a function's interrupts become writes to addresses that the driver chooses.

    msix = MsixDriver(cpu, access, function)
    msix.set(0, address=0xFEE0_0000, data=0x41)
    msix.enable()

The idea: the table of vectors is memory behind a BAR. An entry has an address and a datum, and to
interrupt is to write the one to the other. On a PC the address is a local APIC's. A test may as
well give the address of a word in RAM, and then read the interrupt there.

The rule that keeps it simple: an entry is masked while it is changed (PCI 3.0, 6.8.3.3).

Source: PCI Local Bus 3.0, 6.8.2. Left out: pending bits; the function mask.
"""

from __future__ import annotations

from virtlab.cpu import Cpu
from virtlab.guest.pci import Access, Found, capability_list
from virtlab.pci.capabilities import Msix
from virtlab.pci.msix import ENTRY, Vector
from virtlab.registers import Reg


class MsixDriver:
    """The vectors of `function`. `LookupError` if it has no MSI-X, or its BAR has no address."""

    def __init__(self, cpu: Cpu, access: Access, function: Found) -> None:
        self.cpu = cpu
        self.access = access
        self.function = function
        at = dict(capability_list(access, function.place)).get(Msix.id)
        if at is None:
            raise LookupError(f"{function.place} has no MSI-X")
        self.at = at
        table = self._get(Msix.TABLE)
        offset = Msix.TABLE.OFFSET.get(table) << Msix.TABLE.OFFSET.lo
        self.table = function.bar(Msix.TABLE.BIR.get(table)) + offset

    @property
    def vectors(self) -> int:
        """How many vectors there are."""
        return Msix.CONTROL.TABLE_SIZE.get(self._get(Msix.CONTROL)) + 1

    def set(self, vector: int, address: int, data: int) -> None:
        """Let `vector` write `data` (4 bytes) to `address`, and unmask it."""
        if not 0 <= vector < self.vectors:
            raise ValueError(f"there are vectors 0 to {self.vectors - 1}, not {vector}")
        self.mask(vector)
        self._put(vector, Vector.ADDRESS, address & 0xFFFF_FFFF)
        self._put(vector, Vector.ADDRESS_UPPER, address >> 32)
        self._put(vector, Vector.DATA, data)
        self._put(vector, Vector.CONTROL, 0)

    def mask(self, vector: int) -> None:
        """Hold `vector` back."""
        self._put(vector, Vector.CONTROL, Vector.CONTROL.MASK.mask)

    def enable(self, on: bool = True) -> None:
        """Switch MSI-X on: the function then leaves its pin alone. Or off again."""
        control = Msix.CONTROL.ENABLE.put(self._get(Msix.CONTROL), on)
        self.access.write(self.function.place, self.at + Msix.CONTROL.offset, 2, control)

    def _get(self, reg: Reg) -> int:
        return self.access.read(self.function.place, self.at + reg.offset, reg.width)

    def _put(self, vector: int, reg: Reg, value: int) -> None:
        self.cpu.store(self.table + vector * ENTRY + reg.offset, value, reg.width)
