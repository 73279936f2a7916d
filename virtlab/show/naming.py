"""Which register an access meets, and what the value says: numbers turned into words.

The idea: a device's registers are declared once, as `Reg`s. A `Namer` is given them with the base
they stand at, follows the accesses in order, and names each.

At one offset there may be several registers: one for reads and one for writes (`access`), or one
that stands there under a condition (`when="DLAB=1"`). So a Namer remembers the last value seen of
each *field*, which is all that it needs to know which register is meant.

It leaves out values that only the device knows: a field that was never seen counts as 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from virtlab.registers import Reg

Registers = Mapping[int, Iterable[Reg]]
"""For each base address, the registers declared there."""


READS, WRITES = ("in", "load"), ("out", "store")
"""Kinds of event that are an access, answered."""

REFUSED = ("unclaimed", "straddle")
"""Kinds of event that are an access, answered by nobody."""


class Named(NamedTuple):
    """An access in words: the register's name and its fields as `NAME=value`, or two blanks."""

    register: str = ""
    fields: str = ""

    @property
    def words(self) -> str:
        """Register and fields: `LCR  WLS=3 DLAB=1`."""
        return f"{self.register}  {self.fields}".strip()


class Namer:
    """Names accesses, one after another, by the registers at their addresses.

    >>> from virtlab.wire import Bits
    >>> lcr = Reg(3, 1, name="LCR", fields={"DLAB": Bits(7)})
    >>> Namer({0x3F8: [lcr]}).name(True, 0x3FB, 0x80).words
    'LCR  DLAB=1'
    """

    def __init__(self, registers: Registers | None = None) -> None:
        self._at: dict[int, list[Reg]] = {}
        self._fields: dict[str, int] = {}
        for base, declared in (registers or {}).items():
            for reg in declared:
                self._at.setdefault(base + reg.offset, []).append(reg)

    def name(self, write: bool, address: int, value: int) -> Named:
        """Name one access, and remember the fields it carried."""
        reg = self._choose("w" if write else "r", address)
        if reg is None:
            return Named()
        self._fields.update(reg.decode(value))
        return Named(reg.name, field_words(reg, value))

    def _choose(self, verb: str, address: int) -> Reg | None:
        for reg in self._at.get(address, ()):
            if verb in reg.access and self._holds(reg.when):
                return reg
        return None

    def _holds(self, when: str) -> bool:
        """Whether every `FIELD=value` of the condition is so; other words say nothing."""
        for clause in when.replace(",", " ").split():
            field, equals, wanted = clause.partition("=")
            if equals and wanted.isdigit() and self._fields.get(field, 0) != int(wanted):
                return False
        return True


def field_words(reg: Reg, value: int) -> str:
    """The fields that say something, high bit first: one-bit fields that are set, others always.

    A register without fields gives nothing; one whose bits are all clear gives `all clear`.
    """
    shown = [
        f"{name}={bits.get(value)}"
        for name, bits in sorted(reg.fields.items(), key=lambda item: -item[1].hi)
        if bits.width > 1 or bits.get(value)
    ]
    return " ".join(shown) or ("all clear" if reg.fields else "")


def character(value: int) -> str:
    """A byte as a quoted character where it is one, such as `'A'`; else empty."""
    if value in (9, 10, 13) or 32 <= value < 127:
        return repr(chr(value))
    return ""


def access_words(reg: Reg) -> str:
    """Who may do what with a register: `read and write`, `read only`, `write only`; or nothing."""
    return {"": "", "rw": "read and write", "r": "read only", "w": "write only"}[reg.access]
