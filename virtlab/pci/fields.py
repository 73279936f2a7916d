"""Declared registers with values: what the bytes of a dump say in the words of a declaration.

    >>> from virtlab.pci.config import Header
    >>> header = Registers.at(Header, bytes.fromhex("86 80 c0 29") + bytes(60), 0)
    >>> hex(header.value(Header.DEVICE_ID))
    '0x29c0'

The rule that keeps it simple: a register that does not lie in the bytes as a whole is not there,
and its value is 0.
"""

from __future__ import annotations

from virtlab.registers import Reg, RegisterFile


class Register:
    """A declared register with its value; `offset` counts from the start of the bytes."""

    __slots__ = ("declared", "offset", "value")

    def __init__(self, offset: int, value: int, declared: Reg) -> None:
        self.offset, self.value = offset, value
        self.declared: Reg = declared

    def __repr__(self) -> str:
        digits = 2 * self.declared.width
        return f"{self.offset:03x} {self.name} = {self.value:0{digits}x}"

    @property
    def name(self) -> str:
        """Its name."""
        return self.declared.name

    @property
    def fields(self) -> dict[str, int]:
        """Every field with its value."""
        return self.declared.decode(self.value)


class Registers(tuple[Register, ...]):
    """The registers of one structure, in order of their offsets."""

    __slots__ = ()

    @classmethod
    def at(
        cls, kind: type[RegisterFile], data: bytes, base: int, length: int | None = None
    ) -> Registers:
        """Those of `kind` at `base` of `data`, of a structure that has `length` bytes there."""
        end = min(len(data), base + (kind.length if length is None else length))
        return cls(
            Register(base + reg.offset, number(data, base + reg.offset, reg.width), reg)
            for reg in kind.registers
            if base + reg.offset + reg.width <= end
        )

    def value(self, reg: Reg | str) -> int:
        """The value of a register; 0 where the structure does not have it."""
        name = reg if isinstance(reg, str) else reg.name
        return next((each.value for each in self if each.name == name), 0)


def number(data: bytes, at: int, size: int) -> int:
    """The little-endian number of `size` bytes at `at`."""
    return int.from_bytes(data[at : at + size], "little")
