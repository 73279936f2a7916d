"""Switching on MSI: a function's interrupt becomes a write that the driver has chosen.

    msi = MsiDriver(access, place)
    msi.enable(*Interrupt(0x41).message())

The idea: the capability has one address and one datum, in configuration space. Of several vectors
each has the datum with its number in the low bits.

The rule that keeps it simple: address and datum are written before the switch.

Source: PCI Local Bus 3.0, 6.8.1. Left out: masks.
"""

from __future__ import annotations

from virtlab.guest.pci import Access, Place, capability_list
from virtlab.pci.msi import Msi, msi_layout


class MsiDriver:
    """The messages of the function at `place`. `LookupError` if it has no MSI.

    `vectors` is how many it can send; `wide`: to addresses of 64 bits, else of 32.
    """

    def __init__(self, access: Access, place: Place) -> None:
        at = dict(capability_list(access, place)).get(Msi.id)
        if at is None:
            raise LookupError(f"{place} has no MSI")
        self.access, self.place, self.at = access, place, at
        control = access.read(place, at + Msi.CONTROL.offset, 2)
        self.registers = {reg.name: reg for reg in msi_layout(control).registers}
        self.vectors = 1 << Msi.CONTROL.MULTIPLE_MESSAGE_CAPABLE.get(control)
        self.wide = "ADDRESS_UPPER" in self.registers

    def enable(self, address: int, data: int, vectors: int = 1) -> None:
        """Let it write `data` (2 bytes) to `address`, and use so many vectors, a power of two.

        `ValueError` for an address that it has no room for, and for more vectors than it has.
        """
        if vectors not in (1 << n for n in range(6)) or vectors > self.vectors:
            raise ValueError(f"{self.place} can use {self.vectors} vectors, not {vectors}")
        if address >> 32 and not self.wide:
            raise ValueError(f"{self.place} sends to 32-bit addresses, not to {address:#x}")
        self._put("ADDRESS", address & 0xFFFF_FFFF)
        if self.wide:
            self._put("ADDRESS_UPPER", address >> 32)
        self._put("DATA", data)
        fields = Msi.CONTROL
        control = fields.MULTIPLE_MESSAGE_ENABLE.put(0, vectors.bit_length() - 1)
        self._put("CONTROL", fields.ENABLE.put(control, 1))

    def disable(self) -> None:
        """No messages any more: the function has its pin again."""
        self._put("CONTROL", 0)

    def _put(self, name: str, value: int) -> None:
        reg = self.registers[name]
        self.access.write(self.place, self.at + reg.offset, reg.width, value)
