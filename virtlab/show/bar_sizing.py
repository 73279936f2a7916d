"""How a BAR tells its size, access by access and bit by bit.

The idea: a real function with one BAR is made, and the enumeration's own `size_bars` asks it. Each
access is kept with the word that the BAR held after it. So the picture shows what happened in the
register, not a story about it.

The rule that keeps it simple: a bit of a BAR is one of three. It says what kind of BAR it is, or it
stays zero because it lies inside the region, or it took the 1: then it is a bit of the address. The
lowest of those is the size.

Source: PCI Local Bus 3.0, 6.2.5.1.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.guest.pci import FoundBar, Place, size_bars
from virtlab.pci.bars import MAX_PORTS, MIN_MEMORY, MIN_PORTS, Space
from virtlab.pci.config import BAR_FIELDS, Header, Type0
from virtlab.pci.function import Function, Identity
from virtlab.registers import RegisterFile
from virtlab.show.maps import size_words
from virtlab.show.palette import (
    BLUE,
    BODY,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    PAPER,
    SKY_TINT,
    SMALL,
)
from virtlab.show.shapes import hatch, legend
from virtlab.show.svg import TOP, Picture, caption, line, picture, rect, write
from virtlab.wire import all_ones

PLACE = Place(0, 3, 0)
"""Where the BAR's function is, for the eye."""

_CELL, _HALF = 27, 92


class BarKind(NamedTuple):
    """What a BAR can be: a space, its bits, and whether reading ahead does no harm."""

    space: Space
    bits: int = 32
    prefetchable: bool = False


KINDS = {
    "memory, 32 bits": BarKind("memory"),
    "memory, 64 bits": BarKind("memory", 64),
    "memory, 64 bits, prefetchable": BarKind("memory", 64, True),
    "ports": BarKind("port"),
}
"""By the words in the list."""


class Step(NamedTuple):
    """One access of the sizing: the `register`'s name, the value, and the BAR after it."""

    write: bool
    register: str
    value: int
    bar: int


class _Asked:
    """The way to the configuration space of one function that keeps each access."""

    def __init__(self, function: Function) -> None:
        self.config, self.steps = function.config, list[Step]()
        self.header = function.header

    def read(self, place: Place, offset: int, size: int) -> int:
        value = self.config.read(offset, size)
        self._keep(False, offset, value)
        return value

    def write(self, place: Place, offset: int, size: int, value: int) -> None:
        self.config.write(offset, size, value)
        self._keep(True, offset, value)

    def _keep(self, write: bool, offset: int, value: int) -> None:
        name = next(reg.name for reg in Type0.registers if reg.offset == offset)
        bar = self.header.values["BAR0"] | self.header.values["BAR1"] << 32
        self.steps.append(Step(write, name, value, bar))


class Sizing(NamedTuple):
    """A BAR of `kind`, the `steps` of sizing it, and what came out."""

    kind: BarKind
    steps: tuple[Step, ...]
    found: FoundBar


def sizing(kind: BarKind, size: int) -> Sizing:
    """Make a function with a BAR of `size` bytes, and let the enumeration's code size it."""
    function = Function(Identity(0x1AF4, 0x1234, 0xFF0000), name="a card")
    if kind.space == "port":
        function.port_bar(0, RegisterFile(), size)
    else:
        device = RegisterFile()
        function.memory_bar(0, device, size, bits=kind.bits, prefetchable=kind.prefetchable)
    way = _Asked(function)
    (found,) = size_bars(way, PLACE, 1)
    return Sizing(kind, tuple(way.steps), found)


def sizes(kind: BarKind) -> list[int]:
    """The sizes that such a BAR can have: powers of two (PCI 3.0, 6.2.5.1)."""
    if kind.space == "port":
        return [1 << n for n in range(MIN_PORTS.bit_length() - 1, MAX_PORTS.bit_length())]
    return [1 << n for n in range(MIN_MEMORY.bit_length() - 1, kind.bits)]


def amount(size: int, space: Space) -> str:
    """A size in the words of its space.

    >>> amount(64, "port"), amount(1 << 20, "memory")
    ('64 ports', '1 MiB')
    """
    return f"{size} ports" if space == "port" else size_words(size)


# -- the picture


def bar_sizing(asked: Sizing, at: int, title: str = "A BAR tells its size") -> Picture:
    """The BAR's bits after access number `at` of the sizing."""
    step = asked.steps[at]
    learned = at >= answered(asked)
    parts, y = [caption(TOP + 4, f"Access {at + 1} of {len(asked.steps)}: {_verb(step)}")], TOP + 32
    for high in range(asked.kind.bits - 1, 0, -32):
        parts.append(_half(asked, step.bar, high, y, learned))
        y += _HALF
    if learned:
        parts.append(_lowest(asked, y))
    parts.append(legend(y + 46, _keys()))
    text = f"{_verb(step)}\n{_digits(step.bar, asked.kind.bits)}\n{explain(asked, at)}"
    return picture(title, y + 66, parts, text, f"{title}: {_verb(step)}")


