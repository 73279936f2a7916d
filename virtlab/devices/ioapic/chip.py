"""The I/O APIC: 24 inputs, and for each the message that it sends.

    input --> [ entry ] --> message FEExxxxxh --> (remapping unit) --> local APICs
                  ^                                                        |
                  +------------------ EOI of the vector -------------------+

The idea: an edge is a message, once. A level is a message too, and then *remote IRR* is set: no
further one goes out until an EOI of that vector comes back. If the input is still up then, the
message goes out again.

The rules that keep it simple: an edge at a masked input is lost; a level waits. An input here is
asserted or not, so `POLARITY` is kept and means nothing.

Source: Intel 82093AA data sheet (290566), 2.4, 3.2.4; ICH9 13.5. An entry made edge-triggered has
no remote IRR: Linux ends interrupts so where there is no EOI register.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from virtlab.devices.ioapic.registers import (
    ARBITRATION_INDEX,
    ENTRY,
    FIRST_ENTRY,
    ID_BITS,
    ID_INDEX,
    PINS,
    READ_ONLY,
    VERSION,
    VERSION_INDEX,
    WRITABLE,
    IoApicRegisters,
)
from virtlab.interrupts import ASSERT, LOGICAL, MESSAGE_BASE, MODE, TRIGGER, VECTOR, IrqLine, Msi
from virtlab.wire import all_ones

ADDRESS_SHIFT = 4
"""`ENTRY["ADDRESS"]` is bits 19:4 of a message's address."""


class IoApic(IoApicRegisters):
    """An I/O APIC. `lines` are its inputs; `message` gets what it sends.

    `entries` is the redirection table, `levels` the inputs that are up, a bit each.
    """

    def __init__(self, message: Callable[[Msi], object] | None = None, number: int = 0) -> None:
        super().__init__()
        self.message = message or (lambda msi: None)
        self.number = number
        self.levels = 0
        self.lines = tuple(IrqLine(f"ioapic {n}", partial(self._changed, n)) for n in range(PINS))
        self.reset()

    def reset(self) -> None:
        """As after power-on: every input masked."""
        super().reset()
        self.entries = [ENTRY["MASK"].mask] * PINS
        self.id = ID_BITS.put(0, self.number)

    # -- inputs

    def _changed(self, n: int, up: bool) -> None:
        """An input rose or fell."""
        self.levels = self.levels & ~(1 << n) | up << n
        if up and not self._has(n, "MASK"):
            self._request(n)

    def _has(self, n: int, field: str) -> bool:
        return bool(ENTRY[field].get(self.entries[n]))

    def _request(self, n: int) -> None:
        """Send the message of an input that wants to; a level waits for its EOI."""
        if self._has(n, "LEVEL"):
            if self._has(n, "REMOTE_IRR"):
                return
            self.entries[n] |= ENTRY["REMOTE_IRR"].mask
        self.message(self.message_of(n))

    def _settle(self, n: int) -> None:
        """An entry changed, or an EOI came: a level that is up and may be sent goes out."""
        if self.levels >> n & 1 and self._has(n, "LEVEL") and not self._has(n, "MASK"):
            self._request(n)

    def message_of(self, n: int) -> Msi:
        """The message of input `n`, as its entry says now."""
        entry = self.entries[n]
        address = MESSAGE_BASE | ENTRY["ADDRESS"].get(entry) << ADDRESS_SHIFT
        level = ENTRY["LEVEL"].get(entry)
        data = VECTOR.put(0, ENTRY["VECTOR"].get(entry))
        data = MODE.put(data, ENTRY["MODE"].get(entry))
        data = ASSERT.put(TRIGGER.put(data, level), level)
        return Msi(LOGICAL.put(address, ENTRY["LOGICAL"].get(entry)), data)

    def eoi(self, vector: int) -> None:
        """A processor has ended `vector`: by the broadcast of its local APIC, or by `EOI`."""
        for n in range(PINS):
            same = ENTRY["VECTOR"].get(self.entries[n]) == vector
            if same and self._has(n, "LEVEL") and self._has(n, "REMOTE_IRR"):
                self.entries[n] &= ~ENTRY["REMOTE_IRR"].mask
                self._settle(n)

    # -- the registers

    def read(self, offset: int, size: int) -> int:
        """`IOREGSEL`, or `IOWIN`, read whole. Anything else is 0."""
        if offset == IoApicRegisters.IOREGSEL.offset:
            return super().read(offset, size)
        whole = offset == IoApicRegisters.IOWIN.offset and size == 4
        return self._chosen() if whole else 0

    def write(self, offset: int, size: int, value: int) -> None:
        """`IOREGSEL`, or `IOWIN` or `EOI`, written whole. Anything else does nothing."""
        whole = size == 4 and offset in (IoApicRegisters.IOWIN.offset, IoApicRegisters.EOI.offset)
        if whole or offset == IoApicRegisters.IOREGSEL.offset:
            super().write(offset, size, value)

    def peek(self) -> dict[str, int]:
        """Every register by name, the entries among them."""
        shown = {"IOREGSEL": self.IOREGSEL, "IOWIN": self._chosen(), "ID": self.id}
        return shown | {f"ENTRY{n}": entry for n, entry in enumerate(self.entries)}

    def _chosen(self) -> int:
        """The register that `IOREGSEL` chooses; 0 where there is none."""
        index = self.IOREGSEL
        if index in (ID_INDEX, ARBITRATION_INDEX):
            return self.id
        if index == VERSION_INDEX:
            return VERSION | (PINS - 1) << 16
        n, high = divmod(index - FIRST_ENTRY, 2)
        return self.entries[n] >> 32 * high & all_ones(4) if 0 <= n < PINS else 0

    def write_IOWIN(self, old: int, new: int) -> None:
        """The register that `IOREGSEL` chooses is written."""
        n, high = divmod(self.IOREGSEL - FIRST_ENTRY, 2)
        if self.IOREGSEL == ID_INDEX:
            self.id = new & ID_BITS.mask
        elif 0 <= n < PINS:
            lanes = WRITABLE & all_ones(4) << 32 * high
            entry = self.entries[n] & ~lanes | new << 32 * high & lanes
            if not ENTRY["LEVEL"].get(entry):
                entry &= ~READ_ONLY
            self.entries[n] = entry
            self._settle(n)

    def write_EOI(self, old: int, new: int) -> None:
        """End a vector without a broadcast."""
        self.eoi(new)
