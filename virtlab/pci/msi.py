"""Message Signaled Interrupts: an address and a datum to write there, instead of a wire.

    0x02 control   0x04 address   0x08 data                                       32 bits
    0x02 control   0x04 address   0x08 upper address   0x0C data                  64 bits
    ... and behind the data, aligned to 4 bytes: mask bits, pending bits          maskable

The idea: two bits of Message Control say which of four layouts it is. So there are four classes,
and `Msi(...)` makes the one that is asked for. `msi_layout` finds it for a dump.

The rule that keeps it simple: a masked vector is noted as pending, and `unmasked` sends what may go
now. The function calls it after each write to configuration space.

Source: PCI Local Bus 3.0, 6.8.1.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.interrupts import Msi as Message
from virtlab.pci.config import Capability
from virtlab.registers import Reg
from virtlab.wire import Bits, all_ones

_SPEC = "PCI 3.0 6.8.1"

MSI_VECTORS = (1, 2, 4, 8, 16, 32)
"""How many vectors a function may have (6.8.1.3)."""


class Msi(Capability):
    """`vectors` messages, with 64 or 32 bits of address, with or without a mask for each."""

    id = 0x05
    CONTROL = Reg(
        0x02,
        2,
        rw=0x0071,
        fields={
            "ENABLE": Bits(0),
            "MULTIPLE_MESSAGE_CAPABLE": Bits(3, 1),
            "MULTIPLE_MESSAGE_ENABLE": Bits(6, 4),
            "ADDRESS_64": Bits(7),
            "PER_VECTOR_MASKING": Bits(8),
        },
        spec=f"{_SPEC}.3",
        doc="Whether it is on, how many vectors it has and may use, and what else is here.",
    )
    ADDRESS = Reg(0x04, 4, rw=0xFFFF_FFFC, spec=f"{_SPEC}.4", doc="Where to write.")

    def __new__(cls, vectors: int = 1, bits64: bool = True, maskable: bool = False) -> Msi:
        """The class with the layout that is asked for."""
        return super().__new__(_layout(bits64, maskable) if cls is Msi else cls)

    def __init__(self, vectors: int = 1, bits64: bool = True, maskable: bool = False) -> None:
        super().__init__()
        if vectors not in MSI_VECTORS:
            raise ValueError(f"MSI has 1, 2, 4, 8, 16 or 32 vectors, not {vectors}")
        fields = Msi.CONTROL
        control = fields.MULTIPLE_MESSAGE_CAPABLE.put(0, vectors.bit_length() - 1)
        control = fields.ADDRESS_64.put(control, "ADDRESS_UPPER" in self.values)
        self.preset(CONTROL=fields.PER_VECTOR_MASKING.put(control, self.maskable))
        if self.maskable:
            self.narrow(MASK=(1 << vectors) - 1)

    @property
    def maskable(self) -> bool:
        """Whether each vector has a mask bit."""
        return "MASK" in self.values

    @property
    def enabled(self) -> bool:
        """Whether the guest chose messages."""
        return bool(Msi.CONTROL.ENABLE.get(self.CONTROL))

    @property
    def vectors(self) -> int:
        """How many vectors the guest lets it use (6.8.1.3): no more than it has."""
        fields = Msi.CONTROL.decode(self.CONTROL)
        return 1 << min(fields["MULTIPLE_MESSAGE_ENABLE"], fields["MULTIPLE_MESSAGE_CAPABLE"])

    @property
    def pending(self) -> int:
        """The vectors that are held back and want to go, a bit each."""
        return self.values.get("PENDING", 0)

    def masked(self, vector: int) -> bool:
        """Whether the guest holds `vector` back."""
        return bool(self.values.get("MASK", 0) >> vector % self.vectors & 1)

    def message(self, vector: int = 0) -> Message:
        """What to write for `vector`: its number replaces the low bits of the datum (6.8.1.6)."""
        low = vector % self.vectors
        data = self.values["DATA"] & -self.vectors | low
        return Message(self.ADDRESS | self.values.get("ADDRESS_UPPER", 0) << 32, data)

    def notify(self, vector: int, send: Callable[[Message], None]) -> None:
        """Send the message of `vector`; where it is masked, note that it is pending (6.8.1.7)."""
        if self.masked(vector):
            self.values["PENDING"] |= 1 << vector % self.vectors
        else:
            send(self.message(vector))

    def unmasked(self, send: Callable[[Message], None]) -> None:
        """Send what is pending and no longer masked."""
        if not self.enabled or not self.pending:
            return
        due = self.pending & ~self.values["MASK"] & (1 << self.vectors) - 1
        self.values["PENDING"] &= ~due
        for vector in range(self.vectors):
            if due >> vector & 1:
                send(self.message(vector))


def _data(at: int) -> Reg:
    return Reg(at, 2, rw=0xFFFF, spec=f"{_SPEC}.6", doc="What to write.")


def _upper() -> Reg:
    return Reg(0x08, 4, rw=all_ones(4), spec=f"{_SPEC}.5", doc="Bits 63 to 32 of where.")


def _mask(at: int) -> Reg:
    return Reg(at, 4, rw=all_ones(4), spec=f"{_SPEC}.7", doc="A 1 holds a vector back.")


def _pending(at: int) -> Reg:
    return Reg(at, 4, spec=f"{_SPEC}.8", doc="A vector that is held back and wants to go.")


class Msi32(Msi):
    """With 32 bits of address."""

    length = 0x0C
    DATA = _data(0x08)


class Msi64(Msi):
    """With 64 bits of address."""

    length = 0x10
    ADDRESS_UPPER, DATA = _upper(), _data(0x0C)


class Msi32Masked(Msi):
    """With 32 bits of address, and masks."""

    DATA, MASK, PENDING = _data(0x08), _mask(0x0C), _pending(0x10)


class Msi64Masked(Msi):
    """With 64 bits of address, and masks."""

    ADDRESS_UPPER, DATA, MASK, PENDING = _upper(), _data(0x0C), _mask(0x10), _pending(0x14)


def _layout(bits64: bool, maskable: bool) -> type[Msi]:
    if maskable:
        return Msi64Masked if bits64 else Msi32Masked
    return Msi64 if bits64 else Msi32


def msi_layout(control: int) -> type[Msi]:
    """Which of the four layouts Message Control means."""
    bits64, maskable = Msi.CONTROL.ADDRESS_64, Msi.CONTROL.PER_VECTOR_MASKING
    return _layout(bool(bits64.get(control)), bool(maskable.get(control)))