def answered(asked: Sizing) -> int:
    """The access that brings the last answer: the read after the last all ones."""
    ones = [n for n, each in enumerate(asked.steps) if each.write and each.value == all_ones(4)]
    return ones[-1] + 1


def _half(asked: Sizing, word: int, high: int, y: float, learned: bool) -> str:
    """32 bits, numbers above, high bit left."""
    parts = []
    for bit in range(high, high - 32, -1):
        x = MARGIN + (high - bit) * _CELL
        if bit % 4 == 0 or bit == high:
            parts.append(write(x + _CELL / 2, y + 12, str(bit), SMALL, MUTED, "middle"))
        parts.append(_bit(x, y + 20, word >> bit & 1, _role(asked, bit), learned))
    return "".join(parts)


def _role(asked: Sizing, bit: int) -> str:
    """What a bit is: part of the address, of the type, or stuck at zero."""
    fields = BAR_FIELDS[asked.kind.space]
    if bit < fields["ADDRESS"].lo:
        return "type"
    return "address" if bit >= asked.found.size.bit_length() - 1 else "zero"


def _bit(x: float, y: float, digit: int, role: str, learned: bool) -> str:
    fill = {"type": ORANGE_TINT, "address": SKY_TINT}.get(role, PAPER) if learned else GREY_TINT
    parts = [rect(x, y, _CELL, 36, fill, radius=0)]
    if learned and role == "zero":
        parts.append(hatch(x, y, _CELL, 36, gap=9))
    ink, halo = (INK if digit else MUTED), (PAPER if role == "zero" and learned else "")
    middle = x + _CELL / 2
    parts.append(write(middle, y + 24, str(digit), 18, ink, "middle", bool(digit), True, halo))
    return "".join(parts)


def _lowest(asked: Sizing, y: float) -> str:
    """A mark below the lowest bit that took the 1."""
    bit = asked.found.size.bit_length() - 1
    top = y - _HALF * (2 if bit >= 32 else 1)
    x = MARGIN + (31 - bit % 32 + 0.5) * _CELL
    words = f"bit {bit} is the lowest that took the 1: 2^{bit} = {_found(asked)}"
    foot = top + 20 + 36 + 20
    left = x > 500
    return (
        line(x, top + 58, x, foot, BLUE, 3)
        + line(x, foot, x + (-14 if left else 14), foot, BLUE, 3)
        + write(x + (-20 if left else 20), foot + 5, words, BODY, anchor="end" if left else "start")
    )


def _keys() -> list[tuple[str, str]]:
    address = rect(0, 0, 22, 18, SKY_TINT, INK, 0)
    kind = rect(0, 0, 22, 18, ORANGE_TINT, INK, 0)
    zero = rect(0, 0, 22, 18, PAPER, INK, 0) + hatch(0, 0, 22, 18, gap=7)
    return [
        (address, "address: took the 1"),
        (zero, "stayed 0: inside the region"),
        (kind, "type: cannot be changed"),
    ]


def _digits(word: int, bits: int) -> str:
    """The bits in groups of four, high bit left."""
    row = f"{word:0{bits}b}"
    return " ".join(row[i : i + 4] for i in range(0, bits, 4))


# -- the words


def _verb(step: Step) -> str:
    digits = 4 if step.register == "COMMAND" else 8
    verb = "write" if step.write else "read"
    return f"{verb} {step.register} {'=' if step.write else 'gives'} 0x{step.value:0{digits}x}"


def explain(asked: Sizing, at: int) -> str:
    """Why this access is made, and what it says."""
    step = asked.steps[at]
    if step.register == Header.COMMAND.name:
        return _about_command(at)
    if step.write:
        if step.value == all_ones(4):
            return f"All ones go into {step.register}. Bits that cannot be written ignore them."
        return f"{step.register} gets back what it had before."
    if not asked.steps[at - 1].write or asked.steps[at - 1].register != step.register:
        return f"{step.register} is read first, so that it can be put back."
    if at < answered(asked):
        return "This is the lower half. The type says 64 bits, so the upper half is asked too."
    return (
        f"The bits that stayed 0 lie inside the region. The lowest address bit that took the 1 is "
        f"bit {asked.found.size.bit_length() - 1}: {_found(asked)}."
    )


def _found(asked: Sizing) -> str:
    return amount(asked.found.size, asked.found.space)


def _about_command(at: int) -> str:
    if at == 0:
        return "The driver reads which spaces the function decodes."
    if at == 1:
        return "Decoding goes off. For a moment the BAR will hold an address that is nobody's."
    return "The sizing is over. The function decodes again what it decoded before."
