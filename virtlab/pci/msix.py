"""The table behind MSI-X: for each vector an address, a datum, a mask bit; and the pending bits.

    table  + 16 n   Message Address, Upper Address, Data, Vector Control (bit 0 masks)
    PBA    bit n    vector n is held back and wants to go

The idea: the table is memory of the device, so a guest changes a vector's target by a store, with
no configuration request. A masked vector is never lost: its pending bit waits.

The rule that keeps it simple: whenever a mask goes away, what is pending goes out.

Source: PCI Local Bus 3.0, 6.8.2 and 6.8.3.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.bus import cycles
from virtlab.interrupts import Msi as Message
from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits, all_ones

MAX_VECTORS = 2048
"""What the size field can say (6.8.2.3)."""

ENTRY = 16
"""Bytes of one vector."""

ACCESS = 4
"""Bytes of one access to an entry. Software uses 4 or 8 (6.8.2); any other is cut up or widened."""

ALIGN = 0x800
"""The table has its own part of the BAR; the pending bits begin at the next multiple of this."""


class Vector(RegisterFile):
    """One entry of the table."""

    ADDRESS = Reg(0x00, 4, rw=0xFFFF_FFFC, spec="PCI 3.0 6.8.2.6", doc="Where to write.")
    ADDRESS_UPPER = Reg(0x04, 4, rw=all_ones(4), spec="PCI 3.0 6.8.2.7", doc="Bits 63 to 32.")
    DATA = Reg(0x08, 4, rw=all_ones(4), spec="PCI 3.0 6.8.2.8", doc="What to write.")
    CONTROL = Reg(
        0x0C,
        4,
        reset=1,
        rw=1,
        fields={"MASK": Bits(0)},
        spec="PCI 3.0 6.8.2.9",
        doc="A 1 holds the vector back; so it is after reset.",
    )

    @property
    def message(self) -> Message:
        """What it sends."""
        return Message(self.ADDRESS | self.ADDRESS_UPPER << 32, self.DATA)


class MsixTable:
    """`vectors` entries and their pending bits, a `Device` of `length` bytes.

    `send` takes a message that goes out. It may come back as an access to this very table, or as a
    doorbell that makes the device notify again: such a vector waits until `send` has returned. One
    access or notification sets off at most two messages a vector; what is left stays pending.
    """

    def __init__(self, vectors: int, send: Callable[[Message], None]) -> None:
        if not 1 <= vectors <= MAX_VECTORS:
            raise ValueError(f"MSI-X has 1 to {MAX_VECTORS} vectors, not {vectors}")
        self.vectors = vectors
        self.entries = [Vector() for _ in range(vectors)]
        self.pending = 0
        self.vector_masks = (1 << vectors) - 1
        self.masked = True
        self.send = send
        self._sending = False

    @property
    def pba_offset(self) -> int:
        """Where the pending bits begin."""
        return -(-self.vectors * ENTRY // ALIGN) * ALIGN

    @property
    def length(self) -> int:
        """Bytes of table and pending bits, as a BAR can have them: a power of two."""
        return 1 << (self.pba_offset + ALIGN - 1).bit_length()

    def notify(self, vector: int) -> None:
        """The device wants to interrupt. A vector that it does not have is ignored."""
        if 0 <= vector < self.vectors:
            self.pending |= 1 << vector
            self._flush(1 << vector)

    def held(self, vector: int) -> bool:
        """Whether `vector` may not go out: the function is masked, or the vector is."""
        return self.masked or bool(self.vector_masks >> vector & 1)

    def set_mask(self, masked: bool) -> None:
        """The function's own mask, from the capability."""
        self.masked = masked
        self._flush(self.pending)

    def reset(self) -> None:
        """Every vector masked, nothing pending."""
        for entry in self.entries:
            entry.reset()
        self.pending, self.masked = 0, True
        self.vector_masks = (1 << self.vectors) - 1

    def read(self, offset: int, size: int) -> int:
        """Entries, pending bits, or a hole, which reads 0."""
        value = 0
        for at, n, shift in cycles(offset, size, ACCESS):
            value |= self._read(at, n) << shift
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """Entries. The pending bits are read only (6.8.2.10)."""
        for at, n, shift in cycles(offset, size, ACCESS):
            index, inside = divmod(at, ENTRY)
            if index < self.vectors:
                entry = self.entries[index]
                entry.write(inside, n, value >> shift & all_ones(n))
                self.vector_masks = Bits(index).put(self.vector_masks, entry.CONTROL)
                self._flush(self.pending & 1 << index)

    def _read(self, offset: int, size: int) -> int:
        index, inside = divmod(offset, ENTRY)
        if index < self.vectors:
            return self.entries[index].read(inside, size)
        first = offset - self.pba_offset
        return self.pending >> 8 * first & all_ones(size) if 0 <= first < ALIGN else 0

    def _flush(self, due: int) -> None:
        """Send those of the vectors `due` that may go, and whatever that brings about."""
        if self._sending:
            return
        self._sending = True
        try:
            for _ in range(2 * self.vectors):
                due &= 0 if self.masked else ~self.vector_masks
                if not due:
                    break
                vector = (due & -due).bit_length() - 1
                self.pending &= ~(1 << vector)
                self.send(self.entries[vector].message)
                due = self.pending
        finally:
            self._sending = False
